//! Trees of lines: blocks of many runs, however unevenly these lie, in about eight bytes a run.
//!
//! A line is sixteen words. One that leads on holds fifteen keys, and in its last word the number of the first of the lines
//! that it leads to, which stand side by side; a leaf holds seven keys and then eight values. A key is 32 bits of a position,
//! those behind its block's: the last ones of a line's parts but the last. So one comparison of a line tells all, and each
//! line but the leaf leads to one of sixteen. What 32 bits cannot tell is behind a link.

use arrayvec::ArrayVec;

use super::prefetch;
use super::{BURST_MAX, GRAIN_WORDS, Reference};

/// Words of a line.
pub const LINE_WORDS: usize = 16;
/// Keys of a line that leads on.
pub const WAYS_KEYS: usize = LINE_WORDS - 1;
/// Keys of a leaf; it has a value more.
pub const LEAF_KEYS: usize = 7;
/// Lines before a leaf, at most.
pub(super) const LEVELS_MAX: u32 = 7;
/// Of a key that no position is behind.
pub const KEY_NONE: u32 = u32::MAX;

/// What a tree asks of a position.
#[inline]
pub(super) const fn key(position: u64, depth: u32) -> u32 {
    ((position << depth) >> 32) as u32
}

/// A lane on its way down: which, its key, the line that it is at, and how many are before its leaf.
pub(super) type Lane = (u8, u32, u32, u32);

/// A line's words; zeros where there is none.
#[inline]
fn line(words: &[u32], number: u32) -> &[u32; LINE_WORDS] {
    const NONE: &[u32; LINE_WORDS] = &[0; LINE_WORDS];
    words.get(LINE_WORDS * number as usize..).and_then(|from| from.first_chunk()).unwrap_or(NONE)
}

/// How many keys are below one.
#[inline]
fn below(keys: &[u32], key: u32) -> u32 {
    keys.iter().map(|one| u32::from(*one < key)).sum()
}

/// The line that a line leads to.
#[inline]
fn next(line: &[u32; LINE_WORDS], key: u32) -> u32 {
    line[WAYS_KEYS].wrapping_add(below(&line[..WAYS_KEYS], key))
}

/// What a leaf says.
#[inline]
fn value(line: &[u32; LINE_WORDS], key: u32) -> u32 {
    line[LEAF_KEYS + below(&line[..LEAF_KEYS], key) as usize]
}

/// The value at a key.
pub(super) fn find(words: &[u32], reference: Reference, key: u32) -> u32 {
    let leaf = (0..reference.bits()).fold(first(reference), |at, _| next(line(words, at), key));
    value(line(words, leaf), key)
}

/// The number of a tree's first line.
#[inline]
pub(super) const fn first(reference: Reference) -> u32 {
    (reference.first() / LINE_WORDS) as u32
}

/// All lanes down, a line at a time: while one waits for memory, others ask. `put` is told what each found.
#[inline]
pub(super) fn walk(words: &[u32], lanes: &mut ArrayVec<Lane, BURST_MAX>, mut put: impl FnMut(u8, u32)) {
    while !lanes.is_empty() {
        lanes.retain(|(lane, key, at, left)| {
            let here = line(words, *at);
            match left.checked_sub(1) {
                Some(less) => {
                    (*at, *left) = (next(here, *key), less);
                    prefetch(line(words, *at));
                    true
                }
                None => {
                    put(*lane, value(here, *key));
                    false
                }
            }
        });
    }
}

/// Whether all that can be reached from a line is there: a position is behind no more keys than stand there.
fn is_there(words: &[u32], number: u32, levels: u32) -> bool {
    let Some(line) = words.get(LINE_WORDS * number as usize..).and_then(|from| from.first_chunk::<LINE_WORDS>()) else { return false };
    let ways = below(&line[..WAYS_KEYS], KEY_NONE);
    levels == 0 || (0..=ways).all(|way| line[WAYS_KEYS].checked_add(way).is_some_and(|next| is_there(words, next, levels - 1)))
}

/// Whether a tree is where it should be, and whole.
pub(super) fn is_whole(words: &[u32], reference: Reference) -> bool {
    const { assert!(LINE_WORDS.is_multiple_of(GRAIN_WORDS), "a line begins at a grain") };
    let levels = reference.bits();
    reference.first().is_multiple_of(LINE_WORDS) && levels <= LEVELS_MAX && is_there(words, first(reference), levels)
}
