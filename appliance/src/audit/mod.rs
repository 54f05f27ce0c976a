//! Whether the scrubber samples as it is configured to: its own drop counters against the samples that came.
//!
//! Reads no clock and no socket: whoever closes windows tells what came, whoever reads counters gives rows, and findings are asked for.
//! So a replay says the same each time. The tests are in [`rate`] and [`spread`]; here is what makes one statement of many keys.
//!
//! All tests of one UTC day together find anything with a probability of at most `false_alarms`, if every sampler does as it is
//! configured. Each test's evidence is an e-process, and weights that add up to 1 are given to all: half to the sums over all keys of
//! one rate, half to single keys, the k-th that counters name having 2^-j / ((j + 1)(j + 2)) of it, j = ⌊log₂ k⌋; of each of those, half to
//! the rate over the day, a quarter to the rate over its 24 hours, a quarter to the spread. The weighted sum is an e-process again, and
//! something is found only where one part of it alone, and so the sum, reaches 1 / `false_alarms` (Ville). No independence of keys is
//! asked for, and how many keys there will be need not be known.

pub mod account;
mod auditor;
pub mod counters;
mod json;
mod keys;
pub mod rate;
pub mod spread;

pub use crate::config::AuditBy as By;
pub use auditor::{Auditor, Told, WindowOf};
pub use counters::{Reader, Row};
pub use rate::Counts;

/// What is said of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Too little was seen yet.
    #[default]
    Unknown,
    /// Nothing was found, of enough samples.
    Consistent,
    /// The rate is another one.
    RateWrong,
    /// The sample spreads less than a random one.
    Systematic,
    /// More samples came than packets were dropped: the counters are of other packets.
    MoreThanDropped,
    /// Counters no longer come.
    Stale,
}

impl Verdict {
    /// Whether it is something to act on.
    pub const fn is_finding(self) -> bool {
        matches!(self, Self::RateWrong | Self::Systematic | Self::MoreThanDropped)
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What keys are.
    pub by: By,
    /// Probability, over all keys, of finding anything within a UTC day in which samplers do as configured.
    pub false_alarms: f64,
    /// A rate within this of the configured one is no fault; a difference of logarithms.
    pub tolerance: f64,
    /// By so much the scrubber's clock may differ.
    pub skew_ns: u64,
    /// Counters that are older are stale.
    pub stale_ns: u64,
    /// Of our windows.
    pub window_ns: u64,
    /// One in so many, by row of `[[tags]]`; 0: not audited. One for all where keys are no tags.
    pub one_in: Vec<u32>,
    /// Whether samplers are random, likewise.
    pub random: Vec<bool>,
}

/// What is found of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// As counters name it; empty: all keys of this rate together.
    pub key: String,
    /// What is said.
    pub verdict: Verdict,
    /// Configured: one in so many.
    pub one_in: u32,
    /// What it is said of.
    pub counts: Counts,
    /// Since when it is said, of the scrubber's clock.
    pub since_ns: u64,
    /// Natural logarithm of the evidence against the rate, and against the spread.
    pub evidence: [f64; 2],
}
