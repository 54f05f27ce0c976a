//! What a cell holds: narrow or wide sums, and compact bounds that are rounded up.

use crate::stats::columns::Row;
use crate::stats::figure::Unseen;
use crate::stats::weighted::{SumLayout, Weighted};

/// The most parts of a bound.
pub(super) const PARTS_MAX: usize = 3;
/// Bits of a compact number that are its fraction.
const FRACTION_BITS: u32 = 10;

/// A number in 16 bits, rounded up by at most one in 1,024; exact up to 2,048.
#[allow(clippy::cast_possible_truncation, reason = "63 exponents of 1,024 fractions each")]
pub(super) const fn compact(number: u64) -> u16 {
    if number < 1 << FRACTION_BITS {
        return number as u16;
    }
    let shift = 63 - number.leading_zeros() - FRACTION_BITS;
    let rounded = (number >> shift) + (number & ((1 << shift) - 1) != 0) as u64;
    // A fraction that is rounded up to the next power of two carries into the exponent.
    (((shift as u64) << FRACTION_BITS) + rounded) as u16
}

/// The number that [`compact`] gave, or all bits if it does not fit any more.
pub(super) const fn expand(code: u16) -> u64 {
    let (exponent, fraction) = (code >> FRACTION_BITS, code as u64 & ((1 << FRACTION_BITS) - 1));
    if exponent == 0 {
        return fraction;
    }
    let (mantissa, shift) = (1 << FRACTION_BITS | fraction, exponent as u32 - 1);
    if shift > mantissa.leading_zeros() { u64::MAX } else { mantissa << shift }
}

/// How the sums of a table's cells lie: narrow until one of them would overflow, then wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) layout: SumLayout,
    pub(super) wide: bool,
}

/// Of the second narrow word over values: samples, then the largest, then the squares.
const NARROW_SAMPLES: u32 = 52;
const NARROW_LARGEST: u32 = 38;
const NARROW_LARGEST_MAX: u64 = (1 << (NARROW_SAMPLES - NARROW_LARGEST)) - 1;
const NARROW_SQUARES_MAX: u64 = (1 << NARROW_LARGEST) - 1;
const HALF_MAX: u64 = u32::MAX as u64;

impl Sums {
    pub(super) const fn words(self) -> usize {
        match self.layout {
            SumLayout::Ones { .. } if !self.wide => 1,
            SumLayout::Values { .. } if !self.wide => 2,
            layout => layout.words(),
        }
    }

    /// Adds one packet, which is sampled or stands for itself; false if the narrow words cannot hold it.
    #[inline(always)]
    pub(super) fn add(self, words: &mut [u64], row: &Row<'_>, is_sampled: bool) -> bool {
        match (self.layout, words) {
            (SumLayout::Ones { .. }, [both]) => {
                // Without a branch: nobody foresees which packets were sampled.
                let shift = 32 * u32::from(!is_sampled);
                let has_room = *both >> shift & HALF_MAX < HALF_MAX;
                *both += u64::from(has_room) << shift;
                has_room
            }
            (SumLayout::Values { .. }, [sums, squares]) => add_narrow(sums, squares, row.value, is_sampled),
            (layout, words) => {
                // A copy, so that the row itself can stay in registers elsewhere.
                let row = *row;
                layout.add(words, &row);
                true
            }
        }
    }

    /// Whether no cell is full if these, the layout's own words, are what all cells hold together.
    pub(super) fn fits(self, all: &[u64]) -> bool {
        match (self.layout, all) {
            _ if self.wide => true,
            (SumLayout::Ones { .. }, [passed, samples]) => (*passed).max(*samples) <= HALF_MAX,
            (SumLayout::Values { .. }, [passed, samples, seen, squares]) => {
                let (samples, largest) = SumLayout::samples_of(*samples);
                let few = samples < 1 << (64 - NARROW_SAMPLES) && largest <= NARROW_LARGEST_MAX;
                few && (*passed).max(*seen) <= HALF_MAX && *squares <= NARROW_SQUARES_MAX
            }
            _ => true,
        }
    }

    /// Adds one packet that stands for itself to a cell that is not full, see [`Self::fits`].
    #[inline(always)]
    pub(super) fn add_plain(self, words: &mut [u64], row: &Row<'_>) {
        match (self.layout, words) {
            (SumLayout::Ones { .. }, [both]) => *both += 1 << 32,
            (SumLayout::Values { .. }, [sums, _]) => *sums += row.value << 32,
            (SumLayout::General, [passed, ..]) => *passed = passed.saturating_add(row.value.saturating_mul(row.times)),
            (_, [passed, ..]) => *passed = passed.saturating_add(row.value),
            (_, []) => {}
        }
    }

    /// Adds one packet that stands for others, or may, to a cell that is not full.
    #[inline(always)]
    pub(super) fn add_sampled(self, words: &mut [u64], row: &Row<'_>) {
        match (self.layout, words) {
            (SumLayout::Ones { .. }, [both]) => *both += 1,
            (SumLayout::Values { .. }, [sums, two]) => {
                let largest = (*two >> NARROW_LARGEST & NARROW_LARGEST_MAX).max(row.value);
                let counts = (*two + (1 << NARROW_SAMPLES) + row.value * row.value) & !(NARROW_LARGEST_MAX << NARROW_LARGEST);
                (*sums, *two) = (*sums + row.value, counts | largest << NARROW_LARGEST);
            }
            (layout, words) => layout.add(words, row),
        }
    }

    /// The same sum in the layout's own words, which `out` has room for.
    pub(super) fn widen(self, words: &[u64], out: &mut [u64]) {
        match (self.layout, words, out) {
            (SumLayout::Ones { .. }, [both], [passed, samples]) => (*passed, *samples) = (both >> 32, both & HALF_MAX),
            (SumLayout::Values { .. }, [sums, two], [passed, samples, seen, squares]) => {
                (*passed, *seen, *squares) = (sums >> 32, sums & HALF_MAX, two & NARROW_SQUARES_MAX);
                *samples = SumLayout::samples_word(two >> NARROW_SAMPLES, two >> NARROW_LARGEST & NARROW_LARGEST_MAX);
            }
            (_, words, out) => out.copy_from_slice(words),
        }
    }

    /// Back from the layout's own words; they came from here.
    pub(super) fn narrow(self, words: &[u64], out: &mut [u64]) {
        match (self.layout, words, out) {
            (SumLayout::Ones { .. }, [passed, samples], [both]) => *both = passed << 32 | samples,
            (SumLayout::Values { .. }, [passed, _, seen, squares], [sums, two]) => {
                let (samples, largest) = SumLayout::samples_of(words[1]);
                (*sums, *two) = (passed << 32 | seen, samples << NARROW_SAMPLES | largest << NARROW_LARGEST | squares);
            }
            (_, words, out) => out.copy_from_slice(words),
        }
    }

    pub(super) fn read(self, words: &[u64]) -> Weighted {
        let mut wide = [0; SumLayout::WORDS_MAX];
        let wide = &mut wide[..self.layout.words()];
        self.widen(words, wide);
        self.layout.read(wide)
    }

    /// Parts of a bound on what was not counted.
    pub(super) const fn parts(self) -> usize {
        match self.layout {
            SumLayout::Plain => 1,
            SumLayout::Ones { .. } => 2,
            SumLayout::Values { .. } | SumLayout::General => PARTS_MAX,
        }
    }

    /// Adds one packet to a bound.
    pub(super) fn miss(self, parts: &mut [u64], row: &Row<'_>) {
        self.miss_row(parts, row, row.is_sampled());
    }

    /// The same, where it is known whether it is sampled or stands for itself.
    #[inline(always)]
    pub(super) fn miss_row(self, parts: &mut [u64], row: &Row<'_>, is_sampled: bool) {
        let (by, times) = if self.layout == SumLayout::General { (row.weight, row.times) } else { (1, 1) };
        match parts {
            // Without a branch: nobody foresees which packets were sampled.
            [_, _] if matches!(self.layout, SumLayout::Ones { .. }) => parts[usize::from(is_sampled)] += 1,
            [_, samples, rest @ ..] if is_sampled => {
                *samples += times;
                rest.iter_mut().for_each(|part| *part = part.saturating_add((row.value * by).saturating_mul(times)));
            }
            [passed, ..] => *passed = passed.saturating_add(row.value.saturating_mul(times)),
            [] => {}
        }
    }

    /// Adds a whole sum to a bound.
    pub(super) fn miss_sum(self, parts: &mut [u64], sum: &Weighted) {
        let third = if self.layout == SumLayout::General { sum.scaled } else { sum.seen };
        self.miss_parts(parts, &[sum.passed, sum.sampled_packets, third]);
    }

    /// What a bound takes of a sum: its parts, of which there are as many as of a bound.
    #[inline(always)]
    pub(super) fn parts_of(self, words: &[u64]) -> [u64; PARTS_MAX] {
        match (self.layout, words) {
            (SumLayout::Ones { .. }, [both]) => [both >> 32, both & HALF_MAX, 0],
            (SumLayout::Values { .. }, [sums, two]) => [sums >> 32, two >> NARROW_SAMPLES, sums & HALF_MAX],
            (SumLayout::Values { .. }, [passed, samples, seen, _]) => [*passed, SumLayout::samples_of(*samples).0, *seen],
            (_, [passed, samples, scaled, ..]) => [*passed, *samples, *scaled],
            (_, [passed, samples]) => [*passed, *samples, 0],
            (_, [passed]) => [*passed, 0, 0],
            (_, []) => [0; PARTS_MAX],
        }
    }

    /// Adds the parts of a sum to a bound.
    #[inline(always)]
    pub(super) fn miss_parts(self, bound: &mut [u64], parts: &[u64; PARTS_MAX]) {
        bound.iter_mut().zip(parts).for_each(|(part, more)| *part = part.saturating_add(*more));
    }

    /// A bound for what the layout's own words have summed up.
    pub(super) fn bound(self, all: &[u64]) -> [u64; PARTS_MAX] {
        let mut parts = [0; PARTS_MAX];
        self.miss_sum(&mut parts[..self.parts()], &self.layout.read(all));
        parts
    }

    /// What parts come to, where all samples have this weight: the passed and the scaled.
    #[inline(always)]
    pub(super) const fn whole(self, [passed, samples, third]: [u64; PARTS_MAX], weight: u64) -> u64 {
        match self.layout {
            SumLayout::Plain => passed,
            SumLayout::Ones { .. } => passed.saturating_add(samples.saturating_mul(weight)),
            SumLayout::Values { .. } => passed.saturating_add(third.saturating_mul(weight)),
            SumLayout::General => passed.saturating_add(third),
        }
    }

    /// A bound, scaled.
    pub(super) fn unseen(self, parts: &[u64]) -> Unseen {
        match (self.layout, parts) {
            (_, [passed]) => Unseen { passed: *passed, ..Unseen::default() },
            (SumLayout::Ones { weight }, [passed, n]) => {
                Unseen { passed: *passed, sampled_packets: *n, scaled: n.saturating_mul(weight.into()) }
            }
            (SumLayout::Values { weight }, [passed, n, seen]) => {
                Unseen { passed: *passed, sampled_packets: *n, scaled: seen.saturating_mul(weight.into()) }
            }
            (_, [passed, n, scaled]) => Unseen { passed: *passed, sampled_packets: *n, scaled: *scaled },
            _ => Unseen::default(),
        }
    }
}

#[inline(always)]
fn add_narrow(sums: &mut u64, two: &mut u64, value: u64, is_sampled: bool) -> bool {
    if !is_sampled {
        let fits = (*sums >> 32) + value <= HALF_MAX;
        *sums += if fits { value << 32 } else { 0 };
        return fits;
    }
    let (samples, largest, squares) = (*two >> NARROW_SAMPLES, *two >> NARROW_LARGEST & NARROW_LARGEST_MAX, *two & NARROW_SQUARES_MAX);
    let fits = value <= NARROW_LARGEST_MAX
        && (*sums & HALF_MAX) + value <= HALF_MAX
        && samples + 1 < 1 << (64 - NARROW_SAMPLES)
        && squares + value * value <= NARROW_SQUARES_MAX;
    if fits {
        *sums += value;
        *two = (samples + 1) << NARROW_SAMPLES | largest.max(value) << NARROW_LARGEST | (squares + value * value);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_numbers_are_rounded_up_and_hardly() {
        for number in (0..70_000).chain((0..64).flat_map(|b| [(1 << b) - 1, 1 << b, (1 << b) + 1, 3 << b])) {
            let back = expand(compact(number));
            assert_eq!(compact(back), compact(number));
            assert!(back >= number && (number < 2_048 && back == number || back - number <= number / 1_000), "{number}: {back}");
        }
        assert_eq!(expand(compact(u64::MAX)), u64::MAX);
        let codes: Vec<u16> = (0..100_000).map(compact).collect();
        assert!(codes.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn narrow_sums_say_what_wide_ones_say_until_they_are_full() {
        for layout in [SumLayout::Ones { weight: 40 }, SumLayout::Values { weight: 40 }, SumLayout::Plain, SumLayout::General] {
            let (narrow, wide) = (Sums { layout, wide: false }, Sums { layout, wide: true });
            let (mut a, mut b) = (vec![0; narrow.words()], vec![0; wide.words()]);
            for i in 0..5_000_u64 {
                let value = if matches!(layout, SumLayout::Ones { .. }) { 1 } else { 64 + i % 1_400 };
                let weight = if i % 3 > 0 && layout != SumLayout::Plain { 40 } else { 1 };
                let row = Row { key: &[], hash: 0, value, weight, times: 1, proven: true };
                let mut all = vec![0; layout.words()];
                narrow.widen(&a, &mut all);
                layout.add(&mut all, &row);
                if narrow.fits(&all) {
                    let (mut fitting, mut plain) = (a.clone(), a.clone());
                    if row.is_sampled() {
                        narrow.add_sampled(&mut fitting, &row);
                    } else {
                        narrow.add_plain(&mut fitting, &row);
                    }
                    assert!(narrow.add(&mut plain, &row, row.is_sampled()) && fitting == plain, "{layout:?}");
                }
                if !narrow.add(&mut a, &row, row.is_sampled()) {
                    assert!(!narrow.fits(&all));
                    assert!(i > 1_000 && matches!(layout, SumLayout::Values { .. }));
                    break;
                }
                wide.add(&mut b, &row, row.is_sampled());
                assert_eq!(narrow.read(&a), wide.read(&b), "{layout:?}");
                for (sums, words) in [(narrow, &a), (wide, &b)] {
                    let (mut parts, n) = (sums.parts_of(words), sums.parts());
                    let mut want = [0; PARTS_MAX];
                    sums.miss_sum(&mut want[..n], &sums.read(words));
                    parts[n..].fill(0);
                    assert_eq!(parts, want, "{layout:?}");
                    let unseen = sums.unseen(&parts[..n]);
                    assert_eq!(unseen.passed + unseen.scaled, sums.read(words).total());
                    assert_eq!(sums.whole(parts, layout.weight()), sums.read(words).total());
                }
            }
        }
    }
}
