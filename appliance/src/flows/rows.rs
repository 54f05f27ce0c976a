//! A bounded table of what came, by whom: sums by key, and of all others together. For those who watch.

use std::collections::HashMap;
use std::hash::Hash;

use crate::limits::EXPORTER_SILENT_MS_MAX;

/// What can be summed up.
pub(super) trait Sum: Clone + Default {
    /// Adds the other.
    fn add(&mut self, other: &Self);
}

#[derive(Clone, Debug)]
struct Row<K, V> {
    key: K,
    last_ns: u64,
    sum: V,
}

/// See the module. Who comes when the table is full has a row of its own only if another was silent for long.
#[derive(Clone, Debug)]
pub(super) struct Rows<K, V> {
    room: usize,
    places: HashMap<K, usize>,
    rows: Vec<Row<K, V>>,
    other: V,
    /// When the table was last looked through in vain.
    full_ns: u64,
}

impl<K: Clone + Eq + Hash, V: Sum> Rows<K, V> {
    /// With room for so many.
    pub(super) fn new(room: usize) -> Self {
        Self { room, places: HashMap::new(), rows: Vec::new(), other: V::default(), full_ns: 0 }
    }

    /// By key, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.rows.iter().map(|row| (&row.key, &row.sum))
    }

    /// All others together.
    pub(super) const fn other(&self) -> &V {
        &self.other
    }

    /// The sum of a key as it stands; of who has no row that of all others.
    pub(super) fn as_is(&mut self, key: &K) -> &mut V {
        let row = self.places.get(key).and_then(|at| self.rows.get_mut(*at));
        row.map_or(&mut self.other, |row| &mut row.sum)
    }

    /// One more of a key, which makes a row only if `makes`. `at`: where its row was last; where it is, is returned.
    #[inline]
    pub(super) fn note(&mut self, at: usize, (key, now_ns, makes): (&K, u64, bool), more: &V) -> usize {
        if let Some(row) = self.rows.get_mut(at)
            && row.key == *key
        {
            row.last_ns = now_ns;
            row.sum.add(more);
            return at;
        }
        let at = self.place(key, now_ns, makes);
        match at.and_then(|at| self.rows.get_mut(at)) {
            Some(row) => {
                row.last_ns = now_ns;
                row.sum.add(more);
            }
            None => self.other.add(more),
        }
        at.unwrap_or(usize::MAX)
    }

    fn place(&mut self, key: &K, now_ns: u64, makes: bool) -> Option<usize> {
        if let Some(at) = self.places.get(key) {
            return Some(*at);
        }
        if !makes {
            return None;
        }
        let row = Row { key: key.clone(), last_ns: now_ns, sum: V::default() };
        let at = if self.rows.len() < self.room {
            self.rows.push(row);
            self.rows.len() - 1
        } else {
            let at = self.silent(now_ns)?;
            let gone = std::mem::replace(self.rows.get_mut(at)?, row);
            self.places.remove(&gone.key);
            self.other.add(&gone.sum);
            at
        };
        self.places.insert(key.clone(), at);
        Some(at)
    }

    /// One that was silent for long. The table is looked through once a second at most, whoever asks.
    fn silent(&mut self, now_ns: u64) -> Option<usize> {
        if now_ns < self.full_ns.saturating_add(1_000_000_000) {
            return None;
        }
        let at = self.rows.iter().position(|row| row.last_ns.saturating_add(EXPORTER_SILENT_MS_MAX * 1_000_000) < now_ns);
        if at.is_none() {
            self.full_ns = now_ns;
        }
        at
    }
}
