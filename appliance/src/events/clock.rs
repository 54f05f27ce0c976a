//! Time that is not what it says.

use super::finding::{Finding, Sight, Subject, exact};
use crate::report::pb;

/// The clock was stepped, is off, or nobody disciplines it: the worst of these.
#[allow(clippy::cast_precision_loss, reason = "a figure of an event; its report has the integer")]
pub(super) fn bad(sight: &Sight<'_>) -> Vec<Finding> {
    let report = sight.report;
    let ahead_ns = report.clock_offset_ns();
    let (cause, severity, what, remedy) = if sight.says("clock_jumped") {
        ("stepped", pb::Severity::Warning, "was stepped, or the machine stood still: the windows that this touched are incomplete", SLEW)
    } else if sight.says("clock_offset") {
        let what = "is off by more than a tenth of a fast window: windows are not where they say";
        (
            "offset",
            pb::Severity::Warning,
            what,
            "an offset of the timeline goes with a restart, or when the wall clock has caught up; look at NTP or PTP",
        )
    } else if report.clock_sync() == pb::ClockSync::Unsynced {
        let what = "is disciplined by nobody, says the kernel: how far it is off is not known";
        let remedy = if report.clock_daemons.is_empty() { UNKEPT } else { UNHEARD };
        ("unsynced", pb::Severity::Info, what, remedy)
    } else {
        return Vec::new();
    };
    let figure = |name: &str, ns: i64| exact(name, "ns", ns as f64);
    let system = report.clock_system_offset_ns.map(|ns| figure("system_offset", ns));
    let error = report.clock_error_ns.map(|ns| exact("error", "ns", ns as f64));
    let phc = report.clock_phc_offset_ns.map(|ns| figure("ahead_of_hardware_clock", ns));
    vec![Finding {
        cause: cause.to_owned(),
        figures: [figure("ahead_of_wall_clock", ahead_ns)].into_iter().chain(system).chain(error).chain(phc).collect(),
        ..Finding::new(Subject::new("appliance", &report.appliance), severity, format!("the clock {what}"), remedy)
    }]
}

const UNKEPT: &str = "run chrony or phc2sys; in a container look at the host's";
const UNHEARD: &str = "a daemon runs (`clockDaemons`), and has not found its source or may not set the clock: its log says why";
const SLEW: &str = "slew the clock, do not step it (chrony without makestep but at boot)";
