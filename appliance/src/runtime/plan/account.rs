//! From prices to what a core map carries, and what ends it.

use serde::Serialize;

use super::engine::Window;
use super::frames::Frames;
use super::handoff::Handoff;
use crate::config::{self, Config, Mode};
use crate::generate::Shape;
use crate::limits::BATCH_RECORDS_MAX;
use crate::spread::RING_BATCHES;
use crate::telemetry::PartFigures;
use crate::telemetry::cost::Part;

/// Sketches thin from so much of their memory on.
const SKETCHES_FULL: f64 = 7.0 / 8.0;
/// What stands in the bill for packets that match no range.
const UNMATCHED: &str = "(unmatched)";

/// What a packet costs, nanoseconds of one core, by who does it: the pieces of both modes.
#[derive(Clone, Debug, Serialize)]
pub struct Costs {
    /// By stage, in the order of a packet's life; they add up to what a packet costs in run-to-completion.
    pub stages: Vec<(&'static str, f64)>,
    /// Of `stats`, by row of the configuration; the last is what is kept of packets without a range.
    #[serde(skip)]
    pub stats: Vec<f64>,
    /// What a receiving core spends in a pipeline.
    pub receives_ns: f64,
    /// What a worker spends.
    pub works_ns: f64,
    /// Of that, what it takes to send batches, which run-to-completion does not do.
    pub sends_ns: f64,
    /// Of what a worker spends, what it takes to receive them.
    pub takes_ns: f64,
    /// What timed polls came to, against what the thread ran. More than 1: others held them up, and stages are shares only.
    pub timed: f64,
}

impl Costs {
    #[allow(clippy::cast_precision_loss, reason = "an average")]
    pub(super) fn of(window: &Window, rx_ns: f64, fetching_ns: f64, handoff: Handoff) -> Self {
        // Frames were fetched from memory where a queue would have given them.
        let ran_ns = window.ran_ns as f64 / window.packets.max(1) as f64 - fetching_ns;
        let timed_ns = window.outer.iter().chain(&window.inner).sum::<f64>() - fetching_ns;
        // Where others held up polls that were timed, their parts are shares of what the thread ran.
        let scale = (ran_ns / timed_ns).min(1.0);
        let outer = |part: Part| window.outer[part as usize] * scale;
        let inner = |part: Part| window.inner[part as usize] * scale;
        let parse = (outer(Part::Parse) - fetching_ns * scale).max(0.0);
        let timed = [
            ("parse", parse),
            ("lpm", outer(Part::Lpm)),
            ("gather", outer(Part::Gather)),
            ("shard", inner(Part::Shard)),
            ("columns", inner(Part::Columns)),
            ("stats", inner(Part::Stats)),
            ("windows", outer(Part::Windows) + inner(Part::Windows)),
        ];
        // What is scaled leaves nothing but what sums are rounded by.
        let other = (ran_ns - timed.iter().map(|(_, ns)| ns).sum::<f64>()).max(0.0);
        let stages: Vec<_> = [("rx", rx_ns)].into_iter().chain(timed).chain([("other", other)]).collect();
        let works = inner(Part::Shard) + inner(Part::Columns) + inner(Part::Stats) + inner(Part::Windows);
        let receives_ns = rx_ns + ran_ns - works + handoff.sends_ns;
        let Handoff { sends_ns, takes_ns } = handoff;
        let stats = window.stats.iter().map(|ns| ns * scale).collect();
        Self { stages, stats, receives_ns, works_ns: works + takes_ns, sends_ns, takes_ns, timed: timed_ns / ran_ns }
    }

    /// All of it, in run-to-completion.
    pub fn ns(&self) -> f64 {
        self.stages.iter().map(|(_, ns)| ns).sum()
    }

    /// How much of two cores' time a pipeline turns into packets, against run-to-completion.
    pub fn pipeline_efficiency(&self) -> f64 {
        self.ns() / (self.receives_ns + self.works_ns)
    }
}

/// A resource, and how much of it is used where the cores are full.
#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    /// `rx cores`, `workers`, `reporter`, `logs`, `sketches`.
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
    /// Millions of packets a second, where traffic is spread over the receiving cores evenly.
    pub mpps: f64,
    /// What is full first, at growing load.
    pub first: Limit,
    /// All that was looked at, the fullest first.
    pub limits: Vec<Limit>,
    /// Milliseconds of full load that a ring to a worker holds; 0 without rings.
    pub ring_ms: f64,
}

/// The price of a row of the configuration.
#[derive(Clone, Debug, Serialize)]
pub struct StatPrice {
    /// Its name.
    pub stat: String,
    /// Its calculation.
    pub calculation: String,
    /// Nanoseconds a packet, by shape.
    pub ns: Vec<f64>,
    /// The largest share of a packet's cost.
    pub share: f64,
}

/// One shape of traffic.
#[derive(Clone, Debug, Serialize)]
pub struct ShapeAccount {
    /// Its name.
    pub shape: &'static str,
    /// In a line.
    pub about: &'static str,
    /// Packets that were measured.
    pub packets: u64,
    /// Ranges that they went to.
    pub ranges: usize,
    /// Different frames among them.
    pub frames: usize,
    /// Bytes of a frame, without its FCS.
    pub frame_bytes: f64,
    /// Share of a window that they made.
    pub window: f64,
    /// Nanoseconds of one core for a packet, in run-to-completion.
    pub ns_per_packet: f64,
    /// Millions of packets a second of one core.
    pub core_mpps: f64,
    /// Of which that is made.
    pub costs: Costs,
    /// How much of two cores' time a pipeline turns into packets, against run-to-completion.
    pub pipeline_efficiency: f64,
    /// Seconds of one core that reporting a window takes, of one shard.
    pub report_s: f64,
    /// Reports of a window, and their bytes: what a sink takes.
    pub reports: u64,
    /// Bytes of a window's reports.
    pub report_bytes: u64,
    /// Reports with figures that want of memory made coarser.
    pub degraded: u64,
    /// What core maps carry: the configuration's own first.
    pub boxes: Vec<BoxAccount>,
}

/// The whole account.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// Where the configuration is.
    pub file: String,
    /// Ranges that there are.
    pub ranges: usize,
    /// Rows of `[[stats]]`.
    pub stats: usize,
    /// Length of a window.
    pub window_ms: u64,
    /// What the price of receiving is based on.
    pub receiving: String,
    /// By shape.
    pub shapes: Vec<ShapeAccount>,
    /// By row of the configuration, the dearest first.
    pub bill: Vec<StatPrice>,
    #[serde(skip)]
    map: Map,
}

/// Of the core map, what counts here.
#[derive(Clone, Copy, Debug)]
struct Map {
    mode: Mode,
    rx: usize,
    workers: usize,
    queues: usize,
}

impl Account {
    pub(super) fn new(config: &Config, cores: &config::Cores, receiving: &str) -> Self {
        let queues = config.ports.iter().map(|port| usize::from(port.queues)).sum();
        let map = Map { mode: cores.mode, rx: cores.rx.len().max(1), workers: cores.workers.len(), queues };
        Self {
            file: config.file.display().to_string(),
            ranges: config.ranges.list.len(),
            stats: config.stats.len(),
            window_ms: config.appliance.window_ms,
            receiving: receiving.to_owned(),
            shapes: Vec::new(),
            bill: Vec::new(),
            map,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn add(&mut self, shape: Shape, (ranges, frames): (usize, &Frames), costs: Costs, window: &Window) {
        let (ns, reported) = (costs.ns(), &window.reported);
        let report_s = reported.ran_ns as f64 / 1e9;
        let boxes = self.map.boxes().map(|(map, configured)| of_map(map, configured, &costs, window, report_s / self.window_s()));
        self.shapes.push(ShapeAccount {
            shape: shape.name(),
            about: shape.about(),
            packets: window.packets,
            ranges,
            frames: frames.len(),
            frame_bytes: frames.bytes_mean(),
            window: window.covered,
            ns_per_packet: ns,
            core_mpps: 1e3 / ns,
            pipeline_efficiency: costs.pipeline_efficiency(),
            costs,
            report_s,
            reports: reported.messages,
            report_bytes: reported.bytes,
            degraded: reported.degraded.iter().sum(),
            boxes: boxes.into_iter().collect(),
        });
    }

    #[allow(clippy::cast_precision_loss, reason = "milliseconds")]
    fn window_s(&self) -> f64 {
        self.window_ms as f64 / 1e3
    }

    /// Makes the bill.
    pub(super) fn finish(&mut self, config: &Config, receiving: String) {
        self.receiving = receiving;
        let names = config.stats.iter().map(|stat| (stat.name.clone(), stat.calculation.clone()));
        let rows = names.chain([(UNMATCHED.to_owned(), "topk".to_owned())]);
        let price = |(row, (stat, calculation)): (usize, (String, String))| {
            let ns: Vec<f64> = self.shapes.iter().map(|shape| shape.costs.stats.get(row).copied().unwrap_or(0.0)).collect();
            let share = ns.iter().zip(&self.shapes).map(|(ns, shape)| ns / shape.ns_per_packet).fold(0.0, f64::max);
            StatPrice { stat, calculation, ns, share }
        };
        self.bill = rows.enumerate().map(price).collect();
        self.bill.sort_by(|one, other| other.share.total_cmp(&one.share));
    }
}

impl Map {
    /// The configuration's own, and the other mode's with as many cores.
    fn boxes(self) -> [(Self, bool); 2] {
        let all = self.rx + self.workers;
        let other = match self.mode {
            Mode::Pipeline => Self { mode: Mode::RunToCompletion, rx: all, workers: 0, ..self },
            // Which of them receive is chosen where prices are known.
            Mode::RunToCompletion => Self { mode: Mode::Pipeline, rx: 0, workers: all, ..self },
        };
        [(self, true), (other, false)]
    }
}

/// What a map carries at these prices.
#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn of_map(map: Map, configured: bool, costs: &Costs, window: &Window, reporting: f64) -> BoxAccount {
    let pipeline = |rx: usize, workers: usize| (rx as f64 / costs.receives_ns).min(workers as f64 / costs.works_ns) * 1e3;
    let (mode, rx, workers) = match map.mode {
        Mode::RunToCompletion => ("run-to-completion", map.rx.min(map.queues.max(1)), 0),
        Mode::Pipeline if map.rx > 0 => ("pipeline", map.rx.min(map.queues.max(1)), map.workers),
        Mode::Pipeline => {
            let all = map.workers;
            let of = |rx: &usize| pipeline(*rx, all - rx);
            let rx = (1..all).max_by(|one, other| of(one).total_cmp(&of(other))).unwrap_or(0);
            ("pipeline", rx, all - rx)
        }
    };
    let own = mode == "run-to-completion";
    let mpps = if own { rx as f64 * 1e3 / costs.ns() } else { pipeline(rx, workers) };
    let shards = if own { rx } else { workers };
    let receives = if own { costs.ns() } else { costs.receives_ns };
    let share = |part: PartFigures, full: f64| part.used as f64 / (part.size.max(1) as f64 * full);
    let [logs, _, sketches] = window.figures.memory;
    let mut limits = vec![
        Limit { resource: "rx cores", used: mpps * receives / 1e3 / rx.max(1) as f64 },
        // Each shard has blocks of its own to be read.
        Limit { resource: "reporter", used: reporting * shards as f64 },
        Limit { resource: "logs", used: share(logs, 1.0) },
        Limit { resource: "sketches", used: share(sketches, SKETCHES_FULL) },
    ];
    if !own {
        limits.push(Limit { resource: "workers", used: mpps * costs.works_ns / 1e3 / workers.max(1) as f64 });
    }
    limits.sort_by(|one, other| other.used.total_cmp(&one.used));
    let ring_ms = if own { 0.0 } else { (RING_BATCHES * BATCH_RECORDS_MAX) as f64 * costs.works_ns / 1e6 };
    let first = limits[0].clone();
    BoxAccount { mode, configured, rx, workers, mpps, first, limits, ring_ms }
}
