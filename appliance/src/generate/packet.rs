//! A packet before it has bytes: what it says, and how long it is.

use std::net::IpAddr;

use super::scenario::Tunnel;

/// Ethernet header.
pub(super) const ETHERNET_BYTES: u32 = 14;
/// The shortest frame, FCS not counted.
pub(super) const FRAME_BYTES_MIN: u32 = 60;
/// The longest IP packet of the link, and its longest IPv4 payload: a multiple of 8, as fragments want.
const MTU_BYTES: u32 = 1_500;
pub(super) const FRAGMENT_BYTES: u32 = 1_480;
/// TTL of a tunnel's outer header.
pub(super) const CARRIER_TTL: u8 = 64;

/// FIN.
pub(super) const FIN: u8 = 1;
/// SYN.
pub(super) const SYN: u8 = 2;
/// RST.
pub(super) const RST: u8 = 4;
/// PSH.
pub(super) const PSH: u8 = 8;
/// ACK.
pub(super) const ACK: u8 = 16;

/// One packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) ttl: u8,
    pub(super) body: Body,
    pub(super) payload: Payload,
    pub(super) carrier: Option<Carrier>,
    /// Of a packet in fragments, the only one that is sent; none: all are.
    pub(super) only: Option<u32>,
    /// IPv4 identification, and where the payload's filler begins.
    pub(super) salt: u16,
}

/// What stands behind the IP header.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    Tcp { ports: (u16, u16), seq: u32, ack: u32, flags: u8, options: TcpOptions },
    Udp { ports: (u16, u16) },
    Echo { reply: bool, id: u16, seq: u16 },
}

/// TCP options as common stacks send them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TcpOptions {
    /// None at all.
    None,
    /// MSS, SACK permitted, timestamps, window scale: on a SYN.
    Syn,
    /// Timestamps: on everything behind it.
    Stamps,
}

impl TcpOptions {
    pub(super) const fn bytes(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Syn => 20,
            Self::Stamps => 12,
        }
    }
}

/// What stands behind the transport header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload {
    pub(super) fill: Fill,
    pub(super) bytes: u32,
}

/// What a payload looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    Noise,
    Tls,
    DnsQuery,
    DnsAnswer,
    QuicInitial,
    Rtp,
    QuicShort,
    Ntp,
    NtpMonlist,
    Memcached,
    Cldap,
}

/// The outer header of a tunnelled packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carrier {
    pub(super) tunnel: Tunnel,
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
}

/// A part of a packet that fits into one frame: all of it, or a fragment of its IP payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: u32,
    pub(super) bytes: u32,
    pub(super) more: bool,
}

impl Piece {
    pub(super) const fn is_fragment(self) -> bool {
        self.more || self.at > 0
    }
}

/// Bytes of an IP header without options.
pub(super) const fn ip_header_bytes(address: IpAddr) -> u32 {
    if address.is_ipv4() { 20 } else { 40 }
}

impl Packet {
    /// Source and destination of the outermost header.
    pub(super) fn outer(&self) -> (IpAddr, IpAddr) {
        self.carrier.map_or((self.src, self.dst), |carrier| (carrier.src, carrier.dst))
    }

    /// TCP flags behind the outermost header; none where it is not TCP.
    pub(super) const fn outer_flags(&self) -> u8 {
        match self.body {
            Body::Tcp { flags, .. } if self.carrier.is_none() => flags,
            _ => 0,
        }
    }

    /// Source and destination port behind the outermost header.
    pub(super) const fn outer_ports(&self) -> Option<(u16, u16)> {
        match (self.carrier, self.body) {
            (None, Body::Tcp { ports, .. } | Body::Udp { ports }) => Some(ports),
            (Some(Carrier { tunnel: Tunnel::Vxlan, .. }), _) => Some(self.vxlan_ports()),
            _ => None,
        }
    }

    /// Of the datagram that carries it, if one does: the source port differs from flow to flow (RFC 7348, section 5).
    pub(super) const fn vxlan_ports(&self) -> (u16, u16) {
        (49_152 | self.salt, 4_789)
    }

    /// Protocol of the outermost header.
    pub(super) const fn outer_protocol(&self) -> u8 {
        match self.carrier {
            None => self.protocol(),
            Some(Carrier { tunnel: Tunnel::Vxlan, .. }) => 17,
            Some(Carrier { tunnel: Tunnel::Gre, .. }) => 47,
            Some(Carrier { tunnel: Tunnel::Ipip, .. }) => {
                if self.src.is_ipv4() {
                    4
                } else {
                    41
                }
            }
        }
    }

    /// Protocol of the packet itself.
    pub(super) const fn protocol(&self) -> u8 {
        match self.body {
            Body::Tcp { .. } => 6,
            Body::Udp { .. } => 17,
            Body::Echo { .. } if self.src.is_ipv4() => 1,
            Body::Echo { .. } => 58,
        }
    }

    /// TTL or hop limit of the outermost header.
    pub(super) const fn outer_ttl(&self) -> u8 {
        if self.carrier.is_some() { CARRIER_TTL } else { self.ttl }
    }

    /// Transport header and payload.
    pub(super) const fn body_bytes(&self) -> u32 {
        let header = match self.body {
            Body::Tcp { options, .. } => 20 + options.bytes(),
            Body::Udp { .. } | Body::Echo { .. } => 8,
        };
        header + self.payload.bytes
    }

    /// Bytes of the outer headers.
    fn carrier_bytes(&self) -> u32 {
        self.carrier.map_or(0, |carrier| {
            ip_header_bytes(carrier.src)
                + match carrier.tunnel {
                    Tunnel::Vxlan => 8 + 8 + ETHERNET_BYTES,
                    Tunnel::Gre => 4,
                    Tunnel::Ipip => 0,
                }
        })
    }

    /// The frames that it takes: IPv4 without a tunnel is fragmented where it must be.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> + use<> {
        let total = self.body_bytes();
        let whole = self.carrier.is_some() || self.src.is_ipv6() || total + 20 <= MTU_BYTES;
        let step = if whole { total.max(1) } else { FRAGMENT_BYTES };
        let pieces = (0..total.max(1)).step_by(step as usize).zip(0..);
        let only = self.only;
        pieces.filter(move |(_, number)| only.is_none_or(|only| only == *number)).map(move |(at, _)| Piece {
            at,
            bytes: step.min(total - at),
            more: at + step < total,
        })
    }

    /// Wire length of the frame that holds a piece, tags not counted.
    pub(super) fn wire_bytes(&self, piece: Piece) -> u32 {
        (ETHERNET_BYTES + self.carrier_bytes() + ip_header_bytes(self.src) + piece.bytes).max(FRAME_BYTES_MIN)
    }
}
