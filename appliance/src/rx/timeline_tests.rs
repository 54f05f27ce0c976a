use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::*;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;

#[derive(Default)]
struct Fake {
    monotonic: AtomicU64,
    wall: AtomicU64,
}

impl Clock for Fake {
    fn monotonic_ns(&self) -> u64 {
        self.monotonic.load(Relaxed)
    }
    fn wall_ns(&self) -> u64 {
        self.wall.load(Relaxed)
    }
}

fn timeline() -> Timeline<Fake> {
    Timeline::new(Fake { monotonic: AtomicU64::new(77), wall: AtomicU64::new(START) })
}

/// Both clocks go on, the wall clock by so much more or less.
fn pass(timeline: &Timeline<Fake>, ns: u64, step_ns: i64) -> ClockState {
    let clock = timeline.clock();
    clock.monotonic.fetch_add(ns, Relaxed);
    let wall = clock.wall.load(Relaxed) + ns;
    clock.wall.store(wall.saturating_add_signed(step_ns), Relaxed);
    timeline.look()
}

#[test]
fn it_is_the_wall_clock_while_that_is_steady() {
    let timeline = timeline();
    for _ in 0..100 {
        let state = pass(&timeline, SECOND / 10, 0);
        assert_eq!((state.offset_ns, state.jumps), (0, 0));
        assert_eq!(timeline.now_ns(), timeline.clock().wall_ns());
    }
}

#[test]
fn it_jumps_ahead_and_knows_what_never_was() {
    let timeline = timeline();
    pass(&timeline, SECOND / 10, 0);
    let state = pass(&timeline, SECOND / 10, 3_600 * SECOND as i64);
    assert_eq!((state.offset_ns, state.jumps, state.now_ns), (0, 1, timeline.clock().wall_ns()));
    assert!(state.touches((START, START + SECOND)), "where it happened");
    assert!(!state.touches((START + SECOND, START + 3_600 * SECOND)), "what never was");
    assert!(state.touches((START + 3_600 * SECOND, START + 3_601 * SECOND)), "where it went on");
    assert!(!state.touches((START + 3_601 * SECOND, START + 3_602 * SECOND)));
    let between = (START + 7 * SECOND, START + 8 * SECOND);
    assert_eq!(state.jumped_over(between), Some(START + 3_600 * SECOND + SECOND / 5));
    assert_eq!(state.jumped_over((START, START + SECOND)), None);
}

/// What is measured between two polls is not the wall clock's.
#[test]
fn the_clock_beneath_does_not_jump() {
    let timeline = timeline();
    let before = timeline.read();
    pass(&timeline, SECOND, 3_600 * SECOND as i64);
    let after = timeline.read();
    assert_eq!((after.0 - before.0, after.1 - before.1), (SECOND, 3_601 * SECOND));
}

#[test]
fn it_is_held_when_the_wall_clock_goes_back() {
    let timeline = timeline();
    let before = timeline.now_ns();
    let state = pass(&timeline, SECOND, -3_600 * SECOND as i64);
    assert_eq!((state.offset_ns, state.jumps, timeline.now_ns()), (3_600 * SECOND as i64, 1, before + SECOND));
    let state = pass(&timeline, SECOND, 0);
    assert_eq!((state.jumps, state.steps.len(), timeline.now_ns()), (1, 1, before + 2 * SECOND), "told once");
    let state = pass(&timeline, SECOND, 3_600 * SECOND as i64);
    assert_eq!((state.offset_ns, state.jumps, timeline.now_ns()), (0, 2, before + 3 * SECOND), "and back again");
}

#[test]
fn a_little_is_made_good_slowly() {
    for step in [50_000_000, -50_000_000] {
        let timeline = timeline();
        let mut before = timeline.now_ns();
        let mut state = pass(&timeline, SECOND / 10, step);
        for _ in 0..600 {
            assert!(timeline.now_ns() > before);
            before = timeline.now_ns();
            state = pass(&timeline, SECOND / 10, 0);
        }
        assert_eq!((state.offset_ns, state.jumps), (0, 0));
    }
}

#[test]
fn it_never_goes_back_whatever_the_wall_clock_does() {
    let timeline = timeline();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    let mut before = timeline.now_ns();
    for _ in 0..10_000 {
        let step = if draw(4) == 0 { draw(20_000 * SECOND) as i64 - 10_000 * SECOND as i64 } else { 0 };
        pass(&timeline, draw(SECOND), step);
        assert!(timeline.now_ns() >= before);
        before = timeline.now_ns();
    }
}

/// A machine that is held up so long between any two readings, in turn.
struct HeldUp {
    now: AtomicU64,
    turns: AtomicU64,
    waits_ns: &'static [u64],
}

impl HeldUp {
    fn read(&self) -> u64 {
        let turn = self.turns.fetch_add(1, Relaxed);
        let wait = self.waits_ns[usize::try_from(turn).unwrap() % self.waits_ns.len()];
        self.now.fetch_add(wait, Relaxed) + wait
    }
}

impl Clock for HeldUp {
    fn monotonic_ns(&self) -> u64 {
        self.read()
    }
    fn wall_ns(&self) -> u64 {
        START + self.read()
    }
}

/// Windows of 1 ms may be off by 100 us: a look whose clocks were read further apart tells no offset of that size.
#[test]
fn of_looks_that_were_held_up_the_best_counts() {
    for waits_ns in [&[50, 900_000, 50, 50, 50, 50][..], &[50, 900_000, 50, 50, 30_000, 50, 50, 400_000, 50], &[50]] {
        let timeline = Timeline::new(HeldUp { now: AtomicU64::new(0), turns: AtomicU64::new(0), waits_ns });
        let offset_ns = (0..9).map(|_| timeline.look().offset_ns.unsigned_abs()).max().unwrap();
        assert!(offset_ns < 50_000, "{offset_ns} with {waits_ns:?}");
    }
}
