//! Times of all kinds → nanoseconds since 1970.

/// Seconds from 1900, NTP's epoch, to 1970.
const NTP_SECONDS: u64 = 2_208_988_800;
const NS: u64 = 1_000_000_000;

/// What times within a datagram are relative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Base {
    /// When it was exported, by the exporter's clock.
    pub(super) export_ns: u64,
    /// Milliseconds that the exporter had been up by then; modulo 2^32, so it comes round every 49.7 days.
    pub(super) uptime_ms: u32,
}

impl Base {
    /// The time at which the exporter's uptime was `at_ms`. The nearer of past and future: a record may end a little after the
    /// header was written, and neither is told across a wrap.
    #[inline]
    pub(super) fn uptime(&self, at_ms: u32) -> u64 {
        let ago_ms = self.uptime_ms.wrapping_sub(at_ms).cast_signed();
        self.export_ns.saturating_add_signed(-i64::from(ago_ms) * 1_000_000)
    }

    /// `micros` before the export (elements 158, 159).
    #[inline]
    pub(super) const fn before(&self, micros: u64) -> u64 {
        self.export_ns.saturating_sub(micros.saturating_mul(1_000))
    }
}

/// Of seconds.
#[inline]
pub(super) const fn seconds(value: u64) -> u64 {
    value.saturating_mul(NS)
}

/// Of milliseconds.
#[inline]
pub(super) const fn millis(value: u64) -> u64 {
    value.saturating_mul(1_000_000)
}

/// Of the same in microseconds: the lowest eleven bits of the fraction are to be ignored (RFC 7011, 6.1.9).
#[inline]
pub(super) const fn micros(value: u64) -> u64 {
    ntp(value & !0x7FF)
}

/// Of NTP's seconds since 1900 and 32 bits of fraction (RFC 7011, 6.1.10). Before 1970 they are of the era from 2036.
#[inline]
pub(super) const fn ntp(value: u64) -> u64 {
    let (seconds, fraction) = (value >> 32, value & 0xFFFF_FFFF);
    let since_1900 = if seconds < NTP_SECONDS { seconds + (1 << 32) } else { seconds };
    (since_1900 - NTP_SECONDS) * NS + ((fraction * NS) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_comes_round() {
        let base = Base { export_ns: 1_000 * NS, uptime_ms: 500 };
        assert_eq!(base.uptime(0), 1_000 * NS - 500_000_000);
        assert_eq!(base.uptime(u32::MAX), 1_000 * NS - 501_000_000);
        assert_eq!(base.uptime(700), 1_000 * NS + 200_000_000);
        assert_eq!(Base { export_ns: 5, uptime_ms: 500 }.uptime(0), 0);
    }

    #[test]
    fn ntp_and_deltas() {
        assert_eq!(ntp((NTP_SECONDS + 10) << 32 | 0x8000_0000), 10 * NS + NS / 2);
        assert_eq!(micros((NTP_SECONDS + 10) << 32 | 0x8000_07FF), 10 * NS + NS / 2);
        assert_eq!(ntp(0), ((1 << 32) - NTP_SECONDS) * NS);
        let at = |seconds: u64| ntp(seconds << 32) / NS;
        assert_eq!([at(NTP_SECONDS), at(NTP_SECONDS + 1)], [0, 1]);
        // The last second before 1970 is one of 2106; nothing between underflows.
        assert_eq!(at(NTP_SECONDS - 1), u64::from(u32::MAX));
        assert_eq!([0x7FFF_FFFF, 0x8000_0000].map(at), [0x7FFF_FFFF, 0x8000_0000].map(|s: u64| s + (1 << 32) - NTP_SECONDS));
        assert_eq!(ntp(u64::MAX), (u64::from(u32::MAX) - NTP_SECONDS) * NS + NS - 1);
        assert_eq!(Base { export_ns: NS, uptime_ms: 0 }.before(1_500), NS - 1_500_000);
        assert_eq!((seconds(u64::MAX), millis(3)), (u64::MAX, 3_000_000));
    }
}
