//! Prefix sets by domain: one for all packets, and one for each virtual network, VLAN or label that has ranges of its own.
//!
//! A packet is in one domain at most: the first of these, from the outside, that has ranges: the network id of the mirror's
//! own wrapping, the outer VLAN, the second VLAN, the top MPLS label, the network id of the outermost tunnel that has one.
//! Each of its addresses is looked up among the ranges of that domain, and where none of them fits among those without a
//! domain; never among another domain's, whatever its tunnels and tags pretend further inside.

use super::lpm::Lpm;
use super::tags;
use super::trie::SmallLpm;
use crate::config::{Domain, Range};
use crate::parse::Parsed;
use crate::units::{Family, RangeIndex};

/// All prefix sets of a generation.
#[derive(Clone, Debug, Default)]
pub(super) struct Domains {
    common: Lpm,
    own: Vec<SmallLpm>,
    mpls: Ids,
    vlan: Ids,
    vni: Ids,
}

/// Ids and the positions of their prefix sets, sorted.
#[derive(Clone, Debug, Default)]
struct Ids(Vec<(u32, u32)>);

/// The domain of a packet.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    own: Option<&'a SmallLpm>,
    /// The first IP header that is within it.
    from: usize,
}

impl Domains {
    /// `ranges` in the order of [`crate::config::ranges::load`].
    pub(super) fn new(ranges: &[Range]) -> Self {
        let indexed = || (0..).zip(ranges);
        let mut of: Vec<Domain> = ranges.iter().filter_map(|range| range.domain).collect();
        of.sort_unstable();
        of.dedup();
        let mut sorted: Vec<(Domain, u32, ipnet::IpNet)> =
            indexed().filter_map(|(index, range)| Some((range.domain?, index, range.prefix))).collect();
        sorted.sort_by_key(|(domain, index, _)| (*domain, *index));
        let common = Lpm::of(indexed().filter(|(_, range)| range.domain.is_none()).map(|(index, range)| (index, range.prefix)));
        let mut domains = Self { common, ..Self::default() };
        for ((position, domain), ranges) in (0..).zip(of).zip(sorted.chunk_by(|a, b| a.0 == b.0)) {
            domains.own.push(SmallLpm::of(ranges.iter().map(|(_, index, prefix)| (*index, *prefix))));
            let (ids, id) = match domain {
                Domain::Mpls(id) => (&mut domains.mpls, id),
                Domain::Vlan(id) => (&mut domains.vlan, id),
                Domain::Vni(id) => (&mut domains.vni, id),
            };
            ids.0.push((id, position));
        }
        domains
    }

    /// Whether no range has a domain.
    #[inline]
    pub(super) const fn are_none(&self) -> bool {
        self.own.is_empty()
    }

    /// Prefixes without a domain.
    pub(super) const fn common(&self) -> &Lpm {
        &self.common
    }

    /// The domain of a packet.
    #[inline]
    pub(super) fn place(&self, parsed: &Parsed) -> Place<'_> {
        if self.own.is_empty() { Place { own: None, from: 0 } } else { self.find(parsed) }
    }

    fn find(&self, parsed: &Parsed) -> Place<'_> {
        let mirror = parsed.envelope.vni.filter(|_| parsed.stripped_bytes > 0).and_then(|id| self.vni.position(id));
        let vlan = |depth| tags::vlan(parsed, depth).and_then(|id| self.vlan.position(u32::from(id)));
        let mpls = || parsed.link.mpls_label.and_then(|label| self.mpls.position(label));
        let tunnel = || parsed.network.and_then(|network| Some((self.vni.position(network.vni)?, usize::from(network.from))));
        let of_frame = mirror.or_else(|| vlan(0)).or_else(|| vlan(1)).or_else(mpls).map(|position| (position, 0));
        let (position, from) = of_frame.or_else(tunnel).unzip();
        Place { own: position.and_then(|position| self.own.get(position as usize)), from: from.unwrap_or(0) }
    }

    /// The longest range that holds an address of the header at this position.
    #[inline]
    pub(super) fn lookup(&self, place: Place<'_>, header: usize, family: Family, address: &[u8; 16]) -> Option<RangeIndex> {
        let own = place.own.filter(|_| header >= place.from);
        own.and_then(|own| own.lookup(family, address)).or_else(|| self.common.lookup(family, address))
    }
}

impl Ids {
    fn position(&self, id: u32) -> Option<u32> {
        self.0.binary_search_by_key(&id, |(id, _)| *id).ok().map(|at| self.0[at].1)
    }
}
