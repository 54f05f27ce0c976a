//! ERSPAN types I, II and III: how switches send a mirrored frame in GRE (draft-foschiano-erspan-03).

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::record::Tunnel;

/// GRE's type for types I and II.
pub(super) const TYPE_II: u16 = 0x88BE;
/// GRE's type for type III.
pub(super) const TYPE_III: u16 = 0x22EB;
/// Frame type of type III: the frame is an IP packet without Ethernet.
const FRAME_IP: u8 = 2;

/// Type II has a header of 8 bytes and a GRE sequence number; without the number it is type I, which has no header.
pub(super) fn read_ii(sequenced: bool, c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    if sequenced {
        let h: &[u8; 8] = c.take().ok_or(Stop::Short)?;
        session(h[2], h[3], w);
    }
    w.enter(Tunnel::Erspan, c);
    Ok(Next::Ethernet)
}

/// 12 bytes, and 8 more where the last bit says so.
pub(super) fn read_iii(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 12] = c.take().ok_or(Stop::Short)?;
    session(h[2], h[3], w);
    if h[11] & 1 != 0 {
        c.skip(8).ok_or(Stop::Short)?;
    }
    w.enter(Tunnel::Erspan, c);
    Ok(if (h[10] >> 2) & 0x1F == FRAME_IP { Next::Ip } else { Next::Ethernet })
}

fn session(high: u8, low: u8, w: &mut Walk<'_>) {
    if w.in_envelope() {
        w.out.envelope.erspan_session = Some(u16::from_be_bytes([high, low]) & 0x03FF);
    }
}
