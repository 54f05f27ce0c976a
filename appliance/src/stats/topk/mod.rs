//! `topk`: the keys with the largest share of a metric.
//!
//! A range starts with one bucket of cells, and gets more as keys come; a key whose bucket is full stands in the next that is
//! not. Beyond `max(4k, 128)` keys each goes home to its own bucket, and newcomers contest its cells: scores decay (after
//! HeavyGuardian, Yang et al., 2018), and are halved with time so that old keys cannot lock new ones out. After 64 misses of each
//! bucket only some newcomers contest: a packet that stands for itself with a chance of a quarter or less for each unit that it moves
//! a score by, a sample always (after the randomized admission policy of Ben-Basat et al., 2017). Each bucket keeps
//! U, a bound on what it did not count of any key: a cell admitted at U holds a truth within [c, c + U], and no key outside
//! the table is above U. A table that keeps missing doubles its buckets, whose halves inherit U.
//!
//! Where memory runs short, tables grow more slowly and keys are admitted by a keyed draw of one in `thinned`: sample and hold
//! (Estan and Varghese, 2002). Bounds stay sure, because U takes what is not admitted.

use super::columns::View;
use super::pool::{Handle, Memory, Pool};
use super::stretch::Stretch;
use super::weighted::SumLayout;
use super::{Calculation, Context, Exhausted, Kernel, Summary, settings};
use crate::arch::prefetch::prefetch_words;
use crate::axes::{Key, KeySpec, Metric, Source};
use crate::config::{Refusal, StatSpec};
use crate::limits::TOP_K_MAX;
use crate::units::Family;

mod cell;
mod cells;
mod contest;
mod contested;
mod count;
mod growth;
mod looks;
mod placing;
mod shapes;
mod shed;
mod summary;
#[cfg(test)]
mod shed_tests;
#[cfg(test)]
mod starved_tests;
mod table;

use cells::Sums;
use contested::Contesting;
use count::{Counting, Step};
use growth::State;
use placing::{Following, Placing};
use summary::TopSummary;
use table::Shape;

/// Keys shown where the row says nothing.
const K_DEFAULT: u64 = 20;
/// Keys kept exactly, at least.
const EXACT_KEYS_MIN: usize = 128;
/// How often a table that contests its cells may double.
const DOUBLINGS_MAX: u32 = 3;
/// Root: chunk, state, rows, misses; then the whole, and the bound's parts of what was left out of it.
const ROOT_HEAD_WORDS: usize = 4;

/// The calculation.
pub struct TopK;

impl Calculation for TopK {
    fn name(&self) -> &'static str {
        "topk"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["k"]
    }

    fn compile(&self, spec: &StatSpec, context: &Context) -> Result<Box<dyn Kernel>, Refusal> {
        if spec.key.single() == Some(Key::None) {
            return Err(settings::refusal("key", "`topk` ranks keys: name one, such as \"src_ip\""));
        }
        if spec.metric == Metric::Flows {
            return Err(settings::refusal("metric", "`flows` goes with `sum` only"));
        }
        let k = settings::integer(spec, "k", K_DEFAULT, 1..=TOP_K_MAX as u64)?;
        let k = usize::try_from(k).unwrap_or(TOP_K_MAX);
        Ok(Box::new(TopKernel::new(spec, context, k)))
    }
}

struct TopKernel {
    key: KeySpec,
    family: Family,
    k: usize,
    narrow: Shape,
    wide: Shape,
    exact_keys: usize,
    /// That hold so many.
    exact_buckets: usize,
    by_bytes: bool,
}

impl TopKernel {
    fn new(spec: &StatSpec, context: &Context, k: usize) -> Self {
        let (key_bytes, layout) = (spec.key.width(context.family), SumLayout::of(context, spec.metric));
        let narrow = Shape::new(key_bytes, Sums { layout, wide: false });
        let wide = Shape::with_ways(key_bytes, Sums { layout, wide: true }, narrow.ways);
        let exact_keys = (4 * k).max(EXACT_KEYS_MIN);
        let exact_buckets = (1..).find(|buckets| narrow.room(*buckets) >= exact_keys).unwrap_or(1);
        // Of flow records a row may be many packets too.
        let by_bytes = spec.metric == Metric::Bytes || spec.source == Source::Flows;
        Self { key: spec.key.clone(), family: context.family, k, narrow, wide, exact_keys, exact_buckets, by_bytes }
    }

    const fn shape(&self, state: State) -> &Shape {
        if state.wide { &self.wide } else { &self.narrow }
    }

    const fn buckets_max(&self) -> usize {
        self.exact_buckets << DOUBLINGS_MAX
    }

    /// Counts the rows of a batch, which are in the sum of all keys already.
    fn count(&self, state: &mut State, memory: &mut Memory<'_>, view: &View<'_>, all: &[u64]) {
        if self.follow(state, memory, view, all) {
            state.rows += u64::from(view.kept().count_ones());
            return;
        }
        let (mut rows, pressure) = (view.kept(), memory.pressure());
        while rows != 0 {
            let (words, shape) = (memory.pool.get_mut(state.chunk), self.shape(*state));
            let some = if state.contested { state.until_turn(rows) } else { rows };
            let (mut rest, fits) = (some, shape.sums.fits(all));
            let left = &mut rest;
            let step = if state.contested {
                shapes::run(Contesting { kernel: self, words, state, view, left, pressure, fits }, shape)
            } else if fits {
                shapes::run(Placing { kernel: self, words, state, view, left }, shape)
            } else {
                shapes::run(Counting { kernel: self, words, state, view, left }, shape)
            };
            self.make_way(state, memory, (view, left), step);
            rows &= !some | rest;
            if state.is_turn((some & !rest).count_ones()) && state.contested {
                self.turn(state, memory);
            }
        }
    }

    /// Counts the rows where another table told that it placed them, if this one lies alike: a stat with the same key and
    /// another metric mostly does.
    fn follow(&self, state: &mut State, memory: &mut Memory<'_>, view: &View<'_>, all: &[u64]) -> bool {
        let shape = self.shape(*state);
        let told = view.told().placed.get().filter(|placed| placed.rows == view.kept() && placed.table != state.chunk);
        let Some(placed) = told.filter(|placed| placed.kind == (state.buckets, shape.ways)) else { return false };
        let has_room = state.keys + placed.fresh.count_ones() as usize <= self.exact_keys.min(shape.room(state.buckets));
        // Of a table that is large beside the batch a look at each row's place is less than one at all buckets.
        let is_small = state.buckets <= 2 * placed.rows.count_ones() as usize;
        if !is_small || state.contested || !has_room || !shape.sums.fits(all) {
            return false;
        }
        let (other, words) = memory.pool.get_two_mut(placed.table, state.chunk);
        shapes::run(Following { kernel: self, other, words, state, view, placed }, shape)
    }

    /// Sums up rows that no key is looked up of.
    fn leave_out(&self, parts: &mut [u64], view: &View<'_>) {
        if let [passed, ..] = parts {
            *passed = passed.saturating_add(view.tally().plain);
        }
        view.sampled().rows().for_each(|row| self.narrow.sums.miss(parts, &row));
    }

    /// Does what the rows that are left could not wait with.
    fn make_way(&self, state: &mut State, memory: &mut Memory<'_>, (view, left): (&View<'_>, &mut u64), step: Step) {
        match step {
            Step::Counted => {}
            Step::Full => self.make_room(state, memory, view, *left),
            Step::Overflow(..) if !state.wide && self.rebuild(state, memory, state.buckets, true) => {}
            Step::Overflow(..) if !state.contested => {
                // An exact table has no bounds to put it in.
                state.short = true;
                self.go_home(state, memory);
            }
            Step::Overflow(row, (bucket, way)) => {
                *left &= !(1 << row);
                let (shape, row) = (self.shape(*state), view.row(row));
                state.short = true;
                let bucket = bucket_mut(memory.pool.get_mut(state.chunk), shape, bucket);
                shape.add_to_bound(bucket, way, &row, self.units_of_all(shape, &row));
            }
        }
    }
}

/// Words that a bucket costs of which little is read: two lines of the cache, in no order that the processor foresees.
const LOOK_WORDS: usize = 16;

/// Appends what a bucket missed. Says what it cost, in words.
fn export_missed(bucket: &[u64], shape: &Shape, out: &mut Vec<u64>) -> usize {
    out.extend_from_slice(&shape.missed_parts(bucket)[..shape.sums.parts()]);
    LOOK_WORDS
}

/// Appends a bucket's cells. Says what it cost, in words.
fn export_cells(bucket: &[u64], shape: &Shape, bounded: bool, out: &mut Vec<u64>) -> usize {
    let before = out.len();
    shape.export(bucket, bounded, out);
    (out.len() - before).max(shape.words)
}

#[inline(always)]
fn bucket_mut<'a>(words: &'a mut [u64], shape: &Shape, at: usize) -> &'a mut [u64] {
    let start = at * shape.words;
    &mut words[start..start + shape.words]
}

impl Kernel for TopKernel {
    fn root_words(&self) -> usize {
        ROOT_HEAD_WORDS + self.narrow.sums.layout.words() + self.narrow.sums.parts()
    }

    fn tells(&self) -> bool {
        true
    }

    fn prefetch(&self, root: &[u64], pool: &Pool) {
        let state = State::of(root);
        // Of a small table nearly all is touched; of a large one, who knows what.
        if !state.chunk.is_none() && state.buckets <= self.exact_buckets {
            prefetch_words(pool.get(state.chunk));
        }
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        let (head, rest) = root.split_at_mut(ROOT_HEAD_WORDS);
        let (all, left_out) = rest.split_at_mut(self.narrow.sums.layout.words());
        let mut state = State::of(head);
        let has_table = !state.chunk.is_none() || self.start(&mut state, memory, (all, view));
        self.narrow.sums.layout.add_all(all, view);
        if view.shed_level() > 0 {
            state.shed = state.shed.max(view.shed_level());
            self.leave_out(left_out, &view.left_out());
        }
        if has_table {
            self.count(&mut state, memory, view, all);
        }
        state.write(head);
        Ok(())
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        self.export_some(root, pool, Stretch::WHOLE, out);
    }

    fn export_some(&self, root: &[u64], pool: &Pool, stretch: Stretch, out: &mut Vec<u64>) -> Option<usize> {
        let (head, rest) = root.split_at(ROOT_HEAD_WORDS);
        let (all, left_out) = rest.split_at(self.narrow.sums.layout.words());
        let state = State::of(head);
        let (shape, buckets) = (self.shape(state), state.buckets * usize::from(state.contested));
        let none = state.chunk.is_none();
        if stretch.from == 0 {
            out.push(state.told(if none { 1 } else { buckets }));
            out.extend_from_slice(all);
            out.extend_from_slice(if state.shed > 0 { left_out } else { &[] });
        }
        if none {
            // What found no memory at all may be any key's.
            out.extend_from_slice(&shape.sums.bound(all)[..shape.sums.parts()]);
            return None;
        }
        // First what all buckets missed, then the cells of each: a bucket is one of so many steps.
        let (table, steps, mut words) = (pool.get(state.chunk), buckets + state.buckets, 0);
        let bucket = |at: usize| &table[at * shape.words..(at + 1) * shape.words];
        let mut at = stretch.from;
        while at < steps && (words < stretch.words_max || at == stretch.from) {
            words += if at < buckets {
                export_missed(bucket(at), shape, out)
            } else {
                export_cells(bucket(at - buckets), shape, buckets > 0, out)
            };
            at += 1;
        }
        (at < steps).then_some(at)
    }

    fn export_words_max(&self) -> usize {
        let shape = &self.narrow;
        let bucket = shape.sums.parts() + shape.ways * shape.export_words(true);
        1 + shape.sums.layout.words() + shape.sums.parts() + self.buckets_max() * bucket
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        pool.free(Handle::from_word(root[0]));
    }

    fn summary(&self) -> Box<dyn Summary> {
        Box::new(TopSummary::new(self))
    }
}
