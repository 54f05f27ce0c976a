//! IPv6 (RFC 8200).

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk, saturate};
use super::{IpHeader, extensions, upper};
use crate::record::Fragment;

const HEADER_BYTES: usize = 40;

/// The fixed header, its extensions, and what it carries.
#[inline]
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let at = c.at();
    let h: &[u8; HEADER_BYTES] = c.take().ok_or(Stop::ShortIp)?;
    let payload = usize::from(u16::from_be_bytes([h[4], h[5]]));
    let total = if payload == 0 { 0 } else { payload + HEADER_BYTES };
    let mut body = w.within(at, total).saturating_sub(HEADER_BYTES);
    let header = IpHeader {
        src: address(h, 8),
        dst: address(h, 24),
        ip_bytes: saturate(total),
        payload_bytes: saturate(body),
        v6: true,
        protocol: h[6],
        ttl: h[7],
        dscp: (h[0] & 0x0F) << 2 | h[1] >> 6,
        ..IpHeader::default()
    };
    w.push(at, header)?;
    c.limit(body);
    if !extensions::is_one(header.protocol) {
        return upper::read(header.protocol, c, w, body);
    }
    let before = c.at();
    let chain = extensions::walk(header.protocol, c);
    body = body.saturating_sub(c.at() - before);
    if let Some(fault) = chain.fault {
        w.out.blame(fault);
    }
    if let Some(last) = w.out.last() {
        last.protocol = chain.protocol;
        last.fragment = chain.fragment;
        last.ip_options = chain.options;
        last.payload_bytes = saturate(body);
    }
    if chain.fault.is_some() || chain.fragment == Fragment::Later {
        return Ok(Next::End);
    }
    upper::read(chain.protocol, c, w, body)
}

#[inline]
fn address(h: &[u8; HEADER_BYTES], at: usize) -> [u8; 16] {
    h.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::frames::{address6, eth, packet, refused, tcp, udp, v6};
    use super::super::{DropReason, Fault};
    use crate::record::Fragment;

    #[test]
    fn every_field() {
        let parsed = packet(&eth(0x86DD, &v6(1, 6, &tcp(2, b"hello"))));
        let h = parsed.headers()[0];
        assert_eq!((h.v6, h.src, h.dst, h.protocol, h.ttl, h.dscp), (true, address6(1), address6(2), 6, 63, 46));
        assert_eq!((h.fragment, h.ip_bytes, h.payload_bytes), (Fragment::None, 69, 5));
        assert_eq!((h.ports, h.tcp_flags, h.icmp, parsed.fault), (Some((1000, 443)), Some(2), None, None));
    }

    #[test]
    fn a_length_of_zero_claims_nothing() {
        let mut frame = eth(0x86DD, &v6(1, 17, &udp(53, b"123")));
        frame[18..20].copy_from_slice(&[0, 0]);
        let h = packet(&frame).headers()[0];
        assert_eq!((h.ip_bytes, h.payload_bytes, h.ports), (0, 3, Some((1000, 53))));
    }

    #[test]
    fn unreadable_headers() {
        assert_eq!(refused(&eth(0x86DD, &v6(1, 17, &[])[..39])), DropReason::Truncated);
        let parsed = packet(&eth(0x86DD, &v6(1, 17, &udp(53, b"123"))[..42]));
        assert_eq!((parsed.headers()[0].ports, parsed.fault), (None, Some(Fault::IpLengthLong)));
    }
}
