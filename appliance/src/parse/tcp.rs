//! TCP (RFC 9293): ports, flags, and how long its header is.

use super::cursor::Cursor;
use super::walk::{Next, Walk, saturate};
use super::{Fault, IpHeader, options};
use crate::options::TcpOptions;

const HEADER_BYTES: usize = 20;

/// Reads as much of the fixed header as there is: ports need four bytes, flags 14.
#[inline]
pub(super) fn read(c: &Cursor<'_>, w: &mut Walk<'_>, body: usize) -> Next {
    let reads_options = w.reads_options();
    let Some(last) = w.out.last() else { return Next::End };
    let fault = match c.peek::<HEADER_BYTES>() {
        Some(h) => {
            last.ports = Some((u16::from_be_bytes([h[0], h[1]]), u16::from_be_bytes([h[2], h[3]])));
            last.tcp_flags = Some(h[13]);
            last.tcp_window = window_bits(h[14], h[15]);
            last.tcp_seq = h[4] >> 4;
            let header_bytes = usize::from(h[12] >> 4) * 4;
            if header_bytes > HEADER_BYTES && reads_options {
                last.tcp_options = read_options(c, header_bytes);
            }
            last.payload_bytes = saturate(body.saturating_sub(header_bytes.max(HEADER_BYTES)));
            if header_bytes >= HEADER_BYTES { None } else { Some(Fault::BadTransport) }
        }
        None => Some(short(c, last, body)),
    };
    if let Some(fault) = fault {
        w.out.blame(fault);
    }
    Next::End
}

/// How many bits a window has.
#[inline]
pub(super) fn window_bits(high: u8, low: u8) -> u8 {
    16 - u16::from_be_bytes([high, low]).leading_zeros().to_le_bytes()[0]
}

fn read_options(c: &Cursor<'_>, header_bytes: usize) -> TcpOptions {
    options::read(c, HEADER_BYTES, header_bytes, TcpOptions::bit, TcpOptions::BAD).map_or(TcpOptions::UNREAD, TcpOptions)
}

#[cold]
fn short(c: &Cursor<'_>, last: &mut IpHeader, body: usize) -> Fault {
    if let Some(h) = c.peek::<4>() {
        last.ports = Some((u16::from_be_bytes([h[0], h[1]]), u16::from_be_bytes([h[2], h[3]])));
    }
    if let Some(h) = c.peek::<14>() {
        last.tcp_flags = Some(h[13]);
        last.tcp_seq = h[4] >> 4;
    }
    last.tcp_window = c.peek::<16>().map_or(IpHeader::WINDOW_UNREAD, |h| window_bits(h[14], h[15]));
    last.tcp_options = TcpOptions::UNREAD;
    last.payload_bytes = saturate(body.saturating_sub(HEADER_BYTES));
    Fault::TruncatedTransport
}

#[cfg(test)]
mod tests {
    use super::super::Fault;
    use super::super::frames::{eth, packet, tcp, v4};

    #[test]
    fn as_much_as_there_is() {
        let whole = tcp(0x3F, b"");
        let of = |bytes: usize| packet(&eth(0x0800, &v4(1, 6, &whole[..bytes])));
        for (bytes, ports, flags) in [(3, false, false), (4, true, false), (13, true, false), (14, true, true), (19, true, true)] {
            let h = of(bytes).headers()[0];
            assert_eq!((h.ports.is_some(), h.tcp_flags.is_some()), (ports, flags), "{bytes}");
            assert_eq!(of(bytes).fault, Some(Fault::TruncatedTransport));
        }
        assert_eq!(of(24).fault, None);
    }

    #[test]
    fn an_impossible_offset_is_a_fault() {
        let mut bytes = tcp(2, b"12345");
        bytes[12] = 0x40;
        let parsed = packet(&eth(0x0800, &v4(1, 6, &bytes)));
        assert_eq!(
            (parsed.fault, parsed.headers()[0].tcp_flags, parsed.headers()[0].payload_bytes),
            (Some(Fault::BadTransport), Some(2), 9)
        );
        bytes[12] = 0xF0;
        assert_eq!(packet(&eth(0x0800, &v4(1, 6, &bytes))).headers()[0].payload_bytes, 0);
    }
}
