//! The start of a sampled packet. Where its IP header stands, addresses, ports and flags are what `parse` reads of it, as for packets that
//! come by the mirror; what that leaves out (the destination MAC, labels below the top, all of TOS and the fields of fragments) is read
//! here, at the same place. Layers are listed as far as their kinds have a number.

use super::super::cursor::{Cursor, number};
use super::super::flow::{Address, Fields, Flow};
use crate::limits::{FLOW_LAYERS_MAX, IP_HEADERS_MAX};
use crate::parse::{IpHeader, MirrorPlan, Parsed, parse_into};
use crate::units::LinkType;

/// What the bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Header {
    Ethernet,
    Ip,
    Mpls,
}

/// Numbers of layers, as in the message.
mod layer {
    pub(super) const ETHERNET: u8 = 0;
    pub(super) const IPV4: u8 = 1;
    pub(super) const IPV6: u8 = 2;
    pub(super) const TCP: u8 = 3;
    pub(super) const UDP: u8 = 4;
    pub(super) const MPLS: u8 = 5;
    pub(super) const DOT1Q: u8 = 6;
    pub(super) const ICMP: u8 = 7;
    pub(super) const ICMPV6: u8 = 8;
    pub(super) const GRE: u8 = 9;
    pub(super) const ROUTING: u8 = 10;
    pub(super) const FRAGMENT: u8 = 11;
}

/// Reads the bytes of a packet of which `wire_bytes` were on the wire.
pub(in super::super) fn read(bytes: &[u8], wire_bytes: u64, header: Header, flow: &mut Flow) {
    link(bytes, header, flow);
    let wire_bytes = u32::try_from(wire_bytes).unwrap_or(u32::MAX);
    let (bytes, kind) = match header {
        Header::Ethernet => (bytes, LinkType::Ethernet),
        Header::Ip => (bytes, LinkType::RawIp),
        Header::Mpls => (behind_labels(bytes), LinkType::RawIp),
    };
    let mut parsed = Parsed::default();
    if parse_into(bytes, wire_bytes, kind, &MirrorPlan::default(), &mut parsed).is_ok()
        && let Some(outermost) = parsed.headers().first()
    {
        keys(outermost, flow);
        if let Some(vlan) = parsed.link.vlan_ids().first() {
            flow.fields.vlan_id = u32::from(*vlan);
        }
        let at = usize::try_from(parsed.link.bytes).unwrap_or(usize::MAX);
        let mut c = Cursor::new(bytes.get(at..).unwrap_or(&[]));
        let _ = if outermost.v6 { ipv6(&mut c, flow) } else { ipv4(&mut c, flow) };
        if let all @ [_, .., innermost] = parsed.headers() {
            carried(innermost, &mut flow.fields);
            flow.lists.headers = all.iter().copied().take(IP_HEADERS_MAX).collect();
        }
    }
}

fn behind_labels(bytes: &[u8]) -> &[u8] {
    let end = bytes.chunks_exact(4).position(|entry| entry.get(2).is_some_and(|byte| byte & 1 == 1));
    end.and_then(|at| bytes.get(at * 4 + 4..)).unwrap_or(&[])
}

/// What classify and stats would read of the packet.
fn keys(header: &IpHeader, flow: &mut Flow) {
    let f = &mut flow.fields;
    (f.etype, [f.src_addr, f.dst_addr]) = ends(header);
    (f.proto, f.ip_ttl) = (u32::from(header.protocol), u32::from(header.ttl));
    let (src, dst) = header.ports.unwrap_or((0, 0));
    (f.src_port, f.dst_port) = (u32::from(src), u32::from(dst));
    f.tcp_flags = u32::from(header.tcp_flags.unwrap_or(0));
    let (kind, code) = header.icmp.unwrap_or((0, 0));
    (f.icmp_type, f.icmp_code) = (u32::from(kind), u32::from(code));
}

/// EtherType and addresses.
fn ends(header: &IpHeader) -> (u32, [Address; 2]) {
    let (etype, bytes) = if header.v6 { (0x86DD, 16) } else { (0x0800, 4) };
    (etype, [&header.src, &header.dst].map(|address| Address::of(address.get(..bytes).unwrap_or(&[]))))
}

/// The innermost header of a packet with tunnels.
fn carried(header: &IpHeader, f: &mut Fields) {
    f.has_encap = 1;
    (f.etype_encap, [f.src_addr_encap, f.dst_addr_encap]) = ends(header);
    (f.proto_encap, f.ip_ttl_encap) = (u32::from(header.protocol), u32::from(header.ttl));
    let (src, dst) = header.ports.unwrap_or((0, 0));
    (f.src_port_encap, f.dst_port_encap) = (u32::from(src), u32::from(dst));
    f.tcp_flags_encap = u32::from(header.tcp_flags.unwrap_or(0));
}

/// From the link up to what is no layer of ours, IP or another.
fn link(bytes: &[u8], header: Header, flow: &mut Flow) {
    let mut c = Cursor::new(bytes);
    let mut next = match header {
        Header::Ethernet => ethernet(&mut c, flow),
        Header::Ip => None,
        Header::Mpls => labels(&mut c, flow),
    };
    let mut tagged = false;
    for _ in 0..FLOW_LAYERS_MAX {
        let Some(etype) = next else { return };
        if etype >= 0x0600 {
            flow.fields.etype = u32::from(etype);
        }
        next = match etype {
            0x8100 | 0x88A8 | 0x9100 => tag(&mut c, &mut tagged, flow),
            0x8847 | 0x8848 => labels(&mut c, flow),
            _ => return,
        };
    }
}

fn push(flow: &mut Flow, layer: u8, bytes: usize) {
    let _ = flow.lists.layers.try_push((layer, u32::try_from(bytes).unwrap_or(u32::MAX)));
}

fn ethernet(c: &mut Cursor<'_>, flow: &mut Flow) -> Option<u16> {
    let h = c.take(14)?;
    flow.fields.dst_mac = number(h.get(..6)?);
    flow.fields.src_mac = number(h.get(6..12)?);
    push(flow, layer::ETHERNET, 14);
    Some(u16::from_be_bytes([*h.get(12)?, *h.get(13)?]))
}

fn tag(c: &mut Cursor<'_>, tagged: &mut bool, flow: &mut Flow) -> Option<u16> {
    let (control, etype) = (c.u16()?, c.u16()?);
    if !std::mem::replace(tagged, true) {
        flow.fields.vlan_id = u32::from(control & 0x0FFF);
    }
    push(flow, layer::DOT1Q, 4);
    Some(etype)
}

fn labels(c: &mut Cursor<'_>, flow: &mut Flow) -> Option<u16> {
    let before = c.left();
    loop {
        let entry = c.u32()?;
        let _ = flow.lists.mpls_label.try_push(entry >> 12);
        let _ = flow.lists.mpls_ttl.try_push(entry & 0xFF);
        if entry & 0x100 != 0 {
            break;
        }
    }
    push(flow, layer::MPLS, before - c.left());
    // What they carry they do not say.
    None
}

fn ipv4(c: &mut Cursor<'_>, flow: &mut Flow) -> Option<()> {
    let &[first, tos, _, _, id0, id1, fragment0, fragment1, ..] = c.rest() else { return None };
    let f = &mut flow.fields;
    f.ip_tos = u32::from(tos);
    f.fragment_id = u32::from(u16::from_be_bytes([id0, id1]));
    let fragment = u32::from(u16::from_be_bytes([fragment0, fragment1]));
    (f.fragment_offset, f.ip_flags) = (fragment & 0x1FFF, fragment >> 13);
    let h = c.take(usize::from(first & 0x0F) * 4)?;
    push(flow, layer::IPV4, h.len());
    transport(*h.get(9)?, c, flow)
}

fn ipv6(c: &mut Cursor<'_>, flow: &mut Flow) -> Option<()> {
    let h = c.take(40)?;
    let word = super::super::cursor::number32(h.get(..4)?);
    (flow.fields.ip_tos, flow.fields.ipv6_flow_label) = (word >> 20 & 0xFF, word & 0xF_FFFF);
    push(flow, layer::IPV6, 40);
    let mut next = *h.get(6)?;
    for _ in 0..FLOW_LAYERS_MAX {
        next = match next {
            0 | 60 | 135 | 139 | 140 => extension(next, c)?,
            51 => authentication(c)?,
            43 => routing(c, flow)?,
            44 => fragment(c, flow)?,
            _ => return transport(next, c, flow),
        };
    }
    None
}

/// Mobility, HIP and Shim6 end the packet where they say that nothing follows.
fn extension(this: u8, c: &mut Cursor<'_>) -> Option<u8> {
    let &[next, length, ..] = c.rest() else { return None };
    if next == 59 && matches!(this, 135 | 139 | 140) {
        return None;
    }
    c.take(usize::from(length) * 8 + 8)?;
    Some(next)
}

/// Its length is in words of four bytes, less two (RFC 4302).
fn authentication(c: &mut Cursor<'_>) -> Option<u8> {
    let &[next, length, ..] = c.rest() else { return None };
    c.take(usize::from(length) * 4 + 8)?;
    Some(next)
}

fn fragment(c: &mut Cursor<'_>, flow: &mut Flow) -> Option<u8> {
    let (next, _, place, id) = (c.u8()?, c.u8()?, c.u16()?, c.u32()?);
    let f = &mut flow.fields;
    (f.fragment_id, f.fragment_offset, f.ip_flags) = (id, u32::from(place >> 3), u32::from(place & 7));
    push(flow, layer::FRAGMENT, 8);
    Some(next)
}

/// Segment routing (RFC 8754) lists its segments; of other kinds only what is left is told.
fn routing(c: &mut Cursor<'_>, flow: &mut Flow) -> Option<u8> {
    let &[next, length, kind, left, last, ..] = c.rest() else { return None };
    let whole = c.take(usize::from(length) * 8 + 8)?;
    flow.fields.routing_seg_left = u32::from(left);
    if kind == 4 {
        let segments = whole.get(8..)?.chunks_exact(16).take(usize::from(last) + 1);
        for segment in segments {
            let _ = flow.lists.routing_addresses.try_push(Address::of(segment));
        }
    }
    push(flow, layer::ROUTING, whole.len());
    Some(next)
}

fn transport(protocol: u8, c: &Cursor<'_>, flow: &mut Flow) -> Option<()> {
    // A later fragment has no transport header.
    if flow.fields.fragment_offset != 0 {
        return None;
    }
    let h = c.rest();
    let (layer, bytes) = match protocol {
        6 => (layer::TCP, usize::from(h.get(12)? >> 4) * 4),
        17 => (layer::UDP, 8),
        1 => (layer::ICMP, 8),
        58 => (layer::ICMPV6, 8),
        47 => (layer::GRE, 4),
        _ => return None,
    };
    push(flow, layer, bytes);
    Some(())
}
