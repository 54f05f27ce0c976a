//! One core of the appliance, run to completion, with the configuration's own stats, ranges and windows, and the real
//! reporter beside it on a thread of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::clock::ran_ns;
use super::frames::Frames;
use crate::arch::ticks::{ticks, ticks_per_second};
use crate::config::Config;
use crate::journal::Message;
use crate::report::{NoHealth, PortName, Publisher, Reporter, Strain, pb};
use crate::runtime::memory::MemoryPlan;
use crate::runtime::receiver::Receiver;
use crate::runtime::reporting;
use crate::runtime::wiring::{AnyReceiver, Cores, wire_with};
use crate::runtime::world::{World, setting};
use crate::stats::plan::Period;
use crate::telemetry::cost::{PARTS, Part, Spent};
use crate::telemetry::{CoreFigures, DEGRADED, LiveCore, Registry};
use crate::units::Epoch;
use crate::window::Shard;

/// One poll in so many is timed: more often than `run` does it, and a hundredth of the time.
const TIMED_POLLS: u64 = 61;
/// Polls between two looks at the time.
const LOOK_POLLS: u64 = 512;
/// Frames of the window that warms up.
const WARM_FRAMES: u64 = 300_000;
/// How long the reporter may take for a window before nothing more is expected of it.
const REPORTED: Duration = Duration::from_nanos(REPORTED_NS);
const REPORTED_NS: u64 = 120_000_000_000;
/// Of reports, what is kept to be sent.
const SAMPLE_BYTES: usize = 2 << 20;
/// What no report takes: the system ran something else meanwhile.
const HELD_UP_S: f64 = 0.005;
/// How long a closing rests where the reporter has no room.
const REST: Duration = Duration::from_micros(30);
/// 2025: times of windows are like real ones.
pub(super) const START_NS: u64 = 1_735_689_600_000_000_000;

/// What the reporter made of a window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reported {
    /// Of ranges, and roll-ups, that had packets; of those that had none; and all else.
    pub(super) ranges: Sent,
    pub(super) idle: Sent,
    pub(super) others: Sent,
    /// Nanoseconds that its thread ran since the one before.
    pub(super) ran_ns: u64,
    pub(super) degraded: [u64; DEGRADED.len()],
}

/// Messages of a kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Ticks that they took since they were merged, and how many of them were timed.
    pub(super) ticks: u64,
    pub(super) timed: u64,
}

impl Sent {
    const fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.ticks += other.ticks;
        self.timed += other.timed;
    }

    /// Nanoseconds that all of them took: to estimate figures, and to encode them.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn makes_ns(&self) -> f64 {
        self.ticks as f64 * 1e9 / ticks_per_second() * self.messages as f64 / self.timed.max(1) as f64
    }
}

/// What a window was like.
pub(super) struct Window {
    pub(super) packets: u64,
    /// That the core ran for it, its closing included.
    pub(super) ran_ns: u64,
    /// Share of the window's length that traffic went on for.
    pub(super) covered: f64,
    /// Nanoseconds a packet of what the receiver does itself, and of what its shard does.
    pub(super) outer: [f64; PARTS.len()],
    pub(super) inner: [f64; PARTS.len()],
    /// Nanoseconds a packet, by row of the configuration.
    pub(super) stats: Vec<f64>,
    /// At its end, before it was closed.
    pub(super) figures: CoreFigures,
    pub(super) reported: Reported,
}

/// Takes messages: encodes and counts them.
#[derive(Clone, Default)]
struct Counting {
    told: Arc<Mutex<Told>>,
    /// Ticks when the next one was merged.
    merged: u64,
}

#[derive(Default)]
struct Told {
    /// Since the last window.
    open: Reported,
    /// By the end of the window.
    windows: Vec<(u64, Reported)>,
    /// What the thread had run then.
    ran_ns: u64,
    /// The first reports of ranges, and their bytes.
    sample: Vec<Message>,
    sample_bytes: usize,
    /// What warms up: its reports are smaller than those of a window.
    is_warming: bool,
}

impl Told {
    fn keep(&mut self, message: Message) {
        if !self.is_warming && self.sample_bytes < SAMPLE_BYTES {
            self.sample_bytes += message.payload.len();
            self.sample.push(message);
        }
    }
}

impl Counting {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that was not merged has no time of its own.
    fn add(&self, message: &Message, merged: Option<u64>, which: fn(&mut Reported) -> &mut Sent) {
        let gone = merged.map(|then| ticks().saturating_sub(then)).filter(|gone| *gone < held_up_ticks());
        let one = Sent { messages: 1, bytes: message.payload.len() as u64, ticks: gone.unwrap_or(0), timed: u64::from(gone.is_some()) };
        which(&mut self.told().open).add(&one);
    }

    /// Takes all that was told up to this end of a window; none while that is still to come.
    fn until(&self, end_ns: u64) -> Option<Reported> {
        let mut told = self.told();
        let windows = &mut told.windows;
        windows.iter().any(|(at, _)| *at >= end_ns).then(|| {
            let mut sum = Reported::default();
            for (_, one) in windows.drain(..) {
                [(&mut sum.ranges, one.ranges), (&mut sum.idle, one.idle), (&mut sum.others, one.others)]
                    .into_iter()
                    .for_each(|(sum, one)| sum.add(&one));
                sum.ran_ns += one.ran_ns;
                sum.degraded.iter_mut().zip(one.degraded).for_each(|(sum, n)| *sum += n);
            }
            sum
        })
    }
}

impl Publisher for Counting {
    fn merged(&mut self) {
        self.merged = ticks();
    }

    fn range(&mut self, report: &pb::RangeReport) {
        let which: fn(&mut Reported) -> &mut Sent = if report.idle { |of| &mut of.idle } else { |of| &mut of.ranges };
        let message = Message::range(report);
        self.add(&message, Some(self.merged), which);
        if !report.idle {
            self.told().keep(message);
        }
    }

    fn strained(&mut self, _is_long: bool, of: &Strain) {
        self.told().open.degraded.iter_mut().zip(of.counts()).for_each(|(sum, n)| *sum += n);
    }

    fn link(&mut self, report: &pb::LinkReport) {
        self.add(&Message::link(report), None, |of| &mut of.others);
    }

    fn appliance(&mut self, report: &pb::ApplianceReport) {
        self.add(&Message::appliance(report), None, |of| &mut of.others);
        if report.window_kind() == pb::WindowKind::Long {
            let (mut told, now_ns) = (self.told(), ran_ns());
            let ran_ns = now_ns.saturating_sub(std::mem::replace(&mut told.ran_ns, now_ns));
            let open = std::mem::take(&mut told.open);
            told.windows.push((report.window_end_ns, Reported { ran_ns, ..open }));
        }
    }
}

/// See the module.
pub(super) struct Engine {
    world: Arc<World>,
    receiver: Box<Receiver<Shard>>,
    live: Arc<LiveCore>,
    rows: usize,
    reporter: Option<JoinHandle<()>>,
    counting: Counting,
    /// Start of the next long window.
    next_ns: u64,
    polls: u64,
}

impl Engine {
    /// Of a configuration, with this memory of a core. None: a wired core that works too is missing, which cannot be.
    pub(super) fn new(config: &Config, world: &Arc<World>, memory: &MemoryPlan) -> Option<Self> {
        let registry = Registry::new("plan", "", Duration::from_millis(config.appliance.window_ms));
        let mut wired = wire_with((memory, None), world, &Cores { rx: vec![1], workers: Vec::new() }, &registry, false);
        let Some(AnyReceiver::Own(mut receiver)) = wired.receivers.pop() else { return None };
        let live = Arc::clone(receiver.live());
        let counting = Counting::default();
        let name = |n: usize| PortName { device: format!("memory{n}"), feed: "memory".to_owned(), min_pps: 0 };
        let setting = setting(config, world, 1, (0..world.ports).map(name).collect(), false);
        let streams = std::mem::take(&mut wired.streams);
        let reporter = Reporter::new(setting, Arc::clone(&world.plans), world.calendar, streams, counting.clone(), NoHealth);
        let reporter = std::thread::spawn(move || drop(reporting::run(reporter, || ())));
        let long_ns = long_ns(world);
        let next_ns = START_NS / long_ns * long_ns;
        receiver.epoch(world.calendar.epoch(next_ns));
        let rows = config.stats.len() + 1;
        Some(Self { world: Arc::clone(world), receiver, live, rows, reporter: Some(reporter), counting, next_ns, polls: 0 })
    }

    /// Some of the reports that it had made of windows, without what warmed up.
    pub(super) fn sample(&self) -> Vec<Message> {
        std::mem::take(&mut self.counting.told().sample)
    }

    /// A window of these frames until its end, or for so long. A packet takes `beside_ns` more than what is run here.
    pub(super) fn window(&mut self, frames: &mut Frames, beside_ns: f64, most: Duration) -> Window {
        self.counting.told().is_warming = true;
        self.run(frames, 0.0, None, WARM_FRAMES);
        self.counting.told().is_warming = false;
        self.run(frames, beside_ns, Some(Instant::now() + most), u64::MAX)
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
    fn run(&mut self, frames: &mut Frames, beside_ns: f64, deadline: Option<Instant>, frames_max: u64) -> Window {
        let (calendar, start_ns, long_ns) = (self.world.calendar, self.next_ns, long_ns(&self.world));
        let (polls_before, timed_before) = (self.polls, self.live.costs.read(0).polls);
        let (begun_ns, before) = (ran_ns(), self.live.costs.read_apart(self.rows));
        let (mut packets, mut gone_ns, mut burst_ns) = (0_u64, 0_u64, 0_u64);
        self.receiver.epoch(calendar.epoch(start_ns));
        while packets < frames_max && gone_ns < long_ns {
            if self.polls.is_multiple_of(LOOK_POLLS) {
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    break;
                }
                gone_ns = gone_ns.max(ran_ns() - begun_ns + (beside_ns.max(0.0) * packets as f64) as u64);
                // An epoch begins where its time has come, and a core that runs for the fun of it has no other clock.
                burst_ns = start_ns + gone_ns.min(long_ns - 1);
                self.receiver.epoch(calendar.epoch(burst_ns));
            }
            packets += self.poll(frames, burst_ns.max(start_ns), calendar.epoch(burst_ns.max(start_ns)));
        }
        self.receiver.show();
        let figures = self.live.read();
        self.close(start_ns + long_ns);
        let ran_ns = ran_ns() - begun_ns;
        let (outer, inner, stats) = self.live.costs.read_apart(self.rows);
        let timed = self.live.costs.read(0).polls.saturating_sub(timed_before).max(1);
        let each = (self.polls - polls_before) as f64 / timed as f64 * 1e9 / ticks_per_second() / packets.max(1) as f64;
        let cost = |now: Spent, then: Spent| std::array::from_fn(|at| (now.0[at] - then.0[at]) as f64 * each);
        let stats = stats.iter().zip(&before.2).map(|(now, then)| (now - then) as f64 * each).collect();
        let covered = if gone_ns >= long_ns { 1.0 } else { gone_ns as f64 / long_ns as f64 };
        let reported = self.reported(start_ns + long_ns);
        Window { packets, ran_ns, covered, outer: cost(outer, before.0), inner: cost(inner, before.1), stats, figures, reported }
    }

    fn poll(&mut self, frames: &mut Frames, time_ns: u64, epoch: Epoch) -> u64 {
        let timed = self.polls.is_multiple_of(TIMED_POLLS);
        let burst = frames.burst(time_ns, epoch);
        if timed {
            self.receiver.begin_timing();
        }
        self.receiver.frames(&burst);
        let count = burst.len() as u64;
        self.step(timed);
        count
    }

    /// Does a piece of what waits; false if nothing does.
    fn step(&mut self, timed: bool) -> bool {
        let busy = self.receiver.step();
        if timed {
            self.receiver.lap(Part::Windows);
            self.receiver.end_timing();
        }
        self.polls += 1;
        busy
    }

    /// Ends the window, and all of what that begins.
    fn close(&mut self, next_ns: u64) {
        self.receiver.epoch(self.world.calendar.epoch(next_ns));
        let (mut busy, block) = (true, self.world.plans.room().block);
        while busy {
            // Where the reporter is behind, `run` would go on with packets.
            while !self.receiver.stage_ref().has_room(block) {
                std::thread::sleep(REST);
            }
            let timed = self.polls.is_multiple_of(TIMED_POLLS);
            if timed {
                self.receiver.begin_timing();
            }
            busy = self.step(timed);
        }
        self.receiver.show();
        self.next_ns = next_ns;
    }

    /// What the reporter makes of all up to here: it closes a window when it is over.
    fn reported(&self, end_ns: u64) -> Reported {
        let begun = Instant::now();
        loop {
            match self.counting.until(end_ns) {
                Some(reported) => return reported,
                // It does not keep up: that it took all this time is the least that can be said.
                None if begun.elapsed() > REPORTED => return Reported { ran_ns: REPORTED_NS, ..Reported::default() },
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.receiver.end();
        self.reporter.take().map(JoinHandle::join);
    }
}

/// Ticks of [`HELD_UP_S`].
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bound")]
fn held_up_ticks() -> u64 {
    (ticks_per_second() * HELD_UP_S) as u64
}

fn long_ns(world: &World) -> u64 {
    let (start, end) = world.calendar.bounds_ns(Period::Long, 1);
    end - start
}
