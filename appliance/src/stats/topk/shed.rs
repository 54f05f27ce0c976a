//! What a list says whose core had more to do than it could, and looked at a part of the records.
//!
//! Which records those were was drawn at random, each with a chance of at least 1 in `weight`. What was left out is summed up,
//! for all keys together. So a key has what was counted of it, surely; what it has at most is the lower of two bounds: that all
//! that was left out was its own, surely; or, in 95 of 100 windows, `weight` times as much as could have been drawn so seldom.

use crate::limits::IP_FRAME_BYTES_MAX;
use crate::stats::figure::{Basis, Confidence, Estimate, Unseen};
use crate::stats::gamma;
use crate::stats::interval::{Question, TAIL, estimate_key};
use crate::stats::weighted::Weighted;

/// What was not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shed {
    /// log2 of the largest weight; 0: everything was looked at.
    pub(super) level: u32,
    /// Of all keys.
    pub(super) left_out: Unseen,
}

impl Shed {
    pub(super) const fn weight(&self) -> u32 {
        1 << self.level
    }

    /// How much more there was of all keys than was looked at; 1 where nothing was left out.
    #[allow(clippy::cast_precision_loss, reason = "a ratio")]
    pub(super) fn ratio(&self, all: &Weighted) -> f64 {
        let left_out = self.left_out.passed.saturating_add(self.left_out.scaled);
        let looked_at = all.total().saturating_sub(left_out);
        if looked_at == 0 { 1.0 } else { all.total() as f64 / looked_at as f64 }
    }

    /// The estimate of a key of which `sum` was counted, and `unseen` at most of what was looked at was not.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    pub(super) fn estimate(&self, (sum, unseen): (&Weighted, &Unseen), ratio: f64, keys: u64, question: &Question) -> Estimate {
        let mut most = *unseen;
        most.add(&self.left_out);
        let sure = estimate_key(sum, &most, keys, question);
        if self.level == 0 {
            return sure;
        }
        let basis = if unseen.is_zero() { Basis::Sampled } else { Basis::SampledSketched };
        let value = sum.value() * ratio;
        let Some(high) = sure.high else { return Estimate { value: value.max(sure.low), basis, ..sure } };
        let drawn = self.drawn_high((sum, unseen), keys, question).max(value);
        let confidence = if drawn < high { Confidence::P95 } else { sure.confidence };
        let high = drawn.min(high);
        Estimate { value: value.clamp(sure.low, high), low: sure.low, high: Some(high), basis, confidence }
    }

    /// As if each record had been looked at with the smallest chance, and were as large as can be.
    #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
    fn drawn_high(&self, (sum, unseen): (&Weighted, &Unseen), keys: u64, question: &Question) -> f64 {
        let weight = f64::from(self.weight());
        let value_max = if question.value_max > 1 { IP_FRAME_BYTES_MAX as f64 } else { 1.0 };
        let largest = weight * (sum.largest as f64).max(f64::from(question.weight_max) * value_max);
        let looked_at = sum.total().saturating_add(unseen.passed).saturating_add(unseen.scaled);
        let y = weight * looked_at as f64 + largest;
        let v = y * largest;
        v / y * gamma::upper(y * y / v, TAIL / keys.max(1) as f64)
    }
}
