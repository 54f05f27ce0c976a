//! Pieces of one size from a region of their own: what must always be there is not kept among what may run out.

/// Words in a line of the cache.
const LINE_WORDS: usize = 8;

/// A piece of a [`Slab`]; zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece(u32);

impl Piece {
    /// No piece.
    pub const NONE: Self = Self(0);

    /// Whether there is no piece.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// A region of pieces of one size. Its memory is not touched before it is used.
pub struct Slab {
    words: Vec<u64>,
    piece_words: usize,
    taken: usize,
    free: Piece,
    used: usize,
}

impl Slab {
    /// So many pieces of at least so many words.
    pub fn new(pieces: usize, words: usize) -> Self {
        let piece_words = Self::piece_bytes(words) / 8;
        Self { words: vec![0; pieces * piece_words], piece_words, taken: 0, free: Piece::NONE, used: 0 }
    }

    /// Bytes that a piece of so many words takes: whole lines.
    pub const fn piece_bytes(words: usize) -> usize {
        words.next_multiple_of(LINE_WORDS) * 8
    }

    /// A piece, all zero; `None` if all are in use.
    pub fn alloc(&mut self) -> Option<Piece> {
        let piece = if self.free.is_none() {
            let next = self.taken + 1;
            if next * self.piece_words > self.words.len() || self.piece_words == 0 {
                return None;
            }
            self.taken = next;
            Piece(u32::try_from(next).ok()?)
        } else {
            let piece = self.free;
            self.free = Piece(u32::try_from(self.get(piece)[0]).unwrap_or(0));
            piece
        };
        self.used += 1;
        self.get_mut(piece).fill(0);
        Some(piece)
    }

    /// Gives a piece back; none is ignored.
    pub fn free(&mut self, piece: Piece) {
        if piece.is_none() {
            return;
        }
        let free = u64::from(self.free.0);
        self.get_mut(piece)[0] = free;
        self.free = piece;
        self.used -= 1;
    }

    /// The piece's words.
    #[inline]
    pub fn get(&self, piece: Piece) -> &[u64] {
        let start = (piece.0 as usize - 1) * self.piece_words;
        &self.words[start..start + self.piece_words]
    }

    /// The piece's words.
    #[inline]
    pub fn get_mut(&mut self, piece: Piece) -> &mut [u64] {
        let start = (piece.0 as usize - 1) * self.piece_words;
        &mut self.words[start..start + self.piece_words]
    }

    /// Bytes in pieces that are in use.
    pub const fn used_bytes(&self) -> usize {
        self.used * self.piece_words * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_never_overlap_and_come_back_zeroed() {
        let mut slab = Slab::new(40, 5);
        let mut live: Vec<(Piece, u64)> = Vec::new();
        let mut x = 7_u64;
        for round in 1..5_000_u64 {
            x = crate::arch::hash::spread(x + round);
            if x.is_multiple_of(3) && !live.is_empty() {
                let (piece, mark) = live.swap_remove(usize::try_from(x >> 8).unwrap() % live.len());
                assert!(slab.get(piece).iter().all(|w| *w == mark));
                slab.free(piece);
            } else if let Some(piece) = slab.alloc() {
                assert!(slab.get(piece).iter().all(|w| *w == 0));
                slab.get_mut(piece).fill(round);
                live.push((piece, round));
            } else {
                assert_eq!(live.len(), 40);
            }
            assert_eq!(slab.used_bytes(), live.len() * 64);
        }
    }
}
