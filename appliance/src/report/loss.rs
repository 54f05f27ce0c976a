//! What is missing of a window: of the appliance's account, and of each range's figures.

use std::collections::BTreeMap;

use super::flows::{FlowRange, FlowWindow};
use super::ports::PortsSince;
use super::{Setting, pb};
use crate::classify::{Scope, Scopes};
use crate::gather::Cause;
use crate::stats::plan::Period;
use crate::window::Site;

use super::appliance::{Window, feeds};

/// What is missing of a window.
pub(super) struct Incompleteness {
    /// For any range, but for lost records.
    reasons: Vec<&'static str>,
    /// Frames that the ports lost, as read in this window.
    missed: u64,
    /// Those that may have been this window's: any range's.
    missed_high: u64,
    /// Nothing bounds what is missing.
    unbounded: bool,
    /// By range; those of its twins are its own.
    lost: BTreeMap<u32, Lost>,
    lost_others: Lost,
    /// Some range's stats found no memory.
    starved: bool,
    /// Of flow records.
    flows: FlowWindow,
    /// Records were lost that a later window's account tells of: a core found no room for its own.
    untold: bool,
}

/// Records lost, as a window of one period sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lost {
    ring: u64,
    memory: u64,
}

/// What cores lost of what one report counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lacks {
    lost: Lost,
    /// So many packets, at least.
    packets: u64,
    /// Records of which a stat found no memory.
    starved: u64,
}

/// What a range's figures may lack: at most so many packets, or nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// At most so many.
    AtMost(u64),
    /// Nothing bounds it.
    Unbounded,
}

impl Lost {
    pub(super) const fn of(records: [u64; Cause::COUNT], period: Period) -> Self {
        let [ring, memory, long] = records;
        match period {
            Period::Fast => Self { ring, memory },
            Period::Long => Self { ring: ring + long, memory },
        }
    }

    const fn with(self, other: Self) -> Self {
        Self { ring: self.ring + other.ring, memory: self.memory + other.memory }
    }

    /// Records that were counted on their core, and are lost all the same.
    pub(super) const fn uncounted(records: [u64; Cause::COUNT], period: Period) -> u64 {
        match period {
            Period::Fast => 0,
            Period::Long => records[Cause::Long as usize],
        }
    }

    pub(super) const fn all(self) -> u64 {
        self.ring + self.memory
    }

    fn reasons(self) -> impl Iterator<Item = (&'static str, u64)> {
        [("ring_full", self.ring), ("memory", self.memory)].into_iter().filter(|(_, n)| *n > 0)
    }
}

impl Incompleteness {
    /// `starved`: some range's stats found no memory; `doubts`: further reasons.
    pub(super) fn of(
        (setting, scopes): (&Setting, &Scopes),
        (site, ports): (&Site, &PortsSince),
        window: &Window,
        starved: bool,
        doubts: &[&'static str],
    ) -> Self {
        let states = feeds(&setting.ports, site, &ports.health, window.silent_ports);
        let any = |state: pb::FeedState| setting.live && states.iter().any(|feed| feed.state == i32::from(state));
        let (silent, down) = (any(pb::FeedState::Silent), any(pb::FeedState::Down));
        let mut lost = BTreeMap::<u32, Lost>::new();
        for (index, records) in &site.lost {
            let of_range = lost.entry(scopes.owner(*index).range).or_default();
            *of_range = of_range.with(Lost::of(*records, window.period));
        }
        let reasons = [
            (ports.missed_high > 0, "nic_missed"),
            (silent, "feed_silent"),
            (down, "feed_down"),
            (window.cut, "partial_window"),
            (window.jumped, "clock_jumped"),
            (window.overdue, "overdue"),
            (window.held, "held_up"),
            (window.astray, "clock_offset"),
        ];
        let reasons = reasons.into_iter().filter(|(is, _)| *is).map(|(_, reason)| reason);
        Self {
            reasons: reasons.chain(doubts.iter().copied()).collect(),
            missed: ports.missed(),
            missed_high: ports.missed_high,
            unbounded: silent
                || down
                || window.is_torn()
                || window.jumped
                || window.overdue
                || window.astray
                || window.untold
                || !doubts.is_empty(),
            lost,
            lost_others: Lost::of(site.lost_others, window.period),
            starved,
            untold: window.untold,
            flows: FlowWindow::of(site, window),
        }
    }

    /// What the appliance's own report says of its window, of packets.
    pub(super) fn whole(&self) -> Vec<(String, u64)> {
        let lost = self.lost.values().fold(self.lost_others, |all, lost| all.with(*lost));
        let starved = (self.starved && lost.memory == 0).then_some(("memory", 0));
        let reasons = self.reasons.iter().map(|reason| (*reason, if *reason == "nic_missed" { self.missed } else { 0 }));
        let untold = (self.untold && lost.ring == 0).then_some(("ring_full", 0));
        reasons.chain(lost.reasons()).chain(starved).chain(untold).map(|(reason, n)| (reason.to_owned(), n)).collect()
    }

    /// What a report says that counts frames as they come in: what cores lose behind that it has.
    pub(super) fn told_of_frames(&self) -> Option<pb::Incomplete> {
        let untold = self.untold.then_some("ring_full");
        let reasons: Vec<String> = self.reasons.iter().copied().chain(untold).map(str::to_owned).collect();
        let high = (!self.unbounded).then_some(self.missed_high);
        (!reasons.is_empty()).then_some(pb::Incomplete { reasons, lost_packets_low: 0, lost_packets_high: high })
    }

    /// What lists of ranges may lack, whichever ranges are listed. `short`: some of what they are made of found no memory.
    pub(super) fn told_of_lists(&self, short: bool) -> Option<pb::Incomplete> {
        let lost = self.lost.values().fold(self.lost_others, |all, lost| all.with(*lost));
        let mut reasons: Vec<String> = self.whole().into_iter().map(|(reason, _)| reason).collect();
        if short && !reasons.iter().any(|reason| reason == "memory") {
            reasons.push("memory".to_owned());
        }
        let unbounded = self.unbounded || short || self.starved;
        let high = (!unbounded).then(|| lost.all() + self.missed_high);
        (!reasons.is_empty()).then_some(pb::Incomplete { reasons, lost_packets_low: 0, lost_packets_high: high })
    }

    /// By how much its figures are to be widened.
    pub(super) fn gap_of_frames(&self) -> Option<Gap> {
        if self.unbounded { Some(Gap::Unbounded) } else { Some(Gap::AtMost(self.missed_high)).filter(|_| self.missed_high > 0) }
    }

    /// Of a range; `starved`: records of it of which a stat found no memory.
    pub(super) fn of_range(&self, range: u32, starved: u64) -> Lacks {
        let lost = self.lost.get(&range).copied().unwrap_or_default();
        Lacks { lost, packets: lost.all(), starved }
    }

    /// Of several ranges together. A packet between two of them is two records.
    pub(super) fn of_scope(&self, scope: &Scope, starved: u64) -> Lacks {
        let within = self.lost.iter().filter(|(range, _)| scope.members.binary_search(range).is_ok());
        let lost = within.fold(Lost::default(), |all, (_, lost)| all.with(*lost));
        Lacks { lost, packets: lost.all().div_ceil(2), starved }
    }

    /// What a report says of it.
    pub(super) fn told(&self, lacks: &Lacks, of_flows: Option<FlowRange>) -> Option<pb::Incomplete> {
        let Lacks { lost, packets, starved } = *lacks;
        let ring = self.untold || lost.ring + self.lost_others.ring > 0;
        let memory = lost.memory + self.lost_others.memory + starved > 0;
        let of_records = [(ring, "ring_full"), (memory, "memory")].into_iter().filter(|(is, _)| *is).map(|(_, reason)| reason);
        let of_flows = of_flows.into_iter().flat_map(|of| self.flows.reasons(of));
        let reasons: Vec<String> = self.reasons.iter().copied().chain(of_records).map(str::to_owned).chain(of_flows).collect();
        let high = match self.gap(lacks) {
            Some(Gap::AtMost(packets)) => Some(packets),
            Some(Gap::Unbounded) => None,
            // Of packets nothing is missing.
            None => Some(0),
        };
        (!reasons.is_empty()).then_some(pb::Incomplete { reasons, lost_packets_low: packets, lost_packets_high: high })
    }

    /// How the window's flow records were sampled.
    pub(super) const fn flows(&self) -> &FlowWindow {
        &self.flows
    }

    /// By how much figures of flows are to be widened.
    pub(super) const fn gap_of_flows(&self, lacks: &Lacks) -> Option<Gap> {
        if self.flows.lacks || lacks.starved > 0 { Some(Gap::Unbounded) } else { None }
    }

    /// By how much figures are to be widened; none: their report is complete.
    pub(super) fn gap(&self, lacks: &Lacks) -> Option<Gap> {
        if self.unbounded {
            return Some(Gap::Unbounded);
        }
        let all = lacks.lost.all() + self.lost_others.all() + self.missed_high + lacks.starved;
        (all > 0).then_some(Gap::AtMost(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists lack what cores lost behind the sums, whichever range lost it; sums lack it not.
    #[test]
    fn lists_of_a_link_lack_what_its_sums_have() {
        let of = |ring, memory, starved| Incompleteness {
            reasons: Vec::new(),
            missed: 0,
            missed_high: 0,
            unbounded: false,
            lost: BTreeMap::from([(7, Lost { ring, memory: 0 })]),
            lost_others: Lost { ring: 0, memory },
            starved,
            flows: FlowWindow::default(),
            untold: false,
        };
        let told = |of: &Incompleteness, short| of.told_of_lists(short).map(|told| (told.reasons.join(" "), told.lost_packets_high));
        assert_eq!(told(&of(0, 0, false), false), None);
        assert_eq!(told(&of(3, 0, false), false), Some(("ring_full".to_owned(), Some(3))));
        assert_eq!(told(&of(3, 2, false), false), Some(("ring_full memory".to_owned(), Some(5))));
        assert_eq!(told(&of(0, 0, false), true), Some(("memory".to_owned(), None)));
        assert_eq!(told(&of(0, 0, true), true), Some(("memory".to_owned(), None)));
        assert!(of(3, 2, true).told_of_frames().is_none());
    }
}
