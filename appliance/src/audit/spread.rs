//! Whether a sample spreads as a random one does. Of n packets a random sampler takes np, give or take √(np(1 - p)); one that takes
//! every s-th takes np, give or take one.
//!
//! Counts are looked at in blocks. A block's evidence is exp(-θz²/2) / c, with z = (x - np) / √(np(1 - p)): large where x is nearer to
//! np than chance brings it. The divisor c is the mean of the numerator under the binomial distribution, summed term by term, so the mean
//! of the quotient is 1, and products over blocks are an e-process for each θ, and so is the mean over several. Of a count that lies
//! between two ends, the one that is farther from np is taken, which is never more evidence than the true one. When a block ends depends on how
//! much was dropped, and on blocks before: never on its own samples. Half of what there is is laid on each block, half kept: a block whose ends
//! are far apart, which says nothing, costs no more than that.

use super::rate::{Counts, mean};

/// How much less spread the alternatives have: variances 1/4, 1/16 and 1/64 of a random sample's.
const THETAS: [f64; 3] = [3.0, 15.0, 63.0];
/// A block has so many expected samples at least,
const BLOCK_MIN: f64 = 64.0;
/// and never waits for more.
const BLOCK_MAX: f64 = 1e7;
/// Where the ends of a block's count are apart, the next one waits until that is half of a standard deviation.
const APART: f64 = 4.0;
/// From this deviation on the mean is that of the normal distribution, to within [`NORMAL_MARGIN`]: the error is at most twice 0.56 divided by
/// the deviation (Shevtsova, 2010), and the mean is at least 1/8.
const NORMAL_FROM: f64 = 20_000.0;
const NORMAL_MARGIN: f64 = 1e-3;
/// Terms that are smaller than this share of the largest are left out.
const TERM_MIN: f64 = 1e-18;

/// Evidence of too little spread, natural logarithms, by alternative.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread([f64; THETAS.len()]);

impl Spread {
    /// Adds a block of samples, one in so many. Rates within the tolerance spread a little less, by no more than the tolerance tells.
    pub fn add(&mut self, block: &Counts, one_in: u32, tolerance: f64) {
        let rate = 1.0 / f64::from(one_in.max(2));
        let (far, deviation) = distance(block, rate);
        for (sum, theta) in self.0.iter_mut().zip(THETAS) {
            let evidence = -(theta * far * far / 2.0 + mean_of(block.dropped, rate, deviation, theta).ln() + tolerance);
            *sum += mean([0.0, evidence].into_iter());
        }
    }

    /// Adds another's blocks.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }

    /// Natural logarithm.
    pub fn evidence(&self) -> f64 {
        mean(self.0.iter().copied())
    }
}

/// Expected samples after which the next block ends, behind one whose ends were so far apart; before the first, 0.
#[allow(clippy::cast_precision_loss, reason = "a size")]
pub fn block_size(apart: u64) -> f64 {
    (APART * apart as f64 * apart as f64).clamp(BLOCK_MIN, BLOCK_MAX)
}

/// How far the farther end is from what is expected, in standard deviations; and one such.
#[allow(clippy::cast_precision_loss, reason = "counts up to 1e12 are exact")]
fn distance(block: &Counts, rate: f64) -> (f64, f64) {
    let expected = block.dropped as f64 * rate;
    let deviation = (expected * (1.0 - rate)).sqrt().max(f64::MIN_POSITIVE);
    let far = (block.low as f64 - expected).abs().max((block.high as f64 - expected).abs());
    // Further than this says no less.
    ((far / deviation).min(1e6), deviation)
}

/// Mean of exp(-θz²/2) over the binomial distribution.
#[allow(clippy::cast_precision_loss, reason = "counts up to 1e12 are exact")]
fn mean_of(dropped: u64, rate: f64, deviation: f64, theta: f64) -> f64 {
    if deviation >= NORMAL_FROM {
        return (1.0 + NORMAL_MARGIN) / (1.0 + theta).sqrt();
    }
    let (n, odds) = (dropped as f64, rate / (1.0 - rate));
    let mode = ((n + 1.0) * rate).floor().min(n);
    let term = |k: f64| (-theta * ((k - n * rate) / deviation).powi(2) / 2.0).exp();
    let (mut all, mut part) = (1.0, term(mode));
    let (mut k, mut share) = (mode, 1.0);
    while k < n && share > TERM_MIN {
        share *= (n - k) / (k + 1.0) * odds;
        k += 1.0;
        (all, part) = (all + share, part + share * term(k));
    }
    (k, share) = (mode, 1.0);
    while k > 0.0 && share > TERM_MIN {
        share *= k / ((n - k + 1.0) * odds);
        k -= 1.0;
        (all, part) = (all + share, part + share * term(k));
    }
    part / all
}

#[cfg(test)]
#[path = "spread_tests.rs"]
mod tests;
