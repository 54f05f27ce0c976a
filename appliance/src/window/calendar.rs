//! Which window a time belongs to.

use crate::stats::plan::Period;
use crate::units::Epoch;

/// Windows of one appliance: a long one is a whole number of epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    epoch_ms: u64,
    epochs_in_long: u64,
}

const NS_IN_MS: u64 = 1_000_000;

impl Calendar {
    /// With fast windows, epochs are those; else they are the long ones.
    pub const fn new(window_ms: u64, fast_window_ms: u64, fast: bool) -> Self {
        if fast {
            Self { epoch_ms: fast_window_ms, epochs_in_long: window_ms / fast_window_ms }
        } else {
            Self { epoch_ms: window_ms, epochs_in_long: 1 }
        }
    }

    /// Nanoseconds of an epoch.
    pub const fn epoch_ns(&self) -> u64 {
        self.epoch_ms * NS_IN_MS
    }

    /// The epoch of a time.
    pub const fn epoch(&self, time_ns: u64) -> Epoch {
        Epoch::of(time_ns, self.epoch_ns())
    }

    /// Number of the long window that an epoch belongs to.
    pub const fn long(&self, epoch: Epoch) -> u64 {
        epoch.0.saturating_sub(1) / self.epochs_in_long
    }

    /// First epoch of a long window.
    pub const fn first_of_long(&self, long: u64) -> Epoch {
        Epoch(long.saturating_mul(self.epochs_in_long).saturating_add(1))
    }

    /// First epoch behind a long window.
    pub const fn after_long(&self, long: u64) -> Epoch {
        self.first_of_long(long.saturating_add(1))
    }

    /// Start and end of a window by its number (of a fast one, its epoch's), nanoseconds since 1970.
    pub const fn bounds_ns(&self, period: Period, number: u64) -> (u64, u64) {
        let (start, length) = match period {
            Period::Fast => (number.saturating_sub(1), self.epoch_ns()),
            Period::Long => (number, self.epoch_ns() * self.epochs_in_long),
        };
        // The last window that 64 bits can tell of ends with them.
        (start.saturating_mul(length), start.saturating_add(1).saturating_mul(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every time lies in its windows, from the first nanosecond to the last, whatever their lengths.
    #[test]
    fn every_time_has_its_windows() {
        for (window_ms, fast_ms) in [(1, 1), (10_000, 1_000), (3_600_000, 1), (3_600_000, 3_600_000), (7, 7)] {
            for fast in [false, true] {
                let calendar = Calendar::new(window_ms, fast_ms, fast);
                for time_ns in [0, 1, 999_999, 1_000_000, 1_700_000_000_123_456_789, u64::MAX - 1, u64::MAX] {
                    let epoch = calendar.epoch(time_ns);
                    let long = calendar.long(epoch);
                    for (period, number) in [(Period::Fast, epoch.0), (Period::Long, long)] {
                        let (start, end) = calendar.bounds_ns(period, number);
                        assert!(start <= time_ns && (time_ns < end || end == u64::MAX), "{time_ns}: {start} to {end}");
                    }
                    assert!(epoch < calendar.after_long(long) && calendar.long(calendar.after_long(long)) == long + 1);
                }
            }
        }
    }
}
