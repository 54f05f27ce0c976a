//! The loop over a batch's rows.

use super::cell::key_halves;
use super::growth::State;
use super::shapes::OfShape;
use super::table::{HALVES_MAX, Shape};
use super::{TopKernel, bucket_mut};
use crate::arch::lanes::Lanes;
use crate::limits::BATCH_RECORDS_MAX;
use crate::stats::columns::{Row, View};

/// What became of one packet.
pub(super) enum Step {
    Counted,
    /// Its bucket has missed so many.
    Missed(u32),
    /// Its cell's sum is full: bucket and cell.
    Overflow(usize, usize),
    /// An exact table has no room for it.
    Full,
}

/// Counts rows until one wants memory, or none is left. That one is the first of what is left then.
pub(super) struct Counting<'a, 'v> {
    pub(super) kernel: &'a TopKernel,
    pub(super) words: &'a mut [u64],
    pub(super) state: &'a mut State,
    pub(super) view: &'a View<'v>,
    /// A bit for each row.
    pub(super) left: &'a mut u64,
    pub(super) pressure: u32,
}

impl OfShape for Counting<'_, '_> {
    type Out = Step;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, shape: &Shape) -> Step {
        let Self { kernel, words, state: told, view, left: rest, pressure } = self;
        // Copies, which nothing else can change: they stay in registers.
        let (view, mut state, mut left) = (*view, *told, *rest);
        let (mut halves, mut step) = ([0; HALVES_MAX], Step::Counted);
        if state.contested {
            while left != 0 {
                let at = left.trailing_zeros() as usize;
                read_key(&view, shape, at, &mut halves);
                let key = (tag_of(view.hash(at)), &halves[..shape.halves]);
                step = kernel.count_contested((lanes, shape, &mut *words), (&mut state, pressure), (&view, at), key);
                let Step::Counted = step else { break };
                left &= left - 1;
            }
        } else {
            while left != 0 {
                let at = left.trailing_zeros() as usize;
                read_key(&view, shape, at, &mut halves);
                let key = (tag_of(view.hash(at)), &halves[..shape.halves]);
                step = kernel.count_exactly((lanes, shape, &mut *words), &mut state, (&view, at), key);
                let Step::Counted = step else { break };
                left &= left - 1;
            }
        }
        (*told, *rest) = (state, left);
        step
    }
}

/// Counts rows of an exact table, none of whose cells gets full: first each row's key finds its cell, then all are added. Ends
/// where the table has no room.
pub(super) struct Placing<'a, 'v> {
    pub(super) kernel: &'a TopKernel,
    pub(super) words: &'a mut [u64],
    pub(super) state: &'a mut State,
    pub(super) view: &'a View<'v>,
    /// A bit for each row.
    pub(super) left: &'a mut u64,
}

/// Bits of a place that are its cell; its bucket stands above.
const WAY_BITS: u32 = 4;
const WAY_MASK: u16 = (1 << WAY_BITS) - 1;

/// Of each row, its cell.
type Places = [u16; BATCH_RECORDS_MAX];

impl OfShape for Placing<'_, '_> {
    type Out = Step;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, shape: &Shape) -> Step {
        let Self { kernel, words, state, view, left } = self;
        let (view, all) = (*view, *left);
        let mut places = [0; BATCH_RECORDS_MAX];
        *left = place_rows((lanes, shape, &mut *words), (kernel, state), (&view, all), &mut places);
        add_rows(kernel, (shape, words), (&view, all & !*left), &places);
        if *left == 0 { Step::Counted } else { Step::Full }
    }
}

/// Finds the cells of rows. What is left found no room.
#[inline(always)]
fn place_rows<L: Lanes>(
    (lanes, shape, words): (L, &Shape, &mut [u64]),
    (kernel, told): (&TopKernel, &mut State),
    (view, rows): (&View<'_>, u64),
    places: &mut Places,
) -> u64 {
    // A copy, which nothing else can change: it stays in registers.
    let (mut state, mut rest, mut halves) = (*told, rows, [0; HALVES_MAX]);
    let keys_max = kernel.exact_keys.min(shape.room(state.buckets));
    let hints = view.hints((state.buckets, shape.ways));
    while rest != 0 {
        let at = rest.trailing_zeros() as usize % BATCH_RECORDS_MAX;
        read_key(view, shape, at, &mut halves);
        let key = (tag_of(view.hash(at)), &halves[..shape.halves]);
        if let Some(hints) = hints {
            let (bucket, way) = split(hints[at].get());
            if shape.is_at(bucket_mut(words, shape, bucket), way, key) {
                places[at] = hints[at].get();
                rest &= rest - 1;
                continue;
            }
        }
        let Some(place) = place((lanes, shape, &mut *words), (&mut state, keys_max), key) else { break };
        places[at] = place;
        rest &= rest - 1;
    }
    if hints.is_none() {
        view.set_hints((state.buckets, shape.ways), places);
    }
    *told = state;
    rest
}

/// Adds rows to their cells.
#[inline(always)]
fn add_rows(kernel: &TopKernel, (shape, words): (&Shape, &mut [u64]), (view, rows): (&View<'_>, u64), places: &Places) {
    let mut left = view.plain_of(rows);
    while left != 0 {
        let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
        let ((bucket, way), row) = (split(places[at]), view.plain_row(at));
        let bucket = bucket_mut(words, shape, bucket);
        shape.sums.add_plain(shape.sum_mut(bucket, way), row.value);
        if !kernel.derives_scores(shape) {
            shape.raise(bucket, way, kernel.units(shape, &row));
        }
        left &= left - 1;
    }
    let mut left = view.sampled_of(rows);
    while left != 0 {
        let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
        let ((bucket, way), row) = (split(places[at]), view.row_without_key(at));
        let bucket = bucket_mut(words, shape, bucket);
        shape.sums.add_sampled(shape.sum_mut(bucket, way), &row);
        if !kernel.derives_scores(shape) {
            shape.raise(bucket, way, kernel.units(shape, &row));
        }
        left &= left - 1;
    }
}

/// Bucket and way of a place.
#[inline(always)]
const fn split(place: u16) -> (usize, usize) {
    ((place >> WAY_BITS) as usize, (place & WAY_MASK) as usize)
}

/// The cell of a key, which it may get. None: there is no room.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "a few hundred buckets of up to twelve cells")]
fn place<L: Lanes>(
    (lanes, shape, words): (L, &Shape, &mut [u64]),
    (state, keys_max): (&mut State, usize),
    (tag, key): (u32, &[u32]),
) -> Option<u16> {
    let home = Shape::bucket_of(tag, state.buckets);
    let mut at = home;
    loop {
        let bucket = bucket_mut(words, shape, at);
        if let Some(way) = shape.find(lanes, bucket, tag, key) {
            return Some((at << WAY_BITS | way) as u16);
        }
        if let Some(way) = shape.free(lanes, bucket) {
            if state.keys >= keys_max {
                return None;
            }
            state.keys += 1;
            shape.enter(bucket, way, (tag, key));
            return Some((at << WAY_BITS | way) as u16);
        }
        at = if at + 1 == state.buckets { 0 } else { at + 1 };
        if at == home {
            return None;
        }
    }
}

#[inline(always)]
fn read_key(view: &View<'_>, shape: &Shape, at: usize, halves: &mut [u32; HALVES_MAX]) {
    if shape.halves == 1 {
        halves[0] = view.head(at);
    } else {
        key_halves(view.key(at), &mut halves[..shape.halves]);
    }
}

impl TopKernel {
    /// Counts where all keys have a cell, one of which may be full.
    #[inline(always)]
    fn count_exactly<L: Lanes>(
        &self,
        (lanes, shape, words): (L, &Shape, &mut [u64]),
        state: &mut State,
        (view, at): (&View<'_>, usize),
        key: (u32, &[u32]),
    ) -> Step {
        let keys_max = self.exact_keys.min(shape.room(state.buckets));
        let Some(place) = place((lanes, shape, &mut *words), (state, keys_max), key) else { return Step::Full };
        self.add(shape, words, split(place), &view.row_without_key(at))
    }

    /// Adds a packet to a cell.
    #[inline(always)]
    fn add(&self, shape: &Shape, words: &mut [u64], (at, way): (usize, usize), row: &Row<'_>) -> Step {
        let added = shape.add(bucket_mut(words, shape, at), way, row, self.units(shape, row));
        if added { Step::Counted } else { Step::Overflow(at, way) }
    }
}

/// What cells are told apart by first; never zero.
#[inline(always)]
pub(super) const fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}
