//! Prefixes → runs of addresses with the same longest prefix.

use super::prefix::{Address, Prefix};
use crate::arch::cells::Root;

/// A first position, and what holds from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run<A> {
    pub(super) first: A,
    pub(super) value: u32,
}

/// Runs of a family: what is nested comes behind what it is nested in. 0 is no prefix, else its index and one.
pub(super) fn runs<A: Address>(prefixes: &[Prefix<A>]) -> Vec<Run<A>> {
    let mut runs: Vec<Run<A>> = vec![Run { first: A::ZERO, value: 0 }];
    let mut open: Vec<(A, u32)> = Vec::new();
    let mut begin = |first: A, value: u32| {
        if runs.last().is_some_and(|run| run.first == first) {
            runs.pop();
        }
        if runs.last().is_none_or(|run| run.value != value) {
            runs.push(Run { first, value });
        }
    };
    for prefix in prefixes {
        while let Some((last, _)) = open.pop_if(|(last, _)| *last < prefix.bits) {
            let outer = open.last().map_or(0, |(_, value)| *value);
            last.next().into_iter().for_each(|next| begin(next, outer));
        }
        begin(prefix.bits, prefix.index + 1);
        open.push((prefix.last(), prefix.index + 1));
    }
    while let Some((last, _)) = open.pop() {
        let outer = open.last().map_or(0, |(_, value)| *value);
        last.next().into_iter().for_each(|next| begin(next, outer));
    }
    runs
}

/// The smallest block, of at most so many shared bits, that all that is different lies in: its first position, those bits,
/// and the value beside it. Runs before `from` are not asked for.
pub(super) fn narrowed(runs: &[Run<u64>], from: u64, depth_max: u32) -> (u64, u32, u32) {
    let (Some(second), Some(last)) = (runs.get(1), runs.last()) else { return (0, 0, runs.first().map_or(0, |run| run.value)) };
    let depth = ((second.first - 1) ^ last.first).leading_zeros().min(depth_max);
    let first = if depth == 0 { 0 } else { last.first >> (64 - depth) << (64 - depth) };
    // A prefix that holds on one side of the block and not on the other would end within it.
    let side = if first == from { last } else { &runs[0] };
    (first, depth, if depth == 0 { 0 } else { side.value })
}

/// Runs from this position on.
pub(super) fn within(first: u64, runs: &[Run<u64>]) -> &[Run<u64>] {
    let from = runs.partition_point(|run| run.first <= first).saturating_sub(1);
    &runs[from..]
}

/// Runs that have a position from `begin` to `end`; `from` is the run where the search goes on, for positions that ascend.
fn between<'a>(from: &mut usize, (begin, end): (u64, u64), runs: &'a [Run<u64>]) -> &'a [Run<u64>] {
    while runs.get(*from + 1).is_some_and(|next| next.first <= begin) {
        *from += 1;
    }
    let mut to = *from + 1;
    while runs.get(to).is_some_and(|next| next.first <= end) {
        to += 1;
    }
    let inner = &runs[*from..to];
    *from = to - 1;
    inner
}

/// Runs of each of the parts of a block.
pub(super) fn parts(first: u64, depth: u32, bits: u32, runs: &[Run<u64>]) -> impl Iterator<Item = &[Run<u64>]> {
    let mut from = 0;
    (0..1_u64 << bits).map(move |part| {
        let begin = first + if bits == 0 { 0 } else { part << (64 - depth - bits) };
        let end = begin + ((u64::MAX >> depth) >> bits);
        between(&mut from, (begin, end), runs)
    })
}

/// A root's blocks, each with its first position.
pub(super) fn blocks(root: Root, runs: &[Run<u64>]) -> impl Iterator<Item = (u64, &[Run<u64>])> {
    let mut from = 0;
    (0..1_u64 << root.bits).map(move |at| {
        let begin = root.first + (at << root.shift);
        let end = begin + (u64::MAX >> (64 - root.shift));
        (begin, between(&mut from, (begin, end), runs))
    })
}
