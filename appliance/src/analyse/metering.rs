//! At which of its interfaces a router meters flows: where they come in, where they leave, or both.
//!
//! A router that does both tells of a flow twice, and each record names both interfaces. Such a flow came in where a record of what
//! comes in was metered, and left where one of what leaves was. The operator may say which interfaces are metered so. Where he does not, it
//! is learned of the records themselves (element 61, `flowDirection`; of sFlow the data source), of each family apart: a record counts at
//! its other interface too, unless what was metered there is a fair share of what is said to have gone by it, in packets times their rates,
//! so that one side's sampling is no matter. An interface that meters but some of it hides nothing of the rest.
//!
//! What is learned is a guess until both were seen for a while, or one of them has not been for a while. What counts by a guess says so.

use std::net::IpAddr;

use crate::config::Metered;
use crate::flows::lru::Lru;

const SECOND_NS: u64 = 1_000_000_000;
/// What was seen lately counts by half after so long.
const HALF_NS: u64 = 60 * SECOND_NS;
/// Of what is remembered all counts by half after so many records, but nothing by time alone: who tells little is known no worse.
const REMEMBERED: f64 = 64.0;
/// Of what was silent for two days nothing is known.
const KEPT_NS: u64 = 48 * 3_600 * SECOND_NS;
/// A guess stands so long before it is taken for known: records of one flow are as far apart, where timeouts of both sides differ.
const SETTLES_NS: u64 = 300 * SECOND_NS;
/// So many records of lately are asked before what is remembered, for a router may be told to meter otherwise,
const ENOUGH: f64 = 8.0;
/// once there were so many for so long: the second records of flows come some time after the first.
const BUSY_NS: u64 = 120 * SECOND_NS;
/// Such a share of what went by an interface was metered there, where all of it is: routers do not end both records at the same time.
const SHARE: f64 = 0.25;
/// From such a share on all of it is, surely; below the other one nothing.
const SURE: f64 = 0.5;
const NONE: f64 = 0.001;
/// No record is more than so many packets, or than one sample stands for: large flows, whose other record is to come, decide nothing alone.
const PACKETS_MAX: u64 = 1_000;
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
    /// As told.
    pub(super) packets: u64,
    /// Each stands for so many; 0: not known.
    pub(super) rate: u64,
    /// What the operator says of both interfaces.
    pub(super) metered: [Option<Metered>; 2],
}

impl Told {
    /// Packets that went by, with a bound.
    fn weight(&self) -> f64 {
        let rate = self.rate.max(1);
        let packets = self.packets.max(1).saturating_mul(rate).min(PACKETS_MAX.max(rate));
        f64::from(u32::try_from(packets).unwrap_or(u32::MAX))
    }
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
    remembered: Part,
    /// Since when there were enough of lately; 0: there are not.
    busy_ns: u64,
    /// Since when one thing holds: that records metered here are all, or that they are not.
    since_ns: u64,
    hides: bool,
    /// Records that were metered elsewhere counted here before.
    counted_before: bool,
}

impl Side {
    const fn part(&self, now_ns: u64) -> &Part {
        let is_busy = self.busy_ns > 0 && now_ns.saturating_sub(self.busy_ns) >= BUSY_NS;
        if is_busy { &self.lately } else { &self.remembered }
    }

    fn fade(&mut self, part: f64) {
        self.lately.fade(part);
        if self.lately.records < ENOUGH {
            self.busy_ns = 0;
        }
    }

    /// Takes note of a record.
    fn take(&mut self, told: &Told, is_metered: bool, now_ns: u64) {
        self.lately.add(told.weight(), is_metered);
        self.remembered.add(told.weight(), is_metered);
        if self.lately.records >= ENOUGH && self.busy_ns == 0 {
            self.busy_ns = now_ns;
        }
        if self.remembered.records > 2.0 * REMEMBERED {
            self.remembered.fade(0.5);
        }
        let hides = self.part(now_ns).hides();
        if hides != self.hides || self.since_ns == 0 {
            self.counted_before = !self.hides && self.since_ns > 0;
            (self.hides, self.since_ns) = (hides, now_ns);
        }
    }

    /// Of a record that was metered here, and is taken note of: always, but others may have counted here that tell of the same packets.
    fn of_own(&self, now_ns: u64) -> Counts {
        let lasts = !self.counted_before || now_ns.saturating_sub(self.since_ns) >= SETTLES_NS;
        Counts { here: true, is_settled: self.hides && self.part(now_ns).is_all() && lasts }
    }

    /// Of one that was metered elsewhere, by a router that meters both ways: what is known is known of those before it, for its twin may be
    /// still to come.
    fn of_other(&self, is_named: bool, now_ns: u64) -> Counts {
        let part = self.part(now_ns);
        if !is_named {
            // No interface of the router, or not told: then its own are not told either.
            return Counts { here: true, is_settled: part.metered <= 0.0 };
        }
        let lasts = now_ns.saturating_sub(self.since_ns) >= SETTLES_NS && self.remembered.records >= ENOUGH;
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
        let part = 0.5_f64.powf(halves);
        self.interfaces.iter_mut().flat_map(|(_, seen)| &mut seen.sides).for_each(|side| side.fade(part));
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
            let other = if is_both { side.of_other(interface != 0, now_ns) } else { Counts::SURELY };
            side.take(told, is_own, now_ns);
            *counts = match how {
                // A record counts where it was metered, or where none is.
                Some(how) => Counts { here: how.meters(at == 1) == is_own, is_settled: true },
                None if is_own => side.of_own(now_ns),
                None => other,
            };
        }
        counts
    }

    /// Whether an exporter tells of what comes in, and of what leaves: of one that never did nothing is to be learned. Takes note of which
    /// this is.
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
