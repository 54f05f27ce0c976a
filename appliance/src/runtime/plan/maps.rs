//! What core maps carry at prices of a packet, and what ends it.

use serde::Serialize;

use super::account::Costs;
use super::engine::Window;
use crate::config::{self, Config, Mode};
use crate::limits::{BATCH_RECORDS_MAX, TAKERS_MAX};
use crate::runtime::memory::MemoryPlan;
use crate::runtime::wiring;
use crate::runtime::world::World;
use crate::spread::{HOT_RECORDS, RING_BATCHES};
use crate::telemetry::PartFigures;

/// Sketches thin from so much of their memory on.
const SKETCHES_FULL: f64 = 7.0 / 8.0;
/// Where one of these is full, figures become coarser, and nothing is left behind.
const COARSENS: [&str; 2] = ["logs", "sketches"];
/// More than full, whatever sums are rounded by: cores are full exactly.
const OVERFULL: f64 = 1.0 + 1e-6;

/// A resource, and how much of it is used where the cores are full.
#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    /// `rx cores`, `workers`, `rings`, `reporter`, `logs`, `sketches`, `kafka`.
    pub resource: &'static str,
    /// 1 is all of it.
    pub used: f64,
}

/// What a core map carries.
#[derive(Clone, Debug, Serialize)]
pub struct BoxAccount {
    /// As in the configuration.
    pub mode: &'static str,
    /// Whether it is the core map of the configuration, or of `run` without one.
    pub configured: bool,
    /// Cores that receive.
    pub rx: usize,
    /// Workers.
    pub workers: usize,
    /// Queues that it wants, where the configuration's ports have fewer; else 0.
    pub wants_queues: usize,
    /// Millions of packets a second of its cores, where traffic is spread over the receiving ones evenly, whatever else is full then.
    pub mpps: f64,
    /// What is full first, at growing load.
    pub first: Limit,
    /// All that was looked at, the fullest first.
    pub limits: Vec<Limit>,
    /// Milliseconds of full load that a ring to a worker holds; 0 without rings.
    pub ring_ms: f64,
}

impl BoxAccount {
    /// Looks at another resource too.
    pub(super) fn has(&mut self, limit: Limit) {
        self.limits.push(limit);
        self.limits.sort_by(|one, other| other.used.total_cmp(&one.used));
        self.first = self.limits[0].clone();
    }

    /// Millions of packets a second that all keeps up with, and what is full there, where its cores would carry more. What else is
    /// used is taken to grow as they do.
    pub fn keeps_up(&self) -> (f64, Option<&'static str>) {
        let holds = |limit: &&Limit| limit.used > OVERFULL && !COARSENS.contains(&limit.resource);
        self.limits.iter().find(holds).map_or((self.mpps, None), |limit| (self.mpps / limit.used, Some(limit.resource)))
    }
}

/// Where a window's traffic went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// Ranges.
    pub(super) ranges: usize,
    /// That such traffic would go to.
    pub(super) all: usize,
    /// Those that it goes past.
    pub(super) beside: usize,
    /// How many times as many it goes to where there is time for a whole window, or as there is room for.
    pub(super) in_time: f64,
}

impl Reach {
    /// How many times as many ranges there are.
    #[allow(clippy::cast_precision_loss, reason = "a ratio")]
    fn times(self) -> f64 {
        self.all as f64 / self.ranges.max(1) as f64
    }

    /// Packets that come to a range in a whole window, on average, where so many were measured.
    #[allow(clippy::cast_precision_loss, reason = "an average")]
    pub(super) fn packets_of_range(self, packets: u64) -> f64 {
        packets as f64 / self.ranges.max(1) as f64 * self.in_time / self.times()
    }

    /// Whether ranges were left out for which there was time: the others had their packets.
    pub(super) fn is_short(self) -> bool {
        self.times() > self.in_time * (1.0 + 1e-9)
    }
}

/// What is left at the end of a window, of all ranges.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowEnd {
    /// Seconds of the reporter to read and merge one block of each range, and to make their reports.
    pub(super) merges_s: f64,
    pub(super) makes_s: f64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Shares of the measured core's memory.
    pub(super) logs: f64,
    pub(super) sketches: f64,
    pub(super) ranges: f64,
    pub(super) window_s: f64,
}

impl WindowEnd {
    /// Of a window: ranges that nothing went to would have had as much. Where there was time for them, others had their packets: then
    /// that is the most that there can be, and logs have all of their records already.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
    pub(super) fn of(window: &Window, reach: Reach, window_s: f64) -> Self {
        let (reported, times) = (&window.reported, reach.times());
        // Where others would have had packets, few would have been idle but those that it goes past.
        let beside = (reach.beside as f64 / reported.idle.messages.max(1) as f64).min(1.0);
        let idle = if times > 1.0 { beside } else { 1.0 };
        let sum = |ranges: u64, others: u64, idles: u64| (ranges as f64 * times + idles as f64 * idle) as u64 + others;
        let (makes_ns, idles_ns) = (reported.ranges.makes_ns(), reported.idle.makes_ns());
        let merges_ns = (reported.ran_ns as f64 - makes_ns - idles_ns).max(0.0);
        let used = |part: PartFigures| part.used as f64 / part.size.max(1) as f64;
        let [logs, _, sketches] = window.figures.memory;
        Self {
            merges_s: merges_ns * times / 1e9,
            makes_s: (makes_ns * times + idles_ns * idle) / 1e9,
            messages: sum(reported.ranges.messages, reported.others.messages, reported.idle.messages),
            bytes: sum(reported.ranges.bytes, reported.others.bytes, reported.idle.bytes),
            logs: used(logs) * reach.in_time,
            sketches: used(sketches) * times,
            ranges: reach.all as f64,
            window_s,
        }
    }

    /// Of a Kafka that takes so many bytes a second.
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    pub(super) fn kafka(&self, bytes_per_second: f64) -> Limit {
        Limit { resource: "kafka", used: self.bytes as f64 / self.window_s / bytes_per_second }
    }
}

/// Of a core map, what counts here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map {
    pub(super) mode: Mode,
    pub(super) rx: usize,
    pub(super) workers: usize,
    pub(super) queues: usize,
    pub(super) hands_over: bool,
    /// Receiving cores without a queue, which have memory of their own: they may take bursts of others, and carry nothing here.
    pub(super) spare: usize,
}

impl Map {
    pub(super) fn of(config: &Config, cores: &config::Cores) -> Self {
        let queues = config.ports.iter().map(|port| usize::from(port.queues)).sum();
        let (rx, workers) = (cores.rx.len().max(1), cores.workers.len());
        Self { mode: cores.mode, rx, workers, queues, hands_over: config.appliance.hand_over, spare: 0 }
    }

    /// The configuration's own, and the other mode's with as many cores.
    pub(super) fn boxes(self) -> [(Self, bool); 2] {
        let all = self.rx + self.workers;
        let other = match self.mode {
            Mode::Pipeline => Self { mode: Mode::RunToCompletion, rx: all, workers: 0, ..self },
            // Which of them receive is chosen where prices are known.
            Mode::RunToCompletion => Self { mode: Mode::Pipeline, rx: 0, workers: all, ..self },
        };
        [(self, true), (other, false)]
    }

    /// Of a configured map what polls queues. `run` leaves the other receiving cores out, and shares memory out to those that are left,
    /// unless bursts may be given to them.
    pub(super) fn polling(self) -> Self {
        let rx = self.rx.min(self.queues.max(1));
        Self { rx, spare: if self.hands_over { (self.rx - rx).min(TAKERS_MAX) } else { 0 }, ..self }
    }

    /// What each core has of the budget.
    pub(super) fn memory(&self, world: &World) -> MemoryPlan {
        let lcores = |count: usize| (0..u32::try_from(count).unwrap_or(0)).collect();
        MemoryPlan::new(world, &wiring::Cores { rx: lcores(self.rx + self.spare), workers: lcores(self.workers) })
    }

    /// Millions of packets a second of its cores.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    fn mpps(&self, costs: &Costs) -> f64 {
        match self.mode {
            Mode::RunToCompletion => self.rx as f64 * 1e3 / costs.ns(),
            Mode::Pipeline => (self.rx as f64 / costs.receives_ns).min(self.workers as f64 / costs.works_ns) * 1e3,
        }
    }

    /// All splits of a pipeline's cores that give each receiving core a queue.
    pub(super) fn splits(self) -> impl Iterator<Item = Self> {
        let all = self.rx + self.workers;
        (1..all).take_while(move |rx| *rx <= self.queues.max(1)).map(move |rx| Self { mode: Mode::Pipeline, rx, workers: all - rx, ..self })
    }

    /// None are wanting: 0.
    pub(super) fn wants_queues(&self) -> usize {
        if self.rx > self.queues.max(1) { self.rx } else { 0 }
    }

    /// Blocks that the reporter has of a range, on average at most, where so many packets come to it in a window. In a pipeline a cold
    /// range has one worker for each core that receives; a hot one may have all of them, and no more ranges are hot than there are
    /// packets for.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    fn blocks(&self, packets_of_range: f64) -> f64 {
        let (rx, workers) = (self.rx as f64, self.workers as f64);
        if self.mode == Mode::RunToCompletion {
            return rx;
        }
        let (cold, hot) = (rx.min(workers), (packets_of_range / rx.max(1.0) / HOT_RECORDS as f64).min(1.0));
        cold + hot * (workers - cold)
    }

    /// What it carries at these prices; the core that was measured had the memory of one of the `measured` map. Of a configured map
    /// the receiving cores are there that have a queue; of another one all cores, and the best split for a pipeline, where no more
    /// cores receive than there are queues.
    pub(super) fn account(self, configured: bool, measured: &Self, costs: &Costs, end: &WindowEnd, world: &World) -> BoxAccount {
        let of = |map: Self| map.filled(configured, measured, costs, end, world);
        match self.mode {
            Mode::Pipeline if self.rx == 0 => {
                let best = self.splits().map(of).max_by(|one, other| one.keeps_up().0.total_cmp(&other.keeps_up().0));
                best.unwrap_or_else(|| of(self))
            }
            _ if configured => of(self.polling()),
            _ => of(self),
        }
    }

    /// With all of these cores.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    fn filled(self, configured: bool, measured: &Self, costs: &Costs, end: &WindowEnd, world: &World) -> BoxAccount {
        let (Self { rx, workers, .. }, mpps) = (self, self.mpps(costs));
        let own = self.mode == Mode::RunToCompletion;
        let (has, had) = (self.memory(world), measured.polling().memory(world));
        let ratio = |had: usize, has: usize| had as f64 / has.max(1) as f64;
        let blocks = self.blocks(mpps * 1e6 * end.window_s / end.ranges);
        let reporting = (end.makes_s + end.merges_s * blocks) / end.window_s;
        // The core that was measured has sketches of all ranges, a worker of those that come to it.
        let share = if own { 1.0 } else { blocks / workers.max(1) as f64 };
        let each = |ns: f64, cores: usize| mpps * ns / 1e3 / cores.max(1) as f64;
        let mut limits = vec![
            Limit { resource: "rx cores", used: each(if own { costs.ns() } else { costs.receives_ns }, rx) },
            Limit { resource: "reporter", used: reporting },
            Limit { resource: "logs", used: end.logs * ratio(had.logs, has.logs) },
            Limit { resource: "sketches", used: end.sketches * share * ratio(had.shard.sketches, has.shard.sketches) / SKETCHES_FULL },
        ];
        if !own {
            limits.push(Limit { resource: "workers", used: each(costs.works_ns, workers) });
            // What comes against what goes through rings where nobody does anything with it.
            limits.push(Limit { resource: "rings", used: each(costs.sends_ns, rx).max(each(costs.takes_ns, workers)) });
        }
        limits.sort_by(|one, other| other.used.total_cmp(&one.used));
        let ring_ms = if own { 0.0 } else { (RING_BATCHES * BATCH_RECORDS_MAX) as f64 * costs.works_ns / 1e6 };
        let first = limits[0].clone();
        let (mode, wants_queues) = (self.mode.name(), self.wants_queues());
        BoxAccount { mode, configured, rx, workers, wants_queues, mpps, first, limits, ring_ms }
    }
}
