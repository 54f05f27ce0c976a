//! Batches → workers, over rings.
//!
//! In *pipeline* mode each receiving core has a ring to each worker. A cold range has a home worker, so that its sketches
//! exist once; a range that fills several batches in one epoch is hot, and its batches go round all workers, each on its
//! own mergeable shard. Nothing is broadcast, counted by reference or locked. Boxes travel back to be used again.
//!
//! In *run-to-completion* mode the receiving core's own shard takes the batches and this room is not entered.

mod losses;
mod worker;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::arch::hash::spread;
use crate::gather::Stage;
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::Record;
use crate::units::{Epoch, RangeIndex};

pub use losses::Losses;
pub use worker::{Inbox, Worker};

/// Full batches of a range in one epoch after which the next ones go round.
const HOT_BATCHES: u32 = 4;
/// Batches that wait for one worker at most.
pub const RING_BATCHES: usize = 256;

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
}

/// A lane and its far end.
pub fn lane() -> (Lane, Inbox) {
    let (to, from) = RingBuffer::new(RING_BATCHES);
    let (give_back, back) = RingBuffer::new(RING_BATCHES);
    let empty = || Box::new(Transfer { range: RangeIndex(0), epoch: Epoch(0), len: 0, records: [Record::default(); BATCH_RECORDS_MAX] });
    // One more than the ring holds: a full ring is noticed at the ring.
    let spare = (0..RING_BATCHES).map(|_| empty()).collect();
    (Lane { to, back, spare }, Inbox::new(from, give_back))
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
        let lane = &mut self.lanes[at];
        loop {
            if let Some(mut transfer) = lane.spare.pop() {
                (transfer.range, transfer.epoch) = (range, epoch);
                transfer.len = u8::try_from(records.len()).unwrap_or(0);
                transfer.records[..records.len()].copy_from_slice(records);
                match lane.to.push(Message::Batch(transfer)) {
                    Ok(()) => return,
                    Err(rtrb::PushError::Full(Message::Batch(transfer))) => lane.spare.push(transfer),
                    Err(_) => {}
                }
            } else if let Ok(transfer) = lane.back.pop() {
                lane.spare.push(transfer);
                continue;
            }
            if !self.waits || lane.to.is_abandoned() {
                return self.losses[usize::from(epoch > self.at)].add(range, records.len() as u64);
            }
            std::thread::yield_now();
        }
    }

    fn advance(&mut self, next: Epoch) {
        for lane in &mut self.lanes {
            // A marker is never dropped: without it no window would close.
            while !lane.to.is_abandoned() && lane.to.push(Message::Passed(next)).is_err() {
                std::thread::yield_now();
            }
        }
        self.at = next;
        let [open, coming, ended] = &mut self.losses;
        ended.join(open);
        std::mem::swap(open, coming);
    }

    fn losses(&mut self, tell: &mut dyn FnMut(Option<RangeIndex>, u64)) {
        self.losses[2].tell(tell);
    }

    fn step(&mut self) -> bool {
        false
    }
}
