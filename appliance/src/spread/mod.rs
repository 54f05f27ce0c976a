//! Batches → workers, over rings.
//!
//! In *pipeline* mode each receiving core has a ring to each worker. A cold range has a home worker in each epoch, so that
//! its sketches exist once; a range that fills several batches in one epoch is hot, and each of its batches goes to the
//! worker that was given least, or where its ring is full to one that has room, each on its own mergeable shard. Nothing is
//! broadcast, counted by reference or locked. Boxes travel back to be used again.
//!
//! In *run-to-completion* mode the receiving core's own shard takes the batches and this room is not entered.

#[cfg(all(test, feature = "loom"))]
mod loom_tests;
pub mod handover;
pub mod load;
mod losses;
mod worker;

use std::sync::Arc;

use crate::arch::Patience;
use crate::arch::ring::{Consumer, Producer, PushError, RingBuffer};
use crate::gather::packed::{Batch, Form};
use crate::gather::{Cause, Lost, Stage};
use crate::limits::{BATCH_WORDS_MAX, LOG_RECORDS_MAX};
use crate::telemetry::LiveCore;
use crate::units::{Epoch, RangeIndex};

pub use handover::{Handover, handovers};
pub use load::{Load, SmallPolls};
pub use losses::{LOSING_RANGES_MAX, Losses};
pub use worker::{Inbox, Worker};

/// Records of a range in one epoch after which its batches go round: a log that never filled stays together.
pub const HOT_RECORDS: usize = LOG_RECORDS_MAX;
/// Batches that wait for one worker at most.
pub const RING_BATCHES: usize = 256;
/// Marks that a ring holds beside its batches.
const RING_MARKS: usize = 8;

/// A batch on its way.
pub struct Transfer {
    range: RangeIndex,
    epoch: Epoch,
    form: Form,
    len: usize,
    used: usize,
    ends: Option<Epoch>,
    words: Box<[u64]>,
}

impl Transfer {
    fn empty(words: usize) -> Self {
        let words = vec![0; words].into_boxed_slice();
        Self { range: RangeIndex(0), epoch: Epoch(0), form: Form::Narrow, len: 0, used: 0, ends: None, words }
    }

    fn put(&mut self, range: RangeIndex, epoch: Epoch, batch: &Batch<'_>) {
        (self.range, self.epoch) = (range, epoch);
        (self.form, self.len, self.used, self.ends) = (batch.form, batch.len, batch.words.len(), batch.ends);
        self.words[..self.used].copy_from_slice(batch.words);
    }

    fn batch(&self) -> Batch<'_> {
        Batch { form: self.form, len: self.len, words: &self.words[..self.used], ends: self.ends }
    }
}

/// What a ring carries, in order.
pub enum Message {
    /// A batch.
    Batch(Transfer),
    /// All batches of epochs before this one were sent.
    Passed(Epoch),
}

/// One receiving core's way to one worker.
pub struct Lane {
    to: Producer<Message>,
    back: Consumer<Transfer>,
    spare: Vec<Transfer>,
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

    /// Whether more than a quarter of the ring waits.
    fn is_busy(&self) -> bool {
        let capacity = self.to.buffer().capacity();
        capacity - self.to.slots() > capacity / 4 && !self.to.is_abandoned()
    }

    fn mark(&mut self, next: Epoch) {
        self.marks[usize::from(self.marks[0].is_some())] = Some(next);
    }

    /// Gives the batch a box, and the box to the worker. False if there is no box: all of them wait in the ring.
    fn send(&mut self, range: RangeIndex, epoch: Epoch, batch: &Batch<'_>) -> bool {
        if !self.flush() {
            return false;
        }
        let Some(mut transfer) = self.spare.pop().or_else(|| self.back.pop().ok()) else { return false };
        transfer.put(range, epoch, batch);
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

/// Bytes of a lane and its boxes.
pub const fn lane_bytes() -> usize {
    RING_BATCHES * (size_of::<Transfer>() + 8 * BATCH_WORDS_MAX + 3 * size_of::<Message>())
}

/// A lane and its far end.
pub fn lane() -> (Lane, Inbox) {
    lane_of(RING_BATCHES, RING_MARKS)
}

fn lane_of(batches: usize, marks: usize) -> (Lane, Inbox) {
    // There are no more boxes than these: a mark finds room whatever waits.
    let (to, from) = RingBuffer::new(batches + marks);
    let (give_back, back) = RingBuffer::new(batches);
    let spare = (0..batches).map(|_| Transfer::empty(BATCH_WORDS_MAX)).collect();
    (Lane { to, back, spare, marks: [None; 2] }, Inbox::new(from, give_back))
}

/// The sending end: takes batches, chooses workers.
pub struct Dispatcher {
    lanes: Vec<Lane>,
    /// Work that each lane was given: records, by how much their range has done with each.
    given: Vec<u64>,
    /// Of each range, how much is done with a record, against other ranges.
    efforts: Arc<[u8]>,
    heat: Vec<Heat>,
    waits: bool,
    /// What is over goes, and what finds no room is lost.
    hurries: bool,
    at: Epoch,
    /// The latest epoch that lanes have a mark of.
    marked: Epoch,
    /// Of the open epoch, of the one that is coming, and of those that have ended.
    losses: [Losses; 3],
}

/// What a range had in its latest epoch.
#[derive(Clone, Copy, Default)]
struct Heat {
    epoch: u32,
    records: u32,
    /// Its worker, until it is hot.
    home: u16,
}

/// What any batch costs, however few its records: as much as so many of them.
const BATCH_EFFORT_RECORDS: u64 = 4;

impl Dispatcher {
    /// Bytes that each range takes.
    pub const RANGE_BYTES: usize = size_of::<Heat>() + 1;

    /// Over these lanes; `efforts` of each range. `waits`: a full ring makes the sender wait, as in a replay; else it drops
    /// the batch and counts it. `real` of the ranges are ranges, see [`Losses`].
    pub fn new(lanes: Vec<Lane>, efforts: impl Into<Arc<[u8]>>, real: usize, waits: bool) -> Self {
        let efforts = efforts.into();
        let (given, heat) = (vec![0; lanes.len()], vec![Heat::default(); efforts.len()]);
        Self {
            lanes,
            given,
            efforts,
            heat,
            waits,
            hurries: false,
            at: Epoch(0),
            marked: Epoch(0),
            losses: [(); 3].map(|()| Losses::new(real)),
        }
    }

    /// The worker of a range's next batch: the one that was given least, when a range is first seen in an epoch and for each
    /// batch of a hot one. It depends on what was sent alone, so that a replay sends alike.
    #[allow(clippy::cast_possible_truncation, reason = "an epoch's low bits; lanes are few; batches are small")]
    fn choose(&mut self, range: RangeIndex, epoch: Epoch, records: usize) -> usize {
        let Self { given, heat, efforts, .. } = self;
        let heat = &mut heat[range.at()];
        let new = heat.epoch != epoch.0 as u32 || heat.records == 0;
        if new {
            *heat = Heat { epoch: epoch.0 as u32, records: 0, home: 0 };
        }
        let least = || given.iter().enumerate().min_by_key(|(_, given)| **given).map_or(0, |(at, _)| at);
        let at = if new || heat.records as usize >= HOT_RECORDS { least() } else { usize::from(heat.home) };
        if new {
            heat.home = at as u16;
        }
        heat.records = heat.records.saturating_add(records as u32);
        given[at] += (records as u64 + BATCH_EFFORT_RECORDS) * u64::from(efforts[range.at()].max(1));
        at
    }

    /// A batch of a hot range finds its worker's ring full: whoever has the most room may have it, which is not held against that
    /// one; else ranges that come would be given to who is slow. False: it has to wait, or to stay at home, or nobody has room.
    #[cold]
    fn send_elsewhere(&mut self, full: usize, (range, epoch): (RangeIndex, Epoch), batch: &Batch<'_>) -> bool {
        let is_hot = self.heat[range.at()].records as usize >= HOT_RECORDS + batch.len;
        if self.waits || !is_hot {
            return false;
        }
        let others = self.lanes.iter_mut().enumerate().filter(|(at, _)| *at != full).map(|(_, lane)| lane);
        others.max_by_key(|lane| lane.to.slots()).is_some_and(|lane| lane.send(range, epoch, batch))
    }
}

impl Stage for Dispatcher {
    fn batch(&mut self, range: RangeIndex, epoch: Epoch, batch: &Batch<'_>) {
        let at = self.choose(range, epoch, batch.len);
        let mut patience = Patience::default();
        while !self.lanes[at].send(range, epoch, batch) {
            if !self.waits || self.lanes[at].to.is_abandoned() {
                if !self.send_elsewhere(at, (range, epoch), batch) {
                    self.lose(range, epoch, batch.len as u64);
                }
                return;
            }
            patience.wait();
        }
    }

    fn advance(&mut self, next: Epoch) {
        self.begin(next);
        let mut patience = Patience::default();
        for lane in &mut self.lanes {
            while !lane.flush() && (self.waits || next == Epoch::END) {
                patience.wait();
            }
        }
        (self.at, self.hurries) = (next, false);
        let [open, coming, ended] = &mut self.losses;
        ended.join(open);
        std::mem::swap(open, coming);
    }

    fn renew(&mut self, efforts: &Arc<[u8]>) {
        self.efforts = Arc::clone(efforts);
    }

    /// A ring of which a quarter waits: what is received comes before what was. What the walk alone puts into a ring stays well
    /// below the half that a worker takes for overload.
    fn is_busy(&self) -> bool {
        !self.hurries && self.lanes.iter().any(Lane::is_busy)
    }

    fn hurry(&mut self) {
        self.hurries = true;
    }

    fn lose(&mut self, range: RangeIndex, epoch: Epoch, records: u64) {
        self.losses[usize::from(epoch > self.at)].add(range, Cause::Ring, records);
    }

    fn is_stepwise(&self) -> bool {
        true
    }

    fn begin(&mut self, next: Epoch) {
        if next > self.marked {
            self.marked = next;
            self.lanes.iter_mut().for_each(|lane| lane.mark(next));
        }
    }

    fn losses(&mut self, tell: &mut dyn FnMut(&Lost<'_>)) {
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
