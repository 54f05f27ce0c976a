//! The time that windows follow: it never goes back.
//!
//! A core reads the monotonic clock, once a poll, and adds one word that all cores share: how far the timeline is ahead of
//! that clock. Whoever looks after the timeline (off the data path, ten times a second and before a window is closed)
//! compares it with the wall clock. Where that went ahead, an NTP step or a virtual machine that was suspended, the
//! timeline jumps after it. Where it went back, the timeline is held: it goes on at its own pace and says how far it is
//! off. Less than the tolerance is made good slowly. Windows that a step touched are known by it, and marked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A difference that is a step, and not made good slowly.
pub const TOLERANCE_NS: u64 = 100_000_000;
/// Of less than that, so much is made good of each nanosecond: one in a thousand.
const SLEW_SHARE: u64 = 1_000;
/// Beside a step, cores may have read the word before it moved.
const SLACK_NS: u64 = 10_000_000;
/// Steps that are remembered, until windows that they touched are closed.
const STEPS_KEPT: usize = 64;
/// A look whose two clocks were read further apart is made again: windows may be short, and a tenth of one is to be told.
const APART_NS: u64 = 10_000;
/// Looks at most; the best of them counts.
const LOOKS_MAX: u32 = 8;

/// Two clocks.
pub trait Clock: Send + Sync {
    /// Nanoseconds since any fixed moment; never goes back.
    fn monotonic_ns(&self) -> u64;

    /// Nanoseconds since 1970, as the machine has it.
    fn wall_ns(&self) -> u64;
}

/// The machine's.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    #[inline]
    fn monotonic_ns(&self) -> u64 {
        let since = self.0.elapsed();
        since.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(since.subsec_nanos()))
    }

    /// 0 before 1970.
    fn wall_ns(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(since.subsec_nanos()))
    }
}

/// The word that cores share, on a cache line of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Shared(AtomicU64);

/// See the module. One for all cores.
#[derive(Debug)]
pub struct Timeline<C = SystemClock> {
    ahead: Shared,
    clock: C,
    watch: Mutex<Watch>,
}

/// What was seen at the last look.
#[derive(Debug)]
struct Watch {
    monotonic_ns: u64,
    wall_ns: u64,
    steps: VecDeque<Step>,
    jumps: u64,
}

/// A step of the wall clock: what it touched, in the timeline's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The stretch before it: from the last look to the moment that all cores know.
    pub before_ns: (u64, u64),
    /// The stretch behind it; the same, if the timeline was held. What lies between the two never was.
    pub after_ns: (u64, u64),
}

/// Where the timeline stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockState {
    /// Now, nanoseconds since 1970.
    pub now_ns: u64,
    /// How far it is ahead of the wall clock.
    pub offset_ns: i64,
    /// Steps since the start.
    pub jumps: u64,
    /// The last of them, in the order in which they came.
    pub steps: Vec<Step>,
}

impl ClockState {
    /// Whether a step touched a window.
    pub fn touches(&self, (start_ns, end_ns): (u64, u64)) -> bool {
        let touched = |(from, to): (u64, u64)| from < end_ns && to >= start_ns;
        self.steps.iter().any(|step| touched(step.before_ns) || touched(step.after_ns))
    }

    /// Where time went on, if a window lies wholly between the two sides of a jump: it never was.
    pub fn jumped_over(&self, (start_ns, end_ns): (u64, u64)) -> Option<u64> {
        let over = |step: &&Step| step.before_ns.1 < start_ns && end_ns <= step.after_ns.0;
        self.steps.iter().filter(over).map(|step| step.after_ns.0).max()
    }
}

/// a - b, as far as it can be told.
fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(i128::from(a) - i128::from(b)).unwrap_or(if a > b { i64::MAX } else { i64::MIN })
}

impl<C: Clock + Default> Default for Timeline<C> {
    fn default() -> Self {
        Self::new(C::default())
    }
}

impl<C: Clock> Timeline<C> {
    /// Starts at the wall clock's time.
    pub fn new(clock: C) -> Self {
        let (monotonic_ns, wall_ns) = both(&clock);
        let watch = Watch { monotonic_ns, wall_ns, steps: VecDeque::new(), jumps: 0 };
        Self { ahead: Shared(AtomicU64::new(wall_ns.wrapping_sub(monotonic_ns))), clock, watch: Mutex::new(watch) }
    }

    /// The time.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.read().1
    }

    /// The monotonic clock, and the time that comes of it: one read of a clock, one load.
    #[inline]
    pub fn read(&self) -> (u64, u64) {
        let monotonic_ns = self.clock.monotonic_ns();
        (monotonic_ns, monotonic_ns.wrapping_add(self.ahead.0.load(Ordering::Acquire)))
    }

    /// The clocks beneath.
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// Compares the timeline with the wall clock, follows it where it may, and says where it stands. Off the data path.
    pub fn look(&self) -> ClockState {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let (monotonic_ns, wall_ns) = both(&self.clock);
        let ahead = self.ahead.0.load(Ordering::Relaxed);
        let (last_ns, here_ns) = (watch.monotonic_ns.wrapping_add(ahead), monotonic_ns.wrapping_add(ahead));
        let elapsed = monotonic_ns.saturating_sub(watch.monotonic_ns);
        let moved = difference(wall_ns, watch.wall_ns.saturating_add(elapsed));
        let offset = difference(here_ns, wall_ns);
        (watch.monotonic_ns, watch.wall_ns) = (monotonic_ns, wall_ns);
        let before_ns = (last_ns, here_ns.saturating_add(SLACK_NS));
        if offset < 0 && offset.unsigned_abs() > TOLERANCE_NS {
            watch.step(Step { before_ns, after_ns: (wall_ns, wall_ns.saturating_add(SLACK_NS)) });
            // After the step is known: who is told of a window behind it finds it.
            self.ahead.0.store(wall_ns.wrapping_sub(monotonic_ns), Ordering::Release);
        } else if moved.unsigned_abs() > TOLERANCE_NS {
            watch.step(Step { before_ns, after_ns: before_ns });
        } else if offset.unsigned_abs() <= TOLERANCE_NS {
            let most = elapsed / SLEW_SHARE;
            let by = offset.unsigned_abs().min(most);
            let slewed = if offset > 0 { ahead.wrapping_sub(by) } else { ahead.wrapping_add(by) };
            self.ahead.0.store(slewed, Ordering::Release);
        }
        let now_ns = monotonic_ns.wrapping_add(self.ahead.0.load(Ordering::Relaxed));
        let steps = watch.steps.iter().copied().collect();
        ClockState { now_ns, offset_ns: difference(now_ns, wall_ns), jumps: watch.jumps, steps }
    }
}

impl Watch {
    fn step(&mut self, step: Step) {
        self.jumps += 1;
        if self.steps.len() == STEPS_KEPT {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }
}

/// Both clocks, read as near together as may be.
fn both(clock: &impl Clock) -> (u64, u64) {
    let (mut best, mut apart_ns) = ((0, 0), u64::MAX);
    for _ in 0..LOOKS_MAX {
        let read = (clock.monotonic_ns(), clock.wall_ns());
        let took_ns = clock.monotonic_ns().saturating_sub(read.0);
        if took_ns < apart_ns {
            (best, apart_ns) = (read, took_ns);
        }
        if apart_ns <= APART_NS {
            break;
        }
    }
    best
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
