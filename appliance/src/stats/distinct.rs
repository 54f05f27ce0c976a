//! `distinct`: how many different keys there were.
//!
//! Up to [`DISTINCT_EXACT_MAX`] keys are kept as their keyed 64-bit hashes and counted exactly (two keys of one window
//! share a hash once in 10^15): the first eight in the root itself, more in a chunk that grows. Beyond, the hashes become a
//! HyperLogLog of 2^p one-byte registers (see [`super::hll`]). Whether a window is exact depends on its keys alone, never on
//! how its packets were spread over shards.
//!
//! Nothing is lost for want of memory: what cannot grow becomes registers where it stands, fewer than were asked for. Shards
//! that have different numbers of them meet at the fewest, and the figure says how many they were.
//!
//! What a sample shows of distinct keys is a lower bound. How many it may have missed follows from the keys that it showed
//! once ([`super::once`]), which are kept beside as soon as a sampled packet comes.

use bytemuck::{cast_slice, cast_slice_mut};

use super::columns::View;
use super::figure::{Basis, Confidence, Distinct as Figures, DistinctSketch, Estimate, Figure};
use super::hashes::{self, Inserting, LINE_SLOTS, Lacking, Moving, room};
use super::hll;
use super::interval::Question;
use super::once;
use super::pool::{Handle, Memory, Pool};
use super::stretch::Stretch;
use super::{Calculation, Context, Exhausted, Kernel, Summary, settings};
use crate::arch::columns::{self, Columns, Task};
use crate::arch::prefetch::prefetch_words;
use crate::axes::{Key, Metric};
use crate::config::{Refusal, StatSpec};
use crate::limits::{DISTINCT_EXACT_MAX, DISTINCT_EXACT_MIN};

/// log2 of registers where the row says nothing.
pub const PRECISION_DEFAULT: u32 = 12;
/// Words in the root itself: eight hashes, or 2^6 registers.
const INLINE_WORDS: usize = 8;
/// Root: chunk; number of hashes, or log2 of registers above this bit; sampled packets; hashes or registers; and where
/// packets may be sampled at random, a word for what bounds the keys that were missed.
const ROOT_WORDS: usize = 3 + INLINE_WORDS;
const REGISTERS_BIT: u32 = 32;
/// Where a sketch has fewer registers, hashes of so many keys would take more memory than they.
const EXACT_PRECISION_MIN: u32 = 10;

/// The calculation.
pub struct Distinct;

impl Calculation for Distinct {
    fn name(&self) -> &'static str {
        "distinct"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["p"]
    }

    fn compile(&self, spec: &StatSpec, context: &Context) -> Result<Box<dyn Kernel>, Refusal> {
        if spec.key.single() == Some(Key::None) {
            return Err(settings::refusal("key", "`distinct` counts different keys: name one, such as \"src_ip\""));
        }
        if matches!(spec.metric, Metric::Bytes | Metric::Flows) {
            let message = "with `distinct` the metric says which packets count: packets, connections_opened, connections_accepted, resets or fragments";
            return Err(settings::refusal("metric", message));
        }
        let precision = settings::integer(spec, "p", u64::from(PRECISION_DEFAULT), 4..=16)?;
        let precision = u32::try_from(precision).unwrap_or(PRECISION_DEFAULT);
        let counts_all = spec.metric == Metric::Packets;
        Ok(Box::new(DistinctKernel { precision, total: false, counts_all, bounds_missed: bounds_missed(context) }))
    }
}

/// A kernel whose figure is a total.
pub(super) fn total(precision: u32, context: &Context) -> Box<dyn Kernel> {
    Box::new(DistinctKernel { precision, total: true, counts_all: true, bounds_missed: bounds_missed(context) })
}

/// Whether what a sample missed can be bounded, where there is one.
const fn bounds_missed(context: &Context) -> bool {
    context.sampled() && context.random
}

struct DistinctKernel {
    precision: u32,
    total: bool,
    /// Every packet that is selected and has the key counts.
    counts_all: bool,
    bounds_missed: bool,
}

/// Keys that are counted exactly.
const fn exact_max(precision: u32) -> usize {
    if precision < EXACT_PRECISION_MIN { DISTINCT_EXACT_MIN } else { DISTINCT_EXACT_MAX }
}

/// Where a root's hashes or registers stand.
fn state<'a>(root: &'a mut [u64], pool: &'a mut Pool) -> &'a mut [u64] {
    let chunk = Handle::from_word(root[0]);
    if chunk.is_none() { &mut root[3..ROOT_WORDS] } else { pool.get_mut(chunk) }
}

const fn precision_of(root: &[u64]) -> u32 {
    (root[1] >> REGISTERS_BIT) as u32
}

impl DistinctKernel {
    /// Adds the hashes of these rows, from a table on that may grow or turn. What is left was not added, because it has turned.
    fn insert_all(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>, left: &mut u64) {
        if root[..2] == [0; 2] && view.distinct_least(*left) > room(INLINE_WORDS) {
            // Without memory it begins in the root.
            grow_for(root, memory, (view, *left));
        }
        while precision_of(root) == 0 {
            let mut count = usize::try_from(root[1]).unwrap_or(0);
            let table = state(root, memory.pool);
            let most = exact_max(self.precision).min(room(table.len()));
            columns::run(Inserting { table, view, left, count: &mut count, most });
            root[1] = count as u64;
            if *left == 0 {
                return;
            }
            if count >= exact_max(self.precision) || !grow_for(root, memory, (view, *left)) {
                self.turn(root, memory);
            }
        }
    }

    /// Makes registers of the hashes: as many as were asked for, or without memory as many as find room where they stand.
    fn turn(&self, root: &mut [u64], memory: &mut Memory<'_>) {
        let mut hashes = [0; DISTINCT_EXACT_MAX];
        let table = state(root, memory.pool);
        let mut count = 0;
        for (to, hash) in hashes.iter_mut().zip(table.iter().filter(|hash| **hash != 0)) {
            (*to, count) = (*hash, count + 1);
        }
        let here = (8 * table.len()).ilog2();
        let fits_root = words_of(self.precision) <= INLINE_WORDS;
        let wanted = if fits_root { Some(Handle::NONE) } else { memory.alloc(words_of(self.precision)) };
        if let Some(new) = wanted {
            memory.pool.free(Handle::from_word(root[0]));
            root[0] = new.word();
        }
        let precision = if wanted.is_some() { self.precision } else { self.precision.min(here) };
        root[1] = u64::from(precision) << REGISTERS_BIT;
        let words = state(root, memory.pool);
        words.fill(0);
        let registers: &mut [u8] = cast_slice_mut(words);
        hashes[..count].iter().for_each(|hash| hll::set_register(registers, precision, *hash));
    }
}

/// A table half as long again, and so on until it has room for what these rows are about to add. False: there is no memory.
fn grow_for(root: &mut [u64], memory: &mut Memory<'_>, (view, left): (&View<'_>, u64)) -> bool {
    let count = usize::try_from(root[1]).unwrap_or(0);
    let table = state(root, memory.pool);
    let lines = table.as_chunks::<LINE_SLOTS>().0;
    let lacking = if count == 0 { left } else { columns::run(Lacking { lines, view, rows: left }) };
    let wanted = count + view.distinct_least(lacking);
    let longer = |slots: usize| (slots + slots / 2).min(DISTINCT_EXACT_MAX).next_multiple_of(LINE_SLOTS);
    let least = longer(table.len());
    let mut slots = least;
    while room(slots) < wanted && slots < DISTINCT_EXACT_MAX {
        slots = longer(slots);
    }
    grow(root, memory, slots) || least < slots && grow(root, memory, least)
}

/// Moves the hashes to a longer table. False: there is no memory.
fn grow(root: &mut [u64], memory: &mut Memory<'_>, slots: usize) -> bool {
    let old = Handle::from_word(root[0]);
    let Some(new) = memory.alloc(slots) else { return false };
    let mut inline = [0; INLINE_WORDS];
    let (from, to) = if old.is_none() {
        inline.copy_from_slice(&root[3..ROOT_WORDS]);
        (&inline[..], memory.pool.get_mut(new))
    } else {
        let (from, to) = memory.pool.get_two_mut(old, new);
        (&*from, to)
    };
    columns::run(Moving { from, to: to.as_chunks_mut().0 });
    memory.pool.free(old);
    root[0] = new.word();
    true
}

/// Enters hashes of rows into registers.
struct Entering<'a, 'v> {
    registers: &'a mut [u8],
    precision: u32,
    view: &'a View<'v>,
    left: u64,
}

impl Task for Entering<'_, '_> {
    type Out = ();

    #[inline(always)]
    fn run<C: Columns>(self, columns: C) {
        columns.enter_all(self.registers, self.precision, self.view.hashes(), self.left);
    }
}

impl Kernel for DistinctKernel {
    fn root_words(&self) -> usize {
        ROOT_WORDS + usize::from(self.bounds_missed)
    }

    fn reads_bytes(&self) -> bool {
        false
    }

    fn keeps_keys(&self) -> bool {
        false
    }

    fn prefetch(&self, root: &[u64], pool: &Pool) {
        if root[0] != 0 && precision_of(root) == 0 {
            prefetch_words(pool.get(Handle::from_word(root[0])));
        }
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        let sampled = view.count(true);
        if sampled > 0 {
            root[2] += sampled;
            root.get_mut(ROOT_WORDS).into_iter().for_each(|root| once::add_all(root, memory, view));
        }
        // A key that came before is in here already.
        let known = if self.counts_all { view.known() } else { 0 };
        let mut left = view.selected() & !known;
        if left == 0 {
            return Ok(());
        }
        self.insert_all(root, memory, view, &mut left);
        if left != 0 {
            let precision = precision_of(root);
            let registers = cast_slice_mut(state(root, memory.pool));
            columns::run(Entering { registers, precision, view, left });
        }
        Ok(())
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        self.export_some(root, pool, Stretch::WHOLE, out);
    }

    fn export_some(&self, root: &[u64], pool: &Pool, stretch: Stretch, out: &mut Vec<u64>) -> Option<usize> {
        let chunk = Handle::from_word(root[0]);
        let words = if chunk.is_none() { &root[3..ROOT_WORDS] } else { pool.get(chunk) };
        if stretch.from == 0 {
            out.extend([u64::from(precision_of(root)), root[2]]);
            once::export(root.get(ROOT_WORDS).copied().unwrap_or(0), pool, out);
        }
        match precision_of(root) {
            0 => stretch.entries(&[], words, 1, out),
            precision => stretch.copy(&[&words[..words_of(precision)]], out),
        }
    }

    fn export_words_max(&self) -> usize {
        let once = if self.bounds_missed { once::EXPORT_WORDS_MAX } else { 1 };
        2 + once + words_of(self.precision).max(DISTINCT_EXACT_MAX)
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        pool.free(Handle::from_word(root[0]));
        root.get(ROOT_WORDS).into_iter().for_each(|root| once::release(*root, pool));
    }

    fn summary(&self) -> Box<dyn Summary> {
        let Self { precision, total, bounds_missed, .. } = *self;
        let (hashes, registers, once) = (Vec::new(), Vec::new(), once::Sum::default());
        Box::new(DistinctSummary { precision, total, bounds_missed, hashes, registers, sampled: 0, once })
    }
}

/// Words of so many registers.
const fn words_of(precision: u32) -> usize {
    1 << (precision - 3)
}

struct DistinctSummary {
    /// Of the registers, or that they will have.
    precision: u32,
    total: bool,
    bounds_missed: bool,
    /// Ascending, each once.
    hashes: Vec<u64>,
    registers: Vec<u8>,
    sampled: u64,
    once: once::Sum,
}

impl DistinctSummary {
    /// To registers, no more than 2^`precision`.
    fn turn(&mut self, precision: u32) {
        let fewer = precision.min(self.precision);
        if !self.registers.is_empty() && fewer < self.precision {
            self.registers = hll::fold(&self.registers, fewer);
        }
        self.precision = fewer;
        self.registers.resize(1 << fewer, 0);
        for hash in std::mem::take(&mut self.hashes) {
            hll::set_register(&mut self.registers, fewer, hash);
        }
    }
}

impl Summary for DistinctSummary {
    fn absorb(&mut self, words: &[u64]) {
        let [precision, sampled, rest @ ..] = words else { return };
        self.sampled += sampled;
        let rest = self.once.absorb(rest);
        if *precision == 0 {
            self.hashes.extend_from_slice(rest);
            hashes::sort(&mut self.hashes, |hash| *hash);
            self.hashes.dedup();
            if self.hashes.len() > exact_max(self.precision) || !self.registers.is_empty() {
                self.turn(self.precision);
            }
            return;
        }
        self.turn(u32::try_from(*precision).unwrap_or(self.precision));
        let theirs = hll::fold(cast_slice(rest), self.precision);
        self.registers.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours = (*ours).max(theirs));
    }

    fn figure(&self, question: &Question) -> Figure {
        let sampled = self.sampled > 0 || question.weight_max > 1;
        let exact = self.registers.is_empty();
        let value = if exact { count(self.hashes.len()) } else { hll::ertl(&self.registers).round() };
        let shown = if sampled && self.bounds_missed { self.once.shown() } else { None };
        let missed = if sampled { shown.as_ref().and_then(|shown| once::missed(shown, question, 0)) } else { Some(0.0) };
        let estimate = bounds(value, exact, sampled, self.registers.len(), missed);
        if self.total {
            return Figure::Total(estimate, None);
        }
        let sketch = if exact { DistinctSketch::Hashes(self.hashes.clone()) } else { DistinctSketch::Registers(self.registers.clone()) };
        Figure::Distinct(Figures { value: estimate, sketch, sampled_packets: self.sampled, shown })
    }
}

/// The registers that fewer of them would have been, and what these say in place of `told`, which stood on all of them: what a sample may
/// have missed stays as it was.
pub fn fewer(registers: &[u8], precision: u32, told: &Estimate) -> (Vec<u8>, Estimate) {
    let sampled = matches!(told.basis, Basis::Sampled | Basis::SampledSketched);
    let shown = bounds(told.value, false, sampled, registers.len(), Some(0.0)).high.unwrap_or(0.0);
    let missed = told.high.map(|high| (high - shown).max(0.0));
    let registers = hll::fold(registers, precision);
    let estimate = bounds(hll::ertl(&registers).round(), false, sampled, registers.len(), missed);
    (registers, estimate)
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand at most")]
fn count(n: usize) -> f64 {
    n as f64
}

/// Bounds of a number of distinct keys, to which those may come that a sample `missed`: none, if nothing bounds them. The
/// standard error of m registers is 1.04 / √m.
fn bounds(value: f64, exact: bool, sampled: bool, registers: usize, missed: Option<f64>) -> Estimate {
    let basis = match (exact, sampled) {
        (true, false) => return Estimate::exact(value),
        (true, true) => Basis::Sampled,
        (false, false) => Basis::Sketched,
        (false, true) => Basis::SampledSketched,
    };
    let spread = if exact { 0.0 } else { 1.96 * 1.04 / count(registers).sqrt() };
    let high = missed.map(|missed| (value * (1.0 + spread)).ceil() + missed);
    let confidence = if exact && high.is_none() { Confidence::Sure } else { Confidence::P95 };
    Estimate { value, low: (value * (1.0 - spread)).floor(), high, basis, confidence }
}
