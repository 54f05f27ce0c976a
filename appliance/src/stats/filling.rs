//! A batch into all columns that a plan has.

use super::columns::{KeyColumn, ValueColumn};
use super::weights::Weights;
use crate::arch::HashKey;
use crate::arch::columns::{Columns, Task};
use crate::arch::lanes::{Lanes, Work};
use crate::gather::packed::turned::Turned;
use crate::gather::packed::{Batch, Layout};
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::Record;

/// Columns that are read of every batch.
pub(super) struct Filling<'a> {
    pub(super) keys: &'a mut [KeyColumn],
    pub(super) values: &'a mut [ValueColumn],
    pub(super) weights: &'a mut Weights,
    pub(super) records: &'a [Record],
    pub(super) hash_key: &'a HashKey,
}

impl Work for Filling<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { keys, values, weights, records, hash_key } = self;
        // What is given to an iterator's own loop is compiled for any processor.
        for column in keys {
            column.fill(records, hash_key);
        }
        for column in values {
            column.fill(records);
        }
        weights.fill(lanes, records);
    }
}

/// Columns that are read off the words of a batch's records.
pub(super) struct Turning<'a> {
    pub(super) keys: &'a mut [KeyColumn],
    pub(super) values: &'a mut [ValueColumn],
    pub(super) weights: &'a mut Weights,
    pub(super) turned: &'a mut Turned,
    pub(super) hash_key: &'a HashKey,
    pub(super) batch: &'a Batch<'a>,
    pub(super) layout: &'a Layout,
}

impl Task for Turning<'_> {
    type Out = ();

    #[inline(always)]
    fn run<C: Columns>(self, columns: C) {
        // A window's end brings small batches.
        if self.batch.len <= BATCH_RECORDS_MAX / 2 {
            self.turn::<C, { BATCH_RECORDS_MAX / 2 }>(columns);
        } else {
            self.turn::<C, BATCH_RECORDS_MAX>(columns);
        }
    }
}

impl Turning<'_> {
    /// Of up to `N` records.
    #[inline(always)]
    fn turn<C: Columns, const N: usize>(self, columns: C) {
        let Self { keys, values, weights, turned, hash_key, batch, layout } = self;
        turned.fill::<N>(batch, layout);
        weights.fill_turned::<N>(columns, turned, batch.len);
        for column in keys {
            column.fill_turned::<N>(columns, turned, weights, hash_key);
        }
        for column in values {
            column.fill_turned::<N>(columns, turned, weights);
        }
    }
}
