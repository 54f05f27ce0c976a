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
        1 if !ethernet::plausible(c, 0) => Err(Stop::NonIp),
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
    !ip && ethernet::plausible(c, 0)
}

/// With a control word the Ethernet header stands four bytes on, and 12 bits are zero; where both readings are plausible
/// the one with the control word is taken.
fn has_control_word(c: &Cursor<'_>) -> bool {
    let reserved = c.peek::<2>().is_some_and(|h| u16::from_be_bytes(*h) & 0x0FFF == 0);
    ethernet::plausible(c, 4) || reserved && !ethernet::plausible(c, 0)
}
