//! Pieces of few sizes, in pages of one size each: what must always be there is not kept among what may run out.
//!
//! A page serves one size while a piece of it is in use, and any size again when none is. So a configuration whose blocks
//! have other sizes finds room when those of the one before are gone.

use crate::arch::{Region, Reserve};

/// Words in a line of the cache, the unit of pieces.
const LINE_WORDS: usize = 8;
/// No page.
const NONE: u32 = u32::MAX;
/// Pages are at least so long: 64 KB.
const PAGE_LINES_MIN: usize = 1_024;

/// A piece: its first line plus one. Zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece(u32);

impl Piece {
    /// No piece.
    pub const NONE: Self = Self(0);

    /// Whether there is no piece.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    const fn line(self) -> usize {
        self.0 as usize - 1
    }
}

#[derive(Clone, Copy)]
struct Page {
    /// Lines of its pieces; 0: it serves none.
    lines: u32,
    used: u32,
    /// Pieces that were ever taken since it serves this size: those behind are not in the list.
    taken: u32,
    free: Piece,
    /// Its neighbours among pages of its size that have a free piece, or among those that serve none.
    next: u32,
    previous: u32,
}

/// A region of pages.
pub struct Pages {
    words: Region,
    pages: Vec<Page>,
    page_lines: usize,
    /// Pages that serve none: the first of the list.
    idle: u32,
    /// Of each size in lines: the first page that has a free piece.
    partial: Vec<u32>,
    used_lines: usize,
    /// The most that were in use.
    most_lines: usize,
}

impl Pages {
    /// Lines of a page that holds pieces of up to so many words, several of them.
    pub fn page_lines(piece_words_max: usize) -> usize {
        (4 * piece_words_max.div_ceil(LINE_WORDS)).max(PAGE_LINES_MIN)
    }

    /// Bytes of pages that hold so many pieces of so many words.
    pub fn bytes_of(pieces: usize, words: usize, page_lines: usize) -> usize {
        let of_page = (page_lines / words.div_ceil(LINE_WORDS).max(1)).max(1);
        pieces.div_ceil(of_page) * page_lines * LINE_WORDS * 8
    }

    /// A region of so many bytes.
    pub fn new(bytes: usize, page_lines: usize, reserve: Reserve) -> Self {
        let pages = bytes / (page_lines * LINE_WORDS * 8);
        let mut made = Self {
            words: Region::new(pages * page_lines * LINE_WORDS, reserve),
            pages: vec![Page { lines: 0, used: 0, taken: 0, free: Piece::NONE, next: NONE, previous: NONE }; pages],
            page_lines,
            idle: NONE,
            partial: vec![NONE; page_lines + 1],
            used_lines: 0,
            most_lines: 0,
        };
        // The first page is taken first: those behind stay untouched.
        (0..pages).rev().for_each(|page| made.link(page, 0));
        made
    }

    /// A piece of at least so many words, all zero; `None` if no page has one.
    pub fn alloc(&mut self, words: usize) -> Option<Piece> {
        let lines = words.div_ceil(LINE_WORDS).max(1);
        let mut at = *self.partial.get(lines)?;
        if at == NONE {
            at = self.idle;
            let page = self.pages.get_mut(at as usize)?;
            (page.lines, page.used, page.taken, page.free) = (u32::try_from(lines).ok()?, 0, 0, Piece::NONE);
            self.unlink(at as usize, 0);
            self.link(at as usize, lines);
        }
        let (page, first) = (&mut self.pages[at as usize], at as usize * self.page_lines);
        let mut piece = page.free;
        if piece.is_none() {
            piece = Piece(u32::try_from(first + page.taken as usize * lines + 1).ok()?);
            page.taken += 1;
        } else {
            page.free = Piece(u32::try_from(self.words[piece.line() * LINE_WORDS]).unwrap_or(0));
        }
        page.used += 1;
        if page.free.is_none() && (page.taken as usize + 1) * lines > self.page_lines {
            self.unlink(at as usize, lines);
        }
        self.used_lines += lines;
        self.most_lines = self.most_lines.max(self.used_lines);
        self.get_mut(piece).fill(0);
        Some(piece)
    }

    /// Gives a piece back; none is ignored.
    pub fn free(&mut self, piece: Piece) {
        if piece.is_none() {
            return;
        }
        let at = piece.line() / self.page_lines;
        let lines = self.pages[at].lines as usize;
        self.words[piece.line() * LINE_WORDS] = u64::from(self.pages[at].free.0);
        let page = &mut self.pages[at];
        let was_full = page.free.is_none() && (page.taken as usize + 1) * lines > self.page_lines;
        page.free = piece;
        page.used -= 1;
        let is_idle = page.used == 0;
        self.used_lines -= lines;
        if is_idle {
            if !was_full {
                self.unlink(at, lines);
            }
            self.pages[at].lines = 0;
            self.link(at, 0);
        } else if was_full {
            self.link(at, lines);
        }
    }

    /// The piece's words.
    #[inline]
    pub fn get(&self, piece: Piece) -> &[u64] {
        let (start, words) = self.place(piece);
        &self.words[start..start + words]
    }

    /// The piece's words.
    #[inline]
    pub fn get_mut(&mut self, piece: Piece) -> &mut [u64] {
        let (start, words) = self.place(piece);
        &mut self.words[start..start + words]
    }

    /// The words of two different pieces.
    pub fn get_two_mut(&mut self, a: Piece, b: Piece) -> (&mut [u64], &mut [u64]) {
        let ((a, a_words), (b, b_words)) = (self.place(a), self.place(b));
        if a < b {
            let (low, high) = self.words.split_at_mut(b);
            (&mut low[a..a + a_words], &mut high[..b_words])
        } else {
            let (low, high) = self.words.split_at_mut(a);
            (&mut high[..a_words], &mut low[b..b + b_words])
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

    /// Bytes in pieces that are in use.
    pub const fn used_bytes(&self) -> usize {
        self.used_lines * LINE_WORDS * 8
    }

    #[inline]
    fn place(&self, piece: Piece) -> (usize, usize) {
        let line = piece.line();
        (line * LINE_WORDS, self.pages[line / self.page_lines].lines as usize * LINE_WORDS)
    }

    const fn list(&mut self, lines: usize) -> &mut u32 {
        if lines == 0 { &mut self.idle } else { &mut self.partial.as_mut_slice()[lines] }
    }

    #[allow(clippy::cast_possible_truncation, reason = "pages are fewer than lines, which have 32 bits")]
    fn link(&mut self, page: usize, lines: usize) {
        let next = std::mem::replace(self.list(lines), page as u32);
        (self.pages[page].next, self.pages[page].previous) = (next, NONE);
        if let Some(next) = self.pages.get_mut(next as usize) {
            next.previous = page as u32;
        }
    }

    fn unlink(&mut self, page: usize, lines: usize) {
        let Page { next, previous, .. } = self.pages[page];
        match self.pages.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => *self.list(lines) = next,
        }
        if let Some(next) = self.pages.get_mut(next as usize) {
            next.previous = previous;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes change again and again: nothing overlaps, all comes back, and what was promised is there.
    #[test]
    fn pieces_never_overlap_and_pages_serve_any_size_again() {
        let page_lines = Pages::page_lines(2_000);
        let mut x = 7_u64;
        let mut pages = Pages::new(Pages::bytes_of(300, 1_000, page_lines), page_lines, Reserve::Lazily);
        for round in 0..40_u64 {
            let sizes = [1 + usize::try_from(crate::arch::hash::spread(round) % 2_000).unwrap(), 1_000];
            let mut live: Vec<(Piece, u64)> = Vec::new();
            for step in 1..2_000_u64 {
                x = crate::arch::hash::spread(x + step);
                if x.is_multiple_of(3) && !live.is_empty() {
                    let (piece, mark) = live.swap_remove(usize::try_from(x >> 8).unwrap() % live.len());
                    assert!(pages.get(piece).iter().all(|w| *w == mark));
                    pages.free(piece);
                } else if let Some(piece) = pages.alloc(sizes[usize::from(x & 16 == 0)]) {
                    assert!(pages.get(piece).iter().all(|w| *w == 0));
                    pages.get_mut(piece).fill(step);
                    live.push((piece, step));
                }
            }
            live.drain(..).for_each(|(piece, _)| pages.free(piece));
            assert_eq!(pages.used_bytes(), 0);
            let all: Vec<Piece> = std::iter::from_fn(|| pages.alloc(1_000)).collect();
            assert!(all.len() >= 300, "{}", all.len());
            all.into_iter().for_each(|piece| pages.free(piece));
        }
    }
}
