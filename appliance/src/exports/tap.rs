//! The tap of a receiving core: which of its frames are sampled, and the ring that takes the samples to who exports them.
//!
//! A burst without a sample costs it an addition and a comparison. A sample is copied into a ring of bounded length; where that is full
//! the sample is lost and counted, and nobody waits. (In a replay the ring is waited for.)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arrayvec::ArrayVec;

use super::sample::Sample;
use super::skip::{Skip, log_of};
use crate::arch::Patience;
use crate::arch::ring::{Consumer, Producer, PushError, RingBuffer};
use crate::limits::{SAMPLERS_MAX, SAMPLES_WAITING_MAX};

const _: () = assert!(SAMPLES_WAITING_MAX * size_of::<Sample>() <= 2_000_000, "docs/operations.md says what a ring takes");

/// What a tap has counted since the start, by sampler. Written by its core alone.
#[derive(Debug, Default)]
pub struct Counts {
    /// Frames that were sampled.
    pub sampled: [AtomicU64; SAMPLERS_MAX],
    /// Of them those that found no room.
    pub lost: [AtomicU64; SAMPLERS_MAX],
}

/// One who samples at a rate of its own.
#[derive(Debug)]
struct Sampler {
    log: f64,
    /// The number of the frame that is its next sample, from 1.
    next: u64,
    /// Frames passed over since the last sample that was sent.
    passed: u64,
    /// The number of its last sample.
    last: u64,
    lost: u32,
}

/// See the module.
pub struct Tap {
    /// Frames seen.
    seen: u64,
    /// The number of the nearest sample.
    next: u64,
    /// Frames seen before the burst.
    before: u64,
    samplers: ArrayVec<Sampler, SAMPLERS_MAX>,
    skip: Skip,
    ring: Producer<Sample>,
    counts: Arc<Counts>,
    waits: bool,
}

/// The other end of all taps.
pub struct Taps {
    /// Of each core.
    pub rings: Vec<Consumer<Sample>>,
    /// Likewise.
    pub counts: Vec<Arc<Counts>>,
}

/// A tap for each of so many cores, for samplers of one frame in so many each. `waits`: a full ring is waited for.
pub fn taps(cores: usize, one_in: &[u32], seed: [u8; 32], waits: bool) -> (Vec<Tap>, Taps) {
    let (mut taps, mut ends) = (Vec::new(), Taps { rings: Vec::new(), counts: Vec::new() });
    for core in 0..cores {
        let ((ring, end), counts) = (RingBuffer::new(SAMPLES_WAITING_MAX), Arc::new(Counts::default()));
        ends.rings.push(end);
        ends.counts.push(Arc::clone(&counts));
        taps.push(Tap::new(one_in, Skip::new(seed, core as u64), (ring, counts), waits));
    }
    (taps, ends)
}

impl Tap {
    fn new(one_in: &[u32], mut skip: Skip, (ring, counts): (Producer<Sample>, Arc<Counts>), waits: bool) -> Self {
        let mut sampler = |one_in: &u32| {
            let log = log_of(*one_in);
            Sampler { log, next: skip.draw(log), passed: 0, last: 0, lost: 0 }
        };
        let samplers: ArrayVec<Sampler, SAMPLERS_MAX> = one_in.iter().take(SAMPLERS_MAX).map(&mut sampler).collect();
        let next = samplers.iter().map(|sampler| sampler.next).min().unwrap_or(u64::MAX);
        Self { seen: 0, next, before: 0, samplers, skip, ring, counts, waits }
    }

    /// A burst of so many frames has come. Whether some of them are sampled.
    #[inline]
    pub fn comes(&mut self, frames: usize) -> bool {
        self.before = self.seen;
        self.seen += frames as u64;
        self.seen >= self.next
    }

    /// The position in the burst of the frame that is sampled next; it is to be [taken](Self::take).
    pub fn at(&self) -> Option<usize> {
        if self.next > self.seen {
            return None;
        }
        usize::try_from(self.next.wrapping_sub(self.before).wrapping_sub(1)).ok()
    }

    /// Sends the frame at that position to who sampled it, and goes on to the next. (Without one it is as if there were no room.)
    pub fn take(&mut self, mut sample: Option<Sample>) {
        let Self { samplers, skip, ring, counts, next: now, waits, .. } = self;
        let mut next = u64::MAX;
        for (at, sampler) in samplers.iter_mut().enumerate() {
            if sampler.next == *now {
                sampler.passed += *now - sampler.last;
                sampler.last = *now;
                sampler.next = now.saturating_add(skip.draw(sampler.log));
                add(&counts.sampled[at]);
                let is_sent = sample.as_mut().is_some_and(|sample| {
                    (sample.sampler, sample.passed, sample.lost) = (u8::try_from(at).unwrap_or(u8::MAX), sampler.passed, sampler.lost);
                    push(ring, sample, *waits)
                });
                if is_sent {
                    (sampler.passed, sampler.lost) = (0, 0);
                } else {
                    sampler.lost = sampler.lost.saturating_add(1);
                    add(&counts.lost[at]);
                }
            }
            next = next.min(sampler.next);
        }
        *now = next;
    }
}

/// Of a counter that nobody else writes.
fn add(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

/// Whether there was room.
fn push(ring: &mut Producer<Sample>, sample: &Sample, waits: bool) -> bool {
    let mut patience = Patience::default();
    while let Err(PushError::Full(_)) = ring.push(*sample) {
        if !waits || ring.is_abandoned() {
            return false;
        }
        patience.wait();
    }
    true
}
