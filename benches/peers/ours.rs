//! `tailwater run` beside tools: stopped, but for whole windows.

use std::cell::Cell;
use std::io::Read;
use std::path::Path;
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use super::support::captures::Capture;
use super::support::programs::{self, Ours};
use super::support::sets;

const WINDOW_MS: u64 = 10_000;
/// So long after a window's end the one before is closed and reported.
const PHASE_MS: u64 = 6_000;
/// A pipe's worth, and more.
const READ_BYTES: usize = 1 << 20;
/// What of [`Ours::shed`] is a loss: reports that say less than they cost would make us look cheap.
const LOSSES: [&str; 2] = ["core_ring_dropped", "reports that no reader took"];

/// The appliance, stopped.
pub(crate) struct Running {
    ours: Ours,
    ranges: u64,
    /// What it had shed when it was first measured.
    begun: Vec<(String, u64)>,
    /// Lines of reports that were read.
    lines: Arc<AtomicU64>,
    /// Those of measured windows, and how many these were.
    measured: Cell<(u64, u64)>,
}

/// What became of the reports of all that was measured.
pub(crate) struct Reports {
    /// What was made coarser, incomplete or lost.
    pub(crate) shed: String,
    /// Lines a measured window, and the ranges that each window reports: where these are more, reports were late, and what they
    /// cost is not all in the figure.
    pub(crate) lines: (u64, u64),
    /// What must not be lost, if anything was.
    pub(crate) lost: Option<String>,
}

impl Running {
    /// With 24 stats on all ranges of the capture.
    pub(crate) fn start(binary: &Path, root: &Path, capture: &Capture) -> Self {
        let text = sets::configuration(24, &capture.ranges, WINDOW_MS);
        let (ours, reports) = Ours::start(binary, &root.join("target/bench-line"), "peers", &text, capture);
        let lines = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&lines);
        // Whoever reads takes no part in what is measured.
        std::thread::spawn(move || count(reports, &read));
        let begun = ours.shed();
        ours.signal("STOP");
        Self { ours, ranges: capture.shares.len() as u64, begun, lines, measured: Cell::default() }
    }

    /// Nanoseconds of all its threads a packet, over the time of a window and the closing of one.
    pub(crate) fn ns_a_packet(&self) -> f64 {
        self.ours.signal("CONT");
        // What was open when it was stopped is closed first.
        until(0);
        until(PHASE_MS);
        let (begun, ran_ns, lines) = (self.ours.point(), self.ours.all_ran_ns(), self.lines.load(Ordering::Relaxed));
        sleep(Duration::from_millis(WINDOW_MS));
        let (ended, ran_ns) = (self.ours.point(), self.ours.all_ran_ns() - ran_ns);
        let (before, windows) = self.measured.get();
        self.measured.set((before + self.lines.load(Ordering::Relaxed) - lines, windows + 1));
        self.ours.signal("STOP");
        ran_ns as f64 / ended.frames_since(begun)
    }

    /// What was reported and lost since the start; it ends with that.
    pub(crate) fn end(self) -> Reports {
        self.ours.signal("CONT");
        let now = self.ours.shed();
        let before = |name: &str| self.begun.iter().find(|(known, _)| known == name).map_or(0, |(_, n)| *n);
        let is_lost = |(name, n): &&(String, u64)| LOSSES.iter().any(|loss| name.starts_with(loss)) && *n > before(name);
        let lost = now.iter().find(is_lost).map(|(name, n)| format!("our side lost something: {name}: {}", n - before(name)));
        let (lines, windows) = self.measured.get();
        Reports { shed: programs::since(&now, &self.begun), lines: (lines / windows.max(1), self.ranges), lost }
    }
}

/// Reads to the end, and counts lines on the way.
fn count(mut reports: ChildStdout, lines: &AtomicU64) {
    let mut bytes = vec![0; READ_BYTES];
    while let Ok(read @ 1..) = reports.read(&mut bytes) {
        lines.fetch_add(bytes[..read].iter().map(|byte| u64::from(*byte == b'\n')).sum(), Ordering::Relaxed);
    }
}

/// Sleeps until so many milliseconds after a window's end.
fn until(phase_ms: u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    sleep(Duration::from_millis((WINDOW_MS + phase_ms - now % WINDOW_MS) % WINDOW_MS));
}
