//! What waits for templates over all domains, from the oldest on: what is too old goes whatever domain it is of, and where there is too
//! much, strangers' sets go first. A stranger is a domain that never gave a template, and so no record: anyone's datagram makes one.

use std::collections::BTreeSet;

use super::collector::Collector;
use super::domain::{Domain, DomainKey};
use super::held::is_old;
use super::ledger::SetDrop;
use crate::limits::{HELD_BYTES_MAX, HELD_BYTES_OF_DOMAIN_MAX};

/// Beyond this sets go: one domain more finds all the room that a domain may take, so that nobody's datagram goes beyond the bound.
pub(super) const FULL_BYTES: usize = HELD_BYTES_MAX - HELD_BYTES_OF_DOMAIN_MAX;

/// Where a domain stands among those that hold sets: whether it is known, when its oldest set came, and as which of all.
pub(super) type Place = Option<(bool, u64, u64)>;

/// Domains that hold sets: strangers first, of each kind from the oldest set on.
#[derive(Debug, Default)]
pub(super) struct Order(BTreeSet<(bool, u64, u64, DomainKey)>);

impl Order {
    fn moved(&mut self, key: DomainKey, before: Place, after: Place) {
        if before == after {
            return;
        }
        if let Some((is_known, oldest_ns, arrival)) = before {
            self.0.remove(&(is_known, oldest_ns, arrival, key));
        }
        if let Some((is_known, oldest_ns, arrival)) = after {
            self.0.insert((is_known, oldest_ns, arrival, key));
        }
    }

    /// A domain that holds what is too old.
    fn old(&self, now_ns: u64) -> Option<DomainKey> {
        let known = || self.0.range((true, 0, 0, DomainKey::FIRST)..).next();
        let both = [self.0.first(), if self.0.first().is_some_and(|first| !first.0) { known() } else { None }];
        both.into_iter().flatten().find(|(_, oldest_ns, ..)| is_old(*oldest_ns, now_ns)).map(|(.., key)| *key)
    }
}

impl Domain {
    /// See [`Place`].
    pub(super) fn place(&self) -> Place {
        self.held.oldest().map(|(oldest_ns, arrival)| (self.is_known, oldest_ns, arrival))
    }
}

impl Collector {
    /// What a domain holds is other than before.
    pub(super) fn note_held(&mut self, key: DomainKey, (before, bytes_before): (Place, usize)) {
        let after = self.domains.peek(&key).map(|domain| (domain.place(), domain.held.bytes()));
        let (place, bytes) = after.unwrap_or_default();
        self.order.moved(key, before, place);
        self.held_bytes = self.held_bytes + bytes - bytes_before;
    }

    /// What has waited for too long goes.
    pub(super) fn expire_held(&mut self, now_ns: u64) {
        while let Some(key) = self.order.old(now_ns)
            && self.drop_oldest(key, SetDrop::NoTemplate)
        {}
    }

    /// Makes room again for all that one domain may hold.
    pub(super) fn displace_held(&mut self) {
        while self.held_bytes > FULL_BYTES
            && let Some((.., key)) = self.order.0.first().copied()
            && self.drop_oldest(key, SetDrop::Displaced)
        {}
    }

    fn drop_oldest(&mut self, key: DomainKey, reason: SetDrop) -> bool {
        let Some(domain) = self.domains.peek_mut(&key) else { return false };
        let before = (domain.place(), domain.held.bytes());
        let is_gone = domain.held.drop_oldest();
        self.note_held(key, before);
        self.forget(key.exporter, usize::from(is_gone), reason);
        is_gone
    }

    /// A domain went with all that it held.
    pub(super) fn forget_domain(&mut self, key: DomainKey, domain: &Domain) {
        self.note_held(key, (domain.place(), domain.held.bytes()));
        self.forget(key.exporter, domain.held.len(), SetDrop::NoTemplate);
    }

    /// Nothing is held any more.
    pub(super) fn forget_all(&mut self, reason: SetDrop) {
        while let Some((.., key)) = self.order.0.first().copied() {
            let Some(domain) = self.domains.peek_mut(&key) else { return };
            let before = (domain.place(), domain.held.bytes());
            let held = std::mem::take(&mut domain.held);
            self.note_held(key, before);
            self.forget(key.exporter, held.len(), reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::{Address, Arrival, Settings};
    use crate::limits::HELD_MS_MAX;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    const SECOND: u64 = 1_000_000_000;

    fn from(exporter: u32, at_ns: u64) -> Arrival {
        Arrival { exporter: Address::of(&exporter.to_be_bytes()), port: 1, received_ns: at_ns }
    }

    /// NetFlow 9 with one set.
    fn nine(domain: u32, number: u32, id: u16, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + body.len()).unwrap();
        let words = [0x0009_0001, 9, 9, number, domain].map(u32::to_be_bytes).concat();
        [&words[..], &id.to_be_bytes(), &length.to_be_bytes(), body].concat()
    }

    /// Of one field of so many bytes.
    fn template(domain: u32, number: u32, id: u16, bytes: u16) -> Vec<u8> {
        nine(domain, number, 0, &[id, 1, 400, bytes].map(u16::to_be_bytes).concat())
    }

    #[test]
    fn what_strangers_leave_makes_room_for_who_exports() {
        let (mut c, mut flows) = (Collector::new(&Settings::default()), 0);
        // One that is known waits for a second template; then strangers fill all there is, and more.
        c.take(&from(1, SECOND), &template(1, 0, 256, 4), &mut |_| ());
        c.take(&from(1, SECOND), &nine(1, 1, 300, &[1; 8]), &mut |_| ());
        for stranger in 100..140 {
            for n in 0..800 {
                c.take(&from(stranger, 2 * SECOND), &nine(1, n, 300, &[7; 1_296]), &mut |_| ());
                assert!(c.memory_bytes().1 <= HELD_BYTES_MAX && c.ledger().balances());
            }
        }
        assert!(c.ledger().set_drops[SetDrop::Displaced as usize] > 1_000, "{}", c.ledger());
        c.take(&from(2, 3 * SECOND), &nine(1, 0, 256, &[1; 8]), &mut |_| ());
        c.take(&from(2, 4 * SECOND), &template(1, 1, 256, 4), &mut |_| flows += 1);
        assert_eq!(flows, 2, "the newcomer's data waited");
        c.take(&from(1, 4 * SECOND), &template(1, 2, 300, 4), &mut |_| flows += 1);
        assert_eq!(flows, 4, "and so did that of the known one, though it was older than the strangers'");
        // Each row of an exporter has its own.
        let drops = |reason: SetDrop| c.told.rows().map(|(_, row)| row.set_drops[reason as usize]).sum::<u64>();
        assert_eq!(drops(SetDrop::Displaced), c.ledger().set_drops[SetDrop::Displaced as usize]);
        // All of it is too old at anyone's next datagram.
        c.take(&from(3, (5 + HELD_MS_MAX / 1_000) * SECOND), &template(1, 0, 256, 4), &mut |_| ());
        assert_eq!((c.memory_bytes().1, c.ledger().waiting, c.order.0.len()), (0, 0, 0));
        assert!(c.ledger().balances() && c.ledger().set_drops[SetDrop::NoTemplate as usize] > 10_000, "{}", c.ledger());
    }

    /// Whose, its template, when it came, its length.
    type Row = (u32, u16, u64, usize);

    /// The slow one: all that waits in a list, in the order in which it came.
    #[derive(Default)]
    struct Model {
        rows: Vec<Row>,
        known: BTreeSet<u32>,
        drops: [u64; SetDrop::COUNT],
    }

    impl Model {
        fn cost(rows: &[Row], of: Option<u32>) -> usize {
            let rows: Vec<_> = rows.iter().filter(|row| of.is_none_or(|of| of == row.0)).collect();
            let domains: BTreeSet<u32> = rows.iter().map(|row| row.0).collect();
            rows.iter().map(|row| super::super::held::SET_BYTES + row.3).sum::<usize>() + domains.len() * super::super::held::DOMAIN_BYTES
        }

        fn expire(&mut self, now_ns: u64) {
            let before = self.rows.len();
            self.rows.retain(|row| row.2 + HELD_MS_MAX * 1_000_000 >= now_ns);
            self.drops[SetDrop::NoTemplate as usize] += (before - self.rows.len()) as u64;
        }

        fn hold(&mut self, row: Row) {
            self.rows.push(row);
            if Self::cost(&self.rows, Some(row.0)) > HELD_BYTES_OF_DOMAIN_MAX {
                self.rows.pop();
                self.drops[SetDrop::NoRoom as usize] += 1;
            }
            while Self::cost(&self.rows, None) > FULL_BYTES {
                // The first of those that are the same age.
                let oldest = (0..self.rows.len()).min_by_key(|at| (self.known.contains(&self.rows[*at].0), self.rows[*at].2));
                self.rows.remove(oldest.unwrap());
                self.drops[SetDrop::Displaced as usize] += 1;
            }
        }
    }

    #[test]
    fn does_what_a_list_of_all_sets_does() {
        let seed = 20_261_127;
        eprintln!("seed {seed}");
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let (mut c, mut model, mut now_ns) = (Collector::new(&Settings::default()), Model::default(), 10_000_000 * SECOND);
        for step in 0..6_000u32 {
            let mut roll = |below: u32| dice.next_u32() % below;
            // Time goes on, now and then far, now and then back.
            now_ns = if roll(8) == 0 {
                now_ns - u64::from(roll(40)) * SECOND
            } else {
                now_ns + u64::from(roll(200 + 900 * (step / 2_000))) * SECOND / 100
            };
            now_ns += if roll(900) == 0 { 1_500 * SECOND } else { 0 };
            let (exporter, id) = (1 + roll(60), 256 + u16::try_from(roll(8)).unwrap());
            model.expire(now_ns);
            let is_template = roll(400) == 0;
            let bytes = if is_template {
                // A template that nothing waits for: from here on it is known.
                model.known.insert(exporter);
                template(1, step, id, 1_000)
            } else {
                let body = vec![u8::try_from(step % 251).unwrap(); 1 + roll(60_000) as usize];
                nine(1, step, id + 100, &body)
            };
            c.take(&from(exporter, now_ns), &bytes, &mut |_| ());
            if !is_template {
                model.hold((exporter, id + 100, now_ns, bytes.len() - 24));
            }
            let drops = [SetDrop::NoTemplate, SetDrop::Displaced, SetDrop::NoRoom].map(|reason| reason as usize);
            assert_eq!(drops.map(|at| c.ledger().set_drops[at]), drops.map(|at| model.drops[at]), "step {step}");
            assert_eq!((c.ledger().waiting, c.memory_bytes().1), (model.rows.len() as u64, Model::cost(&model.rows, None)), "step {step}");
            assert!(c.ledger().balances() && c.memory_bytes().1 <= HELD_BYTES_MAX);
        }
        assert!(
            c.ledger().set_drops[SetDrop::Displaced as usize] > 100 && c.ledger().set_drops[SetDrop::NoTemplate as usize] > 100,
            "{}",
            c.ledger()
        );
        // What is left comes out in the order of its arrival.
        for exporter in 1..=60 {
            let mut bodies = Vec::new();
            for id in 356..364 {
                c.take(&from(exporter, now_ns), &template(1, 7_000, id, 1), &mut |flow| bodies.push((id, flow.fields.sequence_num)));
            }
            assert!(bodies.is_sorted());
            bodies.dedup();
            let left = model.rows.iter().filter(|row| row.0 == exporter && row.2 + HELD_MS_MAX * 1_000_000 >= now_ns).count();
            assert_eq!(bodies.len(), left, "of {exporter}");
        }
        assert_eq!((c.ledger().waiting, c.memory_bytes().1, c.order.0.len()), (0, 0, 0));
    }
}
