//! IP authentication header (RFC 4302): what follows stays readable.

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk, saturate};
use super::{Fault, upper};
use crate::limits::IP_EXTENSIONS_MAX;
use crate::options::IpOptions;

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
            last.ip_options.0 |= IpOptions::header_bit(PROTOCOL);
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

#[cfg(test)]
mod tests {
    use super::super::Fault;
    use super::super::frames::{eth, inner4, join, packet, tcp, v4};

    #[test]
    fn what_follows_is_read() {
        let parsed = packet(&eth(0x0800, &v4(1, 51, &join(&[&[6, 4], &[0; 22], &tcp(2, b"")]))));
        assert_eq!((parsed.headers()[0].protocol, parsed.headers()[0].tcp_flags), (6, Some(2)));
        let parsed = packet(&eth(0x0800, &v4(1, 51, &join(&[&[51, 1], &[0; 10], &[4, 4], &[0; 22], &inner4(5)]))));
        assert_eq!((parsed.headers()[0].protocol, parsed.headers().len()), (4, 2));
    }

    #[test]
    fn a_cut_one_names_what_follows() {
        let parsed = packet(&eth(0x0800, &v4(1, 51, &[6, 4, 0, 0])));
        assert_eq!((parsed.headers()[0].protocol, parsed.fault), (6, Some(Fault::TruncatedExtension)));
        assert_eq!(packet(&eth(0x0800, &v4(1, 51, &[6]))).headers()[0].protocol, 51);
    }
}
