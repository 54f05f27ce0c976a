//! What it costs to hand batches from one core to another: a dispatcher and a worker over a real ring, each on a thread of its
//! own, against the same receiver that hands them to nobody.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::PlanError;
use super::clock::ran_ns;
use super::frames::Frames;
use crate::gather::Stage;
use crate::gather::packed::Batch;
use crate::generate::{Crowds, Shape};
use crate::limits::LOG_RECORDS_MAX;
use crate::runtime::receiver::Receiver;
use crate::runtime::world::World;
use crate::spread::{Dispatcher, Worker, lane};
use crate::telemetry::Registry;
use crate::units::{Epoch, RangeIndex};
use crate::window::Room;
use crate::window::stream::stream;

/// Memory of logs: enough for all records of so short a run.
const LOGS_BYTES: usize = 256 << 20;
/// Passes either way; the median counts, for one of them may have been disturbed.
const PASSES: usize = 5;
/// How long whoever has to wait rests.
const REST: Duration = Duration::from_micros(30);

/// Nanoseconds a packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handoff {
    /// On the core that sends.
    pub(super) sends_ns: f64,
    /// On the core that takes, before any stat is run.
    pub(super) takes_ns: f64,
    /// Records of a batch, on average: whatever a batch costs by itself is shared by so many.
    pub(super) batch_records: f64,
}

/// Reads batches, and does nothing with them.
#[derive(Default)]
struct Reads {
    sum: u64,
    records: u64,
    batches: u64,
}

impl Stage for Reads {
    fn batch(&mut self, _: RangeIndex, _: Epoch, batch: &Batch<'_>) {
        self.sum = batch.words.iter().fold(self.sum, |sum, word| sum.wrapping_add(*word));
        self.records += batch.len as u64;
        self.batches += 1;
    }
    fn advance(&mut self, _: Epoch) {}
    fn step(&mut self) -> bool {
        false
    }
}

/// About so many frames, to so few ranges that each has as many as come to one in a window: then batches are as full as there, where
/// over all ranges they would have a few records each. Cold memory of many ranges is not missed here: whoever keeps records gathers
/// them too, so that it would be subtracted; the core that has all ranges has it in its price.
pub(super) fn frames(crowds: &Crowds, shape: Shape, of_range: f64, count: u64) -> Result<Frames, PlanError> {
    Ok(Frames::of(crowds.fewer(ranges(count, of_range)).capture(shape, count)?)?)
}

/// From a full log on batches are full, however many packets come.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a ratio")]
fn ranges(count: u64, of_range: f64) -> usize {
    (count as f64 / of_range.clamp(1.0, LOG_RECORDS_MAX as f64)).ceil() as usize
}

/// Hands so many frames' records on, several times, in turn with a receiver that keeps them.
pub(super) fn measure(world: &Arc<World>, frames: &mut Frames, count: u64) -> Handoff {
    let passes: [Handoff; PASSES] = std::array::from_fn(|_| pass(world, frames, count));
    let median = |of: fn(&Handoff) -> f64| {
        let mut all = passes.each_ref().map(of);
        all.sort_by(f64::total_cmp);
        all[PASSES / 2]
    };
    let (sends_ns, takes_ns) = (median(|pass| pass.sends_ns).max(0.0), median(|pass| pass.takes_ns));
    Handoff { sends_ns, takes_ns, batch_records: median(|pass| pass.batch_records) }
}

#[allow(clippy::cast_precision_loss, reason = "an average")]
fn pass(world: &Arc<World>, frames: &mut Frames, count: u64) -> Handoff {
    let alone_ns = sent(world, Reads::default(), frames, count);
    let (to, inbox) = lane();
    let dispatcher = Dispatcher::new(vec![to], Arc::clone(&world.efforts), world.plans.real, false);
    let over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&over);
    let takes = std::thread::spawn(move || {
        let mut worker = Worker::new(vec![inbox], Reads::default());
        let mut begun = ran_ns();
        while worker.poll() || !stop.load(Ordering::Acquire) {
            if !worker.poll() {
                std::thread::sleep(REST);
                // Looking for the first batch is no part of the price: logs fill up before.
                begun = if worker.stage().batches == 0 { ran_ns() } else { begun };
            }
        }
        let Reads { sum, records, batches } = *worker.stage();
        black_box(sum);
        (ran_ns() - begun, records, batches)
    });
    let sends_ns = sent(world, dispatcher, frames, count);
    over.store(true, Ordering::Release);
    let (takes_ns, records, batches) = takes.join().unwrap_or((0, 0, 0));
    let (takes_ns, batch_records) = (takes_ns as f64 / records.max(1) as f64, records as f64 / batches.max(1) as f64);
    // What reads on the core itself costs next to nothing: it is part of `alone_ns` alone, and left there.
    Handoff { sends_ns: sends_ns - alone_ns, takes_ns, batch_records }
}

/// Nanoseconds a packet of a receiver and its walk over what is left.
#[allow(clippy::cast_precision_loss, reason = "an average")]
fn sent<S: Stage>(world: &Arc<World>, stage: S, frames: &mut Frames, count: u64) -> f64 {
    let registry = Registry::new("plan", "", Duration::from_secs(1));
    let (outlet, mut told) =
        stream(Room::of_account(world.ports, world.tag_room, world.links).with_copies(world.duplicates.is_some()), false);
    let mut receiver = Receiver::new(Arc::clone(world), stage, outlet, registry.core(1, "rx"), LOGS_BYTES);
    receiver.epoch(Epoch(1));
    let (begun, mut packets) = (ran_ns(), 0);
    while packets < count {
        let burst = frames.burst(1, Epoch(1));
        packets += burst.len() as u64;
        receiver.frames(&burst);
        rest(receiver.stage_ref());
    }
    receiver.epoch(Epoch(2));
    while receiver.step() {
        while told.next(|_| ()) {}
        rest(receiver.stage_ref());
    }
    (ran_ns() - begun) as f64 / packets.max(1) as f64
}

/// While a ring is a quarter full the sender lets the other core work: waiting is no part of the price.
fn rest(stage: &impl Stage) {
    while stage.is_busy() {
        std::thread::sleep(REST);
    }
}
