//! One key's account: what came of it by window, what the scrubber says, and both together since the day's and the hour's start.

use std::collections::VecDeque;

use super::rate::{Counts, RateTest};
use super::spread::{Block, Blocks, Spread};

/// A history has room for more than it holds: for a part of itself.
const GROWTH: usize = 4;
const NS_IN_S: u64 = 1_000_000_000;
/// Lengths of the two stretches over which evidence is gathered: a day, and an hour, which sees sooner what changes.
pub const STRETCHES_NS: [u64; 2] = [86_400 * NS_IN_S, 3_600 * NS_IN_S];

/// What came, by window.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Number of a window with samples, and samples up to its end.
    windows: VecDeque<(u64, u64)>,
    /// The last one forgotten.
    forgotten: Option<(u64, u64)>,
}

impl History {
    /// That knows nothing of windows up to this one.
    pub fn since(unknown: Option<u64>) -> Self {
        Self { windows: VecDeque::new(), forgotten: unknown.map(|window| (window, 0)) }
    }

    /// Adds a window's samples, and forgets what is older than the last `kept` windows with samples; windows come in order. Counters that
    /// come later than that begin anew.
    pub fn add(&mut self, (number, samples): (u64, u64), kept: usize) {
        let before = self.windows.back().or(self.forgotten.as_ref()).map_or(0, |(_, sum)| *sum);
        self.keep(kept.saturating_sub(1));
        let used = self.windows.len();
        if used == self.windows.capacity() {
            self.windows.reserve_exact((used / GROWTH).max(GROWTH).min(kept - used.min(kept)).max(1));
        }
        self.windows.push_back((number, before.saturating_add(samples)));
    }

    /// Forgets all but so many windows.
    pub fn keep(&mut self, kept: usize) {
        let more = self.windows.len().saturating_sub(kept);
        self.forgotten = self.windows.drain(..more).next_back().or(self.forgotten);
        if self.windows.capacity() > kept + kept / GROWTH + GROWTH {
            self.windows.shrink_to(kept + 1);
        }
    }

    /// How many are remembered.
    #[cfg(test)]
    pub fn windows(&self) -> usize {
        self.windows.len()
    }

    /// Windows that there is memory for.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        self.windows.capacity()
    }

    /// Samples in windows before this one; none where that is forgotten.
    fn before(&self, number: u64) -> Option<u64> {
        let at = self.windows.partition_point(|(window, _)| *window < number);
        match at.checked_sub(1).and_then(|at| self.windows.get(at)) {
            Some((_, sum)) => Some(*sum),
            None => match self.forgotten {
                Some((window, sum)) => (window < number).then_some(sum),
                None => Some(0),
            },
        }
    }
}

/// A moment of which the scrubber said what it had dropped.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Of the scrubber's clock.
    pub time_ns: u64,
    dropped: u64,
    low: u64,
    high: u64,
    /// Samples up to the end of the window that is nearest,
    near: u64,
    /// and what had been dropped by then, as far as counters tell: once they went on from here, or up to here.
    dropped_near: Option<u64>,
}

impl Mark {
    /// What lies between this mark and a later one.
    const fn until(&self, later: &Self) -> Counts {
        Counts {
            dropped: later.dropped.saturating_sub(self.dropped),
            low: later.low.saturating_sub(self.high),
            high: later.high.saturating_sub(self.low),
        }
    }

    /// What had been dropped by the end of the window that is nearest, at the pace between two marks.
    fn by_the_nearest(&self, (before, now): (&Self, &Self), clocks: Clocks) -> u64 {
        let end_ns = i128::from(clocks.nearest(self.time_ns)) * i128::from(clocks.window_ns.max(1));
        let lasted = i128::from(now.time_ns.saturating_sub(before.time_ns)).max(1);
        // What lies further off than both marks are apart says nothing.
        let apart = (end_ns - i128::from(self.time_ns)).clamp(-lasted, lasted);
        let more = i128::from(now.dropped.saturating_sub(before.dropped)).saturating_mul(apart) / lasted;
        u64::try_from((i128::from(self.dropped) + more).clamp(0, i128::from(u64::MAX))).unwrap_or(u64::MAX)
    }

    /// What lies between the windows' ends nearest to two marks, one behind the other.
    fn block_until(&mut self, later: &mut Self, clocks: Clocks) -> Block {
        let marks = (*self, *later);
        let began = self.dropped_near.unwrap_or_else(|| self.by_the_nearest((&marks.0, &marks.1), clocks));
        // Never less than before: what blocks have adds up to what was dropped.
        let ended = later.by_the_nearest((&marks.0, &marks.1), clocks).max(began);
        later.dropped_near = Some(ended);
        Block { dropped: ended - began, sampled: later.near.saturating_sub(self.near) }
    }
}

/// How time is divided.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// Of our windows.
    pub window_ns: u64,
    /// By so much the scrubber's clock may differ, and a sample may come later.
    pub skew_ns: u64,
}

impl Clocks {
    /// The first window that a mark may lie in, and the first that begins behind it for sure.
    pub fn windows(&self, time_ns: u64) -> (u64, u64) {
        let length = self.window_ns.max(1);
        (time_ns.saturating_sub(self.skew_ns) / length, time_ns.saturating_add(self.skew_ns).div_ceil(length))
    }

    /// The window that begins nearest to a mark.
    fn nearest(&self, time_ns: u64) -> u64 {
        let length = self.window_ns.max(1);
        time_ns / length + u64::from(time_ns % length >= length.div_ceil(2))
    }
}

/// Evidence since the start of a day or an hour.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    number: u64,
    /// Of what came before the base.
    kept: Counts,
    base: Option<Mark>,
    all: Counts,
}

impl Stretch {
    fn add(&mut self, length_ns: u64, before: &Mark, now: &Mark, joins: bool) {
        let number = now.time_ns / length_ns;
        if number != self.number || self.base.is_none() {
            *self = Self { number, base: Some(*before), ..Self::default() };
        } else if !joins {
            (self.kept, self.base) = (self.all, Some(*before));
        }
        self.all = self.kept.with(self.base.as_ref().map_or_else(Counts::default, |base| base.until(now)));
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// What came here.
    pub history: History,
    last: Option<Mark>,
    /// The last mark ends the stretch that was counted: the next one joins.
    joined: bool,
    stretches: [Stretch; STRETCHES_NS.len()],
    /// Of this key alone.
    blocks: Blocks,
    /// When what stands here began.
    pub since_ns: Option<u64>,
}

/// What a row was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Counts; for the spread, this.
    Counted(Block),
    /// Nothing before it to compare with: the first, one behind a counter that fell, or behind windows that are not whole.
    Begins,
    /// Its time was had before.
    Repeated,
    /// What came at that time is forgotten.
    TooOld,
}

impl Account {
    /// Takes what the scrubber says. `is_whole`: whether nothing was lost here between two moments.
    pub fn take(&mut self, (time_ns, dropped): (u64, u64), clocks: Clocks, is_whole: impl FnOnce(u64, u64) -> bool) -> Taken {
        if self.last.is_some_and(|last| time_ns <= last.time_ns) {
            return Taken::Repeated;
        }
        let (first, behind) = clocks.windows(time_ns);
        let samples = [first, clocks.nearest(time_ns), behind].map(|window| self.history.before(window));
        let [Some(low), Some(near), Some(high)] = samples else {
            self.last = None;
            return Taken::TooOld;
        };
        let mut now = Mark { time_ns, dropped, low, high, near, dropped_near: None };
        let before = self.last.replace(now).filter(|before| dropped >= before.dropped && is_whole(before.time_ns, time_ns));
        let Some(mut before) = before else {
            self.joined = false;
            return Taken::Begins;
        };
        let block = before.block_until(&mut now, clocks);
        self.last = Some(now);
        self.since_ns.get_or_insert(before.time_ns);
        for (stretch, length_ns) in self.stretches.iter_mut().zip(STRETCHES_NS) {
            stretch.add(length_ns, &before, &now, self.joined);
        }
        self.joined = true;
        Taken::Counted(block)
    }

    /// Adds to its blocks.
    pub fn add_to_spread(&mut self, day: u64, block: Block, rate: (u32, f64)) {
        self.blocks.add(day, block, rate);
    }

    /// What was counted in this day, or hour, if it is still that one.
    pub fn counts(&self, stretch: usize, time_ns: u64) -> Counts {
        let of = &self.stretches[stretch];
        if of.base.is_some() && of.number == time_ns / STRETCHES_NS[stretch] { of.all } else { Counts::default() }
    }

    /// Evidence of too little spread, of this day.
    pub fn spread(&self, time_ns: u64) -> Spread {
        self.blocks.of(time_ns / STRETCHES_NS[0])
    }

    /// When the scrubber said something last.
    pub fn last_ns(&self) -> Option<u64> {
        self.last.map(|mark| mark.time_ns)
    }

    /// Of a key with this history, of which the scrubber said nothing yet.
    pub fn with(history: History) -> Self {
        Self { history, ..Self::default() }
    }

    /// Forgets what the scrubber said: another rate is compared from here on.
    pub fn begin_anew(&mut self) {
        *self = Self::with(std::mem::take(&mut self.history));
    }

    /// Evidence against a rate, of the day and of the hour.
    pub fn evidence(&self, test: &RateTest, time_ns: u64) -> [f64; 2] {
        [0, 1].map(|stretch| test.evidence(&self.counts(stretch, time_ns)))
    }
}
