//! Whether a sample spreads as a random one does. Of n packets a random sampler takes np, give or take √(np(1 - p)); one that takes
//! every s-th takes np, give or take one.
//!
//! Counts are looked at in blocks. A block's evidence is exp(-θz²/2) / c, with z = (x - np) / √(np(1 - p)): large where x is nearer to
//! np than chance brings it. The divisor c is the mean of the numerator under the binomial distribution, so the mean of the quotient is 1,
//! and products over blocks are an e-process for each θ, and so is the mean over several. When a block ends depends on how
//! much was dropped, and on blocks before: never on its own samples. Half of what there is is laid on each block, half kept: a block that
//! says nothing costs no more than that.
//!
//! x is of whole windows, n of what the counter said at moments that lie elsewhere, by a clock that may differ. So it is some other number
//! N of packets whose coins make x, and N is unknown. It need not be known: whatever it is, the mean of the numerator is c at most, to
//! within 1/(8np) of it. With fewer or more packets x lies elsewhere, which makes it smaller, and what fewer spread less is made up for
//! only as far as that (of a normal shape with r = N/n the mean is exp(-θ(1 - r)²λ / 2(1 + θr)) / √(1 + θr), λ = np / (1 - p), greatest at
//! r = 1 - 1/(2λ)). All that is asked for is that clocks, and when counters are read, do not depend on which packets are sampled. What
//! edges cost is evidence: a block says something where they vary by little beside its deviation, so there are blocks of several sizes side
//! by side.

use std::iter::successors;

use super::rate::mean;

/// How much less spread the alternatives have: variances 1/4, 1/16 and 1/64 of a random sample's.
const THETAS: [f64; 3] = [3.0, 15.0, 63.0];
/// Expected samples after which a block ends: of each size there is one at a time.
const SIZES: [f64; 5] = [64.0, 1_024.0, 16_384.0, 262_144.0, 4_194_304.0];
/// The mean over any number of packets is larger than that over n by this share of 1/np at most.
const OF_ANY_NUMBER: f64 = 1.0 / 8.0;
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

/// What a scrubber dropped, and what of it was sampled, as far as windows tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Packets.
    pub dropped: u64,
    /// Samples of whole windows.
    pub sampled: u64,
}

impl Block {
    /// Both together.
    const fn with(self, other: Self) -> Self {
        Self { dropped: self.dropped.saturating_add(other.dropped), sampled: self.sampled.saturating_add(other.sampled) }
    }
}

/// Evidence of too little spread, natural logarithms, by size of blocks and alternative.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread([[f64; THETAS.len()]; SIZES.len()]);

impl Spread {
    /// Adds a block of samples, one in so many. Rates within the tolerance spread a little less, by no more than the tolerance tells.
    #[allow(clippy::cast_precision_loss, reason = "counts up to 1e12 are exact")]
    fn add(&mut self, size: usize, block: &Block, (one_in, tolerance): (u32, f64)) {
        let rate = 1.0 / f64::from(one_in.max(2));
        let (far, deviation) = distance(block, rate);
        let (means, _) = means_of(block.dropped, rate, deviation);
        let margin = tolerance + OF_ANY_NUMBER / (block.dropped as f64 * rate).max(1.0);
        for ((sum, theta), divisor) in self.0[size].iter_mut().zip(THETAS).zip(means) {
            let evidence = -(theta * far * far / 2.0 + divisor.ln() + margin);
            *sum += mean([0.0, evidence].into_iter());
        }
    }

    /// Adds another's blocks.
    pub fn merge(&mut self, other: &Self) {
        self.0.as_flattened_mut().iter_mut().zip(other.0.as_flattened()).for_each(|(sum, more)| *sum += more);
    }

    /// Natural logarithm.
    pub fn evidence(&self) -> f64 {
        mean(self.0.as_flattened().iter().copied())
    }
}

/// Blocks one behind the other, of each size, and what those say that ended in a day. A block that lies over midnight is of the day it ends
/// in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blocks {
    day: u64,
    spread: Spread,
    open: [Block; SIZES.len()],
}

impl Blocks {
    /// Adds what lies between two moments, and ends blocks that have enough by now.
    pub fn add(&mut self, day: u64, more: Block, rate: (u32, f64)) {
        self.gather(more);
        self.look(day, rate);
    }

    /// Adds it, and ends nothing yet.
    pub fn gather(&mut self, more: Block) {
        self.open.iter_mut().for_each(|open| *open = open.with(more));
    }

    /// Ends blocks that have enough by now.
    #[allow(clippy::cast_precision_loss, reason = "a size")]
    pub fn look(&mut self, day: u64, rate: (u32, f64)) {
        if self.day != day {
            (self.day, self.spread) = (day, Spread::default());
        }
        for (size, open) in self.open.iter_mut().enumerate() {
            if open.dropped as f64 / f64::from(rate.0.max(1)) >= SIZES[size] {
                self.spread.add(size, &std::mem::take(open), rate);
            }
        }
    }

    /// Evidence of this day.
    pub fn of(&self, day: u64) -> Spread {
        if self.day == day { self.spread } else { Spread::default() }
    }
}

/// How far a count is from what is expected, in standard deviations; and one such.
#[allow(clippy::cast_precision_loss, reason = "counts up to 1e12 are exact")]
fn distance(block: &Block, rate: f64) -> (f64, f64) {
    let expected = block.dropped as f64 * rate;
    let deviation = (expected * (1.0 - rate)).sqrt().max(f64::MIN_POSITIVE);
    // Further than this says no less.
    (((block.sampled as f64 - expected).abs() / deviation).min(1e6), deviation)
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
