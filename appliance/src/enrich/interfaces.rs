//! Interfaces of exporters: names, descriptions, speeds.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use super::csv::{self, Header};
use super::wrong::{Wrong, number};
use crate::config::Faults;
use crate::flows::{Address, Text};

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    /// ifName.
    pub(super) name: Text,
    /// ifAlias.
    pub(super) description: Text,
    /// ifHighSpeed, Mbit/s; 0: not known.
    pub(super) speed: u32,
}

/// By exporter and ifIndex.
pub(super) type Interfaces = HashMap<(Address, u32), Interface>;

/// Reads `exporter,if_index,name[,description,speed]`.
///
/// # Errors
/// All that is wrong in it.
pub(super) fn load(file: &Path) -> Result<Interfaces, Faults> {
    let mut interfaces = Interfaces::new();
    let header = Header { required: &["exporter", "if_index", "name"], optional: &["description", "speed"] };
    csv::read(file, &header, &mut |_, fields| {
        let [exporter, index, name, description, speed] = *fields else { return Ok(()) };
        let exporter: IpAddr = exporter
            .parse()
            .map_err(|_| Wrong::of("exporter", format!("\"{exporter}\" is no address"), "write the exporter's, such as 192.0.2.1"))?;
        let speed = if speed.is_empty() { 0 } else { number("speed", speed, "10000 (Mbit/s)")? };
        let interface = Interface { name: Text::from(name), description: Text::from(description), speed };
        match interfaces.insert((Address::from(exporter), number("if_index", index, "12")?), interface) {
            None => Ok(()),
            Some(_) => Err(Wrong::of("if_index", format!("{index} of {exporter} stands there already"), "remove one of the two")),
        }
    })?;
    Ok(interfaces)
}
