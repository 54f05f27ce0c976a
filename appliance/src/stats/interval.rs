//! Intervals for sums of which a part is a sample.
//!
//! Packets of one weight: Garwood (1936). Anything else: the gamma interval of Fay and Feuer (1997), with the largest
//! value that a packet may have had as the weight of one that was not seen. Both ends are 95 % together, 97.5 % each.

use super::figure::{Basis, Confidence, Estimate, Unseen};
use super::gamma;
use super::weighted::Weighted;

/// Share of windows whose truth may lie outside one end.
pub(super) const TAIL: f64 = 0.025;

/// What is asked beside the counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// The largest weight that a packet of this stat can have: 1 where nothing is sampled.
    pub weight_max: u32,
    /// What a packet that was not seen may add: a sample of small frames says little of large ones.
    pub value_max: u32,
    /// Whether all samplers are random. Of others no interval is claimed: not even where nothing was seen.
    pub random: bool,
    /// Whether some may have been counted twice, by what is not proven: half of all is sure, and what is proven.
    pub twins: bool,
}

/// A weight has 16 bits. A packet that stands for more counts as so many values that share it, and one besides for what is left over.
pub const fn times(rate: u64) -> u64 {
    rate.div_ceil(u16::MAX as u64)
}

/// Stands for the largest weight where records tell again what earlier ones told: of what they show nothing is sure.
pub const TOLD_AGAIN: u32 = u32::MAX;

/// How many packets one that was seen may count as, where none stands for more than this.
const fn seen_as(weight_max: u32) -> u64 {
    if weight_max == TOLD_AGAIN {
        return u64::MAX;
    }
    let times = times(weight_max as u64);
    if times > 1 { times + 1 } else { 1 }
}

/// The estimate of a sum.
pub fn estimate(sum: &Weighted, question: &Question) -> Estimate {
    estimate_key(sum, &Unseen::default(), 1, question)
}

/// The estimate of one key's sum where up to `unseen` of it was not counted, as one of `keys` that were looked at
/// (Bonferroni: the largest of many is chosen because it is large).
#[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
pub fn estimate_key(sum: &Weighted, unseen: &Unseen, keys: u64, question: &Question) -> Estimate {
    let sketched = !unseen.is_zero();
    if sum.sampled_packets == 0 && unseen.sampled_packets == 0 && question.weight_max <= 1 {
        let value = sum.passed as f64;
        let basis = if sketched { Basis::Sketched } else { Basis::Exact };
        return Estimate { value, low: value, high: Some(value + unseen.passed as f64), basis, confidence: Confidence::Sure };
    }
    let basis = if sketched { Basis::SampledSketched } else { Basis::Sampled };
    let (passed, value, seen) = (sum.passed as f64, sum.value(), (sum.seen / seen_as(question.weight_max)) as f64);
    if sum.unproven > 0 || !question.random {
        let low = if question.twins { passed.max(((passed + seen) / 2.0).floor()) } else { passed + seen };
        return Estimate { value, low, high: None, basis, confidence: Confidence::Sure };
    }
    let tail = TAIL / keys.max(1) as f64;
    let low = passed + lower(sum, tail).max(seen).min(sum.scaled as f64);
    let high = passed + unseen.passed as f64 + upper(sum, unseen, tail, question).max(sum.scaled as f64);
    Estimate { value, low, high: Some(high), basis, confidence: Confidence::P95 }
}

/// Lower end of the sampled part.
#[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
fn lower(sum: &Weighted, tail: f64) -> f64 {
    if sum.sampled_packets == 0 {
        return 0.0;
    }
    let (y, v) = moments(sum);
    v / y * gamma::lower(y * y / v, tail)
}

/// Upper end of the sampled part.
#[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
fn upper(sum: &Weighted, unseen: &Unseen, tail: f64, question: &Question) -> f64 {
    let (mut y, mut v) = if sum.sampled_packets == 0 { (0.0, 0.0) } else { moments(sum) };
    // The packet that was not seen may have had the largest rate of all rules, whatever rates were seen.
    let largest = (sum.largest as f64).max(f64::from(question.weight_max) * f64::from(question.value_max));
    if unseen.sampled_packets > 0 {
        // What was not counted is bounded as if each packet of it were as large as can be.
        y += unseen.scaled as f64;
        v += unseen.scaled as f64 * largest;
    }
    let (y, v) = (y + largest, v + largest * largest);
    v / y * gamma::upper(y * y / v, tail)
}

/// Sum and Poisson variance Σ(wv)²: for packets of one weight this makes the gamma interval Garwood's.
#[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
fn moments(sum: &Weighted) -> (f64, f64) {
    let y = sum.scaled as f64;
    let weight = y / (sum.seen.max(1)) as f64;
    let thinned = if weight > 1.0 { weight / (weight - 1.0) } else { 1.0 };
    (y, (sum.variance as f64 * thinned).max(f64::MIN_POSITIVE))
}

/// Garwood's interval of a Poisson mean of which `n` were counted, with this tail on each side.
pub fn garwood(n: f64, tail: f64) -> (f64, f64) {
    let low = if n > 0.0 { gamma::lower(n, tail) } else { 0.0 };
    (low, gamma::upper(n + 1.0, tail))
}

#[cfg(test)]
#[path = "interval_tests.rs"]
mod tests;
