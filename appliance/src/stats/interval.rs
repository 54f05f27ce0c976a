//! Intervals for sums of which a part is a sample.
//!
//! Packets of one weight: Garwood (1936). Anything else: the gamma interval of Fay and Feuer (1997), with the largest
//! weighted value as the weight of a packet that was not seen. Both ends are 95 % together, 97.5 % each.

use statrs::distribution::{ContinuousCDF, Gamma};

use super::figure::{Basis, Confidence, Estimate, Unseen};
use super::weighted::Weighted;

/// Share of windows whose truth may lie outside one end.
const TAIL: f64 = 0.025;
/// From this shape on, Wilson and Hilferty (1931) is closer than any use of the figure.
const SHAPE_LARGE: f64 = 200.0;

/// What is asked beside the counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// The largest weight that a packet of this stat can have: 1 where nothing is sampled.
    pub weight_max: u32,
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
    let (passed, value) = (sum.passed as f64, sum.value());
    if sum.unproven > 0 {
        return Estimate { value, low: passed + sum.seen as f64, high: None, basis, confidence: Confidence::Sure };
    }
    let tail = TAIL / keys.max(1) as f64;
    let low = passed + lower(sum, tail).max(sum.seen as f64).min(sum.scaled as f64);
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
    v / y * gamma_quantile(y * y / v, tail)
}

/// Upper end of the sampled part.
#[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
fn upper(sum: &Weighted, unseen: &Unseen, tail: f64, question: &Question) -> f64 {
    let largest = if sum.sampled_packets == 0 { f64::from(question.weight_max) } else { sum.largest as f64 };
    let (mut y, mut v) = if sum.sampled_packets == 0 { (0.0, 0.0) } else { moments(sum) };
    if unseen.sampled_packets > 0 {
        // What was not counted is bounded as if each packet of it had the largest weight seen.
        y += unseen.scaled as f64;
        v += unseen.scaled as f64 * largest;
    }
    let (y, v) = (y + largest, v + largest * largest);
    v / y * gamma_quantile(y * y / v, 1.0 - tail)
}

/// Sum and Poisson variance Σ(wv)²: for packets of one weight this makes the gamma interval Garwood's.
#[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
fn moments(sum: &Weighted) -> (f64, f64) {
    let y = sum.scaled as f64;
    let weight = y / (sum.seen.max(1)) as f64;
    let thinned = if weight > 1.0 { weight / (weight - 1.0) } else { 1.0 };
    (y, (sum.variance as f64 * thinned).max(f64::MIN_POSITIVE))
}

/// Quantile of a gamma distribution of scale 1.
fn gamma_quantile(shape: f64, probability: f64) -> f64 {
    if shape < SHAPE_LARGE
        && let Ok(gamma) = Gamma::new(shape, 1.0)
    {
        return gamma.inverse_cdf(probability);
    }
    let z = normal_quantile(probability);
    let c = 1.0 / (9.0 * shape);
    shape * (1.0 - c + z * c.sqrt()).powi(3)
}

fn normal_quantile(probability: f64) -> f64 {
    statrs::distribution::Normal::standard().inverse_cdf(probability)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::weighted::{SAMPLED_WORDS, add};

    fn packets(n: u64, weight: u64) -> Weighted {
        let mut words = [0; SAMPLED_WORDS];
        (0..n).for_each(|_| add(&mut words, 1, weight, true));
        Weighted::from_words(&words)
    }

    /// Garwood's table: half the chi-square quantiles.
    #[test]
    fn packets_of_one_weight_have_garwoods_interval() {
        for (n, low, high) in [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.390), (30, 20.241, 42.827), (1_000, 938.97, 1_063.95)] {
            let e = estimate(&packets(n, 40), &Question { weight_max: 40 });
            let want_low = (40.0_f64 * low).max(n as f64);
            assert!((e.low - want_low).abs() < 1.0, "{n}: low {} against {want_low}", e.low);
            assert!((e.high.unwrap() - 40.0 * high).abs() < 1.0, "{n}: high {:?} against {}", e.high, 40.0 * high);
            assert_eq!(e.value, 40.0 * n as f64);
        }
    }

    #[test]
    fn nothing_sampled_is_exact_and_unproven_samplers_claim_nothing() {
        let mut words = [0; SAMPLED_WORDS];
        add(&mut words, 100, 1, true);
        assert_eq!(estimate(&Weighted::from_words(&words), &Question { weight_max: 1 }), Estimate::exact(100.0));
        add(&mut words, 100, 40, false);
        let e = estimate(&Weighted::from_words(&words), &Question { weight_max: 40 });
        assert_eq!((e.value, e.low, e.high, e.confidence), (4_100.0, 200.0, None, Confidence::Sure));
    }

    /// Coverage of a sum of bytes under random 1:40 sampling, over seeds that are printed.
    #[test]
    fn bytes_are_covered() {
        let mut inside = 0;
        let trials = 600;
        for trial in 0..trials {
            let mut words = [0; SAMPLED_WORDS];
            let mut truth = 0_u64;
            for i in 0..2_000_u64 {
                let x = crate::arch::hash::spread(trial * 1_000_003 + i);
                let bytes = if x.is_multiple_of(10) { 1_500 } else { 64 };
                truth += bytes;
                if (x >> 20).is_multiple_of(40) {
                    add(&mut words, bytes, 40, true);
                }
            }
            let e = estimate(&Weighted::from_words(&words), &Question { weight_max: 40 });
            inside += u32::from(e.low <= truth as f64 && truth as f64 <= e.high.unwrap());
        }
        assert!(inside * 100 >= 94 * u32::try_from(trials).unwrap(), "{inside} of {trials}");
    }
}
