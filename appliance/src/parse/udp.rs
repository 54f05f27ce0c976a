//! UDP (RFC 768), UDP-Lite (RFC 3828), and the tunnels that stand behind well-known UDP ports.

use super::cursor::Cursor;
use super::reason::Stop;
use super::walk::{Next, Walk, saturate};
use super::{Fault, geneve, gre, gtpu, vxlan};

const HEADER_BYTES: usize = 8;

/// Destination ports. The replies of a tunnel go to the same port: the source port is but a hash.
mod port {
    pub(super) const GTP_U: u16 = 2152;
    pub(super) const GRE: u16 = 4754;
    pub(super) const VXLAN: u16 = 4789;
    pub(super) const VXLAN_GPE: u16 = 4790;
    pub(super) const GENEVE: u16 = 6081;
    pub(super) const MPLS: u16 = 6635;
}

/// Reads the header and looks behind it where the destination port is a tunnel's.
#[inline]
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>, body: usize) -> Result<Next, Stop> {
    let Some(h) = header(c, w, body) else { return Ok(Next::End) };
    let length = usize::from(u16::from_be_bytes([h[4], h[5]]));
    if length < HEADER_BYTES && length != 0 {
        w.out.blame(Fault::BadTransport);
        return Ok(Next::End);
    }
    let to = u16::from_be_bytes([h[2], h[3]]);
    if !is_tunnel(to) {
        return Ok(Next::End);
    }
    c.limit(if length == 0 { usize::MAX } else { length - HEADER_BYTES });
    tunnel(to, c, w)
}

/// Whether a destination port is a tunnel's.
#[inline]
pub(super) const fn is_tunnel(to: u16) -> bool {
    // No branch among them: nobody can foresee a port.
    (to == port::GTP_U) | (to == port::GRE) | (to == port::VXLAN) | (to == port::VXLAN_GPE) | (to == port::GENEVE) | (to == port::MPLS)
}

/// UDP-Lite: a coverage in place of the length.
pub(super) fn lite(c: &mut Cursor<'_>, w: &mut Walk<'_>, body: usize) -> Next {
    header(c, w, body);
    Next::End
}

#[inline]
fn header<'a>(c: &mut Cursor<'a>, w: &mut Walk<'_>, body: usize) -> Option<&'a [u8; HEADER_BYTES]> {
    let last = w.out.last()?;
    last.payload_bytes = saturate(body.saturating_sub(HEADER_BYTES));
    if let Some(h) = c.peek::<4>() {
        last.ports = Some((u16::from_be_bytes([h[0], h[1]]), u16::from_be_bytes([h[2], h[3]])));
    }
    let whole = c.take();
    if whole.is_none() {
        w.out.blame(Fault::TruncatedTransport);
    }
    whole
}

/// Each of them asks its header to be plausible: an attacker's or a game's payload on such a port is no fault.
fn tunnel(to: u16, c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    match to {
        port::VXLAN => vxlan::read(c, w),
        port::VXLAN_GPE => vxlan::generic(c, w),
        port::GENEVE => geneve::read(c, w),
        port::GTP_U => gtpu::read(c, w),
        port::MPLS => Ok(Next::Mpls),
        _ => gre::read(c, w),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fault;
    use super::super::frames::{eth, inner4, labels, packet, udp, v4};
    use crate::record::Tunnel;

    #[test]
    fn ports_and_payload() {
        let h = packet(&eth(0x0800, &v4(1, 17, &udp(53, b"12345")))).headers()[0];
        assert_eq!((h.ports, h.payload_bytes), (Some((1000, 53)), 5));
        let h = packet(&eth(0x0800, &v4(1, 136, &udp(53, b"12345")))).headers()[0];
        assert_eq!((h.protocol, h.ports, h.payload_bytes), (136, Some((1000, 53)), 5));
    }

    #[test]
    fn a_length_below_the_header_is_a_fault_and_hides_no_tunnel() {
        let mut bytes = udp(6635, &labels(&[9], &inner4(7)));
        bytes[5] = 7;
        let parsed = packet(&eth(0x0800, &v4(1, 17, &bytes)));
        assert_eq!((parsed.fault, parsed.headers().len(), parsed.headers()[0].ports), (Some(Fault::BadTransport), 1, Some((1000, 6635))));
        assert_eq!(packet(&eth(0x0800, &v4(1, 17, &bytes[..6]))).fault, Some(Fault::TruncatedTransport));
    }

    #[test]
    fn mpls_and_gre_behind_their_ports() {
        let parsed = packet(&eth(0x0800, &v4(1, 17, &udp(6635, &labels(&[9, 10], &inner4(7))))));
        assert_eq!(parsed.headers()[1].tunnel, Tunnel::Mpls);
        let gre = [&[0, 0, 8, 0][..], &inner4(7)].concat();
        assert_eq!(packet(&eth(0x0800, &v4(1, 17, &udp(4754, &gre)))).headers()[1].tunnel, Tunnel::Gre);
    }
}
