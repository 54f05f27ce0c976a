//! Runs → trees of lines: what a block of many runs is made of.

#![allow(clippy::cast_possible_truncation, reason = "keys are cut on purpose, and a table has fewer lines than 2^22")]

use super::cells::Builder;
use super::runs::Run;
use crate::arch::cells::{KEY_NONE, LEAF_KEYS, LINE_WORDS, Reference, Shape, WAYS_KEYS};

/// Bits behind a block's that a tree tells apart.
const KEY_BITS: u32 = 32;

/// Parts of a block that a key tells apart: the first position of each, and the runs that it has.
fn told(first: u64, depth: u32, runs: &[Run<u64>]) -> Vec<(u64, &[Run<u64>])> {
    let below = (u64::MAX >> depth) >> KEY_BITS;
    let mut parts: Vec<(u64, &[Run<u64>])> = Vec::new();
    let mut from = 0;
    while from < runs.len() {
        let begin = runs[from].first.max(first);
        let part = begin & !below;
        let count = runs[from..].iter().take_while(|run| run.first <= part | below).count();
        let to = from + count;
        if begin == part && count == 1 {
            parts.push((begin, &runs[from..to]));
        } else {
            // It begins with what holds before, and what it ends with goes on behind it.
            parts.push((part, &runs[if begin == part { from } else { from - 1 }..to]));
            let last = part | below;
            if last < first | u64::MAX >> depth && runs.get(to).is_none_or(|run| run.first > last + 1) {
                parts.push((last + 1, &runs[to - 1..to]));
            }
        }
        from = to;
    }
    parts
}

/// Runs of a block that a tree cannot tell apart.
pub(super) fn untold(first: u64, depth: u32, runs: &[Run<u64>]) -> usize {
    told(first, depth, runs).into_iter().map(|(_, inner)| inner.len()).filter(|length| *length > 1).sum()
}

impl<S: Shape> Builder<S> {
    /// A block of positions that share `depth` bits; the first run covers its first.
    pub(super) fn tree(&mut self, first: u64, depth: u32, runs: &[Run<u64>]) -> Reference {
        let told = told(first, depth, runs);
        let value = |(begin, inner): (u64, &[Run<u64>])| match inner {
            [run] => run.value,
            several => self.link(several, begin),
        };
        let values: Vec<u32> = told.iter().copied().map(value).collect();
        let lasts: Vec<u32> = told.iter().skip(1).map(|(begin, _)| (((begin - 1) << depth) >> KEY_BITS) as u32).chain([KEY_NONE]).collect();
        let (mut line, mut ends) = self.leaves(&values, &lasts);
        let mut levels = 0;
        while ends.len() > 1 {
            (line, ends) = self.ways(line, &ends);
            levels += 1;
        }
        Reference::tree::<S>((line / LINE_WORDS) as u32, levels)
    }

    /// Leaves of values, with the last key of each; where they stand, and where they end.
    fn leaves(&mut self, values: &[u32], lasts: &[u32]) -> (usize, Vec<u32>) {
        let leaves = values.chunks(LEAF_KEYS + 1).zip(lasts.chunks(LEAF_KEYS + 1));
        let first = self.room(leaves.len() * LINE_WORDS, LINE_WORDS);
        for (at, (values, lasts)) in leaves.clone().enumerate() {
            let line = &mut self.words[first + at * LINE_WORDS..][..LINE_WORDS];
            let (keys, behind) = line.split_at_mut(LEAF_KEYS);
            keys.fill(KEY_NONE);
            keys.iter_mut().zip(lasts).for_each(|(key, last)| *key = *last);
            behind[..values.len()].copy_from_slice(values);
        }
        (first, leaves.filter_map(|(_, lasts)| lasts.last().copied()).collect())
    }

    /// Lines that lead to those from this one on, each of which ends at a key; where they stand, and where they end.
    fn ways(&mut self, below: usize, ends: &[u32]) -> (usize, Vec<u32>) {
        let lines = ends.chunks(WAYS_KEYS + 1);
        let first = self.room(lines.len() * LINE_WORDS, LINE_WORDS);
        for (at, ends) in lines.clone().enumerate() {
            let line = &mut self.words[first + at * LINE_WORDS..][..LINE_WORDS];
            line[..WAYS_KEYS].fill(KEY_NONE);
            let keys = ends.len() - 1;
            line[..keys].copy_from_slice(&ends[..keys]);
            line[WAYS_KEYS] = (below / LINE_WORDS + at * (WAYS_KEYS + 1)) as u32;
        }
        (first, lines.filter_map(|ends| ends.last().copied()).collect())
    }
}
