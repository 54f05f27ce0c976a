//! A full bucket: who keeps a cell, and who gets one.

use super::cells::PARTS_MAX;
use super::growth::{DOUBLING_STEP, State, is_thinned};
use super::table::Shape;
use super::{Step, TopKernel, bucket_mut};
use crate::arch::hash::spread;
use crate::arch::lanes::Lanes;
use crate::stats::columns::{Row, View};
use crate::stats::weighted::SumLayout;

/// Misses of a bucket after which its scores are halved, again and again.
const AGEING_MISSES: u32 = 512;
/// The first such halving; before [`AGEING_MISSES`] they come at each power of two, so that keys sent ahead of a flood do
/// not hold a small window's cells.
const AGEING_MISSES_FIRST: u32 = 32;
/// A victim that holds more than one in so many of what its bucket missed gets a second chance,
const SECOND_CHANCE_SHARE: u64 = 96;
/// unless it holds less than so many packets: of a bucket that missed little, every key would.
const SECOND_CHANCE_PACKETS_MIN: u64 = 4;
/// Bytes that count as a packet where keys are ranked by bytes.
const UNIT_BYTES: u64 = 256;
/// The most that one packet moves a score.
const UNITS_MAX: u64 = 64;

const _: () = assert!(AGEING_MISSES.is_multiple_of(AGEING_MISSES_FIRST) && AGEING_MISSES_FIRST.is_power_of_two());

/// 2^32 · 1.08^-score: how likely a miss takes a point from that score.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^32")]
const DECAY: [u64; 256] = {
    let mut table = [0; 256];
    let (mut i, mut p) = (0, 4_294_967_296.0_f64);
    while i < 256 {
        table[i] = p as u64;
        p /= 1.08;
        i += 1;
    }
    table
};

impl TopKernel {
    /// How much a packet moves a score.
    #[inline(always)]
    pub(super) fn units(&self, shape: &Shape, row: &Row<'_>) -> u8 {
        let by_bytes = match shape.sums.layout {
            SumLayout::Ones { .. } => false,
            SumLayout::Values { .. } => true,
            SumLayout::Plain | SumLayout::General => self.by_bytes,
        };
        let units = if by_bytes { row.value / UNIT_BYTES + 1 } else { 1 };
        u8::try_from((units * row.weight).min(UNITS_MAX)).unwrap_or(u8::MAX)
    }

    /// Whether a cell's score follows from its sum, until it is contested.
    #[inline(always)]
    pub(super) const fn derives_scores(&self, shape: &Shape) -> bool {
        match shape.sums.layout {
            SumLayout::Ones { .. } => true,
            SumLayout::Plain => !self.by_bytes,
            SumLayout::Values { .. } | SumLayout::General => false,
        }
    }

    /// The score of a key whose packets each count as one, as it would be had it been kept packet by packet.
    pub(super) fn derived_score(&self, [passed, samples, _]: [u64; PARTS_MAX]) -> u8 {
        let of_sample = match self.narrow.sums.layout {
            SumLayout::Ones { weight } => u64::from(weight).min(UNITS_MAX),
            _ => 1,
        };
        let units = passed.saturating_add(samples.saturating_mul(of_sample));
        u8::try_from(units.saturating_add(1)).unwrap_or(u8::MAX)
    }

    const fn second_chance_least(&self) -> u64 {
        SECOND_CHANCE_PACKETS_MIN * if self.by_bytes { UNIT_BYTES } else { 1 }
    }

    /// Counts in a key's own bucket.
    #[inline(always)]
    pub(super) fn count_contested<L: Lanes>(
        &self,
        (lanes, shape, words): (L, &Shape, &mut [u64]),
        (state, pressure, doubling_misses): (&mut State, u32, u32),
        (view, record): (&View<'_>, usize),
        key: (u32, &[u32]),
    ) -> Step {
        let at = Shape::bucket_of(key.0, state.buckets);
        let bucket = bucket_mut(words, shape, at);
        let way = if let Some(way) = shape.find(lanes, bucket, key.0, key.1) {
            way
        } else {
            let (way, score) = shape.weakest(lanes, bucket);
            if score == 0 {
                shape.admit(bucket, way, key);
                way
            } else {
                let (row, is_sampled) = (view.row_without_key(record), view.is_sampled(record));
                let misses = Shape::miss(bucket);
                if is_thinned(&row, misses.into(), pressure) {
                    state.thinned = state.thinned.max(pressure);
                    shape.sums.miss_row(shape.missed_mut(bucket), &row, is_sampled);
                    return missed(misses, doubling_misses);
                }
                let Some(way) = self.contest((lanes, shape, bucket), &row, (misses, way, score)) else {
                    shape.sums.miss_row(shape.missed_mut(bucket), &row, is_sampled);
                    return missed(misses, doubling_misses);
                };
                let evicted = shape.held(bucket, way);
                shape.admit(bucket, way, key);
                shape.sums.miss_parts(shape.missed_mut(bucket), &evicted);
                way
            }
        };
        let row = view.row_without_key(record);
        if shape.add(bucket, way, (&row, view.is_sampled(record)), self.units(shape, &row)) {
            Step::Counted
        } else {
            Step::Overflow(at, way)
        }
    }

    /// A new key against the weakest of a full bucket: the cell that it may take.
    #[inline(always)]
    fn contest<L: Lanes>(
        &self,
        (lanes, shape, bucket): (L, &Shape, &mut [u64]),
        row: &Row<'_>,
        (misses, way, score): (u32, usize, u8),
    ) -> Option<usize> {
        let (mut way, mut score) = (way, score);
        // Both kinds are multiples of the first: nearly always it ends there.
        if misses.is_multiple_of(AGEING_MISSES_FIRST) && (misses.is_multiple_of(AGEING_MISSES) || misses.is_power_of_two()) {
            shape.scores_mut(bucket).iter_mut().for_each(|score| *score = (*score - 1) / 2 + 1);
            (way, score) = shape.weakest(lanes, bucket);
        }
        // Scores are kept with one added.
        let score = score - 1;
        // Drawn from the keyed hash and the bucket's own count: the same packets in the same order decide alike.
        let draw = spread(row.hash ^ u64::from(misses).wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 32;
        if draw >= DECAY[usize::from(score)] * u64::from(self.units(shape, row)) {
            return None;
        }
        *shape.score_mut(bucket, way) -= score.min(1);
        if score > 1 {
            return None;
        }
        self.takes(shape, bucket, way, score).then_some(way)
    }

    /// Whether a cell that is worn down goes: unless it gets a second chance.
    #[inline(always)]
    fn takes(&self, shape: &Shape, bucket: &mut [u64], way: usize, score: u8) -> bool {
        if score == 0 {
            return true;
        }
        let weight = self.narrow.sums.layout.weight();
        let total = |parts: [u64; PARTS_MAX]| shape.sums.whole(parts, weight);
        let (missed, held) = (total(shape.missed_parts(bucket)), total(shape.held(bucket, way)));
        if held >= self.second_chance_least() && held.saturating_mul(SECOND_CHANCE_SHARE) > missed {
            *shape.score_mut(bucket, way) += 2;
            return false;
        }
        true
    }
}

/// A packet that found no cell: only now and then, where there may be more of them, is it asked whether there should.
#[inline(always)]
const fn missed(misses: u32, doubling_misses: u32) -> Step {
    if misses >= doubling_misses && misses.is_multiple_of(DOUBLING_STEP) { Step::Missed(misses) } else { Step::Counted }
}
