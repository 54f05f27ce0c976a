//! What a list says whose core had more to do than it could, and looked at a part of the records.
//!
//! Which records those were was drawn at random, each with a chance of at least 1 in `weight`. What was left out is summed up,
//! for all keys together. So a key has what was counted of it, surely; what it has at most is the lower of two bounds: that all
//! that was left out was its own, surely; or, in 95 of 100 windows, `weight` times as much as could have been drawn so seldom.
//!
//! Cores, and windows, leave out more or less: what a table counted is scaled by what that table left out.

use crate::limits::IP_FRAME_BYTES_MAX;
use crate::stats::figure::{Basis, Confidence, Estimate, Unseen};
use crate::stats::gamma;
use crate::stats::interval::{Question, TAIL, estimate_key};
use crate::stats::weighted::Weighted;

/// What was not looked at.
#[derive(Debug, Default)]
pub(super) struct Shed {
    /// log2 of the largest weight; 0: everything was looked at.
    level: u32,
    /// Of all keys.
    pub(super) left_out: Unseen,
    /// The table that is being absorbed, if it left records out.
    table: Option<Thinned>,
    /// By entry; of those behind the last one, and where no table left anything out, nothing is known and nothing is missing.
    shares: Vec<Share>,
}

/// A table that left records out.
#[derive(Clone, Copy, Debug)]
struct Thinned {
    /// What was left out of all keys, for each that was looked at.
    left_out_each: f64,
    weight: f64,
}

/// A key in tables that left records out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    /// What was counted there over packets that stand for themselves.
    passed: u64,
    /// What was left out of it, if it was as much as of all keys of the same table.
    pub(super) more: f64,
    /// Counts times each table's weight, less the counts.
    more_drawn: f64,
}

impl Shed {
    pub(super) const fn weight(&self) -> u32 {
        1 << self.level
    }

    /// A table is absorbed next that looked at one record in 2^`level` at the worst moment. How much it left out is its own: others
    /// may have looked at all.
    #[allow(clippy::cast_precision_loss, reason = "a ratio")]
    pub(super) fn begin(&mut self, level: u32, all: &Weighted, left_out: &Unseen) {
        self.level = self.level.max(level);
        self.left_out.add(left_out);
        let left_out = left_out.passed.saturating_add(left_out.scaled);
        let looked_at = all.total().saturating_sub(left_out);
        let left_out_each = if looked_at == 0 { 0.0 } else { left_out as f64 / looked_at as f64 };
        self.table = (level > 0).then(|| Thinned { left_out_each, weight: f64::from(1_u32 << level) });
    }

    /// So much of an entry's key was counted in that table.
    #[inline]
    pub(super) fn count(&mut self, at: u32, sum: &Weighted) {
        if let Some(table) = self.table {
            self.add(at as usize, &table, sum);
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn add(&mut self, at: usize, table: &Thinned, sum: &Weighted) {
        if self.shares.len() <= at {
            self.shares.resize(at + 1, Share::default());
        }
        let (share, total) = (&mut self.shares[at], sum.total() as f64);
        share.passed = share.passed.saturating_add(sum.passed);
        share.more += total * table.left_out_each;
        share.more_drawn += total * (table.weight - 1.0);
    }

    #[inline]
    pub(super) fn share(&self, at: u32) -> Share {
        self.shares.get(at as usize).copied().unwrap_or_default()
    }

    /// The estimate of a key of which `sum` was counted, and `unseen` at most of what was looked at was not.
    pub(super) fn estimate(&self, (sum, unseen): (&Weighted, &Unseen), share: &Share, keys: u64, question: &Question) -> Estimate {
        let mut most = *unseen;
        most.add(&self.left_out);
        let sure = estimate_key(sum, &most, keys, question);
        if self.level == 0 {
            return sure;
        }
        let basis = if unseen.is_zero() { Basis::Sampled } else { Basis::SampledSketched };
        let value = sum.value() + share.more;
        let Some(high) = sure.high else { return Estimate { value: value.max(sure.low), basis, ..sure } };
        let drawn = self.drawn_high((sum, unseen), share, keys, question).max(value);
        let confidence = if drawn < high { Confidence::P95 } else { sure.confidence };
        let high = drawn.min(high);
        Estimate { value: value.clamp(sure.low, high), low: sure.low, high: Some(high), basis, confidence }
    }

    /// As if each record of a table had been looked at with the smallest chance there, and each that was not counted with the
    /// smallest of all, and were as large as can be. What tables counted that left nothing out was not drawn.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn drawn_high(&self, (sum, unseen): (&Weighted, &Unseen), share: &Share, keys: u64, question: &Question) -> f64 {
        let weight = f64::from(self.weight());
        let value_max = if question.value_max > 1 { IP_FRAME_BYTES_MAX as f64 } else { 1.0 };
        let largest = weight * (sum.largest as f64).max(f64::from(question.weight_max) * value_max);
        let whole = sum.passed.saturating_sub(share.passed) as f64;
        let counted = sum.scaled.saturating_add(share.passed) as f64 + share.more_drawn;
        let y = counted + weight * unseen.passed.saturating_add(unseen.scaled) as f64 + largest;
        whole + largest * gamma::upper(y / largest, TAIL / keys.max(1) as f64)
    }
}
