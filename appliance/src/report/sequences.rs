//! The reports of each range, and of each roll-up, are numbered without a gap, over all generations: also if it is removed and added
//! again. Long and fast windows are numbered together, and each on their own.

use std::collections::{HashMap, HashSet};

use crate::limits::RANGES_MAX;
use crate::stats::plan::Period;

/// Ranges whose numbers are kept; of more, those that are in use.
const KEPT_MAX: usize = 2 * RANGES_MAX;

/// The numbers of a report: among all of its range, and among those of windows of its kind. 0: none was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) all: u64,
    pub(super) of_kind: u64,
}

/// The last numbers of long and of fast windows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counter([u64; 2]);

impl Counter {
    pub(super) fn next(&mut self, period: Period) -> Numbers {
        let of_kind = &mut self.0[usize::from(period == Period::Fast)];
        *of_kind += 1;
        Numbers { of_kind: *of_kind, all: self.0.iter().sum() }
    }
}

/// The last numbers of each range.
#[derive(Default)]
pub(super) struct Sequences(HashMap<String, Counter>);

impl Sequences {
    /// The next numbers of a range; the first is 1.
    pub(super) fn next(&mut self, range: &str, period: Period) -> Numbers {
        if let Some(last) = self.0.get_mut(range) {
            return last.next(period);
        }
        self.0.entry(range.to_owned()).or_default().next(period)
    }

    /// Only these ranges are in use from here on.
    pub(super) fn renew(&mut self, ranges: impl Iterator<Item = String>) {
        if self.0.len() > KEPT_MAX {
            let used: HashSet<String> = ranges.collect();
            self.0.retain(|range, _| used.contains(range));
        }
    }
}
