//! The journal on disk: what a kill, a power cut, damage and a bound leave.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::telling::OWN;
use super::tests::message;
use super::*;

pub(super) const BOUND: Bound = Bound { messages: 1 << 20, bytes: 256 << 20 };
pub(super) const SOON: Duration = Duration::from_secs(20);

pub(super) fn disk(folder: &Path, bytes_max: u64, segment_bytes: u64) -> Disk {
    Disk { folder: folder.to_owned(), bytes_max, segment_bytes }
}

pub(super) fn opened(folder: &Path) -> Arc<Lane> {
    Lane::open(BOUND, &disk(folder, 1 << 30, 1_000), &["a"]).unwrap()
}

/// What the folder is at this moment, as after a kill: in a new one.
pub(super) fn killed(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What is removed meanwhile is not there.
        let _ = std::fs::copy(&path, copy.path().join(path.file_name().unwrap()));
    }
    copy
}

pub(super) fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = all.filter(|path| path.extension().is_some_and(|extension| extension == "twj")).collect();
    segments.sort();
    segments
}

/// Reads all that is left, and settles it.
pub(super) fn rest(cursor: &Cursor) -> Vec<u64> {
    let mut read = Vec::new();
    while let Next::Message(message) = cursor.next(Duration::from_millis(if read.is_empty() { 2_000 } else { 300 })) {
        read.push(message.window.end_ns);
        cursor.commit(1);
    }
    read
}

pub(super) fn wait(journal: &Lane, until: impl Fn(&JournalState) -> bool) {
    let deadline = Instant::now() + SOON;
    while !until(&journal.state()) {
        assert!(Instant::now() < deadline, "{:?}", journal.state());
        thread::sleep(Duration::from_millis(2));
    }
}

pub(super) fn end(journal: &Lane) {
    assert!(journal.end(Instant::now() + SOON));
}

#[test]
fn what_was_not_delivered_comes_after_a_restart_and_what_was_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let journal = opened(folder.path());
    let a = journal.cursor("a").unwrap();
    (0..100).for_each(|n| assert!(journal.append(message(n, 100)).is_some()));
    for n in 0..60 {
        let Next::Message(message) = a.next(SOON) else { panic!("{n}") };
        assert_eq!(message.window.end_ns, n);
    }
    a.commit(40);
    end(&journal);
    let journal = opened(folder.path());
    let a = journal.cursor("a").unwrap();
    assert_eq!(a.state().backlog, 60);
    journal.append(message(100, 100));
    assert_eq!(rest(&a), (40..=100).collect::<Vec<_>>());
    assert_eq!((a.state().overflow, a.state().committed), (0, 61));
    end(&journal);
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let journal = opened(folder.path());
    let refused = Lane::open(BOUND, &disk(folder.path(), 1 << 30, 1_000), &["a"]).unwrap_err();
    assert!(refused.to_string().contains("[journal] path: another process uses"), "{refused}");
    end(&journal);
}

#[test]
fn a_sink_that_is_new_begins_with_what_is_new_and_one_whose_place_is_lost_with_all() {
    let folder = tempfile::tempdir().unwrap();
    let journal = opened(folder.path());
    drop(journal.cursor("a"));
    (0..10).for_each(|n| assert!(journal.append(message(n, 100)).is_some()));
    end(&journal);
    let journal = Lane::open(BOUND, &disk(folder.path(), 1 << 30, 1_000), &["a", "b"]).unwrap();
    let [a, b] = ["a", "b"].map(|sink| journal.cursor(sink).unwrap());
    journal.append(message(10, 100));
    assert_eq!((rest(&b), rest(&a)), (vec![10], (0..=10).collect()));
    end(&journal);
    std::fs::remove_file(folder.path().join("cursors")).unwrap();
    let journal = Lane::open(BOUND, &disk(folder.path(), 1 << 30, 1_000), &["b"]).unwrap();
    assert_eq!(rest(&journal.cursor("b").unwrap()), (0..=10).collect::<Vec<_>>());
    end(&journal);
}

#[test]
fn what_falls_off_is_counted_by_window_and_range() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Lane::open(BOUND, &disk(folder.path(), 20_000, 2_000), &["a", "b"]).unwrap();
    let [a, b] = ["a", "b"].map(|sink| journal.cursor(sink).unwrap());
    for n in 0..1_000_u64 {
        let mut message = message(n, 100);
        (message.key, message.window) = (format!("{}", n % 7), WindowOf { start_ns: n / 50, end_ns: n / 50 + 1 });
        journal.append(message);
        // One that keeps up misses nothing.
        assert!(matches!(a.next(SOON), Next::Message(_)), "{n}");
        a.commit(1);
        assert!(journal.state().disk_bytes <= 20_000);
    }
    let mut read = 0;
    while let Next::Message(message) = b.next(Duration::from_millis(300)) {
        read += 1;
        assert_eq!(message.window.start_ns, (1_000 - b.state().unread - 1) / 50, "the newest are what is left, in their order");
    }
    let (state, losses) = (b.state(), journal.take(OWN));
    assert_eq!((state.in_flight, state.overflow, a.state().overflow), (read, 1_000 - read, 0));
    let [(sink, losses)] = &losses[..] else { panic!("{losses:?}") };
    assert_eq!((sink.as_str(), losses.messages(), losses.damaged), ("b", state.overflow, 0));
    let truth = |of: &dyn Fn(u64) -> u64, is: u64| (0..state.overflow).filter(|n| of(*n) == is).count() as u64;
    for (window, count) in &losses.windows {
        assert_eq!(*count, [truth(&|n| n / 50, window.start_ns), 0, 0, 0, 0, 0, 0]);
    }
    for (range, count) in &losses.ranges {
        assert_eq!(*count, truth(&|n| n % 7, range.parse().unwrap()));
    }
    assert!(journal.take(OWN).is_empty());
    let on_disk: u64 = segments(folder.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert_eq!(on_disk, journal.state().disk_bytes);
    end(&journal);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Of a file that is damaged anywhere, or cut, all other messages come, and those that do not are counted.
    #[test]
    fn damage_takes_what_it_hits(
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..60_usize), 1..4), cut: Option<prop::sample::Index>,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let journal = opened(folder.path());
        (0..60).for_each(|n| assert!(journal.append(message(n, 40)).is_some()));
        wait(&journal, |state| state.disk_bytes == 60 * frame_bytes() as u64);
        let copy = killed(folder.path());
        end(&journal);
        let _ = std::fs::remove_file(copy.path().join("cursors"));
        let files = segments(copy.path());
        let mut hit = BTreeSet::new();
        for (file, at, len) in hits {
            let path = &files[file.index(files.len())];
            let mut bytes = std::fs::read(path).unwrap();
            let at = at.index(bytes.len());
            let to = (at + len).min(bytes.len());
            hit.extend(touched(path, at, to));
            // However often one is hit it is another one than it was.
            bytes[at..to].iter_mut().for_each(|byte| *byte = byte.wrapping_add(0x55));
            std::fs::write(path, bytes).unwrap();
        }
        if let (Some(cut), Some(last)) = (cut, files.last()) {
            let len = usize::try_from(last.metadata().unwrap().len()).unwrap();
            let to = cut.index(len);
            hit.extend(touched(last, to, len));
            std::fs::OpenOptions::new().write(true).open(last).unwrap().set_len(to as u64).unwrap();
        }
        let whole = (0..60).collect::<BTreeSet<u64>>();
        let end_known = end_known(&files, &(&whole - &hit));
        let journal = opened(copy.path());
        let a = journal.cursor("a").unwrap();
        journal.close();
        let read: BTreeSet<u64> = rest(&a).into_iter().collect();
        let state = a.state();
        end(&journal);
        prop_assert_eq!(&whole - &hit, read.clone());
        prop_assert_eq!(state.overflow, end_known - read.len() as u64);
    }
}

fn frame_bytes() -> usize {
    let mut frame = Vec::new();
    frame::encode(0, &message(0, 40), &mut frame);
    frame.len()
}

pub(super) fn first_of(path: &Path) -> u64 {
    path.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

/// Behind the last message that is known to have been there: what is cut off behind it never was. A file that has bytes had one.
fn end_known(files: &[std::path::PathBuf], left: &BTreeSet<u64>) -> u64 {
    let Some(last) = files.iter().rfind(|path| path.metadata().unwrap().len() > 0) else { return 0 };
    let behind = files.iter().map(|path| first_of(path)).find(|first| *first > first_of(last)).unwrap_or(u64::MAX);
    left.range(first_of(last)..behind).next_back().copied().unwrap_or_else(|| first_of(last)) + 1
}

/// Messages whose frames lie within these bytes of a segment, wholly or in part.
fn touched(path: &Path, from: usize, to: usize) -> Vec<u64> {
    let first = first_of(path);
    let frames = path.metadata().unwrap().len().div_ceil(frame_bytes() as u64);
    let is_hit = |frame: &u64| {
        let at = usize::try_from(*frame).unwrap() * frame_bytes();
        at < to && from < at + frame_bytes()
    };
    (0..frames).filter(is_hit).map(|frame| first + frame).collect()
}
