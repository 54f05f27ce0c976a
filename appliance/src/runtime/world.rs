//! What a configuration becomes: one generation of everything that cores share and never change.
//!
//! A configuration that is loaded anew becomes a new one. What was sized or fixed at the start is the same in both: the
//! hash key, the windows, the ports, the memory, and the room for ranges and blocks.

use std::sync::Arc;

use crate::arch::HashKey;
use crate::axes::key::Lengths;
use crate::axes::{DecisionAxis, DirectionAxis, Key, KeySpec, Metric};
use crate::classify::Generation;
use crate::config::{Config, Mirror, Refusal, Sampler, Setting as Value, StatSpec};
use crate::limits::RANGES_MAX;
use crate::parse::MirrorPlan;
use crate::report::{Identity, PortName, RangeName, Setting};
use crate::stats::plan::{Plan, WeightBounds};
use crate::units::{Family, RangeIndex};
use crate::window::{Calendar, ShardPlans};

/// Prefixes that are listed of what matched no range.
const UNMATCHED_KEYS: i64 = 10;
/// Share of the memory budget that open batches may take.
const GATHER_SHARE: usize = 8;

/// Ranges that may be added without a restart, where the configuration does not say: an eighth of them, at least these.
const RANGES_ROOM_MIN: usize = 1_024;
const RANGES_ROOM_SHARE: usize = 8;
/// Words that a block may have at least after a reload, whatever the stats at the start.
const BLOCK_WORDS_ROOM_MIN: usize = 1_024;

/// Shared by all cores.
pub struct World {
    /// Which generation it is, from 1.
    pub number: u64,
    /// Tag rules, prefixes, directions.
    pub generation: Generation,
    /// What the mirror wraps frames in.
    pub mirror: MirrorPlan,
    /// Compiled stats.
    pub plans: Arc<ShardPlans>,
    /// Of all hashes.
    pub hash_key: HashKey,
    /// Windows.
    pub calendar: Calendar,
    /// Ports.
    pub ports: usize,
    /// Tag rules.
    pub tag_rules: usize,
    /// Of sketches and batches, all cores together.
    pub memory_bytes: usize,
    /// The longest block that streams are made for.
    pub block_words: usize,
}

impl World {
    /// Of a checked configuration, and so many ports. No other will follow it: there is room for what it has.
    ///
    /// # Errors
    /// A row that no kernel can be made for.
    pub fn new(config: &Config, hash_key: HashKey, ports: usize) -> Result<Self, Refusal> {
        Self::with_room(config, hash_key, ports, config.ranges.list.len())
    }

    /// The first of several: with room for more ranges and longer blocks.
    ///
    /// # Errors
    /// A row that no kernel can be made for.
    pub fn first(config: &Config, hash_key: HashKey, ports: usize) -> Result<Self, Refusal> {
        let mut world = Self::with_room(config, hash_key, ports, room(config))?;
        world.block_words = (2 * world.block_words).max(BLOCK_WORDS_ROOM_MIN);
        Ok(world)
    }

    fn with_room(config: &Config, hash_key: HashKey, ports: usize, room: usize) -> Result<Self, Refusal> {
        let fast = config.stats.iter().any(|stat| stat.fast);
        let plans = plans(config, room)?;
        Ok(Self {
            number: 1,
            generation: Generation::new(&config.ranges.list, &config.tags, config.keys_from, &config.mirror),
            mirror: MirrorPlan::new(&config.mirror),
            block_words: plans.export_words_max(),
            plans: Arc::new(plans),
            hash_key,
            calendar: Calendar::new(config.appliance.window_ms, config.appliance.fast_window_ms, fast),
            ports,
            tag_rules: config.tags.len(),
            memory_bytes: usize::try_from(config.appliance.memory_mb << 20).unwrap_or(usize::MAX),
        })
    }

    /// The next generation: of a configuration whose ranges find room here.
    ///
    /// # Errors
    /// A row that no kernel can be made for.
    pub fn next(&self, config: &Config, number: u64) -> Result<Self, Refusal> {
        Ok(Self {
            number,
            generation: Generation::new(&config.ranges.list, &config.tags, config.keys_from, &config.mirror),
            mirror: MirrorPlan::new(&config.mirror),
            plans: Arc::new(plans(config, self.plans.real)?),
            hash_key: self.hash_key.clone(),
            tag_rules: config.tags.len(),
            ..*self
        })
    }

    /// The room for ranges, and behind it the two that stand for what matched none.
    pub fn ranges(&self) -> usize {
        self.plans.of_range.len()
    }

    /// Stands for packets of a family that matched no range.
    #[inline]
    pub fn unmatched(&self, family: Family) -> RangeIndex {
        let offset = match family {
            Family::V4 => 0,
            Family::V6 => 1,
        };
        RangeIndex(u32::try_from(self.plans.real + offset).unwrap_or(u32::MAX))
    }

    /// Bytes that the open batches of one of `cores` may take.
    pub const fn gather_bytes(&self, cores: usize) -> usize {
        self.memory_bytes / GATHER_SHARE / cores
    }

    /// Bytes that the blocks of one of `shards` may take.
    pub const fn shard_bytes(&self, shards: usize) -> usize {
        (self.memory_bytes - self.memory_bytes / GATHER_SHARE) / shards
    }
}

/// Rows of what matched no range, behind the configuration's.
fn specs(config: &Config) -> Vec<StatSpec> {
    let unmatched = StatSpec {
        name: "unmatched".to_owned(),
        calculation: "topk".to_owned(),
        key: KeySpec::new(vec![Key::DstPrefix], Lengths::default()),
        metric: Metric::Packets,
        decision: DecisionAxis::Any,
        direction: DirectionAxis::Any,
        predicate: None,
        fast: false,
        sets: Vec::new(),
        settings: vec![("k".to_owned(), Value::Integer(UNMATCHED_KEYS))],
    };
    config.stats.iter().cloned().chain([unmatched]).collect()
}

/// Ranges that a configuration's appliance has room for.
pub fn room(config: &Config) -> usize {
    let count = config.ranges.list.len();
    config.ranges.max.unwrap_or_else(|| (count + (count / RANGES_ROOM_SHARE).max(RANGES_ROOM_MIN)).min(RANGES_MAX))
}

/// With room for so many ranges. Those that stand for what matched none have the same index in every generation.
fn plans(config: &Config, room: usize) -> Result<ShardPlans, Refusal> {
    let (specs, weights, mut lists) = (specs(config), weights(config), config.stat_lists());
    for list in &mut lists.lists {
        list.retain(|row| observed(&config.mirror, specs[*row].direction));
    }
    let mut plans = Vec::with_capacity(2 * lists.lists.len() + 2);
    for list in lists.lists.iter().chain([&vec![specs.len() - 1]]) {
        plans.push(Plan::compile(&specs, list, Family::V4, weights)?);
        plans.push(Plan::compile(&specs, list, Family::V6, weights)?);
    }
    let of = |(range, list): (&crate::config::Range, &u32)| 2 * list + u32::from(range.prefix.addr().is_ipv6());
    let mut of_range: Vec<u32> = config.ranges.list.iter().zip(&lists.of_range).map(of).collect();
    let unmatched = u32::try_from(plans.len() - 2).unwrap_or(0);
    // What is reserved for ranges to come is what the first has.
    of_range.resize(room, of_range.first().copied().unwrap_or(unmatched));
    of_range.extend([unmatched, unmatched + 1]);
    Ok(ShardPlans { plans, real: room, of_range })
}

/// Whether the mirror shows what a stat counts. Of an unobserved direction nothing is reported: zero would be a claim.
const fn observed(mirror: &Mirror, direction: DirectionAxis) -> bool {
    match direction {
        DirectionAxis::Ingress => mirror.ingress,
        DirectionAxis::Egress => mirror.egress,
        DirectionAxis::Any => true,
    }
}

/// The largest weights that tag rules can give; what passes stands for itself.
fn weights(config: &Config) -> WeightBounds {
    let random = config.tags.iter().all(|rule| rule.weight_max() <= 1 || rule.sampler == Sampler::Random);
    WeightBounds { passed: 1, blocked: u32::from(config.weight_max()), random }
}

/// What reports say of themselves.
pub fn setting(config: &Config, world: &World, boot_id: u64, ports: Vec<PortName>, live: bool) -> Setting {
    let identity = Identity {
        appliance: config.appliance.name.clone(),
        pop: config.appliance.pop.clone(),
        boot_id,
        config_hash: config.hash.clone(),
        hash_key_id: world.hash_key.id().to_owned(),
        clock_source: if live { "system" } else { "capture" },
    };
    let name = |range: &crate::config::Range| RangeName {
        prefix: crate::axes::key::network_text(&range.prefix),
        customer: range.customer.clone(),
        labels: range.labels.clone(),
    };
    let tags = config.tags.iter().map(|rule| if rule.blocked { "blocked" } else { "passed" }).collect();
    Setting { identity, ranges: config.ranges.list.iter().map(name).collect(), specs: specs(config), ports, tags, tags_anew: false, live }
}
