//! What is doubtful of exporters' figures, told when it begins, not only at the end.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::flows::Collector;

/// So often it is looked for.
const EVERY: Duration = Duration::from_secs(60);
/// Beyond so many they are told no more.
const TOLD_MAX: usize = 1_024;

/// Who was told of.
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
        self.fresh(collector.warnings()).iter().for_each(|warning| tracing::warn!("flows: {warning}"));
    }

    /// Those that were not there when it was looked last. Whose they are stands before the figures, which change.
    fn fresh(&mut self, mut warnings: Vec<String>) -> Vec<String> {
        warnings.truncate(TOLD_MAX);
        let whose = |warning: &String| {
            let (who, what) = warning.split_once(": it ").unwrap_or((warning, ""));
            let what: String = what.chars().filter(|c| !c.is_ascii_digit()).take("says that it sent messages".len()).collect();
            format!("{who} {what}")
        };
        let now: HashSet<String> = warnings.iter().map(whose).collect();
        warnings.retain(|warning| !self.told.contains(&whose(warning)));
        self.told = now;
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_doubt_is_told_when_it_begins() {
        let mut doubts = Doubts::new();
        let of = |rows: &[(&str, u32)]| rows.iter().map(|(who, n)| format!("{who}: it tells a sampling rate of {n}")).collect::<Vec<_>>();
        assert_eq!(doubts.fresh(of(&[("a", 1), ("b", 1)])), of(&[("a", 1), ("b", 1)]));
        assert_eq!(doubts.fresh(of(&[("a", 2), ("b", 3), ("c", 4)])), of(&[("c", 4)]));
        assert_eq!(doubts.fresh(of(&[("b", 5)])), Vec::<String>::new());
        assert_eq!(doubts.fresh(of(&[("a", 6), ("b", 6)])), of(&[("a", 6)]));
    }
}
