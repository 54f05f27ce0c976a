//! Prices that are given → what maps carry.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use super::engine::{Engine, Reported, START_NS, Sent, Window};
use super::frames::Frames;
use super::proposals::{named, proposals};
use super::tests::{config, cores, written};
use super::*;
use crate::config::{Cores, Mode, ranges::Domain};
use crate::generate::Crowds;
use crate::telemetry::{CoreFigures, PartFigures};

/// 400 ns on one core; 100 and 320 in a pipeline.
fn costs() -> Costs {
    let stages = vec![("rx", 15.0), ("other", 385.0)];
    let (receives_ns, works_ns, stats) = (100.0, 320.0, Vec::new());
    Costs { stages, stats, receives_ns, works_ns, sends_ns: 10.0, takes_ns: 20.0, batch_records: 64.0, timed: 1.0 }
}

/// A shape at these prices.
fn shape(shape: &'static str, costs: Costs, end: WindowEnd) -> ShapeAccount {
    ShapeAccount {
        shape,
        about: "",
        packets: 1,
        ranges: 1,
        of_ranges: 1,
        at_most: false,
        frames: 1,
        frame_bytes: 60.0,
        window: 1.0,
        ns_per_packet: costs.ns(),
        core_mpps: 1e3 / costs.ns(),
        pipeline_efficiency: costs.pipeline_efficiency(),
        costs,
        report_s: end.makes_s + end.merges_s,
        merge_s: end.merges_s,
        reports: end.messages,
        report_bytes: end.bytes,
        degraded: 0,
        boxes: Vec::new(),
        end,
    }
}

/// A window of 10 s: reports of 50,000 ranges take 4 s to make, and 1 s to merge of one shard.
fn end() -> WindowEnd {
    WindowEnd { merges_s: 1.0, makes_s: 4.0, messages: 50_000, bytes: 1, logs: 0.5, sketches: 0.5, ranges: 50_000.0, window_s: 10.0 }
}

fn map(mode: Mode, rx: usize, workers: usize, queues: usize) -> Map {
    Map { mode, rx, workers, queues, hands_over: false, spare: 0 }
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
fn who_does_not_keep_up_with_the_cores_is_told_and_coarser_figures_hold_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&config(folder.path(), 64), &cores(Mode::RunToCompletion, vec![1], Vec::new())).unwrap();
    let seven = map(Mode::RunToCompletion, 7, 0, 7);
    let account = |end: &WindowEnd| seven.account(true, &seven, &costs(), end, &world);
    let kept = account(&WindowEnd { merges_s: 0.5, sketches: 9.0, ..end() });
    assert_eq!((kept.keeps_up(), kept.first.resource), ((kept.mpps, None), "sketches"));
    // 9 s and seven times half a second, of 10 s.
    let mut late = account(&WindowEnd { makes_s: 9.0, merges_s: 0.5, sketches: 0.0, ..end() });
    let (mpps, full) = late.keeps_up();
    assert!((late.mpps - 17.5).abs() < 1e-9 && (mpps - 14.0).abs() < 1e-9, "{late:?}");
    assert_eq!((full, late.first.resource), (Some("reporter"), "reporter"));
    late.has(WindowEnd { bytes: 700, ..end() }.kafka(40.0));
    let (mpps, full) = late.keeps_up();
    assert!((mpps - 10.0).abs() < 1e-9 && full == Some("kafka"), "{late:?}");
}

#[test]
fn maps_are_ranked_by_what_the_reporter_and_kafka_keep_up_with() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&config(folder.path(), 64), &cores(Mode::RunToCompletion, vec![1], Vec::new())).unwrap();
    let eight = map(Mode::RunToCompletion, 8, 0, 8);
    let few = WindowEnd { makes_s: 0.1, merges_s: 0.1, ..end() };
    let proposed = |of: &[ShapeAccount], kafka| proposals(eight, None, &world, (of, kafka));
    // 20 by cores against 18.75; merging of eight shards takes 8 s.
    let [calm, slow] = [few, end()].map(|end| proposed(&[shape("first", costs(), end)], None));
    assert_eq!([&calm, &slow].map(|of| (of[0].mode, of[0].full)), [("run-to-completion", None), ("pipeline", None)]);
    let own = &slow[1];
    assert!((own.mpps - 20.0 / 1.2).abs() < 1e-9 && (own.cores_mpps - 20.0).abs() < 1e-9, "{own:?}");
    assert_eq!((own.full, own.shape), (Some("reporter"), "first"));
    // The least is what all that has to keep up does, not what the dearest shape's cores carry.
    let dear = Costs { stages: vec![("other", 440.0)], ..costs() };
    let both = proposed(&[shape("first", costs(), end()), shape("dear", dear, few)], None);
    let own = both.iter().find(|of| of.mode == "run-to-completion").unwrap();
    assert_eq!((own.shape, own.full), ("first", Some("reporter")));
    // A Kafka that takes half: it holds either, and the cores decide which is better.
    let half = proposed(&[shape("first", costs(), few)], Some(0.05));
    assert_eq!(
        half.iter().map(|of| (of.mode, of.full)).collect::<Vec<_>>(),
        ["run-to-completion", "pipeline"].map(|mode| (mode, Some("kafka")))
    );
    assert!((half[0].mpps - 10.0).abs() < 1e-9, "{half:?}");
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
    let of = |ranges, in_time| WindowEnd::of(&window, Reach { ranges, all: 200, beside: 0, in_time }, 10.0);
    let half = of(100, 2.0);
    assert_eq!((half.messages, half.bytes), (202, 2_050));
    assert!([half.merges_s - 2.0, half.logs - 0.4, half.sketches - 0.2].iter().all(|off| off.abs() < 1e-9), "{half:?}");
    let all = of(200, 1.0);
    assert_eq!((all.messages, all.bytes), (202, 1_250));
    assert!((all.merges_s - 1.0).abs() < 1e-9 && (all.logs - 0.2).abs() < 1e-9, "{all:?}");
    // Of ranges that there was time for, the others had the packets: logs have all records.
    let (most, cut) = (of(10, 1.0), of(10, 4.0));
    assert!((most.logs - 0.2).abs() < 1e-9 && (most.sketches - 2.0).abs() < 1e-9, "{most:?}");
    assert!((cut.logs - 0.8).abs() < 1e-9 && cut.messages == 2_002, "{cut:?}");
    // Ranges that such traffic goes past are idle whether there is time or not.
    let past = WindowEnd::of(&window, Reach { ranges: 50, all: 100, beside: 75, in_time: 2.0 }, 10.0);
    assert_eq!((past.messages, past.bytes), (277, 2_200));
}

#[test]
fn ranges_are_left_out_for_time_and_for_other_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), 64);
    let of = |config: &Config, slice| {
        let ranges = traffic::prefixes(config, slice, Shape::Uniform).len();
        traffic::reach(config, slice, Shape::Uniform, ranges)
    };
    let (whole, half) = (Duration::from_secs(2), Duration::from_secs(1));
    let (all, cut) = (of(&config, whole), of(&config, half));
    assert!(all.ranges == 350 && (all.in_time - 1.0).abs() < 1e-9 && !all.is_short(), "{all:?}");
    assert!(cut.ranges == 175 && (cut.in_time - 2.0).abs() < 1e-9 && !cut.is_short(), "{cut:?}");
    config.ranges.list.iter_mut().take(100).for_each(|range| range.domain = Some(Domain::Vlan(7)));
    let (all, cut) = (of(&config, whole), of(&config, half));
    assert!(all.ranges == 250 && (all.in_time - 1.0).abs() < 1e-9 && all.is_short(), "{all:?}");
    assert!(cut.ranges == 125 && (cut.in_time - 2.0).abs() < 1e-9 && cut.is_short(), "{cut:?}");
    // Half of the time had half of the packets: all 350 ranges share twice as many.
    assert!((cut.packets_of_range(3_500) - 20.0).abs() < 1e-9 && (all.packets_of_range(7_000) - 20.0).abs() < 1e-9);
}

#[test]
fn reports_that_are_kept_to_be_sent_are_not_those_of_what_warms_up() {
    let folder = tempfile::tempdir().unwrap();
    let (config, map) = (config(folder.path(), 64), cores(Mode::RunToCompletion, vec![1], Vec::new()));
    let world = world(&config, &map).unwrap();
    let mut engine = Engine::new(&config, &world, &Map::of(&config, &map).memory(&world)).unwrap();
    let crowds = Crowds::new(config.ranges.list.iter().map(|range| range.prefix), None);
    let mut frames = Frames::of(crowds.capture(Shape::Uniform, 1_000).unwrap()).unwrap();
    engine.window(&mut frames, 0.0, Duration::from_secs(1));
    let sample = engine.sample();
    assert!(!sample.is_empty() && sample.iter().all(|message| message.window.start_ns >= START_NS + 2_000_000_000));
}

#[test]
fn where_nothing_is_handed_over_a_core_without_a_queue_has_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), 256);
    let world = world(&config, &cores(Mode::RunToCompletion, vec![1, 2, 3, 4], Vec::new())).unwrap();
    let (four, one) = (map(Mode::RunToCompletion, 4, 0, 1), map(Mode::RunToCompletion, 1, 0, 1));
    assert_eq!(four.polling().memory(&world), one.memory(&world));
    let account = |map: Map, configured| map.account(configured, &four, &costs(), &end(), &world);
    let (own, other) = (account(four, true), account(four.boxes()[1].0, false));
    assert!((used(&own, "logs") - 0.5).abs() < 1e-9 && own.rx == 1, "{own:?}");
    // One core receives in either.
    assert!((0.4..0.6).contains(&used(&other, "logs")) && (other.rx, other.workers) == (1, 3), "{other:?}");
}

#[test]
fn a_map_is_written_with_cpus_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&config(folder.path(), 64), &cores(Mode::RunToCompletion, vec![1], Vec::new())).unwrap();
    // As `run` has them without [cores]: lcores by number, whatever their CPUs.
    let small = cores(Mode::RunToCompletion, vec![1], Vec::new());
    let large = Cores { reporter: 7, ..cores(Mode::RunToCompletion, (1..7).collect(), Vec::new()) };
    // Two CPUs, of which main and the reporter would share one: [cores] cannot say so.
    assert_eq!(named(&small, &[0, 1]), None);
    assert_eq!(named(&large, &[0, 1, 8, 9, 10, 11, 12]), None);
    assert!(named(&small, &[0, 1, 200]).is_none(), "no lcore may have that number");
    let none = proposals(map(Mode::RunToCompletion, 1, 0, 1), None, &world, (&[], None));
    assert!(none.len() == 1 && none[0].toml.is_none() && none[0].wants_cpus == 3, "{none:?}");
    let cpuset: Vec<usize> = (8..16).collect();
    let large = named(&large, &cpuset).unwrap();
    let proposed = proposals(map(Mode::RunToCompletion, 6, 0, 6), Some(&large), &world, (&[], None));
    assert_eq!(proposed.len(), 2);
    for proposal in proposed {
        let cores = written(&folder.path().join("small.toml"), proposal.toml.as_deref().unwrap());
        let all = [&[cores.main, cores.reporter][..], &cores.rx, &cores.workers].concat();
        assert_eq!((all, proposal.wants_cpus), ((8..16).collect(), 0));
    }
}

#[test]
fn a_map_whose_sums_have_no_room_says_what_memory_it_wants() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), 64);
    config.ranges.max = Some(30_000);
    // Roots are there once a shard: of one worker, and of eight cores.
    let pipeline = cores(Mode::Pipeline, (1..8).collect(), vec![8]);
    config.appliance.memory_mb = 4_096;
    let roomy = world(&config, &pipeline).unwrap();
    config.appliance.memory_mb = Map::of(&config, &pipeline).memory(&roomy).least_mb() as u64;
    let wants = |config: &Config| {
        let world = world(config, &pipeline).unwrap();
        let of = |mode: &str| {
            proposals(Map::of(config, &pipeline), Some(&pipeline), &world, (&[], None))
                .into_iter()
                .find(|of| of.mode == mode)
                .unwrap()
                .wants_memory_mb
        };
        (of("pipeline"), of("run-to-completion"))
    };
    let (split, own) = wants(&config);
    assert!(split > 0 && own as u64 > config.appliance.memory_mb, "{split} {own}");
    config.appliance.memory_mb = own.max(split) as u64;
    assert_eq!(wants(&config), (0, 0));
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

#[test]
fn receiving_cores_without_a_queue_have_memory_where_they_may_help() {
    let folder = tempfile::tempdir().unwrap();
    let (mut config, map) = (config(folder.path(), 64), cores(Mode::RunToCompletion, vec![1, 2, 3], Vec::new()));
    let world = world(&config, &map).unwrap();
    let logs = |map: Map| map.memory(&world).logs;
    let one = logs(Map { rx: 1, ..Map::of(&config, &map) });
    assert_eq!((Map::of(&config, &map).polling().rx, logs(Map::of(&config, &map).polling())), (1, logs(Map::of(&config, &map))));
    config.appliance.hand_over = false;
    assert_eq!(logs(Map::of(&config, &map).polling()), one);
    assert!(one > logs(Map::of(&config, &map)));
}
