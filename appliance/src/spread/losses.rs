//! Which ranges lost how many records.

use crate::units::RangeIndex;

/// Ranges that are kept apart; what further ones lose is one sum.
const RANGES_KEPT: usize = 1_024;

/// Records lost since the last report, by range.
pub struct Losses {
    ranges: Vec<(RangeIndex, u64)>,
    others: u64,
}

impl Losses {
    /// None.
    pub fn new() -> Self {
        Self { ranges: Vec::with_capacity(RANGES_KEPT), others: 0 }
    }

    /// Counts `records` of a range.
    pub fn add(&mut self, range: RangeIndex, records: u64) {
        if let Some((_, lost)) = self.ranges.iter_mut().find(|(r, _)| *r == range) {
            *lost += records;
        } else if self.ranges.len() < RANGES_KEPT {
            self.ranges.push((range, records));
        } else {
            self.others += records;
        }
    }

    /// By range, in the order in which they first lost.
    pub fn ranges(&self) -> &[(RangeIndex, u64)] {
        &self.ranges
    }

    /// Lost by ranges that are not in the list: any range may be short of as much.
    pub const fn others(&self) -> u64 {
        self.others
    }

    /// All records.
    pub fn total(&self) -> u64 {
        self.others + self.ranges.iter().map(|(_, lost)| lost).sum::<u64>()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.others = 0;
    }
}

impl Default for Losses {
    fn default() -> Self {
        Self::new()
    }
}
