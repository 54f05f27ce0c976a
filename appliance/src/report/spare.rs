//! Memory for the words of windows, kept from one to the next.
//!
//! Memory that the system hands out anew has to be cleared first, which may take longer than all else that is done to a window. So pieces
//! of windows that were closed are kept for those that are open; and before the first long windows they are made while nothing else is to
//! be done, or the fast reports of their ends would wait for them.

use super::reporter::Reporter;
use super::{Health, Publisher, Setting};
use crate::stats::plan::Period;
use crate::units::RangeIndex;
use crate::window::ShardPlans;

/// Words of one piece of a log.
pub(super) const PIECE_WORDS: usize = 1 << 17;
/// What the blocks of one range and stat of a long window take, of all cores, where there is traffic as is likely: sums a few words, sketches
/// some hundreds.
const LIKELY_WORDS: usize = 48;

/// As many pieces as the last long window had.
#[derive(Default)]
pub(super) struct Spare {
    pieces: Vec<Vec<u64>>,
    /// Those that a long window is likely to take and that are not made yet.
    due: usize,
    /// A long window was closed. It may have been cut short, and taken little: the next one decides what is kept.
    has_begun: bool,
}

impl Spare {
    /// Before the first window. In a replay nobody waits.
    pub(super) fn before(setting: &Setting, plans: &ShardPlans) -> Self {
        let ranges = if setting.live { setting.ranges.len() } else { 0 };
        let stats = |range| plans.of(RangeIndex(range)).stats().iter().filter(|stat| stat.period == Period::Long).count();
        let likely = (0..u32::try_from(ranges).unwrap_or(u32::MAX)).map(stats).sum::<usize>().saturating_mul(LIKELY_WORDS);
        Self { due: likely.min(setting.open_words_max / 2) / PIECE_WORDS, ..Self::default() }
    }

    /// Makes one of the pieces that are due; false if none is.
    fn make_one(&mut self) -> bool {
        if self.due > 0 {
            self.due -= 1;
            // Words that are not 0 have to be written, so that the memory is there.
            let mut piece = vec![1; PIECE_WORDS];
            piece.clear();
            self.pieces.push(piece);
            return true;
        }
        false
    }

    pub(super) fn piece(&mut self, words: usize) -> Vec<u64> {
        if words > PIECE_WORDS {
            return Vec::with_capacity(words);
        }
        self.pieces.pop().unwrap_or_else(|| Vec::with_capacity(PIECE_WORDS))
    }

    /// A window is closed.
    pub(super) fn take(&mut self, its: Vec<Vec<u64>>, period: Period) {
        let mut most = self.pieces.len().max(its.len());
        if period == Period::Long && std::mem::replace(&mut self.has_begun, true) {
            (most, self.due) = (its.len(), 0);
        } else if period == Period::Long {
            most = self.pieces.len() + its.len();
        }
        let pieces = its.into_iter().filter(|piece| (PIECE_WORDS..2 * PIECE_WORDS).contains(&piece.capacity()));
        self.pieces.extend(pieces.map(|mut piece| {
            piece.clear();
            piece
        }));
        self.pieces.truncate(most);
    }
}

impl<P: Publisher, H: Health> Reporter<P, H> {
    /// Something for when nothing waits: a piece of the memory that a long window is likely to take. False if all is there.
    pub fn make_ready(&mut self) -> bool {
        self.spare.make_one()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_pieces(pieces: usize) -> Vec<Vec<u64>> {
        (0..pieces).map(|_| Vec::with_capacity(PIECE_WORDS)).collect()
    }

    #[test]
    fn what_is_likely_is_made_one_by_one_and_given_back_when_a_whole_long_window_took_less() {
        let mut spare = Spare { due: 5, ..Spare::default() };
        assert!(spare.make_one() && spare.make_one());
        let piece = spare.piece(10);
        assert!(piece.is_empty() && piece.capacity() >= PIECE_WORDS && spare.pieces.len() == 1);
        spare.take(of_pieces(1), Period::Fast);
        assert!(spare.make_one() && spare.make_one() && spare.make_one() && !spare.make_one(), "five in all");
        let before = spare.pieces.len();
        spare.take(of_pieces(1), Period::Long);
        assert_eq!(spare.pieces.len(), before + 1, "the first may have been cut short");
        spare.take(of_pieces(2), Period::Long);
        assert_eq!(spare.pieces.len(), 2);
        let mut spare = Spare { due: 5, ..Spare::default() };
        spare.take(of_pieces(1), Period::Long);
        assert!(spare.make_one(), "nothing is known yet");
        spare.take(of_pieces(1), Period::Long);
        assert!(!spare.make_one(), "that window is known");
    }
}
