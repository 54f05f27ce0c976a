//! The scrubber's counters: a file that is read again when it changes, or a topic.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use crate::audit::Reader;
use crate::config::{Config, Counters};
use crate::report::{CounterRows, Heard};

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Texts that wait for the reporter; what finds no room is read again, or is told as bad.
const WAITING_MAX: usize = 64;
/// A file that is longer is not read.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// What a thread beside the data path has read.
pub struct Read(Receiver<Heard>);

impl CounterRows for Read {
    fn take(&mut self) -> Heard {
        self.0.try_iter().fold(Heard::default(), |mut all, heard| {
            all.rows.extend(heard.rows);
            all.bad += heard.bad;
            all
        })
    }
}

/// What was read at once.
pub struct AtOnce(Heard);

impl CounterRows for AtOnce {
    fn take(&mut self) -> Heard {
        std::mem::take(&mut self.0)
    }
}

/// Of a replay: the file as it is. Topics are not asked.
pub fn at_once(config: &Config) -> Option<Box<dyn CounterRows>> {
    let heard = match &config.audit.as_ref()?.counters {
        Counters::File(path) => read(path).unwrap_or_else(|fault| {
            tracing::warn!("audit: {}: {fault}; nothing is compared", path.display());
            Heard::default()
        }),
        Counters::Topic(topic) => {
            tracing::warn!(topic, "audit: a replay asks no broker: nothing is compared");
            Heard::default()
        }
    };
    Some(Box::new(AtOnce(heard)))
}

/// Of a run: a thread that ends when nobody listens any more.
pub fn listen(config: &Config) -> Option<Box<dyn CounterRows>> {
    let (to, from) = sync_channel(WAITING_MAX);
    match config.audit.as_ref()?.counters.clone() {
        Counters::File(path) => _ = std::thread::spawn(move || watch(&path, &to)),
        Counters::Topic(topic) => subscribe(config, topic, to),
    }
    Some(Box::new(Read(from)))
}

/// What tells one state of a file from another.
type Stamp = (u64, Option<SystemTime>);

fn watch(path: &Path, to: &SyncSender<Heard>) {
    let (mut seen, mut refused): (Option<Stamp>, Option<String>) = (None, None);
    loop {
        let told = stamp(path).and_then(|stamp| if seen == Some(stamp) { Ok(None) } else { read(path).map(|heard| Some((stamp, heard))) });
        let fault = match told {
            Ok(None) => refused.clone(),
            Ok(Some((stamp, heard))) => match to.try_send(heard) {
                Err(TrySendError::Disconnected(_)) => return,
                // A full queue is tried again.
                sent => {
                    seen = sent.is_ok().then_some(stamp).or(seen);
                    None
                }
            },
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault.as_ref().filter(|_| fault != refused) {
            tracing::warn!("audit: {}: {fault}; nothing is compared until it can be read", path.display());
        }
        refused = fault;
        std::thread::sleep(LOOK);
    }
}

fn stamp(path: &Path) -> Result<Stamp, String> {
    let about = std::fs::metadata(path).map_err(|fault| fault.to_string())?;
    if about.len() > FILE_BYTES_MAX {
        return Err(format!("has {} bytes, and {FILE_BYTES_MAX} at most are read: leave older rows out", about.len()));
    }
    Ok((about.len(), about.modified().ok()))
}

fn read(path: &Path) -> Result<Heard, String> {
    stamp(path)?;
    let bytes = std::fs::read(path).map_err(|fault| fault.to_string())?;
    Ok(heard(&String::from_utf8_lossy(&bytes), &path.display().to_string()))
}

fn heard(text: &str, of: &str) -> Heard {
    let Reader { mut rows, bad, first_bad } = Reader::read(text);
    if let Some(first) = first_bad {
        tracing::warn!(bad, "audit: {of}: {first}; such rows are left out");
    }
    rows.sort_by_key(|row| row.time_ns);
    Heard { rows, bad }
}

#[cfg(feature = "kafka")]
fn subscribe(config: &Config, topic: String, to: SyncSender<Heard>) {
    let Some(kafka) = config.sinks.kafka.clone() else { return };
    let group = format!("tailwater-audit-{}", config.appliance.name);
    std::thread::spawn(move || {
        let each = |text: &str| !matches!(to.try_send(heard(text, &topic)), Err(TrySendError::Disconnected(_)));
        if let Err(fault) = crate::sink::kafka::consume(&kafka, &group, &topic, each) {
            tracing::error!(topic, "audit: counters cannot be read: {fault}; nothing is compared");
        }
    });
}

#[cfg(not(feature = "kafka"))]
fn subscribe(_config: &Config, topic: String, _to: SyncSender<Heard>) {
    tracing::error!(topic, "audit: this build has no Kafka: nothing is compared");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_changes_and_no_thread_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counters.csv");
        let (to, from) = sync_channel(WAITING_MAX);
        let watched = path.clone();
        let thread = std::thread::spawn(move || watch(&watched, &to));
        let mut counters = Read(from);
        let mut next = |text: &str| {
            // As it should be replaced.
            let beside = folder.path().join("new");
            std::fs::write(&beside, text).unwrap();
            std::fs::rename(&beside, &path).unwrap();
            loop {
                let heard = counters.take();
                if !heard.rows.is_empty() || heard.bad > 0 {
                    return (heard.rows.len(), heard.bad);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        assert_eq!(next("time_ns,key,dropped_packets\n5,10.0.0.0/8,7\n"), (1, 0));
        assert_eq!(next("time_ns,key,dropped_packets\n5,10.0.0.0/8,7\n6,10.0.0.0/8,8\nx,y,z\n"), (2, 1));
        assert_eq!(next("time_ns,key\n"), (0, 1));
        drop(counters);
        std::fs::write(&path, "time_ns,key,dropped_packets\n9,10.0.0.0/8,7\n").unwrap();
        thread.join().unwrap();
    }
}
