//! Network service header (RFC 8300).

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::record::Tunnel;

/// Base and service path headers (8 bytes), then context; the length counts words of 4 bytes, the base included.
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 8] = c.take().ok_or(Stop::Short)?;
    let bytes = usize::from(h[1] & 0x3F) * 4;
    if h[0] >> 6 != 0 || bytes < 8 {
        return Err(Stop::Bad);
    }
    c.skip(bytes - 8).ok_or(Stop::Short)?;
    let next = protocol(h[3])?;
    w.enter(Tunnel::Nsh, c);
    Ok(next)
}

/// The next protocol, as NSH and VXLAN-GPE number them.
pub(super) const fn protocol(number: u8) -> Result<Next, Stop> {
    match number {
        1 | 2 => Ok(Next::Ip),
        3 => Ok(Next::Ethernet),
        4 => Ok(Next::Nsh),
        5 => Ok(Next::Mpls),
        _ => Err(Stop::NonIp),
    }
}
