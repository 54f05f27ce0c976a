//! The reporter's thread, and messages as JSON lines.

use std::io::{self, Write};
use std::time::Duration;

use super::findings::Findings;
use crate::report::{Health, Publisher, Reporter, pb};

/// How long the reporter sleeps when nothing waits.
const IDLE: Duration = Duration::from_micros(200);

/// Runs a reporter until every core has said its last; gives it back. `beat` is called often.
pub fn run<P: Publisher, H: Health>(mut reporter: Reporter<P, H>, beat: impl Fn()) -> Reporter<P, H> {
    loop {
        beat();
        if reporter.poll() {
            continue;
        }
        if reporter.is_over() || reporter.is_abandoned() {
            break;
        }
        std::thread::sleep(IDLE);
    }
    reporter.finish();
    reporter
}

/// One message a line; what is found of scrubber and mirror in the log.
pub struct JsonLines<W> {
    to: W,
    findings: Findings,
    error: Option<io::Error>,
}

impl<W: Write + Send> JsonLines<W> {
    /// Into `to`.
    pub fn new(to: W) -> Self {
        Self { to, findings: Findings::default(), error: None }
    }

    /// The first error, if there was one: nothing was written after it.
    pub fn finish(&mut self) -> io::Result<()> {
        self.error.take().map_or_else(|| self.to.flush(), Err)
    }

    fn line(&mut self, message: &impl serde::Serialize) {
        if self.error.is_none() {
            let written = serde_json::to_writer(&mut self.to, message).map_err(io::Error::from).and_then(|()| self.to.write_all(b"\n"));
            self.error = written.err();
        }
    }
}

impl<W: Write + Send> Publisher for JsonLines<W> {
    fn range(&mut self, report: &pb::RangeReport) {
        self.line(report);
    }

    fn link(&mut self, report: &pb::LinkReport) {
        self.line(report);
    }

    fn appliance(&mut self, report: &pb::ApplianceReport) {
        if !report.total {
            self.findings.tell(report);
        }
        self.line(report);
    }
}
