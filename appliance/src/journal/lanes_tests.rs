//! Two lanes: what is fast goes ahead, and nothing of either is lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::disk_tests::{SOON, disk};
use super::previous::LastRun;
use super::tests::message;
use super::*;

fn fast(n: u64) -> Message {
    Message { is_fast: true, ..message(n, 8) }
}

fn read(both: &Both) -> Option<u64> {
    match both.next(Duration::ZERO) {
        Next::Message(message) => Some(message.window.end_ns),
        Next::Empty | Next::Closed => None,
    }
}

#[test]
fn what_is_fast_goes_ahead_of_a_backlog_and_is_found_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path(), 1 << 30, 1_000);
    let journal = Journal::open(Bound::default(), &disk, &["a"]).unwrap();
    (0..100).for_each(|n| assert!(journal.append(message(n, 8)) && (n % 10 > 0 || journal.append(fast(1_000 + n)))));
    assert_eq!(journal.state().appended, 110);
    assert!(journal.end(Instant::now() + SOON));
    drop(journal);
    let journal = Journal::open(Bound::default(), &disk, &["a"]).unwrap();
    let both = Both::new(journal.cursors("a").unwrap());
    assert_eq!(journal.state().cursors[0].backlog, 110);
    assert!(journal.cursors("a").is_none(), "taken once");
    let came: Vec<u64> = std::iter::from_fn(|| read(&both)).collect();
    assert_eq!(came[..10], (0..10).map(|n| 1_000 + 10 * n).collect::<Vec<_>>());
    assert_eq!(came[10..], (0..100).collect::<Vec<_>>());
    both.commit(60);
    let state = journal.state().cursors[0].clone();
    assert_eq!((state.committed, state.in_flight, state.unread), (60, 50, 0));
    assert!(journal.append(fast(7)) && journal.append(message(8, 8)) && journal.append(fast(9)));
    while journal.state().unsynced > 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(std::iter::from_fn(|| read(&both)).collect::<Vec<_>>(), [7, 9, 8]);
}

#[test]
fn a_reader_waits_for_either_and_sees_the_end() {
    let journal = Journal::new(Bound::default(), &["a"]);
    let both = Both::new(journal.cursors("a").unwrap());
    for first in [true, false] {
        let writer = Arc::clone(&journal);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            writer.append(if first { fast(1) } else { message(2, 8) })
        });
        assert!(matches!(both.next(Duration::from_secs(60)), Next::Message(found) if found.is_fast == first));
        assert!(thread.join().unwrap());
    }
    let writer = Arc::clone(&journal);
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        writer.close();
    });
    assert!(matches!(both.next(Duration::from_secs(60)), Next::Closed));
    thread.join().unwrap();
    assert!(!journal.append(fast(3)));
}

#[test]
fn what_falls_off_either_lane_is_told_together() {
    let journal = Journal::new(Bound { messages: 16, bytes: 1 << 20 }, &["a", "b"]);
    (0..20).for_each(|n| assert!(journal.append(message(n, 8))));
    (0..5).for_each(|n| assert!(journal.append(fast(n))));
    // 14 of 16 are the long lane's, 2 the fast one's.
    assert_eq!(journal.overflow(), [("a".to_owned(), 9), ("b".to_owned(), 9)]);
    let losses = journal.losses();
    assert_eq!((losses.len(), losses[0].1.messages(), losses[0].1.ranges[""]), (2, 9, 9));
    let of_window = |n| losses[0].1.windows.get(&WindowOf { start_ns: 0, end_ns: n }).copied();
    assert_eq!(
        (of_window(0), of_window(2), of_window(3), of_window(6)),
        (Some([2, 0, 0, 0, 0, 0, 0]), Some([2, 0, 0, 0, 0, 0, 0]), Some([1, 0, 0, 0, 0, 0, 0]), None)
    );
    assert!(journal.losses().is_empty() && journal.state().messages == 16);
}

#[test]
fn the_run_before_is_the_later_one_that_a_lane_knows() {
    let run = |boot_id, sequence, long_end_ns, fast_end_ns, ended| pb::PreviousRun { boot_id, sequence, long_end_ns, fast_end_ns, ended };
    let of = |number, start_ns, last| Some(LastRun { number, read_to: 0, start_ns, last });
    let of_both = |long: Option<LastRun>, fast: Option<LastRun>| previous::of_both(long.as_ref(), fast.as_ref());
    assert_eq!(of_both(None, None), None);
    assert_eq!(of_both(None, of(0, 2, run(1, 2, 0, 3, false))), Some(run(1, 2, 0, 3, false)));
    let both = of_both(of(4, 7, run(1, 9, 80, 0, true)), of(4, 7, run(1, 8, 0, 90, false)));
    assert_eq!(both, Some(run(1, 9, 80, 90, true)));
    // The number decides, wherever windows end; where nobody counted, which began later.
    let (ended, killed) = (run(1, 9, 1_290, 1_284, true), run(2, 3, 1_280, 1_285, false));
    for [earlier, later] in [[4, 5], [0, 5]] {
        assert_eq!(of_both(of(earlier, 9_000, ended), of(later, 1_284, killed)), Some(killed));
        assert_eq!(of_both(of(later, 1_284, killed), of(earlier, 9_000, ended)), Some(killed));
    }
    assert_eq!(of_both(of(0, 1_280, ended), of(0, 1_284, killed)), Some(killed));
    assert_eq!(of_both(of(0, 1_300, ended), of(0, 1_284, killed)), Some(ended));
}

proptest! {
    #[test]
    fn both_lanes_keep_their_order_and_settle_what_was_read(turns in prop::collection::vec(0..4_u8, 1..200)) {
        let journal = Journal::new(Bound::default(), &["a"]);
        let both = Both::new(journal.cursors("a").unwrap());
        let (mut waiting, mut in_flight) = ([VecDeque::new(), VecDeque::new()], VecDeque::new());
        for (n, turn) in turns.into_iter().enumerate() {
            let n = n as u64;
            match turn {
                0 | 1 => {
                    waiting[usize::from(turn)].push_back(n);
                    let added = journal.append(if turn == 1 { fast(n) } else { message(n, 8) });
                    prop_assert!(added);
                }
                2 => {
                    let expected = waiting[1].pop_front().map(|n| (n, 1)).or_else(|| waiting[0].pop_front().map(|n| (n, 0)));
                    prop_assert_eq!(read(&both), expected.map(|(n, _)| n));
                    in_flight.extend(expected);
                }
                _ => {
                    both.commit(2);
                    in_flight.drain(..in_flight.len().min(2));
                }
            }
            for (lane, state) in [journal.long.state(), journal.fast.state()].into_iter().enumerate() {
                let flying = in_flight.iter().filter(|(_, of)| *of == lane).count();
                prop_assert_eq!((state.cursors[0].in_flight, state.cursors[0].unread), (flying as u64, waiting[lane].len() as u64));
            }
        }
    }
}
