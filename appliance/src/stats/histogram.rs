//! `histogram`: a metric spread over the values of a key.
//!
//! Over numbers, half-open bins between edges; over names, one bin each (see [`super::labels`]).

use super::columns::View;
use super::figure::{Bin, BinOf, Figure};
use super::interval::{Question, estimate};
use super::labels;
use super::pool::{Handle, Memory, Pool};
use super::weighted::{self, SAMPLED_WORDS, Weighted};
use super::{Calculation, Context, Exhausted, Kernel, Summary, settings};
use crate::axes::key::{Scale, number};
use crate::axes::{Key, Metric};
use crate::config::{Refusal, StatSpec};
use crate::limits::HISTOGRAM_EDGES_MAX;

/// Edges of sizes where the row gives none: the RMON buckets.
const SIZE_EDGES: &[u64] = &[64, 128, 256, 512, 1_024, 1_518];

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
        let edges = settings::edges(spec, "bins", HISTOGRAM_EDGES_MAX)?;
        match (spec.key.single().map(|key| key.row().scale), edges) {
            (Some(Scale::Number), Some(edges)) => Ok(numbers(edges, context)),
            (Some(Scale::Number), None) => Ok(numbers(default_edges(spec)?, context)),
            (Some(Scale::Label), None) => Ok(labels::kernel(spec, context)),
            (Some(Scale::Label), Some(_)) => {
                Err(settings::refusal("bins", format!("`{}` has one bin a value: leave `bins` out", spec.key.name())))
            }
            _ => {
                let message = format!("no histogram over `{}`: it has too many values; `topk` gives its heaviest", spec.key.name());
                Err(settings::refusal("key", message))
            }
        }
    }
}

fn default_edges(spec: &StatSpec) -> Result<Vec<u64>, Refusal> {
    match spec.key.single() {
        Some(Key::PacketSize | Key::PayloadSize) => Ok(SIZE_EDGES.to_vec()),
        Some(Key::Ttl) => Ok((1..16).map(|n| n * 16).collect()),
        Some(Key::Dscp) => Ok((1..64).collect()),
        _ => Err(settings::refusal("bins", format!("give the edges of the bins over `{}`, such as [1024, 49152]", spec.key.name()))),
    }
}

fn numbers(edges: Vec<u64>, context: &Context) -> Box<dyn Kernel> {
    // An edge at zero makes no bin below it.
    let edges: Vec<u64> = edges.into_iter().filter(|edge| *edge > 0).collect();
    Box::new(NumberKernel { edges, sampled: context.sampled() })
}

/// Root: one plain word a bin, then the chunk that holds the sampled sums.
struct NumberKernel {
    edges: Vec<u64>,
    sampled: bool,
}

impl NumberKernel {
    fn bins(&self) -> usize {
        self.edges.len() + 1
    }

    fn bin(&self, value: u64) -> usize {
        self.edges.partition_point(|edge| *edge <= value)
    }
}

impl Kernel for NumberKernel {
    fn root_words(&self) -> usize {
        self.bins() + usize::from(self.sampled)
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        for row in view.rows() {
            let bin = self.bin(number(row.key));
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
        Box::new(NumberSummary { edges: self.edges.clone(), sums: vec![Weighted::default(); self.bins()] })
    }
}

struct NumberSummary {
    edges: Vec<u64>,
    sums: Vec<Weighted>,
}

impl Summary for NumberSummary {
    fn absorb(&mut self, words: &[u64]) {
        let (plain, sampled) = words.split_at(self.sums.len().min(words.len()));
        self.sums.iter_mut().zip(plain).for_each(|(sum, word)| sum.passed = sum.passed.saturating_add(*word));
        let sampled = sampled.chunks_exact(SAMPLED_WORDS);
        self.sums.iter_mut().zip(sampled).for_each(|(sum, words)| sum.merge(&Weighted::from_words(words)));
    }

    #[allow(clippy::cast_precision_loss, reason = "edges are small")]
    fn figure(&self, question: &Question) -> Figure {
        let low = |i: usize| if i == 0 { 0.0 } else { self.edges[i - 1] as f64 };
        let high = |i: usize| self.edges.get(i).map(|edge| *edge as f64);
        let bin =
            |(i, sum): (usize, &Weighted)| Bin { of: BinOf::Numbers(low(i), high(i)), value: estimate(sum, question), sufficient: *sum };
        Figure::Histogram(self.sums.iter().enumerate().map(bin).collect())
    }
}
