//! PPPoE sessions (RFC 2516).

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::Next;

/// Version, type, code, session, length; then PPP's protocol field. Concentrators ignore what version, type and code say,
/// so what they would deliver is read here too.
pub(super) fn read(c: &mut Cursor<'_>) -> Result<Next, Stop> {
    let h: &[u8; 6] = c.take().ok_or(Stop::Short)?;
    c.limit(usize::from(u16::from_be_bytes([h[4], h[5]])));
    Ok(Next::Ppp)
}

#[cfg(test)]
mod tests {
    use super::super::DropReason;
    use super::super::frames::{eth, inner4, join, packet, refused, tag, v6};

    fn session(protocol: &[u8], payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(protocol.len() + payload.len()).unwrap().to_be_bytes();
        join(&[&[0x11, 0, 0, 7], &length, protocol, payload])
    }

    #[test]
    fn ip_of_both_versions() {
        assert_eq!(packet(&eth(0x8864, &session(&[0, 0x21], &inner4(1)))).link.bytes, 22);
        assert_eq!(packet(&eth(0x8864, &session(&[0x21], &inner4(1)))).link.bytes, 21);
        assert!(packet(&eth(0x8100, &tag(3, 0x8864, &session(&[0, 0x57], &v6(1, 59, &[]))))).headers()[0].v6);
    }

    #[test]
    fn control_and_discovery_are_not_ip() {
        assert_eq!(refused(&eth(0x8864, &session(&[0xC0, 0x21], &[1, 1, 0, 4]))), DropReason::NonIp);
        assert_eq!(refused(&eth(0x8863, &session(&[], &[]))), DropReason::NonIp);
        assert_eq!(refused(&eth(0x8864, &[0x11, 0, 0])), DropReason::ShortLink);
    }
}
