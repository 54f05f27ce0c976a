//! The usual frame at a stretch: Ethernet, up to two VLAN tags, IPv4 without options or IPv6 without extensions, and TCP, UDP
//! or ICMP whole.
//!
//! The walk is the definition: what is taken here is what it would read, field by field, and whatever it would find fault
//! with, or look behind, is left to it. Both are held against each other on every capture.
//!
//! What differs from packet to packet (TCP or UDP, a header longer or shorter) is computed, not branched on: nobody can foresee
//! it, and a branch that is foreseen wrongly costs as much as all of this.

use super::ethernet::{is_vlan, kind};
use super::tcp::window_bits;
use super::udp;
use super::upper::number;
use crate::record::{Has, Record};

const ETHERNET_BYTES: usize = 14;
const V4_BYTES: usize = 20;
const V6_BYTES: usize = 40;
/// What is read behind an IP header: as much as TCP has.
const UPPER_BYTES: usize = 20;
/// What there is at least: a UDP header, and what is read of ICMP.
const LEAST_BYTES: usize = 8;
/// Of an IPv4 header's first eight bytes: version and length, more fragments, offset.
const V4_KIND: u64 = 0xFF3F_0000_0000_00FF;

/// What a frame says, but for addresses: few numbers, as a packed record has them, that stay in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual {
    /// Bytes before the IP header.
    pub link_bytes: u32,
    /// VLAN ids from the outside, each with [`Self::TAG`]; zero where there is none.
    pub vlans: [u16; 2],
    /// Which fields of its record hold something.
    pub has: Has,
    /// Of an IPv4 packet, its addresses as they stand in its header, the source first.
    pub addresses: u64,
    /// From the lowest byte on: upper-layer protocol, TTL or hop limit, TCP flags, DSCP.
    pub small: u32,
    /// Source port, or ICMP type and code; above it the destination port.
    pub ports: u32,
    /// Bytes of the IP packet, as its header says; the wire holds them.
    pub ip_bytes: u32,
    /// Bytes behind the transport header.
    pub payload_bytes: u32,
}

/// What is the same in both families: the header's bytes, the packet's, and what it says of itself.
struct Ip {
    head: u32,
    bytes: u32,
    protocol: u8,
    ttl: u8,
    dscp: u8,
    has: Has,
}

impl Usual {
    /// A VLAN tag is there.
    pub const TAG: u16 = 1 << 12;

    /// Reads a frame that begins with an Ethernet header and has `wire_bytes` on the wire, never less than `bytes`. None: it is
    /// for the walk.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "its result is taken apart at once, and need not be in memory")]
    pub(super) fn read(bytes: &[u8], wire_bytes: u32, reads_options: bool) -> Option<Self> {
        let ethernet: &[u8; ETHERNET_BYTES] = bytes.first_chunk()?;
        let mut kind = u16::from_be_bytes([ethernet[12], ethernet[13]]);
        let (mut rest, mut vlans) = (&bytes[ETHERNET_BYTES..], [0; 2]);
        if kind != kind::IPV4 && kind != kind::IPV6 {
            (kind, rest, vlans) = tagged(kind, rest)?;
        }
        let link_bytes = small(bytes.len() - rest.len());
        let of = Self { link_bytes, vlans, has: of_link(vlans), addresses: 0, small: 0, ports: 0, ip_bytes: 0, payload_bytes: 0 };
        let room = wire_bytes - link_bytes;
        if kind == kind::IPV4 {
            match rest.first_chunk() {
                Some(h) => of.v4(h, room, reads_options),
                None => of.v4(&padded(rest, V4_BYTES)?, room, reads_options).filter(|of| of.protocol() != number::TCP),
            }
        } else {
            match rest.first_chunk() {
                Some(h) => of.v6(h, room, reads_options),
                None => of.v6(&padded(rest, V6_BYTES)?, room, reads_options).filter(|of| of.protocol() != number::TCP),
            }
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as above")]
    fn v4(mut self, h: &[u8; V4_BYTES + UPPER_BYTES], room: u32, reads_options: bool) -> Option<Self> {
        let kind = u64::from_le_bytes([h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]]) & V4_KIND;
        let bytes = u32::from(u16::from_be_bytes([h[2], h[3]]));
        let ip = Ip { head: 20, bytes, protocol: h[9], ttl: h[8], dscp: h[1] >> 2, has: Has(0) };
        self.addresses = u64::from_le_bytes([h[12], h[13], h[14], h[15], h[16], h[17], h[18], h[19]]);
        let upper = h.last_chunk()?;
        self.with(&ip, upper, room, reads_options).filter(|_| kind == 0x45)
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as above")]
    fn v6(self, h: &[u8; V6_BYTES + UPPER_BYTES], room: u32, reads_options: bool) -> Option<Self> {
        let bytes = u32::from(u16::from_be_bytes([h[4], h[5]]));
        let dscp = (h[0] & 0x0F) << 2 | h[1] >> 6;
        let ip = Ip { head: 40, bytes: bytes + 40, protocol: h[6], ttl: h[7], dscp, has: Has::V6 };
        let upper = h.last_chunk()?;
        self.with(&ip, upper, room, reads_options).filter(|_| h[0] >> 4 == 6 && bytes != 0)
    }

    /// With the transport header, if all of it is there and nothing is behind it that is looked at.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as above")]
    fn with(mut self, ip: &Ip, h: &[u8; UPPER_BYTES], room: u32, reads_options: bool) -> Option<Self> {
        let (is_tcp, is_udp) = (ip.protocol == number::TCP, ip.protocol == number::UDP);
        let is_icmp = (ip.protocol == number::ICMP) | (ip.protocol == number::ICMPV6);
        let tcp_bytes = u32::from(h[12] >> 4) * 4;
        let (least, head) = if is_tcp { (20, tcp_bytes) } else { (8, 8) };
        // Less than the IP header is below zero, and so more than the wire holds.
        let body = ip.bytes.wrapping_sub(ip.head);
        let is_there = (body <= room - ip.head) & (body >= least);
        let ports = u32::from_be_bytes([h[0], h[1], h[2], h[3]]).rotate_left(16);
        let (length, dst_port) = (u16::from_be_bytes([h[4], h[5]]), u16::from_be_bytes([h[2], h[3]]));
        let tcp = is_tcp & (tcp_bytes >= 20) & ((tcp_bytes == 20) | !reads_options);
        let udp = is_udp & (length.wrapping_sub(1) >= 7) & !udp::is_tunnel(dst_port);
        let flags = if is_tcp { u32::from(h[13]) } else { 0 };
        self.ports = if is_icmp { ports & 0xFFFF } else { ports };
        self.small = u32::from(ip.protocol) | u32::from(ip.ttl) << 8 | flags << 16 | u32::from(ip.dscp) << 24;
        let upper = if is_icmp { Has::ICMP.0 } else { Has::PORTS.0 } | if is_tcp { Has::TCP_FLAGS.0 } else { 0 };
        self.has.0 |= ip.has.0 | upper;
        (self.ip_bytes, self.payload_bytes) = (ip.bytes, body.saturating_sub(head));
        (is_there & (tcp | udp | is_icmp)).then_some(self)
    }

    /// Whether the IP header is IPv6's.
    #[inline]
    pub const fn is_v6(&self) -> bool {
        self.has.0 & Has::V6.0 != 0
    }

    /// Upper-layer protocol.
    #[inline]
    pub const fn protocol(&self) -> u8 {
        self.small.to_le_bytes()[0]
    }

    /// DSCP, 6 bits.
    #[inline]
    pub const fn dscp(&self) -> u8 {
        self.small.to_le_bytes()[3]
    }

    /// What only some configurations keep of it; the rest of the record is empty.
    pub fn extras(&self, bytes: &[u8]) -> Record {
        let [vlan, inner_vlan] = self.vlans.map(|id| id & !Self::TAG);
        let mut record = Record { vlan, inner_vlan, ..Record::default() };
        if let Some(mac) = bytes.get(6..).and_then(|rest| rest.first_chunk()) {
            record.src_mac = *mac;
        }
        let head = self.link_bytes as usize + if self.is_v6() { V6_BYTES } else { V4_BYTES };
        if let Some(h) = bytes.get(head..).and_then(|rest| rest.first_chunk::<UPPER_BYTES>())
            && self.protocol() == number::TCP
        {
            (record.tcp_window, record.tcp_seq) = (window_bits(h[14], h[15]), h[4] >> 4);
        }
        record
    }
}

/// A frame's end with zeros behind it, if an IP header of so many bytes is there, and behind it as much as is needed. It is too
/// short for TCP.
#[cold]
fn padded<const N: usize>(rest: &[u8], head_bytes: usize) -> Option<[u8; N]> {
    let mut whole = [0; N];
    if rest.len() < head_bytes + LEAST_BYTES {
        return None;
    }
    whole.get_mut(..rest.len())?.copy_from_slice(rest);
    Some(whole)
}

#[inline]
const fn of_link(vlans: [u16; 2]) -> Has {
    Has::MAC.with(Has::VLAN, vlans[0] != 0).with(Has::INNER_VLAN, vlans[1] != 0)
}

/// Behind one or two VLAN tags.
#[inline]
fn tagged(mut kind: u16, mut rest: &[u8]) -> Option<(u16, &[u8], [u16; 2])> {
    let mut vlans = [0; 2];
    for vlan in &mut vlans {
        if !is_vlan(kind) {
            break;
        }
        let tag: &[u8; 4] = rest.first_chunk()?;
        *vlan = u16::from_be_bytes([tag[0], tag[1]]) & 0x0FFF | Usual::TAG;
        (kind, rest) = (u16::from_be_bytes([tag[2], tag[3]]), &rest[4..]);
    }
    (kind == kind::IPV4 || kind == kind::IPV6).then_some((kind, rest, vlans))
}

/// Bytes before an IP header.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "22 at most")]
const fn small(bytes: usize) -> u32 {
    bytes as u32
}
