//! One core's share of all ranges' stats.
//!
//! A range that was not touched has nothing but its slot. The first batch of a window takes a block from the pool. When a
//! range's window is over, its block is *sealed* (see `sealing.rs`), while batches of the next window already fill blocks
//! of their own. So a flip costs nothing at once, only what is active is ever double, and cores that are not quite at the
//! same time do not disturb each other.

use std::sync::Arc;

use super::calendar::Calendar;
use super::coming::{Coming, Control};
use super::ledger::Site;
use super::sealing::Sealing;
use super::stream::{Outlet, PART_WORDS, Room};
use crate::arch::prefetch::{prefetch, prefetch_words};
use crate::arch::{HashKey, Region, Reserve};
use crate::gather::bits::Bits;
use crate::gather::packed::{Batch, Layout};
use crate::gather::{Cause, Stage};
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::Record;
use crate::spread::Losses;
use crate::stats::Exhausted;
use crate::stats::pages::{Pages, Piece};
use crate::stats::plan::{Period, Plan, Scratch, execute};
use crate::stats::pool::{Budget, Memory, Pool};
use crate::telemetry::{LiveCore, PartFigures};
use crate::units::{Epoch, RangeIndex};

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
}

impl ShardPlans {
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
        let account = Site::words_max(0, 0);
        Room { block: blocks.map(block).max().unwrap_or(0), part: 2 * PART_WORDS + 1 + stats.max().unwrap_or(0), account }
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

/// Records of a range's end that are worked off at a stretch: some 20 microseconds with the standard set, where a full batch
/// takes 40 (`bash scripts/bench pause`).
const WALK_RECORDS_MAX: usize = 32;
/// One range in so many has two blocks at once.
const ROOTS_TWICE: usize = 32;
/// Words before a block's stats: records that it counts, those among them of which a stat found no memory, and those
/// that are told as lost already.
pub(super) const HEAD_WORDS: usize = 3;

/// The blocks of a range: fast and long, each of the open window and of the next.
#[derive(Clone, Copy, Default)]
pub(super) struct Slot {
    pub(super) roots: [[Piece; 2]; 2],
}

/// What a shard may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardBytes {
    /// For the blocks' roots: what sums need, and what leads to sketches.
    pub roots: usize,
    /// For sketches.
    pub sketches: usize,
    /// When they are taken.
    pub reserve: Reserve,
}

/// See the module.
pub struct Shard {
    /// Of the open window.
    pub(super) compiled: Compiled,
    /// Of the next, where that has others.
    pub(super) coming: Coming<Compiled>,
    real: usize,
    hash_key: HashKey,
    pub(super) calendar: Calendar,
    unpacked: Vec<Record>,
    pub(super) slots: Vec<Slot>,
    pub(super) roots: Pages,
    pub(super) chunks: Pool,
    budget: Budget,
    /// Ranges that have a block: by period, then by side.
    pub(super) touched: [[Bits; 2]; 2],
    /// Which side the open window of a period has.
    pub(super) side: [usize; 2],
    pub(super) sealing: Sealing,
    pub(super) closing: Option<(Epoch, Epoch)>,
    pub(super) at: Epoch,
    pub(super) site: Site,
    pub(super) later: Site,
    records: u64,
    /// Of the open epoch, and of the one that is coming.
    pub(super) losses: [Losses; 2],
    pub(super) outlet: Outlet,
}

pub(super) const FAST: usize = 0;
pub(super) const LONG: usize = 1;
pub(super) const PERIODS: [Period; 2] = [Period::Fast, Period::Long];

impl Shard {
    /// That takes no more than `bytes`; `feeders` cores send batches to it.
    pub fn new(plans: Arc<ShardPlans>, hash_key: HashKey, calendar: Calendar, bytes: ShardBytes, outlet: Outlet, feeders: usize) -> Self {
        let ranges = plans.of_range.len();
        let both = || [Bits::new(ranges), Bits::new(ranges)];
        Self {
            compiled: Compiled::new(&plans),
            coming: Coming::default(),
            real: plans.real,
            unpacked: vec![Record::default(); BATCH_RECORDS_MAX],
            slots: vec![Slot::default(); ranges],
            roots: Pages::new(plans.roots_least(bytes.roots), plans.page_lines(), bytes.reserve),
            chunks: Pool::new(bytes.sketches, bytes.reserve),
            budget: Budget::of_bytes(bytes.sketches),
            touched: [both(), both()],
            side: [0; 2],
            sealing: Sealing::new(feeders),
            closing: None,
            at: Epoch(0),
            site: Site::of_worker(),
            later: Site::of_worker(),
            records: 0,
            losses: [(); 2].map(|()| Losses::new(plans.real)),
            hash_key,
            calendar,
            outlet,
        }
    }

    /// Bytes that each range takes, touched or not: its slot, and four bits with their summaries.
    pub const RANGE_BYTES: usize = size_of::<Slot>() + 1;

    /// What roots and sketches take of the system.
    pub const fn regions(&self) -> [(&'static str, &Region); 2] {
        [("roots", self.roots.region()), ("sketches", self.chunks.region())]
    }

    /// By this end other plans come.
    pub fn control(&mut self) -> Control<Compiled> {
        self.coming.control()
    }

    /// Plans of the window of `epoch`.
    pub(super) fn plans(&self, epoch: Epoch) -> &ShardPlans {
        &self.coming.of(epoch).unwrap_or(&self.compiled).plans
    }

    pub(super) fn number(&self, which: usize, epoch: Epoch) -> u64 {
        if which == FAST { epoch.0 } else { self.calendar.long(epoch) }
    }

    /// Which side the window of `epoch` has: it is open, or the next.
    fn side(&self, which: usize, epoch: Epoch) -> usize {
        self.side[which] ^ usize::from(epoch != self.at && self.number(which, epoch) != self.number(which, self.at))
    }

    /// The range's block in the window of `epoch`, which it may open; none where the plan has no stats of the period.
    /// `Err`: no root is left.
    fn open(&mut self, range: RangeIndex, epoch: Epoch, which: usize) -> Result<Piece, Exhausted> {
        let side = self.side(which, epoch);
        let have = self.slots[range.at()].roots[which][side];
        let words = self.plans(epoch).of(range).root_words(PERIODS[which]);
        if !have.is_none() || which == FAST && words == 0 {
            return Ok(have);
        }
        let mut root = self.roots.alloc(HEAD_WORDS + words);
        if root.is_none() && self.make_room(range, words) {
            root = self.roots.alloc(HEAD_WORDS + words);
        }
        let root = root.ok_or(Exhausted)?;
        self.slots[range.at()].roots[which][side] = root;
        self.touched[which][side].set(range.0);
        Ok(root)
    }

    /// Whether the reporter takes a block of one batch for each of these that has no root.
    fn takes_aside(&self, range: RangeIndex, epoch: Epoch, roots: [Result<Piece, Exhausted>; 2]) -> bool {
        let plan = self.plans(epoch).of(range);
        let without = PERIODS.iter().zip(roots).filter(|(_, root)| root.is_err());
        let words: usize = without.map(|(period, _)| Room::of_block(plan.export_words_max(*period))).sum();
        words == 0 || self.outlet.has_room(words)
    }

    /// Asks for the range's slot, soon to be needed.
    pub fn prefetch_slot(&self, range: RangeIndex) {
        prefetch(&self.slots[range.at()]);
    }

    /// Asks for the range's long block, soon to be needed.
    pub fn prefetch_block(&self, range: RangeIndex) {
        let root = self.slots[range.at()].roots[LONG][self.side[LONG]];
        if !root.is_none() {
            prefetch_words(self.roots.get(root));
        }
    }

    /// In a replay nothing waits for a later step: what memory is free depends on what came, not on when.
    fn settle(&mut self) {
        while self.outlet.waits() && self.step() {}
    }

    /// Runs the range's stats over a batch.
    fn count(&mut self, range: RangeIndex, epoch: Epoch, batch: &Batch<'_>) {
        let mut unpacked = std::mem::take(&mut self.unpacked);
        unpacked.resize(BATCH_RECORDS_MAX, Record::default());
        self.records(range, epoch, batch.unpack(&self.plans(epoch).layout, &mut unpacked));
        self.unpacked = unpacked;
    }

    /// Runs the range's stats over up to 64 records. Where no root is left they are a block of their own, which the reporter
    /// merges with others; if it takes nothing either, they are told as lost.
    pub fn records(&mut self, range: RangeIndex, epoch: Epoch, records: &[Record]) {
        let count = records.len() as u64;
        if epoch == self.at {
            self.sealing.goes_on(range);
        } else {
            self.sealing.coming = epoch;
        }
        let long = self.open(range, epoch, LONG);
        let roots = [self.open(range, epoch, FAST), long];
        if !self.takes_aside(range, epoch, roots) {
            self.losses[usize::from(epoch > self.at)].add(range, Cause::Memory, count);
            return;
        }
        self.execute(range, epoch, records, roots);
        for which in [FAST, LONG].into_iter().filter(|which| roots[*which].is_err()) {
            self.send_aside(range, epoch, which);
        }
        if range.at() < self.real {
            let site = if epoch == self.at { &mut self.site } else { &mut self.later };
            site.counted += count;
            self.records += count;
        }
    }

    fn execute(&mut self, range: RangeIndex, epoch: Epoch, records: &[Record], roots: [Result<Piece, Exhausted>; 2]) {
        let count = records.len() as u64;
        let Compiled { plans, scratch, aside } = self.coming.of_mut(epoch).unwrap_or(&mut self.compiled);
        let which = plans.of_range[range.at()] as usize;
        let plan = &plans.plans[which];
        for (words, _) in aside.iter_mut().zip(roots).filter(|(_, root)| root.is_err()) {
            words.fill(0);
        }
        let [fast_aside, long_aside] = aside;
        let (fast_root, long_root) = match roots {
            [Ok(fast), Ok(long)] if !fast.is_none() => self.roots.get_two_mut(fast, long),
            [Ok(_), Ok(long)] => (&mut [][..], self.roots.get_mut(long)),
            [Ok(fast), Err(_)] if !fast.is_none() => (self.roots.get_mut(fast), &mut long_aside[..]),
            [Ok(_), Err(_)] => (&mut [][..], &mut long_aside[..]),
            [Err(_), Ok(long)] => (&mut fast_aside[..], self.roots.get_mut(long)),
            [Err(_), Err(_)] => (&mut fast_aside[..], &mut long_aside[..]),
        };
        let (fast_head, fast_body) = fast_root.split_at_mut(HEAD_WORDS.min(fast_root.len()));
        let (long_head, long_body) = long_root.split_at_mut(HEAD_WORDS);
        let scratch = &mut scratch[which];
        if scratch.reads_times() {
            let start = |period, number| self.calendar.bounds_ns(period, number).0;
            scratch.open(start(Period::Fast, epoch.0), start(Period::Long, self.calendar.long(epoch)));
        }
        let mut memory = Memory { pool: &mut self.chunks, budget: &mut self.budget };
        let starved = execute(plan, scratch, records, &self.hash_key, (fast_body, long_body), &mut memory);
        for head in [fast_head, long_head] {
            if let [records, short, _] = head {
                *records += count;
                *short += if starved > 0 { count } else { 0 };
            }
        }
    }
}

impl Stage for Shard {
    fn batch(&mut self, range: RangeIndex, epoch: Epoch, batch: &Batch<'_>) {
        if self.closing.is_some_and(|(_, next)| epoch > next) {
            self.close_at_once();
        }
        self.count(range, epoch, batch);
        if let Some(next) = batch.ends {
            self.passed(range, epoch, next);
        }
    }

    fn passed(&mut self, range: RangeIndex, epoch: Epoch, next: Epoch) {
        self.end_of(range, epoch, next);
        self.settle();
    }

    fn is_busy(&self) -> bool {
        self.sealing.is_busy()
    }

    fn walk_records_max(&self) -> Option<usize> {
        Some(WALK_RECORDS_MAX)
    }

    fn advance(&mut self, next: Epoch) {
        self.close_at_once();
        self.closing = Some((self.at, next));
        self.settle();
    }

    fn step(&mut self) -> bool {
        if self.closing.is_none() && !self.sealing.is_busy() {
            return false;
        }
        if !self.seal_some() {
            self.flip(false);
        }
        self.closing.is_some() || self.sealing.is_busy()
    }

    fn look(&mut self) {
        self.coming.look(None);
    }

    fn show(&self, live: &LiveCore) {
        live.counted.set(self.records);
        live.ring_dropped.set(self.losses.iter().map(Losses::total).sum());
        let [_, roots, sketches] = &live.memory;
        roots.set(PartFigures::of(self.roots.used_bytes(), self.roots.most_bytes(), self.roots.region().len() * 8));
        sketches.set(PartFigures::of(self.chunks.used_bytes(), self.chunks.most_bytes(), self.chunks.region().len() * 8));
    }
}
