//! A batch into all columns that a plan has.

use super::columns::{KeyColumn, ValueColumn};
use super::weights::Weights;
use crate::arch::HashKey;
use crate::arch::lanes::{Lanes, Work};
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
