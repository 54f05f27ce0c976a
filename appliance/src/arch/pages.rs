//! Memory of tables that are read at random: on large pages where the system has some.

use memmap2::{Advice, MmapMut};

/// Below, ordinary memory does.
const LARGE_BYTES_MIN: usize = 256 << 10;

/// Words that no longer change.
#[derive(Debug)]
pub struct Pages(Kind);

#[derive(Debug)]
enum Kind {
    Small(Vec<u32>),
    Large(MmapMut),
}

impl Pages {
    /// Of these words, and so many zeros behind.
    pub fn of(words: &[u32], behind: usize) -> Self {
        let length = words.len() + behind;
        let bytes = (4 * length).next_multiple_of(super::HUGE_PAGE_BYTES);
        if let Some(mut map) = (4 * length >= LARGE_BYTES_MIN).then(|| MmapMut::map_anon(bytes).ok()).flatten() {
            // Where the system has no large pages to give, ordinary ones do.
            let _ = map.advise(Advice::HugePage);
            bytemuck::cast_slice_mut(&mut map)[..words.len()].copy_from_slice(words);
            return Self(Kind::Large(map));
        }
        let mut small = Vec::with_capacity(length);
        small.extend_from_slice(words);
        small.resize(length, 0);
        Self(Kind::Small(small))
    }

    /// The words.
    #[inline]
    pub fn words(&self) -> &[u32] {
        match &self.0 {
            Kind::Small(words) => words,
            Kind::Large(map) => bytemuck::cast_slice(map),
        }
    }

    /// The first of their bytes.
    #[inline]
    pub(super) fn start(&self) -> *const u8 {
        match &self.0 {
            Kind::Small(words) => words.as_ptr().cast(),
            Kind::Large(map) => map.as_ptr(),
        }
    }

    /// Memory that it takes, bytes.
    pub fn bytes(&self) -> usize {
        4 * self.words().len()
    }
}
