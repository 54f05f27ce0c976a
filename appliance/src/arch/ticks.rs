//! Ticks of the processor's own counter: what times a piece of work without a system call.
//!
//! On x86 it is the time stamp counter, which every processor of the last ten years counts at one pace, whatever its clock
//! does. Elsewhere it is the monotonic clock in nanoseconds.
#![allow(unsafe_code, reason = "reading the counter is an intrinsic")]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Now. Only differences of one core mean something.
#[inline]
#[cfg(target_arch = "x86_64")]
pub fn ticks() -> u64 {
    // SAFETY: every processor of this architecture has the instruction, and it touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Now. Only differences of one core mean something.
#[cfg(not(target_arch = "x86_64"))]
pub fn ticks() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// How long the pace of the counter is compared with the clock.
const COMPARED: Duration = Duration::from_millis(20);

/// Ticks of a second. The first call takes 20 ms: it is for whoever shows figures, never for the data path.
pub fn ticks_per_second() -> f64 {
    static PACE: OnceLock<f64> = OnceLock::new();
    *PACE.get_or_init(|| {
        let (clock, begun) = (Instant::now(), ticks());
        std::thread::sleep(COMPARED);
        let gone = ticks().wrapping_sub(begun);
        #[allow(clippy::cast_precision_loss, reason = "a pace")]
        let pace = gone as f64 / clock.elapsed().as_secs_f64();
        pace.max(1.0)
    })
}

/// Ticks that one reading takes: what every piece that is timed has too much. The least of many tries.
pub fn ticks_of_reading() -> u64 {
    let pair = || {
        let begun = ticks();
        ticks().wrapping_sub(begun)
    };
    (0..64).map(|_| pair()).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_go_on_at_their_pace() {
        let begun = ticks();
        std::thread::sleep(Duration::from_millis(5));
        let seconds = ticks().wrapping_sub(begun) as f64 / ticks_per_second();
        assert!((0.004..5.0).contains(&seconds), "{seconds}");
        assert!(ticks_of_reading() < 1_000_000);
    }
}
