//! Data sets that came before their template: kept within bounds of bytes and time, then decoded in the order in which they came.

use std::collections::HashMap;

use super::export::Header;
use crate::limits::{HELD_BYTES_OF_DOMAIN_MAX, HELD_MS_MAX};

/// One data set that waits.
#[derive(Debug)]
pub(super) struct HeldSet {
    pub(super) header: Header,
    pub(super) body: Box<[u8]>,
}

/// What the allocator takes for a body beside its bytes, about.
const BODY_BYTES: usize = 16;
/// What a template's row costs, about.
const ROW_BYTES: usize = 64;
/// Sets that a row has room for at first; then it doubles.
const FIRST_SETS: usize = 4;

/// Memory that a row takes: its room too, used or not.
fn memory_bytes(sets: &Vec<HeldSet>) -> usize {
    ROW_BYTES + sets.capacity() * size_of::<HeldSet>() + sets.iter().map(|set| set.body.len() + BODY_BYTES).sum::<usize>()
}

/// What waits of one domain, by template: whatever a stranger makes wait, one more template costs no walk over it.
#[derive(Debug, Default)]
pub(super) struct Held {
    sets: HashMap<u16, Vec<HeldSet>>,
    count: usize,
    bytes: usize,
    /// When the oldest of them came, or earlier.
    oldest_ns: u64,
}

impl Held {
    /// Memory that it takes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets that wait.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// Keeps a set. False: there is no room, of `others_left` bytes that all domains together may still take.
    pub(super) fn keep(&mut self, header: Header, template: u16, body: &[u8], others_left: usize) -> bool {
        let room = self.sets.get(&template).map(|sets| (sets.len(), sets.capacity()));
        let (row, more) = match room {
            None => (ROW_BYTES, FIRST_SETS),
            Some((used, room)) if used == room => (0, room),
            Some(_) => (0, 0),
        };
        let bytes = row + more * size_of::<HeldSet>() + body.len() + BODY_BYTES;
        if bytes > others_left || self.bytes + bytes > HELD_BYTES_OF_DOMAIN_MAX {
            return false;
        }
        self.oldest_ns = if self.count == 0 { header.received_ns } else { self.oldest_ns.min(header.received_ns) };
        let sets = self.sets.entry(template).or_default();
        sets.reserve_exact(more);
        sets.push(HeldSet { header, body: body.into() });
        self.bytes += bytes;
        self.count += 1;
        true
    }

    /// All that waits, by template; of each in the order in which it came.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &HeldSet)> {
        self.sets.iter().flat_map(|(template, sets)| sets.iter().map(|set| (*template, set)))
    }

    /// Takes out what waits for a template, in the order in which it came.
    pub(super) fn release(&mut self, template: u16) -> Vec<HeldSet> {
        if self.count == 0 {
            return Vec::new();
        }
        let Some(taken) = self.sets.remove(&template) else { return Vec::new() };
        self.bytes -= memory_bytes(&taken);
        self.count -= taken.len();
        taken
    }

    /// Lets go what has waited for too long; how many sets.
    pub(super) fn expire(&mut self, now_ns: u64) -> usize {
        let since = |received_ns: u64| received_ns.saturating_add(HELD_MS_MAX * 1_000_000) >= now_ns;
        if self.count == 0 || since(self.oldest_ns) {
            return 0;
        }
        let before = self.count;
        self.sets.retain(|_, sets| {
            sets.retain(|set| since(set.header.received_ns));
            sets.shrink_to_fit();
            !sets.is_empty()
        });
        let left = || self.sets.values().flatten();
        let (count, bytes) = (left().count(), self.sets.values().map(memory_bytes).sum());
        let oldest_ns = left().map(|set| set.header.received_ns).min().unwrap_or(0);
        (self.count, self.bytes, self.oldest_ns) = (count, bytes, oldest_ns);
        before - count
    }
}
