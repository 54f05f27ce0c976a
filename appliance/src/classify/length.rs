//! How long a frame was on the wire, less what the mirror added.

use crate::config::LengthFrom;
use crate::parse::Parsed;
use crate::rx::Frame;

/// The longest IP packet but for jumbograms: an IPv6 header and 65,535 bytes behind it.
const IP_BYTES_MAX: u32 = 40 + 65_535;
/// Ethernet pads what it carries to so many bytes.
const ETHERNET_PAYLOAD_BYTES_MIN: u32 = 46;

/// What a frame and its headers say of lengths.
pub(super) struct Claims {
    /// What the mirror added before the frame, and was stripped.
    pub(super) stripped_bytes: u32,
    /// Bytes before the first IP header.
    pub(super) link_bytes: u32,
    /// What that header claims; 0: nothing.
    pub(super) ip_bytes: u32,
}

impl Claims {
    #[inline]
    pub(super) fn of(parsed: &Parsed) -> Self {
        let ip_bytes = parsed.headers().first().map_or(0, |header| header.ip_bytes);
        Self { stripped_bytes: parsed.stripped_bytes, link_bytes: parsed.link.bytes, ip_bytes }
    }
}

/// Bytes on the wire, and whether they should have come from the IP header but could not.
#[inline]
pub(super) fn wire_bytes(from: LengthFrom, frame: &Frame<'_>, claims: &Claims, added_bytes: u32) -> (u32, bool) {
    let framed = frame.wire_bytes.saturating_sub(claims.stripped_bytes);
    let (bytes, implausible) = match from {
        LengthFrom::Frame => (framed, false),
        LengthFrom::Ip => by_ip(frame, claims).unwrap_or((framed, true)),
    };
    (bytes.saturating_sub(added_bytes), implausible)
}

/// Layer 2 plus the IP length. `None` where that cannot be: no length, one beyond IP's, or less than what was captured
/// (padding to Ethernet's minimum apart, which is on the wire though not in the IP length).
fn by_ip(frame: &Frame<'_>, claims: &Claims) -> Option<(u32, bool)> {
    let (link, ip) = (claims.link_bytes, claims.ip_bytes);
    if ip == 0 || ip > IP_BYTES_MAX {
        return None;
    }
    let (claimed, captured) = (link.saturating_add(ip), frame.captured_bytes.saturating_sub(claims.stripped_bytes));
    let padded = captured <= link.saturating_add(ETHERNET_PAYLOAD_BYTES_MIN);
    if claimed >= captured || padded { Some((claimed.max(captured), false)) } else { None }
}
