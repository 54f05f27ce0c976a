//! What came by each link: all frames, whatever they carry.

use crate::record::{Has, Record};
use crate::stats::weighted::Weighted;

/// What a frame takes of a link beside what a mirror shows of it: preamble and start 8, FCS 4, gap 12 (IEEE 802.3).
pub const LINE_BYTES: u64 = 24;

/// One link's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSums {
    /// Frames that passed, and their bytes.
    pub passed: [u64; 2],
    /// Blocked frames, their bytes, and their bytes with [`LINE_BYTES`] each.
    pub blocked: [Weighted; 3],
}

/// Frames of which the tag rules say the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Same {
    /// What rules say.
    pub has: Has,
    /// How many frames each stands for.
    pub weight: u16,
    /// How many there are,
    pub frames: u64,
    /// their bytes,
    pub bytes: u64,
    /// of those that are blocked, the sum of their squares,
    pub squares: u64,
    /// and the longest.
    pub longest: u64,
}

impl LinkSums {
    /// Words of [`Self::to_words`].
    pub const WORDS: usize = 2 + 3 * 8;

    /// Counts one frame.
    #[inline]
    pub fn count(&mut self, record: &Record) {
        let bytes = u64::from(record.wire_bytes);
        self.add(&Same { has: record.has, weight: record.weight, frames: 1, bytes, squares: bytes * bytes, longest: bytes });
    }

    /// Counts frames.
    #[inline]
    pub fn add(&mut self, same: &Same) {
        if !same.has.all(Has::BLOCKED) {
            self.passed[0] += same.frames;
            self.passed[1] += same.bytes;
            return;
        }
        let Same { frames, bytes, squares, longest, .. } = *same;
        let line = (bytes + LINE_BYTES * frames, squares + 2 * LINE_BYTES * bytes + LINE_BYTES * LINE_BYTES * frames, longest + LINE_BYTES);
        let sums = [(frames, frames, 1), (bytes, squares, longest), line];
        self.blocked.iter_mut().zip(sums).for_each(|(sum, of)| add(sum, same, of));
    }

    /// Adds another core's, or another epoch's.
    pub fn merge(&mut self, other: &Self) {
        self.passed.iter_mut().zip(other.passed).for_each(|(a, b)| *a += b);
        self.blocked.iter_mut().zip(&other.blocked).for_each(|(a, b)| a.merge(b));
    }

    /// Appends all of it.
    #[allow(clippy::cast_possible_truncation, reason = "a u128 in two words")]
    pub fn to_words(&self, out: &mut Vec<u64>) {
        out.extend(self.passed);
        for Weighted { passed, sampled_packets, scaled, variance, largest, unproven, seen } in self.blocked {
            out.extend([passed, sampled_packets, scaled, (variance >> 64) as u64, variance as u64, largest, unproven, seen]);
        }
    }

    /// Out of what [`Self::to_words`] wrote.
    pub fn from_words(words: &[u64]) -> Self {
        let (passed, blocked) = words.split_at(2.min(words.len()));
        let mut sums = blocked.chunks_exact(8).map(Weighted::from_words);
        let [frames, bytes, line] = [(); 3].map(|()| sums.next().unwrap_or_default());
        Self { passed: [0, 1].map(|i| passed.get(i).copied().unwrap_or(0)), blocked: [frames, bytes, line] }
    }
}

/// See [`Weighted`]: frames of one weight at once.
#[inline]
fn add(sum: &mut Weighted, same: &Same, (values, squares, largest): (u64, u64, u64)) {
    let (weight, is_random) = (u64::from(same.weight), same.has.all(Has::RANDOM));
    if weight <= 1 && is_random {
        sum.passed = sum.passed.saturating_add(values);
        return;
    }
    sum.sampled_packets += same.frames;
    sum.scaled = sum.scaled.saturating_add(weight * values);
    sum.variance = sum.variance.saturating_add(u128::from(squares) * u128::from(weight * (weight - 1)));
    sum.largest = sum.largest.max(weight * largest);
    sum.unproven += if is_random { 0 } else { same.frames };
    sum.seen = sum.seen.saturating_add(values);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::weighted;

    /// Frame by frame, as stats add them up.
    #[test]
    fn many_at_once_are_as_one_by_one() {
        let kinds = [(Has(0), 1), (Has(Has::BLOCKED.0 | Has::RANDOM.0), 1), (Has(Has::BLOCKED.0 | Has::RANDOM.0), 40), (Has::BLOCKED, 7)];
        for (has, weight) in kinds {
            let (mut sums, mut truth) = (LinkSums::default(), [[0; 8]; 3]);
            let mut same = Same { has, weight, ..Same::default() };
            for bytes in [60, 1_514, 60, 9_000] {
                same = Same { frames: same.frames + 1, bytes: same.bytes + bytes, squares: same.squares + bytes * bytes, ..same };
                same.longest = same.longest.max(bytes);
                let proven = !has.all(Has::BLOCKED) || has.all(Has::RANDOM);
                for (words, value) in truth.iter_mut().zip([1, bytes, bytes + 24]) {
                    weighted::add(words, value, weight.into(), proven);
                }
            }
            sums.add(&same);
            let truth = truth.map(|words| Weighted::from_words(&words));
            if has.all(Has::BLOCKED) {
                assert_eq!(sums.blocked, truth, "{has:?} {weight}");
            } else {
                assert_eq!((sums.passed, sums.blocked), ([truth[0].passed, truth[1].passed], Default::default()));
            }
            let mut words = Vec::new();
            sums.to_words(&mut words);
            assert_eq!((words.len(), LinkSums::from_words(&words)), (LinkSums::WORDS, sums));
        }
    }
}
