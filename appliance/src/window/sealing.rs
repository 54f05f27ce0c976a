//! The end of a range's window: its block's words go to the reporter and its memory comes back.
//!
//! Three ways lead here. A range of which gather has given its last batch is sealed there and then, so that a log that
//! never filled needs a block for a moment only. What is left when a window is over is found by a walk over the ranges
//! that have blocks. And what has to go at once goes at once. However long a block is, a step exports a bounded piece of
//! it: the reporter takes blocks in parts, and takes several blocks of one range as one.

use std::ops::ControlFlow;

use super::plans::{FAST, HEAD_WORDS, LONG, PERIODS};
use super::shard::Shard;
use super::stream::{PART_WORDS, Sealed, Sent};
use crate::gather::Cause;
use crate::limits::LOG_RECORDS_MAX;
use crate::stats::pages::Piece;
use crate::stats::plan::Place;
use crate::units::{Epoch, RangeIndex};

/// Ranges of one kind that are asked for a block that may go.
const HOLDERS_LOOKED_AT: usize = 64;

/// What it costs to give back the memory of a block that is lost, as if it were words that are sent.
const REFUSAL_WORDS: usize = PART_WORDS / 8;

/// A block on its way.
#[derive(Clone, Copy)]
struct Part {
    range: RangeIndex,
    which: usize,
    /// Of the window, its open epoch or the one that is coming.
    epoch: Epoch,
    /// None: its words are set aside.
    root: Piece,
    /// What comes next.
    place: Place,
}

/// What is being sealed.
pub(super) struct Sealing {
    part: Option<Part>,
    /// By period: a range whose window is over.
    pending: [Option<RangeIndex>; 2],
    /// Where the last open block was sealed.
    hand: u32,
    /// The epoch behind the open one, of which there are batches already.
    pub(super) coming: Epoch,
    /// Cores that send batches.
    feeders: usize,
    /// What the reporter has no room for is lost, until the epoch that is over is closed.
    pub(super) hurries: bool,
}

impl Sealing {
    pub(super) const fn new(feeders: usize) -> Self {
        Self { part: None, pending: [None; 2], hand: 0, coming: Epoch(0), feeders, hurries: false }
    }

    /// The range has more of the open epoch, from another core: its blocks must stay while a batch is counted into them.
    pub(super) fn goes_on(&mut self, range: RangeIndex) {
        self.pending.iter_mut().for_each(|pending| _ = pending.take_if(|pending| *pending == range));
    }

    pub(super) const fn is_busy(&self) -> bool {
        self.part.is_some() || self.pending[FAST].is_some() || self.pending[LONG].is_some()
    }
}

impl Shard {
    /// A core has given the range's last batch of `epoch`. Where other cores may still have some, a block that holds more
    /// than a log waits for the walk, as one that the reporter has no room for does.
    pub(super) fn end_of(&mut self, range: RangeIndex, epoch: Epoch, next: Epoch) {
        if self.closing.is_some() || epoch != self.at {
            return;
        }
        while self.sealing.is_busy() && self.seal_one(false).is_continue() {}
        if self.sealing.is_busy() {
            self.sealing.pending = [None; 2];
        }
        for which in [FAST, LONG] {
            let root = self.slots[range.at()].roots[which][self.side[which]];
            if root.is_none() || self.number(which, epoch) == self.number(which, next) {
                continue;
            }
            if self.sealing.feeders == 1 || self.roots.get(root)[0] <= LOG_RECORDS_MAX as u64 {
                self.sealing.pending[which] = Some(range);
            }
        }
    }

    /// Seals some of what is over: false if nothing is left.
    pub(super) fn seal_some(&mut self) -> bool {
        let mut words = 0;
        while words < PART_WORDS {
            match self.seal_one(self.sealing.hurries && self.closing.is_some()) {
                ControlFlow::Continue(Some(more)) => words += more,
                ControlFlow::Continue(None) => return false,
                ControlFlow::Break(()) => {
                    if self.sealing.hurries {
                        // They wait for the walk over all blocks.
                        self.sealing.pending = [None; 2];
                    }
                    break;
                }
            }
        }
        true
    }

    /// Exports a part, of the block that is on its way or of the next one. Says how many words, and nothing if nothing was
    /// left; breaks where the reporter has no room. `at_once`: what finds no room is lost.
    fn seal_one(&mut self, at_once: bool) -> ControlFlow<(), Option<usize>> {
        if self.sealing.part.is_some() {
            return ControlFlow::Continue(Some(self.export()));
        }
        let Some((range, which)) = self.next_over() else { return ControlFlow::Continue(None) };
        let side = self.side[which];
        let root = self.slots[range.at()].roots[which][side];
        let plan = self.compiled.plans.of(range);
        if root.is_none() || self.outlet.has_room(plan.export_words_max(PERIODS[which])) {
            self.forget(range, which);
            self.sealing.part = (!root.is_none()).then_some(Part { range, which, epoch: self.at, root, place: Place::default() });
        } else if at_once {
            self.forget(range, which);
            self.refuse(range, which, root);
            return ControlFlow::Continue(Some(REFUSAL_WORDS));
        } else {
            return ControlFlow::Break(());
        }
        // Looking for it costs something too.
        ControlFlow::Continue(Some(PART_WORDS / 64))
    }

    /// A block that is over: of a range that has ended, or the walk's next.
    fn next_over(&self) -> Option<(RangeIndex, usize)> {
        let pending = [FAST, LONG].into_iter().find_map(|which| Some((self.sealing.pending[which]?, which)));
        let (_, next) = pending.is_none().then_some(self.closing).flatten().unwrap_or((Epoch(0), self.at));
        let over = |which: &usize| self.number(*which, next) != self.number(*which, self.at);
        let walk = |which: usize| Some((RangeIndex(self.touched[which][self.side[which]].next(0)?), which));
        pending.or_else(|| [FAST, LONG].into_iter().filter(over).find_map(walk))
    }

    /// The block is no longer its range's: a batch that comes late opens another.
    fn forget(&mut self, range: RangeIndex, which: usize) {
        let side = self.side[which];
        self.slots[range.at()].roots[which][side] = Piece::NONE;
        self.touched[which][side].clear(range.0);
        self.sealing.pending[which].take_if(|pending| *pending == range);
    }

    /// Exports the next piece of the block on its way, and gives its memory back. Says what that cost, in words.
    fn export(&mut self) -> usize {
        let Some(part) = self.sealing.part.take() else { return 0 };
        let Part { range, which, epoch, root, place } = part;
        let compiled = self.coming.of(epoch).unwrap_or(&self.compiled);
        let (plan, period, number) = (compiled.plans.of(range), PERIODS[which], self.number(which, epoch));
        let words = if root.is_none() { &compiled.aside[which] } else { self.roots.get(root) };
        let Some((&[records, starved, _], body)) = words.split_first_chunk::<HEAD_WORDS>() else { return 0 };
        let out = self.outlet.part(&Sealed { period, number, range, records, starved });
        let before = out.len();
        let mut next = plan.export((period, place), PART_WORDS, body, &self.chunks, out);
        let more = out.len() - before;
        plan.release(period, place.stat..next.map_or(usize::MAX, |next| next.stat), body, &mut self.chunks);
        if next.is_none() || self.outlet.is_full() {
            self.outlet.send_part(next.is_some(), next.is_some_and(|next| next.is_cut()));
            next = next.map(Place::elsewhere);
        }
        self.sealing.part = next.map(|place| Part { place, ..part });
        if next.is_some() {
            // Whatever was found in what was looked through.
            return PART_WORDS;
        }
        self.roots.free(root);
        more
    }

    /// A block that the reporter has no room for: its records are told as lost, once.
    fn refuse(&mut self, range: RangeIndex, which: usize, root: Piece) {
        let (plan, period) = (self.compiled.plans.of(range), PERIODS[which]);
        let Some((&[records, _, lost], body)) = self.roots.get(root).split_first_chunk::<HEAD_WORDS>() else { return };
        plan.release(period, 0..usize::MAX, body, &mut self.chunks);
        self.roots.free(root);
        if which == FAST {
            // They lack in the long window too.
            let told = self.losses[0].add(range, Cause::Ring, records);
            self.site.counted -= told;
            let long = self.slots[range.at()].roots[LONG][self.side[LONG]];
            if !long.is_none() {
                self.roots.get_mut(long)[2] += told;
            }
        } else {
            self.losses[0].add(range, Cause::Long, records.saturating_sub(lost));
        }
    }

    /// No root of so many words is left for `range`: one block is sent away, so that a batch's work stays bounded. What is over
    /// goes first; then what is open, which the reporter merges with what comes after. False if the reporter takes nothing, or
    /// nothing is held.
    pub(super) fn make_room(&mut self, range: RangeIndex, words: usize) -> bool {
        while self.sealing.part.is_none() {
            match self.seal_one(false) {
                ControlFlow::Continue(Some(_)) => {}
                ControlFlow::Continue(None) if self.send_open(range, words) => {}
                _ => return false,
            }
        }
        self.end_part();
        true
    }

    fn end_part(&mut self) {
        while self.sealing.part.is_some() {
            self.export();
        }
    }

    /// Sends another range's open block on its way, if there is one and the reporter has room.
    fn send_open(&mut self, but: RangeIndex, words: usize) -> bool {
        let Some((range, which, side)) = self.holder(but, Some(words)).or_else(|| self.holder(but, None)) else { return false };
        let root = self.slots[range.at()].roots[which][side];
        let epoch = if side == self.side[which] { self.at } else { self.sealing.coming };
        if !self.outlet.has_room(self.plans(epoch).of(range).export_words_max(PERIODS[which])) {
            return false;
        }
        self.slots[range.at()].roots[which][side] = Piece::NONE;
        self.touched[which][side].clear(range.0);
        self.sealing.hand = range.0 + 1;
        self.sealing.part = Some(Part { range, which, epoch, root, place: Place::default() });
        true
    }

    /// A range that has a block, of so many words or of any; some in turn are looked at, the open window's first.
    fn holder(&self, but: RangeIndex, words: Option<usize>) -> Option<(RangeIndex, usize, usize)> {
        [LONG, FAST].into_iter().find_map(|which| {
            let open = self.side[which];
            [open, open ^ 1].into_iter().find_map(|side| {
                let touched = &self.touched[which][side];
                let plans = self.plans(if side == open { self.at } else { self.sealing.coming });
                let of = |range: u32| plans.of(RangeIndex(range)).root_words(PERIODS[which]);
                let fits = |range: &u32| *range != but.0 && words.is_none_or(|words| of(*range) == words);
                let some = |from: u32| std::iter::successors(touched.next(from), |at| touched.next(at + 1)).take(HOLDERS_LOOKED_AT);
                let found = some(self.sealing.hand).find(fits).or_else(|| some(0).find(fits));
                found.map(|range| (RangeIndex(range), which, side))
            })
        })
    }

    /// Sends the words that were set aside for a range without a root: a block of one batch.
    pub(super) fn send_aside(&mut self, range: RangeIndex, epoch: Epoch, which: usize) {
        self.sealing.part = Some(Part { range, which, epoch, root: Piece::NONE, place: Place::default() });
        self.end_part();
    }

    /// A worker that has batches of the window after the next, or that comes to the next's end, ends an unfinished walk at
    /// once: there are no more than two windows. A receiving core does not come here: it waits with the next epoch.
    pub(super) fn close_at_once(&mut self) {
        if self.closing.is_some() {
            while matches!(self.seal_one(true), ControlFlow::Continue(Some(_))) {}
        }
        self.flip(true);
    }

    /// All is sealed: say so, and turn to the next epoch. What the reporter has no room for now waits, or is told with the
    /// next epoch's account.
    pub(super) fn flip(&mut self, at_once: bool) {
        let Some((epoch, next)) = self.closing else { return };
        let Self { losses: [ended, _], site, .. } = self;
        ended.tell(&mut |lost| site.lose(lost));
        match self.outlet.closed(epoch, next, &self.site) {
            Sent::Yes => {}
            Sent::Full if at_once => self.later.take_over(&self.site, self.coming.of(next).is_none()),
            Sent::Full => return,
        }
        for which in [FAST, LONG] {
            self.side[which] ^= usize::from(self.number(which, epoch) != self.number(which, next));
        }
        self.losses.swap(0, 1);
        self.site.clear();
        self.sealing.hurries = false;
        std::mem::swap(&mut self.site, &mut self.later);
        (self.at, self.closing) = (next, None);
        if let Some(compiled) = self.coming.follow(next) {
            let old = std::mem::replace(&mut self.compiled, compiled);
            self.coming.give_back(Some(old));
        }
    }
}
