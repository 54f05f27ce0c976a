use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

pub(super) fn message(n: u64, payload_bytes: usize) -> Message {
    let mut payload = vec![0; payload_bytes.max(8)];
    payload[..8].copy_from_slice(&n.to_be_bytes());
    Message {
        kind: Kind::Ranges,
        is_fast: false,
        key: String::new(),
        customer: String::new(),
        payload: payload.into(),
        window: WindowOf { start_ns: 0, end_ns: n },
    }
}

fn read(cursor: &Cursor) -> Option<u64> {
    match cursor.next(Duration::ZERO) {
        Next::Message(message) => Some(message.window.end_ns),
        Next::Empty | Next::Closed => None,
    }
}

#[test]
fn each_sink_reads_all_in_order() {
    let journal = Lane::new(Bound { messages: 10, bytes: 1 << 20 }, &["a", "b"]);
    let (a, b) = (journal.cursor("a").unwrap(), journal.cursor("b").unwrap());
    for n in 0..5 {
        assert!(journal.append(message(n, 8)).is_some());
    }
    assert_eq!((0..6).map(|_| read(&a)).collect::<Vec<_>>(), [Some(0), Some(1), Some(2), Some(3), Some(4), None]);
    assert_eq!(journal.state().messages, 5, "b has read none");
    assert_eq!((0..5).filter_map(|_| read(&b)).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    a.commit(5);
    b.commit(2);
    let state = journal.state();
    assert_eq!((state.messages, state.bytes, state.appended), (0, 0, 5));
    assert_eq!((state.cursors[0].behind(), state.cursors[1].behind()), (0, 3));
}

#[test]
fn the_oldest_falls_off_and_only_who_missed_it_counts() {
    let journal = Lane::new(Bound { messages: 3, bytes: 1 << 20 }, &["fast", "slow"]);
    let (fast, slow) = (journal.cursor("fast").unwrap(), journal.cursor("slow").unwrap());
    for n in 0..10 {
        journal.append(message(n, 8));
        assert_eq!(read(&fast), Some(n));
    }
    assert_eq!(journal.overflow(), [("fast".to_owned(), 0), ("slow".to_owned(), 7)]);
    assert_eq!(read(&slow), Some(7));
    assert_eq!(
        slow.state(),
        CursorState { sink: "slow".into(), backlog: 0, committed: 0, overflow: 7, damaged: 0, in_flight: 1, unread: 2 }
    );
}

#[test]
fn the_byte_bound_holds_but_one_huge_message_passes() {
    let each = message(0, 1000).bytes();
    let journal = Lane::new(Bound { messages: 100, bytes: 3 * each }, &["a"]);
    let a = journal.cursor("a").unwrap();
    for n in 0..5 {
        journal.append(message(n, 1000));
    }
    assert_eq!(journal.state().bytes, 3 * each);
    journal.append(message(5, 10 * each));
    assert_eq!((read(&a), read(&a)), (Some(5), None));
    assert_eq!(a.state().overflow, 5);
}

#[test]
fn closing_drains_then_ends() {
    let journal = Lane::new(Bound::default(), &["a"]);
    let a = journal.cursor("a").unwrap();
    assert!(journal.cursor("a").is_none(), "one reader a sink");
    journal.append(message(0, 8));
    journal.close();
    assert!(journal.append(message(1, 8)).is_none());
    assert!(!journal.drained_by(Instant::now()));
    assert!(matches!(a.next(Duration::ZERO), Next::Message(_)));
    assert!(matches!(a.next(Duration::from_secs(60)), Next::Closed));
    a.commit(1);
    assert!(journal.drained_by(Instant::now()));
}

#[test]
fn a_sink_that_left_holds_nothing_back() {
    let journal = Lane::new(Bound { messages: 2, bytes: 1 << 20 }, &["gone", "here"]);
    let here = journal.cursor("here").unwrap();
    drop(journal.cursor("gone").unwrap());
    for n in 0..4 {
        journal.append(message(n, 8));
        assert_eq!(read(&here), Some(n));
    }
    assert_eq!(journal.state().messages, 0);
    assert_eq!(journal.overflow()[0].1, 4, "it has missed them");
    drop(here);
    assert!(journal.append(message(4, 8)).is_some());
    let state = journal.state();
    assert_eq!(state.messages, 0, "nobody reads");
    for cursor in state.cursors {
        assert_eq!(cursor.committed + cursor.overflow + cursor.in_flight + cursor.unread, state.appended, "{}", cursor.sink);
    }
}

#[test]
fn a_reader_wakes_for_news() {
    let journal = Lane::new(Bound::default(), &["a"]);
    let a = journal.cursor("a").unwrap();
    let reader = thread::spawn(move || matches!(a.next(Duration::from_secs(60)), Next::Message(_)));
    thread::sleep(Duration::from_millis(20));
    journal.append(message(0, 8));
    assert!(reader.join().unwrap());
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Read(usize),
    Commit(usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (8..400_usize).prop_map(Step::Append),
        3 => (0..3_usize).prop_map(Step::Read),
        1 => (0..3_usize, 0..5_u64).prop_map(|(sink, count)| Step::Commit(sink, count)),
    ]
}

/// The same journal, the slow and plain way: every sink has a queue of its own.
#[derive(Default)]
struct Model {
    held: VecDeque<(u64, usize)>,
    next: [u64; 3],
    overflow: [u64; 3],
    in_flight: [u64; 3],
    committed: [u64; 3],
}

impl Model {
    fn append(&mut self, n: u64, bytes: usize, bound: Bound) {
        self.held.push_back((n, bytes));
        self.forget();
        while self.held.len() > bound.messages || (self.held.len() > 1 && self.held.iter().map(|m| m.1).sum::<usize>() > bound.bytes) {
            let (lost, _) = self.held.pop_front().unwrap();
            for sink in 0..3 {
                if self.next[sink] == lost {
                    self.next[sink] += 1;
                    self.overflow[sink] += 1;
                }
            }
        }
    }

    fn forget(&mut self) {
        let needed = *self.next.iter().min().unwrap();
        self.held.retain(|&(n, _)| n >= needed);
    }
}

proptest! {
    #[test]
    fn agrees_with_a_plain_model(steps in prop::collection::vec(step(), 1..300), messages in 1..20_usize, kilobytes in 1..4_usize) {
        let bound = Bound { messages, bytes: kilobytes * 1024 };
        let journal = Lane::new(bound, &["0", "1", "2"]);
        let cursors = ["0", "1", "2"].map(|name| journal.cursor(name).unwrap());
        let (mut model, mut appended) = (Model::default(), 0);
        for step in steps {
            match step {
                Step::Append(bytes) => {
                    let message = message(appended, bytes);
                    model.append(appended, message.bytes(), bound);
                    journal.append(message);
                    appended += 1;
                }
                Step::Read(sink) => {
                    let expected = (model.next[sink] < appended).then_some(model.next[sink]);
                    prop_assert_eq!(read(&cursors[sink]), expected);
                    if expected.is_some() {
                        model.next[sink] += 1;
                        model.in_flight[sink] += 1;
                        model.forget();
                    }
                }
                Step::Commit(sink, count) => {
                    let count = count.min(model.in_flight[sink]);
                    model.in_flight[sink] -= count;
                    model.committed[sink] += count;
                    cursors[sink].commit(count);
                }
            }
            let state = journal.state();
            prop_assert!(state.messages <= bound.messages && (state.bytes <= bound.bytes || state.messages == 1));
            for (sink, cursor) in state.cursors.iter().enumerate() {
                prop_assert_eq!(cursor.overflow, model.overflow[sink]);
                prop_assert_eq!(cursor.committed, model.committed[sink]);
                prop_assert_eq!(cursor.committed + cursor.overflow + cursor.in_flight + cursor.unread, appended);
            }
        }
    }
}
