//! What a sink lost is told to it, whatever falls off meanwhile, and whoever is killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use prost::Message as _;

use super::disk_tests::{BOUND, SOON, disk, end, first_of, killed, segments, wait};
use super::marks;
use super::tests::message;
use super::*;

/// In place of a window's end.
const FLOWS: u64 = u64::MAX;

fn account(n: u64, is_fast: bool, losses: &[(String, Losses)], flows: &[(String, Losses)]) -> Message {
    let told = |losses: &[(String, Losses)]| losses.iter().map(|(sink, losses)| losses.told(sink)).collect();
    let window_kind = if is_fast { pb::WindowKind::Fast } else { pb::WindowKind::Long };
    Message::appliance(&pb::ApplianceReport {
        window_end_ns: n,
        window_kind: window_kind.into(),
        journal_losses: told(losses),
        flows: Some(pb::FlowsAccount { journal_losses: told(flows), ..Default::default() }),
        ..Default::default()
    })
}

/// Of three flow messages.
fn lot() -> Message {
    let mut lot = LotWriter::new(LotForm::Json, 64);
    (0..3).for_each(|_| assert!(lot.put(|_| {}, |value| value.extend(b"{}"))));
    Message::flows("t", lot.take(), WindowOf::default())
}

/// What a consumer of one sink hears.
#[derive(Default, Debug)]
struct Heard {
    total: u64,
    flows: u64,
    windows: BTreeMap<u64, u64>,
}

impl Heard {
    fn hear(&mut self, sink: &str, message: &Message) {
        if message.kind != Kind::Appliance {
            return;
        }
        let account = pb::ApplianceReport::decode(&*message.payload).unwrap();
        account.journal_losses.iter().filter(|told| told.sink == sink).for_each(|told| self.add(told));
        let flows = account.flows.unwrap_or_default().journal_losses;
        self.flows += flows.iter().filter(|told| told.sink == sink).map(|told| told.total).sum::<u64>();
    }

    fn add(&mut self, told: &pb::JournalLosses) {
        self.total += told.total;
        for window in &told.windows {
            *self.windows.entry(window.window_end_ns).or_default() += window.ranges + window.appliance;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Accounts fall off with what they tell. In the end each sink has heard of all that it did not get, and of nothing twice.
    #[test]
    fn what_fell_off_is_told_once_to_who_did_not_get_it(turns in prop::collection::vec((0..7_u8, 1..20_u64), 1..120)) {
        let flows = FlowLane { bound: Bound { messages: 4, bytes: 1 << 20 }, disk: None };
        let names = ["a", "b"];
        let journal = Journal::new(Bound { messages: 24, bytes: 1 << 20 }, &names).with_flows(&flows, &names).unwrap();
        let sinks = names.map(|sink| Both::new(journal.cursors(sink).unwrap()).and_last(journal.flow_cursor(sink)));
        let mut heard = [Heard::default(), Heard::default()];
        let (mut n, mut sent) = (0, BTreeMap::new());
        let read = |sink: usize, count: u64, heard: &mut [Heard; 2], sent: &mut BTreeMap<(usize, u64), u64>| {
            for _ in 0..count {
                let Next::Message(message) = sinks[sink].next(Duration::ZERO) else { break };
                heard[sink].hear(names[sink], &message);
                let window = if message.kind == Kind::Flows { FLOWS } else { message.window.end_ns };
                *sent.entry((sink, window)).or_default() += message.count();
                sinks[sink].commit(1);
            }
        };
        let mut appended = BTreeMap::new();
        for (turn, count) in turns {
            match turn {
                0 | 1 => for _ in 0..count {
                    n += 1;
                    *appended.entry(n / 16).or_insert(0) += 1;
                    journal.append(Message { is_fast: turn == 1, window: WindowOf { start_ns: 0, end_ns: n / 16 }, ..message(n, 8) });
                },
                2 => for _ in 0..count {
                    *appended.entry(FLOWS).or_insert(0) += 3;
                    journal.append(lot());
                },
                3 | 4 => {
                    *appended.entry(n / 16).or_insert(0) += 1;
                    journal.append(account(n / 16, turn == 3, &journal.losses(), &journal.flow_losses()));
                }
                _ => read(usize::from(turn - 5), count, &mut heard, &mut sent),
            }
        }
        // The rest is told with one more account, which all get.
        (0..2).for_each(|sink| read(sink, u64::MAX, &mut heard, &mut sent));
        *appended.entry(n / 16).or_insert(0) += 1;
        journal.append(account(n / 16, true, &journal.losses(), &journal.flow_losses()));
        (0..2).for_each(|sink| read(sink, u64::MAX, &mut heard, &mut sent));
        let overflow = journal.overflow();
        for (sink, heard) in heard.iter().enumerate() {
            prop_assert_eq!(heard.total, overflow[sink].1, "{:?}", heard);
            for (window, appended) in &appended {
                let sent = sent.get(&(sink, *window)).copied().unwrap_or(0);
                let told = if *window == FLOWS { heard.flows } else { heard.windows.get(window).copied().unwrap_or(0) };
                prop_assert_eq!(sent + told, *appended, "window {} of {:?}", window, heard);
            }
        }
        prop_assert!(journal.losses().is_empty() && journal.flow_losses().is_empty());
    }
}

/// Flows that fell off were told by an account that fell off, too.
#[test]
fn lost_flows_are_told_again_with_their_account() {
    let flows = FlowLane { bound: Bound { messages: 1, bytes: 1 << 20 }, disk: None };
    let journal = Journal::new(Bound { messages: 8, bytes: 1 << 20 }, &["a"]).with_flows(&flows, &["a"]).unwrap();
    (0..5).for_each(|_| assert!(journal.append(lot())));
    let lost = journal.flow_losses();
    assert_eq!((lost[0].1.messages(), lost[0].1.told_before()), (12, 0));
    journal.append(account(1, false, &[], &lost));
    (0..8).for_each(|n| assert!(journal.append(message(n, 8))));
    let again = journal.flow_losses();
    let [(sink, again)] = &again[..] else { panic!("{again:?}") };
    assert_eq!((sink.as_str(), again.messages(), again.told_before()), ("a", 12, 12));
    assert!(journal.flow_losses().is_empty());
}

/// A kill between the loss and the account that tells it: the next run tells it.
#[test]
fn what_a_killed_run_had_not_told_the_next_one_tells() {
    let folder = tempfile::tempdir().unwrap();
    let small = |folder| disk(folder, 20_000, 2_000);
    let journal = Lane::open(BOUND, &small(folder.path()), &["a"]).unwrap();
    let of_window = |n: u64| Message { window: WindowOf { start_ns: n / 50, end_ns: n / 50 + 1 }, ..message(n, 100) };
    (0..1_000).for_each(|n| assert!(journal.append(of_window(n))));
    wait(&journal, |state| state.unsynced == 0);
    let copy = killed(folder.path());
    let gone = first_of(&segments(copy.path())[0]);
    assert!(gone > 500, "{gone}");
    end(&journal);

    let journal = Lane::open(BOUND, &small(copy.path()), &["a"]).unwrap();
    let losses = journal.losses();
    let [(_, told)] = &losses[..] else { panic!("{losses:?}") };
    assert_eq!((told.messages(), told.damaged, told.windows.len() as u64), (gone, 0, gone.div_ceil(50)));
    for (window, count) in &told.windows {
        assert_eq!(count[0], (gone - window.start_ns * 50).min(50));
    }
    // Killed again before its account is there: it is told again. Once it is there, it is told.
    let saved = |folder: &Path| marks::load(folder).unwrap().unwrap()["a"].untold.clone().map_or(0, |untold| untold.reports.total);
    assert_eq!(saved(killed(copy.path()).path()), gone);
    journal.append(account(1, false, &losses, &[]));
    wait(&journal, |state| state.unsynced == 0);
    assert!(journal.losses().is_empty());
    let deadline = Instant::now() + SOON;
    while saved(copy.path()) > 0 {
        assert!(Instant::now() < deadline, "{} are kept", saved(copy.path()));
        std::thread::sleep(Duration::from_millis(20));
    }
    // The account falls off the disk: what it told is told once more.
    (1_000..2_000).for_each(|n| assert!(journal.append(of_window(n))));
    wait(&journal, |state| state.unsynced == 0);
    let again: u64 = journal.losses().iter().map(|(_, losses)| losses.told_before()).sum();
    assert_eq!(again, gone);
    end(&journal);
    // A run that ends in order, and took no account since: the next run tells nothing twice.
    let journal = Lane::open(BOUND, &small(copy.path()), &["a"]).unwrap();
    assert!(journal.losses().is_empty());
    end(&journal);
}
