//! The scrubber's counters: a file that is read again when it changes, or a topic.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;
#[cfg(feature = "kafka")]
use std::sync::mpsc::TrySendError;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use crate::audit::Reader;
use crate::config::{Config, Counters};
use crate::limits::AUDIT_ROWS_MAX;
use crate::report::{CounterRows, Heard};

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Parts of texts that wait for the reporter; who brings more waits with them.
const WAITING_MAX: usize = 64;
/// Rows of a part.
const PART_ROWS: usize = 4_096;
/// Rows of a time further ahead are told as bad: they would wait for windows that never come.
const AHEAD: Duration = Duration::from_secs(600);
/// A file that is longer is not read.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// What a thread beside the data path has read.
pub struct Read(Receiver<Heard>);

impl CounterRows for Read {
    fn take(&mut self) -> Heard {
        // Not more than may wait: who brings them may be quicker than this.
        self.0.try_iter().take(WAITING_MAX).fold(Heard::default(), |mut all, heard| {
            all.rows.extend(heard.rows);
            (all.bad, all.left_out) = (all.bad + heard.bad, all.left_out + heard.left_out);
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
    // Of each key that the file has, the newest time that was told: a file that grows is told once.
    let mut newest: HashMap<String, u64> = HashMap::new();
    loop {
        let told = stamp(path).and_then(|stamp| if seen == Some(stamp) { Ok(None) } else { read(path).map(|heard| Some((stamp, heard))) });
        let fault = match told {
            Ok(None) => refused.clone(),
            Ok(Some((stamp, heard))) => {
                if !tell(to, news(of_now(heard), &mut newest)) {
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

/// Gives rows to the reporter, some at a time; false if nobody listens any more.
fn tell(to: &SyncSender<Heard>, heard: Heard) -> bool {
    let Heard { rows, bad, left_out } = heard;
    let mut rows = rows.into_iter();
    let part = |rows: &mut std::vec::IntoIter<_>| rows.take(PART_ROWS).collect();
    let mut is_heard = to.send(Heard { rows: part(&mut rows), bad, left_out }).is_ok();
    while is_heard && rows.len() > 0 {
        is_heard = to.send(Heard { rows: part(&mut rows), ..Heard::default() }).is_ok();
    }
    is_heard
}

/// Rows that were not told before, which come in the order of time. Keys that are no longer in the file are forgotten: their rows would be
/// known by their time.
fn news(mut heard: Heard, newest: &mut HashMap<String, u64>) -> Heard {
    let before = std::mem::take(newest);
    heard.rows.retain(|row| {
        let told = newest.get(&row.key).or_else(|| before.get(&row.key)).copied();
        let is_new = told.is_none_or(|time_ns| row.time_ns > time_ns);
        match newest.get_mut(&row.key) {
            Some(time_ns) => *time_ns = row.time_ns.max(*time_ns),
            None => _ = newest.insert(row.key.clone(), told.unwrap_or(0).max(row.time_ns)),
        }
        is_new
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
    // A pipe would be waited for.
    if !about.is_file() {
        return Err("is no file".to_owned());
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(format!("has {} bytes, and {FILE_BYTES_MAX} at most are read: leave older rows out", about.len()));
    }
    Ok((about.len(), about.modified().ok()))
}

/// Rows of a file, of which no more is held than they are.
fn reader(path: &Path) -> Result<Reader, String> {
    stamp(path)?;
    let file = File::open(path).map_err(|fault| fault.to_string())?;
    Reader::of(BufReader::new(file.take(FILE_BYTES_MAX)), AUDIT_ROWS_MAX).map_err(|fault| fault.to_string())
}

fn read(path: &Path) -> Result<Heard, String> {
    Ok(heard(reader(path)?, &path.display().to_string()))
}

/// What a file holds now: rows, rows that cannot be read, and what is wrong with the first of those.
pub(super) fn look(path: &Path) -> Result<(u64, u64, Option<String>), String> {
    let Reader { rows, bad, first_bad, left_out, .. } = reader(path)?;
    Ok((rows.len() as u64 + left_out, bad, first_bad.map(|first| first.to_string())))
}

fn heard(reader: Reader, of: &str) -> Heard {
    let Reader { mut rows, bad, first_bad, left_out, .. } = reader;
    if let Some(first) = first_bad {
        tracing::warn!(bad, "audit: {of}: {first}; such rows are left out");
    }
    if left_out > 0 {
        tracing::warn!(left_out, "audit: {of}: of so many rows the last {AUDIT_ROWS_MAX} are read: leave older ones out");
    }
    rows.sort_by_key(|row| row.time_ns);
    Heard { rows, bad, left_out }
}

#[cfg(feature = "kafka")]
fn subscribe(config: &Config, topic: String, to: SyncSender<Heard>) {
    let Some(kafka) = config.sinks.kafka.clone() else { return };
    let group = format!("tailwater-audit-{}", config.appliance.name);
    std::thread::spawn(move || {
        let each = |text: Option<&str>| match text {
            Some(text) => tell(&to, of_now(heard(Reader::read(text), &topic))),
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
    use crate::audit::Row;

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

    fn rows(times: std::ops::Range<u64>, key: impl Fn(u64) -> String) -> Heard {
        let row = |time_ns| Row { time_ns, key: key(time_ns), dropped: 7 };
        Heard { rows: times.map(row).collect(), ..Heard::default() }
    }

    /// What waits is bounded by its rows, and who brings more waits.
    #[test]
    fn what_waits_for_the_reporter_is_bounded() {
        let (to, from) = sync_channel(WAITING_MAX);
        let bring = std::thread::spawn(move || (0..200).all(|_| tell(&to, rows(0..10_000, |_| "3".to_owned()))));
        let (mut counters, mut all) = (Read(from), 0);
        while all < 2_000_000 {
            let some = counters.take().rows.len();
            assert!(some <= WAITING_MAX * PART_ROWS);
            all += some;
        }
        assert!(bring.join().unwrap() && all == 2_000_000 && counters.take().rows.is_empty());
    }

    /// A file whose keys change is remembered by those that it has now.
    #[test]
    fn keys_that_a_file_no_longer_has_are_forgotten() {
        let mut newest = HashMap::new();
        for at in 0..100 {
            let heard = rows(at * 10..at * 10 + 20, |time_ns| time_ns.to_string());
            let new = news(heard, &mut newest).rows.len();
            assert_eq!((new, newest.len()), (if at == 0 { 20 } else { 10 }, 20));
        }
        let same = |times: std::ops::Range<u64>| rows(times, |_| "3".to_owned());
        assert_eq!(news(same(0..50), &mut newest).rows.len(), 50);
        assert_eq!(news(same(0..60), &mut newest).rows.len(), 10);
        assert_eq!((news(same(0..50), &mut newest).rows.len(), newest["3"]), (0, 59));
    }

    /// Rows beyond what is read at once are told, and those of the file's end are had.
    #[test]
    fn a_file_of_too_many_rows_is_read_from_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counters.csv");
        let all = AUDIT_ROWS_MAX as u64 + 10;
        let text = (0..all).fold("time_ns,key,dropped_packets\n".to_owned(), |mut text, n| {
            text.push_str(&format!("{n},3,7\n"));
            text
        });
        std::fs::write(&path, text).unwrap();
        let heard = read(&path).unwrap();
        assert_eq!((heard.rows.len(), heard.left_out, heard.rows[0].time_ns), (AUDIT_ROWS_MAX, 10, 10));
        assert_eq!(look(&path).unwrap(), (all, 0, None));
    }
}
