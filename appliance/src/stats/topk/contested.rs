//! Rows of a table whose buckets are full: all look for their cells at once, then newcomers come in their order.
//!
//! What becomes of a row depends on the rows before it alone, never on which batch it is in. A newcomer that is turned away
//! changes U and a count, which no row reads that has a cell: so those that have one wait until a newcomer contests a cell or
//! scores grow old.

use super::TopKernel;
use super::contest::{Entry, missed};
use super::count::{Step, read_key};
use super::growth::State;
use super::looks::Looks;
use super::shapes::OfShape;
use super::table::{HALVES_MAX, Shape};
use crate::arch::lanes::Lanes;
use crate::arch::pieces::Pieces;
use crate::limits::BATCH_RECORDS_MAX;
use crate::stats::columns::View;

/// Counts rows until one wants memory, or none is left. That one is the first of what is left then.
pub(super) struct Contesting<'a, 'v> {
    pub(super) kernel: &'a TopKernel,
    pub(super) words: &'a mut [u64],
    pub(super) state: &'a mut State,
    pub(super) view: &'a View<'v>,
    /// A bit for each row.
    pub(super) left: &'a mut u64,
    pub(super) pressure: u32,
    /// Misses of a bucket from which on the table may double.
    pub(super) doubling_misses: u32,
    /// Whether no cell gets full.
    pub(super) fits: bool,
}

impl OfShape for Contesting<'_, '_> {
    type Out = Step;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, shape: &Shape) -> Step {
        let Self { kernel, words, state, view, left, pressure, doubling_misses, fits } = self;
        let (view, rows) = (*view, *left);
        let mut looks = Looks::of(&view, state.buckets);
        let mut pieces = Pieces::new(words, shape.words, &looks.buckets);
        let mut have = looks.find((lanes, shape), &mut pieces, &view, rows);
        let mut lack = rows & !have;
        loop {
            lack = turn_away(kernel, (shape, &mut pieces), (&view, lack), (kernel.calm(pressure), doubling_misses));
            // Now all that came before the one that contests a cell count.
            let next = lack & lack.wrapping_neg();
            let before = have & next.wrapping_sub(1);
            let full = add_rows(kernel, (shape, &mut pieces, &looks), (&view, before), fits);
            have = have & !before | full;
            let at = lack.trailing_zeros() as usize % BATCH_RECORDS_MAX;
            if full != 0 {
                *left = have | lack;
                let at = full.trailing_zeros() as usize % BATCH_RECORDS_MAX;
                return Step::Overflow(looks.buckets[at] as usize, looks.way(at));
            }
            if lack == 0 {
                *left = 0;
                return Step::Counted;
            }
            let mut halves = [0; HALVES_MAX];
            read_key(&view, shape, at, &mut halves);
            let (row, key) = ((view.row_without_key(at), view.is_sampled(at)), (looks.tags[at], &halves[..shape.halves]));
            match kernel.enter((lanes, shape, pieces.of(at)), (&row.0, row.1), key, (state, pressure)) {
                Entry::Refused(misses) => {
                    let step = missed(misses, doubling_misses);
                    if !matches!(step, Step::Counted) {
                        *left = have | lack;
                        return step;
                    }
                    lack ^= next;
                }
                Entry::Admitted(way) => {
                    if !shape.add(pieces.of(at), way, (&row.0, row.1), kernel.units(shape, &row.0)) {
                        *left = have | lack;
                        return Step::Overflow(looks.buckets[at] as usize, way);
                    }
                    lack ^= next;
                    // Another key has the cell now: who comes later looks again.
                    let again = looks.beside(lanes, at) & (have | lack);
                    if again != 0 {
                        let found = looks.find((lanes, shape), &mut pieces, &view, again);
                        (have, lack) = (have & !again | found, lack & !again | again & !found);
                    }
                }
            }
        }
    }
}

/// Counts newcomers that are turned away at once, up to one that is not: those that are left.
#[inline(always)]
fn turn_away(
    kernel: &TopKernel,
    (shape, pieces): (&Shape, &mut Pieces<'_>),
    (view, lack): (&View<'_>, u64),
    (calm, doubling_misses): (u32, u32),
) -> u64 {
    // Only those before the first sample.
    let sampled = view.sampled_of(lack);
    let mut left = lack & !sampled & sampled.wrapping_sub(1);
    let others = lack & !left;
    while left != 0 {
        let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
        let (bucket, row) = (pieces.of(at), view.plain_row(at));
        if !shape.turn_away(bucket, (calm, doubling_misses), (view.hash(at), kernel.units(shape, &row))) {
            break;
        }
        shape.sums.miss_plain(shape.missed_mut(bucket), row.value);
        left &= left - 1;
    }
    left | others
}

/// Adds rows to their cells, up to one that is full: those that are left.
#[inline(always)]
fn add_rows(
    kernel: &TopKernel,
    (shape, pieces, looks): (&Shape, &mut Pieces<'_>, &Looks),
    (view, rows): (&View<'_>, u64),
    fits: bool,
) -> u64 {
    if fits {
        let mut left = view.plain_of(rows);
        while left != 0 {
            let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
            let (row, bucket, way) = (view.plain_row(at), pieces.of(at), looks.way(at));
            shape.sums.add_plain(shape.sum_mut(bucket, way), row.value);
            shape.raise(bucket, way, kernel.units(shape, &row));
            left &= left - 1;
        }
        let mut left = view.sampled_of(rows);
        while left != 0 {
            let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
            let (row, bucket, way) = (view.row_without_key(at), pieces.of(at), looks.way(at));
            shape.sums.add_sampled(shape.sum_mut(bucket, way), &row);
            shape.raise(bucket, way, kernel.units(shape, &row));
            left &= left - 1;
        }
        return 0;
    }
    let mut left = rows;
    while left != 0 {
        let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
        let row = view.row_without_key(at);
        if !shape.add(pieces.of(at), looks.way(at), (&row, view.is_sampled(at)), kernel.units(shape, &row)) {
            break;
        }
        left &= left - 1;
    }
    left
}
