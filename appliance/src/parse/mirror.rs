//! `[mirror] strip`: which wrappings are the mirror's own, and by which endpoints they are known.

use std::net::IpAddr;

use super::IpHeader;
use crate::config::{Mirror, Wrap};
use crate::record::Tunnel;

/// What the parser needs of `[mirror]`, ready for lookups: a mask of wrappings and a sorted list of endpoints.
#[derive(Clone, Debug, Default)]
pub struct MirrorPlan {
    wraps: u8,
    from: Box<[(bool, [u8; 16])]>,
    /// Nobody asks for options of IPv4 and TCP.
    passes_options: bool,
}

impl MirrorPlan {
    /// The plan of a validated configuration. Without `strip` or without `from` nothing is ever stripped.
    pub fn new(mirror: &Mirror) -> Self {
        let mut from: Vec<_> = mirror.from.iter().map(endpoint).collect();
        from.sort_unstable();
        from.dedup();
        let wraps = if from.is_empty() { 0 } else { mirror.strip.iter().fold(0, |mask, &wrap| mask | bit(wrap)) };
        Self { wraps, from: from.into(), passes_options: false }
    }

    /// For configurations without a stat that asks for options of IPv4 or TCP: those are passed over.
    #[must_use]
    pub fn without_options(self) -> Self {
        Self { passes_options: true, ..self }
    }

    /// Whether options are read.
    #[inline]
    pub const fn reads_options(&self) -> bool {
        !self.passes_options
    }

    /// Whether the mirror wraps frames in anything.
    #[inline]
    pub const fn is_wrapped(&self) -> bool {
        self.wraps != 0
    }

    /// Whether `tunnel` around a frame sent by `outer` is the mirror's own.
    #[inline]
    pub(super) fn strips(&self, tunnel: Tunnel, outer: &IpHeader) -> bool {
        self.wraps != 0 && self.wraps & carried_by(tunnel) != 0 && self.from.binary_search(&(outer.v6, outer.src)).is_ok()
    }
}

fn endpoint(address: &IpAddr) -> (bool, [u8; 16]) {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            (false, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        IpAddr::V6(v6) => (true, v6.octets()),
    }
}

const fn bit(wrap: Wrap) -> u8 {
    match wrap {
        Wrap::Erspan => 1,
        Wrap::Gre => 1 << 1,
        Wrap::Vxlan => 1 << 2,
        Wrap::Geneve => 1 << 3,
        Wrap::Ipip => 1 << 4,
        Wrap::GtpU => 1 << 5,
    }
}

const fn carried_by(tunnel: Tunnel) -> u8 {
    match tunnel {
        Tunnel::Erspan => bit(Wrap::Erspan),
        Tunnel::Gre => bit(Wrap::Gre),
        Tunnel::Vxlan => bit(Wrap::Vxlan),
        Tunnel::Geneve => bit(Wrap::Geneve),
        Tunnel::IpIp => bit(Wrap::Ipip),
        Tunnel::GtpU => bit(Wrap::GtpU),
        Tunnel::None | Tunnel::Mpls | Tunnel::Nsh | Tunnel::Other => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{MAC, address4, eth, inner4, join, tag, udp, v4, v6};
    use super::super::{DropReason, Network, Parsed, parse};
    use super::*;
    use crate::config::LengthFrom;
    use crate::units::LinkType;

    fn plan(strip: &[Wrap], from: &[&str]) -> MirrorPlan {
        MirrorPlan::new(&Mirror {
            strip: strip.to_vec(),
            from: from.iter().map(|a| a.parse().unwrap()).collect(),
            length: LengthFrom::Frame,
            untagged_passes: true,
            ingress: true,
            egress: true,
        })
    }

    fn read(frame: &[u8], plan: &MirrorPlan) -> Parsed {
        parse(frame, LinkType::Ethernet, plan).unwrap()
    }

    const ALL: [Wrap; 6] = [Wrap::Erspan, Wrap::Gre, Wrap::Vxlan, Wrap::Geneve, Wrap::Ipip, Wrap::GtpU];

    fn mirrored() -> Vec<u8> {
        eth(0x8100, &tag(666, 0x0800, &inner4(7)))
    }

    /// Each wrapping around a frame (or an IP packet), from 192.0.2.1.
    fn wrapped() -> Vec<(Wrap, Vec<u8>, u32, bool)> {
        let frame = mirrored();
        let ethernet = [
            (Wrap::Erspan, v4(1, 47, &join(&[&[0x10, 0, 0x88, 0xBE, 0, 0, 0, 1, 0x10, 9, 0, 5, 0, 0, 0, 1], &frame])), 14 + 20 + 16),
            (Wrap::Gre, v4(1, 47, &join(&[&[0x20, 0, 0x65, 0x58, 0, 0, 0, 5], &frame])), 14 + 20 + 8),
            (Wrap::Vxlan, v4(1, 17, &udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 5, 0], &frame]))), 14 + 28 + 8),
            (Wrap::Geneve, v4(1, 17, &udp(6081, &join(&[&[0, 0, 0x65, 0x58, 0, 0, 5, 0], &frame]))), 14 + 28 + 8),
        ];
        let raw = [
            (Wrap::Ipip, v4(1, 4, &inner4(7)), 14 + 20),
            (Wrap::GtpU, v4(1, 17, &udp(2152, &join(&[&[0x30, 255, 0, 31, 0, 0, 0, 5], &inner4(7)]))), 14 + 28 + 8),
        ];
        let outer = |(wrap, ip, bytes): (Wrap, Vec<u8>, u32), is_ethernet| (wrap, eth(0x0800, &ip), bytes, is_ethernet);
        ethernet.map(|w| outer(w, true)).into_iter().chain(raw.map(|w| outer(w, false))).collect()
    }

    #[test]
    fn the_mirrors_own_wrapping_is_gone() {
        for (wrap, frame, stripped_bytes, is_ethernet) in wrapped() {
            let parsed = read(&frame, &plan(&[wrap], &["203.0.113.9", "192.0.2.1", "2001:db8::1"]));
            assert_eq!((parsed.headers().len(), parsed.headers()[0].src), (1, address4(7)), "{wrap:?}");
            assert_eq!((parsed.stripped_bytes, parsed.headers()[0].tunnel), (stripped_bytes, Tunnel::None), "{wrap:?}");
            assert_eq!(parsed.network, None, "{wrap:?}");
            let link = if is_ethernet { (Some(MAC), &[666][..], 18) } else { (None, &[][..], 0) };
            assert_eq!((parsed.link.src_mac, parsed.link.vlan_ids(), parsed.link.bytes), link, "{wrap:?}");
            let id = parsed.envelope.vni.or(parsed.envelope.gre_key).or_else(|| parsed.envelope.erspan_session.map(u32::from));
            assert_eq!(id, matches!(wrap, Wrap::Erspan | Wrap::Gre | Wrap::Vxlan | Wrap::Geneve).then_some(5), "{wrap:?}");
        }
    }

    #[test]
    fn nothing_else_is_stripped() {
        for (wrap, frame, ..) in wrapped() {
            let others: Vec<_> = ALL.into_iter().filter(|other| *other != wrap).collect();
            for plan in [plan(&[wrap], &["192.0.2.3"]), plan(&[wrap], &[]), plan(&others, &["192.0.2.1"]), plan(&[], &["192.0.2.1"])] {
                let parsed = read(&frame, &plan);
                assert_eq!((parsed.headers().len(), parsed.headers()[0].src, parsed.stripped_bytes), (2, address4(1), 0), "{wrap:?}");
            }
        }
    }

    #[test]
    fn what_an_attacker_wraps_stays() {
        // Inside the mirror's wrapping stands a tunnel that claims to come from the mirror too.
        let attack = v4(1, 17, &udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 99, 0], &eth(0x0800, &inner4(200))])));
        let frame = eth(0x0800, &v4(1, 17, &udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 5, 0], &eth(0x0800, &attack)]))));
        let parsed = read(&frame, &plan(&[Wrap::Vxlan], &["192.0.2.1"]));
        assert_eq!((parsed.headers().len(), parsed.headers()[0].src, parsed.envelope.vni), (2, address4(1), Some(5)));
        assert_eq!(parsed.network, Some(Network { vni: 99, from: 1 }));
    }

    #[test]
    fn a_mirrored_frame_is_judged_as_a_frame() {
        let vxlan = |inside: &[u8]| eth(0x0800, &v4(1, 17, &udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 5, 0], inside]))));
        let plan = plan(&[Wrap::Vxlan], &["192.0.2.1"]);
        let refused = |inside: &[u8]| parse(&vxlan(inside), LinkType::Ethernet, &plan).unwrap_err();
        assert_eq!(refused(&eth(0x0806, &[0; 28])), DropReason::NonIp);
        assert_eq!(refused(&eth(0x0800, &[0x45; 19])), DropReason::Truncated);
        assert_eq!(refused(&[]), DropReason::ShortLink);
    }

    #[test]
    fn a_mirror_of_ipv6() {
        let frame = eth(0x86DD, &v6(1, 17, &udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 5, 0], &mirrored()]))));
        assert_eq!(read(&frame, &plan(&ALL, &["2001:db8::1"])).link.vlan_ids(), &[666]);
        assert_eq!(read(&frame, &plan(&ALL, &["2001:db8::2"])).stripped_bytes, 0);
    }
}
