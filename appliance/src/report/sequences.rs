//! Each range's reports are numbered without a gap, over all generations: also if the range is removed and added again.

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
        let Some(last) = self.0.get_mut(range) else {
            self.0.insert(range.to_owned(), 1);
            return 1;
        };
        *last += 1;
        *last
    }

    /// Only these ranges are in use from here on.
    pub(super) fn renew<'a>(&mut self, ranges: impl Iterator<Item = &'a str>) {
        if self.0.len() > KEPT_MAX {
            let used: HashSet<&str> = ranges.collect();
            self.0.retain(|range, _| used.contains(range.as_str()));
        }
    }
}
