//! A list of stats, compiled: which columns and masks a batch needs, and which kernel reads which of them.

use super::columns::{KeyColumn, ValueColumn, View, Weights, fill, first};
use super::interval::Question;
use super::pool::{Memory, Pool};
use super::{Context, Kernel, calculation, compile};
use crate::arch::HashKey;
use crate::axes::{DecisionAxis, DirectionAxis, Key, KeySpec, Metric};
use crate::config::{Predicate, Refusal, StatSpec};
use crate::limits::KEY_BYTES_MAX;
use crate::record::{Has, Record};
use crate::units::Family;

/// Which of a range's windows a stat is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// `fast = true`: short windows, of which the long ones are made.
    Fast,
    /// Long windows only.
    Long,
}

/// The largest weight that a record may have, by decision; 1 where nothing is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightBounds {
    /// Of passed packets.
    pub passed: u32,
    /// Of blocked ones.
    pub blocked: u32,
    /// Whether all samplers of blocked packets are random.
    pub random: bool,
    /// The one weight of all blocked packets, where every rule gives the same constant one at random.
    pub rate: Option<u32>,
}

/// A record in a keyed stat, against one in a sum.
const EFFORT_OF_KEYED: usize = 4;

/// The largest frame of usual Ethernet: what a packet that was not seen may have had. Longer ones bound themselves once
/// one is seen.
const FRAME_BYTES_USUAL_MAX: u32 = 1_518;

impl WeightBounds {
    const fn context(self, family: Family, decision: DecisionAxis) -> Context {
        let weight_max = match decision {
            DecisionAxis::Passed => self.passed,
            DecisionAxis::Blocked => self.blocked,
            DecisionAxis::Any if self.passed > self.blocked => self.passed,
            DecisionAxis::Any => self.blocked,
        };
        Context { family, weight_max, random: self.random, rate: self.rate }
    }
}

/// One stat of a plan.
pub struct Planned {
    /// Index in the configuration.
    pub spec: usize,
    /// Its windows.
    pub period: Period,
    /// What is asked of its summary.
    pub question: Question,
    /// What counts.
    pub kernel: Box<dyn Kernel>,
    offset: usize,
    selection: usize,
    key: usize,
    metric: usize,
}

/// Which records a stat counts.
#[derive(Clone, PartialEq)]
struct Selection {
    decision: DecisionAxis,
    direction: DirectionAxis,
    predicate: Option<Predicate>,
}

/// A list of stats for one family.
pub struct Plan {
    stats: Vec<Planned>,
    family: Family,
    selections: Vec<Selection>,
    keys: Vec<KeySpec>,
    metrics: Vec<Metric>,
    fast_words: usize,
    long_words: usize,
}

impl Plan {
    /// Of the rows `list` of `specs`.
    pub fn compile(specs: &[StatSpec], list: &[usize], family: Family, weights: WeightBounds) -> Result<Self, Refusal> {
        let (stats, keys) = (Vec::with_capacity(list.len()), Vec::new());
        let mut plan = Self { stats, family, selections: Vec::new(), keys, metrics: Vec::new(), fast_words: 0, long_words: 0 };
        for index in list {
            plan.add(*index, &specs[*index], weights.context(family, specs[*index].decision))?;
        }
        Ok(plan)
    }

    fn add(&mut self, spec: usize, row: &StatSpec, context: Context) -> Result<(), Refusal> {
        let kernel = compile(row, &context)?;
        let key = calculation(&row.calculation).map_or_else(|| row.key.clone(), |c| c.key(row));
        let selection = Selection { decision: row.decision, direction: row.direction, predicate: row.predicate.clone() };
        let (period, words) = if row.fast { (Period::Fast, &mut self.fast_words) } else { (Period::Long, &mut self.long_words) };
        let offset = *words;
        *words += kernel.root_words();
        let selection = position(&mut self.selections, selection);
        let (key, metric) = (position(&mut self.keys, key), position(&mut self.metrics, row.metric));
        let value_max = if row.metric == Metric::Bytes { FRAME_BYTES_USUAL_MAX } else { 1 };
        let question = Question { weight_max: context.weight_max, value_max, random: context.random };
        self.stats.push(Planned { spec, period, question, kernel, offset, selection, key, metric });
        Ok(())
    }

    /// Whether some stat sees a difference between two records.
    pub fn tells_apart(&self, one: &Record, other: &Record) -> bool {
        let seen = |key: &KeySpec, record: &Record| {
            let mut bytes = [0; KEY_BYTES_MAX];
            let has = key.extract(record, &mut bytes[..key.width(self.family)]);
            has.then_some(bytes)
        };
        let tests = self.selections.iter().filter_map(|selection| selection.predicate.as_ref()).flat_map(|p| &p.tests);
        let mut keys = self.keys.iter().chain(tests.map(|test| &test.key));
        one.family() == self.family
            && (keys.any(|key| seen(key, one) != seen(key, other))
                || self.metrics.iter().any(|metric| (metric.row().value)(one) != (metric.row().value)(other)))
    }

    /// How much is done with a record: an effort for each key that is read and hashed, one for each stat, and more where a
    /// stat looks its key up.
    pub fn effort(&self) -> u8 {
        let of = |stat: &Planned| if self.keys[stat.key].single() == Some(Key::None) { 1 } else { EFFORT_OF_KEYED };
        let all = self.keys.len() + self.stats.iter().map(of).sum::<usize>();
        u8::try_from(all).unwrap_or(u8::MAX)
    }

    /// In the configuration's order.
    pub fn stats(&self) -> &[Planned] {
        &self.stats
    }

    /// Of its records.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Words of a block's root.
    pub const fn root_words(&self, period: Period) -> usize {
        match period {
            Period::Fast => self.fast_words,
            Period::Long => self.long_words,
        }
    }

    /// The longest export of a block.
    pub fn export_words_max(&self, period: Period) -> usize {
        self.of(period).map(|stat| 1 + stat.kernel.export_words_max()).sum()
    }

    fn of(&self, period: Period) -> impl Iterator<Item = &Planned> {
        self.stats.iter().filter(move |stat| stat.period == period)
    }

    /// Appends a block's state from the period's `first` stat on, until it is more than `words_max` words: for each stat its
    /// length in words, then its words. Says which stat comes next.
    pub fn export(&self, (period, first): (Period, usize), words_max: usize, root: &[u64], pool: &Pool, out: &mut Vec<u64>) -> usize {
        let (start, mut next) = (out.len(), first);
        for stat in self.of(period).skip(first) {
            if out.len() - start >= words_max {
                break;
            }
            let at = out.len();
            out.push(0);
            stat.kernel.export(stat.root(root), pool, out);
            out[at] = (out.len() - at - 1) as u64;
            next += 1;
        }
        next
    }

    /// Gives back what these stats of the period hold beside their root.
    pub fn release(&self, period: Period, stats: std::ops::Range<usize>, root: &[u64], pool: &mut Pool) {
        self.of(period).skip(stats.start).take(stats.len()).for_each(|stat| stat.kernel.release(stat.root(root), pool));
    }

    /// Stats of a period.
    pub fn stats_of(&self, period: Period) -> usize {
        self.of(period).count()
    }
}

impl Planned {
    fn root<'a>(&self, root: &'a [u64]) -> &'a [u64] {
        &root[self.offset..self.offset + self.kernel.root_words()]
    }

    fn root_mut<'a>(&self, root: &'a mut [u64]) -> &'a mut [u64] {
        &mut root[self.offset..self.offset + self.kernel.root_words()]
    }
}

fn position<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|have| *have == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

/// A plan's columns, made once a shard.
pub struct Scratch {
    keys: Vec<KeyColumn>,
    values: Vec<ValueColumn>,
    masks: Vec<u64>,
    weights: Weights,
}

impl Scratch {
    /// Of this plan.
    pub fn new(plan: &Plan) -> Self {
        let keys = plan.keys.iter().map(|key| KeyColumn::new(key.clone(), plan.family)).collect();
        let values = plan.metrics.iter().map(|metric| ValueColumn::new(*metric)).collect();
        Self { keys, values, masks: vec![0; plan.selections.len()], weights: Weights::new() }
    }

    fn fill(&mut self, plan: &Plan, records: &[Record], hash_key: &HashKey) {
        fill(&mut self.keys, &mut self.values, records, hash_key);
        self.weights.fill(records);
        for (mask, selection) in self.masks.iter_mut().zip(&plan.selections) {
            *mask = selection.mask(records, plan.family);
        }
    }
}

/// Runs every kernel of a plan over a batch of at most 64 records of one range. Says how many stats missed it for want
/// of memory.
pub fn execute(
    plan: &Plan,
    scratch: &mut Scratch,
    records: &[Record],
    hash_key: &HashKey,
    (fast, long): (&mut [u64], &mut [u64]),
    memory: &mut Memory<'_>,
) -> u32 {
    scratch.fill(plan, records, hash_key);
    let mut starved = 0;
    for stat in &plan.stats {
        let selected = scratch.masks[stat.selection];
        let view = View::new(&scratch.keys[stat.key], &scratch.values[stat.metric], &scratch.weights, selected);
        if view.is_empty() {
            continue;
        }
        let root = stat.root_mut(if stat.period == Period::Fast { &mut *fast } else { &mut *long });
        starved += u32::from(stat.kernel.update(root, memory, &view).is_err());
    }
    starved
}

impl Selection {
    fn mask(&self, records: &[Record], family: Family) -> u64 {
        let ingress = bits(records, Has::INGRESS);
        let egress = bits(records, Has::EGRESS);
        let blocked = bits(records, Has::BLOCKED);
        let direction = match self.direction {
            DirectionAxis::Ingress => ingress,
            DirectionAxis::Egress => egress,
            DirectionAxis::Any => u64::MAX,
        };
        let decision = match self.decision {
            DecisionAxis::Passed => !blocked,
            DecisionAxis::Blocked => blocked,
            DecisionAxis::Any => u64::MAX,
        };
        let mask = direction & decision & first(records.len());
        self.predicate.as_ref().map_or(mask, |predicate| narrow(mask, predicate, records, family))
    }
}

fn bits(records: &[Record], what: Has) -> u64 {
    records.iter().enumerate().fold(0, |mask, (i, record)| mask | u64::from(record.has.all(what)) << i)
}

/// Those of `mask` whose fields have one of the values given, in every field.
fn narrow(mask: u64, predicate: &Predicate, records: &[Record], family: Family) -> u64 {
    let mut mask = mask;
    let mut bytes = [0; KEY_BYTES_MAX];
    for test in &predicate.tests {
        let wanted = if family == Family::V4 { &test.v4 } else { &test.v6 };
        let bytes = &mut bytes[..test.key.width(family)];
        for (i, record) in records.iter().enumerate() {
            let admitted = mask >> i & 1 == 1
                && test.key.extract(record, bytes)
                && wanted.binary_search_by(|value| value.as_slice().cmp(&*bytes)).is_ok();
            mask &= !(u64::from(!admitted) << i);
        }
    }
    mask
}
