//! Memory for pools: taken once, at start, all zero.
//!
//! `run` reserves it: hugepages where there are enough, else ordinary pages, touched and locked. `replay` takes what it
//! touches.
#![allow(unsafe_code, reason = "where the words are is found out once, not at each look at them")]

use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use memmap2::{Advice, MmapMut, MmapOptions};

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
    /// The words of `kind`, which owns them.
    words: NonNull<[u64]>,
    kind: Kind,
    /// Why it is not made of what is better.
    why: Option<String>,
}

enum Kind {
    Touched(Vec<u64>),
    Huge(MmapMut),
    Locked(MmapMut),
    /// Touched at start, but the system may take it away: it did not let us lock so much.
    Loose(MmapMut),
}

/// What a region is made of, the best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Made {
    /// Memory as it is touched.
    Touched,
    /// Touched at start, not locked.
    Loose,
    /// Ordinary pages, locked.
    Locked,
    /// Hugepages.
    Huge,
}

impl Made {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Touched => "memory as it is touched",
            Self::Loose => "memory that could not be locked",
            Self::Locked => "locked memory",
            Self::Huge => "hugepages",
        }
    }
}

/// Below, a region is not worth a hugepage.
const HUGE_BYTES_MIN: usize = 1 << 20;
/// Of the hugepages that regions are made of.
pub const HUGE_PAGE_BYTES: usize = 2 << 20;

/// No page is smaller.
const SMALL_PAGE_BYTES: usize = 4_096;

impl Region {
    /// So many words.
    pub fn new(words: usize, reserve: Reserve) -> Self {
        let touched = || Kind::Touched(vec![0; words]);
        if reserve == Reserve::Lazily || words * 8 < HUGE_BYTES_MIN {
            return Self::of(touched(), None);
        }
        let (kind, why) = Self::mapped(words * 8).unwrap_or_else(|why| (touched(), Some(why)));
        Self::of(kind, why)
    }

    fn of(mut kind: Kind, why: Option<String>) -> Self {
        let words = match &mut kind {
            Kind::Touched(words) => NonNull::from(&mut **words),
            Kind::Huge(map) | Kind::Locked(map) | Kind::Loose(map) => NonNull::from(bytemuck::cast_slice_mut::<u8, u64>(map)),
        };
        Self { words, kind, why }
    }

    /// Hugepages that a region of so many bytes is made of, where there are enough.
    pub const fn huge_pages(bytes: usize) -> usize {
        if bytes < HUGE_BYTES_MIN { 0 } else { bytes.div_ceil(HUGE_PAGE_BYTES) }
    }

    fn mapped(bytes: usize) -> Result<(Kind, Option<String>), String> {
        // A mapping of hugepages that there are not enough of fails here and now.
        let huge = MmapOptions::new().len(bytes.next_multiple_of(HUGE_PAGE_BYTES)).huge(Some(21)).populate().map_anon();
        let no_huge = match huge {
            Ok(map) => return Ok((Kind::Huge(map), None)),
            Err(error) => format!("no hugepages: {}", Self::hint(&error)),
        };
        let map = untouched(bytes).map_err(|error| format!("{no_huge}; no mapping: {error}"))?;
        let (kind, why) = match map.lock() {
            Ok(()) => (Kind::Locked(map), no_huge),
            Err(error) => (Kind::Loose(Self::touched(map)), format!("{no_huge}; not locked: {error}")),
        };
        if let Kind::Locked(map) | Kind::Loose(map) = &kind {
            settle(map);
        }
        Ok((kind, Some(why)))
    }

    fn touched(mut map: MmapMut) -> MmapMut {
        if map.advise(Advice::PopulateWrite).is_err() {
            map.chunks_mut(SMALL_PAGE_BYTES).for_each(|page| page[0] = std::hint::black_box(0));
        }
        map
    }

    /// The system says ENOMEM where it means pages.
    fn hint(error: &io::Error) -> String {
        if error.kind() == io::ErrorKind::OutOfMemory { format!("{error}, too few are free") } else { error.to_string() }
    }

    /// What it is made of.
    pub const fn made(&self) -> Made {
        match self.kind {
            Kind::Touched(_) => Made::Touched,
            Kind::Huge(_) => Made::Huge,
            Kind::Locked(_) => Made::Locked,
            Kind::Loose(_) => Made::Loose,
        }
    }

    /// Why it is not made of what is better, by the system's own words; none where nothing better was asked for.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }
}

/// So many bytes of ordinary memory, of which the system may make large pages by itself as they are touched: these are as good
/// as hugepages, but not promised.
pub(super) fn untouched(bytes: usize) -> io::Result<MmapMut> {
    let map = MmapOptions::new().len(bytes).map_anon()?;
    let _ = map.advise(Advice::HugePage);
    Ok(map)
}

/// What is read of it was touched. What became large stays so; what did not shall not be made so later, while packets wait for it.
pub(super) fn settle(map: &MmapMut) {
    let _ = map.advise(Advice::NoHugePage);
}

// SAFETY: it owns the words that it points to, which are numbers, and lends them as a slice would.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Deref for Region {
    type Target = [u64];

    #[inline]
    fn deref(&self) -> &[u64] {
        // SAFETY: `kind` owns the words, on the heap or mapped, never gives them up or moves them while `self` is there, and nobody
        // looks at them but through this pointer; they are borrowed as `self` is.
        unsafe { self.words.as_ref() }
    }
}

impl DerefMut for Region {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u64] {
        // SAFETY: as above; and `self` is borrowed by nobody else.
        unsafe { self.words.as_mut() }
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
                assert!(region.len() >= words && region.iter().all(|word| *word == 0), "{}", region.made().text());
                region.iter_mut().for_each(|word| *word = 7);
            }
        }
    }

    /// Whatever this machine gives: what is not the best says why.
    #[test]
    fn it_says_why_it_is_not_made_of_what_is_better() {
        for (words, reserve) in [(400_001, Reserve::Lazily), (1_000, Reserve::AtStart)] {
            let small = Region::new(words, reserve);
            assert_eq!((small.made(), small.why()), (Made::Touched, None));
        }
        let region = Region::new(400_001, Reserve::AtStart);
        println!("{}: {:?}", region.made().text(), region.why());
        match region.made() {
            Made::Huge => assert_eq!(region.why(), None),
            Made::Locked => assert!(region.why().unwrap().starts_with("no hugepages: ") && !region.why().unwrap().contains("not locked")),
            Made::Loose => assert!(region.why().unwrap().contains("; not locked: ")),
            Made::Touched => assert!(region.why().unwrap().contains("; no mapping: ")),
        }
        assert_eq!((Region::huge_pages(1), Region::huge_pages(3 << 20), Region::huge_pages(4 << 20)), (0, 2, 2));
    }
}
