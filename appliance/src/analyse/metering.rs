//! At which of its interfaces a router meters flows: where they come in, where they leave, or both.
//!
//! A router that does both tells of a flow twice, and each record names both interfaces. Such a flow came in where a record of what
//! comes in was metered, and left where one of what leaves was. The operator may say which interfaces are metered so. Where he does not, it is
//! learned of the records themselves (element 61, `flowDirection`; of sFlow the data source), of each family apart: a record counts at its
//! other interface too, unless what was metered there is a fair share of what is said to have gone by it, in packets times their rates, so
//! that one side's sampling is no matter. An interface that meters but some of it hides nothing of the rest.
//!
//! What is learned is a guess until both were seen for a while, or one of them has not been for a while. What counts by a guess says so.

use std::net::IpAddr;

use crate::config::Metered;
use crate::flows::lru::Lru;

const SECOND_NS: u64 = 1_000_000_000;
/// What was seen lately counts by half after so long,
const HALF_NS: u64 = 60 * SECOND_NS;
/// and what is remembered after so many of these: six hours.
const HALVES_KEPT: f64 = 360.0;
/// Of what was silent for two days nothing is known.
const KEPT_NS: u64 = 48 * 3_600 * SECOND_NS;
/// A guess stands so long before it is taken for known: records of one flow are as far apart, where timeouts of both sides differ.
const SETTLES_NS: u64 = 300 * SECOND_NS;
/// So many records of lately are asked before those of the day, for a router may be told to meter otherwise.
const ENOUGH: f64 = 8.0;
/// Such a share of what went by an interface was metered there, where all of it is: routers do not end both records at the same time.
const SHARE: f64 = 0.25;
/// From such a share on all of it is, surely; below the other one nothing.
const SURE: f64 = 0.5;
const NONE: f64 = 0.001;
/// No record is more than so many packets: one that claims more than is true decides nothing for long.
const PACKETS_MAX: u64 = 1_000_000;
/// Interfaces and exporters that are known at a time.
const KNOWN_MAX: usize = 1 << 16;

/// Who exports: what messages call the exporter, and where its datagrams come from.
pub(super) type Who = (IpAddr, Option<IpAddr>);

/// What a record tells of its metering.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) who: Who,
    pub(super) is_v6: bool,
    pub(super) in_if: u32,
    pub(super) out_if: u32,
    /// Metered where it leaves.
    pub(super) leaves: bool,
    /// Packets times rate.
    pub(super) packets: u64,
    /// What the operator says of both interfaces.
    pub(super) metered: [Option<Metered>; 2],
}

/// Whether a record counts at one of its sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) here: bool,
    /// It is known that no other record of the same packets does.
    pub(super) is_settled: bool,
}

impl Counts {
    pub(super) const SURELY: Self = Self { here: true, is_settled: true };
}

/// Packets of one direction at an interface: metered there, and said to have gone by it by records that were metered elsewhere.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    metered: f64,
    said: f64,
    /// Of either.
    records: f64,
}

impl Part {
    fn fade(&mut self, part: f64) {
        self.metered *= part;
        self.said *= part;
        self.records *= part;
    }

    fn add(&mut self, packets: f64, is_metered: bool) {
        let to = if is_metered { &mut self.metered } else { &mut self.said };
        *to += packets;
        self.records += 1.0;
    }

    /// What was metered there is all that is said to have gone by, as far as routers end both records at the same time.
    fn hides(&self) -> bool {
        self.metered > 0.0 && self.metered >= SHARE * self.said
    }

    fn is_none(&self) -> bool {
        self.metered <= NONE * self.said
    }

    fn is_all(&self) -> bool {
        self.metered > 0.0 && self.metered >= SURE * self.said
    }
}

/// One direction at an interface.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    lately: Part,
    day: Part,
    /// Since when one thing holds: that records metered here are all, or that they are not.
    since_ns: u64,
    hides: bool,
    /// Records that were metered elsewhere counted here before.
    counted_before: bool,
}

impl Side {
    const fn part(&self) -> &Part {
        if self.lately.records >= ENOUGH { &self.lately } else { &self.day }
    }

    /// Takes note of a record; what is known is known of those before it.
    fn take(&mut self, told: &Told, is_metered: bool, now_ns: u64) {
        let packets = if told.packets == 0 { 1.0 } else { f64::from(u32::try_from(told.packets.min(PACKETS_MAX)).unwrap_or(u32::MAX)) };
        self.lately.add(packets, is_metered);
        self.day.add(packets, is_metered);
        let hides = self.part().hides();
        if hides != self.hides || self.since_ns == 0 {
            self.counted_before = !self.hides && self.since_ns > 0;
            (self.hides, self.since_ns) = (hides, now_ns);
        }
    }

    /// Of a record that was metered here: always, but others may have counted here that tell of the same packets.
    fn of_own(&self, now_ns: u64) -> Counts {
        let part = self.part();
        let is_first = part.metered <= 0.0 && part.said <= 0.0;
        let lasts = !self.counted_before || now_ns.saturating_sub(self.since_ns) >= SETTLES_NS;
        Counts { here: true, is_settled: is_first || self.hides && part.is_all() && lasts }
    }

    /// Of one that was metered elsewhere, by a router that meters both ways.
    fn of_other(&self, is_named: bool, now_ns: u64) -> Counts {
        let part = self.part();
        if !is_named {
            // No interface of the router, or not told: then its own are not told either.
            return Counts { here: true, is_settled: part.metered <= 0.0 };
        }
        let lasts = now_ns.saturating_sub(self.since_ns) >= SETTLES_NS && self.day.records >= ENOUGH;
        Counts { here: !self.hides, is_settled: part.is_none() && self.since_ns > 0 && lasts }
    }
}

/// Directions at an interface: what comes in, what leaves.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    sides: [Side; 2],
    last_ns: u64,
}

/// When an exporter last told of what comes in, and of what leaves.
type Ways = [Option<u64>; 2];

/// See the module.
pub(super) struct Metering {
    exporters: Lru<Who, Ways>,
    interfaces: Lru<(Who, u32, bool), Seen>,
    /// Since then counts stand.
    halved_ns: u64,
    now_ns: u64,
}

impl Metering {
    pub(super) fn new() -> Self {
        Self { exporters: Lru::new(), interfaces: Lru::new(), halved_ns: 0, now_ns: 0 }
    }

    /// A window begins.
    pub(super) fn turn(&mut self, now_ns: u64) {
        self.now_ns = now_ns.max(1);
        let halves = now_ns.saturating_sub(self.halved_ns) / HALF_NS;
        if halves == 0 {
            return;
        }
        self.halved_ns += halves * HALF_NS;
        #[allow(clippy::cast_precision_loss, reason = "minutes")]
        let halves = halves as f64;
        let (lately, day) = (0.5_f64.powf(halves), 0.5_f64.powf(halves / HALVES_KEPT));
        for side in self.interfaces.iter_mut().flat_map(|(_, seen)| &mut seen.sides) {
            side.lately.fade(lately);
            side.day.fade(day);
        }
        let is_old = |last_ns: u64| last_ns.saturating_add(KEPT_NS) < now_ns;
        while self.exporters.oldest_entry().is_some_and(|(_, ways)| ways.iter().flatten().all(|last_ns| is_old(*last_ns))) {
            self.exporters.evict();
        }
        while self.interfaces.oldest_entry().is_some_and(|(_, seen)| is_old(seen.last_ns)) {
            self.interfaces.evict();
        }
    }

    /// Whether a record counts where its flow came in, and where it left. Of those that count in some range.
    pub(super) fn sides(&mut self, told: &Told) -> [Counts; 2] {
        let own = usize::from(told.leaves);
        let (is_both, now_ns) = (self.meters_both(told.who, own), self.now_ns);
        let mut counts = [Counts::SURELY; 2];
        for (at, interface) in [told.in_if, told.out_if].into_iter().enumerate() {
            let (is_own, how) = (at == own, told.metered.get(at).copied().flatten());
            let seen = known(&mut self.interfaces, (told.who, interface, told.is_v6));
            seen.last_ns = now_ns;
            let (Some(side), Some(counts)) = (seen.sides.get_mut(at), counts.get_mut(at)) else { continue };
            *counts = match how {
                // A record counts where it was metered, or where none is.
                Some(how) => Counts { here: how.meters(at == 1) == is_own, is_settled: true },
                None if is_own => side.of_own(now_ns),
                None if is_both => side.of_other(interface != 0, now_ns),
                None => Counts::SURELY,
            };
            side.take(told, is_own, now_ns);
        }
        counts
    }

    /// Whether an exporter tells of what comes in, and of what leaves: of one that never did nothing is to be learned. Takes note of which this is.
    fn meters_both(&mut self, who: Who, own: usize) -> bool {
        let now_ns = self.now_ns;
        let ways = known(&mut self.exporters, who);
        if let Some(way) = ways.get_mut(own) {
            *way = Some(now_ns);
        }
        ways.iter().all(|way| way.is_some_and(|last_ns| last_ns.saturating_add(KEPT_NS) >= now_ns))
    }
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
#[path = "metering_tests.rs"]
mod tests;
