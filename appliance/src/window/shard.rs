//! One core's share of all ranges' stats.
//!
//! A range that was not touched has nothing but its slot. The first batch of a window takes a block from the pool. When
//! the window is over, a walk over the ranges that were touched seals their blocks: words go to the reporter and memory
//! comes back, while batches of the next window already fill blocks of their own. So a flip costs nothing at once, only
//! what is active is ever double, and cores that are not quite at the same time do not disturb each other.

use std::sync::Arc;

use super::calendar::Calendar;
use super::coming::{Coming, Control};
use super::ledger::Site;
use super::stream::{Outlet, Sealed, Sent};
use crate::arch::HashKey;
use crate::gather::{Cause, Stage};
use crate::record::Record;
use crate::spread::Losses;
use crate::stats::Exhausted;
use crate::stats::plan::{Period, Plan, Scratch, execute};
use crate::stats::pool::{Budget, Handle, Memory, Pool};
use crate::telemetry::LiveCore;
use crate::units::{Epoch, RangeIndex};

/// Ranges that one step seals.
const STEP_RANGES: usize = 16;

/// The compiled stats of all ranges.
pub struct ShardPlans {
    /// Every plan.
    pub plans: Vec<Plan>,
    /// Of each range, its plan; behind the room for ranges, what matched none.
    pub of_range: Vec<u32>,
    /// Ranges that there is room for: what has a higher index is none, in every generation.
    pub real: usize,
}

/// Plans with the columns that one core computes them in.
pub struct Compiled {
    /// Shared.
    pub plans: Arc<ShardPlans>,
    /// One for each plan.
    pub scratch: Vec<Scratch>,
}

impl Compiled {
    /// With columns for one core.
    pub fn new(plans: &Arc<ShardPlans>) -> Self {
        Self { plans: Arc::clone(plans), scratch: plans.plans.iter().map(Scratch::new).collect() }
    }
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

/// Words before a block's stats: records that it counts, those among them of which a stat found no memory, and those
/// that are told as lost already.
const HEAD_WORDS: usize = 3;

/// The blocks of a range: fast and long, each of the open window and of the next.
#[derive(Clone, Copy, Default)]
struct Slot {
    roots: [[Handle; 2]; 2],
}

/// See the module.
pub struct Shard {
    /// Of the open window.
    compiled: Compiled,
    /// Of the next, where that has others.
    coming: Coming<Compiled>,
    real: usize,
    hash_key: HashKey,
    calendar: Calendar,
    slots: Vec<Slot>,
    roots: Pool,
    chunks: Pool,
    budget: Budget,
    /// Ranges that have a block: by period, then by side.
    touched: [[Vec<u32>; 2]; 2],
    /// Which side the open window of a period has.
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

const FAST: usize = 0;
const LONG: usize = 1;
const PERIODS: [Period; 2] = [Period::Fast, Period::Long];

impl Shard {
    /// With a budget of so many bytes for blocks and sketches.
    pub fn new(plans: Arc<ShardPlans>, hash_key: HashKey, calendar: Calendar, bytes: usize, outlet: Outlet) -> Self {
        let ranges = plans.of_range.len();
        let list = || Vec::with_capacity(ranges);
        Self {
            compiled: Compiled::new(&plans),
            coming: Coming::default(),
            real: plans.real,
            slots: vec![Slot::default(); ranges],
            roots: Pool::with_bytes(bytes),
            chunks: Pool::with_bytes(bytes),
            budget: Budget::of_bytes(bytes),
            touched: [[list(), list()], [list(), list()]],
            side: [0; 2],
            walking: false,
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

    /// Bytes that each range takes, touched or not.
    pub const RANGE_BYTES: usize = size_of::<Slot>() + 4 * size_of::<u32>();

    /// By this end other plans come.
    pub fn control(&mut self) -> Control<Compiled> {
        self.coming.control()
    }

    /// Plans of the window of `epoch`.
    fn plans(&self, epoch: Epoch) -> &ShardPlans {
        &self.coming.of(epoch).unwrap_or(&self.compiled).plans
    }

    fn number(&self, which: usize, epoch: Epoch) -> u64 {
        if which == FAST { epoch.0 } else { self.calendar.long(epoch) }
    }

    /// Which side the window of `epoch` has: it is open, or the next.
    fn side(&self, which: usize, epoch: Epoch) -> usize {
        self.side[which] ^ usize::from(epoch != self.at && self.number(which, epoch) != self.number(which, self.at))
    }

    /// The range's block in the window of `epoch`, which it may open; none where the plan has no stats of the period.
    /// `Err`: there is no memory.
    fn open(&mut self, range: RangeIndex, epoch: Epoch, which: usize) -> Result<Handle, Exhausted> {
        let side = self.side(which, epoch);
        let have = self.slots[range.at()].roots[which][side];
        let words = self.plans(epoch).of(range).root_words(PERIODS[which]);
        if !have.is_none() || which == FAST && words == 0 {
            return Ok(have);
        }
        let root = self.roots.alloc(HEAD_WORDS + words, &mut self.budget).ok_or(Exhausted)?;
        self.slots[range.at()].roots[which][side] = root;
        self.touched[which][side].push(range.0);
        Ok(root)
    }

    /// Sends a block of the open window and gives its memory back.
    fn seal(&mut self, range: RangeIndex, which: usize) {
        let side = self.side[which];
        let root = std::mem::take(&mut self.slots[range.at()].roots[which][side]);
        if root.is_none() {
            return;
        }
        let (plan, period, number) = (self.compiled.plans.of(range), PERIODS[which], self.number(which, self.at));
        let Some((&[records, starved, lost], body)) = self.roots.get(root).split_first_chunk::<HEAD_WORDS>() else { return };
        let chunks = &self.chunks;
        let sent = self.outlet.block(&Sealed { period, number, range, records, starved }, |out| plan.export(period, body, chunks, out));
        plan.release(period, body, &mut self.chunks);
        self.roots.free(root);
        if !sent && which == FAST {
            // Its records lack in the long window too: told as lost once.
            let told = self.losses[0].add(range, Cause::Ring, records);
            self.site.counted -= told;
            let long = self.slots[range.at()].roots[LONG][self.side[LONG]];
            if !long.is_none() {
                self.roots.get_mut(long)[2] += told;
            }
        } else if !sent {
            self.losses[0].add(range, Cause::Long, records - lost);
        }
    }

    /// Seals some blocks of windows that are over; false if none is left.
    fn walk(&mut self) -> bool {
        let Some((_, next)) = self.closing else { return false };
        for which in [FAST, LONG] {
            if self.number(which, next) == self.number(which, self.at) {
                continue;
            }
            for _ in 0..STEP_RANGES {
                let Some(range) = self.touched[which][self.side[which]].pop() else { break };
                self.seal(RangeIndex(range), which);
            }
            if !self.touched[which][self.side[which]].is_empty() {
                return true;
            }
        }
        false
    }

    /// A core that has batches of the window after the next, or that comes to the next's end, ends an unfinished walk at
    /// once: there are no more than two windows.
    fn close_at_once(&mut self) {
        while self.walk() {}
        self.flip(true);
    }

    /// The walk is over: say so, and turn to the next epoch. What the reporter has no room for now waits, or is told
    /// with the next epoch's account.
    fn flip(&mut self, at_once: bool) {
        let Some((epoch, next)) = self.closing else { return };
        let Self { losses: [ended, _], site, .. } = self;
        ended.tell(&mut |loss| site.lose(&loss));
        match self.outlet.closed(epoch, next, &self.site) {
            Sent::Yes => {}
            Sent::Full if at_once => self.later.take_over(&self.site, self.coming.of(next).is_none()),
            Sent::Full => return,
        }
        for which in [FAST, LONG] {
            self.side[which] ^= usize::from(self.number(which, epoch) != self.number(which, next));
        }
        self.losses.swap(0, 1);
        self.site.clear();
        std::mem::swap(&mut self.site, &mut self.later);
        (self.at, self.closing) = (next, None);
        if let Some(compiled) = self.coming.follow(next) {
            let old = std::mem::replace(&mut self.compiled, compiled);
            self.coming.give_back(Some(old));
        }
    }
}

impl Stage for Shard {
    fn batch(&mut self, range: RangeIndex, epoch: Epoch, records: &[Record]) {
        if self.closing.is_some_and(|(_, next)| epoch > next) {
            self.close_at_once();
        }
        let count = records.len() as u64;
        let roots = self.open(range, epoch, LONG).and_then(|long| Ok((self.open(range, epoch, FAST)?, long)));
        let Ok((fast, long)) = roots else {
            self.losses[usize::from(epoch > self.at)].add(range, Cause::Memory, count);
            return;
        };
        let Compiled { plans, scratch } = self.coming.of_mut(epoch).unwrap_or(&mut self.compiled);
        let which = plans.of_range[range.at()] as usize;
        let plan = &plans.plans[which];
        let (fast_root, long_root) =
            if fast.is_none() { (&mut [][..], self.roots.get_mut(long)) } else { self.roots.get_two_mut(fast, long) };
        let (fast_head, fast_body) = fast_root.split_at_mut(HEAD_WORDS.min(fast_root.len()));
        let (long_head, long_body) = long_root.split_at_mut(HEAD_WORDS);
        let mut memory = Memory { pool: &mut self.chunks, budget: &mut self.budget };
        let starved = execute(plan, &mut scratch[which], records, &self.hash_key, (fast_body, long_body), &mut memory);
        for head in [fast_head, long_head] {
            if let [records, short, _] = head {
                *records += count;
                *short += if starved > 0 { count } else { 0 };
            }
        }
        if range.at() < self.real {
            let site = if epoch == self.at { &mut self.site } else { &mut self.later };
            site.counted += count;
            self.records += count;
        }
    }

    fn advance(&mut self, next: Epoch) {
        self.close_at_once();
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
        } else {
            self.flip(false);
        }
        self.closing.is_some()
    }

    fn look(&mut self) {
        self.coming.look(None);
    }

    fn show(&self, live: &LiveCore) {
        live.counted.set(self.records);
        live.ring_dropped.set(self.losses.iter().map(Losses::total).sum());
        live.memory_used_bytes.set((self.roots.used_bytes() + self.chunks.used_bytes()) as u64);
    }
}
