//! Where sketches live: one region of words a shard, cut into chunks of few sizes, never asking the system again.
//!
//! The region is reserved at start and touched as it is needed. A [`Handle`] is plain data: it is kept inside other
//! chunks, and resolving it borrows the pool, so no two live references ever meet. What a shard may use in all is one
//! [`Budget`]; when it is spent, allocation fails and the caller says what it does then.

use crate::arch::{Region, Reserve};

/// Words in a line of the cache, the unit of chunks.
const LINE_WORDS: usize = 8;
/// Sizes of chunks: 1, 2, 3, 4, 6, 8, 12, … lines.
const CLASSES: usize = 48;

/// A chunk of a [`Pool`]: its first line plus one, and its class. Zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handle(u64);

impl Handle {
    /// No chunk.
    pub const NONE: Self = Self(0);

    /// As a word inside another chunk.
    pub const fn word(self) -> u64 {
        self.0
    }

    /// From the word that [`Self::word`] gave.
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// Whether there is no chunk.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    const fn class(self) -> usize {
        (self.0 >> 40) as usize
    }

    const fn start(self) -> usize {
        ((self.0 & 0xFF_FFFF_FFFF) as usize - 1) * LINE_WORDS
    }
}

/// Lines that a shard may still take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    lines: usize,
    whole_lines: usize,
}

impl Budget {
    /// Of so many bytes.
    pub const fn of_bytes(bytes: usize) -> Self {
        let lines = bytes / (LINE_WORDS * 8);
        Self { lines, whole_lines: lines }
    }
}

/// A region of words and its free chunks.
pub struct Pool {
    words: Region,
    taken_lines: usize,
    free: [Handle; CLASSES],
    used_lines: usize,
}

impl Pool {
    /// A region of so many bytes, touched as it is needed.
    pub fn with_bytes(bytes: usize) -> Self {
        Self::new(bytes, Reserve::Lazily)
    }

    /// A region of so many bytes.
    pub fn new(bytes: usize, reserve: Reserve) -> Self {
        Self { words: Region::new(bytes / 8, reserve), taken_lines: 0, free: [Handle::NONE; CLASSES], used_lines: 0 }
    }

    /// A chunk of at least so many words, all zero; `None` if the budget or the region is spent.
    pub fn alloc(&mut self, words: usize, budget: &mut Budget) -> Option<Handle> {
        let class = class_of(words.div_ceil(LINE_WORDS));
        let lines = class_lines(class);
        let handle = match self.free.get(class).copied()? {
            Handle::NONE => self.take(class, lines, budget).or_else(|| self.take_anew(class, lines, budget))?,
            free => {
                self.free[class] = Handle(self.words[free.start()]);
                free
            }
        };
        self.used_lines += lines;
        self.get_mut(handle).fill(0);
        Some(handle)
    }

    fn take(&mut self, class: usize, lines: usize, budget: &mut Budget) -> Option<Handle> {
        let end = self.taken_lines + lines;
        if lines > budget.lines || end * LINE_WORDS > self.words.len() {
            return None;
        }
        budget.lines -= lines;
        let handle = Handle((class as u64) << 40 | (self.taken_lines as u64 + 1));
        self.taken_lines = end;
        Some(handle)
    }

    /// Where nothing is in use, a spent region is cut anew: whatever sizes it had before.
    fn take_anew(&mut self, class: usize, lines: usize, budget: &mut Budget) -> Option<Handle> {
        if self.used_lines > 0 {
            return None;
        }
        budget.lines += std::mem::take(&mut self.taken_lines);
        self.free = [Handle::NONE; CLASSES];
        self.take(class, lines, budget)
    }

    /// Gives a chunk back; none is ignored.
    pub fn free(&mut self, handle: Handle) {
        if handle.is_none() {
            return;
        }
        let class = handle.class();
        self.words[handle.start()] = self.free[class].0;
        self.free[class] = handle;
        self.used_lines -= class_lines(class);
    }

    /// The chunk's words.
    #[inline]
    pub fn get(&self, handle: Handle) -> &[u64] {
        let start = handle.start();
        &self.words[start..start + class_lines(handle.class()) * LINE_WORDS]
    }

    /// The chunk's words.
    #[inline]
    pub fn get_mut(&mut self, handle: Handle) -> &mut [u64] {
        let start = handle.start();
        &mut self.words[start..start + class_lines(handle.class()) * LINE_WORDS]
    }

    /// The words of two different chunks.
    pub fn get_two_mut(&mut self, a: Handle, b: Handle) -> (&mut [u64], &mut [u64]) {
        let (a_words, b_words) = (class_lines(a.class()) * LINE_WORDS, class_lines(b.class()) * LINE_WORDS);
        if a.start() < b.start() {
            let (low, high) = self.words.split_at_mut(b.start());
            (&mut low[a.start()..a.start() + a_words], &mut high[..b_words])
        } else {
            let (low, high) = self.words.split_at_mut(a.start());
            (&mut high[..a_words], &mut low[b.start()..b.start() + b_words])
        }
    }

    /// Bytes in chunks that are in use.
    pub const fn used_bytes(&self) -> usize {
        self.used_lines * LINE_WORDS * 8
    }
}

/// The pool that kernels grow in, and what may still be taken.
pub struct Memory<'a> {
    /// Chunks.
    pub pool: &'a mut Pool,
    /// Shared with the pool of roots.
    pub budget: &'a mut Budget,
}

impl Memory<'_> {
    /// See [`Pool::alloc`].
    pub fn alloc(&mut self, words: usize) -> Option<Handle> {
        self.pool.alloc(words, self.budget)
    }

    /// log2 of the weight that sketches should thin what is new to them by: 0 while there is plenty; 1, 2 and 3 once three
    /// quarters, seven eighths and fifteen sixteenths of the budget are in use.
    pub const fn pressure(&self) -> u32 {
        let free_lines = self.budget.lines + self.pool.taken_lines - self.pool.used_lines;
        let of = self.budget.whole_lines;
        match free_lines * 16 {
            free if free > of * 4 => 0,
            free if free > of * 2 => 1,
            free if free > of => 2,
            _ => 3,
        }
    }
}

const fn class_lines(class: usize) -> usize {
    match class {
        0 => 1,
        c if c % 2 == 1 => 1 << c.div_ceil(2),
        c => 3 << (c / 2 - 1),
    }
}

const fn class_of(lines: usize) -> usize {
    let mut class = 0;
    while class_lines(class) < lines {
        class += 1;
    }
    class
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_grow_by_at_most_two() {
        let sizes: Vec<usize> = (0..10).map(class_lines).collect();
        assert_eq!(sizes, [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]);
        assert!((1..5_000).all(|n| class_lines(class_of(n)) >= n && (class_lines(class_of(n)) < 2 * n || n == 1)));
    }

    #[test]
    fn chunks_never_overlap_and_come_back_zeroed() {
        let (mut pool, mut budget) = (Pool::with_bytes(1 << 16), Budget::of_bytes(1 << 16));
        let mut live: Vec<(Handle, u64)> = Vec::new();
        let mut x = 7_u64;
        for round in 1..5_000_u64 {
            x = crate::arch::hash::spread(x + round);
            if x.is_multiple_of(3) && !live.is_empty() {
                let (handle, mark) = live.swap_remove(usize::try_from(x >> 8).unwrap() % live.len());
                assert!(pool.get(handle).iter().all(|w| *w == mark));
                pool.free(handle);
            } else if let Some(handle) = pool.alloc(usize::try_from(x % 90).unwrap() + 1, &mut budget) {
                assert!(pool.get(handle).iter().all(|w| *w == 0));
                pool.get_mut(handle).fill(round);
                live.push((handle, round));
            }
        }
        live.drain(..).for_each(|(handle, _)| pool.free(handle));
        assert_eq!(pool.used_bytes(), 0);
    }

    #[test]
    fn pressure_rises_as_the_budget_is_spent_and_falls_with_what_comes_back() {
        let (mut pool, mut budget) = (Pool::with_bytes(1 << 16), Budget::of_bytes(64 * 32));
        let mut memory = Memory { pool: &mut pool, budget: &mut budget };
        let mut seen = Vec::new();
        let chunks: Vec<Handle> = std::iter::from_fn(|| {
            seen.push(memory.pressure());
            memory.alloc(8)
        })
        .collect();
        assert_eq!((chunks.len(), &seen[22..30]), (32, &[0, 0, 1, 1, 1, 1, 2, 2][..]));
        assert_eq!(seen[30..], [3; 3]);
        chunks.into_iter().for_each(|chunk| memory.pool.free(chunk));
        assert_eq!(memory.pressure(), 0);
    }

    #[test]
    fn an_empty_region_serves_any_size_again() {
        let (mut pool, mut budget) = (Pool::with_bytes(64 * 32), Budget::of_bytes(64 * 32));
        for lines in [1, 32, 2, 8, 1, 16] {
            let all: Vec<Handle> = std::iter::from_fn(|| pool.alloc(lines * LINE_WORDS, &mut budget)).collect();
            assert_eq!(all.len() * lines, 32);
            all.into_iter().for_each(|chunk| pool.free(chunk));
        }
    }

    #[test]
    fn a_spent_budget_refuses() {
        let (mut pool, mut budget) = (Pool::with_bytes(1 << 16), Budget::of_bytes(128));
        assert!(pool.alloc(8, &mut budget).is_some() && pool.alloc(8, &mut budget).is_some() && pool.alloc(1, &mut budget).is_none());
    }
}
