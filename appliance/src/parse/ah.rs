//! IP authentication header (RFC 4302): what follows stays readable.

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk, saturate};
use super::{Fault, upper};
use crate::limits::IP_EXTENSIONS_MAX;

/// Protocol number.
pub(super) const PROTOCOL: u8 = 51;

/// Its length field counts words of 4 bytes, less two.
#[inline]
pub(super) const fn bytes(length: u8) -> usize {
    (length as usize + 2) * 4
}

/// Behind IPv4 it is the only header that is skipped.
pub(super) fn behind_ipv4(c: &mut Cursor<'_>, w: &mut Walk<'_>, body: usize) -> Result<Next, Stop> {
    let before = c.at();
    for _ in 0..IP_EXTENSIONS_MAX {
        let Some(&[next, length]) = c.peek() else { break };
        let whole = c.skip(bytes(length)).is_some();
        let body = body.saturating_sub(c.at() - before);
        if let Some(last) = w.out.last() {
            last.protocol = next;
            last.payload_bytes = saturate(body);
        }
        if !whole {
            break;
        }
        if next != PROTOCOL {
            return upper::read(next, c, w, body);
        }
    }
    w.out.blame(Fault::TruncatedExtension);
    Ok(Next::End)
}
