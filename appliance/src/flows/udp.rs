//! UDP payloads out of captured frames: behind the link, the outermost IP header and its extensions; fragments put together.

use super::flow::Address;
use super::pieces::{Piece, PieceCounts, Pieces, Verdict};
use super::port_taken::PortTaken;
use crate::parse::{MirrorPlan, Parsed, parse_into};
use crate::rx::capture::CapturedFrame;

const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const ROUTING: u8 = 43;

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

/// An IP packet's own payload, or a piece of one.
struct Packet<'a> {
    src: Address,
    dst: Address,
    /// Which of several in pieces it is of, and where it stands there: offset, and whether more is behind it.
    piece: Option<(u32, usize, bool)>,
    protocol: u8,
    /// A routing header stands before it: `dst` need not be where it goes.
    is_routed: bool,
    body: &'a [u8],
}

/// Who is asked whether a datagram for an address and port is wanted.
pub(super) type Wanted<'a> = dyn Fn(&Address, u16) -> bool + 'a;

/// Takes datagrams out of frames, and puts those in pieces together within bounds: see `pieces.rs`. Their age is told by the frames' own
/// time.
#[derive(Debug, Default)]
pub struct Datagrams {
    pieces: Pieces,
    /// Packets that are in one piece,
    whole: u64,
    /// and those of them that are no datagram, or none that is wanted.
    others: u64,
}

impl Datagrams {
    /// The datagram that a frame holds, or completes.
    pub fn take<'a>(&mut self, frame: &CapturedFrame<'a>) -> Option<Datagram<'a>> {
        self.take_wanted(frame, None)
    }

    /// The same, of those that are wanted. Of what came in pieces length and checksum must be right: it may be of two datagrams (RFC 4963).
    /// (Captures may be cut, and have other addresses than those that the checksum is of.)
    pub(super) fn take_wanted<'a>(&mut self, frame: &CapturedFrame<'a>, wanted: Option<&Wanted<'_>>) -> Option<Datagram<'a>> {
        let Some(packet) = packet_of(frame) else {
            (self.whole, self.others) = (self.whole + 1, self.others + 1);
            return None;
        };
        let Packet { src, dst, piece, protocol, body, .. } = packet;
        let may_be_udp = protocol == UDP || dst.bytes().len() == 16 && is_extension(protocol);
        let Some((id, offset, more)) = piece.filter(|_| may_be_udp) else {
            self.whole += 1;
            let found = udp(body).filter(|(_, port, _)| piece.is_none() && protocol == UDP && wanted.is_none_or(|ask| ask(&dst, *port)));
            self.others += u64::from(found.is_none());
            let (src_port, dst_port, payload) = found?;
            return Some(Datagram { src, src_port, dst, dst_port, payload: payload.into() });
        };
        let judge = |protocol: u8, bytes: &[u8], is_all: bool| judge(&packet, (protocol, bytes, is_all), wanted);
        let (protocol, whole) = self.pieces.take((src, dst, id), Piece { offset, more, protocol, body }, frame.time_ns, &judge)?;
        let (_, body, _) = behind_extensions(protocol, &whole)?;
        let (src_port, dst_port, payload) = udp(body)?;
        Some(Datagram { src, src_port, dst, dst_port, payload: payload.to_vec().into() })
    }

    /// It is so late, though nothing comes: pieces that waited too long are given up.
    pub(super) fn turn(&mut self, now_ns: u64) {
        self.pieces.turn(now_ns);
    }

    /// Nothing more will come: pieces that wait are given up.
    pub(super) fn end(&mut self) {
        self.pieces.end();
    }

    /// What came of all packets since the start, but for what a tap knows better.
    pub const fn taken(&self) -> PortTaken {
        let PieceCounts { begun, joined, others, incomplete, waiting, copies } = self.pieces.counts();
        let (whole, datagrams, other_port) = (self.whole, self.whole - self.others + joined, self.others + others);
        PortTaken { datagrams, full: 0, cut: 0, other_port, whole, begun, incomplete, waiting, copies }
    }
}

/// What a first piece, or all of a datagram, says of it.
fn judge(packet: &Packet<'_>, (protocol, bytes, is_all): (u8, &[u8], bool), wanted: Option<&Wanted<'_>>) -> Verdict {
    let unread = if is_all { Verdict::Broken } else { Verdict::Unknown };
    let Some((protocol, body, is_routed)) = behind_extensions(protocol, bytes) else { return unread };
    if protocol != UDP {
        return Verdict::Others;
    }
    let (Some((_, port, _)), Some(length)) = (udp(body), short(body, 4)) else { return unread };
    let Some(wanted) = wanted else { return Verdict::Ours };
    if !wanted(&packet.dst, port) {
        return Verdict::Others;
    }
    let is_right = !is_all || usize::from(length) == body.len() && (packet.is_routed || is_routed || checks(packet, body));
    if is_right { Verdict::Ours } else { Verdict::Broken }
}

/// Whether its checksum is right, or it has none (RFC 768, RFC 8200, 8.1).
fn checks(packet: &Packet<'_>, udp: &[u8]) -> bool {
    let words =
        |bytes: &[u8]| bytes.chunks(2).map(|word| u64::from(word[0]) << 8 | word.get(1).map_or(0, |low| u64::from(*low))).sum::<u64>();
    let pseudo = words(packet.src.bytes()) + words(packet.dst.bytes()) + u64::from(UDP) + udp.len() as u64;
    let sum = pseudo + words(udp);
    short(udp, 6) == Some(0) || (sum > 0 && sum.is_multiple_of(0xFFFF))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|word| u16::from_be_bytes(*word))
}

/// Source port, destination port, payload.
fn udp(body: &[u8]) -> Option<(u16, u16, &[u8])> {
    let &[s0, s1, d0, d1, l0, l1, _, _, ..] = body else { return None };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let end = if length < 8 { body.len() } else { length.min(body.len()) };
    Some((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]), body.get(8..end)?))
}

fn packet_of<'a>(frame: &CapturedFrame<'a>) -> Option<Packet<'a>> {
    let mut parsed = Parsed::default();
    parse_into(frame.bytes, frame.wire_bytes, frame.link, &MirrorPlan::default(), &mut parsed).ok()?;
    let ip = frame.bytes.get(usize::try_from(parsed.link.bytes).ok()?..)?;
    if ip.first()? >> 4 == 4 { v4(ip) } else { v6(ip) }
}

fn v4(ip: &[u8]) -> Option<Packet<'_>> {
    let header = usize::from(ip.first()? & 0x0F) * 4;
    let (fragment, total) = (short(ip, 6)?, usize::from(short(ip, 2)?));
    let end = if total < header { ip.len() } else { total.min(ip.len()) };
    let (offset, more) = (usize::from(fragment & 0x1FFF) * 8, fragment & 0x2000 != 0);
    Some(Packet {
        src: Address::of(ip.get(12..16)?),
        dst: Address::of(ip.get(16..20)?),
        piece: (offset > 0 || more).then_some((u32::from(short(ip, 4)?), offset, more)),
        protocol: *ip.get(9)?,
        is_routed: false,
        body: ip.get(header..end)?,
    })
}

fn v6(ip: &[u8]) -> Option<Packet<'_>> {
    let length = usize::from(short(ip, 4)?);
    let end = if length == 0 { ip.len() } else { (40 + length).min(ip.len()) };
    let (src, dst) = (Address::of(ip.get(8..24)?), Address::of(ip.get(24..40)?));
    let (mut protocol, mut body, mut is_routed) = behind_extensions(*ip.get(6)?, ip.get(40..end)?)?;
    while protocol == FRAGMENT {
        let (place, id) = (short(body, 2)?, u32::from_be_bytes(*body.get(4..)?.first_chunk()?));
        let (offset, more) = (usize::from(place & 0xFFF8), place & 1 == 1);
        (protocol, body) = (*body.first()?, body.get(8..)?);
        if offset > 0 || more {
            return Some(Packet { src, dst, piece: Some((id, offset, more)), protocol, is_routed, body });
        }
        // All of it in one piece: whatever has the same id has nothing to do with it (RFC 6946).
        let routed = is_routed;
        (protocol, body, is_routed) = behind_extensions(protocol, body)?;
        is_routed |= routed;
    }
    Some(Packet { src, dst, piece: None, protocol, is_routed, body })
}

const fn is_extension(protocol: u8) -> bool {
    matches!(protocol, 0 | ROUTING | 60)
}

/// What stands behind extension headers of IPv6, up to a fragment header: its protocol, its bytes, and whether one of them was a routing
/// header.
fn behind_extensions(mut protocol: u8, mut body: &[u8]) -> Option<(u8, &[u8], bool)> {
    let mut is_routed = false;
    while is_extension(protocol) {
        is_routed |= protocol == ROUTING;
        let (&next, &extra) = (body.first()?, body.get(1)?);
        (protocol, body) = (next, body.get(usize::from(extra) * 8 + 8..)?);
    }
    Some((protocol, body, is_routed))
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
