//! Where each part registers what it wants to be seen, and where snapshots are taken.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::cost::{CostFigures, PARTS, TIMED_POLLS};
use super::exports::ExportsSnapshot;
use super::flows::FlowsSnapshot;
use super::live::{LiveCore, LivePort, PortFigures};
use super::pauses::PAUSE_CAUSES;
use super::snapshot::{
    AuditSnapshot, BuildInfo, CoreSeconds, CoreSnapshot, DEGRADED, EventsSnapshot, FeedSnapshot, JournalSnapshot, Optics, PairSnapshot,
    PortSnapshot, ReloadSnapshot, SinkStatus, Snapshot, WallClockSnapshot,
};
use crate::arch::ticks::ticks_per_second;

/// A reporter that was silent for so many windows is taken for dead.
const REPORTER_SILENT_WINDOWS: u32 = 3;
/// But never sooner than this.
const REPORTER_SILENT_AT_LEAST: Duration = Duration::from_secs(5);

/// What stands among stats for packets that match no range.
const UNMATCHED: &str = "(unmatched)";

type Ask<T> = Box<dyn Fn() -> T + Send + Sync>;

/// Where each part registers what it wants to be seen. One for each process, in an [`Arc`]; control path only.
pub struct Registry {
    appliance: String,
    pop: String,
    start: Instant,
    window: Duration,
    shelves: Mutex<Shelves>,
    /// Ranges of the generation in use.
    pub ranges: AtomicU64,
    /// Budget of sketches and batches, bytes.
    pub memory_budget_bytes: AtomicU64,
    reloads: Mutex<ReloadSnapshot>,
    degraded: [AtomicU64; DEGRADED.len()],
    incomplete_last_window: AtomicU64,
    windows_closed: AtomicU64,
    last_window_end_ns: AtomicU64,
    first_window_open: AtomicBool,
    clock_offset_ns: AtomicI64,
    clock_jumps: AtomicU64,
    /// Milliseconds since the start, plus one; 0: it never beat.
    reporter_beat_ms: AtomicU64,
}

#[derive(Default)]
struct Shelves {
    cores: Vec<(u32, String, Arc<LiveCore>)>,
    ports: Vec<(u32, String, String, Arc<LivePort>)>,
    drop_reasons: Vec<&'static str>,
    /// Rows of the configuration, and what each core had of them when they came into use.
    stats: Vec<String>,
    stats_before: BTreeMap<u32, CostFigures>,
    feeds: Vec<FeedSnapshot>,
    audit: Option<AuditSnapshot>,
    pairs: Vec<PairSnapshot>,
    incomplete: BTreeMap<String, u64>,
    events: EventsSnapshot,
    optics: Vec<(u32, Optics)>,
    wall_clock: WallClockSnapshot,
    sinks: Option<Ask<Vec<SinkStatus>>>,
    journal: Option<Ask<JournalSnapshot>>,
    flows: Option<Ask<FlowsSnapshot>>,
    exports: Option<Ask<ExportsSnapshot>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("appliance", &self.appliance).finish_non_exhaustive()
    }
}

impl Registry {
    /// An empty registry. `window` is the shortest window that the reporter closes: its silence is judged by it.
    pub fn new(appliance: &str, pop: &str, window: Duration) -> Arc<Self> {
        Arc::new(Self {
            appliance: appliance.to_owned(),
            pop: pop.to_owned(),
            start: Instant::now(),
            window,
            shelves: Mutex::default(),
            ranges: AtomicU64::new(0),
            memory_budget_bytes: AtomicU64::new(0),
            reloads: Mutex::default(),
            degraded: Default::default(),
            incomplete_last_window: AtomicU64::new(0),
            windows_closed: AtomicU64::new(0),
            last_window_end_ns: AtomicU64::new(0),
            first_window_open: AtomicBool::new(false),
            clock_offset_ns: AtomicI64::new(0),
            clock_jumps: AtomicU64::new(0),
            reporter_beat_ms: AtomicU64::new(0),
        })
    }

    /// Counters for a new lcore.
    pub fn core(&self, lcore: u32, role: &str) -> Arc<LiveCore> {
        let live = Arc::new(LiveCore::default());
        self.shelves().cores.push((lcore, role.to_owned(), Arc::clone(&live)));
        live
    }

    /// For how long the system kept an lcore from polling, since the start.
    pub fn held_ns(&self, lcore: u32) -> u64 {
        let system = PAUSE_CAUSES.iter().position(|cause| *cause == "system").unwrap_or(0);
        let shelves = self.shelves();
        let of_core = shelves.cores.iter().filter(|(number, _, _)| *number == lcore);
        of_core.map(|(_, _, live)| live.pauses.get().total_ns[system]).sum()
    }

    /// Counters for a new port.
    pub fn port(&self, port: u32, device: &str, feed: &str) -> Arc<LivePort> {
        let live = Arc::new(LivePort::default());
        self.shelves().ports.push((port, device.to_owned(), feed.to_owned(), Arc::clone(&live)));
        live
    }

    /// Names of the drop reasons, in the order of [`LiveCore::drops`].
    pub fn set_drop_reasons(&self, names: &[&'static str]) {
        self.shelves().drop_reasons = names.to_vec();
    }

    /// Names of the stats in use, in the order of the configuration. Where others were before, their costs begin anew.
    pub fn set_stats<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let names: Vec<String> = names.chain([UNMATCHED]).map(str::to_owned).collect();
        let mut shelves = self.shelves();
        if shelves.stats != names {
            let rows = names.len();
            shelves.stats_before = shelves.cores.iter().map(|(lcore, _, live)| (*lcore, live.costs.read(rows))).collect();
            shelves.stats = names;
        }
    }

    /// The feeds' states, after each window.
    pub fn set_feeds(&self, feeds: Vec<FeedSnapshot>) {
        self.shelves().feeds = feeds;
    }

    /// What the audit says, after each long window.
    pub fn set_audit(&self, audit: AuditSnapshot) {
        self.shelves().audit = Some(audit);
    }

    /// Packets seen twice, after each long window.
    pub fn set_pairs(&self, pairs: Vec<PairSnapshot>) {
        self.shelves().pairs = pairs;
    }

    /// Whom to ask for the sinks' state.
    pub fn set_sinks(&self, ask: impl Fn() -> Vec<SinkStatus> + Send + Sync + 'static) {
        self.shelves().sinks = Some(Box::new(ask));
    }

    /// Whom to ask for the journal's state.
    pub fn set_journal(&self, ask: impl Fn() -> JournalSnapshot + Send + Sync + 'static) {
        self.shelves().journal = Some(Box::new(ask));
    }

    /// Whom to ask for flow records.
    pub fn set_flows(&self, ask: impl Fn() -> FlowsSnapshot + Send + Sync + 'static) {
        self.shelves().flows = Some(Box::new(ask));
    }

    /// Whom to ask for exports.
    pub fn set_exports(&self, ask: impl Fn() -> ExportsSnapshot + Send + Sync + 'static) {
        self.shelves().exports = Some(Box::new(ask));
    }

    /// All ports, as they were last read.
    pub fn ports(&self) -> Vec<PortSnapshot> {
        self.shelves().ports()
    }

    /// The first window is open: figures are being gathered.
    pub fn window_opened(&self) {
        self.first_window_open.store(true, Relaxed);
    }

    /// The reporter has closed a window.
    pub fn window_closed(&self, end_ns: u64) {
        self.windows_closed.fetch_add(1, Relaxed);
        self.last_window_end_ns.store(end_ns, Relaxed);
    }

    /// So many more figures were made coarser for want of memory, by [`DEGRADED`].
    pub fn degraded(&self, more: [u64; DEGRADED.len()]) {
        self.degraded.iter().zip(more).for_each(|(counter, n)| _ = counter.fetch_add(n, Relaxed));
    }

    /// Incomplete reports of ranges in a window: by reason, and, of a long one, how many.
    pub fn incomplete(&self, reasons: BTreeMap<String, u64>, of_long: Option<u64>) {
        let mut shelves = self.shelves();
        for (reason, n) in reasons {
            *shelves.incomplete.entry(reason).or_default() += n;
        }
        if let Some(n) = of_long {
            self.incomplete_last_window.store(n, Relaxed);
        }
    }

    /// What events there are, and the messages that were sent of them since the last call.
    pub fn events(&self, open: Vec<(&'static str, u64)>, sent: impl Iterator<Item = (String, &'static str)>) {
        let events = &mut self.shelves().events;
        events.open = open;
        sent.for_each(|key| *events.sent.entry(key).or_default() += 1);
    }

    /// So much more was lost, of what and why.
    pub fn lost(&self, what: &str, cause: &str, count: u64) {
        *self.shelves().events.losses.entry((what.to_owned(), cause.to_owned())).or_default() += count;
    }

    /// What transceivers say, by port.
    pub fn set_optics(&self, optics: Vec<(u32, Optics)>) {
        self.shelves().optics = optics;
    }

    /// What is known of the wall clock.
    pub fn set_wall_clock(&self, known: WallClockSnapshot) {
        self.shelves().wall_clock = known;
    }

    /// The sinks' state.
    pub fn sinks(&self) -> Vec<SinkStatus> {
        self.shelves().sinks.as_ref().map_or_else(Vec::new, |ask| ask())
    }

    /// How far the time of the reports is ahead of the wall clock, and how often that was stepped; true if it was since the
    /// last call.
    pub fn set_clock(&self, offset_ns: i64, jumps: u64) -> bool {
        self.clock_offset_ns.store(offset_ns, Relaxed);
        self.clock_jumps.fetch_max(jumps, Relaxed) < jumps
    }

    /// The reporter is alive; to be called at least once in each window.
    pub fn reporter_beat(&self) {
        self.reporter_beat_ms.store(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1, Relaxed);
    }

    /// This generation counts from now on, with so many ranges.
    pub fn generation(&self, number: u64, ranges: usize) {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner).generation = number;
        self.ranges.store(ranges as u64, Relaxed);
    }

    /// A reload was accepted, or refused.
    pub fn reloaded(&self, accepted: bool) {
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.accepted += u64::from(accepted);
        reloads.refused += u64::from(!accepted);
        reloads.last = Some((SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), accepted));
    }

    /// Somebody asked for a reload without the token; how many did so far.
    pub fn reload_denied(&self) -> u64 {
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.denied += 1;
        reloads.denied
    }

    /// Everything, now.
    pub fn snapshot(&self) -> Snapshot {
        let shelves = self.shelves();
        let core = |(lcore, role, live): &(u32, String, Arc<LiveCore>)| CoreSnapshot {
            lcore: *lcore,
            role: role.clone(),
            figures: live.read(),
            seconds: shelves.seconds(*lcore, live),
        };
        let ports = shelves.ports();
        Snapshot {
            build: BuildInfo::this(),
            appliance: self.appliance.clone(),
            pop: self.pop.clone(),
            uptime: self.start.elapsed(),
            cores: shelves.cores.iter().map(core).collect(),
            drop_reasons: shelves.drop_reasons.clone(),
            feeds: shelves.feeds.clone(),
            audit: shelves.audit.clone(),
            pairs: shelves.pairs.clone(),
            sinks: shelves.sinks.as_ref().map_or_else(Vec::new, |ask| ask()),
            journal: shelves.journal.as_ref().map_or_else(JournalSnapshot::default, |ask| ask()),
            flows: shelves.flows.as_ref().map(|ask| ask()),
            exports: shelves.exports.as_ref().map(|ask| ask()),
            ranges: self.ranges.load(Relaxed),
            memory_budget_bytes: self.memory_budget_bytes.load(Relaxed),
            memory_used_bytes: shelves.cores.iter().flat_map(|(_, _, live)| &live.memory).map(|part| part.get().used).sum(),
            degraded: self.degraded.each_ref().map(|counter| counter.load(Relaxed)),
            incomplete: shelves.incomplete.iter().map(|(reason, n)| (reason.clone(), *n)).collect(),
            incomplete_last_window: self.incomplete_last_window.load(Relaxed),
            reloads: *self.reloads.lock().unwrap_or_else(PoisonError::into_inner),
            windows_closed: self.windows_closed.load(Relaxed),
            last_window_end_ns: self.last_window_end_ns.load(Relaxed),
            clock_offset_ns: self.clock_offset_ns.load(Relaxed),
            clock_jumps: self.clock_jumps.load(Relaxed),
            wall_clock: shelves.wall_clock.clone(),
            events: shelves.events.clone(),
            optics: shelves.optics.clone(),
            not_ready: self.not_ready(&ports),
            ports,
        }
    }

    fn not_ready(&self, ports: &[PortSnapshot]) -> Vec<String> {
        let mut reasons = Vec::new();
        if ports.is_empty() {
            reasons.push("no port is configured yet".to_owned());
        }
        for port in ports {
            match port.figures {
                PortFigures { started: false, .. } => reasons.push(format!("port {} ({}) is not started", port.port, port.device)),
                PortFigures { link_up: false, .. } => reasons.push(format!("port {} ({}) has no link", port.port, port.device)),
                PortFigures { .. } => {}
            }
        }
        if !self.first_window_open.load(Relaxed) {
            reasons.push("the first window is not open yet".to_owned());
        }
        reasons.extend(self.reporter_trouble());
        reasons
    }

    fn reporter_trouble(&self) -> Option<String> {
        let Some(beat_ms) = self.reporter_beat_ms.load(Relaxed).checked_sub(1) else {
            return Some("the reporter has not started".to_owned());
        };
        let silent = self.start.elapsed().saturating_sub(Duration::from_millis(beat_ms));
        let patience = (self.window * REPORTER_SILENT_WINDOWS).max(REPORTER_SILENT_AT_LEAST);
        (silent > patience).then(|| format!("the reporter has been silent for {} s", silent.as_secs()))
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn ports(&self) -> Vec<PortSnapshot> {
        let port = |(port, device, feed, live): &(u32, String, String, Arc<LivePort>)| PortSnapshot {
            port: *port,
            device: device.clone(),
            feed: feed.clone(),
            figures: live.read(),
        };
        self.ports.iter().map(port).collect()
    }

    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    fn seconds(&self, lcore: u32, live: &LiveCore) -> CoreSeconds {
        let read = live.costs.read(self.stats.len());
        if read.polls == 0 {
            return CoreSeconds::default();
        }
        let pace = ticks_per_second() / TIMED_POLLS as f64;
        let seconds = |ticks: u64| ticks as f64 / pace;
        let stages = PARTS.into_iter().zip(read.parts.0).filter(|(_, ticks)| *ticks > 0);
        let of_rows = self.stats_before.get(&lcore).map_or_else(|| read.clone(), |before| read.since(before)).stats;
        CoreSeconds {
            polls: read.polls,
            stages: stages.map(|(name, ticks)| (name, seconds(ticks))).collect(),
            stats: self.stats.iter().cloned().zip(of_rows).filter(|(_, ticks)| *ticks > 0).map(|(name, t)| (name, seconds(t))).collect(),
        }
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
