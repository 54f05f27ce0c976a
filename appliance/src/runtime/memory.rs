//! What the data path takes of `memory_mb`, core by core, before anything starts.
//!
//! Some of it is fixed by the configuration: slots of ranges, streams, rings with their boxes. Then every range's root is
//! reserved, so that sums never want for memory. What is left is shared by logs and sketches, which degrade.

use super::wiring::Cores;
use super::world::World;
use crate::gather::Gather;
use crate::spread::{Dispatcher, lane_bytes};
use crate::window::{Room, Shard, ShardBytes};

/// Percent of what is left that logs take; sketches take the rest. By Zipf's law over 50,000 ranges and 20 million packets
/// a core and window, logs of 512 records hold 113 MB at a window's end and 10 MB of the next, the blocks of the 3,400
/// ranges that have more some 150 MB.
const LOGS_PERCENT: usize = 45;
/// The least that logs of a receiver, or sketches of a shard, are worth running with.
const PART_BYTES_MIN: usize = 1 << 18;

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
    /// Roots of all ranges in a shard.
    pub roots_wanted: usize,
    /// What a receiver's logs get.
    pub logs: usize,
    /// What a shard gets.
    pub shard: ShardBytes,
}

impl MemoryPlan {
    /// Of a configuration on so many cores.
    pub fn new(world: &World, cores: &Cores) -> Self {
        let (ranges, receivers, workers) = (world.ranges(), cores.rx.len().max(1), cores.workers.len());
        let shards = if workers == 0 { receivers } else { workers };
        let heat = if workers == 0 { 0 } else { Dispatcher::RANGE_BYTES };
        let mut plan = Self {
            cores: (receivers, shards),
            budget: world.memory_bytes,
            receiver_slots: ranges * (Gather::RANGE_BYTES + heat),
            shard_slots: ranges * Shard::RANGE_BYTES,
            streams: (Room::of_account(world.ports, world.tag_rules).bytes(), world.plans.room().bytes()),
            lanes: workers * lane_bytes(&world.plans.layout),
            roots_wanted: world.plans.roots_bytes(),
            logs: 0,
            shard: ShardBytes { roots: 0, sketches: 0 },
        };
        let left = plan.budget.saturating_sub(plan.fixed());
        let roots = plan.roots_wanted.min(left / shards / 2);
        let left = left - roots * shards;
        plan.logs = (left / 100 * LOGS_PERCENT / receivers).max(PART_BYTES_MIN);
        let sketches = left.saturating_sub(plan.logs * receivers) / shards;
        plan.shard = ShardBytes { roots, sketches: sketches.max(PART_BYTES_MIN) };
        plan
    }

    /// What is neither logs nor blocks, of all cores.
    pub const fn fixed(&self) -> usize {
        let (receivers, shards) = self.cores;
        receivers * (self.receiver_slots + self.streams.0 + self.lanes) + shards * (self.shard_slots + self.streams.1)
    }

    /// What all cores can ever take.
    pub const fn worst(&self) -> usize {
        let (receivers, shards) = self.cores;
        self.fixed() + receivers * self.logs + shards * (self.shard.roots + self.shard.sketches)
    }

    /// Bytes of a budget that holds every range's root; none if this one does.
    pub const fn lacking(&self) -> Option<usize> {
        let (receivers, shards) = self.cores;
        let least = self.fixed() + shards * 2 * self.roots_wanted + PART_BYTES_MIN * (receivers + shards);
        if self.shard.roots < self.roots_wanted || self.worst() > self.budget { Some(least) } else { None }
    }

    /// What a range takes that nothing is sent to, of the core that has most of it.
    pub const fn idle_range_bytes(&self, ranges: usize) -> usize {
        (self.receiver_slots + self.shard_slots).div_ceil(if ranges == 0 { 1 } else { ranges })
    }
}
