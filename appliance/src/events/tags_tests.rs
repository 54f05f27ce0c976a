//! Tags that come at steady, low, bursty and ending rates.

use super::*;
use crate::report::pb;

const SECOND: u64 = 1_000_000_000;

/// Windows of a length with these frames each; those in which the rule was silent.
fn silent_in(frames: impl IntoIterator<Item = u64>, window_ns: u64) -> Vec<u64> {
    let (mut watch, mut silent) = (TagWatch::default(), Vec::new());
    for (n, frames) in (0..).zip(frames) {
        silent.extend(look(&mut watch, n, frames, window_ns, false).then_some(n));
    }
    silent
}

fn look(watch: &mut TagWatch, n: u64, frames: u64, window_ns: u64, is_disturbed: bool) -> bool {
    let tags = [("t", frames)];
    let bounds_ns = (n * window_ns, (n + 1) * window_ns);
    watch.look(&Glance { kind: pb::WindowKind::Fast, bounds_ns, tags: &tags, is_disturbed })
}

/// `steady` windows of so many frames, then none.
fn stops(steady: usize, frames: u64) -> impl Iterator<Item = u64> {
    std::iter::repeat_n(frames, steady).chain(std::iter::repeat_n(0, 200))
}

#[test]
fn a_tag_that_stops_is_silent_once_chance_is_out_of_the_question() {
    // 40 a second: three windows. 2 a second: ten, for twenty frames.
    assert_eq!(silent_in(stops(600, 40), SECOND).first(), Some(&602));
    assert_eq!(silent_in(stops(600, 2), SECOND).first(), Some(&609));
    // Windows of ten seconds.
    assert_eq!(silent_in(stops(60, 40), 10 * SECOND).first(), Some(&62));
    // Too little is known: nothing is said.
    assert!(silent_in(stops(599, 40), SECOND).is_empty());
    assert!(silent_in(stops(59, 40), 10 * SECOND).is_empty());
    assert!(silent_in(stops(600, 0), SECOND).is_empty());
}

#[test]
fn a_tag_that_comes_now_and_then_gives_no_false_alarm() {
    // One frame in ten seconds: twenty of them take two hundred seconds.
    let rare = (0..6_000).map(|n| u64::from(n % 10 == 0));
    assert!(silent_in(rare.clone(), SECOND).is_empty());
    let stopped = silent_in(rare.chain(std::iter::repeat_n(0, 400)), SECOND);
    assert_eq!(stopped.first(), Some(&6_190));
    // Many at once each nine seconds: not before three times that.
    let bursts = (0..6_003).map(|n| if n % 9 == 0 { 1_000 } else { 0 });
    assert!(silent_in(bursts.clone(), SECOND).is_empty());
    let stopped = silent_in(bursts.chain(std::iter::repeat_n(0, 100)), SECOND);
    assert_eq!(stopped.first(), Some(&(5_995 + 23)));
}

/// Random arrivals at a rate that is low for the windows: no alarm in half a million of them.
#[test]
fn chance_raises_no_alarm() {
    let seed = 0x7a11_u64;
    println!("seed {seed}");
    let mut state = seed;
    let mut dice = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    // Each window has a frame with a chance of one in ten.
    let frames: Vec<u64> = (0..500_000).map(|_| u64::from(dice().is_multiple_of(10))).collect();
    assert!(silent_in(frames, SECOND).is_empty());
}

#[test]
fn an_attack_that_is_over_is_not_taken_for_what_is_usual() {
    // Nothing but two minutes of attack in ten: most slots are empty.
    assert!(silent_in((0..3_000).map(|n| if (1_000..1_120).contains(&n) { 5_000 } else { 0 }), SECOND).is_empty());
    // A little all along, a flood for two minutes: the little is what is to be expected.
    let frames = |n: u64| if (800..920).contains(&n) { 50_000 } else { u64::from(n.is_multiple_of(5)) };
    assert!(silent_in((0..3_000).map(frames), SECOND).is_empty());
}

#[test]
fn after_half_an_hour_nobody_knows_what_is_usual() {
    let silent = silent_in(std::iter::repeat_n(40, 600).chain(std::iter::repeat_n(0, 4_000)), SECOND);
    assert_eq!((silent.first(), silent.last()), (Some(&602), Some(&(600 + 1_799))));
}

#[test]
fn what_is_disturbed_neither_alarms_nor_teaches_nor_ends() {
    let mut watch = TagWatch::default();
    (0..600).for_each(|n| assert!(!look(&mut watch, n, 40, SECOND, false)));
    (600..650).for_each(|n| assert!(!look(&mut watch, n, 0, SECOND, true)));
    (650..652).for_each(|n| assert!(!look(&mut watch, n, 0, SECOND, false)));
    assert!(look(&mut watch, 652, 0, SECOND, false));
    assert!(look(&mut watch, 653, 0, SECOND, true), "it goes on while nobody can tell");
    assert!(!look(&mut watch, 654, 40, SECOND, false));
}

#[test]
fn a_long_window_is_doubtful_if_a_part_of_it_was() {
    let mut watch = TagWatch::default();
    (0..604).for_each(|n| assert_eq!(look(&mut watch, n, if n < 600 { 40 } else { 0 }, SECOND, false), n >= 602));
    assert!(!look(&mut watch, 604, 40, SECOND, false));
    (605..610).for_each(|n| assert!(!look(&mut watch, n, 40, SECOND, false)));
    let mut long = |start: u64, end: u64| {
        let tags = [("t", 0)];
        watch.look(&Glance { kind: pb::WindowKind::Long, bounds_ns: (start * SECOND, end * SECOND), tags: &tags, is_disturbed: false })
    };
    assert!(long(600, 610) && long(603, 610));
    assert!(!long(590, 602) && !long(604, 610));
}

#[test]
fn another_rule_in_its_place_begins_anew() {
    let mut watch = TagWatch::default();
    (0..600).for_each(|n| assert!(!look(&mut watch, n, 40, SECOND, false)));
    for n in 600..700 {
        let tags = [("u", 0), ("t", 0)];
        let bounds_ns = (n * SECOND, (n + 1) * SECOND);
        assert!(!watch.look(&Glance { kind: pb::WindowKind::Fast, bounds_ns, tags: &tags, is_disturbed: false }));
    }
}
