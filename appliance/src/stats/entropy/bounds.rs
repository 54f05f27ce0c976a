//! What counts of keys, or of buckets of keys, say of the entropy.
//!
//! A bucket is a function of the key, so the entropy of buckets is never above that of keys: a sure lower end. The upper
//! end: let the T heaviest buckets of both rows share the mass q at least; then no more than N keys have it, which is
//! counted out of the number of keys D (their hashes are drawn independently of each other and of the traffic), and the
//! entropy is at most h(q) + q·log2 N + (1-q)·log2 D. The best T is taken, or log2 D.

use crate::stats::figure::{Basis, Confidence, Estimate};
use crate::stats::hll::ertl;
use crate::stats::interval::{Question, garwood};

/// Share of windows whose truth may lie outside one end.
const TAIL: f64 = 0.025;
/// Share of windows in which chance may put more keys into a bucket than is reckoned with.
const CROWDED: f64 = 1e-3;
/// Standard error of the number of keys, and how many of them an upper end is away.
const DISTINCT_ERROR: f64 = 1.04 / 64.0;
const Z: f64 = 1.96;

/// What is known of sampled packets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// Largest weight x value.
    pub(super) largest: u64,
    pub(super) packets: u64,
    pub(super) unproven: u64,
}

impl Sample {
    pub(super) fn merge(&mut self, other: &Self) {
        self.largest = self.largest.max(other.largest);
        self.packets += other.packets;
        self.unproven += other.unproven;
    }

    /// How far below its expectation, which is not above the truth, the entropy of a sample may lie (McDiarmid, 1989): one
    /// packet of M moves it by 2·log2 M / M at most.
    fn deviation(&self, total: f64, question: &Question) -> f64 {
        let unseen = f64::from(question.weight_max) * f64::from(question.value_max);
        let largest = if self.packets == 0 { unseen } else { number(self.largest) };
        let (_, packets) = garwood(0.0, TAIL);
        let packets = number(self.packets).max(packets);
        let of = (total / largest.max(1.0)).max(1.0);
        (packets * 2.0 * (1.0 / TAIL).ln()).sqrt() * (of + 1.0).log2() / of
    }
}

/// What was counted.
pub(super) enum Tally {
    /// Each key's total, and how many were seen in one sampled packet and no other.
    Keys {
        /// In the order of their hashes.
        totals: Vec<u64>,
        /// See above.
        once: usize,
    },
    /// Totals of buckets, and the registers that count keys.
    Buckets {
        /// By two hashes.
        rows: [Vec<u64>; 2],
        /// A HyperLogLog.
        registers: Vec<u8>,
    },
}

impl Tally {
    /// Of all keys.
    pub(super) fn total(&self) -> f64 {
        match self {
            Self::Keys { totals, .. } => sum(totals),
            Self::Buckets { rows, .. } => sum(&rows[0]),
        }
    }

    pub(super) fn entropy(&self, sample: &Sample, question: &Question, may_be_sampled: bool) -> Estimate {
        match (self, may_be_sampled) {
            (Self::Keys { totals, .. }, false) => Estimate::exact(shannon(totals)),
            (Self::Keys { totals, once }, true) => of_sampled_keys(totals, *once, sample, question),
            (Self::Buckets { rows, registers }, false) => {
                let distinct = ertl(registers);
                let low = shannon(&rows[0]).max(shannon(&rows[1]));
                let high = upper(rows, distinct * (1.0 + Z * DISTINCT_ERROR)).max(low);
                let value = guess(rows, distinct).clamp(low, high);
                Estimate { value, low, high: Some(high), basis: Basis::Sketched, confidence: Confidence::P95 }
            }
            (Self::Buckets { rows, registers }, true) => {
                let low = shannon(&rows[0]).max(shannon(&rows[1]));
                let value = guess(rows, ertl(registers)).max(low);
                Estimate { high: None, ..sampled(value, low, sum(&rows[0]), sample, question) }
            }
        }
    }
}

/// Of keys that are all known, by sampled packets.
fn of_sampled_keys(totals: &[u64], once: usize, sample: &Sample, question: &Question) -> Estimate {
    let plugged = shannon(totals);
    let estimate = sampled(plugged, plugged, sum(totals), sample, question);
    // Keys that the sample may have missed: each that it shows once stands for weight - 1 others at most.
    let keys = count(totals.len()) + (f64::from(question.weight_max) - 1.0) * garwood(count(once), TAIL).1;
    let high = estimate.high.map(|_| keys.max(1.0).log2());
    // Miller and Madow: a sample of n packets looks (D - 1) / 2n nats less even than it is.
    let lacking = (count(totals.len()) - 1.0).max(0.0) / (2.0 * number(sample.packets.max(1)) * std::f64::consts::LN_2);
    let value = if sample.packets > 0 { plugged + lacking } else { plugged };
    Estimate { value: value.min(high.unwrap_or(f64::INFINITY)), high, basis: Basis::Sampled, ..estimate }
}

/// With a lower end for what was seen, which is `seen` bits; the upper one stands only for whether any may be claimed.
fn sampled(value: f64, seen: f64, total: f64, sample: &Sample, question: &Question) -> Estimate {
    if !question.random || sample.unproven > 0 {
        return Estimate { value, low: 0.0, high: None, basis: Basis::SampledSketched, confidence: Confidence::Sure };
    }
    let low = (seen - sample.deviation(total, question)).max(0.0);
    Estimate { value, low, high: Some(value), basis: Basis::SampledSketched, confidence: Confidence::P95 }
}

/// Bits.
fn shannon(totals: &[u64]) -> f64 {
    let all = sum(totals);
    let part = |total: &u64| term(number(*total) / all);
    totals.iter().filter(|total| **total > 0).map(part).sum::<f64>().max(0.0)
}

/// -p·log2 p.
fn term(p: f64) -> f64 {
    if p > 0.0 && p < 1.0 { -p * p.log2() } else { 0.0 }
}

/// See the module.
fn upper(rows: &[Vec<u64>; 2], distinct: f64) -> f64 {
    let buckets = rows[0].len();
    let all = sum(&rows[0]).max(1.0);
    let heaviest = |row: &Vec<u64>| {
        let mut sorted = row.clone();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        sorted
    };
    let [first, second] = [heaviest(&rows[0]), heaviest(&rows[1])];
    let share = |row: &[u64], top: usize| sum(&row[..top]) / all;
    // No bucket holds more keys than this.
    let tail = CROWDED / count(buckets);
    let crowd = |keys: f64| poisson_upper(keys / count(buckets), tail);
    let mut best = distinct.max(1.0).log2();
    let mut top = 1;
    while top < buckets {
        let mass = share(&first, top) + share(&second, top) - 1.0;
        let in_first = (count(top) * crowd(distinct)).min(distinct);
        let in_both = (count(top) * crowd(in_first)).min(in_first).max(1.0);
        // Below this mass the bound only grows as more of it lies there.
        if mass > in_both / (in_both + distinct) {
            let bits = term(mass) + term(1.0 - mass) + mass * in_both.log2() + (1.0 - mass) * distinct.max(1.0).log2();
            best = best.min(bits);
        }
        top *= 2;
    }
    best
}

/// The smallest number that a Poisson variable of this mean exceeds with no more than this chance.
fn poisson_upper(mean: f64, tail: f64) -> f64 {
    if mean > 200.0 {
        // Chernoff, with a margin: 5 deviations are beyond any tail that is asked for here.
        return (mean + 6.0 * mean.sqrt() + 12.0).ceil();
    }
    let (mut n, mut chance) = (0.0, (-mean).exp());
    let mut left = 1.0 - chance;
    while left > tail && n < 1_000.0 {
        n += 1.0;
        chance *= mean / n;
        left -= chance;
    }
    n
}

/// A likely value: what sticks out of a row is a key of its own each, and the rest lies between evenly spread over all
/// keys and as unevenly as the buckets' variance allows (Rényi's entropy of order 2).
fn guess(rows: &[Vec<u64>; 2], distinct: f64) -> f64 {
    rows.iter().map(|row| guess_row(row, distinct)).sum::<f64>() / 2.0
}

fn guess_row(row: &[u64], distinct: f64) -> f64 {
    let all = sum(row).max(1.0);
    let mut sorted = row.to_vec();
    sorted.sort_unstable();
    let usual = number(sorted[sorted.len() / 2]);
    let sticks_out = |total: &&u64| number(**total) > 4.0 * usual + 0.001 * all;
    let heavy: Vec<f64> = row.iter().filter(sticks_out).map(|total| number(*total) - usual).collect();
    let light: Vec<f64> = row.iter().filter(|total| !sticks_out(total)).map(|total| number(*total)).collect();
    let rest = (all - heavy.iter().sum::<f64>()).max(0.0) / all;
    let keys = (distinct - count(heavy.len())).max(1.0);
    let mean = light.iter().sum::<f64>() / count(light.len().max(1));
    let squares = light.iter().map(|total| (total - mean).powi(2)).sum::<f64>();
    let collision = squares / (mean * count(light.len())).powi(2).max(f64::MIN_POSITIVE);
    let uneven = (-collision.log2()).clamp(0.0, keys.log2());
    let of_rest = f64::midpoint(uneven, keys.log2());
    heavy.iter().map(|total| term(total / all)).sum::<f64>() + term(rest) + rest * of_rest
}

fn sum(totals: &[u64]) -> f64 {
    totals.iter().map(|total| number(*total)).sum()
}

#[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
const fn number(n: u64) -> f64 {
    n as f64
}

#[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
const fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropies_of_known_distributions() {
        assert_eq!((shannon(&[7]), shannon(&[]), shannon(&[5, 0, 5])), (0.0, 0.0, 1.0));
        assert!((shannon(&[1; 1_000]) - 1_000_f64.log2()).abs() < 1e-12);
    }

    #[test]
    fn a_crowd_is_rarely_larger() {
        assert_eq!(poisson_upper(0.0, 1e-6), 0.0);
        assert!((4.0..7.0).contains(&poisson_upper(0.15, 1e-6)));
        assert!((190.0..220.0).contains(&poisson_upper(140.0, 1e-6)));
    }
}
