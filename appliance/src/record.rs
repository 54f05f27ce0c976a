//! A packet's quintessence: everything any statistic may ask of it, and never a pointer into the frame.
//!
//! Made by `classify` out of what `parse` read; `Copy`, so that batches and rings hold it by value.

use crate::options::{IpOptions, TcpOptions};
use crate::units::{Decision, Family};

/// Whether the packet is a piece of a larger one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fragment {
    /// Not fragmented (an IPv6 atomic fragment counts here).
    #[default]
    None,
    /// Offset zero, more to come: has the ports.
    First,
    /// Offset above zero: has no ports.
    Later,
}

impl Fragment {
    /// Of its number.
    #[inline]
    pub const fn of(number: u8) -> Self {
        match number {
            0 => Self::None,
            1 => Self::First,
            _ => Self::Later,
        }
    }
}

/// What the header of the record was carried in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tunnel {
    /// Nothing: the outermost IP header.
    #[default]
    None,
    /// IP in IP, any of the four combinations.
    IpIp,
    /// GRE (RFC 2784), also with Ethernet inside.
    Gre,
    /// ERSPAN types I to III.
    Erspan,
    /// VXLAN (RFC 7348), also VXLAN-GPE.
    Vxlan,
    /// Geneve (RFC 8926).
    Geneve,
    /// GTP-U (3GPP TS 29.281).
    GtpU,
    /// MPLS in UDP or in GRE, or a pseudowire.
    Mpls,
    /// NSH (RFC 8300).
    Nsh,
    /// Any other.
    Other,
}

impl Tunnel {
    /// Of its number.
    pub const fn of(number: u8) -> Self {
        match number {
            0 => Self::None,
            1 => Self::IpIp,
            2 => Self::Gre,
            3 => Self::Erspan,
            4 => Self::Vxlan,
            5 => Self::Geneve,
            6 => Self::GtpU,
            7 => Self::Mpls,
            8 => Self::Nsh,
            _ => Self::Other,
        }
    }
}

/// Which optional fields of a [`Record`] hold something, and what kind of packet it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Has(pub u16);

impl Has {
    /// `src_port` and `dst_port` were read.
    pub const PORTS: Self = Self(1);
    /// `src_port` holds ICMP type (high byte) and code (low byte).
    pub const ICMP: Self = Self(1 << 1);
    /// `tcp_flags` was read.
    pub const TCP_FLAGS: Self = Self(1 << 2);
    /// `vlan` holds the outer VLAN id.
    pub const VLAN: Self = Self(1 << 3);
    /// `inner_vlan` holds the second VLAN id.
    pub const INNER_VLAN: Self = Self(1 << 4);
    /// `mpls_label` holds the top label.
    pub const MPLS: Self = Self(1 << 5);
    /// `rule` holds the mitigation rule's id.
    pub const RULE: Self = Self(1 << 6);
    /// `src_mac` was read.
    pub const MAC: Self = Self(1 << 7);
    /// The packet goes towards the record's range.
    pub const INGRESS: Self = Self(1 << 8);
    /// The packet comes from the record's range.
    pub const EGRESS: Self = Self(1 << 9);
    /// The scrubber dropped it.
    pub const BLOCKED: Self = Self(1 << 10);
    /// Its sampler is random: intervals may be claimed.
    pub const RANDOM: Self = Self(1 << 11);
    /// The addresses are IPv6.
    pub const V6: Self = Self(1 << 12);

    /// Whether all of `what` is there.
    #[inline]
    pub const fn all(self, what: Self) -> bool {
        self.0 & what.0 == what.0
    }

    /// With `what` added if `yes`.
    #[inline]
    #[must_use]
    pub const fn with(self, what: Self, yes: bool) -> Self {
        Self(self.0 | if yes { what.0 } else { 0 })
    }
}

/// One packet as seen by one range.
///
/// IPv4 addresses stand in the first 4 bytes of `src` and `dst`, the rest being zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Record {
    /// Source address, network order.
    pub src: [u8; 16],
    /// Destination address, network order.
    pub dst: [u8; 16],
    /// When it was received, nanoseconds since 1970.
    pub time_ns: u64,
    /// Bytes on the wire, FCS not counted, less what the mirror added.
    pub wire_bytes: u32,
    /// Bytes behind the transport header, as the IP length says, never more than the wire can have held.
    pub payload_bytes: u32,
    /// Source port, or ICMP type and code.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Outer VLAN id.
    pub vlan: u16,
    /// Second VLAN id.
    pub inner_vlan: u16,
    /// Top MPLS label, 20 bits.
    pub mpls_label: u32,
    /// Mitigation rule that dropped it.
    pub rule: u32,
    /// Source MAC.
    pub src_mac: [u8; 6],
    /// How many packets this one stands for, at least 1.
    pub weight: u16,
    /// Index of the port it came in by, as in the configuration.
    pub rx_port: u16,
    /// Which fields hold something.
    pub has: Has,
    /// Upper-layer protocol, extension headers skipped.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// DSCP, 6 bits.
    pub dscp: u8,
    /// TCP flags, lowest bit FIN.
    pub tcp_flags: u8,
    /// Piece of a larger packet.
    pub fragment: Fragment,
    /// What carried the header.
    pub tunnel: Tunnel,
    /// Options of TCP.
    pub tcp_options: TcpOptions,
    /// Options of IPv4, or extension headers of IPv6.
    pub ip_options: IpOptions,
    /// Bits of the TCP window, 0 to 16; [`Self::WINDOW_UNREAD`] where it was cut off.
    pub tcp_window: u8,
    /// The first four bits of the TCP sequence number.
    pub tcp_seq: u8,
    /// The link that it came by, from 1; 0: none of those that are configured.
    pub link: u8,
}

const _: () = assert!(size_of::<Record>() == 96, "columns are made of it by value");

impl Record {
    /// A TCP header that ends before its window.
    pub const WINDOW_UNREAD: u8 = u8::MAX;

    /// Family of its addresses.
    #[inline]
    pub const fn family(&self) -> Family {
        if self.has.all(Has::V6) { Family::V6 } else { Family::V4 }
    }

    /// What the scrubber did with it.
    #[inline]
    pub const fn decision(&self) -> Decision {
        if self.has.all(Has::BLOCKED) { Decision::Blocked } else { Decision::Passed }
    }
}

/// Packets of a flow record as one range sees it: what they share, and what they add up to.
///
/// One record of an exporter becomes a row, or a few where its packets are a sample: see `analyse/rows.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRow {
    /// Keys, direction, decision and weight. With [`Has::RANDOM`] the weight can be relied on, whatever the decision. Has no
    /// [`Record::wire_bytes`] unless [`Self::SIZE`] is told.
    pub record: Record,
    /// How many packets.
    pub packets: u32,
    /// How many bytes they have together.
    pub bytes: u32,
    /// How many rows this one stands for, each with these packets and bytes, at least 1: a record of many samples has few sizes.
    pub times: u64,
    /// The exporter's address; of IPv4 as `::ffff:192.0.2.1`.
    pub exporter: [u8; 16],
    /// Interface that they came in by, as the exporter numbers it.
    pub in_if: u32,
    /// Interface that they left by.
    pub out_if: u32,
    /// Which keys the record tells beside those that [`Has`] knows of.
    pub told: u8,
}

impl FlowRow {
    /// It is one packet, and this long.
    pub const SIZE: u8 = 1;
    /// TTL or hop limit.
    pub const TTL: u8 = 1 << 1;
    /// Whether it is a piece of a larger packet.
    pub const FRAGMENT: u8 = 1 << 2;
    /// The protocol.
    pub const PROTOCOL: u8 = 1 << 3;

    /// Whether it tells this.
    #[inline]
    pub const fn tells(&self, what: u8) -> bool {
        self.told & what == what
    }
}
