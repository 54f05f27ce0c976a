//! Clocks that are stepped and machines that are suspended; and ranges that only say that they are there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tailwater::report::pb;
use tailwater::runtime::wiring::AnyReceiver;
use tailwater::rx::timeline::{TOLERANCE_NS, Timeline};

use super::overload::{START_NS, plain, traffic};
use super::support::beneath::{Beneath, Turned};
use super::support::compare::check;
use super::support::dice::{Dice, seeds};
use super::support::drive::{Event, Log, any, cores, engine, finish, in_time, load, run, world};
use super::support::setup::Setup;

const MS: u64 = 1_000_000;
/// How often the timeline is looked after.
const LOOK_NS: u64 = 100 * MS;

/// What was done to the clocks, and what was given while it was.
#[derive(Default)]
struct Done {
    /// Frames by fast window.
    frames: BTreeMap<u64, u64>,
    steps: Vec<Made>,
    elapsed_ns: u64,
}

/// A step, in the timeline's time.
#[derive(Debug)]
struct Made {
    before_ns: u64,
    /// At the look before it.
    looked_ns: u64,
    /// Right behind it, if somebody looked at once.
    after_ns: Option<u64>,
    /// The wall clock behind it.
    wall_ns: u64,
}

fn shove(timeline: &Timeline<Turned>, ns: u64, step_ns: i64) {
    let clock = timeline.clock();
    clock.monotonic_ns.fetch_add(ns, Relaxed);
    let wall = clock.wall_ns.load(Relaxed) + ns;
    clock.wall_ns.store(wall.saturating_add_signed(step_ns), Relaxed);
}

/// A step of the wall clock, or a time that the machine was suspended.
fn any_step(dice: &mut Dice) -> i64 {
    let most = dice.of(&[300, 2_000, 20_000, 3_600_000]);
    let ms = i64::try_from(TOLERANCE_NS / MS + 1 + dice.below(most)).unwrap();
    if dice.one_in(2) { -ms * 1_000_000 } else { ms * 1_000_000 }
}

fn drive(setup: &Setup, (receivers, workers): (u32, u32), seed: u64) -> (Log, Done) {
    let (config, mut dice, mut done) = (load(&setup.toml(), &setup.csv()), Dice::new(seed), Done::default());
    let (world, packets) = (world(&config), traffic(setup, seed, 2_000, 1));
    let clock = Turned::default();
    clock.wall_ns.store(START_NS, Relaxed);
    let timeline = Arc::new(Timeline::new(clock));
    let (mut wired, mut reporter) = engine(&config, &world, &cores(receivers, workers), (false, true), &Beneath::follows(&timeline));
    reporter.publisher().doubts_each_ns = DOUBTS_EACH_NS;
    let (mut at, mut looked_ns, mut look_ns) = (vec![0; usize::try_from(receivers).unwrap()], 0, timeline.now_ns());
    for mut packet in packets {
        let pause = dice.below(30 * MS);
        shove(&timeline, pause, 0);
        done.elapsed_ns += pause;
        if dice.one_in(60) {
            let before_ns = timeline.now_ns();
            shove(&timeline, 0, any_step(&mut dice));
            let after_ns = dice.one_in(2).then(|| timeline.look().now_ns);
            let wall_ns = timeline.clock().wall_ns.load(Relaxed);
            done.steps.push(Made { before_ns, looked_ns: look_ns, after_ns, wall_ns });
        }
        if done.elapsed_ns >= looked_ns + LOOK_NS {
            (look_ns, looked_ns) = (timeline.look().now_ns, done.elapsed_ns);
        }
        // Each core reads the clock for itself.
        for (i, last) in at.iter_mut().enumerate() {
            let epoch = world.calendar.epoch(timeline.now_ns().max(*last));
            *last = timeline.now_ns().max(*last);
            any(&mut wired.receivers[i], Some(&Event::Epoch(epoch)));
            in_time(&mut wired.receivers[i]);
            if i == usize::try_from(packet.time_ns % u64::from(receivers)).unwrap() {
                packet.time_ns = *last;
                *done.frames.entry(epoch.0 - 1).or_default() += 1;
                any(&mut wired.receivers[i], Some(&Event::Frame { packet: &packet, late: false, epoch }));
            }
            (0..8).for_each(|_| any(&mut wired.receivers[i], None));
        }
        (0..40).for_each(|_| wired.workers.iter_mut().for_each(|worker| _ = worker.0.poll()));
        reporter.poll();
    }
    let log = finish(wired, reporter, |receiver, _| match receiver {
        AnyReceiver::Own(mut receiver) => receiver.end(),
        AnyReceiver::Sends(mut receiver) => receiver.end(),
    });
    (log, done)
}

fn marked(report: &pb::ApplianceReport) -> bool {
    says(report.incomplete.as_ref(), "clock_jumped")
}

fn says(incomplete: Option<&pb::Incomplete>, reason: &str) -> bool {
    incomplete.is_some_and(|incomplete| incomplete.reasons.iter().any(|told| told == reason))
}

/// Of both kinds of windows.
const DOUBTS_EACH_NS: u64 = 5_000 * MS;

/// Windows ascend, none is doubled or negative, each that a step touched says so and no other, and the ledger balances.
#[test]
fn a_stepped_clock_makes_marked_windows() {
    for seed in seeds(6) {
        println!("TAILWATER_SEED={seed}");
        let setup = plain(1_000, 250);
        let shape = [(1, 0), (2, 0), (1, 2), (2, 1)][usize::try_from(seed % 4).unwrap()];
        let (log, done) = drive(&setup, shape, seed);
        assert!(done.steps.len() > 10);
        for (kind, length_ms) in [(pb::WindowKind::Fast, setup.fast_ms), (pb::WindowKind::Long, setup.window_ms)] {
            let reports: Vec<_> = log.appliance.iter().filter(|r| !r.total && r.window_kind() == kind).collect();
            assert!(reports.windows(2).all(|pair| pair[0].window_end_ns <= pair[1].window_start_ns), "windows ascend");
            let most = done.elapsed_ns / (length_ms * MS) + 3 * done.steps.len() as u64 + 2;
            assert!((reports.len() as u64) < most, "{} windows of at most {most}", reports.len());
            for report in reports {
                assert_eq!(report.window_end_ns - report.window_start_ns, length_ms * MS);
                marks(report, &done);
                let ledger = report.ledger.as_ref().unwrap();
                assert_eq!((ledger.records, ledger.ring_dropped), (ledger.counted, 0));
                let of =
                    |(epoch, _): &(&u64, &u64)| (report.window_start_ns..report.window_end_ns).contains(&(*epoch * setup.fast_ms * MS));
                assert_eq!(ledger.received, done.frames.iter().filter(of).map(|(_, n)| n).sum::<u64>(), "{kind:?}");
                // A tenth of a fast window off.
                let astray = report.clock_offset_ns.unwrap().unsigned_abs() > setup.fast_ms * MS / 10;
                assert_eq!(says(report.incomplete.as_ref(), "clock_offset"), astray, "{:?}", report.clock_offset_ns);
                let doubtful = report.window_start_ns.is_multiple_of(DOUBTS_EACH_NS);
                assert_eq!(says(report.incomplete.as_ref(), "tag_silent"), doubtful);
            }
        }
        let ledger = log.appliance.last().unwrap().ledger.clone().unwrap();
        assert_eq!(ledger.received, done.frames.values().sum::<u64>());
        for report in &log.ranges {
            let of_window = |r: &&pb::ApplianceReport| (r.window_start_ns, r.window_kind) == (report.window_start_ns, report.window_kind);
            let account = log.appliance.iter().filter(|r| !r.total).find(of_window).unwrap();
            for reason in ["clock_jumped", "clock_offset", "tag_silent"] {
                let told = says(report.incomplete.as_ref(), reason);
                assert_eq!(told, says(account.incomplete.as_ref(), reason), "{} {reason}", report.prefix);
                assert!(!told || report.incomplete.as_ref().is_some_and(|i| i.lost_packets_high.is_none()));
            }
        }
    }
}

/// Whether a window is marked as promised: where a step was, and nowhere far from one.
fn marks(report: &pb::ApplianceReport, done: &Done) {
    let (start, end) = (report.window_start_ns, report.window_end_ns);
    let contains = |time: u64| start <= time && time < end;
    let must = done.steps.iter().any(|step| contains(step.before_ns) || step.after_ns.is_some_and(contains));
    let near = 2 * LOOK_NS + 50 * MS;
    let touches = |time: u64| time < end.saturating_add(near) && time + near >= start;
    let may = done.steps.iter().any(|step| [step.before_ns, step.looked_ns, step.wall_ns].into_iter().any(touches));
    assert!(!must || marked(report), "{start} to {end} is not marked: {:?}", done.steps);
    assert!(may || !marked(report), "{start} to {end} is marked: {:?}", done.steps);
}

/// An idle range sends one short report each long window, if that is asked for, and nothing else changes.
#[test]
fn heartbeats_are_short_and_counted() {
    let setup = plain(1_000, 250);
    let packets = traffic(&setup, 5, 400, 6);
    let with = setup.toml().replacen("memory_mb", "heartbeat = true\nmemory_mb", 1);
    let (plain_config, config) = (load(&setup.toml(), &setup.csv()), load(&with, &setup.csv()));
    assert_eq!(config.hash, plain_config.hash);
    for shape in [(1, 0), (2, 2)] {
        let without = run(&plain_config, &packets, shape, 1);
        check(&setup, &packets, &without);
        let log = run(&config, &packets, shape, 1);
        let (idle, busy): (Vec<_>, Vec<_>) = log.ranges.iter().cloned().partition(|report| report.idle);
        assert!(!idle.is_empty() && idle.iter().all(|r| r.stats.is_empty() && r.window_kind() == pb::WindowKind::Long));
        let unnumbered = |reports: &[pb::RangeReport]| {
            reports.iter().cloned().map(|report| pb::RangeReport { sequence: 0, kind_sequence: 0, ..report }).collect::<Vec<_>>()
        };
        assert_eq!(unnumbered(&busy), unnumbered(&without.ranges));
        for account in log.appliance.iter().filter(|r| !r.total) {
            let of = |r: &&pb::RangeReport| (r.window_start_ns, r.window_kind) == (account.window_start_ns, account.window_kind);
            let of_window: BTreeSet<&str> = log.ranges.iter().filter(of).map(|r| &r.prefix[..]).collect();
            assert_eq!(of_window.len() as u64, account.ranges_reported);
            assert!(account.window_kind() == pb::WindowKind::Fast || of_window.len() == setup.ranges.len());
        }
        for (prefix, ..) in &setup.ranges {
            let sequences: Vec<u64> = log.ranges.iter().filter(|r| r.prefix == *prefix).map(|r| r.sequence).collect();
            assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
        }
    }
}
