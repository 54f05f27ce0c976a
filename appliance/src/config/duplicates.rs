//! `[duplicates]`: packets that a mirror shows twice.

use super::mirror::Mirror;
use super::walk::Section;

/// `[duplicates]`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duplicates {
    /// One packet in so many is looked at; default 256.
    pub sample: u32,
    /// Two copies come within this; default 5.
    pub within_ms: u64,
    /// From this share on it is told as a fault; default 0.01.
    pub alarm_share: f64,
}

const SAMPLE: u64 = 256;
const WITHIN_MS: u64 = 5;
const ALARM_SHARE: f64 = 0.01;

/// `[duplicates]`, or none.
pub(super) fn read(root: &Section<'_, '_>, mirror: &Mirror) -> Option<Duplicates> {
    let section = root.section("duplicates", "[duplicates]")?;
    let sample = section.integer("sample", 1..=1 << 20).unwrap_or(SAMPLE);
    let within_ms = section.integer("within_ms", 1..=1_000).unwrap_or(WITHIN_MS);
    let alarm_share = section.take("alarm_share").map_or(Some(ALARM_SHARE), |field| field.share());
    if !mirror.strip.is_empty() {
        section.fault(
            "sample",
            "would look at what [mirror] strip takes off: it is another around each copy",
            "remove [duplicates], or strip",
        );
    }
    section.close();
    Some(Duplicates { sample: u32::try_from(sample).unwrap_or(u32::MAX), within_ms, alarm_share: alarm_share? })
}
