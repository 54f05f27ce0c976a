//! A flow record's keys, as packets have them: what it does not tell is absent. Zero is "not told", as everywhere in flows.

use std::net::IpAddr;

use crate::axes::value::exporter;
use crate::flows::{Address, Fields, Flow, FlowType};
use crate::parse::IpHeader;
use crate::record::{FlowRow, Fragment, Has, Record};
use crate::units::Family;

/// Protocols with ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u32; 5] = [6, 17, 33, 132, 136];
const TCP: u32 = 6;
const ICMP: [u32; 2] = [1, 58];
/// Layers of a sampled frame: IPv4 and IPv6, ICMP and ICMPv6.
const IP_LAYERS: [u8; 2] = [1, 2];
const ICMP_LAYERS: [u8; 2] = [7, 8];
/// More fragments.
const MORE: u32 = 1;
/// The two highest bits of a forwarding status (RFC 7270): dropped.
const DROPPED: std::ops::Range<u32> = 128..192;

/// Its family and addresses; none where one is not told, or they are of two families.
pub(crate) fn addresses(f: &Fields) -> Option<(Family, [u8; 16], [u8; 16])> {
    let family = match (f.src_addr.bytes().len(), f.dst_addr.bytes().len()) {
        (4, 4) => Family::V4,
        (16, 16) => Family::V6,
        _ => return None,
    };
    Some((family, padded(&f.src_addr), padded(&f.dst_addr)))
}

/// The same of a header of a frame that is shown.
pub(super) const fn ends(header: &IpHeader) -> (Family, [u8; 16], [u8; 16]) {
    (header.family(), header.src, header.dst)
}

fn padded(address: &Address) -> [u8; 16] {
    let mut padded = [0; 16];
    padded.iter_mut().zip(address.bytes()).for_each(|(out, byte)| *out = *byte);
    padded
}

/// A row with all keys, without counts, weight and direction; of a header within, where that is the one that counts.
pub(crate) fn row((flow, within): (&Flow, Option<&IpHeader>), (family, src, dst): (Family, [u8; 16], [u8; 16]), at: IpAddr) -> FlowRow {
    let (f, mut record) = (&flow.fields, Record { src, dst, weight: 1, ..Record::default() });
    let (has, told) = (transport(flow, &mut record), link(flow, &mut record));
    let blocked = DROPPED.contains(&f.forwarding_status);
    record.has = Has(has.0 | told.0).with(Has::V6, family == Family::V6).with(Has::BLOCKED, blocked);
    (record.time_ns, record.protocol, record.ttl) = (f.time_received_ns, low(f.proto), low(f.ip_ttl));
    record.dscp = low(f.ip_tos) >> 2;
    let shows_ip = has_layer(flow, IP_LAYERS);
    record.fragment = match (f.fragment_offset, f.ip_flags & MORE) {
        (0, 0) => Fragment::None,
        (0, _) => Fragment::First,
        _ => Fragment::Later,
    };
    let told = [
        (f.ip_ttl > 0, FlowRow::TTL),
        (f.proto > 0 || shows_ip, FlowRow::PROTOCOL),
        (shows_ip || record.fragment != Fragment::None, FlowRow::FRAGMENT),
    ];
    let told = told.iter().filter(|(is, _)| *is).fold(0, |told, (_, bit)| told | bit);
    let row = FlowRow { record, packets: 0, bytes: 0, times: 1, exporter: exporter(at), in_if: f.in_if, out_if: f.out_if, told };
    within.map_or(row, |header| carried(row, header))
}

/// What a header within says, instead of the outermost one's. Zero is not told here either.
fn carried(mut row: FlowRow, header: &IpHeader) -> FlowRow {
    let flags = header.tcp_flags.unwrap_or(0);
    let ports = header.ports.filter(|ports| *ports != (0, 0));
    let icmp = header.icmp.filter(|_| header.ports.is_none());
    let record = &mut row.record;
    (record.protocol, record.ttl, record.dscp, record.fragment) = (header.protocol, header.ttl, header.dscp, header.fragment);
    (record.src_port, record.dst_port) = ports.or_else(|| icmp.map(|(kind, code)| (u16::from_be_bytes([kind, code]), 0))).unwrap_or((0, 0));
    record.tcp_flags = flags;
    let has = record.has.with(Has::PORTS, ports.is_some()).with(Has::ICMP, icmp.is_some());
    record.has = has.with(Has::TCP_FLAGS, flags != 0);
    row.told = FlowRow::PROTOCOL | FlowRow::FRAGMENT | if header.ttl > 0 { FlowRow::TTL } else { 0 };
    row
}

/// Of a record of both directions (RFC 5103, and those that tell of initiator and responder), packets and bytes of the way back; zero:
/// it tells of none.
pub(super) const fn back(f: &Fields) -> (u64, u64) {
    if f.reverse_packets | f.reverse_bytes > 0 { (f.reverse_packets, f.reverse_bytes) } else { (f.responder_packets, f.responder_bytes) }
}

/// The row of the way back, with what the record tells of that.
pub(super) fn turned(row: &FlowRow, f: &Fields) -> FlowRow {
    let mut turned = *row;
    let record = &mut turned.record;
    (record.src, record.dst) = (row.record.dst, row.record.src);
    if row.record.has.all(Has::PORTS) {
        (record.src_port, record.dst_port) = (row.record.dst_port, row.record.src_port);
    }
    (record.tcp_flags, record.dscp, record.ttl) = (low(f.reverse_tcp_flags), low(f.reverse_ip_tos) >> 2, low(f.reverse_ip_ttl));
    (record.vlan, record.fragment) = (port(f.reverse_vlan), Fragment::None);
    let flags = f.proto == TCP && f.reverse_tcp_flags != 0;
    let untold = record.has.with(Has::ICMP, false).with(Has::MPLS, false).with(Has::MAC, false);
    record.has = untold.with(Has::TCP_FLAGS, flags).with(Has::VLAN, f.reverse_vlan > 0);
    (turned.in_if, turned.out_if) = (row.out_if, row.in_if);
    turned.told = row.told & FlowRow::PROTOCOL | if f.reverse_ip_ttl > 0 { FlowRow::TTL } else { 0 };
    turned
}

/// Ports, or type and code of ICMP, and flags.
fn transport(flow: &Flow, record: &mut Record) -> Has {
    let f = &flow.fields;
    let ports = WITH_PORTS.contains(&f.proto) && (f.src_port | f.dst_port) != 0;
    let knows_icmp = (f.icmp_type | f.icmp_code) != 0 || f.kind == FlowType::NetflowV5 || has_layer(flow, ICMP_LAYERS);
    let icmp = ICMP.contains(&f.proto) && knows_icmp;
    let flags = f.proto == TCP && f.tcp_flags != 0;
    if ports {
        (record.src_port, record.dst_port) = (port(f.src_port), port(f.dst_port));
    } else if icmp {
        record.src_port = u16::from_be_bytes([low(f.icmp_type), low(f.icmp_code)]);
    }
    record.tcp_flags = if flags { low(f.tcp_flags) } else { 0 };
    Has::default().with(Has::PORTS, ports).with(Has::ICMP, icmp).with(Has::TCP_FLAGS, flags)
}

/// VLAN, label and MAC.
fn link(flow: &Flow, record: &mut Record) -> Has {
    let f = &flow.fields;
    let vlan = if f.vlan_id > 0 { f.vlan_id } else { f.src_vlan };
    let label = label(flow);
    let [_, _, mac @ ..] = f.src_mac.to_be_bytes();
    (record.vlan, record.mpls_label, record.src_mac) = (port(vlan), label.unwrap_or(0), mac);
    Has::default().with(Has::VLAN, vlan > 0).with(Has::MPLS, label.is_some()).with(Has::MAC, f.src_mac > 0)
}

/// The top label. A record of elements says "none" with three zero octets as well as with a label of 0 that is not the last one's:
/// such are passed over. What a frame shows is there.
fn label(flow: &Flow) -> Option<u32> {
    let labels = &flow.lists.mpls_label;
    let is_shown = flow.fields.kind == FlowType::Sflow5;
    labels.iter().find(|label| is_shown || **label != 0).or_else(|| labels.last()).copied()
}

fn has_layer(flow: &Flow, wanted: [u8; 2]) -> bool {
    flow.lists.layers.iter().any(|(layer, _)| wanted.contains(layer))
}

#[allow(clippy::cast_possible_truncation, reason = "fields of one byte")]
const fn low(value: u32) -> u8 {
    value as u8
}

#[allow(clippy::cast_possible_truncation, reason = "fields of two bytes")]
const fn port(value: u32) -> u16 {
    value as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elements of three zero octets are no labels: `Scratch` leaves those out that stand last, here those before others are passed over.
    #[test]
    fn zeros_above_a_label_are_none_unless_a_frame_shows_them() {
        let of = |kind, labels: &[u32]| {
            let mut flow = Flow::default();
            flow.fields.kind = kind;
            flow.lists.mpls_label.extend(labels.iter().copied());
            let mut record = Record::default();
            let has = link(&flow, &mut record);
            has.all(Has::MPLS).then_some(record.mpls_label)
        };
        for kind in [FlowType::NetflowV9, FlowType::Ipfix] {
            assert_eq!(
                [&[][..], &[0], &[0, 16_005], &[24_021, 0]].map(|labels| of(kind, labels)),
                [None, Some(0), Some(16_005), Some(24_021)]
            );
        }
        assert_eq!(of(FlowType::Sflow5, &[0, 16_005]), Some(0), "explicit null, as a packet has it");
    }
}
