//! Whether intervals hold what they promise: every kind in small, and `entropy`, `fanout` and `new_keys` in large windows. On
//! records, without frames.
//!
//! `TAILWATER_LONG=1` draws ten times as many trials; the figures are printed either way.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "draws are bounded")]

#[path = "accuracy_support/mod.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared by tests that use a part each")]
mod support;

use std::collections::{HashMap, HashSet};

use support::coverage::{Cell, cells};
use support::dice::{Dice, seeds};
use support::range::record;
use support::{Bench, zipf};
use tailwater::axes::{Key, Metric};
use tailwater::config::StatSpec;
use tailwater::stats::Past;
use tailwater::stats::figure::{Estimate, Figure};

/// Packets that the short form takes a cell: fewer trials where they are many.
const SHORT_PACKETS: f64 = 60_000.0;

fn long() -> bool {
    std::env::var_os("TAILWATER_LONG").is_some()
}

fn trials(n: u64) -> u64 {
    if long() { 10 * n } else { n }
}

fn packet(src: u32, dst: u32, bytes: u32, weight: u16) -> tailwater::record::Record {
    let mut record = record(src, bytes, weight);
    record.dst[..4].copy_from_slice(&dst.to_be_bytes());
    record
}

fn covers(of: &Estimate, truth: f64) -> bool {
    of.low <= truth + 1e-9 && of.high.is_none_or(|high| truth <= high + 1e-9)
}

fn random(dice: &mut Dice) -> u32 {
    (dice.next() >> 32) as u32 | 0x8000_0000
}

/// What `cargo bench --bench accuracy` asks of 10,000 samples a cell; here of fewer.
#[test]
fn every_kind_of_interval_covers() {
    let mut faults = Vec::new();
    for seed in seeds(1) {
        for cell in cells() {
            let most = if long() { 10_000.0 } else { (SHORT_PACKETS / cell.packets().max(1.0)).min(400.0) };
            if most >= 30.0 {
                faults.extend(cell.faults(&cell.run(most as u64, seed), seed));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// An interval that is a tenth too narrow on both sides is found out.
#[test]
fn a_narrow_interval_is_a_fault() {
    let found = |cell: &Cell| !cell.faults(&cell.run(10_000, 1), 1).is_empty();
    let at = |name: &str| cells().into_iter().find(|cell| cell.name == name).unwrap();
    let (right, mut narrow) = (at("sum-packets-30"), at("sum-packets-30"));
    narrow.judge = Box::new(move |figure, question, claims| {
        let Figure::Total(value, Some(sum)) = figure else { unreachable!("a sum") };
        let less = |end: f64| value.value + 0.85 * (end - value.value);
        let narrowed = Figure::Total(Estimate { low: less(value.low), high: value.high.map(less), ..*value }, Some(*sum));
        (right.judge)(&narrowed, question, claims);
    });
    assert!(found(&narrow) && !found(&at("sum-packets-30")));
}

#[test]
fn entropies_are_bounded() {
    for (name, packets, spoofed, heavy) in [
        ("zipf", 200_000, 0, 0),
        ("all spoofed", 200_000, 1_000, 0),
        ("half spoofed", 200_000, 500, 0),
        ("one heavy key, many light ones", 200_000, 1_000, 950),
        ("a few keys more than are held", 20_000, 0, 0),
    ] {
        for (weight, metric) in [(1, Metric::Packets), (1, Metric::Bytes), (40, Metric::Packets)] {
            let (trials, mut inside, mut sure, mut sums) = (trials(12), 0, 0, [0.0; 4]);
            for trial in 1..=trials {
                let mut dice = Dice::new(trial);
                let mut bench = Bench::new(StatSpec::new("entropy", &[Key::SrcIp], metric), weight, 3, trial);
                let mut keys: HashMap<u32, u64> = HashMap::new();
                for _ in 0..packets {
                    let src = match dice.below(1_000) {
                        n if n < heavy => 1,
                        n if n < heavy.max(spoofed) => random(&mut dice),
                        _ if packets < 50_000 => dice.below(1_500) as u32,
                        _ => zipf(&mut dice, 20_000.0),
                    };
                    let bytes = if dice.one_in(4) { 1_500 } else { 64 };
                    *keys.entry(src).or_default() += if metric == Metric::Bytes { u64::from(bytes) } else { 1 };
                    if weight == 1 || dice.one_in(u64::from(weight)) {
                        bench.packet(src, bytes, weight as u16);
                    }
                }
                let all = keys.values().sum::<u64>() as f64;
                let truth: f64 = keys.values().map(|n| *n as f64 / all).map(|p| -p * p.log2()).sum();
                let Figure::Entropy(of, _) = bench.figure() else { unreachable!("an entropy") };
                inside += u64::from(covers(&of, truth));
                sure += u64::from(of.low <= truth);
                [truth, of.value, of.low, of.high.unwrap_or(f64::INFINITY)]
                    .iter()
                    .zip(&mut sums)
                    .for_each(|(n, sum)| *sum += n / trials as f64);
            }
            println!("entropy, {name}, {metric:?}, 1:{weight}: {inside} of {trials} covered; truth, value, low, high {sums:.2?}");
            assert!(inside as f64 >= 0.9 * trials as f64 && (weight > 1 || sure == trials), "{name} {metric:?} {weight}: {inside}, {sure}");
        }
    }
}

/// A scanner among heavy keys that touch few others and light ones that touch one each.
#[test]
fn scanners_are_found_and_bounded() {
    for (light, scanned) in [(500, 300), (20_000, 300), (200_000, 2_000), (200_000, 20_000)] {
        let (trials, mut found, mut inside, mut shown) = (trials(20), 0, 0, 0);
        for trial in 1..=trials {
            let mut dice = Dice::new(trial);
            let mut bench = Bench::new(StatSpec::new("fanout", &[Key::SrcIp], Metric::Packets), 1, 3, trial);
            let mut pairs: HashMap<u32, HashSet<u32>> = HashMap::new();
            for i in 0..(light + 2 * scanned + 40_000) {
                let (src, dst) = match dice.below(u64::from(light + 2 * scanned + 40_000)) as u32 {
                    n if n < light => (0x0B00_0000 + i, dice.below(50) as u32),
                    n if n < light + 2 * scanned => (7, dice.below(u64::from(scanned)) as u32),
                    _ => (0x0A00_0000 + dice.below(5) as u32, dice.below(3) as u32),
                };
                pairs.entry(src).or_default().insert(dst);
                bench.take(packet(src, dst, 64, 1));
            }
            let Figure::Fanout(of) = bench.figure() else { unreachable!("a fan-out") };
            found += u64::from(of.entries.first().is_some_and(|e| e.key == "0.0.0.7"));
            for entry in &of.entries {
                let key = u32::from(entry.key.parse::<std::net::Ipv4Addr>().unwrap());
                inside += u64::from(covers(&entry.value, pairs[&key].len() as f64));
                shown += 1;
            }
        }
        println!("fan-out of {scanned} among {light} keys: first in {found} of {trials} windows, {inside} of {shown} entries covered");
        assert!(found == trials && inside as f64 >= 0.99 * f64::from(shown), "{light}, {scanned}: {found}, {inside} of {shown}");
    }
}

#[test]
fn new_keys_are_bounded() {
    for (known, new, seen_again) in [(100, 50, 50), (3_000, 60, 60), (100_000, 100, 20), (100_000, 20_000, 10_000), (100_000, 200, 5_000)] {
        let (trials, mut inside, mut squares) = (trials(40), 0, 0.0);
        for trial in 1..=trials {
            let mut past = Past::default();
            let mut window = |number, keys: &mut dyn Iterator<Item = u32>| {
                let mut bench = Bench::new(StatSpec::new("new_keys", &[Key::SrcIp], Metric::Packets), 1, 3, trial);
                keys.for_each(|key| bench.packet(key, 64, 1));
                let Figure::NewKeys(of) = bench.close(&mut past, number) else { unreachable!("new keys") };
                assert_eq!(of.covers_windows, number);
                of
            };
            let first = window(0, &mut (0..known));
            assert!((first.value.value - f64::from(known)).abs() < 0.1 * f64::from(known));
            let second = window(1, &mut ((0..seen_again).chain(known..known + new)));
            inside += u64::from(covers(&second.value, f64::from(new)));
            squares += (second.value.value / f64::from(new) - 1.0).powi(2) / trials as f64;
        }
        println!("new keys, {new} beside {known} known: {inside} of {trials} covered, error {:.1} %", squares.sqrt() * 100.0);
        assert!(inside as f64 >= 0.9 * trials as f64, "{known}, {new}: {inside}");
    }
}
