//! Many at a time: of a kind, and of a cause.

use super::tests::{Change, SECOND, behind, down, lines, run, silent, well, window};
use super::*;
use crate::report::{Glance, pb};

/// So many cores that close windows too late, of these numbers.
fn late(n: u64, cores: impl IntoIterator<Item = u32>) -> pb::ApplianceReport {
    let core = |lcore| pb::CoreLedger {
        lcore,
        ledger: Some(pb::Ledger { received: 100, overdue: u64::from(lcore % 7) + 1, ..Default::default() }),
        ..Default::default()
    };
    pb::ApplianceReport { cores: cores.into_iter().map(core).collect(), ..window(n) }
}

/// `BEGUN lcore 1`, in the order in which they came.
fn subjects(events: &[pb::Event]) -> Vec<String> {
    events.iter().map(|event| format!("{} {}", event.state().as_str_name(), event.subject.as_ref().unwrap().name)).collect()
}

#[test]
fn many_of_a_kind_are_one_event_of_the_appliance() {
    let mut engine = Engine::default();
    let begun = engine.judge(&late(0, 1..=8));
    assert_eq!(subjects(&begun), ["BEGUN a"]);
    let event = &begun[0];
    assert_eq!((&event.subject.as_ref().unwrap().r#type[..], event.severity()), ("appliance", pb::Severity::Warning));
    assert!(event.summary.starts_with("8 × core: lcore 1, lcore 2, ") && event.summary.contains("the worst: core lcore 6: 7 of 100"));
    assert_eq!(event.figures[0].value.as_ref().unwrap().value, 8.0);
    // What comes joins it, and what goes leaves it, without a word; it ends with the last.
    assert_eq!(subjects(&(1..30).flat_map(|n| engine.judge(&late(n, u32::try_from(n % 9).unwrap()..9))).collect::<Vec<_>>()), [""; 0]);
    assert_eq!(subjects(&(30..60).flat_map(|n| engine.judge(&window(n))).collect::<Vec<_>>()), ["ENDED a"]);
}

#[test]
fn what_began_by_itself_ends_by_itself_and_the_rest_is_together() {
    let mut engine = Engine::default();
    assert_eq!(subjects(&engine.judge(&late(0, 1..=3))), ["BEGUN lcore 1", "BEGUN lcore 2", "BEGUN lcore 3"]);
    assert_eq!(subjects(&engine.judge(&late(1, 1..=4))), ["BEGUN lcore 4"]);
    assert_eq!(subjects(&engine.judge(&late(2, 1..=9))), ["BEGUN a"]);
    let rest: Vec<_> = (3..40).flat_map(|n| engine.judge(&late(n, 3..=6))).collect();
    assert_eq!(subjects(&rest), ["ENDED lcore 1", "ENDED lcore 2"]);
    let mut rest = subjects(&(40..60).flat_map(|n| engine.judge(&window(n))).collect::<Vec<_>>());
    rest.sort();
    assert_eq!(rest, ["ENDED a", "ENDED lcore 3", "ENDED lcore 4"]);
}

/// As an event of its own is held by a cause, so is one of many: it neither ends nor begins again.
#[test]
fn what_is_together_is_held_by_its_cause() {
    const NAMES: [&str; 6] = ["tags[0]", "tags[1]", "tags[2]", "tags[3]", "tags[4]", "tags[5]"];
    let (mut engine, mut told) = (Engine::default(), Vec::new());
    for n in 0..760 {
        let (is_silent, is_down) = ((650..710).contains(&n), (660..705).contains(&n));
        let tags = NAMES.map(|name| (name, if is_silent { 0 } else { 40 }));
        let bounds_ns = (n * SECOND, (n + 1) * SECOND);
        engine.glance(&Glance { kind: pb::WindowKind::Fast, bounds_ns, tags: &tags, is_disturbed: is_down });
        let mut report = window(n);
        if is_down {
            report.feeds[0].state = pb::FeedState::Down.into();
        }
        told.extend(engine.judge(&report).into_iter().filter(|event| event.kind == "tag_silent").map(|event| (n, event)));
    }
    let [(begun, first), (ended, last)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((first.state(), last.state(), &first.id), (pb::EventState::Begun, pb::EventState::Ended, &last.id));
    assert_eq!(&first.subject.as_ref().unwrap().r#type[..], "appliance");
    assert!(*begun == 652 && *ended >= 710, "{begun} {ended}");
}

/// However much there is of one kind, the others are told, and there is a bound.
#[test]
fn no_kind_keeps_another_from_being_told() {
    let mut engine = Engine::default();
    for n in 0..400 {
        let first = u32::try_from(n).unwrap() * 3;
        let mut report = late(n, first..first + 300);
        let feed = |n: u64| pb::Feed { name: format!("f{n}"), state: pb::FeedState::Down.into(), ..Default::default() };
        report.feeds = (0..300).map(feed).collect();
        if n == 300 {
            behind(&mut report);
            report.sinks[0].overflow = 5;
        }
        let told = engine.judge(&report);
        let kinds: Vec<_> = told.iter().filter(|event| event.state() == pb::EventState::Begun).map(|event| &event.kind[..]).collect();
        let expected: &[&str] = match n {
            0 => &["feed_down", "overdue"],
            300 => &["sink_behind", "journal_dropping"],
            _ => &[],
        };
        assert_eq!(kinds, expected, "{n}");
        assert!(engine.open().values().sum::<u64>() <= 4);
    }
}

/// A core that stands still loses frames of all its ports.
#[test]
fn ports_of_a_core_that_was_held_up_are_one_event() {
    let loss = |place: &str, number: u32, count, cause: &str, why: &str| {
        let [what, feed] = [if place == "port" { "nic_missed" } else { "memory" }, "mirror"].map(str::to_owned);
        let (name, [place, cause, why]) = (format!("d{number}"), [place, cause, why].map(str::to_owned));
        pb::Loss { what, place, number, name, feed, count, cause, why, ..Default::default() }
    };
    let held = |number, count, lcore| loss("port", number, count, "held_up", &format!("lcore {lcore} was held up for 5{number} us"));
    let missed = |report: &mut pb::ApplianceReport| report.losses = vec![held(0, 3, 1), held(1, 4, 1), held(2, 0, 2)];
    let mut report = window(0);
    missed(&mut report);
    let mut engine = Engine::default();
    let told = engine.judge(&report);
    assert_eq!(subjects(&told), ["BEGUN lcore 1", "BEGUN lcore 2"]);
    let told = &told[0];
    assert_eq!((&told.subject.as_ref().unwrap().r#type[..], &told.cause[..], told.severity()), ("core", "held_up", pb::Severity::Critical));
    assert_eq!(told.figures.iter().map(|figure| figure.value.as_ref().unwrap().value).collect::<Vec<_>>(), [7.0, 2_000.0, 2.0]);
    assert_eq!(told.summary, "lcore 1 was held up for 51 us: its ports lost frames (nic_missed: held_up): d0 3 of 1000, d1 4 of 1000");
    // What the core itself lost is of the same place, and what ports lose otherwise of theirs.
    report.losses = vec![held(0, 3, 1), loss("core", 1, 9, "memory", "9 records"), loss("port", 1, 4, "cpu", "all of 2 queues were busy")];
    let told = Engine::default().judge(&report);
    let said: Vec<_> = told.iter().map(|event| (&event.subject.as_ref().unwrap().name[..], &event.cause[..])).collect();
    assert_eq!(said, [("lcore 1", "memory"), ("d1", "cpu")]);
}

/// A cable that is pulled and put back: traffic comes a while after the link.
#[test]
fn what_outlasts_its_cause_is_no_event_unless_it_outlasts_the_causes_own() {
    let told = run(&mut Engine::default(), &[(5, well), (2, down), (4, silent), (30, well)]);
    assert_eq!(lines(&told), ["BEGUN feed_down 5", "ENDED feed_down 16"]);
    let told = run(&mut Engine::default(), &[(5, well), (2, down), (30, silent), (30, well)]);
    assert_eq!(lines(&told), ["BEGUN feed_down 5", "ENDED feed_down 16", "BEGUN feed_silent 18", "ENDED feed_silent 46"]);
    assert!(told[2].1.summary.contains("silent: d1 has 1000 packets/s, all its ports have 2000 packets/s, the largest min_pps is 10;"));
    // What had begun goes on behind it, as one.
    let told = run(&mut Engine::default(), &[(5, silent), (1, down), (30, silent), (60, well)]);
    assert_eq!(lines(&told), ["BEGUN feed_silent 1", "BEGUN feed_down 5", "ENDED feed_down 15", "ENDED feed_silent 55"]);
    // Five feeds that are down keep a sixth one from nothing.
    let feed = |n: u64, state: pb::FeedState| pb::Feed { name: format!("f{n}"), state: state.into(), ..Default::default() };
    let (mut engine, mut kinds) = (Engine::default(), Vec::new());
    for n in 0..10 {
        let feeds = (0..5).map(|n| feed(n, pb::FeedState::Down)).chain([feed(5, pb::FeedState::Silent)]).collect();
        kinds.extend(engine.judge(&pb::ApplianceReport { feeds, ..window(n) }).into_iter().map(|event| event.kind));
    }
    assert_eq!(kinds, ["feed_down", "feed_silent"]);
}

/// A small journal is full before anything in it is old, a large one long after.
#[test]
fn a_sink_that_is_away_and_its_journal_follow_each_other() {
    fn dropping(report: &mut pb::ApplianceReport) {
        report.sinks[0].overflow = report.sequence;
    }
    fn both(report: &mut pb::ApplianceReport) {
        dropping(report);
        behind(report);
    }
    for (stretches, first, second) in [
        ([(3, dropping as Change), (1, well), (2, behind)], "journal_dropping 0", "sink_behind 4"),
        ([(3, dropping), (1, both), (1, both)], "journal_dropping 0", "sink_behind 3"),
        ([(3, behind), (1, well), (2, dropping)], "sink_behind 0", "journal_dropping 4"),
        ([(1, both), (1, both), (1, both)], "sink_behind 0", "journal_dropping 0"),
    ] {
        let told = run(&mut Engine::default(), &stretches);
        assert_eq!(lines(&told), [format!("BEGUN {first}"), format!("BEGUN {second}")]);
        assert_eq!((&told[0].1.follows[..], &told[1].1.follows), ("", &told[0].1.id));
    }
}
