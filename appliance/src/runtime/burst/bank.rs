//! What frames of one burst have become: their records, and where those go.

use crate::classify::Found;
use crate::gather::packed::{Form, Layout};
use crate::gather::usual::{Rows, Words, direction_word};
use crate::limits::BURST_FRAMES_MAX;
use crate::record::Has;
use crate::units::{Family, RangeIndex};

/// What a frame has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not of the usual kind.
    Walks,
    /// A record in the narrow form, without extras.
    Narrow,
    /// Any other.
    Packed(Form, Family),
    /// No record: where no stat is asked for, the ledger says it all.
    Told,
}

/// Where a record goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    pub(super) range: RangeIndex,
    /// The other range that it belongs to, as [`Found`] tells it.
    pub(super) from: u32,
    /// What tells its directions in the first of them.
    pub(super) directions: u64,
}

impl Goal {
    /// The direction in the range that a packet comes from, where that is another than it goes to.
    pub(super) const FROM: u64 = direction_word(Has::EGRESS);

    #[inline]
    const fn is_alone_in(&self, range: RangeIndex) -> bool {
        self.range.0 == range.0 && self.from == Found::NONE
    }

    #[inline]
    pub(super) const fn other(&self) -> Option<RangeIndex> {
        match self.from {
            Found::NONE => None,
            from => Some(RangeIndex(from - 1)),
        }
    }
}

/// What the frames of one burst have become.
pub(super) struct Bank {
    pub(super) kinds: [Kind; BURST_FRAMES_MAX],
    pub(super) rows: Rows,
    /// Of what is not narrow, in place of its row.
    pub(super) words: Box<[Words; BURST_FRAMES_MAX]>,
    pub(super) goals: [Goal; BURST_FRAMES_MAX],
    /// Frames that are yet to be appended.
    pub(super) waiting: usize,
}

impl Bank {
    pub(super) fn new() -> Self {
        Self {
            kinds: [Kind::Walks; BURST_FRAMES_MAX],
            rows: Rows::default(),
            words: Box::new([Words([0; Layout::WORDS_MAX]); BURST_FRAMES_MAX]),
            goals: [Goal { range: RangeIndex(0), from: Found::NONE, directions: 0 }; BURST_FRAMES_MAX],
            waiting: 0,
        }
    }

    /// Whether a frame became a narrow record that goes to this range alone.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "two comparisons")]
    pub(super) fn is_beside(&self, at: usize, range: RangeIndex) -> bool {
        self.kinds[at] == Kind::Narrow && self.goals[at].is_alone_in(range)
    }
}
