//! The appliance's own account of a window, and what it means for the ranges' reports.

use std::collections::BTreeMap;

use super::message::{count, estimate};
use super::open::{OpenWindow, RangeWindow};
use super::reporter::kind;
use super::{PortHealth, SCHEMA_VERSION, Setting, pb};
use crate::gather::Cause;
use crate::parse::{DropReason, Fault};
use crate::stats::figure::Figure;
use crate::stats::plan::Period;
use crate::window::{Ledger, ShardPlans, Site};

/// Prefixes of what matched no range that a report lists, for each family.
const UNMATCHED_LISTED: usize = 10;

/// Which window, and whether a live appliance started or stopped within it.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) period: Period,
    pub(super) bounds_ns: (u64, u64),
    pub(super) cut: bool,
}

/// A window, and how many ranges were reported of it.
pub(super) struct Account {
    pub(super) window: Window,
    pub(super) ranges: u64,
    pub(super) total: bool,
}

/// What is missing of a window.
pub(super) struct Incompleteness {
    /// For any range, but for lost records.
    reasons: Vec<&'static str>,
    /// Packets that the ports lost: any range's.
    missed: u64,
    /// Nothing bounds what is missing.
    unbounded: bool,
    lost: BTreeMap<u32, Lost>,
    lost_others: Lost,
    /// Some range's stats found no memory.
    starved: bool,
}

/// Records lost, as a window of one period sees it.
#[derive(Clone, Copy, Default)]
pub(super) struct Lost {
    ring: u64,
    memory: u64,
}

impl Lost {
    pub(super) const fn of(records: [u64; Cause::COUNT], period: Period) -> Self {
        let [ring, memory, long] = records;
        match period {
            Period::Fast => Self { ring, memory },
            Period::Long => Self { ring: ring + long, memory },
        }
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
    pub(super) fn of(setting: &Setting, site: &Site, health: &[PortHealth], window: &Window, starved: bool) -> Self {
        let missed = health.iter().map(|port| port.missed).sum();
        let states = feeds(setting, site, health, window.bounds_ns, window.cut);
        let any = |state: pb::FeedState| setting.live && states.iter().any(|feed| feed.state == i32::from(state));
        let (silent, down) = (any(pb::FeedState::Silent), any(pb::FeedState::Down));
        let reasons = [(missed > 0, "nic_missed"), (silent, "feed_silent"), (down, "feed_down"), (window.cut, "partial_window")];
        Self {
            reasons: reasons.into_iter().filter(|(is, _)| *is).map(|(_, reason)| reason).collect(),
            missed,
            unbounded: silent || down || window.cut,
            lost: site.lost.iter().map(|(range, records)| (*range, Lost::of(*records, window.period))).collect(),
            lost_others: Lost::of(site.lost_others, window.period),
            starved,
        }
    }

    /// What the appliance's own report says of its window.
    pub(super) fn whole(&self) -> Vec<(String, u64)> {
        let lost =
            self.lost.values().fold(self.lost_others, |all, lost| Lost { ring: all.ring + lost.ring, memory: all.memory + lost.memory });
        let starved = (self.starved && lost.memory == 0).then_some(("memory", 0));
        let reasons = self.reasons.iter().map(|reason| (*reason, self.missed));
        reasons.chain(lost.reasons()).chain(starved).map(|(reason, n)| (reason.to_owned(), n)).collect()
    }

    pub(super) fn of_range(&self, range: u32, content: &RangeWindow) -> Option<pb::Incomplete> {
        let lost = self.lost.get(&range).copied().unwrap_or_default();
        let ring = lost.ring + self.lost_others.ring > 0;
        let memory = lost.memory + self.lost_others.memory + content.starved > 0;
        let of_records = [(ring, "ring_full"), (memory, "memory")].into_iter().filter(|(is, _)| *is).map(|(_, reason)| reason);
        let reasons: Vec<String> = self.reasons.iter().copied().chain(of_records).map(str::to_owned).collect();
        let high = (!self.unbounded).then(|| lost.all() + self.lost_others.all() + self.missed + content.starved);
        (!reasons.is_empty()).then_some(pb::Incomplete { reasons, lost_packets_low: lost.all(), lost_packets_high: high })
    }
}

/// The report of a window, its cores and unmatched prefixes aside.
pub(super) fn appliance_report(
    setting: &Setting,
    account: &Account,
    site: &Site,
    missing: &[(String, u64)],
    health: &[PortHealth],
) -> pb::ApplianceReport {
    let (identity, window) = (&setting.identity, account.window);
    let ledger = site.ledger();
    let (counted, lost) = counted_and_lost(site, window.period);
    let missed: u64 = health.iter().map(|port| port.missed).sum();
    let untagged = site.tags.last().copied().unwrap_or(0);
    let tag = |(i, decision): (usize, &&str)| pb::TagCount {
        rule: u32::try_from(i).unwrap_or(u32::MAX),
        decision: (*decision).to_owned(),
        frames: site.tags.get(i).copied().unwrap_or(0),
    };
    let lost_low = missing.iter().map(|(_, n)| n).max().copied().unwrap_or(0);
    let reasons: Vec<String> = missing.iter().map(|(reason, _)| reason.clone()).collect();
    pb::ApplianceReport {
        schema_version: SCHEMA_VERSION,
        appliance: identity.appliance.clone(),
        pop: identity.pop.clone(),
        boot_id: identity.boot_id,
        sequence: 0,
        window_start_ns: window.bounds_ns.0,
        window_end_ns: window.bounds_ns.1,
        window_kind: kind(window.period).into(),
        config_hash: identity.config_hash.clone(),
        hash_key_id: identity.hash_key_id.clone(),
        incomplete: (!reasons.is_empty()).then_some(pb::Incomplete { reasons, lost_packets_low: lost_low, lost_packets_high: None }),
        ledger: Some(ledger_message(&ledger, missed, counted, lost)),
        cores: Vec::new(),
        ports: ports(setting, site, health),
        tags: setting.tags.iter().enumerate().map(tag).collect(),
        untagged,
        feeds: feeds(setting, site, health, window.bounds_ns, window.cut || account.total),
        total: account.total,
        ranges_reported: account.ranges,
        unmatched_top: Vec::new(),
        clock_source: identity.clock_source.to_owned(),
        clock_offset_ns: None,
        sink_overflow: Vec::new(),
    }
}

/// Records that reached the window's reports, and those that did not.
fn counted_and_lost(site: &Site, period: Period) -> (u64, u64) {
    let lost = site.lost_total();
    (site.counted.saturating_sub(Lost::uncounted(lost, period)), Lost::of(lost, period).all())
}

/// A ledger as it is sent.
fn ledger_message(ledger: &Ledger, missed: u64, counted: u64, ring_dropped: u64) -> pb::Ledger {
    let named = |names: &[&'static str], counts: &[u64]| {
        names.iter().zip(counts).filter(|(_, n)| **n > 0).map(|(name, n)| count(*name, *n)).collect::<Vec<_>>()
    };
    let mut faults = named(&Fault::ALL.map(Fault::name), &ledger.faults);
    let more = [("implausible_length", ledger.implausible), ("sampling_unknown", ledger.unproven)];
    faults.extend(more.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| count(name, n)));
    pb::Ledger {
        offered: ledger.received + missed,
        received: ledger.received,
        nic_missed: missed,
        parsed: ledger.parsed,
        parse_drops: named(&DropReason::ALL.map(DropReason::name), &ledger.drops),
        matched: ledger.matched,
        unmatched: ledger.unmatched,
        records: ledger.records,
        counted,
        ring_dropped,
        late: ledger.late,
        faults,
        truncated: ledger.truncated,
        received_bytes: ledger.received_bytes,
    }
}

/// What one core did.
pub(super) fn core_ledger(lcore: u32, role: &str, site: &Site, period: Period) -> pb::CoreLedger {
    let ledger = site.ledger();
    let (counted, lost) = counted_and_lost(site, period);
    let message = ledger_message(&ledger, 0, counted, lost);
    pb::CoreLedger { lcore, role: role.to_owned(), ledger: Some(message) }
}

fn ports(setting: &Setting, site: &Site, health: &[PortHealth]) -> Vec<pb::PortLedger> {
    let port = |(i, name): (usize, &super::PortName)| {
        let mut ledger = site.ports.get(i).copied().unwrap_or_default();
        // Which port a record came by is not kept behind gather: a port's ledger ends where its packets are matched.
        ledger.records = 0;
        let health = health.get(i);
        let missed = health.map_or(0, |h| h.missed);
        let moved = |h: &PortHealth| h.counters.iter().filter(|(_, v)| *v > 0).map(|(n, v)| count(n.clone(), *v)).collect();
        pb::PortLedger {
            port: u32::try_from(i).unwrap_or(u32::MAX),
            device: name.device.clone(),
            feed: name.feed.clone(),
            ledger: Some(ledger_message(&ledger, missed, 0, 0)),
            link_up: health.is_none_or(|h| h.up),
            device_counters: health.map(moved).unwrap_or_default(),
        }
    };
    setting.ports.iter().enumerate().map(port).collect()
}

/// The state of each feed, in the order in which the configuration first names them. Of a window that is `cut` a few frames
/// tell nothing of the rate: then no feed is silent.
fn feeds(setting: &Setting, site: &Site, health: &[PortHealth], (start_ns, end_ns): (u64, u64), cut: bool) -> Vec<pb::Feed> {
    let mut feeds: Vec<(pb::Feed, u64)> = Vec::new();
    for (i, port) in setting.ports.iter().enumerate() {
        let at = feeds.iter().position(|(feed, _)| feed.name == port.feed).unwrap_or_else(|| {
            let feed = pb::Feed { name: port.feed.clone(), state: pb::FeedState::Live.into(), received: 0 };
            feeds.push((feed, 0));
            feeds.len() - 1
        });
        let (feed, min_pps) = &mut feeds[at];
        feed.received += site.ports.get(i).map_or(0, |ledger| ledger.received);
        *min_pps = (*min_pps).max(port.min_pps);
        if health.get(i).is_some_and(|port| !port.up) {
            feed.state = pb::FeedState::Down.into();
        }
    }
    let window_ms = u128::from(end_ns.saturating_sub(start_ns) / 1_000_000);
    for (feed, min_pps) in &mut feeds {
        let silent = !cut && u128::from(feed.received) * 1_000 < u128::from(*min_pps) * window_ms;
        if silent && feed.state != i32::from(pb::FeedState::Down) {
            feed.state = pb::FeedState::Silent.into();
        }
    }
    feeds.into_iter().map(|(feed, _)| feed).collect()
}

/// The largest /24 and /48 of what matched no range.
pub(super) fn unmatched_top(window: &OpenWindow, real: u32, plans: &ShardPlans) -> Vec<pb::UnmatchedPrefix> {
    let mut all = Vec::new();
    for (range, content) in window.ranges.range(real..) {
        let plan = plans.of(crate::units::RangeIndex(*range));
        for (i, summary) in &content.summaries {
            if let Figure::Top(top) = summary.figure(&plan.stats()[*i].question) {
                let entries = top.entries.into_iter().take(UNMATCHED_LISTED);
                all.extend(entries.map(|e| pb::UnmatchedPrefix { prefix: e.key, packets: Some(estimate(&e.value)) }));
            }
        }
    }
    all
}
