//! Keys that a sample showed, and which of them once: what bounds the number of those that it did not show.
//!
//! A key of m packets that are sampled with a chance of p = 1/w each, independently, is missed with a chance of (1-p)^m and
//! shown once with one of m·p·(1-p)^(m-1), which is m/(w-1) times as much. So in expectation there are no more keys that
//! were missed than w-1 for each that was shown once; packets of different rates likewise, each by its own. (Good and
//! Turing's argument: Good, 1953.) It is tight where each key has one packet. Then the missed ones, given those that were
//! shown once, are as many as failures before a success more: mean and variance of that are what the upper end is made of.
//!
//! Up to [`KEPT_MAX`] keys of sampled packets are kept; beyond, one in 2^level, chosen by its keyed hash (distinct sampling,
//! Gibbons, 2001), and stands for 2^level. The level depends on the window's keys alone, never on how they were spread over
//! shards. Where memory is short it is higher than it need be: the end is as sure, and further away.

use bytemuck::cast_slice_mut;

use super::columns::View;
use super::figure::Shown;
use super::gamma;
use super::hashes;
use super::interval::Question;
use super::pool::{Handle, Memory, Pool};

/// Keys that are kept.
const KEPT_MAX: usize = 256;
/// Of a chunk at first, and at last: three quarters and more of its slots are in use then.
const CHUNK_WORDS: (usize, usize) = (32, 384);
/// The longest export.
pub(super) const EXPORT_WORDS_MAX: usize = 1 + 2 * KEPT_MAX;
/// Share of windows whose truth may lie above.
const TAIL: f64 = 0.025;

/// In the root's word in place of a chunk: there was no memory for the first one.
const SHORT: u64 = u64::MAX;
/// Likewise: packets came whose weight cannot be relied on, so nothing is claimed.
const UNPROVEN: u64 = u64::MAX - 1;
/// No key is kept.
const LEVEL_NONE: u32 = 63;

/// A key's count is the weight of its only packet, which is 2 at least, or one of these.
const MORE: u16 = 0;
const TWICE: u16 = 1;

/// Of two counts of one key.
const fn both(one: u16, other: u16) -> u16 {
    if one > TWICE && other > TWICE { TWICE } else { MORE }
}

/// Of a row, which may be several packets.
#[inline]
const fn count_of(view: &View<'_>, at: usize) -> u16 {
    match view.times(at) {
        0 | 1 => view.weight(at),
        2 => TWICE,
        _ => MORE,
    }
}

const fn is_kept(hash: u64, level: u32) -> bool {
    hash.leading_zeros() >= level
}

const fn has_chunk(root: u64) -> bool {
    root != 0 && root < UNPROVEN
}

/// A chunk: level and number of keys, slots of hashes, their counts.
struct Kept<'a> {
    head: &'a mut [u64],
    hashes: &'a mut [u64],
    counts: &'a mut [u16],
}

const SHORT_BIT: u64 = 1 << 8;
const UNPROVEN_BIT: u64 = 1 << 9;
const LEN_BITS: u32 = 32;

const fn level_of(head: u64) -> u32 {
    (head & 0xFF) as u32
}

#[allow(clippy::cast_possible_truncation, reason = "a few hundred")]
const fn len_of(head: u64) -> usize {
    (head >> LEN_BITS) as usize
}

impl<'a> Kept<'a> {
    fn of(words: &'a mut [u64]) -> Self {
        let (head, rest) = words.split_at_mut(1);
        // A hash and a quarter of a word each.
        let (hashes, counts) = rest.split_at_mut(rest.len() * 4 / 5);
        Self { head, hashes, counts: cast_slice_mut(counts) }
    }

    /// Keys that it takes.
    fn room(&self) -> usize {
        (self.hashes.len() - self.hashes.len() / 8).min(KEPT_MAX)
    }

    /// Slot of a hash, or the free one where it belongs; none: it is not there, and none is free. Its home is given by the
    /// lower bits, which no level makes alike.
    #[allow(clippy::cast_possible_truncation, reason = "below the number of slots")]
    fn find(&self, hash: u64) -> Option<usize> {
        let home = (((hash & 0xFFFF_FFFF) * self.hashes.len() as u64) >> 32) as usize;
        let (before, behind) = self.hashes.split_at(home);
        let fits = |have: &u64| *have == 0 || *have == hash;
        behind.iter().position(fits).map(|at| home + at).or_else(|| before.iter().position(fits))
    }

    /// Counts one packet, or says that there is no room.
    #[inline]
    fn add(&mut self, hash: u64, weight: u16) -> bool {
        if !is_kept(hash, level_of(self.head[0])) {
            return true;
        }
        let Some(slot) = self.find(hash) else { return false };
        if self.hashes[slot] == hash {
            self.counts[slot] = both(self.counts[slot], weight);
            return true;
        }
        let has_room = len_of(self.head[0]) < self.room();
        if has_room {
            self.put(slot, hash, weight);
        }
        has_room
    }

    /// Counts packets until one finds no room: that one is the first of what is left then.
    fn add_rows(&mut self, view: &View<'_>, rows: u64) -> u64 {
        // Nearly all of a window with many keys end here.
        let (most, mut left) = (u64::MAX >> level_of(self.head[0]), rows);
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            let hash = view.hash(at).max(1);
            if hash <= most && !self.add(hash, count_of(view, at)) {
                break;
            }
            left &= left - 1;
        }
        left
    }

    fn put(&mut self, slot: usize, hash: u64, count: u16) {
        (self.hashes[slot], self.counts[slot]) = (hash, count);
        self.head[0] += 1 << LEN_BITS;
    }

    /// Takes what another holds and this one's level keeps.
    fn take(&mut self, hashes: &[u64], counts: &[u16]) {
        let level = level_of(self.head[0]);
        for (hash, count) in hashes.iter().zip(counts).filter(|(hash, _)| **hash != 0 && is_kept(**hash, level)) {
            if let Some(slot) = self.find(*hash) {
                self.put(slot, *hash, *count);
            }
        }
    }

    /// One key in two stays.
    fn thin(&mut self, short: bool) {
        let (mut hashes, mut counts, mut len) = ([0; KEPT_MAX], [0; KEPT_MAX], 0);
        for (hash, count) in self.hashes.iter().zip(&*self.counts).filter(|(hash, _)| **hash != 0) {
            (hashes[len], counts[len]) = (*hash, *count);
            len += 1;
        }
        self.hashes.fill(0);
        let flag = if short { SHORT_BIT } else { 0 };
        self.head[0] = (self.head[0] + 1) & ((1 << LEN_BITS) - 1) | flag;
        self.take(&hashes[..len], &counts[..len]);
    }
}

/// Counts the sampled rows of a batch.
pub(super) fn add_all(root: &mut u64, memory: &mut Memory<'_>, view: &View<'_>) {
    if view.any_unproven() && *root < UNPROVEN {
        release(*root, memory.pool);
        *root = UNPROVEN;
    }
    let mut left = view.sampled_of(view.selected());
    while *root < UNPROVEN && left != 0 {
        if has_chunk(*root) {
            left = Kept::of(memory.pool.get_mut(Handle::from_word(*root))).add_rows(view, left);
        }
        if left != 0 {
            let at = left.trailing_zeros() as usize;
            add(root, memory, view.hash(at).max(1), count_of(view, at));
            left &= left - 1;
        }
    }
}

fn add(root: &mut u64, memory: &mut Memory<'_>, hash: u64, weight: u16) {
    if *root == 0 {
        *root = memory.alloc(CHUNK_WORDS.0).map_or(SHORT, Handle::word);
    }
    while has_chunk(*root) {
        let mut kept = Kept::of(memory.pool.get_mut(Handle::from_word(*root)));
        if kept.add(hash, weight) {
            return;
        }
        let is_full = len_of(kept.head[0]) >= KEPT_MAX;
        if is_full || !grow(root, memory) {
            let mut kept = Kept::of(memory.pool.get_mut(Handle::from_word(*root)));
            kept.thin(!is_full);
        }
    }
}

/// Moves what is kept to a chunk twice as long. False: there is no memory.
fn grow(root: &mut u64, memory: &mut Memory<'_>) -> bool {
    let old = Handle::from_word(*root);
    let words = memory.pool.get(old).len();
    let Some(new) = memory.alloc((2 * words).min(CHUNK_WORDS.1)) else { return false };
    let (from, to) = memory.pool.get_two_mut(old, new);
    let (from, mut to) = (Kept::of(from), Kept::of(to));
    to.head[0] = from.head[0] & ((1 << LEN_BITS) - 1);
    to.take(from.hashes, from.counts);
    memory.pool.free(old);
    *root = new.word();
    true
}

/// Appends level and number of keys, then hash and count of each.
pub(super) fn export(root: u64, pool: &Pool, out: &mut Vec<u64>) {
    if !has_chunk(root) {
        let none = u64::from(LEVEL_NONE);
        out.push(match root {
            SHORT => none | SHORT_BIT,
            UNPROVEN => none | UNPROVEN_BIT,
            _ => 0,
        });
        return;
    }
    let words = pool.get(Handle::from_word(root));
    let slots = (words.len() - 1) * 4 / 5;
    let count = |at: usize| words[1 + slots + at / 4] >> (at % 4 * 16) & 0xFFFF;
    out.push(words[0]);
    let kept = (0..slots).filter(|at| words[1 + at] != 0);
    kept.for_each(|at| out.extend([words[1 + at], count(at)]));
}

/// Gives the chunk back.
pub(super) fn release(root: u64, pool: &mut Pool) {
    if has_chunk(root) {
        pool.free(Handle::from_word(root));
    }
}

/// Of all shards.
#[derive(Default)]
pub(super) struct Sum {
    level: u32,
    /// Hashes and their counts, ascending, each once.
    counts: Vec<(u64, u16)>,
    short: bool,
    unproven: bool,
}

impl Sum {
    /// Adds what a shard exported. What is left of the words is not its own.
    pub(super) fn absorb<'a>(&mut self, words: &'a [u64]) -> &'a [u64] {
        let Some((head, rest)) = words.split_first() else { return words };
        let (pairs, rest) = rest.split_at((2 * len_of(*head)).min(rest.len()));
        self.short |= head & SHORT_BIT != 0;
        self.unproven |= head & UNPROVEN_BIT != 0;
        self.raise(level_of(*head));
        let pairs = pairs.as_chunks::<2>().0.iter().filter(|[hash, _]| is_kept(*hash, self.level));
        self.counts.extend(pairs.map(|[hash, count]| (*hash, u16::try_from(*count).unwrap_or(MORE))));
        hashes::sort(&mut self.counts, |(hash, _)| *hash);
        self.counts.dedup_by(|(hash, count), (before, have)| {
            let is_same = hash == before;
            *have = if is_same { both(*have, *count) } else { *have };
            is_same
        });
        while self.counts.len() > KEPT_MAX {
            self.raise(self.level + 1);
        }
        rest
    }

    fn raise(&mut self, level: u32) {
        self.level = self.level.max(level);
        self.counts.retain(|(hash, _)| is_kept(*hash, level));
    }

    /// None: nothing is claimed.
    pub(super) fn shown(&self) -> Option<Shown> {
        (!self.unproven).then(|| Shown { level: self.level, keys: self.counts.clone(), short: self.short })
    }
}

/// How many keys a sample may have missed, at most; and it may lack `lost` packets itself, each of which may have been of a
/// key of its own. None: nothing bounds it.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "reports give doubles; a level")]
pub fn missed(shown: &Shown, question: &Question, lost: u64) -> Option<f64> {
    // Of a weight that has more bits nobody knows what was kept.
    if shown.level >= LEVEL_NONE || !question.random || question.weight_max > u32::from(u16::MAX) {
        return None;
    }
    let scale = 2_f64.powi(shown.level as i32);
    // Keys that one which was shown once by a packet of this weight stands for.
    let stands_for = |weight: u16| (f64::from(weight) - 1.0) * scale;
    let once = shown.keys.iter().map(|(_, count)| *count).filter(|count| *count > TWICE);
    let heaviest = once.clone().max().map_or(0.0, stands_for).max((f64::from(question.weight_max) - 1.0) * scale);
    // One more, of which nobody knows; and the lost ones, of which one in 2^level would have been kept.
    let each = heaviest / scale * lost as f64;
    let start = (heaviest + each, heaviest * (heaviest + 1.0) + each * (heaviest + 1.0));
    let (mean, variance) = once.map(stands_for).fold(start, |(mean, variance), n| (mean + n, variance + n * (n + 1.0)));
    let (shape, unit) = (mean * mean / variance, variance / mean);
    Some((unit * gamma::upper(shape, TAIL)).ceil())
}

#[cfg(test)]
#[path = "once_tests.rs"]
mod tests;
