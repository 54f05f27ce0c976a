//! VXLAN (RFC 7348, with the group policy extension's bits) and VXLAN-GPE.

use super::cursor::Cursor;
use super::nsh;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::record::Tunnel;

/// The network id is valid.
const HAS_ID: u8 = 0x08;
/// Group policy: its id stands in the third and fourth byte.
const POLICY: u8 = 0x80;
/// GPE: version, and "a next protocol is given".
const GPE_VERSION: u8 = 0x30;
const GPE_NEXT: u8 = 0x04;

/// Flags, reserved or policy, network id, reserved; then Ethernet. What is no such header is the payload of something else.
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 8] = c.take().ok_or(Stop::NonIp)?;
    if h[0] & !POLICY != HAS_ID {
        return Err(Stop::NonIp);
    }
    enter(h, c, w);
    Ok(Next::Ethernet)
}

/// GPE: the fourth byte is the next protocol.
pub(super) fn generic(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 8] = c.take().ok_or(Stop::NonIp)?;
    if h[0] & HAS_ID == 0 || h[0] & GPE_VERSION != 0 || h[1] != 0 || h[2] != 0 {
        return Err(Stop::NonIp);
    }
    let next = if h[0] & GPE_NEXT == 0 { Next::Ethernet } else { nsh::protocol(h[3])? };
    enter(h, c, w);
    Ok(next)
}

fn enter(h: &[u8; 8], c: &Cursor<'_>, w: &mut Walk<'_>) {
    if w.in_envelope() {
        w.out.envelope.vni = Some(u32::from_be_bytes([0, h[4], h[5], h[6]]));
    }
    w.enter(Tunnel::Vxlan, c);
}
