//! Prices that are given → what maps carry.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use super::engine::{Engine, Reported, Sent, Window};
use super::frames::Frames;
use super::tests::{config, cores};
use super::*;
use crate::config::Mode;
use crate::telemetry::{CoreFigures, PartFigures};

/// 400 ns on one core; 100 and 320 in a pipeline.
fn costs() -> Costs {
    let stages = vec![("rx", 15.0), ("other", 385.0)];
    Costs { stages, stats: Vec::new(), receives_ns: 100.0, works_ns: 320.0, sends_ns: 10.0, takes_ns: 20.0, timed: 1.0 }
}

/// A window of 10 s: reports of 50,000 ranges take 4 s to make, and 1 s to merge of one shard.
fn end() -> WindowEnd {
    WindowEnd { merges_s: 1.0, makes_s: 4.0, messages: 50_000, bytes: 1, logs: 0.5, sketches: 0.5, ranges: 50_000.0, window_s: 10.0 }
}

fn map(mode: Mode, rx: usize, workers: usize, queues: usize) -> Map {
    Map { mode, rx, workers, queues }
}

fn used(of: &BoxAccount, resource: &str) -> f64 {
    of.limits.iter().find(|limit| limit.resource == resource).unwrap().used
}

#[test]
fn a_report_is_made_once_and_merged_of_every_shard_that_has_a_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = cores(Mode::Pipeline, vec![1], (2..8).collect());
    let world = world(&config(folder.path(), 64), &pipeline).unwrap();
    let account = |map: Map, end: &WindowEnd| map.account(true, &map, &costs(), end, &world);
    // One core that receives gives each cold range one home, however many workers there are; here no range can be hot.
    let cold = account(map(Mode::Pipeline, 1, 6, 1), &WindowEnd { ranges: 5e6, ..end() });
    assert!((0.50..0.54).contains(&used(&cold, "reporter")), "{cold:?}");
    assert_eq!(cold.first.resource, "rx cores");
    // A worker has the sketches of a sixth of the ranges.
    assert!((0.09..0.11).contains(&used(&cold, "sketches")), "{cold:?}");
    // Here all of them are.
    let hot = account(map(Mode::Pipeline, 1, 6, 1), &WindowEnd { ranges: 100.0, ..end() });
    assert!((used(&hot, "reporter") - 1.0).abs() < 1e-9 && used(&hot, "sketches") > 0.5, "{hot:?}");
    let own = account(map(Mode::RunToCompletion, 7, 0, 7), &end());
    assert!((used(&own, "reporter") - 1.1).abs() < 1e-9, "{own:?}");
}

#[test]
fn what_ranges_without_traffic_would_have_left_is_added() {
    let part = |used| PartFigures { used, high: used, size: 100 };
    let figures = CoreFigures { memory: [part(20), part(0), part(10)], ..CoreFigures::default() };
    let ranges = Sent { messages: 100, bytes: 1_000, ticks: 0, timed: 0 };
    let idle = Sent { messages: 100, bytes: 200, ..Sent::default() };
    let others = Sent { messages: 2, bytes: 50, ..Sent::default() };
    let reported = Reported { ranges, idle, others, ran_ns: 1_000_000_000, ..Reported::default() };
    let (packets, ran_ns, covered, stats) = (1, 1, 1.0, Vec::new());
    let window = Window { packets, ran_ns, covered, outer: [0.0; 10], inner: [0.0; 10], stats, figures, reported };
    let half = WindowEnd::of(&window, (100, 200), 10.0);
    assert_eq!((half.messages, half.bytes), (202, 2_050));
    assert!([half.merges_s - 2.0, half.logs - 0.4, half.sketches - 0.2].iter().all(|off| off.abs() < 1e-9), "{half:?}");
    let all = WindowEnd::of(&window, (200, 200), 10.0);
    assert_eq!((all.messages, all.bytes), (202, 1_250));
    assert!((all.merges_s - 1.0).abs() < 1e-9 && (all.logs - 0.2).abs() < 1e-9, "{all:?}");
}

#[test]
fn the_core_that_is_measured_has_the_memory_of_one_of_the_map() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), 256);
    let map = cores(Mode::Pipeline, vec![1], vec![2, 3, 4]);
    let world = world(&config, &map).unwrap();
    let memory = Map::of(&config, &map).memory(&world);
    let mut engine = Engine::new(&config, &world, &memory).unwrap();
    let crowds = Crowds::new(config.ranges.list.iter().map(|range| range.prefix), None);
    let mut frames = Frames::of(crowds.capture(Shape::Uniform, 1_000).unwrap()).unwrap();
    let [logs, _, sketches] = engine.window(&mut frames, 0.0, Duration::from_millis(1)).figures.memory;
    let near = |size: u64, wanted: usize| (size as f64 / wanted as f64 - 1.0).abs() < 0.1;
    assert!(near(logs.size, memory.logs) && near(sketches.size, memory.shard.sketches), "{logs:?} {sketches:?} {memory:?}");
    let spent = WindowEnd { logs: 0.1, ..end() };
    let own = Map::of(&config, &map).boxes()[1].0;
    let of_own = own.account(false, &Map::of(&config, &map), &costs(), &spent, &world);
    // Each of four cores has a quarter of what logs have.
    assert!(used(&of_own, "logs") > 0.3, "{of_own:?}");
}

#[test]
fn the_other_mode_has_all_cores_and_no_more_receivers_than_queues() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&config(folder.path(), 64), &cores(Mode::Pipeline, vec![1], vec![2])).unwrap();
    let other = |map: Map| map.boxes()[1].0.account(false, &map, &costs(), &end(), &world);
    let own = other(map(Mode::Pipeline, 2, 4, 2));
    assert_eq!((own.mode, own.rx, own.workers, own.wants_queues), ("run-to-completion", 6, 0, 6));
    assert!((own.mpps - 15.0).abs() < 1e-9, "{own:?}");
    // By the prices two of eight would receive.
    let split = |queues| other(map(Mode::RunToCompletion, 8, 0, queues));
    let (one, four) = (split(1), split(4));
    assert_eq!([(one.rx, one.workers), (four.rx, four.workers)], [(1, 7), (2, 6)]);
    assert_eq!((one.wants_queues, four.wants_queues), (0, 0));
    assert!((four.mpps - 6.0 / 0.32).abs() < 1e-9, "{four:?}");
}
