//! Whether a sampling rate is the one that is configured: evidence against it that may be looked at as often as one likes.
//!
//! Under the null hypothesis each dropped packet is sampled on its own, with probability p of at most a tolerance from p0 = 1/s. For
//! another probability p1 above the tolerance's upper end u, each packet multiplies a wager by p1/u if it was sampled and by
//! (1 - p1)/(1 - u) if not (Wald, 1945). Its mean is 1 if p = u and falls with p, so for every p up to u the product is a supermartingale
//! that starts at 1; below the lower end likewise. A mixture of such products is one too, whatever is dropped when: how many packets there
//! are may depend on all that was seen before, since each one's coin is thrown after it came. By Ville's inequality (1939) it ever reaches
//! 1/alpha with a probability of at most alpha (Ramdas, Grünwald, Vovk and Shafer, Statistical Science 38, 2023).
//!
//! The product depends on how many were dropped and how many were sampled alone. So of a count that is only known to lie between two
//! ends the least evidence is taken, which is never above that of the true count, and what is unknown at the ends of a stretch does not
//! add up over what lies between.

/// What a scrubber dropped, and what of it came here: at least and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets.
    pub dropped: u64,
    /// Samples, at least.
    pub low: u64,
    /// Samples, at most.
    pub high: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self {
            dropped: self.dropped.saturating_add(other.dropped),
            low: self.low.saturating_add(other.low),
            high: self.high.saturating_add(other.high),
        }
    }

    /// Samples that a rate of one in so many would give.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    pub fn expected(&self, one_in: u32) -> f64 {
        self.dropped as f64 / f64::from(one_in.max(1))
    }
}

/// Evidence, natural logarithm, where the null hypothesis cannot be: more samples than packets.
pub const CERTAIN: f64 = 1e9;
/// No other evidence is more.
const LARGEST: f64 = CERTAIN / 2.0;
/// Alternatives on each side: the nearest is so far from the tolerance's end, as a difference of logarithms,
const NEAREST: f64 = 0.01;
/// each next one so many times as far,
const STEP: f64 = 1.4;
/// and these are all: up to a rate nine times as high, or as low.
const ALTERNATIVES: i32 = 17;

/// What one alternative makes of a packet, natural logarithms.
#[derive(Clone, Copy, Debug)]
struct Wager {
    sampled: f64,
    other: f64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct RateTest {
    wagers: Vec<Wager>,
}

impl RateTest {
    /// Of one in so many (two at least), within a tolerance: 0.005 are half a percent.
    pub fn new(one_in: u32, tolerance: f64) -> Self {
        let rate = 1.0 / f64::from(one_in.max(2));
        let both = (0..ALTERNATIVES).flat_map(|i| {
            let far = NEAREST * STEP.powi(i);
            [far, -far].map(|far| wager(rate * (tolerance.copysign(far)).exp(), far))
        });
        Self { wagers: both.flatten().collect() }
    }

    /// Natural logarithm of the least evidence that the counts allow. Counts of a sample that is larger than what was dropped are
    /// [`CERTAIN`], and no others are.
    pub fn evidence(&self, counts: &Counts) -> f64 {
        if counts.low > counts.dropped {
            return CERTAIN;
        }
        let (low, high) = (counts.low, counts.high.clamp(counts.low, counts.dropped));
        self.at(counts.dropped, self.least(counts.dropped, low, high)).min(LARGEST)
    }

    /// Where it is least: a logarithm of a sum of exponentials of straight lines is convex.
    fn least(&self, dropped: u64, mut low: u64, mut high: u64) -> u64 {
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at(dropped, middle) <= self.at(dropped, middle + 1) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// The mixture, all alternatives alike.
    #[allow(clippy::cast_precision_loss, reason = "an error of 1e-6 at 1e12 packets")]
    fn at(&self, dropped: u64, sampled: u64) -> f64 {
        let (sampled, other) = (sampled as f64, (dropped - sampled) as f64);
        mean(self.wagers.iter().map(|wager| sampled * wager.sampled + other * wager.other))
    }
}

/// Of the alternative that is `far` from an end of the tolerance; none where that is no probability.
fn wager(end: f64, far: f64) -> Option<Wager> {
    let alternative = end * far.exp();
    (alternative < 1.0 && end < 1.0).then(|| Wager { sampled: far, other: ((end - alternative) / (1.0 - end)).ln_1p() })
}

/// Logarithm of the mean of what these are the logarithms of; 0 if there is none.
pub fn mean(logarithms: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let (count, largest) = (logarithms.len(), logarithms.clone().fold(f64::NEG_INFINITY, f64::max));
    if count == 0 || largest == f64::NEG_INFINITY {
        return 0.0;
    }
    let sum: f64 = logarithms.map(|one| (one - largest).exp()).sum();
    #[allow(clippy::cast_precision_loss, reason = "a few dozen")]
    let count = count as f64;
    largest + (sum / count).ln()
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
