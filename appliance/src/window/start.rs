//! From which epoch on a generation counts: one word, on which all receiving cores and the control agree.
//!
//! Every core must use the same generation for the same window, yet cores turn to a new epoch when their own queue tells
//! them to, and nobody waits for anybody. A moment chosen "far enough ahead" would be right only as long as nobody is held
//! up. So the decision is made on the word itself, by compare-and-swap:
//!
//! - **undecided**: the word holds a *floor*. A core that turns to an epoch while nothing is decided raises the floor to
//!   it: it says that it has gone there with the old generation.
//! - **decided**: the control has put the first epoch of a long window there, above the floor that it replaced. A core
//!   that turned to this epoch or a later one before would have raised the floor, and the swap would have failed. So no core
//!   can have passed it, and each that turns to it from now on reads it. There is nothing to verify afterwards.
//! - **started**: a core has turned to it.
//! - **revoked**: the control has taken it back, for something newer. A core cannot start what was revoked, and the control
//!   cannot revoke what was started: both swap the same word.
//!
//! That holds once every core has the generation and has raised the floor to where it stood. How many have is counted
//! beside the word ([`Start::hold`]); the control decides when all have. Whoever is handed batches or blocks of an epoch
//! (a worker, the reporter) need not vote: a core that started the generation did so before it sent them.
//!
//! A core's part is one load, and while nothing is decided one swap, once an epoch. It repeats a swap only when another
//! has moved the word on: each moves it at most once an epoch, so it is bounded by the number of cores.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::units::Epoch;

/// See the module.
#[derive(Debug, Default)]
pub struct Start {
    /// State in the two highest bits, an epoch in the others.
    word: AtomicU64,
    holders: AtomicU32,
}

const UNDECIDED: u64 = 0;
const DECIDED: u64 = 1;
const STARTED: u64 = 2;
const REVOKED: u64 = 3;
const STATE_SHIFT: u32 = 62;
/// Epochs fit: those of a window of a millisecond, for 64 bits of nanoseconds, take 45 bits; beyond stands the last.
const EPOCH: u64 = (1 << STATE_SHIFT) - 1;

const fn word(state: u64, epoch: Epoch) -> u64 {
    let number = if epoch.0 < EPOCH { epoch.0 } else { EPOCH };
    state << STATE_SHIFT | number
}

const fn parts(word: u64) -> (u64, Epoch) {
    let number = word & EPOCH;
    (word >> STATE_SHIFT, if number == EPOCH { Epoch::END } else { Epoch(number) })
}

impl Start {
    /// Undecided.
    pub fn new() -> Self {
        Self::default()
    }

    /// A core has the generation.
    pub fn hold(&self) {
        self.holders.fetch_add(1, Ordering::Release);
    }

    /// How many have it.
    pub fn holders(&self) -> usize {
        self.holders.load(Ordering::Acquire) as usize
    }

    /// A receiving core turns to `epoch`, or stands in it: whether the generation counts there. If that is undecided, it
    /// will not.
    pub fn turn(&self, epoch: Epoch) -> bool {
        let mut seen = self.word.load(Ordering::Acquire);
        loop {
            let next = match parts(seen) {
                (UNDECIDED, floor) if floor < epoch => word(UNDECIDED, epoch),
                (DECIDED, first) if first <= epoch => word(STARTED, first),
                (STARTED, first) => return first <= epoch,
                _ => return false,
            };
            match self.word.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return parts(next).0 == STARTED,
                Err(now) => seen = now,
            }
        }
    }

    /// Whether it counts in `epoch`, of which a receiving core has sent something.
    pub fn counts(&self, epoch: Epoch) -> bool {
        let (state, first) = parts(self.word.load(Ordering::Acquire));
        state == STARTED && first <= epoch
    }

    /// Whether it counts somewhere.
    pub fn is_started(&self) -> bool {
        parts(self.word.load(Ordering::Acquire)).0 == STARTED
    }

    /// Whether it will never count.
    pub fn is_revoked(&self) -> bool {
        parts(self.word.load(Ordering::Acquire)).0 == REVOKED
    }

    /// Decides for the epoch that `after` gives for the floor, which must be above it; none if cores have ended.
    pub fn decide(&self, after: impl Fn(Epoch) -> Epoch) -> Option<Epoch> {
        let mut seen = self.word.load(Ordering::Acquire);
        loop {
            let (state, floor) = parts(seen);
            let first = after(floor);
            if state != UNDECIDED || floor == Epoch::END || first <= floor {
                return None;
            }
            match self.word.compare_exchange(seen, word(DECIDED, first), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(first),
                Err(now) => seen = now,
            }
        }
    }

    /// Takes it back; false if it has started.
    pub fn revoke(&self) -> bool {
        let mut seen = self.word.load(Ordering::Acquire);
        loop {
            let (state, epoch) = parts(seen);
            match state {
                STARTED => return false,
                REVOKED => return true,
                _ => {}
            }
            match self.word.compare_exchange(seen, word(REVOKED, epoch), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn after(floor: Epoch) -> Epoch {
        Epoch(floor.0 / 10 * 10 + 10)
    }

    #[test]
    fn what_was_passed_undecided_stays_with_the_old() {
        let start = Start::new();
        assert!(!start.turn(Epoch(7)) && !start.turn(Epoch(13)) && !start.turn(Epoch(9)));
        assert_eq!(start.decide(after), Some(Epoch(20)));
        assert_eq!(start.decide(after), None, "decided once");
        assert!(!start.turn(Epoch(19)) && !start.counts(Epoch(20)) && !start.is_started());
        assert!(start.turn(Epoch(25)) && start.turn(Epoch(20)) && !start.turn(Epoch(19)), "whoever comes first");
        assert!(start.counts(Epoch(20)) && !start.counts(Epoch(19)) && !start.revoke());
    }

    #[test]
    fn what_is_revoked_never_starts() {
        let start = Start::new();
        assert_eq!(start.decide(after), Some(Epoch(10)));
        assert!(start.revoke() && start.revoke() && start.is_revoked());
        assert!(!start.turn(Epoch(10)) && !start.counts(Epoch(10)) && start.decide(after).is_none());
    }

    #[test]
    fn cores_that_have_ended_decide_nothing_more() {
        let start = Start::new();
        assert!(!start.turn(Epoch::END));
        assert_eq!(start.decide(after), None);
        let decided = Start::new();
        assert!(decided.decide(after).is_some() && decided.turn(Epoch::END));
    }

    /// Cores that run through epochs while a decision is made: all change at the same one.
    #[test]
    fn all_cores_agree() {
        for round in 0..300_u64 {
            let start = Start::new();
            let first_with = |core: u64| {
                let epochs = (1..400).filter(|epoch| !(epoch + core * 3).is_multiple_of(core + 2));
                let turns: Vec<(u64, bool)> = epochs.map(|epoch| (epoch, start.turn(Epoch(epoch)))).collect();
                turns
            };
            let (all, first) = std::thread::scope(|scope| {
                let cores: Vec<_> = (0..3).map(|core| scope.spawn(move || first_with(core))).collect();
                (0..round * 20).for_each(|_| std::hint::spin_loop());
                let first = start.decide(after);
                (cores.into_iter().map(|core| core.join().unwrap()).collect::<Vec<_>>(), first.unwrap())
            });
            for (epoch, with) in all.into_iter().flatten() {
                assert_eq!(with, epoch >= first.0, "{epoch}, decided for {first:?}");
            }
        }
    }
}
