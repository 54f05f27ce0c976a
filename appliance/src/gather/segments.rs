//! Pieces of open batches, of three kinds, from one region that is reserved at start: small ones for the many ranges that have
//! little, large ones that hold a batch, which need not be put together, and desks, where a large one's records are written first.
//!
//! Half of the region is small ones, and half of it the others. Where one of the first two kinds runs out, the other is taken: no
//! traffic can make that pool useless for other traffic.

use super::packed::{Form, Layout, NARROW_WORDS};
use crate::arch::prefetch::{prefetch_words, prefetch_write};
use crate::arch::{Region, Reserve};
use crate::limits::{BATCH_RECORDS_MAX, SEGMENT_RECORDS};
use crate::telemetry::PartFigures;

/// No segment.
const NONE: u32 = u32::MAX;
/// Fresh segments that are asked for ahead: what is taken is soon written.
const AHEAD: u32 = 4;
/// Small ones that there are at least.
const SMALL_MIN: usize = 2 * BATCH_RECORDS_MAX;
/// One part in so many of the region is desks, at most.
const DESKS_PART: usize = 32;

/// Words of a desk.
pub(super) const DESK_WORDS: usize = SEGMENT_RECORDS * NARROW_WORDS;

/// Which kind a segment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Small,
    Large,
    Desk,
}

/// Words of the kinds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) words: [u32; 3],
}

impl Sizes {
    /// Eight usual records of the first layout, or one of any; a batch of them; eight records that have no more than every record.
    #[allow(clippy::cast_possible_truncation, reason = "some hundred words")]
    pub(super) fn of(layout: &Layout) -> Self {
        let usual = layout.words(Form::Narrow);
        let [small, large] = [SEGMENT_RECORDS * usual, BATCH_RECORDS_MAX * usual].map(|words| words.max(Layout::WORDS_MAX) as u32);
        Self { words: [small, large, DESK_WORDS as u32] }
    }

    const fn of_kind(self, size: Size) -> u32 {
        self.words[size as usize]
    }
}

/// Segments of one kind, those not in a chain being free.
struct Kind {
    /// Number of the first, and how many there are.
    from: u32,
    len: u32,
    /// The free one that was given back last.
    free: u32,
    /// Those that were ever taken: those behind are untouched memory.
    taken: u32,
    used: u32,
}

impl Kind {
    const fn new(from: u32, len: u32) -> Self {
        Self { from, len, free: NONE, taken: 0, used: 0 }
    }
}

/// A region of segments.
pub(super) struct Segments {
    words: Region,
    sizes: Sizes,
    kinds: [Kind; 3],
    /// Words of all small ones, and of these and all large ones.
    words_before: [u32; 2],
    /// Of each segment the next in its chain, or the next that is free.
    next: Vec<u32>,
}

impl Segments {
    /// As many as so many bytes hold, but no fewer than chains can do with, and no more than so many desks.
    pub(super) fn new(bytes_max: usize, desks_max: usize, sizes: Sizes, reserve: Reserve) -> Self {
        let bytes_of = |size: Size| sizes.of_kind(size) as usize * 8 + size_of::<u32>();
        // Words have numbers of 32 bits.
        let bytes = bytes_max.min((u32::MAX as usize - SMALL_MIN * sizes.of_kind(Size::Small) as usize) * 8);
        let desks = (bytes / DESKS_PART / bytes_of(Size::Desk)).min(desks_max);
        let large = (bytes / 2 - desks * bytes_of(Size::Desk)) / bytes_of(Size::Large);
        let small = (bytes / 2 / bytes_of(Size::Small)).max(SMALL_MIN);
        let [small, large, desks] = [small, large, desks].map(|segments| u32::try_from(segments).unwrap_or(0));
        let small_words = small * sizes.of_kind(Size::Small);
        let before_desks = small_words + large * sizes.of_kind(Size::Large);
        Self {
            words: Region::new((before_desks + desks * sizes.of_kind(Size::Desk)) as usize, reserve),
            sizes,
            kinds: [Kind::new(0, small), Kind::new(small, large), Kind::new(small + large, desks)],
            words_before: [small_words, before_desks],
            next: vec![0; (small + large + desks) as usize],
        }
    }

    /// What the segments are like.
    pub(super) const fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// A free one, of this size if there is one; none if there is none at all. In place of a desk nothing else is given.
    #[inline]
    pub(super) fn take(&mut self, size: Size) -> Option<u32> {
        let other = match size {
            Size::Small => Size::Large,
            Size::Large => Size::Small,
            Size::Desk => return self.take_of(size),
        };
        self.take_of(size).or_else(|| self.take_of(other))
    }

    fn take_of(&mut self, size: Size) -> Option<u32> {
        let kind = &mut self.kinds[size as usize];
        let segment = if kind.free != NONE {
            let segment = kind.free;
            kind.free = self.next[segment as usize];
            let next = kind.free;
            self.next.get(next as usize).into_iter().for_each(prefetch_write);
            self.prefetch_first(next);
            segment
        } else if kind.taken < kind.len {
            let segment = kind.from + kind.taken;
            kind.taken += 1;
            self.prefetch_first(segment + AHEAD);
            segment
        } else {
            return None;
        };
        self.kinds[size as usize].used += 1;
        Some(segment)
    }

    /// The one behind `segment` in its chain.
    #[inline]
    pub(super) fn next(&self, segment: u32) -> u32 {
        self.next[segment as usize]
    }

    /// Keeps a number with the last one of a chain.
    #[inline]
    pub(super) fn note(&mut self, tail: u32, number: u32) {
        self.next[tail as usize] = number;
    }

    /// The number that is kept with the last one of a chain.
    #[inline]
    pub(super) fn noted(&self, tail: u32) -> u32 {
        self.next[tail as usize]
    }

    /// Puts `segment` behind `tail`.
    #[inline]
    pub(super) fn link(&mut self, tail: u32, segment: u32) {
        self.next[tail as usize] = segment;
    }

    /// Frees a segment.
    #[inline]
    pub(super) fn free(&mut self, segment: u32) {
        let kind = &mut self.kinds[self.size(segment) as usize];
        kind.used -= 1;
        self.next[segment as usize] = kind.free;
        kind.free = segment;
    }

    /// Whether half of all words are in use, but for desks.
    pub(super) fn is_half_full(&self) -> bool {
        let used: u64 = self.kinds.iter().zip(self.sizes.words).take(2).map(|(kind, words)| u64::from(kind.used) * u64::from(words)).sum();
        2 * used >= u64::from(self.words_before[1])
    }

    /// Bytes in use, the most that ever were, and all. Free ones are taken before fresh ones.
    pub(super) fn figures(&self) -> PartFigures {
        let bytes = |of: fn(&Kind) -> u32| -> usize {
            self.kinds.iter().zip(self.sizes.words).map(|(kind, words)| of(kind) as usize * words as usize * 8).sum()
        };
        PartFigures::of(bytes(|kind| kind.used), bytes(|kind| kind.taken), bytes(|kind| kind.len))
    }

    /// What it takes of the system.
    pub(super) const fn region(&self) -> &Region {
        &self.words
    }

    /// Asks for the place of a narrow record, soon to be written.
    #[inline]
    pub(super) fn prefetch(&self, at: u32) {
        self.words.get(at as usize).into_iter().for_each(prefetch_write);
    }

    /// Asks for words that lie one behind the other, soon to be read; there may be fewer.
    #[inline]
    pub(super) fn prefetch_batch(&self, at: u32, words: usize) {
        let from = (at as usize).min(self.words.len());
        prefetch_words(&self.words[from..(from + words).min(self.words.len())]);
    }

    /// Asks for where a segment begins, soon to be written; there may be none.
    #[inline]
    fn prefetch_first(&self, segment: u32) {
        if (segment as usize) < self.next.len() {
            self.prefetch(self.start(segment));
        }
    }

    #[inline]
    pub(super) const fn size(&self, segment: u32) -> Size {
        if segment < self.kinds[1].from {
            Size::Small
        } else if segment < self.kinds[2].from {
            Size::Large
        } else {
            Size::Desk
        }
    }

    /// Where a segment's words begin.
    #[inline]
    pub(super) const fn start(&self, segment: u32) -> u32 {
        let [small, large, desk] = self.sizes.words;
        match self.size(segment) {
            Size::Small => segment * small,
            Size::Large => self.words_before[0] + (segment - self.kinds[1].from) * large,
            Size::Desk => self.words_before[1] + (segment - self.kinds[2].from) * desk,
        }
    }

    /// The segment that a word is of, and its size.
    #[inline]
    pub(super) const fn of_word(&self, at: u32) -> (u32, Size) {
        let ([small, large, desk], [before_large, before_desks]) = (self.sizes.words, self.words_before);
        if at < before_large {
            (at / small, Size::Small)
        } else if at < before_desks {
            (self.kinds[1].from + (at - before_large) / large, Size::Large)
        } else {
            (self.kinds[2].from + (at - before_desks) / desk, Size::Desk)
        }
    }

    /// So many words from one on, which lie in one segment.
    #[inline]
    pub(super) fn at_mut(&mut self, at: u32, words: usize) -> &mut [u64] {
        &mut self.words[at as usize..at as usize + words]
    }

    /// The same, to be read.
    #[inline]
    pub(super) fn at(&self, at: u32, words: usize) -> &[u64] {
        &self.words[at as usize..at as usize + words]
    }

    /// Copies what a desk holds.
    #[inline]
    pub(super) fn copy(&mut self, from: u32, to: u32) {
        debug_assert!(self.of_word(from).1 == Size::Desk && to as usize + DESK_WORDS <= self.words.len());
        let Some(words) = self.words.get(from as usize..).and_then(<[u64]>::first_chunk::<DESK_WORDS>).copied() else { return };
        if let Some(to) = self.words.get_mut(to as usize..).and_then(<[u64]>::first_chunk_mut) {
            *to = words;
        }
    }

    /// Asks for what a desk holds, and for where it goes.
    #[inline]
    pub(super) fn prefetch_desk(&self, from: u32, to: u32) {
        for at in (0..DESK_WORDS).step_by(8) {
            self.words.get(from as usize + at).into_iter().for_each(prefetch_write);
            self.words.get(to as usize + at).into_iter().for_each(prefetch_write);
        }
    }

    /// Writes three words from one on.
    #[inline]
    pub(super) fn put(&mut self, at: u32, (one, two, three): (u64, u64, u64)) {
        if let Some([first, second, third, ..]) = self.words.get_mut(at as usize..) {
            (*first, *second, *third) = (one, two, three);
        }
    }
}
