//! Routes: origin AS and next hop by prefix, from a table file.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use super::csv::{self, Header};
use super::mrt;
use super::prefixes::{Prefixes, Reading};
use super::wrong::{Wrong, number, prefix};
use crate::config::Faults;
use crate::flows::Address;
use crate::limits::TABLE_BYTES_MAX;
use crate::origins::database::read_bounded;

/// What a table says of a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Route {
    /// AS that announces it; 0: not known.
    pub(super) origin: u32,
    /// BGP's next hop, or none.
    pub(super) next_hop: Address,
}

/// Reads CSV by the file's ending (`prefix,origin_as[,next_hop]`), else MRT.
///
/// # Errors
/// What is wrong in it.
pub(super) fn load(file: &Path) -> Result<Prefixes<Route>, Faults> {
    if file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
        return of_csv(file);
    }
    let bytes = read_bounded(file, TABLE_BYTES_MAX)
        .map_err(|what| Wrong::of("", what, "name a whole table that the user that runs this may read").only(file, 0))?;
    let routes = mrt::read(&bytes).map_err(|wrong| wrong.only(file, 0))?;
    // Thousands of prefixes share a route.
    let (mut places, mut rows, mut prefixes) = (HashMap::new(), Vec::new(), Vec::with_capacity(routes.len()));
    for (net, route) in routes {
        let place = *places.entry(route).or_insert_with(|| {
            rows.push(route);
            u32::try_from(rows.len() - 1).unwrap_or(u32::MAX - 1)
        });
        prefixes.push((place, net));
    }
    Ok(Prefixes::new(prefixes, rows))
}

fn of_csv(file: &Path) -> Result<Prefixes<Route>, Faults> {
    let mut reading = Reading::default();
    let header = Header { required: &["prefix", "origin_as"], optional: &["next_hop"] };
    csv::read(file, &header, &mut |line, fields| {
        let [net, origin, next_hop] = *fields else { return Ok(()) };
        let next_hop = match next_hop {
            "" => Address::NONE,
            text => Address::from(text.parse::<IpAddr>().map_err(|_| {
                Wrong::of("next_hop", format!("\"{text}\" is no address"), "write one such as 192.0.2.1, or leave it empty")
            })?),
        };
        reading.add(line, prefix("prefix", net)?, Route { origin: number("origin_as", origin, "64500")?, next_hop })
    })?;
    Ok(reading.done())
}
