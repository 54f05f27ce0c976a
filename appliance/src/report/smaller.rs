//! A stat that is too large for a broker even alone, made smaller: each figure in a way of its own, and still true.
//!
//! What merging alone needs goes first where figures stand without it; registers are folded, which is exact; lists lose their smallest
//! keys, and the bound for keys that are not listed rises. docs/messages.md says it to consumers.

use prost::Message as _;

use super::pb::{self, stat::Figure};
use crate::stats::distinct;
use crate::stats::figure::{Basis, Confidence, Estimate};

/// log2 of the fewest registers that a sketch is folded to.
const PRECISION_MIN: u32 = 4;
/// A nothing that says: nothing bounds it.
const UNBOUNDED: u64 = u64::MAX;

/// Makes a stat so small that it takes at most so many bytes, and has it say how many it had. False: it cannot be, and is of no use any
/// more.
pub fn smaller(stat: &mut pb::Stat, bytes_max: usize) -> bool {
    let bytes = stat.encoded_len();
    if bytes <= bytes_max {
        return true;
    }
    stat.reduced_from_bytes = Some(stat.reduced_from_bytes.unwrap_or(bytes as u64));
    while stat.encoded_len() > bytes_max {
        let excess = stat.encoded_len() - bytes_max;
        if !step(stat, excess) {
            return false;
        }
    }
    true
}

/// One step; false: there is none. `excess`: so many bytes are too many.
fn step(stat: &mut pb::Stat, excess: usize) -> bool {
    if let Some(peak) = stat.peak.as_mut().filter(|peak| !peak.series.is_empty()) {
        peak.series.clear();
        return true;
    }
    match &mut stat.figure {
        Some(Figure::Distinct(of)) => fold(of),
        Some(Figure::NewKeys(of)) => of.keys.as_mut().is_some_and(fold),
        Some(Figure::Top(top)) => thin(top) || shorten(top, excess),
        Some(Figure::Histogram(of)) => join(&mut of.bins, excess),
        Some(Figure::Quantiles(of)) => !std::mem::take(&mut of.bins).is_empty(),
        Some(Figure::Total(_) | Figure::Entropy(_)) | None => false,
    }
}

/// Half as many registers.
fn fold(of: &mut pb::Distinct) -> bool {
    if of.sketch_kind != "hll" || !(PRECISION_MIN + 1..=16).contains(&of.p) || of.sketch.len() != 1 << of.p {
        return false;
    }
    let told = read(&of.value.unwrap_or_default());
    of.p -= 1;
    let (sketch, value) = distinct::fewer(&of.sketch, of.p, &told);
    (of.sketch, of.value) = (sketch, Some(super::message::estimate(&value)));
    true
}

fn read(of: &pb::Estimate) -> Estimate {
    let basis = match of.basis() {
        pb::Basis::Exact => Basis::Exact,
        pb::Basis::Sampled => Basis::Sampled,
        pb::Basis::Sketched => Basis::Sketched,
        pb::Basis::SampledSketched => Basis::SampledSketched,
    };
    let confidence = match of.confidence() {
        pb::Confidence::Sure => Confidence::Sure,
        pb::Confidence::P95 => Confidence::P95,
    };
    Estimate { value: of.value, low: of.low, high: of.high, basis, confidence }
}

/// Of `fanout`: half of the pairs, as if one in twice as many had been kept. Figures stay: they stood on more.
fn thin(top: &mut pb::Top) -> bool {
    let lists = || top.entries.iter().chain(&top.reserve);
    if top.pairs_level >= 64 || lists().all(|entry| entry.pairs.is_empty()) {
        return false;
    }
    top.pairs_level += 1;
    let level = top.pairs_level;
    let is_kept = |hash: &[u8; 8]| u64::from_be_bytes(*hash).leading_zeros() >= level;
    for entry in top.entries.iter_mut().chain(&mut top.reserve) {
        entry.pairs = entry.pairs.as_chunks().0.iter().filter(|hash| is_kept(hash)).flatten().copied().collect();
    }
    true
}

/// Without the smallest keys: a key that is not listed may have as much as they.
fn shorten(top: &mut pb::Top, excess: usize) -> bool {
    let is_fanout = top.all_sufficient.is_none();
    let (held, mut bytes) = (of_entries(top), 0);
    while bytes < excess {
        let Some(entry) = top.reserve.pop().or_else(|| top.entries.pop()) else { break };
        bytes += entry.encoded_len();
        raise(top, &entry, is_fanout);
    }
    if held > 0.0 {
        top.coverage *= of_entries(top) / held;
    }
    top.order_proven = top.order_proven.min(u32::try_from(top.entries.len()).unwrap_or(u32::MAX));
    bytes > 0
}

fn of_entries(top: &pb::Top) -> f64 {
    top.entries.iter().filter_map(|entry| entry.value.as_ref()).map(|value| value.value).sum()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of keys, rounded up")]
fn raise(top: &mut pb::Top, entry: &pb::TopEntry, is_fanout: bool) {
    if is_fanout {
        let high = entry.value.as_ref().and_then(|value| value.high).map_or(UNBOUNDED, |high| high.ceil() as u64);
        top.absent_high_passed = top.absent_high_passed.max(high);
        return;
    }
    let counted = entry.sufficient.unwrap_or_default();
    for (absent, counted, unseen) in [
        (&mut top.absent_high_passed, counted.passed, entry.unseen_passed),
        (&mut top.absent_high_scaled, counted.scaled, entry.unseen_scaled),
        (&mut top.absent_high_sampled_packets, counted.sampled_packets, entry.unseen_sampled_packets),
    ] {
        *absent = counted.saturating_add(unseen).max(*absent);
    }
}

/// Fewer bins: neighbours of numbers become one; of labels the smallest go to `other`.
fn join(bins: &mut Vec<pb::Bin>, excess: usize) -> bool {
    let before = bins.len();
    if bins.iter().any(|bin| bin.low.is_some()) {
        join_neighbours(bins)
    } else {
        join_smallest(bins, excess)
    }
    bins.len() < before
}

/// Two and two.
fn join_neighbours(bins: &mut Vec<pb::Bin>) {
    let mut joined: Vec<pb::Bin> = Vec::with_capacity(bins.len());
    let mut is_half = false;
    for bin in std::mem::take(bins) {
        match joined.last_mut() {
            Some(last) if is_half && last.high.is_some() && last.high == bin.low => {
                (last.high, is_half) = (bin.high, false);
                add(last, &bin);
            }
            _ => {
                is_half = bin.low.is_some();
                joined.push(bin);
            }
        }
    }
    *bins = joined;
}

fn join_smallest(bins: &mut Vec<pb::Bin>, excess: usize) {
    let is_other = |bin: &pb::Bin| bin.label.as_deref() == Some(OTHER);
    let value = |bin: &pb::Bin| bin.value.as_ref().map_or(0.0, |value| value.value);
    let mut other = bins.iter().position(is_other).map(|at| bins.remove(at));
    let mut order: Vec<usize> = (0..bins.len()).collect();
    order.sort_by(|a, b| value(&bins[*a]).total_cmp(&value(&bins[*b])));
    // What the bin of the others may grow by is freed too.
    let (mut bytes, mut gone) = (0, vec![false; bins.len()]);
    for at in order {
        if bytes >= excess.saturating_add(OTHER_BYTES_MAX) {
            break;
        }
        bytes += bins[at].encoded_len();
        gone[at] = true;
        match &mut other {
            Some(other) => add(other, &bins[at]),
            None => other = Some(pb::Bin { label: Some(OTHER.to_owned()), ..bins[at].clone() }),
        }
    }
    let mut gone = gone.into_iter();
    bins.retain(|_| !gone.next().unwrap_or(false));
    bins.extend(other);
}

/// The label of all that have no bin of their own.
const OTHER: &str = "other";
/// What such a bin takes at most: its label, an estimate, sums.
const OTHER_BYTES_MAX: usize = 160;

/// Sums add. Ends add too, which is further apart than they need be.
fn add(to: &mut pb::Bin, more: &pb::Bin) {
    if let (Some(to), Some(more)) = (&mut to.value, &more.value) {
        to.value += more.value;
        to.low += more.low;
        to.high = to.high.zip(more.high).map(|(to, more)| to + more);
        // A sketch or a sample in either is one in both.
        to.basis |= more.basis;
        to.confidence = to.confidence.max(more.confidence);
    }
    if let (Some(to), Some(more)) = (&mut to.sufficient, &more.sufficient) {
        let variance = |of: &pb::WeightedSum| u128::from(of.variance_high) << 64 | u128::from(of.variance_low);
        let sum = variance(to).saturating_add(variance(more));
        #[allow(clippy::cast_possible_truncation, reason = "a u128 in two words")]
        let words = ((sum >> 64) as u64, sum as u64);
        (to.variance_high, to.variance_low) = words;
        for (to, more) in [
            (&mut to.passed, more.passed),
            (&mut to.sampled_packets, more.sampled_packets),
            (&mut to.scaled, more.scaled),
            (&mut to.unproven_packets, more.unproven_packets),
            (&mut to.seen, more.seen),
        ] {
            *to = to.saturating_add(more);
        }
        to.largest = to.largest.max(more.largest);
    }
}
