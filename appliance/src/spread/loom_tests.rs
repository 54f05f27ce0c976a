//! Batches and marks over rings, in every order that two or three cores can meet: `bash scripts/loom`.
//!
//! [`Lane`], [`Dispatcher`] and [`Worker`] are the real ones, over rings of one batch and one mark (of two marks where two send, so
//! that nobody spins: loom would go through every number of turns).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

use loom::thread;

use super::*;

const RANGES: usize = 1;

/// Checks what a worker gives its stage.
#[derive(Default)]
struct Log {
    at: Epoch,
    /// Sender and number of each batch, in its only word; and its epoch.
    batches: Vec<(u64, u64)>,
}

impl Stage for Log {
    fn batch(&mut self, _: RangeIndex, epoch: Epoch, batch: &Batch<'_>) {
        // No block mixes windows: a batch is of the open epoch or, while that one's walk goes on, of the next.
        assert!(self.at <= epoch && epoch.0 <= self.at.0 + 1, "a batch of {epoch:?} in {:?}", self.at);
        self.batches.extend(batch.words.iter().map(|number| (*number, epoch.0)));
    }

    fn advance(&mut self, next: Epoch) {
        assert!(next > self.at, "{next:?} after {:?}", self.at);
        self.at = next;
    }

    fn step(&mut self) -> bool {
        false
    }
}

/// Sends batches by number and epoch, then the end. Gives what was lost, and the lane.
fn send(lane: Lane, sender: u64, batches: &[(u64, u64)], waits: bool) -> (u64, Lane) {
    let mut dispatcher = Dispatcher::new(vec![lane], vec![1; RANGES], RANGES, waits);
    let mut at = 0;
    for (number, epoch) in batches {
        // A batch of the next epoch comes before the mark if its number is odd.
        if *epoch > at && number % 2 == 0 {
            at = *epoch;
            dispatcher.advance(Epoch(at));
        }
        let words = [10 * sender + number];
        dispatcher.batch(RangeIndex(0), Epoch(*epoch), &Batch { form: Form::Narrow, len: 1, words: &words, ends: None });
    }
    dispatcher.advance(Epoch::END);
    let mut lost = 0;
    dispatcher.losses(&mut |told| lost += told.ranges.iter().map(|(_, records)| records[Cause::Ring as usize]).sum::<u64>());
    (lost, dispatcher.lanes.remove(0))
}

impl Lane {
    /// Boxes that are here or on their way back, once the worker is gone.
    fn boxes(mut self) -> usize {
        std::iter::from_fn(|| self.back.pop().ok()).count() + self.spare.len()
    }
}

/// The same where an epoch takes two steps to close, which nothing may end at once.
#[derive(Default)]
struct Slow {
    log: Log,
    closing: u32,
}

impl Stage for Slow {
    fn batch(&mut self, range: RangeIndex, epoch: Epoch, batch: &Batch<'_>) {
        assert!(epoch == self.log.at || self.closing == 0, "a batch of {epoch:?} while what is before {:?} still closes", self.log.at);
        self.log.batch(range, epoch, batch);
    }

    fn advance(&mut self, next: Epoch) {
        assert_eq!(self.closing, 0, "{next:?} is opened while what is before {:?} still closes", self.log.at);
        self.closing = 2;
        self.log.advance(next);
    }

    fn step(&mut self) -> bool {
        self.closing = self.closing.saturating_sub(1);
        self.closing > 0
    }
}

fn work<S: Stage + Default>(inboxes: Vec<Inbox>) -> S {
    let mut worker = Worker::new(inboxes, S::default());
    while worker.at() != Epoch::END {
        if !worker.poll() {
            thread::yield_now();
        }
    }
    std::mem::take(worker.stage())
}

/// Every order within so many preemptions.
fn model(preemptions: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(check);
}

fn one_sender(waits: bool) {
    const BATCHES: [(u64, u64); 4] = [(0, 0), (1, 0), (3, 1), (4, 1)];
    let (lane, inbox) = lane_of(1, 1);
    let sender = thread::spawn(move || send(lane, 0, &BATCHES, waits));
    let log: Log = work(vec![inbox]);
    let (lost, lane) = sender.join().unwrap();
    assert_eq!(log.batches.len() as u64 + lost, 4, "each record is counted or told as lost");
    assert!(!waits || lost == 0, "who waits loses nothing");
    assert!(log.batches.is_sorted(), "in the order in which they were sent");
    assert_eq!(lane.boxes(), 1, "no box is lost or doubled");
}

#[test]
fn a_batch_is_counted_once_or_told_as_lost() {
    model(4, || one_sender(false));
}

#[test]
fn a_sender_that_waits_loses_nothing() {
    model(3, || one_sender(true));
}

/// While a ring is not half full.
#[test]
fn a_walk_is_never_ended_at_once() {
    model(3, || {
        const BATCHES: [(u64, u64); 4] = [(0, 0), (2, 1), (3, 2), (4, 2)];
        let (lane, inbox) = lane_of(8, 6);
        let sender = thread::spawn(move || send(lane, 0, &BATCHES, false));
        let slow: Slow = work(vec![inbox]);
        let (lost, _) = sender.join().unwrap();
        assert_eq!((slow.log.batches.len(), lost), (4, 0));
    });
}

#[test]
fn a_worker_flips_when_all_have_passed() {
    model(1, || {
        const BATCHES: [(u64, u64); 2] = [(0, 0), (2, 1)];
        let (lanes, inboxes): (Vec<Lane>, Vec<Inbox>) = (0..2).map(|_| lane_of(1, 2)).unzip();
        let spawn = |(sender, lane)| thread::spawn(move || send(lane, sender, &BATCHES, false));
        let senders: Vec<_> = (0..).zip(lanes).map(spawn).collect();
        let log: Log = work(inboxes);
        let ended: Vec<(u64, Lane)> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        let lost: u64 = ended.iter().map(|(lost, _)| lost).sum();
        assert_eq!(log.batches.len() as u64 + lost, 4);
        // That none is taken more than one epoch early, however far behind the other sender is, the log itself asserts.
        let of = |sender: u64| log.batches.iter().filter(|(number, _)| number / 10 == sender).is_sorted();
        assert!(of(0) && of(1), "each sender's in the order in which they were sent");
        assert!(ended.into_iter().all(|(_, lane)| lane.boxes() == 1));
    });
}

/// A giver that is behind, and a taker that ends when nothing more can come: each box is taken once, or kept by the giver.
#[test]
fn a_burst_that_is_handed_over_is_taken_once() {
    model(3, || {
        const POLLS: u64 = 3;
        let mut cores = handover::tests_of_order(1);
        let (mut taker, mut giver) = (cores.remove(1), cores.remove(0));
        let sender = thread::spawn(move || {
            let mut kept = Vec::new();
            for n in 0..POLLS {
                let fill = |what: &mut u64| {
                    *what = n;
                    Some((Epoch(n / 2), 0))
                };
                if giver.give(fill).is_none() {
                    kept.push(n);
                }
            }
            giver.close();
            kept
        });
        let mut all = Vec::new();
        while !taker.is_over() {
            if taker.take(Epoch(POLLS), |n, _, _| all.push(*n)).is_none() {
                thread::yield_now();
            }
        }
        assert!(all.is_sorted(), "in the order in which they were sent");
        all.extend(sender.join().unwrap());
        all.sort_unstable();
        assert_eq!(all, (0..POLLS).collect::<Vec<_>>());
    });
}
