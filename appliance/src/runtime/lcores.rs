//! The loops that lcores run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrayvec::ArrayVec;

use super::receiver::Receiver;
use super::wiring::{AnyReceiver, Wired};
use crate::arch::Patience;
use crate::dpdk::{DpdkError, Eal, LcoreHandle, launch};
use crate::gather::Stage;
use crate::limits::BURST_FRAMES_MAX;
use crate::rx::{Burst, Event, RxQueue};
use crate::spread::Worker;
use crate::telemetry::cost::{Meter, Part, TIMED_POLLS};
use crate::telemetry::{Did, LiveCore, Pause};
use crate::units::Epoch;
use crate::window::Shard;

/// Polls of all queues after the order to stop, at most.
const LAST_POLLS: u32 = 4_096;

/// Polls between two looks at a core's counters.
const SHOWN_POLLS: u64 = 64;

/// What a core does when a poll brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Polls again: the core is ours alone.
    Spin,
    /// Lets others run: cores are shared.
    Yield,
    /// Lets others run, and after a while sleeps for a moment: the machine has other work, and rings hold what comes meanwhile.
    Nap,
}

impl Idle {
    fn rest(self, patience: &mut Patience) {
        match self {
            Self::Spin => std::hint::spin_loop(),
            Self::Yield => std::thread::yield_now(),
            Self::Nap => patience.wait(),
        }
    }
}

/// Launches workers, then receivers, each with its queues.
///
/// # Errors
/// An lcore that takes no work.
pub fn launch_all(
    eal: &Eal,
    (rx, workers): (&[u32], &[u32]),
    wired: Wired,
    queues: Vec<Vec<RxQueue>>,
    stop: &Arc<AtomicBool>,
    idle: Idle,
) -> Result<Vec<LcoreHandle<()>>, DpdkError> {
    let mut handles = Vec::new();
    for (lcore, (worker, live)) in workers.iter().zip(wired.workers) {
        handles.push(launch(eal, *lcore, move || work(worker, &live, idle))?);
    }
    for ((lcore, receiver), queues) in rx.iter().zip(wired.receivers).zip(queues) {
        let stop = Arc::clone(stop);
        handles.push(launch(eal, *lcore, move || match receiver {
            AnyReceiver::Own(receiver) => receive(*receiver, queues, &stop, idle),
            AnyReceiver::Sends(receiver) => receive(*receiver, queues, &stop, idle),
        })?);
    }
    Ok(handles)
}

/// Polls queues until all have ended, or until told to stop.
fn receive<S: Stage>(mut receiver: Receiver<S>, mut queues: Vec<RxQueue>, stop: &AtomicBool, idle: Idle) {
    let Some(mut burst) = queues.first().map(RxQueue::burst) else { return receiver.end() };
    let mut ended = vec![false; queues.len()];
    // Told to stop, a core still takes what already waits in its queues, so that the ledger accounts for it.
    let mut left = LAST_POLLS;
    let (mut polls, mut in_vain, mut was_busy, mut patience) = (0u64, 0u64, false, Patience::default());
    let mut pause = Pause::default();
    while ended.contains(&false) && left > 0 {
        let timed = polls.is_multiple_of(TIMED_POLLS);
        if timed {
            receiver.begin_timing();
        }
        let mut busy = turn(&mut receiver, (&mut queues, &mut ended), &mut burst, &mut pause);
        if stop.load(Ordering::Relaxed) {
            left = if busy { left - 1 } else { 0 };
        }
        busy |= receiver.step();
        if timed {
            receiver.lap(Part::Windows);
            receiver.end_timing();
        }
        polls += 1;
        in_vain += u64::from(!busy);
        // Before it rests a core shows what it has; as long as it does not, each so many polls.
        if was_busy && !busy || polls.is_multiple_of(SHOWN_POLLS) {
            receiver.polled(polls, in_vain);
            receiver.show();
        }
        if !busy || polls.is_multiple_of(SHOWN_POLLS) {
            receiver.look();
        }
        was_busy = busy;
        pause.did(receiver.did(), 0);
        if busy {
            patience.reset();
        } else if idle == Idle::Spin {
            std::hint::spin_loop();
        } else {
            pause.did(Did::Rest, 0);
            idle.rest(&mut patience);
        }
    }
    receiver.end();
}

/// Polls each queue once. Whether something came. The first poll of a turn ends the pause before it.
fn turn<S: Stage>(
    receiver: &mut Receiver<S>,
    (queues, ended): (&mut [RxQueue], &mut [bool]),
    burst: &mut Burst,
    pause: &mut Pause,
) -> bool {
    let (mut busy, mut is_full) = (false, false);
    for (at, (queue, ended)) in queues.iter_mut().zip(ended).enumerate() {
        let frames_max = receiver.frames_max(burst.time_ns());
        burst.limit(frames_max);
        queue.poll(burst);
        is_full |= burst.len() >= frames_max;
        if at == 0 {
            pause.polled(burst.read_ns(), &receiver.live().pauses);
        }
        pause.did(Did::Poll, burst.len() as u64);
        busy |= !burst.is_empty();
        let part = if burst.is_empty() { Part::Idle } else { Part::Rx };
        receiver.lap(part);
        *ended |= give(receiver, burst);
        burst.clear();
        receiver.lap(part);
    }
    if !busy {
        receiver.settle();
    }
    // One queue that overflows is enough, however quiet the others are.
    receiver.polled_all(is_full);
    busy
}

/// What a poll gave, in its order. Whether the queue has ended.
#[inline]
fn give<S: Stage>(receiver: &mut Receiver<S>, burst: &Burst) -> bool {
    if let Some((begins, frames)) = burst.live() {
        if let Some(epoch) = begins {
            receiver.epoch(epoch);
        }
        receiver.burst(frames);
        return false;
    }
    let (mut frames, mut ended) = (ArrayVec::<_, BURST_FRAMES_MAX>::new(), false);
    for event in burst.events() {
        match event {
            Event::Frame(frame) => frames.push(frame),
            Event::Epoch(epoch) => {
                // Those before it belong to the one before.
                receiver.frames(&frames);
                frames.clear();
                receiver.epoch(epoch);
            }
            Event::End => ended = true,
        }
    }
    receiver.frames(&frames);
    ended
}

/// Takes batches until every receiver has said its last.
fn work(mut worker: Worker<Shard>, live: &LiveCore, idle: Idle) {
    let (mut polls, mut patience, mut meter) = (0_u64, Patience::default(), Meter::new());
    loop {
        polls += 1;
        let busy = if polls.is_multiple_of(TIMED_POLLS) { timed(&mut worker, &mut meter) } else { worker.poll() };
        if !busy || polls.is_multiple_of(SHOWN_POLLS) {
            worker.stage().look();
        }
        if busy {
            patience.reset();
            worker.stage().show(live);
            meter.show(&live.costs);
            continue;
        }
        if worker.at() == Epoch::END {
            return;
        }
        idle.rest(&mut patience);
    }
}

/// A poll that is timed.
fn timed(worker: &mut Worker<Shard>, meter: &mut Meter) -> bool {
    worker.stage().begin_timing();
    meter.begin(worker.stage().timed());
    let busy = worker.poll();
    meter.lap(if busy { Part::Rings } else { Part::Idle }, worker.stage().timed());
    worker.stage().end_timing(meter.end());
    busy
}
