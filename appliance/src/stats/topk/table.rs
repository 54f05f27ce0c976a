//! A table of buckets: how its words lie, and what is done to one bucket.
//!
//! A bucket starts with a line of its own: the tags of its cells, to be compared at once, their scores, and what was turned
//! away of late. Behind it stand U, the bound on what the bucket did not count before, then the cells' sums, keys, and what U
//! was when each was admitted. Scores are kept with one added: zero is a free cell.

use bytemuck::{cast_ref, cast_slice, cast_slice_mut};

use super::cell::Cell;
use super::cells::{PARTS_MAX, Sums, compact, expand};
use crate::arch::lanes::Lanes;
use crate::limits::KEY_BYTES_MAX;
use crate::stats::columns::Row;
use crate::stats::weighted::{SumLayout, Weighted};

/// The most cells of a bucket: so many tags and scores fill its first line.
pub(super) const WAYS_MAX: usize = 12;
const WAYS_MIN: usize = 8;
pub(super) const HEAD_WORDS: usize = 8;
pub(super) const TAG_WORDS: usize = WAYS_MAX / 2;
/// 32-bit parts of the longest key.
pub(super) const HALVES_MAX: usize = KEY_BYTES_MAX / 4;
const LINE_WORDS: usize = 8;
/// One cell in so many stays free, so that a free one is soon found.
const ROOM_SHARE: usize = 32;

/// Words of the longest bucket.
pub(super) const WORDS_MAX: usize = Shape::with_ways(KEY_BYTES_MAX, Sums { layout: SumLayout::General, wide: true }, WAYS_MAX).words;

/// How a bucket's words lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) sums: Sums,
    pub(super) halves: usize,
    pub(super) ways: usize,
    /// Words of a bucket.
    pub(super) words: usize,
    sum_words: usize,
    parts: usize,
    sums_at: usize,
    pub(super) keys_at: usize,
}

impl Shape {
    /// With as many cells as fill whole lines best.
    pub(super) const fn new(key_bytes: usize, sums: Sums) -> Self {
        let (mut best, mut ways) = (Self::with_ways(key_bytes, sums, WAYS_MIN), WAYS_MIN);
        while ways < WAYS_MAX {
            ways += 1;
            let next = Self::with_ways(key_bytes, sums, ways);
            if next.words * best.ways <= best.words * next.ways {
                best = next;
            }
        }
        best
    }

    /// With so many cells.
    pub(super) const fn with_ways(key_bytes: usize, sums: Sums, ways: usize) -> Self {
        let halves = match key_bytes.div_ceil(4) {
            0 => 1,
            HALVES_MAX.. => HALVES_MAX,
            halves => halves,
        };
        let sums_at = HEAD_WORDS + sums.parts();
        let keys_at = sums_at + ways * sums.words();
        let tail_quarters = ways * (2 * halves + sums.parts());
        let words = (keys_at + tail_quarters.div_ceil(4)).next_multiple_of(LINE_WORDS);
        Self { sums, halves, ways, words, sum_words: sums.words(), parts: sums.parts(), sums_at, keys_at }
    }

    /// Keys that so many buckets hold before it takes long to find a free cell.
    pub(super) const fn room(&self, buckets: usize) -> usize {
        let cells = buckets * self.ways;
        cells - cells / ROOM_SHARE
    }

    /// Of a key's tag, its bucket among so many.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "below `buckets`")]
    pub(super) const fn bucket_of(tag: u32, buckets: usize) -> usize {
        // So many fit 32 bits, and so does what comes out: where the bucket starts needs no look at an overflow.
        ((tag as u64 * (buckets as u32) as u64) >> 32) as usize
    }

    /// The cell of a key.
    #[inline(always)]
    pub(super) fn find(&self, lanes: impl Lanes, bucket: &[u64], tag: u32, key: &[u32]) -> Option<usize> {
        let (head, _) = bucket.split_first_chunk::<TAG_WORDS>()?;
        let mut same = lanes.equal(cast_ref(head), tag);
        while same != 0 {
            let way = same.trailing_zeros() as usize;
            if self.is_key(bucket, way, key) {
                return Some(way);
            }
            same &= same - 1;
        }
        None
    }

    #[inline(always)]
    pub(super) fn is_key(&self, bucket: &[u64], way: usize, key: &[u32]) -> bool {
        match key {
            [one] => cast_slice::<u64, u32>(bucket)[2 * self.keys_at + way] == *one,
            _ => self.key(bucket, way) == key,
        }
    }

    #[inline(always)]
    pub(super) fn key<'a>(&self, bucket: &'a [u64], way: usize) -> &'a [u32] {
        &cast_slice(&bucket[self.keys_at..])[way * self.halves..(way + 1) * self.halves]
    }

    /// What cells are told apart by where one has to go: the smallest does.
    pub(super) fn rank<'a>(&self, bucket: &'a [u64], way: usize) -> (u64, u32, &'a [u32]) {
        (self.total(bucket, way).total(), Self::tag(bucket, way), self.key(bucket, way))
    }

    /// Orders the cells of a bucket by tag and key: how they stand depends on nothing but which they are.
    pub(super) fn sort(&self, bucket: &mut [u64], spare: &mut [u64; WORDS_MAX]) {
        let (mut ways, mut count) = ([0; WAYS_MAX], 0);
        for way in (0..self.ways).filter(|way| Self::tag(bucket, *way) != 0) {
            (ways[count], count) = (way, count + 1);
        }
        let ways = &mut ways[..count];
        let order = |way: usize| (Self::tag(bucket, way), self.key(bucket, way));
        ways.sort_unstable_by(|a, b| order(*a).cmp(&order(*b)));
        let before = &mut spare[..self.words];
        before.copy_from_slice(bucket);
        bucket[..TAG_WORDS].fill(0);
        self.scores_mut(bucket).fill(0);
        ways.iter().enumerate().for_each(|(to, way)| self.copy(before, *way, bucket, to));
    }

    #[inline(always)]
    pub(super) fn tag(bucket: &[u64], way: usize) -> u32 {
        cast_slice(&bucket[..TAG_WORDS])[way]
    }

    pub(super) fn scores<'a>(&self, bucket: &'a [u64]) -> &'a [u8] {
        &cast_slice(&bucket[TAG_WORDS..HEAD_WORDS])[..self.ways]
    }

    pub(super) fn scores_mut<'a>(&self, bucket: &'a mut [u64]) -> &'a mut [u8] {
        &mut cast_slice_mut(&mut bucket[TAG_WORDS..HEAD_WORDS])[..self.ways]
    }

    #[inline(always)]
    pub(super) fn score_mut<'a>(&self, bucket: &'a mut [u64], way: usize) -> &'a mut u8 {
        &mut cast_slice_mut(&mut bucket[TAG_WORDS..HEAD_WORDS])[way]
    }

    /// Gives each cell that a key has the score that follows from what it holds.
    pub(super) fn score_all(&self, bucket: &mut [u64], score: impl Fn([u64; PARTS_MAX]) -> u8) {
        for way in 0..self.ways {
            if Self::tag(bucket, way) != 0 {
                *self.score_mut(bucket, way) = score(self.held(bucket, way));
            }
        }
    }

    /// The first of the cells with the smallest score, and its score.
    #[inline(always)]
    pub(super) fn weakest(&self, lanes: impl Lanes, bucket: &[u64]) -> (usize, u8) {
        let scores: &[[u8; 16]] = cast_slice(&bucket[TAG_WORDS..HEAD_WORDS]);
        lanes.least(&scores[0], self.ways)
    }

    /// Whether a cell has this tag.
    #[inline(always)]
    pub(super) fn has_tag(&self, lanes: impl Lanes, bucket: &[u64], tag: u32) -> bool {
        bucket.split_first_chunk::<TAG_WORDS>().is_some_and(|(head, _)| lanes.equal(cast_ref(head), tag) != 0)
    }

    /// The cells that keys have: a bit for each.
    #[inline(always)]
    pub(super) fn held_ways(&self, lanes: impl Lanes, bucket: &[u64]) -> u32 {
        let all = (1 << self.ways) - 1;
        bucket.split_first_chunk::<TAG_WORDS>().map_or(0, |(head, _)| !lanes.equal(cast_ref(head), 0) & all)
    }

    /// The first cell that nobody has: no key has a tag of zero.
    #[inline(always)]
    pub(super) fn free(&self, lanes: impl Lanes, bucket: &[u64]) -> Option<usize> {
        let (head, _) = bucket.split_first_chunk::<TAG_WORDS>()?;
        let free = lanes.equal(cast_ref(head), 0) & ((1 << self.ways) - 1);
        (free != 0).then_some(free.trailing_zeros() as usize)
    }

    /// U: the bound on what the bucket did not count. As many parts as there may be: those that there are not are zero.
    #[inline(always)]
    pub(super) fn missed_parts(&self, bucket: &[u64]) -> [u64; PARTS_MAX] {
        let have = &bucket[HEAD_WORDS..self.sums_at];
        let [passed, samples, third] = match *have {
            [one] => [one, 0, 0],
            [one, two] => [one, two, 0],
            [one, two, three, ..] => [one, two, three],
            [] => [0; PARTS_MAX],
        };
        [passed.saturating_add(Self::turned_away(bucket)), samples, third]
    }

    /// The same, but for what was turned away since it was summed up.
    #[inline(always)]
    pub(super) fn missed_mut<'a>(&self, bucket: &'a mut [u64]) -> &'a mut [u64] {
        &mut bucket[HEAD_WORDS..self.sums_at]
    }

    pub(super) fn sum<'a>(&self, bucket: &'a [u64], way: usize) -> &'a [u64] {
        &bucket[self.sums_at + way * self.sums.words()..][..self.sums.words()]
    }

    #[inline(always)]
    pub(super) fn sum_mut<'a>(&self, bucket: &'a mut [u64], way: usize) -> &'a mut [u64] {
        &mut bucket[self.sums_at + way * self.sum_words..][..self.sum_words]
    }

    pub(super) fn total(&self, bucket: &[u64], way: usize) -> Weighted {
        self.sums.read(self.sum(bucket, way))
    }

    /// What a bound takes of a cell's sum.
    #[inline(always)]
    pub(super) fn held(&self, bucket: &[u64], way: usize) -> [u64; PARTS_MAX] {
        self.sums.parts_of(&bucket[self.sums_at + way * self.sum_words..][..self.sum_words])
    }

    pub(super) fn before<'a>(&self, bucket: &'a [u64], way: usize) -> &'a [u16] {
        &cast_slice(&bucket[self.keys_at..])[self.before_at(way)..][..self.sums.parts()]
    }

    fn before_mut<'a>(&self, bucket: &'a mut [u64], way: usize) -> &'a mut [u16] {
        &mut cast_slice_mut(&mut bucket[self.keys_at..])[self.before_at(way)..][..self.sums.parts()]
    }

    /// Quarters of a word from the keys to what U was when a cell was admitted.
    const fn before_at(&self, way: usize) -> usize {
        self.ways * self.halves * 2 + way * self.parts
    }

    /// Adds one packet to a cell; false if its narrow sum is full.
    #[inline(always)]
    pub(super) fn add(&self, bucket: &mut [u64], way: usize, (row, is_sampled): (&Row<'_>, bool), units: u8) -> bool {
        if !self.sums.add(self.sum_mut(bucket, way), row, is_sampled) {
            return false;
        }
        self.raise(bucket, way, units);
        true
    }

    /// Where the words of a cell's sum begin, in a table of less than 2^28 words.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "a bucket has some hundred words")]
    pub(super) const fn sum_place(&self, (bucket, way): (u32, u32)) -> u32 {
        bucket * self.words as u32 + self.sums_at as u32 + way * self.sum_words as u32
    }

    /// The byte that is a cell's score.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "a bucket has some hundred words")]
    pub(super) const fn score_place(&self, (bucket, way): (u32, u32)) -> u32 {
        (bucket * self.words as u32 + TAG_WORDS as u32) * 8 + way
    }

    /// Words of a bucket, and the first of those with keys.
    pub(super) const fn keys_place(&self) -> (usize, usize) {
        (self.words, self.keys_at)
    }

    /// Moves a score.
    #[inline(always)]
    pub(super) fn raise(&self, bucket: &mut [u64], way: usize, units: u8) {
        let score = self.score_mut(bucket, way);
        *score = score.saturating_add(units);
    }

    /// One packet that its cell cannot hold, and no memory for wider ones: it may have been there, so the cell's bound says,
    /// and U, which has to hold it when the key has gone.
    pub(super) fn add_to_bound(&self, bucket: &mut [u64], way: usize, row: &Row<'_>, units: u8) {
        self.sums.miss(self.missed_mut(bucket), row);
        let mut parts = [0; PARTS_MAX];
        let parts = &mut parts[..self.sums.parts()];
        parts.iter_mut().zip(self.before(bucket, way)).for_each(|(part, code)| *part = expand(*code));
        self.sums.miss(parts, row);
        // Rounded up packet by packet it would run away from the truth; what U was then and all that came since is a bound too.
        parts.iter_mut().zip(self.missed_parts(bucket)).for_each(|(part, missed)| *part = (*part).min(missed));
        self.before_mut(bucket, way).iter_mut().zip(parts).for_each(|(code, part)| *code = compact(*part));
        self.raise(bucket, way, units);
    }

    /// Gives a cell that nobody ever had to a key of which nothing was missed.
    #[inline(always)]
    pub(super) fn enter(&self, bucket: &mut [u64], way: usize, (tag, key): (u32, &[u32])) {
        Self::mark(bucket, way, tag);
        *self.score_mut(bucket, way) = 1;
        self.set_key(&mut bucket[self.keys_at..], way, key);
    }

    /// Gives a cell to a new key, whose packets so far are in U.
    #[inline(always)]
    pub(super) fn admit(&self, bucket: &mut [u64], way: usize, (tag, key): (u32, &[u32])) {
        Self::mark(bucket, way, tag);
        *self.score_mut(bucket, way) = 1;
        let (words, missed) = (self.sum_words, self.missed_parts(bucket));
        bucket[self.sums_at + way * words..][..words].fill(0);
        let back = &mut bucket[self.keys_at..];
        self.set_key(back, way, key);
        let before: &mut [u16] = &mut cast_slice_mut(back)[self.before_at(way)..][..self.parts];
        before.iter_mut().zip(missed).for_each(|(code, part)| *code = compact(part));
    }

    #[inline(always)]
    fn mark(bucket: &mut [u64], way: usize, tag: u32) {
        let tags: &mut [u32] = cast_slice_mut(&mut bucket[..TAG_WORDS]);
        tags[way] = tag;
    }

    /// Into the words from the keys on.
    #[inline(always)]
    fn set_key(&self, back: &mut [u64], way: usize, key: &[u32]) {
        let keys: &mut [u32] = cast_slice_mut(back);
        match key {
            [one] => keys[way] = *one,
            _ => keys[way * self.halves..(way + 1) * self.halves].copy_from_slice(key),
        }
    }

    /// Copies a cell into a free one of another bucket that lies alike.
    #[inline(always)]
    pub(super) fn copy(&self, from: &[u64], way: usize, to: &mut [u64], free: usize) {
        Self::mark(to, free, Self::tag(from, way));
        *self.score_mut(to, free) = cast_slice::<u64, u8>(&from[TAG_WORDS..HEAD_WORDS])[way];
        let (words, (sum, to_sum)) = (self.sum_words, (self.sums_at + way * self.sum_words, self.sums_at + free * self.sum_words));
        (0..words).for_each(|i| to[to_sum + i] = from[sum + i]);
        let (own, free_before) = (self.before_at(way), self.before_at(free));
        let (back, codes): (&mut [u64], &[u16]) = (&mut to[self.keys_at..], cast_slice(&from[self.keys_at..]));
        self.set_key(back, free, self.key(from, way));
        let before: &mut [u16] = cast_slice_mut(back);
        (0..self.parts).for_each(|i| before[free_before + i] = codes[own + i]);
    }

    /// A copy of a cell; none if it is free.
    pub(super) fn read(&self, bucket: &[u64], way: usize) -> Option<Cell> {
        let score = self.scores(bucket)[way];
        if score == 0 {
            return None;
        }
        let tag = Self::tag(bucket, way);
        let mut cell = Cell { tag, score, key: [0; HALVES_MAX], sum: [0; SumLayout::WORDS_MAX], before: [0; PARTS_MAX] };
        cell.key[..self.halves].copy_from_slice(self.key(bucket, way));
        self.sums.widen(self.sum(bucket, way), &mut cell.sum[..self.sums.layout.words()]);
        cell.before.iter_mut().zip(self.before(bucket, way)).for_each(|(part, code)| *part = expand(*code));
        Some(cell)
    }

    /// Frees a cell.
    pub(super) fn clear(&self, bucket: &mut [u64], way: usize) {
        self.scores_mut(bucket)[way] = 0;
        Self::mark(bucket, way, 0);
    }

    /// Writes a cell. Its sum fits: narrow ones come from narrow ones.
    pub(super) fn write(&self, bucket: &mut [u64], way: usize, cell: &Cell) {
        self.admit(bucket, way, (cell.tag, &cell.key[..self.halves]));
        self.scores_mut(bucket)[way] = cell.score;
        let (words, wide) = (self.sums.words(), &cell.sum[..self.sums.layout.words()]);
        self.sums.narrow(wide, &mut bucket[self.sums_at + way * words..][..words]);
        self.before_mut(bucket, way).iter_mut().zip(&cell.before).for_each(|(code, part)| *code = compact(*part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a range's memory is planned with: lines of a table that holds 128 keys exactly.
    #[test]
    fn tables_are_small() {
        let lines = |key_bytes, layout| {
            let narrow = Shape::new(key_bytes, Sums { layout, wide: false });
            let buckets = (1..).find(|buckets| narrow.room(*buckets) >= 128).unwrap();
            (narrow.words / LINE_WORDS, buckets * narrow.words / LINE_WORDS)
        };
        let (ones, values) = (SumLayout::Ones { weight: 40 }, SumLayout::Values { weight: 40 });
        let have = [(4, ones), (4, values), (16, ones), (16, values)].map(|(key_bytes, layout)| lines(key_bytes, layout));
        assert_eq!(have, [(4, 48), (6, 72), (7, 77), (8, 96)]);
    }
}
