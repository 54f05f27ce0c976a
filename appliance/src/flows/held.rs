//! Data sets that came before their template: kept within bounds of bytes and time, then decoded in the order in which they came.

use super::export::Header;
use crate::limits::{HELD_BYTES_OF_DOMAIN_MAX, HELD_MS_MAX};

/// One data set that waits.
#[derive(Debug)]
pub(super) struct HeldSet {
    pub(super) header: Header,
    pub(super) template: u16,
    pub(super) body: Box<[u8]>,
}

/// What each costs beside its bytes.
const OVERHEAD_BYTES: usize = size_of::<HeldSet>() + 16;

impl HeldSet {
    fn memory_bytes(&self) -> usize {
        self.body.len() + OVERHEAD_BYTES
    }
}

/// What waits of one domain.
#[derive(Debug, Default)]
pub(super) struct Held {
    sets: Vec<HeldSet>,
    bytes: usize,
}

impl Held {
    /// Memory that it takes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets that wait.
    pub(super) const fn len(&self) -> usize {
        self.sets.len()
    }

    /// Keeps a set. False: there is no room, of `others_left` bytes that all domains together may still take.
    pub(super) fn keep(&mut self, header: Header, template: u16, body: &[u8], others_left: usize) -> bool {
        let bytes = body.len() + OVERHEAD_BYTES;
        if bytes > others_left || self.bytes + bytes > HELD_BYTES_OF_DOMAIN_MAX {
            return false;
        }
        self.sets.push(HeldSet { header, template, body: body.into() });
        self.bytes += bytes;
        true
    }

    /// Takes out what waits for a template.
    pub(super) fn release(&mut self, template: u16) -> Vec<HeldSet> {
        if self.sets.is_empty() {
            return Vec::new();
        }
        self.take(|set| set.template == template)
    }

    /// Lets go what has waited for too long; how many sets.
    pub(super) fn expire(&mut self, now_ns: u64) -> usize {
        let too_old = |set: &HeldSet| set.header.received_ns.saturating_add(HELD_MS_MAX * 1_000_000) < now_ns;
        if self.sets.first().is_some_and(too_old) { self.take(too_old).len() } else { 0 }
    }

    fn take(&mut self, which: impl Fn(&HeldSet) -> bool) -> Vec<HeldSet> {
        let (taken, left) = std::mem::take(&mut self.sets).into_iter().partition(which);
        self.sets = left;
        self.bytes = self.sets.iter().map(HeldSet::memory_bytes).sum();
        taken
    }
}
