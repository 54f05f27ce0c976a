//! `histogram`: a metric spread over the values of a key.
//!
//! Over numbers, half-open bins between edges; over names, one bin each (see [`super::labels`]); over any key, one bin for
//! each label that is listed, and one for all others.

use super::bins::{Bins, Edges};
use super::columns::{Row, View, places};
use super::figure::{Bin, BinOf, Figure, Unseen};
use super::interval::{Question, estimate, estimate_key};
use super::labels;
use super::pool::{Handle, Memory, Pool};
use super::stretch::{Stretch, chunk};
use super::weighted::{SumLayout, Weighted};
use super::{Calculation, Context, Exhausted, Kernel, Summary, settings};
use crate::arch::columns::{self, Columns, Task};
use crate::axes::Metric;
use crate::config::{Refusal, StatSpec};
use crate::limits::BATCH_RECORDS_MAX;

/// Words of all bins' sums that stand in the root itself.
const INLINE_WORDS_MAX: usize = 64;

/// The calculation.
pub struct Histogram;

impl Calculation for Histogram {
    fn name(&self) -> &'static str {
        "histogram"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["bins"]
    }

    fn compile(&self, spec: &StatSpec, context: &Context) -> Result<Box<dyn Kernel>, Refusal> {
        if spec.metric == Metric::Flows {
            return Err(settings::refusal("metric", "`flows` goes with `sum` only"));
        }
        let Some(bins) = Bins::read(spec, context.family)? else { return Ok(labels::kernel(spec, context)) };
        let layout = SumLayout::of(context, spec.metric);
        let inline = layout == SumLayout::Plain || bins.count() * layout.words() <= INLINE_WORDS_MAX;
        let counts = layout.counts(spec.metric);
        Ok(Box::new(BinKernel { bins, layout, inline, counts }))
    }
}

/// Root: one sum a bin, if they are small together. Else one plain word a bin, then the chunk that holds the sums of sampled
/// packets, then the sum of those for which there was no memory.
struct BinKernel {
    bins: Bins,
    layout: SumLayout,
    inline: bool,
    /// Packets count as one each.
    counts: bool,
}

impl BinKernel {
    fn bins(&self) -> usize {
        self.bins.count()
    }

    /// Adds a sampled packet where those stand apart.
    fn add_apart(&self, root: &mut [u64], memory: &mut Memory<'_>, row: &Row<'_>, bin: usize) {
        let (slot, words) = (self.bins(), self.layout.words());
        if root[slot] == 0 {
            root[slot] = memory.alloc(self.bins() * words).unwrap_or_default().word();
        }
        if root[slot] == 0 {
            return self.layout.add(&mut root[slot + 1..], row);
        }
        let sums = memory.pool.get_mut(Handle::from_word(root[slot]));
        self.layout.add(&mut sums[bin * words..][..words], row);
    }
}

/// Counts packets, each as one, into bins between edges.
struct Counting<'a, 'v> {
    edges: &'a Edges,
    view: &'a View<'v>,
    shift: u32,
    /// Words of a bin: of packets that stand for themselves and of others; or one for both, where none stands for more.
    words: usize,
    root: &'a mut [u64],
}

/// Numbers of four bytes are compared with an edge in the time that so many take to find their bins.
const ROWS_OF_EDGE: usize = 6;

impl Task for Counting<'_, '_> {
    type Out = ();

    #[inline(always)]
    fn run<C: Columns>(self, columns: C) {
        let (rows, edges) = (self.view.selected().count_ones() as usize, self.edges.count());
        match self.view.key_bytes() {
            Some(bytes) if rows >= edges => self.compare(columns, Keys::Bytes(bytes)),
            None if rows >= ROWS_OF_EDGE * edges => {
                let keys = Keys::Heads(self.view.heads(), self.shift);
                self.compare(columns, keys);
            }
            _ => self.count_each(),
        }
    }
}

/// All records' keys.
#[derive(Clone, Copy)]
enum Keys<'a> {
    Bytes(&'a [u8; BATCH_RECORDS_MAX]),
    /// And what they are to be shifted by to be numbers.
    Heads(&'a [u32; BATCH_RECORDS_MAX], u32),
}

impl Keys<'_> {
    /// Which of them reach an edge.
    #[inline(always)]
    fn reaching(self, columns: impl Columns, edge: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => u8::try_from(edge).map_or(0, |least| columns.at_least(bytes, least)),
            Self::Heads(heads, shift) => match u32::try_from(edge) {
                Ok(edge) if edge <= u32::MAX >> shift => columns.within(heads, edge << shift, u32::MAX - (edge << shift)),
                _ => 0,
            },
        }
    }
}

impl Counting<'_, '_> {
    /// By asking all records of each edge whether they reach it.
    #[inline(always)]
    fn compare(self, columns: impl Columns, keys: Keys<'_>) {
        let Self { edges, view, words, root, .. } = self;
        let mut left = view.selected();
        for (at, bin) in root.chunks_exact_mut(words).enumerate() {
            let above = match edges.low_of(at + 1) {
                Some(edge) => left & keys.reaching(columns, edge),
                None => 0,
            };
            add(bin, view, left ^ above);
            left = above;
            if left == 0 {
                break;
            }
        }
    }

    /// Record by record.
    #[inline(always)]
    fn count_each(self) {
        let Self { edges, view, shift, words, root } = self;
        let view = *view;
        for (mut left, kind) in [(view.plain_of(view.selected()), 0), (view.sampled_of(view.selected()), words - 1)] {
            while left != 0 {
                let bin = edges.bin(view.head(left.trailing_zeros() as usize) >> shift);
                root[words * bin + kind] += 1;
                left &= left - 1;
            }
        }
    }
}

/// Adds these records to a bin.
#[inline(always)]
fn add(bin: &mut [u64], view: &View<'_>, records: u64) {
    match bin {
        [all] => *all += u64::from(records.count_ones()),
        [plain, sampled] => {
            *plain += u64::from(view.plain_of(records).count_ones());
            *sampled += u64::from(view.sampled_of(records).count_ones());
        }
        _ => {}
    }
}

impl Kernel for BinKernel {
    fn root_words(&self) -> usize {
        if self.inline { self.bins() * self.layout.words() } else { self.bins() + 1 + self.layout.words() }
    }

    fn keeps_keys(&self) -> bool {
        false
    }

    fn reads_hashes(&self) -> bool {
        false
    }

    fn prefetches(&self) -> bool {
        false
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        let counts = self.inline && self.counts;
        if let (true, Bins::Edges(edges), Some(shift)) = (counts, &self.bins, view.head_shift()) {
            columns::run(Counting { edges, view, shift, words: self.layout.words(), root });
            return Ok(());
        }
        if counts && self.layout.words() == 2 {
            view.places().for_each(|at| root[2 * self.bins.at(view, at) + usize::from(view.is_sampled(at))] += 1);
            return Ok(());
        }
        let words = if self.inline { self.layout.words() } else { 1 };
        for at in view.plain().places() {
            let slot = &mut root[words * self.bins.at(view, at)];
            *slot = slot.saturating_add(view.value(at));
        }
        // What stands for more than it was counted as.
        for at in places(view.several_of(view.plain().selected())) {
            let slot = &mut root[words * self.bins.at(view, at)];
            *slot = slot.saturating_add(view.value(at).saturating_mul(view.times(at) - 1));
        }
        for (at, row) in view.sampled().placed() {
            let bin = self.bins.at(view, at);
            if self.inline {
                self.layout.add(&mut root[bin * words..][..words], &row);
            } else {
                self.add_apart(root, memory, &row, bin);
            }
        }
        Ok(())
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        self.export_some(root, pool, Stretch::WHOLE, out);
    }

    fn export_some(&self, root: &[u64], pool: &Pool, stretch: Stretch, out: &mut Vec<u64>) -> Option<usize> {
        if self.inline {
            return stretch.copy(&[root], out);
        }
        let (plain, rest) = root.split_at(self.bins());
        let sampled = chunk(pool, rest[0]);
        stretch.copy(&[plain, &rest[1..], &sampled[..sampled.len().min(self.bins() * self.layout.words())]], out)
    }

    fn export_words_max(&self) -> usize {
        self.bins() + (1 + self.bins()) * self.layout.words()
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        if !self.inline {
            pool.free(Handle::from_word(root[self.bins()]));
        }
    }

    fn summary(&self) -> Box<dyn Summary> {
        let sums = vec![Weighted::default(); self.bins()];
        Box::new(BinSummary { bins: self.bins.clone(), layout: self.layout, inline: self.inline, sums, unplaced: Weighted::default() })
    }
}

struct BinSummary {
    bins: Bins,
    layout: SumLayout,
    inline: bool,
    sums: Vec<Weighted>,
    /// For want of memory.
    unplaced: Weighted,
}

impl Summary for BinSummary {
    fn absorb(&mut self, words: &[u64]) {
        let (bins, step) = (self.sums.len(), self.layout.words());
        let mut sampled = words;
        if !self.inline {
            let (plain, rest) = words.split_at(bins);
            let (unplaced, rest) = rest.split_at(step);
            self.sums.iter_mut().zip(plain).for_each(|(sum, word)| sum.passed = sum.passed.saturating_add(*word));
            self.unplaced.merge(&self.layout.read(unplaced));
            sampled = rest;
        }
        self.sums.iter_mut().zip(sampled.chunks_exact(step)).for_each(|(sum, words)| sum.merge(&self.layout.read(words)));
    }

    fn figure(&self, question: &Question) -> Figure {
        let unseen = Unseen::of(&self.unplaced);
        let bin = |(i, sum): (usize, &Weighted)| {
            let value = estimate_key(sum, &unseen, 1, question);
            Bin { of: self.bins.name(i), value, sufficient: *sum }
        };
        let mut bins: Vec<Bin> = self.sums.iter().enumerate().map(bin).collect();
        if self.unplaced != Weighted::default() {
            let value = estimate(&self.unplaced, question);
            bins.push(Bin { of: BinOf::Label("other".to_owned()), value, sufficient: self.unplaced });
        }
        Figure::Histogram(bins)
    }
}
