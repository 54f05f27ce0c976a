//! What the next run knows of the one before: which losses are told already, and how far it came.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;

use super::disk_tests::{BOUND, SOON, disk, end, killed, segments, wait};
use super::telling::OWN;
use super::tests::message;
use super::*;

fn open(folder: &Path) -> Arc<Lane> {
    Lane::open(BOUND, &disk(folder, 12_000, 1_000), &["a"]).unwrap()
}

fn of_window(n: u64) -> Message {
    Message { key: format!("{}", n % 7), window: WindowOf { start_ns: n / 20, end_ns: n + (1 << 32) }, ..message(n, 100) }
}

/// What a kill leaves where the cursors are saved as they are.
fn killed_once_saved(journal: &Lane, folder: &Path) -> tempfile::TempDir {
    let deadline = Instant::now() + SOON;
    wait(journal, |state| state.unsynced == 0);
    while marks::load(folder).unwrap() != Some(journal.marks()) {
        assert!(Instant::now() < deadline, "they are not saved");
        std::thread::sleep(Duration::from_millis(5));
    }
    killed(folder)
}

/// What one sink got, and what the journal holds of what is left.
#[derive(Default)]
struct Sink {
    appended: u64,
    settled: BTreeSet<u64>,
    given: Vec<u64>,
}

impl Sink {
    fn append(&mut self, journal: &Lane, count: u64) {
        for _ in 0..count {
            assert!(journal.append(of_window(self.appended)).is_some());
            self.appended += 1;
        }
        wait(journal, |state| state.unsynced == 0);
    }

    fn read(&mut self, cursor: &Cursor, count: u64) {
        for _ in 0..count {
            let Next::Message(message) = cursor.next(Duration::ZERO) else { break };
            self.given.push(message.window.end_ns - (1 << 32));
        }
    }

    fn commit(&mut self, cursor: &Cursor, count: u64) {
        let count = (count as usize).min(self.given.len());
        self.settled.extend(self.given.drain(..count));
        cursor.commit(count as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However often it is ended or killed while a sink is behind and segments fall off: what the sink did not get is told once, by window,
    /// and none of it as damaged.
    #[test]
    fn restarts_tell_each_loss_once(turns in prop::collection::vec((0..8_u8, 1..60_u64), 1..40)) {
        let mut folder = tempfile::tempdir().unwrap();
        let mut journal = open(folder.path());
        let mut cursor = journal.cursor("a").unwrap();
        let mut sink = Sink::default();
        for (turn, count) in turns.into_iter().chain([(6, 0), (7, 0)]) {
            match turn {
                0..=2 => sink.append(&journal, count),
                3 | 4 => sink.read(&cursor, count),
                5 => sink.commit(&cursor, count),
                _ => {
                    let killed = (turn == 6).then(|| killed_once_saved(&journal, folder.path()));
                    end(&journal);
                    drop((cursor, journal));
                    folder = killed.unwrap_or(folder);
                    journal = open(folder.path());
                    cursor = journal.cursor("a").unwrap();
                    sink.given.clear();
                    let state = cursor.state();
                    prop_assert_eq!(state.backlog, state.overflow + state.unread, "{:?}", state);
                }
            }
        }
        sink.read(&cursor, u64::MAX);
        sink.commit(&cursor, u64::MAX);
        let mut lost: BTreeMap<u64, u64> = BTreeMap::new();
        for n in (0..sink.appended).filter(|n| !sink.settled.contains(n)) {
            *lost.entry(n / 20).or_default() += 1;
        }
        let told = journal.take(OWN).pop().map(|(_, losses)| losses).unwrap_or_default();
        let mut windows: BTreeMap<u64, u64> = BTreeMap::new();
        told.windows.iter().for_each(|(window, count)| *windows.entry(window.start_ns).or_default() += count[0]);
        end(&journal);
        prop_assert_eq!((told.messages(), told.damaged), (lost.values().sum::<u64>(), 0));
        // An account lists as many windows as 3 KiB hold.
        prop_assert!(told.other_windows > 0 || windows == lost, "{:?} are told, {:?} lost", windows, lost);
        prop_assert!(told.other_windows == 0 || lost.values().sum::<u64>() > 80);
    }
}

/// A kill between the removal of a segment and the saving of what it held: how many are lost is known, and that they fell off.
#[test]
fn what_went_in_the_moment_of_a_kill_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let mut sink = Sink::default();
    sink.append(&journal, 40);
    let copy = killed_once_saved(&journal, folder.path());
    end(&journal);
    let oldest = segments(copy.path());
    std::fs::remove_file(&oldest[0]).unwrap();
    let gone = super::disk_tests::first_of(&oldest[1]);
    let journal = open(copy.path());
    let losses = journal.take(OWN);
    assert_eq!((losses[0].1.messages(), losses[0].1.damaged, losses[0].1.other_windows), (gone, 0, gone));
    end(&journal);
}
