//! Whether a sample spreads as a random one does. Of n packets a random sampler takes np, give or take √(np(1 - p)); one that takes
//! every s-th takes np, give or take one.
//!
//! Counts are looked at in blocks. A block's evidence is exp(-θz²/2) / c, with z = (x - np) / √(np(1 - p)): large where x is nearer to
//! np than chance brings it. The divisor c is the mean of the numerator under the binomial distribution, so the mean of the quotient is 1, and products over blocks are an e-process for each θ, and so is the mean over several. Of a count that lies
//! between two ends, the one that is farther from np is taken, which is never more evidence than the true one. When a block ends depends on how
//! much was dropped, and on blocks before: never on its own samples. Half of what there is is laid on each block, half kept: a block whose ends
//! are far apart, which says nothing, costs no more than that.

use std::iter::successors;

use super::rate::{Counts, mean};

/// How much less spread the alternatives have: variances 1/4, 1/16 and 1/64 of a random sample's.
const THETAS: [f64; 3] = [3.0, 15.0, 63.0];
/// A block has so many expected samples at least,
const BLOCK_MIN: f64 = 64.0;
/// and never waits for more.
const BLOCK_MAX: f64 = 1e7;
/// Where the ends of a block's count are apart, the next one waits until that is half of a standard deviation.
const APART: f64 = 4.0;
/// Below this deviation the mean is summed term by term; from here on over [`GRID`] points of the binomial's shape between whole numbers.
const SMOOTH_FROM: f64 = 30.0;
/// Deviations on each side of the mean: what is further out is less than 2e-15 of all.
const SIDE: f64 = 8.0;
/// Points that are so many to a deviation: sums over them, and over whole numbers, are the integral to within 1e-12, since the narrowest of
/// what is summed, a bell an eighth as wide, still has its deviation over 1.25 points (Poisson's formula: 2 exp(-2π² · 1.25²)).
const TO_A_DEVIATION: u32 = 10;
const GRID: u32 = 2 * 8 * TO_A_DEVIATION + 1;
/// Stirling's formula leaves out a factor that changes by less than 1/(12 np) over all of them, and np is 900 at least; of counts near
/// 2^64 the exponent is rounded to 1e-5. The mean is made larger by more than both, which makes the evidence smaller.
const SMOOTH_MARGIN: f64 = 1e-4;
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
        let (means, _) = means_of(block.dropped, rate, deviation);
        for ((sum, theta), divisor) in self.0.iter_mut().zip(THETAS).zip(means) {
            let evidence = -(theta * far * far / 2.0 + divisor.ln() + tolerance);
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

/// Blocks of a day, one behind the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blocks {
    day: u64,
    spread: Spread,
    apart: u64,
}

impl Blocks {
    /// Ends the block that has so much by now, if that is enough. Whether it did.
    pub fn look(&mut self, day: u64, block: &Counts, (one_in, tolerance): (u32, f64)) -> bool {
        if self.day != day {
            (self.day, self.spread) = (day, Spread::default());
        }
        let ends = block.expected(one_in) >= block_size(self.apart);
        if ends {
            self.spread.add(block, one_in, tolerance);
            self.apart = block.high.saturating_sub(block.low);
        }
        ends
    }

    /// Evidence of this day.
    pub fn of(&self, day: u64) -> Spread {
        if self.day == day { self.spread } else { Spread::default() }
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

/// Means of exp(-θz²/2) over the binomial distribution, and how many points they were summed over: fewer than a thousand of any counts.
fn means_of(dropped: u64, rate: f64, deviation: f64) -> ([f64; THETAS.len()], u32) {
    if deviation < SMOOTH_FROM {
        return means_over(terms(dropped, rate, deviation));
    }
    let (means, points) = means_over(shape(dropped, rate, deviation));
    (means.map(|one| one * (1.0 + SMOOTH_MARGIN)), points)
}

/// Of points: how many deviations from the mean, and the weight.
fn means_over(points: impl Iterator<Item = (f64, f64)>) -> ([f64; THETAS.len()], u32) {
    let (mut parts, mut all, mut count) = ([0.0; THETAS.len()], 0.0, 0);
    for (z, share) in points {
        parts.iter_mut().zip(THETAS).for_each(|(part, theta)| *part += share * (-theta * z * z / 2.0).exp());
        (all, count) = (all + share, count + 1);
    }
    (parts.map(|part| part / all), count)
}

/// All outcomes that are not far too rare, from the likeliest outwards: each one's share of that.
#[allow(clippy::cast_precision_loss, reason = "counts up to 1e12 are exact")]
fn terms(dropped: u64, rate: f64, deviation: f64) -> impl Iterator<Item = (f64, f64)> {
    let (n, odds) = (dropped as f64, rate / (1.0 - rate));
    let mode = ((n + 1.0) * rate).floor().min(n);
    let up = move |(k, share): &(f64, f64)| (*k < n && *share > TERM_MIN).then(|| (k + 1.0, share * (n - k) / (k + 1.0) * odds));
    let down = move |(k, share): &(f64, f64)| (*k > 0.0 && *share > TERM_MIN).then(|| (k - 1.0, share * k / ((n - k + 1.0) * odds)));
    let (up, down) = (successors(Some((mode, 1.0)), up), successors(Some((mode, 1.0)), down).skip(1));
    up.chain(down).map(move |(k, share)| ((k - n * rate) / deviation, share))
}

/// The same, where there are many: Stirling's formula for the probability of k, which need not be whole, up to a factor.
#[allow(clippy::cast_precision_loss, reason = "an error of a count's last bits")]
fn shape(dropped: u64, rate: f64, deviation: f64) -> impl Iterator<Item = (f64, f64)> {
    let (yes, no) = (dropped as f64 * rate, dropped as f64 * (1.0 - rate));
    (0..GRID).map(move |at| {
        let z = f64::from(at) / f64::from(TO_A_DEVIATION) - SIDE;
        let off = z * deviation;
        let (k, rest) = (yes + off, no - off);
        let exponent = k * (off / yes).ln_1p() + rest * (-off / no).ln_1p();
        (z, (-exponent).exp() / ((k / yes) * (rest / no)).sqrt())
    })
}

#[cfg(test)]
#[path = "spread_tests.rs"]
mod tests;
