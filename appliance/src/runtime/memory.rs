//! What the data path takes of `memory_mb`, core by core, before anything starts.
//!
//! Some of it is fixed by the configuration: slots of ranges, streams, rings with their boxes. Then every range's root is
//! reserved, so that sums never want for memory. What is left is shared by logs and sketches, which degrade.

use super::wiring::Cores;
use super::world::World;
use crate::gather::Gather;
use crate::gather::packed::Form;
use crate::limits::{BURST_FRAMES_MAX, LOG_RECORDS_MAX, LOG_RECORDS_OPENED, LOG_RECORDS_SCARCE};
use crate::spread::handover::handover_bytes;
use crate::spread::{Dispatcher, lane_bytes};
use crate::window::{Room, Shard, ShardBytes, ShardPlans};

/// Percent of what is left that logs take; sketches take the rest. By Zipf's law over 50,000 ranges and 20 million packets
/// a core and window, logs of 2,048 records hold 171 MB at a window's end, beside the beginning of the next and what ends of
/// segments leave empty. A log that finds no room opens a block, which takes many times what it gives. The 860 ranges that have
/// more records take some 45 MB of sketches, which should be less than seven eighths of them. So on four cores with 1,400 MB one
/// record in twenty is handed on early, and one figure of a core in nine says that it was short of memory (`scripts/bench memory`).
const LOGS_PERCENT: usize = 78;
/// The least that logs of a receiver, or sketches of a shard, are worth running with.
const PART_BYTES_MIN: usize = 1 << 18;

/// Roots beyond what is needed, for stats that reloads add: a quarter, at least 2 MB; but at most an eighth of what is left
/// for logs and sketches.
const ROOTS_SPARE_SHARE: usize = 4;
const ROOTS_SPARE_BYTES_MIN: usize = 2 << 20;
const ROOTS_SPARE_OF_LEFT: usize = 8;

/// A burst on its way to another receiver.
pub const PARCEL_BYTES: usize = 8 * BURST_FRAMES_MAX + 128;

/// A million a second.
const EXPECTED_PACKETS_PER_MS: usize = 1_000;

/// What is wrong with a budget, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// What is wrong.
    pub what: String,
    /// What mends it.
    pub remedy: String,
}

/// See the module. Bytes, of one core where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Cores that receive, and shards.
    pub cores: (usize, usize),
    /// The budget, of all cores.
    pub budget: usize,
    /// What a receiver takes for ranges, idle or not.
    pub receiver_slots: usize,
    /// What a shard takes for ranges, idle or not.
    pub shard_slots: usize,
    /// Streams to the reporter, of a receiver and of a shard.
    pub streams: (usize, usize),
    /// Rings to workers and their boxes.
    pub lanes: usize,
    /// Rings to other receivers and their boxes.
    pub hands: usize,
    /// Roots of all ranges in a shard.
    pub roots_wanted: usize,
    /// What a receiver's logs get.
    pub logs: usize,
    /// What a shard gets.
    pub shard: ShardBytes,
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an expectation, not an account")]
impl MemoryPlan {
    /// Of a configuration on so many cores.
    pub fn new(world: &World, cores: &Cores) -> Self {
        let (ranges, receivers, workers) = (world.ranges(), cores.rx.len().max(1), cores.workers.len());
        // Who analyses flow records has a shard too.
        let shards = if workers == 0 { receivers } else { workers } + usize::from(world.flow_plans.is_some());
        let heat = if workers == 0 { 0 } else { Dispatcher::RANGE_BYTES };
        let mut plan = Self {
            cores: (receivers, shards),
            budget: world.memory_bytes,
            receiver_slots: ranges * (Gather::RANGE_BYTES + heat),
            shard_slots: ranges * Shard::RANGE_BYTES,
            streams: (
                Room::of_account(world.ports, world.tag_room, world.links).with_copies(world.duplicates.is_some()).bytes(),
                world.room.bytes(),
            ),
            lanes: workers * lane_bytes(),
            hands: if world.hands_over { handover_bytes(receivers, PARCEL_BYTES) } else { 0 },
            roots_wanted: plans(world).map(|plans| plans.roots_least(plans.roots_bytes())).max().unwrap_or(0),
            logs: 0,
            shard: ShardBytes { roots: 0, sketches: 0, reserve: world.reserve },
        };
        let left = plan.budget.saturating_sub(plan.fixed());
        let roots_least = |bytes| plans(world).map(|plans| plans.roots_least(bytes)).max().unwrap_or(bytes);
        let needed = roots_least(plan.roots_wanted.min(left / shards / 2));
        let spare =
            (needed / ROOTS_SPARE_SHARE).max(ROOTS_SPARE_BYTES_MIN).min((left / shards).saturating_sub(needed) / ROOTS_SPARE_OF_LEFT);
        let roots = needed + if world.is_first { spare } else { 0 };
        let left = left.saturating_sub(roots * shards);
        // More than two full logs a range could never be used: what they leave is the sketches'. Segments take a little beside.
        let logs_max = 2 * ranges * LOG_RECORDS_MAX * 9 * world.plans.layout.words(Form::Wide);
        plan.logs = (left / 100 * LOGS_PERCENT / receivers).min(logs_max).max(PART_BYTES_MIN);
        let sketches = left.saturating_sub(plan.logs * receivers) / shards;
        plan.shard = ShardBytes { roots, sketches: sketches.max(PART_BYTES_MIN), reserve: world.reserve };
        plan
    }

    /// What is neither logs nor blocks, of all cores.
    pub const fn fixed(&self) -> usize {
        let (receivers, shards) = self.cores;
        receivers * (self.receiver_slots + self.streams.0 + self.lanes + self.hands) + shards * (self.shard_slots + self.streams.1)
    }

    /// What all cores can ever take.
    pub const fn worst(&self) -> usize {
        let (receivers, shards) = self.cores;
        self.fixed() + receivers * self.logs + shards * (self.shard.roots + self.shard.sketches)
    }

    /// What is wrong with a budget that does not hold every range's root; nothing if it does.
    pub fn lacking(&self, world: &World) -> Option<Lacking> {
        if self.shard.roots >= self.roots_wanted && self.worst() <= self.budget {
            return None;
        }
        let shards = self.cores.1;
        let parted = if world.plans.scopes.part() { ", with what ranges.rollup keeps apart" } else { "" };
        let what = format!(
            "{} MB cannot hold the sums of {} ranges (those that there are, and room for reloads: ranges.max{parted}) on {shards} cores: sums take {} MB, slots, streams and rings {} MB, and sketches and logs want room too",
            self.budget >> 20,
            world.plans.real,
            (shards * self.roots_wanted).div_ceil(1 << 20),
            self.fixed().div_ceil(1 << 20),
        );
        let remedy = format!("set it to at least {}, or have fewer stats or cores, or a smaller ranges.max", self.least_mb());
        Some(Lacking { what, remedy })
    }

    /// The least budget that is not refused.
    pub const fn least_mb(&self) -> usize {
        let (receivers, shards) = self.cores;
        let parts = 5 * PART_BYTES_MIN * (receivers + shards);
        (self.fixed() + 2 * shards * self.roots_wanted + parts).div_ceil(1 << 20)
    }

    /// What a range takes that nothing is sent to, of the core that has most of it.
    pub const fn idle_range_bytes(&self, ranges: usize) -> usize {
        (self.receiver_slots + self.shard_slots).div_ceil(if ranges == 0 { 1 } else { ranges })
    }

    /// What all cores will take at a million packets a second each, spread over ranges by Zipf's law: logs up to their
    /// length, and for each range beyond a root and half the longest block.
    pub fn expected(&self, world: &World) -> usize {
        let (receivers, shards) = self.cores;
        let ranges = world.plans.real.max(1);
        let window_ms = usize::try_from(world.calendar.epoch_ns() / 1_000_000).unwrap_or(usize::MAX);
        let packets = EXPECTED_PACKETS_PER_MS.saturating_mul(window_ms);
        let harmonic: f64 = (1..=ranges).map(|rank| 1.0 / rank as f64).sum();
        let of_rank = |rank: usize| packets as f64 / harmonic / rank as f64;
        let of_logs = |records: usize, opened: usize| {
            let full = (1..=ranges).take_while(|rank| of_rank(*rank) >= records as f64).count();
            let kept: f64 = (full + 1..=ranges).map(of_rank).sum();
            (full, (kept as usize + full * opened / 2) * 8 * world.plans.layout.words(Form::Narrow))
        };
        let (full, logs) = match of_logs(LOG_RECORDS_MAX, LOG_RECORDS_MAX) {
            (_, logs) if logs > self.logs / 2 => of_logs(LOG_RECORDS_SCARCE, LOG_RECORDS_OPENED),
            long => long,
        };
        let roots = self.roots_wanted / ranges * full;
        let sketches = world.plans.room().block * 8 / 2 * full;
        self.fixed() + receivers * logs.min(self.logs) + shards * (roots.min(self.shard.roots) + sketches.min(self.shard.sketches))
    }
}

/// Of packets, and of flow records.
fn plans(world: &World) -> impl Iterator<Item = &ShardPlans> {
    std::iter::once(&*world.plans).chain(world.flow_plans.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_range_takes_less_than_256_bytes_of_a_core() {
        let slots = Gather::RANGE_BYTES + Dispatcher::RANGE_BYTES + Shard::RANGE_BYTES;
        assert!(slots <= 256, "{slots}");
    }

    #[test]
    fn a_lane_is_small() {
        let bytes = lane_bytes();
        assert!(bytes < 1_500_000, "{bytes}");
    }
}
