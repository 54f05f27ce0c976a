//! What a core's time goes into, stage by stage and stat by stat.
//!
//! One poll in [`TIMED_POLLS`] is timed with the processor's own counter: no system call, no allocation, some forty readings.
//! Every other poll pays a few branches for it that always go the same way. What was timed, times [`TIMED_POLLS`], estimates
//! what all polls took. A reading does not wait for what is under way, so a few nanoseconds may stand with a neighbour.

use super::live::Counter;
use crate::arch::ticks::{ticks, ticks_of_reading, ticks_per_second};
use crate::limits::STATS_MAX;

/// One poll in so many is timed. A prime: no loop keeps in step with it.
pub const TIMED_POLLS: u64 = 1_021;

/// A poll that took longer than this, and many times as long as others, was held up and tells nothing: the system ran something
/// else meanwhile.
const HELD_UP_S: f64 = 250e-6;
const HELD_UP_TIMES: u64 = 16;
/// Polls over which it is told how long they take.
const MEAN_OF_POLLS: u64 = 64;

/// Ticks of that.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bound")]
fn held_up_ticks() -> u64 {
    (ticks_per_second() * HELD_UP_S) as u64
}

/// What a core can be at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Taking frames from a queue and giving them back.
    Rx,
    /// Reading headers, asking the tag rules.
    Parse,
    /// Finding ranges.
    Lpm,
    /// Putting records to their ranges; in pipeline, sending batches too.
    Gather,
    /// A worker's rings.
    Rings,
    /// Unpacking a batch, finding its block.
    Shard,
    /// Keys, hashes and selections of a batch.
    Columns,
    /// All stats' kernels.
    Stats,
    /// Closing what is over.
    Windows,
    /// Polls that found nothing.
    Idle,
}

/// Names of [`Part`], in its order.
pub const PARTS: [&str; 10] = ["rx", "parse", "lpm", "gather", "rings", "shard", "columns", "stats", "windows", "idle"];

/// Rows of `[[stats]]`, and what is kept of packets that match no range.
const ROWS_MAX: usize = STATS_MAX + 1;

/// Told how far the kernels of a batch are. `()` looks at nothing.
pub trait Probe {
    /// What came since the last call was for all stats: keys, hashes, selections.
    fn columns(&mut self);
    /// What came since the last call was the kernel of this row of the configuration.
    fn stat(&mut self, row: usize);
}

impl Probe for () {
    #[inline]
    fn columns(&mut self) {}
    #[inline]
    fn stat(&mut self, _row: usize) {}
}

/// What a core has spent, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent(pub [u64; PARTS.len()]);

/// Times the parts of a poll, one behind the other.
#[derive(Debug, Default)]
pub struct Meter {
    on: bool,
    reading: u64,
    /// What no poll is held up for, and how long polls take, ticks.
    short: u64,
    mean: u64,
    begun: u64,
    last: u64,
    inside: u64,
    spent: Spent,
    /// As it was when the poll began.
    before: Spent,
    polls: u64,
}

impl Meter {
    /// That knows what a reading takes.
    pub fn new() -> Self {
        Self { reading: ticks_of_reading(), short: held_up_ticks(), ..Self::default() }
    }

    /// Whether this poll is timed.
    #[inline]
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// A poll that is timed begins. `inside`: ticks that others have timed so far of what this one looks at.
    pub fn begin(&mut self, inside: u64) {
        self.before = self.spent;
        (self.on, self.inside, self.begun) = (true, inside, ticks());
        self.last = self.begun;
    }

    /// What came since the last call was `part`, without what others have timed of it.
    pub fn lap(&mut self, part: Part, inside: u64) {
        let now = ticks();
        let others = inside.saturating_sub(self.inside);
        self.spent.0[part as usize] += now.saturating_sub(self.last).saturating_sub(others + self.reading);
        (self.last, self.inside) = (now, inside);
    }

    /// The poll is over. False: it was held up, and whoever timed parts of it had better [forget](Watch::turn_off) them too.
    pub const fn end(&mut self) -> bool {
        self.on = false;
        let (gone, times) = (self.last.saturating_sub(self.begun), self.mean.saturating_mul(HELD_UP_TIMES));
        let longest = if times > self.short { times } else { self.short };
        let counts = gone <= longest;
        self.mean = self.mean - self.mean / MEAN_OF_POLLS + if counts { gone } else { longest } / MEAN_OF_POLLS;
        if counts {
            self.polls += 1;
        } else {
            self.spent = self.before;
        }
        counts
    }

    /// Adds to what is shown: the same core's [`Watch`] shows parts of its own.
    pub fn show(&self, costs: &LiveCosts) {
        costs.polls.set(self.polls);
        costs.outer.iter().zip(self.spent.0).for_each(|(counter, ticks)| counter.set(ticks));
    }
}

/// Times what a shard does with a batch.
#[derive(Debug)]
pub struct Watch {
    on: bool,
    reading: u64,
    last: u64,
    /// All of it, readings too.
    whole: u64,
    spent: Spent,
    stats: Box<[u64]>,
    /// Rows that have had something.
    rows: usize,
    /// As they were when the poll began.
    before: (Spent, Box<[u64]>),
}

impl Default for Watch {
    fn default() -> Self {
        let (last, whole, spent) = (0, 0, Spent::default());
        let rows = || vec![0; ROWS_MAX].into_boxed_slice();
        Self { on: false, reading: ticks_of_reading(), last, whole, spent, stats: rows(), rows: 0, before: (spent, rows()) }
    }
}

impl Watch {
    /// Begins to look.
    pub fn turn_on(&mut self) {
        self.on = true;
        self.before.0 = self.spent;
        self.before.1[..self.rows].copy_from_slice(&self.stats[..self.rows]);
    }

    /// Ends to look, and forgets what was seen unless it `counts`.
    pub fn turn_off(&mut self, counts: bool) {
        self.on = false;
        if !counts {
            self.spent = self.before.0;
            self.stats[..self.rows].copy_from_slice(&self.before.1[..self.rows]);
        }
    }

    /// Whether it looks.
    #[inline]
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// Ticks of all that was looked at.
    pub const fn whole(&self) -> u64 {
        self.whole
    }

    /// From here on something is looked at.
    #[inline]
    pub fn begin(&mut self) {
        if self.on {
            self.last = ticks();
        }
    }

    /// What came since the last call was `part`.
    #[inline]
    pub fn lap(&mut self, part: Part) {
        if self.on {
            self.spent.0[part as usize] += self.piece();
        }
    }

    fn piece(&mut self) -> u64 {
        let now = ticks();
        let gone = now.saturating_sub(self.last);
        self.last = now;
        self.whole += gone;
        gone.saturating_sub(self.reading)
    }

    /// Adds to what is shown: the same core's [`Meter`] shows parts of its own.
    pub fn show(&self, costs: &LiveCosts) {
        costs.inner.iter().zip(self.spent.0).for_each(|(counter, ticks)| counter.set(ticks));
        costs.stats.iter().zip(&self.stats[..self.rows]).for_each(|(counter, ticks)| counter.set(*ticks));
    }
}

impl Probe for Watch {
    fn columns(&mut self) {
        self.spent.0[Part::Columns as usize] += self.piece();
    }

    fn stat(&mut self, row: usize) {
        let piece = self.piece();
        self.spent.0[Part::Stats as usize] += piece;
        if let Some(sum) = self.stats.get_mut(row) {
            *sum += piece;
            self.rows = self.rows.max(row + 1);
        }
    }
}

/// What a core's timed polls took, live: ticks since the start.
#[derive(Debug)]
pub struct LiveCosts {
    polls: Counter,
    outer: [Counter; PARTS.len()],
    inner: [Counter; PARTS.len()],
    stats: Box<[Counter]>,
}

impl Default for LiveCosts {
    fn default() -> Self {
        let stats = (0..ROWS_MAX).map(|_| Counter::default()).collect();
        Self { polls: Counter::default(), outer: Default::default(), inner: Default::default(), stats }
    }
}

/// [`LiveCosts`], read: ticks of timed polls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostFigures {
    /// Polls that were timed.
    pub polls: u64,
    /// By [`PARTS`].
    pub parts: Spent,
    /// By row of the configuration.
    pub stats: Vec<u64>,
}

impl LiveCosts {
    /// Now: what a receiver has timed itself, what its shard has, and so many rows of the configuration.
    pub fn read_apart(&self, rows: usize) -> (Spent, Spent, Vec<u64>) {
        let of = |counters: &[Counter; PARTS.len()]| Spent(counters.each_ref().map(Counter::get));
        (of(&self.outer), of(&self.inner), self.stats.iter().take(rows).map(Counter::get).collect())
    }

    /// Now, of so many rows.
    pub fn read(&self, rows: usize) -> CostFigures {
        let parts = Spent(std::array::from_fn(|at| self.outer[at].get() + self.inner[at].get()));
        CostFigures { polls: self.polls.get(), parts, stats: self.stats.iter().take(rows).map(Counter::get).collect() }
    }
}

impl CostFigures {
    /// What came since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let parts = Spent(std::array::from_fn(|at| self.parts.0[at].saturating_sub(earlier.parts.0[at])));
        let before = earlier.stats.iter().copied().chain(std::iter::repeat(0));
        let stats = self.stats.iter().zip(before).map(|(now, then)| now.saturating_sub(then)).collect();
        Self { polls: self.polls.saturating_sub(earlier.polls), parts, stats }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_leaves_out_what_others_time() {
        let (mut meter, mut watch, costs) = (Meter::new(), Watch::default(), LiveCosts::default());
        watch.begin();
        watch.lap(Part::Shard);
        assert_eq!(watch.whole(), 0, "nothing is looked at yet");
        let mut counts = false;
        while !counts {
            meter.begin(watch.whole());
            watch.turn_on();
            watch.begin();
            spin_us(50);
            watch.stat(3);
            meter.lap(Part::Gather, watch.whole());
            counts = meter.end();
            watch.turn_off(counts);
        }
        meter.show(&costs);
        watch.show(&costs);
        let read = costs.read(5);
        let of = |part: Part| read.parts.0[part as usize];
        assert!(of(Part::Stats) > 0 && of(Part::Gather) < of(Part::Stats), "{read:?}");
        assert_eq!((read.polls, read.stats[3], read.stats.len()), (1, of(Part::Stats), 5));
        assert_eq!(read.since(&read).stats, [0; 5]);
    }

    #[test]
    fn what_was_held_up_does_not_count() {
        let (mut meter, mut watch, costs) = (Meter::new(), Watch::default(), LiveCosts::default());
        meter.begin(watch.whole());
        watch.turn_on();
        watch.begin();
        std::thread::sleep(std::time::Duration::from_millis(20));
        watch.stat(0);
        meter.lap(Part::Gather, watch.whole());
        let counts = meter.end();
        watch.turn_off(counts);
        meter.show(&costs);
        watch.show(&costs);
        assert_eq!(costs.read(1), CostFigures { stats: vec![0], ..CostFigures::default() });
    }

    fn spin_us(us: u64) {
        let begun = std::time::Instant::now();
        while begun.elapsed() < std::time::Duration::from_micros(us) {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn every_part_has_a_name() {
        assert_eq!(PARTS[Part::Idle as usize], "idle");
        assert_eq!(PARTS.len(), Part::Idle as usize + 1);
    }
}
