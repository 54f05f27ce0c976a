//! What is doubtful of exporters' figures, told when it begins, not only at the end.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::flows::Collector;

/// So often it is looked for.
const EVERY: Duration = Duration::from_secs(60);
/// Beyond so many they are told no more.
const TOLD_MAX: usize = 1_024;

/// What was told.
#[derive(Debug)]
pub(super) struct Doubts {
    told: HashSet<String>,
    looked: Instant,
}

impl Doubts {
    pub(super) fn new() -> Self {
        Self { told: HashSet::new(), looked: Instant::now() }
    }

    /// From time to time: each doubt that is new goes into the log, with both figures. One that ended may come again.
    pub(super) fn look(&mut self, collector: &Collector) {
        if self.looked.elapsed() < EVERY {
            return;
        }
        self.looked = Instant::now();
        self.fresh(collector.doubtful()).iter().for_each(|warning| tracing::warn!("flows: {warning}"));
    }

    /// Those that were not there when it was looked last, of all with what they are about.
    fn fresh(&mut self, mut all: Vec<(String, String)>) -> Vec<String> {
        all.truncate(TOLD_MAX);
        let now = all.iter().map(|(about, _)| about.clone()).collect();
        let before = std::mem::replace(&mut self.told, now);
        all.into_iter().filter(|(about, _)| !before.contains(about)).map(|(_, text)| text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_doubt_is_told_when_it_begins() {
        let mut doubts = Doubts::new();
        let text = |(who, n): &(&str, u32)| format!("{who}: it tells a sampling rate of {n}");
        let of = |rows: &[(&str, u32)]| rows.iter().map(text).collect::<Vec<_>>();
        let all = |rows: &[(&str, u32)]| rows.iter().map(|row| (row.0.to_owned(), text(row))).collect::<Vec<_>>();
        assert_eq!(doubts.fresh(all(&[("a", 1), ("b", 1)])), of(&[("a", 1), ("b", 1)]));
        assert_eq!(doubts.fresh(all(&[("a", 2), ("b", 3), ("c", 4)])), of(&[("c", 4)]));
        assert_eq!(doubts.fresh(all(&[("b", 5)])), Vec::<String>::new());
        assert_eq!(doubts.fresh(all(&[("a", 6), ("b", 6)])), of(&[("a", 6)]));
    }
}
