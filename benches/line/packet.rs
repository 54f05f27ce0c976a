//! A frame as the stats of the standard set see it, read slowly: addresses of both families behind any number of VLANs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Behind two addresses.
const ETHERTYPE_AT: usize = 12;
/// Of the standard set: the VLAN of what was blocked, and the bytes that it added.
const BLOCKED_VLAN: u16 = 666;
const ADDED_BYTES: u32 = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;
const TCP_FLAGS_AT: usize = 13;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
/// Of flags, from the lowest bit.
const LETTERS: &str = "FSRPAUEC";
/// Lengths of source networks.
const PREFIX: [u8; 2] = [24, 48];
/// Packets, bytes, connections that were opened, resets.
pub(crate) const METRICS: usize = 4;

/// See the module.
pub(crate) struct Packet {
    from: IpAddr,
    pub(crate) to: IpAddr,
    protocol: u8,
    ttl: u8,
    ports: Option<[u16; 2]>,
    flags: Option<u8>,
    bytes: u32,
    /// A sample of what was blocked.
    pub(crate) is_blocked: bool,
}

impl Packet {
    /// None where it is no IP.
    pub(crate) fn read(frame: &[u8], wire_bytes: u32) -> Option<Self> {
        let (is_blocked, ip) = untagged(frame)?;
        let (from, to, protocol, ttl, body) = match ip.first()? >> 4 {
            4 => v4(ip)?,
            6 => v6(ip)?,
            _ => return None,
        };
        let ports = body.filter(|_| [TCP, UDP].contains(&protocol)).and_then(|body| body.first_chunk::<4>());
        let ports = ports.map(|[a, b, c, d]| [u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])]);
        let flags = body.filter(|_| protocol == TCP).and_then(|body| body.get(TCP_FLAGS_AT).copied());
        let bytes = wire_bytes - if is_blocked { ADDED_BYTES } else { 0 };
        Some(Self { from, to, protocol, ttl, ports, flags, bytes, is_blocked })
    }

    /// What it adds, by metric.
    pub(crate) fn adds(&self) -> [u32; METRICS] {
        let has = |mask: u8, wanted: u8| u32::from(self.flags.is_some_and(|flags| flags & mask == wanted));
        [1, self.bytes, has(SYN | ACK, SYN), has(RST, RST)]
    }

    /// Its keys, each as a number: see [`number`].
    pub(crate) fn keys(&self) -> Vec<(&'static str, u64)> {
        let length = PREFIX[usize::from(self.from.is_ipv6())];
        let network = IpNet::new(self.from, length).expect("a length of its family").trunc();
        let mut keys = vec![
            ("none", 0),
            ("src_ip", hashed(self.from)),
            ("dst_ip", hashed(self.to)),
            ("src_prefix", hashed(network)),
            ("protocol", u64::from(self.protocol)),
            ("packet_size", u64::from(self.bytes)),
            ("ttl", u64::from(self.ttl)),
        ];
        if let Some(ports) = self.ports {
            let flow = hashed((self.from, self.to, ports, self.protocol));
            keys.extend([("src_port", u64::from(ports[0])), ("dst_port", u64::from(ports[1])), ("flow", flow)]);
        }
        keys.extend(self.flags.map(|flags| ("tcp_flags", u64::from(flags))));
        keys
    }
}

/// The number of a key that a report has as text; of a text that is none nothing.
pub(crate) fn number(key: &str, text: &str) -> Option<u64> {
    match key {
        "src_ip" | "dst_ip" => text.parse::<IpAddr>().ok().map(hashed),
        "src_prefix" => text.parse::<IpNet>().ok().map(hashed),
        "tcp_flags" => text.chars().filter(|letter| *letter != '-').map(|letter| LETTERS.find(letter).map(|bit| 1_u64 << bit)).sum(),
        _ => text.parse().ok(),
    }
}

/// Two of a million are alike once in a million captures.
fn hashed(key: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The packet behind an Ethernet header and its VLANs, and whether the outermost of these says that it was blocked.
fn untagged(frame: &[u8]) -> Option<(bool, &[u8])> {
    let (mut rest, mut outermost) = (frame.get(ETHERTYPE_AT..)?, None);
    while let [0x81, 0x00, high, low, inner @ ..] | [0x88, 0xA8, high, low, inner @ ..] = rest {
        outermost.get_or_insert_with(|| u16::from_be_bytes([*high, *low]) & 0x0FFF);
        rest = inner;
    }
    let ip = rest.strip_prefix(&[0x08, 0x00]).or_else(|| rest.strip_prefix(&[0x86, 0xDD]))?;
    Some((outermost == Some(BLOCKED_VLAN), ip))
}

/// Addresses, protocol, TTL, and what stands behind the header: of a later fragment nothing.
type Header<'a> = (IpAddr, IpAddr, u8, u8, Option<&'a [u8]>);

fn v4(ip: &[u8]) -> Option<Header<'_>> {
    let address = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(*ip.get(at..)?.first_chunk::<4>()?)));
    let is_first = ip.get(6)? & 0x1F == 0 && *ip.get(7)? == 0;
    let body = ip.get(usize::from(ip[0] & 15) * 4..).filter(|_| is_first);
    Some((address(12)?, address(16)?, *ip.get(9)?, *ip.get(8)?, body))
}

/// Captures of these benches have no extension headers.
fn v6(ip: &[u8]) -> Option<Header<'_>> {
    let address = |at: usize| Some(IpAddr::V6(Ipv6Addr::from(*ip.get(at..)?.first_chunk::<16>()?)));
    Some((address(8)?, address(24)?, *ip.get(6)?, *ip.get(7)?, ip.get(40..)))
}
