//! Whether a core has more to do than it can, told by what waits for it, and how much less it does then.
//!
//! A poll that takes all that it may says that more waits. One such poll says nothing: frames come in bunches. As many in a
//! row as take half a queue say that this core does not keep up; then it does less, and if that does not help, less again. What
//! waits behind a pause of the core is what came meanwhile, not more than it can do: such polls do not count until they are too
//! many for that. Of a worker batches count that it takes of a ring which stays half full, unless less and less waits there.
//!
//! When most polls leave nothing behind, it does more again, a level at a time; where that was too soon, it waits longer the next
//! time. No clock is read for it.

use super::RING_BATCHES;
use crate::limits::BURST_FRAMES_MAX;

/// Levels: at level n stats that may leave records out look at one in 2^n.
pub const SHED_LEVELS: u32 = 3;
/// Full polls, less those that were not, after which a core does less, and twice as many at each level: half of a queue of 1,024
/// frames. Where twice as much comes as goes, as many more wait by then, and the second level comes before the queue is full.
#[allow(clippy::cast_possible_truncation, reason = "a few")]
const RAISE_POLLS: u32 = 512 / BURST_FRAMES_MAX as u32;
/// Batches of rings that are half full, less those of others, after which a worker does less, and twice as many at each level: half
/// of the room that is left then. Where twice as much comes as goes, as many more wait by then.
#[allow(clippy::cast_possible_truncation, reason = "a few")]
const RAISE_BATCHES: u32 = RING_BATCHES as u32 / 4;
/// Full polls behind a pause that do not count, at most: so many a full queue of 1,024 takes where half as much comes as goes,
#[allow(clippy::cast_possible_truncation, reason = "a few")]
const EXCUSED_POLLS: u32 = 2 * 1_024 / BURST_FRAMES_MAX as u32;
/// and of a shorter pause one for each so many nanoseconds: twice what comes in them at five million frames a second.
const EXCUSED_POLL_NS: u64 = 12_500;
/// Where a ring has less, by more than a part of what was taken of it meanwhile, a bunch is worked off: a quarter, since what comes
/// comes unevenly.
const EBBS: u32 = 4;
/// After so many polls of which half were not full a core does more again;
const CALM_POLLS: u32 = 4_096;
/// and after so many times that where it was too soon before.
const CALM_TIMES_MAX: u32 = 64;
/// A stretch without any full poll counts as so many.
const QUIET_TIMES: u32 = 16;
/// It was too soon if the core does less again within so many such stretches.
const TOO_SOON: u32 = 2;

/// Polls that may bring only a part of a burst, since the core is late with a window: as many as make a burst count as one poll, which
/// took all that it may if each of them did.
#[derive(Debug, Default)]
pub struct SmallPolls {
    /// That they may have brought.
    frames: usize,
    /// One left nothing behind.
    was_short: bool,
}

impl SmallPolls {
    /// A poll took all of so many frames that it may take, or not. What is to be counted, if anything is.
    #[inline]
    pub fn polled(&mut self, frames_max: usize, is_full: bool) -> Option<bool> {
        if frames_max >= BURST_FRAMES_MAX {
            *self = Self::default();
            return Some(is_full);
        }
        self.frames += frames_max;
        self.was_short |= !is_full;
        (self.frames >= BURST_FRAMES_MAX).then(|| !std::mem::take(self).was_short)
    }
}

/// See the module. One for each core whose work can be shed.
#[derive(Debug)]
pub struct Load {
    /// What makes it do less at level 0.
    raise: u32,
    level: u32,
    /// Full polls, less those that were not; or batches.
    behind: u32,
    /// Batches that waited when that began.
    waited: u32,
    /// Full polls to come that do not count.
    excused: u32,
    /// The last poll took all that it may.
    was_full: bool,
    /// Polls since the level was last looked at, and full ones among them.
    polls: u32,
    full: u32,
    /// Calm stretches since the level last changed, and how many it takes; 0 stands for 1.
    calm: u32,
    calm_times: u32,
    /// The level was lowered last.
    lowered: bool,
}

impl Load {
    /// Of a core that polls queues.
    pub const fn of_queues() -> Self {
        Self::at(RAISE_POLLS)
    }

    /// Of a worker.
    pub const fn of_rings() -> Self {
        Self::at(RAISE_BATCHES)
    }

    const fn at(raise: u32) -> Self {
        let (level, behind, waited, excused, polls, full) = (0, 0, 0, 0, 0, 0);
        Self { raise, level, behind, waited, excused, was_full: false, polls, full, calm: 0, calm_times: 0, lowered: false }
    }

    /// A poll took all that it may, or not. A level, where that changes.
    #[inline]
    pub fn polled(&mut self, is_full: bool) -> Option<u32> {
        let counts = self.excused == 0 || !is_full;
        self.excused = if counts { 0 } else { self.excused - 1 };
        self.was_full = is_full;
        self.count(is_full, u32::from(counts))
    }

    /// The core did not poll for so long, which is more than its work takes: what waits now came meanwhile. A core that left something
    /// behind at its last poll has no such excuse, nor one that was behind before.
    #[allow(clippy::cast_possible_truncation, reason = "a few")]
    pub fn was_away(&mut self, away_ns: u64) {
        if !self.was_full && self.behind == 0 {
            self.excused = (away_ns / EXCUSED_POLL_NS).min(u64::from(EXCUSED_POLLS)) as u32;
        }
    }

    /// A worker took so many batches of a ring in which so many had waited: of the fullest, if that was half full. A level, where
    /// that changes.
    #[inline]
    pub fn worked(&mut self, is_full: bool, waits: u32, batches: u32) -> Option<u32> {
        if !is_full {
            return self.count(false, batches.max(1));
        }
        if self.behind == 0 {
            self.waited = waits;
        }
        let most = self.raise << self.level;
        if self.behind + batches >= most && waits + most / EBBS < self.waited {
            self.behind = 0;
            return self.count(true, 0);
        }
        self.count(true, batches)
    }

    #[inline]
    fn count(&mut self, is_full: bool, by: u32) -> Option<u32> {
        self.polls += 1;
        if is_full {
            (self.full, self.behind) = (self.full + 1, self.behind + by);
            if self.behind >= self.raise << self.level {
                return self.raise();
            }
        } else {
            self.behind = self.behind.saturating_sub(by);
        }
        if self.polls < CALM_POLLS { None } else { self.look() }
    }

    /// So much is shed now.
    pub const fn level(&self) -> u32 {
        self.level
    }

    #[cold]
    fn raise(&mut self) -> Option<u32> {
        if self.lowered && self.calm < TOO_SOON {
            self.calm_times = (2 * self.calm_times.max(1)).min(CALM_TIMES_MAX);
        }
        self.turn_to((self.level + 1).min(SHED_LEVELS), false)
    }

    #[cold]
    fn look(&mut self) -> Option<u32> {
        let more = if self.full == 0 { QUIET_TIMES } else { u32::from(2 * self.full <= self.polls) };
        (self.polls, self.full) = (0, 0);
        self.calm = if more > 0 { self.calm.saturating_add(more) } else { 0 };
        if self.calm < self.calm_times.max(1) {
            return None;
        }
        if self.level == 0 {
            // It has been long enough: the next time it may be tried sooner.
            self.calm_times /= 2;
            (self.calm, self.lowered) = (0, false);
            return None;
        }
        self.turn_to(self.level - 1, true)
    }

    fn turn_to(&mut self, level: u32, lowered: bool) -> Option<u32> {
        let changes = level != self.level;
        *self = Self { level, calm_times: self.calm_times, lowered, was_full: self.was_full, ..Self::at(self.raise) };
        changes.then_some(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BURST_FRAMES_LATE;

    fn polls(load: &mut Load, n: u32, is_full: impl Fn(u32) -> bool) -> Vec<u32> {
        (0..n).filter_map(|i| load.polled(is_full(i))).collect()
    }

    #[test]
    fn bunches_are_no_overload_and_a_queue_that_stays_full_is() {
        let mut load = Load::of_queues();
        assert!(polls(&mut load, 100_000, |i| i % 14 < 7).is_empty());
        assert_eq!(polls(&mut load, RAISE_POLLS * (1 + 2 + 4 + 8), |_| true), [1, 2, 3]);
        assert_eq!(load.level(), SHED_LEVELS);
    }

    /// A core that is late takes a burst in several polls: the queue is as full behind them as it would be behind one.
    #[test]
    fn small_polls_count_by_their_frames() {
        for frames_max in [BURST_FRAMES_LATE, BURST_FRAMES_MAX] {
            let (mut load, mut small, mut frames) = (Load::of_queues(), SmallPolls::default(), 0);
            while load.level() == 0 {
                frames += frames_max;
                if let Some(is_full) = small.polled(frames_max, true) {
                    load.polled(is_full);
                }
            }
            assert_eq!(frames, 512, "{frames_max}");
        }
        let mut small = SmallPolls::default();
        let mut polled = |short: usize| (0..8).filter_map(|at| small.polled(BURST_FRAMES_LATE, at != short)).collect::<Vec<_>>();
        // One that left nothing behind is enough.
        assert_eq!([3, 8, 7, 8].map(&mut polled), [[false], [true], [false], [true]]);
        // What it took while it was late is no part of what comes behind.
        assert_eq!([small.polled(BURST_FRAMES_LATE, false), small.polled(BURST_FRAMES_MAX, true)], [None, Some(true)]);
        assert!((0..7).all(|_| small.polled(BURST_FRAMES_LATE, true).is_none()));
    }

    /// Twice as much comes as goes, and top-K is three quarters of the work, so that at level 1 five eighths are left, then less: no
    /// queue of 1,024 runs over.
    #[test]
    fn where_work_can_be_shed_a_queue_does_not_run_over() {
        let (mut load, mut waits) = (Load::of_queues(), 0.0);
        for _ in 0..100_000 {
            let taken = f64::min(waits, 64.0);
            waits += 128.0 * taken.max(1.0) / 64.0 * [1.0, 0.625, 0.4375, 0.34375][load.level() as usize] - taken;
            assert!(waits < 1_024.0, "{load:?}");
            load.polled(taken >= 64.0);
        }
        assert!(load.level() >= 2, "{load:?}");
    }

    #[test]
    fn a_nap_excuses_little() {
        let mut load = Load::of_queues();
        load.was_away(100_000);
        assert!(polls(&mut load, 8 + RAISE_POLLS - 1, |_| true).is_empty());
        assert_eq!(load.polled(true), Some(1));
    }

    #[test]
    fn whoever_was_away_for_a_moment_finds_a_bunch() {
        let mut load = Load::of_queues();
        for _ in 0..100 {
            load.was_away(1_000_000);
            assert!(polls(&mut load, EXCUSED_POLLS + RAISE_POLLS - 1, |_| true).is_empty());
            assert!(polls(&mut load, RAISE_POLLS, |_| false).is_empty());
        }
        // Who is away again and again and never has time between is no better than who is always there.
        for between in [1, 2, 8, 10, 32, 64] {
            let (mut load, mut levels) = (Load::of_queues(), Vec::new());
            for _ in 0..400 / between {
                load.was_away(1_000_000);
                levels.extend(polls(&mut load, between, |_| true));
            }
            assert_eq!(levels, [1, 2, 3], "{between} polls between");
        }
    }

    /// Where a worker takes 16 batches a turn, and so many come meanwhile: the levels, and the most that waited.
    fn turns(load: &mut Load, n: u32, waits: &mut u32, comes: impl Fn(u32) -> u32) -> (Vec<u32>, u32) {
        let (mut levels, mut most) = (Vec::new(), *waits);
        for _ in 0..n {
            let taken = (*waits).min(16);
            levels.extend(load.worked(*waits >= 132, *waits, taken));
            *waits = *waits - taken + comes(load.level());
            most = most.max(*waits);
        }
        (levels, most)
    }

    #[test]
    fn a_ring_that_fills_up_is_overload_before_it_is_full() {
        let (mut load, mut waits) = (Load::of_rings(), 0);
        // Twice the load, of which each level leaves less.
        let (levels, most) = turns(&mut load, 2_000, &mut waits, |level| [32, 20, 14, 11][level as usize]);
        assert!(levels.starts_with(&[1, 2]) && most <= 256, "{levels:?}, {most}");
    }

    #[test]
    fn a_ring_that_empties_is_none() {
        for (waits, comes) in [(256, 0), (256, 4), (256, 8), (180, 8)] {
            let (mut load, mut waits) = (Load::of_rings(), waits);
            assert_eq!(turns(&mut load, 2_000, &mut waits, |_| comes).0, [0; 0], "{comes}");
        }
        // A bunch that comes at once, again and again, and is gone before the next.
        let mut load = Load::of_rings();
        for _ in 0..1_000 {
            let mut waits = 200;
            assert_eq!(turns(&mut load, 20, &mut waits, |_| 0).0, [0; 0]);
        }
        // One that stays full is.
        let (mut load, mut waits) = (Load::of_rings(), 250);
        assert_eq!(turns(&mut load, 100, &mut waits, |_| 16).0, [1, 2, 3]);
        // Also where what comes comes every other turn.
        let mut load = Load::of_rings();
        let levels: Vec<u32> = (0..100).filter_map(|turn| load.worked(true, 256 - 16 * (turn % 2), 16)).collect();
        assert_eq!(levels, [1, 2, 3]);
        // What cannot be taken yet is no work.
        let mut load = Load::of_rings();
        assert!((0..1_000).all(|_| load.worked(true, 200, 0).is_none()));
    }

    #[test]
    fn it_recovers_by_itself_a_level_at_a_time() {
        let mut load = Load::of_queues();
        polls(&mut load, RAISE_POLLS * (1 + 2 + 4), |_| true);
        assert_eq!(polls(&mut load, CALM_POLLS * 3, |i| i % 4 == 0), [2, 1, 0]);
        assert!(polls(&mut load, CALM_POLLS * 10, |i| i % 4 == 0).is_empty());
    }

    /// A load that one level carries and none does not: it is tried ever less often.
    #[test]
    fn it_does_not_swing() {
        let mut load = Load::of_queues();
        let mut changes = 0;
        for i in 0..CALM_POLLS * 200 {
            let is_full = load.level() == 0 || i % 3 == 0;
            changes += u32::from(load.polled(is_full).is_some());
        }
        assert!((4..=20).contains(&changes), "{changes}");
        // Once the load is gone it is soon whole, and what was learnt is forgotten.
        polls(&mut load, CALM_POLLS * CALM_TIMES_MAX * 10, |_| false);
        assert_eq!((load.level(), load.calm_times), (0, 0));
    }
}
