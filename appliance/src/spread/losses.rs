//! Which ranges lost how many records.

use crate::units::RangeIndex;

/// Ranges that are kept apart; what further ones lose is one sum.
const RANGES_KEPT: usize = 1_024;

/// Records lost since the last report, by range.
pub struct Losses {
    real: usize,
    ranges: Vec<(RangeIndex, u64)>,
    others: u64,
}

impl Losses {
    /// None yet, of so many ranges; what has a higher index is no range and not counted.
    pub fn new(real: usize) -> Self {
        Self { real, ranges: Vec::with_capacity(RANGES_KEPT), others: 0 }
    }

    /// Counts `records` of a range.
    pub fn add(&mut self, range: RangeIndex, records: u64) {
        if range.at() >= self.real {
            return;
        }
        if let Some((_, lost)) = self.ranges.iter_mut().find(|(r, _)| *r == range) {
            *lost += records;
        } else if self.ranges.len() < RANGES_KEPT {
            self.ranges.push((range, records));
        } else {
            self.others += records;
        }
    }

    /// Takes over what another holds.
    pub fn join(&mut self, other: &mut Self) {
        other.ranges.drain(..).for_each(|(range, lost)| self.add(range, lost));
        self.others += std::mem::take(&mut other.others);
    }

    /// Tells all, and forgets it; none: ranges that are not told apart.
    pub fn tell(&mut self, tell: &mut dyn FnMut(Option<RangeIndex>, u64)) {
        self.ranges.drain(..).for_each(|(range, lost)| tell(Some(range), lost));
        if self.others > 0 {
            tell(None, std::mem::take(&mut self.others));
        }
    }
}
