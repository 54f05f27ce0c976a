//! The usual frame at a stretch: Ethernet, up to two VLAN tags, IPv4 without options or IPv6 without extensions, and TCP, UDP
//! or ICMP whole.
//!
//! The walk is the definition: what is taken here is what it would read, field by field, and whatever it would find fault
//! with, or look behind, is left to it. Both are held against each other on every capture.

use super::ethernet::{is_vlan, kind};
use super::tcp::window_bits;
use super::udp;
use super::upper::number;
use crate::record::{Has, Record};

const ETHERNET_BYTES: usize = 14;
const V4_BYTES: usize = 20;
const V6_BYTES: usize = 40;
const TCP_BYTES: usize = 20;
/// A UDP header, and what is read of ICMP.
const LEAST_BYTES: usize = 8;
/// More fragments, or an offset.
const FRAGMENT: u16 = 0x3FFF;

/// What a frame says, but for what stands in it as it is: few numbers, that stay in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual {
    /// Bytes before the IP header.
    pub link_bytes: u32,
    /// VLAN ids from the outside, each with [`Self::TAG`]; zero where there is none.
    pub vlans: [u16; 2],
    /// The IP header is IPv6's.
    pub is_v6: bool,
    /// Which fields of its record hold something.
    pub has: Has,
    /// Upper-layer protocol.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// DSCP, 6 bits.
    pub dscp: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// Source port, or ICMP type and code.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Bytes of the IP packet, as its header says; the wire holds them.
    pub ip_bytes: u32,
    /// Bytes behind the transport header.
    pub payload_bytes: u32,
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
        let (h, left): (&[u8; V4_BYTES + LEAST_BYTES], usize) = (rest.first_chunk()?, rest.len());
        if kind == kind::IPV4 {
            if h[0] != 0x45 || u16::from_be_bytes([h[6], h[7]]) & FRAGMENT != 0 {
                return None;
            }
            let ip_bytes = u32::from(u16::from_be_bytes([h[2], h[3]]));
            let has = of_link(vlans);
            let of = Self { link_bytes: small(bytes.len() - left), vlans, has, ttl: h[8], dscp: h[1] >> 2, ip_bytes, ..Self::NONE };
            of.upper(h[9], (&rest[V4_BYTES..], 20), wire_bytes, reads_options)
        } else {
            let h: &[u8; V6_BYTES] = rest.first_chunk()?;
            let payload = u32::from(u16::from_be_bytes([h[4], h[5]]));
            if h[0] >> 4 != 6 || payload == 0 {
                return None;
            }
            let (has, dscp) = (of_link(vlans).with(Has::V6, true), (h[0] & 0x0F) << 2 | h[1] >> 6);
            let link_bytes = small(bytes.len() - left);
            let of = Self { link_bytes, vlans, is_v6: true, has, ttl: h[7], dscp, ip_bytes: payload + 40, ..Self::NONE };
            of.upper(h[6], (&rest[V6_BYTES..], 40), wire_bytes, reads_options)
        }
    }

    const NONE: Self = Self {
        link_bytes: 0,
        vlans: [0; 2],
        is_v6: false,
        has: Has(0),
        protocol: 0,
        ttl: 0,
        dscp: 0,
        tcp_flags: 0,
        src_port: 0,
        dst_port: 0,
        ip_bytes: 0,
        payload_bytes: 0,
    };

    /// With the transport header, if all of it is there and nothing is behind it that is looked at.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as above")]
    fn upper(mut self, protocol: u8, (rest, head): (&[u8], u32), wire_bytes: u32, reads_options: bool) -> Option<Self> {
        let h: &[u8; LEAST_BYTES] = rest.first_chunk()?;
        // Less than the IP header is below zero, and so more than the wire holds.
        let body = self.ip_bytes.wrapping_sub(head);
        if body > wire_bytes - self.link_bytes - head || body < 8 {
            return None;
        }
        self.protocol = protocol;
        (self.src_port, self.dst_port) = (u16::from_be_bytes([h[0], h[1]]), u16::from_be_bytes([h[2], h[3]]));
        self.payload_bytes = body - 8;
        match protocol {
            number::UDP => {
                let length = u16::from_be_bytes([h[4], h[5]]);
                self.has.0 |= Has::PORTS.0;
                (length.wrapping_sub(1) >= 7 && !udp::is_tunnel(self.dst_port)).then_some(self)
            }
            number::TCP => {
                let h: &[u8; TCP_BYTES] = rest.first_chunk()?;
                let bytes = u32::from(h[12] >> 4) * 4;
                (self.tcp_flags, self.payload_bytes) = (h[13], body.saturating_sub(bytes));
                self.has.0 |= Has::PORTS.0 | Has::TCP_FLAGS.0;
                (body >= 20 && bytes >= 20 && (bytes == 20 || !reads_options)).then_some(self)
            }
            number::ICMP | number::ICMPV6 => {
                (self.dst_port, self.has.0) = (0, self.has.0 | Has::ICMP.0);
                Some(self)
            }
            _ => None,
        }
    }

    /// What only some configurations keep of it; the rest of the record is empty.
    pub fn extras(&self, bytes: &[u8]) -> Record {
        let [vlan, inner_vlan] = self.vlans.map(|id| id & !Self::TAG);
        let mut record = Record { vlan, inner_vlan, ..Record::default() };
        if let Some(mac) = bytes.get(6..).and_then(|rest| rest.first_chunk()) {
            record.src_mac = *mac;
        }
        let head = self.link_bytes as usize + if self.is_v6 { V6_BYTES } else { V4_BYTES };
        if let Some(h) = bytes.get(head..).and_then(|rest| rest.first_chunk::<TCP_BYTES>())
            && self.protocol == number::TCP
        {
            (record.tcp_window, record.tcp_seq) = (window_bits(h[14], h[15]), h[4] >> 4);
        }
        record
    }
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
