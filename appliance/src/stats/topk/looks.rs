//! Where a batch's rows look for their cells: all ask their own buckets at once.

use super::count::{Step, read_key, tag_of};
use super::placing::join;
use super::table::{HALVES_MAX, Shape};
use crate::arch::lanes::Lanes;
use crate::arch::pieces::Pieces;
use crate::limits::BATCH_RECORDS_MAX;
use crate::stats::columns::View;
use crate::stats::told::Places;

/// See the module.
pub(super) struct Looks {
    pub(super) tags: [u32; BATCH_RECORDS_MAX],
    /// Numbers of their buckets,
    pub(super) buckets: [u32; BATCH_RECORDS_MAX],
    /// and the last eight bits of each.
    lows: [u8; BATCH_RECORDS_MAX],
    /// Of rows that were found, the cell.
    ways: [u8; BATCH_RECORDS_MAX],
}

/// All of a way: buckets have no more cells, so that nothing has to ask whether one is there.
const WAY_MASK: u8 = 15;

impl Looks {
    /// Of the rows of a batch, whichever are asked for.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "no table has so many buckets; a few bits are the point")]
    pub(super) fn of(view: &View<'_>, buckets: usize) -> Self {
        let (tags, none) = ([0; BATCH_RECORDS_MAX], [0; BATCH_RECORDS_MAX]);
        let mut looks = Self { tags, buckets: tags, lows: none, ways: none };
        for at in 0..BATCH_RECORDS_MAX {
            let tag = tag_of(view.hash(at));
            let bucket = Shape::bucket_of(tag, buckets) as u32;
            (looks.tags[at], looks.buckets[at], looks.lows[at]) = (tag, bucket, bucket as u8);
        }
        looks
    }

    /// Which of these rows have a cell in their own bucket.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "up to twelve")]
    pub(super) fn find<L: Lanes>(&mut self, (lanes, shape): (L, &Shape), pieces: &mut Pieces<'_>, view: &View<'_>, rows: u64) -> u64 {
        let mut equal = [0; BATCH_RECORDS_MAX];
        lanes.equal_each(pieces, rows, &self.tags, &mut equal);
        let mut found = lanes.any_bits(&equal, u16::MAX);
        let (mut left, mut halves) = (found, [0; HALVES_MAX]);
        while left != 0 {
            let at = left.trailing_zeros() as usize % BATCH_RECORDS_MAX;
            read_key(view, shape, at, &mut halves);
            let way = u32::from(equal[at]).trailing_zeros() as u8 & WAY_MASK;
            self.ways[at] = way;
            if !shape.is_key(pieces.of(at), usize::from(way), &halves[..shape.halves]) {
                found = self.look_on(shape, pieces.of(at), (at, equal[at]), &halves, found);
            }
            left &= left - 1;
        }
        found
    }

    /// Two keys of a bucket have one tag: once in a hundred million. Gives those that are found, if this one is.
    #[cold]
    #[inline(never)]
    #[allow(clippy::cast_possible_truncation, reason = "up to twelve")]
    fn look_on(&mut self, shape: &Shape, bucket: &[u64], (at, equal): (usize, u16), halves: &[u32; HALVES_MAX], found: u64) -> u64 {
        let is_own = |way: &usize| equal >> way & 1 == 1 && shape.is_key(bucket, *way, &halves[..shape.halves]);
        let Some(way) = (0..shape.ways).find(is_own) else { return found & !(1 << at) };
        self.ways[at] = way as u8;
        found
    }

    /// Where the rows that were found stand.
    #[inline(always)]
    pub(super) fn places(&self) -> Places {
        Places(std::array::from_fn(|at| join(self.buckets[at] as usize, self.way(at))))
    }

    /// The cell of a row that was found.
    #[inline(always)]
    pub(super) const fn way(&self, at: usize) -> usize {
        (self.ways[at % BATCH_RECORDS_MAX] & WAY_MASK) as usize
    }

    /// That the first of these rows found its cell full.
    #[inline(always)]
    pub(super) fn overflow(&self, full: u64) -> Step {
        let at = full.trailing_zeros() as usize % BATCH_RECORDS_MAX;
        Step::Overflow(at, (self.buckets[at] as usize, self.way(at)))
    }

    /// The rows whose buckets a row's may be.
    #[inline(always)]
    pub(super) fn beside(&self, lanes: impl Lanes, at: usize) -> u64 {
        lanes.equal_bytes(&self.lows, self.lows[at % BATCH_RECORDS_MAX])
    }
}
