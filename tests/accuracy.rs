//! How good the sketches are, and whether their bounds hold: on records, without frames.
//!
//! `TAILWATER_LONG=1` runs the sizes and seeds that take minutes; the figures are printed either way.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "draws are bounded")]

#[path = "accuracy_support/mod.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared by tests that use a part each")]
mod support;

use std::collections::HashMap;

use support::dice::Dice;
use support::range::rate;
use support::{Bench, Stream, source, spec};
use tailwater::axes::{Key, Metric};
use tailwater::config::StatSpec;
use tailwater::stats::Past;
use tailwater::stats::figure::{BinOf, Distinct, DistinctSketch, Estimate, Figure, TopEntry};

const K: usize = 20;

fn long() -> bool {
    std::env::var_os("TAILWATER_LONG").is_some()
}

fn recall(stream: Stream, n: u64, shards: usize, seed: u64) -> f64 {
    let mut dice = Dice::new(seed);
    let mut bench = Bench::new(spec("topk", Metric::Packets), 1, shards, seed);
    let mut truth: HashMap<u32, u64> = HashMap::new();
    for i in 0..n {
        let src = source(&mut dice, stream, i, n);
        *truth.entry(src).or_default() += 1;
        bench.packet(src, 64, 1);
    }
    let top = bench.top();
    let of = |text: &str| truth[&u32::from(text.parse::<std::net::Ipv4Addr>().unwrap())];
    let mut held = 0;
    for entry in top.entries.iter().chain(&top.reserve) {
        let (low, high, count) = (entry.value.low, entry.value.high.unwrap(), of(&entry.key) as f64);
        assert!(low <= count && count <= high, "seed {seed}: {stream:?}, {n}: {} in [{low}, {high}], truth {count}", entry.key);
    }
    top.entries.iter().for_each(|entry| held += entry.sufficient.passed);
    assert!((top.coverage - held as f64 / n as f64).abs() < 1e-9 && top.all == Estimate::exact(n as f64));
    let listed = |text: &str| u32::from(text.parse::<std::net::Ipv4Addr>().unwrap());
    let names: Vec<u32> = top.entries.iter().chain(&top.reserve).map(|e| listed(&e.key)).collect();
    let absent = truth.iter().filter(|(src, _)| !names.contains(src)).map(|(_, count)| *count).max().unwrap_or(0);
    assert!(absent <= top.absent.passed, "seed {seed}: {absent} absent, said to be at most {}", top.absent.passed);
    let mut counts: Vec<u64> = truth.values().copied().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    // Ties count either way.
    names.iter().take(K).filter(|src| truth[src] >= counts[K - 1]).count() as f64 / K as f64
}

#[test]
fn top_sources_are_found_and_bounded() {
    let (seeds, sizes): (u64, &[u64]) = if long() { (40, &[10_000, 100_000, 1_000_000, 4_000_000]) } else { (6, &[10_000, 100_000]) };
    let mut missed = Vec::new();
    for n in sizes {
        for (stream, least) in [
            (Stream::Spoofed(900), 0.65),
            (Stream::Spoofed(970), 0.25),
            (Stream::Decoys, 0.5),
            (Stream::Spoofed(500), 0.85),
            (Stream::Zipf, 0.95),
        ] {
            for shards in [1, 4] {
                let seeds = if *n > 500_000 { seeds / 4 } else { seeds };
                let mean = (1..=seeds).map(|seed| recall(stream, *n, shards, seed)).sum::<f64>() / seeds as f64;
                println!("recall@{K} {stream:?}, {n} packets, {shards} shards: {mean:.3}");
                if mean < least {
                    missed.push(format!("{stream:?}, {n} packets, {shards} shards: {mean}"));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

/// A short burst long ago is still among the largest: what comes since must not wear it away while it is not asked for.
#[test]
fn what_a_burst_left_stays_listed() {
    for n in [1_000_000, 4_000_000] {
        let share = recall(Stream::Pulses, n, 1, 11);
        assert!(share >= 0.95, "{n}: {share}");
    }
}

/// Steady keys hold all cells; whoever comes late and sends more than any of them has one soon.
#[test]
fn who_comes_late_and_sends_most_is_listed() {
    for (hosts, each) in [(2_000_u32, 1_000_u32), (1_000, 200), (20_000, 300)] {
        let mut bench = Bench::new(spec("topk", Metric::Packets), 1, 1, 5);
        (0..hosts * each).for_each(|i| bench.packet(0x0A00_0000 + i % hosts, 64, 1));
        let late = 0x0C00_0001;
        let sent = (0..90 * each.max(400)).map(|_| bench.packet(late, 64, 1)).count() as u64;
        let top = bench.top();
        let found = top.entries.iter().find(|entry| entry.key == std::net::Ipv4Addr::from(late).to_string());
        let counted = found.map_or(0, |entry| entry.sufficient.passed);
        assert!(counted >= sent / 2, "{hosts} hosts of {each}: {counted} of {sent}");
    }
}

#[test]
fn distinct_errs_as_its_theory_says() {
    let (seeds, sizes): (u64, &[u32]) =
        if long() { (1_000, &[129, 1_000, 5_000, 20_000, 100_000]) } else { (60, &[129, 1_000, 10_000, 60_000]) };
    for n in sizes {
        let (mut squares, mut within, mut covered) = (0.0, 0, 0);
        for seed in 1..=seeds {
            let mut bench = Bench::new(spec("distinct", Metric::Packets), 1, 1 + usize::try_from(seed % 3).unwrap(), seed);
            (0..*n).for_each(|i| bench.packet(0x0A00_0000 + i, 64, 1));
            let Figure::Distinct(Distinct { value, .. }) = bench.figure() else { unreachable!("a distinct") };
            let (truth, sigma) = (f64::from(*n), 1.04 / 64.0);
            let error = (value.value - truth) / truth;
            squares += error * error;
            within += u64::from(error.abs() <= 3.0 * sigma);
            covered += u64::from(value.low <= truth && value.high.is_some_and(|high| truth <= high));
        }
        let (rms, within, covered) = ((squares / seeds as f64).sqrt(), within as f64 / seeds as f64, covered as f64 / seeds as f64);
        println!("distinct, {n} keys: error {:.2} %, {within:.3} within 3 sigma, {covered:.3} covered", rms * 100.0);
        assert!(rms <= 0.0195 && within >= 0.98 && covered >= 0.9, "{n} keys: {rms}, {within}, {covered}");
    }
}

/// Sums that outgrow their narrow cells, in tables of either kind: counted exactly all the same.
#[test]
fn heavy_keys_are_counted_exactly_among_few_and_many() {
    for (others, metric) in [(0, Metric::Bytes), (40, Metric::Packets), (100_000, Metric::Bytes)] {
        let mut bench = Bench::new(spec("topk", metric), 40, 2, 5);
        let mut dice = Dice::new(5);
        let (mut passed, mut seen) = (0, 0);
        for i in 0..30_000_u32 {
            let bytes = if i % 9 == 0 { 20_000 } else { 1_500 };
            let weight = if i % 3 == 0 { 1 } else { 40 };
            let value = if metric == Metric::Bytes { u64::from(bytes) } else { 1 };
            *(if weight == 1 { &mut passed } else { &mut seen }) += value;
            bench.packet(7, bytes, weight);
            if others > 0 && i > 100 {
                bench.packet(1_000 + dice.below(others) as u32, 64, 1);
            }
        }
        let top = bench.top();
        let (first, sum) = (&top.entries[0], top.entries[0].sufficient);
        assert_eq!((&first.key[..], first.unseen.passed, first.unseen.scaled), ("0.0.0.7", 0, 0), "{others}");
        assert_eq!((sum.passed, sum.seen, sum.scaled, sum.sampled_packets), (passed, seen, 40 * seen, 20_000));
        assert_eq!(sum.largest, if metric == Metric::Bytes { 40 * 1_500 } else { 40 });
    }
}

/// With any little memory: it ends, and what it says is true.
#[test]
fn a_spent_budget_ends_and_stays_true() {
    for (calculation, lines) in ["topk", "distinct", "histogram"].into_iter().flat_map(|c| (0..80).map(move |lines| (c, lines))) {
        let mut row = spec(calculation, Metric::Packets);
        if calculation == "histogram" {
            row = StatSpec::new("histogram", &[Key::Icmp], Metric::Packets);
        }
        let mut bench = Bench::within(row, rate(40), 2, lines, 64 * lines as usize);
        let mut truth: HashMap<String, u64> = HashMap::new();
        let mut dice = Dice::new(lines);
        for _ in 0..4_000 {
            let src = dice.below(400) as u32;
            let key =
                if calculation == "histogram" { format!("{}/{}", src >> 8, src & 255) } else { std::net::Ipv4Addr::from(src).to_string() };
            *truth.entry(key).or_default() += 1;
            bench.packet(src, 64, 1);
        }
        bench.flush();
        assert!(!bench.starved);
        let truth = |key: &str| truth[key] as f64;
        match bench.figure_so_far(&mut Past::default(), 0) {
            Figure::Top(top) => {
                let holds = |e: &TopEntry| {
                    e.sufficient.passed as f64 <= truth(&e.key) && truth(&e.key) <= (e.sufficient.passed + e.unseen.passed) as f64
                };
                assert!(top.entries.iter().all(holds), "{lines} lines");
                assert_eq!(top.all_sufficient.passed, 4_000);
                assert!(lines > 5 || top.short || top.thinned > 1, "{lines} lines");
            }
            Figure::Distinct(of) => {
                let DistinctSketch::Registers(registers) = &of.sketch else { unreachable!("400 keys") };
                let sigma = 1.04 / (registers.len() as f64).sqrt();
                assert!((of.value.value - 400.0).abs() <= 4.0 * sigma * 400.0, "{lines} lines: {}", of.value.value);
                assert!(registers.len() >= 64, "{lines} lines: {}", registers.len());
            }
            Figure::Histogram(bins) => {
                assert_eq!(bins.iter().map(|bin| bin.sufficient.passed).sum::<u64>(), 4_000, "{lines} lines");
                for bin in bins {
                    let BinOf::Label(name) = &bin.of else { unreachable!("names") };
                    let within = name == "other" || bin.value.low <= truth(name) && truth(name) <= bin.value.high.unwrap();
                    assert!(within, "{lines} lines: {bin:?}");
                }
            }
            other => unreachable!("{other:?}"),
        }
    }
}
