//! What packets are told apart by: one row a key.
//!
//! A key is extracted as bytes in network order, so that equal bytes mean equal keys and their order is the keys' order.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::limits::{KEY_BYTES_MAX, KEY_PARTS_MAX};
use crate::record::{Fragment, Has, Record, Tunnel};
use crate::units::Family;

/// A key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is documented by its row")]
pub enum Key {
    None,
    SrcIp,
    DstIp,
    SrcPrefix,
    DstPrefix,
    SrcPort,
    DstPort,
    Protocol,
    TcpFlags,
    Vlan,
    InnerVlan,
    MplsLabel,
    PacketSize,
    PayloadSize,
    Ttl,
    Dscp,
    Icmp,
    Fragment,
    Flow,
    Rule,
    Tunnel,
    RxPort,
    SrcMac,
}

/// How a histogram bins a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// A number: half-open bins between edges.
    Number,
    /// A small set: one bin a label.
    Label,
    /// Too many values for a histogram.
    Open,
}

/// What the program knows of a key.
pub struct KeyRow {
    /// The key.
    pub key: Key,
    /// As in the configuration.
    pub name: &'static str,
    /// How a histogram bins it.
    pub scale: Scale,
    /// Bytes for a family.
    pub width: fn(Family) -> usize,
    /// Writes the key of a record; false if the record has none.
    pub extract: fn(&Record, &Lengths, &mut [u8]) -> bool,
    /// As text, from the bytes that `extract` wrote.
    pub text: fn(&[u8], &Lengths) -> String,
}

/// Prefix lengths of `src_prefix` and `dst_prefix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lengths {
    /// For IPv4, 0 to 32.
    pub v4: u8,
    /// For IPv6, 0 to 128.
    pub v6: u8,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { v4: 24, v6: 48 }
    }
}

macro_rules! row {
    ($key:ident, $name:literal, $scale:ident, $width:expr, $extract:expr, $text:expr) => {
        KeyRow { key: Key::$key, name: $name, scale: Scale::$scale, width: $width, extract: $extract, text: $text }
    };
}

/// Every key, in the order of [`Key`].
pub const KEYS: &[KeyRow] = &[
    row!(None, "none", Open, |_| 0, |_, _, _| true, |_, _| String::new()),
    row!(SrcIp, "src_ip", Open, Family::address_bytes, |r, _, o| address(&r.src, o), |b, _| address_text(b)),
    row!(DstIp, "dst_ip", Open, Family::address_bytes, |r, _, o| address(&r.dst, o), |b, _| address_text(b)),
    row!(SrcPrefix, "src_prefix", Open, Family::address_bytes, |r, l, o| prefix(&r.src, l, o), prefix_text),
    row!(DstPrefix, "dst_prefix", Open, Family::address_bytes, |r, l, o| prefix(&r.dst, l, o), prefix_text),
    row!(SrcPort, "src_port", Number, |_| 2, |r, _, o| number16(r, Has::PORTS, r.src_port, o), |b, _| number_text(b)),
    row!(DstPort, "dst_port", Number, |_| 2, |r, _, o| number16(r, Has::PORTS, r.dst_port, o), |b, _| number_text(b)),
    row!(Protocol, "protocol", Label, |_| 1, |r, _, o| byte(r.protocol, o), |b, _| number_text(b)),
    row!(TcpFlags, "tcp_flags", Label, |_| 1, |r, _, o| r.has.all(Has::TCP_FLAGS) && byte(r.tcp_flags, o), |b, _| flags_text(b)),
    row!(Vlan, "vlan", Number, |_| 2, |r, _, o| number16(r, Has::VLAN, r.vlan, o), |b, _| number_text(b)),
    row!(InnerVlan, "inner_vlan", Number, |_| 2, |r, _, o| number16(r, Has::INNER_VLAN, r.inner_vlan, o), |b, _| number_text(b)),
    row!(MplsLabel, "mpls_label", Number, |_| 4, |r, _, o| r.has.all(Has::MPLS) && number32(r.mpls_label, o), |b, _| number_text(b)),
    row!(PacketSize, "packet_size", Number, |_| 4, |r, _, o| number32(r.wire_bytes, o), |b, _| number_text(b)),
    row!(PayloadSize, "payload_size", Number, |_| 4, |r, _, o| number32(r.payload_bytes, o), |b, _| number_text(b)),
    row!(Ttl, "ttl", Number, |_| 1, |r, _, o| byte(r.ttl, o), |b, _| number_text(b)),
    row!(Dscp, "dscp", Number, |_| 1, |r, _, o| byte(r.dscp, o), |b, _| number_text(b)),
    row!(Icmp, "icmp", Label, |_| 2, |r, _, o| number16(r, Has::ICMP, r.src_port, o), |b, _| format!("{}/{}", b[0], b[1])),
    row!(Fragment, "fragment", Label, |_| 1, |r, _, o| byte(r.fragment as u8, o), |b, _| fragment_text(b)),
    row!(Flow, "flow", Open, |f| 2 * f.address_bytes() + 5, |r, _, o| flow(r, o), |b, _| flow_text(b)),
    row!(Rule, "rule", Number, |_| 4, |r, _, o| r.has.all(Has::RULE) && number32(r.rule, o), |b, _| number_text(b)),
    row!(Tunnel, "tunnel", Label, |_| 1, |r, _, o| byte(r.tunnel as u8, o), |b, _| tunnel_text(b)),
    row!(RxPort, "rx_port", Number, |_| 2, |r, _, o| number16(r, Has(0), r.rx_port, o), |b, _| number_text(b)),
    row!(SrcMac, "src_mac", Open, |_| 6, |r, _, o| mac(r, o), |b, _| mac_text(b)),
];

/// Keys that the configuration may name later, and what they wait for.
pub const KEYS_TO_COME: &[(&str, &str)] = &[
    ("link", "links"),
    ("service", "the service table"),
    ("src_asn", "an ASN database"),
    ("dst_asn", "an ASN database"),
    ("src_country", "a country database"),
    ("dst_country", "a country database"),
    ("exporter", "flow records"),
    ("in_if", "flow records"),
    ("out_if", "flow records"),
];

impl Key {
    /// The key of that name.
    pub fn named(name: &str) -> Option<Self> {
        KEYS.iter().find(|row| row.name == name).map(|row| row.key)
    }

    /// Its row.
    pub fn row(self) -> &'static KeyRow {
        &KEYS[self as usize]
    }
}

/// A key of one stat: one part or a composite of up to three.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeySpec {
    parts: Vec<Key>,
    lengths: Lengths,
}

impl KeySpec {
    /// `parts` holds one to three keys; `None` stands alone.
    pub fn new(parts: Vec<Key>, lengths: Lengths) -> Self {
        debug_assert!((1..=KEY_PARTS_MAX).contains(&parts.len()));
        Self { parts, lengths }
    }

    /// Its parts.
    pub fn parts(&self) -> &[Key] {
        &self.parts
    }

    /// Prefix lengths of its parts.
    pub const fn lengths(&self) -> Lengths {
        self.lengths
    }

    /// The only part, if it is one.
    pub fn single(&self) -> Option<Key> {
        if let [key] = self.parts[..] { Some(key) } else { None }
    }

    /// As in the configuration, parts joined by `|`.
    pub fn name(&self) -> String {
        self.parts.iter().map(|k| k.row().name).collect::<Vec<_>>().join("|")
    }

    /// Bytes for a family, at most [`KEY_BYTES_MAX`].
    pub fn width(&self, family: Family) -> usize {
        self.parts.iter().map(|k| (k.row().width)(family)).sum()
    }

    /// Writes the key of a record into `out`, `width` bytes long; false if a part is missing.
    #[inline]
    pub fn extract(&self, record: &Record, out: &mut [u8]) -> bool {
        let family = record.family();
        let mut rest = out;
        for part in &self.parts {
            let row = part.row();
            let (head, tail) = rest.split_at_mut((row.width)(family));
            if !(row.extract)(record, &self.lengths, head) {
                return false;
            }
            rest = tail;
        }
        true
    }

    /// As text, parts joined by `|`.
    pub fn text(&self, bytes: &[u8], family: Family) -> String {
        let mut rest = bytes;
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let row = part.row();
            let (head, tail) = rest.split_at((row.width)(family));
            parts.push((row.text)(head, &self.lengths));
            rest = tail;
        }
        parts.join("|")
    }
}

const _: () = assert!(KEY_BYTES_MAX >= KEY_PARTS_MAX * (2 * 16 + 5));

fn address(from: &[u8; 16], out: &mut [u8]) -> bool {
    out.copy_from_slice(&from[..out.len()]);
    true
}

fn prefix(from: &[u8; 16], lengths: &Lengths, out: &mut [u8]) -> bool {
    let length = usize::from(if out.len() == 4 { lengths.v4 } else { lengths.v6 });
    for (i, byte) in out.iter_mut().enumerate() {
        let bits = length.saturating_sub(8 * i).min(8);
        *byte = from[i] & !(0xFF_u16 >> bits).to_be_bytes()[1];
    }
    true
}

fn byte(value: u8, out: &mut [u8]) -> bool {
    out[0] = value;
    true
}

fn number16(record: &Record, needs: Has, value: u16, out: &mut [u8]) -> bool {
    out.copy_from_slice(&value.to_be_bytes());
    record.has.all(needs)
}

fn number32(value: u32, out: &mut [u8]) -> bool {
    out.copy_from_slice(&value.to_be_bytes());
    true
}

fn mac(record: &Record, out: &mut [u8]) -> bool {
    out.copy_from_slice(&record.src_mac);
    record.has.all(Has::MAC)
}

fn flow(record: &Record, out: &mut [u8]) -> bool {
    let n = record.family().address_bytes();
    out[..n].copy_from_slice(&record.src[..n]);
    out[n..n + 2].copy_from_slice(&record.src_port.to_be_bytes());
    out[n + 2..2 * n + 2].copy_from_slice(&record.dst[..n]);
    out[2 * n + 2..2 * n + 4].copy_from_slice(&record.dst_port.to_be_bytes());
    out[2 * n + 4] = record.protocol;
    record.has.all(Has::PORTS)
}

/// Big-endian bytes as a number.
pub fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

fn number_text(bytes: &[u8]) -> String {
    number(bytes).to_string()
}

/// A prefix with its length, addresses as in keys.
pub fn network_text(prefix: &ipnet::IpNet) -> String {
    let address = match prefix.addr() {
        std::net::IpAddr::V4(v4) => v4.to_string(),
        std::net::IpAddr::V6(v6) => rfc5952(v6),
    };
    format!("{address}/{}", prefix.prefix_len())
}

fn address_text(bytes: &[u8]) -> String {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ipv4Addr::from(v4).to_string();
    }
    <[u8; 16]>::try_from(bytes).map_or_else(|_| String::new(), |v6| rfc5952(Ipv6Addr::from(v6)))
}

/// RFC 5952, section 4. IPv4-mapped addresses stay hexadecimal (section 5 only recommends the mixed form), so that every
/// IPv6 address reads alike: `::ffff:102:304`.
fn rfc5952(address: Ipv6Addr) -> String {
    let s = address.segments();
    match address.to_ipv4_mapped() {
        Some(_) => format!("::ffff:{:x}:{:x}", s[6], s[7]),
        None => address.to_string(),
    }
}

fn prefix_text(bytes: &[u8], lengths: &Lengths) -> String {
    let length = if bytes.len() == 4 { lengths.v4 } else { lengths.v6 };
    format!("{}/{length}", address_text(bytes))
}

fn flags_text(bytes: &[u8]) -> String {
    let text: String = "FSRPAUEC".chars().enumerate().filter(|(i, _)| bytes[0] >> i & 1 == 1).map(|(_, c)| c).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

fn fragment_text(bytes: &[u8]) -> String {
    let name = match bytes[0] {
        b if b == Fragment::First as u8 => "first",
        b if b == Fragment::Later as u8 => "later",
        _ => "none",
    };
    name.to_owned()
}

fn tunnel_text(bytes: &[u8]) -> String {
    const NAMES: &[(Tunnel, &str)] = &[
        (Tunnel::None, "none"),
        (Tunnel::IpIp, "ipip"),
        (Tunnel::Gre, "gre"),
        (Tunnel::Erspan, "erspan"),
        (Tunnel::Vxlan, "vxlan"),
        (Tunnel::Geneve, "geneve"),
        (Tunnel::GtpU, "gtpu"),
        (Tunnel::Mpls, "mpls"),
        (Tunnel::Nsh, "nsh"),
        (Tunnel::Other, "other"),
    ];
    NAMES.iter().find(|(t, _)| *t as u8 == bytes[0]).map_or("other", |(_, name)| name).to_owned()
}

fn flow_text(bytes: &[u8]) -> String {
    let n = (bytes.len() - 5) / 2;
    let (src, dst) = (address_text(&bytes[..n]), address_text(&bytes[n + 2..2 * n + 2]));
    let (src_port, dst_port) = (number(&bytes[n..n + 2]), number(&bytes[2 * n + 2..2 * n + 4]));
    format!("{src}|{src_port}|{dst}|{dst_port}|{}", bytes[2 * n + 4])
}

fn mac_text(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (i, row) in KEYS.iter().enumerate() {
            assert_eq!(row.key as usize, i, "{}", row.name);
        }
    }

    #[test]
    fn prefixes_are_cut_at_any_bit() {
        let mut out = [0; 4];
        for (length, want) in [(0, [0, 0, 0, 0]), (9, [10, 128, 0, 0]), (24, [10, 255, 254, 0]), (32, [10, 255, 254, 253])] {
            let mut src = [0; 16];
            src[..4].copy_from_slice(&[10, 255, 254, 253]);
            assert!(prefix(&src, &Lengths { v4: length, v6: 48 }, &mut out));
            assert_eq!(out, want, "/{length}");
        }
    }
}
