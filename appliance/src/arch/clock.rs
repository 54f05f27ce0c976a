//! What the kernel says of its clock: a system call that changes nothing, off the data path.
#![allow(unsafe_code, reason = "one call of the C library, which reads")]

/// Whether the wall clock is disciplined, and how well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelClock {
    /// The kernel takes it for disciplined: somebody told it so within hours (NTP; PTP, where phc2sys or chrony say so).
    pub is_synced: bool,
    /// What it has still to make good; positive: the clock is behind.
    pub offset_ns: i64,
    /// Estimated error beside that; none: whoever disciplines the clock tells none. `phc2sys` says that it is disciplined and no more: what
    /// stands there then is 16 s, of the kernel's start or the last step, or what somebody before said, and is above the bound.
    pub error_ns: Option<u64>,
    /// Bound of the error. It grows by 500 us a second until the next word comes.
    pub error_max_ns: u64,
    /// How far TAI is ahead of UTC, seconds, as it was told; 0: it was not.
    pub tai_s: i32,
}

/// What the kernel puts for an estimate that nobody told (`NTP_PHASE_LIMIT`).
const UNTOLD_US: libc::c_long = 16_000_000;

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
            error_ns: (read.esterror < UNTOLD_US && read.esterror <= read.maxerror).then(|| us(read.esterror)),
            error_max_ns: us(read.maxerror),
            tai_s: read.tai,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: i32, offset: i64, esterror: i64, maxerror: i64) -> libc::timex {
        // SAFETY: as above.
        let zero: libc::timex = unsafe { std::mem::zeroed() };
        libc::timex { status, offset, esterror, maxerror, tai: 37, ..zero }
    }

    #[test]
    fn units_and_states_are_read_as_the_manual_has_them() {
        let micro = KernelClock::of(&read(libc::STA_PLL, -250, 30, 4_000), libc::TIME_OK);
        assert_eq!(micro, KernelClock { is_synced: true, offset_ns: -250_000, error_ns: Some(30_000), error_max_ns: 4_000_000, tai_s: 37 });
        let nano = KernelClock::of(&read(libc::STA_PLL | libc::STA_NANO, -250, 30, 4_000), libc::TIME_INS);
        assert_eq!((nano.is_synced, nano.offset_ns), (true, -250));
        assert!(!KernelClock::of(&read(libc::STA_UNSYNC, 0, 16_000_000, 16_000_000), libc::TIME_ERROR).is_synced);
        assert!(!KernelClock::of(&read(0, 0, 0, 0), libc::TIME_ERROR).is_synced);
        assert_eq!(KernelClock::of(&read(0, 0, -1, i64::MAX), libc::TIME_OK).error_ns, Some(0));
    }

    /// `phc2sys` clears the status and sets the bound to 0, each time; the estimate is as the kernel's start, a step or a daemon before
    /// left it.
    #[test]
    fn a_clock_that_phc2sys_keeps_is_synced_without_an_estimate() {
        for (status, esterror, maxerror) in
            [(0, 16_000_000, 0), (libc::STA_NANO, 16_000_000, 500), (0, 25_000, 499), (0, 16_000_000, 15_999_999)]
        {
            let kernel = KernelClock::of(&read(status, 0, esterror, maxerror), libc::TIME_OK);
            assert_eq!((kernel.is_synced, kernel.offset_ns, kernel.error_ns), (true, 0, None), "{esterror} {maxerror}");
        }
        // timesyncd sets both to 0, chrony and ntpd tell both.
        assert_eq!(KernelClock::of(&read(libc::STA_PLL, 0, 0, 0), libc::TIME_OK).error_ns, Some(0));
        assert_eq!(KernelClock::of(&read(libc::STA_PLL, 0, 900, 21_000), libc::TIME_OK).error_ns, Some(900_000));
    }
}
