//! How old reports are when they are delivered.

/// Upper bounds of the bins that ages of reports are counted in, seconds.
pub const AGE_BOUNDS_S: [f64; 14] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];

/// How old reports were when they were delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ages {
    /// Up to each of [`AGE_BOUNDS_S`] and above the one before; the last: beyond all.
    pub counts: [u64; AGE_BOUNDS_S.len() + 1],
    /// Of all, microseconds.
    pub sum_us: u64,
}

impl Ages {
    /// How many they are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}
