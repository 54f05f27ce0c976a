//! Small pieces of open batches, all of one size, from one region that is reserved at start.

use crate::arch::prefetch::prefetch;
use crate::arch::{Region, Reserve};
use crate::telemetry::PartFigures;

/// No segment.
pub(super) const NONE: u32 = u32::MAX;

/// A region of segments; those not in a chain are free.
pub(super) struct Segments {
    words: Region,
    next: Vec<u32>,
    segment_words: usize,
    free: u32,
    /// Segments that were ever taken: those behind are untouched memory.
    taken: usize,
    used: usize,
}

impl Segments {
    /// So many, of so many words.
    pub(super) fn new(segments: usize, segment_words: usize, reserve: Reserve) -> Self {
        Self {
            words: Region::new(segments * segment_words, reserve),
            next: vec![0; segments],
            segment_words,
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
            return Some(segment);
        }
        let fresh = (self.taken < self.next.len()).then_some(u32::try_from(self.taken).ok()?);
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
        let bytes = |segments: usize| segments * self.segment_words * 8;
        PartFigures::of(bytes(self.used), bytes(self.taken), bytes(self.next.len()))
    }

    /// What it takes of the system.
    pub(super) const fn region(&self) -> &Region {
        &self.words
    }

    /// Asks for a word of a segment, soon to be written.
    #[inline]
    pub(super) fn prefetch(&self, segment: u32, at: usize) {
        if let Some(word) = self.words.get(segment as usize * self.segment_words + at) {
            prefetch(word);
        }
    }

    #[inline]
    pub(super) fn words(&self, segment: u32) -> &[u64] {
        let start = segment as usize * self.segment_words;
        &self.words[start..start + self.segment_words]
    }

    #[inline]
    pub(super) fn words_mut(&mut self, segment: u32) -> &mut [u64] {
        let start = segment as usize * self.segment_words;
        &mut self.words[start..start + self.segment_words]
    }
}
