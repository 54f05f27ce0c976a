//! The reports of each range, and of each roll-up, are numbered without a gap, over all generations: also if it is removed and added
//! again.

use std::collections::{HashMap, HashSet};

use crate::limits::RANGES_MAX;

/// Ranges whose numbers are kept; of more, those that are in use.
const KEPT_MAX: usize = 2 * RANGES_MAX;

/// The last number of each range.
#[derive(Default)]
pub(super) struct Sequences(HashMap<String, u64>);

impl Sequences {
    /// The next number of a range; the first is 1.
    pub(super) fn next(&mut self, range: &str) -> u64 {
        if let Some(last) = self.0.get_mut(range) {
            *last += 1;
            return *last;
        }
        self.0.insert(range.to_owned(), 1);
        1
    }

    /// Only these ranges are in use from here on.
    pub(super) fn renew(&mut self, ranges: impl Iterator<Item = String>) {
        if self.0.len() > KEPT_MAX {
            let used: HashSet<String> = ranges.collect();
            self.0.retain(|range, _| used.contains(range));
        }
    }
}
