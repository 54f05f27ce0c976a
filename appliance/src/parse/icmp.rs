//! ICMP (RFC 792) and ICMPv6 (RFC 4443): type and code. What an error quotes is not looked at: it was not carried.

use super::Fault;
use super::cursor::Cursor;
use super::walk::{Next, Walk, saturate};

/// Type, code, checksum, and four bytes that depend on the type.
const HEADER_BYTES: usize = 8;

/// Reads type and code.
pub(super) fn read(c: &Cursor<'_>, w: &mut Walk<'_>, body: usize) -> Next {
    if let Some(last) = w.out.last() {
        last.payload_bytes = saturate(body.saturating_sub(HEADER_BYTES));
        last.icmp = c.peek::<2>().map(|&[kind, code]| (kind, code));
    }
    if c.left() < 4 {
        w.out.blame(Fault::TruncatedTransport);
    }
    Next::End
}
