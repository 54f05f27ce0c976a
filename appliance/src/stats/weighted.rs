//! Sums over packets of which some stand for others: what they merge by.
//!
//! A sampled packet of weight w and value v estimates the whole by w·v (Horvitz and Thompson, 1952), with variance
//! w(w-1)v². Everything is an integer, so merging is exact in any order.

use super::Context;
use super::columns::{Row, View};
use crate::axes::Metric;

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

    /// Of so many packets alike.
    const fn times(self, times: u64) -> Self {
        Self {
            passed: self.passed.saturating_mul(times),
            sampled_packets: self.sampled_packets.saturating_mul(times),
            scaled: self.scaled.saturating_mul(times),
            variance: self.variance.saturating_mul(times as u128),
            largest: self.largest,
            unproven: self.unproven.saturating_mul(times),
            seen: self.seen.saturating_mul(times),
        }
    }

    /// Into one or eight words.
    #[allow(clippy::cast_possible_truncation, reason = "a u128 in two words")]
    fn write(&self, words: &mut [u64]) {
        let [high, low] = [(self.variance >> 64) as u64, self.variance as u64];
        let all = [self.passed, self.sampled_packets, self.scaled, high, low, self.largest, self.unproven, self.seen];
        words.iter_mut().zip(all).for_each(|(word, of)| *word = of);
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

/// Adds a row, which may be several packets alike.
#[inline]
pub fn add_row(words: &mut [u64], row: &Row<'_>) {
    if row.times > 1 {
        return add_several(words, row);
    }
    add(words, row.value, row.weight, row.proven);
}

/// As if each of them were added.
#[cold]
#[inline(never)]
fn add_several(words: &mut [u64], row: &Row<'_>) {
    let one = {
        let mut one = [0; SAMPLED_WORDS];
        let one = &mut one[..words.len().min(SAMPLED_WORDS)];
        add(one, row.value, row.weight, row.proven);
        Weighted::from_words(one)
    };
    let mut all = Weighted::from_words(words);
    all.merge(&one.times(row.times));
    all.write(words);
}

/// How many words a sum takes.
pub const fn words(sampled: bool) -> usize {
    if sampled { SAMPLED_WORDS } else { PLAIN_WORDS }
}

/// How the words of a sum lie. Rules nearly always give one constant rate of a random sampler: then a few words say all
/// that [`Weighted`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumLayout {
    /// Nothing is sampled: one word.
    Plain,
    /// Values of one, all samples of one weight: passed, samples.
    Ones {
        /// Of each sample.
        weight: u32,
    },
    /// Any values, all samples of one weight: passed, samples and the largest value, Σv, Σv².
    Values {
        /// Of each sample.
        weight: u32,
    },
    /// Any weights, proven or not: eight words.
    General,
}

/// Bits of a [`SumLayout::Values`]' second word that hold the largest value.
const LARGEST_BITS: u32 = 24;
const LARGEST_MAX: u64 = (1 << LARGEST_BITS) - 1;

impl SumLayout {
    /// The smallest that holds what records of this stat may be.
    pub fn of(context: &Context, metric: Metric) -> Self {
        match context.rate {
            _ if !context.sampled() => Self::Plain,
            Some(weight) if metric == Metric::Bytes => Self::Values { weight },
            Some(weight) => Self::Ones { weight },
            None => Self::General,
        }
    }

    /// Of each sample, where all have one; else 1.
    pub const fn weight(self) -> u64 {
        match self {
            Self::Ones { weight } | Self::Values { weight } => weight as u64,
            Self::Plain | Self::General => 1,
        }
    }

    /// Whether a sum over this metric is the number of packets of each kind.
    pub fn counts(self, metric: Metric) -> bool {
        match self {
            Self::Ones { .. } => true,
            Self::Plain => metric != Metric::Bytes,
            Self::Values { .. } | Self::General => false,
        }
    }

    /// How many words it takes.
    pub const fn words(self) -> usize {
        match self {
            Self::Plain => PLAIN_WORDS,
            Self::Ones { .. } => 2,
            Self::Values { .. } => 4,
            Self::General => SAMPLED_WORDS,
        }
    }

    /// The longest of all.
    pub const WORDS_MAX: usize = SAMPLED_WORDS;

    /// The second word over values: number of samples, and the largest value.
    pub const fn samples_word(samples: u64, largest: u64) -> u64 {
        samples << LARGEST_BITS | largest
    }

    /// Number of samples and the largest value, of that word.
    pub const fn samples_of(word: u64) -> (u64, u64) {
        (word >> LARGEST_BITS, word & LARGEST_MAX)
    }

    /// Adds one packet to the words of a sum.
    #[inline]
    pub fn add(self, words: &mut [u64], row: &Row<'_>) {
        match (self, words) {
            (Self::Ones { .. }, [passed, samples]) => {
                *passed += u64::from(!row.is_sampled());
                *samples += u64::from(row.is_sampled());
            }
            (Self::Values { .. }, [_, samples, seen, squares]) if row.is_sampled() => {
                let largest = row.value.min(LARGEST_MAX).max(*samples & LARGEST_MAX);
                *samples = (*samples & !LARGEST_MAX).saturating_add(1 << LARGEST_BITS) | largest;
                *seen = seen.saturating_add(row.value);
                *squares = squares.saturating_add(row.value.saturating_mul(row.value));
            }
            (Self::Values { .. }, [passed, ..]) => *passed = passed.saturating_add(row.value),
            (Self::General, words) => add_row(words, row),
            (_, words) => add(words, row.value, row.weight, row.proven),
        }
    }

    /// Adds all rows of a batch.
    #[inline]
    pub fn add_all(self, words: &mut [u64], view: &View<'_>) {
        match (self, &mut *words) {
            (Self::Ones { .. }, [passed, samples]) => {
                *passed += view.count(false);
                *samples += view.count(true);
            }
            (Self::Values { .. }, [passed, samples, seen, squares]) => {
                let tally = view.tally();
                *passed = passed.saturating_add(tally.plain);
                let largest = tally.largest.min(LARGEST_MAX).max(*samples & LARGEST_MAX);
                *samples = (*samples & !LARGEST_MAX).saturating_add(tally.samples << LARGEST_BITS) | largest;
                *seen = seen.saturating_add(tally.seen);
                *squares = squares.saturating_add(tally.squares);
            }
            (_, [passed, ..]) => {
                *passed = passed.saturating_add(view.tally().plain);
                view.sampled().rows().for_each(|row| self.add(words, &row));
            }
            (_, []) => {}
        }
    }

    /// The sum that the words hold.
    pub fn read(self, words: &[u64]) -> Weighted {
        let of = |weight: u32, [passed, samples, seen, squares, largest]: [u64; 5]| {
            let weight = u64::from(weight);
            Weighted {
                passed,
                sampled_packets: samples,
                scaled: seen.saturating_mul(weight),
                variance: u128::from(squares) * u128::from(weight * (weight - 1)),
                largest: largest * weight,
                unproven: 0,
                seen,
            }
        };
        match (self, words) {
            (Self::Ones { weight }, [passed, n]) => of(weight, [*passed, *n, *n, *n, u64::from(*n > 0)]),
            (Self::Values { weight }, [passed, n, seen, squares]) => {
                of(weight, [*passed, n >> LARGEST_BITS, *seen, *squares, n & LARGEST_MAX])
            }
            _ => Weighted::from_words(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Windows;
    use crate::units::Family;

    fn row(value: u64, weight: u64) -> Row<'static> {
        Row { key: &[], hash: 0, value, weight, times: 1, proven: true }
    }

    #[test]
    fn compact_layouts_say_what_the_general_one_says() {
        for (metric, values) in [(Metric::Packets, [1, 1, 1]), (Metric::Bytes, [64, 1_514, 9_000])] {
            let context = Context { family: Family::V4, weight_max: 40, random: true, rate: Some(40), windows: Windows::default() };
            let (compact, general) = (SumLayout::of(&context, metric), SumLayout::General);
            let (mut few, mut many) = ([0; 8], [0; 8]);
            let few = &mut few[..compact.words()];
            assert_eq!(compact.read(few), general.read(&many));
            for (i, value) in values.iter().cycle().take(50).enumerate() {
                let row = row(*value, if i % 3 == 0 { 40 } else { 1 });
                compact.add(few, &row);
                general.add(&mut many, &row);
                assert_eq!(compact.read(few), general.read(&many));
            }
        }
    }

    #[test]
    fn what_is_not_sampled_or_not_of_one_rate_keeps_its_layout() {
        let of = |weight_max, rate| {
            SumLayout::of(&Context { family: Family::V4, weight_max, random: true, rate, windows: Windows::default() }, Metric::Bytes)
        };
        assert_eq!((of(1, None), of(40, None), of(40, Some(40))), (SumLayout::Plain, SumLayout::General, SumLayout::Values { weight: 40 }));
    }

    /// A row that is several packets is what as many rows are, in one word and in eight.
    #[test]
    fn several_at_once_are_as_many_one_by_one() {
        for (value, weight, proven) in
            [(1, 1, true), (1_500, 1, true), (1, 40, true), (9_000, 65_535, true), (64, 1, false), (64, 40, false)]
        {
            for times in [1, 2, 3, 1_000] {
                let (mut at_once, mut each) = ([7; SAMPLED_WORDS], [7; SAMPLED_WORDS]);
                for words in [PLAIN_WORDS, SAMPLED_WORDS] {
                    add_row(&mut at_once[..words], &Row { times, proven, ..row(value, weight) });
                    (0..times).for_each(|_| add(&mut each[..words], value, weight, proven));
                    assert_eq!(at_once, each, "{value} {weight} {proven} {times}");
                }
            }
        }
    }

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
