//! One metric of each record of a batch, and what some of them add up to.

use std::cell::Cell;

use super::columns::{first, places};
use super::weights::Weights;
use crate::arch::columns::Columns;
use crate::arch::lanes;
use crate::axes::Metric;
use crate::axes::metric::{ACK, RST, SYN};
use crate::gather::packed::turned::{FRAGMENT_MASK, Turned};
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::{FlowRow, Record};

/// One metric of each record of a batch.
pub struct ValueColumn {
    metric: Metric,
    nonzero: u64,
    values: [u32; BATCH_RECORDS_MAX],
    /// All values are one: who counts packets alone needs nothing but which of them count.
    ones: bool,
    /// A record may add more than one, whatever the metric.
    of_flows: bool,
    /// Of the records that were last asked for: stats that select alike ask the same.
    tally: Cell<(u64, Tally)>,
}

/// What the values of some records add up to.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    /// Of those that stand for themselves, the sum.
    pub(super) plain: u64,
    /// Of those that stand for others, or may: how many,
    pub(super) samples: u64,
    /// the largest value,
    pub(super) largest: u64,
    /// the sum,
    pub(super) seen: u64,
    /// and the sum of squares.
    pub(super) squares: u64,
}

impl ValueColumn {
    /// Of this metric.
    pub fn new(metric: Metric) -> Self {
        Self { metric, nonzero: 0, values: [0; BATCH_RECORDS_MAX], ones: false, of_flows: false, tally: Cell::default() }
    }

    /// Reads a batch.
    #[inline]
    pub(super) fn fill(&mut self, records: &[Record]) {
        self.tally.take();
        self.nonzero = (self.metric.row().column)(records, &mut self.values);
        self.ones = false;
    }

    /// Reads rows of flow records.
    pub(super) fn fill_flows(&mut self, rows: &[FlowRow]) {
        self.tally.take();
        (self.nonzero, self.ones, self.of_flows) = (0, false, true);
        for (at, (row, value)) in rows.iter().zip(&mut self.values).enumerate() {
            *value = self.metric.of_flow(row);
            self.nonzero |= u64::from(*value > 0) << at;
        }
    }

    /// Reads a batch that was turned.
    #[inline(always)]
    pub(super) fn fill_turned<const N: usize>(&mut self, columns: impl Columns, turned: &Turned, weights: &Weights) {
        self.tally.take();
        let all = first(weights.records());
        let flags = |mask: u8, wanted: u8| columns.matching(&turned.flags, mask.into(), wanted.into());
        self.nonzero = match self.metric {
            Metric::Bytes => {
                turned.wire_bytes::<N>(&mut self.values);
                !columns.within(&self.values, 0, 0) & all
            }
            Metric::Packets | Metric::Flows => all,
            Metric::ConnectionsOpened => flags(SYN | ACK, SYN) & weights.tcp(),
            Metric::ConnectionsAccepted => flags(SYN | ACK, SYN | ACK) & weights.tcp(),
            Metric::Resets => flags(RST, RST) & weights.tcp(),
            Metric::Fragments => !columns.matching(&turned.flags, FRAGMENT_MASK, 0) & all,
        };
        if !matches!(self.metric, Metric::Bytes) && !self.ones {
            (self.values, self.ones) = ([1; BATCH_RECORDS_MAX], true);
        }
    }

    /// The records that add something.
    pub(super) const fn nonzero(&self) -> u64 {
        self.nonzero
    }

    /// What a record adds.
    #[inline(always)]
    pub(super) const fn at(&self, at: usize) -> u64 {
        self.values[at] as u64
    }

    /// The same, as it is kept.
    #[inline(always)]
    pub(super) const fn small_at(&self, at: usize) -> u32 {
        self.values[at]
    }

    /// What records that stand for themselves add up to, and those that do not: there is one, and all add something. Of one
    /// batch no record changes sides.
    pub(super) fn tally(&self, plain: u64, sampled: u64, weights: &Weights) -> Tally {
        let (of, tally) = self.tally.get();
        if of == plain | sampled {
            return tally;
        }
        if (plain | sampled) & weights.several != 0 {
            return self.tally_several(plain, sampled, &weights.times);
        }
        let sum = match self.metric {
            Metric::Bytes => lanes::sum(&self.values, plain),
            _ if self.of_flows => lanes::sum(&self.values, plain),
            // A packet that counts adds one.
            Metric::Packets
            | Metric::ConnectionsOpened
            | Metric::ConnectionsAccepted
            | Metric::Resets
            | Metric::Fragments
            | Metric::Flows => u64::from(plain.count_ones()),
        };
        let mut tally = Tally { plain: sum, ..Tally::default() };
        for at in places(sampled) {
            let value = self.at(at);
            tally.samples += 1;
            tally.largest = tally.largest.max(value);
            tally.seen += value;
            tally.squares = tally.squares.saturating_add(value * value);
        }
        self.tally.set((plain | sampled, tally));
        tally
    }

    /// The same, where some stand for several.
    fn tally_several(&self, plain: u64, sampled: u64, times: &[u64; BATCH_RECORDS_MAX]) -> Tally {
        let mut tally = Tally::default();
        for at in places(plain) {
            tally.plain = tally.plain.saturating_add(self.at(at).saturating_mul(times[at]));
        }
        for at in places(sampled) {
            let (value, times) = (self.at(at), times[at]);
            tally.samples = tally.samples.saturating_add(times);
            tally.largest = tally.largest.max(value);
            tally.seen = tally.seen.saturating_add(value.saturating_mul(times));
            tally.squares = tally.squares.saturating_add((value * value).saturating_mul(times));
        }
        self.tally.set((plain | sampled, tally));
        tally
    }
}
