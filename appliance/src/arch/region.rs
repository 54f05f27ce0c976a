//! Memory for pools: taken once, at start, all zero.
//!
//! `run` reserves it: hugepages where there are enough, else ordinary pages, touched and locked. `replay` takes what it
//! touches.

use std::ops::{Deref, DerefMut};

use memmap2::{MmapMut, MmapOptions};

/// Whether memory is there before it is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reserve {
    /// As it is touched.
    #[default]
    Lazily,
    /// At start.
    AtStart,
}

/// A region of words.
pub struct Region {
    kind: Kind,
}

enum Kind {
    Touched(Vec<u64>),
    Huge(MmapMut),
    Locked(MmapMut),
    /// Touched at start, but the system may take it away: it did not let us lock so much.
    Loose(MmapMut),
}

/// Below, a region is not worth a hugepage.
const HUGE_BYTES_MIN: usize = 1 << 20;

impl Region {
    /// So many words.
    pub fn new(words: usize, reserve: Reserve) -> Self {
        let bytes = words * 8;
        let mapped = (reserve == Reserve::AtStart && bytes >= HUGE_BYTES_MIN).then(|| Self::mapped(bytes)).flatten();
        Self { kind: mapped.unwrap_or_else(|| Kind::Touched(vec![0; words])) }
    }

    fn mapped(bytes: usize) -> Option<Kind> {
        // A mapping of hugepages that there are not enough of fails here and now.
        if let Ok(map) = MmapOptions::new().len(bytes.next_multiple_of(2 << 20)).huge(Some(21)).populate().map_anon() {
            return Some(Kind::Huge(map));
        }
        let map = MmapOptions::new().len(bytes).populate().map_anon().ok()?;
        Some(if map.lock().is_ok() { Kind::Locked(map) } else { Kind::Loose(map) })
    }

    /// What it is made of, in a word.
    pub const fn made_of(&self) -> &'static str {
        match self.kind {
            Kind::Touched(_) => "memory as it is touched",
            Kind::Huge(_) => "hugepages",
            Kind::Locked(_) => "locked memory",
            Kind::Loose(_) => "memory that could not be locked",
        }
    }
}

impl Deref for Region {
    type Target = [u64];

    #[inline]
    fn deref(&self) -> &[u64] {
        match &self.kind {
            Kind::Touched(words) => words,
            Kind::Huge(map) | Kind::Locked(map) | Kind::Loose(map) => bytemuck::cast_slice(map),
        }
    }
}

impl DerefMut for Region {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u64] {
        match &mut self.kind {
            Kind::Touched(words) => words,
            Kind::Huge(map) | Kind::Locked(map) | Kind::Loose(map) => bytemuck::cast_slice_mut(map),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_zero_and_as_long_as_was_asked() {
        for reserve in [Reserve::Lazily, Reserve::AtStart] {
            for words in [0, 1, 5_000, if cfg!(miri) { 20_000 } else { 400_001 }] {
                let mut region = Region::new(words, reserve);
                assert!(region.len() >= words && region.iter().all(|word| *word == 0), "{}", region.made_of());
                region.iter_mut().for_each(|word| *word = 7);
            }
        }
    }
}
