//! A plain reading of captures that `generate` makes, which shares no line with the appliance: what exports and logs must say.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::replaying::tailwater;

/// The scrubber's tag in generated captures, and what it stands for.
pub(crate) const TAG: u16 = 666;
pub(crate) const RATE: u64 = 40;

/// A packet, as its bytes say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packet {
    pub(crate) time_ns: u64,
    pub(crate) frame_bytes: u64,
    pub(crate) vlans: Vec<u16>,
    pub(crate) src: String,
    pub(crate) dst: String,
    pub(crate) v6: bool,
    pub(crate) protocol: u8,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) ip_bytes: u64,
    pub(crate) header_bytes: u16,
    pub(crate) id: u16,
    pub(crate) fragment: u16,
    pub(crate) flow_label: u32,
    /// Of what IP carries, its first bytes; none of a later fragment.
    pub(crate) transport: Vec<u8>,
}

impl Packet {
    pub(crate) fn blocked(&self) -> bool {
        self.vlans.first() == Some(&TAG)
    }

    pub(crate) fn is_icmp(&self) -> bool {
        !self.transport.is_empty() && matches!((self.v6, self.protocol), (false, 1) | (true, 58))
    }

    pub(crate) fn ports(&self) -> Option<(u16, u16)> {
        let has = matches!(self.protocol, 6 | 17 | 132) && self.transport.len() >= 4;
        has.then(|| (short(&self.transport, 0), short(&self.transport, 2)))
    }

    pub(crate) fn flags(&self) -> u8 {
        if self.protocol == 6 { self.transport.get(13).copied().unwrap_or(0) } else { 0 }
    }
}

pub(crate) fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Makes a capture of a scenario, its ranges, and a configuration behind which `more` stands.
pub(crate) fn generated(folder: &Path, more: &str) {
    let text = "about = \"exports\"\nduration_s = 4\nseed = 5\nranges.count = 30\ntag.rule = true\nlegitimate = { pps = 1500 }\n\
                [[attack]]\nkind = \"syn_flood\"\ntarget = \"10.0.0.0/8\"\nover = \"ranges\"\npps = 9000\nblocked = 0.97\nrule = 101\n\
                [[attack]]\nkind = \"icmp_flood\"\ntarget = \"10.0.0.0/8\"\nover = \"ranges\"\npps = 300\nblocked = 0.5\nrule = 7\n\
                [[attack]]\nkind = \"fragment_flood\"\ntarget = \"10.0.0.0/8\"\nover = \"ranges\"\npps = 200\nblocked = 0.0\n";
    std::fs::write(folder.join("s.toml"), text).unwrap();
    let files = [("--scenario", "s.toml"), ("--pcap", "s.pcap"), ("--truth", "s.json"), ("--config", "tailwater.toml")];
    let files = files.iter().flat_map(|(key, file)| [(*key).into(), folder.join(file).into_os_string()]);
    let ran = tailwater(std::iter::once("generate".into()).chain(files));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let config = std::fs::read_to_string(folder.join("tailwater.toml")).unwrap();
    std::fs::write(folder.join("tailwater.toml"), config + "\n" + more).unwrap();
}

/// All its packets, and the number of frames that are none.
pub(crate) fn packets(file: &Path) -> (Vec<Packet>, u64) {
    let bytes = std::fs::read(file).unwrap();
    let number = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    assert_eq!(number(0), 0xa1b2_3c4d, "nanoseconds");
    let (mut at, mut all, mut others) = (24, Vec::new(), 0);
    while at < bytes.len() {
        let held = usize::try_from(number(at + 8)).unwrap();
        let time_ns = number(at) * 1_000_000_000 + number(at + 4);
        match packet(&bytes[at + 16..at + 16 + held]) {
            Some(packet) => all.push(Packet { time_ns, frame_bytes: number(at + 12), ..packet }),
            None => others += 1,
        }
        at += 16 + held;
    }
    (all, others)
}

fn packet(frame: &[u8]) -> Option<Packet> {
    let (mut at, mut vlans) = (12, Vec::new());
    while matches!(short(frame, at), 0x8100 | 0x88A8) {
        vlans.push(short(frame, at + 2) & 0xFFF);
        at += 4;
    }
    let ip = &frame[at + 2..];
    match short(frame, at) {
        0x0800 => Some(v4(ip, vlans)),
        0x86DD => Some(v6(ip, vlans)),
        _ => None,
    }
}

fn v4(ip: &[u8], vlans: Vec<u16>) -> Packet {
    let address = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]).to_string();
    let (header, length, fragment) = (usize::from(ip[0] & 15) * 4, usize::from(short(ip, 2)), short(ip, 6));
    let transport = if fragment & 0x1FFF == 0 { ip[header..length.min(ip.len())].to_vec() } else { Vec::new() };
    Packet {
        vlans,
        src: address(12),
        dst: address(16),
        protocol: ip[9],
        ttl: ip[8],
        tos: ip[1],
        ip_bytes: length as u64,
        header_bytes: u16::from(ip[0] & 15) * 4,
        id: short(ip, 4),
        fragment,
        transport,
        ..Packet::default()
    }
}

fn v6(ip: &[u8], vlans: Vec<u16>) -> Packet {
    let address = |at: usize| {
        let octets: [u8; 16] = ip[at..at + 16].try_into().unwrap();
        Ipv6Addr::from(octets).to_string()
    };
    let first = word(ip, 0);
    assert!(!matches!(ip[6], 0 | 43 | 44 | 51 | 60), "what is generated has no extension headers");
    Packet {
        vlans,
        src: address(8),
        dst: address(24),
        v6: true,
        protocol: ip[6],
        ttl: ip[7],
        tos: u8::try_from(first >> 20 & 0xFF).unwrap(),
        ip_bytes: 40 + u64::from(short(ip, 4)),
        header_bytes: 40,
        flow_label: first & 0xF_FFFF,
        transport: ip[40..].to_vec(),
        ..Packet::default()
    }
}

/// What packets of one flow have in common: addresses, ports, ICMP type and code, protocol, VLAN, whether blocked.
pub(crate) type Flow = (String, String, [u64; 6], bool);
/// Packets, bytes, first and last millisecond, all TCP flags.
pub(crate) type Sums = [u64; 5];

pub(crate) fn flow_of(packet: &Packet) -> Flow {
    let (src_port, dst_port) = packet.ports().unwrap_or_default();
    let icmp = if packet.is_icmp() { short(&packet.transport, 0).to_be_bytes() } else { [0; 2] };
    let vlan = packet.vlans.first().copied().unwrap_or(0);
    let numbers = [src_port.into(), dst_port.into(), icmp[0].into(), icmp[1].into(), packet.protocol.into(), vlan.into()];
    (packet.src.clone(), packet.dst.clone(), numbers, packet.blocked())
}

/// Each flow once.
pub(crate) fn flows<'a>(packets: impl IntoIterator<Item = &'a Packet>) -> BTreeMap<Flow, Sums> {
    let mut all: BTreeMap<Flow, Sums> = BTreeMap::new();
    for packet in packets {
        let ms = packet.time_ns / 1_000_000;
        let sums = all.entry(flow_of(packet)).or_insert([0, 0, ms, ms, 0]);
        add(sums, [1, packet.ip_bytes, ms, ms, packet.flags().into()]);
    }
    all
}

pub(crate) fn add(sums: &mut Sums, more: Sums) {
    *sums = [sums[0] + more[0], sums[1] + more[1], sums[2].min(more[2]), sums[3].max(more[3]), sums[4] | more[4]];
}
