//! A generation on its way to one core, and the old one on its way back.
//!
//! The control builds everything that a core will need, puts it into the core's mailbox and waits until all cores have
//! taken theirs; then it decides from which epoch on it counts ([`Start`]). A core looks into its mailbox now and then,
//! keeps what is coming beside what it uses, and exchanges the two when it turns to that epoch. What it no longer needs it
//! sends back, so that memory is freed off the data path. Nothing here waits, allocates or locks.

use std::sync::Arc;

use super::start::Start;
use crate::arch::ring::{Consumer, Producer, PushError, RingBuffer};
use crate::units::Epoch;

/// Of one generation more than one is never on its way, but what was revoked and what was replaced may both travel back.
const RING: usize = 4;

/// The core's end.
pub struct Coming<T> {
    next: Option<(Arc<Start>, T)>,
    /// Of the one that was begun or revoked: goes back too, for this core may be the last to hold it.
    start: Option<Arc<Start>>,
    /// Found no room on its way back yet.
    spent: Option<Spent<T>>,
    ends: Option<Ends<T>>,
}

/// What is to be freed.
type Spent<T> = (Option<Arc<Start>>, T);

/// The mailbox, and the way back.
struct Ends<T> {
    from: Consumer<(Arc<Start>, T)>,
    back: Producer<Spent<T>>,
}

/// The control's end.
pub struct Control<T> {
    to: Producer<(Arc<Start>, T)>,
    back: Consumer<Spent<T>>,
    /// How many are with the core, or on their way.
    out: usize,
}

impl<T> Default for Coming<T> {
    fn default() -> Self {
        Self { next: None, start: None, spent: None, ends: None }
    }
}

impl<T> Coming<T> {
    /// Makes the control's end. Until then nothing can come.
    pub fn control(&mut self) -> Control<T> {
        let (to, from) = RingBuffer::new(RING);
        let (give_back, back) = RingBuffer::new(RING);
        self.ends = Some(Ends { from, back: give_back });
        Control { to, back, out: 0 }
    }

    /// Looks into the mailbox; cheap where there is nothing. `at`: the epoch that a receiving core stands in.
    pub fn look(&mut self, at: Option<Epoch>) {
        if self.next.as_ref().is_some_and(|(start, _)| start.is_revoked()) {
            let revoked = self.take();
            self.give_back(revoked);
        }
        self.give_back(None);
        if self.next.is_some() || self.spent.is_some() {
            return;
        }
        let Some((start, next)) = self.ends.as_mut().and_then(|ends| ends.from.pop().ok()) else { return };
        if let Some(epoch) = at {
            start.turn(epoch);
        }
        start.hold();
        self.next = Some((start, next));
    }

    /// A receiving core turns to `epoch`: what it uses from now on, if that is something else.
    pub fn turn(&mut self, epoch: Epoch) -> Option<T> {
        if self.next.as_ref().is_some_and(|(start, _)| start.turn(epoch)) { self.take() } else { None }
    }

    fn take(&mut self) -> Option<T> {
        let (start, next) = self.next.take()?;
        self.start = Some(start);
        Some(next)
    }

    /// What comes, if it counts in `epoch`, of which this core was sent something.
    #[inline]
    pub fn of(&self, epoch: Epoch) -> Option<&T> {
        self.next.as_ref().filter(|(start, _)| start.counts(epoch)).map(|(_, next)| next)
    }

    /// See [`Self::of`].
    #[inline]
    pub fn of_mut(&mut self, epoch: Epoch) -> Option<&mut T> {
        self.next.as_mut().filter(|(start, _)| start.counts(epoch)).map(|(_, next)| next)
    }

    /// All before `epoch` is over here: what is used from now on, if that is something else.
    pub fn follow(&mut self, epoch: Epoch) -> Option<T> {
        if self.awaits(epoch) { self.take() } else { None }
    }

    /// Whether [`Self::follow`] has something for this epoch.
    pub fn awaits(&self, epoch: Epoch) -> bool {
        self.next.as_ref().is_some_and(|(start, _)| start.counts(epoch))
    }

    /// Sends back what is no longer used.
    pub fn give_back(&mut self, old: Option<T>) {
        // Never both: nothing is taken from the mailbox while something waits to go back.
        if let Some(old) = old {
            self.spent = Some((self.start.take(), old));
        }
        if let (Some(old), Some(ends)) = (self.spent.take(), self.ends.as_mut()) {
            self.spent = ends.back.push(old).err().map(|PushError::Full(old)| old);
        }
    }
}

impl<T> Control<T> {
    /// Sends a generation to the core. False, and nothing was sent, if the mailbox is full: the core has not looked.
    pub fn send(&mut self, start: &Arc<Start>, next: T) -> bool {
        let sent = self.to.push((Arc::clone(start), next)).is_ok();
        self.out += usize::from(sent);
        sent
    }

    /// Frees what came back. True if the core has and awaits nothing beside what it uses.
    pub fn collect(&mut self) -> bool {
        while let Ok(old) = self.back.pop() {
            drop(old);
            self.out = self.out.saturating_sub(1);
        }
        self.out == 0
    }

    /// Whether the core is gone.
    pub fn is_abandoned(&self) -> bool {
        self.to.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_one_goes() {
        let (mut core, mut used) = (Coming::default(), 1);
        let mut control = core.control();
        for n in 2..100_u64 {
            let start = Arc::new(Start::new());
            assert!(control.send(&start, n) && !control.collect());
            core.look(Some(Epoch(10 * n)));
            assert_eq!((start.holders(), core.turn(Epoch(10 * n + 1)), core.of(Epoch(u64::MAX / 2))), (1, None, None));
            let first = start.decide(|floor| Epoch(floor.0 + 2)).unwrap();
            assert_eq!(first, Epoch(10 * n + 3));
            if n.is_multiple_of(3) {
                assert!(start.revoke() && core.turn(first).is_none());
                core.look(None);
            } else {
                let next = core.turn(first).unwrap();
                core.give_back(Some(std::mem::replace(&mut used, next)));
                assert_eq!(used, n);
            }
            assert!(control.collect());
        }
    }

    /// Whoever was the last to hold something: it is freed by the control.
    #[test]
    fn nothing_is_freed_on_the_core() {
        for revoked in [false, true] {
            let mut core = Coming::default();
            let mut control = core.control();
            let start = Arc::new(Start::new());
            let held = Arc::downgrade(&start);
            assert!(control.send(&start, Box::new(2)));
            core.look(Some(Epoch(1)));
            let first = start.decide(|floor| Epoch(floor.0 + 1)).unwrap();
            assert_eq!(revoked, revoked && start.revoke());
            drop(start);
            core.look(None);
            let next = core.turn(first);
            assert_eq!(next.is_none(), revoked);
            core.give_back(next);
            assert!(held.upgrade().is_some() && control.collect() && held.upgrade().is_none());
        }
    }

    #[test]
    fn who_only_follows_sees_it_when_it_has_started() {
        let mut core = Coming::default();
        let mut control = core.control();
        let start = Arc::new(Start::new());
        assert!(control.send(&start, "new"));
        core.look(None);
        start.decide(|_| Epoch(5)).unwrap();
        assert!(core.of(Epoch(5)).is_none() && start.turn(Epoch(6)));
        assert!(core.of(Epoch(4)).is_none() && core.of(Epoch(5)) == Some(&"new") && core.of_mut(Epoch(9)).is_some());
        assert!(core.follow(Epoch(4)).is_none() && core.follow(Epoch(5)) == Some("new") && !control.collect());
        core.give_back(Some("old"));
        assert!(control.collect() && !control.is_abandoned());
    }
}
