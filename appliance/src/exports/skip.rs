//! How many frames are passed over before the next is sampled: so many that each frame is sampled with the same chance, whatever the
//! others were. Frames that come in step with the sampler are not sampled more often for it (sFlow version 5, 4.2.2).

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// Draws lengths of a geometric distribution.
pub(super) struct Skip(ChaCha8Rng);

impl Skip {
    pub(super) fn new(seed: [u8; 32], stream: u64) -> Self {
        let mut dice = ChaCha8Rng::from_seed(seed);
        dice.set_stream(stream);
        Self(dice)
    }

    /// Frames up to the next sample, that one included: 1 or more, `1 / chance` in the mean. `log` is [`log_of`] it.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "positive; saturates")]
    pub(super) fn draw(&mut self, log: f64) -> u64 {
        // Above 0 and up to 1, in steps of 2^-53.
        let uniform = ((self.0.next_u64() >> 11) + 1) as f64 / 9_007_199_254_740_992.0;
        1_u64.saturating_add((uniform.ln() / log) as u64)
    }
}

/// The logarithm of the chance that a frame is passed over, where one in so many is sampled.
pub(super) fn log_of(one_in: u32) -> f64 {
    (-1.0 / f64::from(one_in.max(1))).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and variance of a geometric distribution are n and n (n - 1).
    #[test]
    fn lengths_are_geometric() {
        for one_in in [1_u32, 2, 40, 1_000] {
            let (mut skip, log, n) = (Skip::new([7; 32], u64::from(one_in)), log_of(one_in), 200_000_u32);
            let lengths: Vec<f64> = (0..n).map(|_| u32::try_from(skip.draw(log)).map_or(f64::MAX, f64::from)).collect();
            let (mean, count) = (lengths.iter().sum::<f64>() / f64::from(n), f64::from(n));
            let variance = lengths.iter().map(|length| (length - mean).powi(2)).sum::<f64>() / count;
            let (want, want_variance) = (f64::from(one_in), f64::from(one_in) * f64::from(one_in - 1));
            let bound = 5.0 * (want_variance / count).sqrt();
            assert!((mean - want).abs() <= bound, "1 in {one_in}: the mean is {mean}");
            assert!((variance - want_variance).abs() <= 0.03 * want_variance, "1 in {one_in}: the variance is {variance}");
            assert!(lengths.iter().all(|length| *length >= 1.0));
        }
    }

    #[test]
    fn a_seed_gives_the_same_and_streams_differ() {
        let draw = |stream: u64| {
            let mut skip = Skip::new([1; 32], stream);
            (0..50).map(|_| skip.draw(log_of(100))).collect::<Vec<_>>()
        };
        assert!(draw(1) == draw(1) && draw(1) != draw(2));
    }
}
