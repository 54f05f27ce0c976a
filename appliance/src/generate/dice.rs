//! Seeded chance. Integers only, so that a seed gives the same traffic on every machine.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// One stream of chance.
#[derive(Debug)]
pub(super) struct Dice(ChaCha8Rng);

/// A probability, in 2^-32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share(u64);

impl Share {
    /// Of a number from 0 to 1; what is outside is taken to the nearer end.
    pub(super) fn of(probability: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^32, where f64 is exact to the bit")]
        let parts = (probability.clamp(0.0, 1.0) * 4_294_967_296.0) as u64;
        Self(parts)
    }
}

impl Dice {
    /// Streams of one seed do not depend on one another: drawing more of one leaves the others as they were.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        dice.set_stream(stream);
        Self(dice)
    }

    pub(super) fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(super) fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    pub(super) fn u16(&mut self) -> u16 {
        let [a, b, ..] = self.u32().to_le_bytes();
        u16::from_le_bytes([a, b])
    }

    pub(super) fn u128(&mut self) -> u128 {
        u128::from(self.u64()) << 64 | u128::from(self.u64())
    }

    /// From 0 to `n - 1`, or 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        u64::try_from((u128::from(self.u64()) * u128::from(n)) >> 64).unwrap_or(0)
    }

    /// From `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// As [`Self::between`], for ports and sizes.
    pub(super) fn between16(&mut self, low: u16, high: u16) -> u16 {
        u16::try_from(self.between(low.into(), high.into())).unwrap_or(high)
    }

    /// Uniform from half of `mean` to one and a half.
    pub(super) fn around(&mut self, mean: u64) -> u64 {
        (mean / 2 + self.below(mean + 1)).max(1)
    }

    pub(super) fn chance(&mut self, share: Share) -> bool {
        u64::from(self.u32()) < share.0
    }

    /// True once in `n` on average.
    pub(super) fn one_in(&mut self, n: u16) -> bool {
        self.below(u64::from(n)) == 0
    }

    /// One of several; they are never none.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T], or: T) -> T {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap_or(0);
        of.get(at).copied().unwrap_or(or)
    }
}

/// Ranks by Zipf's law: rank *n* is drawn in proportion to 1 / *n*.
#[derive(Debug)]
pub(super) struct Ranks(Vec<u64>);

impl Ranks {
    pub(super) fn new(count: usize) -> Self {
        let ends = (1..=count as u64).scan(0, |end, rank| {
            *end += 1_000_000_000 / rank;
            Some(*end)
        });
        Self(ends.collect())
    }

    pub(super) fn draw(&self, dice: &mut Dice) -> usize {
        let at = dice.below(self.0.last().copied().unwrap_or(0));
        self.0.partition_point(|&end| end <= at)
    }
}
