//! The journal as it is configured: its lanes, on disk or in memory.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::RunError;
use crate::config::Config;
use crate::journal::{Bound, Disk, FlowLane, Journal, OpenError};
use crate::limits::{FLOW_QUEUE_BYTES, LOG_QUEUE_BYTES};
use crate::sink;

/// A journal has so many segments at least: one of them falls off at once,
const SEGMENTS_MIN: u64 = 64;
/// and none is larger.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// How long a run that begins waits for the disk to know of it.
const BEGINNING: Duration = Duration::from_secs(1);

/// Where reports wait, flows if any are received, and packet logs: on disk if it is configured.
///
/// # Errors
/// A folder cannot be used, and that is no fault of its disk.
pub(super) fn open(config: &Config) -> Result<Arc<Journal>, RunError> {
    let sinks = sink::names(&config.sinks);
    let reports = reports(config, &sinks)?;
    let mut journal = reports;
    if let Some(flows) = &config.flows {
        journal =
            with_lane(config, journal, &Lots { name: "flows", bytes: FLOW_QUEUE_BYTES, disk_mb: flows.journal_mb }, |journal, lane| {
                journal.with_flows(lane, &sink::flow_names(&config.sinks))
            })?;
    }
    if let Some(logs) = &config.packet_logs {
        journal = with_lane(config, journal, &Lots { name: "logs", bytes: LOG_QUEUE_BYTES, disk_mb: logs.journal_mb }, |journal, lane| {
            journal.with_logs(lane, &sink::log_names(&config.sinks))
        })?;
    }
    Ok(journal)
}

/// A lane of lots: its name, which is that of its folder, and its bounds in memory and on disk.
struct Lots {
    name: &'static str,
    bytes: usize,
    disk_mb: u64,
}

fn reports(config: &Config, sinks: &[&str]) -> Result<Arc<Journal>, RunError> {
    let Some(journal) = &config.journal else {
        if !sinks.is_empty() {
            tracing::warn!("reports wait in memory alone: what is not delivered when this ends is lost; write [journal] path to keep it");
        }
        return Ok(Journal::new(Bound::default(), sinks));
    };
    let bytes_max = journal.size_mb << 20;
    let segment_bytes = (bytes_max / SEGMENTS_MIN).min(SEGMENT_BYTES_MAX);
    let disk = Disk { folder: journal.path.clone(), bytes_max, segment_bytes };
    let journal = match Journal::open(Bound::default(), &disk, sinks) {
        Err(fault) if fault.is_of_the_disk() => {
            tracing::error!("{fault}; until the next start reports wait in memory alone, and what lies there waits for it");
            return Ok(Journal::without_disk(Bound::default(), sinks, fault.to_string()));
        }
        opened => opened?,
    };
    if let Some(run) = journal.previous().filter(|run| !run.ended) {
        tracing::warn!(
            boot_id = run.boot_id,
            long_end_ns = run.long_end_ns,
            "the run before was cut off: what came behind its last window is not reported"
        );
    }
    for cursor in journal.state().cursors.iter().filter(|cursor| cursor.backlog > 0) {
        tracing::info!(
            sink = cursor.sink,
            reports = cursor.backlog,
            lost = cursor.overflow,
            "reports of an earlier run wait in the journal"
        );
    }
    Ok(journal)
}

/// A run begins: however it ends, the next one knows of it, and from when on nobody counted.
pub(super) fn begin(config: &Config, journal: &Journal, boot_id: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let start = |window_ms: u64| now_ns - now_ns % (window_ms.max(1) * 1_000_000);
    let fast_ns = if config.has_fast_windows() { start(config.appliance.fast_window_ms) } else { 0 };
    journal.begin(boot_id, now_ns, (start(config.appliance.window_ms), fast_ns));
}

/// Before it is said that this run counts. Cores count already: they wait for no disk.
pub(super) fn await_begun(journal: &Journal) {
    if !journal.await_begun(Instant::now() + BEGINNING) {
        tracing::warn!(
            "the journal's disk has not taken within a second that this run began: if it is cut off now, the next one does not know of it; \
             look at the disk"
        );
    }
}

/// With a lane whose bounds are its own. Where its disk cannot be used what it has waits in memory.
fn with_lane(
    config: &Config,
    reports: Arc<Journal>,
    lots: &Lots,
    add: impl Fn(Arc<Journal>, &FlowLane) -> Result<Arc<Journal>, OpenError>,
) -> Result<Arc<Journal>, RunError> {
    let bound = Bound { messages: usize::MAX, bytes: lots.bytes };
    let bytes_max = lots.disk_mb << 20;
    let is_usable = reports.state().fault.is_none();
    let disk = config.journal.as_ref().filter(|_| is_usable).map(|journal| Disk {
        folder: journal.path.join(lots.name),
        bytes_max,
        segment_bytes: (bytes_max / SEGMENTS_MIN).min(SEGMENT_BYTES_MAX),
    });
    match add(Arc::clone(&reports), &FlowLane { bound, disk }) {
        Err(fault) if fault.is_of_the_disk() => {
            tracing::error!("{fault}; until the next start {} wait in memory alone, and what lies there waits for it", lots.name);
            Ok(add(reports, &FlowLane { bound, disk: None })?)
        }
        opened => Ok(opened?),
    }
}
