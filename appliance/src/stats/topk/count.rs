//! The loop over rows of an exact table, one of whose cells may get full.

use super::cell::key_halves;
use super::growth::State;
use super::placing::{place, split};
use super::shapes::OfShape;
use super::table::{HALVES_MAX, Shape};
use super::{TopKernel, bucket_mut};
use crate::arch::lanes::Lanes;
use crate::limits::BATCH_RECORDS_MAX;
use crate::stats::columns::View;

/// What became of rows.
pub(super) enum Step {
    /// None is left.
    Counted,
    /// One of those that are left found its cell's sum full: its place in the batch, bucket and cell.
    Overflow(usize, (usize, usize)),
    /// An exact table has no room for the first of those that are left.
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
}

impl OfShape for Counting<'_, '_> {
    type Out = Step;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, shape: &Shape) -> Step {
        let Self { kernel, words, state: told, view, left: rest } = self;
        // Copies, which nothing else can change: they stay in registers.
        let (view, mut state, mut left) = (*view, *told, *rest);
        let (mut halves, mut step) = ([0; HALVES_MAX], Step::Counted);
        while left != 0 {
            let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
            read_key(&view, shape, at, &mut halves);
            let key = (tag_of(view.hash(at)), &halves[..shape.halves]);
            step = kernel.count_exactly((lanes, shape, &mut *words), &mut state, (&view, at), key);
            let Step::Counted = step else { break };
            left &= left - 1;
        }
        (*told, *rest) = (state, left);
        step
    }
}

/// Reads a record's key.
#[inline(always)]
pub(super) fn read_key(view: &View<'_>, shape: &Shape, at: usize, halves: &mut [u32; HALVES_MAX]) {
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
        let Some((place, _)) = place((lanes, shape, &mut *words), (state, keys_max), key) else { return Step::Full };
        let ((bucket, way), row) = (split(place), view.row_without_key(at));
        let added = shape.add(bucket_mut(words, shape, bucket), way, (&row, view.is_sampled(at)), self.units_of_all(shape, &row));
        if added { Step::Counted } else { Step::Overflow(at, (bucket, way)) }
    }
}

/// What cells are told apart by first; never zero.
#[inline(always)]
pub(super) const fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}
