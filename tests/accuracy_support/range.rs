//! One stat of one range, over shards that take batches in turn: without frames, and made ready for another trial quickly.

use tailwater::arch::HashKey;
use tailwater::config::StatSpec;
use tailwater::record::{Has, Record};
use tailwater::stats::figure::{Figure, Top};
use tailwater::stats::interval::Question;
use tailwater::stats::plan::{Period, Plan, Scratch, WeightBounds, execute};
use tailwater::stats::pool::{Budget, Memory, Pool};
use tailwater::stats::{Closing, Past};
use tailwater::units::Family;

pub const WINDOW_NS: u64 = 10_000_000_000;

/// All that is blocked is sampled at random with this rate.
pub fn rate(blocked: u32) -> WeightBounds {
    WeightBounds { passed: 1, blocked, random: true, rate: (blocked > 1).then_some(blocked) }
}

pub struct Bench {
    plan: Plan,
    scratch: Scratch,
    hash_key: HashKey,
    shards: Vec<(Vec<u64>, Pool, Budget)>,
    batch: Vec<Record>,
    batch_max: usize,
    turn: usize,
    pub starved: bool,
}

impl Bench {
    pub fn new(spec: StatSpec, blocked: u32, shards: usize, seed: u64) -> Self {
        Self::within(spec, rate(blocked), shards, seed, 1 << 21)
    }

    /// Each shard with so many bytes.
    pub fn within(spec: StatSpec, weights: WeightBounds, shards: usize, seed: u64, bytes: usize) -> Self {
        let plan = Plan::compile(&[spec], &[0], Family::V4, weights).unwrap();
        let shard = || (vec![0; plan.root_words(Period::Long)], Pool::with_bytes(bytes), Budget::of_bytes(bytes));
        let shards = (0..shards).map(|_| shard()).collect();
        let (scratch, hash_key) = (Scratch::new(&plan), hash_key(seed));
        Self { plan, scratch, hash_key, shards, batch: Vec::new(), batch_max: 64, turn: 0, starved: false }
    }

    /// So many packets will come: few go in small batches, so that they are spread over all shards.
    pub fn spread(&mut self, packets: usize) {
        self.batch_max = if self.shards.len() > 1 { (packets / 16).clamp(1, 64) } else { 64 };
    }

    /// An empty window, under another hash key.
    pub fn reset(&mut self, seed: u64) {
        for (root, pool, _) in &mut self.shards {
            self.plan.stats()[0].kernel.release(root, pool);
            root.fill(0);
        }
        (self.hash_key, self.turn, self.starved) = (hash_key(seed), 0, false);
        self.batch.clear();
    }

    /// What the stat takes now.
    pub fn used_bytes(&self) -> usize {
        self.shards.iter().map(|(root, pool, _)| 8 * root.len() + pool.used_bytes()).sum()
    }

    pub fn question(&self) -> Question {
        self.plan.stats()[0].question
    }

    pub fn packet(&mut self, src: u32, bytes: u32, weight: u16) {
        self.take(record(src, bytes, weight));
    }

    pub fn take(&mut self, record: Record) {
        self.batch.push(record);
        if self.batch.len() == self.batch_max {
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

    pub fn figure(&mut self) -> Figure {
        self.close(&mut Past::default(), 0)
    }

    /// Of the window of this number.
    pub fn close(&mut self, past: &mut Past, number: u64) -> Figure {
        self.flush();
        assert!(!self.starved);
        self.figure_so_far(past, number)
    }

    pub fn figure_so_far(&self, past: &mut Past, number: u64) -> Figure {
        let stat = &self.plan.stats()[0];
        let mut summary = stat.kernel.summary();
        for (root, pool, _) in &self.shards {
            let mut words = Vec::new();
            stat.kernel.export(root, pool, &mut words);
            assert!(words.len() <= stat.kernel.export_words_max());
            summary.absorb(&words);
        }
        summary.close(&stat.question, &mut Closing { window_ns: (number * WINDOW_NS, (number + 1) * WINDOW_NS), past })
    }

    pub fn top(&mut self) -> Top {
        let Figure::Top(top) = self.figure() else { unreachable!("a top-K") };
        top
    }
}

/// A packet of this source. One that stands for others was blocked.
pub fn record(src: u32, bytes: u32, weight: u16) -> Record {
    let mut record = Record { wire_bytes: bytes, weight, src_port: src as u16, has: Has::INGRESS, ..Record::default() };
    record.src[..4].copy_from_slice(&src.to_be_bytes());
    record.has = record.has.with(Has::ICMP, true).with(Has::BLOCKED, weight > 1).with(Has::RANDOM, weight > 1);
    record
}

fn hash_key(seed: u64) -> HashKey {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    HashKey::new(key)
}
