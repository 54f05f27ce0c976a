//! What an IP packet carries: a transport, or another header.

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk};
use super::{gre, icmp, sctp, tcp, udp};
use crate::record::Tunnel;

/// Protocol numbers. <https://www.iana.org/assignments/protocol-numbers>
pub(super) mod number {
    pub(in super::super) const ICMP: u8 = 1;
    pub(in super::super) const IPV4: u8 = 4;
    pub(in super::super) const TCP: u8 = 6;
    pub(in super::super) const UDP: u8 = 17;
    pub(in super::super) const DCCP: u8 = 33;
    pub(in super::super) const IPV6: u8 = 41;
    pub(in super::super) const GRE: u8 = 47;
    pub(in super::super) const ICMPV6: u8 = 58;
    pub(in super::super) const ETHERIP: u8 = 97;
    pub(in super::super) const SCTP: u8 = 132;
    pub(in super::super) const UDP_LITE: u8 = 136;
    pub(in super::super) const MPLS: u8 = 137;
    pub(in super::super) const ETHERNET: u8 = 143;
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

#[cfg(test)]
mod tests {
    use super::super::Fault;
    use super::super::frames::{address4, address6, eth, inner4, join, labels, packet, v4, v6};
    use crate::record::Tunnel;

    #[test]
    fn ip_in_ip_of_every_pair() {
        for (kind, outer) in [(0x0800, v4(1, 4, &inner4(7))), (0x86DD, v6(1, 4, &inner4(7)))] {
            let parsed = packet(&eth(kind, &outer));
            assert_eq!((parsed.headers()[1].src, parsed.headers()[1].tunnel), (address4(7), Tunnel::IpIp));
        }
        for (kind, outer) in [(0x0800, v4(1, 41, &v6(7, 59, &[]))), (0x86DD, v6(1, 41, &v6(7, 59, &[])))] {
            let parsed = packet(&eth(kind, &outer));
            assert_eq!((parsed.headers()[1].src, parsed.headers()[1].tunnel), (address6(7), Tunnel::IpIp));
        }
    }

    #[test]
    fn ethernet_and_mpls_in_ip() {
        let inside = eth(0x0800, &inner4(7));
        assert_eq!(packet(&eth(0x86DD, &v6(1, 143, &inside))).headers()[1].tunnel, Tunnel::Other);
        assert_eq!(packet(&eth(0x0800, &v4(1, 97, &join(&[&[0x30, 0], &inside])))).headers()[1].tunnel, Tunnel::Other);
        assert_eq!(packet(&eth(0x0800, &v4(1, 97, &join(&[&[0x20, 0], &inside])))).fault, Some(Fault::BadTunnel));
        let parsed = packet(&eth(0x0800, &v4(1, 137, &labels(&[8], &inner4(7)))));
        assert_eq!((parsed.headers()[1].tunnel, parsed.link.mpls_label), (Tunnel::Mpls, None));
    }

    #[test]
    fn nesting_beyond_the_bound_is_a_fault() {
        let nested = |depth: u8| (1..=depth).rev().fold(inner4(0), |inside, n| v4(n, 4, &inside));
        assert_eq!((packet(&eth(0x0800, &nested(5))).headers().len(), packet(&eth(0x0800, &nested(5))).fault), (6, None));
        let parsed = packet(&eth(0x0800, &nested(60)));
        assert_eq!((parsed.headers().len(), parsed.fault, parsed.headers()[0].src), (6, Some(Fault::TunnelDepth), address4(1)));
    }

    #[test]
    fn what_is_inside_never_changes_what_is_outside() {
        let outer = packet(&eth(0x0800, &v4(1, 4, &[0xFF; 40])));
        assert_eq!((outer.headers().len(), outer.fault), (1, Some(Fault::BadInnerIp)));
        let with_inner = packet(&eth(0x0800, &v4(1, 4, &v4(9, 17, &[0; 20]))));
        assert_eq!(outer.headers()[0], with_inner.headers()[0]);
    }
}
