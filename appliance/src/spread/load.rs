//! Whether a core has more to do than it can, told by what waits for it, and how much less it does then.
//!
//! A poll that takes all that it may says that more waits. One such poll says nothing: frames come in bunches. As many in a
//! row as fill a queue twice say that this core does not keep up; then it does less, and if that does not help, less again. When
//! most polls leave nothing behind, it does more again, a level at a time; where that was too soon, it waits longer the next
//! time. No clock is read for it.

/// Levels: at level n stats that may leave records out look at one in 2^n.
pub const SHED_LEVELS: u32 = 3;
/// Full polls, less those that were not, after which a core does less: as many as fill a queue of 1,024 frames twice.
const RAISE_POLLS: u32 = 32;
/// After so many polls of which half were not full a core does more again;
const CALM_POLLS: u32 = 4_096;
/// and after so many times that where it was too soon before.
const CALM_TIMES_MAX: u32 = 64;
/// A stretch without any full poll counts as so many.
const QUIET_TIMES: u32 = 16;
/// It was too soon if the core does less again within so many such stretches.
const TOO_SOON: u32 = 2;

/// See the module. One for each core whose work can be shed.
#[derive(Debug, Default)]
pub struct Load {
    level: u32,
    /// Full polls, less those that were not.
    behind: u32,
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
    /// A poll took all that it may, or not. A level, where that changes.
    #[inline]
    pub fn polled(&mut self, is_full: bool) -> Option<u32> {
        self.polls += 1;
        if is_full {
            (self.full, self.behind) = (self.full + 1, self.behind + 1);
            if self.behind >= RAISE_POLLS {
                return self.raise();
            }
        } else {
            self.behind = self.behind.saturating_sub(1);
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
        *self = Self { level, calm_times: self.calm_times, lowered, ..Self::default() };
        changes.then_some(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polls(load: &mut Load, n: u32, is_full: impl Fn(u32) -> bool) -> Vec<u32> {
        (0..n).filter_map(|i| load.polled(is_full(i))).collect()
    }

    #[test]
    fn bunches_are_no_overload_and_a_queue_that_stays_full_is() {
        let mut load = Load::default();
        assert!(polls(&mut load, 100_000, |i| i % 32 < 16).is_empty());
        assert!(polls(&mut load, 20, |_| true).is_empty(), "whoever was away for a moment finds a bunch");
        assert!(polls(&mut load, 100, |_| false).is_empty());
        assert_eq!(polls(&mut load, RAISE_POLLS * 5, |_| true), [1, 2, 3]);
        assert_eq!(load.level(), SHED_LEVELS);
    }

    #[test]
    fn it_recovers_by_itself_a_level_at_a_time() {
        let mut load = Load::default();
        polls(&mut load, RAISE_POLLS * 3, |_| true);
        assert_eq!(polls(&mut load, CALM_POLLS * 3, |i| i % 4 == 0), [2, 1, 0]);
        assert!(polls(&mut load, CALM_POLLS * 10, |i| i % 4 == 0).is_empty());
    }

    /// A load that one level carries and none does not: it is tried ever less often.
    #[test]
    fn it_does_not_swing() {
        let mut load = Load::default();
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
