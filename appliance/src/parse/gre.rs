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
