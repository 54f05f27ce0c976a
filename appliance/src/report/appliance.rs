//! The appliance's own account of a window, and what it means for the ranges' reports.

use super::loss::Lost;
use super::message::{count, estimate};
use super::open::{RangeWindow, kind};
use super::{PortHealth, PortName, QueueHealth, SCHEMA_VERSION, Setting, WallClock, pb};
use crate::limits::PORTS_MAX;
use crate::parse::{DropReason, Fault};
use crate::stats::figure::Figure;
use crate::stats::plan::Period;
use crate::window::{Ledger, ShardPlans, Site};

/// Prefixes of what matched no range that a report lists, for each family.
const UNMATCHED_LISTED: usize = 10;

/// Which window, and whether a live appliance started or stopped within it (`cut`).
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) period: Period,
    pub(super) bounds_ns: (u64, u64),
    pub(super) cut: bool,
    /// A step of the clock touched it.
    pub(super) jumped: bool,
    /// Frames of a later window count in it, or its own in an earlier one.
    pub(super) overdue: bool,
    /// A core did not poll at one of its ends: frames of it count in a later one, or those of an earlier one in it.
    pub(super) held: bool,
    /// Its time was further off than it may be.
    pub(super) astray: bool,
    /// What was lost of it was told with a later one.
    pub(super) untold: bool,
    /// What was counted of its flow records was told with a later window's, or that of an earlier one with its own.
    pub(super) untold_flows: bool,
    /// Ports that brought too little in it, or in a fast window of it, a bit each.
    pub(super) silent_ports: u64,
}

// A bit each.
const _: () = assert!(PORTS_MAX <= u64::BITS as usize);

impl Window {
    /// What came in it says nothing of what was sent in it.
    pub(super) const fn is_torn(&self) -> bool {
        self.cut || self.held
    }

    /// Everything since the start.
    pub(super) const fn of_all(bounds_ns: (u64, u64)) -> Self {
        let (cut, jumped, overdue, held, astray, untold, untold_flows) = (false, false, false, false, false, false, false);
        Self { period: Period::Long, bounds_ns, cut, jumped, overdue, held, astray, untold, untold_flows, silent_ports: 0 }
    }
}

/// A window, and how many ranges and roll-ups were reported of it.
pub(super) struct Account {
    pub(super) window: Window,
    pub(super) ranges: u64,
    pub(super) rollups: u64,
    pub(super) total: bool,
    pub(super) clock_offset_ns: Option<i64>,
    pub(super) wall_clock: WallClock,
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
    let mut report = pb::ApplianceReport {
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
        feeds: feeds(&setting.ports, site, health, window.silent_ports),
        total: account.total,
        ranges_reported: account.ranges,
        unmatched_top: Vec::new(),
        clock_source: identity.clock_source.to_owned(),
        clock_offset_ns: account.clock_offset_ns,
        sink_overflow: Vec::new(),
        journal_losses: Vec::new(),
        previous_run: None,
        rollups_reported: setting.rollup.then_some(account.rollups),
        losses: Vec::new(),
        sinks: Vec::new(),
        journal: None,
        clock_sync: pb::ClockSync::Unknown.into(),
        clock_system_offset_ns: None,
        clock_error_ns: None,
        clock_error_max_ns: None,
        clock_disciplined_by: String::new(),
        clock_daemons: Vec::new(),
        clock_phc: String::new(),
        clock_phc_offset_ns: None,
        events_sequence: 0,
        audit: None,
        flow_analysis: None,
        duplicates: None,
        flows: None,
        frames_without_link: (setting.links_of_frames().count() > 0).then(|| without_link(site)),
        exports: None,
        links_reported: Some(setting.links_of_frames().count() as u64).filter(|links| window.period == Period::Fast && *links > 0),
        kind_sequence: 0,
        left_off: Vec::new(),
    };
    account.wall_clock.tell(&mut report);
    report
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
        overdue: ledger.overdue,
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
    let port = |(i, name): (usize, &PortName)| {
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
            queues: health.map(|h| h.queues.iter().map(queue).collect()).unwrap_or_default(),
            link_bps: health.and_then(|h| h.link_bps),
        }
    };
    setting.ports.iter().enumerate().map(port).collect()
}

fn queue(of: &QueueHealth) -> pb::QueueCount {
    let QueueHealth { queue, lcore, received, full_polls, polls, held_ns: _ } = *of;
    pb::QueueCount { queue, lcore, received, full_polls, polls }
}

/// Ports that brought fewer frames than they should, a bit each. Of a window that is torn a few frames tell nothing of the rate.
pub(super) fn silent(ports: &[PortName], site: &Site, window: &Window) -> u64 {
    let (start_ns, end_ns) = window.bounds_ns;
    let window_ms = u128::from(end_ns.saturating_sub(start_ns) / 1_000_000);
    let is_silent = |(at, port): (usize, &PortName)| {
        let received = site.ports.get(at).map_or(0, |ledger| ledger.received);
        u64::from(u128::from(received) * 1_000 < u128::from(port.min_pps) * window_ms) << at
    };
    // A replay may have more, of which none is to bring anything.
    if window.is_torn() { 0 } else { ports.iter().enumerate().take(PORTS_MAX).map(is_silent).sum() }
}

/// The state of each feed, in the order in which the configuration first names them; `silent`: ports that are, or were within the window.
pub(super) fn feeds(ports: &[PortName], site: &Site, health: &[PortHealth], silent: u64) -> Vec<pb::Feed> {
    let (mut feeds, mut sums): (Vec<pb::Feed>, Vec<(Ledger, u64)>) = (Vec::new(), Vec::new());
    for (i, port) in ports.iter().enumerate() {
        let at = feeds.iter().position(|feed| feed.name == port.feed).unwrap_or_else(|| {
            feeds.push(pb::Feed { name: port.feed.clone(), state: pb::FeedState::Live.into(), ..pb::Feed::default() });
            sums.push(Default::default());
            feeds.len() - 1
        });
        let (feed, (ledger, missed)) = (&mut feeds[at], &mut sums[at]);
        site.ports.get(i).into_iter().for_each(|port| *ledger += port);
        *missed += health.get(i).map_or(0, |port| port.missed);
        feed.received += site.ports.get(i).map_or(0, |ledger| ledger.received);
        // A member that is lost hides behind the others.
        if i < PORTS_MAX && silent >> i & 1 == 1 {
            feed.silent_ports.push(port.device.clone());
        }
        feed.min_pps = feed.min_pps.max(port.min_pps);
        if health.get(i).is_some_and(|port| !port.up) {
            feed.state = pb::FeedState::Down.into();
        }
    }
    for (feed, (ledger, missed)) in feeds.iter_mut().zip(sums) {
        // As of a port: which one a record came by is not kept behind gather.
        feed.ledger = Some(ledger_message(&Ledger { records: 0, ..ledger }, missed, 0, 0));
        if !feed.silent_ports.is_empty() && feed.state != i32::from(pb::FeedState::Down) {
            feed.state = pb::FeedState::Silent.into();
        }
    }
    feeds
}

/// The largest /24 and /48 of what matched no range: of what stands behind the last range.
pub(super) fn unmatched_top(behind: &[(u32, RangeWindow)], plans: &ShardPlans) -> Vec<pb::UnmatchedPrefix> {
    let mut all = Vec::new();
    for (range, content) in behind {
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

/// Frames that no link's rule took.
fn without_link(site: &Site) -> u64 {
    let received: u64 = site.ports.iter().map(|ledger| ledger.received).sum();
    let of_links: u64 = site.links.iter().map(|sums| sums.passed[0] + sums.blocked[0].passed + sums.blocked[0].seen).sum();
    received.saturating_sub(of_links)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of two brings nothing: the feed is silent, and says by which.
    #[test]
    fn a_lost_member_is_not_hidden_by_the_others() {
        let port = |device: &str, min_pps| PortName { device: device.to_owned(), feed: "mirror".to_owned(), min_pps };
        let of = |ports: [PortName; 2], received: [u64; 2], cut| {
            let ledgers = received.map(|received| Ledger { received, ..Ledger::default() });
            let site = Site { ports: ledgers.to_vec(), ..Site::default() };
            let window = Window { cut, ..Window::of_all((0, 2_000_000_000)) };
            let found = feeds(&ports[..], &site, &[], silent(&ports[..], &site, &window));
            let [feed] = &found[..] else { panic!("{found:?}") };
            (feed.state(), feed.silent_ports.clone(), feed.received)
        };
        let both = || [port("one", 10), port("other", 5)];
        assert_eq!(of(both(), [20, 10], false), (pb::FeedState::Live, vec![], 30));
        assert_eq!(of(both(), [4_000, 9], false), (pb::FeedState::Silent, vec!["other".to_owned()], 4_009));
        assert_eq!(of(both(), [19, 9], false).1, ["one", "other"]);
        assert_eq!(of(both(), [0, 0], true), (pb::FeedState::Live, vec![], 0), "a part of a window");
        assert_eq!(of([port("one", 10), port("other", 0)], [20, 0], false).0, pb::FeedState::Live);
    }
}
