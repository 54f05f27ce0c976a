//! The columns of a plan, and the loop over its stats.

use super::{Period, Plan, Planned};
use crate::arch::HashKey;
use crate::arch::{columns, lanes};
use crate::axes::KeySpec;
use crate::gather::packed::turned::Turned;
use crate::gather::packed::{Batch, Layout};
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::{FlowRow, Record};
use crate::stats::columns::{Beside, KeyColumn, Read, ValueColumn, View};
use crate::stats::filling::{Filling, Turning};
use crate::stats::pool::Memory;
use crate::stats::selection::Masks;
use crate::stats::weights::Weights;
use crate::telemetry::cost::Probe;
use crate::units::Family;

/// Up to 64 records of one range.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// As they are.
    Records(&'a [Record]),
    /// As they were packed.
    Packed(&'a Batch<'a>, &'a Layout),
    /// Of flow records: rows, and how many records they are counted as.
    Flows(&'a [FlowRow], u64),
}

impl Rows<'_> {
    /// How many.
    pub const fn len(&self) -> usize {
        match self {
            Self::Records(records) => records.len(),
            Self::Packed(batch, _) => batch.len,
            Self::Flows(rows, _) => rows.len(),
        }
    }

    /// Records that are counted: of a flow record one, however many rows it has.
    pub const fn records(&self) -> u64 {
        match self {
            Self::Flows(_, records) => *records,
            rows => rows.len() as u64,
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A plan's columns, made once a shard.
pub struct Scratch {
    keys: Vec<KeyColumn>,
    values: Vec<ValueColumn>,
    masks: Masks,
    weights: Weights,
    turned: Box<Turned>,
    unpacked: Vec<Record>,
    /// Some key or test is not among what a batch is turned to.
    asks_records: bool,
    family: Family,
    /// Of the batch's records; empty where no kernel reads it.
    times_ns: Vec<u64>,
    /// Starts of the fast and the long window.
    starts_ns: (u64, u64),
    reads_times: bool,
    /// Of the next batch: what stats look at that may leave records out, and at which level.
    shed: Option<(u32, u64)>,
    /// Where the roots of the last batch stand.
    roots: (usize, usize),
}

impl Scratch {
    /// Of this plan.
    pub fn new(plan: &Plan) -> Self {
        let runs = || plan.stats.iter().filter(|stat| stat.runs);
        let of = |at: usize| runs().filter(move |stat| stat.key == at);
        let beside = |at: usize| runs().any(|stat| stat.other == Some(at));
        let read = |at: usize| Read {
            hashes: beside(at) || of(at).any(|stat| stat.kernel.reads_hashes()),
            bytes: beside(at) || of(at).any(|stat| stat.kernel.reads_bytes()),
        };
        let column = |(at, key): (usize, &KeySpec)| KeyColumn::new(key.clone(), plan.family, read(at));
        let keys = plan.keys.iter().enumerate().map(column).collect::<Vec<_>>();
        let asks_records = keys.iter().any(KeyColumn::asks_records) || plan.selections.asks_records();
        Self {
            keys,
            values: plan.metrics.iter().map(|metric| ValueColumn::new(*metric)).collect(),
            masks: plan.selections.masks(),
            weights: Weights::new(),
            turned: Box::default(),
            unpacked: vec![Record::default(); BATCH_RECORDS_MAX],
            asks_records,
            family: plan.family,
            times_ns: Vec::with_capacity(BATCH_RECORDS_MAX),
            starts_ns: (0, 0),
            reads_times: plan.reads_times(),
            shed: None,
            roots: (0, 0),
        }
    }

    /// When the fast and the long window started that the next batch belongs to, nanoseconds since 1970.
    pub const fn open(&mut self, fast_ns: u64, long_ns: u64) {
        self.starts_ns = (fast_ns, long_ns);
    }

    /// Of the batches that come, stats that may leave records out look at those of `kept`, drawn at one in 2^`level`. None: at all.
    pub const fn shed(&mut self, shed: Option<(u32, u64)>) {
        self.shed = shed;
    }

    /// Whether [`Self::open`] is of use.
    pub const fn reads_times(&self) -> bool {
        self.reads_times
    }

    fn fill(&mut self, plan: &Plan, rows: Rows<'_>, hash_key: &HashKey) {
        match rows {
            Rows::Packed(batch, layout) if Turned::can(batch) && self.family == Family::V4 => self.turn(plan, batch, layout, hash_key),
            Rows::Packed(batch, layout) => {
                let mut unpacked = std::mem::take(&mut self.unpacked);
                self.read(plan, batch.unpack(layout, &mut unpacked), hash_key);
                self.unpacked = unpacked;
            }
            Rows::Records(records) => self.read(plan, records, hash_key),
            Rows::Flows(rows, _) => self.read_flows(plan, rows, hash_key),
        }
    }

    /// What is not read off the batch's own words is read of its records.
    fn turn(&mut self, plan: &Plan, batch: &Batch<'_>, layout: &Layout, hash_key: &HashKey) {
        let Self { keys, values, masks, weights, turned, unpacked, .. } = self;
        columns::run(Turning { keys, values, weights, turned, hash_key, batch, layout });
        let records = if self.asks_records { batch.unpack(layout, unpacked) } else { &[] };
        if self.asks_records {
            let keys = keys.iter_mut().filter(|column| column.asks_records());
            keys.for_each(|column| column.fill(records, hash_key));
        }
        plan.selections.turn(masks, turned, records, weights);
        if self.reads_times {
            layout.times(batch, &mut self.times_ns);
        }
    }

    fn read(&mut self, plan: &Plan, records: &[Record], hash_key: &HashKey) {
        let Self { keys, values, weights, .. } = self;
        lanes::run(Filling { keys, values, weights, records, hash_key });
        plan.selections.fill(&mut self.masks, records, &self.weights);
        if self.reads_times {
            self.times_ns.clear();
            self.times_ns.extend(records.iter().map(|record| record.time_ns));
        }
    }

    fn read_flows(&mut self, plan: &Plan, rows: &[FlowRow], hash_key: &HashKey) {
        let Self { keys, values, weights, .. } = self;
        keys.iter_mut().for_each(|column| column.fill_flows_of(rows, hash_key));
        values.iter_mut().for_each(|column| column.fill_flows(rows));
        weights.fill_flows(rows);
        plan.selections.fill_flows(&mut self.masks, rows, &self.weights);
        self.times_ns.clear();
        self.times_ns.extend(rows.iter().map(|row| row.record.time_ns));
    }

    /// Whether these roots are not those of the batch before. A range's batches mostly come one behind the other: what the first of
    /// them touched is at hand.
    #[inline]
    fn is_other(&mut self, (fast, long): (&[u64], &[u64])) -> bool {
        let roots = (fast.as_ptr().addr(), long.as_ptr().addr());
        std::mem::replace(&mut self.roots, roots) != roots
    }

    fn beside(&self, stat: &Planned) -> Beside<'_> {
        let start_ns = if stat.period == Period::Fast { self.starts_ns.0 } else { self.starts_ns.1 };
        Beside { other: stat.other.map(|at| &self.keys[at]), times_ns: &self.times_ns, start_ns }
    }
}

/// Runs every kernel of a plan over a batch of at most 64 records of one range. Says how many stats missed it for want
/// of memory.
pub fn execute(
    plan: &Plan,
    scratch: &mut Scratch,
    records: &[Record],
    hash_key: &HashKey,
    roots: (&mut [u64], &mut [u64]),
    memory: &mut Memory<'_>,
) -> u32 {
    execute_rows(plan, scratch, Rows::Records(records), hash_key, roots, memory, &mut ())
}

/// As [`execute`], and tells `probe` how far it is.
pub fn execute_rows(
    plan: &Plan,
    scratch: &mut Scratch,
    rows: Rows<'_>,
    hash_key: &HashKey,
    (fast, long): (&mut [u64], &mut [u64]),
    memory: &mut Memory<'_>,
    probe: &mut impl Probe,
) -> u32 {
    if scratch.is_other((fast, long)) {
        for stat in plan.ahead.iter().map(|at| &plan.stats[*at]) {
            stat.kernel.prefetch(stat.root(if stat.period == Period::Fast { fast } else { long }), memory.pool);
        }
    }
    scratch.fill(plan, rows, hash_key);
    probe.columns();
    let mut starved = 0;
    for stat in plan.order.iter().map(|at| &plan.stats[*at]) {
        let chosen = (stat.group(), scratch.masks.of(stat.selection));
        let mut view = View::new(&scratch.keys[stat.key], &scratch.values[stat.metric], &scratch.weights, chosen);
        let beside;
        if stat.reads_times || stat.other.is_some() {
            beside = scratch.beside(stat);
            view = view.with(&beside);
        }
        if view.is_empty() {
            continue;
        }
        if let Some((level, kept)) = scratch.shed {
            view = view.shed(level, kept);
        }
        let root = stat.root_mut(if stat.period == Period::Fast { &mut *fast } else { &mut *long });
        starved += u32::from(stat.kernel.update(root, memory, &view).is_err());
        probe.stat(stat.spec);
    }
    starved
}

#[cfg(test)]
#[path = "scratch_tests.rs"]
mod tests;
