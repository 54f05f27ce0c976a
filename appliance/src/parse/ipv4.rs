//! IPv4 (RFC 791).

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk, saturate};
use super::{Fault, IpHeader, ah, upper};
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

#[inline]
const fn fragment(field: u16) -> Fragment {
    match (field & OFFSET, field & MORE_FRAGMENTS) {
        (0, 0) => Fragment::None,
        (0, _) => Fragment::First,
        _ => Fragment::Later,
    }
}
