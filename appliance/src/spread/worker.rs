//! The receiving end: takes batches of all receiving cores, and flips when all of them have passed an epoch.

use super::{Message, Transfer};
use crate::arch::ring::{Consumer, Producer};
use crate::gather::Stage;
use crate::units::Epoch;

/// Batches taken from one ring before the next has its turn.
const TURN_BATCHES: usize = 16;

/// One receiving core's ring, at the worker.
pub struct Inbox {
    from: Consumer<Message>,
    back: Producer<Box<Transfer>>,
    /// Epoch that its next batches belong to.
    at: Epoch,
}

impl Inbox {
    pub(super) const fn new(from: Consumer<Message>, back: Producer<Box<Transfer>>) -> Self {
        Self { from, back, at: Epoch(0) }
    }
}

/// A worker: its rings and what it does with batches.
pub struct Worker<S> {
    inboxes: Vec<Inbox>,
    stage: S,
    at: Epoch,
}

impl<S: Stage> Worker<S> {
    /// Over these rings.
    pub const fn new(inboxes: Vec<Inbox>, stage: S) -> Self {
        Self { inboxes, stage, at: Epoch(0) }
    }

    /// Takes what waits, a bounded number; false if nothing did.
    pub fn poll(&mut self) -> bool {
        let mut busy = self.stage.step();
        for inbox in &mut self.inboxes {
            // A ring that is an epoch ahead waits for the others.
            for _ in 0..TURN_BATCHES {
                if inbox.at > self.at {
                    break;
                }
                match inbox.from.pop() {
                    Ok(Message::Batch(transfer)) => {
                        let records = &transfer.records[..usize::from(transfer.len)];
                        self.stage.batch(transfer.range, transfer.epoch, records);
                        // The way back holds as many boxes as there are: it is never full.
                        let _ = inbox.back.push(transfer);
                        busy = true;
                    }
                    Ok(Message::Passed(next)) => inbox.at = next,
                    Err(_) => break,
                }
            }
        }
        let passed = self.inboxes.iter().map(|inbox| inbox.at).min().unwrap_or(self.at);
        // The last order waits until what is over has gone out in peace.
        if passed > self.at && !(passed == Epoch::END && self.stage.step()) {
            self.at = passed;
            self.stage.advance(passed);
            busy = true;
        }
        busy
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
