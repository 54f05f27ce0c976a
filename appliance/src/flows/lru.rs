//! A table that knows which of its entries was used least lately: what bounds all that strangers can make us remember.

use std::collections::HashMap;
use std::hash::Hash;

/// No entry.
const NONE: u32 = u32::MAX;

/// Entries by key, in the order of their last use. Slots are reused: it grows to the most entries that it ever held.
///
/// Keys come from strangers: the hash is keyed (SipHash).
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    places: HashMap<K, u32>,
    slots: Vec<Slot<K, V>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
}

#[derive(Debug)]
struct Slot<K, V> {
    entry: Option<(K, V)>,
    newer: u32,
    older: u32,
}

impl<K: Eq + Hash + Clone, V> Lru<K, V> {
    /// With nothing in it.
    pub(crate) fn new() -> Self {
        Self { places: HashMap::new(), slots: Vec::new(), free: Vec::new(), newest: NONE, oldest: NONE }
    }

    /// Entries held.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// An entry, which thereby is the newest.
    pub(crate) fn get(&mut self, key: &K) -> Option<&mut V> {
        let at = *self.places.get(key)?;
        if at != self.newest {
            self.unlink(at);
            self.link(at);
        }
        self.slot(at)?.entry.as_mut().map(|(_, value)| value)
    }

    /// An entry; it does not count as used.
    pub(crate) fn peek(&self, key: &K) -> Option<&V> {
        let at = *self.places.get(key)?;
        self.slots.get(at as usize)?.entry.as_ref().map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub(crate) fn peek_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = *self.places.get(key)?;
        self.slot(at)?.entry.as_mut().map(|(_, value)| value)
    }

    /// Adds an entry as the newest, and returns what stood under its key.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = self.remove(&key);
        let at = self.free.pop().unwrap_or_else(|| self.add_slot());
        if let Some(slot) = self.slot(at) {
            slot.entry = Some((key.clone(), value));
            self.places.insert(key, at);
            self.link(at);
        }
        before
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.places.remove(key)?;
        self.unlink(at);
        self.free.push(at);
        self.slot(at)?.entry.take().map(|(_, value)| value)
    }

    /// The key of the entry that was used least lately.
    pub(crate) fn oldest(&self) -> Option<&K> {
        self.slots.get(self.oldest as usize)?.entry.as_ref().map(|(key, _)| key)
    }

    /// That entry.
    pub(crate) fn oldest_entry(&self) -> Option<(&K, &V)> {
        self.slots.get(self.oldest as usize)?.entry.as_ref().map(|(key, value)| (key, value))
    }

    /// Takes that entry out.
    pub(crate) fn evict(&mut self) -> Option<(K, V)> {
        let key = self.oldest()?.clone();
        self.remove(&key).map(|value| (key, value))
    }

    /// All entries, in no order; nothing counts as used.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().filter_map(|slot| slot.entry.as_ref().map(|(key, value)| (key, value)))
    }

    /// The same, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.slots.iter_mut().filter_map(|slot| slot.entry.as_mut().map(|(key, value)| (&*key, value)))
    }

    fn add_slot(&mut self) -> u32 {
        self.slots.push(Slot { entry: None, newer: NONE, older: NONE });
        u32::try_from(self.slots.len() - 1).unwrap_or(NONE)
    }

    fn slot(&mut self, at: u32) -> Option<&mut Slot<K, V>> {
        self.slots.get_mut(at as usize)
    }

    fn link(&mut self, at: u32) {
        let before = self.newest;
        if let Some(slot) = self.slot(at) {
            (slot.newer, slot.older) = (NONE, before);
        }
        match self.slot(before) {
            Some(slot) => slot.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let Some(&Slot { newer, older, .. }) = self.slots.get(at as usize) else { return };
        match self.slot(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        match self.slot(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    #[test]
    fn does_what_a_list_in_order_of_use_does() {
        let mut dice = ChaCha8Rng::seed_from_u64(7);
        let (mut lru, mut list) = (Lru::new(), Vec::<(u32, u32)>::new());
        for step in 0..20_000u32 {
            let key = dice.next_u32() % 40;
            let at = list.iter().position(|(k, _)| *k == key);
            assert_eq!([lru.peek(&key).copied(), lru.peek_mut(&key).copied()], [at.map(|at| list[at].1); 2]);
            match dice.next_u32() % 4 {
                0 => {
                    let before = at.map(|at| list.remove(at).1);
                    list.push((key, step));
                    assert_eq!(lru.insert(key, step), before);
                }
                1 => assert_eq!(lru.remove(&key), at.map(|at| list.remove(at).1)),
                2 if list.len() > 20 => assert_eq!(lru.evict(), Some(list.remove(0))),
                _ => {
                    let found = at.map(|at| list.remove(at));
                    list.extend(found);
                    assert_eq!(lru.get(&key).copied(), found.map(|(_, value)| value));
                }
            }
            assert_eq!(lru.len(), list.len());
        }
        assert_eq!(lru.iter().count(), list.len());
        list.into_iter().for_each(|entry| assert_eq!(lru.evict(), Some(entry)));
        assert_eq!(lru.evict(), None);
    }
}
