//! A window up to the acknowledgement of the last message.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tailwater::config::{KafkaSink, Sinks};
use tailwater::journal::{Bound, Disk, Journal};
use tailwater::sink::{self, RunningSinks};

use crate::{Beside, Window, cpu_seconds, line, megabytes, window};

/// Half of a window of 10 s.
const SECONDS_MAX: f64 = 5.0;
/// What a journal holds by default.
const MESSAGES_MB_MAX: f64 = 4_096.0;
const JOURNAL_BYTES: u64 = 4 << 30;

/// A broker that ends with the bench.
struct Broker(tempfile::TempDir);

impl Broker {
    fn script(&self, arguments: &[&str]) -> Option<String> {
        let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/kafka.sh");
        let output = Command::new("bash").arg(script).args(arguments).arg("--dir").arg(self.0.path()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.script(&["stop", "--wipe"]);
    }
}

/// A journal on disk, and a sink that takes it to a broker of its own.
pub(crate) struct Delivery {
    pub(crate) journal: Arc<Journal>,
    pub(crate) running: RunningSinks,
    _broker: Broker,
    pub(crate) folder: tempfile::TempDir,
}

impl Delivery {
    /// None, and one line that says so: there is no broker.
    pub(crate) fn start(name: &str) -> Option<Self> {
        let (broker, folder) = (Broker(tempfile::tempdir().expect("a folder")), tempfile::tempdir().expect("a folder"));
        let Some(address) = broker.script(&["start", "--port", "0"]) else {
            eprintln!("{name}: no broker could be started: scripts/kafka.sh start says why");
            return None;
        };
        let sinks = Sinks { kafka: Some(KafkaSink::to(address)), ..Sinks::default() };
        let disk = Disk { folder: folder.path().join("journal"), bytes_max: JOURNAL_BYTES, segment_bytes: JOURNAL_BYTES / 64 };
        let journal = Journal::open(Bound::default(), &disk, &sink::names(&sinks)).expect("a journal");
        let running = sink::start(&sinks, &journal).expect("a sink");
        Some(Self { journal, running, _broker: broker, folder })
    }
}

pub(crate) fn case(name: &str) {
    let Some(Delivery { journal, mut running, _broker, folder: _folder }) = Delivery::start(name) else { return };
    let Window { have, spent, .. } = window(Beside { tagged: true, ..Beside::default() }, Some(journal.clone()));
    let deadline = Instant::now() + Duration::from_secs(120);
    assert!(journal.drained_by(deadline), "{:?}", journal.state());
    let acknowledged = have.first.map_or(0.0, |first| first.elapsed().as_secs_f64());
    // What the reporter read before its first message, and all that all threads did from then on.
    let close = have.first.zip(have.last).map_or(Duration::ZERO, |(first, last)| last - first);
    let cpu = spent.saturating_sub(close).as_secs_f64() + cpu_seconds() - have.cpu_first;
    let status = running.stop(Instant::now() + Duration::from_secs(10));
    // Both windows, of which the second is measured.
    assert_eq!((status[0].delivered, status[0].failed), (2 * (have.reports + 1), 0));
    assert!(journal.end(Instant::now() + Duration::from_secs(10)));
    line(&format!("{name}-acknowledged"), "seconds", acknowledged, SECONDS_MAX);
    line(&format!("{name}-cpu"), "seconds", cpu, SECONDS_MAX);
    line(&format!("{name}-messages"), "MB", megabytes(have.bytes), MESSAGES_MB_MAX);
}
