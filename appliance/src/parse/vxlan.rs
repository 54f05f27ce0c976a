//! VXLAN (RFC 7348, with the group policy extension's bits) and VXLAN-GPE.

use super::cursor::Cursor;
use super::nsh;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::record::Tunnel;

/// The network id is valid.
const HAS_ID: u8 = 0x08;
/// Group policy: its id stands in the third and fourth byte.
const POLICY: u8 = 0x80;
/// GPE: version, and "a next protocol is given".
const GPE_VERSION: u8 = 0x30;
const GPE_NEXT: u8 = 0x04;

/// Flags, reserved or policy, network id, reserved; then Ethernet. What is no such header is the payload of something else.
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 8] = c.take().ok_or(Stop::NonIp)?;
    if h[0] & !POLICY != HAS_ID {
        return Err(Stop::NonIp);
    }
    enter(h, c, w);
    Ok(Next::Ethernet)
}

/// GPE: the fourth byte is the next protocol.
pub(super) fn generic(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 8] = c.take().ok_or(Stop::NonIp)?;
    if h[0] & HAS_ID == 0 || h[0] & GPE_VERSION != 0 || h[1] != 0 || h[2] != 0 {
        return Err(Stop::NonIp);
    }
    let next = if h[0] & GPE_NEXT == 0 { Next::Ethernet } else { nsh::protocol(h[3])? };
    enter(h, c, w);
    Ok(next)
}

fn enter(h: &[u8; 8], c: &Cursor<'_>, w: &mut Walk<'_>) {
    w.enter_network(Tunnel::Vxlan, u32::from_be_bytes([0, h[4], h[5], h[6]]), c);
}

#[cfg(test)]
mod tests {
    use super::super::frames::{address4, eth, inner4, join, packet, tag, udp, v4};
    use super::super::{Network, Parsed};
    use crate::record::Tunnel;

    fn read(port: u16, head: [u8; 8], inside: &[u8]) -> Parsed {
        packet(&eth(0x0800, &v4(1, 17, &udp(port, &join(&[&head, inside])))))
    }

    #[test]
    fn the_network_id_is_the_envelopes() {
        let inside = eth(0x8100, &tag(9, 0x0800, &inner4(7)));
        for head in [[8, 0, 0, 0, 0, 0x12, 0x34, 0], [0x88, 0, 0, 5, 0, 0x12, 0x34, 0]] {
            let parsed = read(4789, head, &inside);
            assert_eq!((parsed.envelope.vni, parsed.headers()[1].src), (Some(0x1234), address4(7)));
            assert_eq!(parsed.network, Some(Network { vni: 0x1234, from: 1 }));
            assert_eq!((parsed.headers()[1].tunnel, parsed.link.vlan_count), (Tunnel::Vxlan, 0));
        }
    }

    #[test]
    fn what_is_no_such_header_is_payload() {
        for head in [[0; 8], [0x18, 0, 0, 0, 0, 0, 1, 0], [0xFF; 8]] {
            let parsed = read(4789, head, &eth(0x0800, &inner4(7)));
            assert_eq!((parsed.headers().len(), parsed.fault, parsed.envelope.vni), (1, None, None));
        }
        assert_eq!(read(53, [8, 0, 0, 0, 0, 0, 1, 0], &eth(0x0800, &inner4(7))).headers().len(), 1);
    }

    #[test]
    fn generic_protocols() {
        let nsh = join(&[&[0, 2, 1, 1, 0, 0, 1, 255], &inner4(7)]);
        for (next, inside, tunnel) in [(1, inner4(7), Tunnel::Vxlan), (3, eth(0x0800, &inner4(7)), Tunnel::Vxlan), (4, nsh, Tunnel::Nsh)] {
            let parsed = read(4790, [0x0C, 0, 0, next, 0, 0, 7, 0], &inside);
            assert_eq!((parsed.headers()[1].tunnel, parsed.envelope.vni), (tunnel, Some(7)));
        }
        assert_eq!(read(4790, [8, 0, 0, 0, 0, 0, 7, 0], &eth(0x0800, &inner4(7))).headers().len(), 2);
        assert_eq!(read(4790, [0x3C, 0, 0, 1, 0, 0, 7, 0], &inner4(7)).headers().len(), 1);
    }

    #[test]
    fn only_the_outermost_tunnel_fills_the_envelope() {
        let deep = v4(7, 17, &udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 2, 0], &eth(0x0800, &inner4(9))])));
        let parsed = read(4789, [8, 0, 0, 0, 0, 0, 1, 0], &eth(0x0800, &deep));
        assert_eq!((parsed.headers().len(), parsed.envelope.vni), (3, Some(1)));
    }
}
