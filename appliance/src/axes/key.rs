//! What packets are told apart by: one row a key.
//!
//! A key is extracted as bytes in network order, so that equal bytes mean equal keys and their order is the keys' order.

pub use super::spec::KeySpec;
pub use super::text::network as network_text;
use super::{service, text};
use crate::arch::lanes;
use crate::limits::{BATCH_RECORDS_MAX, KEY_BYTES_MAX, KEY_PARTS_MAX};
use crate::record::{Has, Record};
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
    TcpOptions,
    IpOptions,
    TcpWindow,
    TcpSeq,
    Service,
    Link,
    SrcAsn,
    DstAsn,
    SrcCountry,
    DstCountry,
    Exporter,
    InIf,
    OutIf,
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
    /// The same of up to 64 records of one family, keys one behind the other: a mask of the records that have one.
    pub column: fn(&[Record], &Lengths, Family, &mut [u8]) -> u64,
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
    ($key:ident, $name:literal, $scale:ident, [$v4:literal, $v6:literal], $extract:expr, $text:expr) => {
        KeyRow {
            key: Key::$key,
            name: $name,
            scale: Scale::$scale,
            width: |family| if matches!(family, Family::V4) { $v4 } else { $v6 },
            extract: $extract,
            column: |records, lengths, family, out| match family {
                // There is no column of keys without bytes.
                Family::V4 => column::<{ if $v4 == 0 { 1 } else { $v4 } }>(records, lengths, out, $extract),
                Family::V6 => column::<{ if $v6 == 0 { 1 } else { $v6 } }>(records, lengths, out, $extract),
            },
            text: $text,
        }
    };
}

/// One loop for each key and width, so that nothing in it is asked twice.
#[inline]
fn column<const W: usize>(
    records: &[Record],
    lengths: &Lengths,
    out: &mut [u8],
    extract: impl Fn(&Record, &Lengths, &mut [u8]) -> bool,
) -> u64 {
    let ((keys, _), mut present) = (out.as_chunks_mut::<W>(), [0; BATCH_RECORDS_MAX]);
    let one = |has: &mut u8, record: &Record, key: &mut [u8; W]| *has = u8::from(extract(record, lengths, key));
    // Four at a time: most of what is done for each is counting.
    let ((fours, _), (four_keys, _), (four_has, _)) = (records.as_chunks::<4>(), keys.as_chunks_mut::<4>(), present.as_chunks_mut::<4>());
    for (has, (records, keys)) in four_has.iter_mut().zip(fours.iter().zip(four_keys)) {
        (0..4).for_each(|i| one(&mut has[i], &records[i], &mut keys[i]));
    }
    let done = 4 * fours.len();
    for (has, (record, key)) in present.iter_mut().zip(records.iter().zip(keys)).skip(done) {
        one(has, record, key);
    }
    lanes::nonzero_bytes(&present)
}

/// Every key, in the order of [`Key`].
pub const KEYS: &[KeyRow] = &[
    row!(None, "none", Open, [0, 0], |_, _, _| true, |_, _| String::new()),
    row!(SrcIp, "src_ip", Open, [4, 16], |r, _, o| address(&r.src, o), |b, _| text::address(b)),
    row!(DstIp, "dst_ip", Open, [4, 16], |r, _, o| address(&r.dst, o), |b, _| text::address(b)),
    row!(SrcPrefix, "src_prefix", Open, [4, 16], |r, l, o| prefix(&r.src, l, o), text::prefix),
    row!(DstPrefix, "dst_prefix", Open, [4, 16], |r, l, o| prefix(&r.dst, l, o), text::prefix),
    row!(SrcPort, "src_port", Number, [2, 2], |r, _, o| number16(r, Has::PORTS, r.src_port, o), |b, _| text::decimal(b)),
    row!(DstPort, "dst_port", Number, [2, 2], |r, _, o| number16(r, Has::PORTS, r.dst_port, o), |b, _| text::decimal(b)),
    row!(Protocol, "protocol", Label, [1, 1], |r, _, o| byte(r.protocol, o), |b, _| text::decimal(b)),
    row!(TcpFlags, "tcp_flags", Label, [1, 1], |r, _, o| r.has.all(Has::TCP_FLAGS) && byte(r.tcp_flags, o), |b, _| text::flags(b)),
    row!(Vlan, "vlan", Number, [2, 2], |r, _, o| number16(r, Has::VLAN, r.vlan, o), |b, _| text::decimal(b)),
    row!(InnerVlan, "inner_vlan", Number, [2, 2], |r, _, o| number16(r, Has::INNER_VLAN, r.inner_vlan, o), |b, _| text::decimal(b)),
    row!(MplsLabel, "mpls_label", Number, [4, 4], |r, _, o| r.has.all(Has::MPLS) && number32(r.mpls_label, o), |b, _| text::decimal(b)),
    row!(PacketSize, "packet_size", Number, [4, 4], |r, _, o| number32(r.wire_bytes, o), |b, _| text::decimal(b)),
    row!(PayloadSize, "payload_size", Number, [4, 4], |r, _, o| number32(r.payload_bytes, o), |b, _| text::decimal(b)),
    row!(Ttl, "ttl", Number, [1, 1], |r, _, o| byte(r.ttl, o), |b, _| text::decimal(b)),
    row!(Dscp, "dscp", Number, [1, 1], |r, _, o| byte(r.dscp, o), |b, _| text::decimal(b)),
    row!(Icmp, "icmp", Label, [2, 2], |r, _, o| number16(r, Has::ICMP, r.src_port, o), |b, _| format!("{}/{}", b[0], b[1])),
    row!(Fragment, "fragment", Label, [1, 1], |r, _, o| byte(r.fragment as u8, o), |b, _| text::fragment(b)),
    row!(Flow, "flow", Open, [13, 37], |r, _, o| flow(r, o), |b, _| text::flow(b)),
    row!(Rule, "rule", Number, [4, 4], |r, _, o| r.has.all(Has::RULE) && number32(r.rule, o), |b, _| text::decimal(b)),
    row!(Tunnel, "tunnel", Label, [1, 1], |r, _, o| byte(r.tunnel as u8, o), |b, _| text::tunnel(b)),
    row!(RxPort, "rx_port", Number, [2, 2], |r, _, o| number16(r, Has(0), r.rx_port, o), |b, _| text::decimal(b)),
    row!(SrcMac, "src_mac", Open, [6, 6], |r, _, o| mac(r, o), |b, _| text::mac(b)),
    row!(TcpOptions, "tcp_options", Label, [2, 2], |r, _, o| tcp_options(r, o), |b, _| text::tcp_options(b)),
    row!(IpOptions, "ip_options", Label, [2, 2], |r, _, o| ip_options(r, o), |b, _| text::ip_options(b)),
    row!(TcpWindow, "tcp_window", Number, [2, 2], |r, _, o| tcp_window(r, o), |b, _| text::decimal(b)),
    row!(TcpSeq, "tcp_seq", Number, [4, 4], |r, _, o| r.has.all(Has::TCP_FLAGS) && number32(u32::from(r.tcp_seq) << 28, o), |b, _| {
        text::decimal(b)
    }),
    row!(Service, "service", Label, [1, 1], |r, _, o| service(r, o), |b, _| text::service(b)),
    // Its number, from 1: the reporter knows its name.
    row!(Link, "link", Label, [1, 1], |r, _, o| byte(r.link, o) && r.link > 0, |b, _| text::decimal(b)),
    // What is looked up is not in a record: [`KeySpec`] has the tables.
    row!(SrcAsn, "src_asn", Number, [4, 4], |_, _, _| false, |b, _| text::decimal(b)),
    row!(DstAsn, "dst_asn", Number, [4, 4], |_, _, _| false, |b, _| text::decimal(b)),
    row!(SrcCountry, "src_country", Label, [2, 2], |_, _, _| false, |b, _| String::from_utf8_lossy(b).into_owned()),
    row!(DstCountry, "dst_country", Label, [2, 2], |_, _, _| false, |b, _| String::from_utf8_lossy(b).into_owned()),
    // Of flow records alone: see `flow`.
    row!(Exporter, "exporter", Open, [16, 16], |_, _, _| false, |b, _| text::exporter(b)),
    row!(InIf, "in_if", Number, [4, 4], |_, _, _| false, |b, _| text::decimal(b)),
    row!(OutIf, "out_if", Number, [4, 4], |_, _, _| false, |b, _| text::decimal(b)),
];

impl Key {
    /// The key of that name.
    pub fn named(name: &str) -> Option<Self> {
        KEYS.iter().find(|row| row.name == name).map(|row| row.key)
    }

    /// Whether a record lacks it: it is looked up.
    #[inline]
    pub const fn is_looked_up(self) -> bool {
        matches!(self, Self::SrcAsn | Self::DstAsn | Self::SrcCountry | Self::DstCountry)
    }

    /// Its row.
    pub fn row(self) -> &'static KeyRow {
        &KEYS[self as usize]
    }
}

const _: () = assert!(KEY_BYTES_MAX >= KEY_PARTS_MAX * (2 * 16 + 5));

#[inline]
fn address(from: &[u8; 16], out: &mut [u8]) -> bool {
    out.copy_from_slice(&from[..out.len()]);
    true
}

#[inline(always)]
fn prefix(from: &[u8; 16], lengths: &Lengths, out: &mut [u8]) -> bool {
    let length = u32::from(if out.len() == 4 { lengths.v4 } else { lengths.v6 });
    let mask = !u128::MAX.checked_shr(length).unwrap_or(0);
    let cut = (u128::from_be_bytes(*from) & mask).to_be_bytes();
    out.copy_from_slice(&cut[..out.len()]);
    true
}

#[inline]
fn byte(value: u8, out: &mut [u8]) -> bool {
    out[0] = value;
    true
}

#[inline]
fn number16(record: &Record, needs: Has, value: u16, out: &mut [u8]) -> bool {
    out.copy_from_slice(&value.to_be_bytes());
    record.has.all(needs)
}

#[inline]
fn number32(value: u32, out: &mut [u8]) -> bool {
    out.copy_from_slice(&value.to_be_bytes());
    true
}

fn mac(record: &Record, out: &mut [u8]) -> bool {
    out.copy_from_slice(&record.src_mac);
    record.has.all(Has::MAC)
}

fn tcp_options(record: &Record, out: &mut [u8]) -> bool {
    out.copy_from_slice(&record.tcp_options.0.to_be_bytes());
    record.has.all(Has::TCP_FLAGS) && record.tcp_options.known()
}

fn ip_options(record: &Record, out: &mut [u8]) -> bool {
    out.copy_from_slice(&record.ip_options.0.to_be_bytes());
    record.ip_options.known()
}

/// The lower edge of its bucket: 0, or a power of two.
fn tcp_window(record: &Record, out: &mut [u8]) -> bool {
    let edge = 1_u16.checked_shl(u32::from(record.tcp_window).wrapping_sub(1)).unwrap_or(0);
    out.copy_from_slice(&edge.to_be_bytes());
    record.has.all(Has::TCP_FLAGS) && record.tcp_window != Record::WINDOW_UNREAD
}

fn service(record: &Record, out: &mut [u8]) -> bool {
    const UDP: u8 = 17;
    let position = service::of_port(record.src_port).filter(|_| record.protocol == UDP && record.has.all(Has::PORTS));
    byte(position.unwrap_or(u8::MAX), out) && position.is_some()
}

#[inline(always)]
fn flow(record: &Record, out: &mut [u8]) -> bool {
    let n = (out.len() - 5) / 2;
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
