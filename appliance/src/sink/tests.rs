use std::fs;
use std::sync::{Mutex, mpsc};

use super::appended::Appended;
use super::lines::{Lines, Stdout, Target};
use super::*;
use crate::config::FileSink;
use crate::journal::{Bound, Message};
use crate::report::pb;
use crate::telemetry::SinkState;

fn range(n: u64) -> Message {
    Message::range(&pb::RangeReport { sequence: n, prefix: format!("203.0.113.{n}/32"), customer: "acme".into(), ..Default::default() })
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let deadline = soon();
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come");
        thread::sleep(Duration::from_millis(5));
    }
}

fn file_sinks(path: &std::path::Path) -> Sinks {
    Sinks { file: Some(FileSink { path: path.to_owned() }), ..Default::default() }
}

fn sequences(path: &std::path::Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["sequence"].as_str().unwrap().to_owned();
    text.lines().map(parse).collect()
}

#[test]
fn the_file_holds_every_message_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reports.jsonl");
    let sinks = file_sinks(&path);
    let journal = Journal::new(Bound::default(), &names(&sinks));
    let mut running = start(&sinks, &journal).unwrap();
    (0..100).for_each(|n| assert!(journal.append(range(n))));
    wait_for("the first hundred", || running.status()[0].delivered == 100);
    assert_eq!(sequences(&path).len(), 100, "lines are there while the appliance runs");
    journal.append(Message::appliance(&pb::ApplianceReport { sequence: 100, ledger: Some(pb::Ledger::default()), ..Default::default() }));
    let status = running.stop(soon());
    assert_eq!((status[0].delivered, status[0].behind, status[0].state), (101, 0, SinkState::Ended));
    assert_eq!(sequences(&path), (0..=100).map(|n| n.to_string()).collect::<Vec<_>>());
    let last = fs::read_to_string(&path).unwrap().lines().last().unwrap().to_owned();
    assert!(last.contains(r#""ringDropped":"0""#), "zero values are written: {last}");
}

#[test]
fn a_rotated_file_is_made_anew_and_a_torn_line_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reports.jsonl");
    fs::write(&path, "{\"torn\":").unwrap();
    let sinks = file_sinks(&path);
    let journal = Journal::new(Bound::default(), &names(&sinks));
    let mut running = start(&sinks, &journal).unwrap();
    journal.append(range(1));
    wait_for("the first", || running.status()[0].delivered == 1);
    let rotated = folder.path().join("reports.jsonl.1");
    fs::rename(&path, &rotated).unwrap();
    journal.append(range(2));
    assert_eq!(running.stop(soon())[0].delivered, 2);
    assert!(fs::read_to_string(&rotated).unwrap().starts_with("{\"torn\":\n{"));
    assert_eq!(sequences(&path), ["2"]);
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let sinks = file_sinks("/nowhere/at/all.jsonl".as_ref());
    let fault = start(&sinks, &Journal::new(Bound::default(), &names(&sinks))).unwrap_err().to_string();
    assert!(fault.starts_with("[sinks.file] path: cannot append to /nowhere/at/all.jsonl: No such file"), "{fault}");
}

#[cfg(not(feature = "kafka"))]
#[test]
fn without_kafka_the_error_says_so() {
    let sinks = Sinks { kafka: Some(crate::config::KafkaSink::to("mock")), ..Default::default() };
    let fault = start(&sinks, &Journal::new(Bound::default(), &names(&sinks))).unwrap_err();
    assert!(matches!(fault, SinkError::NoKafka));
}

/// A disk that is full now and then, and takes odd numbers of bytes.
struct Flaky {
    taken: mpsc::Sender<Vec<u8>>,
    calls: usize,
    broken_after: usize,
}

impl Target for Flaky {
    const IS_SYNCED: bool = false;

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.calls += 1;
        if self.calls > self.broken_after {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        if self.calls.is_multiple_of(3) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        let some = bytes.len().min(17 * self.calls);
        self.taken.send(bytes[..some].to_vec()).unwrap();
        Ok(some)
    }
}

fn seat(journal: &Arc<Journal>) -> (Seat<Both>, Arc<Health>, Arc<Stop>) {
    let (health, stop) = (Arc::new(Health::new("file", String::new())), Stop::new());
    (Seat { cursor: Both::new(journal.cursors("file").unwrap()), health: Arc::clone(&health), stop: Arc::clone(&stop) }, health, stop)
}

#[test]
fn a_full_disk_tears_and_doubles_nothing() {
    let journal = Journal::new(Bound::default(), &["file"]);
    let (seat, health, stop) = seat(&journal);
    let (taken, chunks) = mpsc::channel();
    (0..20).for_each(|n| assert!(journal.append(range(n))));
    journal.close();
    stop.set(soon());
    Lines::new(Flaky { taken, calls: 0, broken_after: usize::MAX }, seat).run();
    let bytes: Vec<u8> = chunks.iter().flatten().collect();
    let mut expected = Vec::new();
    (0..20).for_each(|n| to_json_line(&range(n), &mut expected).unwrap());
    assert_eq!(bytes, expected);
    assert!(health.status().retried > 0 && health.status().last_error.is_some());
    assert_eq!((health.status().delivered, journal.state().cursors[0].behind()), (20, 0));
}

#[test]
fn a_reader_that_left_ends_the_sink_quietly() {
    let journal = Journal::new(Bound { messages: 5, bytes: 1 << 20 }, &["file"]);
    let (seat, health, _stop) = seat(&journal);
    let (taken, _chunks) = mpsc::channel();
    journal.append(range(0));
    Lines::new(Flaky { taken, calls: 0, broken_after: 0 }, seat).run();
    assert_eq!((health.status().state, health.status().last_error), (SinkState::Ended, None));
    (0..20).for_each(|n| assert!(journal.append(range(n))));
    assert_eq!(journal.overflow()[0].1, 20, "what came after its end it has missed");
}

#[test]
fn a_disk_that_stays_full_is_given_up_at_the_deadline() {
    let full = std::path::Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let journal = Journal::new(Bound::default(), &["file"]);
    let (seat, health, stop) = seat(&journal);
    journal.append(range(0));
    journal.close();
    stop.set(Instant::now() + Duration::from_millis(200));
    Lines::new(Appended::open(full).unwrap(), seat).run();
    assert!(health.status().last_error.unwrap().contains("No space left"));
    assert_eq!((health.status().delivered, journal.state().cursors[0].in_flight), (0, 1));
}

#[test]
fn a_pipe_gets_its_lines_and_its_end_is_no_fault() {
    let (reader, writer) = std::io::pipe().unwrap();
    let journal = Journal::new(Bound::default(), &["file"]);
    let (seat, health, _stop) = seat(&journal);
    let thread = thread::spawn(move || Lines::new(Stdout::on(writer.into()), seat).run());
    journal.append(range(1));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(&reader), &mut line).unwrap();
    assert!(line.contains(r#""sequence":"1""#), "{line}");
    drop(reader);
    journal.append(range(2));
    thread.join().unwrap();
    assert_eq!((health.status().state, health.status().delivered, health.status().last_error), (SinkState::Ended, 1, None));
}

/// Of which syncs, counted from 1.
type Fails = fn(usize) -> bool;

/// A disk with a cache: what it holds, and how much of that a power cut leaves. Some syncs fail, and empty the cache.
struct Cached {
    journal: Arc<Journal>,
    kept: Arc<Mutex<Vec<u8>>>,
    /// Lines in it.
    lines: u64,
    cache: Vec<u8>,
    syncs: usize,
    fails: Fails,
}

impl Cached {
    /// What the journal has forgotten, a power cut must not take.
    fn look(&self) {
        let settled = self.journal.state().cursors[0].committed;
        assert!(settled <= self.lines, "{settled} are settled, and {} lines kept", self.lines);
    }
}

impl Target for Cached {
    const IS_SYNCED: bool = true;

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.look();
        let some = bytes.len().min(1_000);
        self.cache.extend(&bytes[..some]);
        Ok(some)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.look();
        self.syncs += 1;
        let cache = std::mem::take(&mut self.cache);
        if (self.fails)(self.syncs) {
            return Err(std::io::Error::other("a sync failed"));
        }
        self.lines += cache.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.kept.lock().unwrap().extend(cache);
        Ok(())
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        self.look();
        assert!(self.syncs > 0);
    }
}

#[test]
fn the_journal_forgets_no_line_that_a_power_cut_could_take() {
    let rows: [(u64, Fails); 3] = [(60, |_| false), (60, |sync| sync % 2 == 1), (3_000, |sync| sync == 1)];
    for (messages, fails) in rows {
        let journal = Journal::new(Bound::default(), &["file"]);
        let (seat, health, _stop) = seat(&journal);
        let kept = Arc::default();
        let target = Cached { journal: Arc::clone(&journal), kept: Arc::clone(&kept), lines: 0, cache: Vec::new(), syncs: 0, fails };
        let thread = thread::spawn(move || Lines::new(target, seat).run());
        for n in 0..messages {
            journal.append(range(n));
            // Now and then it comes to rest.
            if n % 25 == 24 && messages < 100 {
                wait_for("delivery", || journal.state().cursors[0].committed == n + 1);
            }
        }
        wait_for("all", || journal.state().cursors[0].committed == messages);
        journal.close();
        thread.join().unwrap();
        assert_eq!((health.status().delivered, health.status().failed), (messages, 0));
        assert_eq!(health.status().retried > 0, fails(1));
        let kept = kept.lock().unwrap();
        let mut expected = Vec::new();
        (0..messages).for_each(|n| to_json_line(&range(n), &mut expected).unwrap());
        assert!(*kept == expected, "in their order, and none twice where the cache was lost");
    }
}

/// A file that was moved away is synced too before its lines are settled.
#[test]
fn lines_of_a_file_that_moved_away_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    let mut target = Appended::open(&path).unwrap();
    let whole = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
    target.write(b"one\n").unwrap();
    fs::rename(&path, folder.path().join("moved")).unwrap();
    target.between_lines().unwrap();
    target.write(b"two\n").unwrap();
    target.sync().unwrap();
    assert_eq!((whole("moved"), whole("lines")), ("one\n".to_owned(), "two\n".to_owned()));
    let mut device = Appended::open("/dev/null".as_ref()).unwrap();
    device.write(b"x").unwrap();
    device.sync().unwrap();
}
