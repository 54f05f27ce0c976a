//! How long a thread has run: what others on its CPU did meanwhile is not in it.

use std::sync::OnceLock;
use std::time::Instant;

/// Nanoseconds that this thread has run; where the system does not tell, the monotonic clock.
pub(super) fn ran_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let ran = told.and_then(|text| text.split_whitespace().next()?.parse().ok());
    ran.unwrap_or_else(|| u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX))
}
