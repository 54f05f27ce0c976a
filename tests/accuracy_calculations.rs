//! Whether the bounds of `peak`, `quantiles`, `entropy`, `fanout` and `new_keys` hold, and how wide they are: on records,
//! without frames, over several shards.
//!
//! `TAILWATER_LONG=1` draws ten times as many trials; the figures are printed either way.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "draws are bounded")]

#[path = "engine_support/dice.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared by tests that use a part each")]
mod dice;

use std::collections::{HashMap, HashSet};

use dice::Dice;
use tailwater::arch::HashKey;
use tailwater::axes::key::Lengths;
use tailwater::axes::{DecisionAxis, DirectionAxis, Key, KeySpec, Metric};
use tailwater::config::{Setting, StatSpec};
use tailwater::record::{Has, Record};
use tailwater::stats::figure::{Estimate, Figure};
use tailwater::stats::plan::{Period, Plan, Scratch, WeightBounds, execute};
use tailwater::stats::pool::{Budget, Memory, Pool};
use tailwater::stats::{Closing, Past};
use tailwater::units::Family;

const WINDOW_NS: u64 = 10_000_000_000;

fn trials(n: u64) -> u64 {
    if std::env::var_os("TAILWATER_LONG").is_some() { 10 * n } else { n }
}

fn spec(calculation: &str, key: Key, metric: Metric, settings: &[(&str, Setting)]) -> StatSpec {
    StatSpec {
        name: calculation.to_owned(),
        calculation: calculation.to_owned(),
        key: KeySpec::new(vec![key], Lengths::default()),
        metric,
        decision: DecisionAxis::Any,
        direction: DirectionAxis::Any,
        predicate: None,
        fast: false,
        sets: Vec::new(),
        settings: settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    }
}

/// One stat of one range in one window, over three shards that take batches in turn.
struct Bench {
    plan: Plan,
    hash_key: HashKey,
    shards: Vec<(Scratch, Vec<u64>, Pool, Budget)>,
    batch: Vec<Record>,
    turn: usize,
}

impl Bench {
    fn new(spec: &StatSpec, weight_max: u32, seed: u64) -> Self {
        let weights = WeightBounds { passed: 1, blocked: weight_max, random: true, rate: (weight_max > 1).then_some(weight_max) };
        let plan = Plan::compile(std::slice::from_ref(spec), &[0], Family::V4, weights).unwrap();
        let mut key = [7; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let shard = || (Scratch::new(&plan), vec![0; plan.root_words(Period::Long)], Pool::with_bytes(1 << 21), Budget::of_bytes(1 << 21));
        let shards = (0..3).map(|_| shard()).collect();
        Self { plan, hash_key: HashKey::new(key), shards, batch: Vec::new(), turn: 0 }
    }

    fn packet(&mut self, src: u32, dst: u32, bytes: u32, time_ns: u64, weight: u16) {
        let mut record = Record { wire_bytes: bytes, weight, time_ns, has: Has::INGRESS, ..Record::default() };
        record.src[..4].copy_from_slice(&src.to_be_bytes());
        record.dst[..4].copy_from_slice(&dst.to_be_bytes());
        record.has = record.has.with(Has::BLOCKED, weight > 1).with(Has::RANDOM, weight > 1);
        self.batch.push(record);
        if self.batch.len() == 64 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let at = self.turn % self.shards.len();
        let (scratch, root, pool, budget) = &mut self.shards[at];
        let mut memory = Memory { pool, budget };
        assert_eq!(execute(&self.plan, scratch, &self.batch, &self.hash_key, (&mut [], root), &mut memory), 0);
        self.batch.clear();
        self.turn += 1;
    }

    fn figure(mut self, past: &mut Past, number: u64) -> Figure {
        self.flush();
        let stat = &self.plan.stats()[0];
        let mut summary = stat.kernel.summary();
        for (_, root, pool, _) in &self.shards {
            let mut words = Vec::new();
            stat.kernel.export(root, pool, &mut words);
            assert!(words.len() <= stat.kernel.export_words_max());
            summary.absorb(&words);
        }
        summary.close(&stat.question, &mut Closing { window_ns: (number * WINDOW_NS, (number + 1) * WINDOW_NS), past })
    }
}

fn covers(of: &Estimate, truth: f64) -> bool {
    of.low <= truth + 1e-9 && of.high.is_none_or(|high| truth <= high + 1e-9)
}

fn random(dice: &mut Dice) -> u32 {
    (dice.next() >> 32) as u32 | 0x8000_0000
}

fn zipf(dice: &mut Dice, n: f64) -> u32 {
    0x0A00_0000 + n.powf(dice.below(1 << 32) as f64 / 4_294_967_296.0) as u32
}

/// Under random 1:40 sampling, for few and many samples a sub-window.
#[test]
fn sampled_peaks_are_covered() {
    for packets in [400, 4_000, 40_000, 200_000_u64] {
        let (trials, mut inside, mut width) = (trials(if packets > 100_000 { 60 } else { 300 }), 0, 0.0);
        for trial in 1..=trials {
            let mut dice = Dice::new(trial);
            let mut bench = Bench::new(&spec("peak", Key::None, Metric::Packets, &[]), 40, trial);
            let mut truth = [0_u64; 100];
            for i in 0..packets {
                // A pulse of a sub-window in an even flow.
                let time = if i % 20 == 0 { 4_250_000_000 } else { dice.below(WINDOW_NS) };
                truth[(time / 100_000_000) as usize] += 1;
                if dice.one_in(40) {
                    bench.packet(1, 2, 64, time, 40);
                }
            }
            let Figure::Peak(peak) = bench.figure(&mut Past::default(), 0) else { unreachable!("a peak") };
            let truth = *truth.iter().max().unwrap() as f64 * 10.0;
            inside += u64::from(covers(&peak.rate, truth));
            width += (peak.rate.high.unwrap() - peak.rate.low) / truth / trials as f64;
        }
        let share = inside as f64 / trials as f64;
        println!("peak of {packets} packets, sampled 1:40: {share:.4} covered, mean width {width:.2} of the truth");
        assert!(share >= 0.94, "{packets}: {share}");
    }
}

#[test]
fn sampled_quantiles_are_covered() {
    let ranks = [0.1, 0.5, 0.9, 0.99];
    for packets in [200, 2_000, 20_000, 100_000_u64] {
        let (trials, mut inside, mut width) = (trials(if packets > 50_000 { 60 } else { 300 }), [0; 4], [0.0; 4]);
        let settings = [("ranks", Setting::Floats(ranks.to_vec()))];
        for trial in 1..=trials {
            let mut dice = Dice::new(trial);
            let mut bench = Bench::new(&spec("quantiles", Key::PacketSize, Metric::Packets, &settings), 40, trial);
            let mut sizes = Vec::new();
            for _ in 0..packets {
                let bytes = 60 + (dice.below(1_000).pow(2) / 700) as u32;
                sizes.push(bytes);
                if dice.one_in(40) {
                    bench.packet(1, 2, bytes, 0, 40);
                }
            }
            sizes.sort_unstable();
            let Figure::Quantiles(of) = bench.figure(&mut Past::default(), 0) else { unreachable!("quantiles") };
            for (i, q) in of.quantiles.iter().enumerate() {
                let truth = f64::from(sizes[((q.rank * packets as f64).ceil() as usize).max(1) - 1]);
                inside[i] += u64::from(covers(&q.value, truth));
                width[i] += (q.value.high.unwrap_or(1_500.0) - q.value.low) / 1_500.0 / trials as f64;
            }
            // A sample without a packet claims nothing.
            (of.quantiles.len()..4).for_each(|i| inside[i] += 1);
        }
        let share = inside.map(|n| n as f64 / trials as f64);
        println!("quantiles {ranks:?} of {packets} packets, sampled 1:40: {share:.3?} covered, mean width {width:.3?} of all sizes");
        assert!(share.iter().all(|share| *share >= 0.94), "{packets}: {share:?}");
    }
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
                let mut bench = Bench::new(&spec("entropy", Key::SrcIp, metric, &[]), weight, trial);
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
                        bench.packet(src, 2, bytes, 0, weight as u16);
                    }
                }
                let all = keys.values().sum::<u64>() as f64;
                let truth: f64 = keys.values().map(|n| *n as f64 / all).map(|p| -p * p.log2()).sum();
                let Figure::Entropy(of, _) = bench.figure(&mut Past::default(), 0) else { unreachable!("an entropy") };
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
            let mut bench = Bench::new(&spec("fanout", Key::SrcIp, Metric::Packets, &[]), 1, trial);
            let mut pairs: HashMap<u32, HashSet<u32>> = HashMap::new();
            for i in 0..(light + 2 * scanned + 40_000) {
                let (src, dst) = match dice.below(u64::from(light + 2 * scanned + 40_000)) as u32 {
                    n if n < light => (0x0B00_0000 + i, dice.below(50) as u32),
                    n if n < light + 2 * scanned => (7, dice.below(u64::from(scanned)) as u32),
                    _ => (0x0A00_0000 + dice.below(5) as u32, dice.below(3) as u32),
                };
                pairs.entry(src).or_default().insert(dst);
                bench.packet(src, dst, 64, 0, 1);
            }
            let Figure::Fanout(of) = bench.figure(&mut Past::default(), 0) else { unreachable!("a fan-out") };
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
            let stat = spec("new_keys", Key::SrcIp, Metric::Packets, &[]);
            let mut past = Past::default();
            let mut window = |number, keys: &mut dyn Iterator<Item = u32>| {
                let mut bench = Bench::new(&stat, 1, trial);
                keys.for_each(|key| bench.packet(key, 2, 64, 0, 1));
                let Figure::NewKeys(of) = bench.figure(&mut past, number) else { unreachable!("new keys") };
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
