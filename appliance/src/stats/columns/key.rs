//! One key of each record of a batch, and its hash.

use super::first;
use super::lies::{Lies, bytes_of};
use crate::arch::HashKey;
use crate::arch::columns::Columns;
use crate::axes::KeySpec;
use crate::gather::packed::turned::Turned;
use crate::limits::{BATCH_RECORDS_MAX, KEY_BYTES_MAX};
use crate::record::{FlowRow, Record};
use crate::stats::told::Told;
use crate::stats::weights::Weights;
use crate::units::Family;

/// One key of each record of a batch.
pub struct KeyColumn {
    spec: KeySpec,
    family: Family,
    pub(super) width: usize,
    /// Where it lies in narrow records, if it does.
    lies: Option<Lies>,
    read: Read,
    pub(super) present: u64,
    pub(super) hashes: [u64; BATCH_RECORDS_MAX],
    /// Of keys of 1 to 4 bytes: four bytes as a big-endian number, the key's and then zeros.
    pub(super) heads: [u32; BATCH_RECORDS_MAX],
    pub(super) bytes: Box<[u8]>,
    pub(super) told: Told,
}

/// What some kernel reads of a column.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Keys' hashes.
    pub hashes: bool,
    /// Bytes of keys of more than four: shorter ones are always there.
    pub bytes: bool,
}

impl KeyColumn {
    /// Of this key, for records of one family.
    pub fn new(spec: KeySpec, family: Family, read: Read) -> Self {
        let width = spec.width(family).min(KEY_BYTES_MAX);
        let bytes = vec![0; width * BATCH_RECORDS_MAX].into_boxed_slice();
        let (hashes, heads) = ([0; BATCH_RECORDS_MAX], [0; BATCH_RECORDS_MAX]);
        let lies = Lies::of(&spec).filter(|_| family == Family::V4);
        Self { spec, family, width, lies, read, present: 0, hashes, heads, bytes, told: Told::default() }
    }

    /// Whether it asks for records, where a batch can be turned.
    pub(in crate::stats) const fn asks_records(&self) -> bool {
        self.width > 0 && self.lies.is_none()
    }

    /// Reads a batch of up to `N` records that was turned, if its key lies there.
    #[inline(always)]
    pub(in crate::stats) fn fill_turned<const N: usize>(
        &mut self,
        columns: impl Columns,
        turned: &Turned,
        weights: &Weights,
        hash_key: &HashKey,
    ) {
        self.told.forget();
        let records = weights.records();
        let Some(lies) = self.lies else {
            self.present = first(records);
            return;
        };
        self.present = weights.having(columns, turned, lies.needs);
        if lies.is_flow() {
            return self.fill_flows::<N>(columns, turned, records, hash_key);
        }
        lies.heads::<N>(turned, self.width, &mut self.heads);
        bytes_of::<N>(&self.heads, self.width, &mut self.bytes);
        if self.read.hashes {
            columns.hash_heads(&hash_key.seeds(self.width), &self.heads, records, &mut self.hashes);
        }
    }

    #[inline(always)]
    fn fill_flows<const N: usize>(&mut self, columns: impl Columns, turned: &Turned, records: usize, hash_key: &HashKey) {
        let (mut head, mut rest) = ([0; BATCH_RECORDS_MAX], [0; BATCH_RECORDS_MAX]);
        turned.flows::<N>(&mut head, &mut rest);
        if self.read.hashes {
            columns.hash_pairs(&hash_key.seeds(self.width), (&head, &rest), records, &mut self.hashes);
        }
        if self.read.bytes {
            for (key, (head, rest)) in self.bytes.chunks_exact_mut(self.width).zip(head.iter().zip(&rest)) {
                let (first, second) = key.split_at_mut(size_of::<u64>());
                first.copy_from_slice(&head.to_le_bytes());
                second.copy_from_slice(&rest.to_le_bytes()[..second.len()]);
            }
        }
    }

    #[inline(always)]
    pub(in crate::stats) fn fill(&mut self, records: &[Record], hash_key: &HashKey) {
        self.told.forget();
        if self.width == 0 {
            self.present = first(records.len());
            return;
        }
        self.present = self.spec.column(records, self.family, &mut self.bytes);
        self.finish(records.len(), hash_key);
    }

    /// Reads rows of flow records.
    pub(in crate::stats) fn fill_flows_of(&mut self, rows: &[FlowRow], hash_key: &HashKey) {
        self.told.forget();
        if self.width == 0 {
            self.present = first(rows.len());
            return;
        }
        let keys = rows.iter().zip(self.bytes.chunks_exact_mut(self.width)).enumerate();
        self.present = keys.fold(0, |present, (at, (row, key))| present | u64::from(self.spec.extract_flow(row, key)) << at);
        self.finish(rows.len(), hash_key);
    }

    /// Heads and hashes of so many keys.
    #[inline(always)]
    fn finish(&mut self, records: usize, hash_key: &HashKey) {
        let (keys, heads) = (&self.bytes[..records * self.width], &mut self.heads);
        match self.width {
            1 => fill_heads::<1>(keys, heads),
            2 => fill_heads::<2>(keys, heads),
            3 => fill_heads::<3>(keys, heads),
            4 => fill_heads::<4>(keys, heads),
            _ => {}
        }
        if self.read.hashes {
            hash_key.hash_column(keys, self.width, &mut self.hashes);
        }
    }

    #[inline]
    pub(super) fn key(&self, i: usize) -> &[u8] {
        self.bytes.get(i * self.width..(i + 1) * self.width).unwrap_or(&[])
    }
}

/// Of keys of one width, each as a big-endian number, its bytes and then zeros.
#[inline(always)]
fn fill_heads<const W: usize>(keys: &[u8], heads: &mut [u32; BATCH_RECORDS_MAX]) {
    for (key, head) in keys.as_chunks::<W>().0.iter().zip(heads) {
        let mut bytes = [0; 4];
        bytes[..W].copy_from_slice(key);
        *head = u32::from_be_bytes(bytes);
    }
}
