//! The plain figures of one moment.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::ages::Ages;
use super::exports::ExportsSnapshot;
use super::flows::FlowsSnapshot;
use super::live::{CoreFigures, PortFigures};

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// Version of the package.
    pub version: &'static str,
    /// Optional parts that are in, for example `dpdk,kafka`.
    pub features: &'static str,
}

impl BuildInfo {
    /// Of this program.
    pub const fn this() -> Self {
        let features = match (cfg!(feature = "dpdk"), cfg!(feature = "kafka"), cfg!(feature = "https")) {
            (true, true, true) => "dpdk,kafka,https",
            (true, true, false) => "dpdk,kafka",
            (true, false, true) => "dpdk,https",
            (true, false, false) => "dpdk",
            (false, true, true) => "kafka,https",
            (false, true, false) => "kafka",
            (false, false, true) => "https",
            (false, false, false) => "",
        };
        Self { version: env!("CARGO_PKG_VERSION"), features }
    }
}

/// One lcore.
#[derive(Clone, Debug, Default)]
pub struct CoreSnapshot {
    /// lcore id.
    pub lcore: u32,
    /// `rx`, `worker`, …
    pub role: String,
    /// Its counters.
    pub figures: CoreFigures,
    /// Where its time goes.
    pub seconds: CoreSeconds,
}

/// Where the time of one lcore goes, estimated from polls that are timed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CoreSeconds {
    /// Polls that were timed.
    pub polls: u64,
    /// Seconds since the start, by stage; those with none are left out.
    pub stages: Vec<(&'static str, f64)>,
    /// Seconds since its row came into use, by stat.
    pub stats: Vec<(String, f64)>,
}

/// One port.
#[derive(Clone, Debug, Default)]
pub struct PortSnapshot {
    /// Index in the configuration, from 0.
    pub port: u32,
    /// As in the configuration.
    pub device: String,
    /// Feed that it is part of.
    pub feed: String,
    /// Its counters.
    pub figures: PortFigures,
}

/// Whether a mirror still speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedHealth {
    /// It does.
    Live,
    /// Fewer packets than `min_pps`.
    Silent,
    /// A port of it is down or gone.
    Down,
}

/// One feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSnapshot {
    /// Its name.
    pub name: String,
    /// Its state in the last closed window.
    pub health: FeedHealth,
}

/// What the audit of samplers says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditSnapshot {
    /// Ranges or rules, by what is said of them.
    pub keys: Vec<(&'static str, u64)>,
    /// Rows of counters, by what became of them.
    pub rows: Vec<(String, u64)>,
    /// Rates of which something is found of all keys together.
    pub found_of_all: u64,
    /// No counters have come for too long.
    pub stale: bool,
}

/// Packets seen twice by a pair of ports, in the last long window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairSnapshot {
    /// Both devices.
    pub ports: [String; 2],
    /// Distinct packets sampled.
    pub sampled: u64,
    /// Of them those that were seen twice.
    pub twice: u64,
    /// They are more than `alarm_share`.
    pub is_alarm: bool,
}

/// How a sink is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkState {
    /// Nothing was delivered yet, nothing failed.
    Starting,
    /// It delivers.
    Up,
    /// It cannot deliver now, and tries again.
    Down,
    /// It has ended: stopped, or its reader is gone.
    Ended,
}

impl fmt::Display for SinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Down => "down",
            Self::Ended => "ended",
        })
    }
}

/// One sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkStatus {
    /// `kafka`, `file`, `stdout` or `https`.
    pub name: String,
    /// Its state.
    pub state: SinkState,
    /// Messages delivered (for Kafka: acknowledged).
    pub delivered: u64,
    /// Messages given up, because they themselves were refused.
    pub failed: u64,
    /// Attempts that were made again.
    pub retried: u64,
    /// Flow messages delivered.
    pub flows: u64,
    /// Flow messages given up.
    pub flows_failed: u64,
    /// Packet logs delivered.
    pub logs: u64,
    /// Packet logs given up.
    pub logs_failed: u64,
    /// Of flow messages given up those whose topic brokers refuse, by topic; of many topics those that were first.
    pub topics_failed: BTreeMap<String, u64>,
    /// Of those given up, by reason, where the sink tells them apart.
    pub refused: Vec<(&'static str, u64)>,
    /// Messages that fell off the journal unread; flows aside.
    pub overflow: u64,
    /// Lots of flow messages that wait.
    pub lots_behind: u64,
    /// Lots of packet logs that wait.
    pub log_lots_behind: u64,
    /// Messages that wait, flows aside: unread, or sent and not acknowledged.
    pub behind: u64,
    /// The last thing that went wrong.
    pub last_error: Option<String>,
    /// Where it delivers to: brokers (of the embedded cluster: its own address) or a path.
    pub address: String,
    /// Ages of what was acknowledged from its window's end, by kind of window; those of which there are any.
    pub ages: Vec<(&'static str, Ages)>,
    /// The same from its window's start: of the oldest packet that it may hold.
    pub packet_ages: Vec<(&'static str, Ages)>,
}

impl SinkStatus {
    /// Adds another thread of the same sink. The sink is down if one of them is.
    pub fn merge(&mut self, other: Self) {
        let rank = |state: SinkState| match state {
            SinkState::Down => 0,
            SinkState::Up => 1,
            SinkState::Starting => 2,
            SinkState::Ended => 3,
        };
        if rank(other.state) < rank(self.state) {
            self.state = other.state;
            self.last_error = other.last_error.or_else(|| self.last_error.take());
        } else {
            self.last_error = self.last_error.take().or(other.last_error);
        }
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.retried += other.retried;
        self.flows += other.flows;
        self.flows_failed += other.flows_failed;
        other.topics_failed.into_iter().for_each(|(topic, flows)| *self.topics_failed.entry(topic).or_default() += flows);
        self.lots_behind += other.lots_behind;
        self.logs += other.logs;
        self.logs_failed += other.logs_failed;
        self.log_lots_behind += other.log_lots_behind;
        self.overflow += other.overflow;
        self.behind += other.behind;
        for (reason, count) in other.refused {
            match self.refused.iter_mut().find(|(own, _)| *own == reason) {
                Some((_, own)) => *own += count,
                None => self.refused.push((reason, count)),
            }
        }
        self.ages.extend(other.ages);
        self.packet_ages.extend(other.packet_ages);
    }
}

/// The journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalSnapshot {
    /// Messages appended since the start.
    pub appended: u64,
    /// Messages held in memory.
    pub messages: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Messages that have not reached the disk yet.
    pub unsynced: u64,
    /// The disk takes nothing.
    pub is_refused: bool,
}

/// Reloads of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReloadSnapshot {
    /// The generation that counts; the first is 1.
    pub generation: u64,
    /// Reloads that were accepted.
    pub accepted: u64,
    /// Reloads that were refused.
    pub refused: u64,
    /// Calls that did not show the token.
    pub denied: u64,
    /// When the last was, since 1970, and whether it was accepted.
    pub last: Option<(Duration, bool)>,
}

/// What a port's transceiver says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Optics {
    /// Of the module.
    pub temperature_c: f64,
    /// Light that comes in, by lane.
    pub rx_power_nw: Vec<u64>,
}

/// Events, and where loss came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsSnapshot {
    /// Those that have begun and not ended, by kind.
    pub open: Vec<(&'static str, u64)>,
    /// Messages since the start, by kind and state.
    pub sent: BTreeMap<(String, &'static str), u64>,
    /// Frames and records lost since the start, by what and cause.
    pub losses: BTreeMap<(String, String), u64>,
}

/// How want of memory, and at last of time, makes figures coarser, by the index of [`Snapshot::degraded`].
pub const DEGRADED: [&str; 5] = ["thinned", "short_of_memory", "folded", "missed", "shed"];

/// Everything that metrics, health checks and the status line tell, at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What was built.
    pub build: BuildInfo,
    /// Name of the appliance.
    pub appliance: String,
    /// Point of presence.
    pub pop: String,
    /// Time since the start.
    pub uptime: Duration,
    /// Every lcore that registered.
    pub cores: Vec<CoreSnapshot>,
    /// Every port that registered.
    pub ports: Vec<PortSnapshot>,
    /// Names of [`CoreFigures::drops`], by index.
    pub drop_reasons: Vec<&'static str>,
    /// Feeds, as the reporter last saw them.
    pub feeds: Vec<FeedSnapshot>,
    /// Packets seen twice, by pair of ports.
    pub pairs: Vec<PairSnapshot>,
    /// Of the audit of samplers, where there is one.
    pub audit: Option<AuditSnapshot>,
    /// Sinks.
    pub sinks: Vec<SinkStatus>,
    /// Journal.
    pub journal: JournalSnapshot,
    /// Flow records, where they are received.
    pub flows: Option<FlowsSnapshot>,
    /// What is exported of frames, where something is.
    pub exports: Option<ExportsSnapshot>,
    /// Ranges of the generation in use.
    pub ranges: u64,
    /// Budget of sketches and batches.
    pub memory_budget_bytes: u64,
    /// How much of it is in use by logs, roots and sketches.
    pub memory_used_bytes: u64,
    /// Figures that want of memory or time made coarser since the start, by [`DEGRADED`].
    pub degraded: [u64; DEGRADED.len()],
    /// Incomplete reports of ranges since the start, by reason.
    pub incomplete: Vec<(String, u64)>,
    /// Incomplete reports of ranges in the last long window.
    pub incomplete_last_window: u64,
    /// Reloads.
    pub reloads: ReloadSnapshot,
    /// Windows closed by the reporter.
    pub windows_closed: u64,
    /// End of the last of them, nanoseconds since 1970; 0 before the first.
    pub last_window_end_ns: u64,
    /// How far the time of the reports is ahead of the wall clock.
    pub clock_offset_ns: i64,
    /// Steps of the wall clock since the start.
    pub clock_jumps: u64,
    /// What is known of the wall clock.
    pub wall_clock: WallClockSnapshot,
    /// Events.
    pub events: EventsSnapshot,
    /// Transceivers that tell something, by port.
    pub optics: Vec<(u32, Optics)>,
    /// Why this appliance is not ready; empty if it is.
    pub not_ready: Vec<String>,
}

/// What is known of the wall clock, as in the last account.
#[derive(Clone, Debug, Default)]
pub struct WallClockSnapshot {
    /// What the kernel says: 0 nothing, 1 disciplined, 2 not.
    pub sync: u8,
    /// Of one that is disciplined, its estimated error, if one is told.
    pub error_ns: Option<u64>,
    /// Who keeps it: `none`, `ntp`, `ptp`, `both`, `unknown`.
    pub disciplined_by: String,
    /// The hardware clock that it follows, and how far it is ahead of that.
    pub phc: Option<(String, i64)>,
}

impl Snapshot {
    /// All cores together.
    pub fn total(&self) -> CoreFigures {
        let mut sum = CoreFigures::default();
        self.cores.iter().for_each(|core| sum.add(&core.figures));
        sum
    }

    /// Frames that all ports missed.
    pub fn missed(&self) -> u64 {
        self.ports.iter().map(|port| port.figures.missed).sum()
    }

    /// The sink of this name.
    pub fn sink(&self, name: &str) -> Option<&SinkStatus> {
        self.sinks.iter().find(|sink| sink.name == name)
    }
}
