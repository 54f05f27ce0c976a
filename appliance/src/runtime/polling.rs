//! The loop of a receiving core: its queues, what other cores give it, and what waits to be closed.

use std::sync::atomic::{AtomicBool, Ordering};

use arrayvec::ArrayVec;

use super::lcores::{Idle, SHOWN_POLLS};
use super::receiver::Receiver;
use crate::arch::Patience;
use crate::gather::Stage;
use crate::limits::{BURST_FRAMES_LATE, BURST_FRAMES_MAX};
use crate::rx::{Burst, Event, Parcel, RxQueue};
use crate::spread::{Handover, SmallPolls};
use crate::telemetry::cost::{Part, TIMED_POLLS};
use crate::telemetry::{Did, LiveQueue, Pause};
use crate::units::Epoch;

/// Polls of all queues after the order to stop, at most.
const LAST_POLLS: u32 = 4_096;
/// Turns without anything from a core that sheds, after which this one does not for its sake.
const UNHELPED_TURNS: u32 = 64;

/// Bursts and their frames.
#[derive(Clone, Copy, Debug, Default)]
struct Moved {
    bursts: u64,
    frames: u64,
}

impl Moved {
    const fn add(&mut self, frames: usize) {
        self.bursts += 1;
        self.frames += frames as u64;
    }
}

/// What came of one queue.
#[derive(Clone, Copy, Debug, Default)]
struct Came {
    frames: u64,
    full_polls: u64,
    polls: u64,
}

impl Came {
    #[inline]
    fn add(&mut self, frames: usize, frames_max: usize) {
        self.polls += 1;
        self.frames += frames as u64;
        self.full_polls += u64::from(frames >= frames_max);
    }

    fn show(&self, live: &LiveQueue) {
        live.polls.set(self.polls);
        live.full_polls.set(self.full_polls);
        live.frames.set(self.frames);
    }
}

/// See the module.
struct Polling<S> {
    receiver: Receiver<S>,
    queues: Vec<RxQueue>,
    /// By queue.
    came: Vec<Came>,
    ended: Vec<bool>,
    /// It holds the core's clock.
    burst: Burst,
    /// What another core gave, with the time of its poll.
    from_other: Burst,
    hands: Handover<Parcel>,
    given: Moved,
    taken: Moved,
    /// Turns since another core's burst was taken.
    untaken: u32,
    /// Of a core that is late.
    small: SmallPolls,
    pause: Pause,
    /// What may lie between two polls.
    pause_ns_max: u64,
    polls: u64,
    in_vain: u64,
}

/// Polls queues until all have ended, or until told to stop.
pub(super) fn receive<S: Stage>(mut receiver: Receiver<S>, queues: Vec<RxQueue>, hands: Handover<Parcel>, stop: &AtomicBool, idle: Idle) {
    let Some((burst, from_other)) = queues.first().map(|queue| (queue.burst(), queue.burst())) else { return receiver.end() };
    let pause_ns_max = receiver.world.off_ns_max;
    let mut polling = Polling {
        receiver,
        ended: vec![false; queues.len()],
        came: vec![Came::default(); queues.len()],
        queues,
        burst,
        from_other,
        hands,
        given: Moved::default(),
        taken: Moved::default(),
        untaken: 0,
        small: SmallPolls::default(),
        pause: Pause::default(),
        pause_ns_max,
        polls: 0,
        in_vain: 0,
    };
    polling.until_told(stop, idle);
    polling.take_the_rest(idle);
    polling.show();
    polling.receiver.end();
}

impl<S: Stage> Polling<S> {
    fn until_told(&mut self, stop: &AtomicBool, idle: Idle) {
        // Told to stop, a core still takes what already waits in its queues, so that the ledger accounts for it.
        let (mut left, mut was_busy, mut patience) = (LAST_POLLS, false, Patience::default());
        while self.ended.contains(&false) && left > 0 {
            let timed = self.polls.is_multiple_of(TIMED_POLLS);
            if timed {
                self.receiver.begin_timing();
            }
            let mut busy = self.turn();
            if stop.load(Ordering::Relaxed) {
                // What it has is its own from now on: those that it gave to may end.
                self.hands.close();
                left = if busy { left - 1 } else { 0 };
            }
            busy |= self.receiver.step();
            if timed {
                self.receiver.lap(Part::Windows);
                self.receiver.end_timing();
            }
            self.tell(busy, was_busy);
            was_busy = busy;
            self.rest(busy, idle, &mut patience);
        }
    }

    /// Counts a turn. Before it rests a core shows what it has; as long as it does not, each so many polls.
    #[inline]
    fn tell(&mut self, busy: bool, was_busy: bool) {
        self.polls += 1;
        self.in_vain += u64::from(!busy);
        let now_and_then = self.polls.is_multiple_of(SHOWN_POLLS);
        if was_busy && !busy || now_and_then {
            self.show();
        }
        if !busy || now_and_then {
            self.receiver.look();
        }
    }

    fn show(&self) {
        self.receiver.polled(self.polls, self.in_vain);
        let live = self.receiver.live();
        live.handed_bursts.set(self.given.bursts);
        live.handed_frames.set(self.given.frames);
        live.taken_bursts.set(self.taken.bursts);
        live.taken_frames.set(self.taken.frames);
        for (queue, came) in self.queues.iter().zip(&self.came) {
            queue.live().into_iter().for_each(|live| came.show(live));
        }
        self.receiver.show();
    }

    #[inline]
    fn rest(&mut self, busy: bool, idle: Idle, patience: &mut Patience) {
        self.pause.did(self.receiver.did(), 0);
        if busy {
            patience.reset();
        } else if idle == Idle::Spin {
            std::hint::spin_loop();
        } else {
            self.pause.did(Did::Rest, 0);
            idle.rest(patience);
        }
    }

    /// Polls each queue once, then takes what another core gave. Whether anything came. The first poll of a turn ends the pause
    /// before it.
    fn turn(&mut self) -> bool {
        let (mut came, mut kept_full, mut gave, mut is_late, mut pause_ns) = (false, false, false, false, 0);
        for at in 0..self.queues.len() {
            let frames_max = self.receiver.frames_max(self.burst.time_ns());
            is_late |= frames_max < BURST_FRAMES_MAX;
            let given = self.poll(at, frames_max);
            gave |= given;
            kept_full |= self.burst.len() >= frames_max;
            // One that was given away was as full as it may be.
            self.came[at].add(if given { BURST_FRAMES_MAX } else { self.burst.len() }, frames_max);
            if at == 0 {
                let paused = self.pause.polled(self.burst.read_ns(), self.receiver.work(), &self.receiver.live().pauses);
                pause_ns = paused.ns;
                if paused.is_away {
                    self.receiver.was_away(paused.ns);
                }
            }
            if pause_ns > self.pause_ns_max && (given || !self.burst.is_empty()) {
                self.receiver.held_up(self.burst.time_ns(), pause_ns);
            }
            self.pause.did(if given { Did::Frames } else { Did::Poll }, self.burst.len() as u64);
            came |= given || !self.burst.is_empty();
            let part = if given || !self.burst.is_empty() { Part::Rx } else { Part::Idle };
            self.receiver.lap(part);
            self.ended[at] |= self.count();
            self.burst.clear();
            self.receiver.lap(part);
        }
        self.hands.polled(kept_full || gave || is_late);
        // What another core took is not more than this one can do.
        let frames_max = if is_late { BURST_FRAMES_LATE } else { BURST_FRAMES_MAX };
        if (kept_full || !gave)
            && let Some(is_full) = self.small.polled(frames_max, kept_full)
        {
            self.receiver.polled_all(is_full);
        }
        // What is late with a window takes as little as it can.
        let took = !is_late && self.take(self.receiver.reached());
        self.help();
        if !came && !took {
            self.receiver.settle();
        }
        came || took
    }

    /// Polls a queue. Whether what came was given to another core: then the burst is empty. One queue that overflows is enough
    /// for that, however quiet the others are. A core that is late with a window takes few, and gives none.
    #[inline]
    fn poll(&mut self, at: usize, frames_max: usize) -> bool {
        let Self { queues, burst, hands, receiver, given, .. } = self;
        let queue = &mut queues[at];
        if frames_max < BURST_FRAMES_MAX {
            burst.limit(frames_max);
            queue.poll(burst);
            return false;
        }
        let gave = hands.give(|parcel| {
            // It costs this core the same, however many there are.
            burst.limit(BURST_FRAMES_MAX);
            queue.poll_or_pack(burst, parcel).then(|| {
                given.add(parcel.len());
                (parcel.epoch(), receiver.own_shed_level())
            })
        });
        gave.unwrap_or_else(|| {
            burst.limit(frames_max);
            queue.poll(burst);
            false
        })
    }

    /// Counts what a poll gave, in its order. Whether the queue has ended.
    #[inline]
    fn count(&mut self) -> bool {
        let Some((begins, _)) = self.burst.live() else { return count_fed(&mut self.receiver, &self.burst) };
        if let Some(epoch) = begins {
            self.turn_to(epoch);
        }
        if let Some((_, frames)) = self.burst.live() {
            self.receiver.burst(frames);
        }
        false
    }

    /// Opens an epoch. What other cores gave of those before goes first, as much as can wait: so it counts in its own.
    #[cold]
    fn turn_to(&mut self, epoch: Epoch) {
        let before = Epoch(epoch.0.saturating_sub(1));
        for _ in 0..self.hands.waiting_max() {
            if !self.take(before) {
                break;
            }
        }
        self.receiver.epoch(epoch);
    }

    /// Counts a burst that another core gave, of no later epoch. Whether there was one.
    #[inline]
    fn take(&mut self, latest: Epoch) -> bool {
        let Self { hands, from_other, .. } = self;
        match hands.take(latest, |parcel, _, level| (from_other.unpack(parcel), level)) {
            Some(((), level)) => self.count_other(level),
            None => return false,
        }
        true
    }

    fn count_other(&mut self, level: u32) {
        let Self { receiver, from_other, taken, untaken, pause, .. } = self;
        let frames = from_other.len();
        taken.add(frames);
        receiver.lap(Part::Rx);
        pause.did(Did::Poll, frames as u64);
        if receiver.helps(level) {
            *untaken = 0;
        }
        receiver.epoch(from_other.epoch());
        receiver.late(from_other.port(), from_other.epoch(), frames as u64);
        if let Some((_, burst)) = from_other.live() {
            receiver.burst(burst);
        }
        from_other.clear();
        receiver.lap(Part::Rx);
    }

    /// A core that takes from one which sheds does so too, as long as it is given something by one that sheds as much.
    #[inline]
    fn help(&mut self) {
        self.untaken = self.untaken.saturating_add(1);
        if self.untaken == UNHELPED_TURNS {
            self.receiver.helps_nobody();
        }
    }

    /// What other cores gave before they were told to stop too.
    fn take_the_rest(&mut self, idle: Idle) {
        self.hands.close();
        let mut patience = Patience::default();
        while !self.hands.is_over() {
            let took = self.take(Epoch(Epoch::END.0 - 1));
            if !(self.receiver.step() || took) {
                idle.rest(&mut patience);
            }
        }
    }
}

/// What a poll of a fed queue gave. Whether the queue has ended.
fn count_fed<S: Stage>(receiver: &mut Receiver<S>, burst: &Burst) -> bool {
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
