//! `histogram`: a metric spread over the values of a key.
//!
//! Over numbers, half-open bins between edges; over names, one bin each (see [`super::labels`]); over any key, one bin for
//! each label that is listed, and one for all others.

use super::bins::Bins;
use super::columns::{Row, View};
use super::figure::{Bin, Figure};
use super::interval::{Question, estimate};
use super::labels;
use super::pool::{Handle, Memory, Pool};
use super::weighted::{SumLayout, Weighted};
use super::{Calculation, Context, Exhausted, Kernel, Summary, settings};
use crate::axes::Metric;
use crate::config::{Refusal, StatSpec};

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
        Ok(Box::new(BinKernel { bins, layout, inline }))
    }
}

/// Root: one sum a bin, if they are small together. Else one plain word a bin, then the chunk that holds the sums of sampled
/// packets.
struct BinKernel {
    bins: Bins,
    layout: SumLayout,
    inline: bool,
}

impl BinKernel {
    fn bins(&self) -> usize {
        self.bins.count()
    }

    fn add_apart(&self, root: &mut [u64], memory: &mut Memory<'_>, row: &Row<'_>, bin: usize) -> Result<(), Exhausted> {
        if !row.is_sampled() {
            root[bin] = root[bin].saturating_add(row.value);
            return Ok(());
        }
        let (slot, words) = (self.bins(), self.layout.words());
        if root[slot] == 0 {
            root[slot] = memory.alloc(self.bins() * words).ok_or(Exhausted)?.word();
        }
        let sums = memory.pool.get_mut(Handle::from_word(root[slot]));
        self.layout.add(&mut sums[bin * words..][..words], row);
        Ok(())
    }
}

impl Kernel for BinKernel {
    fn root_words(&self) -> usize {
        self.bins() * if self.inline { self.layout.words() } else { 1 } + usize::from(!self.inline)
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        let words = self.layout.words();
        for row in view.rows() {
            let bin = self.bins.of(row.key);
            if self.inline {
                self.layout.add(&mut root[bin * words..][..words], &row);
            } else {
                self.add_apart(root, memory, &row, bin)?;
            }
        }
        Ok(())
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        if self.inline {
            return out.extend_from_slice(root);
        }
        out.extend_from_slice(&root[..self.bins()]);
        if root[self.bins()] != 0 {
            out.extend_from_slice(&pool.get(Handle::from_word(root[self.bins()]))[..self.bins() * self.layout.words()]);
        }
    }

    fn export_words_max(&self) -> usize {
        self.bins() * (1 + self.layout.words())
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        if !self.inline {
            pool.free(Handle::from_word(root[self.bins()]));
        }
    }

    fn summary(&self) -> Box<dyn Summary> {
        let sums = vec![Weighted::default(); self.bins()];
        Box::new(BinSummary { bins: self.bins.clone(), layout: self.layout, inline: self.inline, sums })
    }
}

struct BinSummary {
    bins: Bins,
    layout: SumLayout,
    inline: bool,
    sums: Vec<Weighted>,
}

impl Summary for BinSummary {
    fn absorb(&mut self, words: &[u64]) {
        let (plain, sampled) = words.split_at(if self.inline { 0 } else { self.sums.len().min(words.len()) });
        self.sums.iter_mut().zip(plain).for_each(|(sum, word)| sum.passed = sum.passed.saturating_add(*word));
        let sampled = sampled.chunks_exact(self.layout.words());
        self.sums.iter_mut().zip(sampled).for_each(|(sum, words)| sum.merge(&self.layout.read(words)));
    }

    fn figure(&self, question: &Question) -> Figure {
        let bin = |(i, sum): (usize, &Weighted)| Bin { of: self.bins.name(i), value: estimate(sum, question), sufficient: *sum };
        Figure::Histogram(self.sums.iter().enumerate().map(bin).collect())
    }
}
