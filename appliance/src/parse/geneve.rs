//! Geneve (RFC 8926).

use super::cursor::Cursor;
use super::ethernet::kind;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::record::Tunnel;

/// Version and length of the options, flags, type, network id, reserved; then options, skipped as a whole.
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 8] = c.take().ok_or(Stop::NonIp)?;
    if h[0] >> 6 != 0 {
        return Err(Stop::NonIp);
    }
    let next = match u16::from_be_bytes([h[2], h[3]]) {
        kind::TRANSPARENT_ETHERNET => Next::Ethernet,
        kind::IPV4 | kind::IPV6 => Next::Ip,
        kind::MPLS | kind::MPLS_UPSTREAM => Next::Mpls,
        kind::NSH => Next::Nsh,
        _ => return Err(Stop::NonIp),
    };
    c.skip(usize::from(h[0] & 0x3F) * 4).ok_or(Stop::Short)?;
    if w.in_envelope() {
        w.out.envelope.vni = Some(u32::from_be_bytes([0, h[4], h[5], h[6]]));
    }
    w.enter(Tunnel::Geneve, c);
    Ok(next)
}
