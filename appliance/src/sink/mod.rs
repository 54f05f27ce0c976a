//! Where reports and flows go: Kafka, a file, stdout, a server over HTTPS. Each sink has a thread and a place in the journal of its own;
//! Kafka has one for each lane, with a producer each, so that reports of fast windows wait for no backlog, and no report for flows.
//!
//! A sink that cannot deliver keeps trying and holds nobody else up: the journal fills to its bound, and what falls off
//! is counted for that sink alone. A sink settles a message only when it was delivered (by Kafka: acknowledged by all
//! in-sync replicas), or when the message itself was refused; those are counted as failed.

#[cfg_attr(not(any(feature = "kafka", feature = "https")), allow(dead_code, reason = "only who waits for acknowledgements tells ages"))]
mod age;
mod appended;
mod health;
#[cfg(feature = "https")]
pub mod https;
mod json;
#[cfg(feature = "kafka")]
pub mod kafka;
mod lines;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use json::to_json_line;

use crate::config::Sinks;
use crate::journal::{Both, Cursor, CursorState, Journal, JournalState};
use crate::telemetry::{JournalSnapshot, SinkStatus};
use health::{Health, Stop};

/// After the deadline of [`RunningSinks::stop`], a sink has so long to put its things away.
const TIDY_UP: Duration = Duration::from_secs(1);

/// A sink could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file cannot be opened for appending.
    #[error("[sinks.file] path: cannot append to {}: {reason}; make its folder, or name a file that may be written", path.display())]
    File {
        /// As configured.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// Stdout cannot be used.
    #[error("[sinks.stdout]: stdout cannot be written to: {0}; open it, or take the sink out")]
    Stdout(std::io::Error),
    /// librdkafka refuses the configuration.
    #[error("[sinks.kafka] brokers = \"{brokers}\": {reason}")]
    Kafka {
        /// As configured.
        brokers: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// This program has no Kafka sink.
    #[error("[sinks.kafka]: this tailwater was built without the feature `kafka`; build it with it, or take the sink out")]
    NoKafka,
    /// What the push to a server needs is not there.
    #[error("[sinks.https] {0}")]
    Https(String),
    /// This program has no HTTPS sink.
    #[error("[sinks.https]: this tailwater was built without the feature `https`; build it with it, or take the sink out")]
    NoHttps,
    /// The journal was made without this sink's cursor.
    #[error("the journal has no free cursor for the sink `{0}`: make it with `sink::names`, and start the sinks once")]
    NoCursor(&'static str),
    /// No thread could be started.
    #[error("cannot start a thread for the sink `{sink}`: {reason}; raise the limit on threads")]
    Thread {
        /// Whose.
        sink: &'static str,
        /// The system's reason.
        reason: std::io::Error,
    },
}

/// The names of the sinks that take reports: what [`Journal::new`] wants.
pub fn names(sinks: &Sinks) -> Vec<&'static str> {
    named(sinks, sinks.https.as_ref().is_some_and(|https| https.has_reports))
}

/// The names of those that take flow messages: what [`Journal::with_flows`] wants.
pub fn flow_names(sinks: &Sinks) -> Vec<&'static str> {
    named(sinks, sinks.https.as_ref().is_some_and(|https| https.has_flows))
}

/// The names of those that take packet logs: what [`Journal::with_logs`] wants.
pub fn log_names(sinks: &Sinks) -> Vec<&'static str> {
    named(sinks, sinks.https.as_ref().is_some_and(|https| https.has_packets))
}

fn named(sinks: &Sinks, https: bool) -> Vec<&'static str> {
    let all = [("kafka", sinks.kafka.is_some()), ("file", sinks.file.is_some()), ("stdout", sinks.stdout), ("https", https)];
    all.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
}

/// Starts every configured sink. A broker that is away is no error: its sink warns, and tries again.
///
/// # Errors
/// A sink can never work as configured: see [`SinkError`]. Sinks that were started before it are stopped.
pub fn start(sinks: &Sinks, journal: &Arc<Journal>) -> Result<RunningSinks, SinkError> {
    let mut running = RunningSinks {
        watch: SinkWatch { journal: Arc::clone(journal), sinks: Vec::new() },
        stop: Stop::new(),
        threads: Vec::new(),
        #[cfg(feature = "kafka")]
        embedded: None,
    };
    if let Some(kafka) = &sinks.kafka {
        start_kafka(kafka, &mut running)?;
    }
    if let Some(file) = &sinks.file {
        let target = appended::Appended::open(&file.path).map_err(|reason| SinkError::File { path: file.path.clone(), reason })?;
        let address = file.path.display().to_string();
        running.spawn_one("file", address, |seat| lines::Lines::new(target, seat).run())?;
    }
    if sinks.stdout {
        let target = lines::Stdout::open().map_err(SinkError::Stdout)?;
        running.spawn_one("stdout", "-".to_owned(), |seat| lines::Lines::new(target, seat).run())?;
    }
    if let Some(https) = &sinks.https {
        start_https(https, &mut running)?;
    }
    Ok(running)
}

/// Of the lanes it has those that it takes: the journal holds nothing for it in the others.
#[cfg(feature = "https")]
fn start_https(config: &crate::config::HttpsSink, running: &mut RunningSinks) -> Result<(), SinkError> {
    let reports = if config.has_reports { running.cursors("https")?.into() } else { Vec::new() };
    let flows = running.watch.journal.flow_cursor("https").filter(|_| config.has_flows);
    let logs = running.watch.journal.log_cursor("https").filter(|_| config.has_packets);
    let cursor = Both::new(reports).and_last(flows).and_last(logs);
    // What stands behind the path may be a secret.
    let address = crate::config::address(&config.url);
    let health = running.health("https", address);
    let seat = Seat { cursor, health, stop: Arc::clone(&running.stop) };
    let push = https::Push::new(config, seat).map_err(SinkError::Https)?;
    running.start(("https", "sink-https"), move || push.run())
}

#[cfg(not(feature = "https"))]
fn start_https(_: &crate::config::HttpsSink, _: &mut RunningSinks) -> Result<(), SinkError> {
    Err(SinkError::NoHttps)
}

#[cfg(feature = "kafka")]
fn start_kafka(config: &crate::config::KafkaSink, running: &mut RunningSinks) -> Result<(), SinkError> {
    let refuse = |reason: String| SinkError::Kafka { brokers: config.brokers.clone(), reason };
    let (config, embedded) = kafka::embed(config).map_err(refuse)?;
    running.embedded = embedded;
    let address = config.brokers.clone();
    let [long, fast] = running.cursors("kafka")?.map(Some);
    let journal = &running.watch.journal;
    let parts = [
        (long, "sink-kafka", kafka::Part::Reports),
        (fast, "sink-kafka-fast", kafka::Part::Fast),
        (journal.flow_cursor("kafka"), "sink-kafka-flow", kafka::Part::Flows),
        (journal.log_cursor("kafka"), "sink-kafka-logs", kafka::Part::Logs),
    ];
    for (cursor, thread, part) in parts.into_iter().filter_map(|(cursor, thread, part)| Some((cursor?, thread, part))) {
        let sink = kafka::KafkaSink::new(&config, part).map_err(refuse)?;
        running.spawn(("kafka", thread), address.clone(), cursor, |seat| sink.run(&seat))?;
    }
    Ok(())
}

#[cfg(not(feature = "kafka"))]
fn start_kafka(_: &crate::config::KafkaSink, _: &mut RunningSinks) -> Result<(), SinkError> {
    Err(SinkError::NoKafka)
}

/// What a sink's thread works with.
struct Seat<C> {
    cursor: C,
    health: Arc<Health>,
    stop: Arc<Stop>,
}

/// Tells how the sinks do; a cheap clone for metrics and the status line.
#[derive(Clone, Debug)]
pub struct SinkWatch {
    journal: Arc<Journal>,
    sinks: Vec<Arc<Health>>,
}

impl SinkWatch {
    /// One entry for each sink.
    pub fn status(&self) -> Vec<SinkStatus> {
        let cursors = self.journal.state().cursors;
        let cursors_of = |state: Option<JournalState>| state.map_or_else(Vec::new, |state| state.cursors);
        let (lots, log_lots) = (cursors_of(self.journal.flow_state()), cursors_of(self.journal.log_state()));
        let mut all: Vec<SinkStatus> = Vec::new();
        for health in &self.sinks {
            match all.last_mut().filter(|sink| sink.name == health.name) {
                Some(sink) => sink.merge(health.status()),
                None => all.push(health.status()),
            }
        }
        for sink in &mut all {
            let cursor = cursors.iter().find(|cursor| cursor.sink == sink.name);
            (sink.overflow, sink.behind) = cursor.map_or((0, 0), |cursor| (cursor.overflow, cursor.behind()));
            let behind = |lots: &[CursorState]| lots.iter().find(|cursor| cursor.sink == sink.name).map_or(0, CursorState::behind);
            (sink.lots_behind, sink.log_lots_behind) = (behind(&lots), behind(&log_lots));
        }
        all
    }

    /// The journal's state, for [`crate::telemetry::Registry::set_journal`].
    pub fn journal(&self) -> JournalSnapshot {
        let state = self.journal.state();
        JournalSnapshot {
            appended: state.appended,
            messages: state.messages as u64,
            bytes: state.bytes as u64,
            disk_bytes: state.disk_bytes,
            unsynced: state.unsynced,
            is_refused: state.fault.is_some(),
        }
    }
}

/// The sinks at work. Drop it last: with it goes the embedded Kafka, if there is one.
#[derive(Debug)]
pub struct RunningSinks {
    watch: SinkWatch,
    stop: Arc<Stop>,
    threads: Vec<(&'static str, JoinHandle<()>)>,
    #[cfg(feature = "kafka")]
    embedded: Option<kafka::Embedded>,
}

impl RunningSinks {
    /// How each sink does.
    pub fn status(&self) -> Vec<SinkStatus> {
        self.watch.status()
    }

    /// For others who want to ask now and then.
    pub fn watch(&self) -> SinkWatch {
        self.watch.clone()
    }

    /// Address of the embedded Kafka (`brokers = "mock"`), which other clients on this machine may read from.
    pub fn embedded_kafka(&self) -> Option<&str> {
        #[cfg(feature = "kafka")]
        return self.embedded.as_ref().map(kafka::Embedded::bootstrap);
        #[cfg(not(feature = "kafka"))]
        return None;
    }

    /// Closes the journal, lets the sinks deliver what is left until the deadline, and ends them. What could not be
    /// delivered is `behind` in the answer. The embedded Kafka stays until this is dropped.
    pub fn stop(&mut self, deadline: Instant) -> Vec<SinkStatus> {
        self.watch.journal.close();
        self.stop.set(deadline);
        for (sink, thread) in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < deadline + TIDY_UP {
                thread::sleep(Duration::from_millis(5));
            }
            // One that is stuck in the system (a pipe nobody reads, a dead network disk) is left behind: the process ends anyway.
            if thread.is_finished() && thread.join().is_err() {
                tracing::error!(sink, "the sink's thread ended by a fault of its own");
            }
        }
        let status = self.status();
        for sink in status.iter().filter(|sink| sink.behind + sink.lots_behind + sink.log_lots_behind > 0) {
            let why = sink.last_error.as_deref().unwrap_or("the time to deliver was too short");
            tracing::warn!(
                sink = sink.name,
                undelivered = sink.behind,
                lots_of_flows = sink.lots_behind,
                lots_of_logs = sink.log_lots_behind,
                "reports, flows or packet logs were not delivered: {why}"
            );
        }
        status
    }

    fn cursors(&self, sink: &'static str) -> Result<[Cursor; 2], SinkError> {
        self.watch.journal.cursors(sink).ok_or(SinkError::NoCursor(sink))
    }

    /// A sink that reads both lanes.
    fn spawn_one(&mut self, sink: &'static str, address: String, work: impl FnOnce(Seat<Both>) + Send + 'static) -> Result<(), SinkError> {
        let thread = if sink == "file" { "sink-file" } else { "sink-stdout" };
        let cursor = Both::new(self.cursors(sink)?).and_last(self.watch.journal.flow_cursor(sink));
        let cursor = cursor.and_last(self.watch.journal.log_cursor(sink));
        self.spawn((sink, thread), address, cursor, work)
    }

    fn spawn<C: Send + 'static>(
        &mut self,
        (sink, name): (&'static str, &str),
        address: String,
        cursor: C,
        work: impl FnOnce(Seat<C>) + Send + 'static,
    ) -> Result<(), SinkError> {
        let health = self.health(sink, address);
        let seat = Seat { cursor, health, stop: Arc::clone(&self.stop) };
        self.start((sink, name), move || work(seat))
    }

    fn health(&mut self, sink: &'static str, address: String) -> Arc<Health> {
        let health = Arc::new(Health::new(sink, address));
        self.watch.sinks.push(Arc::clone(&health));
        health
    }

    fn start(&mut self, (sink, name): (&'static str, &str), work: impl FnOnce() + Send + 'static) -> Result<(), SinkError> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
        self.threads.push((sink, thread.map_err(|reason| SinkError::Thread { sink, reason })?));
        Ok(())
    }
}

impl Drop for RunningSinks {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.stop(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
