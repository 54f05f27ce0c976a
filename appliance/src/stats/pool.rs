//! Where sketches live: one region of words a shard, cut into chunks of few sizes, never asking the system again.
//!
//! The region is reserved at start and touched as it is needed; freed chunks serve their own size first, and where nothing
//! else is left those that want a little less. A [`Handle`] is plain data: it is kept inside other
//! chunks, and resolving it borrows the pool, so no two live references ever meet. What a shard may use in all is one
//! [`Budget`]; when it is spent, allocation fails and the caller says what it does then.

use crate::arch::{Region, Reserve};

/// Words in a line of the cache, the unit of chunks.
const LINE_WORDS: usize = 8;
/// Sizes of chunks between a power of two and the next: no chunk is an eighth longer than what asks for it.
const STEPS: usize = 8;
/// Sizes of chunks: 1 to 16, then 18, 20, … 32, 36, … lines, up to 2^24.
const CLASSES: usize = 22 * STEPS;
/// A chunk has fewer lines.
const CHUNK_LINES_END: usize = 1 << 24;

/// A chunk of a [`Pool`]: its first line plus one, and its lines. Zero is none.
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

    const fn lines(self) -> usize {
        (self.0 >> 40) as usize
    }

    const fn words(self) -> usize {
        self.lines() * LINE_WORDS
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
    /// The most that were in use.
    most_lines: usize,
    /// Of tests: what it refuses though it is there.
    #[cfg(test)]
    pub(crate) mood: Mood,
}

/// A draw, and how many grants in 256 are refused by it.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mood {
    pub(crate) draw: u64,
    pub(crate) refused: u8,
}

#[cfg(test)]
impl Mood {
    fn refuses(&mut self) -> bool {
        self.draw = crate::arch::hash::spread(self.draw.wrapping_add(0x9E37_79B9_7F4A_7C15));
        self.draw >> 56 < u64::from(self.refused)
    }
}

impl Pool {
    /// A region of so many bytes, touched as it is needed.
    pub fn with_bytes(bytes: usize) -> Self {
        Self::new(bytes, Reserve::Lazily)
    }

    /// A region of so many bytes.
    pub fn new(bytes: usize, reserve: Reserve) -> Self {
        Self {
            words: Region::new(bytes / 8, reserve),
            taken_lines: 0,
            free: [Handle::NONE; CLASSES],
            used_lines: 0,
            most_lines: 0,
            #[cfg(test)]
            mood: Mood::default(),
        }
    }

    /// A chunk of at least so many words, all zero; `None` if the budget or the region is spent.
    pub fn alloc(&mut self, words: usize, budget: &mut Budget) -> Option<Handle> {
        #[cfg(test)]
        if self.mood.refuses() {
            return None;
        }
        let class = class_of(words.div_ceil(LINE_WORDS).max(1));
        let fitting = self.reuse(class).or_else(|| self.take(class_lines(class), budget));
        let handle = fitting.or_else(|| self.take_anew(class_lines(class), budget)).or_else(|| self.reuse_longer(class))?;
        self.used_lines += handle.lines();
        self.most_lines = self.most_lines.max(self.used_lines);
        self.get_mut(handle).fill(0);
        Some(handle)
    }

    /// A free chunk of this size.
    fn reuse(&mut self, class: usize) -> Option<Handle> {
        let free = self.free.get(class).copied().filter(|free| !free.is_none())?;
        self.free[class] = Handle(self.words[free.start()]);
        Some(free)
    }

    /// A free chunk of another size, up to twice as long. It stays whole: nothing that is large is lost to what is small.
    fn reuse_longer(&mut self, class: usize) -> Option<Handle> {
        (class + 1..=class + STEPS).find_map(|longer| self.reuse(longer))
    }

    fn take(&mut self, lines: usize, budget: &mut Budget) -> Option<Handle> {
        let end = self.taken_lines + lines;
        if lines >= CHUNK_LINES_END || lines > budget.lines || end * LINE_WORDS > self.words.len() {
            return None;
        }
        budget.lines -= lines;
        let handle = Handle((lines as u64) << 40 | (self.taken_lines as u64 + 1));
        self.taken_lines = end;
        Some(handle)
    }

    /// Where nothing is in use, a spent region is cut anew: whatever sizes it had before.
    fn take_anew(&mut self, lines: usize, budget: &mut Budget) -> Option<Handle> {
        if self.used_lines > 0 {
            return None;
        }
        budget.lines += std::mem::take(&mut self.taken_lines);
        self.free = [Handle::NONE; CLASSES];
        self.take(lines, budget)
    }

    /// Gives a chunk back; none is ignored.
    pub fn free(&mut self, handle: Handle) {
        if handle.is_none() {
            return;
        }
        let class = class_of(handle.lines());
        self.words[handle.start()] = self.free[class].0;
        self.free[class] = handle;
        self.used_lines -= handle.lines();
    }

    /// The chunk's words.
    #[inline]
    pub fn get(&self, handle: Handle) -> &[u64] {
        let start = handle.start();
        &self.words[start..start + handle.words()]
    }

    /// The chunk's words.
    #[inline]
    pub fn get_mut(&mut self, handle: Handle) -> &mut [u64] {
        let start = handle.start();
        &mut self.words[start..start + handle.words()]
    }

    /// The words of two different chunks.
    pub fn get_two_mut(&mut self, a: Handle, b: Handle) -> (&mut [u64], &mut [u64]) {
        let (a_words, b_words) = (a.words(), b.words());
        if a.start() < b.start() {
            let (low, high) = self.words.split_at_mut(b.start());
            (&mut low[a.start()..a.start() + a_words], &mut high[..b_words])
        } else {
            let (low, high) = self.words.split_at_mut(a.start());
            (&mut high[..a_words], &mut low[b.start()..b.start() + b_words])
        }
    }

    /// What it takes of the system.
    pub const fn region(&self) -> &Region {
        &self.words
    }

    /// The most bytes that were ever in use.
    pub const fn most_bytes(&self) -> usize {
        self.most_lines * LINE_WORDS * 8
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

    const fn free_lines(&self) -> usize {
        self.budget.lines + self.pool.taken_lines - self.pool.used_lines
    }

    /// How much of the budget is not in use.
    pub const fn free_sixteenths(&self) -> usize {
        let of = self.budget.whole_lines;
        self.free_lines() * 16 / if of == 0 { 1 } else { of }
    }

    /// log2 of the weight that sketches should thin what is new to them by: 0 while there is plenty; 1, 2 and 3 once 7,
    /// 7.5 and 7.75 eighths of the budget are in use.
    pub const fn pressure(&self) -> u32 {
        let of = self.budget.whole_lines;
        match self.free_lines() * 16 {
            free if free > of * 2 => 0,
            free if free > of => 1,
            free if free * 2 > of => 2,
            _ => 3,
        }
    }
}

const fn class_lines(class: usize) -> usize {
    if class < STEPS { class + 1 } else { (STEPS + 1 + class % STEPS) << (class / STEPS - 1) }
}

const fn class_of(lines: usize) -> usize {
    if lines <= STEPS {
        return lines - 1;
    }
    let octave = (lines - 1).ilog2() - STEPS.ilog2();
    octave as usize * STEPS + ((lines - 1) >> octave)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_hardly_longer_than_what_is_asked_for() {
        let sizes: Vec<usize> = (14..27).map(class_lines).collect();
        assert_eq!(sizes, [15, 16, 18, 20, 22, 24, 26, 28, 30, 32, 36, 40, 44]);
        assert!((0..CLASSES).all(|class| class_of(class_lines(class)) == class));
        assert!((1..50_000).all(|n| class_lines(class_of(n)) >= n && (class_lines(class_of(n)) - n) * STEPS < n));
        assert_eq!(class_of(CHUNK_LINES_END), CLASSES - 1);
    }

    #[test]
    fn what_is_left_of_another_size_serves_what_wants_a_little_less() {
        let (mut pool, mut budget) = (Pool::with_bytes(64 * 33), Budget::of_bytes(64 * 33));
        let (all, used) = ([0; 2].map(|_| pool.alloc(16 * LINE_WORDS, &mut budget).unwrap()), pool.alloc(1, &mut budget));
        all.into_iter().for_each(|chunk| pool.free(chunk));
        assert!(used.is_some() && pool.alloc(7 * LINE_WORDS, &mut budget).is_none());
        let shorter = pool.alloc(9 * LINE_WORDS, &mut budget).unwrap();
        assert_eq!((pool.get(shorter).len(), pool.used_bytes()), (16 * LINE_WORDS, 64 * 17));
        pool.free(shorter);
        assert!(all.iter().all(|_| pool.alloc(16 * LINE_WORDS, &mut budget).is_some()));
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
        assert_eq!((chunks.len(), &seen[26..30]), (32, &[0, 0, 1, 1][..]));
        assert_eq!(seen[30..], [2, 3, 3]);
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
