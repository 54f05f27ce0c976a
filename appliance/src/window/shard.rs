//! One core's share of all ranges' stats.
//!
//! A range that was not touched has nothing but its slot. The first batch of a window takes a block from the pool; the
//! first batch of the next window, or the walk over touched ranges, seals it: its words go to the reporter and its
//! memory comes back. So a flip costs nothing at once, and only what is active is ever double.

use std::sync::Arc;

use super::calendar::Calendar;
use super::ledger::Site;
use super::stream::{Outlet, Sealed};
use crate::arch::HashKey;
use crate::gather::Stage;
use crate::record::Record;
use crate::spread::Losses;
use crate::stats::plan::{Period, Plan, Scratch, execute};
use crate::stats::pool::{Budget, Handle, Memory, Pool};
use crate::units::{Epoch, RangeIndex};

/// Ranges that one step seals.
const STEP_RANGES: usize = 16;

/// The compiled stats of all ranges.
pub struct ShardPlans {
    /// Every plan.
    pub plans: Vec<Plan>,
    /// Of each range, its plan; behind the ranges, what matched none.
    pub of_range: Vec<u32>,
    /// Ranges.
    pub real: usize,
}

impl ShardPlans {
    /// Of a range.
    pub fn of(&self, range: RangeIndex) -> &Plan {
        &self.plans[self.of_range[range.at()] as usize]
    }

    /// The longest block, in words.
    pub fn export_words_max(&self) -> usize {
        let longest = |period| self.plans.iter().map(|plan| plan.export_words_max(period)).max().unwrap_or(0);
        longest(Period::Fast).max(longest(Period::Long))
    }
}

/// One block of a range.
#[derive(Clone, Copy, Default)]
struct Block {
    root: Handle,
    /// Window's number plus one; zero: none is open.
    window: u64,
    records: u64,
    starved: u64,
}

/// A range, fast and long.
#[derive(Clone, Copy, Default)]
struct Slot {
    blocks: [Block; 2],
}

/// See the module.
pub struct Shard {
    plans: Arc<ShardPlans>,
    hash_key: HashKey,
    calendar: Calendar,
    scratch: Vec<Scratch>,
    slots: Vec<Slot>,
    roots: Pool,
    chunks: Pool,
    budget: Budget,
    /// Ranges that a window's blocks were opened for: by period, then by side.
    touched: [[Vec<u32>; 2]; 2],
    side: [usize; 2],
    walking: bool,
    closing: Option<(Epoch, Epoch)>,
    at: Epoch,
    site: Site,
    later: Site,
    records: u64,
    /// Of the open epoch, and of the one that is coming.
    losses: [Losses; 2],
    outlet: Outlet,
}

const PERIODS: [Period; 2] = [Period::Fast, Period::Long];

impl Shard {
    /// With a budget of so many bytes for blocks and sketches.
    pub fn new(plans: Arc<ShardPlans>, hash_key: HashKey, calendar: Calendar, bytes: usize, outlet: Outlet) -> Self {
        let ranges = plans.of_range.len();
        let list = || Vec::with_capacity(ranges);
        Self {
            scratch: plans.plans.iter().map(Scratch::new).collect(),
            slots: vec![Slot::default(); ranges],
            roots: Pool::with_bytes(bytes),
            chunks: Pool::with_bytes(bytes),
            budget: Budget::of_bytes(bytes),
            touched: [[list(), list()], [list(), list()]],
            side: [0; 2],
            walking: false,
            closing: None,
            at: Epoch(0),
            site: Site::default(),
            later: Site::default(),
            records: 0,
            losses: [(); 2].map(|()| Losses::new(plans.real)),
            plans,
            hash_key,
            calendar,
            outlet,
        }
    }

    /// Bytes that each range takes, touched or not.
    pub const RANGE_BYTES: usize = size_of::<Slot>() + 4 * size_of::<u32>();

    /// Records counted since the start.
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Bytes in use for blocks and sketches.
    pub const fn used_bytes(&self) -> usize {
        self.roots.used_bytes() + self.chunks.used_bytes()
    }

    fn number(&self, period: Period, epoch: Epoch) -> u64 {
        if period == Period::Fast { epoch.0 } else { self.calendar.long(epoch) }
    }

    /// Opens a range's blocks for the window of `epoch`, sealing those of the one before. False if there is no memory.
    fn open(&mut self, range: RangeIndex, epoch: Epoch) -> bool {
        for (which, period) in PERIODS.into_iter().enumerate() {
            let words = self.plans.of(range).root_words(period);
            if period == Period::Fast && words == 0 {
                continue;
            }
            let number = self.number(period, epoch);
            if self.slots[range.at()].blocks[which].window == number + 1 {
                continue;
            }
            self.seal(range, which);
            let Some(root) = self.roots.alloc(words.max(1), &mut self.budget) else { return false };
            self.slots[range.at()].blocks[which] = Block { root, window: number + 1, records: 0, starved: 0 };
            let ahead = number != self.number(period, self.at);
            let side = self.side[which] ^ usize::from(ahead);
            if self.touched[which][side].len() < self.touched[which][side].capacity() {
                self.touched[which][side].push(range.0);
            }
        }
        true
    }

    /// Sends a block and gives its memory back.
    fn seal(&mut self, range: RangeIndex, which: usize) {
        let block = std::mem::take(&mut self.slots[range.at()].blocks[which]);
        if block.window == 0 {
            return;
        }
        let (plan, period) = (self.plans.of(range), PERIODS[which]);
        let sealed = Sealed { period, number: block.window - 1, range, records: block.records, starved: block.starved };
        let root = self.roots.get(block.root);
        let chunks = &self.chunks;
        if !self.outlet.block(&sealed, |out| plan.export(period, root, chunks, out)) && period == Period::Long {
            self.losses[0].add(range, block.records);
            self.site.counted = self.site.counted.saturating_sub(block.records);
        }
        plan.release(period, root, &mut self.chunks);
        self.roots.free(block.root);
    }

    /// Seals some blocks of windows that are over; false if none is left.
    fn walk(&mut self) -> bool {
        let Some((_, next)) = self.closing else { return false };
        for (which, period) in PERIODS.into_iter().enumerate() {
            let open = self.number(period, next) + 1;
            if self.number(period, self.at) + 1 == open {
                continue;
            }
            let side = self.side[which];
            for _ in 0..STEP_RANGES {
                let Some(range) = self.touched[which][side].pop() else { break };
                if self.slots[range as usize].blocks[which].window < open {
                    self.seal(RangeIndex(range), which);
                }
            }
            if !self.touched[which][side].is_empty() {
                return true;
            }
        }
        false
    }

    /// The walk is over: turn to the next epoch and say so.
    fn flip(&mut self) -> bool {
        let Some((epoch, next)) = self.closing else { return false };
        let Self { losses: [ended, _], site, .. } = self;
        ended.tell(&mut |range, records| site.lose(range, records));
        if !self.outlet.closed(epoch, next, &self.site) {
            return true;
        }
        for (which, period) in PERIODS.into_iter().enumerate() {
            if self.number(period, epoch) != self.number(period, next) {
                self.side[which] ^= 1;
            }
        }
        self.losses.swap(0, 1);
        self.site.clear();
        std::mem::swap(&mut self.site, &mut self.later);
        (self.at, self.closing) = (next, None);
        false
    }
}

impl Stage for Shard {
    fn batch(&mut self, range: RangeIndex, epoch: Epoch, records: &[Record]) {
        if !self.open(range, epoch) {
            return self.losses[usize::from(epoch > self.at)].add(range, records.len() as u64);
        }
        let plan = self.plans.of(range);
        let which = self.plans.of_range[range.at()] as usize;
        let slot = &mut self.slots[range.at()];
        let [fast, long] = &mut slot.blocks;
        let (fast_root, long_root) =
            if fast.root.is_none() { (&mut [][..], self.roots.get_mut(long.root)) } else { self.roots.get_two_mut(fast.root, long.root) };
        let mut memory = Memory { pool: &mut self.chunks, budget: &mut self.budget };
        let starved = execute(plan, &mut self.scratch[which], records, &self.hash_key, (fast_root, long_root), &mut memory);
        let count = records.len() as u64;
        for block in [fast, long] {
            block.records += count;
            block.starved += u64::from(starved) * count;
        }
        if range.at() < self.plans.real {
            let site = if epoch == self.at { &mut self.site } else { &mut self.later };
            site.counted += count;
            self.records += count;
        }
    }

    fn advance(&mut self, next: Epoch) {
        // A core that came here with the walk before unfinished ends it at once: its next window is already full.
        while self.walk() {}
        while self.flip() {
            std::hint::spin_loop();
        }
        self.closing = Some((self.at, next));
        self.walking = true;
    }

    fn step(&mut self) -> bool {
        if self.closing.is_none() {
            return false;
        }
        if self.walking {
            // What is over waits for a reporter that is behind, until the next window is over too.
            self.walking = !self.outlet.has_room() || self.walk();
            return true;
        }
        self.flip();
        self.closing.is_some()
    }

    fn counted(&self) -> u64 {
        self.records
    }
}
