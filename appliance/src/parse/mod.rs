//! Burst → what each frame says. One forward pass over one contiguous header slice, no allocation, never past its end.
//!
//! One file a header. Every length in a packet is a claim: it is compared with the slice, never trusted. A frame with a
//! readable IP header is always parsed, whatever follows it: a fault behind it is counted beside ([`Fault`]). A frame
//! without one is refused with its [`DropReason`].

#[cfg(test)]
mod sample;

use crate::limits::IP_HEADERS_MAX;
use crate::record::{Fragment, Tunnel};
use crate::units::Family;

/// What one frame is made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parsed {
    /// What stands before the first IP header (after the mirror's own wrapping was stripped).
    pub link: Link,
    /// Ids that the mirror's own wrapping, or else the outermost tunnel, carries; for tag rules.
    pub envelope: Envelope,
    /// Bytes at the frame's start that the mirror added and that were stripped.
    pub stripped_bytes: u32,
    /// The first thing that was wrong behind a readable IP header.
    pub fault: Option<Fault>,
    headers: [IpHeader; IP_HEADERS_MAX],
    count: u8,
}

/// Layer 2 of one frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// Source MAC, if the link has one.
    pub src_mac: Option<[u8; 6]>,
    /// VLAN ids from the outside, 12 bits.
    pub vlans: [u16; 2],
    /// Tags seen, also beyond the two that are kept.
    pub vlan_count: u8,
    /// Top MPLS label.
    pub mpls_label: Option<u32>,
    /// Bytes from the frame's start (after stripping) to its first IP header.
    pub bytes: u32,
}

/// Ids of an encapsulation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envelope {
    /// VXLAN or Geneve network id, 24 bits.
    pub vni: Option<u32>,
    /// GRE key.
    pub gre_key: Option<u32>,
    /// ERSPAN session id, 10 bits.
    pub erspan_session: Option<u16>,
}

/// One IP header and the transport header behind it.
#[derive(Clone, Copy, Debug, Default)]
pub struct IpHeader {
    /// True for IPv6.
    pub v6: bool,
    /// What carried it; `Tunnel::None` for the outermost.
    pub tunnel: Tunnel,
    /// Source; IPv4 in the first four bytes, the rest zero.
    pub src: [u8; 16],
    /// Destination, likewise. The header's own field, never a routing header's last hop.
    pub dst: [u8; 16],
    /// Upper-layer protocol, extension headers (and AH) skipped.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// DSCP.
    pub dscp: u8,
    /// Fragmentation.
    pub fragment: Fragment,
    /// Bytes of header plus payload as the header claims; 0 where it claims none (TSO, jumbogram).
    pub ip_bytes: u32,
    /// Bytes behind the transport header (or behind the IP header if there is none), by the IP length.
    pub payload_bytes: u32,
    /// TCP, UDP, SCTP, UDP-Lite or DCCP ports.
    pub ports: Option<(u16, u16)>,
    /// TCP flags.
    pub tcp_flags: Option<u8>,
    /// ICMP or ICMPv6 type and code.
    pub icmp: Option<(u8, u8)>,
}

impl IpHeader {
    /// Family of its addresses.
    pub const fn family(&self) -> Family {
        if self.v6 { Family::V6 } else { Family::V4 }
    }
}

impl Parsed {
    /// IP headers, outermost first.
    pub fn headers(&self) -> &[IpHeader] {
        &self.headers[..usize::from(self.count)]
    }
}

/// Something wrong behind a readable IP header. The packet counts; so does the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {}

/// Why a frame is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {}
