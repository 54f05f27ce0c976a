//! How good figures are, against theory and against other sketches in the same run: one line of JSON a case.
//!
//! `cargo bench --bench accuracy -- [--short] [FILTER]`. `ratio` is ours over theirs; more is better. `coverage` stands beside
//! the 95 % that is promised, `distinct` gives theory's error over ours, `topk` the share of the true top 20 that is listed.
#![allow(clippy::unwrap_used, reason = "a bench says what it expects by unwrapping")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "draws are bounded")]

#[path = "../tests/accuracy_support/mod.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared with the accuracy test")]
mod support;

use std::collections::HashMap;
use std::time::Instant;

use datasketches::frequencies::{ErrorType, FrequentItemsSketch};
use support::coverage;
use support::dice::{Dice, seeds};
use support::{Bench, Stream, source, spec};
use tailwater::axes::Metric;
use tailwater::stats::figure::Figure;

const K: usize = 20;
/// Cells of Space-Saving, and of the map of DataSketches' frequent items: about 8 KiB each.
const SPACE_SAVING_CELLS: usize = 256;
const FREQUENT_ITEMS_MAP: usize = 512;

struct Options {
    short: bool,
    times: bool,
    filter: String,
}

fn say(options: &Options, case: &str, unit: &str, ours: f64, (against, theirs): (&str, f64)) {
    if case.contains(&options.filter) {
        let ratio = if theirs == 0.0 { 0.0 } else { ours / theirs };
        println!(
            "{{\"bench\": \"accuracy\", \"case\": \"{case}\", \"unit\": \"{unit}\", \"ours\": {ours:.4}, \"against\": \"{against}\", \"theirs\": {theirs:.4}, \"ratio\": {ratio:.4}}}"
        );
    }
}

/// Every kind of interval; says what is wrong at the end.
fn intervals(options: &Options) -> Vec<String> {
    let (mut faults, seed) = (Vec::new(), seeds(1)[0]);
    for cell in coverage::cells() {
        if !["coverage", "low-miss", "high-miss", "width"].iter().any(|row| format!("{row}-{}", cell.name).contains(&options.filter)) {
            continue;
        }
        let start = Instant::now();
        let claims = cell.run(if options.short { 500 } else { 10_000 }, seed);
        if options.times {
            eprintln!("{:.2} s {}", start.elapsed().as_secs_f64(), cell.name);
        }
        for tally in &claims.tallies {
            let name = format!("{}{}", cell.name, tally.name);
            let share = |misses: u64| misses as f64 / tally.claims as f64;
            say(options, &format!("coverage-{name}"), "share of intervals that hold", tally.covered(), ("promise", 0.95));
            say(options, &format!("low-miss-{name}"), "share of intervals", share(tally.low_misses), ("promise", 0.025));
            say(options, &format!("high-miss-{name}"), "share of intervals", share(tally.high_misses), ("promise", 0.025));
            if let Some(width) = tally.width() {
                let against = cell.width_max.map_or(("Wald's", 1.0), |most| ("cap", most));
                say(options, &format!("width-{name}"), "of Wald's width", width, against);
            }
        }
        faults.extend(cell.faults(&claims, seed));
    }
    faults
}

fn distinct(options: &Options) {
    let sizes: &[(u32, u64)] = if options.short {
        &[(1, 200), (128, 200), (1_000, 200), (100_000, 40)]
    } else {
        &[
            (1, 5_000),
            (64, 5_000),
            (128, 5_000),
            (129, 5_000),
            (1_000, 5_000),
            (10_000, 2_000),
            (100_000, 300),
            (1_000_000, 40),
            (10_000_000, 4),
        ]
    };
    for (n, trials) in sizes {
        let (mut squares, mut bias, mut covered) = (0.0, 0.0, 0);
        for seed in 1..=*trials {
            let mut bench = Bench::new(spec("distinct", Metric::Packets), 1, 1, seed);
            (0..*n).for_each(|i| bench.packet(0x0A00_0000 + i, 64, 1));
            let Figure::Distinct(of) = bench.figure() else { unreachable!("a distinct") };
            let error = of.value.value / f64::from(*n) - 1.0;
            squares += error * error;
            bias += error;
            covered += u64::from(of.value.low <= f64::from(*n) && of.value.high.is_some_and(|high| f64::from(*n) <= high));
        }
        let trials = *trials as f64;
        let (rmse, theory) = ((squares / trials).sqrt(), 1.04 / 64.0);
        let case = format!("distinct-{n}");
        say(options, &format!("{case}-rmse"), "relative error", rmse, ("theory", theory));
        say(options, &format!("{case}-bias"), "relative error", bias / trials, ("none", 0.0));
        say(options, &format!("{case}-coverage"), "share of windows covered", covered as f64 / trials, ("promise", 0.95));
    }
}

/// Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data streams" (2005), plainly.
#[derive(Default)]
struct SpaceSaving {
    counts: HashMap<u32, u64>,
    /// By count, which keys have it.
    order: std::collections::BTreeSet<(u64, u32)>,
}

impl SpaceSaving {
    fn add(&mut self, key: u32) {
        let count = if let Some(count) = self.counts.get(&key) {
            *count
        } else if self.counts.len() < SPACE_SAVING_CELLS {
            0
        } else {
            let (least, out) = self.order.pop_first().unwrap();
            self.counts.remove(&out);
            least
        };
        self.order.remove(&(count, key));
        self.order.insert((count + 1, key));
        self.counts.insert(key, count + 1);
    }

    fn top(&self) -> Vec<u32> {
        self.order.iter().rev().take(K).map(|(_, key)| *key).collect()
    }
}

/// Share of the true top 20 that is listed; ties count either way. Ours, Space-Saving's, frequent items'.
fn recalls(stream: Stream, n: u64, seed: u64) -> ([f64; 3], u64) {
    let mut dice = Dice::new(seed);
    let mut ours = Bench::new(spec("topk", Metric::Packets), 1, 1, seed);
    let (mut saving, mut items) = (SpaceSaving::default(), FrequentItemsSketch::<u32>::new(FREQUENT_ITEMS_MAP).unwrap());
    let mut truth: HashMap<u32, u64> = HashMap::new();
    for i in 0..n {
        let src = source(&mut dice, stream, i, n);
        *truth.entry(src).or_default() += 1;
        ours.packet(src, 64, 1);
        saving.add(src);
        items.update(src);
    }
    let mut counts: Vec<u64> = truth.values().copied().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let least = counts[K - 1];
    let share = |keys: &[u32]| keys.iter().take(K).filter(|key| truth[key] >= least).count() as f64 / K as f64;
    let top = ours.top();
    let of = |text: &str| u32::from(text.parse::<std::net::Ipv4Addr>().unwrap());
    let listed: Vec<u32> = top.entries.iter().map(|e| of(&e.key)).collect();
    let outside = |e: &&tailwater::stats::figure::TopEntry| {
        let truth = truth[&of(&e.key)] as f64;
        truth < e.value.low || e.value.high.is_none_or(|high| truth > high)
    };
    let violations = top.entries.iter().chain(&top.reserve).filter(outside).count() as u64;
    let mut rows = items.frequent_items_with_threshold(ErrorType::NoFalseNegatives, 0);
    rows.sort_by_key(|row| std::cmp::Reverse(row.estimate()));
    let theirs: Vec<u32> = rows.iter().map(|row| *row.item()).collect();
    ([share(&listed), share(&saving.top()), share(&theirs)], violations)
}

fn topk(options: &Options) {
    let sizes: &[(u64, u64)] =
        if options.short { &[(10_000, 10)] } else { &[(10_000, 200), (100_000, 60), (1_000_000, 8), (4_000_000, 2)] };
    let streams = [
        ("zipf", Stream::Zipf),
        ("uniform", Stream::Uniform),
        ("spoofed-90", Stream::Spoofed(900)),
        ("spoofed-97", Stream::Spoofed(970)),
        ("decoys", Stream::Decoys),
        ("pulses", Stream::Pulses),
    ];
    for ((name, stream), (n, seeds)) in streams.into_iter().flat_map(|s| sizes.iter().map(move |size| (s, *size))) {
        let case = format!("topk-{name}-{n}");
        if !case.contains(&options.filter) {
            continue;
        }
        let (mut sums, mut violations) = ([0.0; 3], 0);
        for seed in 1..=seeds {
            let (recall, outside) = recalls(stream, n, seed);
            sums.iter_mut().zip(recall).for_each(|(sum, share)| *sum += share / seeds as f64);
            violations += outside;
        }
        say(options, &case, "recall of 20", sums[0], ("datasketches frequent items", sums[2]));
        say(options, &case, "recall of 20", sums[0], ("space-saving", sums[1]));
        say(options, &case, "bounds that do not hold", violations as f64, ("promise", 0.0));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let short = arguments.iter().any(|a| a == "--short");
    let filter = arguments.iter().find(|a| !a.starts_with("--")).cloned().unwrap_or_default();
    let options = Options { short, times: arguments.iter().any(|a| a == "--times"), filter };
    let faults = intervals(&options);
    if options.filter.is_empty() || options.filter.starts_with('d') {
        distinct(&options);
    }
    topk(&options);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
