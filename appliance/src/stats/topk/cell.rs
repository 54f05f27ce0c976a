//! A cell outside of a table, and as the reporter is told of it.

use super::cells::{PARTS_MAX, Sums};
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

    /// As it is told to the reporter: tag and key, sum, and what may have come before.
    pub(super) fn export(&self, shape: &Shape, bounded: bool, out: &mut Vec<u64>) {
        out.push(u64::from(self.tag) << 32 | u64::from(self.key[0]));
        let more = self.key[1..shape.halves].chunks(2);
        out.extend(more.map(|two| two.iter().fold(0, |word, half| word << 32 | u64::from(*half))));
        out.extend_from_slice(&self.sum[..shape.sums.layout.words()]);
        if bounded {
            out.extend_from_slice(&self.before[..shape.sums.parts()]);
        }
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

    /// Words of an export.
    pub(super) const fn export_words(shape: &Shape, bounded: bool) -> usize {
        1 + (shape.halves - 1).div_ceil(2) + shape.sums.layout.words() + if bounded { shape.sums.parts() } else { 0 }
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
        shape.read(&bucket, 3).unwrap().export(&shape, true, &mut out);
        Cell::key_of(&out, &mut back);
        assert_eq!((Cell::tag_of(&out), back, out.len()), (99, key, Cell::export_words(&shape, true)));
        assert_eq!(key.iter().flat_map(|half| half.to_be_bytes()).take(37).collect::<Vec<u8>>(), bytes);
    }
}
