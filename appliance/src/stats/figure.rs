//! What a statistic says when its window has closed: estimates with bounds, and what merges.

use super::weighted::Weighted;

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Every packet was counted.
    Exact,
    /// Scaled from a sample.
    Sampled,
    /// Every packet was seen, a bounded summary was kept.
    Sketched,
    /// A bounded summary of a sample.
    SampledSketched,
}

/// How far bounds can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// Whatever the traffic.
    Sure,
    /// In 95 of 100 windows.
    P95,
}

/// A figure and its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Best single value.
    pub value: f64,
    /// The truth is not below.
    pub low: f64,
    /// The truth is not above; absent where nothing bounds it.
    pub high: Option<f64>,
    /// Where it comes from.
    pub basis: Basis,
    /// How far low and high hold.
    pub confidence: Confidence,
}

impl Estimate {
    /// A figure that nothing was left out of.
    pub const fn exact(value: f64) -> Self {
        Self { value, low: value, high: Some(value), basis: Basis::Exact, confidence: Confidence::Sure }
    }
}

/// Ends and name of a histogram's bin.
#[derive(Clone, Debug, PartialEq)]
pub enum BinOf {
    /// Half open, `[low, high)`; no `high`: up to infinity.
    Numbers(f64, Option<f64>),
    /// One value by name.
    Label(String),
}

/// One bin.
#[derive(Clone, Debug, PartialEq)]
pub struct Bin {
    /// Which values.
    pub of: BinOf,
    /// The metric of its packets.
    pub value: Estimate,
    /// What merges.
    pub sufficient: Weighted,
}

/// One heavy key.
#[derive(Clone, Debug, PartialEq)]
pub struct TopEntry {
    /// As text.
    pub key: String,
    /// The metric of its packets.
    pub value: Estimate,
    /// What was counted since it was admitted.
    pub sufficient: Weighted,
    /// What may have come before.
    pub unseen: Unseen,
}

/// A bound on what a bounded table did not count for a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Over packets that stand for themselves.
    pub passed: u64,
    /// Over sampled packets, scaled.
    pub scaled: u64,
    /// Sampled packets.
    pub sampled_packets: u64,
}

impl Unseen {
    /// Word by word.
    pub fn add(&mut self, other: &Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.scaled = self.scaled.saturating_add(other.scaled);
        self.sampled_packets = self.sampled_packets.saturating_add(other.sampled_packets);
    }

    /// The larger, word by word.
    pub fn raise(&mut self, other: &Self) {
        self.passed = self.passed.max(other.passed);
        self.scaled = self.scaled.max(other.scaled);
        self.sampled_packets = self.sampled_packets.max(other.sampled_packets);
    }

    /// Word by word, never below zero.
    pub fn sub(&mut self, other: &Self) {
        self.passed = self.passed.saturating_sub(other.passed);
        self.scaled = self.scaled.saturating_sub(other.scaled);
        self.sampled_packets = self.sampled_packets.saturating_sub(other.sampled_packets);
    }

    /// Whether nothing was left out.
    pub const fn is_zero(&self) -> bool {
        self.passed == 0 && self.sampled_packets == 0
    }
}

/// The heaviest keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Top {
    /// The `k` heaviest, heaviest first.
    pub entries: Vec<TopEntry>,
    /// Further ones, for merges.
    pub reserve: Vec<TopEntry>,
    /// Share of the metric that `entries` hold.
    pub coverage: f64,
    /// The metric over all keys.
    pub all: Estimate,
    /// What merges of it.
    pub all_sufficient: Weighted,
    /// A bound for a key that is in neither list.
    pub absent: Unseen,
    /// The largest weight that new keys were thinned by for want of memory; 1: none were.
    pub thinned: u32,
    /// Whether a table found no memory to grow.
    pub short: bool,
}

/// What of a `distinct` merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DistinctSketch {
    /// Hashes of all keys, ascending.
    Hashes(Vec<u64>),
    /// HyperLogLog registers, one byte each.
    Registers(Vec<u8>),
}

/// How many different keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Distinct {
    /// The number.
    pub value: Estimate,
    /// What merges.
    pub sketch: DistinctSketch,
    /// Sampled packets among those that count.
    pub sampled_packets: u64,
}

/// The highest rate in any sub-window.
#[derive(Clone, Debug, PartialEq)]
pub struct Peak {
    /// In units of the metric a second.
    pub rate: Estimate,
    /// Start of the sub-window with the largest sum, nanoseconds since 1970; the first of several.
    pub start_ns: u64,
    /// Length of a sub-window.
    pub sub_window_ms: u64,
    /// What merges: start and sum of each sub-window in which something was counted, ascending.
    pub series: Vec<(u64, Weighted)>,
}

/// One statistic's figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// A single number, and what merges of it if it is a sum.
    Total(Estimate, Option<Weighted>),
    /// The highest rate.
    Peak(Peak),
    /// In ascending order.
    Histogram(Vec<Bin>),
    /// The heaviest keys.
    Top(Top),
    /// How many different keys.
    Distinct(Distinct),
}
