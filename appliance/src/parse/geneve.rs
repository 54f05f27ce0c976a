//! Geneve (RFC 8926).

use super::cursor::Cursor;
use super::ethernet::kind;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::record::Tunnel;

/// Version and length of the options, flags, type, network id, reserved; then options, skipped as a whole.
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 8] = c.take().ok_or(Stop::NonIp)?;
    if h[0] >> 6 != 0 {
        return Err(Stop::NonIp);
    }
    let next = match u16::from_be_bytes([h[2], h[3]]) {
        kind::TRANSPARENT_ETHERNET => Next::Ethernet,
        kind::IPV4 | kind::IPV6 => Next::Ip,
        kind::MPLS | kind::MPLS_UPSTREAM => Next::Mpls,
        kind::NSH => Next::Nsh,
        _ => return Err(Stop::NonIp),
    };
    c.skip(usize::from(h[0] & 0x3F) * 4).ok_or(Stop::Short)?;
    w.enter_network(Tunnel::Geneve, u32::from_be_bytes([0, h[4], h[5], h[6]]), c);
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::super::frames::{eth, inner4, join, packet, udp, v4};
    use super::super::{Fault, Parsed};
    use crate::record::Tunnel;

    fn read(head: [u8; 8], inside: &[u8]) -> Parsed {
        packet(&eth(0x0800, &v4(1, 17, &udp(6081, &join(&[&head, inside])))))
    }

    #[test]
    fn options_are_skipped_as_a_whole() {
        let ethernet = eth(0x0800, &inner4(7));
        let parsed = read([3, 0, 0x65, 0x58, 0, 0, 9, 0], &join(&[&[0xEE; 12], &ethernet]));
        assert_eq!((parsed.headers()[1].tunnel, parsed.envelope.vni), (Tunnel::Geneve, Some(9)));
        assert_eq!(read([0, 0, 8, 0, 0, 0, 9, 0], &inner4(7)).headers().len(), 2);
        assert_eq!(read([63, 0, 0x65, 0x58, 0, 0, 9, 0], &ethernet).fault, Some(Fault::TruncatedTunnel));
    }

    #[test]
    fn what_is_no_such_header_is_payload() {
        for head in [[0x40, 0, 8, 0, 0, 0, 9, 0], [0, 0, 0x43, 0x44, 0, 0, 9, 0]] {
            let parsed = read(head, &inner4(7));
            assert_eq!((parsed.headers().len(), parsed.fault, parsed.envelope.vni), (1, None, None));
        }
    }
}
