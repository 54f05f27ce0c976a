//! One metric of each record of a batch, and what some of them add up to.

use std::cell::Cell;

use super::columns::places;
use crate::arch::lanes;
use crate::axes::Metric;
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::Record;

/// One metric of each record of a batch.
pub struct ValueColumn {
    metric: Metric,
    nonzero: u64,
    values: [u32; BATCH_RECORDS_MAX],
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
        Self { metric, nonzero: 0, values: [0; BATCH_RECORDS_MAX], tally: Cell::default() }
    }

    /// Reads a batch.
    #[inline]
    pub(super) fn fill(&mut self, records: &[Record]) {
        self.tally.take();
        self.nonzero = (self.metric.row().column)(records, &mut self.values);
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

    /// What records that stand for themselves add up to, and those that do not: there is one, and all add something. Of one
    /// batch no record changes sides.
    pub(super) fn tally(&self, plain: u64, sampled: u64) -> Tally {
        let (of, tally) = self.tally.get();
        if of == plain | sampled {
            return tally;
        }
        let sum = match self.metric {
            Metric::Bytes => lanes::sum(&self.values, plain),
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
}
