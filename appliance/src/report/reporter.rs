//! Reads streams, closes windows, publishes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::appliance::{Account, Incompleteness, Window, appliance_report, unmatched_top};
use super::open::{Accounts, OpenWindow, RangeWindow, Total};
use super::sequences::Sequences;
use super::{CoreName, Edition, Health, PortHealth, Publisher, RangeName, SCHEMA_VERSION, Setting, message, pb};
use crate::stats::plan::Period;
use crate::units::Epoch;
use crate::window::stream::Stream;
use crate::window::{Calendar, Coming, Control, Sealed, ShardPlans, Site, Told};

/// Messages taken from one stream before the next has its turn.
const TURN_MESSAGES: usize = 256;
/// Epochs without a frame that are reported one by one; a clock that jumped further leaves a gap.
const SILENT_EPOCHS_MAX: u64 = 4_000;

/// One core's stream.
struct Source {
    stream: Stream,
    name: CoreName,
    at: Epoch,
}

/// See the module.
pub struct Reporter<P, H> {
    /// Of the window that is closed next.
    setting: Setting,
    /// See `setting`.
    plans: Arc<ShardPlans>,
    /// Of windows behind those.
    coming: Coming<Edition>,
    calendar: Calendar,
    sources: Vec<Source>,
    publisher: P,
    health: H,
    windows: BTreeMap<(u8, u64), OpenWindow>,
    epochs: BTreeMap<Epoch, Accounts>,
    /// Accounts of the long window that is open.
    long: Accounts,
    open_long: Option<u64>,
    /// First epoch that was not reported yet.
    next: Option<Epoch>,
    sequences: Sequences,
    sequence: u64,
    last_health: [Vec<PortHealth>; 2],
    first: Option<Epoch>,
    last: Option<Epoch>,
    total: Total,
}

const fn rank(period: Period) -> u8 {
    match period {
        Period::Fast => 0,
        Period::Long => 1,
    }
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
        let count = streams.len();
        Self {
            setting,
            plans,
            coming: Coming::default(),
            calendar,
            sources: streams.into_iter().map(|(name, stream)| Source { stream, name, at: Epoch(0) }).collect(),
            publisher,
            health,
            windows: BTreeMap::new(),
            epochs: BTreeMap::new(),
            long: Accounts::of(count),
            open_long: None,
            next: None,
            sequences: Sequences::default(),
            sequence: 0,
            last_health: [Vec::new(), Vec::new()],
            first: None,
            last: None,
            total: Total { accounts: Accounts::of(count), ..Total::default() },
        }
    }

    /// By this end other generations come.
    pub fn control(&mut self) -> Control<Edition> {
        self.coming.control()
    }

    /// Takes what waits and closes what is complete; false if nothing waited.
    pub fn poll(&mut self) -> bool {
        self.coming.look(None);
        let mut busy = false;
        for at in 0..self.sources.len() {
            for _ in 0..TURN_MESSAGES {
                if !self.take(at) {
                    break;
                }
                busy = true;
            }
        }
        if busy {
            let passed = self.sources.iter().map(|source| source.at).min().unwrap_or_default();
            self.close_before(passed);
        }
        busy
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
        let window = Window { period: Period::Long, bounds_ns, cut: false };
        let account = Account { window, ranges: self.total.ranges, total: true };
        let health = std::mem::take(&mut self.last_health[1]);
        let missing: Vec<(String, u64)> = std::mem::take(&mut self.total.missing).into_iter().collect();
        let mut report = appliance_report(&self.setting, &account, &site, &missing, &health);
        self.add_cores(&mut report, &self.total.accounts, Period::Long);
        self.publish_appliance(report);
    }

    /// One message of one stream.
    fn take(&mut self, at: usize) -> bool {
        let Self { sources, plans, coming, calendar, windows, epochs, .. } = self;
        let streams = sources.len();
        let source = &mut sources[at];
        source.stream.next(|told| match told {
            Told::Block(sealed, words) => {
                let epoch = match sealed.period {
                    Period::Fast => Epoch(sealed.number),
                    Period::Long => calendar.first_of_long(sealed.number),
                };
                file(windows, coming.of(epoch).map_or(plans, |edition| &edition.plans), calendar, &sealed, words);
            }
            Told::Closed { epoch, next, site } => {
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
            }
            let Some(epoch) = next else { break };
            self.renew(epoch);
            self.close_epoch(epoch);
            self.next = Some(Epoch(epoch.0 + 1));
            self.open_long = Some(self.calendar.long(epoch));
        }
        if passed != Epoch::END {
            self.renew(passed);
        }
    }

    /// Every window before `epoch` was reported: from here on another generation may count.
    fn renew(&mut self, epoch: Epoch) {
        let Some(Edition { setting, plans }) = self.coming.follow(epoch) else { return };
        if setting.tags_anew {
            self.total.forget_tags(setting.tags.len());
        }
        let (setting, plans) = (std::mem::replace(&mut self.setting, setting), std::mem::replace(&mut self.plans, plans));
        self.coming.give_back(Some(Edition { setting, plans }));
        self.sequences.renew(self.setting.ranges.iter().map(RangeName::identity));
    }

    /// The next epoch to report: live, each one; in a replay, each that has frames.
    fn next_epoch(&self, passed: Epoch) -> Option<Epoch> {
        let known = self.epochs.keys().find(|epoch| **epoch < passed && epoch.0 > 0).copied();
        let Some(next) = self.next.filter(|_| self.setting.live && passed != Epoch::END) else { return known };
        if next >= passed {
            return None;
        }
        let gap = known.map_or(passed.0, |epoch| epoch.0).saturating_sub(next.0);
        if gap > SILENT_EPOCHS_MAX { known } else { Some(next) }
    }

    fn close_epoch(&mut self, epoch: Epoch) {
        let accounts = self.epochs.remove(&epoch).unwrap_or_else(|| Accounts::of(self.sources.len()));
        self.first = self.first.or(Some(epoch));
        let over = self.sources.iter().any(|source| source.at == Epoch::END) && self.epochs.is_empty();
        self.last = over.then_some(epoch);
        self.long.merge(&accounts);
        if self.plans.plans.iter().any(|plan| plan.root_words(Period::Fast) > 0) {
            self.close(Period::Fast, epoch.0, &accounts);
        }
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
        let window = self.windows.remove(&(rank(period), number)).unwrap_or_default();
        let bounds_ns = self.calendar.bounds_ns(period, number);
        let site = accounts.sum();
        let health = self.health_since(period);
        let real = u32::try_from(self.setting.ranges.len()).unwrap_or(u32::MAX);
        let starved = window.ranges.range(..real).any(|(_, content)| content.starved > 0);
        let which = Window { period, bounds_ns, cut: self.is_cut(period, number) };
        let missing = Incompleteness::of(&self.setting, &site, &health, &which, starved);
        let mut ranges = 0;
        for (range, content) in window.ranges.range(..real) {
            let report = self.range_report(*range, content, period, bounds_ns, &missing);
            self.publisher.range(&report);
            ranges += 1;
        }
        let account = Account { window: which, ranges, total: false };
        let missing = missing.whole();
        let mut report = appliance_report(&self.setting, &account, &site, &missing, &health);
        report.unmatched_top = unmatched_top(&window, real, &self.plans);
        self.add_cores(&mut report, accounts, period);
        self.publish_appliance(report);
        if period == Period::Long {
            self.total.ranges += ranges;
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

    /// What ports lost since the last window of this kind.
    fn health_since(&mut self, period: Period) -> Vec<PortHealth> {
        let now = self.health.read();
        let before = std::mem::replace(&mut self.last_health[usize::from(rank(period))], now.clone());
        let since = |(i, port): (usize, PortHealth)| {
            let old = before.get(i).cloned().unwrap_or_default();
            let earlier = |name: &str| old.counters.iter().find(|(n, _)| n == name).map_or(0, |(_, v)| *v);
            let counters = port.counters.iter().map(|(n, v)| (n.clone(), v.saturating_sub(earlier(n)))).collect();
            // A link that was down for a moment makes the window no less incomplete than one that still is.
            let up = port.up && port.downs == old.downs;
            PortHealth { missed: port.missed.saturating_sub(old.missed), up, downs: port.downs, counters }
        };
        now.into_iter().enumerate().map(since).collect()
    }

    fn range_report(
        &mut self,
        range: u32,
        content: &RangeWindow,
        period: Period,
        bounds_ns: (u64, u64),
        missing: &Incompleteness,
    ) -> pb::RangeReport {
        let (identity, name) = (&self.setting.identity, &self.setting.ranges[range as usize]);
        let plan = self.plans.of(crate::units::RangeIndex(range));
        let figure = |(i, summary): &(usize, Box<dyn crate::stats::Summary>)| {
            let planned = &plan.stats()[*i];
            message::stat(&self.setting.specs[planned.spec], summary.figure(&planned.question))
        };
        let sequence = self.sequences.next(name.identity());
        pb::RangeReport {
            schema_version: SCHEMA_VERSION,
            appliance: identity.appliance.clone(),
            pop: identity.pop.clone(),
            boot_id: identity.boot_id,
            sequence,
            window_start_ns: bounds_ns.0,
            window_end_ns: bounds_ns.1,
            window_kind: kind(period).into(),
            scope: pb::Scope::Own.into(),
            prefix: name.prefix.clone(),
            customer: name.customer.clone(),
            labels: name.labels.iter().map(|(name, value)| pb::Label { name: name.clone(), value: value.clone() }).collect(),
            config_hash: identity.config_hash.clone(),
            hash_key_id: identity.hash_key_id.clone(),
            incomplete: missing.of_range(range, content),
            stats: content.summaries.iter().map(figure).collect(),
        }
    }

    fn add_cores(&self, report: &mut pb::ApplianceReport, accounts: &Accounts, period: Period) {
        let mut cores: BTreeMap<u32, (&'static str, Site)> = BTreeMap::new();
        for (source, site) in self.sources.iter().zip(&accounts.sites) {
            let entry = cores.entry(source.name.lcore).or_insert_with(|| (source.name.role, Site::default()));
            entry.1.merge(site);
        }
        let core = |(lcore, (role, site)): (u32, (&str, Site))| super::appliance::core_ledger(lcore, role, &site, period);
        report.cores = cores.into_iter().map(core).collect();
    }

    fn publish_appliance(&mut self, mut report: pb::ApplianceReport) {
        self.sequence += 1;
        report.sequence = self.sequence;
        report.sink_overflow = self.publisher.overflow().into_iter().map(|(name, n)| message::count(name, n)).collect();
        self.publisher.appliance(&report);
    }
}

/// As the messages spell it.
pub(super) const fn kind(period: Period) -> pb::WindowKind {
    match period {
        Period::Fast => pb::WindowKind::Fast,
        Period::Long => pb::WindowKind::Long,
    }
}

/// Adds a block to the windows that it belongs to: a fast block also to its long window.
fn file(windows: &mut BTreeMap<(u8, u64), OpenWindow>, plans: &ShardPlans, calendar: &Calendar, sealed: &Sealed, words: &[u64]) {
    let plan = plans.of(sealed.range);
    let mut absorb = |period: Period, number: u64| {
        windows.entry((rank(period), number)).or_default().absorb(plan, sealed, words, period == Period::Fast);
    };
    match sealed.period {
        Period::Fast => {
            absorb(Period::Fast, sealed.number);
            absorb(Period::Long, calendar.long(Epoch(sealed.number)));
        }
        Period::Long => absorb(Period::Long, sealed.number),
    }
}
