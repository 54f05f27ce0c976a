//! Which ranges lost how many records.

use crate::arch::hash::spread;
use crate::gather::{Cause, LossOfRange, Lost};
use crate::units::RangeIndex;

/// Ranges that are kept apart; what further ones lose is one sum.
pub const LOSING_RANGES_MAX: usize = 1_024;

/// Places of the table that finds a range among them: so many that a few looks are enough.
const PLACES: usize = 4 * LOSING_RANGES_MAX;

/// Records lost since the last report, by range.
pub struct Losses {
    real: usize,
    ranges: Vec<LossOfRange>,
    /// Where a range stands in the list, plus one; by its hash.
    places: Box<[u16]>,
    others: [u64; Cause::COUNT],
    /// Since the start, told or not.
    total: u64,
}

impl Losses {
    /// None yet, of so many ranges; what has a higher index is no range and not counted.
    pub fn new(real: usize) -> Self {
        let places = vec![0; PLACES].into_boxed_slice();
        Self { real, ranges: Vec::with_capacity(LOSING_RANGES_MAX), places, others: [0; Cause::COUNT], total: 0 }
    }

    /// Counts `records` of a range. How many of them are told of: none, if it is no range.
    pub fn add(&mut self, range: RangeIndex, cause: Cause, records: u64) -> u64 {
        if range.at() >= self.real || records == 0 {
            return 0;
        }
        self.of(range)[cause as usize] += records;
        self.total += records;
        records
    }

    /// Records that were added since the start.
    pub const fn total(&self) -> u64 {
        self.total
    }

    fn of(&mut self, range: RangeIndex) -> &mut [u64; Cause::COUNT] {
        let place = self.find(range);
        if self.places[place] == 0 {
            if self.ranges.len() == LOSING_RANGES_MAX {
                return &mut self.others;
            }
            self.ranges.push((range.0, [0; Cause::COUNT]));
            self.places[place] = u16::try_from(self.ranges.len()).unwrap_or(0);
        }
        let at = usize::from(self.places[place]).wrapping_sub(1);
        self.ranges.get_mut(at).map_or(&mut self.others, |(_, records)| records)
    }

    /// The place of a range, or the free one where it belongs.
    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    fn find(&self, range: RangeIndex) -> usize {
        let mut place = spread(u64::from(range.0)) as usize & (PLACES - 1);
        let is = |at: u16| at == 0 || self.ranges.get(usize::from(at) - 1).is_none_or(|(known, _)| *known == range.0);
        while !is(self.places[place]) {
            place = (place + 1) & (PLACES - 1);
        }
        place
    }

    /// Forgets which ranges there were.
    fn clear(&mut self) {
        if !self.ranges.is_empty() {
            self.ranges.clear();
            self.places.fill(0);
        }
    }

    /// Takes over what another holds.
    pub fn join(&mut self, other: &mut Self) {
        for (range, records) in &other.ranges {
            self.of(RangeIndex(*range)).iter_mut().zip(records).for_each(|(ours, theirs)| *ours += theirs);
        }
        other.clear();
        self.others.iter_mut().zip(std::mem::take(&mut other.others)).for_each(|(ours, theirs)| *ours += theirs);
    }

    /// Tells all, in the order of ranges, and forgets it.
    pub fn tell(&mut self, tell: &mut dyn FnMut(&Lost<'_>)) {
        self.ranges.sort_unstable_by_key(|(range, _)| *range);
        let others = std::mem::take(&mut self.others);
        if !self.ranges.is_empty() || others != [0; Cause::COUNT] {
            tell(&Lost { ranges: &self.ranges, others });
        }
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many ranges lose: the first are kept apart, the rest are one sum, nothing is lost.
    #[test]
    fn many_ranges_lose() {
        let mut losses = Losses::new(1 << 20);
        for round in 1..4 {
            for n in 0..5_000_u32 {
                losses.add(RangeIndex(n * 37 % 4_999), Cause::Ring, 1);
            }
            let (mut apart, mut others) = (Vec::new(), 0);
            losses.tell(&mut |lost| {
                apart.extend(lost.ranges.iter().map(|(range, _)| *range));
                others += lost.others[0];
            });
            assert!(apart.is_sorted() && apart.len() == LOSING_RANGES_MAX);
            assert_eq!((apart.len() as u64 + 1 + others, losses.total()), (5_000, 5_000 * round));
        }
    }

    #[test]
    fn the_total_outlives_what_was_told_and_is_not_doubled_by_joining() {
        let (mut ours, mut theirs) = (Losses::new(2), Losses::new(2));
        assert_eq!(ours.add(RangeIndex(1), Cause::Ring, 5), 5);
        assert_eq!(theirs.add(RangeIndex(0), Cause::Memory, 7), 7);
        assert_eq!(ours.add(RangeIndex(2), Cause::Ring, 9), 0, "no range");
        ours.join(&mut theirs);
        let mut told = 0;
        ours.tell(&mut |lost| told += lost.ranges.iter().flat_map(|(_, records)| records).sum::<u64>());
        assert_eq!((told, ours.total() + theirs.total()), (12, 12));
        ours.tell(&mut |_| panic!("told once"));
        assert_eq!(ours.total() + theirs.total(), 12);
    }
}
