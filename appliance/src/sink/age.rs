//! How old reports are when they are delivered, from their window's end and from its start.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::telemetry::{AGE_BOUNDS_S, Ages};

/// The counts that a sink's thread adds to.
#[derive(Debug, Default)]
pub(super) struct LiveAges {
    /// Up to each bound; the last: beyond all.
    counts: [AtomicU64; AGE_BOUNDS_S.len() + 1],
    sum_us: AtomicU64,
}

impl LiveAges {
    pub(super) fn note(&self, age: Duration) {
        let seconds = age.as_secs_f64();
        self.counts[AGE_BOUNDS_S.partition_point(|bound| *bound < seconds)].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(u64::try_from(age.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn snapshot(&self) -> Ages {
        let counts = std::array::from_fn(|at| self.counts[at].load(Relaxed));
        Ages { counts, sum_us: self.sum_us.load(Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_falls_into_its_bin() {
        let ages = LiveAges::default();
        [0, 100, 101, 100_000_000].into_iter().for_each(|ms| ages.note(Duration::from_millis(ms)));
        let Ages { counts, sum_us } = ages.snapshot();
        assert_eq!((counts[0], counts[1], counts[AGE_BOUNDS_S.len()], counts.iter().sum::<u64>()), (2, 1, 1, 4));
        assert_eq!(sum_us, 100_000_201_000);
    }
}
