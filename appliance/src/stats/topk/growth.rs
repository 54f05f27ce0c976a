//! How a table grows: more buckets while all keys have a cell, home to their own buckets after that, then twice as many.

use std::ops::Range;

use super::cell::Cell;
use super::cells::PARTS_MAX;
use super::count::tag_of;
use super::shapes::{self, OfShape};
use super::table::{Shape, WORDS_MAX};
use super::{DOUBLINGS_MAX, TopKernel, bucket_mut};
use crate::arch::hash::spread;
use crate::arch::lanes::{Lanes, Usual};
use crate::limits::BATCH_RECORDS_MAX;
use crate::stats::columns::{Row, View};
use crate::stats::pool::{Handle, Memory};

/// Misses of each bucket, on average, at which a table doubles for the first time; each further time, by half of that more.
const DOUBLING_MISSES: u64 = 64;
/// Misses of each bucket, on average, at which scores of all are halved: at each power of two among them, so that keys sent
/// ahead of a flood do not hold a small window's cells. Later each bucket's own contests make them age.
const EARLY_AGEING_MISSES: Range<u64> = 32..4_096;
/// Sixteenths of the memory for sketches that must be free for it: what is there for all is not for the first ones alone.
const DOUBLING_FREE: usize = 14;

/// Rows from turn to turn: those of a full batch.
const TURN_ROWS: u64 = BATCH_RECORDS_MAX as u64;

/// A root's head.
#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) chunk: Handle,
    pub(super) buckets: usize,
    /// Keys of an exact table.
    pub(super) keys: usize,
    pub(super) doublings: u32,
    /// Rows that were counted, all in all.
    pub(super) rows: u64,
    /// Newcomers that found all cells of their buckets taken, up to the last turn; what a half inherits counts for each.
    pub(super) misses: u64,
    /// The same, since then.
    pub(super) fresh_misses: u32,
    /// log2 of the largest weight that keys were thinned by.
    pub(super) thinned: u32,
    /// Keys are at home, and newcomers contest their cells.
    pub(super) contested: bool,
    /// Sums are wide.
    pub(super) wide: bool,
    /// It should have grown and found no memory.
    pub(super) short: bool,
    /// log2 of the largest weight of records, where some were left out since the core had more to do than it could.
    pub(super) shed: u32,
}

impl State {
    pub(super) fn of(head: &[u64]) -> Self {
        let word = head[1];
        let number = |shift: u32, bits: u32| usize::try_from(word >> shift & ((1 << bits) - 1)).unwrap_or(0);
        let small = |shift: u32| u32::try_from(word >> shift & 7).unwrap_or(0);
        Self {
            chunk: Handle::from_word(head[0]),
            buckets: number(0, 20),
            keys: number(20, 20),
            doublings: small(40),
            rows: head[2],
            misses: head[3],
            fresh_misses: u32::try_from(word >> 52 & 127).unwrap_or(0),
            thinned: small(43),
            contested: word >> 46 & 1 == 1,
            wide: word >> 47 & 1 == 1,
            short: word >> 48 & 1 == 1,
            shed: small(49),
        }
    }

    pub(super) fn write(&self, head: &mut [u64]) {
        let flags = [self.contested, self.wide, self.short].iter().enumerate().fold(0, |word, (i, on)| word | u64::from(*on) << (46 + i));
        let small = u64::from(self.doublings) << 40 | u64::from(self.thinned) << 43 | u64::from(self.shed) << 49;
        head[0] = self.chunk.word();
        head[1] = self.buckets as u64 | (self.keys as u64) << 20 | small | flags | u64::from(self.fresh_misses) << 52;
        (head[2], head[3]) = (self.rows, self.misses);
    }

    /// Of rows that are to be counted, those up to the next turn, at each 64th of all: there, misses count and tables
    /// double, so that it happens at the same row wherever batches are cut.
    pub(super) const fn until_turn(&self, rows: u64) -> u64 {
        let some = TURN_ROWS - self.rows % TURN_ROWS;
        let (mut rest, mut n) = (rows, 0);
        if rows.count_ones() as u64 <= some {
            return rows;
        }
        while n < some {
            (rest, n) = (rest & (rest - 1), n + 1);
        }
        rows & !rest
    }

    /// Whether a turn has come, now that so many rows were counted.
    pub(super) fn is_turn(&mut self, counted: u32) -> bool {
        self.rows += u64::from(counted);
        counted > 0 && self.rows.is_multiple_of(TURN_ROWS)
    }

    /// Misses of each bucket, on average, up to the last turn.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "of numbers that are short")]
    pub(super) const fn misses_each(&self) -> u64 {
        // A division of short numbers is the faster one.
        if self.misses <= u32::MAX as u64 { (self.misses as u32 / self.buckets as u32) as u64 } else { self.misses / self.buckets as u64 }
    }

    /// The first word of an export.
    pub(super) fn told(&self, buckets: usize) -> u64 {
        buckets as u64 | u64::from(self.thinned) << 32 | u64::from(self.short) << 40 | u64::from(self.shed) << 48
    }
}

impl TopKernel {
    /// As many buckets as the first batch is about to need, or at least one. False: there is no memory at all.
    pub(super) fn start(&self, state: &mut State, memory: &mut Memory<'_>, (all, view): (&[u64], &View<'_>)) -> bool {
        let before = self.narrow.sums.bound(all);
        let is_calm = memory.pressure() == 0 && before == [0; PARTS_MAX];
        let buckets = if is_calm { self.buckets_of(&self.narrow, 1, view.distinct_least(view.selected())) } else { 1 };
        let Some(chunk) = memory.alloc(buckets * self.narrow.words).or_else(|| memory.alloc(self.narrow.words)) else {
            state.short = true;
            return false;
        };
        let words = memory.pool.get_mut(chunk);
        (state.chunk, state.buckets) = (chunk, self.fit(&self.narrow, words.len()));
        if before != [0; PARTS_MAX] {
            // What found no memory before may be any key's.
            state.contested = true;
            let parts = self.narrow.sums.parts();
            for at in 0..state.buckets {
                self.narrow.missed_mut(bucket_mut(words, &self.narrow, at)).copy_from_slice(&before[..parts]);
            }
        }
        true
    }

    /// Buckets of an exact table in a chunk of so many words.
    fn fit(&self, shape: &Shape, words: usize) -> usize {
        (words / shape.words).min(self.exact_buckets)
    }

    /// Buckets of an exact table that has room for so many keys, or all that it may have: it grows by halves, and so has as
    /// many as it would have if keys came one by one.
    fn buckets_of(&self, shape: &Shape, buckets: usize, keys: usize) -> usize {
        let mut buckets = buckets;
        while shape.room(buckets) < keys && buckets < self.exact_buckets {
            buckets = (buckets + buckets.div_ceil(2)).min(self.exact_buckets);
        }
        buckets
    }

    /// An exact table is full: more buckets for what is left of a batch, or no longer exact.
    pub(super) fn make_room(&self, state: &mut State, memory: &mut Memory<'_>, view: &View<'_>, left: u64) {
        let (shape, pressure) = (self.shape(*state), memory.pressure());
        let least = self.buckets_of(shape, state.buckets, state.keys + 1);
        if state.keys >= self.exact_keys || least == state.buckets {
            return self.go_home(state, memory);
        }
        let more = if pressure == 0 { self.new_least(state, memory, view, left) } else { 1 };
        let wanted = self.buckets_of(shape, least, state.keys + more);
        let refused = is_thinned(&view.row(left.trailing_zeros() as usize), state.keys as u64, pressure);
        if refused {
            state.thinned = state.thinned.max(pressure);
        } else if self.rebuild(state, memory, wanted, state.wide) || least < wanted && self.rebuild(state, memory, least, state.wide) {
            return;
        } else {
            state.short = true;
        }
        self.go_home(state, memory);
    }

    /// How many keys of these rows an exact table lacks, at least.
    fn new_least(&self, state: &State, memory: &Memory<'_>, view: &View<'_>, left: u64) -> usize {
        let (shape, words) = (self.shape(*state), memory.pool.get(state.chunk));
        view.distinct_least(shapes::run(Lacking { words, buckets: state.buckets, view, rows: left }, shape))
    }

    /// What is done at a turn: scores age, and the table doubles, if buckets missed so many since.
    pub(super) fn turn(&self, state: &mut State, memory: &mut Memory<'_>) {
        let before = state.misses_each();
        state.misses += u64::from(std::mem::take(&mut state.fresh_misses));
        let after = state.misses_each();
        if before == after {
            return;
        }
        if before.leading_zeros() != after.leading_zeros() && EARLY_AGEING_MISSES.contains(&after) {
            let (shape, words) = (self.shape(*state), memory.pool.get_mut(state.chunk));
            words.chunks_exact_mut(shape.words).take(state.buckets).for_each(|bucket| shape.halve_scores(bucket));
        }
        self.consider_doubling(state, memory);
    }

    /// Buckets missed so many that there should be more of them, if there may be.
    fn consider_doubling(&self, state: &mut State, memory: &mut Memory<'_>) {
        let misses = DOUBLING_MISSES + DOUBLING_MISSES / 2 * u64::from(state.doublings);
        let may_double = 2 * state.buckets <= self.buckets_max() && state.doublings <= DOUBLINGS_MAX;
        if state.misses_each() < misses || !may_double || memory.free_sixteenths() < DOUBLING_FREE {
            return;
        }
        if self.rebuild(state, memory, 2 * state.buckets, state.wide) {
            state.doublings += 1;
            state.misses *= 2;
        } else {
            state.short = true;
        }
    }

    /// Moves all cells into a new chunk of so many buckets. False: there is no memory.
    pub(super) fn rebuild(&self, state: &mut State, memory: &mut Memory<'_>, buckets: usize, wide: bool) -> bool {
        let (old, shape) = (state.chunk, *self.shape(*state));
        let new_shape = if wide { &self.wide } else { &self.narrow };
        let Some(new) = memory.alloc(buckets * new_shape.words) else { return false };
        let (from, to) = memory.pool.get_two_mut(old, new);
        let buckets = if state.contested { buckets } else { self.fit(new_shape, to.len()).max(buckets) };
        if state.contested {
            for at in 0..buckets {
                let parent = bucket_mut(from, &shape, at * state.buckets / buckets);
                let child = bucket_mut(to, new_shape, at);
                let missed = new_shape.missed_mut(child);
                missed.copy_from_slice(&shape.missed_parts(parent)[..missed.len()]);
                // Halves have free cells.
                if buckets == state.buckets {
                    Shape::close_as(child, parent);
                }
            }
        }
        let contested = state.contested;
        if shape.sums == new_shape.sums {
            shapes::run(Moving { from, old_buckets: state.buckets, to, buckets, contested }, &shape);
        } else {
            for bucket in from.chunks_exact(shape.words).take(state.buckets) {
                for cell in (0..shape.ways).filter_map(|way| shape.read(bucket, way)) {
                    move_cell(cell, (new_shape, to), buckets, contested);
                }
            }
        }
        memory.pool.free(old);
        (state.chunk, state.buckets, state.wide) = (new, buckets, wide);
        true
    }

    /// Puts each key into its own bucket, in place; from now on newcomers contest the cells.
    pub(super) fn go_home(&self, state: &mut State, memory: &mut Memory<'_>) {
        let shape = self.shape(*state);
        let words = memory.pool.get_mut(state.chunk);
        state.contested = true;
        if self.derives_scores(shape) {
            let buckets = words.chunks_exact_mut(shape.words).take(state.buckets);
            buckets.for_each(|bucket| shape.score_all(bucket, |parts| self.derived_score(parts)));
        }
        for at in 0..state.buckets {
            for way in 0..shape.ways {
                let bucket = bucket_mut(words, shape, at);
                if Shape::bucket_of(Shape::tag(bucket, way), state.buckets) == at {
                    continue;
                }
                let Some(cell) = shape.read(bucket, way) else { continue };
                shape.clear(bucket, way);
                send_home(words, shape, state.buckets, cell);
            }
        }
        let mut spare = [0; WORDS_MAX];
        words.chunks_exact_mut(shape.words).take(state.buckets).for_each(|bucket| shape.sort(bucket, &mut spare));
    }
}

/// Of some rows, those whose tags an exact table lacks.
struct Lacking<'a, 'v> {
    words: &'a [u64],
    buckets: usize,
    view: &'a View<'v>,
    rows: u64,
}

impl OfShape for Lacking<'_, '_> {
    type Out = u64;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, shape: &Shape) -> u64 {
        let Self { words, buckets, view, rows } = self;
        let (mut left, mut lacking) = (rows, rows);
        while left != 0 {
            let bit = left & left.wrapping_neg();
            let tag = tag_of(view.hash(bit.trailing_zeros() as usize));
            left ^= bit;
            let mut at = Shape::bucket_of(tag, buckets);
            for _ in 0..buckets {
                let bucket = &words[at * shape.words..][..shape.words];
                if shape.has_tag(lanes, bucket, tag) {
                    lacking ^= bit;
                    break;
                }
                if shape.free(lanes, bucket).is_some() {
                    break;
                }
                at = if at + 1 == buckets { 0 } else { at + 1 };
            }
        }
        lacking
    }
}

/// Moves all cells into a larger table whose cells lie alike.
struct Moving<'a> {
    from: &'a [u64],
    old_buckets: usize,
    to: &'a mut [u64],
    buckets: usize,
    contested: bool,
}

impl OfShape for Moving<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, shape: &Shape) {
        let Self { from, old_buckets, to, buckets, contested } = self;
        for bucket in from.chunks_exact(shape.words).take(old_buckets) {
            let mut held = shape.held_ways(lanes, bucket);
            while held != 0 {
                let way = held.trailing_zeros() as usize;
                held &= held - 1;
                let mut at = Shape::bucket_of(Shape::tag(bucket, way), buckets);
                loop {
                    let home = bucket_mut(to, shape, at);
                    // Of a contested one the halves of a bucket always have room.
                    if let Some(free) = shape.free(lanes, home) {
                        break shape.copy(bucket, way, home, free);
                    }
                    if contested {
                        break;
                    }
                    at = if at + 1 == buckets { 0 } else { at + 1 };
                }
            }
        }
    }
}

/// Moves a cell into a table whose cells lie differently: where it is contested into its own bucket, else into the next that
/// has room.
fn move_cell(cell: Cell, (shape, to): (&Shape, &mut [u64]), buckets: usize, contested: bool) {
    let mut at = Shape::bucket_of(cell.tag, buckets);
    loop {
        let home = bucket_mut(to, shape, at);
        if contested || shape.free(Usual, home).is_some() {
            return settle(shape, home, cell);
        }
        at = if at + 1 == buckets { 0 } else { at + 1 };
    }
}

/// Puts a cell into its own bucket; who is there and not at home goes on, so this ends.
fn send_home(words: &mut [u64], shape: &Shape, buckets: usize, cell: Cell) {
    let mut cell = cell;
    loop {
        let home = Shape::bucket_of(cell.tag, buckets);
        let bucket = bucket_mut(words, shape, home);
        let guest = (0..shape.ways).find(|way| Shape::bucket_of(Shape::tag(bucket, *way), buckets) != home);
        let guest = guest.filter(|_| shape.free(Usual, bucket).is_none()).and_then(|way| Some((way, shape.read(bucket, way)?)));
        let Some((way, next)) = guest else { return settle(shape, bucket, cell) };
        shape.write(bucket, way, &cell);
        cell = next;
    }
}

/// Puts a cell into a bucket, or the lightest one there into U: of those that weigh the same the one whose tag and key are the
/// smallest, so that who stays does not depend on who came first.
fn settle(shape: &Shape, bucket: &mut [u64], cell: Cell) {
    if let Some(way) = shape.free(Usual, bucket) {
        return shape.write(bucket, way, &cell);
    }
    let Some(least) = (0..shape.ways).min_by_key(|way| shape.rank(bucket, *way)) else { return };
    let mut out = cell.total(shape.sums);
    if shape.rank(bucket, least) < (out.total(), cell.tag, &cell.key[..shape.halves]) {
        out = shape.total(bucket, least);
        shape.write(bucket, least, &cell);
    }
    shape.sums.miss_sum(shape.missed_mut(bucket), &out);
}

/// Whether a key is refused under pressure: all but one in 2^`pressure`, drawn from the keyed hash and a count.
#[inline(always)]
pub(super) fn is_thinned(row: &Row<'_>, count: u64, pressure: u32) -> bool {
    pressure > 0 && spread(row.hash.rotate_left(17) ^ count.wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 20 & ((1 << pressure) - 1) != 0
}
