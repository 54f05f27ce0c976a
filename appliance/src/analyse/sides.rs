//! Whose a flow record is, and in which ranges it counts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::metering::{self, Told};
use super::rows::Counts;
use crate::classify::{Lpm, Scopes};
use crate::config::{Config, Interfaces, KeysFrom};
use crate::flows::Fields;
use crate::parse::IpHeader;
use crate::record::Has;
use crate::units::{Family, RangeIndex};

/// `flowDirection` (element 61) of what was metered where it leaves.
const LEAVES: u32 = 1;

/// Whose a record is, and where it counts. The same for all records of a generation.
#[derive(Clone, Debug, Default)]
pub struct FlowSides {
    pub(super) lpm: Lpm,
    scopes: Arc<Scopes>,
    pub(super) interfaces: Interfaces,
    /// Which header of a frame that is shown counts.
    keys_from: KeysFrom,
    /// Numbers of links, from 1, by exporter and interface.
    links: HashMap<(IpAddr, u32), u8>,
}

impl FlowSides {
    /// Of a configuration, its prefixes without a domain, and what is counted together.
    pub fn new(config: &Config, lpm: Lpm, scopes: Arc<Scopes>) -> Self {
        let links = (1..=u8::MAX).zip(&config.links).filter_map(|(number, link)| Some((link.of_flows?, number))).collect();
        Self { lpm, scopes, interfaces: config.interfaces.clone(), keys_from: config.keys_from, links }
    }

    /// The header that counts of a frame with several, as of packets; none: what the message has, which is the outermost.
    pub(super) fn within<'a>(&self, headers: &'a [IpHeader]) -> Option<&'a IpHeader> {
        let is_ours = |header: &&IpHeader| {
            let family = header.family();
            self.lpm.lookup(family, &header.src).is_some() || self.lpm.lookup(family, &header.dst).is_some()
        };
        let (_, inner) = headers.split_first()?;
        match self.keys_from {
            KeysFrom::Outermost => None,
            KeysFrom::Innermost => inner.last(),
            KeysFrom::Matched if headers.iter().take(1).any(|outermost| is_ours(&outermost)) => None,
            KeysFrom::Matched => inner.iter().find(is_ours),
        }
    }

    fn link(&self, exporter: IpAddr, interface: u32) -> u8 {
        if self.links.is_empty() { 0 } else { self.links.get(&(exporter, interface)).copied().unwrap_or(0) }
    }
}

/// A range that a record counts for: its direction bits, by which link, and whether no other record of the same packets does, surely.
pub(super) type View = (RangeIndex, Has, u8, bool);

/// Number of an interface, and what its name says: external or not.
pub(super) type Interface = (u32, Option<bool>);

/// What came of looking for a record's ranges.
pub(super) enum Found {
    Views([Option<View>; 2]),
    Unmatched,
    Duplicate,
}

impl FlowSides {
    /// What a record tells of its metering, and what the operator does.
    pub(super) fn told(&self, f: &Fields, exporter: IpAddr, (family, counts): (Family, Counts)) -> Told {
        let has_none = f.in_if | f.out_if == 0;
        // 0 is no interface: what is said of all of them is said of it only where none is told.
        let metered = |index: u32| self.interfaces.metered(exporter, index).filter(|_| index > 0 || has_none);
        Told {
            who: (exporter, f.exporter_address.ip()),
            is_v6: family == Family::V6,
            in_if: f.in_if,
            out_if: f.out_if,
            leaves: f.direction == LEAVES,
            packets: counts.packets,
            rate: counts.rate,
            metered: [metered(f.in_if), metered(f.out_if)],
        }
    }

    /// Where a record counts: towards its destination's range if it came in by an external interface, and from its source's if it left
    /// by one, and may do so. Of a record between two ranges the one that it comes from may be told by a twin, as of packets, whichever
    /// record tells of it.
    pub(super) fn find(
        &self,
        (src, dst): (Option<RangeIndex>, Option<RangeIndex>),
        exporter: IpAddr,
        [(in_if, in_named), (out_if, out_named)]: [Interface; 2],
        [came, left]: [metering::Counts; 2],
    ) -> Found {
        if src.is_none() && dst.is_none() {
            return Found::Unmatched;
        }
        let to = dst.filter(|_| self.interfaces.is_external(exporter, in_if, in_named));
        let from = src.filter(|_| self.interfaces.is_external(exporter, out_if, out_named));
        let ingress = |range| (range, Has::INGRESS, self.link(exporter, in_if), came.is_settled);
        let egress = |range| (range, Has::EGRESS, self.link(exporter, out_if), left.is_settled);
        let views = match (to, from) {
            // One view of both directions, also where two records tell of them: the one of where it came in has it, however what left is
            // metered.
            (Some(to), Some(from)) if to == from => {
                let (range, direction, link, is_settled) = ingress(to);
                [came.here.then_some((range, direction.with(Has::EGRESS, true), link, is_settled)), None]
            }
            (to, from) => {
                let of = |from: RangeIndex| to.map_or(from, |to| RangeIndex(self.scopes.source(from.0, to.0)));
                [to.map(ingress).filter(|_| came.here), from.map(of).map(egress).filter(|_| left.here)]
            }
        };
        if views.iter().all(Option::is_none) { Found::Duplicate } else { Found::Views(views) }
    }
}
