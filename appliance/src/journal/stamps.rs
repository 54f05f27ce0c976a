//! When messages were appended, to the second: how long the oldest that a sink has not settled has waited.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Stamps are at least so far apart,
const APART_FIRST: Duration = Duration::from_secs(1);
/// and twice as far whenever there are so many.
const STAMPS_MAX: usize = 4_096;

/// See the module.
#[derive(Debug)]
pub(super) struct Stamps {
    /// A position, and when the message there was appended; ascending. What stands between two was appended between them.
    stamps: VecDeque<(u64, Instant)>,
    apart: Duration,
}

impl Stamps {
    /// The journal begins at a position: what is before it has waited since then at least.
    pub(super) fn new(begin: u64, now: Instant) -> Self {
        Self { stamps: VecDeque::from([(begin, now)]), apart: APART_FIRST }
    }

    /// A message is appended.
    pub(super) fn note(&mut self, position: u64, now: Instant) {
        if self.stamps.back().is_some_and(|(_, at)| now.duration_since(*at) < self.apart) {
            return;
        }
        if self.stamps.len() >= STAMPS_MAX {
            let mut keep = false;
            self.stamps.retain(|_| {
                keep = !keep;
                keep
            });
            self.apart *= 2;
        }
        self.stamps.push_back((position, now));
    }

    /// Nobody asks for what is before a position any more.
    pub(super) fn forget(&mut self, position: u64) {
        while self.stamps.get(1).is_some_and(|(at, _)| *at <= position) {
            self.stamps.pop_front();
        }
        if self.stamps.len() == 1 {
            self.apart = APART_FIRST;
        }
    }

    /// For how long the message at a position has waited, at least: since the first stamp behind it, or that of it itself.
    pub(super) fn waited(&self, position: u64, now: Instant) -> Duration {
        let at = self.stamps.partition_point(|(at, _)| *at < position);
        self.stamps.get(at).map_or(Duration::ZERO, |(_, at)| now.saturating_duration_since(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_waited_at_least_as_long_as_is_said() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut stamps = Stamps::new(0, start);
        // Two messages each 300 ms.
        (0..100_u64).for_each(|n| stamps.note(n, at(n / 2 * 300)));
        let now = at(20_000);
        for n in 0..100_u64 {
            let (truth, said) = (20_000 - n / 2 * 300, stamps.waited(n, now).as_millis());
            assert!(u128::from(truth) >= said && (n > 93 || said + 1_500 > u128::from(truth)), "{n}: {said} of {truth}");
        }
        stamps.forget(90);
        assert!(stamps.stamps.len() < 5 && stamps.waited(95, now) > Duration::ZERO);
        assert_eq!(stamps.waited(100, now), Duration::ZERO);
    }

    #[test]
    fn there_are_never_many() {
        let start = Instant::now();
        let mut stamps = Stamps::new(0, start);
        for n in 0..100_000_u64 {
            stamps.note(n, start + Duration::from_secs(n));
            assert!(stamps.stamps.len() <= STAMPS_MAX);
        }
        let now = start + Duration::from_secs(100_000);
        for n in [0, 1, 50_000, 99_000] {
            let said = stamps.waited(n, now).as_secs();
            assert!(said <= 100_000 - n && said + 128 > 100_000 - n, "{n}: {said}");
        }
        stamps.forget(100_000);
        (0..3).for_each(|n| stamps.note(100_000 + n, now + Duration::from_secs(n)));
        assert_eq!(stamps.waited(100_001, now + Duration::from_secs(9)).as_secs(), 8, "to the second again");
    }
}
