//! What an IP packet carries: a transport, or another header.

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk};
use super::{gre, icmp, sctp, tcp, udp};
use crate::record::Tunnel;

/// Protocol numbers. <https://www.iana.org/assignments/protocol-numbers>
mod number {
    pub(super) const ICMP: u8 = 1;
    pub(super) const IPV4: u8 = 4;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const DCCP: u8 = 33;
    pub(super) const IPV6: u8 = 41;
    pub(super) const GRE: u8 = 47;
    pub(super) const ICMPV6: u8 = 58;
    pub(super) const ETHERIP: u8 = 97;
    pub(super) const SCTP: u8 = 132;
    pub(super) const UDP_LITE: u8 = 136;
    pub(super) const MPLS: u8 = 137;
    pub(super) const ETHERNET: u8 = 143;
}

/// Reads what stands behind the last IP header, whose payload is `body` bytes on the wire.
#[inline]
pub(super) fn read(protocol: u8, c: &mut Cursor<'_>, w: &mut Walk<'_>, body: usize) -> Result<Next, Stop> {
    match protocol {
        number::TCP => Ok(tcp::read(c, w, body)),
        number::UDP => udp::read(c, w, body),
        number::ICMP | number::ICMPV6 => Ok(icmp::read(c, w, body)),
        _ => other(protocol, c, w, body),
    }
}

fn other(protocol: u8, c: &mut Cursor<'_>, w: &mut Walk<'_>, body: usize) -> Result<Next, Stop> {
    match protocol {
        number::IPV4 | number::IPV6 => Ok(inside(Tunnel::IpIp, Next::Ip, c, w)),
        number::GRE => gre::read(c, w),
        number::SCTP => Ok(sctp::read(c, w, body)),
        number::UDP_LITE => Ok(udp::lite(c, w, body)),
        number::DCCP => Ok(sctp::dccp(c, w, body)),
        number::MPLS => Ok(Next::Mpls),
        number::ETHERNET => Ok(inside(Tunnel::Other, Next::Ethernet, c, w)),
        number::ETHERIP => etherip(c, w),
        _ => Ok(Next::End),
    }
}

fn inside(tunnel: Tunnel, next: Next, c: &Cursor<'_>, w: &mut Walk<'_>) -> Next {
    w.enter(tunnel, c);
    next
}

/// RFC 3378: version 3 and 12 zero bits, then Ethernet.
fn etherip(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    if c.take::<2>().ok_or(Stop::Short)? != &[0x30, 0] {
        return Err(Stop::Bad);
    }
    Ok(inside(Tunnel::Other, Next::Ethernet, c, w))
}
