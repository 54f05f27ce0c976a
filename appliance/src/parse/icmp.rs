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

#[cfg(test)]
mod tests {
    use super::super::frames::{eth, inner4, join, packet, v4, v6};

    #[test]
    fn type_and_code_and_nothing_that_is_quoted() {
        let parsed = packet(&eth(0x0800, &v4(1, 1, &join(&[&[3, 13, 0, 0, 0, 0, 0, 0], &inner4(7)]))));
        assert_eq!((parsed.headers().len(), parsed.headers()[0].icmp, parsed.headers()[0].payload_bytes), (1, Some((3, 13)), 31));
        let parsed = packet(&eth(0x86DD, &v6(1, 58, &[135, 0, 0, 0, 0, 0, 0, 0])));
        assert_eq!((parsed.headers()[0].icmp, parsed.headers()[0].ports), (Some((135, 0)), None));
        assert_eq!(packet(&eth(0x0800, &v4(1, 1, &[8]))).headers()[0].icmp, None);
    }
}
