//! What the next run knows of the one before: which losses are told already, and how far it came.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;

use super::disk_tests::{BOUND, SOON, disk, end, first_of, killed, segments, wait};
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
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.given.len());
        self.settled.extend(self.given.drain(..count));
        cursor.commit(count as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

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
    let gone = first_of(&oldest[1]);
    let journal = open(copy.path());
    let losses = journal.take(OWN);
    assert_eq!((losses[0].1.messages(), losses[0].1.damaged, losses[0].1.other_windows), (gone, 0, gone));
    end(&journal);
}

/// One run in a folder, which begins at a second and appends these; it leaves what a kill would. What it knows of the one before.
fn run(folder: &Path, boot_id: u64, start: u64, messages: &[Message]) -> Option<pb::PreviousRun> {
    let journal = Journal::open(BOUND, &disk(folder, 40_000, 1_000), &["a"]).unwrap();
    let before = journal.previous().copied();
    journal.begin(boot_id, start, (start / 10 * 10, start));
    messages.iter().for_each(|message| assert!(journal.append(message.clone())));
    assert!(journal.end(Instant::now() + SOON));
    before
}

/// However soon it is killed.
#[test]
fn a_run_that_has_begun_is_known_to_the_next() {
    for boot_id in 1..6 {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(BOUND, &disk(folder.path(), 40_000, 1_000), &["a"]).unwrap();
        journal.begin(boot_id, 1_281, (1_280, 1_281));
        assert!(journal.await_begun(Instant::now() + SOON));
        let copy = killed(folder.path());
        let next = Journal::open(BOUND, &disk(copy.path(), 40_000, 1_000), &["a"]).unwrap();
        assert_eq!(next.previous().map(|run| (run.boot_id, run.ended)), Some((boot_id, false)));
        assert!(next.end(Instant::now() + SOON) && journal.end(Instant::now() + SOON));
    }
}

/// Who begins is told, waits no longer than asked, and need not ask again.
#[test]
fn a_disk_that_does_not_take_that_a_run_began_is_told_and_has_it_later() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(BOUND, &disk(folder.path(), 40_000, 1_000), &["a"]).unwrap();
    // The file that is to become `cursors`.
    let stands_in_the_way = folder.path().join(marks::NEW_NAME);
    let deadline = Instant::now() + SOON;
    while std::fs::create_dir(&stands_in_the_way).is_err() {
        assert!(Instant::now() < deadline, "it is being saved all the time");
    }
    journal.begin(3, 1_281, (1_280, 1_281));
    assert!(!journal.await_begun(Instant::now() + Duration::from_millis(300)));
    std::fs::remove_dir(&stands_in_the_way).unwrap();
    assert!(journal.await_begun(Instant::now() + SOON));
    assert_eq!(marks::load(folder.path()).unwrap().and_then(|saved| saved.run).map(|run| run.last.boot_id), Some(3));
    assert!(journal.end(Instant::now() + SOON));
}

/// Of the window that ends there; 0: the totals.
fn account(boot_id: u64, sequence: u64, kind: pb::WindowKind, window_end_ns: u64) -> Message {
    let (window_kind, total) = (kind.into(), window_end_ns == 0);
    Message::appliance(&pb::ApplianceReport { boot_id, sequence, window_kind, window_end_ns, total, ..Default::default() })
}

#[test]
fn the_next_run_knows_of_each_run_however_it_ended() {
    use pb::WindowKind::{Fast, Long};
    let folder = tempfile::tempdir().unwrap();
    let known =
        |boot_id, sequence, long_end_ns, fast_end_ns, ended| Some(pb::PreviousRun { boot_id, sequence, long_end_ns, fast_end_ns, ended });
    let run = |boot_id, start, messages: &[Message]| run(folder.path(), boot_id, start, messages);
    assert_eq!(run(1, 1_281, &[account(1, 1, Fast, 1_282), account(1, 2, Long, 1_290), account(1, 3, Long, 0)]), None);
    // The run before ended in the middle of a long window, whose end is behind all that this one reported.
    assert_eq!(run(2, 1_284, &[account(2, 1, Fast, 1_285)]), known(1, 3, 1_290, 1_282, true));
    // Killed before its first long window ended; and this one at once: nobody has counted since.
    assert_eq!(run(3, 1_292, &[]), known(2, 1, 1_280, 1_285, false));
    assert_eq!(run(4, 1_302, &[account(4, 1, Fast, 1_303), account(4, 2, Long, 1_310)]), known(3, 0, 1_280, 1_285, false));
    // Its accounts fall off, and there are many reports of the window that it was killed in.
    let mut flood = vec![account(5, 1, Fast, 1_313), account(5, 2, Long, 1_320)];
    flood.extend((0..600).map(of_window));
    flood.extend((0..100).map(|n| Message { is_fast: true, ..of_window(n) }));
    assert_eq!(run(5, 1_312, &flood), known(4, 2, 1_310, 1_303, false));
    assert!(segments(folder.path()).len() > 16);
    assert_eq!(run(6, 1_332, &[]), known(5, 2, 1_320, 1_313, false));
    // Nobody knows what was kept: then the accounts that are left say it.
    let lanes = [folder.path().to_owned(), folder.path().join("fast")];
    run(7, 1_342, &[account(7, 1, Long, 1_350), account(7, 2, Fast, 1_351), account(7, 3, Fast, 1_352)]);
    lanes.iter().for_each(|lane| std::fs::remove_file(lane.join("cursors")).unwrap());
    assert_eq!(run(8, 1_362, &[]), known(7, 3, 1_350, 1_352, false));
}

/// What was written behind what was kept is looked through, however many segments that are.
#[test]
fn an_account_that_is_not_yet_kept_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(BOUND, &disk(folder.path(), 1 << 20, 1_000), &["a"]).unwrap();
    journal.begin(9, 100, (100, 100));
    assert!(journal.append(account(9, 1, pb::WindowKind::Long, 110)));
    (0..200).for_each(|n| assert!(journal.append(of_window(n))));
    wait(&journal.long, |state| state.unsynced == 0);
    let copy = killed(folder.path());
    assert!(journal.end(Instant::now() + SOON));
    assert!(segments(copy.path()).len() > 16);
    // As it was saved when the run began.
    let saved = marks::load(copy.path()).unwrap().unwrap();
    let began =
        saved.run.map(|run| previous::LastRun { read_to: 0, last: pb::PreviousRun { sequence: 0, long_end_ns: 100, ..run.last }, ..run });
    marks::save(copy.path(), &marks::Saved { run: began, ..saved }).unwrap();
    let journal = Lane::open(BOUND, &disk(copy.path(), 1 << 20, 1_000), &["a"]).unwrap();
    let found = journal.previous().unwrap().last;
    end(&journal);
    assert_eq!((found.boot_id, found.sequence, found.long_end_ns), (9, 1, 110));
}
