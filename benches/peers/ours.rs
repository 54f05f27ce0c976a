//! `tailwater run` beside tools: stopped, but for whole windows.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use super::support::captures::Capture;
use super::support::programs::Ours;
use super::support::sets;

const WINDOW_MS: u64 = 10_000;
/// So long after a window's end the one before is closed and reported.
const PHASE_MS: u64 = 6_000;

/// The appliance, stopped.
pub(crate) struct Running(Ours);

impl Running {
    /// With 24 stats on all ranges of the capture.
    pub(crate) fn start(binary: &Path, root: &Path, capture: &Capture) -> Self {
        let text = sets::configuration(24, &capture.ranges, WINDOW_MS);
        let (ours, reports) = Ours::start(binary, &root.join("target/bench-line"), "peers", &text, capture);
        // As to /dev/null: whoever reads takes no part in what is measured.
        std::thread::spawn(move || std::io::copy(&mut { reports }, &mut std::io::sink()));
        ours.signal("STOP");
        Self(ours)
    }

    /// Nanoseconds of all its threads a packet, over the time of a window and the closing of one.
    pub(crate) fn ns_a_packet(&self) -> f64 {
        self.0.signal("CONT");
        // What was open when it was stopped is closed first.
        until(0);
        until(PHASE_MS);
        let (begun, ran_ns) = (self.0.point(), self.0.all_ran_ns());
        sleep(Duration::from_millis(WINDOW_MS));
        let (ended, ran_ns) = (self.0.point(), self.0.all_ran_ns() - ran_ns);
        self.0.signal("STOP");
        ran_ns as f64 / ended.frames_since(begun)
    }
}

/// Sleeps until so many milliseconds after a window's end.
fn until(phase_ms: u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    sleep(Duration::from_millis((WINDOW_MS + phase_ms - now % WINDOW_MS) % WINDOW_MS));
}
