//! Keys beyond what there is room for: who is forgotten, and that it makes no finding.

use super::super::By;
use super::super::account::History;
use super::super::keys::{Room, WINDOWS_KEPT, WINDOWS_KEPT_UNNAMED};
use super::*;
use crate::limits::{AUDIT_KEYS_MAX, AUDIT_WINDOWS_MAX};

const S: u64 = 1_000_000_000;

fn plan() -> Plan {
    Plan {
        by: By::Range,
        false_alarms: 0.001,
        tolerance: 0.005,
        skew_ns: 0,
        stale_ns: 300 * S,
        window_ns: S,
        one_in: vec![40],
        random: vec![false],
    }
}

fn close(auditor: &mut Auditor, second: u64, samples: impl Iterator<Item = (String, u64)>) {
    auditor.close(WindowOf { bounds_ns: (second * S, (second + 1) * S), is_whole: true }, samples);
}

/// All counters at a second, at the configured rate: 100 samples a second since the start.
fn count(auditor: &mut Auditor, second: u64, keys: impl Iterator<Item = String>) {
    keys.for_each(|key| auditor.offer(Row { time_ns: second * S, key, dropped: second * 4_000 }, true));
    auditor.look(false);
}

fn name(key: u64) -> String {
    format!("10.{}.{}.0/24", key / 256, key % 256)
}

fn found(auditor: &Auditor) -> usize {
    auditor.findings().iter().filter(|finding| finding.verdict.is_finding()).count()
}

/// Few samples of very many are another rate, not more samples than packets.
#[test]
fn much_evidence_is_a_wrong_rate() {
    let mut auditor = Auditor::new(plan());
    for (second, dropped) in [(0, 0), (1, 50_000_000_000)] {
        close(&mut auditor, second, [("a".to_owned(), 100)].into_iter());
        auditor.offer(Row { time_ns: (second + 1) * S, key: "a".to_owned(), dropped }, true);
    }
    auditor.look(true);
    assert!(auditor.findings().iter().all(|finding| finding.verdict == Verdict::RateWrong), "{:?}", auditor.findings());
}

/// Whoever sends to all ranges makes nobody remember much.
#[test]
fn keys_of_samples_alone_remember_little() {
    let mut auditor = Auditor::new(plan());
    for second in 0..1_500 {
        close(&mut auditor, second, (0..200).map(|key| (name(key), 100)));
        count(&mut auditor, second + 1, (0..3).map(name));
    }
    assert_eq!((auditor.keys.windows(), auditor.unnamed()), (3 * WINDOWS_KEPT + 197 * WINDOWS_KEPT_UNNAMED, 197));
    // One of those is named: late rows are too old, others are compared.
    for second in [1_300, 1_390, 1_400, 1_450] {
        count(&mut auditor, second, [name(9)].into_iter());
    }
    let Told { counted, too_old, begun, .. } = *auditor.told();
    assert_eq!((counted, too_old, begun), (3 * 1_499 + 2, 1, 4));
    assert_eq!(found(&auditor), 0);
}

#[test]
fn all_together_have_an_end() {
    let mut auditor = Auditor::new(plan());
    auditor.keys.room = Room { keys: 1_000, windows: 200_000 };
    let mut most = 0;
    for second in 0..1_000 {
        // Ever more keys, half of them named.
        let keys = 20 + second;
        close(&mut auditor, second, (0..keys).map(|key| (name(key), 100)));
        count(&mut auditor, second + 1, (0..keys / 2).map(name));
        most = most.max(auditor.keys.windows());
    }
    assert!(most > 150_000 && most <= 200_000, "{most}");
    assert_eq!(found(&auditor), 0);
    const { assert!(AUDIT_WINDOWS_MAX >= WINDOWS_KEPT * 5_000 && AUDIT_WINDOWS_MAX >= AUDIT_KEYS_MAX * WINDOWS_KEPT_UNNAMED) };
}

/// Counters find room whatever samples came before; samples that found none make no finding.
#[test]
fn keys_that_counters_name_push_out_those_that_they_do_not() {
    let mut auditor = Auditor::new(plan());
    auditor.keys.room = Room { keys: 100, windows: 200_000 };
    for second in 0..600 {
        // Ranges 50 to 149: at first the room is taken by those that no counters name.
        let keys = if second < 100 { 50..150 } else { 0..150 };
        close(&mut auditor, second, keys.map(|key| (name(key), 100)));
        if second >= 100 {
            // Some are late, and some are of keys that are named while others have a history.
            count(&mut auditor, second - 20, (0..30).map(name));
            count(&mut auditor, second + 1, (30..80).map(name));
        }
    }
    let named = auditor.findings().iter().filter(|finding| !finding.key.is_empty()).count();
    assert_eq!((named, auditor.unnamed()), (80, 20));
    assert_eq!(found(&auditor), 0, "{:?}", auditor.findings());
    let consistent = auditor.findings().iter().filter(|finding| finding.verdict == Verdict::Consistent).count();
    assert_eq!(consistent, 81);
    assert_eq!((auditor.told().unknown, auditor.told().dropped), (0, 0));
    // When all room is taken by keys that were named, rows find none.
    count(&mut auditor, 601, (80..150).map(name));
    close(&mut auditor, 600, std::iter::empty());
    auditor.look(false);
    assert_eq!((auditor.unnamed(), auditor.told().unknown, auditor.told().dropped), (0, 0, 50));
}

/// A range that a reload takes away leaves its room, and its rows; one that comes is compared from then on.
#[test]
fn a_reload_forgets_ranges_that_are_gone() {
    let mut auditor = Auditor::new(plan());
    auditor.keys.room = Room { keys: 20, windows: 200_000 };
    let run = |auditor: &mut Auditor, seconds: std::ops::Range<u64>, keys: std::ops::Range<u64>, late: u64| {
        for second in seconds {
            close(auditor, second, keys.clone().map(|key| (name(key), 100)));
            count(auditor, second + 1 - late, keys.clone().map(name));
        }
    };
    run(&mut auditor, 0..100, 0..20, 0);
    assert_eq!(auditor.findings().len(), 21);
    // Two rows that wait, one of a range that goes.
    [5, 15].into_iter().for_each(|key| auditor.offer(Row { time_ns: 101 * S, key: name(key), dropped: 101 * 4_000 }, true));
    auditor.renew(plan(), |key| (10..30).any(|here| key == name(here)));
    assert_eq!((auditor.findings().len(), auditor.waiting(), auditor.told().unknown), (11, 1, 1));
    // Rows of times before the reload come after it: of new ranges nothing is known of then.
    run(&mut auditor, 100..200, 10..30, 10);
    assert_eq!((auditor.findings().len(), found(&auditor), auditor.told().dropped), (21, 0, 0));
    // And they are back.
    auditor.renew(plan(), |key| (0..20).any(|here| key == name(here)));
    run(&mut auditor, 200..300, 0..20, 10);
    assert_eq!((auditor.findings().len(), found(&auditor), auditor.told().dropped), (21, 0, 0));
    let consistent = auditor.findings().iter().filter(|finding| finding.verdict == Verdict::Consistent).count();
    assert_eq!(consistent, 21);
}

/// Room for what is no longer remembered is given back, however slowly it shrinks.
#[test]
fn what_is_forgotten_takes_no_room() {
    let mut history = History::default();
    (0..2_000).for_each(|window| history.add((window, 1), WINDOWS_KEPT));
    assert_eq!(history.windows(), WINDOWS_KEPT);
    (WINDOWS_KEPT_UNNAMED..WINDOWS_KEPT).rev().for_each(|kept| history.keep(kept));
    assert!(history.windows() == WINDOWS_KEPT_UNNAMED && history.room() <= 2 * WINDOWS_KEPT_UNNAMED, "{}", history.room());
    (2_000..2_500).for_each(|window| history.add((window, 1), WINDOWS_KEPT));
    assert!(history.windows() == WINDOWS_KEPT_UNNAMED + 500 && history.room() < 800, "{}", history.room());
}
