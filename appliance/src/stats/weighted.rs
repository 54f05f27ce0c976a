//! Sums over packets of which some stand for others: what they merge by.
//!
//! A sampled packet of weight w and value v estimates the whole by w·v (Horvitz and Thompson, 1952), with variance
//! w(w-1)v². Everything is an integer, so merging is exact in any order.

/// Words of a sum where no packet is sampled.
pub const PLAIN_WORDS: usize = 1;
/// Words of a sum where packets may be sampled.
pub const SAMPLED_WORDS: usize = 8;

/// A sum in all its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weighted {
    /// Sum over packets that stand for themselves.
    pub passed: u64,
    /// Number of sampled packets: those that stand for others, or may.
    pub sampled_packets: u64,
    /// Sum of w·v over sampled packets.
    pub scaled: u64,
    /// Sum of w(w-1)v² over sampled packets.
    pub variance: u128,
    /// The largest w·v.
    pub largest: u64,
    /// Sampled packets whose sampler is not random, or whose rate is unknown.
    pub unproven: u64,
    /// Sum of v over sampled packets: what was surely there.
    pub seen: u64,
}

impl Weighted {
    /// The best single value.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    pub fn value(&self) -> f64 {
        self.passed.saturating_add(self.scaled) as f64
    }

    /// As an integer.
    pub const fn total(&self) -> u64 {
        self.passed.saturating_add(self.scaled)
    }

    /// Out of one or eight words.
    pub fn from_words(words: &[u64]) -> Self {
        match *words {
            [passed] => Self { passed, ..Self::default() },
            [passed, sampled_packets, scaled, high, low, largest, unproven, seen] => {
                let variance = u128::from(high) << 64 | u128::from(low);
                Self { passed, sampled_packets, scaled, variance, largest, unproven, seen }
            }
            _ => Self::default(),
        }
    }

    /// With another's packets.
    pub fn merge(&mut self, other: &Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.sampled_packets += other.sampled_packets;
        self.scaled = self.scaled.saturating_add(other.scaled);
        self.variance = self.variance.saturating_add(other.variance);
        self.largest = self.largest.max(other.largest);
        self.unproven += other.unproven;
        self.seen = self.seen.saturating_add(other.seen);
    }
}

/// Adds one packet to the words of a sum, one or eight of them. `proven`: its weight can be relied on.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "a u128 in two words")]
pub fn add(words: &mut [u64], value: u64, weight: u64, proven: bool) {
    match words {
        [passed, sampled_packets, scaled, high, low, largest, unproven, seen] if weight > 1 || !proven => {
            let whole = weight * value;
            let more = u128::from(whole) * u128::from((weight - 1) * value);
            let variance = (u128::from(*high) << 64 | u128::from(*low)).saturating_add(more);
            (*high, *low) = ((variance >> 64) as u64, variance as u64);
            *sampled_packets += 1;
            *scaled = scaled.saturating_add(whole);
            *largest = whole.max(*largest);
            *unproven += u64::from(!proven);
            *seen = seen.saturating_add(value);
        }
        [passed, ..] => *passed = passed.saturating_add(value * weight),
        [] => {}
    }
}

/// How many words a sum takes.
pub const fn words(sampled: bool) -> usize {
    if sampled { SAMPLED_WORDS } else { PLAIN_WORDS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_struct_agree() {
        let mut words = [0; SAMPLED_WORDS];
        add(&mut words, 1_500, 1, true);
        add(&mut words, 9_000, 65_535, true);
        add(&mut words, 64, 40, false);
        let have = Weighted::from_words(&words);
        let variance = 65_535_u128 * 65_534 * 81_000_000 + 40 * 39 * 64 * 64;
        let want = Weighted {
            passed: 1_500,
            sampled_packets: 2,
            scaled: 65_535 * 9_000 + 2_560,
            variance,
            largest: 65_535 * 9_000,
            unproven: 1,
            seen: 9_064,
        };
        assert_eq!(have, want);
    }
}
