//! Whether a configuration that is loaded finds room in what was made at the start; and if not, what is too long, whose
//! fault it is, and what a restart would take.

use super::memory::MemoryPlan;
use super::wiring::Cores;
use super::world::{World, scopes};
use crate::axes::key::network_text;
use crate::config::{Config, Fault, Faults, StatSpec};
use crate::limits::RANGES_MAX;
use crate::stats::plan::{Period, Plan, Planned};
use crate::window::ShardPlans;

/// What was started with: all room is of that size.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// As it was read.
    pub config: &'a Config,
    /// What it became.
    pub world: &'a World,
    /// On which cores.
    pub cores: &'a Cores,
}

/// Something that finds no room.
struct Excess {
    /// What, and by how much.
    what: String,
    /// Row of the stat that takes most of it.
    stat: usize,
    /// What to leave out to reload the rest.
    leave: &'static str,
}

const STAT: &str = "the stat";

/// Whether what `next` needs finds room in what was made at the start.
///
/// # Errors
/// Blocks longer than streams hold, or more sums than are reserved.
pub fn fits(new: &Config, start: Start<'_>, next: &World) -> Result<(), Faults> {
    let both =
        || [Some((&next.plans, &start.world.plans)), next.flow_plans.as_ref().zip(start.world.flow_plans.as_ref())].into_iter().flatten();
    let too_long = both().find_map(|(next, started)| too_long(new, start, next, started));
    let too_much = both().find_map(|(next, started)| too_much(new, start, next, started));
    let excess = too_long.into_iter().chain(too_much);
    let mut faults = Faults::default();
    for Excess { what, stat, leave } in excess {
        let row = stat.to_string();
        let (path, key) =
            (["stats", &row], format!("stats[{stat}]{}", new.stats.get(stat).map_or(String::new(), |s| format!(" ({})", s.name))));
        let line = new.line(&path).or_else(|| new.line(&path[..1])).unwrap_or(0);
        faults.add(Fault { file: new.file.clone(), line, key, what, remedy: remedy(new, start, leave) });
    }
    faults.or(())
}

/// Whether ranges find room beside each other.
///
/// # Errors
/// There are too many.
pub fn has_room(new: &Config, started: &World) -> Result<(), Faults> {
    let (count, twins, room) = (new.ranges.list.len(), scopes(new).twins(), started.plans.real);
    if count + twins <= room {
        return Ok(());
    }
    let parted = if twins == 0 { String::new() } else { format!(" (and rollup takes the room of {twins} more)") };
    let file = new.ranges.file.display();
    let what = format!("{file} holds {count} ranges{parted}, more than the {room} that there is room for since the start");
    let line = new.line(&["ranges", "max"]).or_else(|| new.line(&["ranges"])).unwrap_or(0);
    let remedy = format!(
        "write max = {} below [ranges] and restart: this needs a restart; `tailwater check` says what memory_mb that takes",
        proposed_max(count)
    );
    Err(Faults::one(Fault { file: new.file.clone(), line, key: "ranges.max".to_owned(), what, remedy }))
}

/// A round number of ranges, never less than there are and never more than there may be.
fn proposed_max(count: usize) -> usize {
    count.next_multiple_of(1_000).min(RANGES_MAX).max(count)
}

/// A block, or a part of one, that is longer than streams and pages are made for.
fn too_long(new: &Config, start: Start<'_>, next: &ShardPlans, started: &ShardPlans) -> Option<Excess> {
    let (need, room) = (next.room(), start.world.room);
    let export = |stat: &Planned| stat.kernel.export_words_max();
    let whole = |plan: &Plan, period: Period| plan.export_words_max(period);
    let part = |plan: &Plan, _| plan.stats().iter().map(export).max().unwrap_or(0);
    let root = |plan: &Plan, period: Period| plan.root_words(period);
    let (lines_need, lines_room) = (next.page_lines(), started.page_lines());
    if need.block > room.block {
        Some(longest(new, next, ("block", need.block, room.block), whole, export))
    } else if need.part > room.part {
        Some(longest(new, next, ("longest stat", need.part, room.part), part, export))
    } else if lines_need / 4 > lines_room {
        // A page holds four of the longest pieces of its own configuration; of another's, at least one.
        Some(longest(new, next, ("sums", 2 * lines_need, 8 * lines_room), root, |stat| stat.kernel.root_words()))
    } else {
        None
    }
}

/// Says of the plan that takes most whose it is, and which of its stats takes most.
fn longest(
    new: &Config,
    next: &ShardPlans,
    (part, need, room): (&str, usize, usize),
    of_plan: impl Fn(&Plan, Period) -> usize,
    of_stat: impl Fn(&Planned) -> usize,
) -> Excess {
    let plans = &next.plans;
    let length = |at: &usize| of_plan(&plans[*at], Period::Fast).max(of_plan(&plans[*at], Period::Long));
    let at = (0..plans.len()).rev().max_by_key(length).unwrap_or(0);
    let most = plans.get(at).and_then(|plan| plan.stats().iter().rev().max_by_key(|stat| of_stat(stat)));
    let (stat, words) = most.map_or((0, 0), |stat| (stat.spec, of_stat(stat)));
    // A list of stats has a plan for each family.
    let range = new.ranges.list.iter().zip(&next.of_range).find(|(_, plan)| **plan as usize / 2 == at / 2).map(|(range, _)| range);
    let whose = range
        .map_or_else(String::new, |range| format!(" ({}, of the sets {})", network_text(&range.prefix), new.sets_of(range).join(", ")));
    let (need, room, words) = (size(8 * need), size(8 * room), size(8 * words));
    let what = format!(
        "the {part} of a range{whose} may take {need}, more than the {room} that there is room for since the start; this stat takes {words}, the most"
    );
    Excess { what, stat, leave: STAT }
}

/// More sums, of all ranges together, than what is reserved.
fn too_much(new: &Config, start: Start<'_>, next: &ShardPlans, started: &ShardPlans) -> Option<Excess> {
    let reserved = MemoryPlan::new(start.world, start.cores).shard.roots;
    let need = next.roots_bytes_in(started.page_lines());
    if need <= reserved {
        return None;
    }
    let (before, now) = (by_stat(start.config, started), by_stat(new, next));
    let had = |spec: &StatSpec| start.config.stats.iter().zip(&before).find(|(have, _)| have.name == spec.name);
    let more = |(spec, (_, bytes)): (_, &(usize, usize))| bytes.saturating_sub(had(spec).map_or(0, |(_, (_, bytes))| *bytes));
    let (stat, grown) = new.stats.iter().zip(&now).map(more).enumerate().rev().max_by_key(|(_, bytes)| *bytes).unwrap_or_default();
    let mut what = format!(
        "the sums of all ranges would take {} of each core that counts, more than the {} that are reserved since the start; this stat takes \
         {} more than before, the most",
        size(need),
        size(reserved),
        size(grown)
    );
    // A row that is what it was takes more because more ranges keep it.
    let spec = new.stats.get(stat)?;
    let Some((_, (ranges, _))) = had(spec).filter(|(have, _)| *have == spec) else { return Some(Excess { what, stat, leave: STAT }) };
    what += &format!(": {} ranges keep it, and {ranges} did (sets {})", now[stat].0, spec.sets.join(", "));
    Some(Excess { what, stat, leave: "ranges of the set" })
}

/// Of each row, how many ranges keep it and the bytes that it takes of their roots.
fn by_stat(config: &Config, of: &ShardPlans) -> Vec<(usize, usize)> {
    let mut ranges = vec![0; of.plans.len()];
    of.of_range.iter().for_each(|plan| ranges[*plan as usize] += 1);
    let mut all = vec![(0, 0); config.stats.len()];
    for (plan, ranges) in of.plans.iter().zip(ranges) {
        for stat in plan.stats() {
            if let Some((count, bytes)) = all.get_mut(stat.spec) {
                *count += ranges;
                *bytes += ranges * stat.kernel.root_words() * 8;
            }
        }
    }
    all
}

/// What a restart with it takes.
fn remedy(new: &Config, start: Start<'_>, leave: &str) -> String {
    const RESTART: &str = "this needs a restart";
    let rest = format!("to reload the rest, leave {leave} out");
    let Ok(again) = World::first(new, start.world.hash_key.clone(), start.world.ports) else { return format!("{RESTART}; {rest}") };
    let plan = MemoryPlan::new(&again, start.cores);
    let have = plan.budget >> 20;
    let memory = match plan.lacking(&again) {
        None => format!("memory_mb = {have} will do"),
        Some(_) => format!("set memory_mb to at least {}", plan.least_mb()),
    };
    format!("{RESTART}, for which {memory}; {rest}")
}

/// For people, to two digits at least.
fn size(bytes: usize) -> String {
    if bytes < 10 << 20 { format!("{} KB", bytes.div_ceil(1 << 10)) } else { format!("{} MB", bytes.div_ceil(1 << 20)) }
}

#[cfg(test)]
#[path = "fits_tests.rs"]
mod tests;
