//! Hardware clocks (PHC, `/dev/ptpN`), as PTP sets them, beside the wall clock. Read only, by the clock that a file is
//! (`FD_TO_CLOCKID` of the kernel's `Documentation/driver-api/ptp.rst`).

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::time::{ClockId, DynamicClockId, Timespec, clock_gettime, clock_gettime_dynamic};

/// Clocks that are read, at most.
const CLOCKS_MAX: usize = 16;
/// Readings of one, of which the quickest counts.
const READINGS: usize = 5;
/// How far TAI is ahead of UTC since 2017: what a kernel that was told nothing does not know.
const TAI_S: i32 = 37;
/// One that is further off is not the one that the wall clock follows. Less than half of TAI's distance, so each has one meaning.
const OFFSET_NS_MAX: u64 = 16_000_000_000;

/// A hardware clock that the wall clock follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phc {
    /// Its device: `ptp0`.
    pub name: String,
    /// How far the wall clock is ahead of it, as UTC.
    pub offset_ns: i64,
}

/// All that can be read: names, and how far the wall clock is ahead of each as it stands. Most tell TAI.
pub(super) fn read_all(devices: &Path) -> Vec<(String, i64)> {
    let Ok(all) = std::fs::read_dir(devices) else { return Vec::new() };
    let is_clock = |name: &String| name.strip_prefix("ptp").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let mut names: Vec<String> = all.flatten().filter_map(|entry| entry.file_name().into_string().ok()).filter(is_clock).collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    names.truncate(CLOCKS_MAX);
    names.into_iter().filter_map(|name| read(&devices.join(&name)).map(|offset| (name, offset))).collect()
}

/// How far the wall clock is ahead of one; none: it cannot be read, or is no clock.
fn read(device: &Path) -> Option<i64> {
    let file = File::open(device).ok()?;
    let one = || {
        let before = ns(clock_gettime(ClockId::Realtime));
        let there = ns(clock_gettime_dynamic(DynamicClockId::Dynamic(file.as_fd())).ok()?);
        let after = ns(clock_gettime(ClockId::Realtime));
        Some((after.saturating_sub(before), (before / 2 + after / 2).saturating_sub(there)))
    };
    let readings: Option<Vec<_>> = (0..READINGS).map(|_| one()).collect();
    // A step of the wall clock between its two readings is no quick one.
    readings?.into_iter().filter(|(took, _)| *took >= 0).min().map(|(_, offset)| offset)
}

fn ns(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// Of what was read the clock that the wall clock is nearest to, taken for UTC, for TAI as the kernel knows it, or as it is since 2017.
pub(super) fn nearest(readings: &[(String, i64)], tai_s: i32) -> Option<Phc> {
    let ahead = [0, tai_s, TAI_S];
    let meant = readings.iter().flat_map(|(name, raw)| ahead.map(|s| (name, raw.saturating_add(i64::from(s) * 1_000_000_000))));
    let (name, offset_ns) = meant.min_by_key(|(_, offset)| offset.unsigned_abs())?;
    (offset_ns.unsigned_abs() <= OFFSET_NS_MAX).then(|| Phc { name: name.clone(), offset_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn the_clock_that_is_followed_is_the_nearest_as_utc_or_tai() {
        let of = |raw: &[i64], tai_s| {
            let readings: Vec<_> = raw.iter().zip(0..).map(|(raw, n)| (format!("ptp{n}"), *raw)).collect();
            nearest(&readings, tai_s).map(|phc| (phc.name, phc.offset_ns))
        };
        let told = |n: u32, offset| Some((format!("ptp{n}"), offset));
        assert_eq!(of(&[], 37), None);
        assert_eq!(of(&[-37 * SECOND + 40], 37), told(0, 40), "TAI");
        assert_eq!(of(&[-37 * SECOND - 40], 0), told(0, -40), "TAI, of which the kernel was told nothing");
        assert_eq!(of(&[-38 * SECOND + 7], 38), told(0, 7), "after another leap second");
        assert_eq!(of(&[250], 37), told(0, 250), "UTC");
        assert_eq!(of(&[2 * SECOND], 37), told(0, 2 * SECOND), "far behind, and still the one");
        assert_eq!(of(&[-35 * SECOND], 37), told(0, 2 * SECOND));
        assert_eq!(of(&[1_700_000_000 * SECOND, -37 * SECOND + 3], 37), told(1, 3), "another one runs by itself since a start");
        assert_eq!(of(&[1_700_000_000 * SECOND], 37), None);
        assert_eq!(of(&[i64::MAX, i64::MIN], i32::MAX), None);
    }

    #[test]
    fn what_is_no_clock_tells_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ptp0", "ptp", "ptpx", "ptp_kvm", "null"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(read_all(folder.path()), []);
        assert_eq!((read_all(Path::new("/nowhere")), read(Path::new("/dev/null"))), (Vec::new(), None));
    }
}
