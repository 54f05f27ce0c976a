//! Whether windows are where they say.

use super::{ClockState, KernelClock, pb};

/// How far a window's time may be off is a tenth of a fast window, but no less than this: so well the clocks are read.
const BOUND_NS_MIN: u64 = 5_000_000;
const FAST_WINDOW_SHARE: u64 = 10;

/// How far a window's time may be off, with fast windows of so many milliseconds.
pub const fn bound_ns(fast_window_ms: u64) -> u64 {
    let tenth = fast_window_ms.saturating_mul(1_000_000) / FAST_WINDOW_SHARE;
    if tenth > BOUND_NS_MIN { tenth } else { BOUND_NS_MIN }
}

/// In the messages' word.
pub(super) fn sync(kernel: Option<&KernelClock>) -> pb::ClockSync {
    match kernel {
        None => pb::ClockSync::Unknown,
        Some(kernel) if kernel.is_synced => pb::ClockSync::Synced,
        Some(_) => pb::ClockSync::Unsynced,
    }
}

/// Whether windows are known to be further off than they may be. How far the timeline is ahead of the wall clock is always known; how far
/// that is off and how surely, only while the kernel says that it is disciplined: what nobody knows makes no window incomplete.
pub(super) fn is_astray(timeline: Option<&ClockState>, kernel: Option<&KernelClock>, bound_ns: u64) -> bool {
    let Some(timeline) = timeline else { return false };
    let (system_ns, error_ns) = kernel.filter(|kernel| kernel.is_synced).map_or((0, 0), |kernel| (kernel.offset_ns, kernel.error_ns));
    timeline.offset_ns.saturating_sub(system_ns).unsigned_abs().saturating_add(error_ns) > bound_ns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_counts() {
        let kernel = |is_synced, offset_ns, error_ns| KernelClock { is_synced, offset_ns, error_ns, error_max_ns: 0 };
        let timeline = |offset_ns| ClockState { offset_ns, ..ClockState::default() };
        let bound = bound_ns(1_000);
        assert_eq!((bound, bound_ns(10), bound_ns(u64::MAX)), (100_000_000, 5_000_000, u64::MAX / 10));
        let rows: [(Option<i64>, Option<KernelClock>, bool); 12] = [
            (None, Some(kernel(true, 1 << 40, 0)), false),
            (Some(100_000_000), None, false),
            (Some(100_000_001), None, true),
            (Some(-100_000_001), None, true),
            (Some(i64::MIN), None, true),
            // The timeline is ahead by what the wall clock is behind: right.
            (Some(150_000_000), Some(kernel(true, 100_000_000, 0)), false),
            (Some(0), Some(kernel(true, 100_000_001, 0)), true),
            (Some(0), Some(kernel(true, -60_000_000, 40_000_000)), false),
            (Some(0), Some(kernel(true, -60_000_000, 40_000_001)), true),
            (Some(0), Some(kernel(false, 1 << 40, 16_000_000_000)), false),
            (Some(200_000_000), Some(kernel(false, 0, 0)), true),
            (Some(0), Some(kernel(true, i64::MIN, u64::MAX)), true),
        ];
        for (at, kernel, expected) in rows {
            assert_eq!(is_astray(at.map(timeline).as_ref(), kernel.as_ref(), bound), expected, "{at:?} {kernel:?}");
        }
        assert_eq!(sync(None), pb::ClockSync::Unknown);
        assert_eq!([true, false].map(|is| sync(Some(&kernel(is, 0, 0)))), [pb::ClockSync::Synced, pb::ClockSync::Unsynced]);
    }
}
