//! SCTP (RFC 9260) and DCCP (RFC 4340): ports.

use super::Fault;
use super::cursor::Cursor;
use super::walk::{Next, Walk, saturate};

const SCTP_HEADER_BYTES: usize = 12;
const DCCP_HEADER_BYTES: usize = 12;

/// SCTP's common header.
pub(super) fn read(c: &Cursor<'_>, w: &mut Walk<'_>, body: usize) -> Next {
    ports(c, w, body.saturating_sub(SCTP_HEADER_BYTES), SCTP_HEADER_BYTES);
    Next::End
}

/// DCCP: the data offset counts words of 4 bytes.
pub(super) fn dccp(c: &Cursor<'_>, w: &mut Walk<'_>, body: usize) -> Next {
    let header_bytes = c.peek::<5>().map_or(DCCP_HEADER_BYTES, |h| usize::from(h[4]) * 4);
    ports(c, w, body.saturating_sub(header_bytes.max(DCCP_HEADER_BYTES)), DCCP_HEADER_BYTES);
    if header_bytes < DCCP_HEADER_BYTES {
        w.out.blame(Fault::BadTransport);
    }
    Next::End
}

fn ports(c: &Cursor<'_>, w: &mut Walk<'_>, payload: usize, header_bytes: usize) {
    if let Some(last) = w.out.last() {
        last.payload_bytes = saturate(payload);
        last.ports = c.peek::<4>().map(|h| (u16::from_be_bytes([h[0], h[1]]), u16::from_be_bytes([h[2], h[3]])));
    }
    if c.left() < header_bytes {
        w.out.blame(Fault::TruncatedTransport);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fault;
    use super::super::frames::{eth, packet, v4};

    #[test]
    fn ports_of_both() {
        let head = [3, 0xE8, 0, 80, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3];
        let sctp = packet(&eth(0x0800, &v4(1, 132, &head))).headers()[0];
        assert_eq!((sctp.ports, sctp.payload_bytes), (Some((1000, 80)), 7));
        let dccp = packet(&eth(0x0800, &v4(1, 33, &head))).headers()[0];
        assert_eq!((dccp.ports, dccp.payload_bytes), (Some((1000, 80)), 3));
        assert_eq!(packet(&eth(0x0800, &v4(1, 132, &head[..11]))).fault, Some(Fault::TruncatedTransport));
        assert_eq!(packet(&eth(0x0800, &v4(1, 33, &[0, 1, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0]))).fault, Some(Fault::BadTransport));
    }
}
