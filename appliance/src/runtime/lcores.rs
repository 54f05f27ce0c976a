//! The loops that lcores run.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::memory::PARCEL_BYTES;
use super::polling::receive;
use super::wiring::{AnyReceiver, Wired};
use crate::arch::Patience;
use crate::dpdk::{DpdkError, Eal, LcoreHandle, launch};
use crate::gather::Stage;
use crate::rx::{Parcel, RxQueue};
use crate::spread::{Handover, Worker, handovers};
use crate::telemetry::LiveCore;
use crate::telemetry::cost::{Meter, Part, TIMED_POLLS};
use crate::units::Epoch;
use crate::window::Shard;

/// Polls between two looks at a core's counters.
pub(super) const SHOWN_POLLS: u64 = 64;

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
    pub(super) fn rest(self, patience: &mut Patience) {
        match self {
            Self::Spin => std::hint::spin_loop(),
            Self::Yield => std::thread::yield_now(),
            Self::Nap => patience.wait(),
        }
    }
}

/// Launches workers, then receivers, each with its queues. `hands_over`: where one of several has more to do than it can, it
/// gives bursts to others; for live queues alone.
///
/// # Errors
/// An lcore that takes no work.
pub fn launch_all(
    eal: &Eal,
    (rx, workers): (&[u32], &[u32]),
    wired: Wired,
    (queues, hands_over): (Vec<Vec<RxQueue>>, bool),
    stop: &Arc<AtomicBool>,
    idle: Idle,
) -> Result<Vec<LcoreHandle<()>>, DpdkError> {
    let mut handles = Vec::new();
    for (lcore, (worker, live)) in workers.iter().zip(wired.workers) {
        handles.push(launch(eal, *lcore, move || work(worker, &live, idle))?);
    }
    let hands = hands_of(&queues, hands_over);
    for (((lcore, receiver), queues), hands) in rx.iter().zip(wired.receivers).zip(queues).zip(hands) {
        let stop = Arc::clone(stop);
        handles.push(launch(eal, *lcore, move || match receiver {
            AnyReceiver::Own(receiver) => receive(*receiver, queues, hands, &stop, idle),
            AnyReceiver::Sends(receiver) => receive(*receiver, queues, hands, &stop, idle),
        })?);
    }
    Ok(handles)
}

const _: () = assert!(size_of::<Parcel>() <= PARCEL_BYTES);

/// Each receiver's way to the others. None gives where one has no queue: the core map is none that `run` makes.
fn hands_of(queues: &[Vec<RxQueue>], hands_over: bool) -> Vec<Handover<Parcel>> {
    let firsts: Option<Vec<&RxQueue>> = queues.iter().map(|queues| queues.first()).collect();
    match firsts.filter(|_| hands_over) {
        Some(firsts) => handovers(firsts.len(), |core| firsts[core].parcel()),
        None => queues.iter().map(|_| Handover::alone()).collect(),
    }
}

/// Takes batches until every receiver has said its last.
fn work(mut worker: Worker<Shard>, live: &LiveCore, idle: Idle) {
    let (mut polls, mut in_vain, mut patience, mut meter) = (0_u64, 0_u64, Patience::default(), Meter::new());
    loop {
        polls += 1;
        let busy = if polls.is_multiple_of(TIMED_POLLS) { timed(&mut worker, &mut meter) } else { worker.poll() };
        if !busy || polls.is_multiple_of(SHOWN_POLLS) {
            worker.stage().look();
        }
        if busy {
            patience.reset();
            live.polls.set(polls);
            live.empty_polls.set(in_vain);
            worker.stage().show(live);
            meter.show(&live.costs);
            continue;
        }
        in_vain += 1;
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
