//! What a sink lost is told to it, whatever falls off meanwhile, and whoever is killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use prost::Message as _;

use super::disk_tests::{BOUND, SOON, disk, end, first_of, killed, segments, wait};
use super::marks;
use super::telling::{KINDS, OWN};
use super::tests::message;
use super::*;

/// In place of a window's end: of flows, of packet logs.
const LOTS: [u64; 2] = [u64::MAX, u64::MAX - 1];

/// What each sink lost of reports, flows, packet logs.
type Lists = [Vec<(String, Losses)>; KINDS];

fn taken(journal: &Journal) -> Lists {
    [journal.losses(), journal.flow_losses(), journal.log_losses()]
}

fn account(n: u64, is_fast: bool, lists: &Lists) -> Message {
    let [reports, flows, logs] = lists.each_ref().map(|losses| losses.iter().map(|(sink, losses)| losses.told(sink)).collect::<Vec<_>>());
    let packet_logs = Some(pb::PacketLogsAccount { journal_losses: logs, ..Default::default() });
    let window_kind = if is_fast { pb::WindowKind::Fast } else { pb::WindowKind::Long };
    Message::appliance(&pb::ApplianceReport {
        window_end_ns: n,
        window_kind: window_kind.into(),
        journal_losses: reports,
        flows: Some(pb::FlowsAccount { journal_losses: flows, ..Default::default() }),
        exports: Some(pb::ExportsAccount { packet_logs, ..Default::default() }),
        ..Default::default()
    })
}

/// Of three flow messages, or packet logs.
fn lot(of: usize) -> Message {
    let mut lot = LotWriter::new(LotForm::Json, 64);
    (0..3).for_each(|_| assert!(lot.put(|_| {}, |value| value.extend(b"{}"))));
    [Message::flows, Message::logs][of]("t", lot.take(), WindowOf::default())
}

/// What a consumer of one sink hears.
#[derive(Default, Debug)]
struct Heard {
    total: u64,
    lots: [u64; 2],
    windows: BTreeMap<u64, u64>,
}

impl Heard {
    fn hear(&mut self, sink: &str, message: &Message) {
        if message.kind != Kind::Appliance {
            return;
        }
        let account = pb::ApplianceReport::decode(&*message.payload).unwrap();
        account.journal_losses.iter().filter(|told| told.sink == sink).for_each(|told| self.add(told));
        let logs = account.exports.unwrap_or_default().packet_logs.unwrap_or_default().journal_losses;
        for (sum, told) in self.lots.iter_mut().zip([account.flows.unwrap_or_default().journal_losses, logs]) {
            *sum += told.iter().filter(|told| told.sink == sink).map(|told| told.total).sum::<u64>();
        }
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
    fn what_fell_off_is_told_once_to_who_did_not_get_it(turns in prop::collection::vec((0..8_u8, 1..20_u64), 1..120)) {
        let lots = FlowLane { bound: Bound { messages: 4, bytes: 1 << 20 }, disk: None };
        let names = ["a", "b"];
        let journal = Journal::new(Bound { messages: 24, bytes: 1 << 20 }, &names);
        let journal = journal.with_flows(&lots, &names).unwrap().with_logs(&lots, &names).unwrap();
        let sinks = names.map(|sink| Both::new(journal.cursors(sink).unwrap()).and_last(journal.flow_cursor(sink)).and_last(journal.log_cursor(sink)));
        let mut heard = [Heard::default(), Heard::default()];
        let (mut n, mut sent) = (0, BTreeMap::new());
        let read = |sink: usize, count: u64, heard: &mut [Heard; 2], sent: &mut BTreeMap<(usize, u64), u64>| {
            for _ in 0..count {
                let Next::Message(message) = sinks[sink].next(Duration::ZERO) else { break };
                heard[sink].hear(names[sink], &message);
                let window = match message.kind {
                    Kind::Flows => LOTS[0],
                    Kind::Logs => LOTS[1],
                    _ => message.window.end_ns,
                };
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
                2 | 7 => for _ in 0..count {
                    let of = usize::from(turn == 7);
                    *appended.entry(LOTS[of]).or_insert(0) += 3;
                    journal.append(lot(of));
                },
                3 | 4 => {
                    *appended.entry(n / 16).or_insert(0) += 1;
                    journal.append(account(n / 16, turn == 3, &taken(&journal)));
                }
                _ => read(usize::from(turn - 5), count, &mut heard, &mut sent),
            }
        }
        // The rest is told with one more account, which all get.
        (0..2).for_each(|sink| read(sink, u64::MAX, &mut heard, &mut sent));
        *appended.entry(n / 16).or_insert(0) += 1;
        journal.append(account(n / 16, true, &taken(&journal)));
        (0..2).for_each(|sink| read(sink, u64::MAX, &mut heard, &mut sent));
        let overflow = journal.overflow();
        for (sink, heard) in heard.iter().enumerate() {
            prop_assert_eq!(heard.total, overflow[sink].1, "{:?}", heard);
            for (window, appended) in &appended {
                let sent = sent.get(&(sink, *window)).copied().unwrap_or(0);
                let of_lots = LOTS.iter().position(|lots| lots == window);
                let told = of_lots.map_or_else(|| heard.windows.get(window).copied().unwrap_or(0), |of| heard.lots[of]);
                prop_assert_eq!(sent + told, *appended, "window {} of {:?}", window, heard);
            }
        }
        prop_assert!(taken(&journal).iter().all(Vec::is_empty));
    }
}

/// Flows and packet logs that fell off were told by an account that fell off, too.
#[test]
fn lost_lots_are_told_again_with_their_account() {
    let lots = FlowLane { bound: Bound { messages: 1, bytes: 1 << 20 }, disk: None };
    let journal = Journal::new(Bound { messages: 8, bytes: 1 << 20 }, &["a"]);
    let journal = journal.with_flows(&lots, &["a"]).unwrap().with_logs(&lots, &["a"]).unwrap();
    (0..5).for_each(|_| assert!(journal.append(lot(0)) && journal.append(lot(1))));
    let lost = taken(&journal);
    lost[1..].iter().for_each(|lost| assert_eq!((lost[0].1.messages(), lost[0].1.told_before()), (12, 0)));
    journal.append(account(1, false, &lost));
    (0..8).for_each(|n| assert!(journal.append(message(n, 8))));
    let again = taken(&journal);
    for again in &again[1..] {
        let [(sink, again)] = &again[..] else { panic!("{again:?}") };
        assert_eq!((sink.as_str(), again.messages(), again.told_before()), ("a", 12, 12));
    }
    assert!(taken(&journal)[1..].iter().all(Vec::is_empty));
}

/// Flows are lost in one lane, and told in another: whether they are told, that one's disk says, not their own, to which nothing comes.
#[test]
fn a_kill_after_the_account_is_on_its_disk_tells_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let open = |folder: &Path| {
        let lots = FlowLane { bound: BOUND, disk: Some(disk(&folder.join("flows"), 2_000, 1_000)) };
        Journal::open(BOUND, &disk(folder, 1 << 30, 1_000), &["a"]).unwrap().with_flows(&lots, &["a"]).unwrap()
    };
    let settled = |journal: &Journal| {
        let deadline = Instant::now() + SOON;
        let waits = || journal.state().unsynced + journal.flow_state().unwrap().unsynced > 0;
        while waits() {
            assert!(Instant::now() < deadline, "{:?}", journal.state());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let saved = |folder: &Path| {
        marks::load(&folder.join("flows")).unwrap().unwrap().sinks["a"].untold.clone().map_or(0, |untold| untold[OWN].total)
    };
    let until = |folder: &Path, expected: u64| {
        let deadline = Instant::now() + SOON;
        while saved(folder) != expected {
            assert!(Instant::now() < deadline, "{} are kept, not {expected}", saved(folder));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let journal = open(folder.path());
    (0..200).for_each(|_| assert!(journal.append(lot(0))));
    settled(&journal);
    let lost = taken(&journal);
    let count = lost[1][0].1.messages();
    assert!(count > 300 && lost[0].is_empty(), "{lost:?}");
    until(folder.path(), count);
    journal.append(account(1, false, &lost));
    settled(&journal);
    until(folder.path(), 0);
    assert!(journal.end(Instant::now() + SOON));
    drop(journal);
    let journal = open(folder.path());
    assert!(taken(&journal).iter().all(Vec::is_empty));
    assert!(journal.end(Instant::now() + SOON));
}

fn tell(lane: &Lane, losses: Vec<(String, Losses)>) {
    let position = lane.append(account(1, false, &[losses, Vec::new(), Vec::new()])).unwrap();
    lane.account_is_at(&lane.reached, position);
}

/// A kill between the loss and the account that tells it: the next run tells it.
#[test]
fn what_a_killed_run_had_not_told_the_next_one_tells() {
    let folder = tempfile::tempdir().unwrap();
    let small = |folder| disk(folder, 20_000, 2_000);
    let journal = Lane::open(BOUND, &small(folder.path()), &["a"]).unwrap();
    let of_window = |n: u64| Message { window: WindowOf { start_ns: n / 50, end_ns: n / 50 + 1 }, ..message(n, 100) };
    (0..1_000).for_each(|n| assert!(journal.append(of_window(n)).is_some()));
    wait(&journal, |state| state.unsynced == 0);
    let copy = killed(folder.path());
    let gone = first_of(&segments(copy.path())[0]);
    assert!(gone > 500, "{gone}");
    end(&journal);

    let journal = Lane::open(BOUND, &small(copy.path()), &["a"]).unwrap();
    let losses = journal.take(OWN);
    let [(_, told)] = &losses[..] else { panic!("{losses:?}") };
    assert_eq!((told.messages(), told.damaged, told.windows.len() as u64), (gone, 0, gone.div_ceil(50)));
    for (window, count) in &told.windows {
        assert_eq!(count[0], (gone - window.start_ns * 50).min(50));
    }
    // Killed again before its account is there: it is told again. Once it is there, it is told.
    let saved = |folder: &Path| marks::load(folder).unwrap().unwrap().sinks["a"].untold.clone().map_or(0, |untold| untold[OWN].total);
    assert_eq!(saved(killed(copy.path()).path()), gone);
    tell(&journal, losses);
    wait(&journal, |state| state.unsynced == 0);
    assert!(journal.take(OWN).is_empty());
    let deadline = Instant::now() + SOON;
    while saved(copy.path()) > 0 {
        assert!(Instant::now() < deadline, "{} are kept", saved(copy.path()));
        std::thread::sleep(Duration::from_millis(20));
    }
    // The account falls off the disk: what it told is told once more.
    (1_000..2_000).for_each(|n| assert!(journal.append(of_window(n)).is_some()));
    wait(&journal, |state| state.unsynced == 0);
    let losses = journal.take(OWN);
    assert_eq!(losses.iter().map(|(_, losses)| losses.told_before()).sum::<u64>(), gone);
    tell(&journal, losses);
    end(&journal);
    // A run that ends in order: the next one tells nothing twice.
    let journal = Lane::open(BOUND, &small(copy.path()), &["a"]).unwrap();
    assert!(journal.take(OWN).is_empty());
    end(&journal);
}
