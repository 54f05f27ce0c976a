//! LLC (IEEE 802.2) with SNAP (RFC 1042), behind an 802.3 length.

use super::cursor::Cursor;
use super::ethernet::kind;
use super::reason::Stop;
use super::walk::Next;

/// Service access points, source and destination alike: IP, and SNAP.
const SAP_IP: u8 = 0x06;
const SAP_SNAP: u8 = 0xAA;
/// Unnumbered information.
const UI: u8 = 0x03;

/// LLC: two access points and control; SNAP: organisation and type.
pub(super) fn read(c: &mut Cursor<'_>) -> Result<Next, Stop> {
    let h: &[u8; 3] = c.take().ok_or(Stop::Short)?;
    match *h {
        [SAP_IP, SAP_IP, UI] => Ok(Next::Ip),
        [SAP_SNAP, SAP_SNAP, UI] => snap(c),
        _ => Err(Stop::NonIp),
    }
}

fn snap(c: &mut Cursor<'_>) -> Result<Next, Stop> {
    let h: &[u8; 5] = c.take().ok_or(Stop::Short)?;
    let id = u16::from_be_bytes([h[3], h[4]]);
    match [h[0], h[1], h[2]] {
        // RFC 1042, and Apple's and bridges' 802.1H: the id is an EtherType.
        [0, 0, 0] | [0, 0, 0xF8] if id > kind::LENGTH_MAX => Ok(Next::EtherType(id)),
        // RFC 2684: bridged Ethernet, with and without FCS, behind two bytes of padding.
        [0, 0x80, 0xC2] if matches!(id, 1 | 7) => {
            c.skip(2).ok_or(Stop::Short)?;
            Ok(Next::Ethernet)
        }
        _ => Err(Stop::NonIp),
    }
}

#[cfg(test)]
mod tests {
    use super::super::DropReason;
    use super::super::frames::{eth, inner4, join, packet, refused, tag};

    fn length(payload: &[u8]) -> u16 {
        u16::try_from(payload.len()).unwrap()
    }

    #[test]
    fn snap_and_ip_service_points() {
        for head in [&[0xAA, 0xAA, 3, 0, 0, 0, 8, 0][..], &[0xAA, 0xAA, 3, 0, 0, 0xF8, 8, 0], &[6, 6, 3]] {
            let payload = join(&[head, &inner4(1)]);
            assert_eq!(packet(&eth(length(&payload), &payload)).headers()[0].ports, Some((1000, 53)));
            assert_eq!(packet(&eth(0x8100, &tag(5, length(&payload), &payload))).link.vlan_ids(), &[5]);
            assert_eq!(packet(&eth(0x8870, &payload)).headers().len(), 1);
        }
    }

    #[test]
    fn bridged_ethernet() {
        let payload = join(&[&[0xAA, 0xAA, 3, 0, 0x80, 0xC2, 0, 7, 0, 0], &eth(0x0800, &inner4(1))]);
        assert_eq!(packet(&eth(length(&payload), &payload)).headers().len(), 1);
    }

    #[test]
    fn other_service_points_are_not_ip() {
        assert_eq!(refused(&eth(38, &[0x42; 38])), DropReason::NonIp);
        assert_eq!(refused(&eth(8, &[0xAA, 0xAA, 3, 0, 0, 0xC, 0x20, 0])), DropReason::NonIp);
        assert_eq!(refused(&eth(2, &[0xAA, 0xAA])), DropReason::ShortLink);
    }

    #[test]
    fn the_length_bounds_what_is_read() {
        let payload = join(&[&[0xAA, 0xAA, 3, 0, 0, 0, 8, 0], &inner4(1)]);
        assert_eq!(refused(&eth(20, &payload)), DropReason::Truncated);
    }
}
