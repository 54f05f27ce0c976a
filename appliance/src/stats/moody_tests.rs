//! One stat of one range, over shards whose pools may refuse any grant: what tests of a spent memory are made of.

use crate::arch::HashKey;
use crate::axes::{Key, Metric};
use crate::config::{Setting, StatSpec};
use crate::record::{Has, Record};
use crate::stats::Summary;
use crate::stats::interval::Question;
use crate::stats::plan::{Period, Plan, Scratch, WeightBounds, execute};
use crate::stats::pool::{Budget, Memory, Pool};
use crate::units::Family;

/// Seeded draws.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        (crate::arch::hash::spread(self.0) >> 16) % n.max(1)
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.below(list.len() as u64)).unwrap()]
    }
}

/// A row of the configuration.
pub(crate) fn spec(calculation: &str, keys: &[Key], metric: Metric, settings: &[(&str, i64)]) -> StatSpec {
    let all = StatSpec::new(calculation, keys, metric);
    settings.iter().fold(all, |spec, (name, value)| spec.with(name, Setting::Integer(*value)))
}

/// A packet of IPv4; of a weight above one, it was sampled.
pub(crate) fn record((src, dst): (u32, u32), bytes: u32, weight: u16, proven: bool) -> Record {
    let sampled = weight > 1 || !proven;
    let has = Has::INGRESS.with(Has::ICMP, true).with(Has::BLOCKED, sampled).with(Has::RANDOM, sampled && proven);
    let mut record = Record { wire_bytes: bytes, weight, has, src_port: (src & 0xFFFF) as u16, ..Record::default() };
    record.src[..4].copy_from_slice(&src.to_be_bytes());
    record.dst[..4].copy_from_slice(&dst.to_be_bytes());
    record
}

/// See the module.
pub(crate) struct Shards {
    plan: Plan,
    scratch: Scratch,
    hash_key: HashKey,
    shards: Vec<(Vec<u64>, Pool, Budget)>,
    sealed: Vec<Vec<u64>>,
    /// Records of batches that missed something.
    pub(crate) starved: u64,
    /// Level at which records are left out, and what draws them.
    shed: (u32, Dice),
}

impl Shards {
    /// Each shard with so many bytes.
    pub(crate) fn new(spec: StatSpec, weights: WeightBounds, (shards, bytes): (usize, usize), seed: u64) -> Self {
        let plan = Plan::compile(&[spec], &[0], Family::V4, weights).unwrap();
        let mut key = [7; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let shard = |at: usize| {
            let mut pool = Pool::with_bytes(bytes);
            pool.mood.draw = seed + at as u64;
            (vec![0; plan.root_words(Period::Long)], pool, Budget::of_bytes(bytes))
        };
        let shards = (0..shards).map(shard).collect();
        Self {
            scratch: Scratch::new(&plan),
            plan,
            hash_key: HashKey::new(key),
            shards,
            sealed: Vec::new(),
            starved: 0,
            shed: (0, Dice::new(seed)),
        }
    }

    /// The window starts.
    pub(crate) fn open(&mut self, start_ns: u64) {
        self.scratch.open(start_ns, start_ns);
    }

    /// From now on so many grants in 256 are refused.
    pub(crate) fn refuse(&mut self, of_256: u8) {
        self.shards.iter_mut().for_each(|(_, pool, _)| pool.mood.refused = of_256);
    }

    /// From now on one record in 2^level is looked at.
    pub(crate) fn shed(&mut self, level: u32) {
        self.shed.0 = level;
    }

    /// Up to 64 records, in one shard.
    pub(crate) fn batch(&mut self, at: usize, records: &[Record]) {
        let at = at % self.shards.len();
        let (level, dice) = &mut self.shed;
        let kept = (0..64).fold(0, |kept, at| kept | u64::from(dice.one_in(1 << *level)) << at);
        self.scratch.shed((*level > 0).then_some((*level, kept)));
        let (root, pool, budget) = &mut self.shards[at];
        let starved = execute(&self.plan, &mut self.scratch, records, &self.hash_key, (&mut [], root), &mut Memory { pool, budget });
        self.starved += if starved > 0 { records.len() as u64 } else { 0 };
    }

    /// Sends a shard's block away; the next batch opens another.
    pub(crate) fn seal(&mut self, at: usize) {
        let at = at % self.shards.len();
        let (root, pool, _) = &mut self.shards[at];
        let (kernel, mut words) = (&self.plan.stats()[0].kernel, Vec::new());
        kernel.export(root, pool, &mut words);
        assert!(words.len() <= kernel.export_words_max());
        kernel.release(root, pool);
        root.fill(0);
        assert_eq!(pool.used_bytes(), 0);
        self.sealed.push(words);
    }

    /// What all blocks say together.
    pub(crate) fn summary(&mut self) -> Box<dyn Summary> {
        (0..self.shards.len()).for_each(|at| self.seal(at));
        let mut summary = self.plan.stats()[0].kernel.summary();
        self.sealed.iter().for_each(|words| summary.absorb(words));
        summary
    }

    /// What is asked of it.
    pub(crate) fn question(&self) -> Question {
        self.plan.stats()[0].question
    }
}
