//! `histogram`: a metric spread over the values of a key.
//!
//! Over numbers, half-open bins between edges; over names, one bin each (see [`super::labels`]).

use super::columns::{Row, View};
use super::figure::{Bin, BinOf, Figure};
use super::interval::{Question, estimate};
use super::labels;
use super::pool::{Handle, Memory, Pool};
use super::weighted::{SumLayout, Weighted};
use super::{Calculation, Context, Exhausted, Kernel, Summary, settings};
use crate::axes::key::{Scale, number};
use crate::axes::{Key, Metric};
use crate::config::{Refusal, StatSpec};
use crate::limits::HISTOGRAM_EDGES_MAX;

/// Edges of sizes where the row gives none: the RMON buckets.
const SIZE_EDGES: &[u64] = &[64, 128, 256, 512, 1_024, 1_518];

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
        let edges = settings::edges(spec, "bins", HISTOGRAM_EDGES_MAX)?;
        match (spec.key.single().map(|key| key.row().scale), edges) {
            (Some(Scale::Number), Some(edges)) => Ok(numbers(spec, edges, context)),
            (Some(Scale::Number), None) => Ok(numbers(spec, default_edges(spec)?, context)),
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

fn numbers(spec: &StatSpec, edges: Vec<u64>, context: &Context) -> Box<dyn Kernel> {
    // An edge at zero makes no bin below it.
    let edges: Vec<u64> = edges.into_iter().filter(|edge| *edge > 0).collect();
    let layout = SumLayout::of(context, spec.metric);
    let inline = layout == SumLayout::Plain || (edges.len() + 1) * layout.words() <= INLINE_WORDS_MAX;
    Box::new(NumberKernel { edges, layout, inline })
}

/// Root: one sum a bin, if they are small together. Else one plain word a bin, then the chunk that holds the sums of sampled
/// packets.
struct NumberKernel {
    edges: Vec<u64>,
    layout: SumLayout,
    inline: bool,
}

impl NumberKernel {
    fn bins(&self) -> usize {
        self.edges.len() + 1
    }

    fn bin(&self, value: u64) -> usize {
        self.edges.partition_point(|edge| *edge <= value)
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

impl Kernel for NumberKernel {
    fn root_words(&self) -> usize {
        self.bins() * if self.inline { self.layout.words() } else { 1 } + usize::from(!self.inline)
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        let words = self.layout.words();
        for row in view.rows() {
            let bin = self.bin(number(row.key));
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
        Box::new(NumberSummary { edges: self.edges.clone(), layout: self.layout, inline: self.inline, sums })
    }
}

struct NumberSummary {
    edges: Vec<u64>,
    layout: SumLayout,
    inline: bool,
    sums: Vec<Weighted>,
}

impl Summary for NumberSummary {
    fn absorb(&mut self, words: &[u64]) {
        let (plain, sampled) = words.split_at(if self.inline { 0 } else { self.sums.len().min(words.len()) });
        self.sums.iter_mut().zip(plain).for_each(|(sum, word)| sum.passed = sum.passed.saturating_add(*word));
        let sampled = sampled.chunks_exact(self.layout.words());
        self.sums.iter_mut().zip(sampled).for_each(|(sum, words)| sum.merge(&self.layout.read(words)));
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
