//! ERSPAN types I, II and III: how switches send a mirrored frame in GRE (draft-foschiano-erspan-03).

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::record::Tunnel;

/// GRE's type for types I and II.
pub(super) const TYPE_II: u16 = 0x88BE;
/// GRE's type for type III.
pub(super) const TYPE_III: u16 = 0x22EB;
/// Frame type of type III: the frame is an IP packet without Ethernet.
const FRAME_IP: u8 = 2;

/// Type II has a header of 8 bytes and a GRE sequence number; without the number it is type I, which has no header.
pub(super) fn read_ii(sequenced: bool, c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    if sequenced {
        let h: &[u8; 8] = c.take().ok_or(Stop::Short)?;
        session(h[2], h[3], w);
    }
    w.enter(Tunnel::Erspan, c);
    Ok(Next::Ethernet)
}

/// 12 bytes, and 8 more where the last bit says so.
pub(super) fn read_iii(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 12] = c.take().ok_or(Stop::Short)?;
    session(h[2], h[3], w);
    if h[11] & 1 != 0 {
        c.skip(8).ok_or(Stop::Short)?;
    }
    w.enter(Tunnel::Erspan, c);
    Ok(if (h[10] >> 2) & 0x1F == FRAME_IP { Next::Ip } else { Next::Ethernet })
}

fn session(high: u8, low: u8, w: &mut Walk<'_>) {
    if w.in_envelope() {
        w.out.envelope.erspan_session = Some(u16::from_be_bytes([high, low]) & 0x03FF);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fault;
    use super::super::frames::{eth, inner4, join, packet, tag, v4};
    use crate::record::Tunnel;

    #[test]
    fn all_three_types() {
        let inside = eth(0x8100, &tag(9, 0x0800, &inner4(7)));
        let header3 = |last: u8| join(&[&[0x20, 9, 0x13, 0xE7], &[0; 6], &[0, last]]);
        let cases = [
            (join(&[&[0, 0, 0x88, 0xBE], &inside]), None),
            (join(&[&[0x10, 0, 0x88, 0xBE, 0, 0, 0, 1, 0x10, 9, 0x13, 0xE7, 0, 0, 0, 1], &inside]), Some(0x3E7)),
            (join(&[&[0x10, 0, 0x22, 0xEB, 0, 0, 0, 1], &header3(0), &inside]), Some(0x3E7)),
            (join(&[&[0x10, 0, 0x22, 0xEB, 0, 0, 0, 1], &header3(1), &[0; 8], &inside]), Some(0x3E7)),
        ];
        for (gre, session) in cases {
            let parsed = packet(&eth(0x0800, &v4(1, 47, &gre)));
            assert_eq!((parsed.headers()[1].tunnel, parsed.envelope.erspan_session), (Tunnel::Erspan, session));
            assert_eq!(parsed.link.vlan_count, 0, "tags inside are not the link's");
        }
        let ip = join(&[&[0x10, 0, 0x22, 0xEB, 0, 0, 0, 1], &[0x20, 9, 0x13, 0xE7, 0, 0, 0, 0, 0, 0, 2 << 2, 0], &inner4(7)]);
        assert_eq!(packet(&eth(0x0800, &v4(1, 47, &ip))).headers().len(), 2);
    }

    #[test]
    fn a_cut_one_is_a_fault() {
        let parsed = packet(&eth(0x0800, &v4(1, 47, &[0x10, 0, 0x88, 0xBE, 0, 0, 0, 1, 0x10, 9])));
        assert_eq!((parsed.headers().len(), parsed.fault), (1, Some(Fault::TruncatedTunnel)));
    }
}
