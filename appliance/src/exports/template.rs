//! Which elements a record has, and how each is written: one list for each kind of flow.
//!
//! Of ICMP there are templates of their own: a record without ports, which nobody takes for port 0. NetFlow 9 tells times by the exporter's
//! uptime, as its readers expect; all else is the same in both.

use super::cache::{Flow, Key};
use super::interface;

/// A record, as elements read it.
pub(super) struct Row<'a> {
    pub(super) key: &'a Key,
    pub(super) flow: &'a Flow,
    pub(super) end: u8,
    /// When uptime began, milliseconds since 1970.
    pub(super) boot_ms: u64,
}

/// An element, its length, and how it is written.
pub(super) struct Element {
    pub(super) id: u16,
    pub(super) bytes: u16,
    put: fn(&Row<'_>, &mut Vec<u8>),
}

/// Kinds of flows, each with a template: its number is added to [`FIRST`].
pub(super) const KINDS: u16 = 4;
/// Id of the first template.
pub(super) const FIRST: u16 = 256;
/// Id of the template of options.
pub(super) const OPTIONS: u16 = FIRST + KINDS;
/// Of element 89 (RFC 7270): forwarded, and dropped by a filter.
const FORWARDED: u8 = 64;
const DROPPED: u8 = 129;

/// The kind of a flow.
pub(super) fn kind(key: &Key) -> u16 {
    u16::from(key.v6) + 2 * u16::from(key.icmp)
}

/// Elements of a kind, in the form of NetFlow 9 or of IPFIX.
pub(super) fn elements(kind: u16, is_ipfix: bool) -> Vec<Element> {
    let element = |id, bytes, put| Element { id, bytes, put };
    let (v6, icmp) = (kind & 1 == 1, kind & 2 == 2);
    let mut all = vec![
        element(1, 8, |row, out| out.extend(row.flow.bytes.to_be_bytes())),
        element(2, 8, |row, out| out.extend(row.flow.packets.to_be_bytes())),
    ];
    if v6 {
        all.push(element(27, 16, |row, out| out.extend(row.key.src)));
        all.push(element(28, 16, |row, out| out.extend(row.key.dst)));
    } else {
        all.push(element(8, 4, |row, out| out.extend(&row.key.src[..4])));
        all.push(element(12, 4, |row, out| out.extend(&row.key.dst[..4])));
    }
    if icmp {
        // Cisco's number in NetFlow 9, icmpTypeCodeIPv4 and IPv6 in IPFIX.
        all.push(element(if v6 && is_ipfix { 139 } else { 32 }, 2, |row, out| out.extend(row.key.ports[0].to_be_bytes())));
    } else {
        all.push(element(7, 2, |row, out| out.extend(row.key.ports[0].to_be_bytes())));
        all.push(element(11, 2, |row, out| out.extend(row.key.ports[1].to_be_bytes())));
    }
    if is_ipfix {
        all.push(element(152, 8, |row, out| out.extend((row.flow.first_ns / 1_000_000).to_be_bytes())));
        all.push(element(153, 8, |row, out| out.extend((row.flow.last_ns / 1_000_000).to_be_bytes())));
        all.push(element(136, 1, |row, out| out.push(row.end)));
    } else {
        all.push(element(22, 4, |row, out| out.extend(uptime_ms(row.flow.first_ns, row.boot_ms).to_be_bytes())));
        all.push(element(21, 4, |row, out| out.extend(uptime_ms(row.flow.last_ns, row.boot_ms).to_be_bytes())));
    }
    all.extend([
        element(10, 4, |row, out| out.extend(interface(row.key.rx_port).to_be_bytes())),
        element(58, 2, |row, out| out.extend(row.key.vlan.to_be_bytes())),
        element(4, 1, |row, out| out.push(row.key.protocol)),
        element(5, 1, |row, out| out.push(row.flow.dscp << 2)),
        element(6, 1, |row, out| out.push(row.flow.tcp_flags)),
        element(89, 1, |row, out| out.push(if row.key.blocked { DROPPED } else { FORWARDED })),
    ]);
    all
}

impl Element {
    /// Appends what a record has of it.
    pub(super) fn put(&self, row: &Row<'_>, out: &mut Vec<u8>) {
        (self.put)(row, out);
    }
}

/// Milliseconds since that moment, modulo 2^32.
#[allow(clippy::cast_possible_truncation, reason = "modulo 2^32, as NetFlow 9 has it")]
pub(super) const fn uptime_ms(ns: u64, boot_ms: u64) -> u32 {
    (ns / 1_000_000).wrapping_sub(boot_ms) as u32
}
