//! What a shard counts with: the compiled stats of all ranges, and what their blocks take.

use std::collections::HashMap;
use std::sync::Arc;

use super::ledger::Site;
use super::stream::{PART_WORDS, Room};
use crate::classify::Scopes;
use crate::gather::packed::Layout;
use crate::stats::pages::Pages;
use crate::stats::plan::{Period, Plan, Scratch};
use crate::units::RangeIndex;

pub(super) const FAST: usize = 0;
pub(super) const LONG: usize = 1;
pub(super) const PERIODS: [Period; 2] = [Period::Fast, Period::Long];
/// One range in so many has two blocks at once.
const ROOTS_TWICE: usize = 32;
/// Words before a block's stats: records that it counts, those among them of which a stat found no memory, and those
/// that are told as lost already.
pub(super) const HEAD_WORDS: usize = 3;

/// The compiled stats of all ranges.
pub struct ShardPlans {
    /// Every plan.
    pub plans: Vec<Plan>,
    /// Of each range, its plan; behind the room for ranges, what matched none.
    pub of_range: Vec<u32>,
    /// Ranges that there is room for: what has a higher index is none, in every generation.
    pub real: usize,
    /// How records are packed: what some plan reads is kept.
    pub layout: Layout,
    /// Ranges that are counted together. Their twins stand behind the ranges and are of `real`.
    pub scopes: Arc<Scopes>,
    /// What they keep, one of each scope.
    pub rollups: Vec<Rollup>,
}

/// The stats of a roll-up: those that all its ranges keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollup {
    /// A plan that has them.
    pub model: usize,
    /// Among its stats, in their order.
    pub stats: Arc<[usize]>,
}

impl ShardPlans {
    /// Of all ranges; nothing is rolled up.
    pub fn new(plans: Vec<Plan>, of_range: Vec<u32>, real: usize, layout: Layout) -> Self {
        Self { plans, of_range, real, layout, scopes: Arc::default(), rollups: Vec::new() }
    }

    /// The same with roll-ups, each of what all its ranges keep.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Arc<Scopes>) -> Self {
        let mut known: HashMap<Vec<u32>, Rollup> = HashMap::new();
        let rollup = |scope: &crate::classify::Scope| {
            let mut kept: Vec<u32> = scope.members.iter().map(|range| self.of_range[*range as usize]).collect();
            kept.sort_unstable();
            kept.dedup();
            known.entry(kept).or_insert_with_key(|kept| Rollup::of(&self.plans, kept)).clone()
        };
        self.rollups = scopes.list().iter().map(rollup).collect();
        Self { scopes, ..self }
    }

    /// Of a range.
    pub fn of(&self, range: RangeIndex) -> &Plan {
        &self.plans[self.of_range[range.at()] as usize]
    }

    /// Of each range, how much is done with a record, against other ranges: what is hashed and looked up weighs more than what
    /// is added up.
    pub fn efforts(&self) -> Vec<u8> {
        let of_plan: Vec<u8> = self.plans.iter().map(Plan::effort).collect();
        self.of_range.iter().map(|plan| of_plan[*plan as usize]).collect()
    }

    /// Bytes that the roots of all ranges take in a shard, and of a share of them twice: while a window closes, the next one
    /// opens.
    pub fn roots_bytes(&self) -> usize {
        self.roots_bytes_in(self.page_lines())
    }

    /// The same in pages of so many lines.
    pub fn roots_bytes_in(&self, page_lines: usize) -> usize {
        self.roots().map(|(ranges, words)| Pages::bytes_of(ranges + ranges.div_ceil(ROOTS_TWICE), words, page_lines)).sum()
    }

    /// So many bytes, and never less than two pages of each size.
    pub fn roots_least(&self, bytes: usize) -> usize {
        bytes.max(self.roots().map(|_| 2 * Pages::bytes_of(1, 1, self.page_lines())).sum())
    }

    /// Lines of a page of roots.
    pub fn page_lines(&self) -> usize {
        Pages::page_lines(self.roots().map(|(_, words)| words).max().unwrap_or(0))
    }

    /// Ranges of each plan and the words of their roots, of each period that it has.
    fn roots(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut ranges = vec![0_usize; self.plans.len()];
        self.of_range.iter().for_each(|plan| ranges[*plan as usize] += 1);
        let of = |(plan, ranges): (&Plan, usize)| PERIODS.map(|period| (period, ranges, plan.root_words(period)));
        let all = self.plans.iter().zip(ranges).flat_map(of).collect::<Vec<_>>();
        let used = |(period, ranges, words): &(Period, usize, usize)| *ranges > 0 && (*period == Period::Long || *words > 0);
        all.into_iter().filter(used).map(|(_, ranges, words)| (ranges, HEAD_WORDS + words))
    }

    /// What a shard's stream has room for.
    pub fn room(&self) -> Room {
        let blocks = self.plans.iter().flat_map(|plan| PERIODS.map(|period| (plan, period)));
        let block = |(plan, period): (&Plan, Period)| Room::of_block(plan.export_words_max(period));
        let stats = self.plans.iter().flat_map(Plan::stats).map(|stat| stat.kernel.export_words_max());
        let account = Site::words_max(0, 0, 0);
        Room { block: blocks.map(block).max().unwrap_or(0), part: 2 * PART_WORDS + 1 + stats.max().unwrap_or(0), account }
    }
}

impl Rollup {
    /// Of ranges that have these plans, at least one.
    fn of(plans: &[Plan], kept: &[u32]) -> Self {
        let all: Vec<&Plan> = kept.iter().filter_map(|plan| plans.get(*plan as usize)).collect();
        let one_family = all.windows(2).all(|pair| pair[0].family() == pair[1].family());
        let in_all = |spec: usize| all.iter().all(|plan| plan.stats().iter().any(|stat| stat.spec == spec));
        let first = all.first().map_or(&[][..], |plan| plan.stats());
        let wanted = first.iter().enumerate().filter(|(_, stat)| (one_family || stat.any_family) && in_all(stat.spec));
        Self { model: kept.first().map_or(0, |plan| *plan as usize), stats: wanted.map(|(at, _)| at).collect() }
    }
}

/// Plans with the columns that one core computes them in.
pub struct Compiled {
    /// Shared.
    pub plans: Arc<ShardPlans>,
    /// One for each plan.
    pub scratch: Vec<Scratch>,
    /// By period: a block of one batch, where no root is left.
    pub aside: [Vec<u64>; 2],
}

impl Compiled {
    /// With columns for one core.
    pub fn new(plans: &Arc<ShardPlans>) -> Self {
        let aside = PERIODS.map(|period| vec![0; HEAD_WORDS + plans.plans.iter().map(|plan| plan.root_words(period)).max().unwrap_or(0)]);
        Self { plans: Arc::clone(plans), scratch: plans.plans.iter().map(Scratch::new).collect(), aside }
    }
}
