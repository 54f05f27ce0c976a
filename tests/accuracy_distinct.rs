//! Whether the upper end of a sample's distinct keys holds the truth, and how far away it is.
//!
//! `TAILWATER_LONG=1` draws 10,000 samples a cell and the sizes that take minutes; the figures are printed either way.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "draws are bounded")]

#[path = "accuracy_support/mod.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared by tests that use a part each")]
mod support;

use support::dice::Dice;
use support::{Bench, spec};
use tailwater::axes::Metric;
use tailwater::stats::figure::{Distinct, Figure};

/// Blocked packets by key.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// So many packets a key.
    Each(u64),
    /// The key of rank r has 1/r of what the first has, and one at least.
    Zipf,
}

/// Packets of a kind, of which so many are expected in a sample; one in each of these rates in turn.
struct Cell {
    kind: Kind,
    expected: f64,
    rates: &'static [u64],
    /// Of the mean upper end, in parts of the truth.
    high_max: f64,
}

#[derive(Debug)]
struct Outcome {
    truth: usize,
    covered: f64,
    high: f64,
    kept: f64,
}

fn long() -> bool {
    std::env::var_os("TAILWATER_LONG").is_some()
}

/// The key of each packet.
fn packets(cell: &Cell) -> Vec<u32> {
    let mean = cell.rates.iter().map(|rate| 1.0 / *rate as f64).sum::<f64>() / cell.rates.len() as f64;
    let sent = (cell.expected / mean).max(1.0) as u64;
    match cell.kind {
        Kind::Each(of_key) => (0..sent.div_ceil(of_key) * of_key).map(|i| (i / of_key) as u32).collect(),
        Kind::Zipf => {
            // Half of the packets are of keys that have one.
            let first = sent as f64 / 2.0 / (sent as f64 + 2.0).ln();
            let of_rank = |rank: u32| ((first / f64::from(rank)) as usize).max(1);
            (1..).flat_map(|rank| std::iter::repeat_n(rank, of_rank(rank))).take(sent as usize).collect()
        }
    }
}

fn sample(cell: &Cell, packets: &[u32], seed: u64) -> Distinct {
    let mut dice = Dice::new(seed);
    let heaviest = u32::try_from(*cell.rates.iter().max().unwrap()).unwrap();
    let mut bench = Bench::new(spec("distinct", Metric::Packets), heaviest, 1 + (seed % 3) as usize, seed);
    for (class, rate) in cell.rates.iter().enumerate() {
        let of_class: Vec<u32> =
            if cell.rates.len() == 1 { Vec::new() } else { packets.iter().skip(class).step_by(cell.rates.len()).copied().collect() };
        let of_class = if cell.rates.len() == 1 { packets } else { &of_class };
        let log = (1.0 - 1.0 / *rate as f64).ln();
        let mut at = -1.0;
        loop {
            let u = (dice.next() >> 11) as f64 / (1_u64 << 53) as f64;
            at += 1.0 + ((1.0 - u).ln() / log).floor();
            if at >= of_class.len() as f64 {
                break;
            }
            bench.packet(of_class[at as usize], 64, u16::try_from(*rate).unwrap());
        }
    }
    let Figure::Distinct(of) = bench.figure() else { unreachable!("a distinct") };
    of
}

fn run(cell: &Cell, trials: u64) -> Outcome {
    let packets = packets(cell);
    let mut truth = packets.clone();
    truth.sort_unstable();
    truth.dedup();
    let truth = truth.len();
    let (mut covered, mut highs, mut kept) = (0, 0.0, 0);
    for trial in 1..=trials {
        let of = sample(cell, &packets, trial);
        let high = of.value.high.unwrap();
        covered += u64::from(of.value.low <= truth as f64 && truth as f64 <= high);
        highs += high / truth as f64;
        kept += of.shown.unwrap().keys.len();
    }
    Outcome { truth, covered: covered as f64 / trials as f64, high: highs / trials as f64, kept: kept as f64 / trials as f64 }
}

fn check(cells: &[Cell], trials: u64, least: f64) {
    let mut missed = Vec::new();
    for cell in cells {
        let of = run(cell, trials);
        let name = format!("{:?}, one in {:?}, {} expected", cell.kind, cell.rates, cell.expected);
        println!(
            "{name}: {} keys, {:.4} of {trials} covered, high is {:.3} times that, {:.0} kept",
            of.truth, of.covered, of.high, of.kept
        );
        if of.covered < least || of.high > cell.high_max {
            missed.push(format!("{name}: {of:?}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

const KINDS: [Kind; 4] = [Kind::Each(1), Kind::Each(10), Kind::Each(400), Kind::Zipf];
const SIZES: [f64; 7] = [0.5, 2.0, 5.0, 10.0, 30.0, 100.0, 1_000.0];

#[test]
fn the_upper_end_of_a_sample_holds() {
    let cell = |expected, kind| Cell { kind, expected, rates: &[40], high_max: f64::INFINITY };
    let cells: Vec<Cell> = SIZES.iter().flat_map(|size| KINDS.map(|kind| cell(*size, kind))).collect();
    // Of 300 samples 270 fail by chance about once in 10^4 cells.
    let (trials, least) = if long() { (10_000, 0.94) } else { (300, 0.9) };
    check(&cells, trials, least);
}

/// Where the sampler takes nearly all, chance moves what is missed as much as what is seen; of several rates each counts by its own.
#[test]
fn at_any_rate() {
    let cell = |expected, rates, kind| Cell { kind, expected, rates, high_max: f64::INFINITY };
    let rates: [&[u64]; 5] = [&[2], &[3], &[10], &[1_000], &[10, 100]];
    let sizes = if long() { vec![2.0, 10.0, 100.0, 1_000.0] } else { vec![10.0, 300.0] };
    let kinds = [Kind::Each(1), Kind::Each(2), Kind::Zipf];
    let cells: Vec<Cell> =
        sizes.iter().flat_map(|size| rates.iter().flat_map(move |rates| kinds.map(|kind| cell(*size, *rates, kind)))).collect();
    let (trials, least) = if long() { (10_000, 0.94) } else { (300, 0.9) };
    check(&cells, trials, least);
}

/// It says something: near the truth where keys came once or often, further away where nobody can tell.
#[test]
fn the_upper_end_is_not_far_away() {
    let sizes: &[(f64, u64)] = if long() { &[(10_000.0, 1_000), (100_000.0, 200)] } else { &[(10_000.0, 60)] };
    for (expected, trials) in sizes {
        let cell = |kind, high_max| Cell { kind, expected: *expected, rates: &[40], high_max };
        let cells = [cell(Kind::Each(1), 1.25), cell(Kind::Each(10), 12.0), cell(Kind::Each(400), 2.1), cell(Kind::Zipf, 4.0)];
        check(&cells, *trials, if long() { 0.94 } else { 0.9 });
    }
}
