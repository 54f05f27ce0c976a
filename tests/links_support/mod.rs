//! The model: each frame by itself, read anew.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

pub(crate) const CAPACITY_BPS: u64 = 100_000_000;
/// A blocked frame's VLAN, and the bytes of its tag.
const BLOCKED_VLAN: u16 = 666;
const TAG_BYTES: u64 = 4;

/// What came by a link in a window, of one decision; nothing is scaled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Side {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// Bytes of each range.
    pub(crate) ranges: BTreeMap<String, u64>,
    /// Packets times ranges.
    pub(crate) records: u64,
}

/// By link, window and whether it was blocked.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) sides: BTreeMap<(String, u64, bool), Side>,
    /// Frames that came by no link, by window; windows with frames alone.
    pub(crate) others: BTreeMap<u64, u64>,
}

impl Model {
    pub(crate) fn of(ranges: &Path, pcaps: &[&Path], window_ns: u64) -> Self {
        let text = std::fs::read_to_string(ranges).unwrap();
        let ranges: Vec<IpNet> = text.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
        let mut model = Self::default();
        for (port, pcap) in pcaps.iter().enumerate() {
            for (time_ns, wire_bytes, frame) in frames(&std::fs::read(pcap).unwrap()) {
                model.frame(port, time_ns / window_ns * window_ns, wire_bytes, frame, &ranges);
            }
        }
        model
    }

    fn frame(&mut self, port: usize, window: u64, wire_bytes: u64, frame: &[u8], ranges: &[IpNet]) {
        let (vlans, sides) = read(frame);
        let blocked = vlans.first() == Some(&BLOCKED_VLAN);
        let link = match (port, &vlans[..]) {
            (0, _) => "transit-a",
            (_, [77, ..]) => "transit-b",
            (_, [_, 77, ..]) => "peering",
            _ => "",
        };
        *self.others.entry(window).or_default() += u64::from(link.is_empty());
        if link.is_empty() {
            return;
        }
        let side = self.sides.entry((link.to_owned(), window, blocked)).or_default();
        let bytes = wire_bytes - if blocked { TAG_BYTES } else { 0 };
        (side.frames, side.bytes) = (side.frames + 1, side.bytes + bytes);
        let mut hit: Vec<String> = sides.iter().filter_map(|address| longest(ranges, *address)).collect();
        hit.dedup();
        for range in hit {
            *side.ranges.entry(range).or_default() += bytes;
            side.records += 1;
        }
    }
}

/// Time, length on the wire and bytes of each frame of a capture of nanoseconds, in this machine's order.
fn frames(pcap: &[u8]) -> Vec<(u64, u64, &[u8])> {
    let word = |at: usize| u64::from(u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap()));
    assert_eq!(word(0), 0xa1b2_3c4d);
    let (mut at, mut all) = (24, Vec::new());
    while at < pcap.len() {
        let [seconds, nanoseconds, held, wire] = [0, 4, 8, 12].map(|offset| word(at + offset));
        let held = usize::try_from(held).unwrap();
        all.push((seconds * 1_000_000_000 + nanoseconds, wire, &pcap[at + 16..at + 16 + held]));
        at += 16 + held;
    }
    all
}

/// VLAN ids, and source and destination if it carries IP.
fn read(frame: &[u8]) -> (Vec<u16>, Vec<IpAddr>) {
    let short = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let (mut at, mut vlans) = (12, Vec::new());
    while [0x8100, 0x88a8].contains(&short(at)) {
        vlans.push(short(at + 2) & 0x0FFF);
        at += 4;
    }
    let ip = &frame[at + 2..];
    let v4 = |from: usize| IpAddr::from(<[u8; 4]>::try_from(&ip[from..from + 4]).unwrap());
    let v6 = |from: usize| IpAddr::from(<[u8; 16]>::try_from(&ip[from..from + 16]).unwrap());
    let sides = match short(at) {
        0x0800 => vec![v4(12), v4(16)],
        0x86DD => vec![v6(8), v6(24)],
        _ => Vec::new(),
    };
    (vlans, sides)
}

fn longest(ranges: &[IpNet], address: IpAddr) -> Option<String> {
    ranges.iter().filter(|range| range.contains(&address)).max_by_key(|range| range.prefix_len()).map(ToString::to_string)
}
