//! At which of its interfaces a router meters flows: where they come in, where they leave, or both.
//!
//! A router that does both tells of a flow twice, and each record names both interfaces. Such a flow came in where a record of what
//! comes in was metered, and left where one of what leaves was. Which interfaces are metered so nobody says: it is learned of the
//! records themselves (element 61, `flowDirection`; of sFlow the data source). A record counts at its other interface too, unless what was
//! metered there of late is a fair share of what is said to have gone by it: an interface that meters but some of it hides nothing of
//! the rest. Of a router that tells of no flow that leaves, nothing is to be learned.

use std::net::IpAddr;

use crate::flows::lru::Lru;

/// What was seen counts by half after so long.
const HALF_NS: u64 = 60 * 1_000_000_000;
/// Less than so much is forgotten.
const LEAST: f32 = 0.01;
/// Such a share of what went by an interface was metered there, where all of it is: routers do not end both records at the same time.
const SHARE: f32 = 0.25;
/// Interfaces and exporters that are known at a time.
const KNOWN_MAX: usize = 1 << 16;

/// Who exports: what messages call the exporter, and where its datagrams come from.
pub(super) type Who = (IpAddr, Option<IpAddr>);

/// Records of lately.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Metered there: what came in, what left.
    came: f32,
    left: f32,
    /// Metered elsewhere: what is said to have come in there, or left.
    said_came: f32,
    said_left: f32,
}

/// See the module.
pub(super) struct Metering {
    /// Records of what leaves.
    exporters: Lru<Who, f32>,
    interfaces: Lru<(Who, u32), Seen>,
    /// Since then counts stand.
    halved_ns: u64,
}

impl Metering {
    pub(super) fn new() -> Self {
        Self { exporters: Lru::new(), interfaces: Lru::new(), halved_ns: 0 }
    }

    /// A window begins.
    pub(super) fn turn(&mut self, now_ns: u64) {
        let halves = now_ns.saturating_sub(self.halved_ns) / HALF_NS;
        if halves == 0 {
            return;
        }
        self.halved_ns += halves * HALF_NS;
        let part = 0.5_f32.powi(i32::try_from(halves).unwrap_or(i32::MAX));
        self.exporters.iter_mut().for_each(|(_, count)| *count *= part);
        for (_, Seen { came, left, said_came, said_left }) in self.interfaces.iter_mut() {
            [came, left, said_came, said_left].into_iter().for_each(|count| *count *= part);
        }
        // Oldest first: what was seen later is no less, but for those of many records.
        while self.exporters.oldest_entry().is_some_and(|(_, count)| *count < LEAST) {
            self.exporters.evict();
        }
        while self.interfaces.oldest_entry().is_some_and(|(_, seen)| seen.came + seen.left + seen.said_came + seen.said_left < LEAST) {
            self.interfaces.evict();
        }
    }

    fn of(&mut self, who: Who, interface: u32) -> &mut Seen {
        known(&mut self.interfaces, (who, interface))
    }

    /// Whether a record may count where its flow came in, and where it left: no other tells of that. Of those that count in some range.
    pub(super) fn sides(&mut self, who: Who, [in_if, out_if]: [u32; 2], leaves: bool) -> [bool; 2] {
        if leaves {
            *known(&mut self.exporters, who) += 1.0;
            self.of(who, out_if).left += 1.0;
            let there = self.of(who, in_if);
            let hides = hides(there.came, there.said_came);
            there.said_came += 1.0;
            return [in_if == 0 || !hides, true];
        }
        if self.exporters.peek(&who).is_none() {
            return [true; 2];
        }
        self.of(who, in_if).came += 1.0;
        let there = self.of(who, out_if);
        let hides = hides(there.left, there.said_left);
        there.said_left += 1.0;
        [true, out_if == 0 || !hides]
    }
}

/// Whether what was metered at an interface is all that is said to have gone by it, before this record: its twin may be still to come.
fn hides(metered: f32, said: f32) -> bool {
    metered > 0.0 && metered >= SHARE * said
}

/// The oldest makes room.
fn known<K: Copy + Eq + std::hash::Hash, V: Default>(all: &mut Lru<K, V>, key: K) -> &mut V {
    if all.get(&key).is_none() {
        if all.len() >= KNOWN_MAX {
            all.evict();
        }
        all.insert(key, V::default());
    }
    all.get(&key).expect("it is there")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Who = (IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), None);
    const OTHER: Who = (IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)), None);

    /// Interfaces 1 (outside) and 2 (inside), both metered in both directions: of each flow two records.
    #[test]
    fn a_router_that_meters_twice_counts_once_at_each_side() {
        let mut metering = Metering::new();
        metering.turn(1);
        assert_eq!(metering.sides(OTHER, [1, 2], false), [true; 2], "one that tells of nothing that leaves");
        for [from, to] in [[1, 2], [2, 1]] {
            metering.sides(ONE, [from, to], true);
            metering.sides(ONE, [from, to], false);
        }
        for [from, to] in [[1, 2], [2, 1]] {
            assert_eq!(metering.sides(ONE, [from, to], false), [true, false]);
            assert_eq!(metering.sides(ONE, [from, to], true), [false, true]);
        }
        assert_eq!(metering.sides(OTHER, [1, 2], false), [true; 2]);
        // The same agent's name from elsewhere is another: nobody takes flows from a router by its name alone.
        let forged = (ONE.0, Some(OTHER.0));
        assert_eq!(metering.sides(forged, [1, 2], true), [true; 2]);
        // It was told to meter what comes in alone: after a time that is known.
        metering.turn(3 * HALF_NS);
        assert_eq!(metering.sides(ONE, [2, 1], false), [true, false]);
        metering.turn(20 * HALF_NS);
        assert_eq!(metering.sides(ONE, [2, 1], false), [true; 2]);
    }

    /// Only the outside interface is metered, in both directions; or all, of what leaves; or of what leaves one flow in ten.
    #[test]
    fn what_is_metered_once_counts_at_both_sides() {
        let mut metering = Metering::new();
        metering.turn(1);
        for _ in 0..3 {
            assert_eq!(metering.sides(ONE, [1, 2], false), [true; 2], "no other tells that it left");
            assert_eq!(metering.sides(ONE, [2, 1], true), [true; 2], "nor that it came in");
            assert_eq!(metering.sides(OTHER, [1, 2], true), [true; 2]);
            assert_eq!(metering.sides(OTHER, [2, 1], true), [true; 2]);
        }
        let third = (ONE.0, Some(ONE.0));
        for n in 0..100 {
            if n % 10 == 5 {
                metering.sides(third, [1, 2], true);
            }
            let counts = metering.sides(third, [1, 2], false)[1];
            assert!(counts || (5..10).contains(&n), "{n}");
        }
    }

    #[test]
    fn forged_exporters_take_no_memory_without_end() {
        let mut metering = Metering::new();
        metering.turn(1);
        for n in 0..200_000_u32 {
            let who = (IpAddr::from(n.to_be_bytes()), None);
            metering.sides(who, [n + 1, n + 2], true);
            metering.sides(who, [n + 1, n + 2], false);
        }
        assert!(metering.exporters.len().max(metering.interfaces.len()) <= KNOWN_MAX);
        metering.turn(30 * HALF_NS);
        assert_eq!((metering.exporters.len(), metering.interfaces.len()), (0, 0));
    }
}
