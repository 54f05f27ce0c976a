//! Databases in MaxMind's format, laid out anew when they are loaded: each record is decoded once, and an address then costs a look
//! and a short search, no walk over a tree and no decoding.

use std::collections::HashMap;
use std::path::Path;

use ipnet::{IpNet, Ipv4Net};
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde_json::Value;

use super::prefixes::Prefixes;
use super::wrong::Wrong;
use crate::config::Faults;
use crate::flows::Text;

/// An autonomous system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct As {
    /// Number.
    pub(super) number: u32,
    /// Organisation; empty: not known.
    pub(super) name: Text,
}

/// AS numbers and organisations: `autonomous_system_number`, `autonomous_system_organization`; or `asn`, `name`.
///
/// # Errors
/// It is no such database.
pub(super) fn systems(file: &Path) -> Result<Prefixes<As>, Faults> {
    load(file, "an AS number (autonomous_system_number, or asn)", |record| {
        let number = record.get("autonomous_system_number").or_else(|| record.get("asn"))?;
        let number = match number {
            Value::String(text) => text.trim_start_matches("AS").parse().ok()?,
            number => u32::try_from(number.as_u64()?).ok()?,
        };
        let name = ["autonomous_system_organization", "name", "as_name"].iter().find_map(|key| record.get(*key)?.as_str());
        Some(As { number, name: Text::from(name.unwrap_or("")) })
    })
}

/// Countries, two letters: `country.iso_code`, `registered_country.iso_code`, `country_code` or `country`.
///
/// # Errors
/// It is no such database.
pub(super) fn countries(file: &Path) -> Result<Prefixes<Text>, Faults> {
    load(file, "a country (country.iso_code)", |record| {
        let inner = |key: &str| record.get(key)?.get("iso_code")?.as_str();
        let flat = |key: &str| record.get(key)?.as_str();
        let code = inner("country").or_else(|| inner("registered_country")).or_else(|| flat("country_code")).or_else(|| flat("country"))?;
        Some(Text::from(code))
    })
}

/// All networks whose record says `what`.
fn load<T>(file: &Path, what: &str, of: impl Fn(&Value) -> Option<T>) -> Result<Prefixes<T>, Faults> {
    const REMEDY: &str = "name a whole file in MaxMind's format (.mmdb)";
    let broken = |fault: MaxMindDbError| Wrong::of("", format!("cannot be used: {fault}"), REMEDY).only(file, 0);
    let reader = Reader::open_readfile(file).map_err(broken)?;
    let (mut rows, mut prefixes, mut known) = (Vec::new(), Vec::new(), HashMap::new());
    for found in reader.networks(WithinOptions::default()).map_err(broken)? {
        let found = found.map_err(broken)?;
        let Some(offset) = found.offset() else { continue };
        let place = match known.get(&offset) {
            Some(place) => *place,
            None => {
                let record: Option<Value> = found.decode().map_err(broken)?;
                let place = record.as_ref().and_then(&of).and_then(|row| {
                    rows.push(row);
                    u32::try_from(rows.len() - 1).ok()
                });
                known.insert(offset, place);
                place
            }
        };
        let network = found.network().map_err(broken)?;
        prefixes.extend(place.zip(IpNet::new(network.ip(), network.prefix()).ok().map(plain)));
    }
    if rows.is_empty() {
        return Err(Wrong::of("", format!("has no record with {what}"), REMEDY).only(file, 0));
    }
    Ok(Prefixes::new(prefixes, rows))
}

/// IPv4 lies in IPv6 databases below ::/96.
fn plain(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network.trunc() else { return network.trunc() };
    let Some(length) = v6.prefix_len().checked_sub(96).filter(|_| v6.addr().octets()[..12] == [0; 12]) else { return v6.into() };
    let [.., a, b, c, d] = v6.addr().octets();
    Ipv4Net::new([a, b, c, d].into(), length).map_or_else(|_| v6.into(), IpNet::V4)
}
