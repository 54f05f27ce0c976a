//! Memory of tables that are read at random: on large pages where the system has some.

use bytemuck::{Pod, Zeroable};
use memmap2::MmapMut;

use super::region::{settle, untouched};

/// Below, ordinary memory does.
const LARGE_BYTES_MIN: usize = 256 << 10;
/// Words of a line.
const LINE_WORDS: usize = 16;

/// Words that no longer change.
#[derive(Debug)]
pub struct Pages(Kind);

#[derive(Debug)]
enum Kind {
    Small(Vec<Line>),
    Large(MmapMut),
}

/// What memory is fetched in: so what is laid out not to cross lines does not, in a small table either.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u32; LINE_WORDS]);

impl Pages {
    /// Of these words, and so many zeros behind, at least.
    pub fn of(words: &[u32], behind: usize) -> Self {
        let length = words.len() + behind;
        let large = || Self::large(words, behind, (4 * length).next_multiple_of(super::HUGE_PAGE_BYTES));
        if let Some(map) = (4 * length >= LARGE_BYTES_MIN).then(large).flatten() {
            return Self(Kind::Large(map));
        }
        let mut small = vec![Line::zeroed(); length.div_ceil(LINE_WORDS)];
        bytemuck::cast_slice_mut(&mut small)[..words.len()].copy_from_slice(words);
        Self(Kind::Small(small))
    }

    /// These words, and so many zeros behind, in so many bytes. They are not locked: what the system lets be locked is for what packets
    /// are received into.
    fn large(words: &[u32], behind: usize, bytes: usize) -> Option<MmapMut> {
        // Where the system has no large pages to give, ordinary ones do; where it gives no mapping, a vector does.
        let mut map = untouched(bytes).ok()?;
        let (own, rest) = bytemuck::cast_slice_mut(&mut map).split_at_mut(words.len());
        own.copy_from_slice(words);
        rest[..behind].fill(0);
        settle(&map);
        Some(map)
    }

    /// The words.
    #[inline]
    pub fn words(&self) -> &[u32] {
        match &self.0 {
            Kind::Small(lines) => bytemuck::cast_slice(lines),
            Kind::Large(map) => bytemuck::cast_slice(map),
        }
    }

    /// The first of their bytes, which begins a line.
    #[inline]
    pub(super) fn start(&self) -> *const u8 {
        match &self.0 {
            Kind::Small(lines) => lines.as_ptr().cast(),
            Kind::Large(map) => map.as_ptr(),
        }
    }

    /// Memory that it takes, bytes.
    pub fn bytes(&self) -> usize {
        4 * self.words().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_at_lines_and_have_zeros_behind() {
        for length in [0, 1, 15, 16, 17, 1_000, LARGE_BYTES_MIN / 4 + 1] {
            let words: Vec<u32> = (1..).take(length).collect();
            let pages = Pages::of(&words, 8);
            assert!(pages.start().addr().is_multiple_of(64), "{length}");
            let (own, behind) = pages.words().split_at(length);
            assert!(own == words && behind.len() >= 8 && behind.iter().all(|word| *word == 0), "{length}");
            assert_eq!(pages.bytes(), 4 * pages.words().len());
        }
    }
}
