//! GTP-U version 1 (3GPP TS 29.281): user packets of mobile networks.

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::limits::GTP_EXTENSIONS_MAX;
use crate::record::Tunnel;

/// Version 1, GTP (not GTP'). The bit after them is spare: not to be looked at.
const VERSION: u8 = 0x30;
/// Extension header, sequence number, N-PDU number: any of them adds four bytes.
const OPTIONAL: u8 = 0x07;
const EXTENSION: u8 = 0x04;
/// The message that carries a user's packet.
const T_PDU: u8 = 0xFF;

/// Flags, message, length, tunnel id; perhaps optional fields and extension headers; then IP.
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 8] = c.take().ok_or(Stop::NonIp)?;
    if h[0] & 0xF0 != VERSION || h[1] != T_PDU {
        return Err(Stop::NonIp);
    }
    c.limit(usize::from(u16::from_be_bytes([h[2], h[3]])));
    if h[0] & OPTIONAL != 0 {
        let optional: &[u8; 4] = c.take().ok_or(Stop::Short)?;
        if h[0] & EXTENSION != 0 {
            extensions(optional[3], c)?;
        }
    }
    match c.peek() {
        Some(&[first]) if matches!(first >> 4, 4 | 6) => {
            w.enter(Tunnel::GtpU, c);
            Ok(Next::Ip)
        }
        // Ethernet or unstructured sessions.
        _ => Err(Stop::NonIp),
    }
}

/// Each begins with its length in words of 4 bytes and ends with the type of the next; type 0 ends the list.
fn extensions(first: u8, c: &mut Cursor<'_>) -> Result<(), Stop> {
    let mut kind = first;
    for _ in 0..GTP_EXTENSIONS_MAX {
        if kind == 0 {
            return Ok(());
        }
        let &[words] = c.peek().ok_or(Stop::Short)?;
        if words == 0 {
            return Err(Stop::Bad);
        }
        c.skip(usize::from(words) * 4 - 1).ok_or(Stop::Short)?;
        let &[next] = c.take().ok_or(Stop::Short)?;
        kind = next;
    }
    if kind == 0 { Ok(()) } else { Err(Stop::Depth) }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{eth, inner4, join, packet, udp, v4, v6};
    use super::super::{Fault, Parsed};
    use crate::record::Tunnel;

    fn read(flags: u8, message: u8, parts: &[&[u8]]) -> Parsed {
        let payload = join(parts);
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        packet(&eth(0x0800, &v4(1, 17, &udp(2152, &join(&[&[flags, message], &length, &[0, 0, 0, 7], &payload])))))
    }

    #[test]
    fn users_packets() {
        for flags in [0x30, 0x38] {
            assert_eq!(read(flags, 255, &[&inner4(7)]).headers()[1].tunnel, Tunnel::GtpU);
        }
        assert!(read(0x32, 255, &[&[0, 1, 0, 0], &v6(7, 59, &[])]).headers()[1].v6);
        let extensions: &[u8] = &[0, 0, 0, 0x85, 1, 0, 9, 0x40, 2, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(read(0x34, 255, &[extensions, &inner4(7)]).headers().len(), 2);
    }

    #[test]
    fn what_is_none() {
        for (flags, message) in [(0x30, 1), (0x48, 255), (0x20, 255)] {
            let parsed = read(flags, message, &[&inner4(7)]);
            assert_eq!((parsed.headers().len(), parsed.fault), (1, None), "{flags:x}");
        }
        assert_eq!(read(0x30, 255, &[&[0xFF, 3, 0, 0x21]]).headers().len(), 1);
    }

    #[test]
    fn extensions_are_bounded() {
        let many = [&[0, 0, 0, 1][..], &[1, 0, 0, 1].repeat(20), &inner4(7)];
        assert_eq!(read(0x34, 255, &many).fault, Some(Fault::TunnelDepth));
        assert_eq!(read(0x34, 255, &[&[0, 0, 0, 1, 0, 0, 0, 0], &inner4(7)]).fault, Some(Fault::BadTunnel));
        assert_eq!(read(0x34, 255, &[&[0, 0, 0, 1, 9, 0, 0, 0]]).fault, Some(Fault::TruncatedTunnel));
    }
}
