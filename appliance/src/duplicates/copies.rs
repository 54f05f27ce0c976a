//! What a core keeps of an epoch: samples by hash, so many at most.

use super::sight::Sight;
use crate::limits::DUPLICATE_SAMPLES_MAX;

/// Words of a sample.
pub const SAMPLE_WORDS: usize = 3;

/// A packet that was sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sample {
    /// See [`Sight`].
    pub hash: u64,
    /// When it was received, nanoseconds since 1970.
    pub time_ns: u64,
    /// By which port.
    pub port: u16,
    /// See [`Sight`].
    pub ttl: u8,
    /// See [`Sight`].
    pub part: u8,
}

/// Samples of one core and epoch. A hash is in the sample below a limit, which is halved where there is no room for more, `level` times; so
/// what is there is always all that is below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    limit: u64,
    level: u32,
    samples: Vec<Sample>,
}

impl Copies {
    /// For one packet in so many; memory is taken here.
    pub fn new(sample: u32) -> Self {
        Self { limit: u64::MAX / u64::from(sample.max(1)), level: 0, samples: Vec::with_capacity(DUPLICATE_SAMPLES_MAX) }
    }

    /// Words of [`Self::to_words`], at most.
    pub const fn words_max() -> usize {
        SAMPLE_WORDS * DUPLICATE_SAMPLES_MAX
    }

    /// Whether any packet is looked at.
    pub const fn is_on(&self) -> bool {
        self.limit > 0
    }

    /// How often the limit was halved.
    pub const fn level(&self) -> u32 {
        self.level
    }

    /// Hashes below this are in the sample.
    #[inline]
    pub const fn below(&self) -> u64 {
        self.limit >> self.level
    }

    /// In the order in which they came.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Takes a packet, if its hash is in the sample.
    #[inline]
    pub fn see(&mut self, sight: &Sight, time_ns: u64, port: u16) {
        if sight.hash < self.below() {
            self.push(Sample { hash: sight.hash, time_ns, port, ttl: sight.ttl, part: sight.part });
        }
    }

    fn push(&mut self, sample: Sample) {
        while self.samples.len() >= DUPLICATE_SAMPLES_MAX && self.level < 63 {
            self.thin(self.level + 1);
        }
        if sample.hash < self.below() && self.samples.len() < DUPLICATE_SAMPLES_MAX {
            self.samples.push(sample);
        }
    }

    fn thin(&mut self, level: u32) {
        self.level = self.level.max(level);
        let limit = self.limit >> self.level.min(63);
        self.samples.retain(|sample| sample.hash < limit);
    }

    /// An earlier epoch's of the same core that could not be told. Takes no memory.
    pub fn take_over(&mut self, other: &Self) {
        self.thin(other.level);
        other.samples.iter().for_each(|sample| self.push(*sample));
    }

    /// Other cores' of the same epoch: for the reporter, without a bound.
    pub fn merge(&mut self, other: Self) {
        self.limit = self.limit.max(other.limit);
        self.samples.extend(other.samples);
        self.thin(other.level);
    }

    /// Forgets all, keeping its memory. Where there was room to spare, the limit rises again.
    pub fn clear(&mut self) {
        if self.samples.len() < DUPLICATE_SAMPLES_MAX / 4 {
            self.level = self.level.saturating_sub(1);
        }
        self.samples.clear();
    }

    /// Words of its own in an account's head.
    pub fn head(&self) -> [u64; 3] {
        [self.limit, u64::from(self.level), self.samples.len() as u64]
    }

    /// Appends all samples.
    pub fn to_words(&self, out: &mut Vec<u64>) {
        let words = |of: &Sample| [of.hash, of.time_ns, u64::from(of.port) << 16 | u64::from(of.ttl) << 8 | u64::from(of.part)];
        self.samples.iter().for_each(|sample| out.extend(words(sample)));
    }

    /// Out of its head, and what begins with its samples; and the words behind them.
    pub fn from_words([limit, level, count]: [u64; 3], words: &[u64]) -> (Self, &[u64]) {
        let len = usize::try_from(count).unwrap_or(0).saturating_mul(SAMPLE_WORDS).min(words.len());
        let (own, rest) = words.split_at(len);
        let byte = |word: u64, by: u32| u8::try_from(word >> by & 0xFF).unwrap_or(0);
        let sample = |of: &[u64; SAMPLE_WORDS]| Sample {
            hash: of[0],
            time_ns: of[1],
            port: u16::try_from(of[2] >> 16).unwrap_or(u16::MAX),
            ttl: byte(of[2], 8),
            part: byte(of[2], 0),
        };
        let samples = own.as_chunks().0.iter().map(sample).collect();
        (Self { limit, level: u32::try_from(level).unwrap_or(63).min(63), samples }, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(hash: u64) -> Sight {
        Sight { hash, ttl: 64, part: 3 }
    }

    #[test]
    fn what_is_there_is_all_that_is_below_the_limit() {
        let mut copies = Copies::new(1);
        let hashes: Vec<u64> = (0..50_000_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        hashes.iter().for_each(|hash| copies.see(&sight(*hash), 5, 1));
        let limit = u64::MAX >> copies.level();
        let want: Vec<u64> = hashes.iter().copied().filter(|hash| *hash < limit).collect();
        let have: Vec<u64> = copies.samples().iter().map(|sample| sample.hash).collect();
        assert!(copies.level() > 1 && have == want && have.len() > DUPLICATE_SAMPLES_MAX / 4, "{} {}", copies.level(), have.len());
        let mut words = Vec::new();
        copies.to_words(&mut words);
        assert!(words.len() <= Copies::words_max());
        words.push(7);
        let (read, rest) = Copies::from_words(copies.head(), &words);
        assert_eq!((&read, rest), (&copies, &[7][..]));
        let mut other = Copies::new(1);
        other.see(&sight(1), 9, 0);
        other.see(&sight(u64::MAX - 1), 9, 0);
        other.take_over(&copies);
        assert_eq!((other.level(), other.samples().len()), (copies.level(), copies.samples().len() + 1));
        let level = copies.level();
        copies.clear();
        copies.clear();
        assert_eq!((copies.level(), copies.samples().len()), (level - 1, 0));
        let mut same = Copies::new(1);
        (0..100_000).for_each(|_| same.see(&sight(3), 5, 1));
        assert!(same.samples().len() <= DUPLICATE_SAMPLES_MAX, "one hash alone finds no limit");
    }
}
