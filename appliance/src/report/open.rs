//! Windows that are not complete yet.
//!
//! A block stays as it came: words, appended to the window's log. Only when the window is closed they become summaries,
//! one range after the other, so that an open window costs what its words take. What a long window takes of fast stats is
//! the exception: its fast blocks come many times, and are absorbed at once.

use std::collections::BTreeMap;

use super::pb;
use super::spare::{PIECE_WORDS, Spare};
use crate::classify::Owner;
use crate::stats::Summary;
use crate::stats::plan::{Period, Plan};
use crate::units::{Epoch, RangeIndex};
use crate::window::{Calendar, Sealed, ShardPlans, Site};

type Summaries = Vec<(usize, Box<dyn Summary>)>;

/// One range in one window.
pub(super) struct RangeWindow {
    /// Records of which a stat found no memory.
    pub(super) starved: u64,
    /// In the order of the plan; of a fast window, its fast stats only.
    pub(super) summaries: Summaries,
}

/// One block: where its words stand.
struct Block {
    range: u32,
    /// Of a twin of the range, see [`Owner`].
    within: Option<u16>,
    piece: u32,
    at: u32,
    words: u32,
    starved: u64,
}

/// One window of all ranges.
#[derive(Default)]
pub(super) struct OpenWindow {
    pieces: Vec<Vec<u64>>,
    blocks: Vec<Block>,
    /// Fast stats of a long window.
    fast: BTreeMap<u32, Summaries>,
    /// The same of roll-ups.
    fast_rollups: BTreeMap<usize, Summaries>,
}

impl OpenWindow {
    /// Keeps a block of this window's own period.
    pub(super) fn keep(&mut self, owner: Owner, sealed: &Sealed, words: &[u64], spare: &mut Spare) {
        if self.pieces.last().is_none_or(|piece| piece.capacity() - piece.len() < words.len()) {
            self.pieces.push(spare.piece(words.len()));
        }
        let last = self.pieces.len() - 1;
        let Some(piece) = self.pieces.last_mut() else { return };
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (at, len) = (narrow(piece.len()), narrow(words.len()));
        let Owner { range, within } = owner;
        self.blocks.push(Block { range, within, piece: narrow(last), at, words: len, starved: sealed.starved });
        piece.extend_from_slice(words);
    }

    /// Adds a fast block to the long window that it is a part of.
    pub(super) fn absorb(&mut self, plans: &ShardPlans, owner: Owner, words: &[u64]) {
        let plan = plans.of(RangeIndex(owner.range));
        let own = self.fast.entry(owner.range).or_insert_with(|| summaries(plan, |period| period == Period::Fast));
        absorb(own, plan, Period::Fast, words);
        for at in plans.scopes.around(owner.range) {
            let rollup = self.fast_rollups.entry(at).or_insert_with(|| of_rollup(plans, at, |period| period == Period::Fast));
            merge(rollup, plans, (at, owner), Period::Fast, words);
        }
    }

    /// Its log, whose memory others may have.
    pub(super) fn into_pieces(self) -> Vec<Vec<u64>> {
        self.pieces
    }

    /// Words that its log takes.
    pub(super) fn words(&self) -> usize {
        PIECE_WORDS * self.pieces.len()
    }

    /// Whether a stat of any range below `real` found no memory.
    pub(super) fn starved(&self, real: u32) -> bool {
        self.blocks.iter().any(|block| block.range < real && block.starved > 0)
    }

    /// Puts the blocks in the order of their ranges.
    pub(super) fn sort(&mut self) {
        self.blocks.sort_by_key(|block| block.range);
    }

    /// The ranges that it has something of, ascending; after [`Self::sort`].
    pub(super) fn ranges(&self) -> Vec<u32> {
        let mut ranges: Vec<u32> = self.blocks.iter().map(|block| block.range).chain(self.fast.keys().copied()).collect();
        ranges.sort_unstable();
        ranges.dedup();
        ranges
    }

    /// Makes summaries of what came of a range; after [`Self::sort`].
    pub(super) fn range(&mut self, plans: &ShardPlans, range: u32, period: Period) -> RangeWindow {
        let plan = plans.of(RangeIndex(range));
        let mut summaries = match self.fast.remove(&range) {
            Some(fast) => beside(plan, fast),
            None => summaries(plan, |of| period == Period::Long || of == period),
        };
        let mut starved = 0;
        for (block, words) in self.blocks(range) {
            starved += block.starved;
            absorb(&mut summaries, plan, period, words);
        }
        RangeWindow { starved, summaries }
    }

    /// Of a roll-up, before its ranges are added. Its stats are those of its model.
    pub(super) fn rollup(&mut self, plans: &ShardPlans, at: usize, period: Period) -> RangeWindow {
        let fast = self.fast_rollups.remove(&at);
        let mut summaries = of_rollup(plans, at, |of| of == period || period == Period::Long && fast.is_none());
        summaries.extend(fast.into_iter().flatten());
        summaries.sort_by_key(|(i, _)| *i);
        RangeWindow { starved: 0, summaries }
    }

    /// Adds what came of one of its ranges; after [`Self::sort`].
    pub(super) fn add(&self, rollup: &mut RangeWindow, plans: &ShardPlans, (at, range): (usize, u32), period: Period) {
        for (block, words) in self.blocks(range) {
            rollup.starved += block.starved;
            merge(&mut rollup.summaries, plans, (at, Owner { range, within: block.within }), period, words);
        }
    }

    /// All blocks of a range and their words.
    fn blocks(&self, range: u32) -> impl Iterator<Item = (&Block, &[u64])> {
        let first = self.blocks.partition_point(|block| block.range < range);
        let blocks = self.blocks[first..].iter().take_while(move |block| block.range == range);
        blocks.map(|block| {
            let (at, piece) = (block.at as usize, self.pieces.get(block.piece as usize));
            (block, piece.and_then(|piece| piece.get(at..at + block.words as usize)).unwrap_or_default())
        })
    }
}

/// Adds a block to the windows that it belongs to: a fast block also to its long window.
pub(super) fn file(
    (windows, spare): (&mut BTreeMap<(u8, u64), OpenWindow>, &mut Spare),
    plans: &ShardPlans,
    calendar: &Calendar,
    sealed: &Sealed,
    words: &[u64],
) {
    let owner = plans.scopes.owner(sealed.range.0);
    windows.entry((rank(sealed.period), sealed.number)).or_default().keep(owner, sealed, words, spare);
    if sealed.period == Period::Fast {
        let long = calendar.long(Epoch(sealed.number));
        windows.entry((rank(Period::Long), long)).or_default().absorb(plans, owner, words);
    }
}

/// Fast windows stand before the long one that ends with them.
pub(super) const fn rank(period: Period) -> u8 {
    match period {
        Period::Fast => 0,
        Period::Long => 1,
    }
}

/// As the messages spell it.
pub(super) const fn kind(period: Period) -> pb::WindowKind {
    match period {
        Period::Fast => pb::WindowKind::Fast,
        Period::Long => pb::WindowKind::Long,
    }
}

/// Empty summaries of a roll-up's stats of some periods.
fn of_rollup(plans: &ShardPlans, at: usize, wanted: impl Fn(Period) -> bool) -> Summaries {
    let Some(rollup) = plans.rollups.get(at) else { return Summaries::new() };
    let stats = plans.plans[rollup.model].stats();
    rollup.stats.iter().filter(|i| wanted(stats[**i].period)).map(|i| (*i, stats[*i].kernel.summary())).collect()
}

/// Adds a block of one of a roll-up's ranges to its summaries, each packet once: what a twin has of packets with both ends in the
/// roll-up counts in no stat of both directions, for the other end's record does.
fn merge(summaries: &mut Summaries, plans: &ShardPlans, (at, owner): (usize, Owner), period: Period, words: &[u64]) {
    let (Some(rollup), Some(scope)) = (plans.rollups.get(at), plans.scopes.list().get(at)) else { return };
    let (model, again) = (plans.plans[rollup.model].stats(), scope.has_both(owner));
    let mut rest = words;
    for stat in plans.of(RangeIndex(owner.range)).stats().iter().filter(|stat| stat.period == period) {
        let Some((len, after)) = rest.split_first() else { return };
        let (body, after) = after.split_at(usize::try_from(*len).unwrap_or(0).min(after.len()));
        rest = after;
        // Plans have their stats in the order of the configuration.
        let known = summaries.binary_search_by_key(&stat.spec, |(i, _)| model[*i].spec);
        if let Some((_, summary)) =
            known.ok().filter(|_| !(body.is_empty() || again && stat.any_direction)).and_then(|at| summaries.get_mut(at))
        {
            summary.absorb(body);
        }
    }
}

/// Empty summaries of the plan's stats of some periods.
fn summaries(plan: &Plan, wanted: impl Fn(Period) -> bool) -> Summaries {
    let wanted = plan.stats().iter().enumerate().filter(|(_, stat)| wanted(stat.period));
    wanted.map(|(i, stat)| (i, stat.kernel.summary())).collect()
}

/// All of a plan's summaries: the fast ones that there are, and empty long ones.
fn beside(plan: &Plan, fast: Summaries) -> Summaries {
    let mut all = summaries(plan, |period| period == Period::Long);
    all.extend(fast);
    all.sort_by_key(|(i, _)| *i);
    all
}

/// Adds a block's words to the summaries of its period's stats.
fn absorb(summaries: &mut Summaries, plan: &Plan, period: Period, words: &[u64]) {
    let mut rest = words;
    let of_period = summaries.iter_mut().filter(|(i, _)| plan.stats()[*i].period == period);
    for (_, summary) in of_period {
        let Some((len, after)) = rest.split_first() else { return };
        let (body, after) = after.split_at(usize::try_from(*len).unwrap_or(0).min(after.len()));
        // Of a stat of another source a core tells nothing.
        if !body.is_empty() {
            summary.absorb(body);
        }
        rest = after;
    }
}

/// The accounts of all cores, of one epoch or of several.
#[derive(Clone, Default)]
pub(super) struct Accounts {
    /// By stream.
    pub(super) sites: Vec<Site>,
    /// Ports that were silent in a fast window of a long one, a bit each.
    pub(super) silent_ports: u64,
}

impl Accounts {
    pub(super) fn of(streams: usize) -> Self {
        Self { sites: vec![Site::default(); streams], silent_ports: 0 }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.sites.iter_mut().zip(&other.sites).for_each(|(ours, theirs)| ours.merge(theirs));
    }

    /// All cores together.
    pub(super) fn sum(&self) -> Site {
        self.sites.iter().fold(Site::default(), |mut all, site| {
            all.merge(site);
            all
        })
    }
}

/// Everything since the start.
#[derive(Default)]
pub(super) struct Total {
    pub(super) accounts: Accounts,
    pub(super) ranges: u64,
    pub(super) rollups: u64,
    /// Reasons for which windows were incomplete.
    pub(super) missing: BTreeMap<String, u64>,
    pub(super) start_ns: Option<u64>,
    pub(super) end_ns: u64,
}

impl Total {
    /// Other tag rules count from here on, so many.
    pub(super) fn forget_tags(&mut self, rules: usize) {
        for site in self.accounts.sites.iter_mut().filter(|site| !site.tags.is_empty()) {
            let untagged = site.tags.last().copied().unwrap_or(0);
            site.tags.clear();
            site.tags.resize(rules, 0);
            site.tags.push(untagged);
        }
    }
}
