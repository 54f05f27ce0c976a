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
    /// All that a sum counted, where it may be any key's.
    pub const fn of(sum: &Weighted) -> Self {
        Self { passed: sum.passed, scaled: sum.scaled, sampled_packets: sum.sampled_packets }
    }

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
    /// At the worst moment one record in so many was looked at, since a core had more to do than it could; 1: all were.
    pub shed: u32,
}

/// What of a `distinct` merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DistinctSketch {
    /// Hashes of all keys, ascending.
    Hashes(Vec<u64>),
    /// HyperLogLog registers, one byte each.
    Registers(Vec<u8>),
}

/// Keys of sampled packets: what bounds the number of those that a sample did not show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Those were kept whose hash starts with so many zero bits: one in 2^level. 63: none.
    pub level: u32,
    /// Hashes, ascending, and how often each was sampled: the weight of its only packet (2 or more), 1 if there were two
    /// packets, 0 if more.
    pub keys: Vec<(u64, u16)>,
    /// For want of memory fewer were kept than should be, or none.
    pub short: bool,
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
    /// None where nothing is claimed of what a sample did not show.
    pub shown: Option<Shown>,
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

/// A value below which a share of the packets lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantile {
    /// 0 to 1.
    pub rank: f64,
    /// Of the key.
    pub value: Estimate,
}

/// Several quantiles.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles {
    /// In ascending order of rank; none without packets.
    pub quantiles: Vec<Quantile>,
    /// What merges: packets by bins `[low, high)`, ascending.
    pub bins: Vec<((u64, u64), Weighted)>,
}

/// How many keys the windows before had not seen.
#[derive(Clone, Debug, PartialEq)]
pub struct NewKeys {
    /// The number.
    pub value: Estimate,
    /// All of the window's keys: what merges.
    pub keys: Distinct,
    /// How many windows before this one were known: of the first, none.
    pub covers_windows: u64,
}

/// A key that touches many others.
#[derive(Clone, Debug, PartialEq)]
pub struct FanoutEntry {
    /// As text.
    pub key: String,
    /// How many others.
    pub value: Estimate,
    /// Hashes of its pairs that were kept, ascending: what merges.
    pub pairs: Vec<u64>,
}

/// The keys that touch most others.
#[derive(Clone, Debug, PartialEq)]
pub struct Fanout {
    /// The `k` with most others, those first.
    pub entries: Vec<FanoutEntry>,
    /// Further ones, for merges.
    pub reserve: Vec<FanoutEntry>,
    /// Share of all pairs that `entries` hold.
    pub coverage: f64,
    /// Pairs of all keys.
    pub all: Estimate,
    /// A bound for a key that is in neither list; none where nothing bounds it.
    pub absent: Option<f64>,
    /// One pair in 2^level was kept.
    pub level: u64,
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
    /// Values at given ranks.
    Quantiles(Quantiles),
    /// The heaviest keys.
    Top(Top),
    /// How evenly a metric is spread, in bits; and the whole of it.
    Entropy(Estimate, f64),
    /// The keys that touch most others.
    Fanout(Fanout),
    /// How many different keys.
    Distinct(Distinct),
    /// How many of them are new.
    NewKeys(NewKeys),
}
