//! Data sets that came before their template: kept within bounds of bytes and time, then decoded in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};

use super::export::Header;
use crate::limits::{HELD_BYTES_OF_DOMAIN_MAX, HELD_MS_MAX};

/// One data set that waits.
#[derive(Debug)]
pub(super) struct HeldSet {
    pub(super) header: Header,
    pub(super) body: Box<[u8]>,
}

/// What the allocator takes for one piece beside its bytes, about.
const PIECE_BYTES: usize = 16;
/// What a set costs beside its body, about: itself, its rows in both trees (whose nodes are half empty), and two pieces.
pub(super) const SET_BYTES: usize = size_of::<HeldSet>() + 2 * (size_of::<(SetKey, usize)>() + size_of::<Place>()) + 2 * PIECE_BYTES;
/// What a domain costs that holds anything, about: its row in the order of all of them.
pub(super) const DOMAIN_BYTES: usize = 256;

/// Its template, and where it stands in the order of arrival, over all domains.
type SetKey = (u16, u64);
/// When a set came, its place in the order of arrival, and its template.
type Place = (u64, u64, u16);

/// Whether what came then is too old by now. A clock that was set back makes nothing old.
pub(super) const fn is_old(received_ns: u64, now_ns: u64) -> bool {
    received_ns.saturating_add(HELD_MS_MAX * 1_000_000) < now_ns
}

/// What waits of one domain: whatever a stranger makes wait, no step of this walks over it.
#[derive(Debug, Default)]
pub(super) struct Held {
    sets: BTreeMap<SetKey, Box<HeldSet>>,
    /// The same from the oldest on.
    order: BTreeSet<Place>,
    last_arrival: u64,
    bytes: usize,
    /// Those that are on disk too.
    on_disk: usize,
}

impl Held {
    /// Memory that it takes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets that wait and are on disk too.
    pub(super) const fn on_disk(&self) -> usize {
        self.on_disk
    }

    /// Sets that wait.
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    /// When the oldest of them came, and its place in the order of arrival.
    pub(super) fn oldest(&self) -> Option<(u64, u64)> {
        self.order.first().map(|(received_ns, arrival, _)| (*received_ns, *arrival))
    }

    /// Keeps a set, whose place in the order of arrival over all domains is `arrival`. False: there is no room.
    pub(super) fn keep(&mut self, header: Header, template: u16, body: &[u8], arrival: u64) -> bool {
        let bytes = SET_BYTES + body.len() + if self.sets.is_empty() { DOMAIN_BYTES } else { 0 };
        if self.bytes + bytes > HELD_BYTES_OF_DOMAIN_MAX {
            return false;
        }
        // In one domain each has a place of its own.
        self.last_arrival = arrival.max(self.last_arrival + 1);
        self.order.insert((header.received_ns, self.last_arrival, template));
        self.on_disk += usize::from(header.on_disk);
        self.sets.insert((template, self.last_arrival), Box::new(HeldSet { header, body: body.into() }));
        self.bytes += bytes;
        true
    }

    /// All that waits, by template; of each in the order in which it came.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &HeldSet)> {
        self.sets.iter().map(|((template, _), set)| (*template, &**set))
    }

    /// Takes out what waits for a template, in the order in which it came.
    pub(super) fn release(&mut self, template: u16) -> Vec<HeldSet> {
        let mut taken = Vec::new();
        while let Some((&key, _)) = self.sets.range((template, 0)..=(template, u64::MAX)).next()
            && let Some(set) = self.take(key)
        {
            self.order.remove(&(set.header.received_ns, key.1, template));
            taken.push(set);
        }
        taken
    }

    /// Lets the oldest go. False: nothing waits.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let oldest = self.order.pop_first();
        oldest.is_some_and(|(_, arrival, template)| self.take((template, arrival)).is_some())
    }

    fn take(&mut self, key: SetKey) -> Option<HeldSet> {
        let set = self.sets.remove(&key)?;
        self.bytes -= SET_BYTES + set.body.len() + if self.sets.is_empty() { DOMAIN_BYTES } else { 0 };
        self.on_disk -= usize::from(set.header.on_disk);
        Some(*set)
    }
}
