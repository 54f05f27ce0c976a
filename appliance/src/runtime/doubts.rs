//! What is doubtful of exporters' figures, told when it begins, not only at the end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::flows::Collector;

/// So often it is looked for.
const EVERY: Duration = Duration::from_secs(5);
/// One that was gone for so long is told anew when it comes again: one that comes and goes is not told each time.
const GONE: Duration = Duration::from_secs(60);
/// Beyond so many they are told no more.
const TOLD_MAX: usize = 1_024;

/// When it was looked last, and what was told.
#[derive(Debug)]
pub(super) struct Doubts {
    /// What it is about, and when it was there last.
    told: HashMap<String, Instant>,
    looked: Instant,
}

impl Doubts {
    pub(super) fn new() -> Self {
        Self { told: HashMap::new(), looked: Instant::now() }
    }

    /// Whether it is time to look, from time to time.
    pub(super) fn are_due(&mut self) -> bool {
        let are_due = self.looked.elapsed() >= EVERY;
        if are_due {
            self.looked = Instant::now();
        }
        are_due
    }

    /// When they are due: each that is new goes into the log, with both figures. One that ended may come again.
    pub(super) fn look(&mut self, collector: &Collector, now_ns: u64) {
        if self.are_due() {
            self.fresh(collector.doubtful(now_ns), Instant::now()).iter().for_each(|warning| tracing::warn!("flows: {warning}"));
        }
    }

    /// Those that were not there lately, of all with what they are about.
    fn fresh(&mut self, all: Vec<(String, String)>, now: Instant) -> Vec<String> {
        self.told.retain(|_, seen| now.saturating_duration_since(*seen) < GONE);
        let mut fresh = Vec::new();
        for (about, text) in all {
            if self.told.contains_key(&about) || self.told.len() < TOLD_MAX {
                fresh.extend(self.told.insert(about, now).is_none().then_some(text));
            }
        }
        fresh
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
        let start = Instant::now();
        let mut fresh = |after: Duration, rows: &[(&str, u32)]| doubts.fresh(all(rows), start + after);
        assert_eq!(fresh(EVERY, &[("a", 1), ("b", 1)]), of(&[("a", 1), ("b", 1)]));
        assert_eq!(fresh(2 * EVERY, &[("a", 2), ("b", 3), ("c", 4)]), of(&[("c", 4)]));
        assert_eq!(fresh(3 * EVERY, &[("b", 5)]), Vec::<String>::new());
        assert_eq!(fresh(4 * EVERY, &[("a", 6), ("b", 6)]), Vec::<String>::new(), "it was gone for a moment");
        assert_eq!(fresh(4 * EVERY + GONE, &[("a", 7), ("b", 7)]), of(&[("a", 7), ("b", 7)]));
        let many: Vec<String> = (0..2 * TOLD_MAX).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(|who| (&who[..], 1)).collect();
        assert_eq!(fresh(5 * EVERY + GONE, &many).len(), TOLD_MAX - 2);
    }
}
