//! A list of stats, compiled: which columns and masks a batch needs, and which kernel reads which of them.

mod scratch;

use super::interval::Question;
use super::pool::Pool;
use super::selection::Selections;
use super::stretch::Stretch;
use super::{Calculations, Context, Kernel};
use crate::axes::{DecisionAxis, DirectionAxis, Key, KeySpec, Metric, Source};
use crate::config::{Refusal, StatSpec, Windows};
use crate::limits::KEY_BYTES_MAX;
use crate::record::Record;
use crate::units::Family;

pub use scratch::{Rows, Scratch, execute, execute_rows};

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
    /// Of flow records: any rate, of what passed too. What a window's had is known when it closes.
    pub const OF_FLOWS: Self = Self { passed: u16::MAX as u32, blocked: u16::MAX as u32, random: true, rate: None };

    const fn context(self, family: Family, decision: DecisionAxis, windows: Windows) -> Context {
        let weight_max = match decision {
            DecisionAxis::Passed => self.passed,
            DecisionAxis::Blocked => self.blocked,
            DecisionAxis::Any if self.passed > self.blocked => self.passed,
            DecisionAxis::Any => self.blocked,
        };
        Context { family, weight_max, random: self.random, rate: self.rate, windows }
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
    /// Whether its figures of IPv4 and of IPv6 merge.
    pub any_family: bool,
    /// Whether it counts packets of either direction.
    pub any_direction: bool,
    /// Whether it is kept by who has this plan: stats of another source are not, take no memory there, and are told as empty.
    pub runs: bool,
    offset: usize,
    /// Of its root.
    words: usize,
    selection: usize,
    key: usize,
    other: Option<usize>,
    metric: usize,
    reads_times: bool,
}

/// Words that a stat costs at least: it is called, and what it has looked up.
const STAT_WORDS: usize = 16;

/// Where the export of a block goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Among the period's stats.
    pub stat: usize,
    /// Within the stat, see [`Stretch`].
    from: usize,
    /// Of a stat that was cut, the word before what was appended of it.
    head: Option<usize>,
}

impl Place {
    /// The same, where the words so far are sent away: a stat that was cut goes on behind a length of its own.
    #[must_use]
    pub const fn elsewhere(self) -> Self {
        Self { head: None, ..self }
    }

    /// Whether it is within a stat.
    pub const fn is_cut(&self) -> bool {
        self.from > 0
    }
}

/// What plans are compiled by.
#[derive(Clone, Default)]
pub struct Compiler {
    /// Those that rows may name.
    pub calculations: Calculations,
    /// Lengths of windows.
    pub windows: Windows,
    /// What is counted with these plans. Stats of the other source stand in them too, so that blocks of both lie alike.
    pub source: Source,
}

/// A list of stats for one family.
pub struct Plan {
    stats: Vec<Planned>,
    family: Family,
    selections: Selections,
    keys: Vec<KeySpec>,
    metrics: Vec<Metric>,
    /// Of `stats`, as they run.
    order: Vec<usize>,
    /// Of `stats`, those that prefetch.
    ahead: Vec<usize>,
    fast_words: usize,
    long_words: usize,
}

impl Plan {
    /// Of the rows `list` of `specs`, with this crate's own calculations and windows of the default lengths.
    pub fn compile(specs: &[StatSpec], list: &[usize], family: Family, weights: WeightBounds) -> Result<Self, Refusal> {
        Self::of_rows(&Compiler::default(), specs, list, family, weights)
    }

    /// Of the rows `list` of `specs`.
    pub fn of_rows(
        compiler: &Compiler,
        specs: &[StatSpec],
        list: &[usize],
        family: Family,
        weights: WeightBounds,
    ) -> Result<Self, Refusal> {
        let (stats, keys) = (Vec::with_capacity(list.len()), Vec::new());
        let (selections, metrics, order) = (Selections::new(family), Vec::new(), (0..list.len()).collect());
        let mut plan = Self { stats, family, selections, keys, metrics, order, ahead: Vec::new(), fast_words: 0, long_words: 0 };
        for index in list {
            let row = &specs[*index];
            let weights = if row.source == Source::Flows { WeightBounds::OF_FLOWS } else { weights };
            let context = weights.context(family, row.decision, compiler.windows);
            plan.add(&compiler.calculations, (*index, row), context, row.source == compiler.source)?;
        }
        let Self { order, ahead, stats, .. } = &mut plan;
        order.retain(|at| stats[*at].runs);
        order.sort_by_key(|at| !stats[*at].kernel.tells());
        ahead.extend((0..stats.len()).filter(|at| stats[*at].runs && stats[*at].kernel.prefetches()));
        Ok(plan)
    }

    fn add(&mut self, calculations: &Calculations, (spec, row): (usize, &StatSpec), context: Context, runs: bool) -> Result<(), Refusal> {
        let (calculation, kernel) = calculations.compile(row, &context)?;
        let key = calculation.key(row);
        let any_family = !kernel.keeps_keys() || key.width(Family::V4) == key.width(Family::V6);
        let any_direction = row.direction == DirectionAxis::Any;
        let reads_times = runs && calculation.reads_times();
        let other = calculation.other_key(row).filter(|_| runs).map(|key| position(&mut self.keys, key));
        let (period, all) = if row.fast { (Period::Fast, &mut self.fast_words) } else { (Period::Long, &mut self.long_words) };
        let (offset, words) = (*all, if runs { kernel.root_words() } else { 0 });
        *all += words;
        let (selection, key, metric) = match runs {
            true => (self.selections.add(row), position(&mut self.keys, key), position(&mut self.metrics, row.metric)),
            false => (0, 0, 0),
        };
        let value_max = if row.metric == Metric::Bytes { FRAME_BYTES_USUAL_MAX } else { 1 };
        let question = Question { weight_max: context.weight_max, value_max, random: context.random, twins: false };
        self.stats.push(Planned {
            spec,
            period,
            question,
            kernel,
            any_family,
            any_direction,
            runs,
            offset,
            words,
            selection,
            key,
            other,
            metric,
            reads_times,
        });
        Ok(())
    }

    /// Whether some stat sees a difference between two records.
    pub fn tells_apart(&self, one: &Record, other: &Record) -> bool {
        let seen = |part: &Key, key: &KeySpec, record: &Record| {
            let mut bytes = [0; KEY_BYTES_MAX];
            let has = (part.row().extract)(record, &key.lengths(), &mut bytes[..(part.row().width)(self.family)]);
            has.then_some(bytes)
        };
        // Part by part: what lacks one of them has no key, but others have it and the rest.
        let differ = |key: &KeySpec| key.parts().iter().any(|part| seen(part, key, one) != seen(part, key, other));
        let mut keys = self.keys.iter().chain(self.selections.keys());
        one.family() == self.family
            && (self.reads_times() && one.time_ns != other.time_ns
                || keys.any(differ)
                || self.metrics.iter().any(|metric| (metric.row().value)(one) != (metric.row().value)(other)))
    }

    /// How much is done with a record: an effort for each key that is read and hashed, one for each stat, and more where a
    /// stat looks its key up.
    pub fn effort(&self) -> u8 {
        let of = |stat: &Planned| if self.keys[stat.key].single() == Some(Key::None) { 1 } else { EFFORT_OF_KEYED };
        let all = self.keys.len() + self.stats.iter().filter(|stat| stat.runs).map(of).sum::<usize>();
        u8::try_from(all).unwrap_or(u8::MAX)
    }

    /// In the configuration's order.
    pub fn stats(&self) -> &[Planned] {
        &self.stats
    }

    /// Whether a kernel asks for the packets' times: then [`Scratch::open`] says when windows started.
    pub fn reads_times(&self) -> bool {
        self.stats.iter().any(|stat| stat.reads_times)
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
        self.of(period).map(|stat| 1 + if stat.runs { stat.kernel.export_words_max() } else { 0 }).sum()
    }

    fn of(&self, period: Period) -> impl Iterator<Item = &Planned> {
        self.stats.iter().filter(move |stat| stat.period == period)
    }

    /// Appends a piece of a block's state: for each stat its length in words, then its words. Ends a little behind `words_max`
    /// words, within a stat too. Says where it goes on; none: that was all.
    pub fn export(
        &self,
        (period, from): (Period, Place),
        words_max: usize,
        root: &[u64],
        pool: &Pool,
        out: &mut Vec<u64>,
    ) -> Option<Place> {
        let (mut place, mut cost) = (from, 0);
        for stat in self.of(period).skip(from.stat) {
            if cost >= words_max {
                return Some(place);
            }
            let (head, before) = (*place.head.get_or_insert(out.len()), out.len());
            if head == before {
                out.push(0);
            }
            let stretch = Stretch { from: place.from, words_max: words_max - cost };
            let next = if stat.runs { stat.kernel.export_some(stat.root(root), pool, stretch, out) } else { None };
            out[head] = (out.len() - head - 1) as u64;
            if let Some(from) = next {
                return Some(Place { from, ..place });
            }
            cost += (out.len() - before).max(STAT_WORDS);
            place = Place { stat: place.stat + 1, from: 0, head: None };
        }
        None
    }

    /// Gives back what these stats of the period hold beside their root.
    pub fn release(&self, period: Period, stats: std::ops::Range<usize>, root: &[u64], pool: &mut Pool) {
        let some = self.of(period).skip(stats.start).take(stats.len());
        some.filter(|stat| stat.runs).for_each(|stat| stat.kernel.release(stat.root(root), pool));
    }
}

impl Planned {
    /// Of stats that select the same records and keep them for the same time; not zero.
    const fn group(&self) -> usize {
        2 * self.selection + 1 + matches!(self.period, Period::Fast) as usize
    }

    fn root<'a>(&self, root: &'a [u64]) -> &'a [u64] {
        &root[self.offset..self.offset + self.words]
    }

    fn root_mut<'a>(&self, root: &'a mut [u64]) -> &'a mut [u64] {
        &mut root[self.offset..self.offset + self.words]
    }
}

pub(super) fn position<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|have| *have == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}
