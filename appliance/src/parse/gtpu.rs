//! GTP-U version 1 (3GPP TS 29.281): user packets of mobile networks.

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::limits::GTP_EXTENSIONS_MAX;
use crate::record::Tunnel;

/// Version 1, GTP (not GTP'), spare bit zero.
const VERSION: u8 = 0x30;
/// Extension header, sequence number, N-PDU number: any of them adds four bytes.
const OPTIONAL: u8 = 0x07;
const EXTENSION: u8 = 0x04;
/// The message that carries a user's packet.
const T_PDU: u8 = 0xFF;

/// Flags, message, length, tunnel id; perhaps optional fields and extension headers; then IP.
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 8] = c.take().ok_or(Stop::NonIp)?;
    if h[0] & 0xF8 != VERSION || h[1] != T_PDU {
        return Err(Stop::NonIp);
    }
    c.limit(usize::from(u16::from_be_bytes([h[2], h[3]])));
    if h[0] & OPTIONAL != 0 {
        let optional: &[u8; 4] = c.take().ok_or(Stop::Short)?;
        if h[0] & EXTENSION != 0 {
            extensions(optional[3], c)?;
        }
    }
    match c.peek() {
        Some(&[first]) if matches!(first >> 4, 4 | 6) => {
            w.enter(Tunnel::GtpU, c);
            Ok(Next::Ip)
        }
        // Ethernet or unstructured sessions.
        _ => Err(Stop::NonIp),
    }
}

/// Each begins with its length in words of 4 bytes and ends with the type of the next; type 0 ends the list.
fn extensions(first: u8, c: &mut Cursor<'_>) -> Result<(), Stop> {
    let mut kind = first;
    for _ in 0..GTP_EXTENSIONS_MAX {
        if kind == 0 {
            return Ok(());
        }
        let &[words] = c.peek().ok_or(Stop::Short)?;
        if words == 0 {
            return Err(Stop::Bad);
        }
        c.skip(usize::from(words) * 4 - 1).ok_or(Stop::Short)?;
        let &[next] = c.take().ok_or(Stop::Short)?;
        kind = next;
    }
    if kind == 0 { Ok(()) } else { Err(Stop::Depth) }
}
