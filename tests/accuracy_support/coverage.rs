//! Intervals against their promise: random samples of known traffic through the engine, and how many hold the truth.

use std::collections::HashMap;

use tailwater::axes::Metric;
use tailwater::config::StatSpec;
use tailwater::record::Record;
use tailwater::stats::Past;
use tailwater::stats::figure::{Confidence, Estimate, Figure};
use tailwater::stats::interval::Question;
use tailwater::stats::plan::WeightBounds;

use super::dice::Dice;
use super::{Bench, cells, shapes, sketches};

/// Expected numbers of sampled packets.
pub const SIZES: [f64; 7] = [0.5, 2.0, 5.0, 10.0, 30.0, 100.0, 1_000.0];
const POOL_BYTES: usize = 1 << 22;

/// Packets under one rule: how many, its rate (1: all are seen), and what the n-th of them is.
pub struct Part {
    pub packets: u64,
    pub rate: u16,
    pub make: Box<dyn Fn(u64) -> Record>,
}

/// Looks at a figure, and tells of its intervals.
pub type Judge = Box<dyn Fn(&Figure, &Question, &mut Claims)>;

/// One kind of interval at one size.
pub struct Cell {
    pub name: String,
    pub spec: StatSpec,
    pub weights: WeightBounds,
    pub shards: usize,
    /// The traffic of the window before, where the figure depends on it.
    pub before: Vec<Part>,
    pub parts: Vec<Part>,
    pub judge: Judge,
    /// Mean width against Wald's, at most.
    pub width_max: Option<f64>,
}

/// What became of the trials of one of a cell's intervals.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub name: &'static str,
    pub claims: u64,
    /// The truth was below the low end.
    pub low_misses: u64,
    /// It was above the high end.
    pub high_misses: u64,
    /// Sum of widths against Wald's, over `widths` claims.
    width: f64,
    widths: u64,
}

impl Tally {
    pub fn covered(&self) -> f64 {
        1.0 - (self.low_misses + self.high_misses) as f64 / self.claims.max(1) as f64
    }

    /// Mean width against Wald's, where there is one.
    pub fn width(&self) -> Option<f64> {
        (self.widths > 0).then(|| self.width / self.widths as f64)
    }

    /// The least share that so many trials of a right interval cover, but for chance: once in some 10^5 cells.
    pub fn least(&self) -> f64 {
        0.95 - 4.6 * (0.95 * 0.05 / self.claims.max(1) as f64).sqrt()
    }
}

/// All intervals of a cell.
#[derive(Debug, Default)]
pub struct Claims {
    pub tallies: Vec<Tally>,
    /// What is said to be sure and was not.
    pub broken: Vec<String>,
}

impl Claims {
    /// The tally of this name.
    fn of(&mut self, name: &'static str) -> &mut Tally {
        let at = self.tallies.iter().position(|tally| tally.name == name).unwrap_or_else(|| {
            self.tallies.push(Tally { name, ..Tally::default() });
            self.tallies.len() - 1
        });
        &mut self.tallies[at]
    }

    /// An interval beside the truth, and the width that Wald's would have on average (0: it has none).
    pub fn judge(&mut self, name: &'static str, of: &Estimate, truth: f64, wald: f64) -> (bool, bool) {
        let high = of.high.unwrap_or(f64::INFINITY);
        // The last digit of a double is no miss.
        let missed = (truth < of.low * (1.0 - 1e-12) - 1e-9, truth > high * (1.0 + 1e-12) + 1e-9);
        self.verdict(name, missed);
        if high.is_finite() {
            self.measure(name, high - of.low, wald);
        }
        self.sure(of.confidence == Confidence::P95 || missed == (false, false), || format!("{name}: {truth} is outside of {of:?}"));
        self.sure(of.low <= of.value && of.value <= high, || format!("{name}: {of:?}"));
        missed
    }

    /// How wide an interval is.
    pub fn measure(&mut self, name: &'static str, width: f64, wald: f64) {
        if wald > 0.0 {
            let tally = self.of(name);
            (tally.width, tally.widths) = (tally.width + width / wald, tally.widths + 1);
        }
    }

    /// Whether an interval missed the truth on its low and on its high side.
    pub fn verdict(&mut self, name: &'static str, missed: (bool, bool)) {
        let tally = self.of(name);
        tally.claims += 1;
        tally.low_misses += u64::from(missed.0);
        tally.high_misses += u64::from(missed.1);
    }

    /// What must always be so.
    pub fn sure(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.len() < 5 {
            self.broken.push(what());
        }
    }
}

/// What a key's packets hold, and how a sample of them varies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Truth {
    pub all: f64,
    variance: f64,
}

impl Truth {
    /// 2 × 1.96 standard errors.
    pub fn wald(&self) -> f64 {
        2.0 * 1.96 * self.variance.sqrt()
    }
}

pub fn value(metric: Metric, record: &Record) -> f64 {
    if metric == Metric::Bytes { f64::from(record.wire_bytes) } else { 1.0 }
}

/// By key.
pub fn truths(parts: &[Part], metric: Metric, key: impl Fn(&Record) -> u64) -> HashMap<u64, Truth> {
    let mut truths: HashMap<u64, Truth> = HashMap::new();
    for part in parts {
        for record in (0..part.packets).map(&part.make) {
            let (value, truth) = (value(metric, &record), truths.entry(key(&record)).or_default());
            truth.all += value;
            truth.variance += f64::from(part.rate - 1) * value * value;
        }
    }
    truths
}

/// What a sampler of one in `rate` draws of a part's packets, by the gaps between them.
struct Draws<'a> {
    part: &'a Part,
    log: f64,
    next: f64,
}

impl<'a> Draws<'a> {
    fn new(part: &'a Part, dice: &mut Dice) -> Self {
        let mut draws = Self { part, log: (-1.0 / f64::from(part.rate)).ln_1p(), next: -1.0 };
        draws.step(dice);
        draws
    }

    fn step(&mut self, dice: &mut Dice) {
        self.next += 1.0;
        if self.part.rate > 1 {
            let u = (dice.next() >> 11) as f64 / (1_u64 << 53) as f64;
            self.next += ((1.0 - u).ln() / self.log).floor();
        }
    }

    fn is_over(&self) -> bool {
        self.next >= self.part.packets as f64
    }
}

/// A sample of all parts, whose packets come evenly mixed.
fn feed(bench: &mut Bench, parts: &[Part], dice: &mut Dice) {
    let mut all: Vec<Draws> = parts.iter().map(|part| Draws::new(part, dice)).filter(|draws| !draws.is_over()).collect();
    while let [first, rest @ ..] = &mut all[..] {
        let share = |draws: &Draws| draws.next / draws.part.packets as f64;
        let mut least = first;
        for draws in rest {
            if share(draws) < share(least) {
                least = draws;
            }
        }
        bench.take((least.part.make)(least.next as u64));
        least.step(dice);
        if least.is_over() {
            all.retain(|draws| !draws.is_over());
        }
    }
}

/// Every kind at every size.
pub fn cells() -> Vec<Cell> {
    let kinds = [cells::sums, cells::histograms, cells::tops, cells::peaks, shapes::quantiles, shapes::entropies];
    let sketches = [sketches::distincts, sketches::fanouts, sketches::new_keys];
    kinds.into_iter().chain(sketches).flat_map(|kind| kind()).collect()
}

impl Cell {
    /// Packets of a trial that the engine sees, about.
    pub fn packets(&self) -> f64 {
        self.parts.iter().chain(&self.before).map(|part| part.packets as f64 / f64::from(part.rate)).sum()
    }

    /// Draws samples.
    pub fn run(&self, trials: u64, seed: u64) -> Claims {
        let (mut dice, mut claims) = (Dice::new(seed), Claims::default());
        let mut bench = Bench::within(self.spec.clone(), self.weights, self.shards, seed, POOL_BYTES);
        bench.spread(self.packets() as usize);
        let question = bench.question();
        for trial in 0..trials {
            let (mut past, key) = (Past::default(), seed << 32 | trial);
            bench.reset(key);
            if !self.before.is_empty() {
                feed(&mut bench, &self.before, &mut dice);
                bench.close(&mut past, 0);
                bench.reset(key);
            }
            feed(&mut bench, &self.parts, &mut dice);
            let figure = bench.close(&mut past, u64::from(!self.before.is_empty()));
            (self.judge)(&figure, &question, &mut claims);
        }
        claims
    }

    /// What is wrong with its trials.
    pub fn faults(&self, claims: &Claims, seed: u64) -> Vec<String> {
        let mut faults: Vec<String> = claims.broken.iter().map(|broken| format!("{}, seed {seed}: {broken}", self.name)).collect();
        for tally in &claims.tallies {
            let name = format!("{}{}, seed {seed}", self.name, tally.name);
            if tally.covered() < tally.least() {
                faults.push(format!("{name}: {:.4} covered, least {:.4}: {tally:?}", tally.covered(), tally.least()));
            }
            if let (Some(most), Some(width)) = (self.width_max, tally.width())
                && width > most
            {
                faults.push(format!("{name}: {width:.3} of Wald's width, most {most}"));
            }
        }
        faults
    }
}
