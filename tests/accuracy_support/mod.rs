//! One stat of one range over shards, streams of packets, and simulated samples: shared by the accuracy test and its bench.

#[path = "../engine_support/dice.rs"]
pub mod dice;
pub mod coverage;

use dice::Dice;
use tailwater::arch::HashKey;
use tailwater::axes::key::Lengths;
use tailwater::axes::{DecisionAxis, DirectionAxis, Key, KeySpec, Metric};
use tailwater::config::StatSpec;
use tailwater::record::{Has, Record};
use tailwater::stats::figure::{Figure, Top};
use tailwater::stats::plan::{Period, Plan, Scratch, WeightBounds, execute};
use tailwater::stats::pool::{Budget, Memory, Pool};
use tailwater::units::Family;

pub fn spec(calculation: &str, metric: Metric) -> StatSpec {
    StatSpec {
        name: calculation.to_owned(),
        calculation: calculation.to_owned(),
        key: KeySpec::new(vec![Key::SrcIp], Lengths::default()),
        metric,
        decision: DecisionAxis::Any,
        direction: DirectionAxis::Any,
        predicate: None,
        fast: false,
        sets: Vec::new(),
        settings: Vec::new(),
    }
}

/// One stat of one range, over shards that take batches in turn.
pub struct Bench {
    plan: Plan,
    scratch: Scratch,
    hash_key: HashKey,
    shards: Vec<(Vec<u64>, Pool, Budget)>,
    batch: Vec<Record>,
    turn: usize,
    pub starved: bool,
}

impl Bench {
    pub fn new(spec: StatSpec, blocked: u32, shards: usize, seed: u64) -> Self {
        Self::within(spec, blocked, shards, seed, 1 << 20)
    }

    /// Each shard with so many bytes.
    pub fn within(spec: StatSpec, blocked: u32, shards: usize, seed: u64, bytes: usize) -> Self {
        let weights = WeightBounds { passed: 1, blocked, random: true, rate: (blocked > 1).then_some(blocked) };
        let plan = Plan::compile(&[spec], &[0], Family::V4, weights).unwrap();
        let mut key = [7; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let shard = || (vec![0; plan.root_words(Period::Long)], Pool::with_bytes(bytes), Budget::of_bytes(bytes));
        let shards = (0..shards).map(|_| shard()).collect();
        Self { scratch: Scratch::new(&plan), plan, hash_key: HashKey::new(key), shards, batch: Vec::new(), turn: 0, starved: false }
    }

    pub fn packet(&mut self, src: u32, bytes: u32, weight: u16) {
        let mut record = Record { wire_bytes: bytes, weight, has: Has(Has::INGRESS.0), ..Record::default() };
        record.src[..4].copy_from_slice(&src.to_be_bytes());
        record.src_port = src as u16;
        record.has = record.has.with(Has::ICMP, true).with(Has::BLOCKED, weight > 1).with(Has::RANDOM, weight > 1);
        self.batch.push(record);
        if self.batch.len() == 64 {
            self.flush();
        }
    }

    pub fn flush(&mut self) {
        let at = self.turn % self.shards.len();
        let (root, pool, budget) = &mut self.shards[at];
        let mut memory = Memory { pool, budget };
        let starved = execute(&self.plan, &mut self.scratch, &self.batch, &self.hash_key, (&mut [], root), &mut memory);
        self.starved |= starved > 0;
        self.batch.clear();
        self.turn += 1;
    }

    pub fn figure(mut self) -> Figure {
        self.flush();
        assert!(!self.starved);
        self.figure_so_far()
    }

    pub fn figure_so_far(&self) -> Figure {
        let stat = &self.plan.stats()[0];
        let mut summary = stat.kernel.summary();
        for (root, pool, _) in &self.shards {
            let mut words = Vec::new();
            stat.kernel.export(root, pool, &mut words);
            summary.absorb(&words);
        }
        summary.figure(&stat.question)
    }

    pub fn top(self) -> Top {
        let Figure::Top(top) = self.figure() else { unreachable!("a top-K") };
        top
    }
}

/// Sources of a stream of packets.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// So many per mille are random addresses, the rest a Zipf of some thousand.
    Spoofed(u64),
    /// No random ones.
    Zipf,
    /// Decoys first, each often enough to be kept, then as `Spoofed(900)`.
    Decoys,
    /// Twenty keys of one packet in 100 each, that come in two short bursts of the stream only, among random ones.
    Pulses,
    /// Each of ten thousand as often.
    Uniform,
}

/// Zipf of exponent 1 over `n` keys, by inverting the harmonic sum.
pub fn zipf(dice: &mut Dice, n: f64) -> u32 {
    let u = dice.below(1 << 32) as f64 / 4_294_967_296.0;
    0x0A00_0000 + n.powf(u) as u32
}

pub fn source(dice: &mut Dice, stream: Stream, i: u64, n: u64) -> u32 {
    let random = |dice: &mut Dice| u32::try_from(dice.next() >> 32).unwrap() | 0x8000_0000;
    match stream {
        Stream::Pulses if (i * 20 / n) % 10 == 3 && dice.one_in(2) => 0x0C00_0000 + u32::try_from(dice.below(20)).unwrap(),
        Stream::Pulses => random(dice),
        Stream::Uniform => 0x0A00_0000 + u32::try_from(dice.below(10_000)).unwrap(),
        Stream::Decoys if i < n / 10 => 0x0B00_0000 + u32::try_from(i % 400).unwrap(),
        Stream::Spoofed(share) if dice.below(1_000) < share => random(dice),
        Stream::Decoys if dice.below(1_000) < 900 => random(dice),
        _ => zipf(dice, 5_000.0),
    }
}
