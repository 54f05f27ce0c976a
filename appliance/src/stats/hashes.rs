//! A table of different hashes, none of them zero. A hash stands in the line of the cache that its first bits choose, or in the
//! next that has room, so that a line is looked at as a whole.

use super::columns::View;
use crate::arch::columns::{Columns, Task};
use crate::limits::DISTINCT_EXACT_MAX;

/// Hashes that fill a table: seven eighths, but the largest to the last slot.
pub(super) const fn room(slots: usize) -> usize {
    if slots < DISTINCT_EXACT_MAX { slots - slots / 8 } else { slots }
}

/// Slots that are looked at together: a line of the cache.
pub(super) const LINE_SLOTS: usize = 8;

/// Adds hashes of rows to a table. Ends at the first that finds no room.
pub(super) struct Inserting<'a, 'v> {
    pub(super) table: &'a mut [u64],
    pub(super) view: &'a View<'v>,
    pub(super) left: &'a mut u64,
    pub(super) count: &'a mut usize,
    /// Hashes that it holds at most.
    pub(super) most: usize,
}

impl Task for Inserting<'_, '_> {
    type Out = ();

    #[inline(always)]
    fn run<C: Columns>(self, columns: C) {
        let Self { table, view, left: rest, count, most } = self;
        let (view, mut left) = (*view, *rest);
        let lines = table.as_chunks_mut::<LINE_SLOTS>().0;
        while left != 0 {
            let hash = view.hash(left.trailing_zeros() as usize).max(1);
            match find(columns, lines, hash) {
                Some((line, None)) => debug_assert!(line < lines.len(), "it is there"),
                Some((line, Some(slot))) if *count < most => {
                    lines[line][slot % LINE_SLOTS] = hash;
                    *count += 1;
                }
                _ => break,
            }
            left &= left - 1;
        }
        *rest = left;
    }
}

/// The line that has a hash; or the one where it belongs, and the free slot there; none: it is not there, and none is free.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "below the number of lines")]
fn find(columns: impl Columns, lines: &[[u64; LINE_SLOTS]], hash: u64) -> Option<(usize, Option<usize>)> {
    let mut at = ((u128::from(hash) * lines.len() as u128) >> 64) as usize;
    for _ in 0..lines.len() {
        if columns.equal_long(&lines[at], hash) != 0 {
            return Some((at, None));
        }
        let free = columns.equal_long(&lines[at], 0);
        if free != 0 {
            return Some((at, Some(free.trailing_zeros() as usize)));
        }
        at = if at + 1 == lines.len() { 0 } else { at + 1 };
    }
    None
}

/// Of some rows, those whose hashes a table lacks.
pub(super) struct Lacking<'a, 'v> {
    pub(super) lines: &'a [[u64; LINE_SLOTS]],
    pub(super) view: &'a View<'v>,
    pub(super) rows: u64,
}

impl Task for Lacking<'_, '_> {
    type Out = u64;

    #[inline(always)]
    fn run<C: Columns>(self, columns: C) -> u64 {
        let (mut left, mut lacking) = (self.rows, self.rows);
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            if let Some((_, None)) = find(columns, self.lines, self.view.hash(bit.trailing_zeros() as usize).max(1)) {
                lacking ^= bit;
            }
        }
        lacking
    }
}

/// Moves hashes to a table that has room for all.
pub(super) struct Moving<'a> {
    pub(super) from: &'a [u64],
    pub(super) to: &'a mut [[u64; LINE_SLOTS]],
}

impl Task for Moving<'_> {
    type Out = ();

    #[inline(always)]
    fn run<C: Columns>(self, columns: C) {
        for hash in self.from {
            if *hash == 0 {
                continue;
            }
            if let Some((line, Some(slot))) = find(columns, self.to, *hash) {
                self.to[line][slot % LINE_SLOTS] = *hash;
            }
        }
    }
}

/// Entries that are put into their order by where their hash stands among all, which is known at once: keyed hashes are spread evenly.
const SPREAD_MIN: usize = 32;
const SPREAD_MAX: usize = 1 << 12;
const PARTS: usize = 256;

/// Sorts by hash, ascending; few have the same one.
pub(super) fn sort<T: Copy>(entries: &mut Vec<T>, hash: impl Fn(&T) -> u64) {
    if !(SPREAD_MIN..=SPREAD_MAX).contains(&entries.len()) {
        return entries.sort_unstable_by_key(hash);
    }
    // All may begin with zeros: of many keys those are kept that do.
    let shift = entries.iter().fold(0, |all, entry| all | hash(entry)).leading_zeros().min(u64::BITS - 1);
    let part = |entry: &T| usize::from((hash(entry) << shift).to_be_bytes()[0]);
    let mut ends = [0_u16; PARTS];
    entries.iter().for_each(|entry| ends[part(entry)] += 1);
    let mut before = 0;
    ends.iter_mut().for_each(|end| before = std::mem::replace(end, before) + before);
    let mut sorted = entries.clone();
    for entry in &*entries {
        let place = &mut ends[part(entry)];
        sorted[usize::from(*place)] = *entry;
        *place += 1;
    }
    insert_each(&mut sorted, hash);
    *entries = sorted;
}

/// Sorts what is nearly in order.
fn insert_each<T: Copy>(entries: &mut [T], hash: impl Fn(&T) -> u64) {
    for at in 1..entries.len() {
        let (entry, mut to) = (entries[at], at);
        while to > 0 && hash(&entries[to - 1]) > hash(&entry) {
            entries[to] = entries[to - 1];
            to -= 1;
        }
        entries[to] = entry;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hashes_are_sorted_whatever_they_begin_with(hashes in prop::collection::vec(any::<u64>(), 0..600), zeros in 0..64_u32, ones in any::<bool>()) {
            let flip = if ones { u64::MAX } else { 0 };
            let mut entries: Vec<(u64, usize)> = hashes.iter().map(|hash| (hash >> zeros ^ flip, 7)).collect();
            let mut expected = entries.clone();
            expected.sort_unstable();
            sort(&mut entries, |(hash, _)| *hash);
            prop_assert_eq!(entries, expected);
        }
    }
}
