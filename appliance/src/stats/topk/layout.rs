//! How the words of cells and buckets lie.

use crate::stats::columns::Row;
use crate::stats::figure::Unseen;
use crate::stats::weighted::{self, Weighted};

/// Cells of a bucket.
pub(super) const WAYS: usize = 8;

/// How a cell's words lie: tag, key, sum, what may have come before.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) key: usize,
    pub(super) sum: usize,
    pub(super) unseen: usize,
}

impl Layout {
    pub(super) fn new(key_bytes: usize, sampled: bool) -> Self {
        Self { key: key_bytes.div_ceil(8), sum: weighted::words(sampled), unseen: if sampled { 3 } else { 1 } }
    }

    pub(super) const fn cell(self) -> usize {
        1 + self.key + self.sum + self.unseen
    }

    /// Bucket: U, misses, cells.
    pub(super) const fn bucket(self) -> usize {
        self.unseen + 1 + WAYS * self.cell()
    }

    pub(super) fn cell_sum(self, cell: &[u64]) -> &[u64] {
        &cell[1 + self.key..1 + self.key + self.sum]
    }

    pub(super) fn cell_sum_mut(self, cell: &mut [u64]) -> &mut [u64] {
        &mut cell[1 + self.key..1 + self.key + self.sum]
    }

    pub(super) fn cell_is(self, cell: &[u64], tag: u64, key: &[u64]) -> bool {
        cell[0] & !0xFF == tag && cell[1..=self.key] == *key
    }

    pub(super) fn write(self, cell: &mut [u64], tag: u64, key: &[u64], row: &Row<'_>, unseen: &[u64]) {
        cell.fill(0);
        cell[0] = tag;
        cell[1..=self.key].copy_from_slice(key);
        weighted::add(self.cell_sum_mut(cell), row.value, row.weight, row.proven);
        cell[1 + self.key + self.sum..].copy_from_slice(unseen);
    }
}

/// Adds one packet to the words of an [`Unseen`].
pub(super) fn miss(words: &mut [u64], row: &Row<'_>) {
    match words {
        [_, scaled, packets] if row.is_sampled() => {
            *scaled = scaled.saturating_add(row.value * row.weight);
            *packets += 1;
        }
        [passed, ..] => *passed = passed.saturating_add(row.value * row.weight),
        [] => {}
    }
}

/// Adds a whole cell's sum to the words of an [`Unseen`].
pub(super) fn miss_sum(words: &mut [u64], sum: &Weighted) {
    if let Some(passed) = words.first_mut() {
        *passed = passed.saturating_add(sum.passed);
    }
    if let [_, scaled, packets] = words {
        *scaled = scaled.saturating_add(sum.scaled);
        *packets += sum.sampled_packets;
    }
}

pub(super) fn unseen_of(words: &[u64]) -> Unseen {
    match *words {
        [passed] => Unseen { passed, ..Unseen::default() },
        [passed, scaled, sampled_packets] => Unseen { passed, scaled, sampled_packets },
        _ => Unseen::default(),
    }
}

/// A key's bytes as words, so that words order as bytes do.
pub(super) fn key_words(bytes: &[u8], out: &mut [u64]) {
    for (word, chunk) in out.iter_mut().zip(bytes.chunks(8)) {
        let value = chunk.iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        *word = value << (8 * (8 - chunk.len()));
    }
}
