//! Small pieces of open batches, all of one size, from one region that is reserved at start.

use crate::arch::prefetch::prefetch_write;
use crate::arch::{Region, Reserve};
use crate::telemetry::PartFigures;

/// No segment.
pub(super) const NONE: u32 = u32::MAX;

/// Fresh segments that are asked for ahead: what is taken is soon written.
const AHEAD: usize = 16;

/// A region of segments; those not in a chain are free.
pub(super) struct Segments {
    words: Region,
    next: Vec<u32>,
    segment_words: u32,
    free: u32,
    /// Segments that were ever taken: those behind are untouched memory.
    taken: usize,
    used: usize,
}

impl Segments {
    /// The most that there can be of so many words: each word has a number of 32 bits.
    pub(super) const fn most(segment_words: usize) -> usize {
        (u32::MAX as usize - 1) / segment_words
    }

    /// So many, of so many words.
    pub(super) fn new(segments: usize, segment_words: usize, reserve: Reserve) -> Self {
        Self {
            words: Region::new(segments * segment_words, reserve),
            next: vec![0; segments],
            segment_words: u32::try_from(segment_words).unwrap_or(u32::MAX),
            free: NONE,
            taken: 0,
            used: 0,
        }
    }

    /// A free one; none if there is none.
    #[inline]
    pub(super) fn take(&mut self) -> Option<u32> {
        if self.free != NONE {
            let segment = self.free;
            self.free = self.next[segment as usize];
            self.used += 1;
            self.prefetch_segment(self.free as usize);
            self.next.get(self.free as usize).into_iter().for_each(prefetch_write);
            return Some(segment);
        }
        let fresh = (self.taken < self.next.len()).then_some(u32::try_from(self.taken).ok()?);
        self.prefetch_segment(self.taken + AHEAD);
        self.taken += usize::from(fresh.is_some());
        self.used += usize::from(fresh.is_some());
        fresh
    }

    /// The one behind `segment` in its chain.
    #[inline]
    pub(super) fn next(&self, segment: u32) -> u32 {
        self.next[segment as usize]
    }

    /// Puts `segment` behind `tail`.
    #[inline]
    pub(super) fn link(&mut self, tail: u32, segment: u32) {
        self.next[tail as usize] = segment;
    }

    /// Frees a piece of a chain, both ends included: so many segments.
    #[inline]
    pub(super) fn free(&mut self, head: u32, tail: u32, segments: usize) {
        self.used -= segments;
        self.next[tail as usize] = self.free;
        self.free = head;
    }

    /// Bytes in use, the most that ever were, and all. Free ones are taken before fresh ones.
    pub(super) fn figures(&self) -> PartFigures {
        let bytes = |segments: usize| segments * self.segment_words as usize * 8;
        PartFigures::of(bytes(self.used), bytes(self.taken), bytes(self.next.len()))
    }

    /// What it takes of the system.
    pub(super) const fn region(&self) -> &Region {
        &self.words
    }

    /// Asks for a word, soon to be written.
    #[inline]
    pub(super) fn prefetch(&self, at: u32) {
        self.words.get(at as usize).into_iter().for_each(prefetch_write);
    }

    /// Asks for a segment, soon to be written; there may be none.
    #[inline]
    fn prefetch_segment(&self, segment: usize) {
        let each = self.segment_words as usize;
        let words = self.words.get(segment * each..(segment + 1) * each);
        words.unwrap_or_default().iter().step_by(8).for_each(prefetch_write);
    }

    /// Where a segment's words begin.
    #[inline]
    pub(super) fn start(&self, segment: u32) -> u32 {
        segment * self.segment_words
    }

    /// The segment that holds the last word before `at`.
    #[inline]
    pub(super) fn before(&self, at: u32) -> u32 {
        (at - 1) / self.segment_words
    }

    /// So many words from one on, which lie in one segment.
    #[inline]
    pub(super) fn at_mut(&mut self, at: u32, words: usize) -> &mut [u64] {
        &mut self.words[at as usize..at as usize + words]
    }

    /// Writes three words from one on.
    #[inline]
    pub(super) fn put(&mut self, at: u32, (one, two, three): (u64, u64, u64)) {
        if let Some([first, second, third, ..]) = self.words.get_mut(at as usize..) {
            (*first, *second, *third) = (one, two, three);
        }
    }

    #[inline]
    pub(super) fn words(&self, segment: u32) -> &[u64] {
        let start = self.start(segment) as usize;
        &self.words[start..start + self.segment_words as usize]
    }
}
