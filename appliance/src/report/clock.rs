//! Whether windows are where they say, and who sees to that.

use super::{ClockState, Keepers, KernelClock, pb};

/// How far a window's time may be off: a tenth of a fast window.
const FAST_WINDOW_SHARE: u64 = 10;

/// How far a window's time may be off, with fast windows of so many milliseconds.
pub const fn bound_ns(fast_window_ms: u64) -> u64 {
    fast_window_ms.saturating_mul(1_000_000) / FAST_WINDOW_SHARE
}

/// What is known of the wall clock; nothing, where time is a capture's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    /// What the kernel says.
    pub kernel: Option<KernelClock>,
    /// Who keeps it.
    pub keepers: Option<Keepers>,
}

impl WallClock {
    /// The kernel's word, if it is that its clock is disciplined.
    fn synced(&self) -> Option<&KernelClock> {
        self.kernel.as_ref().filter(|kernel| kernel.is_synced)
    }

    /// In the messages' word.
    pub(super) fn sync(&self) -> pb::ClockSync {
        match &self.kernel {
            None => pb::ClockSync::Unknown,
            Some(kernel) if kernel.is_synced => pb::ClockSync::Synced,
            Some(_) => pb::ClockSync::Unsynced,
        }
    }

    /// How far it is behind, as far as that is known, and how well; only while the kernel says that it is disciplined. Where it follows a
    /// hardware clock alone, that says it; else what the kernel has still to make good of.
    fn behind_ns(&self) -> (i64, u64) {
        let Some(kernel) = self.synced() else { return (0, 0) };
        let phc = self.keepers.as_ref().filter(|keepers| keepers.is_of_phc()).and_then(|keepers| keepers.phc.as_ref());
        (phc.map_or(kernel.offset_ns, |phc| phc.offset_ns.saturating_neg()), kernel.error_ns.unwrap_or(0))
    }

    /// Whether windows are known to be further off than they may be. How far the timeline is ahead of the wall clock is always known; how
    /// far that is off and how surely, only while the kernel says that it is disciplined: what nobody knows makes no window incomplete.
    pub(super) fn is_astray(&self, timeline: Option<&ClockState>, bound_ns: u64) -> bool {
        let Some(timeline) = timeline else { return false };
        let (behind_ns, error_ns) = self.behind_ns();
        timeline.offset_ns.saturating_sub(behind_ns).unsigned_abs().saturating_add(error_ns) > bound_ns
    }

    /// Into the account.
    pub(super) fn tell(&self, report: &mut pb::ApplianceReport) {
        report.clock_sync = self.sync().into();
        if let Some(kernel) = self.synced() {
            report.clock_system_offset_ns = Some(kernel.offset_ns);
            report.clock_error_ns = kernel.error_ns;
            report.clock_error_max_ns = Some(kernel.error_max_ns);
        }
        let Some(keepers) = &self.keepers else { return };
        let is_unsynced = self.sync() == pb::ClockSync::Unsynced;
        report.clock_disciplined_by = keepers.discipline(is_unsynced).name().to_owned();
        report.clock_daemons = keepers.daemons.iter().flatten().map(|name| (*name).to_owned()).collect();
        if let Some(phc) = &keepers.phc {
            (report.clock_phc, report.clock_phc_offset_ns) = (phc.name.clone(), Some(phc.offset_ns));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rx::keepers::Phc;

    const BOUND_NS: u64 = bound_ns(1_000);

    fn kernel(is_synced: bool, offset_ns: i64, error_ns: u64) -> KernelClock {
        KernelClock { is_synced, offset_ns, error_ns: Some(error_ns), ..KernelClock::default() }
    }

    fn timeline(offset_ns: i64) -> ClockState {
        ClockState { offset_ns, ..ClockState::default() }
    }

    #[test]
    fn a_tenth_is_a_tenth_of_any_window() {
        assert_eq!([1, 10, 49, 1_000].map(bound_ns), [100_000, 1_000_000, 4_900_000, 100_000_000]);
        assert_eq!(bound_ns(u64::MAX), u64::MAX / 10);
        let wall = WallClock::default();
        let astray = |offset, fast_ms| wall.is_astray(Some(&timeline(offset)), bound_ns(fast_ms));
        assert_eq!([astray(1_000_000, 10), astray(1_000_001, 10), astray(-4_900_001, 49)], [false, true, true]);
    }

    #[test]
    fn only_what_is_known_counts() {
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
            let wall = WallClock { kernel, keepers: None };
            assert_eq!(wall.is_astray(at.map(timeline).as_ref(), BOUND_NS), expected, "{at:?} {kernel:?}");
        }
        let sync = |kernel| WallClock { kernel, keepers: None }.sync();
        let words = [None, Some(kernel(true, 0, 0)), Some(kernel(false, 0, 0))].map(sync);
        assert_eq!(words, [pb::ClockSync::Unknown, pb::ClockSync::Synced, pb::ClockSync::Unsynced]);
    }

    fn kept(daemons: &[&'static str], offset_ns: i64, kernel: KernelClock) -> WallClock {
        let phc = Some(Phc { name: "ptp0".to_owned(), offset_ns });
        WallClock { kernel: Some(kernel), keepers: Some(Keepers { daemons: Some(daemons.to_vec()), phc }) }
    }

    /// `phc2sys` tells the kernel no offset and no error: how far the wall clock is from the hardware clock is what is known.
    #[test]
    fn with_ptp_alone_the_hardware_clock_says_how_far_off_it_is() {
        let of_phc2sys = KernelClock { is_synced: true, ..KernelClock::default() };
        let astray = |daemons: &[&'static str], ahead_ns, phc_ns, kernel| {
            kept(daemons, phc_ns, kernel).is_astray(Some(&timeline(ahead_ns)), BOUND_NS)
        };
        let (ptp, ntp) = (["phc2sys", "ptp4l"], ["chronyd", "phc2sys", "ptp4l"]);
        assert!(!astray(&ptp, 0, 100_000_000, of_phc2sys) && astray(&ptp, 0, 100_000_001, of_phc2sys));
        assert!(astray(&ptp, 60_000_000, 40_000_001, of_phc2sys) && !astray(&ptp, 150_000_000, -60_000_000, of_phc2sys));
        assert!(!astray(&ntp, 0, 1 << 33, of_phc2sys) && astray(&ntp, 0, 0, kernel(true, 1 << 33, 0)), "NTP speaks for itself");
        assert!(!astray(&["ptp4l"], 0, 1 << 33, of_phc2sys), "ptp4l alone sets the hardware clock");
        assert!(!astray(&ptp, 0, 1 << 33, kernel(false, 0, 0)), "nobody says that it is followed");
    }

    #[test]
    fn the_account_says_who_keeps_the_clock() {
        let tell = |wall: &WallClock| {
            let mut report = pb::ApplianceReport::default();
            wall.tell(&mut report);
            report
        };
        let of_phc2sys = KernelClock { is_synced: true, error_max_ns: 500, ..KernelClock::default() };
        let report = tell(&kept(&["phc2sys", "ptp4l"], -40, of_phc2sys));
        assert_eq!(
            (report.clock_sync(), report.clock_disciplined_by.as_str(), report.clock_daemons),
            (pb::ClockSync::Synced, "ptp", vec!["phc2sys".to_owned(), "ptp4l".to_owned()])
        );
        assert_eq!((report.clock_phc.as_str(), report.clock_phc_offset_ns), ("ptp0", Some(-40)));
        assert_eq!((report.clock_system_offset_ns, report.clock_error_ns, report.clock_error_max_ns), (Some(0), None, Some(500)));
        let of = |kernel| tell(&WallClock { kernel: Some(kernel), keepers: Some(Keepers { daemons: Some(Vec::new()), phc: None }) });
        assert_eq!([kernel(false, 0, 0), kernel(true, 0, 0)].map(|k| of(k).clock_disciplined_by), ["none", "unknown"]);
        assert_eq!(tell(&WallClock::default()), pb::ApplianceReport::default(), "a capture has no keeper");
    }
}
