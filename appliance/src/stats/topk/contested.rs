//! Rows of a table whose buckets are full: all look for their cells at once, then newcomers come in their order.
//!
//! What becomes of a row depends on the rows before it alone, never on which batch it is in, as long as no cell's sum is full, or
//! wide ones find memory. A newcomer that is turned away
//! changes U and a count, which no row reads that has a cell: so those that have one wait until a newcomer contests a cell.
//! What hangs on how much was missed changes at each 64th row of all, see [`State::until_turn`].

use super::TopKernel;
use super::count::{Step, read_key};
use super::growth::State;
use super::looks::Looks;
use super::shapes::OfShape;
use super::table::{HALVES_MAX, Shape};
use crate::arch::lanes::Lanes;
use crate::arch::pieces::Pieces;
use crate::limits::BATCH_RECORDS_MAX;
use crate::stats::columns::View;
use crate::stats::weighted::SumLayout;

/// Counts rows until a cell is full, or none is left.
pub(super) struct Contesting<'a, 'v> {
    pub(super) kernel: &'a TopKernel,
    pub(super) words: &'a mut [u64],
    pub(super) state: &'a mut State,
    pub(super) view: &'a View<'v>,
    /// A bit for each row.
    pub(super) left: &'a mut u64,
    pub(super) pressure: u32,
    /// Whether no cell gets full.
    pub(super) fits: bool,
}

impl OfShape for Contesting<'_, '_> {
    type Out = Step;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, shape: &Shape) -> Step {
        let Self { kernel, words, state, view, left, pressure, fits } = self;
        let (view, rows) = (*view, *left);
        let nths = nths(state.rows, rows);
        let (let_in, ticks) = kernel.let_in((lanes, shape), (&view, rows), state, &nths);
        let mut looks = Looks::of(&view, state.buckets);
        let mut table = Table { kernel, pieces: Pieces::new(words, shape.words, &looks.buckets), fits };
        let mut have = looks.find((lanes, shape), &mut table.pieces, &view, rows);
        let (mut lack, mut halves) = (rows & !have, [0; HALVES_MAX]);
        loop {
            lack = table.turn_away(shape, state, (&view, lack), let_in);
            // Now all that came before the one that contests a cell count.
            let next = lack & lack.wrapping_neg();
            let before = have & next.wrapping_sub(1);
            let full = table.add_rows((shape, &looks), (&view, before));
            have = have & !before | full;
            *left = have | lack;
            if full != 0 {
                return looks.overflow(full);
            }
            if lack == 0 {
                return Step::Counted;
            }
            let at = next.trailing_zeros() as usize % BATCH_RECORDS_MAX;
            read_key(&view, shape, at, &mut halves);
            let (row, is_sampled) = (&view.row_without_key(at), view.is_sampled(at));
            let key = (looks.tags[at], &halves[..shape.halves]);
            let bucket = (lanes, shape, table.pieces.of(at));
            lack ^= next;
            let Some(way) = kernel.enter(bucket, (row, is_sampled), (nths[at], ticks >> at & 1 == 1), key, (state, pressure)) else {
                continue;
            };
            if !shape.add(table.pieces.of(at), way, (row, is_sampled), kernel.units_of_all(shape, row)) {
                return Step::Overflow(at, (looks.buckets[at] as usize, way));
            }
            // Another key has the cell now: who comes later looks again.
            let again = looks.beside(lanes, at) & (have | lack);
            if again != 0 {
                let found = looks.find((lanes, shape), &mut table.pieces, &view, again);
                (have, lack) = (have & !again | found, lack & !again | again & !found);
            }
        }
    }
}

/// Of rows of which `before` came before, how many that are with each.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "for draws the last bits will do")]
fn nths(before: u64, rows: u64) -> [u32; BATCH_RECORDS_MAX] {
    let (first, mut nth) = (rows.trailing_zeros(), before as u32);
    if (rows >> (first % u64::BITS)).wrapping_add(1) & rows >> (first % u64::BITS) == 0 {
        // One behind the other, as nearly always.
        nth = nth.wrapping_sub(first);
        return std::array::from_fn(|at| nth.wrapping_add(at as u32));
    }
    std::array::from_fn(|at| {
        let own = nth;
        nth = nth.wrapping_add((rows >> at & 1) as u32);
        own
    })
}

/// A table, and what is to be known of it.
struct Table<'a> {
    kernel: &'a TopKernel,
    pieces: Pieces<'a>,
    fits: bool,
}

impl Table<'_> {
    /// Counts newcomers that are turned away, up to one that is let in or in whose bucket a cell may be free: those that are left.
    #[inline(always)]
    fn turn_away(&mut self, shape: &Shape, state: &mut State, (view, lack): (&View<'_>, u64), let_in: u64) -> u64 {
        let stop = lack & let_in;
        let rows = lack & (stop & stop.wrapping_neg()).wrapping_sub(1);
        let mut left = rows;
        while left != 0 {
            let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
            let by = if matches!(shape.sums.layout, SumLayout::Ones { .. }) { 1 } else { view.small_value(at) };
            if !shape.turn_away(self.pieces.of(at), by) {
                break;
            }
            left &= left - 1;
        }
        state.fresh_misses += (rows & !left).count_ones();
        lack & !rows | left
    }

    /// Adds rows to their cells, up to one that is full: those that are left.
    #[inline(always)]
    fn add_rows(&mut self, (shape, looks): (&Shape, &Looks), (view, rows): (&View<'_>, u64)) -> u64 {
        let (kernel, pieces) = (self.kernel, &mut self.pieces);
        if self.fits {
            let mut left = view.plain_of(rows);
            while left != 0 {
                let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
                let (row, bucket, way) = (view.plain_row(at), pieces.of(at), looks.way(at));
                shape.sums.add_plain(shape.sum_mut(bucket, way), &row);
                shape.raise(bucket, way, kernel.units_of_all(shape, &row));
                left &= left - 1;
            }
            let mut left = view.sampled_of(rows);
            while left != 0 {
                let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
                let (row, bucket, way) = (view.row_without_key(at), pieces.of(at), looks.way(at));
                shape.sums.add_sampled(shape.sum_mut(bucket, way), &row);
                shape.raise(bucket, way, kernel.units_of_all(shape, &row));
                left &= left - 1;
            }
            return 0;
        }
        let mut left = rows;
        while left != 0 {
            let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
            let row = view.row_without_key(at);
            if !shape.add(pieces.of(at), looks.way(at), (&row, view.is_sampled(at)), kernel.units_of_all(shape, &row)) {
                break;
            }
            left &= left - 1;
        }
        left
    }
}
