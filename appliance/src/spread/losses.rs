//! Which ranges lost how many records.

use crate::gather::{Cause, Loss};
use crate::units::RangeIndex;

/// Ranges that are kept apart; what further ones lose is one sum.
pub const LOSING_RANGES_MAX: usize = 1_024;

/// Records lost since the last report, by range.
pub struct Losses {
    real: usize,
    ranges: Vec<(RangeIndex, [u64; Cause::COUNT])>,
    others: [u64; Cause::COUNT],
    /// Since the start, told or not.
    total: u64,
}

impl Losses {
    /// None yet, of so many ranges; what has a higher index is no range and not counted.
    pub fn new(real: usize) -> Self {
        Self { real, ranges: Vec::with_capacity(LOSING_RANGES_MAX), others: [0; Cause::COUNT], total: 0 }
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
        let Self { ranges, others, .. } = self;
        let known = ranges.iter().position(|(r, _)| *r == range);
        let at = known.or_else(|| {
            let room = ranges.len() < LOSING_RANGES_MAX;
            room.then(|| ranges.push((range, [0; Cause::COUNT])));
            room.then(|| ranges.len() - 1)
        });
        at.and_then(|at| ranges.get_mut(at)).map_or(others, |(_, records)| records)
    }

    /// Takes over what another holds.
    pub fn join(&mut self, other: &mut Self) {
        for (range, records) in other.ranges.drain(..) {
            self.of(range).iter_mut().zip(records).for_each(|(ours, theirs)| *ours += theirs);
        }
        self.others.iter_mut().zip(std::mem::take(&mut other.others)).for_each(|(ours, theirs)| *ours += theirs);
    }

    /// Tells all, and forgets it.
    pub fn tell(&mut self, tell: &mut dyn FnMut(Loss)) {
        self.ranges.drain(..).for_each(|(range, records)| tell(Loss { range: Some(range), records }));
        let records = std::mem::take(&mut self.others);
        if records != [0; Cause::COUNT] {
            tell(Loss { range: None, records });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_outlives_what_was_told_and_is_not_doubled_by_joining() {
        let (mut ours, mut theirs) = (Losses::new(2), Losses::new(2));
        assert_eq!(ours.add(RangeIndex(1), Cause::Ring, 5), 5);
        assert_eq!(theirs.add(RangeIndex(0), Cause::Memory, 7), 7);
        assert_eq!(ours.add(RangeIndex(2), Cause::Ring, 9), 0, "no range");
        ours.join(&mut theirs);
        let mut told = 0;
        ours.tell(&mut |loss| told += loss.records.iter().sum::<u64>());
        assert_eq!((told, ours.total() + theirs.total()), (12, 12));
        ours.tell(&mut |_| panic!("told once"));
        assert_eq!(ours.total() + theirs.total(), 12);
    }
}
