//! The records of a sample: what was seen of the packet, and what the switch or router knows of its way.

use super::super::cursor::Cursor;
use super::super::flow::{Address, Flow};
use super::frame::{self, Header};

/// Reads up to `count` records. False: one claims more than there is.
pub(super) fn read(count: u32, c: &mut Cursor<'_>, flow: &mut Flow) -> bool {
    let mut length_of = LengthOf::default();
    for _ in 0..count {
        let (Some(format), Some(length)) = (c.u32(), c.u32()) else { return false };
        let Some(body) = super::opaque(c, length) else { return false };
        // A record that ends early has filled what it could.
        let _ = record(format, Cursor::new(body), flow, &mut length_of);
    }
    true
}

/// Whose length a flow has: that of the frame goes before that of the packet in it, whichever record comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum LengthOf {
    #[default]
    Nothing,
    /// An IPv4 or IPv6 record.
    Packet,
    /// An Ethernet record.
    Frame,
    /// The record that shows it.
    Shown,
}

impl LengthOf {
    /// Takes a length, of which the last so many bytes are no part, if it goes before the one that is there.
    fn take(&mut self, of: Self, (bytes, fcs_bytes): (u32, u32), flow: &mut Flow) {
        if bytes > 0 && of >= *self {
            (*self, flow.fields.bytes, flow.fields.fcs_bytes) = (of, bytes.into(), fcs_bytes);
        }
    }
}

fn record(format: u32, mut c: Cursor<'_>, flow: &mut Flow, length_of: &mut LengthOf) -> Option<()> {
    match format {
        1 => raw(&mut c, flow, length_of),
        2 => ethernet(&mut c, flow, length_of),
        3 => ip(&mut c, flow, length_of, 4),
        4 => ip(&mut c, flow, length_of, 16),
        1001 => switch(&mut c, flow),
        1002 => router(&mut c, flow),
        1003 => gateway(&mut c, flow),
        1006 => mpls(&mut c, flow),
        1007 => nat(&mut c, flow),
        _ => Some(()),
    }
}

/// `header_protocol` of Ethernet (ISO 8802-3).
const ETHERNET: u32 = 1;
/// The frame check sequence.
const FCS_BYTES: u32 = 4;

/// The start of the packet itself.
fn raw(c: &mut Cursor<'_>, flow: &mut Flow, length_of: &mut LengthOf) -> Option<()> {
    let (protocol, frame_bytes, stripped, length) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?);
    // By the standard a frame's length holds its check sequence, and that is stripped. An agent that strips less has not counted it.
    let fcs_bytes = if protocol == ETHERNET && stripped >= FCS_BYTES { FCS_BYTES } else { 0 };
    length_of.take(LengthOf::Shown, (frame_bytes, fcs_bytes), flow);
    let header = match protocol {
        ETHERNET => Header::Ethernet,
        11 | 12 => Header::Ip,
        13 => Header::Mpls,
        _ => return Some(()),
    };
    let shown = c.rest();
    let bytes = shown.get(..usize::try_from(length).ok()?).unwrap_or(shown);
    frame::read(bytes, u64::from(frame_bytes), header, flow);
    Some(())
}

fn ethernet(c: &mut Cursor<'_>, flow: &mut Flow, length_of: &mut LengthOf) -> Option<()> {
    // Says the standard: check sequence included.
    length_of.take(LengthOf::Frame, (c.u32()?, FCS_BYTES), flow);
    let f = &mut flow.fields;
    // Six bytes each, padded to eight.
    f.src_mac = mac(c)?;
    f.dst_mac = mac(c)?;
    f.etype = c.u32()?;
    Some(())
}

fn mac(c: &mut Cursor<'_>) -> Option<u64> {
    let mac = c.take(6).map(super::super::cursor::number);
    c.take(2)?;
    mac
}

/// IPv4 and IPv6 of those who do not show the packet.
fn ip(c: &mut Cursor<'_>, flow: &mut Flow, length_of: &mut LengthOf, address_bytes: usize) -> Option<()> {
    length_of.take(LengthOf::Packet, (c.u32()?, 0), flow);
    let f = &mut flow.fields;
    f.proto = c.u32()?;
    (f.src_addr, f.dst_addr) = (Address::of(c.take(address_bytes)?), Address::of(c.take(address_bytes)?));
    f.etype = if address_bytes == 4 { 0x0800 } else { 0x86DD };
    (f.src_port, f.dst_port, f.tcp_flags, f.ip_tos) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?);
    Some(())
}

fn switch(c: &mut Cursor<'_>, flow: &mut Flow) -> Option<()> {
    let (src_vlan, _, dst_vlan, _) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?);
    (flow.fields.src_vlan, flow.fields.dst_vlan) = (src_vlan, dst_vlan);
    Some(())
}

fn address(c: &mut Cursor<'_>) -> Option<Address> {
    match c.u32()? {
        1 => c.take(4).map(Address::of),
        2 => c.take(16).map(Address::of),
        0 => Some(Address::NONE),
        _ => None,
    }
}

fn router(c: &mut Cursor<'_>, flow: &mut Flow) -> Option<()> {
    flow.fields.next_hop = address(c)?;
    (flow.fields.src_net, flow.fields.dst_net) = (c.u32()?, c.u32()?);
    Some(())
}

/// The AS path comes in segments, sequences and sets; they are given one behind the other.
fn gateway(c: &mut Cursor<'_>, flow: &mut Flow) -> Option<()> {
    let next_hop = address(c)?;
    let (own, source, _peer, segments) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?);
    let (f, lists) = (&mut flow.fields, &mut flow.lists);
    f.bgp_next_hop = next_hop;
    f.src_as = if source != 0 { source } else { own };
    f.dst_as = own;
    for _ in 0..segments {
        let (_, length) = (c.u32()?, c.u32()?);
        numbers(c, length, &mut |number| {
            // Beyond the bound of the list the last one still is the destination's.
            f.dst_as = number;
            let _ = lists.as_path.try_push(number);
        })?;
    }
    f.next_hop_as = lists.as_path.first().copied().unwrap_or(0);
    let communities = c.u32()?;
    numbers(c, communities, &mut |number| {
        let _ = lists.bgp_communities.try_push(number);
    })
}

/// A count is a claim: it is compared with what is there before anything is read.
fn numbers(c: &mut Cursor<'_>, count: u32, each: &mut dyn FnMut(u32)) -> Option<()> {
    let bytes = c.take(usize::try_from(count).ok()?.checked_mul(4)?)?;
    bytes.chunks_exact(4).for_each(|word| each(super::super::cursor::number32(word)));
    Some(())
}

/// The stack as it came in, if the packet's own start did not show it.
fn mpls(c: &mut Cursor<'_>, flow: &mut Flow) -> Option<()> {
    let _next_hop = address(c)?;
    let depth = c.u32()?;
    let lists = &mut flow.lists;
    if !lists.mpls_label.is_empty() {
        return Some(());
    }
    numbers(c, depth, &mut |entry| {
        let _ = lists.mpls_label.try_push(entry >> 12);
        let _ = lists.mpls_ttl.try_push(entry & 0xFF);
    })
}

fn nat(c: &mut Cursor<'_>, flow: &mut Flow) -> Option<()> {
    flow.fields.nat_src_addr = address(c)?;
    flow.fields.nat_dst_addr = address(c)?;
    Some(())
}
