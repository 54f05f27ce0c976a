//! What weight each record of a batch has, and what kind of packet it is: a bit each, for all stats at once.

use super::columns::first;
use crate::arch::columns::Columns;
use crate::arch::lanes::Lanes;
use crate::gather::packed::turned::Turned;
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::{FlowRow, Has, Record};

/// See the module.
pub struct Weights {
    pub(super) weights: [u16; BATCH_RECORDS_MAX],
    has: [u16; BATCH_RECORDS_MAX],
    pub(super) proven: u64,
    pub(super) sampled: u64,
    /// Rows of flow records that stand for several each, and how many that are; of packets none does.
    pub(super) several: u64,
    pub(super) times: [u64; BATCH_RECORDS_MAX],
    /// Towards the range, from it, and what was dropped.
    pub(super) ingress: u64,
    pub(super) egress: u64,
    pub(super) blocked: u64,
    /// Of a batch that was turned: those with ports, and with TCP flags.
    ports: u64,
    tcp: u64,
    records: usize,
}

impl Weights {
    /// Of an empty batch.
    pub const fn new() -> Self {
        let (weights, has, times) = ([1; BATCH_RECORDS_MAX], [0; BATCH_RECORDS_MAX], [1; BATCH_RECORDS_MAX]);
        let (proven, sampled, several) = (0, 0, 0);
        Self { weights, has, proven, sampled, several, times, ingress: 0, egress: 0, blocked: 0, ports: 0, tcp: 0, records: 0 }
    }

    /// Reads a batch.
    #[inline(always)]
    pub fn fill<L: Lanes>(&mut self, lanes: L, records: &[Record]) {
        for (record, (weight, has)) in records.iter().zip(self.weights.iter_mut().zip(&mut self.has)) {
            (*weight, *has) = (record.weight.max(1), record.has.0);
        }
        self.records = records.len();
        let (all, have) = (first(records.len()), |what: Has| lanes.any_bits(&self.has, what.0));
        self.blocked = have(Has::BLOCKED) & all;
        (self.ingress, self.egress) = (have(Has::INGRESS) & all, have(Has::EGRESS) & all);
        self.proven = (have(Has::RANDOM) | !self.blocked) & all;
        // Above one.
        self.sampled = (lanes.any_bits(&self.weights, !1) | !self.proven) & all;
    }

    /// Reads rows of flow records: what passed may be a sample too.
    pub(super) fn fill_flows(&mut self, rows: &[FlowRow]) {
        (self.proven, self.sampled, self.ingress, self.egress, self.blocked) = (0, 0, 0, 0, 0);
        self.several = 0;
        for (at, (row, weight)) in rows.iter().zip(&mut self.weights).enumerate() {
            let (has, bit) = (row.record.has, |is: bool| u64::from(is) << at);
            *weight = row.record.weight.max(1);
            self.times[at] = row.times.max(1);
            self.several |= bit(row.times > 1);
            self.proven |= bit(has.all(Has::RANDOM));
            self.sampled |= bit(*weight > 1 || !has.all(Has::RANDOM));
            self.ingress |= bit(has.all(Has::INGRESS));
            self.egress |= bit(has.all(Has::EGRESS));
            self.blocked |= bit(has.all(Has::BLOCKED));
        }
        self.records = rows.len();
    }

    /// Reads a batch of so many records that was turned.
    #[inline(always)]
    pub(super) fn fill_turned<const N: usize>(&mut self, columns: impl Columns, turned: &Turned, records: usize) {
        for at in 0..N {
            self.weights[at] = turned.weights[at].max(1);
        }
        self.records = records;
        let (all, have) = (first(records), |what: Has| columns.matching(&turned.has, what.0, what.0));
        self.blocked = have(Has::BLOCKED) & all;
        (self.ingress, self.egress) = (have(Has::INGRESS) & all, have(Has::EGRESS) & all);
        self.proven = (have(Has::RANDOM) | !self.blocked) & all;
        // Above one.
        self.sampled = (!columns.matching(&self.weights, !1, 0) | !self.proven) & all;
        (self.ports, self.tcp) = (have(Has::PORTS) & all, have(Has::TCP_FLAGS) & all);
    }

    /// Records of the batch.
    pub(super) const fn records(&self) -> usize {
        self.records
    }

    /// Those of a batch that was turned which have TCP flags.
    pub(super) const fn tcp(&self) -> u64 {
        self.tcp
    }

    /// Those of a batch that was turned which have all of this.
    #[inline(always)]
    pub(super) fn having(&self, columns: impl Columns, turned: &Turned, what: Has) -> u64 {
        match what {
            Has(0) => first(self.records),
            Has::PORTS => self.ports,
            Has::TCP_FLAGS => self.tcp,
            Has(bits) => columns.matching(&turned.has, bits, bits) & first(self.records),
        }
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self::new()
    }
}
