//! The loop over a batch's rows.

use super::growth::State;
use super::shapes::OfShape;
use super::table::{HALVES_MAX, Shape, key_halves};
use super::{TopKernel, bucket_mut};
use crate::arch::lanes::Lanes;
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

/// A key of a row.
pub(super) struct Keyed<'a> {
    pub(super) tag: u32,
    pub(super) key: &'a [u32],
    /// How much a packet moves a score.
    pub(super) units: u8,
    /// log2 of the weight that new keys are thinned by.
    pub(super) pressure: u32,
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
        let Self { kernel, words, state, view, left, pressure } = self;
        let mut halves = [0; HALVES_MAX];
        while *left != 0 {
            let at = left.trailing_zeros() as usize;
            let row = view.row_without_key(at);
            if shape.halves == 1 {
                halves[0] = view.head(at);
            } else {
                key_halves(view.key(at), &mut halves[..shape.halves]);
            }
            let keyed = Keyed { tag: tag_of(row.hash), key: &halves[..shape.halves], units: kernel.units(shape, &row), pressure };
            let step = if state.contested {
                kernel.count_contested((lanes, shape, &mut *words), state, &row, &keyed)
            } else {
                kernel.count_exactly((lanes, shape, &mut *words), state, &row, &keyed)
            };
            let Step::Counted = step else { return step };
            *left &= *left - 1;
        }
        Step::Counted
    }
}

impl TopKernel {
    /// Counts where all keys have a cell.
    #[inline(always)]
    fn count_exactly<L: Lanes>(
        &self,
        (lanes, shape, words): (L, &Shape, &mut [u64]),
        state: &mut State,
        row: &Row<'_>,
        keyed: &Keyed<'_>,
    ) -> Step {
        let mut at = Shape::bucket_of(keyed.tag, state.buckets);
        for _ in 0..state.buckets {
            let bucket = bucket_mut(words, shape, at);
            if let Some(way) = shape.find(lanes, bucket, keyed.tag, keyed.key) {
                return add(shape, (bucket, at, way), row, keyed.units);
            }
            if let Some(way) = shape.free(lanes, bucket) {
                if state.keys >= self.exact_keys.min(shape.room(state.buckets)) {
                    return Step::Full;
                }
                state.keys += 1;
                shape.enter(bucket, way, (keyed.tag, keyed.key));
                return add(shape, (bucket, at, way), row, keyed.units);
            }
            at = if at + 1 == state.buckets { 0 } else { at + 1 };
        }
        Step::Full
    }
}

/// What cells are told apart by first; never zero.
#[inline(always)]
pub(super) const fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

/// Adds a packet to a cell.
#[inline(always)]
pub(super) fn add(shape: &Shape, (bucket, at, way): (&mut [u64], usize, usize), row: &Row<'_>, units: u8) -> Step {
    if shape.add(bucket, way, row, units) { Step::Counted } else { Step::Overflow(at, way) }
}
