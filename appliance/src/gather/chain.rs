//! What a range has gathered of one epoch, and how records lie in its segments.

use super::packed::{Form, Layout, NARROW_WORDS};
use super::segments::Sizes;
use crate::limits::{BATCH_RECORDS_MAX, BATCH_WORDS_MAX, LOG_RECORDS_MAX, LOG_RECORDS_OPENED, LOG_RECORDS_SCARCE, SEGMENT_RECORDS};

/// A range that cannot wait for its turn hands a batch on at each multiple of so many records, if it has as many.
pub(super) const DRAIN_RECORDS: usize = BATCH_RECORDS_MAX / 2;
/// A ripe range that has to wait so long that it has so many hands batches on by itself.
const WAITING_RECORDS_MAX: usize = 2 * LOG_RECORDS_MAX;

/// The records are in the wide form.
pub(super) const WIDE: u8 = 1;
/// Some were handed on: batches run as they fill.
pub(super) const RUNS: u8 = 2;
/// It waits for its turn to be handed on.
pub(super) const RIPE: u8 = 4;
/// Its last segment is a desk: what is before it are whole lots.
pub(super) const DESK: u8 = 8;
/// Above this bit: lots for which the segment before the desk has room.
pub(super) const LOTS_SHIFT: u32 = 4;

/// See the module. Four of them fill a line.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(super) struct Chain {
    /// Word of the segments where its first record is, if it has one,
    pub(super) first: u32,
    /// and where its next one goes, if there is room in its last segment.
    pub(super) next: u32,
    /// Where its last segment is a desk: the word behind the last record before it, if there is one, or 0.
    pub(super) lot: u32,
    /// Records.
    pub(super) count: u16,
    /// Narrow records that go there, one behind the other, with nothing else to be done.
    pub(super) room: u8,
    /// [`WIDE`], [`RUNS`], [`RIPE`], [`DESK`], and above [`LOTS_SHIFT`].
    pub(super) flags: u8,
}

pub(super) const EMPTY: Chain = Chain { first: 0, next: 0, lot: 0, count: 0, room: 0, flags: 0 };

impl Chain {
    pub(super) const fn form(self) -> Form {
        if self.flags & WIDE == 0 { Form::Narrow } else { Form::Wide }
    }

    /// Records with which it is to be looked at: as many as a log holds, which are worth fetching its block for; or if it waits
    /// for its turn already, very many, and each so many more.
    pub(super) const fn asks_at(self, lengths: Lengths) -> usize {
        let count = self.count as usize;
        if self.flags & RIPE == 0 {
            if self.flags & RUNS == 0 { lengths.unopened } else { lengths.opened }
        } else if count < WAITING_RECORDS_MAX {
            WAITING_RECORDS_MAX
        } else {
            (count / DRAIN_RECORDS + 1) * DRAIN_RECORDS
        }
    }

    /// Whether it is to be looked at, now that a record came.
    pub(super) const fn asks(self, lengths: Lengths) -> bool {
        let before = Self { count: self.count - 1, ..self };
        self.count as usize >= before.asks_at(lengths)
    }

    /// Whether its next segment is a large one: it has a batch, or had one.
    pub(super) const fn grows_large(self, lengths: Lengths) -> bool {
        self.flags & RUNS != 0 || self.count as usize >= lengths.small
    }
}

/// Records of a range and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lengths {
    /// It is to be looked at, as its block was not opened yet,
    unopened: usize,
    /// and as it was.
    opened: usize,
    /// Up to so many it has small segments.
    small: usize,
}

impl Lengths {
    /// Where there is memory enough.
    pub(super) const PLENTY: Self = Self { unopened: LOG_RECORDS_MAX, opened: LOG_RECORDS_MAX, small: BATCH_RECORDS_MAX };
    /// Where there is not: who has a block keeps little beside it, so that others need none; and little is left empty.
    pub(super) const SCARCE: Self = Self { unopened: LOG_RECORDS_SCARCE, opened: LOG_RECORDS_OPENED, small: LOG_RECORDS_OPENED };
}

/// How records of one form lie in segments.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    pub(super) words: usize,
    /// The same, where words are numbered.
    pub(super) step: u32,
    /// Records of a segment, by its size.
    pub(super) records: [usize; 3],
    /// Records of a batch.
    pub(super) batch: usize,
}

impl Fit {
    fn new(layout: &Layout, form: Form, sizes: Sizes) -> Self {
        let words = layout.words(form);
        let (step, batch) = (u32::try_from(words).unwrap_or(u32::MAX), BATCH_RECORDS_MAX.min(BATCH_WORDS_MAX / words));
        // What comes from a desk is eight at once.
        let lot = if words == NARROW_WORDS { SEGMENT_RECORDS } else { 1 };
        Self { words, step, records: sizes.words.map(|all| (all as usize / words).min(batch) / lot * lot), batch }
    }

    /// Records of a batch that has no more than so many.
    pub(super) fn up_to(self, records_max: Option<usize>) -> usize {
        records_max.map_or(self.batch, |most| most.clamp(1, self.batch))
    }

    /// Of both forms.
    pub(super) fn both(layout: &Layout, sizes: Sizes) -> [Self; 2] {
        [Form::Narrow, Form::Wide].map(|form| Self::new(layout, form, sizes))
    }
}
