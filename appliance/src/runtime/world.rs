//! What a configuration becomes: one generation of everything that cores share and never change.
//!
//! A configuration that is loaded anew becomes a new one. What was sized or fixed at the start is the same in both: the
//! hash key, the windows, the ports, the memory, and the room for ranges and blocks.

use std::sync::Arc;

use super::hidden::specs;
use crate::analyse::FlowSides;
use crate::arch::{HashKey, Reserve};
use crate::audit::Plan as AuditPlan;
use crate::axes::{DirectionAxis, Key, Source};
use crate::classify::{Generation, Scopes};
use crate::config::{AuditBy, Config, Given, Link, Mirror, Refusal, Sampler, StatSpec, TagRule};
use crate::duplicates::Plan as DuplicatesPlan;
use crate::gather::packed::Layout;
use crate::limits::{CAPTURE_RECORD_BYTES_MAX, RANGES_MAX, TAG_RULES_MAX};
use crate::parse::MirrorPlan;
use crate::report::{Identity, LinkName, PortName, RangeName, Setting};
use crate::stats::Calculations;
use crate::stats::plan::{Compiler, Plan, WeightBounds};
use crate::units::{Family, RangeIndex};
use crate::window::{Calendar, Room, ShardPlans};

/// Ranges that may be added without a restart, where the configuration does not say: an eighth of them, at least these.
const RANGES_ROOM_MIN: usize = 1_024;
const RANGES_ROOM_SHARE: usize = 8;

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
    /// The same stats for who analyses flow records; none where no stat asks for them.
    pub flow_plans: Option<Arc<ShardPlans>>,
    /// Whose flow records are.
    pub flow_sides: Arc<FlowSides>,
    /// Of each range, how much is done with a record.
    pub efforts: Arc<[u8]>,
    /// Of all hashes.
    pub hash_key: HashKey,
    /// Windows.
    pub calendar: Calendar,
    /// How far the time of a window may be off: by a clock, or by a pause between two polls over its end.
    pub off_ns_max: u64,
    /// More than a batch takes.
    pub batch_ns_max: u64,
    /// Ports.
    pub ports: usize,
    /// Tag rules.
    pub tag_rules: usize,
    /// Links; the same in every generation.
    pub links: usize,
    /// How packets are looked for that come twice, if they are; the same in every generation.
    pub duplicates: Option<DuplicatesPlan>,
    /// Whether any stat is asked for. If not, the ledger says all, and no record is made of what matches a range.
    pub counts: bool,
    /// The budget of the data path, all cores together.
    pub memory_bytes: usize,
    /// Where a core has more to do than it can, stats that may leave records out do.
    pub sheds: bool,
    /// A receiving core gives bursts to others, where those have time.
    pub hands_over: bool,
    /// What streams are made for.
    pub room: Room,
    /// Tag rules that accounts are made for.
    pub tag_room: usize,
    /// Whether others may follow: then more roots are reserved than it needs.
    pub is_first: bool,
    /// When memory is taken.
    pub reserve: Reserve,
    calculations: Calculations,
}

impl World {
    /// Of a checked configuration, and so many ports; with this crate's own calculations. No other will follow it: there is
    /// room for what it has.
    ///
    /// # Errors
    /// A row that no kernel can be made for.
    pub fn new(config: &Config, hash_key: HashKey, ports: usize) -> Result<Self, Refusal> {
        Self::with(&Calculations::standard(), config, hash_key, ports)
    }

    /// The first of several: with room for more ranges, tag rules and longer blocks.
    ///
    /// # Errors
    /// A row that no kernel can be made for.
    pub fn first(config: &Config, hash_key: HashKey, ports: usize) -> Result<Self, Refusal> {
        let mut world = Self::with_room(&Calculations::standard(), config, hash_key, ports, room(config))?;
        world.room = world.room.twice();
        world.tag_room = TAG_RULES_MAX;
        world.is_first = true;
        Ok(world)
    }

    /// With the calculations that the configuration was checked with.
    ///
    /// # Errors
    /// A row that no kernel can be made for.
    pub fn with(calculations: &Calculations, config: &Config, hash_key: HashKey, ports: usize) -> Result<Self, Refusal> {
        Self::with_room(calculations, config, hash_key, ports, config.ranges.list.len() + scopes(config).twins())
    }

    fn with_room(calculations: &Calculations, config: &Config, hash_key: HashKey, ports: usize, room: usize) -> Result<Self, Refusal> {
        let fast = config.has_fast_windows();
        let plans = plans(config, calculations, room, Source::Packets)?;
        let flow_plans = flow_plans(config, calculations, room)?;
        let generation = generation(config, &plans.scopes);
        Ok(Self {
            number: 1,
            flow_sides: flow_sides(config, &generation, &plans.scopes),
            generation,
            mirror: mirror(config),
            room: flow_plans.iter().fold(plans.room(), |room, flows| room.or(&flows.room())),
            flow_plans,
            tag_room: config.tags.len(),
            is_first: false,
            efforts: plans.efforts().into(),
            plans: Arc::new(plans),
            calculations: calculations.clone(),
            hash_key,
            calendar: Calendar::new(config.appliance.window_ms, config.appliance.fast_window_ms, fast),
            batch_ns_max: crate::telemetry::batch_ns_max(config.stats.len()),
            off_ns_max: crate::report::clock::bound_ns(config.appliance.fast_window_ms),
            ports,
            tag_rules: config.tags.len(),
            links: config.links.len(),
            duplicates: duplicates(config),
            counts: counts(config),
            sheds: config.appliance.shed,
            hands_over: config.appliance.hand_over,
            memory_bytes: usize::try_from(config.appliance.memory_mb << 20).unwrap_or(usize::MAX),
            reserve: Reserve::Lazily,
        })
    }

    /// The next generation: of a configuration whose ranges find room here.
    ///
    /// # Errors
    /// A row that no kernel can be made for.
    pub fn next(&self, config: &Config, number: u64) -> Result<Self, Refusal> {
        let plans = plans(config, &self.calculations, self.plans.real, Source::Packets)?;
        let generation = generation(config, &plans.scopes);
        Ok(Self {
            number,
            flow_plans: flow_plans(config, &self.calculations, self.plans.real)?,
            flow_sides: flow_sides(config, &generation, &plans.scopes),
            generation,
            mirror: mirror(config),
            efforts: plans.efforts().into(),
            plans: Arc::new(plans),
            calculations: self.calculations.clone(),
            hash_key: self.hash_key.clone(),
            tag_rules: config.tags.len(),
            counts: counts(config),
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
}

/// Whether a record is made of what matches a range.
fn counts(config: &Config) -> bool {
    config.stats.iter().any(|stat| stat.source == Source::Packets) || config.links.iter().any(Link::has_frames) || config.audit.is_some()
}

fn flow_sides(config: &Config, generation: &Generation, scopes: &Arc<Scopes>) -> Arc<FlowSides> {
    Arc::new(FlowSides::new(config, generation.lpm().clone(), Arc::clone(scopes)))
}

fn flow_plans(config: &Config, calculations: &Calculations, room: usize) -> Result<Option<Arc<ShardPlans>>, Refusal> {
    if !config.analyses_flows() {
        return Ok(None);
    }
    plans(config, calculations, room, Source::Flows).map(|plans| Some(Arc::new(plans)))
}

/// What is compared with the scrubber's counters.
fn audit(config: &Config, window_ns: u64) -> Option<AuditPlan> {
    let audit = config.audit.as_ref()?;
    let rate = |rule: &TagRule| match rule.sampling {
        Given::Fixed(n) if rule.blocked && n > 1 => n,
        _ => 0,
    };
    let (mut one_in, mut random): (Vec<u32>, Vec<bool>) =
        config.tags.iter().map(|rule| (rate(rule), rule.sampler == Sampler::Random)).unzip();
    if audit.by != AuditBy::Tag {
        let all_random = one_in.iter().zip(&random).all(|(rate, random)| *rate == 0 || *random);
        (one_in, random) = (vec![one_in.into_iter().max().unwrap_or(0)], vec![all_random]);
    }
    Some(AuditPlan {
        by: audit.by,
        false_alarms: audit.false_alarms,
        tolerance: audit.tolerance,
        skew_ns: audit.skew_ms * 1_000_000,
        stale_ns: audit.stale_s * 1_000_000_000,
        window_ns,
        one_in,
        random,
    })
}

fn duplicates(config: &Config) -> Option<DuplicatesPlan> {
    let of = config.duplicates?;
    Some(DuplicatesPlan { sample: of.sample, within_ns: of.within_ms * 1_000_000, alarm_share: of.alarm_share })
}

fn generation(config: &Config, scopes: &Arc<Scopes>) -> Generation {
    let links = config.links.iter().map(|link| &link.matches[..]);
    Generation::new(&config.ranges.list, &config.tags, config.keys_from, &config.mirror).with_scopes(scopes).with_links(links)
}

/// What is counted together, if anything is. A packet between two ranges is two records only where both directions are observed,
/// and is counted twice only by stats of any direction.
pub fn scopes(config: &Config) -> Scopes {
    if !config.ranges.rollup {
        return Scopes::default();
    }
    let lists = config.stat_lists();
    let both = config.mirror.ingress && config.mirror.egress;
    // Exporters show both directions.
    let twice = |stat: &StatSpec| stat.direction == DirectionAxis::Any && (both || stat.source == Source::Flows);
    let of_any = |row: &usize| twice(&config.stats[*row]);
    let any: Vec<bool> = lists.lists.iter().map(|list| list.iter().any(of_any)).collect();
    Scopes::new(&config.ranges.list, |range| lists.of_range.get(range).is_some_and(|list| any[*list as usize]))
}

/// What the mirror wraps frames in; and whether options of headers are read.
fn mirror(config: &Config) -> MirrorPlan {
    let mirror = MirrorPlan::new(&config.mirror);
    if reads_options(config) { mirror } else { mirror.without_options() }
}

/// Ranges that a configuration's appliance has room for, and as many twins for each as there are now.
pub fn room(config: &Config) -> usize {
    let count = config.ranges.list.len();
    let ranges = config.ranges.max.unwrap_or_else(|| (count + (count / RANGES_ROOM_SHARE).max(RANGES_ROOM_MIN)).min(RANGES_MAX));
    ranges + (scopes(config).twins() * ranges).div_ceil(count.max(1))
}

/// With room for so many ranges. Those that stand for what matched none have the same index in every generation.
fn plans(config: &Config, calculations: &Calculations, room: usize, source: Source) -> Result<ShardPlans, Refusal> {
    let compiler = Compiler { calculations: calculations.clone(), windows: config.appliance.windows(), source };
    let (specs, weights, mut lists) = (specs(config), weights(config), config.stat_lists());
    for list in &mut lists.lists {
        list.retain(|row| specs[*row].source == Source::Flows || observed(&config.mirror, specs[*row].direction));
        list.extend(config.stats.len()..specs.len() - 1);
    }
    let mut plans = Vec::with_capacity(2 * lists.lists.len() + 2);
    for list in lists.lists.iter().chain([&vec![specs.len() - 1]]) {
        plans.push(Plan::of_rows(&compiler, &specs, list, Family::V4, weights)?);
        plans.push(Plan::of_rows(&compiler, &specs, list, Family::V6, weights)?);
    }
    let of = |(range, list): (&crate::config::Range, &u32)| 2 * list + u32::from(range.prefix.addr().is_ipv6());
    let mut of_range: Vec<u32> = config.ranges.list.iter().zip(&lists.of_range).map(of).collect();
    let scopes = scopes(config);
    let of_twins: Vec<u32> = scopes.owners().map(|range| of_range[range as usize]).collect();
    of_range.extend(of_twins);
    let unmatched = u32::try_from(plans.len() - 2).unwrap_or(0);
    // What is reserved for ranges to come is what the first has.
    of_range.resize(room, of_range.first().copied().unwrap_or(unmatched));
    of_range.extend([unmatched, unmatched + 1]);
    let layout = Layout::of(|one, other| plans.iter().any(|plan| plan.tells_apart(one, other)));
    Ok(ShardPlans::new(plans, of_range, room, layout).with_scopes(Arc::new(scopes)))
}

/// Whether the mirror shows what a stat counts. Of an unobserved direction nothing is reported: zero would be a claim.
const fn observed(mirror: &Mirror, direction: DirectionAxis) -> bool {
    match direction {
        DirectionAxis::Ingress => mirror.ingress,
        DirectionAxis::Egress => mirror.egress,
        DirectionAxis::Any => true,
    }
}

/// Whether a stat asks for options of a header.
fn reads_options(config: &Config) -> bool {
    let keys = |stat: &StatSpec| {
        let tested = stat.predicate.iter().flat_map(|predicate| &predicate.tests).flat_map(|test| test.key.parts().to_vec());
        stat.key.parts().iter().copied().chain(tested).collect::<Vec<Key>>()
    };
    config.stats.iter().flat_map(keys).any(|key| matches!(key, Key::TcpOptions | Key::IpOptions))
}

/// The largest weights that tag rules can give; what passes stands for itself.
fn weights(config: &Config) -> WeightBounds {
    let random = config.tags.iter().all(|rule| rule.weight_max() <= 1 || rule.sampler == Sampler::Random);
    WeightBounds { passed: 1, blocked: u32::from(config.weight_max()), random, rate: rate(config) }
}

/// The one rate of all rules that sample, if it is one, constant and random. A rate of one is none.
fn rate(config: &Config) -> Option<u32> {
    let blocked = || config.tags.iter().filter(|rule| rule.blocked);
    let constant = |rule: &TagRule| matches!(rule.sampling, Given::Fixed(n) if n == 1 || n == u32::from(config.weight_max()));
    let one = blocked().all(|rule| rule.sampler == Sampler::Random && constant(rule));
    one.then(|| u32::from(config.weight_max())).filter(|rate| *rate > 1)
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
        domain: range.domain.map_or_else(String::new, |domain| domain.to_string()),
        customer: range.customer.clone(),
        labels: range.labels.clone(),
    };
    let tags = config.tags.iter().map(|rule| if rule.blocked { "blocked" } else { "passed" }).collect();
    let frame_bytes_max = if live { frame_bytes_max(config) } else { u32::try_from(CAPTURE_RECORD_BYTES_MAX).unwrap_or(u32::MAX) };
    let (ranges, heartbeat, rollup) = (config.ranges.list.iter().map(name).collect(), config.appliance.heartbeat, config.ranges.rollup);
    let (shown, links) = (config.stats.len(), links(config));
    Setting {
        identity,
        ranges,
        specs: specs(config),
        ports,
        tags,
        tag_names: config.tags.iter().enumerate().map(|(row, rule)| format!("tags[{row}] {}", rule.matches)).collect(),
        tags_anew: false,
        live,
        heartbeat,
        rollup,
        shown,
        links,
        audit: audit(config, world.calendar.epoch_ns()),
        duplicates: world.duplicates,
        frame_bytes_max,
        clock_bound_ns: world.off_ns_max,
        open_words_max: world.memory_bytes / size_of::<u64>(),
    }
}

fn links(config: &Config) -> Vec<LinkName> {
    let weights = weights(config);
    let named = |link: &Link| LinkName {
        name: link.name.clone(),
        router: link.router.clone(),
        interface: link.interface.clone(),
        provider: link.provider.clone(),
        capacity_bps: link.capacity_bps,
        utilisation: link.utilisation,
        weight_max: weights.blocked,
        is_random: weights.random,
        has_frames: link.has_frames(),
    };
    config.links.iter().map(named).collect()
}

/// The longest frame that the ports let in.
#[cfg(feature = "dpdk")]
fn frame_bytes_max(config: &Config) -> u32 {
    crate::rx::live::frame_bytes_max(&config.ports)
}

/// The longest frame that any port lets in.
#[cfg(not(feature = "dpdk"))]
fn frame_bytes_max(_config: &Config) -> u32 {
    u32::try_from(crate::limits::IP_FRAME_BYTES_MAX).unwrap_or(u32::MAX)
}
