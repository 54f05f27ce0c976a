//! At which of its interfaces a router meters flows: where they come in, where they leave, or both.
//!
//! A router that does both tells of a flow twice, and each record names both interfaces. Such a flow came in where a record of what
//! comes in was metered, and left where one of what leaves was. Which interfaces are metered so nobody says: it is learned of the
//! records themselves (element 61, `flowDirection`), and forgotten some time after the last of them. Of a router that tells of no
//! flow that leaves, nothing is to be learned, and each record counts at both its interfaces.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

/// So long after its last record an interface is taken to be metered: longer than routers let a flow last.
const KNOWN_NS: u64 = 40 * 60 * 1_000_000_000;
/// Interfaces that are known at a time, in each direction.
const INTERFACES_MAX: usize = 1 << 16;

/// When something was seen last.
struct Seen<K>(HashMap<K, u64>);

impl<K> Default for Seen<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Seen<K> {
    fn note(&mut self, key: K, now_ns: u64) {
        if let Some(last) = self.0.get_mut(&key) {
            *last = now_ns;
        } else if self.0.len() < INTERFACES_MAX {
            self.0.insert(key, now_ns);
        }
    }

    fn knows(&self, key: &K, now_ns: u64) -> bool {
        self.0.get(key).is_some_and(|last| now_ns.saturating_sub(*last) <= KNOWN_NS)
    }

    fn forget(&mut self, now_ns: u64) {
        self.0.retain(|_, last| now_ns.saturating_sub(*last) <= KNOWN_NS);
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Metering {
    /// Exporters that tell of what leaves.
    exporters: Seen<IpAddr>,
    entering: Seen<(IpAddr, u32)>,
    leaving: Seen<(IpAddr, u32)>,
    /// When the window that is open began.
    now_ns: u64,
}

impl Metering {
    /// A window begins.
    pub(super) fn turn(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        self.exporters.forget(now_ns);
        self.entering.forget(now_ns);
        self.leaving.forget(now_ns);
    }

    /// Whether a record may count where its flow came in, and where it left: no other tells of that.
    pub(super) fn sides(&mut self, exporter: IpAddr, [in_if, out_if]: [u32; 2], leaves: bool) -> [bool; 2] {
        let now_ns = self.now_ns;
        if leaves {
            self.exporters.note(exporter, now_ns);
            if out_if > 0 {
                self.leaving.note((exporter, out_if), now_ns);
            }
            return [!self.entering.knows(&(exporter, in_if), now_ns), true];
        }
        if !self.exporters.knows(&exporter, now_ns) {
            return [true; 2];
        }
        if in_if > 0 {
            self.entering.note((exporter, in_if), now_ns);
        }
        [true, !self.leaving.knows(&(exporter, out_if), now_ns)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// Interfaces 1 (outside) and 2 (inside), both metered in both directions: of each flow two records.
    #[test]
    fn a_router_that_meters_twice_counts_once_at_each_side() {
        let mut metering = Metering::default();
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
        // It was told to meter what comes in alone: after a time that is known.
        metering.turn(KNOWN_NS);
        assert_eq!(metering.sides(ONE, [2, 1], false), [true, false]);
        metering.turn(KNOWN_NS + 2);
        assert_eq!(metering.sides(ONE, [2, 1], false), [true; 2]);
    }

    /// Only the outside interface is metered, in both directions; or all, of what leaves.
    #[test]
    fn what_is_metered_once_counts_at_both_sides() {
        let mut metering = Metering::default();
        metering.turn(1);
        for _ in 0..3 {
            assert_eq!(metering.sides(ONE, [1, 2], false), [true; 2], "no other tells that it left");
            assert_eq!(metering.sides(ONE, [2, 1], true), [true; 2], "nor that it came in");
            assert_eq!(metering.sides(OTHER, [1, 2], true), [true; 2]);
            assert_eq!(metering.sides(OTHER, [2, 1], true), [true; 2]);
        }
    }

    #[test]
    fn spoofed_exporters_take_no_memory_without_end() {
        let mut metering = Metering::default();
        metering.turn(1);
        for n in 0..200_000_u32 {
            metering.sides(IpAddr::from(n.to_be_bytes()), [n + 1, n + 2], true);
            metering.sides(IpAddr::from(n.to_be_bytes()), [n + 1, n + 2], false);
        }
        assert!(metering.exporters.0.len().max(metering.leaving.0.len()).max(metering.entering.0.len()) <= INTERFACES_MAX);
        metering.turn(KNOWN_NS + 2);
        assert!(metering.exporters.0.is_empty() && metering.leaving.0.is_empty() && metering.entering.0.is_empty());
    }
}
