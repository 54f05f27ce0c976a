//! How a table grows: more buckets while all keys have a cell, home to their own buckets after that, then twice as many.

use super::cells::PARTS_MAX;
use super::table::{Cell, Shape};
use super::{DOUBLINGS_MAX, TopKernel, bucket_mut};
use crate::arch::hash::spread;
use crate::stats::columns::Row;
use crate::stats::pool::{Handle, Memory};

/// Misses of a bucket at which a table doubles for the first time; each further time, by half of that more.
const DOUBLING_MISSES: u32 = 96;
/// Sixteenths of the memory for sketches that must be free for it: what is there for all is not for the first ones alone.
const DOUBLING_FREE: usize = 14;
/// How often it is asked whether it should.
pub(super) const DOUBLING_STEP: u32 = 16;

/// A root's head.
#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) chunk: Handle,
    pub(super) buckets: usize,
    /// Keys of an exact table.
    pub(super) keys: usize,
    pub(super) doublings: u32,
    /// log2 of the largest weight that keys were thinned by.
    pub(super) thinned: u32,
    /// Keys are at home, and newcomers contest their cells.
    pub(super) contested: bool,
    /// Sums are wide.
    pub(super) wide: bool,
    /// It should have grown and found no memory.
    pub(super) short: bool,
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
            thinned: small(43),
            contested: word >> 46 & 1 == 1,
            wide: word >> 47 & 1 == 1,
            short: word >> 48 & 1 == 1,
        }
    }

    pub(super) fn write(&self, head: &mut [u64]) {
        let flags = [self.contested, self.wide, self.short].iter().enumerate().fold(0, |word, (i, on)| word | u64::from(*on) << (46 + i));
        let small = u64::from(self.doublings) << 40 | u64::from(self.thinned) << 43;
        head[0] = self.chunk.word();
        head[1] = self.buckets as u64 | (self.keys as u64) << 20 | small | flags;
    }

    /// The first word of an export.
    pub(super) fn told(&self, buckets: usize) -> u64 {
        buckets as u64 | u64::from(self.thinned) << 32 | u64::from(self.short) << 40
    }
}

impl TopKernel {
    /// The first bucket. False: there is no memory at all.
    pub(super) fn start(&self, state: &mut State, memory: &mut Memory<'_>, all: &[u64]) -> bool {
        let Some(chunk) = memory.alloc(self.narrow.words) else {
            state.short = true;
            return false;
        };
        let words = memory.pool.get_mut(chunk);
        (state.chunk, state.buckets) = (chunk, self.fit(&self.narrow, words.len()));
        let before = self.narrow.sums.bound(all);
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

    /// An exact table is full: more buckets, or no longer exact.
    pub(super) fn make_room(&self, state: &mut State, memory: &mut Memory<'_>, row: &Row<'_>) {
        let wanted = (state.buckets + state.buckets.div_ceil(2)).min(self.exact_buckets);
        if state.keys >= self.exact_keys || wanted == state.buckets {
            return self.go_home(state, memory);
        }
        let pressure = memory.pressure();
        let refused = is_thinned(row, state.keys as u64, pressure);
        if refused {
            state.thinned = state.thinned.max(pressure);
        } else if self.rebuild(state, memory, wanted, state.wide) {
            return;
        } else {
            state.short = true;
        }
        self.go_home(state, memory);
    }

    /// A bucket has missed so many: perhaps there should be more of them.
    pub(super) fn consider_doubling(&self, state: &mut State, memory: &mut Memory<'_>, misses: u32) {
        if 2 * state.buckets > self.buckets_max() || state.doublings > DOUBLINGS_MAX {
            return;
        }
        let least = DOUBLING_MISSES + DOUBLING_MISSES / 2 * state.doublings;
        if misses < least || memory.free_sixteenths() < DOUBLING_FREE {
            return;
        }
        if self.rebuild(state, memory, 2 * state.buckets, state.wide) {
            state.doublings += 1;
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
                new_shape.missed_mut(child).copy_from_slice(shape.missed(parent));
                *Shape::misses(child) = *Shape::misses(parent);
            }
        }
        for bucket in from.chunks_exact(shape.words).take(state.buckets) {
            for way in 0..shape.ways {
                if shape.scores(bucket)[way] > 0 {
                    move_cell((&shape, bucket, way), (new_shape, to), buckets, state.contested);
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
        for at in 0..state.buckets {
            for way in 0..shape.ways {
                let bucket = bucket_mut(words, shape, at);
                let Some(cell) = shape.read(bucket, way) else { continue };
                if Shape::bucket_of(cell.tag, state.buckets) != at {
                    shape.clear(bucket, way);
                    send_home(words, shape, state.buckets, cell);
                }
            }
        }
    }
}

/// Moves a cell into a larger table: where it is contested into its own bucket, else into the next that has room.
fn move_cell((shape, bucket, way): (&Shape, &[u64], usize), (new_shape, to): (&Shape, &mut [u64]), buckets: usize, contested: bool) {
    let mut at = Shape::bucket_of(Shape::tag(bucket, way), buckets);
    loop {
        let home = bucket_mut(to, new_shape, at);
        match new_shape.free(home) {
            Some(free) if shape.sums == new_shape.sums => return shape.copy(bucket, way, home, free),
            None if !contested => at = if at + 1 == buckets { 0 } else { at + 1 },
            _ => return shape.read(bucket, way).map_or((), |cell| settle(new_shape, home, cell)),
        }
    }
}

/// Puts a cell into its own bucket; who is there and not at home goes on, so this ends.
fn send_home(words: &mut [u64], shape: &Shape, buckets: usize, cell: Cell) {
    let mut cell = cell;
    loop {
        let home = Shape::bucket_of(cell.tag, buckets);
        let bucket = bucket_mut(words, shape, home);
        let guest = (0..shape.ways).find(|way| Shape::bucket_of(Shape::tag(bucket, *way), buckets) != home);
        let guest = guest.filter(|_| shape.free(bucket).is_none()).and_then(|way| Some((way, shape.read(bucket, way)?)));
        let Some((way, next)) = guest else { return settle(shape, bucket, cell) };
        shape.write(bucket, way, &cell);
        cell = next;
    }
}

/// Puts a cell into a bucket, or the lightest one there into U.
fn settle(shape: &Shape, bucket: &mut [u64], cell: Cell) {
    if let Some(way) = shape.free(bucket) {
        return shape.write(bucket, way, &cell);
    }
    let weight = |way: &usize| shape.total(bucket, *way).total();
    let Some(least) = (0..shape.ways).min_by_key(weight) else { return };
    let mut out = cell.total(shape.sums);
    if weight(&least) < out.total() {
        out = shape.total(bucket, least);
        shape.write(bucket, least, &cell);
    }
    shape.sums.miss_sum(shape.missed_mut(bucket), &out);
}

/// Whether a key is refused under pressure: all but one in 2^`pressure`, drawn from the keyed hash and a count.
#[inline]
pub(super) fn is_thinned(row: &Row<'_>, count: u64, pressure: u32) -> bool {
    pressure > 0 && spread(row.hash.rotate_left(17) ^ count.wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 20 & ((1 << pressure) - 1) != 0
}
