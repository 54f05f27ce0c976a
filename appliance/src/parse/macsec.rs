//! MACsec (IEEE 802.1AE) as far as it can be read: integrity without encryption.

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::Next;

/// The integrity check value at the end.
const ICV_BYTES: usize = 16;

/// Control flags, short length, packet number, perhaps the channel's id; then the type of what was protected.
pub(super) fn read(c: &mut Cursor<'_>) -> Result<Next, Stop> {
    let h: &[u8; 6] = c.take().ok_or(Stop::Short)?;
    let (version, channel, encrypted, changed) = (h[0] & 0x80 != 0, h[0] & 0x20 != 0, h[0] & 0x08 != 0, h[0] & 0x04 != 0);
    if version || encrypted || changed {
        return Err(Stop::NonIp);
    }
    if channel {
        c.skip(8).ok_or(Stop::Short)?;
    }
    c.limit(c.left().saturating_sub(ICV_BYTES));
    let kind: &[u8; 2] = c.take().ok_or(Stop::Short)?;
    Ok(Next::EtherType(u16::from_be_bytes(*kind)))
}

#[cfg(test)]
mod tests {
    use super::super::DropReason;
    use super::super::frames::{eth, inner4, join, packet, refused};

    #[test]
    fn only_what_is_not_encrypted_is_read() {
        let frame = |control: u8, head: &[u8]| eth(0x88E5, &join(&[&[control, 0, 0, 0, 0, 1], head, &[8, 0], &inner4(1), &[0; 16]]));
        assert_eq!(packet(&frame(0, &[])).link.bytes, 22);
        assert_eq!(packet(&frame(0x20, &[0; 8])).link.bytes, 30);
        assert_eq!(refused(&frame(0x2C, &[0; 8])), DropReason::NonIp);
    }
}
