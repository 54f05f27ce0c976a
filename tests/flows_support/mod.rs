//! What tests of flows share: captures as datagrams, and flows of datagrams.

#![allow(dead_code, reason = "not every test uses all")]

pub(crate) mod coded;
pub(crate) mod fixed;
pub(crate) mod told;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tailwater::flows::udp::{Datagrams, looks_like_export};
use tailwater::flows::{Address, Arrival, Collector, Flow, Settings};
use tailwater::rx::capture::Capture;

/// A datagram and where it came from.
pub(crate) type Came = (Arrival, Vec<u8>);

/// The captures of exports; `None`, and one visible line, where there are none.
pub(crate) fn captures(test: &str) -> Option<Vec<PathBuf>> {
    let given = std::env::var_os("TAILWATER_CAPTURES").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1).map(|above| above.join("shared/data"));
    let Some(folder) = given.into_iter().chain(beside).map(|p| p.join("flows")).find(|p| p.is_dir()) else {
        eprintln!("SKIPPED {test}: no captures; name their folder in TAILWATER_CAPTURES");
        return None;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "pcap"));
    files.sort();
    Some(files)
}

/// The export datagrams of a capture.
pub(crate) fn datagrams(file: &Path) -> Vec<Came> {
    let (mut capture, mut datagrams, mut found) = (Capture::open(file).unwrap(), Datagrams::default(), Vec::new());
    while let Ok(Some(frame)) = capture.next_frame() {
        let Some(datagram) = datagrams.take(&frame).filter(|datagram| looks_like_export(&datagram.payload)) else { continue };
        let from = Arrival { exporter: datagram.src, port: datagram.src_port, received_ns: frame.time_ns };
        found.push((from, datagram.payload.into_owned()));
    }
    found
}

/// All flows that a collector makes of datagrams; its account must balance after each.
pub(crate) fn feed(collector: &mut Collector, came: &[Came]) -> Vec<Flow> {
    let mut flows = Vec::new();
    for (from, datagram) in came {
        collector.take(from, datagram, &mut |flow| flows.push(flow.clone()));
        assert!(collector.ledger().balances(), "{}", collector.ledger());
    }
    flows
}

/// With the settings that are the default.
pub(crate) fn collector() -> Collector {
    Collector::new(&Settings::default())
}

/// From an exporter by its number.
pub(crate) fn from(exporter: u32, port: u16, received_ns: u64) -> Arrival {
    Arrival { exporter: Address::from(IpAddr::from(exporter.to_be_bytes())), port, received_ns }
}
