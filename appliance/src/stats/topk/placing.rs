//! Rows of an exact table, none of whose cells gets full: first each row's key finds its cell, then all are added.

use bytemuck::{cast_ref, cast_slice, cast_slice_mut};

use super::count::{Step, read_key, tag_of};
use super::growth::State;
use super::looks::Looks;
use super::shapes::OfShape;
use super::table::{HALVES_MAX, Shape, TAG_WORDS, WAYS_MAX};
use super::{TopKernel, bucket_mut};
use crate::arch::lanes::Lanes;
use crate::arch::pieces::Pieces;
use crate::limits::BATCH_RECORDS_MAX;
use crate::stats::columns::View;
use crate::stats::told::{Placed, Places};

/// Finds the cells of rows and counts there. Ends where the table has no room.
pub(super) struct Placing<'a, 'v> {
    pub(super) kernel: &'a TopKernel,
    pub(super) words: &'a mut [u64],
    pub(super) state: &'a mut State,
    pub(super) view: &'a View<'v>,
    /// A bit for each row.
    pub(super) left: &'a mut u64,
}

/// Counts rows where another table has them, if this one lies alike.
pub(super) struct Following<'a, 'v> {
    pub(super) kernel: &'a TopKernel,
    pub(super) other: &'a [u64],
    pub(super) words: &'a mut [u64],
    pub(super) state: &'a mut State,
    pub(super) view: &'a View<'v>,
    pub(super) placed: Placed,
}

/// Bits of a place that are its cell; its bucket stands above.
const WAY_BITS: u32 = 4;
const WAY_MASK: u16 = (1 << WAY_BITS) - 1;

impl OfShape for Placing<'_, '_> {
    type Out = Step;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, shape: &Shape) -> Step {
        let Self { kernel, words, state, view, left } = self;
        let (view, rows) = (*view, *left);
        let mut places = Places::default();
        let (rest, fresh) = place_rows((lanes, shape, &mut *words), (kernel, state), (&view, rows), &mut places);
        *left = rest;
        view.know(rows & !rest & !fresh);
        if rest != 0 {
            add_rows(kernel, (shape, words), (&view, rows & !rest), &places);
            return Step::Full;
        }
        if view.told().placed.get().is_none() {
            let (kind, words) = ((state.buckets, shape.ways), shape.keys_place());
            view.told().place(Placed { table: state.chunk, kind, words, rows, fresh }, &places);
        }
        add_rows(kernel, (shape, words), (&view, rows), &places);
        Step::Counted
    }
}

impl OfShape for Following<'_, '_> {
    type Out = bool;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, shape: &Shape) -> bool {
        let Self { kernel, other, words, state, view, placed } = self;
        let (view, places) = (*view, view.told().places());
        if !is_alike((lanes, shape), (words, other), (&placed, &places)) {
            return false;
        }
        let (mut left, mut halves) = (placed.fresh, [0; HALVES_MAX]);
        while left != 0 {
            let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
            let (bucket, way) = split(places.0[at]);
            read_key(&view, shape, at, &mut halves);
            shape.enter(bucket_mut(words, shape, bucket), way, (tag_of(view.hash(at)), &halves[..shape.halves]));
            state.keys += 1;
            left &= left - 1;
        }
        add_rows(kernel, (shape, words), (&view, placed.rows), &places);
        view.know(placed.rows & !placed.fresh);
        true
    }
}

/// Whether a table holds what another did before that one got its fresh keys.
#[inline(always)]
fn is_alike((lanes, shape): (impl Lanes, &Shape), (words, other): (&[u64], &[u64]), (placed, places): (&Placed, &Places)) -> bool {
    let mut fresh_ways = [0; FRESH_BUCKETS_MAX];
    let mut left = placed.fresh;
    while left != 0 {
        let (bucket, way) = split(places.0[left.trailing_zeros() as usize % BATCH_RECORDS_MAX]);
        let Some(ways) = fresh_ways.get_mut(bucket) else { return false };
        *ways |= 1 << way;
        left &= left - 1;
    }
    let (buckets, (other_words, keys_at)) = (placed.kind.0, placed.words);
    for at in 0..buckets {
        let (bucket, other) = (&words[at * shape.words..][..shape.words], &other[at * other_words..][..other_words]);
        let fresh = if at < FRESH_BUCKETS_MAX { fresh_ways[at] } else { 0 };
        if !holds_alike((lanes, shape), bucket, (other, &other[keys_at..]), fresh) {
            return false;
        }
    }
    true
}

/// Whether a bucket holds the keys that one of another table did, whose keys stand apart, before it got those in `fresh`: their
/// cells are free here.
#[inline(always)]
fn holds_alike((lanes, shape): (impl Lanes, &Shape), bucket: &[u64], (other, keys): (&[u64], &[u64]), fresh: u32) -> bool {
    let (Some(tags), Some(others)) = (bucket.first_chunk::<TAG_WORDS>(), other.first_chunk::<TAG_WORDS>()) else { return false };
    let same = lanes.same(cast_ref(tags), cast_ref(others));
    if same | fresh != (1 << WAYS_MAX) - 1 || fresh & !lanes.equal(cast_ref(tags), 0) != 0 {
        return false;
    }
    let ours = &bucket[shape.keys_at..];
    if let (1, Some(ours), Some(theirs)) = (shape.halves, ours.first_chunk::<TAG_WORDS>(), keys.first_chunk::<TAG_WORDS>()) {
        return (lanes.same(cast_ref(ours), cast_ref(theirs)) | fresh | u32::MAX << shape.ways) == u32::MAX;
    }
    let (ours, theirs): (&[u32], &[u32]) = (cast_slice(ours), cast_slice(keys));
    let own = |way: usize| way * shape.halves..(way + 1) * shape.halves;
    (0..shape.ways).all(|way| fresh >> way & 1 == 1 || ours[own(way)] == theirs[own(way)])
}

/// Buckets of a table that may be followed while it gets keys: those of the usual k.
const FRESH_BUCKETS_MAX: usize = 16;

/// Finds the cells of rows: those that are left found no room, and those that came first of a fresh key. Nearly all stand in their
/// own bucket, where all look at once; the others come after them in their order, and move none of those.
#[inline(always)]
fn place_rows<L: Lanes>(
    (lanes, shape, words): (L, &Shape, &mut [u64]),
    (kernel, told): (&TopKernel, &mut State),
    (view, rows): (&View<'_>, u64),
    places: &mut Places,
) -> (u64, u64) {
    let mut looks = Looks::of(view, told.buckets);
    let found = looks.find((lanes, shape), &mut Pieces::new(words, shape.words, &looks.buckets), view, rows);
    *places = looks.places();
    // A copy, which nothing else can change: it stays in registers.
    let (mut state, mut rest, mut halves, mut fresh) = (*told, rows & !found, [0; HALVES_MAX], 0);
    let keys_max = kernel.exact_keys.min(shape.room(state.buckets));
    while rest != 0 {
        let at = rest.trailing_zeros() as usize % BATCH_RECORDS_MAX;
        read_key(view, shape, at, &mut halves);
        let key = (looks.tags[at], &halves[..shape.halves]);
        let Some((place, is_fresh)) = place((lanes, shape, &mut *words), (&mut state, keys_max), key) else { break };
        places.0[at] = place;
        fresh |= u64::from(is_fresh) << at;
        rest &= rest - 1;
    }
    *told = state;
    // All from the first that found no room on.
    (rows & (rest & rest.wrapping_neg()).wrapping_neg(), fresh)
}

/// Adds rows to their cells.
#[inline(always)]
fn add_rows(kernel: &TopKernel, (shape, words): (&Shape, &mut [u64]), (view, rows): (&View<'_>, u64), places: &Places) {
    // Of all rows at once: lanes have them soon.
    let at = |place: u16| (u32::from(place >> WAY_BITS), u32::from(place & WAY_MASK));
    let (sums, scores) = (places.0.map(|place| shape.sum_place(at(place))), places.0.map(|place| shape.score_place(at(place))));
    let mut left = view.plain_of(rows);
    while left != 0 {
        let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
        let (from, row) = (sums[at] as usize, view.plain_row(at));
        shape.sums.add_plain(&mut words[from..from + shape.sums.words()], &row);
        if !kernel.derives_scores(shape) {
            raise(words, scores[at], kernel.units_of_all(shape, &row));
        }
        left &= left - 1;
    }
    let mut left = view.sampled_of(rows);
    while left != 0 {
        let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
        let (from, row) = (sums[at] as usize, view.row_without_key(at));
        shape.sums.add_sampled(&mut words[from..from + shape.sums.words()], &row);
        if !kernel.derives_scores(shape) {
            raise(words, scores[at], kernel.units_of_all(shape, &row));
        }
        left &= left - 1;
    }
}

/// Moves the score that is this byte.
#[inline(always)]
fn raise(words: &mut [u64], place: u32, units: u8) {
    let score: &mut u8 = &mut cast_slice_mut(words)[place as usize];
    *score = score.saturating_add(units);
}

/// Bucket and way of a place.
#[inline(always)]
pub(super) const fn split(place: u16) -> (usize, usize) {
    ((place >> WAY_BITS) as usize, (place & WAY_MASK) as usize)
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "a few hundred buckets of up to twelve cells")]
pub(super) const fn join(bucket: usize, way: usize) -> u16 {
    (bucket << WAY_BITS | way) as u16
}

/// The cell of a key, and whether it got it right now. None: there is no room.
#[inline(always)]
pub(super) fn place<L: Lanes>(
    (lanes, shape, words): (L, &Shape, &mut [u64]),
    (state, keys_max): (&mut State, usize),
    (tag, key): (u32, &[u32]),
) -> Option<(u16, bool)> {
    let home = Shape::bucket_of(tag, state.buckets);
    let mut at = home;
    loop {
        let bucket = bucket_mut(words, shape, at);
        if let Some(way) = shape.find(lanes, bucket, tag, key) {
            return Some((join(at, way), false));
        }
        if let Some(way) = shape.free(lanes, bucket) {
            if state.keys >= keys_max {
                return None;
            }
            state.keys += 1;
            shape.enter(bucket, way, (tag, key));
            return Some((join(at, way), true));
        }
        at = if at + 1 == state.buckets { 0 } else { at + 1 };
        if at == home {
            return None;
        }
    }
}
