//! The engine against hand-made accounts of a second each.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::report::{Glance, pb};

pub(super) const SECOND: u64 = 1_000_000_000;

/// A window in which all is well: one feed of two ports, one sink.
pub(super) fn window(n: u64) -> pb::ApplianceReport {
    let port = |number| pb::PortLedger {
        port: number,
        device: format!("d{number}"),
        feed: "mirror".to_owned(),
        ledger: Some(pb::Ledger { offered: 1_000, received: 1_000, ..Default::default() }),
        link_up: true,
        ..Default::default()
    };
    pb::ApplianceReport {
        appliance: "a".to_owned(),
        boot_id: 7,
        sequence: n + 1,
        window_start_ns: n * SECOND,
        window_end_ns: (n + 1) * SECOND,
        window_kind: pb::WindowKind::Fast.into(),
        ledger: Some(pb::Ledger { records: 2_000, ..Default::default() }),
        ports: vec![port(0), port(1)],
        feeds: vec![pb::Feed {
            name: "mirror".to_owned(),
            state: pb::FeedState::Live.into(),
            received: 2_000,
            min_pps: 10,
            ..Default::default()
        }],
        clock_sync: pb::ClockSync::Synced.into(),
        sinks: vec![pb::SinkAccount { sink: "kafka".to_owned(), ..Default::default() }],
        journal: Some(pb::JournalAccount::default()),
        ..Default::default()
    }
}

pub(super) type Change = fn(&mut pb::ApplianceReport);

pub(super) fn well(_: &mut pb::ApplianceReport) {}

pub(super) fn down(report: &mut pb::ApplianceReport) {
    report.ports[1].link_up = false;
    report.feeds[0].state = pb::FeedState::Down.into();
}

pub(super) fn silent(report: &mut pb::ApplianceReport) {
    (report.feeds[0].state, report.feeds[0].silent_ports) = (pb::FeedState::Silent.into(), vec!["d1".to_owned()]);
}

fn missed(report: &mut pb::ApplianceReport) {
    let [what, place, name, feed, cause] = ["nic_missed", "port", "d1", "mirror", "cpu"].map(str::to_owned);
    report.losses = vec![pb::Loss { what, place, number: 1, name, feed, count: 1, cause, ..Default::default() }];
}

pub(super) fn behind(report: &mut pb::ApplianceReport) {
    report.sinks[0].oldest_age_ms = 30_001;
}

fn reasons(report: &mut pb::ApplianceReport, reason: &str) {
    report.incomplete = Some(pb::Incomplete { reasons: vec![reason.to_owned()], ..Default::default() });
}

/// So many windows of each kind, one after the other: the events, and in which window each message came.
pub(super) fn run(engine: &mut Engine, stretches: &[(u64, Change)]) -> Vec<(u64, pb::Event)> {
    let (mut told, mut n) = (Vec::new(), 0);
    for (windows, change) in stretches {
        for _ in 0..*windows {
            let mut report = window(n);
            change(&mut report);
            told.extend(engine.judge(&report).into_iter().map(|event| (n, event)));
            n += 1;
        }
    }
    told
}

/// `BEGUN feed_down 1`, in the order in which they came.
pub(super) fn lines(told: &[(u64, pb::Event)]) -> Vec<String> {
    told.iter().map(|(n, event)| format!("{} {} {n}", event.state().as_str_name(), event.kind)).collect()
}

#[test]
fn an_event_begins_goes_on_once_a_minute_and_ends_under_one_id() {
    let mut engine = Engine::default();
    let told = run(&mut engine, &[(5, well), (130, down), (20, well)]);
    assert_eq!(lines(&told), ["BEGUN feed_down 5", "ONGOING feed_down 65", "ONGOING feed_down 125", "ENDED feed_down 144"]);
    let events: Vec<&pb::Event> = told.iter().map(|(_, event)| event).collect();
    assert_eq!(events.iter().map(|event| &event.id).collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(events[0].id.len(), 32);
    for event in &events {
        assert_eq!((event.started_ns, event.boot_id, &event.appliance[..]), (5 * SECOND, 7, "a"));
        assert_eq!(event.subject, Some(pb::EventSubject { r#type: "feed".to_owned(), name: "mirror".to_owned() }));
        assert_eq!((event.severity(), event.ended_ns.is_some()), (pb::Severity::Critical, event.state() == pb::EventState::Ended));
    }
    assert_eq!((events[0].windows, events[0].evidence.len(), events[0].evidence[0].sequence), (1, 1, 6));
    assert!(events[0].summary.contains("1 of 2 ports") && events[0].summary.contains("d1"), "{}", events[0].summary);
    let (last, evidence) = (events[3], &events[3].evidence);
    assert!(last.summary.starts_with("over, last seen 10 s ago; it was: "), "{}", last.summary);
    assert_eq!((last.updated_ns, last.ended_ns, last.windows), (135 * SECOND, Some(135 * SECOND), 130));
    assert_eq!((evidence[0].sequence, evidence[1].sequence, evidence[1].window_end_ns), (6, 135, 135 * SECOND));
    assert!(engine.open().values().all(|n| *n == 0) && engine.open().len() == RULES.len());
}

#[test]
fn cores_that_close_windows_too_late_are_told_one_by_one() {
    let core = |lcore, overdue| pb::CoreLedger {
        lcore,
        role: "rx".to_owned(),
        ledger: Some(pb::Ledger { received: 100, overdue, ..Default::default() }),
    };
    let mut report = window(0);
    report.cores = vec![core(1, 0), core(2, 30), core(3, 7)];
    let mut engine = Engine::default();
    let begun = engine.judge(&report);
    let told: Vec<_> = begun
        .iter()
        .map(|event| (&event.kind[..], &event.subject.as_ref().unwrap().name[..], event.figures[0].value.as_ref().unwrap().value))
        .collect();
    assert_eq!(told, [("overdue", "lcore 2", 30.0), ("overdue", "lcore 3", 7.0)]);
    // A window that was opened in time, and those after it, end them.
    let ended: Vec<_> = (1..20).flat_map(|n| engine.judge(&window(n))).filter(|event| event.state() == pb::EventState::Ended).collect();
    assert_eq!(ended.len(), 2);
}

#[test]
fn ids_differ_by_start_subject_kind_and_boot() {
    let mut ids = BTreeSet::new();
    for (boot_id, windows, change) in [(7, 0, down as Change), (8, 0, down), (7, 1, down), (7, 0, missed), (7, 0, behind)] {
        let mut engine = Engine::default();
        let mut report = window(windows);
        change(&mut report);
        report.boot_id = boot_id;
        ids.insert(engine.judge(&report)[0].id.clone());
        // The same accounts, the same id.
        assert!(!ids.insert(Engine::default().judge(&report)[0].id.clone()));
    }
    assert_eq!(ids.len(), 5);
}

#[test]
fn what_one_window_may_show_by_chance_is_no_event() {
    let told = run(&mut Engine::default(), &[(1, silent), (1, well), (1, silent), (1, well), (2, silent), (1, well)]);
    assert_eq!(lines(&told), ["BEGUN feed_silent 5"]);
    assert_eq!((told[0].1.started_ns, told[0].1.windows), (4 * SECOND, 2), "it began with the first window that showed it");
}

#[test]
fn what_flaps_is_one_event_and_takes_longer_to_end() {
    let flap: Vec<(u64, Change)> = (0..10).flat_map(|_| [(1, missed as Change), (8, well)]).collect();
    let told = run(&mut Engine::default(), &[&flap[..], &[(200, well)]].concat());
    let states: BTreeMap<&str, usize> = told.iter().fold(BTreeMap::new(), |mut all, (_, event)| {
        *all.entry(event.state().as_str_name()).or_default() += 1;
        all
    });
    assert_eq!(states, BTreeMap::from([("BEGUN", 1), ("ENDED", 1), ("ONGOING", 1)]), "{:?}", lines(&told));
    // Its last window was the 82nd; it came back more than three times, so eight times ten seconds.
    assert_eq!(told.last().map(|(n, _)| *n), Some(81 + 80));
}

#[test]
fn one_cause_is_one_event() {
    fn all(report: &mut pb::ApplianceReport) {
        missed(report);
        down(report);
    }
    let told = run(&mut Engine::default(), &[(5, all), (20, well)]);
    assert_eq!(lines(&told), ["BEGUN feed_down 0", "ENDED feed_down 14"]);
    // What another port loses has another cause, though it is of the same feed.
    fn others(report: &mut pb::ApplianceReport) {
        all(report);
        report.losses[0].number = 0;
    }
    assert_eq!(lines(&run(&mut Engine::default(), &[(1, others)])), ["BEGUN feed_down 0", "BEGUN loss 0"]);
    // What was open when the port went down ends.
    let told = run(&mut Engine::default(), &[(2, missed), (100, all), (20, well)]);
    let expected = ["BEGUN loss 0", "BEGUN feed_down 2", "ONGOING feed_down 62", "ENDED feed_down 111", "ENDED loss 11"];
    assert_eq!(lines(&told).into_iter().collect::<BTreeSet<_>>(), expected.map(str::to_owned).into());
}

#[test]
fn what_is_worse_than_its_cause_follows_it() {
    fn dropping(report: &mut pb::ApplianceReport) {
        behind(report);
        report.sinks[0].overflow = report.sequence;
    }
    let told = run(&mut Engine::default(), &[(3, behind), (2, dropping)]);
    assert_eq!(lines(&told), ["BEGUN sink_behind 0", "BEGUN journal_dropping 3"]);
    assert_eq!((&told[0].1.follows[..], &told[1].1.follows), ("", &told[0].1.id));
    // A counter that stands still drops nothing more.
    fn dropped(report: &mut pb::ApplianceReport) {
        report.sinks[0].overflow = 5;
    }
    assert_eq!(lines(&run(&mut Engine::default(), &[(40, dropped)])), ["BEGUN journal_dropping 0", "ENDED journal_dropping 10"]);
}

#[test]
fn a_severity_that_rises_is_told_at_once() {
    fn much(report: &mut pb::ApplianceReport) {
        missed(report);
        report.losses[0].count = 2;
    }
    let told = run(&mut Engine::default(), &[(3, missed), (3, much), (3, missed)]);
    assert_eq!(lines(&told), ["BEGUN loss 0", "ONGOING loss 3"]);
    let said: Vec<_> = told.iter().map(|(_, event)| (event.severity(), &event.cause[..])).collect();
    assert_eq!(said, [(pb::Severity::Warning, "cpu"), (pb::Severity::Critical, "cpu")]);
}

#[test]
fn each_rule_finds_what_it_is_for_and_nothing_where_all_is_well() {
    let rows: [(&str, &str, Change); 16] = [
        ("feed_down", "", down),
        ("feed_silent", "", silent),
        ("loss", "cpu", missed),
        ("mirror_saturated", "", |report| {
            missed(report);
            (report.losses[0].what, report.losses[0].count) = ("mirror".to_owned(), 0);
        }),
        ("clock", "stepped", |report| reasons(report, "clock_jumped")),
        ("clock", "offset", |report| reasons(report, "clock_offset")),
        ("clock", "unsynced", |report| report.clock_sync = pb::ClockSync::Unsynced.into()),
        ("journal_refusing", "", |report| report.journal = Some(pb::JournalAccount { fault: "full".to_owned(), unsynced: 3 })),
        ("sink_refusing", "", |report| report.sinks[0].failed = report.sequence),
        ("sink_refusing", "", |report| {
            (report.sinks[0].flows_failed, report.sinks[0].flows_topic_refused) = (3 * report.sequence, report.sequence);
        }),
        ("sink_refusing", "", |report| report.sinks[0].logs_failed = report.sequence),
        ("sink_behind", "", behind),
        ("sink_behind", "", |report| report.sinks[0].flows_oldest_age_ms = 60_001),
        ("sink_behind", "", |report| report.sinks[0].logs_oldest_age_ms = 60_001),
        ("journal_dropping", "", |report| report.sinks[0].overflow = report.sequence),
        ("journal_damaged", "", |report| {
            (report.sinks[0].overflow, report.sinks[0].damaged) = (report.sequence, report.sequence);
        }),
    ];
    for (kind, cause, change) in rows {
        let told = run(&mut Engine::default(), &[(5, change)]);
        let said: Vec<_> = told.iter().map(|(_, event)| (&event.kind[..], &event.cause[..], event.state())).collect();
        assert_eq!(said, [(kind, cause, pb::EventState::Begun)]);
        assert!(!told[0].1.summary.is_empty() && told[0].1.subject.is_some(), "{kind}");
    }
    assert!(run(&mut Engine::default(), &[(100, well)]).is_empty());
    // Flows that were given up with their topic are told by another event.
    let of_topics = |report: &mut pb::ApplianceReport| {
        (report.sinks[0].flows_failed, report.sinks[0].flows_topic_refused) = (report.sequence, report.sequence);
    };
    assert!(run(&mut Engine::default(), &[(100, of_topics)]).is_empty());
    // What is but to be known is said once.
    let told = run(&mut Engine::default(), &[(200, |report| report.clock_sync = pb::ClockSync::Unsynced.into())]);
    assert_eq!(lines(&told), ["BEGUN clock 0"]);
    // The system says nothing of its clock: nothing is said of that.
    assert!(run(&mut Engine::default(), &[(9, |report| report.clock_sync = pb::ClockSync::Unknown.into())]).is_empty());
}

#[test]
fn windows_in_windows_and_totals_are_judged_once() {
    let mut engine = Engine::default();
    for n in 0..10 {
        let mut report = window(n);
        down(&mut report);
        assert_eq!(engine.judge(&report).len(), usize::from(n == 0));
    }
    let mut long = pb::ApplianceReport { window_start_ns: 0, ..window(9) };
    long.sinks[0].overflow = 1;
    assert!(engine.judge(&long).is_empty());
    let total = pb::ApplianceReport { total: true, ..pb::ApplianceReport { window_start_ns: 10 * SECOND, ..long } };
    assert!(engine.judge(&total).is_empty());
    assert_eq!(engine.sequence(), 1);
}

/// All the ways in which a few causes come and go: what holds of any of them.
#[test]
fn whatever_comes_lives_are_whole() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed_u64);
    println!("SEED={seed}");
    let mut state = seed | 1;
    let mut dice = |sides: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % sides
    };
    for _ in 0..200 {
        let (mut engine, mut told) = (Engine::default(), Vec::new());
        let mut on = [false; 5];
        for n in 0..300 {
            on.iter_mut().for_each(|is| *is ^= dice(12) == 0);
            let mut report = window(n);
            let changes: [Change; 5] = [silent, down, missed, behind, |report| report.sinks[0].overflow = report.sequence];
            on.iter().zip(changes).filter(|(is, _)| **is).for_each(|(_, change)| change(&mut report));
            told.extend(engine.judge(&report));
        }
        assert!(told.iter().map(|event| event.sequence).eq(1..=told.len() as u64));
        let mut open = BTreeMap::new();
        for event in &told {
            let key = (event.kind.clone(), event.subject.clone().map(|subject| subject.name));
            match event.state() {
                pb::EventState::Begun => assert!(open.insert(key, event.id.clone()).is_none(), "two at a time"),
                pb::EventState::Ongoing => assert_eq!(open.get(&key), Some(&event.id)),
                pb::EventState::Ended => assert_eq!(open.remove(&key), Some(event.id.clone())),
            }
        }
        assert_eq!(open.len() as u64, engine.open().values().sum::<u64>());
        let begun = told.iter().filter(|event| event.state() == pb::EventState::Begun);
        assert_eq!(begun.clone().map(|event| &event.id).collect::<BTreeSet<_>>().len(), begun.count(), "no id comes twice");
    }
}

#[test]
fn a_tag_that_stops_is_told_with_the_windows_that_lack_it() {
    let mut engine = Engine::default();
    let (mut told, mut doubted) = (Vec::new(), Vec::new());
    for n in 0..700 {
        let tags = [("tags[0] vlan=666", if (650..680).contains(&n) { 0 } else { 40 })];
        let kind = pb::WindowKind::Fast;
        let glance = Glance { kind, bounds_ns: (n * SECOND, (n + 1) * SECOND), tags: &tags, is_disturbed: false };
        doubted.extend((!engine.glance(&glance).is_empty()).then_some(n));
        told.extend(engine.judge(&window(n)).into_iter().map(|event| (n, event)));
    }
    assert_eq!(doubted, (652..680).collect::<Vec<_>>());
    assert_eq!(lines(&told), ["BEGUN tag_silent 652", "ENDED tag_silent 689"]);
    assert!(told[0].1.summary.starts_with("tags[0] vlan=666: no frame for 3 s"), "{}", told[0].1.summary);
}

#[test]
fn audits_stand_on_the_last_long_window() {
    let mut engine = Engine::default();
    let finding = |key: &str, verdict: pb::AuditVerdict| {
        let sampling = Some(pb::Estimate { value: 50.2, ..Default::default() });
        pb::AuditFinding { key: key.to_owned(), verdict: verdict.into(), sampling_configured: 40, sampling, ..Default::default() }
    };
    let (mut told, mut longs) = (Vec::new(), 0);
    for n in 0..60_u64 {
        told.extend(engine.judge(&window(n)).into_iter().map(|event| (n, event)));
        // Each comes behind the fast window after its last one.
        if n % 10 != 0 || n == 0 {
            continue;
        }
        let mut long =
            pb::ApplianceReport { window_kind: pb::WindowKind::Long.into(), window_start_ns: (n - 10) * SECOND, ..window(n - 1) };
        longs += 1;
        (long.sequence, long.window_end_ns) = (1_000 + longs, n * SECOND);
        let mut audit = pb::AuditReport { by: "range".to_owned(), ..Default::default() };
        audit.found = match longs {
            1 => vec![],
            2 => vec![finding("192.0.2.0/24", pb::AuditVerdict::RateWrong), finding("198.51.100.0/24", pb::AuditVerdict::RateWrong)],
            3 => vec![finding("192.0.2.0/24", pb::AuditVerdict::RateWrong)],
            _ => vec![],
        };
        audit.all =
            if longs == 3 { vec![finding("", pb::AuditVerdict::RateWrong)] } else { vec![finding("", pb::AuditVerdict::Consistent)] };
        audit.stale = longs == 4;
        let pair = |first, second, verdict: pb::DuplicatesVerdict| pb::PortPair {
            first,
            second,
            first_device: format!("d{first}"),
            second_device: format!("d{second}"),
            verdict: verdict.into(),
            ..Default::default()
        };
        let verdicts = if longs == 2 { pb::DuplicatesVerdict::Duplicated } else { pb::DuplicatesVerdict::Few };
        let pairs = vec![pair(0, 0, pb::DuplicatesVerdict::Few), pair(0, 1, verdicts)];
        (long.audit, long.duplicates) = (Some(audit), Some(pb::DuplicatesReport { pairs, ..Default::default() }));
        assert!(engine.judge(&long).is_empty(), "its time was judged");
    }
    let expected = ["BEGUN sampler 21", "BEGUN duplicates 21", "ENDED duplicates 40", "BEGUN counters_stale 41", "ENDED sampler 50"];
    assert_eq!(lines(&told), expected);
    let [begun, pair, .., ended] = [&told[0].1, &told[1].1, &told[4].1];
    assert!(
        begun.summary.contains("sampler 1:40 samples at another rate") && begun.summary.contains("of 2 ranges: 192.0.2.0/24"),
        "{begun:?}"
    );
    assert_eq!((begun.evidence[0].sequence, ended.evidence.last().unwrap().sequence), (1_002, 1_003));
    assert_eq!(pair.subject.as_ref().unwrap().name, "d0|d1");
    assert_eq!(begun.id, ended.id);
}

/// Whatever names are and however much is wrong at a time, no event is longer than brokers take.
#[test]
fn no_event_is_too_large() {
    use crate::report::{ACCOUNT_BYTES_MAX, bounded_tests::worst_account};
    let mut engine = Engine::default();
    let mut longest = 0;
    for n in 0..20 {
        let mut report = pb::ApplianceReport { window_kind: pb::WindowKind::Long.into(), ..worst_account() };
        (report.window_start_ns, report.window_end_ns, report.sequence) = (n * 10 * SECOND, (n + 1) * 10 * SECOND, n + 1);
        report.sinks.iter_mut().for_each(|sink| (sink.oldest_age_ms, sink.failed) = (1_000_000, n));
        report.feeds.iter_mut().for_each(|feed| feed.state = pb::FeedState::Down.into());
        let told = engine.judge(&report);
        assert!(n > 0 || !told.is_empty());
        longest = told.iter().map(prost::Message::encoded_len).max().unwrap_or(0).max(longest);
    }
    assert!((4_096..ACCOUNT_BYTES_MAX / 4).contains(&longest), "{longest}");
}
