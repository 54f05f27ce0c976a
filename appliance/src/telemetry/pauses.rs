//! How long a receiving core's queues wait for their next poll, and what the core did meanwhile.
//!
//! It comes of the clock that is read once a poll anyway: from a turn's first poll to the next one's. What the core did
//! between the two it says itself. A pause that is longer than all of that can take is the system's: it ran something else
//! on this CPU, or the machine stood still.

use super::live::Counter;

/// Upper ends of the bins are powers of two, from 256 ns on; the last one has none.
const FIRST_BIT: u32 = 8;
/// Bins: up to 1.07 s, and what is above.
pub const PAUSE_BINS: usize = 24;

/// What a core did between two polls: of several things the last in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Did {
    /// Nothing: it polls again.
    #[default]
    Poll,
    /// It rested, on a CPU that is shared: others might run.
    Rest,
    /// It worked on frames.
    Frames,
    /// It did a piece of what closes the window before.
    Closing,
    /// It turned to another window.
    Window,
    /// It turned to another configuration.
    Reload,
}

/// Causes of a pause: each thing that a core does, and the system.
pub const PAUSE_CAUSES: [&str; 7] = ["poll", "rest", "frames", "closing", "window", "reload", "system"];
const SYSTEM: usize = PAUSE_CAUSES.len() - 1;

/// More than a poll takes that brings nothing, or the polling of several queues.
const POLLS_NS_MAX: u64 = 50_000;
/// More than a rest takes where the CPU is given back: a nap is 50 us, and others that take turns have a few milliseconds each.
const REST_NS_MAX: u64 = 20_000_000;
/// More than a frame takes until it stands in a log.
const FRAME_NS_MAX: u64 = 1_000;
/// Twice what a batch takes with the standard set, which has so many stats.
const BATCH_NS_MAX: u64 = 80_000;
const STANDARD_STATS: u64 = 24;
/// More than what closes a window takes in a poll beside its batches: a piece of 50 us at most (`bash scripts/bench pause`), or where
/// that is late four that are twice as long.
const CLOSING_NS_MAX: u64 = 400_000;
/// More than turning to another window or configuration takes, and closing.
const TURN_NS_MAX: u64 = 1_000_000;

/// More than a batch takes with so many stats: few have what is at hand, many cost each its part.
pub const fn batch_ns_max(stats: usize) -> u64 {
    let stats = stats as u64;
    BATCH_NS_MAX * if stats > STANDARD_STATS { stats } else { STANDARD_STATS } / STANDARD_STATS
}

/// What a core does with batches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Handed on since the start.
    pub handed: u64,
    /// See [`batch_ns_max`].
    pub batch_ns_max: u64,
}

impl Did {
    /// More than this takes, and so many frames and batches, which take so long.
    const fn work_ns_max(self, frames: u64, batches_ns: u64) -> u64 {
        let piece = match self {
            Self::Poll | Self::Rest | Self::Frames => 0,
            Self::Closing => CLOSING_NS_MAX,
            Self::Window | Self::Reload => TURN_NS_MAX,
        };
        POLLS_NS_MAX + frames * FRAME_NS_MAX + batches_ns + piece
    }

    /// What a pause is put down to. Who rests gives its CPU away for as long as others want it, within reason.
    fn cause(self, pause_ns: u64, work_ns_max: u64) -> usize {
        let can_take = if self == Self::Rest { REST_NS_MAX } else { work_ns_max };
        if pause_ns > can_take { SYSTEM } else { self as usize }
    }
}

/// A pause that is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paused {
    /// How long it was; 0: there was none, or no clock.
    pub ns: u64,
    /// It was longer than what the core did takes: others ran, or nobody. Also where it had given its CPU away.
    pub is_away: bool,
}

/// Pauses of one core, live. All zero where it has read no clock: workers, and replays.
#[derive(Debug, Default)]
pub struct LivePauses {
    bins: [Counter; PAUSE_BINS],
    total_ns: [Counter; PAUSE_CAUSES.len()],
    longest_ns: [Counter; PAUSE_CAUSES.len()],
}

/// [`LivePauses`], read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PauseFigures {
    /// How many there were, by [`pause_bin_ns`].
    pub bins: [u64; PAUSE_BINS],
    /// By [`PAUSE_CAUSES`]: all of them together.
    pub total_ns: [u64; PAUSE_CAUSES.len()],
    /// By [`PAUSE_CAUSES`]: the longest.
    pub longest_ns: [u64; PAUSE_CAUSES.len()],
}

/// The upper end of a bin, which is not in it; the last bin has none.
pub const fn pause_bin_ns(bin: usize) -> Option<u64> {
    if bin + 1 < PAUSE_BINS { Some(1 << (FIRST_BIT as usize + bin)) } else { None }
}

impl LivePauses {
    /// A pause. Only the owner may call this.
    #[inline]
    fn add(&self, pause_ns: u64, cause: usize) {
        let bin = (u64::BITS - pause_ns.leading_zeros()).saturating_sub(FIRST_BIT) as usize;
        self.bins[bin.min(PAUSE_BINS - 1)].add(1);
        self.total_ns[cause].add(pause_ns);
        if pause_ns > self.longest_ns[cause].get() {
            self.longest_ns[cause].set(pause_ns);
        }
    }

    /// Reads; anybody may.
    pub fn get(&self) -> PauseFigures {
        PauseFigures {
            bins: self.bins.each_ref().map(Counter::get),
            total_ns: self.total_ns.each_ref().map(Counter::get),
            longest_ns: self.longest_ns.each_ref().map(Counter::get),
        }
    }
}

impl PauseFigures {
    /// Pauses.
    pub fn count(&self) -> u64 {
        self.bins.iter().sum()
    }

    pub(super) fn add(&mut self, other: &Self) {
        let add = |mine: &mut [u64], theirs: &[u64]| mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        add(&mut self.bins, &other.bins);
        add(&mut self.total_ns, &other.total_ns);
        self.longest_ns.iter_mut().zip(other.longest_ns).for_each(|(mine, theirs)| *mine = theirs.max(*mine));
    }

    pub(super) fn since(&self, earlier: &Self) -> Self {
        let mut since = *self;
        let sub = |mine: &mut [u64], theirs: &[u64]| {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine = mine.saturating_sub(*theirs));
        };
        sub(&mut since.bins, &earlier.bins);
        sub(&mut since.total_ns, &earlier.total_ns);
        since
    }
}

/// What the core itself keeps: since when it has not polled, and what it did.
#[derive(Debug, Default)]
pub struct Pause {
    /// By a monotonic clock; 0: it has not polled yet.
    since_ns: u64,
    did: Did,
    frames: u64,
    /// Batches handed on when it polled last.
    handed: u64,
}

impl Pause {
    /// The first poll of a turn was at `now_ns`, by a monotonic clock; 0: none was read. Until then the core did this work. The pause
    /// before it.
    #[inline]
    pub fn polled(&mut self, now_ns: u64, work: Work, live: &LivePauses) -> Paused {
        let mut paused = Paused::default();
        if self.since_ns > 0 && now_ns > 0 {
            let work_ns_max = self.did.work_ns_max(self.frames, (work.handed - self.handed) * work.batch_ns_max);
            paused.ns = now_ns.saturating_sub(self.since_ns);
            paused.is_away = paused.ns > work_ns_max;
            live.add(paused.ns, self.did.cause(paused.ns, work_ns_max));
        }
        *self = Self { since_ns: now_ns, handed: work.handed, ..Self::default() };
        paused
    }

    /// The core did this since, or had so many frames.
    #[inline]
    pub fn did(&mut self, did: Did, frames: u64) {
        self.frames += frames;
        self.did = self.did.max(did).max(if frames > 0 { Did::Frames } else { Did::Poll });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(name: &str) -> usize {
        PAUSE_CAUSES.iter().position(|cause| *cause == name).unwrap()
    }

    #[test]
    fn a_pause_is_from_poll_to_poll_and_put_down_to_what_was_done() {
        let (live, mut pause) = (LivePauses::default(), Pause::default());
        let work = |handed| Work { handed, batch_ns_max: batch_ns_max(24) };
        pause.polled(1_000, work(0), &live);
        assert_eq!(live.get(), PauseFigures::default(), "the first has none before it");
        // What was done, how many batches were handed on, and what that is put down to.
        let cases = [
            (&[(Did::Poll, 0)][..], 0, 100, "poll"),
            (&[(Did::Poll, 0)], 0, 50_001, "system"),
            (&[(Did::Poll, 32)], 0, 10_000, "frames"),
            (&[(Did::Poll, 1)], 0, 52_000, "system"),
            // A full burst, and one behind which something else ran for a millisecond.
            (&[(Did::Poll, 64)], 2, 270_000, "frames"),
            (&[(Did::Poll, 64)], 2, 1_080_000, "system"),
            (&[(Did::Poll, 64)], 20, 900_000, "frames"),
            (&[(Did::Poll, 32), (Did::Closing, 0)], 1, 500_000, "closing"),
            (&[(Did::Poll, 64), (Did::Closing, 0)], 4, 1_100_000, "system"),
            (&[(Did::Window, 32), (Did::Closing, 0)], 0, 20_000, "window"),
            // What other cores gave of the window before, with its batches.
            (&[(Did::Poll, 135 * 64), (Did::Window, 0)], 135, 14_000_000, "window"),
            (&[(Did::Reload, 0), (Did::Window, 0)], 0, 1_000_000, "reload"),
            (&[(Did::Reload, 0)], 0, 3_000_000_000, "system"),
            (&[(Did::Rest, 0)], 0, 4_000_000, "rest"),
            (&[(Did::Rest, 0)], 0, 20_000_001, "system"),
        ];
        let (mut now_ns, mut handed) = (1_000, 0);
        for (done, batches, pause_ns, name) in cases {
            let before = live.get();
            done.iter().for_each(|(did, frames)| pause.did(*did, *frames));
            (now_ns, handed) = (now_ns + pause_ns, handed + batches);
            let paused = pause.polled(now_ns, work(handed), &live);
            assert_eq!(paused, Paused { ns: pause_ns, is_away: name == "system" || name == "rest" });
            let news = live.get().since(&before);
            assert_eq!((news.count(), news.total_ns[cause(name)]), (1, pause_ns), "{name}");
            let bin = news.bins.iter().position(|n| *n == 1).unwrap();
            let low = bin.checked_sub(1).map_or(Some(0), pause_bin_ns);
            assert!(low.is_some_and(|low| low <= pause_ns) && pause_bin_ns(bin).is_none_or(|high| pause_ns < high), "{pause_ns}: {bin}");
        }
        let figures = live.get();
        assert_eq!((figures.longest_ns[cause("system")], figures.longest_ns[cause("frames")]), (3_000_000_000, 900_000));
        assert_eq!(figures.total_ns.iter().sum::<u64>(), now_ns - 1_000, "no time is lost");
    }

    #[test]
    fn a_batch_of_more_stats_may_take_longer() {
        assert_eq!([0, 24, 96, 512].map(batch_ns_max), [80_000, 80_000, 320_000, 1_706_666]);
    }

    #[test]
    fn sums_add_and_the_longest_is_the_longest_of_all() {
        let [one, other] = [40, 4_000].map(|pause_ns| {
            let (live, mut pause) = (LivePauses::default(), Pause::default());
            [5, 5 + pause_ns].into_iter().for_each(|now_ns| {
                pause.polled(now_ns, Work::default(), &live);
            });
            live.get()
        });
        let mut both = one;
        both.add(&other);
        assert_eq!((both.count(), both.total_ns[0], both.longest_ns[0]), (2, 4_040, 4_000));
    }
}
