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
use super::plans::{Compiled, FAST, HEAD_WORDS, LONG, PERIODS, ShardPlans};
use super::sealing::Sealing;
use super::stream::{Outlet, Room};
use crate::arch::hash::spread;
use crate::arch::prefetch::{prefetch, prefetch_words};
use crate::arch::{HashKey, Region, Reserve};
use crate::gather::bits::Bits;
use crate::gather::packed::Batch;
use crate::gather::{Cause, Stage};
use crate::record::{FlowRow, Record};
use crate::spread::Losses;
use crate::stats::Exhausted;
use crate::stats::columns::first;
use crate::stats::pages::{Pages, Piece};
use crate::stats::plan::{Period, Rows, execute_rows};
use crate::stats::pool::{Budget, Memory, Pool};
use crate::telemetry::cost::{Part, Watch};
use crate::telemetry::{LiveCore, PartFigures};
use crate::units::{Epoch, RangeIndex};

/// Records of a range's end that are worked off at a stretch: 45 microseconds at most with the standard set, where a full batch
/// takes 64, as tables of many keys change their form in it (`bash scripts/bench pause`).
const WALK_RECORDS_MAX: usize = 32;
/// The blocks of a range: fast and long, each of the open window and of the next.
#[derive(Clone, Copy, Default)]
pub(super) struct Slot {
    pub(super) roots: [[Piece; 2]; 2],
}

/// What is left out while the core has more to do than it can.
#[derive(Default)]
struct Shed {
    level: u32,
    /// Secret, and different for each batch: nobody chooses what is left out.
    draws: u64,
    /// Records that were.
    records: u64,
}

impl Shed {
    /// Level and records of the next batch, of so many, that are looked at.
    fn draw(&mut self, records: usize) -> Option<(u32, u64)> {
        if self.level == 0 {
            return None;
        }
        let mut kept = u64::MAX;
        for _ in 0..self.level {
            self.draws = self.draws.wrapping_add(0x9E37_79B9_7F4A_7C15);
            kept &= spread(self.draws ^ spread(self.draws).rotate_left(32));
        }
        self.records += u64::from((!kept & first(records)).count_ones());
        Some((self.level, kept))
    }
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
    shed: Shed,
    /// Of the open epoch, and of the one that is coming.
    pub(super) losses: [Losses; 2],
    pub(super) outlet: Outlet,
    watch: Watch,
}

impl Shard {
    /// That takes no more than `bytes`; `feeders` cores send batches to it.
    pub fn new(plans: Arc<ShardPlans>, hash_key: HashKey, calendar: Calendar, bytes: ShardBytes, outlet: Outlet, feeders: usize) -> Self {
        let ranges = plans.of_range.len();
        let both = || [Bits::new(ranges), Bits::new(ranges)];
        Self {
            compiled: Compiled::new(&plans),
            coming: Coming::default(),
            real: plans.real,
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
            shed: Shed { draws: hash_key.hash(b"records that are left out"), ..Shed::default() },
            losses: [(); 2].map(|()| Losses::new(plans.real)),
            hash_key,
            calendar,
            outlet,
            watch: Watch::default(),
        }
    }

    /// Bytes that each range takes, touched or not: its slot, and four bits with their summaries.
    pub const RANGE_BYTES: usize = size_of::<Slot>() + 1;

    /// What roots and sketches take of the system.
    pub const fn regions(&self) -> [(&'static str, &Region); 2] {
        [("roots", self.roots.region()), ("sketches", self.chunks.region())]
    }

    /// Whether the reporter has room for a block of so many words: without, what is sealed waits.
    pub fn has_room(&self, words: usize) -> bool {
        self.outlet.has_room(words)
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
        self.watch.begin();
        // A copy: the plans may have to make room.
        let layout = self.plans(epoch).layout;
        self.rows(range, epoch, Rows::Packed(batch, &layout));
        self.watch.lap(Part::Shard);
    }

    /// Runs the range's stats over up to 64 records.
    pub fn records(&mut self, range: RangeIndex, epoch: Epoch, records: &[Record]) {
        self.rows(range, epoch, Rows::Records(records));
    }

    /// Runs the range's stats over up to 64 rows of flow records, which count as so many records.
    pub fn flows(&mut self, range: RangeIndex, epoch: Epoch, rows: &[FlowRow], records: u64) {
        self.rows(range, epoch, Rows::Flows(rows, records));
    }

    /// The account of an epoch: of the one that is open, or, while one closes, of the one behind it.
    pub fn account(&mut self, epoch: Epoch) -> &mut Site {
        if epoch == self.at { &mut self.site } else { &mut self.later }
    }

    /// Runs the range's stats. Where no root is left the records are a block of their own, which the reporter merges with
    /// others; if it takes nothing either, they are told as lost.
    fn rows(&mut self, range: RangeIndex, epoch: Epoch, rows: Rows<'_>) {
        let count = rows.records();
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
        self.execute(range, epoch, rows, roots);
        for which in [FAST, LONG].into_iter().filter(|which| roots[*which].is_err()) {
            self.send_aside(range, epoch, which);
        }
        if range.at() < self.real {
            let site = if epoch == self.at { &mut self.site } else { &mut self.later };
            site.counted += count;
            self.records += count;
        }
    }

    fn execute(&mut self, range: RangeIndex, epoch: Epoch, rows: Rows<'_>, roots: [Result<Piece, Exhausted>; 2]) {
        let count = rows.records();
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
        scratch.shed(self.shed.draw(rows.len()));
        let mut memory = Memory { pool: &mut self.chunks, budget: &mut self.budget };
        let roots = (fast_body, long_body);
        let starved = if self.watch.is_on() {
            self.watch.lap(Part::Shard);
            execute_rows(plan, scratch, rows, &self.hash_key, roots, &mut memory, &mut self.watch)
        } else {
            execute_rows(plan, scratch, rows, &self.hash_key, roots, &mut memory, &mut ())
        };
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

    fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    fn hurry(&mut self) {
        self.sealing.hurries = true;
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
        self.watch.begin();
        if !self.seal_some() {
            self.flip(self.sealing.hurries);
        }
        self.watch.lap(Part::Windows);
        self.closing.is_some() || self.sealing.is_busy()
    }

    fn begin_timing(&mut self) {
        self.watch.turn_on();
    }

    fn end_timing(&mut self, counts: bool) {
        self.watch.turn_off(counts);
    }

    fn timed(&self) -> u64 {
        self.watch.whole()
    }

    fn shed(&mut self, level: u32) {
        self.shed.level = level;
    }

    fn look(&mut self) {
        self.coming.look(None);
    }

    fn show(&self, live: &LiveCore) {
        self.watch.show(&live.costs);
        live.counted.set(self.records);
        live.shed.set(self.shed.records);
        live.ring_dropped.set(self.losses.iter().map(Losses::total).sum());
        let [_, roots, sketches] = &live.memory;
        roots.set(PartFigures::of(self.roots.used_bytes(), self.roots.most_bytes(), self.roots.region().len() * 8));
        sketches.set(PartFigures::of(self.chunks.used_bytes(), self.chunks.most_bytes(), self.chunks.region().len() * 8));
    }
}
