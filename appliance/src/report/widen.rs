//! What loss may have hidden: bounds of an incomplete report's figures.
//!
//! The packets that are missing might all have counted, in any bin, for any key, each as large and as heavy as the stat
//! admits. So every high end rises by that; low ends stay, for what was counted was there. Where nothing bounds the loss,
//! nothing bounds the figure. Values, sketches and what merges stay as they were counted: who merges widens again.

use super::loss::Gap;
use crate::stats::figure::{Distinct, Estimate, Figure, Peak, Quantiles, Top, Unseen};
use crate::stats::interval::{Question, estimate, estimate_key};
use crate::stats::once;
use crate::stats::weighted::Weighted;

/// Stands for "nothing bounds it" among the whole numbers of a [`Top`].
const UNBOUNDED: u64 = u64::MAX;
/// Keys that a listed one may have been chosen from, at least: how many there were is no part of a figure, and a bound
/// that rests on more of them is only wider, by their logarithm.
const KEYS_MIN: u64 = 1 << 20;

/// The packets that a figure may lack.
#[derive(Clone, Copy)]
pub(super) struct Missing<'a> {
    /// How many.
    pub(super) gap: Gap,
    /// The most that one of them may add, before it is scaled: 1, or the longest frame.
    pub(super) value_max: u64,
    /// How heavy they may be.
    pub(super) question: &'a Question,
}

/// Widens a figure.
pub(super) fn widen(figure: &mut Figure, missing: &Missing<'_>) {
    match figure {
        Figure::Total(value, Some(sum)) => missing.widen_sum(value, sum, &Unseen::default(), 1),
        Figure::Total(value, None) => missing.widen_flows(value),
        Figure::Distinct(of) => missing.widen_distinct(of),
        Figure::Histogram(bins) => {
            bins.iter_mut().for_each(|bin| missing.widen_sum(&mut bin.value, &bin.sufficient, &Unseen::default(), 1));
        }
        Figure::Top(top) => missing.widen_top(top),
        Figure::Peak(peak) => missing.widen_peak(peak),
        Figure::Quantiles(of) => missing.widen_quantiles(of),
        Figure::Entropy(value, total) => missing.widen_entropy(value, *total),
        Figure::Fanout(of) => {
            of.entries.iter_mut().chain(&mut of.reserve).for_each(|entry| missing.widen_count(&mut entry.value));
            missing.widen_count(&mut of.all);
            of.absent = missing.packets().and_then(|packets| of.absent.map(|absent| absent + packets));
        }
        Figure::NewKeys(of) => {
            missing.widen_count(&mut of.value);
            missing.widen_count(&mut of.keys.value);
        }
    }
}

impl Missing<'_> {
    /// Each packet may have brought a key of its own.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn widen_count(&self, value: &mut Estimate) {
        value.high = match self.gap {
            Gap::AtMost(packets) => value.high.map(|high| high + packets as f64),
            Gap::Unbounded => None,
        };
    }

    /// Each may be of a key of its own, for which there are others that the sample does not show.
    fn widen_distinct(&self, of: &mut Distinct) {
        self.widen_count(&mut of.value);
        if let (Gap::AtMost(packets), Some(shown)) = (self.gap, &of.shown) {
            let missed = |lost| once::missed(shown, self.question, lost);
            let more = missed(packets).zip(missed(0)).map(|(all, counted)| all - counted);
            of.value.high = of.value.high.zip(more).map(|(high, more)| high + more);
        }
    }

    /// A total does not tell which keys a sample showed once.
    fn widen_flows(&self, value: &mut Estimate) {
        self.widen_count(value);
        if self.question.weight_max > 1 && self.gap != Gap::AtMost(0) {
            value.high = None;
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn packets(&self) -> Option<f64> {
        if let Gap::AtMost(packets) = self.gap { Some(packets as f64) } else { None }
    }

    /// All that is missing may lie below the quantile, or above it.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn widen_quantiles(&self, of: &mut Quantiles) {
        // A sample's own interval does not add up with what is missing of it.
        let Some(lost) = self.packets().filter(|_| self.question.weight_max <= 1) else {
            of.quantiles.iter_mut().for_each(|q| (q.value.low, q.value.high) = (0.0, None));
            return;
        };
        let total: u64 = of.bins.iter().map(|(_, sum)| sum.total()).sum();
        for quantile in &mut of.quantiles {
            let wanted = (quantile.rank * (total as f64 + lost)).max(1.0);
            let (mut low, mut high, mut below) = (None, None, 0.0);
            for ((first, behind), sum) in &of.bins {
                below += sum.total() as f64;
                low = low.or_else(|| (below + lost >= wanted).then_some(*first as f64));
                high = high.or_else(|| (below >= wanted).then_some((behind - 1) as f64));
            }
            let at_bottom = lost >= wanted;
            quantile.value.low = if at_bottom { 0.0 } else { low.unwrap_or(0.0).min(quantile.value.low) };
            quantile.value.high = high.zip(quantile.value.high).map(|(a, b)| a.max(b));
        }
    }

    /// What is missing is a share e at most, of one key or of a key a packet: the whole is a mixture of both.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn widen_entropy(&self, value: &mut Estimate, total: f64) {
        let Gap::AtMost(packets) = self.gap else {
            (value.low, value.high) = (0.0, None);
            return;
        };
        let share = self.whole(packets) as f64 / (total + self.whole(packets) as f64).max(1.0);
        let split = |p: f64| if p > 0.0 && p < 1.0 { -p * p.log2() - (1.0 - p) * (1.0 - p).log2() } else { 0.0 };
        let keys = (packets.saturating_mul(u64::from(self.question.weight_max.max(1))).max(1)) as f64;
        value.low *= 1.0 - share;
        value.high = value.high.map(|high| high + split(share.min(0.5)) + share * keys.log2());
    }

    /// The sum of one bin or key, beside which `unseen` was known not to be counted already.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn widen_sum(&self, value: &mut Estimate, sum: &Weighted, unseen: &Unseen, keys: u64) {
        let Gap::AtMost(packets) = self.gap else {
            value.high = None;
            return;
        };
        let Some(high) = value.high else { return };
        let whole = self.whole(packets);
        let plain = high + whole as f64;
        value.high = Some(if self.question.weight_max <= 1 {
            plain
        } else {
            // What was lost of a sample widens the interval by more than itself.
            let mut all = *unseen;
            all.add(&Unseen { passed: 0, scaled: whole, sampled_packets: packets });
            estimate_key(sum, &all, keys, self.question).high.map_or(plain, |sampled| sampled.max(plain))
        });
    }

    /// All that is missing may have come in one sub-window, whichever.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn widen_peak(&self, peak: &mut Peak) {
        let a_second = 1_000.0 / peak.sub_window_ms.max(1) as f64;
        let empty = Weighted::default();
        let highs = peak.series.iter().map(|(_, sum)| sum).chain([&empty]).map(|sum| {
            let mut value = estimate(sum, self.question);
            self.widen_sum(&mut value, sum, &Unseen::default(), 1);
            value.high
        });
        let high = highs.reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))).flatten();
        peak.rate.high = peak.rate.high.zip(high).map(|(before, high)| before.max(high * a_second));
    }

    fn widen_top(&self, top: &mut Top) {
        self.widen_sum(&mut top.all, &top.all_sufficient, &Unseen::default(), 1);
        let lost = self.unseen();
        // Each sample may be of a key of its own, and stands for as many that it missed as its weight.
        let samples = top.all_sufficient.sampled_packets.saturating_add(lost.sampled_packets);
        let keys = KEYS_MIN.saturating_add(samples.saturating_mul(self.question.weight_max.max(1).into()));
        for entry in top.entries.iter_mut().chain(&mut top.reserve) {
            self.widen_sum(&mut entry.value, &entry.sufficient, &entry.unseen, keys);
            entry.unseen.add(&lost);
        }
        top.absent.add(&lost);
    }

    /// What all missing packets together may add.
    fn whole(&self, packets: u64) -> u64 {
        packets.saturating_mul(self.value_max).saturating_mul(u64::from(self.question.weight_max.max(1)))
    }

    /// The same as a bound on what a table did not count for a key.
    fn unseen(&self) -> Unseen {
        let sampled = self.question.weight_max > 1;
        let only_sampled = |n: u64| if sampled { n } else { 0 };
        match self.gap {
            Gap::Unbounded => Unseen { passed: UNBOUNDED, scaled: only_sampled(UNBOUNDED), sampled_packets: only_sampled(UNBOUNDED) },
            Gap::AtMost(packets) => Unseen {
                passed: packets.saturating_mul(self.value_max),
                scaled: only_sampled(self.whole(packets)),
                sampled_packets: only_sampled(packets),
            },
        }
    }
}

#[cfg(test)]
#[path = "widen_tests.rs"]
mod tests;
