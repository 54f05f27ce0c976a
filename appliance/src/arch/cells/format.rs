//! What words of a table mean: the root, its entries, references to rows of units, units, links.

use super::{LINK, tree};

/// Words that references count in.
pub const GRAIN_WORDS: usize = 4;

/// What a unit is like.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Runs but one.
    pub keys: u32,
    /// Logarithm of its bytes.
    pub shift: u32,
}

impl Class {
    /// Of a tree: bits choose no line of it.
    const TREE: Self = Self { keys: 0, shift: u32::BITS };
}

/// What a family's units are like.
pub trait Shape: Copy + std::fmt::Debug {
    /// From small to large.
    const CLASSES: [Class; 4];
    /// How many of these stand in rows; the one behind them is no unit, but a tree.
    const ROWS: usize;
    /// There is one.
    const TREES: bool = Self::ROWS < Self::CLASSES.len();
    /// Words of an entry of the root.
    const ENTRY_WORDS: usize;
    /// Bits that a prefix in an entry may be longer than its block's.
    const LONGER_MAX: u32;
    /// Bytes of what is kept of a position.
    const KEY_BYTES: u32;
    /// Bits that must be looked at before a unit: what is kept of a position is what is behind them.
    const DEPTH_MIN: u32;
    /// Bits of a position.
    const DEPTH_MAX: u32;
    /// A root may be wide.
    const MAY_BE_WIDE: bool;

    /// The root's entry at this place; of nothing, where there is none.
    fn entry(words: &[u32], at: usize) -> Entry;

    /// Writes it.
    fn put(words: &mut [u32], at: usize, entry: Entry);

    /// What is kept of a position.
    fn key(position: u64) -> u64;

    /// The key at this place among those that begin at a word.
    fn stored(words: &[u32], place: usize) -> u64;

    /// Writes it.
    fn store(words: &mut [u32], place: usize, key: u64);
}

/// IPv4: the root takes 16 bits, so the other 16 tell all.
#[derive(Clone, Copy, Debug)]
pub struct V4;

impl Shape for V4 {
    const CLASSES: [Class; 4] =
        [Class { keys: 0, shift: 2 }, Class { keys: 2, shift: 4 }, Class { keys: 4, shift: 5 }, Class { keys: 10, shift: 6 }];
    const ROWS: usize = 4;
    const ENTRY_WORDS: usize = 1;
    const LONGER_MAX: u32 = NARROW_CODE_BITS - 1;
    const KEY_BYTES: u32 = 2;
    const DEPTH_MIN: u32 = 16;
    const DEPTH_MAX: u32 = 32;
    const MAY_BE_WIDE: bool = true;

    #[inline]
    fn entry(words: &[u32], at: usize) -> Entry {
        Entry::of_word(words.get(at).copied().unwrap_or(0))
    }

    fn put(words: &mut [u32], at: usize, entry: Entry) {
        words[at] = entry.word();
    }

    #[inline]
    fn key(position: u64) -> u64 {
        position >> 32 & 0xFFFF
    }

    #[inline]
    fn stored(words: &[u32], place: usize) -> u64 {
        u64::from(words[place / 2] >> (16 * (place % 2)) & 0xFFFF)
    }

    fn store(words: &mut [u32], place: usize, key: u64) {
        let word = &mut words[place / 2];
        *word = *word & !(0xFFFF << (16 * (place % 2))) | (key as u32) << (16 * (place % 2));
    }
}

/// IPv6: half an address.
#[derive(Clone, Copy, Debug)]
pub struct V6;

impl Shape for V6 {
    const CLASSES: [Class; 4] = [Class { keys: 0, shift: 2 }, Class { keys: 2, shift: 5 }, Class { keys: 4, shift: 6 }, Class::TREE];
    const ROWS: usize = 3;
    const ENTRY_WORDS: usize = 2;
    const LONGER_MAX: u32 = CODE_BITS - 1;
    const KEY_BYTES: u32 = 8;
    const DEPTH_MIN: u32 = 0;
    const DEPTH_MAX: u32 = 64;
    const MAY_BE_WIDE: bool = false;

    #[inline]
    fn entry(words: &[u32], at: usize) -> Entry {
        let two = words.get(2 * at..).and_then(|from| from.first_chunk()).unwrap_or(&[0; 2]);
        Entry(u64::from(two[0]) | u64::from(two[1]) << 32)
    }

    fn put(words: &mut [u32], at: usize, entry: Entry) {
        words[2 * at..2 * at + 2].copy_from_slice(&[entry.0 as u32, (entry.0 >> 32) as u32]);
    }

    #[inline]
    fn key(position: u64) -> u64 {
        position
    }

    #[inline]
    fn stored(words: &[u32], place: usize) -> u64 {
        u64::from(words[2 * place]) | u64::from(words[2 * place + 1]) << 32
    }

    fn store(words: &mut [u32], place: usize, key: u64) {
        words[2 * place..2 * place + 2].copy_from_slice(&[key as u32, (key >> 32) as u32]);
    }
}

/// Where a row of units stands, of which class they are, and how many bits choose one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference(u32);

/// What a root says of one of its blocks: a value, and of which prefix in it; or with its highest bit where units stand.
/// A root of IPv4 keeps a word of it, which has room for shorter prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(pub(super) u64);

/// Bits of a value in the root.
pub(super) const VALUE_BITS: u32 = 21;
/// The largest value that a table can hold: a prefix's code stands beside it.
pub const VALUE_MAX: u32 = (1 << VALUE_BITS) - 1;
/// Bits of a prefix's own bits there, of the one that ends them, and of zeros.
pub(super) const CODE_BITS: u32 = 42;
/// Of these, what a word has room for.
pub(super) const NARROW_CODE_BITS: u32 = 10;
/// The highest bit.
const UNITS: u64 = 1 << 63;
/// All bits of a value.
const VALUE: u64 = (1 << VALUE_BITS) - 1;

impl Entry {
    /// One prefix: its bits behind the block's, of which there are so many; elsewhere in the block there is nothing.
    pub const fn prefix(bits: u64, longer: u32, value: u32) -> Self {
        let code = (bits << 1 | 1) << (CODE_BITS - 1 - longer);
        Self(code << VALUE_BITS | value as u64)
    }

    /// Units.
    pub const fn units(reference: Reference) -> Self {
        Self(UNITS | reference.0 as u64)
    }

    /// As it stands in a root of IPv4: of a code its first bits, or where units stand.
    pub const fn word(self) -> u32 {
        (self.0 >> 32) as u32 | self.0 as u32
    }

    /// What stands there.
    #[inline]
    pub(super) const fn of_word(word: u32) -> Self {
        let word = word as u64;
        if word & UNITS >> 32 == 0 { Self((word & !VALUE) << 32 | word & VALUE) } else { Self(UNITS | word ^ UNITS >> 32) }
    }

    /// Where units stand.
    pub(super) const fn reference(self) -> Option<Reference> {
        if self.0 & UNITS == 0 { None } else { Some(Reference(self.0 as u32)) }
    }

    /// Whether it is a prefix's.
    pub(super) const fn holds(self) -> bool {
        self.0 & UNITS == 0 && self.0 & VALUE != 0
    }

    /// The value at a position, if it stands here.
    pub(super) const fn value(self, position: u64, depth: u32) -> u32 {
        let code = self.0 >> VALUE_BITS;
        let asked = (position << depth) >> (64 - CODE_BITS);
        // All above the lowest bit that is set.
        let own = !(code ^ code.wrapping_sub(1));
        if (code ^ asked) & own == 0 { (self.0 & VALUE) as u32 } else { 0 }
    }
}

impl Reference {
    /// Bits that choose a unit, at most.
    pub const BITS_MAX: u32 = 20;

    /// Words of a table, at most: 256 MB.
    pub const WORDS_MAX: usize = GRAIN_WORDS << 24;

    /// `first`: its grain.
    pub const fn new(first: u32, class: usize, bits: u32) -> Self {
        Self(first << 7 | bits << 2 | class as u32)
    }

    /// A tree whose first line is this one, with so many lines before a leaf.
    pub const fn tree<S: Shape>(line: u32, levels: u32) -> Self {
        Self::new(line * (tree::LINE_WORDS / GRAIN_WORDS) as u32, S::ROWS, levels)
    }

    /// Keys of each of its units.
    pub(super) const fn keys<S: Shape>(self) -> u32 {
        S::CLASSES[self.class()].keys
    }

    /// Whether its units are values without keys.
    pub(super) const fn is_direct(self) -> bool {
        self.class() == 0
    }

    /// Whether it is a tree, of which its bits tell the levels.
    #[inline]
    pub(super) const fn is_tree<S: Shape>(self) -> bool {
        self.class() >= S::ROWS
    }

    const fn class(self) -> usize {
        (self.0 & 3) as usize
    }

    pub(super) const fn bits(self) -> u32 {
        self.0 >> 2 & 31
    }

    /// The first word of its first unit.
    pub(super) const fn first(self) -> usize {
        GRAIN_WORDS * (self.0 >> 7) as usize
    }

    /// Whether all of it stands in these words, and can be asked there.
    pub(super) fn checked<S: Shape>(self, words: &[u32], depth: u32) -> Result<(), &'static str> {
        let is_there = match self.is_tree::<S>() {
            true => tree::is_whole(words, self),
            false => self.end::<S>() <= words.len() && self.bits() <= Self::BITS_MAX && depth + self.bits() <= S::DEPTH_MAX,
        };
        if depth > 63 || !is_there {
            return Err("a reference to what is not there");
        }
        if !self.is_tree::<S>() && self.keys::<S>() > 0 && depth + self.bits() < S::DEPTH_MIN {
            return Err("keys that cannot tell all that is behind the bits that were looked at");
        }
        Ok(())
    }

    /// The first word behind its units.
    fn end<S: Shape>(self) -> usize {
        self.first() + ((1_usize << self.bits() << S::CLASSES[self.class()].shift) / 4)
    }

    /// The first word of a position's unit, of whose bits `depth` were looked at, or of a tree.
    #[inline]
    pub(super) fn unit<S: Shape>(self, position: u64, depth: u32) -> usize {
        if self.is_tree::<S>() {
            return self.first();
        }
        let unit = (position << depth) >> 1 >> (63 - self.bits());
        self.first() + ((unit as usize) << S::CLASSES[self.class()].shift) / 4
    }

    /// The value at a position.
    #[inline]
    pub(super) fn value<S: Shape>(self, words: &[u32], position: u64, depth: u32) -> u32 {
        if self.is_tree::<S>() {
            return tree::find(words, self, tree::key(position, depth));
        }
        let keys = self.keys::<S>();
        let Some(unit) = words.get(self.unit::<S>(position, depth)..) else { return 0 };
        let run = (0..keys as usize).filter(|place| S::stored(unit, *place) < S::key(position)).count();
        unit.get((keys * S::KEY_BYTES / 4) as usize + run).copied().unwrap_or(0)
    }
}

/// What a value with [`LINK`] leads to.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// By the second half of an address.
    pub second: bool,
    /// All that is different lies in one block: bits that its positions share.
    pub depth: u32,
    /// The first position of the block.
    pub first: u64,
    /// The value beside the block.
    pub beside: u32,
    /// The block's units.
    pub reference: Reference,
}

impl Link {
    /// The value at a position.
    #[inline]
    pub(super) fn value<S: Shape>(&self, words: &[u32], position: u64) -> u32 {
        if self.depth > 0 && (position ^ self.first) >> (64 - self.depth) != 0 {
            return self.beside;
        }
        self.reference.value::<S>(words, position, self.depth)
    }
}

/// The root: where it begins and what it asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Root {
    /// The first position of the block that all that is different lies in.
    pub first: u64,
    /// Bits behind those that choose an entry.
    pub shift: u32,
    /// Bits that choose an entry. Behind the last one stands what holds beside the block.
    pub bits: u32,
    /// Entries are [`WIDE_BYTES`] each and values, or links with [`WIDE_LINK`] in the place of [`LINK`].
    pub wide: bool,
}

/// Bytes of an entry of a wide root.
pub const WIDE_BYTES: usize = 3;
/// A link there.
pub const WIDE_LINK: u32 = 1 << 23;
/// All of an entry there.
pub(super) const WIDE: u32 = (1 << 24) - 1;

impl Root {
    /// Bits that choose an entry, at most.
    pub const BITS_MAX: u32 = 24;

    /// Entries, with the one for what lies beside.
    pub const fn entries(self) -> usize {
        (1 << self.bits) + 1
    }

    /// Words that these take; an entry of a wide root can be read as a word.
    pub const fn words<S: Shape>(self) -> usize {
        if self.wide { (WIDE_BYTES * self.entries()).div_ceil(4) + 1 } else { S::ENTRY_WORDS * self.entries() }
    }

    /// Whether it can be asked at all, and asks the block that it begins at.
    pub(super) fn checked<S: Shape>(self) -> Result<(), &'static str> {
        let depth = 64_u32.saturating_sub(self.shift);
        let asks = (1..=S::DEPTH_MAX.min(63)).contains(&depth) && self.bits <= Self::BITS_MAX && (!self.wide || S::MAY_BE_WIDE);
        if !asks {
            return Err("a root that cannot be asked");
        }
        if self.shift + self.bits > 64 {
            return Err("a root of more blocks than there are");
        }
        // All that is asked is from the first position on, by the bits behind those that are shared.
        if self.first & (u64::MAX >> (64 - self.shift - self.bits)) == 0 { Ok(()) } else { Err("a root that begins within its block") }
    }

    /// Whether nothing lies beside it.
    #[inline]
    pub(super) const fn is_all(self) -> bool {
        self.shift + self.bits == 64
    }

    /// The place of a position's entry.
    #[inline]
    pub(super) fn at(self, position: u64) -> usize {
        (position.wrapping_sub(self.first) >> self.shift).min(1 << self.bits) as usize
    }
}

/// The value of a wide root's entry.
#[inline]
pub(super) fn wide(words: &[u32], at: usize) -> u32 {
    let bytes: &[u8] = bytemuck::cast_slice(words);
    let entry = bytes.get(WIDE_BYTES * at..).and_then(|from| from.first_chunk::<4>()).map_or(0, |four| u32::from_le_bytes(*four) & WIDE);
    if entry & WIDE_LINK == 0 { entry } else { entry ^ WIDE_LINK | LINK }
}
