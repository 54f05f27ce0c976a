//! What the kernel says of its clock: a system call that changes nothing, off the data path.
#![allow(unsafe_code, reason = "one call of the C library, which reads")]

/// Whether the wall clock is disciplined, and how well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelClock {
    /// The kernel takes it for disciplined: somebody told it so within hours (NTP; PTP, where phc2sys or chrony say so).
    pub is_synced: bool,
    /// What it has still to make good; positive: the clock is behind.
    pub offset_ns: i64,
    /// Estimated error beside that.
    pub error_ns: u64,
    /// Bound of the error. It grows by 500 us a second until the next word comes.
    pub error_max_ns: u64,
}

impl KernelClock {
    /// As it is now; none where the system does not say.
    pub fn now() -> Option<Self> {
        // SAFETY: all fields are numbers, for which zero is a value.
        let mut read: libc::timex = unsafe { std::mem::zeroed() };
        // SAFETY: `modes` is 0, so the call only writes to `read`, which is ours.
        let state = unsafe { libc::adjtimex(&raw mut read) };
        (state >= 0).then(|| Self::of(&read, state))
    }

    fn of(read: &libc::timex, state: i32) -> Self {
        let unit_ns = if read.status & libc::STA_NANO != 0 { 1 } else { 1_000 };
        let us = |us: libc::c_long| u64::try_from(us).unwrap_or(0).saturating_mul(1_000);
        Self {
            is_synced: state != libc::TIME_ERROR && read.status & libc::STA_UNSYNC == 0,
            offset_ns: read.offset.saturating_mul(unit_ns),
            error_ns: us(read.esterror),
            error_max_ns: us(read.maxerror),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_states_are_read_as_the_manual_has_them() {
        let read = |status, offset, esterror, maxerror| {
            // SAFETY: as above.
            let zero: libc::timex = unsafe { std::mem::zeroed() };
            libc::timex { status, offset, esterror, maxerror, ..zero }
        };
        let micro = KernelClock::of(&read(libc::STA_PLL, -250, 30, 4_000), libc::TIME_OK);
        assert_eq!(micro, KernelClock { is_synced: true, offset_ns: -250_000, error_ns: 30_000, error_max_ns: 4_000_000 });
        let nano = KernelClock::of(&read(libc::STA_PLL | libc::STA_NANO, -250, 30, 4_000), libc::TIME_INS);
        assert_eq!((nano.is_synced, nano.offset_ns), (true, -250));
        assert!(!KernelClock::of(&read(libc::STA_UNSYNC, 0, 16_000_000, 16_000_000), libc::TIME_ERROR).is_synced);
        assert!(!KernelClock::of(&read(0, 0, 0, 0), libc::TIME_ERROR).is_synced);
        assert_eq!(KernelClock::of(&read(0, 0, -1, i64::MAX), libc::TIME_OK).error_ns, 0);
    }
}
