//! Network service header (RFC 8300).

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::record::Tunnel;

/// Base and service path headers (8 bytes), then context; the length counts words of 4 bytes, the base included.
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 8] = c.take().ok_or(Stop::Short)?;
    let bytes = usize::from(h[1] & 0x3F) * 4;
    if h[0] >> 6 != 0 || bytes < 8 {
        return Err(Stop::Bad);
    }
    c.skip(bytes - 8).ok_or(Stop::Short)?;
    let next = protocol(h[3])?;
    w.enter(Tunnel::Nsh, c);
    Ok(next)
}

/// The next protocol, as NSH and VXLAN-GPE number them.
pub(super) const fn protocol(number: u8) -> Result<Next, Stop> {
    match number {
        1 | 2 => Ok(Next::Ip),
        3 => Ok(Next::Ethernet),
        4 => Ok(Next::Nsh),
        5 => Ok(Next::Mpls),
        _ => Err(Stop::NonIp),
    }
}

#[cfg(test)]
mod tests {
    use super::super::DropReason;
    use super::super::frames::{eth, inner4, join, packet, refused};

    fn nsh(words: u8, next: u8, payload: &[u8]) -> Vec<u8> {
        join(&[&[0, words, 1, next, 0, 0, 1, 255], &vec![0; usize::from(words).saturating_sub(2) * 4], payload])
    }

    #[test]
    fn context_is_skipped() {
        assert_eq!(packet(&eth(0x894F, &nsh(6, 1, &inner4(1)))).link.bytes, 38);
        assert_eq!(packet(&eth(0x894F, &nsh(2, 3, &eth(0x0800, &inner4(1))))).link.bytes, 36);
        assert_eq!(packet(&eth(0x894F, &nsh(2, 4, &nsh(2, 1, &inner4(1))))).link.bytes, 30);
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(refused(&eth(0x894F, &nsh(1, 1, &inner4(1)))), DropReason::BadLink);
        assert_eq!(refused(&eth(0x894F, &nsh(6, 9, &inner4(1)))), DropReason::NonIp);
        assert_eq!(refused(&eth(0x894F, &[0, 63, 1, 1, 0, 0, 1, 255])), DropReason::ShortLink);
    }
}
