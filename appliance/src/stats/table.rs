//! A table of entries in the pool, which starts small and doubles as tags come.
//!
//! An entry is a fixed number of words, the first of which is its tag, never zero. A calculation keeps the table's two
//! root words within its own.

use super::Exhausted;
use super::pool::{Handle, Memory, Pool};
use super::stretch::{Stretch, chunk};
use crate::arch::hash::spread;

/// Words that a table has in a root: its chunk, and how many entries it holds.
pub(super) const ROOT_WORDS: usize = 2;
/// Entries that a table is made for at first.
const ENTRIES_MIN: usize = 4;

/// How entries lie.
#[derive(Clone, Copy)]
pub(super) struct Table {
    /// Words of an entry, its tag included.
    pub(super) entry_words: usize,
}

impl Table {
    /// The entry of a tag. A new one is zero behind its tag.
    pub(super) fn entry<'a>(&self, root: &mut [u64], memory: &'a mut Memory<'_>, tag: u64) -> Result<&'a mut [u64], Exhausted> {
        if root[0] == 0 {
            root[0] = memory.alloc(2 * ENTRIES_MIN * self.entry_words).ok_or(Exhausted)?.word();
        }
        let table = memory.pool.get(Handle::from_word(root[0]));
        let mut at = self.find(table, tag);
        if table[at] == 0 {
            self.reserve(root, memory)?;
            root[1] += 1;
            at = self.find(memory.pool.get(Handle::from_word(root[0])), tag);
        }
        let table = memory.pool.get_mut(Handle::from_word(root[0]));
        table[at] = tag;
        Ok(&mut table[at..at + self.entry_words])
    }

    /// The entry of a tag, if there is one.
    pub(super) fn get<'a>(&self, root: &[u64], pool: &'a mut Pool, tag: u64) -> Option<&'a mut [u64]> {
        if root[0] == 0 {
            return None;
        }
        let table = pool.get_mut(Handle::from_word(root[0]));
        let at = self.find(table, tag);
        (table[at] == tag).then(|| &mut table[at..at + self.entry_words])
    }

    /// How many entries there are.
    pub(super) fn len(root: &[u64]) -> usize {
        usize::try_from(root[1]).unwrap_or(usize::MAX)
    }

    /// A piece of a head with all entries behind it, in no order: see [`super::Kernel::export_some`].
    pub(super) fn export(&self, head: &[u64], root: &[u64], pool: &Pool, (stretch, out): (Stretch, &mut Vec<u64>)) -> Option<usize> {
        stretch.entries(head, chunk(pool, root[0]), self.entry_words, out)
    }

    /// Drops the entries whose tags are not to be kept, where they stand.
    pub(super) fn retain(&self, root: &mut [u64], pool: &mut Pool, keep: impl Fn(u64) -> bool) {
        if root[0] == 0 {
            return;
        }
        let table = pool.get_mut(Handle::from_word(root[0]));
        for slot in 0..self.slots(table.len()) {
            // What moves into the gap is looked at too.
            while table[slot * self.entry_words] != 0 && !keep(table[slot * self.entry_words]) {
                self.remove(table, slot);
                root[1] -= 1;
            }
        }
    }

    /// Closes the gap that a removed entry leaves, so that probing still finds what stands behind it.
    fn remove(&self, table: &mut [u64], slot: usize) {
        let (words, mask) = (self.entry_words, self.slots(table.len()) - 1);
        let (mut gap, mut next) = (slot, (slot + 1) & mask);
        while table[next * words] != 0 {
            let home = home(table[next * words], mask);
            // It may move if its home is not behind the gap.
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(gap) & mask) {
                table.copy_within(next * words..(next + 1) * words, gap * words);
                gap = next;
            }
            next = (next + 1) & mask;
        }
        table[gap * words..(gap + 1) * words].fill(0);
    }

    /// First word of a tag's entry, or of the free one where it belongs. A table always has a free one.
    fn find(&self, table: &[u64], tag: u64) -> usize {
        let mask = self.slots(table.len()) - 1;
        let mut slot = home(tag, mask);
        while table[slot * self.entry_words] != 0 && table[slot * self.entry_words] != tag {
            slot = (slot + 1) & mask;
        }
        slot * self.entry_words
    }

    /// The largest power of two of slots in so many words.
    const fn slots(&self, words: usize) -> usize {
        (words / self.entry_words / 2 + 1).next_power_of_two()
    }

    /// Makes room for one more entry. Without memory the table fills up further, but for one slot.
    fn reserve(&self, root: &mut [u64], memory: &mut Memory<'_>) -> Result<(), Exhausted> {
        let old = Handle::from_word(root[0]);
        let (slots, used) = (self.slots(memory.pool.get(old).len()), Self::len(root));
        if (used + 1) * 2 <= slots {
            return Ok(());
        }
        let Some(new) = memory.alloc(2 * slots * self.entry_words) else {
            return if used + 2 <= slots { Ok(()) } else { Err(Exhausted) };
        };
        let (from, to) = memory.pool.get_two_mut(old, new);
        for entry in from[..slots * self.entry_words].chunks_exact(self.entry_words).filter(|entry| entry[0] != 0) {
            let at = self.find(to, entry[0]);
            to[at..at + self.entry_words].copy_from_slice(entry);
        }
        memory.pool.free(old);
        root[0] = new.word();
        Ok(())
    }

    /// Gives its chunk back.
    pub(super) fn release(root: &[u64], pool: &mut Pool) {
        pool.free(Handle::from_word(root[0]));
    }
}

#[allow(clippy::cast_possible_truncation, reason = "masked")]
const fn home(tag: u64, mask: usize) -> usize {
    spread(tag) as usize & mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::pool::Budget;
    use std::collections::BTreeMap;

    #[test]
    fn it_holds_what_a_map_holds_whatever_is_dropped() {
        let (mut pool, mut budget) = (Pool::with_bytes(1 << 20), Budget::of_bytes(1 << 20));
        let (table, mut root, mut want) = (Table { entry_words: 3 }, [0; ROOT_WORDS], BTreeMap::new());
        for round in 1..20_000_u64 {
            let tag = spread(round % 900) >> 40 | 1;
            let mut memory = Memory { pool: &mut pool, budget: &mut budget };
            let entry = table.entry(&mut root, &mut memory, tag).unwrap();
            entry[2] += round;
            *want.entry(tag).or_insert(0) += round;
            if round % 1_777 == 0 {
                let keep = |tag: u64| tag % 5 > round % 4;
                table.retain(&mut root, &mut pool, keep);
                want.retain(|tag, _| keep(*tag));
            }
            assert_eq!(Table::len(&root), want.len());
        }
        let mut words = Vec::new();
        table.export(&[], &root, &pool, (Stretch::WHOLE, &mut words));
        let have: BTreeMap<u64, u64> = words.chunks_exact(3).map(|entry| (entry[0], entry[2])).collect();
        assert_eq!(have, want);
        assert!(want.iter().all(|(tag, n)| table.get(&root, &mut pool, *tag).unwrap()[2] == *n));
        Table::release(&root, &mut pool);
        assert_eq!(pool.used_bytes(), 0);
    }

    #[test]
    fn without_memory_it_fills_up_and_ends() {
        let (mut pool, mut budget) = (Pool::with_bytes(1 << 12), Budget::of_bytes(256));
        let (table, mut root) = (Table { entry_words: 2 }, [0; ROOT_WORDS]);
        let mut memory = Memory { pool: &mut pool, budget: &mut budget };
        let held = (1..100).filter(|tag| table.entry(&mut root, &mut memory, *tag).is_ok()).count();
        assert!((4..16).contains(&held), "{held}");
        assert!((1..100).filter(|tag| table.entry(&mut root, &mut memory, *tag).is_ok()).count() == held);
    }
}
