//! Ethernet II and 802.3, VLAN tags (802.1Q, 802.1ad and the older QinQ types), and the tags that other vendors and
//! standards put before the EtherType: 802.1ah (PBB), 802.1BR, VN-Tag, FabricPath, Cisco's metadata.

use super::cursor::Cursor;
use super::macsec;
use super::pppoe;
use super::reason::Stop;
use super::walk::{Next, Walk};
use crate::limits::VLAN_TAGS_MAX;

/// EtherTypes that are looked at. <https://www.iana.org/assignments/ieee-802-numbers>
pub(super) mod kind {
    #![allow(missing_docs, reason = "names of the registry")]
    pub(in super::super) const IPV4: u16 = 0x0800;
    pub(in super::super) const IPV6: u16 = 0x86DD;
    pub(in super::super) const ARP: u16 = 0x0806;
    pub(in super::super) const VLAN: u16 = 0x8100;
    pub(in super::super) const PROVIDER_VLAN: u16 = 0x88A8;
    pub(in super::super) const OLD_QINQ: [u16; 3] = [0x9100, 0x9200, 0x9300];
    pub(in super::super) const MPLS: u16 = 0x8847;
    pub(in super::super) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(in super::super) const PPPOE_SESSION: u16 = 0x8864;
    pub(in super::super) const PPP: u16 = 0x880B;
    pub(in super::super) const TRANSPARENT_ETHERNET: u16 = 0x6558;
    pub(in super::super) const NSH: u16 = 0x894F;
    pub(in super::super) const MACSEC: u16 = 0x88E5;
    pub(in super::super) const PROVIDER_BACKBONE: u16 = 0x88E7;
    pub(in super::super) const PORT_EXTENDER: u16 = 0x893F;
    pub(in super::super) const VN_TAG: u16 = 0x8926;
    pub(in super::super) const FABRIC_PATH: u16 = 0x8903;
    pub(in super::super) const CISCO_METADATA: u16 = 0x8909;
    pub(in super::super) const LLC_JUMBO: u16 = 0x8870;
    /// The largest value that is a length (802.3), not a type.
    pub(in super::super) const LENGTH_MAX: u16 = 1500;
}

/// Ethernet header: destination, source, type.
#[inline]
pub(super) fn read(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let h: &[u8; 14] = c.take().ok_or(Stop::Short)?;
    if w.on_link() && w.out.link.src_mac.is_none() {
        w.out.link.src_mac = Some([h[6], h[7], h[8], h[9], h[10], h[11]]);
    }
    payload(u16::from_be_bytes([h[12], h[13]]), c, w)
}

/// What a type announces; VLAN tags are walked here.
#[inline]
pub(super) fn payload(first: u16, c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<Next, Stop> {
    let mut kind = first;
    let mut tags = 0;
    while is_vlan(kind) {
        kind = tag(c, w)?;
        tags += 1;
        if tags > VLAN_TAGS_MAX {
            return Err(Stop::VlanDepth);
        }
    }
    match kind {
        kind::IPV4 | kind::IPV6 => Ok(Next::Ip),
        _ => other(kind, c),
    }
}

/// One VLAN tag: priority and id, then the next type.
#[inline]
fn tag(c: &mut Cursor<'_>, w: &mut Walk<'_>) -> Result<u16, Stop> {
    let h: &[u8; 4] = c.take().ok_or(Stop::Short)?;
    if w.on_link() {
        let link = &mut w.out.link;
        let slot = link.vlans.get_mut(usize::from(link.vlan_count)).ok_or(Stop::VlanDepth)?;
        *slot = u16::from_be_bytes([h[0], h[1]]) & 0x0FFF;
        link.vlan_count += 1;
    }
    Ok(u16::from_be_bytes([h[2], h[3]]))
}

#[inline]
pub(super) const fn is_vlan(kind: u16) -> bool {
    matches!(kind, kind::VLAN | kind::PROVIDER_VLAN) || kind == kind::OLD_QINQ[0] || kind == kind::OLD_QINQ[1] || kind == kind::OLD_QINQ[2]
}

/// Everything but VLAN and IP.
fn other(kind: u16, c: &mut Cursor<'_>) -> Result<Next, Stop> {
    match kind {
        0..=kind::LENGTH_MAX => {
            c.limit(usize::from(kind));
            Ok(Next::Llc)
        }
        kind::MPLS | kind::MPLS_UPSTREAM => Ok(Next::Mpls),
        kind::PPPOE_SESSION => pppoe::read(c),
        kind::PPP => Ok(Next::Ppp),
        kind::NSH => Ok(Next::Nsh),
        kind::LLC_JUMBO => Ok(Next::Llc),
        kind::TRANSPARENT_ETHERNET => Ok(Next::Ethernet),
        kind::MACSEC => macsec::read(c),
        // Flags and service id (4 bytes), then the customer's frame.
        kind::PROVIDER_BACKBONE => skip_to(c, 4, Next::Ethernet),
        // Forwarding tag and TTL (2 bytes), then the whole frame.
        kind::FABRIC_PATH => skip_to(c, 2, Next::Ethernet),
        kind::PORT_EXTENDER => skip_to_type(c, 6),
        kind::VN_TAG => skip_to_type(c, 4),
        kind::CISCO_METADATA => skip_to_type(c, 6),
        _ => Err(Stop::NonIp),
    }
}

fn skip_to(c: &mut Cursor<'_>, count: usize, next: Next) -> Result<Next, Stop> {
    c.skip(count).map(|()| next).ok_or(Stop::Short)
}

fn skip_to_type(c: &mut Cursor<'_>, count: usize) -> Result<Next, Stop> {
    c.skip(count).ok_or(Stop::Short)?;
    let h: &[u8; 2] = c.take().ok_or(Stop::Short)?;
    Ok(Next::EtherType(u16::from_be_bytes(*h)))
}

/// Whether an Ethernet header `ahead` bytes from here would announce what carries IP, or often stands beside it.
pub(super) fn known(c: &Cursor<'_>, ahead: usize) -> bool {
    c.peek_at(ahead + 12).is_some_and(|h: &[u8; 2]| {
        let kind = u16::from_be_bytes(*h);
        is_vlan(kind)
            || matches!(kind, kind::IPV4 | kind::IPV6 | kind::ARP | kind::MPLS | kind::MPLS_UPSTREAM | kind::PPPOE_SESSION | kind::MACSEC)
    })
}

#[cfg(test)]
mod tests {
    use super::super::DropReason;
    use super::super::frames::{MAC, eth, inner4, packet, refused, tag};

    #[test]
    fn plain_ethernet() {
        let parsed = packet(&eth(0x0800, &inner4(1)));
        assert_eq!((parsed.link.src_mac, parsed.link.bytes, parsed.link.vlan_count), (Some(MAC), 14, 0));
    }

    #[test]
    fn tags_of_every_type_to_the_bound() {
        for kind in [0x8100, 0x88A8, 0x9100, 0x9200, 0x9300] {
            let parsed = packet(&eth(kind, &tag(666, 0x8100, &tag(7, 0x0800, &inner4(1)))));
            assert_eq!((parsed.link.vlan_ids(), parsed.link.bytes), (&[666, 7][..], 22));
        }
        let nested = |depth: u16| (1..=depth).rev().fold((0x0800, inner4(1)), |(kind, inside), id| (0x8100, tag(id, kind, &inside)));
        let (kind, inside) = nested(8);
        assert_eq!(packet(&eth(kind, &inside)).link.vlan_ids(), &[1, 2, 3, 4, 5, 6, 7, 8]);
        let (kind, inside) = nested(9);
        assert_eq!(refused(&eth(kind, &inside)), DropReason::VlanDepth);
    }

    #[test]
    fn tags_of_other_makers() {
        let plain = eth(0x0800, &inner4(1));
        let behind = |skip: usize| [vec![0; skip], 0x0800u16.to_be_bytes().to_vec(), inner4(1)].concat();
        let cases =
            [(0x88E7, [vec![0; 4], plain.clone()].concat(), 32), (0x8903, [vec![0; 2], plain.clone()].concat(), 30), (0x6558, plain, 28)];
        for (kind, payload, link_bytes) in cases {
            assert_eq!(packet(&eth(kind, &payload)).link.bytes, link_bytes, "{kind:x}");
        }
        for (kind, skip) in [(0x893F, 6), (0x8926, 4), (0x8909, 6)] {
            assert_eq!(packet(&eth(kind, &behind(skip))).link.bytes as usize, 16 + skip, "{kind:x}");
        }
    }

    #[test]
    fn what_is_not_ip_has_its_link_told() {
        assert_eq!(refused(&eth(0x0806, &[0; 28])), DropReason::NonIp);
        assert_eq!(refused(&eth(0x88CC, &[0; 28])), DropReason::NonIp);
        assert_eq!(refused(&[0; 13]), DropReason::ShortLink);
        assert_eq!(refused(&eth(0x8100, &[0; 3])), DropReason::ShortLink);
        let mut parsed = super::super::Parsed::default();
        let frame = eth(0x8100, &tag(42, 0x0806, &[0; 28]));
        let plan = super::super::MirrorPlan::default();
        assert!(super::super::parse_into(&frame, 64, crate::units::LinkType::Ethernet, &plan, &mut parsed).is_err());
        assert_eq!(parsed.link.vlan_ids(), &[42]);
    }
}
