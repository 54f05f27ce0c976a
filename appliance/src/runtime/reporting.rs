//! The reporter's thread, and messages as JSON lines.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::findings::Findings;
use crate::report::{Health, Publisher, Reporter, pb};

/// How long the reporter sleeps when nothing waits, at least and at most: waking it costs more than a message does, and what comes
/// meanwhile must not fill a stream.
const NAP_MIN: Duration = Duration::from_micros(200);
const NAP_MAX: Duration = Duration::from_micros(600);

/// Runs a reporter until every core has said its last; gives it back. `beat` is called often.
pub fn run<P: Publisher, H: Health>(mut reporter: Reporter<P, H>, beat: impl Fn()) -> Reporter<P, H> {
    let (mut nap, mut turns) = (NAP_MIN, 0);
    loop {
        beat();
        if reporter.poll() {
            turns += 1;
            continue;
        }
        if reporter.is_over() || reporter.is_abandoned() {
            break;
        }
        if !reporter.make_ready() {
            nap = next_nap(nap, turns);
            turns = 0;
            std::thread::sleep(nap);
        }
    }
    reporter.finish();
    reporter
}

/// Longer where nothing waited behind the one before; else the shortest: where windows close, a stream may be full, and whoever fills
/// it waits for this one.
fn next_nap(before: Duration, turns: usize) -> Duration {
    if turns > 0 { NAP_MIN } else { (before * 2).min(NAP_MAX) }
}

/// One message a line; what is found of scrubber and mirror in the log.
pub struct JsonLines<W> {
    to: W,
    findings: Findings,
    error: Option<io::Error>,
    is_closed: Arc<AtomicBool>,
}

impl<W: Write + Send> JsonLines<W> {
    /// Into `to`.
    pub fn new(to: W) -> Self {
        Self { to, findings: Findings::default(), error: None, is_closed: Arc::default() }
    }

    /// Whether nobody reads any more, for who gives the rest.
    pub fn is_closed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_closed)
    }

    /// The first error, if there was one: nothing was written after it. That nobody reads any more is none.
    pub fn finish(&mut self) -> io::Result<()> {
        match self.error.take().map_or_else(|| self.to.flush(), Err) {
            Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    fn line(&mut self, message: &impl serde::Serialize) {
        if self.error.is_none() {
            let written = serde_json::to_writer(&mut self.to, message).map_err(io::Error::from).and_then(|()| self.to.write_all(b"\n"));
            self.error = written.err();
            let is_closed = self.error.as_ref().is_some_and(|fault| fault.kind() == io::ErrorKind::BrokenPipe);
            self.is_closed.store(is_closed, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naps_grow_while_nothing_waits_and_are_short_once_something_does() {
        let after = |nap, turns: &[usize]| turns.iter().fold(nap, |nap, turns| next_nap(nap, *turns));
        assert_eq!((after(NAP_MIN, &[0; 6]), after(NAP_MAX, &[1])), (NAP_MAX, NAP_MIN));
        assert_eq!(after(NAP_MAX, &[9, 0]), 2 * NAP_MIN);
    }

    /// Fails so.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_reads_no_more_is_no_fault_and_a_full_disk_is_one() {
        for (kind, is_closed) in [(io::ErrorKind::BrokenPipe, true), (io::ErrorKind::StorageFull, false)] {
            let mut lines = JsonLines::new(Broken(kind));
            let closed = lines.is_closed();
            lines.range(&pb::RangeReport::default());
            assert_eq!((closed.load(Ordering::Relaxed), lines.finish().is_ok()), (is_closed, is_closed), "{kind}");
        }
    }
}
