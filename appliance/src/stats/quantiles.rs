//! `quantiles`: the values of a numeric key below which given shares of the packets lie.
//!
//! Packets are counted in bins that keep the relative error of every value below 1 % (as DDSketch does, Masson, Rim and
//! Lee, 2019): one bin a whole number below 128, then 64 bins a doubling, so that no logarithm is taken. Only bins that
//! were hit take memory, and shards merge by adding bins.

use std::collections::BTreeMap;

use statrs::function::beta::beta_reg;

use super::columns::View;
use super::figure::{Basis, Confidence, Estimate, Figure, Quantile, Quantiles as Figures};
use super::interval::Question;
use super::pool::{Memory, Pool};
use super::stretch::Stretch;
use super::table::{self, Table};
use super::weighted::{self, Weighted};
use super::{Calculation, Context, Exhausted, Kernel, Summary, settings};
use crate::axes::Metric;
use crate::axes::key::{Scale, number};
use crate::config::{Refusal, StatSpec};
use crate::limits::QUANTILE_RANKS_MAX;
use crate::units::Family;

/// Ranks where the row gives none.
const RANKS: &[f64] = &[0.5, 0.9, 0.99];
/// Whole numbers that have a bin each: two doublings' worth of bins.
const EXACT: u64 = 1 << (STEPS_LOG2 + 1);
/// log2 of bins a doubling.
const STEPS_LOG2: u32 = 6;
/// Share of windows whose truth may lie outside one end.
const TAIL: f64 = 0.025;
/// The same of a normal distribution.
const Z: f64 = 1.96;
/// Packets up to which ranks are those of the binomial distribution itself.
const BINOMIAL_MAX: u64 = 5_000;

/// The calculation.
pub struct Quantiles;

impl Calculation for Quantiles {
    fn name(&self) -> &'static str {
        "quantiles"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["ranks"]
    }

    fn compile(&self, spec: &StatSpec, context: &Context) -> Result<Box<dyn Kernel>, Refusal> {
        if spec.key.single().is_none_or(|key| key.row().scale != Scale::Number) {
            return Err(settings::refusal("key", "`quantiles` order numbers: name a key such as \"packet_size\" or \"ttl\""));
        }
        if matches!(spec.metric, Metric::Bytes | Metric::Flows) {
            let message = "with `quantiles` the metric says which packets count: packets, connections_opened, connections_accepted, resets or fragments";
            return Err(settings::refusal("metric", message));
        }
        let ranks = settings::shares(spec, "ranks", QUANTILE_RANKS_MAX)?.unwrap_or_else(|| RANKS.to_vec());
        let widest = spec.key.width(Family::V6).clamp(1, 4);
        let bins = bin(u64::MAX >> (64 - 8 * widest)) + 1;
        let table = Table { entry_words: 1 + weighted::words(context.sampled()) };
        Ok(Box::new(QuantileKernel { ranks, one_rate: context.rate.is_some(), bins, table }))
    }
}

/// The bin of a value.
fn bin(value: u64) -> u64 {
    if value < EXACT {
        return value;
    }
    let shift = value.ilog2() - STEPS_LOG2;
    // The upper bits are from one doubling: 64 to 127.
    (u64::from(shift) << STEPS_LOG2) + (value >> shift)
}

/// Its first value, and the first behind it.
const fn ends(bin: u64) -> (u64, u64) {
    if bin < EXACT {
        return (bin, bin + 1);
    }
    let shift = (bin >> STEPS_LOG2) - 1;
    let upper = bin - (shift << STEPS_LOG2);
    (upper << shift, (upper + 1) << shift)
}

/// Of n draws, each a hit with this chance: fewer hits than the first number come in 1 of 40 windows at most, and as many as
/// the second.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ranks")]
fn binomial_ranks(n: u64, chance: f64) -> (u64, u64) {
    if n > BINOMIAL_MAX {
        // One more packet on either side stands for what a normal distribution neglects.
        let (mean, margin) = (n as f64 * chance, Z * (n as f64 * chance * (1.0 - chance)).sqrt() + 1.0);
        return ((mean - margin).max(0.0) as u64, (mean + margin).ceil() as u64);
    }
    let at_least = |hits: u64| match hits {
        0 => 1.0,
        _ if hits > n || chance <= 0.0 => 0.0,
        _ if chance >= 1.0 => 1.0,
        _ => beta_reg(hits as f64, (n - hits + 1) as f64, chance),
    };
    let first_below = |share: f64| {
        let (mut low, mut high) = (0, n + 1);
        while low + 1 < high {
            let middle = u64::midpoint(low, high);
            *(if at_least(middle) <= share { &mut high } else { &mut low }) = middle;
        }
        high
    };
    (first_below(1.0 - TAIL) - 1, first_below(TAIL))
}

struct QuantileKernel {
    ranks: Vec<f64>,
    /// All sampled packets have one weight.
    one_rate: bool,
    /// That a value can have.
    bins: u64,
    table: Table,
}

impl Kernel for QuantileKernel {
    fn root_words(&self) -> usize {
        table::ROOT_WORDS
    }

    fn reads_hashes(&self) -> bool {
        false
    }

    fn update(&self, root: &mut [u64], memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
        for row in view.rows() {
            let entry = self.table.entry(root, memory, bin(number(row.key)) + 1)?;
            weighted::add_row(&mut entry[1..], &row);
        }
        Ok(())
    }

    fn export(&self, root: &[u64], pool: &Pool, out: &mut Vec<u64>) {
        self.export_some(root, pool, Stretch::WHOLE, out);
    }

    fn export_some(&self, root: &[u64], pool: &Pool, stretch: Stretch, out: &mut Vec<u64>) -> Option<usize> {
        self.table.export(&[], root, pool, (stretch, out))
    }

    fn export_words_max(&self) -> usize {
        usize::try_from(self.bins).unwrap_or(usize::MAX) * self.table.entry_words
    }

    fn release(&self, root: &[u64], pool: &mut Pool) {
        Table::release(root, pool);
    }

    fn summary(&self) -> Box<dyn Summary> {
        let (ranks, one_rate) = (self.ranks.clone(), self.one_rate);
        Box::new(QuantileSummary { ranks, one_rate, entry_words: self.table.entry_words, bins: BTreeMap::new() })
    }
}

struct QuantileSummary {
    ranks: Vec<f64>,
    one_rate: bool,
    entry_words: usize,
    bins: BTreeMap<u64, Weighted>,
}

impl Summary for QuantileSummary {
    fn absorb(&mut self, words: &[u64]) {
        for entry in words.chunks_exact(self.entry_words) {
            self.bins.entry(entry[0] - 1).or_default().merge(&Weighted::from_words(&entry[1..]));
        }
    }

    fn figure(&self, question: &Question) -> Figure {
        let estimate = |rank: &f64| Some(Quantile { rank: *rank, value: self.quantile(*rank, question)? });
        let quantiles = self.ranks.iter().filter_map(estimate).collect();
        let bins = self.bins.iter().map(|(bin, sum)| (ends(*bin), *sum)).collect();
        Figure::Quantiles(Figures { quantiles, bins })
    }
}

impl QuantileSummary {
    /// The smallest value that at least a share `rank` of the packets does not exceed; none without packets.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn quantile(&self, rank: f64, question: &Question) -> Option<Estimate> {
        let total: u64 = self.bins.values().map(Weighted::total).sum();
        let wanted = (rank * total as f64).ceil().max(1.0);
        let mut below = 0_u64;
        let (bin, _) = self.bins.iter().find(|(_, sum)| {
            below = below.saturating_add(sum.total());
            below as f64 >= wanted
        })?;
        let (first, behind) = ends(*bin);
        let (first, last) = (first as f64, (behind - 1) as f64);
        let value = f64::midpoint(first, last);
        let sampled = question.weight_max > 1 || self.bins.values().any(|sum| sum.sampled_packets > 0);
        let basis = match (first >= last, sampled) {
            (true, false) => return Some(Estimate::exact(value)),
            (false, false) => Basis::Sketched,
            (true, true) => Basis::Sampled,
            (false, true) => Basis::SampledSketched,
        };
        if !sampled {
            return Some(Estimate { value, low: first, high: Some(last), basis, confidence: Confidence::Sure });
        }
        if !question.random || self.bins.values().any(|sum| sum.unproven > 0) {
            return Some(Estimate { value, low: 0.0, high: None, basis, confidence: Confidence::Sure });
        }
        let (low, high) = if self.is_one_sample() { self.order_statistics(rank) } else { self.scores(rank, question) };
        Some(Estimate { value, low: low.min(first), high: high.map(|high| high.max(last)), basis, confidence: Confidence::P95 })
    }

    /// Whether all packets were sampled at one rate.
    fn is_one_sample(&self) -> bool {
        self.one_rate && self.bins.values().all(|sum| sum.passed == 0)
    }

    /// Of n packets sampled at one rate: behind the values that fewer do not exceed than a binomial of n and the rank would
    /// leave in 1 of 40 windows, and up to the first that more do not exceed.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn order_statistics(&self, rank: f64) -> (f64, Option<f64>) {
        let n: u64 = self.bins.values().map(|sum| sum.seen).sum();
        let (least, many) = binomial_ranks(n, rank);
        let (mut low, mut seen) = (0.0, 0);
        for (bin, sum) in &self.bins {
            seen += sum.seen;
            let (_, behind) = ends(*bin);
            if seen < least {
                low = behind as f64;
            } else if seen >= many {
                return (low, Some((behind - 1) as f64));
            }
        }
        (low, None)
    }

    /// Where the share of packets up to a value is surely below the rank, and where it is surely above, each with 97.5 %.
    ///
    /// S(v) = Σ w·([x ≤ v] − rank) is below zero exactly while v is below the quantile. A sampled packet's part of it has
    /// the variance w(w−1)([x ≤ v] − rank)². One packet more on either side, and the variance of two, stand for those not seen.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn scores(&self, rank: f64, question: &Question) -> (f64, Option<f64>) {
        let sum = |f: &dyn Fn(&Weighted) -> f64| self.bins.values().map(f).sum::<f64>();
        let (total, spread) = (sum(&Weighted::value), sum(&|sum| sum.variance as f64));
        let weight = f64::from(question.weight_max);
        let (mut low, mut below, mut below_spread) = (0.0, 0.0, 0.0);
        for (bin, sum) in &self.bins {
            below += sum.value();
            below_spread += sum.variance as f64;
            let plugged = below_spread * (1.0 - rank).powi(2) + (spread - below_spread) * rank * rank;
            let variance = plugged.max(spread * rank * (1.0 - rank)) + 2.0 * weight * weight;
            let margin = Z * variance.sqrt() + weight;
            let score = below - rank * total;
            let (_, behind) = ends(*bin);
            if score + margin < 0.0 {
                low = behind as f64;
            } else if score - margin > 0.0 {
                return (low, Some((behind - 1) as f64));
            }
        }
        (low, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_binomial_distribution() {
        // 20 throws of a coin: fewer than 6 and 15 or more heads come in 2.07 % each, 6 and 14 in more than 2.5 %.
        assert_eq!((binomial_ranks(20, 0.5), binomial_ranks(3, 0.5), binomial_ranks(0, 0.5)), ((6, 15), (0, 4), (0, 1)));
        assert_eq!((binomial_ranks(9, 0.0), binomial_ranks(9, 1.0)), ((0, 1), (9, 10)));
        for chance in [0.01, 0.1, 0.5, 0.99] {
            let (exact, normal) = (binomial_ranks(BINOMIAL_MAX, chance), binomial_ranks(BINOMIAL_MAX + 1, chance));
            assert!(exact.0.abs_diff(normal.0) <= 2 && exact.1.abs_diff(normal.1) <= 2, "{chance}: {exact:?} {normal:?}");
        }
    }

    #[test]
    fn bins_follow_each_other_and_are_narrow() {
        assert!((0..EXACT).all(|n| bin(n) == n && ends(n) == (n, n + 1)));
        let last = bin(u64::from(u32::MAX));
        for n in 0..last {
            let (first, behind) = ends(n);
            assert_eq!((bin(first), bin(behind - 1), ends(n + 1).0), (n, n, behind));
            let error = (behind - 1 - first) as f64 / 2.0 / first.max(1) as f64;
            assert!(error < 0.01, "{n}: {error}");
        }
        assert_eq!((last, ends(last).1), (1_727, 1 << 32));
    }
}
