//! The receiving end: takes batches of all receiving cores, and flips when all of them have passed an epoch.

use super::{Load, Message, Transfer};
use crate::arch::ring::{Consumer, Producer};
use crate::gather::Stage;
use crate::units::Epoch;

/// Batches taken from one ring before the next has its turn.
const TURN_BATCHES: usize = 16;

/// One receiving core's ring, at the worker.
pub struct Inbox {
    from: Consumer<Message>,
    back: Producer<Transfer>,
    /// Epoch that its next batches belong to, but for those of the one behind it, which come before its mark.
    at: Epoch,
    /// A batch that was taken too early: its epoch is not the next one yet.
    early: Option<Transfer>,
}

impl Inbox {
    pub(super) const fn new(from: Consumer<Message>, back: Producer<Transfer>) -> Self {
        Self { from, back, at: Epoch(0), early: None }
    }

    fn is_half_full(&self) -> bool {
        self.waits() >= self.from.buffer().capacity() / 2
    }

    /// Batches and marks that wait.
    fn waits(&self) -> usize {
        self.from.slots()
    }

    /// The next message, unless it is a batch of a later epoch than `latest`.
    fn take(&mut self, latest: Epoch) -> Option<Message> {
        match self.early.take().map(Message::Batch).or_else(|| self.from.pop().ok())? {
            Message::Batch(transfer) if transfer.epoch > latest => {
                self.early = Some(transfer);
                None
            }
            message => Some(message),
        }
    }
}

/// A worker: its rings and what it does with batches.
pub struct Worker<S> {
    inboxes: Vec<Inbox>,
    stage: S,
    at: Epoch,
    /// The epoch behind the open one, of which batches were taken already.
    ahead: Option<Epoch>,
    /// Of its rings; none where nothing is shed.
    load: Option<Load>,
}

impl<S: Stage> Worker<S> {
    /// Over these rings.
    pub const fn new(inboxes: Vec<Inbox>, stage: S) -> Self {
        Self { inboxes, stage, at: Epoch(0), ahead: None, load: None }
    }

    /// Where a ring stays half full, stats do less.
    pub fn sheds(&mut self) {
        self.load = Some(Load::of_rings());
    }

    /// Takes what waits, a bounded number; false if nothing did.
    pub fn poll(&mut self) -> bool {
        let is_full = self.inboxes.iter().any(Inbox::is_half_full);
        let waiting = self.inboxes.iter().map(Inbox::waits).max().unwrap_or(0);
        let closing = self.stage.step();
        // Of the epoch right behind the open one batches are taken before all cores have come to it, so that a ring does not
        // overflow while another core still walks. But a stage holds two epochs apart: while one still closes, what is behind
        // the open one waits in the rings, or its walk would be ended at once. A ring that is half full ends it: then the
        // reporter is too far behind.
        let waits = closing && !is_full;
        let latest = if waits { self.at } else { Epoch(self.at.0.saturating_add(1)) };
        let (mut taken, mut most) = (0, 0);
        for at in 0..self.inboxes.len() {
            let counts = !is_full || self.inboxes[at].is_half_full();
            let batches = self.take(at, latest);
            (taken, most) = (taken + batches, most.max(if counts { batches } else { 0 }));
        }
        self.judge(is_full, waiting, most);
        let busy = closing || taken > 0;
        !waits && self.flip() || busy
    }

    /// Takes batches of one ring, as many as are its turn. How many.
    fn take(&mut self, at: usize, latest: Epoch) -> usize {
        let Self { inboxes, stage, .. } = self;
        let inbox = &mut inboxes[at];
        let mut batches = 0;
        for _ in 0..TURN_BATCHES {
            if inbox.at > latest {
                break;
            }
            match inbox.take(latest) {
                Some(Message::Batch(transfer)) => {
                    if transfer.epoch > self.at {
                        self.ahead = Some(transfer.epoch);
                    }
                    stage.batch(transfer.range, transfer.epoch, &transfer.batch());
                    // The way back holds as many boxes as there are: it is never full.
                    let _ = inbox.back.push(transfer);
                    batches += 1;
                }
                // What stands behind a mark comes after the flip that it may bring, wherever turns are cut.
                Some(Message::Passed(next)) => {
                    inbox.at = next;
                    break;
                }
                None => break,
            }
        }
        batches
    }

    /// So many waited in the fullest ring, and so many were taken of one that was half full, or if none was of any.
    #[allow(clippy::cast_possible_truncation, reason = "a ring's")]
    fn judge(&mut self, is_full: bool, waiting: usize, taken: usize) {
        if let Some(level) = self.load.as_mut().and_then(|load| load.worked(is_full, waiting as u32, taken as u32)) {
            self.stage.shed(level);
        }
    }

    /// So much is shed now.
    pub fn shed_level(&self) -> u32 {
        self.load.as_ref().map_or(0, Load::level)
    }

    /// Opens the epoch that all cores have come to; first the one of which there are batches already. False if that was not
    /// to be done.
    fn flip(&mut self) -> bool {
        let passed = self.inboxes.iter().map(|inbox| inbox.at).min().unwrap_or(self.at);
        let passed = self.ahead.map_or(passed, |ahead| passed.min(ahead));
        // The last order waits until what is over has gone out in peace.
        if passed <= self.at || passed == Epoch::END && self.stage.step() {
            return false;
        }
        self.at = passed;
        self.ahead.take_if(|ahead| *ahead <= passed);
        self.stage.advance(passed);
        true
    }

    /// What it does with batches.
    pub const fn stage(&mut self) -> &mut S {
        &mut self.stage
    }

    /// The epoch that is open.
    pub const fn at(&self) -> Epoch {
        self.at
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::super::{Dispatcher, HOT_RECORDS, RING_BATCHES, lane};
    use super::*;
    use crate::gather::packed::{Batch, Form};
    use crate::units::RangeIndex;

    /// A stage that takes its time to close an epoch.
    #[derive(Default)]
    struct Slow {
        closing: u32,
        at: Epoch,
        batches: Vec<u64>,
        /// Walks that were ended at once.
        cut: u32,
    }

    impl Stage for Slow {
        fn batch(&mut self, _: RangeIndex, epoch: Epoch, _: &Batch<'_>) {
            if epoch > self.at {
                self.cut += u32::from(self.closing > 0);
                self.closing = 0;
            }
            self.batches.push(epoch.0);
        }

        fn advance(&mut self, next: Epoch) {
            self.cut += u32::from(self.closing > 0);
            (self.at, self.closing) = (next, 10);
        }

        fn step(&mut self) -> bool {
            self.closing = self.closing.saturating_sub(1);
            self.closing > 0
        }
    }

    /// Batches of the epoch behind the open one stand in the ring while the one before still closes; a full ring ends that.
    #[test]
    fn a_walk_is_ended_at_once_only_where_a_ring_fills_up() {
        for (more, cut) in [(1, false), (RING_BATCHES / 4 * 3, true)] {
            let (lane, inbox) = lane();
            let mut sender = Dispatcher::new(vec![lane], vec![1], 1, false);
            let batch = Batch { form: Form::Narrow, len: 1, words: &[], ends: None };
            let mut worker = Worker::new(vec![inbox], Slow::default());
            sender.advance(Epoch(1));
            worker.poll();
            (0..more).for_each(|_| sender.batch(RangeIndex(0), Epoch(2), &batch));
            sender.advance(Epoch(2));
            sender.advance(Epoch(3));
            (0..60).for_each(|_| _ = worker.poll());
            assert_eq!((worker.stage().cut > 0, worker.stage().batches.len()), (cut, more), "{more}");
            assert_eq!(worker.at(), Epoch(3));
        }
    }

    /// Epochs of batches, each beside the one that was open.
    #[derive(Default)]
    struct Log {
        at: Epoch,
        batches: Vec<(u64, u64)>,
    }

    impl Stage for Log {
        fn batch(&mut self, _: RangeIndex, epoch: Epoch, _: &Batch<'_>) {
            self.batches.push((self.at.0, epoch.0));
        }

        fn advance(&mut self, next: Epoch) {
            self.at = next;
        }

        fn step(&mut self) -> bool {
            false
        }
    }

    /// A batch of the next epoch stands before the mark of its own: here three epochs wait in one ring at once.
    #[test]
    fn no_batch_is_taken_two_epochs_early() {
        for slow in [false, true] {
            let (lanes, mut inboxes): (Vec<_>, Vec<_>) = (0..2).map(|_| lane()).unzip();
            let mut senders: Vec<Dispatcher> = lanes.into_iter().map(|lane| Dispatcher::new(vec![lane], vec![1], 1, true)).collect();
            let batch = Batch { form: Form::Narrow, len: 1, words: &[], ends: None };
            let sender = &mut senders[0];
            for epoch in 1..=3 {
                sender.batch(RangeIndex(0), Epoch(epoch), &batch);
                sender.advance(Epoch(epoch));
            }
            if !slow {
                inboxes.truncate(1);
            }
            let mut worker = Worker::new(inboxes, Log::default());
            (0..10).for_each(|_| _ = worker.poll());
            let early = if slow { vec![(0, 1)] } else { vec![(0, 1), (1, 2), (2, 3)] };
            assert_eq!(worker.stage().batches, early, "slow: {slow}");
            (1..=3).for_each(|epoch| senders[1].advance(Epoch(epoch)));
            (0..10).for_each(|_| _ = worker.poll());
            assert_eq!(worker.stage().batches, [(0, 1), (1, 2), (2, 3)], "slow: {slow}");
        }
    }

    /// A stage that tells how much it was told to shed.
    #[derive(Default)]
    struct Sheds {
        levels: Vec<u32>,
        batches: usize,
    }

    impl Stage for Sheds {
        fn batch(&mut self, _: RangeIndex, _: Epoch, _: &Batch<'_>) {
            self.batches += 1;
        }

        fn advance(&mut self, _: Epoch) {}

        fn step(&mut self) -> bool {
            false
        }

        fn shed(&mut self, level: u32) {
            self.levels.push(level);
        }
    }

    const RANGES: u32 = 10_000;
    #[allow(clippy::cast_possible_truncation, reason = "a few")]
    const TURN: u32 = TURN_BATCHES as u32;

    /// A receiver and a worker that sheds.
    fn pair() -> (Dispatcher, Worker<Sheds>) {
        let (lane, inbox) = lane();
        let mut worker = Worker::new(vec![inbox], Sheds::default());
        worker.sheds();
        let mut sender = Dispatcher::new(vec![lane], vec![1; RANGES as usize], RANGES as usize, false);
        sender.advance(Epoch(1));
        worker.poll();
        (sender, worker)
    }

    const BATCH: Batch<'static> = Batch { form: Form::Narrow, len: 1, words: &[], ends: None };

    /// The walk over what a window leaves gives whatever rings have room for: that is no overload, however slow the worker is.
    #[test]
    fn a_walk_is_no_overload() {
        let (mut sender, mut worker) = pair();
        let mut ranges = 0..RANGES;
        while !ranges.is_empty() {
            // As `Gather::step` does it; a few batches of what is received come between.
            while !sender.is_busy()
                && let Some(range) = ranges.next()
            {
                sender.batch(RangeIndex(range), Epoch(1), &BATCH);
            }
            (0..TURN).for_each(|range| sender.batch(RangeIndex(range), Epoch(2), &BATCH));
            assert!(!worker.inboxes[0].is_half_full());
            worker.poll();
            worker.poll();
        }
        assert_eq!((&worker.stage().levels[..], sender.losses.iter().map(super::super::Losses::total).sum::<u64>()), (&[][..], 0));
    }

    /// A ring into which more comes than goes out is one, before it runs over.
    #[test]
    fn more_than_a_worker_works_off_is_overload() {
        let (mut sender, mut worker) = pair();
        let lost = |sender: &Dispatcher| sender.losses.iter().map(super::super::Losses::total).sum::<u64>();
        while worker.stage().levels.is_empty() {
            (0..2 * TURN).for_each(|range| sender.batch(RangeIndex(range), Epoch(1), &BATCH));
            worker.poll();
            assert_eq!(lost(&sender), 0);
        }
        // What does not help is followed by more.
        for _ in 0..1_000 {
            (0..2 * TURN).for_each(|range| sender.batch(RangeIndex(range), Epoch(1), &BATCH));
            worker.poll();
        }
        assert!(lost(&sender) > 0);
        assert_eq!(worker.stage().levels, [1, 2, 3]);
    }

    /// A worker stands still. What may go to any goes to the other; what has its home there is lost.
    #[test]
    fn what_is_hot_goes_where_there_is_room() {
        let (lanes, mut inboxes): (Vec<_>, Vec<_>) = (0..2).map(|_| lane()).unzip();
        let mut worker = Worker::new(inboxes.drain(1..).collect(), Sheds::default());
        let mut sender = Dispatcher::new(lanes, vec![1; 2], 2, false);
        let lost = |sender: &Dispatcher| sender.losses.iter().map(super::super::Losses::total).sum::<u64>();
        sender.advance(Epoch(1));
        sender.batch(RangeIndex(0), Epoch(1), &BATCH);
        let batch = Batch { len: HOT_RECORDS, ..BATCH };
        for _ in 0..4 * RING_BATCHES {
            sender.batch(RangeIndex(1), Epoch(1), &batch);
            worker.poll();
        }
        (0..RING_BATCHES).for_each(|_| _ = worker.poll());
        assert_eq!((lost(&sender), worker.stage().batches), (0, 3 * RING_BATCHES + 1));
        sender.batch(RangeIndex(0), Epoch(1), &BATCH);
        assert_eq!(lost(&sender), 1);
        // Where both are full there is nobody.
        (0..2 * RING_BATCHES).for_each(|_| sender.batch(RangeIndex(1), Epoch(1), &batch));
        assert_eq!(lost(&sender), 1 + (RING_BATCHES * HOT_RECORDS) as u64);
    }
}
