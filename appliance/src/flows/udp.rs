//! UDP payloads out of captured frames: behind the link, the outermost IP header and its extensions; fragments put together.

use std::collections::HashMap;

use super::flow::Address;
use crate::limits::{DATAGRAM_FRAGMENTS_MAX, DATAGRAM_PIECES_BYTES_MAX, DATAGRAMS_IN_PIECES_MAX};
use crate::parse::{MirrorPlan, Parsed, parse_into};
use crate::rx::capture::CapturedFrame;

/// A UDP datagram of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Source address.
    pub src: Address,
    /// Source port.
    pub src_port: u16,
    /// Destination address.
    pub dst: Address,
    /// Destination port.
    pub dst_port: u16,
    /// What it carries, as far as it was captured.
    pub payload: std::borrow::Cow<'a, [u8]>,
}

/// An IP packet's own payload and what is needed to put it together.
struct Packet<'a> {
    src: Address,
    dst: Address,
    id: u32,
    offset: usize,
    more: bool,
    protocol: u8,
    body: &'a [u8],
}

type PieceKey = (Address, Address, u32);

/// Takes datagrams out of frames. Of those in pieces so many wait at a time; then all that wait are given up.
#[derive(Debug, Default)]
pub struct Datagrams {
    pieces: HashMap<PieceKey, Vec<(usize, bool, Vec<u8>)>>,
    /// Of all of them.
    bytes: usize,
}

impl Datagrams {
    /// The datagram that a frame holds, or completes.
    pub fn take<'a>(&mut self, frame: &CapturedFrame<'a>) -> Option<Datagram<'a>> {
        let mut parsed = Parsed::default();
        parse_into(frame.bytes, frame.wire_bytes, frame.link, &MirrorPlan::default(), &mut parsed).ok()?;
        let at = usize::try_from(parsed.link.bytes).ok()?;
        let packet = packet(frame.bytes.get(at..)?)?;
        if packet.protocol != 17 {
            return None;
        }
        if packet.offset == 0 && !packet.more {
            let (src_port, dst_port, payload) = udp(packet.body)?;
            return Some(Datagram { src: packet.src, src_port, dst: packet.dst, dst_port, payload: payload.into() });
        }
        let whole = self.complete(&packet)?;
        let (src_port, dst_port, payload) = udp(&whole)?;
        Some(Datagram { src: packet.src, src_port, dst: packet.dst, dst_port, payload: payload.to_vec().into() })
    }

    fn complete(&mut self, packet: &Packet<'_>) -> Option<Vec<u8>> {
        let key = (packet.src, packet.dst, packet.id);
        let too_many = self.pieces.len() >= DATAGRAMS_IN_PIECES_MAX && !self.pieces.contains_key(&key);
        if too_many || self.bytes + packet.body.len() > DATAGRAM_PIECES_BYTES_MAX {
            self.pieces.clear();
            self.bytes = 0;
        }
        let pieces = self.pieces.entry(key).or_default();
        if pieces.len() >= DATAGRAM_FRAGMENTS_MAX {
            self.remove(&key);
            return None;
        }
        self.bytes += packet.body.len();
        pieces.push((packet.offset, packet.more, packet.body.to_vec()));
        pieces.sort_by_key(|(offset, ..)| *offset);
        let whole = joined(pieces)?;
        self.remove(&key);
        Some(whole)
    }

    fn remove(&mut self, key: &PieceKey) {
        let gone = self.pieces.remove(key).unwrap_or_default();
        self.bytes -= gone.iter().map(|(.., body)| body.len()).sum::<usize>();
    }
}

/// All pieces, if none is missing; of those that overlap the earlier one counts.
fn joined(pieces: &[(usize, bool, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    for (offset, more, body) in pieces {
        let fresh = whole.len().checked_sub(*offset)?;
        whole.extend_from_slice(body.get(fresh..).unwrap_or(&[]));
        if !more {
            return Some(whole);
        }
    }
    None
}

/// Source port, destination port, payload.
fn udp(body: &[u8]) -> Option<(u16, u16, &[u8])> {
    let &[s0, s1, d0, d1, l0, l1, _, _, ..] = body else { return None };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let end = if length < 8 { body.len() } else { length.min(body.len()) };
    Some((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]), body.get(8..end)?))
}

fn packet(ip: &[u8]) -> Option<Packet<'_>> {
    if ip.first()? >> 4 == 4 { v4(ip) } else { v6(ip) }
}

fn v4(ip: &[u8]) -> Option<Packet<'_>> {
    let header = usize::from(ip.first()? & 0x0F) * 4;
    let fragment = u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]);
    let total = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
    let end = if total < header { ip.len() } else { total.min(ip.len()) };
    Some(Packet {
        src: Address::of(ip.get(12..16)?),
        dst: Address::of(ip.get(16..20)?),
        id: u32::from(u16::from_be_bytes([*ip.get(4)?, *ip.get(5)?])),
        offset: usize::from(fragment & 0x1FFF) * 8,
        more: fragment & 0x2000 != 0,
        protocol: *ip.get(9)?,
        body: ip.get(header..end)?,
    })
}

fn v6(ip: &[u8]) -> Option<Packet<'_>> {
    let length = usize::from(u16::from_be_bytes([*ip.get(4)?, *ip.get(5)?]));
    let end = if length == 0 { ip.len() } else { (40 + length).min(ip.len()) };
    let (src, dst) = (Address::of(ip.get(8..24)?), Address::of(ip.get(24..40)?));
    let mut packet = Packet { src, dst, id: 0, offset: 0, more: false, protocol: *ip.get(6)?, body: ip.get(40..end)? };
    while let 0 | 43 | 60 | 44 = packet.protocol {
        let (&next, &extra) = (packet.body.first()?, packet.body.get(1)?);
        let is_fragment = packet.protocol == 44;
        if is_fragment {
            let place = u16::from_be_bytes([*packet.body.get(2)?, *packet.body.get(3)?]);
            (packet.offset, packet.more) = (usize::from(place & 0xFFF8), place & 1 == 1);
            packet.id = u32::from_be_bytes(*packet.body.get(4..)?.first_chunk()?);
        }
        packet.body = packet.body.get(if is_fragment { 8 } else { usize::from(extra) * 8 + 8 }..)?;
        packet.protocol = next;
        if packet.offset > 0 {
            break;
        }
    }
    Some(packet)
}

/// Whether a payload looks like an export of a version that is read: in captures datagrams come on any port, beside others.
pub fn looks_like_export(payload: &[u8]) -> bool {
    let word = |at: usize| payload.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u16::from_be_bytes(*word));
    let records = usize::from(word(2));
    let whole = |header: usize, record: usize| (1..=64).contains(&records) && payload.len() >= header + record;
    match *payload {
        [0, 1, ..] => whole(16, 52),
        [0, 5, ..] => whole(24, 48),
        [0, 7, ..] => whole(24, 52),
        [0, 9, ..] => payload.len() == 20 || (payload.len() >= 24 && set_begins(word(20), word(22), payload.len() - 20)),
        // The second word of IPFIX is its length.
        [0, 10, ..] => {
            payload.len() >= 16 && records >= 16 && (payload.len() == records || set_begins(word(16), word(18), payload.len() - 16))
        }
        [0, 0, 0, 5, 0, 0, 0, 1 | 2, ..] => payload.len() >= 28,
        _ => false,
    }
}

/// The first set lies within the datagram, or its id at least is that of templates, options or data.
const fn set_begins(id: u16, length: u16, left: usize) -> bool {
    length >= 4 && (length as usize <= left || id <= 3 || id >= 256)
}
