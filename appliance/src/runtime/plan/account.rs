//! What was measured, as prices of a packet, a bill, and what core maps carry.

use serde::Serialize;

use super::engine::Window;
use super::frames::Frames;
use super::handoff::Handoff;
use super::maps::{BoxAccount, Map, Reach, WindowEnd};
use super::proposals::{Proposal, cpus, named, proposals};
use crate::config::{self, Config};
use crate::generate::Shape;
use crate::runtime::world::World;
use crate::telemetry::cost::Part;

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
    /// Records of a batch in these two.
    pub batch_records: f64,
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
        let Handoff { sends_ns, takes_ns, batch_records } = handoff;
        let stats = window.stats.iter().map(|ns| ns * scale).collect();
        let (works_ns, timed) = (works + takes_ns, timed_ns / ran_ns);
        Self { stages, stats, receives_ns, works_ns, sends_ns, takes_ns, batch_records, timed }
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
    /// Of so many that such traffic goes to. What follows of reports is of all of these: as if the others had as much.
    pub of_ranges: usize,
    /// Whether those are fewer than there was time for: then what follows of reports is so much at most.
    pub at_most: bool,
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
    /// Of that, what each shard that has something of a range takes again: reading and merging its blocks.
    pub merge_s: f64,
    /// Reports of a window, and their bytes: what a sink takes.
    pub reports: u64,
    /// Bytes of a window's reports.
    pub report_bytes: u64,
    /// Reports with figures that want of memory made coarser.
    pub degraded: u64,
    /// What core maps carry: the configuration's own first.
    pub boxes: Vec<BoxAccount>,
    /// What a window leaves, of which they follow.
    #[serde(skip)]
    pub(super) end: WindowEnd,
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
    /// Bytes a second that Kafka's producer delivers to a broker inside this process; none: not measured.
    pub kafka_bytes_per_second: Option<f64>,
    /// What `run` would pay for and has no price here.
    pub unpriced: Vec<String>,
    /// By shape.
    pub shapes: Vec<ShapeAccount>,
    /// By row of the configuration, the dearest first.
    pub bill: Vec<StatPrice>,
    /// The best core map of each mode, the better first.
    pub core_maps: Vec<Proposal>,
    #[serde(skip)]
    map: Map,
    /// The map that maps are proposed of; none: there are too few CPUs for one.
    #[serde(skip)]
    cores: Option<config::Cores>,
}

impl Account {
    pub(super) fn new(config: &Config, cores: &config::Cores, receiving: &str) -> Self {
        let map = Map::of(config, cores);
        Self {
            file: config.file.display().to_string(),
            ranges: config.ranges.list.len(),
            stats: config.stats.len(),
            window_ms: config.appliance.window_ms,
            receiving: receiving.to_owned(),
            kafka_bytes_per_second: None,
            unpriced: Vec::new(),
            shapes: Vec::new(),
            bill: Vec::new(),
            core_maps: Vec::new(),
            map,
            cores: if config.cores.is_some() { Some(cores.clone()) } else { named(cores, &cpus()) },
        }
    }

    pub(super) fn add(&mut self, world: &World, shape: Shape, (reach, frames): (Reach, &Frames), costs: Costs, window: &Window) {
        let ns = costs.ns();
        let end = WindowEnd::of(window, reach, self.window_s());
        let boxes = self.map.boxes().map(|(map, configured)| map.account(configured, &self.map, &costs, &end, world));
        self.shapes.push(ShapeAccount {
            shape: shape.name(),
            about: shape.about(),
            packets: window.packets,
            ranges: reach.ranges,
            of_ranges: reach.all,
            at_most: reach.is_short(),
            frames: frames.len(),
            frame_bytes: frames.bytes_mean(),
            window: window.covered,
            ns_per_packet: ns,
            core_mpps: 1e3 / ns,
            pipeline_efficiency: costs.pipeline_efficiency(),
            costs,
            report_s: end.makes_s + end.merges_s,
            merge_s: end.merges_s,
            reports: end.messages,
            report_bytes: end.bytes,
            degraded: window.reported.degraded.iter().sum(),
            boxes: boxes.into_iter().collect(),
            end,
        });
    }

    #[allow(clippy::cast_precision_loss, reason = "milliseconds")]
    fn window_s(&self) -> f64 {
        self.window_ms as f64 / 1e3
    }

    /// Holds the reports of all shapes against what Kafka takes.
    pub(super) fn sends(&mut self, bytes_per_second: f64) {
        self.kafka_bytes_per_second = Some(bytes_per_second);
        for shape in &mut self.shapes {
            let kafka = shape.end.kafka(bytes_per_second);
            shape.boxes.iter_mut().for_each(|of| of.has(kafka.clone()));
        }
    }

    /// Makes the bill, and proposes core maps.
    pub(super) fn finish(&mut self, config: &Config, world: &World, receiving: String) {
        self.receiving = receiving;
        self.core_maps = proposals(self.map, self.cores.as_ref(), world, (&self.shapes, self.kafka_bytes_per_second));
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
