//! Reads streams, closes windows, publishes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::appliance::{Account, Window, appliance_report, unmatched_top};
use super::audit::{Audited, Auditing};
use super::belated::Belated;
use super::loss::Incompleteness;
use super::open::{Accounts, OpenWindow, Total, file, rank};
use super::past::Pasts;
use super::ports::Ports;
use super::rollup;
use super::sequences::{Counter, Sequences};
use super::spare::Spare;
use super::strain::Strain;
use super::{ClockState, CoreName, Edition, Health, Publisher, RangeName, Setting};
use crate::duplicates::{Copies, Pairs};
use crate::stats::plan::{Period, Plan};
use crate::units::Epoch;
use crate::window::stream::Stream;
use crate::window::{Calendar, Coming, Control, ShardPlans, Site, Told};

/// Messages taken from one stream before the next has its turn.
const TURN_MESSAGES: usize = 256;
/// Epochs without a frame that are reported one by one; a clock that jumped further leaves a gap.
const SILENT_EPOCHS_MAX: u64 = 4_000;

/// One core's stream.
pub(super) struct Source {
    stream: Stream,
    pub(super) name: CoreName,
    at: Epoch,
}

/// See the module.
pub struct Reporter<P, H> {
    /// Of the window that is closed next.
    pub(super) setting: Setting,
    /// See `setting`.
    pub(super) plans: Arc<ShardPlans>,
    /// Of windows behind those.
    pub(super) coming: Coming<Edition>,
    pub(super) calendar: Calendar,
    pub(super) sources: Vec<Source>,
    pub(super) publisher: P,
    ports: Ports<H>,
    clock: Option<ClockState>,
    windows: BTreeMap<(u8, u64), OpenWindow>,
    pub(super) spare: Spare,
    epochs: BTreeMap<Epoch, Accounts>,
    belated: Belated,
    /// The last long window had overdue frames.
    pub(super) was_overdue: bool,
    pub(super) was_held: bool,
    /// Accounts of the long window that is open.
    pub(super) long: Accounts,
    open_long: Option<u64>,
    /// Every core has passed what is before it.
    passed: Epoch,
    /// First epoch that was not reported yet.
    next: Option<Epoch>,
    pub(super) sequences: Sequences,
    pub(super) accounts: Counter,
    /// The long window that is being reported: its number, and where it starts.
    pub(super) closing_long: Option<(u64, u64)>,
    /// Of links' reports: one a window.
    pub(super) link_sequence: u64,
    first: Option<Epoch>,
    last: Option<Epoch>,
    total: Total,
    pub(super) pasts: Pasts,
    pub(super) strain: Strain,
    /// Samples of the window that is being closed.
    pub(super) audited: Audited,
    pub(super) auditing: Option<Auditing>,
    /// By epoch that is not closed yet.
    copies: BTreeMap<Epoch, Copies>,
    pub(super) pairs: Option<Pairs>,
}

impl<P: Publisher, H: Health> Reporter<P, H> {
    /// Over these streams.
    pub fn new(
        setting: Setting,
        plans: Arc<ShardPlans>,
        calendar: Calendar,
        streams: Vec<(CoreName, Stream)>,
        publisher: P,
        health: H,
    ) -> Self {
        let (count, pairs, spare) = (streams.len(), setting.duplicates.map(Pairs::new), Spare::before(&setting, &plans));
        Self {
            setting,
            plans,
            coming: Coming::default(),
            calendar,
            sources: streams.into_iter().map(|(name, stream)| Source { stream, name, at: Epoch(0) }).collect(),
            publisher,
            ports: Ports::new(health),
            clock: None,
            windows: BTreeMap::new(),
            spare,
            epochs: BTreeMap::new(),
            belated: Belated::default(),
            was_overdue: false,
            was_held: false,
            long: Accounts::of(count),
            open_long: None,
            passed: Epoch(0),
            next: None,
            sequences: Sequences::default(),
            accounts: Counter::default(),
            closing_long: None,
            link_sequence: 0,
            first: None,
            last: None,
            total: Total { accounts: Accounts::of(count), ..Total::default() },
            pasts: Pasts::default(),
            strain: Strain::default(),
            audited: Audited::default(),
            auditing: None,
            copies: BTreeMap::new(),
            pairs,
        }
    }

    /// By this end other generations come.
    pub fn control(&mut self) -> Control<Edition> {
        self.coming.control()
    }

    /// Takes what waits and closes what is complete; false if there was nothing to do.
    pub fn poll(&mut self) -> bool {
        self.coming.look(None);
        let busy = self.take_some();
        let passed = self.passed_by_all();
        // Also of what came while windows were closed.
        let closes = passed > self.passed;
        if closes {
            self.passed = passed;
            self.close_before(passed);
        }
        busy || closes
    }

    /// Takes some of what waits in each stream; false if nothing waited.
    pub(super) fn take_some(&mut self) -> bool {
        let mut busy = false;
        for at in 0..self.sources.len() {
            for _ in 0..TURN_MESSAGES {
                if !self.take(at) {
                    break;
                }
                busy = true;
            }
        }
        busy
    }

    /// Whether open windows hold no more than they may.
    pub(super) fn has_room(&self) -> bool {
        self.windows.values().map(OpenWindow::words).sum::<usize>() < self.setting.open_words_max
    }

    /// Whether every core has said its last.
    pub fn is_over(&self) -> bool {
        self.sources.iter().all(|source| source.at == Epoch::END)
    }

    /// Whether a core went away without saying its last.
    pub fn is_abandoned(&self) -> bool {
        self.sources.iter().any(|source| source.at != Epoch::END && source.stream.is_over())
    }

    /// Where messages go.
    pub const fn publisher(&mut self) -> &mut P {
        &mut self.publisher
    }

    /// Publishes everything since the start.
    pub fn finish(&mut self) {
        let site = self.total.accounts.sum();
        let bounds_ns = (self.total.start_ns.unwrap_or(0), self.total.end_ns);
        let window = Window::of_all(bounds_ns);
        let clock_offset_ns = self.clock.as_ref().map(|clock| clock.offset_ns);
        let (ranges, rollups) = (self.total.ranges, self.total.rollups);
        let account = Account { window, ranges, rollups, total: true, clock_offset_ns, wall_clock: self.ports.wall_clock() };
        let health = self.ports.total();
        let missing: Vec<(String, u64)> = std::mem::take(&mut self.total.missing).into_iter().collect();
        let mut report = appliance_report(&self.setting, &account, &site, &missing, &health);
        self.add_cores(&mut report, &self.total.accounts, Period::Long);
        report.flow_analysis = self.flow_analysis(&site, Period::Long);
        report.audit = self.auditing.as_mut().map(|auditing| auditing.end(self.setting.live));
        self.publish_appliance(report);
    }

    /// One message of one stream.
    fn take(&mut self, at: usize) -> bool {
        let Self { copies, sources, plans, coming, calendar, windows, spare, epochs, belated, .. } = self;
        let streams = sources.len();
        let source = &mut sources[at];
        source.stream.next(|told| match told {
            Told::Block(sealed, words) => {
                let epoch = match sealed.period {
                    Period::Fast => Epoch(sealed.number),
                    Period::Long => calendar.first_of_long(sealed.number),
                };
                file((windows, spare), coming.of(epoch).map_or(plans, |edition| &edition.plans), calendar, &sealed, words);
            }
            Told::Closed { epoch, next, mut site } => {
                if source.name.is_of_flows() {
                    site = site.of_flows();
                }
                if site.copies.is_on() {
                    copies.entry(epoch).or_default().merge(std::mem::take(&mut site.copies));
                }
                belated.note(source.at, (epoch, next), &site);
                // A worker may stand between two epochs of which it had nothing to do.
                if epoch.0 > 0 && !site.is_blank() {
                    epochs.entry(epoch).or_insert_with(|| Accounts::of(streams)).sites[at].merge(&site);
                }
                source.at = next;
            }
        })
    }

    /// Reports every window that ended before `passed`.
    fn close_before(&mut self, passed: Epoch) {
        loop {
            let next = self.next_epoch(passed);
            if let Some(long) = self.open_long
                && next.map_or_else(|| passed >= self.calendar.after_long(long), |epoch| self.calendar.long(epoch) != long)
            {
                self.open_long = None;
                self.close_long(long);
                continue; // Meanwhile fast windows may have been closed.
            }
            let Some(epoch) = next else { break };
            self.renew(epoch);
            self.close_next(epoch);
        }
        if passed != Epoch::END {
            self.renew(passed);
        }
    }

    /// Where the slowest core is.
    pub(super) fn passed_by_all(&self) -> Epoch {
        self.sources.iter().map(|source| source.at).min().unwrap_or_default()
    }

    /// Closes the epoch that is next; the long window that it is of is open then.
    pub(super) fn close_next(&mut self, epoch: Epoch) {
        self.close_epoch(epoch);
        (self.next, self.open_long) = (Some(Epoch(epoch.0 + 1)), Some(self.calendar.long(epoch)));
    }

    /// Every window before `epoch` was reported: from here on another generation may count.
    fn renew(&mut self, epoch: Epoch) {
        let Some(Edition { setting, plans }) = self.coming.follow(epoch) else { return };
        if setting.tags_anew {
            self.total.forget_tags(setting.tags.len());
        }
        let (setting, plans) = (std::mem::replace(&mut self.setting, setting), std::mem::replace(&mut self.plans, plans));
        self.pasts.renew((&setting, &plans), (&self.setting, &self.plans));
        self.coming.give_back(Some(Edition { setting, plans }));
        if let (Some(auditing), Some(plan)) = (&mut self.auditing, &self.setting.audit) {
            auditing.renew(plan.clone(), &self.setting);
        }
        let ranges = self.setting.ranges.iter().map(RangeName::identity);
        self.sequences.renew(ranges.chain(rollup::identities(&self.setting, &self.plans.scopes)));
    }

    /// The next epoch to report: live, each one; in a replay, each that has frames.
    pub(super) fn next_epoch(&mut self, passed: Epoch) -> Option<Epoch> {
        let known = self.epochs.keys().find(|epoch| **epoch < passed && epoch.0 > 0).copied();
        let Some(next) = self.next.filter(|_| self.setting.live) else { return known };
        // At the end there is none behind the last one that was told of.
        if next >= passed || passed == Epoch::END && known.is_none() {
            return None;
        }
        self.clock = self.ports.clock();
        let bounds_ns = self.calendar.bounds_ns(Period::Fast, next.0);
        let behind = self.clock.as_ref().and_then(|clock| clock.jumped_over(bounds_ns)).map(|time_ns| self.calendar.epoch(time_ns));
        if let Some(behind) = behind {
            // Windows that the clock jumped over never were, unless a core opened one all the same.
            return known.filter(|epoch| *epoch < behind).or_else(|| (behind < passed).then_some(behind));
        }
        let gap = known.map_or(passed.0, |epoch| epoch.0).saturating_sub(next.0);
        if gap > SILENT_EPOCHS_MAX { known } else { Some(next) }
    }

    fn close_epoch(&mut self, epoch: Epoch) {
        let accounts = self.epochs.remove(&epoch).unwrap_or_else(|| Accounts::of(self.sources.len()));
        self.first = self.first.or(Some(epoch));
        while let Some(entry) = self.copies.first_entry().filter(|entry| *entry.key() <= epoch) {
            let copies = entry.remove();
            if let Some(pairs) = &mut self.pairs {
                pairs.close(copies);
            }
        }
        let over = self.sources.iter().any(|source| source.at == Epoch::END) && self.epochs.is_empty();
        self.last = over.then_some(epoch);
        self.long.merge(&accounts);
        if self.has_fast() {
            self.close(Period::Fast, epoch.0, &accounts);
        }
    }

    /// Whether windows are closed that are shorter than the long ones.
    pub(super) fn has_fast(&self) -> bool {
        self.plans.plans.iter().flat_map(Plan::stats).any(|stat| stat.period == Period::Fast)
    }

    fn close_long(&mut self, long: u64) {
        let streams = self.sources.len();
        let accounts = std::mem::replace(&mut self.long, Accounts::of(streams));
        self.total.accounts.merge(&accounts);
        self.total.accounts.sites.iter_mut().for_each(Site::forget_ranges);
        self.close(Period::Long, long, &accounts);
    }

    /// Publishes one window.
    fn close(&mut self, period: Period, number: u64, accounts: &Accounts) {
        let mut window = self.windows.remove(&(rank(period), number)).unwrap_or_default();
        let bounds_ns = self.calendar.bounds_ns(period, number);
        let site = accounts.sum();
        self.clock = self.ports.clock();
        let (clock, real) = (self.clock.as_ref(), u32::try_from(self.setting.ranges.len()).unwrap_or(u32::MAX));
        let jumped = clock.is_some_and(|clock| clock.touches(bounds_ns));
        let (cut, calendar) = (self.is_cut(period, number), &self.calendar);
        let Belated { untold, untold_flows, overdue, held } = &self.belated;
        let (overdue, untold) = (overdue.parts(calendar, period, number), untold.of(calendar, period, number));
        let held = held.parts(calendar, period, number);
        let untold_flows = untold_flows.parts(calendar, period, number);
        let wall_clock = self.ports.wall_clock();
        let clock = self.clock.as_ref();
        let astray = self.setting.live && wall_clock.is_astray(clock, self.setting.clock_bound_ns);
        let mut which = Window { bounds_ns, cut, jumped, overdue, held, astray, untold, untold_flows, ..Window::of_all(bounds_ns) };
        which.period = period;
        let clock_offset_ns = clock.map(|clock| clock.offset_ns);
        let ports = self.ports.read(period, bounds_ns, clock.map(|clock| clock.now_ns));
        which.silent_ports = self.silent_ports(&which, &site, accounts.silent_ports);
        let doubts = self.doubts(&which, &site, &ports.health);
        let missing = Incompleteness::of((&self.setting, &self.plans.scopes), (&site, &ports), &which, window.starved(real), &doubts);
        let outer = std::mem::replace(&mut self.closing_long, (period == Period::Long).then_some((number, bounds_ns.0)));
        let duplicates = self.duplicates(period); // Before later fast windows are closed.
        let (ranges, rollups) = self.publish(&mut window, &which, (real, &site.links), &missing);
        self.closing_long = outer;
        self.pasts.forget_before(outer.map_or(bounds_ns.0, |(_, start_ns)| start_ns.min(bounds_ns.0)));
        self.publisher.strained(period == Period::Long, &std::mem::take(&mut self.strain));
        let account = Account { window: which, ranges, rollups, total: false, clock_offset_ns, wall_clock };
        let of_flows = missing.flows().of_all();
        let missing = missing.whole();
        let is_whole = missing.is_empty();
        let missing: Vec<(String, u64)> = missing.into_iter().chain(of_flows).collect();
        let mut report = appliance_report(&self.setting, &account, &site, &missing, &ports.health);
        let behind = window.ranges().into_iter().filter(|range| *range >= real);
        let behind: Vec<_> = behind.map(|range| (range, window.range(&self.plans, range, period))).collect();
        report.unmatched_top = unmatched_top(&behind, &self.plans);
        self.spare.take(window.into_pieces(), period);
        self.add_cores(&mut report, accounts, period);
        report.flow_analysis = self.flow_analysis(&site, period);
        report.losses = self.losses(&site, &ports.health, accounts, &which);
        report.duplicates = duplicates;
        report.audit = self.audit(&which, &site.tags, is_whole);
        self.publish_appliance(report);
        if period == Period::Long {
            self.look_for_overdue(&site);
            self.look_for_held(held);
            self.belated.forget(&self.calendar, number);
            self.total.ranges += ranges;
            self.total.rollups += rollups;
            for (reason, n) in missing {
                *self.total.missing.entry(reason).or_default() += n;
            }
            self.total.start_ns.get_or_insert(bounds_ns.0);
            self.total.end_ns = bounds_ns.1;
        }
    }

    /// Whether a live appliance started or stopped within the window.
    fn is_cut(&self, period: Period, number: u64) -> bool {
        let of = |epoch: Option<Epoch>| {
            epoch.map(|e| match period {
                Period::Fast => e.0,
                Period::Long => self.calendar.long(e),
            })
        };
        self.setting.live && (of(self.first) == Some(number) || of(self.last) == Some(number))
    }
}
