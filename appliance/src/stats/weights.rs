//! What weight each record of a batch has, and what kind of packet it is: a bit each, for all stats at once.

use super::columns::first;
use crate::arch::lanes::Lanes;
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::{Has, Record};

/// See the module.
pub struct Weights {
    pub(super) weights: [u16; BATCH_RECORDS_MAX],
    has: [u16; BATCH_RECORDS_MAX],
    pub(super) proven: u64,
    pub(super) sampled: u64,
    /// Towards the range, from it, and what was dropped.
    pub(super) ingress: u64,
    pub(super) egress: u64,
    pub(super) blocked: u64,
}

impl Weights {
    /// Of an empty batch.
    pub const fn new() -> Self {
        let (weights, has) = ([1; BATCH_RECORDS_MAX], [0; BATCH_RECORDS_MAX]);
        Self { weights, has, proven: 0, sampled: 0, ingress: 0, egress: 0, blocked: 0 }
    }

    /// Reads a batch.
    #[inline(always)]
    pub fn fill<L: Lanes>(&mut self, lanes: L, records: &[Record]) {
        for (record, (weight, has)) in records.iter().zip(self.weights.iter_mut().zip(&mut self.has)) {
            (*weight, *has) = (record.weight.max(1), record.has.0);
        }
        let (all, have) = (first(records.len()), |what: Has| lanes.any_bits(&self.has, what.0));
        self.blocked = have(Has::BLOCKED) & all;
        (self.ingress, self.egress) = (have(Has::INGRESS) & all, have(Has::EGRESS) & all);
        self.proven = (have(Has::RANDOM) | !self.blocked) & all;
        // Above one.
        self.sampled = (lanes.any_bits(&self.weights, !1) | !self.proven) & all;
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self::new()
    }
}
