//! Who holds data that waits for templates: when there is no room for more, those go first who never sent anything of use, and of them who
//! holds for longest; and what has waited for too long goes, whether its exporter is heard of again or not.

use super::collector::Collector;
use super::domain::DomainKey;
use super::ledger::SetDrop;
use super::lru::Lru;
use crate::limits::{HELD_BYTES_MAX, HELD_BYTES_OF_DOMAIN_MAX};

/// Domains that hold something, since when: of exporters of which nothing was of use yet, and of all others.
#[derive(Debug)]
pub(super) struct Holding {
    strangers: Lru<DomainKey, ()>,
    heard: Lru<DomainKey, ()>,
}

/// What a datagram's sets may take when they wait, beside their bytes: the shortest set has four.
const TIMES_ITS_BYTES: usize = 40;

impl Holding {
    pub(super) fn new() -> Self {
        Self { strangers: Lru::new(), heard: Lru::new() }
    }

    /// A domain holds something, or nothing any more.
    fn note(&mut self, key: &DomainKey, holds: bool, is_heard: bool) {
        let (own, other) = if is_heard { (&mut self.heard, &mut self.strangers) } else { (&mut self.strangers, &mut self.heard) };
        other.remove(key);
        match (holds, own.has(key)) {
            (true, false) => drop(own.insert(*key, ())),
            (false, true) => drop(own.remove(key)),
            _ => {}
        }
    }

    pub(super) fn remove(&mut self, key: &DomainKey) {
        self.strangers.remove(key);
        self.heard.remove(key);
    }

    /// Who goes first, of all others than this one.
    fn first_but(&mut self, own: &DomainKey) -> Option<DomainKey> {
        [&mut self.strangers, &mut self.heard].into_iter().find_map(|list| {
            if list.oldest() == Some(own) {
                // It makes others wait: so it is the newest of them.
                list.get(own);
            }
            list.oldest().copied().filter(|key| key != own)
        })
    }
}

impl Collector {
    /// Before a datagram of so many bytes is read: lets go what waited for too long, and makes room, but not of its own domain.
    pub(super) fn make_room_to_wait(&mut self, own: &DomainKey, datagram_bytes: usize, now_ns: u64) {
        for key in [self.holding.strangers.oldest().copied(), self.holding.heard.oldest().copied()].into_iter().flatten() {
            self.expire(&key, now_ns);
        }
        let wanted = (datagram_bytes * TIMES_ITS_BYTES).min(HELD_BYTES_OF_DOMAIN_MAX);
        while self.held_bytes + wanted > HELD_BYTES_MAX
            && let Some(key) = self.holding.first_but(own)
        {
            self.let_go(&key);
        }
    }

    /// What a domain holds was another before.
    pub(super) fn note_holding(&mut self, key: &DomainKey, holds: bool) {
        let is_heard = self.exporters.get(&key.exporter).is_some_and(|exporter| exporter.is_heard);
        self.holding.note(key, holds, is_heard);
    }

    /// Of one that holds for longest: what waited for too long. If it holds younger sets, its turn is over.
    fn expire(&mut self, key: &DomainKey, now_ns: u64) {
        let Some(domain) = self.domains.peek_mut(key) else { return self.holding.remove(key) };
        let before = domain.held.bytes();
        let expired = domain.held.expire(now_ns);
        let left = domain.held.bytes();
        if expired == 0 {
            return;
        }
        self.held_bytes = self.held_bytes + left - before;
        self.forget(expired, SetDrop::NoTemplate);
        self.holding.remove(key);
        self.note_holding(key, left > 0);
    }

    fn let_go(&mut self, key: &DomainKey) {
        self.holding.remove(key);
        let Some(domain) = self.domains.peek_mut(key) else { return };
        let gone = std::mem::take(&mut domain.held);
        self.held_bytes -= gone.bytes();
        self.forget(gone.len(), SetDrop::NoTemplate);
    }
}
