//! How good figures are, against theory and against other sketches in the same run: one line of JSON a case.
//!
//! `cargo bench --bench accuracy -- [--short] [--times] [FILTER]`. Shares, where more is better, have as `ratio` ours over theirs;
//! errors, widths and bytes theirs over ours. Each interval of each cell has how many samples it covers beside the 95 % that is
//! promised, how many it misses on either side, and its width beside Wald's or the cap it is kept below.
#![allow(clippy::unwrap_used, reason = "a bench says what it expects by unwrapping")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "draws are bounded")]

#[path = "support/rivals.rs"]
#[allow(unreachable_pub, missing_docs, reason = "a bench")]
mod rivals;
#[path = "../tests/accuracy_support/mod.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared with the accuracy test")]
mod support;
#[path = "support/mod.rs"]
mod support_of_benches;

use std::collections::HashMap;
use std::time::Instant;

use rivals::{K, Outcome};
use support::coverage;
use support::dice::{Dice, seeds};
use support::range::{WINDOW_NS, record};
use support::{Bench, Stream, source, spec};
use tailwater::axes::{Key, Metric};
use tailwater::config::{Setting, StatSpec};
use tailwater::record::Record;
use tailwater::stats::figure::Figure;

struct Options {
    short: bool,
    times: bool,
    filter: String,
}

/// Where nothing is off the mark, a ratio of errors is this.
const RATIO_MAX: f64 = 1_000.0;

impl Options {
    fn wants(&self, case: &str) -> bool {
        case.contains(&self.filter) || self.filter.starts_with(case)
    }

    /// A share of which more is better.
    fn say(&self, case: &str, unit: &str, ours: f64, (against, theirs): (&str, f64)) {
        let ratio = if ours == theirs { 1.0 } else { (ours / theirs).min(RATIO_MAX) };
        self.print(&support_of_benches::Figure { bench: "accuracy", case, unit, ours, against, theirs, ratio });
    }

    /// An error of which less is better: the ratio is theirs over ours.
    fn say_error(&self, case: &str, unit: &str, ours: f64, (against, theirs): (&str, f64)) {
        let ratio = if ours == theirs { 1.0 } else { (theirs / ours).min(RATIO_MAX) };
        self.print(&support_of_benches::Figure { bench: "accuracy", case, unit, ours, against, theirs, ratio });
    }

    fn print(&self, figure: &support_of_benches::Figure<'_>) {
        if figure.case.contains(&self.filter) {
            figure.print();
        }
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
            options.say(&format!("coverage-{name}"), "share of intervals that hold", tally.covered(), ("promise", 0.95));
            options.say_error(&format!("low-miss-{name}"), "share of intervals", share(tally.low_misses), ("promise", 0.025));
            options.say_error(&format!("high-miss-{name}"), "share of intervals", share(tally.high_misses), ("promise", 0.025));
            if let Some(width) = tally.width() {
                let unit = if cell.name.starts_with("entropy") { "bits" } else { "of Wald's width" };
                let against = cell.width_max.map_or(("Wald's", 1.0), |most| ("cap", most));
                options.say_error(&format!("width-{name}"), unit, width, against);
            }
        }
        faults.extend(cell.faults(&claims, seed));
    }
    faults
}

/// From one key to ten million: error against theory's, bias against what chance leaves of none, and how many bounds hold.
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
            (10_000, 5_000),
            (100_000, 500),
            (1_000_000, 60),
            (10_000_000, 10),
        ]
    };
    for (n, trials) in sizes {
        let (case, truth) = (format!("distinct-{n}"), f64::from(*n));
        if !options.wants(&case) {
            continue;
        }
        let (mut squares, mut bias, mut covered) = (0.0, 0.0, 0);
        let mut bench = Bench::new(spec("distinct", Metric::Packets), 1, 1, 1);
        for seed in 1..=*trials {
            bench.reset(seed);
            (0..*n).for_each(|i| bench.packet(0x0A00_0000 + i, 64, 1));
            let Figure::Distinct(of) = bench.figure() else { unreachable!("a distinct") };
            let error = of.value.value / truth - 1.0;
            (squares, bias) = (squares + error * error, bias + error);
            covered += u64::from(of.value.low <= truth && of.value.high.is_some_and(|high| truth <= high));
        }
        let (trials, theory) = (*trials as f64, 1.04 / 64.0);
        options.say_error(&format!("{case}-rmse"), "relative error", (squares / trials).sqrt(), ("theory, 1.04/64", theory));
        let chance = ("two standard errors of none", 2.0 * theory / trials.sqrt());
        options.say_error(&format!("{case}-bias"), "relative error", (bias / trials).abs(), chance);
        options.say(&format!("{case}-covered"), "share of windows", covered as f64 / trials, ("promise", 0.95));
    }
}

fn topk(options: &Options) {
    let sizes: &[(u64, u64)] =
        if options.short { &[(10_000, 10)] } else { &[(10_000, 200), (100_000, 50), (1_000_000, 6), (4_000_000, 2)] };
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
        if !options.wants(&case) {
            continue;
        }
        let mut mean = Outcome::default();
        (1..=seeds).for_each(|seed| mean.add(&Outcome::of(stream, n, seed), 1.0 / seeds as f64));
        for (i, rival) in [(1, "datasketches frequent items"), (2, "space-saving")] {
            options.say(&format!("{case}-recall"), &format!("recall of {K}"), mean.recall[0], (rival, mean.recall[i]));
            options.say_error(&format!("{case}-bounds"), "width over count, of those found", mean.width[0], (rival, mean.width[i]));
            options.say_error(&format!("{case}-bytes"), "bytes", mean.bytes[0], (rival, mean.bytes[i]));
        }
        options.say_error(&format!("{case}-violations"), "bounds that do not hold", mean.violations as f64, ("promise", 0.0));
    }
}

/// Sizes of packets, whose quantiles at 10,000 packets and more are never wrong by 1 %.
fn quantiles(options: &Options) {
    let ranks: Vec<f64> = (1..32).map(|n| f64::from(n) / 32.0).collect();
    for n in if options.short { vec![10_000] } else { vec![10_000, 1_000_000] } {
        let case = format!("quantiles-{n}");
        if !options.wants(&case) {
            continue;
        }
        let stat = StatSpec::new("quantiles", &[Key::PacketSize], Metric::Packets).with("ranks", Setting::Floats(ranks.clone()));
        let (mut bench, mut dice, mut sizes) = (Bench::new(stat, 1, 1, 1), Dice::new(1), Vec::new());
        for _ in 0..n {
            sizes.push(60 + (dice.below(4_000).pow(2) / 1_777) as u32);
            bench.packet(1, sizes[sizes.len() - 1], 1);
        }
        sizes.sort_unstable();
        let Figure::Quantiles(of) = bench.figure() else { unreachable!("quantiles") };
        let truth = |rank: f64| f64::from(sizes[(rank * sizes.len() as f64).ceil() as usize - 1]);
        let worst = of.quantiles.iter().map(|q| (q.value.value / truth(q.rank) - 1.0).abs()).fold(0.0, f64::max);
        options.say_error(&format!("{case}-error"), "largest relative error of 31 ranks", worst, ("promise", 0.01));
    }
}

/// Bits between an entropy and the truth, beside how far its bounds are apart; and peaks, which are exact where all is seen.
fn entropies_and_peaks(options: &Options) {
    for (name, stream) in [("zipf", Stream::Zipf), ("uniform", Stream::Uniform), ("spoofed-90", Stream::Spoofed(900))] {
        for (n, seeds) in [(10_000, 20), (100_000, 10), (1_000_000, 3)] {
            let case = format!("entropy-{name}-{n}");
            if !options.wants(&case) || options.short && n > 10_000 {
                continue;
            }
            let (mut off, mut width) = (0.0, 0.0);
            for seed in 1..=seeds {
                let (mut bench, mut dice) = (Bench::new(spec("entropy", Metric::Packets), 1, 1, seed), Dice::new(seed));
                let mut keys: HashMap<u32, u64> = HashMap::new();
                for i in 0..n {
                    let src = source(&mut dice, stream, i, n);
                    *keys.entry(src).or_default() += 1;
                    bench.packet(src, 64, 1);
                }
                let truth: f64 = keys.values().map(|count| *count as f64 / n as f64).map(|p| -p * p.log2()).sum();
                let Figure::Entropy(of, _) = bench.figure() else { unreachable!("an entropy") };
                off += (of.value - truth).abs() / seeds as f64;
                width += (of.high.unwrap() - of.low) / seeds as f64;
            }
            options.say_error(&format!("{case}-error"), "bits", off, ("its bounds are apart", width));
        }
    }
    for n in [10_000_u64, 1_000_000] {
        let case = format!("peak-{n}");
        if !options.wants(&case) {
            continue;
        }
        let (mut bench, mut dice, mut counts) =
            (Bench::new(StatSpec::new("peak", &[Key::None], Metric::Packets), 1, 1, 1), Dice::new(1), [0_u64; 100]);
        for _ in 0..n {
            let time_ns = dice.below(WINDOW_NS);
            counts[(time_ns / (WINDOW_NS / 100)) as usize] += 1;
            bench.take(Record { time_ns, ..record(1, 64, 1) });
        }
        let Figure::Peak(of) = bench.figure() else { unreachable!("a peak") };
        let truth = *counts.iter().max().unwrap() as f64 * 10.0;
        options.say(&format!("{case}-exact"), "packets/s", of.rate.value, ("truth", truth));
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
    quantiles(&options);
    entropies_and_peaks(&options);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
