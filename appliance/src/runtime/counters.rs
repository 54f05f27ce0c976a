//! The scrubber's counters: a file that is read again when it changes, or a topic.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use crate::audit::Reader;
use crate::config::{Config, Counters};
use crate::report::{CounterRows, Heard};

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Texts that wait for the reporter; who brings more waits with them.
const WAITING_MAX: usize = 64;
/// Rows of a time further ahead are told as bad: they would wait for windows that never come.
const AHEAD: Duration = Duration::from_secs(600);
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
    // Of each key, the newest time that was told: a file that grows is told once.
    let mut newest: HashMap<String, u64> = HashMap::new();
    loop {
        let told = stamp(path).and_then(|stamp| if seen == Some(stamp) { Ok(None) } else { read(path).map(|heard| Some((stamp, heard))) });
        let fault = match told {
            Ok(None) => refused.clone(),
            Ok(Some((stamp, heard))) => {
                if to.send(news(of_now(heard), &mut newest)).is_err() {
                    return;
                }
                seen = Some(stamp);
                None
            }
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault.as_ref().filter(|_| fault != refused) {
            tracing::warn!("audit: {}: {fault}; nothing is compared until it can be read", path.display());
        }
        refused = fault;
        std::thread::sleep(LOOK);
    }
}

/// Rows that were not told before.
fn news(mut heard: Heard, newest: &mut HashMap<String, u64>) -> Heard {
    heard.rows.retain(|row| match newest.get_mut(&row.key) {
        Some(time_ns) => row.time_ns > std::mem::replace(time_ns, row.time_ns.max(*time_ns)),
        None => newest.insert(row.key.clone(), row.time_ns).is_none(),
    });
    heard
}

/// Without rows that are ahead of the clock.
fn of_now(mut heard: Heard) -> Heard {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let most_ns = u64::try_from((now + AHEAD).as_nanos()).unwrap_or(u64::MAX);
    let all = heard.rows.len();
    heard.rows.retain(|row| row.time_ns <= most_ns);
    let ahead = (all - heard.rows.len()) as u64;
    if ahead > 0 {
        tracing::warn!(ahead, "audit: counters of a time that is to come are left out: which clock do they have?");
    }
    heard.bad += ahead;
    heard
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

/// What a file holds now: rows, rows that cannot be read, and what is wrong with the first of those.
pub(super) fn look(path: &Path) -> Result<(u64, u64, Option<String>), String> {
    stamp(path)?;
    let bytes = std::fs::read(path).map_err(|fault| fault.to_string())?;
    let Reader { rows, bad, first_bad } = Reader::read(&String::from_utf8_lossy(&bytes));
    Ok((rows.len() as u64, bad, first_bad.map(|first| first.to_string())))
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
        let each = |text: Option<&str>| match text {
            Some(text) => to.send(of_now(heard(text, &topic))).is_ok(),
            None => !matches!(to.try_send(Heard::default()), Err(TrySendError::Disconnected(_))),
        };
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
        assert_eq!(
            next("time_ns,key,dropped_packets\n5,10.0.0.0/8,7\n6,10.0.0.0/8,8\nx,y,z\n"),
            (1, 1),
            "rows that were told are not told again"
        );
        assert_eq!(next("time_ns,key\n"), (0, 1));
        drop(counters);
        std::fs::write(&path, "time_ns,key,dropped_packets\n9,10.0.0.0/8,7\n").unwrap();
        thread.join().unwrap();
    }
}
