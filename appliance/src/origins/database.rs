//! Databases in MaxMind's format: every network, each record decoded once.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv4Net};
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde_json::Value;

use super::record::Record;
use super::spans::Spans;
use super::tree::Tree;
use crate::limits::TABLE_BYTES_MAX;

/// A file that is no such database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Which.
    pub file: PathBuf,
    /// Why.
    pub what: String,
    /// What would be right.
    pub remedy: &'static str,
}

/// Leaves that a tree may have: so many for each node, some of whose branches others may share, and so many more.
const LEAVES_OF_NODE_MAX: u64 = 16;
const LEAVES_MAX: u64 = 65_536;
const REMEDY: &str = "name a whole file in MaxMind's format (.mmdb)";
/// What a record of an AS has.
pub const SYSTEM: &str = "an AS number (autonomous_system_number, or asn)";
/// What a record of a country has.
pub const COUNTRY: &str = "a country (country.iso_code)";

/// `autonomous_system_number`, or `asn`, as a number or as `AS64500`.
pub fn system(record: &Value) -> Option<u32> {
    let number = record.get("autonomous_system_number").or_else(|| record.get("asn"))?;
    match number {
        Value::String(text) => text.trim_start_matches("AS").parse().ok(),
        number => u32::try_from(number.as_u64()?).ok(),
    }
    .filter(|number| *number != 0 && *number != u32::MAX)
}

/// `country.iso_code`, `registered_country.iso_code`, `country_code` or `country`.
pub fn country(record: &Value) -> Option<&str> {
    let inner = |key: &str| record.get(key)?.get("iso_code")?.as_str();
    let flat = |key: &str| record.get(key)?.as_str();
    inner("country").or_else(|| inner("registered_country")).or_else(|| flat("country_code")).or_else(|| flat("country"))
}

/// The file's bytes.
///
/// # Errors
/// It cannot be read.
pub fn bytes(file: &Path) -> Result<Vec<u8>, Unreadable> {
    read_bounded(file, TABLE_BYTES_MAX).map_err(|what| refuse(file, what))
}

/// A file's bytes, if they are no more than this.
///
/// # Errors
/// What is wrong with it.
pub fn read_bounded(file: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let cannot = |fault: std::io::Error| format!("cannot be read: {fault}");
    let (mut bytes, open) = (Vec::new(), File::open(file).map_err(cannot)?);
    // What a file says of its length need not be so.
    open.take(bytes_max + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > bytes_max { Err(format!("is longer than {} MiB", bytes_max >> 20)) } else { Ok(bytes) }
}

fn refuse(file: &Path, what: String) -> Unreadable {
    Unreadable { file: file.to_owned(), what, remedy: REMEDY }
}

/// Networks, each with the place of its row; and rows.
pub type Rows<T> = (Vec<(u32, IpNet)>, Vec<T>);

/// All networks whose record says `what`.
///
/// # Errors
/// It is no such database.
pub fn rows<T>(file: &Path, bytes: Vec<u8>, what: &str, of: impl Fn(&Value) -> Option<T>) -> Result<Rows<T>, Unreadable> {
    let broken = |fault: MaxMindDbError| refuse(file, format!("cannot be used: {fault}"));
    let reader = Reader::from_source(bytes.as_slice()).map_err(broken)?;
    let about = reader.metadata();
    let tree = Tree { bytes: &bytes, nodes: about.node_count, record_bits: about.record_size };
    let leaves = tree.leaves().map_err(|what| refuse(file, format!("cannot be used: {what}")))?;
    // A tree of n nodes has n + 1 leaves; one whose branches meet again has as many as there are addresses.
    if leaves > LEAVES_OF_NODE_MAX * u64::from(about.node_count) + LEAVES_MAX {
        return Err(refuse(file, "cannot be used: its branches meet again, so it has no end".to_owned()));
    }
    let (mut rows, mut networks, mut known) = (Vec::new(), Vec::new(), HashMap::new());
    for found in reader.networks(WithinOptions::default().include_networks_without_data()).map_err(broken)? {
        let found = found.map_err(broken)?;
        let Some(offset) = found.offset() else { continue };
        let place = match known.get(&offset) {
            Some(place) => *place,
            None => {
                let record: Option<Record> = found.decode().map_err(broken)?;
                let place = record.as_ref().and_then(|record| of(&record.0)).and_then(|row| {
                    rows.push(row);
                    u32::try_from(rows.len() - 1).ok()
                });
                known.insert(offset, place);
                place
            }
        };
        let network = found.network().map_err(broken)?;
        networks.extend(place.zip(IpNet::new(network.ip(), network.prefix()).ok().map(plain)));
    }
    if rows.is_empty() { Err(refuse(file, format!("has no record with {what}"))) } else { Ok((networks, rows)) }
}

/// The same, where what a record says is a number below `u32::MAX`.
///
/// # Errors
/// It is no such database.
pub fn numbers(file: &Path, bytes: Vec<u8>, what: &str, of: impl Fn(&Value) -> Option<u32>) -> Result<Spans, Unreadable> {
    let (networks, rows) = rows(file, bytes, what, of)?;
    Ok(Spans::new(networks.into_iter().filter_map(|(place, net)| Some((*rows.get(place as usize)?, net))).collect()))
}

/// IPv4 lies in IPv6 databases below ::/96.
fn plain(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network.trunc() else { return network.trunc() };
    let Some(length) = v6.prefix_len().checked_sub(96).filter(|_| v6.addr().octets()[..12] == [0; 12]) else { return v6.into() };
    let [.., a, b, c, d] = v6.addr().octets();
    Ipv4Net::new([a, b, c, d].into(), length).map_or_else(|_| v6.into(), IpNet::V4)
}
