//! IPv4 (RFC 791).

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk, saturate};
use super::{Fault, IpHeader, ah, options, upper};
use crate::options::IpOptions;
use crate::record::Fragment;

const HEADER_BYTES: usize = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1FFF;

/// The fixed header, options (skipped), and what it carries.
#[inline]
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let at = c.at();
    let h: &[u8; HEADER_BYTES] = c.take().ok_or(Stop::ShortIp)?;
    let header_bytes = usize::from(h[0] & 0x0F) * 4;
    if header_bytes < HEADER_BYTES {
        return Err(Stop::BadIp);
    }
    let total = usize::from(u16::from_be_bytes([h[2], h[3]]));
    let within = w.within(at, total);
    let body = within.saturating_sub(header_bytes);
    let header = IpHeader {
        src: [h[12], h[13], h[14], h[15], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        dst: [h[16], h[17], h[18], h[19], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ip_bytes: saturate(total),
        payload_bytes: saturate(body),
        v6: false,
        protocol: h[9],
        ttl: h[8],
        dscp: h[1] >> 2,
        fragment: fragment(u16::from_be_bytes([h[6], h[7]])),
        ..IpHeader::default()
    };
    w.push(at, header)?;
    if total != 0 && total < header_bytes {
        w.out.blame(Fault::IpLengthShort);
        return Ok(Next::End);
    }
    c.limit(within.saturating_sub(HEADER_BYTES));
    if header_bytes > HEADER_BYTES {
        read_options(c, w, header_bytes - HEADER_BYTES);
    }
    if c.skip(header_bytes - HEADER_BYTES).is_none() {
        w.out.blame(Fault::TruncatedExtension);
        return Ok(Next::End);
    }
    if header.fragment == Fragment::Later {
        return Ok(Next::End);
    }
    if header.protocol == ah::PROTOCOL {
        return ah::behind_ipv4(c, w, body);
    }
    upper::read(header.protocol, c, w, body)
}

/// Notes which options stand in the next bytes.
#[cold]
fn read_options(c: &Cursor<'_>, w: &mut Walk<'_>, bytes: usize) {
    if w.reads_options()
        && let Some(last) = w.out.last()
    {
        last.ip_options = options::read(c, 0, bytes, IpOptions::bit, IpOptions::BAD).map_or(IpOptions::UNREAD, IpOptions);
    }
}

#[inline]
const fn fragment(field: u16) -> Fragment {
    match (field & OFFSET, field & MORE_FRAGMENTS) {
        (0, 0) => Fragment::None,
        (0, _) => Fragment::First,
        _ => Fragment::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{address4, eth, inner4, packet, refused, tcp, udp, v4, v4_with};
    use super::super::{DropReason, Fault};
    use crate::record::{Fragment, Tunnel};

    #[test]
    fn every_field() {
        let parsed = packet(&eth(0x0800, &v4(1, 6, &tcp(0x12, b"hello"))));
        let h = parsed.headers()[0];
        assert_eq!((h.v6, h.src, h.dst, h.protocol, h.ttl, h.dscp), (false, address4(1), address4(2), 6, 64, 10));
        assert_eq!((h.fragment, h.tunnel, h.ip_bytes, h.payload_bytes), (Fragment::None, Tunnel::None, 49, 5));
        assert_eq!((h.ports, h.tcp_flags, h.icmp, parsed.fault), (Some((1000, 443)), Some(0x12), None, None));
    }

    #[test]
    fn fragments() {
        let of = |field| packet(&eth(0x0800, &v4_with(1, 17, field, &[], &udp(53, b"1234")))).headers()[0];
        assert_eq!((of(0x4000).fragment, of(0x8000).fragment), (Fragment::None, Fragment::None));
        assert_eq!((of(0x2000).fragment, of(0x2000).ports), (Fragment::First, Some((1000, 53))));
        for later in [0x0001, 0x2001, 0x1FFF] {
            assert_eq!((of(later).fragment, of(later).ports, of(later).payload_bytes), (Fragment::Later, None, 12));
        }
    }

    #[test]
    fn options_are_skipped_and_may_be_cut() {
        let frame = eth(0x0800, &v4_with(1, 17, 0, &[1; 40], &udp(53, b"1")));
        assert_eq!(packet(&frame).headers()[0].ports, Some((1000, 53)));
        let parsed = packet(&frame[..50]);
        assert_eq!((parsed.headers()[0].ports, parsed.fault), (None, Some(Fault::IpLengthLong)));
    }

    #[test]
    fn lengths_are_claims() {
        let with = |total: u16| {
            let mut frame = eth(0x0800, &inner4(1));
            frame[16..18].copy_from_slice(&total.to_be_bytes());
            packet(&frame)
        };
        assert_eq!((with(19).fault, with(19).headers()[0].ports), (Some(Fault::IpLengthShort), None));
        assert_eq!((with(22).fault, with(22).headers()[0].ports), (Some(Fault::TruncatedTransport), None));
        assert_eq!((with(65_535).fault, with(65_535).headers()[0].payload_bytes), (Some(Fault::IpLengthLong), 3));
        let none = with(0);
        assert_eq!((none.fault, none.headers()[0].ip_bytes, none.headers()[0].payload_bytes), (None, 0, 3));
    }

    #[test]
    fn padding_is_not_payload() {
        let mut frame = eth(0x0800, &v4(1, 17, &[]));
        frame.resize(60, 0);
        let parsed = packet(&frame);
        assert_eq!((parsed.headers()[0].ports, parsed.headers()[0].payload_bytes), (None, 0));
    }

    #[test]
    fn unreadable_headers() {
        assert_eq!(refused(&eth(0x0800, &inner4(1)[..19])), DropReason::Truncated);
        let mut short = inner4(1);
        short[0] = 0x44;
        assert_eq!(refused(&eth(0x0800, &short)), DropReason::BadIpHeader);
        short[0] = 0x15;
        assert_eq!(refused(&eth(0x0800, &short)), DropReason::BadIpHeader);
    }
}
