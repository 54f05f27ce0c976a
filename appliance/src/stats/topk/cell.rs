//! A cell outside of a table, and as the reporter is told of it.

use super::cells::{PARTS_MAX, Sums, expand};
use super::table::{HALVES_MAX, Shape};
use crate::stats::weighted::{SumLayout, Weighted};

/// A cell outside of a table.
pub(super) struct Cell {
    pub(super) tag: u32,
    pub(super) score: u8,
    pub(super) key: [u32; HALVES_MAX],
    pub(super) sum: [u64; SumLayout::WORDS_MAX],
    pub(super) before: [u64; PARTS_MAX],
}

impl Cell {
    pub(super) fn total(&self, sums: Sums) -> Weighted {
        sums.layout.read(&self.sum[..sums.layout.words()])
    }

    /// Of an export.
    pub(super) const fn tag_of(words: &[u64]) -> u32 {
        (words[0] >> 32) as u32
    }

    /// Of an export.
    #[allow(clippy::cast_possible_truncation, reason = "two halves a word")]
    pub(super) fn key_of(words: &[u64], key: &mut [u32]) {
        key[0] = words[0] as u32;
        for (word, two) in words[1..].iter().zip(key[1..].chunks_mut(2)) {
            let count = two.len();
            two.iter_mut().enumerate().for_each(|(i, half)| *half = (word >> (32 * (count - 1 - i))) as u32);
        }
    }
}

impl Shape {
    /// Appends a bucket's cells as they are told to the reporter: tag and key, sum, and if there is a bound, what may have come
    /// before.
    pub(super) fn export(&self, bucket: &[u64], bounded: bool, out: &mut Vec<u64>) {
        let (cell_words, from) = (self.export_words(bounded), out.len());
        out.resize(from + self.ways * cell_words, 0);
        let mut cells = 0;
        for (way, score) in self.scores(bucket).iter().enumerate() {
            let at = from + cells * cell_words;
            cells += usize::from(*score > 0);
            // What a free one says goes again.
            self.tell(bucket, way, &mut out[at..at + cell_words]);
        }
        out.truncate(from + cells * cell_words);
    }

    /// Writes a cell, as long as it is told.
    #[inline]
    fn tell(&self, bucket: &[u64], way: usize, out: &mut [u64]) {
        let ([first, more @ ..], sum_words) = (self.key(bucket, way), self.sums.layout.words()) else { return };
        let (head, rest) = out.split_at_mut(1 + more.len().div_ceil(2));
        head[0] = u64::from(Self::tag(bucket, way)) << 32 | u64::from(*first);
        let two = more.chunks(2).map(|two| two.iter().fold(0, |word, half| word << 32 | u64::from(*half)));
        head[1..].iter_mut().zip(two).for_each(|(word, two)| *word = two);
        let (sum, before) = rest.split_at_mut(sum_words);
        self.sums.widen(self.sum(bucket, way), sum);
        before.iter_mut().zip(self.before(bucket, way)).for_each(|(part, code)| *part = expand(*code));
    }

    /// Words of a cell, as it is told.
    pub(super) const fn export_words(&self, bounded: bool) -> usize {
        1 + (self.halves - 1).div_ceil(2) + self.sums.layout.words() + if bounded { self.sums.parts() } else { 0 }
    }
}

/// A key's bytes as numbers, so that numbers order as bytes do.
#[inline(always)]
pub(super) fn key_halves(bytes: &[u8], out: &mut [u32]) {
    if let (Ok(bytes), Ok(out)) = (<&[u8; 16]>::try_from(bytes), <&mut [u32; 4]>::try_from(&mut *out)) {
        *out = std::array::from_fn(|i| u32::from_be_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]));
        return;
    }
    for (half, chunk) in out.iter_mut().zip(bytes.chunks(4)) {
        *half = match *chunk {
            [a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
            _ => chunk.iter().enumerate().fold(0, |n, (i, b)| n | u32::from(*b) << (24 - 8 * i)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_their_bytes_and_survive_an_export() {
        let shape = Shape::new(37, Sums { layout: SumLayout::Plain, wide: true });
        let bytes: Vec<u8> = (0..37).map(|b| b * 7).collect();
        let (mut key, mut back) = ([0; 10], [0; 10]);
        key_halves(&bytes, &mut key);
        let mut bucket = vec![0; shape.words];
        shape.admit(&mut bucket, 3, (99, &key));
        let mut out = Vec::new();
        shape.export(&bucket, true, &mut out);
        Cell::key_of(&out, &mut back);
        assert_eq!((Cell::tag_of(&out), back, out.len()), (99, key, shape.export_words(true)));
        assert_eq!(key.iter().flat_map(|half| half.to_be_bytes()).take(37).collect::<Vec<u8>>(), bytes);
    }
}
