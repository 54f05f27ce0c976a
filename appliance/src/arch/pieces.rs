//! Pieces of one length of an array, of 64 rows each its own: it is looked at once, for all of them, whether they are there.
#![allow(unsafe_code, reason = "what was looked at once is not looked at again")]

/// See the module.
pub struct Pieces<'a> {
    words: &'a mut [u64],
    /// Of each row; no piece ends behind the last word.
    starts: [u32; 64],
    len: usize,
}

impl<'a> Pieces<'a> {
    /// Of `len` words, of each row the one of this number.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "no piece has so many words")]
    pub fn new(words: &'a mut [u64], len: usize, numbers: &[u32; 64]) -> Self {
        let (mut starts, mut last) = ([0; 64], 0);
        for at in 0..64 {
            starts[at] = numbers[at].wrapping_mul(len as u32);
            last = if numbers[at] > last { numbers[at] } else { last };
        }
        assert!(len <= u32::MAX as usize);
        let end = (u64::from(last) + 1) * len as u64;
        assert!(end <= words.len() as u64 && end <= u64::from(u32::MAX));
        Self { words, starts, len }
    }

    /// A row's.
    #[inline(always)]
    pub fn of(&mut self, row: usize) -> &mut [u64] {
        let start = self.starts[row % 64] as usize;
        // SAFETY: no start was changed since all pieces were seen to be there.
        unsafe { self.words.get_unchecked_mut(start..start + self.len) }
    }

    /// Where a row's begins.
    #[inline(always)]
    pub(super) fn head(&self, row: usize) -> *const u64 {
        // SAFETY: as of `of`.
        unsafe { self.words.as_ptr().add(self.starts[row % 64] as usize) }
    }

    /// Words of each.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether they have no words.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The array.
    #[inline(always)]
    pub const fn words(&mut self) -> &mut [u64] {
        self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_where_their_numbers_say() {
        let mut words: Vec<u64> = (0..70).collect();
        let numbers = std::array::from_fn(|row| u32::try_from(row * 3 % 7).unwrap());
        let mut pieces = Pieces::new(&mut words, 10, &numbers);
        for (row, number) in numbers.iter().enumerate() {
            assert_eq!((pieces.of(row)[0], pieces.of(row).len()), (u64::from(*number) * 10, 10));
            pieces.of(row)[9] = 1;
        }
        assert_eq!(pieces.words().iter().filter(|word| **word == 1).count(), 8);
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn a_piece_that_is_not_there_is_refused() {
        Pieces::new(&mut [0; 69], 10, &std::array::from_fn(|row| u32::from(row == 63) * 6));
    }
}
