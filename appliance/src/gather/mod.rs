//! Records → batches of one range.
//!
//! Touching a range's stats packet by packet costs a cache miss each; a batch of up to 64 records touches them once.
//! What a range has not handed on yet is a chain of small segments from one pool, so that tens of thousands stay small.
//! The chain is also the smallest exact form of all the range's stats: up to [`LOG_RECORDS_MAX`] records of a window are
//! kept as they are, and most ranges of most windows need no block before their window ends. A range that has more is ripe:
//! it waits for its turn, opens its block and hands on all that it has, batch after batch, while the block is at hand; and so
//! again with each [`RIPE_RECORDS`]. Turns go by records, never by time: a replay cuts the same batches in the same order. An
//! empty pool hands on early what it holds, it never drops.
//!
//! Two epochs can be alive: the open one, and the one before, whose chains are handed on when [`Gather::step`] comes by,
//! in the order of ranges.

mod append;
pub mod bits;
pub mod packed;
mod ripe;
mod segments;
mod stage;
pub mod usual;
#[cfg(test)]
mod tests;

use crate::arch::{Region, Reserve};
use crate::limits::{BATCH_RECORDS_MAX, BATCH_WORDS_MAX, LOG_RECORDS_MAX, RIPE_RECORDS, SEGMENT_RECORDS};
use crate::telemetry::PartFigures;
use crate::units::{Epoch, RangeIndex};

use bits::Bits;
use packed::{Batch, Form, Layout};
use ripe::Ripe;
use segments::{NONE, Segments};
pub use stage::{Cause, LossOfRange, Lost, Stage};

/// Ranges whose chains one step hands on, where their stats are another core's: a few microseconds.
const STEP_RANGES: usize = 4;
/// Steps over ranges that hold no record, at a stretch: a few microseconds.
const EMPTY_STEPS: usize = 128;
/// A range that cannot wait for its turn hands a batch on at each multiple of so many records, if it has as many.
const DRAIN_RECORDS: usize = BATCH_RECORDS_MAX / 2;
/// A ripe range that has to wait so long that it has so many hands batches on by itself.
const WAITING_RECORDS_MAX: usize = 2 * LOG_RECORDS_MAX;
/// Records that come for one batch of the ripe range whose turn it is: half as many as it has.
const TURN_RECORDS: u32 = 32;
/// Records of a range that wait at most for a walk to end: as many as a chain counts, with room to hand on the first of them.
const HELD_RECORDS_MAX: usize = (u16::MAX as usize / DRAIN_RECORDS - 1) * DRAIN_RECORDS;

/// What a range has gathered of one epoch.
#[derive(Clone, Copy)]
struct Chain {
    head: u32,
    /// Word of the segments where its next record goes, if it has one.
    next: u32,
    /// Records.
    count: u16,
    /// Narrow records that go there, one behind the other, with nothing else to be done.
    room: u8,
    /// [`WIDE`], [`RUNS`], [`RIPE`].
    flags: u8,
}

/// The records are in the wide form.
const WIDE: u8 = 1;
/// Some were handed on: batches run as they fill.
const RUNS: u8 = 2;
/// It waits for its turn to be handed on.
const RIPE: u8 = 4;

const EMPTY: Chain = Chain { head: NONE, next: 0, count: 0, room: 0, flags: 0 };

impl Chain {
    const fn form(self) -> Form {
        if self.flags & WIDE == 0 { Form::Narrow } else { Form::Wide }
    }

    /// Records with which it is to be looked at: as many as a log holds; or where it has a block, as many as are worth fetching
    /// that for; or if it waits for its turn already, very many, and each so many more.
    const fn asks_at(self) -> usize {
        match self.flags & (RUNS | RIPE) {
            0 => LOG_RECORDS_MAX,
            RUNS => RIPE_RECORDS,
            _ if (self.count as usize) < WAITING_RECORDS_MAX => WAITING_RECORDS_MAX,
            _ => (self.count as usize / DRAIN_RECORDS + 1) * DRAIN_RECORDS,
        }
    }

    /// Whether it is to be looked at, now that a record came.
    const fn asks(self) -> bool {
        let before = Self { count: self.count - 1, ..self };
        self.count as usize >= before.asks_at()
    }
}

/// How records of one form lie in segments.
#[derive(Clone, Copy)]
struct Fit {
    words: usize,
    /// The same, where words are numbered.
    step: u32,
    /// Records of a segment.
    segment: usize,
    /// Records of a batch: whole segments.
    batch: usize,
}

impl Fit {
    fn new(layout: &Layout, form: Form, segment_words: usize) -> Self {
        let words = layout.words(form);
        let segment = (segment_words / words).min(BATCH_RECORDS_MAX);
        let batch = BATCH_RECORDS_MAX.min(BATCH_WORDS_MAX / words);
        let step = u32::try_from(words).unwrap_or(u32::MAX);
        Self { words, step, segment, batch: batch / segment * segment }
    }

    /// Records of a batch that has no more than so many: whole segments.
    fn up_to(self, records_max: Option<usize>) -> usize {
        records_max.map_or(self.batch, |most| (most / self.segment * self.segment).clamp(self.segment, self.batch))
    }

    /// Of both forms.
    fn both(layout: &Layout, segment_words: usize) -> [Self; 2] {
        [Form::Narrow, Form::Wide].map(|form| Self::new(layout, form, segment_words))
    }
}

/// What one core has gathered.
pub struct Gather {
    /// Of each side's epoch: how its records are packed, and how they lie.
    layouts: [Layout; 2],
    fits: [[Fit; 2]; 2],
    segment_words: usize,
    chains: Vec<[Chain; 2]>,
    segments: Segments,
    /// Ranges that were touched in an epoch, and those that hold records.
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
}

impl Gather {
    /// For so many ranges, with segments of at most so many bytes.
    pub fn new(ranges: usize, bytes_max: usize, layout: &Layout) -> Self {
        Self::reserved(ranges, bytes_max, layout, Reserve::Lazily)
    }

    /// See [`Self::new`]; its memory may be there from the start.
    pub fn reserved(ranges: usize, bytes_max: usize, layout: &Layout, reserve: Reserve) -> Self {
        let segment_words = Self::segment_words(layout);
        let segments = (bytes_max / (segment_words * 8 + size_of::<u32>())).clamp(2 * BATCH_RECORDS_MAX, Segments::most(segment_words));
        Self {
            layouts: [*layout; 2],
            fits: [Fit::both(layout, segment_words); 2],
            segment_words,
            chains: vec![[EMPTY; 2]; ranges],
            segments: Segments::new(segments, segment_words, reserve),
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
        }
    }

    /// Words of a segment: eight usual records of the first layout, or one of any.
    fn segment_words(layout: &Layout) -> usize {
        (SEGMENT_RECORDS * layout.words(Form::Narrow)).max(Layout::WORDS_MAX)
    }

    /// The records of the open epoch, of which there is none yet, are packed so.
    pub fn pack_as(&mut self, layout: &Layout) {
        self.layouts[self.side] = *layout;
        self.fits[self.side] = Fit::both(layout, self.segment_words);
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
        self.walk_on(stage)
    }

    fn walk_on(&mut self, stage: &mut impl Stage) -> bool {
        let records_max = stage.walk_records_max();
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

    /// One batch of the next range of the epoch before, or its end; false when no range is left.
    fn hand_on_old(&mut self, stage: &mut impl Stage, records_max: Option<usize>) -> bool {
        let (side, old) = (self.side, self.side ^ 1);
        let Some(range) = self.touched[old].next(self.walked) else { return false };
        self.walked = range;
        let chain = self.chains[range as usize][old];
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
            self.chains[range as usize][old] = EMPTY;
        }
        true
    }

    #[inline]
    const fn fit(&self, side: usize, form: Form) -> Fit {
        self.fits[side][form as usize]
    }

    /// A further segment for a range's chain, which it may begin; none if there is none that may be freed.
    fn extend(&mut self, range: u32, form: Form, stage: &mut impl Stage) -> Option<Chain> {
        let segment = self.take(stage)?;
        let side = self.side;
        // Taking may have handed on this very chain.
        let chain = &mut self.chains[range as usize][side];
        if chain.count == 0 {
            let wide = if form == Form::Wide { WIDE } else { 0 };
            (chain.head, chain.flags) = (segment, chain.flags & (RUNS | RIPE) | wide);
            self.touched[side].set(range);
            self.holding[side].set(range);
        } else {
            self.segments.link(self.segments.before(chain.next), segment);
        }
        chain.next = self.segments.start(segment);
        Some(*chain)
    }

    fn take(&mut self, stage: &mut impl Stage) -> Option<u32> {
        loop {
            let segment = self.segments.take();
            if segment.is_some() || !self.hand_on_early(stage) {
                return segment;
            }
        }
    }

    /// The pool is empty: a batch of the old epoch, or else of the range that has waited longest. False if all that is left is
    /// held.
    fn hand_on_early(&mut self, stage: &mut impl Stage) -> bool {
        let old = self.side ^ 1;
        let side = if self.holding[old].is_empty() { self.side } else { old };
        // What the walk has before it holds no record: that is soon done.
        if side == self.side && self.held && !self.hasten(EMPTY_STEPS, stage) {
            return false;
        }
        let Some(range) = self.holding[side].next(self.hand).or_else(|| self.holding[side].next(0)) else { return false };
        self.hand = range + 1;
        self.early += u64::from(self.chains[range as usize][side].count.min(64));
        self.hand_on(range, side, None, stage);
        true
    }

    fn hand_on_all(&mut self, range: u32, stage: &mut impl Stage) {
        while self.chains[range as usize][self.side].count > 0 {
            self.hand_on(range, self.side, None, stage);
        }
    }

    /// Hands on a full batch of a chain, or what it has.
    fn hand_on(&mut self, range: u32, side: usize, ends: Option<Epoch>, stage: &mut impl Stage) {
        let most = self.fit(side, self.chains[range as usize][side].form()).batch;
        self.hand_on_some(range, (side, most), ends, stage);
    }

    /// Copies the first records of a chain, so many at most, into one piece, frees their segments and gives them away.
    fn hand_on_some(&mut self, range: u32, (side, most): (usize, usize), ends: Option<Epoch>, stage: &mut impl Stage) {
        let chain = self.chains[range as usize][side];
        let form = chain.form();
        let fit = self.fit(side, form);
        let len = usize::from(chain.count).min(most);
        let (mut at, mut last, mut segments) = (chain.head, chain.head, 0);
        for piece in self.whole[..len * fit.words].chunks_mut(fit.segment * fit.words) {
            piece.copy_from_slice(&self.segments.words(at)[..piece.len()]);
            (last, segments) = (at, segments + 1);
            at = self.segments.next(at);
        }
        self.segments.free(chain.head, last, segments);
        let left = chain.count - u16::try_from(len).unwrap_or(chain.count);
        let flags = chain.flags | RUNS;
        self.chains[range as usize][side] =
            if left == 0 { Chain { flags, ..EMPTY } } else { Chain { head: at, count: left, flags, ..chain } };
        if left == 0 {
            self.holding[side].clear(range);
        }
        let batch = Batch { form, len, words: &self.whole[..len * fit.words], ends };
        stage.batch(RangeIndex(range), self.epochs[side], &batch);
    }
}
