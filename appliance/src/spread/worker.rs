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
    back: Producer<Transfer>,
    /// Epoch that its next batches belong to.
    at: Epoch,
}

impl Inbox {
    pub(super) const fn new(from: Consumer<Message>, back: Producer<Transfer>) -> Self {
        Self { from, back, at: Epoch(0) }
    }
}

/// A worker: its rings and what it does with batches.
pub struct Worker<S> {
    inboxes: Vec<Inbox>,
    stage: S,
    at: Epoch,
    /// The epoch behind the open one, of which batches were taken already.
    ahead: Option<Epoch>,
}

impl<S: Stage> Worker<S> {
    /// Over these rings.
    pub const fn new(inboxes: Vec<Inbox>, stage: S) -> Self {
        Self { inboxes, stage, at: Epoch(0), ahead: None }
    }

    /// Takes what waits, a bounded number; false if nothing did.
    pub fn poll(&mut self) -> bool {
        let closing = self.stage.step();
        let mut busy = closing;
        // Of the epoch right behind the open one batches are taken before all cores have come to it, so that a ring does not
        // overflow while another core still walks. A stage holds two epochs apart: one that still closes waits.
        let next = if closing { self.at } else { Epoch(self.at.0.saturating_add(1)) };
        for inbox in &mut self.inboxes {
            for _ in 0..TURN_BATCHES {
                if inbox.at > next {
                    break;
                }
                match inbox.from.pop() {
                    Ok(Message::Batch(transfer)) => {
                        if transfer.epoch > self.at {
                            self.ahead = Some(transfer.epoch);
                        }
                        self.stage.batch(transfer.range, transfer.epoch, &transfer.batch());
                        // The way back holds as many boxes as there are: it is never full.
                        let _ = inbox.back.push(transfer);
                        busy = true;
                    }
                    Ok(Message::Passed(next)) => inbox.at = next,
                    Err(_) => break,
                }
            }
        }
        self.flip() || busy
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
