//! The journal on disks that fail: refuse, hang, cannot be read, lose what they took.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::disk_tests::{BOUND, SOON, disk, end, first_of, opened, rest, segments, wait};
use super::frame;
use super::queue::{Lies, Queue};
use super::segment::Segment;
use super::store::held_by;
use super::telling::OWN;
use super::tests::message;
use super::*;

#[test]
fn a_disk_that_refuses_makes_nobody_wait_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("journal");
    // A segment for each message: none can be made where the folder is not.
    let journal = Lane::open(BOUND, &disk(&inside, 1 << 30, 1), &["a", "b"]).unwrap();
    let a = journal.cursor("a").unwrap();
    journal.append(message(0, 100));
    wait(&journal, |state| state.unsynced == 0);
    let away = folder.path().join("away");
    std::fs::rename(&inside, &away).unwrap();
    (1..50).for_each(|n| assert!(journal.append(message(n, 100)).is_some()));
    wait(&journal, |state| state.fault.is_some());
    assert_eq!(rest(&a), (0..50).collect::<Vec<_>>());
    std::fs::rename(&away, &inside).unwrap();
    wait(&journal, |state| state.fault.is_none());
    end(&journal);
    let journal = Lane::open(BOUND, &disk(&inside, 1 << 30, 1), &["a", "b"]).unwrap();
    assert_eq!(rest(&journal.cursor("b").unwrap()), (0..50).collect::<Vec<_>>());
    assert!(rest(&journal.cursor("a").unwrap()).is_empty());
    end(&journal);
}

#[test]
fn what_a_disk_that_refuses_cannot_take_falls_off_once() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("journal");
    let bound = Bound { messages: 10, bytes: 1 << 20 };
    let journal = Lane::open(bound, &disk(&inside, 1 << 30, 1), &["a", "b"]).unwrap();
    let [a, b] = ["a", "b"].map(|sink| journal.cursor(sink).unwrap());
    (0..5).for_each(|n| assert!(journal.append(message(n, 100)).is_some()));
    wait(&journal, |state| segments(&inside).len() == 5 && state.unsynced == 0);
    let away = folder.path().join("away");
    std::fs::rename(&inside, &away).unwrap();
    (5..7).for_each(|n| assert!(journal.append(message(n, 100)).is_some()));
    wait(&journal, |state| state.fault.is_some());
    assert_eq!(rest(&a), (0..7).collect::<Vec<_>>());
    (7..40).for_each(|n| assert!(journal.append(message(n, 100)).is_some()));
    std::fs::rename(&away, &inside).unwrap();
    wait(&journal, |state| state.fault.is_none());
    let last = (30..40).collect::<Vec<_>>();
    assert_eq!(rest(&a), last);
    assert_eq!(rest(&b), (0..5).chain(30..40).collect::<Vec<_>>());
    for (cursor, lost) in [(&a, 23), (&b, 25)] {
        let state = cursor.state();
        assert_eq!((state.overflow, state.committed, state.behind()), (lost, 40 - lost, 0));
    }
    assert!(journal.take(OWN).iter().all(|(_, losses)| losses.damaged == 0));
    drop((a, b));
    // One whose place is lost reads all that is left: what never was on the disk is no damage.
    end(&journal);
    std::fs::remove_file(inside.join("cursors")).unwrap();
    let journal = Lane::open(bound, &disk(&inside, 1 << 30, 1), &["c"]).unwrap();
    let c = journal.cursor("c").unwrap();
    assert_eq!(rest(&c), (0..5).chain(30..40).collect::<Vec<_>>());
    assert_eq!((c.state().overflow, c.state().backlog, c.state().committed), (0, 15, 15));
    end(&journal);
}

/// A journal with these messages, a segment each, that has ended.
fn with(folder: &Path, messages: u64) -> Vec<PathBuf> {
    let journal = Lane::open(BOUND, &disk(folder, 1 << 30, 1), &["a"]).unwrap();
    (0..messages).for_each(|n| assert!(journal.append(message(n, 100)).is_some()));
    end(&journal);
    segments(folder)
}

/// A folder in the place of a file: it can be opened, but neither read nor removed.
fn unreadable(path: &Path) -> PathBuf {
    let away = path.with_extension("away");
    std::fs::rename(path, &away).unwrap();
    std::fs::create_dir(path).unwrap();
    std::fs::write(path.join("kept"), "").unwrap();
    away
}

fn readable(path: &Path, away: &Path) {
    std::fs::remove_dir_all(path).unwrap();
    std::fs::rename(away, path).unwrap();
}

#[test]
fn what_cannot_be_read_for_a_while_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let files = with(folder.path(), 10);
    let journal = opened(folder.path());
    let a = journal.cursor("a").unwrap();
    let away = unreadable(&files[4]);
    assert_eq!(rest(&a), (0..4).collect::<Vec<_>>());
    readable(&files[4], &away);
    assert_eq!((rest(&a), a.state().overflow), ((4..10).collect::<Vec<_>>(), 0));
    end(&journal);
}

#[test]
fn what_stays_unreadable_is_counted_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let files = with(folder.path(), 10);
    let journal = opened(folder.path());
    let a = journal.cursor("a").unwrap();
    unreadable(&files[4]);
    std::fs::remove_file(&files[6]).unwrap();
    let (mut read, deadline) = (Vec::new(), Instant::now() + SOON);
    while read.len() < 8 && Instant::now() < deadline {
        read.extend(rest(&a));
    }
    assert_eq!(read, [0, 1, 2, 3, 5, 7, 8, 9]);
    assert_eq!((a.state().overflow, journal.take(OWN)[0].1.damaged), (2, 2));
    end(&journal);
}

#[test]
fn a_segment_that_cannot_be_removed_is_not_told_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let files = with(folder.path(), 10);
    let bytes = files[0].metadata().unwrap().len();
    let journal = Lane::open(BOUND, &disk(folder.path(), 10 * bytes, 1), &["a"]).unwrap();
    let a = journal.cursor("a").unwrap();
    let away = unreadable(&files[0]);
    journal.append(message(10, 100));
    wait(&journal, |state| state.fault.is_some());
    assert_eq!((a.state().overflow, a.state().unread), (0, 11));
    readable(&files[0], &away);
    wait(&journal, |state| state.fault.is_none());
    assert_eq!((a.state().overflow, rest(&a)), (1, (1..11).collect::<Vec<_>>()));
    let losses = journal.take(OWN);
    assert_eq!((losses[0].1.damaged, losses[0].1.windows.len()), (0, 1));
    end(&journal);
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Opening a pipe that nobody reads hangs, and no pipe can be synced.
#[test]
fn while_a_disk_hangs_reports_come_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Lane::open(BOUND, &disk(folder.path(), 1 << 30, 1), &["a"]).unwrap();
    let a = journal.cursor("a").unwrap();
    journal.append(message(0, 100));
    wait(&journal, |state| state.unsynced == 0);
    let pipe = folder.path().join(format!("{:020}.twj", 1));
    fifo(&pipe);
    (1..5).for_each(|n| assert!(journal.append(message(n, 100)).is_some()));
    wait(&journal, |state| state.fault.is_some());
    assert_eq!(rest(&a), (0..5).collect::<Vec<_>>());
    (5..9).for_each(|n| assert!(journal.append(message(n, 100)).is_some()));
    assert_eq!(rest(&a), (5..9).collect::<Vec<_>>());
    let read = std::fs::read(&pipe).unwrap();
    assert!(!read.is_empty());
    wait(&journal, |state| state.fault.is_none());
    drop(a);
    end(&journal);
    std::fs::remove_file(folder.path().join("cursors")).unwrap();
    let journal = opened(folder.path());
    assert_eq!(rest(&journal.cursor("a").unwrap()), (0..9).collect::<Vec<_>>(), "what could not be synced was written again");
    end(&journal);
}

#[test]
fn what_was_removed_from_under_it_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Lane::open(BOUND, &disk(folder.path(), 1 << 30, 1 << 20), &["a", "b"]).unwrap();
    let a = journal.cursor("a").unwrap();
    for n in 0..2 {
        journal.append(message(n, 100));
        wait(&journal, |_| !segments(folder.path()).is_empty());
        segments(folder.path()).iter().chain([&folder.path().join("lock")]).for_each(|path| drop(std::fs::remove_file(path)));
    }
    journal.append(message(2, 100));
    assert_eq!(rest(&a), [0, 1, 2]);
    wait(&journal, |state| state.fault.is_none() && !segments(folder.path()).is_empty());
    end(&journal);
    assert!(folder.path().join("lock").exists());
    assert!(segments(folder.path()).iter().any(|path| first_of(path) <= 2), "what came last is there");
}

#[test]
fn what_lies_in_the_folder_keeps_nothing_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let files = with(folder.path(), 10);
    // The last one has no whole message, and one is no file.
    std::fs::write(&files[9], b"TWJ1 damaged").unwrap();
    std::fs::create_dir(folder.path().join(format!("{:020}.twj", 77))).unwrap();
    std::fs::write(folder.path().join(format!("{:020}.twj", 10)), b"").unwrap();
    std::fs::write(folder.path().join(format!("{}.twj", u64::MAX)), b"TWJ1").unwrap();
    std::fs::write(folder.path().join("cursors"), b"18446744073709551615 a\n1 sinks\n").unwrap();
    let journal = opened(folder.path());
    let a = journal.cursor("a").unwrap();
    journal.append(message(10, 100));
    assert_eq!(rest(&a), (0..9).chain([10]).collect::<Vec<_>>());
    assert_eq!((a.state().overflow, a.state().backlog), (1, 10));
    end(&journal);
    assert!(files[9].exists(), "what cannot be read is not removed");
}

#[test]
fn a_disk_that_cannot_be_used_is_said() {
    let journal = Lane::without_disk(BOUND, &["a"], "read-only".to_owned());
    journal.append(message(0, 100));
    assert_eq!(rest(&journal.cursor("a").unwrap()), [0]);
    assert_eq!(journal.state().fault.as_deref(), Some("read-only"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(!Lane::open(BOUND, &disk(&file, 1 << 30, 1), &["a"]).unwrap_err().is_of_the_disk());
    let errors = [(libc::EROFS, true), (libc::ENOSPC, true), (libc::EIO, true), (libc::EACCES, false)];
    for (code, is) in errors {
        let fault = OpenError::Io { folder: file.clone(), reason: std::io::Error::from_raw_os_error(code) };
        assert_eq!(fault.is_of_the_disk(), is, "{fault}");
    }
}

fn active(folder: &Path, first: u64, end: u64) -> Segment {
    Segment { end, ..Segment::begin(folder, first) }
}

#[test]
fn what_is_just_being_written_is_lost_only_if_the_disk_does_not_take_it() {
    let queue = || {
        let mut queue = Queue::new(Bound { messages: 2, bytes: 1 << 20 }, 0, Some(Vec::new()));
        (0..2).for_each(|n| queue.push(Arc::new(message(n, 8))));
        let unsaved = queue.unsaved(1 << 20).unwrap();
        assert_eq!((unsaved.behind, unsaved.first, unsaved.messages.len()), (0, 0, 2));
        for n in 2..5 {
            queue.push(Arc::new(message(n, 8)));
            let lost = queue.drop_oldest();
            assert_eq!(lost.is_some(), n == 4, "{n}");
        }
        assert!(matches!(queue.find(0), (0, Lies::Nowhere)));
        (queue, unsaved)
    };
    let (mut taken, _) = queue();
    taken.saved(active(Path::new("."), 0, 2));
    assert!(matches!(taken.find(0), (0, Lies::OnDisk(Some(_)))));
    assert_eq!(taken.unsaved(1 << 20).map(|unsaved| (unsaved.behind, unsaved.first)), Some((2, 3)), "the third one is a gap");
    let (mut refused, unsaved) = queue();
    let lost: Vec<u64> = refused.unwritten(unsaved.first, &unsaved.messages).iter().map(|lost| lost.position).collect();
    assert_eq!(lost, [0, 1]);
    refused.refused("no");
    assert!(matches!(refused.find(0), (3, Lies::Here(_))));
}

/// What a failed sync left behind a segment's end was written again: it goes with the other one.
#[test]
fn a_segment_that_goes_takes_nothing_behind_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let segment = active(folder.path(), 0, 3);
    let mut bytes = Vec::new();
    (0..5).for_each(|n| frame::encode(n, &message(n, 8), &mut bytes));
    std::fs::write(&segment.path, bytes).unwrap();
    assert_eq!(held_by(&segment).len(), 3);
}

#[test]
fn a_disk_that_goes_on_refusing_is_not_called_well() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("journal");
    let journal = Lane::open(BOUND, &disk(&inside, 1 << 30, 1), &["a"]).unwrap();
    std::fs::rename(&inside, folder.path().join("away")).unwrap();
    journal.append(message(0, 100));
    wait(&journal, |state| state.fault.is_some());
    let until = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < until {
        assert!(journal.state().fault.is_some());
    }
    std::fs::rename(folder.path().join("away"), &inside).unwrap();
    wait(&journal, |state| state.fault.is_none());
    end(&journal);
}
