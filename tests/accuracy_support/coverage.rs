//! Intervals against their promise: random samples of known traffic, and how many hold the truth.

use tailwater::stats::figure::{Confidence, Estimate};
use tailwater::stats::interval::{Question, estimate};
use tailwater::stats::weighted::Weighted;

use super::dice::Dice;

/// One kind of interval at one size.
pub struct Cell {
    pub name: String,
    /// Packets that pass and are all seen.
    passed: u64,
    /// Of what is blocked: packets, value of each, sampling rate.
    blocked: Vec<(u64, u64, u64)>,
    question: Question,
    /// Mean width against Wald's, at most.
    pub width_max: Option<f64>,
}

/// What became of a cell's trials.
#[derive(Debug)]
pub struct Coverage {
    /// Share of trials that hold the truth.
    pub covered: f64,
    /// Mean width against Wald's, 2 x 1.96 standard errors.
    pub width: f64,
    /// What is said to be sure was so in every trial.
    pub sure: bool,
}

const SIZES: [f64; 7] = [0.5, 2.0, 5.0, 10.0, 30.0, 100.0, 1_000.0];

/// Every kind at every size.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for expected in SIZES {
        let sent = (40.0 * expected) as u64;
        let ones = Question { weight_max: 40, value_max: 1, random: true };
        let bytes = Question { weight_max: 40, value_max: 1_518, random: true };
        let narrow = |from: f64, most: f64| (expected >= from).then_some(most);
        let mut cell = |kind: &str, passed, blocked, question, width_max| {
            cells.push(Cell { name: format!("{kind}-{expected}"), passed, blocked, question, width_max });
        };
        cell("packets", 0, vec![(sent, 1, 40)], ones, narrow(30.0, 1.15));
        cell("any", 1_000, vec![(sent, 1, 40)], ones, narrow(30.0, 1.15));
        for percent in [0, 1, 10, 50] {
            let large = sent * percent / 100;
            let kind = if percent == 0 { "bytes-all-64".to_owned() } else { format!("bytes-{percent}-percent-large") };
            cell(&kind, 0, vec![(sent - large, 64, 40), (large, 1_500, 40)], bytes, narrow(1_000.0, 1.35));
        }
        // Half of the samples from each of two rules.
        let (few, many) = ((5.0 * expected) as u64, (50.0 * expected) as u64);
        let mixed = Question { weight_max: 100, ..ones };
        cell("mixed-weights", 0, vec![(few, 1, 10), (many, 1, 100)], mixed, narrow(1_000.0, 1.15));
        let mixed = Question { weight_max: 100, ..bytes };
        cell("mixed-weights-bytes", 500, vec![(few, 1_500, 10), (many, 64, 100)], mixed, None);
    }
    cells
}

/// Number of successes among `n` draws of one in `rate`, by the gaps between them.
fn binomial(dice: &mut Dice, n: u64, rate: u64) -> u64 {
    let log = (1.0 - 1.0 / rate as f64).ln();
    let (mut at, mut hits) = (0.0, 0);
    loop {
        let u = (dice.next() >> 11) as f64 / (1_u64 << 53) as f64;
        at += 1.0 + ((1.0 - u).ln() / log).floor();
        if at > n as f64 {
            return hits;
        }
        hits += 1;
    }
}

fn sample(cell: &Cell, dice: &mut Dice) -> Weighted {
    let mut sum = Weighted { passed: cell.passed, ..Weighted::default() };
    for (sent, value, rate) in &cell.blocked {
        let n = binomial(dice, *sent, *rate);
        sum.merge(&Weighted {
            passed: 0,
            sampled_packets: n,
            scaled: n * rate * value,
            variance: u128::from(n * rate * (rate - 1)) * u128::from(value * value),
            largest: if n > 0 { rate * value } else { 0 },
            unproven: 0,
            seen: n * value,
        });
    }
    sum
}

/// Draws samples of a cell.
pub fn run(cell: &Cell, trials: u64, seed: u64) -> Coverage {
    let mut dice = Dice::new(seed);
    let truth = cell.passed + cell.blocked.iter().map(|(sent, value, _)| sent * value).sum::<u64>();
    let variance: f64 = cell.blocked.iter().map(|(sent, value, rate)| (sent * (rate - 1) * value * value) as f64).sum();
    let (mut inside, mut width, mut sure) = (0, 0.0, true);
    for _ in 0..trials {
        let sum = sample(cell, &mut dice);
        let Estimate { value, low, high, confidence, .. } = estimate(&sum, &cell.question);
        let high = high.unwrap_or(f64::INFINITY);
        let holds = low <= truth as f64 && truth as f64 <= high;
        inside += u64::from(holds);
        width += high - low;
        // What was seen is surely there, and low never says less.
        sure &= low <= value && value <= high && low >= (sum.passed + sum.seen) as f64 && sum.passed + sum.seen <= truth;
        sure &= confidence == Confidence::P95 || holds;
    }
    Coverage { covered: inside as f64 / trials as f64, width: width / trials as f64 / (2.0 * 1.96 * variance.sqrt()), sure }
}
