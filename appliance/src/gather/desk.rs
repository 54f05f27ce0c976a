//! Where the records of a range that has many are written first: a few lines, close to those of other ranges.
//!
//! Tens of thousands of ranges have each a segment that is being written. Where these are large, as many pages are: more than the
//! processor has addresses of at hand, all the more where a hypervisor gives hugepages that are not, so that each record would
//! wait for one. On a desk lie eight records, and desks lie side by side; what is on a full one goes to a large segment
//! at once. Ranges do without that have no batch yet, and the busiest, whose lines are at hand anyway.

use super::chain::{Chain, DESK, LOTS_SHIFT};
use super::packed::{Form, NARROW_WORDS};
use super::segments::{DESK_WORDS, Size};
use super::{Gather, Stage};
use crate::limits::{BATCH_RECORDS_MAX, SEGMENT_RECORDS};
use crate::units::RangeIndex;

/// Words of a desk, and of one of its records, where words are numbered.
#[allow(clippy::cast_possible_truncation, reason = "two dozen")]
pub(super) const DESK_STEP: u32 = DESK_WORDS as u32;
#[allow(clippy::cast_possible_truncation, reason = "three")]
pub(super) const NARROW_STEP: u32 = NARROW_WORDS as u32;
/// Records of a desk.
#[allow(clippy::cast_possible_truncation, reason = "eight")]
pub(super) const DESK_RECORDS: u8 = SEGMENT_RECORDS as u8;
/// Records of all ranges, of which those of a large segment were one in 2,048: its lines are in the caches then.
#[allow(clippy::cast_possible_truncation, reason = "some hundred thousand")]
const HOT_RECORDS: u32 = 2_048 * BATCH_RECORDS_MAX as u32;

const _: () = assert!(BATCH_RECORDS_MAX / SEGMENT_RECORDS <= (u8::MAX >> LOTS_SHIFT) as usize, "lots are counted in a flag's upper bits");

impl Chain {
    /// Whether it holds something, and the last of it on a desk.
    pub(super) const fn is_at_desk(self) -> bool {
        self.flags & DESK != 0 && self.count > 0
    }
}

impl Gather {
    /// A segment for a chain to grow by.
    pub(super) fn take_for(&mut self, range: u32, form: Form, stage: &mut impl Stage) -> Option<u32> {
        let chain = self.chains[self.side][range as usize];
        if !chain.grows_large(self.lengths) {
            return self.take(Size::Small, stage);
        }
        let may = form == Form::Narrow && self.layout().is_bare() && !self.held && !self.was_hot(chain);
        let desk = if may { self.segments.take(Size::Desk) } else { None };
        desk.or_else(|| self.take(Size::Large, stage))
    }

    /// Notes with the last segment of a chain when it was taken: before a desk there is none yet that could have filled quickly.
    /// The flag of a desk, if it is one.
    pub(super) fn note(&mut self, segment: u32) -> u8 {
        let (now, is_desk) = (self.ripe.all(), self.segments.size(segment) == Size::Desk);
        self.segments.note(segment, if is_desk { now.wrapping_sub(HOT_RECORDS) } else { now });
        if is_desk { DESK } else { 0 }
    }

    /// Whether the large segment that is full now filled while few records came.
    fn was_hot(&self, chain: Chain) -> bool {
        if chain.count == 0 {
            return false;
        }
        let (last, size) = self.segments.of_word(chain.next - 1);
        size == Size::Large && self.came_quickly(last)
    }

    /// Whether few records came since a segment was noted.
    fn came_quickly(&self, segment: u32) -> bool {
        self.ripe.all().wrapping_sub(self.segments.noted(segment)) < HOT_RECORDS
    }

    /// Puts a narrow record first on a desk that is full, where what is on it has its place and nothing else is to be done. Seven
    /// more may follow.
    #[inline]
    pub(super) fn append_first(&mut self, range: RangeIndex, [one, two, three]: [u64; NARROW_WORDS]) -> bool {
        let chain = self.chains[self.side][range.at()];
        let count = usize::from(chain.count);
        if chain.flags >> LOTS_SHIFT == 0
            || !count.is_multiple_of(SEGMENT_RECORDS)
            || count + SEGMENT_RECORDS >= chain.asks_at(self.lengths)
        {
            return false;
        }
        let chain = self.move_lot(chain);
        self.segments.put(chain.next, (one, two, three));
        let (next, count, room) = (chain.next + NARROW_STEP, chain.count + 1, DESK_RECORDS - 1);
        self.chains[self.side][range.at()] = Chain { next, count, room, ..chain };
        true
    }

    /// Moves what lies on a chain's desk, which is full, to the segment before, which has room for it.
    #[inline]
    fn move_lot(&mut self, chain: Chain) -> Chain {
        let from = chain.next - DESK_STEP;
        debug_assert_eq!(self.segments.of_word(from).0, self.segments.of_word(chain.next - 1).0, "a desk that is full");
        self.segments.copy(from, chain.lot);
        Chain { next: from, lot: chain.lot + DESK_STEP, flags: chain.flags - (1 << LOTS_SHIFT), ..chain }
    }

    /// Makes room on a full desk. A range that has become a hot one has none while its large segments fill quickly.
    pub(super) fn clear_desk(&mut self, range: u32, stage: &mut impl Stage) -> Option<Chain> {
        let (side, desk) = (self.side, self.segments.of_word(self.chains[self.side][range as usize].next - 1).0);
        if self.chains[side][range as usize].flags >> LOTS_SHIFT == 0 {
            let segment = self.take(Size::Large, stage)?;
            // Taking may have handed on this very chain.
            if self.chains[side][range as usize].count == 0 {
                self.begin(range, Form::Narrow, segment);
                return Some(self.chains[side][range as usize]);
            }
            if self.put_before(range, segment, desk) {
                return Some(self.chains[side][range as usize]);
            }
        }
        let chain = self.move_lot(self.chains[side][range as usize]);
        self.chains[side][range as usize] = chain;
        Some(chain)
    }

    /// Puts a segment into a chain, before its desk, or in its place: says whether.
    fn put_before(&mut self, range: u32, segment: u32, desk: u32) -> bool {
        let (now, start, size) = (self.ripe.all(), self.segments.start(segment), self.segments.size(segment));
        let is_hot = size == Size::Large && self.came_quickly(desk);
        self.holding[self.side].set(range);
        let chain = &mut self.chains[self.side][range as usize];
        if chain.lot == 0 {
            chain.first = start;
        } else {
            self.segments.link(self.segments.of_word(chain.lot - 1).0, segment);
        }
        if is_hot {
            self.segments.copy(self.segments.start(desk), start);
            (chain.next, chain.lot, chain.flags) = (start + DESK_STEP, 0, chain.flags & !DESK);
            self.segments.free(desk);
            self.note(segment);
        } else {
            let records = self.fits[self.side][Form::Narrow as usize].records[size as usize];
            let lots = u8::try_from(records / SEGMENT_RECORDS).unwrap_or(1);
            (chain.lot, chain.flags) = (start, chain.flags | lots << LOTS_SHIFT);
            self.segments.link(segment, desk);
            // Eight records say little.
            self.segments.note(desk, if size == Size::Large { now } else { now.wrapping_sub(HOT_RECORDS) });
        }
        is_hot
    }
}
