//! GRE: RFC 2784, keys and sequence numbers (RFC 2890), routing (RFC 1701), PPTP's version 1 (RFC 2637), transparent
//! Ethernet (RFC 1701's type 0x6558), WCCP, Ethernet over IP.

use super::cursor::Cursor;
use super::erspan;
use super::ethernet::kind;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::limits::GRE_ROUTES_MAX;
use crate::record::Tunnel;

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;
const WCCP: u16 = 0x883E;
/// MikroTik's own, in version 1: the key is a payload length and a tunnel id.
const ETHERNET_OVER_IP: u16 = 0x6400;

/// Flags and type, the fields that the flags announce, and what the type says.
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 4] = c.take().ok_or(Stop::Short)?;
    let (flags, kind) = (u16::from_be_bytes([h[0], h[1]]), u16::from_be_bytes([h[2], h[3]]));
    match flags & VERSION {
        0 => fields(flags, c, w)?,
        1 if kind == kind::PPP && flags & KEY != 0 => pptp_fields(flags, c)?,
        1 if kind == ETHERNET_OVER_IP && flags & KEY != 0 => c.skip(4).ok_or(Stop::Short)?,
        _ => return Err(Stop::Bad),
    }
    let next = match kind {
        erspan::TYPE_II => return erspan::read_ii(flags & SEQUENCE != 0, c, w),
        erspan::TYPE_III => return erspan::read_iii(c, w),
        kind::IPV4 | kind::IPV6 => Next::Ip,
        kind::TRANSPARENT_ETHERNET | ETHERNET_OVER_IP => Next::Ethernet,
        kind::MPLS | kind::MPLS_UPSTREAM => Next::Mpls,
        kind::NSH => Next::Nsh,
        kind::VLAN | kind::PROVIDER_VLAN | kind::CISCO_METADATA | kind::MACSEC => Next::EtherType(kind),
        // An acknowledgement alone carries nothing.
        kind::PPP if c.left() > 0 => Next::Ppp,
        WCCP => wccp(c)?,
        _ => return Err(Stop::NonIp),
    };
    w.enter(Tunnel::Gre, c);
    Ok(next)
}

fn fields(flags: u16, c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<(), Stop> {
    if flags & (CHECKSUM | ROUTING) != 0 {
        c.skip(4).ok_or(Stop::Short)?;
    }
    if flags & KEY != 0 {
        let key: &[u8; 4] = c.take().ok_or(Stop::Short)?;
        if w.in_envelope() {
            w.out.envelope.gre_key = Some(u32::from_be_bytes(*key));
        }
    }
    if flags & SEQUENCE != 0 {
        c.skip(4).ok_or(Stop::Short)?;
    }
    if flags & ROUTING != 0 { routes(c) } else { Ok(()) }
}

/// Source route entries: family, offset, length, route; an empty one is the last.
fn routes(c: &mut Cursor<'_>) -> Result<(), Stop> {
    for _ in 0..GRE_ROUTES_MAX {
        let h: &[u8; 4] = c.take().ok_or(Stop::Short)?;
        if *h == [0, 0, 0, 0] {
            return Ok(());
        }
        c.skip(usize::from(h[3])).ok_or(Stop::Short)?;
    }
    Err(Stop::Depth)
}

/// The key is a payload length and a call id.
fn pptp_fields(flags: u16, c: &mut Cursor<'_>) -> Result<(), Stop> {
    let numbers = u16::count_ones(flags & (SEQUENCE | ACKNOWLEDGEMENT));
    c.skip(if numbers == 0 {
        4
    } else if numbers == 1 {
        8
    } else {
        12
    })
    .ok_or(Stop::Short)
}

/// Version 2 puts a redirect header of four bytes before IP; version 1 does not. Only IPv4 is redirected.
fn wccp(c: &mut Cursor<'_>) -> Result<Next, Stop> {
    let &[first] = c.peek().ok_or(Stop::Short)?;
    if first >> 4 != 4 {
        c.skip(4).ok_or(Stop::Short)?;
    }
    Ok(Next::Ip)
}

#[cfg(test)]
mod tests {
    use super::super::frames::{eth, inner4, join, labels, packet, tag, v4};
    use super::super::{Fault, Parsed};
    use crate::record::Tunnel;

    fn read(parts: &[&[u8]]) -> Parsed {
        packet(&eth(0x0800, &v4(1, 47, &join(parts))))
    }

    #[test]
    fn every_flag() {
        for flags in 0..16u8 {
            let has = |bit: u8| flags & bit != 0;
            let fields = [
                &[0xCC; 4][..if has(8) || has(4) { 4 } else { 0 }],
                &[0, 0, 0, 42][..if has(2) { 4 } else { 0 }],
                &[0x55; 4][..if has(1) { 4 } else { 0 }],
                &[8, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0][..if has(4) { 12 } else { 0 }],
            ];
            let parsed = read(&[&[flags << 4, 0, 8, 0], &fields.concat(), &inner4(7)]);
            assert_eq!((parsed.headers().len(), parsed.fault), (2, None), "{flags:b}");
            assert_eq!((parsed.headers()[1].tunnel, parsed.envelope.gre_key), (Tunnel::Gre, has(2).then_some(42)), "{flags:b}");
        }
    }

    #[test]
    fn every_type() {
        let ethernet = eth(0x0800, &inner4(7));
        let cases: [(u16, Vec<u8>, Tunnel); 8] = [
            (0x0800, inner4(7), Tunnel::Gre),
            (0x6558, ethernet.clone(), Tunnel::Gre),
            (0x8847, labels(&[5], &inner4(7)), Tunnel::Mpls),
            (0x880B, join(&[&[0, 0x21], &inner4(7)]), Tunnel::Gre),
            (0x8100, tag(9, 0x0800, &inner4(7)), Tunnel::Gre),
            (0x883E, inner4(7), Tunnel::Gre),
            (0x883E, join(&[&[0, 0, 0, 1], &inner4(7)]), Tunnel::Gre),
            (0x88BE, ethernet, Tunnel::Erspan),
        ];
        for (kind, inside, tunnel) in cases {
            let parsed = read(&[&[0, 0], &kind.to_be_bytes(), &inside]);
            assert_eq!((parsed.headers().len(), parsed.headers()[1].tunnel), (2, tunnel), "{kind:x}");
        }
    }

    #[test]
    fn version_1() {
        for (flags, numbers) in [(0x2001u16, 0), (0x3001, 4), (0x2081, 4), (0x3081, 8)] {
            let parsed = read(&[&flags.to_be_bytes(), &[0x88, 0x0B, 0, 34, 0, 7], &vec![1; numbers], &[0xFF, 3, 0, 0x21], &inner4(7)]);
            assert_eq!((parsed.headers().len(), parsed.envelope.gre_key), (2, None), "{flags:x}");
        }
        assert_eq!(read(&[&[0x20, 0x81, 0x88, 0x0B, 0, 0, 0, 7, 0, 0, 0, 1]]).fault, None);
        assert_eq!(read(&[&[0x20, 1, 0x64, 0, 0, 45, 9, 0], &eth(0x0800, &inner4(7))]).headers().len(), 2);
    }

    #[test]
    fn what_is_wrong_is_a_fault_of_a_packet() {
        assert_eq!(read(&[&[0, 2, 8, 0], &inner4(7)]).fault, Some(Fault::BadTunnel));
        assert_eq!(read(&[&[0x30, 0, 8, 0, 0, 0]]).fault, Some(Fault::TruncatedTunnel));
        assert_eq!(read(&[&[0x40, 0, 8, 0, 0, 0, 0, 0], &[8, 0, 0, 0].repeat(9), &inner4(7)]).fault, Some(Fault::TunnelDepth));
        let keepalive = read(&[&[0, 0, 0, 0]]);
        assert_eq!((keepalive.headers().len(), keepalive.fault), (1, None));
    }
}
