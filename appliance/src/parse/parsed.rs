//! What one frame is made of: filled in place, so that a frame of one IP header costs one header's writes.

use super::{DropReason, Fault};
use crate::limits::{IP_HEADERS_MAX, VLAN_TAGS_MAX};
use crate::options::{IpOptions, TcpOptions};
use crate::record::{Fragment, Record, Tunnel};
use crate::units::Family;

/// What one frame is made of. Reused from frame to frame: headers beyond `headers()` are leftovers and never shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parsed {
    /// What stands before the first IP header (after the mirror's own wrapping was stripped).
    pub link: Link,
    /// Ids that the mirror's own wrapping, or else the outermost tunnel, carries; for tag rules.
    pub envelope: Envelope,
    /// The virtual network of the outermost tunnel that has one, the mirror's own wrapping left out.
    pub network: Option<Network>,
    /// Bytes at the frame's start that the mirror added and that were stripped.
    pub stripped_bytes: u32,
    /// The first thing that was wrong behind a readable IP header.
    pub fault: Option<Fault>,
    pub(super) count: u8,
    pub(super) headers: [IpHeader; IP_HEADERS_MAX],
}

/// Layer 2 of one frame. Filled as far as it could be read, also where the frame is no packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// Source MAC of the outermost Ethernet header, if the link has one.
    pub src_mac: Option<[u8; 6]>,
    /// VLAN ids before the first IP header from the outside, 12 bits; zero beyond `vlan_count`.
    pub vlans: [u16; VLAN_TAGS_MAX],
    /// How many of `vlans` hold a tag.
    pub vlan_count: u8,
    /// Top MPLS label.
    pub mpls_label: Option<u32>,
    /// Bytes from the frame's start (after stripping) to its first IP header.
    pub bytes: u32,
}

/// Ids of an encapsulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// VXLAN or Geneve network id, 24 bits.
    pub vni: Option<u32>,
    /// GRE key.
    pub gre_key: Option<u32>,
    /// ERSPAN session id, 10 bits.
    pub erspan_session: Option<u16>,
}

/// What a VXLAN or Geneve header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its id, 24 bits.
    pub vni: u32,
    /// Position of the first IP header within it.
    pub from: u8,
}

/// One IP header and the transport header behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpHeader {
    /// Source; IPv4 in the first four bytes, the rest zero.
    pub src: [u8; 16],
    /// Destination, likewise. The header's own field, never a routing header's last hop.
    pub dst: [u8; 16],
    /// Bytes of header plus payload as the header claims; 0 where it claims none (TSO, jumbogram).
    pub ip_bytes: u32,
    /// Bytes behind the transport header (behind the IP header and its extensions if there is none), as the IP length
    /// says, never more than the wire can have held.
    pub payload_bytes: u32,
    /// TCP, UDP, SCTP, UDP-Lite or DCCP ports.
    pub ports: Option<(u16, u16)>,
    /// ICMP or ICMPv6 type and code.
    pub icmp: Option<(u8, u8)>,
    /// TCP flags, lowest bit FIN.
    pub tcp_flags: Option<u8>,
    /// True for IPv6.
    pub v6: bool,
    /// What carried it: the nearest encapsulation; `Tunnel::None` for the outermost.
    pub tunnel: Tunnel,
    /// Upper-layer protocol, extension headers (and AH) skipped.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// DSCP, 6 bits.
    pub dscp: u8,
    /// Fragmentation.
    pub fragment: Fragment,
    /// Bits of the TCP window, as in the header (not scaled): 0 for a window of 0, 16 for one from 32,768;
    /// [`Self::WINDOW_UNREAD`] where it was cut off.
    pub tcp_window: u8,
    /// The first four bits of the TCP sequence number.
    pub tcp_seq: u8,
    /// Options of TCP.
    pub tcp_options: TcpOptions,
    /// Options of IPv4, or extension headers of IPv6.
    pub ip_options: IpOptions,
}

impl IpHeader {
    /// A TCP header that ends before its window.
    pub const WINDOW_UNREAD: u8 = Record::WINDOW_UNREAD;

    /// Family of its addresses.
    pub const fn family(&self) -> Family {
        if self.v6 { Family::V6 } else { Family::V4 }
    }
}

impl Link {
    /// VLAN ids from the outside.
    #[inline]
    pub fn vlan_ids(&self) -> &[u16] {
        self.vlans.get(..usize::from(self.vlan_count)).unwrap_or(&self.vlans)
    }
}

impl Parsed {
    /// IP headers, outermost first. At least one after a parse that gave `Ok`.
    #[inline]
    pub fn headers(&self) -> &[IpHeader] {
        self.headers.get(..usize::from(self.count)).unwrap_or(&self.headers)
    }

    /// Forgets the last frame.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.link = Link::default();
        self.envelope = Envelope::default();
        self.network = None;
        self.stripped_bytes = 0;
        self.fault = None;
        self.count = 0;
    }

    /// Its first header, of which only a part is known.
    pub(crate) fn begin(&mut self, header: IpHeader) {
        (self.headers[0], self.count) = (header, 1);
    }

    /// Notes a fault, unless there was one before.
    #[cold]
    pub(super) fn blame(&mut self, fault: Fault) {
        self.fault = self.fault.or(Some(fault));
    }

    /// The last header that was begun.
    #[inline]
    pub(super) fn last(&mut self) -> Option<&mut IpHeader> {
        self.headers.get_mut(usize::from(self.count).wrapping_sub(1))
    }
}

/// What came of one frame, by value.
pub type Outcome = Result<Parsed, DropReason>;
