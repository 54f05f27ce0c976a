//! `histogram`: a metric spread over the values of a key.
//!
//! Over numbers, half-open bins between edges; over names, one bin each (see [`super::labels`]); over any key, one bin for
//! each label that is listed, and one for all others.

use super::bins::Bins;
use super::columns::View;
use super::figure::{Bin, Figure};
use super::interval::{Question, estimate};
use super::labels;
use super::pool::{Handle, Memory, Pool};
use super::weighted::{self, SAMPLED_WORDS, Weighted};
use super::{Calculation, Context, Exhausted, Kernel, Summary, settings};
use crate::axes::Metric;
use crate::config::{Refusal, StatSpec};

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
        match Bins::read(spec, context.family)? {
            Some(bins) => Ok(Box::new(BinKernel { bins, sampled: context.sampled() })),
            None => Ok(labels::kernel(spec, context)),
        }
    }
}

/// Root: one plain word a bin, then the chunk that holds the sampled sums.
struct BinKernel {
    bins: Bins,
    sampled: bool,
}

impl BinKernel {
    fn bins(&self) -> usize {
        self.bins.count()
    }
}

impl Kernel for BinKernel {
    fn root_words(&self) -> usize {
        self.bins() + usize::from(self.sampled)
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        for row in view.rows() {
            let bin = self.bins.of(row.key);
            if !row.is_sampled() || !self.sampled {
                root[bin] = root[bin].saturating_add(row.value * row.weight);
                continue;
            }
            let slot = self.bins();
            if root[slot] == 0 {
                root[slot] = memory.alloc(self.bins() * SAMPLED_WORDS).ok_or(Exhausted)?.word();
            }
            let sums = memory.pool.get_mut(Handle::from_word(root[slot]));
            weighted::add(&mut sums[bin * SAMPLED_WORDS..][..SAMPLED_WORDS], row.value, row.weight, row.proven);
        }
        Ok(())
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        out.extend_from_slice(&root[..self.bins()]);
        if self.sampled && root[self.bins()] != 0 {
            out.extend_from_slice(&pool.get(Handle::from_word(root[self.bins()]))[..self.bins() * SAMPLED_WORDS]);
        }
    }

    fn export_words_max(&self) -> usize {
        self.bins() * (1 + SAMPLED_WORDS)
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        if self.sampled {
            pool.free(Handle::from_word(root[self.bins()]));
        }
    }

    fn summary(&self) -> Box<dyn Summary> {
        Box::new(BinSummary { bins: self.bins.clone(), sums: vec![Weighted::default(); self.bins()] })
    }
}

struct BinSummary {
    bins: Bins,
    sums: Vec<Weighted>,
}

impl Summary for BinSummary {
    fn absorb(&mut self, words: &[u64]) {
        let (plain, sampled) = words.split_at(self.sums.len().min(words.len()));
        self.sums.iter_mut().zip(plain).for_each(|(sum, word)| sum.passed = sum.passed.saturating_add(*word));
        let sampled = sampled.chunks_exact(SAMPLED_WORDS);
        self.sums.iter_mut().zip(sampled).for_each(|(sum, words)| sum.merge(&Weighted::from_words(words)));
    }

    fn figure(&self, question: &Question) -> Figure {
        let bin = |(i, sum): (usize, &Weighted)| Bin { of: self.bins.name(i), value: estimate(sum, question), sufficient: *sum };
        Figure::Histogram(self.sums.iter().enumerate().map(bin).collect())
    }
}
