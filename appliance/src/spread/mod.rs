//! Batches → workers, over rings.
//!
//! In *pipeline* mode each receiving core has a ring to each worker. A cold range has a home worker, so that its sketches
//! exist once; a range that fills several batches in one epoch is hot, and its batches go round all workers, each on its
//! own mergeable shard. Nothing is broadcast, counted by reference or locked. Boxes travel back to be used again.
//!
//! In *run-to-completion* mode the receiving core's own shard takes the batches and this room is not entered.

#[cfg(all(test, feature = "loom"))]
mod loom_tests;
mod losses;
mod worker;

use crate::arch::Patience;
use crate::arch::hash::spread;
use crate::arch::ring::{Consumer, Producer, PushError, RingBuffer};
use crate::gather::{Cause, Loss, Stage};
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::Record;
use crate::telemetry::LiveCore;
use crate::units::{Epoch, RangeIndex};

pub use losses::{LOSING_RANGES_MAX, Losses};
pub use worker::{Inbox, Worker};

/// Full batches of a range in one epoch after which the next ones go round.
const HOT_BATCHES: u32 = 4;
/// Batches that wait for one worker at most.
pub const RING_BATCHES: usize = 256;
/// Marks that a ring holds beside its batches.
const RING_MARKS: usize = 8;

/// A batch on its way.
pub struct Transfer {
    range: RangeIndex,
    epoch: Epoch,
    len: u8,
    records: [Record; BATCH_RECORDS_MAX],
}

/// What a ring carries, in order.
pub enum Message {
    /// A batch.
    Batch(Box<Transfer>),
    /// All batches of epochs before this one were sent.
    Passed(Epoch),
}

/// One receiving core's way to one worker.
pub struct Lane {
    to: Producer<Message>,
    back: Consumer<Box<Transfer>>,
    spare: Vec<Box<Transfer>>,
    /// Marks that found no room yet: the first, and the last of those behind it. No batch is sent before them, so those
    /// between tell nothing.
    marks: [Option<Epoch>; 2],
}

impl Lane {
    /// Sends the marks that wait; false if one still does. A worker that is gone needs none.
    fn flush(&mut self) -> bool {
        while let Some(mark) = self.marks[0] {
            if self.to.push(Message::Passed(mark)).is_err() && !self.to.is_abandoned() {
                return false;
            }
            self.marks = [self.marks[1], None];
        }
        true
    }

    fn mark(&mut self, next: Epoch) {
        self.marks[usize::from(self.marks[0].is_some())] = Some(next);
    }

    /// Gives the batch a box, and the box to the worker. False if there is no box: all of them wait in the ring.
    fn send(&mut self, range: RangeIndex, epoch: Epoch, records: &[Record]) -> bool {
        if !self.flush() {
            return false;
        }
        let Some(mut transfer) = self.spare.pop().or_else(|| self.back.pop().ok()) else { return false };
        (transfer.range, transfer.epoch) = (range, epoch);
        transfer.len = u8::try_from(records.len()).unwrap_or(0);
        transfer.records[..records.len()].copy_from_slice(records);
        match self.to.push(Message::Batch(transfer)) {
            Ok(()) => true,
            Err(PushError::Full(message)) => {
                if let Message::Batch(transfer) = message {
                    self.spare.push(transfer);
                }
                false
            }
        }
    }
}

/// A lane and its far end.
pub fn lane() -> (Lane, Inbox) {
    lane_of(RING_BATCHES, RING_MARKS)
}

fn lane_of(batches: usize, marks: usize) -> (Lane, Inbox) {
    // There are no more boxes than these: a mark finds room whatever waits.
    let (to, from) = RingBuffer::new(batches + marks);
    let (give_back, back) = RingBuffer::new(batches);
    let empty = || Box::new(Transfer { range: RangeIndex(0), epoch: Epoch(0), len: 0, records: [Record::default(); BATCH_RECORDS_MAX] });
    let spare = (0..batches).map(|_| empty()).collect();
    (Lane { to, back, spare, marks: [None; 2] }, Inbox::new(from, give_back))
}

/// The sending end: takes batches, chooses workers.
pub struct Dispatcher {
    lanes: Vec<Lane>,
    heat: Vec<Heat>,
    waits: bool,
    at: Epoch,
    /// Of the open epoch, of the one that is coming, and of those that have ended.
    losses: [Losses; 3],
}

/// Full batches of a range in its latest epoch.
#[derive(Clone, Copy, Default)]
struct Heat {
    epoch: u32,
    batches: u32,
}

impl Dispatcher {
    /// Over these lanes. `waits`: a full ring makes the sender wait, as in a replay; else it drops the batch and counts it.
    /// `real` of the `ranges` are ranges, see [`Losses`].
    pub fn new(lanes: Vec<Lane>, ranges: usize, real: usize, waits: bool) -> Self {
        Self { lanes, heat: vec![Heat::default(); ranges], waits, at: Epoch(0), losses: [(); 3].map(|()| Losses::new(real)) }
    }

    /// The worker of a range's next batch.
    #[allow(clippy::cast_possible_truncation, reason = "a remainder; an epoch's low bits")]
    fn choose(&mut self, range: RangeIndex, epoch: Epoch, full: bool) -> usize {
        let heat = &mut self.heat[range.at()];
        if heat.epoch != epoch.0 as u32 {
            *heat = Heat { epoch: epoch.0 as u32, batches: 0 };
        }
        let turn = heat.batches.saturating_sub(HOT_BATCHES);
        heat.batches += u32::from(full);
        ((spread(u64::from(range.0)) + u64::from(turn)) % self.lanes.len() as u64) as usize
    }
}

impl Stage for Dispatcher {
    fn batch(&mut self, range: RangeIndex, epoch: Epoch, records: &[Record]) {
        let at = self.choose(range, epoch, records.len() == BATCH_RECORDS_MAX);
        let mut patience = Patience::default();
        while !self.lanes[at].send(range, epoch, records) {
            if !self.waits || self.lanes[at].to.is_abandoned() {
                self.losses[usize::from(epoch > self.at)].add(range, Cause::Ring, records.len() as u64);
                return;
            }
            patience.wait();
        }
    }

    fn advance(&mut self, next: Epoch) {
        let mut patience = Patience::default();
        for lane in &mut self.lanes {
            lane.mark(next);
            while !lane.flush() && (self.waits || next == Epoch::END) {
                patience.wait();
            }
        }
        self.at = next;
        let [open, coming, ended] = &mut self.losses;
        ended.join(open);
        std::mem::swap(open, coming);
    }

    fn is_stepwise(&self) -> bool {
        true
    }

    fn losses(&mut self, tell: &mut dyn FnMut(Loss)) {
        self.losses[2].tell(tell);
    }

    fn show(&self, live: &LiveCore) {
        live.ring_dropped.set(self.losses.iter().map(Losses::total).sum());
    }

    fn step(&mut self) -> bool {
        let mut waiting = false;
        for lane in &mut self.lanes {
            waiting |= !lane.flush();
        }
        waiting
    }
}
