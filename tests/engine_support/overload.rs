//! What happens when something is too small, too slow or too far away: losses are counted and said, and the ledger
//! balances.

use std::collections::BTreeMap;

use tailwater::config::Config;
use tailwater::report::pb;

use super::support::beneath::Beneath;
use super::support::compare::check;
use super::support::cover::covered;
use super::support::dice::{Dice, seeds};
use super::support::drive::{Log, Pace, load, run, simulate, simulate_over};
use super::support::model::windows;
use super::support::setup::{More, Row, Setup};
use super::support::traffic::{Mix, Packet, draw};

pub(crate) const START_NS: u64 = 1_700_000_000_000_000_000;

fn row(name: &str, calculation: &'static str, keys: Vec<&'static str>, fast: bool) -> Row {
    Row {
        name: name.to_owned(),
        calculation,
        keys,
        metric: "packets",
        decision: "any",
        direction: "any",
        wanted: Vec::new(),
        fast,
        premium: false,
        k: 20,
        p: 12,
        bins: None,
        more: More::default(),
    }
}

/// Counts everything, in both kinds of windows.
pub(crate) fn plain(window_ms: u64, fast_ms: u64) -> Setup {
    let mut rows = vec![row("all", "sum", vec![], false), row("fast", "sum", vec![], true)];
    rows.extend([row("top", "topk", vec!["src_ip"], false), row("pairs", "topk", vec!["src_ip", "dst_ip"], true)]);
    rows.extend([row("sources", "distinct", vec!["src_ip"], false), row("sizes", "histogram", vec!["packet_size"], true)]);
    let drawn = Setup::draw(&mut Dice::new(1));
    let (ranges, keys_from) = (drawn.ranges.into_iter().take(9).collect(), "matched");
    let (ingress, egress, every_nth, drops_untagged) = (true, true, false, false);
    Setup {
        window_ms,
        fast_ms,
        rows,
        ranges,
        keys_from,
        drops_untagged,
        ingress,
        egress,
        every_nth,
        one_rate: false,
        prefix_v4: 24,
        prefix_v6: 48,
        memory_mb: 64,
        moved: Vec::new(),
        rollup: false,
        customers: 0,
        beside: "",
        sheds: false,
    }
}

pub(crate) fn traffic(setup: &Setup, seed: u64, packets: usize, windows: u64) -> Vec<Packet> {
    let window_ns = setup.window_ms * 1_000_000;
    draw(&mut Dice::new(seed), &Mix { packets, windows, window_ns, spoofed: 0, tunnels: false, late: true, gaps: false })
}

fn value(report: &pb::RangeReport, name: &str) -> u64 {
    let stat = report.stats.iter().find(|stat| stat.name == name).unwrap();
    let sum = stat.sufficient.as_ref().unwrap();
    sum.passed + sum.sampled_packets
}

/// Of each window: the ledger balances, and what a range lacks is said, to the packet.
fn balanced(setup: &Setup, packets: &[Packet], log: &Log) -> u64 {
    let mut lost_in_all = 0;
    for (kind, length_ms) in [(pb::WindowKind::Long, setup.window_ms), (pb::WindowKind::Fast, setup.fast_ms)] {
        let length_ns = length_ms * 1_000_000;
        for (number, window) in windows(setup, packets, length_ns) {
            let of_window = |start: u64, k: i32| start == number * length_ns && k == i32::from(kind);
            let account = log.appliance.iter().find(|r| !r.total && of_window(r.window_start_ns, r.window_kind)).unwrap();
            let ledger = account.ledger.as_ref().unwrap();
            assert_eq!((ledger.received, ledger.records), (window.counts.received, window.counts.records), "{kind:?} {number}");
            assert_eq!(ledger.records, ledger.counted + ledger.ring_dropped, "{kind:?} {number}: {ledger:?}");
            let reports = log.ranges.iter().filter(|r| of_window(r.window_start_ns, r.window_kind));
            let reports: BTreeMap<&str, &pb::RangeReport> = reports.map(|r| (&r.prefix[..], r)).collect();
            let mut lacking = 0;
            for (range, seen) in &window.ranges {
                let Some(report) = reports.get(setup.ranges[*range].0) else {
                    lacking += seen.len() as u64;
                    continue;
                };
                lacking += range_balance(report, seen.len() as u64);
            }
            assert_eq!(lacking > 0, ledger.ring_dropped > 0, "{kind:?} {number}");
            assert!(lacking <= ledger.ring_dropped, "{kind:?} {number}: {lacking} of {ledger:?}");
            assert!(account.incomplete.is_some() || ledger.ring_dropped == 0, "{kind:?} {number}");
            lost_in_all += if kind == pb::WindowKind::Long { ledger.ring_dropped } else { 0 };
        }
    }
    total(log);
    lost_in_all
}

/// How many packets the report lacks, which it says.
fn range_balance(report: &pb::RangeReport, truth: u64) -> u64 {
    let names: &[&str] = if report.window_kind == i32::from(pb::WindowKind::Fast) { &["fast"] } else { &["all", "fast"] };
    let least = names.iter().map(|name| value(report, name)).min().unwrap();
    let said = report.incomplete.clone().unwrap_or_default();
    assert!(least <= truth && truth - least <= said.lost_packets_high(), "{truth}, not {least}: {:?}", report.incomplete);
    assert!(said.lost_packets_low <= said.lost_packets_high(), "{said:?}");
    truth - least
}

fn total(log: &Log) {
    let ledger = log.appliance.last().unwrap().ledger.clone().unwrap();
    assert!(log.appliance.last().unwrap().total);
    assert_eq!(ledger.records, ledger.counted + ledger.ring_dropped, "{ledger:?}");
}

fn config(setup: &Setup) -> Config {
    load(&setup.toml(), &setup.csv())
}

/// Rings overflow: no wait, every loss counted in its window and said in its range's report.
#[test]
fn a_stalled_worker_costs_records_that_are_counted() {
    for seed in seeds(2) {
        println!("TAILWATER_SEED={seed}");
        let setup = plain(1_000, 250);
        let packets = traffic(&setup, seed, 25_000, 4);
        for (shape, workers) in [((1, 1), 0), ((1, 2), 0), ((2, 1), 300), ((2, 2), 0)] {
            let pace = Pace { workers, reporter: 50, steps: 8, live: false, sleepy: false, overdue: false };
            let log = simulate(&config(&setup), &packets, shape, seed, pace);
            covered(&setup, &packets, &log);
            let lost = balanced(&setup, &packets, &log);
            let said = log.ranges.iter().filter_map(|r| r.incomplete.as_ref()).flat_map(|i| &i.reasons).all(|reason| reason == "ring_full");
            assert!(said && (lost > 0 || shape.0 > 1), "{shape:?}: {lost}");
        }
    }
}

/// A reporter that is away: blocks are lost and counted, accounts are not.
#[test]
fn a_stalled_reporter_costs_blocks_that_are_counted() {
    for seed in seeds(2) {
        println!("TAILWATER_SEED={seed}");
        let setup = plain(1_000, 250);
        let window_ns = setup.window_ms * 1_000_000;
        let mix = Mix { packets: 90_000, windows: 110, window_ns, spoofed: 1, tunnels: false, late: true, gaps: false };
        let packets = draw(&mut Dice::new(seed), &mix);
        for shape in [(1, 0), (1, 1)] {
            let pace = Pace { workers: 2, reporter: 0, steps: 8, live: false, sleepy: false, overdue: false };
            let log = simulate(&config(&setup), &packets, shape, seed, pace);
            let lost = balanced(&setup, &packets, &log);
            assert!(lost > 0, "{shape:?}");
        }
    }
}

/// Away for so long that even accounts found no room: they are told together, later.
#[test]
fn accounts_that_nobody_heard_are_told_later() {
    let setup = plain(4, 1);
    for (shape, windows_in_all) in [((1, 0), 2_000), ((2, 2), 2_000), ((1, 0), 700), ((2, 0), 700), ((1, 2), 700)] {
        let packets = traffic(&setup, 1, 12_000, windows_in_all);
        let pace = Pace { workers: 2, reporter: 0, steps: 8, live: true, sleepy: true, overdue: false };
        let log = simulate(&config(&setup), &packets, shape, 1, pace);
        total(&log);
        let ledger = log.appliance.last().unwrap().ledger.clone().unwrap();
        let want = windows(&setup, &packets, u64::MAX).remove(&0).unwrap().counts;
        assert_eq!((ledger.received, ledger.records, ledger.late), (want.received, want.records, want.late), "{shape:?}");
        for kind in [pb::WindowKind::Fast, pb::WindowKind::Long] {
            let of_kind: Vec<_> = log.appliance.iter().filter(|report| !report.total && report.window_kind() == kind).collect();
            let received: u64 = of_kind.iter().map(|report| report.ledger.as_ref().unwrap().received).sum();
            assert_eq!(received, want.received, "{shape:?}: each epoch is told of once");
            let ascend = of_kind.windows(2).all(|pair| pair[0].window_end_ns <= pair[1].window_start_ns);
            let gapless = of_kind.windows(2).all(|pair| pair[0].window_end_ns == pair[1].window_start_ns);
            // A clock that jumped over thousands would leave a gap.
            assert!(ascend && (gapless || windows_in_all > 1_000), "{shape:?}: each window is reported, also one that others tell of");
        }
    }
}

/// From several packets in each epoch to a packet in several; not so many epochs that their marks alone fill a ring.
const fn windows_of(seed: u64) -> u64 {
    5 << (seed % 3)
}

/// A clock that jumps while logs are full of what came before: they are walked in peace, and what comes waits. More batches than
/// a ring holds.
#[test]
fn windows_that_are_skipped_cost_nothing() {
    for seed in seeds(2) {
        println!("TAILWATER_SEED={seed}");
        let mut setup = plain(1_000, 250);
        let prefixes: Vec<String> = (0..60).map(|n| format!("10.7.7.{n}/32")).collect();
        let prefixes: &'static [String] = prefixes.leak();
        setup.ranges = prefixes.iter().map(|prefix| (&prefix[..], false, "")).collect();
        let any = traffic(&setup, seed, 400, 1).into_iter().find(|packet| packet.ip.as_ref().is_some_and(|ip| ip.src.is_ipv4())).unwrap();
        let to = |host: u8, ms: u64| {
            let mut packet = any.clone();
            packet.time_ns = START_NS + ms * 1_000_000;
            packet.ip.as_mut().unwrap().dst = [10, 7, 7, host].into();
            packet
        };
        let mut packets: Vec<Packet> = (0..60).flat_map(|host| std::iter::repeat_n(to(host, 1), 600)).collect();
        // One is hot behind the jump: it has more than a log holds before the walk is over.
        packets.extend((0..9_000_u64).map(|n| to(if n % 3 == 0 { 5 } else { 9 }, 5_000 + n / 100)));
        for shape in [(1, 1), (1, 2), (2, 1)] {
            let pace = Pace { workers: 3, reporter: 20, steps: 20, live: false, sleepy: false, overdue: false };
            let log = simulate(&config(&setup), &packets, shape, seed, pace);
            check(&setup, &packets, &log);
            assert_eq!(balanced(&setup, &packets, &log), 0, "{shape:?}");
        }
    }
}

/// Receivers that are windows apart, or asleep over some: nobody's packets move to another window.
#[test]
fn receivers_may_be_at_different_times() {
    for seed in seeds(8) {
        println!("TAILWATER_SEED={seed}");
        let setup = plain(100, 25);
        let packets = traffic(&setup, seed, 300, windows_of(seed));
        for shape in [(2, 1), (2, 2), (3, 2), (3, 0)] {
            let pace = Pace { workers: 3, reporter: 20, steps: 8, live: false, sleepy: true, overdue: false };
            let log = simulate(&config(&setup), &packets, shape, seed, pace);
            check(&setup, &packets, &log);
        }
    }
}

/// The same where a core fills whole batches of a window while another sleeps over it and fills the next one's.
#[test]
fn receivers_may_sleep_over_windows_that_others_fill() {
    for seed in seeds(12) {
        println!("TAILWATER_SEED={seed}");
        let setup = plain(100, 25);
        let (mut dice, mut packets) = (Dice::new(seed), Vec::new());
        let any = traffic(&setup, seed, 400, 1).into_iter().find(|packet| packet.ip.as_ref().is_some_and(|ip| ip.src.is_ipv4())).unwrap();
        for epoch in 0..24 {
            for host in [[10, 9, 9, 1], [10, 9, 9, 2]].into_iter().filter(|_| dice.one_in(2)).collect::<Vec<[u8; 4]>>() {
                let mut packet = any.clone();
                packet.time_ns = START_NS + epoch * 25_000_000;
                packet.ip.as_mut().unwrap().dst = host.into();
                packets.extend(std::iter::repeat_n(packet, 70));
            }
        }
        for shape in [(1, 0), (2, 0), (2, 1), (2, 2)] {
            let pace = Pace { workers: 30, reporter: 200, steps: 90, live: false, sleepy: true, overdue: false };
            let log = simulate(&config(&setup), &packets, shape, seed, pace);
            check(&setup, &packets, &log);
        }
    }
}

/// More ranges than a megabyte holds the roots of, each hit from many sources.
fn crowded() -> (Setup, Vec<Packet>) {
    let mut setup = plain(1_000, 250);
    setup.memory_mb = 1;
    setup.rows.extend((0..12).map(|n| row(&format!("more{n}"), ["topk", "distinct"][n % 2], vec!["src_ip", "dst_port"], n % 3 == 0)));
    setup.ranges.clear();
    let prefixes: Vec<String> = (0..1_500).map(|n| format!("10.{}.{}.{}/32", n / 65_536, n / 256 % 256, n % 256)).collect();
    let prefixes: &'static [String] = prefixes.leak();
    setup.ranges.extend(prefixes.iter().map(|prefix| (&prefix[..], false, "")));
    let mut dice = Dice::new(7);
    let mut packets = traffic(&setup, 7, 9_000, 2);
    for ip in packets.iter_mut().filter_map(|packet| packet.ip.as_mut()).filter(|ip| ip.src.is_ipv4()) {
        let n = if dice.one_in(3) { dice.below(3) } else { dice.below(1_500) };
        ip.dst = prefixes[usize::try_from(n).unwrap()].trim_end_matches("/32").parse().unwrap();
        ip.src = std::net::Ipv4Addr::from(0x5000_0000 + u32::try_from(dice.below(100_000)).unwrap()).into();
    }
    (setup, packets)
}

/// A budget that is far too small, even for every range's root: sketches miss packets and say so, sums are exact.
#[test]
fn spent_memory_is_said_and_sums_stay_exact() {
    let (setup, packets) = crowded();
    for shape in [(1, 0), (2, 0), (1, 2)] {
        let log = run(&config(&setup), &packets, shape, 1);
        covered(&setup, &packets, &log);
        let lost = balanced_by_memory(&setup, &packets, &log);
        let coarser = log.ranges.iter().filter(|report| report.stats.iter().any(is_short)).count();
        println!("{shape:?}: {coarser} of {} reports say that memory was short", log.ranges.len());
        assert!(lost == 0 && coarser > 0);
        counted_as_said(&log);
    }
}

/// In a replay not even a spent budget tells where bursts were cut or how fast cores were: what is free when depends on what
/// came alone.
#[test]
fn replays_with_a_spent_budget_are_alike() {
    let (setup, packets) = crowded();
    for shape in [(1, 0), (2, 0), (1, 2)] {
        let first = run(&config(&setup), &packets, shape, 1);
        for cuts in 2..4 {
            let again = run(&config(&setup), &packets, shape, cuts);
            let differing = first.ranges.iter().zip(&again.ranges).filter(|(one, other)| one != other).count();
            assert!(first.ranges.len() == again.ranges.len() && differing == 0, "{shape:?}, cuts {cuts}: {differing} reports differ");
        }
    }
}

/// What metrics count is what the reports say.
fn counted_as_said(log: &Log) {
    let stats = || log.ranges.iter().flat_map(|report| &report.stats);
    let tops = |is: fn(&pb::Top) -> bool| {
        stats().filter(|stat| matches!(&stat.figure, Some(pb::stat::Figure::Top(top)) if is(top))).count() as u64
    };
    let fewer = stats().filter(|stat| matches!(&stat.figure, Some(pb::stat::Figure::Distinct(_))) && is_short(stat)).count() as u64;
    let [thinned, short, folded, missed, _] = log.strain;
    assert_eq!((thinned, short), (tops(|top| top.thinned > 1), tops(|top| top.short_of_memory)));
    assert!(folded >= fewer && thinned + short + folded > 0, "{folded} of at least {fewer}");
    let says = |report: &&pb::RangeReport| report.incomplete.as_ref().is_some_and(|i| i.reasons.iter().any(|r| r == "memory"));
    assert!(missed <= log.ranges.iter().filter(says).count() as u64);
}

/// Whether a figure says that it is coarser than it should be, for want of memory.
fn is_short(stat: &pb::Stat) -> bool {
    match &stat.figure {
        Some(pb::stat::Figure::Top(top)) => top.thinned > 1 || top.short_of_memory,
        Some(pb::stat::Figure::Distinct(distinct)) => distinct.short_of_memory || distinct.sketch_kind == "hll" && distinct.p < 12,
        _ => false,
    }
}

fn balanced_by_memory(setup: &Setup, packets: &[Packet], log: &Log) -> u64 {
    let lost = balanced(setup, packets, log);
    let incomplete = log.ranges.iter().filter_map(|report| report.incomplete.as_ref());
    assert!(incomplete.flat_map(|i| &i.reasons).all(|reason| reason == "memory"));
    assert!(log.appliance.iter().filter_map(|r| r.incomplete.as_ref()).all(|i| i.reasons == ["memory"]));
    let length_ns = setup.window_ms * 1_000_000;
    let windows = windows(setup, packets, length_ns);
    for report in log.ranges.iter().filter(|r| r.window_kind == i32::from(pb::WindowKind::Long)) {
        let range = setup.ranges.iter().position(|(prefix, ..)| *prefix == report.prefix).unwrap();
        let seen = &windows[&(report.window_start_ns / length_ns)].ranges[&range];
        let more = report.incomplete.as_ref().map_or(0, pb::Incomplete::lost_packets_high);
        for stat in &report.stats {
            let Some(pb::stat::Figure::Top(top)) = &stat.figure else { continue };
            let row = setup.rows.iter().find(|row| row.name == stat.name).unwrap();
            for entry in &top.entries {
                let of_key = seen.iter().filter(|packet| row.key(setup, packet).is_some_and(|(_, text)| text == entry.key));
                let (truth, counted) = (of_key.count() as u64, entry.sufficient.as_ref().unwrap());
                let low = counted.passed + counted.sampled_packets;
                let high = low + entry.unseen_passed + entry.unseen_sampled_packets + more;
                assert!(low <= truth && truth <= high, "{}: {low} to {high}, not {truth}", entry.key);
            }
        }
    }
    lost
}

/// From the first nanosecond that can be told to the last, and far between.
#[test]
fn any_time_is_in_its_window() {
    for (window_ms, fast_ms) in [(1, 1), (3_600_000, 3_600_000), (3_600_000, 1_000)] {
        let setup = plain(window_ms, fast_ms);
        let mut packets = traffic(&setup, 3, 60, 1);
        let times = [0, 1, 1_000_000, START_NS, START_NS + 1, START_NS - 1, u64::MAX / 2, 5, u64::MAX - 1, u64::MAX, 0];
        let many = times.iter().flat_map(|time_ns| std::iter::repeat_n(*time_ns, 5));
        packets.iter_mut().zip(many.chain(std::iter::repeat(u64::MAX))).for_each(|(packet, time_ns)| packet.time_ns = time_ns);
        for shape in [(1, 0), (2, 2)] {
            check(&setup, &packets, &run(&config(&setup), &packets, shape, 1));
        }
    }
}

/// Every kind of loss, alone and together, under any configuration: bounds hold what was lost.
#[test]
fn bounds_cover_what_was_lost() {
    for seed in seeds(10) {
        println!("TAILWATER_SEED={seed}");
        let mut dice = Dice::new(seed);
        let mut setup = if dice.one_in(3) { plain(1_000, 250) } else { Setup::draw(&mut dice) };
        setup.memory_mb = dice.of(&[1, 64]);
        let (count, windows) = dice.of(&[(3_000, 4), (3_000, 60)]);
        let mut packets = traffic(&setup, seed, count, windows);
        packets.retain(|packet| packet.time_ns >= START_NS);
        for (shape, workers, reporter, one_in) in [((1, 0), 0, 50, 9), ((2, 0), 0, 0, 0), ((1, 2), 0, 50, 0), ((2, 2), 300, 0, 30)] {
            let pace = Pace { workers, reporter, steps: 8, live: false, sleepy: false, overdue: false };
            let beneath = Beneath::that_loses(one_in);
            let log = simulate_over(&config(&setup), &packets, shape, seed, pace, &beneath);
            let incomplete = covered(&setup, &packets, &log);
            total(&log);
            assert!(incomplete > 0 || one_in == 0, "{shape:?}");
            let ledger = log.appliance.last().unwrap().ledger.clone().unwrap();
            assert_eq!(ledger.nic_missed, beneath.missed(), "{shape:?}");
        }
    }
}
