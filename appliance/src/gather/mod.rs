//! Records → batches of one range.
//!
//! Touching a range's stats packet by packet costs a cache miss each; a batch of up to 64 records touches them once.
//! What a range has not handed on yet is a chain of segments from one pool: small ones first, so that tens of thousands of
//! ranges stay small, then such as hold a batch, which is worked on where it lies.
//! The chain is also the smallest exact form of all the range's stats: up to [`LOG_RECORDS_MAX`] records of a window are
//! kept as they are, and most ranges of most windows need no block before their window ends. A range that has more is ripe:
//! it waits for its turn, opens its block and hands on all that it has, batch after batch, while the block is at hand; and so
//! again each time that it has as many. Turns go by records, never by time: a replay cuts the same batches in the same order. An
//! empty pool hands on early what it holds, it never drops.
//!
//! Two epochs can be alive: the open one, and the one before, whose chains are handed on when [`Gather::step`] comes by,
//! in the order of ranges.

mod append;
pub mod bits;
mod chain;
mod desk;
pub mod packed;
mod ripe;
#[cfg(test)]
mod scarce_tests;
mod segments;
mod stage;
pub mod usual;
#[cfg(test)]
mod tests;

use crate::arch::{Region, Reserve};
use crate::limits::BATCH_WORDS_MAX;
use crate::telemetry::PartFigures;
use crate::units::{Epoch, RangeIndex};

use bits::Bits;
use chain::{Chain, DESK, DRAIN_RECORDS, EMPTY, Fit, LOTS_SHIFT, Lengths, RIPE, RUNS, WIDE};
use packed::{Batch, Form, Layout};
use ripe::Ripe;
use segments::{Segments, Size, Sizes};
pub use stage::{Cause, LossOfRange, Lost, Stage};

/// Ranges whose chains one step hands on, where their stats are another core's: a few microseconds.
const STEP_RANGES: usize = 4;
/// Steps over ranges that hold no record, at a stretch: a few microseconds.
const EMPTY_STEPS: usize = 128;
/// Records that come for one batch of the ripe range whose turn it is: half as many as it has.
const TURN_RECORDS: u32 = 32;
/// Ranges among which one with a batch is looked for where the pool is empty.
const HOLDERS_LOOKED_AT: usize = 32;
/// Records of a range that wait at most for a walk to end: as many as a chain counts, with room to hand on the first of them.
const HELD_RECORDS_MAX: usize = (u16::MAX as usize / DRAIN_RECORDS - 1) * DRAIN_RECORDS;

/// What one core has gathered.
pub struct Gather {
    /// Of each side's epoch: how its records are packed, and how they lie.
    layouts: [Layout; 2],
    fits: [[Fit; 2]; 2],
    /// Of each side, every range's.
    chains: [Vec<Chain>; 2],
    segments: Segments,
    /// As there is memory.
    lengths: Lengths,
    /// Ranges that were touched in an epoch, and those that hold a segment which another may use: more than a desk.
    touched: [Bits; 2],
    holding: [Bits; 2],
    /// Where the walk over the old epoch is, and where the pool last asked for segments.
    walked: u32,
    hand: u32,
    side: usize,
    epochs: [Epoch; 2],
    walking: bool,
    /// Ranges of the walk: all, and those that it has behind it.
    to_walk: usize,
    gone: usize,
    /// No batch of the open epoch is handed on before the walk is over.
    held: bool,
    /// Since the last poll appended records have driven the walk on.
    driven: bool,
    ripe: Ripe,
    whole: Box<[u64]>,
    /// Records handed on since the start because the pool was empty.
    early: u64,
    /// Batches handed on since the start.
    handed: u64,
}

impl Gather {
    /// For so many ranges, with segments of at most so many bytes.
    pub fn new(ranges: usize, bytes_max: usize, layout: &Layout) -> Self {
        Self::reserved(ranges, bytes_max, layout, Reserve::Lazily)
    }

    /// See [`Self::new`]; its memory may be there from the start.
    pub fn reserved(ranges: usize, bytes_max: usize, layout: &Layout, reserve: Reserve) -> Self {
        // A walk's too; none where records have more than desks hold.
        let desks_max = if layout.is_bare() { 2 * ranges } else { 0 };
        let segments = Segments::new(bytes_max, desks_max, Sizes::of(layout), reserve);
        Self {
            layouts: [*layout; 2],
            fits: [Fit::both(layout, segments.sizes()); 2],
            chains: [vec![EMPTY; ranges], vec![EMPTY; ranges]],
            segments,
            lengths: Lengths::PLENTY,
            touched: [Bits::new(ranges), Bits::new(ranges)],
            holding: [Bits::new(ranges), Bits::new(ranges)],
            walked: 0,
            hand: 0,
            side: 0,
            epochs: [Epoch::default(); 2],
            walking: false,
            to_walk: 0,
            gone: 0,
            held: false,
            driven: false,
            ripe: Ripe::new(ranges),
            whole: vec![0; BATCH_WORDS_MAX].into_boxed_slice(),
            early: 0,
            handed: 0,
        }
    }

    /// The records of the open epoch, of which there is none yet, are packed so.
    pub fn pack_as(&mut self, layout: &Layout) {
        self.layouts[self.side] = *layout;
        self.fits[self.side] = Fit::both(layout, self.segments.sizes());
    }

    /// Bytes that a core needs for each range, touched or not: its chains, its place among ripe ones, and four bits with their
    /// summaries.
    pub const RANGE_BYTES: usize = size_of::<[Chain; 2]>() + size_of::<u32>() + 1;

    /// Opens the next epoch. Call [`Self::step`] until it is done before the one after.
    pub fn advance(&mut self, next: Epoch) {
        let (old, new) = (self.side, self.side ^ 1);
        self.side = new;
        self.epochs[new] = next;
        self.fits[new] = self.fits[old];
        self.layouts[new] = self.layouts[old];
        (self.walking, self.walked, self.hand) = (true, 0, 0);
        // They are of the epoch that the walk goes over.
        self.ripe.clear();
        (self.to_walk, self.gone) = (self.touched[old].count(), 0);
    }

    /// Hands on some batches of the epoch before; false when none is left. What a range's end begins comes before the next
    /// range. To be called once a poll.
    pub fn step(&mut self, stage: &mut impl Stage) -> bool {
        self.driven = false;
        self.walk_on(stage, stage.walk_records_max())
    }

    /// The same for who is late: where this core works on it, twice as much at a stretch.
    pub fn stride(&mut self, stage: &mut impl Stage) -> bool {
        self.driven = false;
        self.walk_on(stage, stage.walk_records_max().map(|most| 2 * most))
    }

    fn walk_on(&mut self, stage: &mut impl Stage, records_max: Option<usize>) -> bool {
        for _ in 0..STEP_RANGES {
            if !self.hand_on_old(stage, records_max) {
                self.walking = false;
                if self.held {
                    self.let_go(stage);
                }
                return false;
            }
            if records_max.is_some() || stage.is_busy() {
                break;
            }
        }
        true
    }

    /// Whether chains of the epoch before are left.
    pub const fn is_walking(&self) -> bool {
        self.walking
    }

    /// Ranges that the walk has behind it, and all of it.
    pub const fn walked(&self) -> (usize, usize) {
        (self.gone, self.to_walk)
    }

    /// Bytes of logs.
    pub fn memory(&self) -> PartFigures {
        self.segments.figures()
    }

    /// What logs take of the system.
    pub const fn region(&self) -> &Region {
        self.segments.region()
    }

    /// Records handed on since the start because the pool was empty.
    pub const fn early(&self) -> u64 {
        self.early
    }

    /// Batches handed on since the start.
    pub const fn handed(&self) -> u64 {
        self.handed
    }

    /// One batch of the next range of the epoch before, or its end; false when no range is left.
    fn hand_on_old(&mut self, stage: &mut impl Stage, records_max: Option<usize>) -> bool {
        let (side, old) = (self.side, self.side ^ 1);
        let Some(range) = self.touched[old].next(self.walked) else { return false };
        self.walked = range;
        let chain = self.chains[old][range as usize];
        let most = self.fit(old, chain.form()).up_to(records_max);
        let last = usize::from(chain.count) <= most;
        if chain.count > 0 {
            self.hand_on_some(range, (old, most), last.then_some(self.epochs[side]), stage);
        } else {
            stage.passed(RangeIndex(range), self.epochs[old], self.epochs[side]);
        }
        if last {
            self.gone += 1;
            self.touched[old].clear(range);
            self.chains[old][range as usize] = EMPTY;
        }
        self.prefetch_old(old, records_max);
        true
    }

    /// Asks for what the walk hands on next.
    fn prefetch_old(&self, side: usize, records_max: Option<usize>) {
        let Some(range) = self.touched[side].next(self.walked) else { return };
        let chain = self.chains[side][range as usize];
        let fit = self.fit(side, chain.form());
        self.segments.prefetch_batch(chain.first, fit.up_to(records_max).min(chain.count.into()) * fit.words);
    }

    #[inline]
    const fn fit(&self, side: usize, form: Form) -> Fit {
        self.fits[side][form as usize]
    }

    /// A further segment for a range's chain, which it may begin; none if there is none that may be freed.
    fn extend(&mut self, range: u32, form: Form, stage: &mut impl Stage) -> Option<Chain> {
        let side = self.side;
        if self.chains[side][range as usize].is_at_desk() {
            return self.clear_desk(range, stage);
        }
        let segment = self.take_for(range, form, stage)?;
        // Taking may have handed on this very chain.
        if self.chains[side][range as usize].count == 0 {
            self.begin(range, form, segment);
        } else {
            self.lengthen(range, segment);
        }
        Some(self.chains[side][range as usize])
    }

    /// A chain that holds nothing begins there.
    fn begin(&mut self, range: u32, form: Form, segment: u32) {
        let (side, wide, start) = (self.side, if form == Form::Wide { WIDE } else { 0 }, self.segments.start(segment));
        let desk = self.note(segment);
        let chain = &mut self.chains[side][range as usize];
        *chain = Chain { first: start, next: start, flags: chain.flags & (RUNS | RIPE) | wide | desk, ..EMPTY };
        self.touched[side].set(range);
        if desk == 0 {
            self.holding[side].set(range);
        }
    }

    /// A chain whose last segment is full goes on there.
    fn lengthen(&mut self, range: u32, segment: u32) {
        let start = self.segments.start(segment);
        let chain = self.chains[self.side][range as usize];
        self.segments.link(self.segments.of_word(chain.next - 1).0, segment);
        let flags = chain.flags | self.note(segment);
        let lot = if flags & DESK != 0 { chain.next } else { 0 };
        self.chains[self.side][range as usize] = Chain { next: start, lot, flags, ..chain };
    }

    fn take(&mut self, size: Size, stage: &mut impl Stage) -> Option<u32> {
        self.lengths = if self.segments.is_half_full() { Lengths::SCARCE } else { Lengths::PLENTY };
        loop {
            let segment = self.segments.take(size);
            if segment.is_some() || !self.hand_on_early(stage) {
                return segment;
            }
        }
    }

    /// The pool is empty: a batch of the old epoch, or else of the open one. False if all that is left is held.
    fn hand_on_early(&mut self, stage: &mut impl Stage) -> bool {
        let old = self.side ^ 1;
        let side = if self.holding[old].is_empty() { self.side } else { old };
        // What the walk has before it holds no record: that is soon done.
        if side == self.side && self.held && !self.hasten(EMPTY_STEPS, stage) {
            return false;
        }
        let Some(range) = self.next_holder(side) else { return false };
        self.early += u64::from(self.chains[side][range as usize].count.min(64));
        self.hand_on(range, side, None, stage);
        // All batches that a range has go to the block that it opened for one.
        self.hand = range + u32::from(!self.has_batch(range, side));
        true
    }

    /// The next range with a batch, or the next if there is none nearby: few blocks are opened for what is freed.
    fn next_holder(&self, side: usize) -> Option<u32> {
        let holding = &self.holding[side];
        let first = holding.next(self.hand).or_else(|| holding.next(0))?;
        let mut some = std::iter::successors(Some(first), |range| holding.next(range + 1)).take(HOLDERS_LOOKED_AT);
        some.find(|range| self.has_batch(*range, side)).or(Some(first))
    }

    /// Whether a range's chain has a whole batch.
    #[inline]
    fn has_batch(&self, range: u32, side: usize) -> bool {
        let chain = self.chains[side][range as usize];
        usize::from(chain.count) >= self.fit(side, chain.form()).batch
    }

    fn hand_on_all(&mut self, range: u32, stage: &mut impl Stage) {
        while self.chains[self.side][range as usize].count > 0 {
            self.hand_on(range, self.side, None, stage);
        }
    }

    /// Hands on a full batch of a chain, or what it has.
    fn hand_on(&mut self, range: u32, side: usize, ends: Option<Epoch>, stage: &mut impl Stage) {
        let most = self.fit(side, self.chains[side][range as usize].form()).batch;
        self.hand_on_some(range, (side, most), ends, stage);
    }

    /// Gives away the first records of a chain, so many at most.
    fn hand_on_some(&mut self, range: u32, (side, most): (usize, usize), ends: Option<Epoch>, stage: &mut impl Stage) {
        let chain = self.chains[side][range as usize];
        let form = chain.form();
        let (fit, flags) = (self.fit(side, form), chain.flags | RUNS);
        let len = usize::from(chain.count).min(most);
        let left = chain.count - u16::try_from(len).unwrap_or(chain.count);
        let (is_whole, first) = self.cut(chain, (len, left == 0), fit);
        if left == 0 {
            self.chains[side][range as usize] = Chain { flags: flags & (WIDE | RUNS | RIPE), ..EMPTY };
            self.holding[side].clear(range);
        } else {
            let is_gone = chain.flags & DESK != 0 && self.segments.of_word(first).1 == Size::Desk;
            let (lot, lots) = if is_gone { (0, u8::MAX << LOTS_SHIFT) } else { (chain.lot, 0) };
            if is_gone {
                self.holding[side].clear(range);
            }
            self.chains[side][range as usize] = Chain { first, lot, count: left, flags: flags & !lots, ..chain };
        }
        let words = len * fit.words;
        // Of a segment that is free now: nothing is taken before this is done.
        let words = if is_whole { self.segments.at(chain.first, words) } else { &self.whole[..words] };
        self.handed += 1;
        stage.batch(RangeIndex(range), self.epochs[side], &Batch { form, len, words, ends });
    }

    /// Frees the segments of a chain's first records, which may be all, where nothing else is in them. Whether these lie one behind
    /// the other, or else were put together; and where the first is that stays.
    fn cut(&mut self, chain: Chain, (len, is_all): (usize, bool), fit: Fit) -> (bool, u32) {
        let (mut at, mut done) = (chain.first, 0);
        let is_whole = len <= self.behind(chain, at, fit);
        while done < len {
            let (here, (segment, _)) = (self.behind(chain, at, fit), self.segments.of_word(at));
            let some = here.min(len - done);
            if !is_whole {
                self.whole[done * fit.words..][..some * fit.words].copy_from_slice(self.segments.at(at, some * fit.words));
            }
            done += some;
            let is_last = is_all && done == len;
            if some == here || is_last {
                at = if is_last { 0 } else { self.segments.start(self.segments.next(segment)) };
                self.segments.free(segment);
            } else {
                at += fit.step * u32::try_from(some).unwrap_or(0);
            }
        }
        (is_whole, at)
    }

    /// Records that a segment of a chain has from a word on, or has room for where that is its last.
    fn behind(&self, chain: Chain, at: u32, fit: Fit) -> usize {
        let (segment, size) = self.segments.of_word(at);
        // What is before a desk need not be full.
        if chain.flags & DESK != 0 && chain.lot > at && self.segments.of_word(chain.lot - 1).0 == segment {
            return ((chain.lot - at) / fit.step) as usize;
        }
        fit.records[size as usize] - ((at - self.segments.start(segment)) / fit.step) as usize
    }
}
