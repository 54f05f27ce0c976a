//! MPLS label stacks (RFC 3032) and the Ethernet pseudowires behind them (RFC 4448).

use super::cursor::Cursor;
use super::ethernet;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::limits::MPLS_LABELS_MAX;
use crate::record::Tunnel;

/// Generic associated channel label (RFC 5586): what follows is control, not traffic.
const CHANNEL_LABEL: u32 = 13;

/// Labels to the bottom of the stack, then what the first nibble, or the look of an Ethernet header, says.
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    for depth in 0..MPLS_LABELS_MAX {
        let h: &[u8; 4] = c.take().ok_or(Stop::Short)?;
        let entry = u32::from_be_bytes(*h);
        let label = entry >> 12;
        if depth == 0 && w.on_link() && w.out.link.mpls_label.is_none() {
            w.out.link.mpls_label = Some(label);
        }
        if entry & 0x100 != 0 {
            w.enter(Tunnel::Mpls, c);
            return if label == CHANNEL_LABEL { Err(Stop::NonIp) } else { bottom(c) };
        }
    }
    Err(Stop::MplsDepth)
}

/// MPLS does not say what it carries. IP versions cannot be mistaken for a control word (RFC 4928); the rest is an Ethernet
/// pseudowire, whose control word begins with a zero nibble, as does many a MAC.
fn bottom(c: &mut Cursor<'_>) -> Result<Next, Stop> {
    let &[first] = c.peek().ok_or(Stop::Short)?;
    match first >> 4 {
        4 | 6 if !looks_like_ethernet(c) => Ok(Next::Ip),
        // A control channel (RFC 4385).
        1 if !ethernet::known(c, 0) => Err(Stop::NonIp),
        0 if has_control_word(c) => {
            c.skip(4).ok_or(Stop::Short)?;
            Ok(Next::Ethernet)
        }
        _ => Ok(Next::Ethernet),
    }
}

/// A MAC may begin with 4 or 6: Ethernet only where IP is impossible there and Ethernet plausible.
fn looks_like_ethernet(c: &Cursor<'_>) -> bool {
    let ip = match c.peek::<1>() {
        Some(&[first]) if first >> 4 == 4 => first & 0x0F >= 5,
        _ => true,
    };
    !ip && ethernet::known(c, 0)
}

/// With a control word the Ethernet header stands four bytes on, and its first half is zero. A type that is known decides,
/// first where it stands without one: a tag there ends where the other reading has its type, and that reading's source MAC
/// would hold the tag's type by chance. Where neither is known the zeros decide.
fn has_control_word(c: &Cursor<'_>) -> bool {
    let zeros = c.peek() == Some(&[0, 0]);
    !ethernet::known(c, 0) && (ethernet::known(c, 4) || zeros)
}

#[cfg(test)]
mod tests {
    use super::super::DropReason;
    use super::super::frames::{eth, inner4, join, labels, packet, refused, tag, v6};

    #[test]
    fn the_top_label_is_told() {
        let parsed = packet(&eth(0x8847, &labels(&[300_012, 17, 3], &inner4(1))));
        assert_eq!((parsed.link.mpls_label, parsed.link.bytes), (Some(300_012), 26));
        assert!(packet(&eth(0x8848, &labels(&[2], &v6(1, 59, &[])))).headers()[0].v6);
    }

    #[test]
    fn as_many_labels_as_the_bound() {
        assert_eq!(packet(&eth(0x8847, &labels(&[5; 16], &inner4(1)))).headers().len(), 1);
        assert_eq!(refused(&eth(0x8847, &labels(&[5; 17], &inner4(1)))), DropReason::MplsDepth);
        assert_eq!(refused(&eth(0x8847, &[0, 0, 1])), DropReason::ShortLink);
    }

    #[test]
    fn pseudowires_with_and_without_control_word() {
        let ethernet = eth(0x8100, &tag(9, 0x0800, &inner4(1)));
        for control in [&[][..], &[0, 0, 0, 0], &[0, 0, 0, 77]] {
            let parsed = packet(&eth(0x8847, &labels(&[100], &join(&[control, &ethernet]))));
            assert_eq!((parsed.link.vlan_ids(), parsed.link.bytes as usize), (&[9][..], 36 + control.len()));
        }
        let zeros = [&[0; 12][..], &[8, 0], &inner4(1)].concat();
        assert_eq!(packet(&eth(0x8847, &labels(&[100], &zeros))).link.bytes, 32);
    }

    #[test]
    fn control_channels_are_not_ip() {
        assert_eq!(refused(&eth(0x8847, &labels(&[100], &[0x10, 0, 0, 0x21, 0x45]))), DropReason::NonIp);
        assert_eq!(refused(&eth(0x8847, &labels(&[13], &inner4(1)))), DropReason::NonIp);
    }
}
