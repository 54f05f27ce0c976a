//! Heavy keys by us, by DataSketches' frequent items and by Space-Saving, over the same packets and in at least as many bytes.

use std::collections::{BTreeSet, HashMap};

use datasketches::frequencies::{ErrorType, FrequentItemsSketch};
use tailwater::axes::Metric;
use tailwater::stats::figure::TopEntry;

use super::support::dice::Dice;
use super::support::{Bench, Stream, source, spec};

pub const K: usize = 20;
/// A key, a count and a place in their order: less than any list of Space-Saving takes.
const SPACE_SAVING_CELL: usize = 16;
/// An optional key, a count and a state, as the crate lays them out.
const FREQUENT_ITEMS_SLOT: usize = 18;

/// Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data streams" (2005), plainly.
struct SpaceSaving {
    cells: usize,
    /// Of each key the count, and how much of it may be others'.
    counts: HashMap<u32, (u64, u64)>,
    /// By count, which keys have it.
    order: BTreeSet<(u64, u32)>,
}

impl SpaceSaving {
    fn add(&mut self, key: u32) {
        let (count, error) = if let Some(have) = self.counts.get(&key) {
            *have
        } else if self.counts.len() < self.cells {
            (0, 0)
        } else {
            let (least, out) = self.order.pop_first().unwrap();
            self.counts.remove(&out);
            (least, least)
        };
        self.order.remove(&(count, key));
        self.order.insert((count + 1, key));
        self.counts.insert(key, (count + 1, error));
    }
}

/// What one of them lists: keys, and how far their bounds are apart.
struct List(Vec<(u32, f64)>);

/// Of ours, frequent items and Space-Saving.
#[derive(Default)]
pub struct Outcome {
    /// Share of the true top 20 that is listed; ties count either way.
    pub recall: [f64; 3],
    /// Mean distance of bounds of the listed keys that are of the true top 20, in their counts.
    pub width: [f64; 3],
    pub bytes: [f64; 3],
    /// Of our entries, those whose bounds do not hold the truth.
    pub violations: u64,
}

impl Outcome {
    /// Of one stream.
    pub fn of(stream: Stream, n: u64, seed: u64) -> Self {
        let sources: Vec<u32> = {
            let mut dice = Dice::new(seed);
            (0..n).map(|i| source(&mut dice, stream, i, n)).collect()
        };
        let mut truth: HashMap<u32, u64> = HashMap::new();
        sources.iter().for_each(|src| *truth.entry(*src).or_default() += 1);
        let (ours, bytes, violations) = ours(&sources, &truth, seed);
        let slots = (bytes / FREQUENT_ITEMS_SLOT + 1).next_power_of_two();
        let cells = bytes.div_ceil(SPACE_SAVING_CELL);
        let lists = [ours, frequent_items(&sources, slots), space_saving(&sources, cells)];
        let mut outcome = Self { violations, ..Self::default() };
        outcome.bytes = [bytes, slots * FREQUENT_ITEMS_SLOT, cells * SPACE_SAVING_CELL].map(|bytes| bytes as f64);
        let mut counts: Vec<u64> = truth.values().copied().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        for (i, List(list)) in lists.iter().enumerate() {
            let right: Vec<&(u32, f64)> = list.iter().take(K).filter(|(key, _)| truth[key] >= counts[K - 1]).collect();
            outcome.recall[i] = right.len() as f64 / K as f64;
            outcome.width[i] = right.iter().map(|(key, width)| width / truth[key] as f64).sum::<f64>() / right.len().max(1) as f64;
        }
        outcome
    }

    /// With this share of another's.
    pub fn add(&mut self, other: &Self, share: f64) {
        let sums = self.recall.iter_mut().chain(&mut self.width).chain(&mut self.bytes);
        sums.zip(other.recall.iter().chain(&other.width).chain(&other.bytes)).for_each(|(sum, more)| *sum += more * share);
        self.violations += other.violations;
    }
}

fn ours(sources: &[u32], truth: &HashMap<u32, u64>, seed: u64) -> (List, usize, u64) {
    let mut bench = Bench::new(spec("topk", Metric::Packets), 1, 1, seed);
    sources.iter().for_each(|src| bench.packet(*src, 64, 1));
    let top = bench.top();
    let of = |entry: &TopEntry| u32::from(entry.key.parse::<std::net::Ipv4Addr>().unwrap());
    let outside = |e: &&TopEntry| {
        let truth = truth[&of(e)] as f64;
        truth < e.value.low || e.value.high.is_none_or(|high| truth > high)
    };
    let violations = top.entries.iter().chain(&top.reserve).filter(outside).count() as u64;
    let list = top.entries.iter().map(|e| (of(e), e.value.high.unwrap() - e.value.low)).collect();
    (List(list), bench.used_bytes(), violations)
}

fn frequent_items(sources: &[u32], slots: usize) -> List {
    let mut items = FrequentItemsSketch::<u32>::new(slots).unwrap();
    sources.iter().for_each(|src| items.update(*src));
    let mut rows = items.frequent_items_with_threshold(ErrorType::NoFalseNegatives, 0);
    rows.sort_by_key(|row| std::cmp::Reverse(row.estimate()));
    List(rows.iter().map(|row| (*row.item(), (row.upper_bound() - row.lower_bound()) as f64)).collect())
}

fn space_saving(sources: &[u32], cells: usize) -> List {
    let mut saving = SpaceSaving { cells, counts: HashMap::new(), order: BTreeSet::new() };
    sources.iter().for_each(|src| saving.add(*src));
    List(saving.order.iter().rev().take(K).map(|(_, key)| (*key, saving.counts[key].1 as f64)).collect())
}
