//! Sets of ranges, one bit each.

/// A set of indices below a bound. A second level says which words hold any, so that few are found fast among many.
pub struct Bits {
    words: Vec<u64>,
    summary: Vec<u64>,
}

impl Bits {
    /// An empty set of indices below `n`.
    pub fn new(n: usize) -> Self {
        let words = n.div_ceil(64);
        Self { words: vec![0; words], summary: vec![0; words.div_ceil(64)] }
    }

    /// Adds an index.
    #[inline]
    pub fn set(&mut self, at: u32) {
        let word = at as usize / 64;
        self.words[word] |= 1 << (at % 64);
        self.summary[word / 64] |= 1 << (word % 64);
    }

    /// Takes an index away.
    #[inline]
    pub fn clear(&mut self, at: u32) {
        let word = at as usize / 64;
        self.words[word] &= !(1 << (at % 64));
        if self.words[word] == 0 {
            self.summary[word / 64] &= !(1 << (word % 64));
        }
    }

    /// The first index at `from` or behind it.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "indices have 32 bits")]
    pub fn next(&self, from: u32) -> Option<u32> {
        let word = from as usize / 64;
        let rest = self.words.get(word)? & (u64::MAX << (from % 64));
        if rest != 0 {
            return Some(word as u32 * 64 + rest.trailing_zeros());
        }
        let word = first(&self.summary, word + 1)?;
        Some(word as u32 * 64 + self.words[word].trailing_zeros())
    }

    /// How many it holds. It counts them.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.next(0).is_none()
    }
}

/// The first bit at `from` or behind it.
fn first(words: &[u64], from: usize) -> Option<usize> {
    let (at, skipped) = (from / 64, u64::MAX << (from % 64));
    let head = words.get(at)? & skipped;
    if head != 0 {
        return Some(at * 64 + head.trailing_zeros() as usize);
    }
    let more = words.iter().enumerate().skip(at + 1).find(|(_, word)| **word != 0)?;
    Some(more.0 * 64 + more.1.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_is_a_set() {
        for n in [1_u32, 64, 65, 4_096, 4_097, 50_000] {
            let (mut bits, mut set) = (Bits::new(n as usize), BTreeSet::new());
            for i in 0..20_000_u64 {
                let draw = crate::arch::hash::spread(i);
                let at = u32::try_from(draw % u64::from(n)).unwrap();
                if draw >> 40 & 3 == 0 {
                    bits.set(at);
                    set.insert(at);
                } else {
                    bits.clear(at);
                    set.remove(&at);
                }
                let from = u32::try_from((draw >> 20) % u64::from(n)).unwrap();
                assert_eq!(bits.next(from), set.range(from..).next().copied());
            }
            assert_eq!((bits.is_empty(), bits.count()), (set.is_empty(), set.len()));
        }
    }
}
