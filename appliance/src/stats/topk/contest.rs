//! A full bucket: who keeps a cell, and who gets one.

use super::cells::PARTS_MAX;
use super::growth::{DOUBLING_STEP, State, is_thinned};
use super::table::Shape;
use super::{Step, TopKernel};
use crate::arch::hash::spread;
use crate::arch::lanes::Lanes;
use crate::stats::columns::Row;
use crate::stats::weighted::SumLayout;

/// Misses of a bucket after which its scores are halved, again and again: some hundred contests, so that what a burst left is
/// not worn away while hardly anybody asks for its cell, and that who comes late need not wait long for one.
const AGEING_MISSES: u32 = 4_096;
/// The first such halving; before [`AGEING_MISSES`] they come at each power of two, so that keys sent ahead of a flood do
/// not hold a small window's cells.
const AGEING_MISSES_FIRST: u32 = 32;
/// Misses of a bucket after which newcomers are turned away.
const CALM_MISSES: u32 = 64;
/// Of the others, by unit, as many contest a cell as make this of all that the bucket missed: what a key loses until it contests
/// is one in so many of that. No more than one in four, and no fewer than one in 64.
const LOST_SHARE: u32 = 128;
const LET_IN_SHARES: [u32; 2] = [4, 64];
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

    /// Of a bucket's count: up to it, all newcomers contest.
    #[inline(always)]
    pub(super) const fn calm(&self, pressure: u32) -> u32 {
        if pressure > 0 { u32::MAX } else { FULL | CALM_MISSES }
    }

    /// A new key at its bucket, which was not turned away at once.
    #[inline(always)]
    pub(super) fn enter<L: Lanes>(
        &self,
        (lanes, shape, bucket): (L, &Shape, &mut [u64]),
        (row, is_sampled): (&Row<'_>, bool),
        key: (u32, &[u32]),
        (state, pressure): (&mut State, u32),
    ) -> Entry {
        let (mut way, mut score) = shape.weakest(lanes, bucket);
        if score == 0 {
            shape.admit(bucket, way, key);
            return Entry::Admitted(way);
        }
        let misses = Shape::miss(bucket);
        // Both kinds are multiples of the first: nearly always it ends there.
        if ages(misses) {
            shape.scores_mut(bucket).iter_mut().for_each(|score| *score = (*score - 1) / 2 + 1);
            (way, score) = shape.weakest(lanes, bucket);
        }
        let is_thinned = is_thinned(row, misses.into(), pressure);
        if is_thinned {
            state.thinned = state.thinned.max(pressure);
        }
        let is_let_in = is_sampled || misses <= CALM_MISSES || may_contest(row.hash, FULL | misses, self.units(shape, row));
        if is_thinned || !is_let_in || !self.contest((shape, bucket), row, (misses, way, score)) {
            shape.sums.miss_row(shape.missed_mut(bucket), row, is_sampled);
            return Entry::Refused(misses);
        }
        let evicted = shape.held(bucket, way);
        shape.admit(bucket, way, key);
        shape.sums.miss_parts(shape.missed_mut(bucket), &evicted);
        Entry::Admitted(way)
    }

    /// A new key against the weakest of a full bucket: whether it takes that cell.
    #[inline(always)]
    fn contest(&self, (shape, bucket): (&Shape, &mut [u64]), row: &Row<'_>, (misses, way, score): (u32, usize, u8)) -> bool {
        // Scores are kept with one added.
        let score = score - 1;
        // Nearly always nothing is left of it, and any draw takes it.
        if score > 0 {
            // Drawn from the keyed hash and the bucket's own count: the same packets in the same order decide alike.
            let draw = spread(row.hash ^ u64::from(misses).wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 32;
            if draw >= DECAY[usize::from(score)] * u64::from(self.units(shape, row)) {
                return false;
            }
        }
        *shape.score_mut(bucket, way) -= score.min(1);
        score <= 1 && self.takes(shape, bucket, way, score)
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

/// Whether scores are halved at this miss.
#[inline(always)]
const fn ages(misses: u32) -> bool {
    misses.is_multiple_of(AGEING_MISSES_FIRST) && (misses.is_multiple_of(AGEING_MISSES) || misses.is_power_of_two())
}

/// Whether a newcomer that stands for itself may contest a cell of a bucket with this count: each unit has its chance.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the tag is made of the other half")]
fn may_contest(hash: u64, count: u32, units: u8) -> bool {
    let draw = (hash as u32).wrapping_add(count.wrapping_mul(0x9E37_79B9));
    u64::from(draw) * missed_shares(count) < u64::from(u32::from(units) * LOST_SHARE) << 32
}

/// [`LOST_SHARE`] times how many newcomers of one unit come for one that may contest a cell.
#[inline(always)]
fn missed_shares(count: u32) -> u64 {
    let [least, most] = LET_IN_SHARES.map(|share| LOST_SHARE * share);
    (count & !FULL).clamp(least, most).into()
}

/// Of a bucket's count of misses: none of its cells is free.
pub(super) const FULL: u32 = 1 << 31;

/// What became of a newcomer.
pub(super) enum Entry {
    /// Its bucket has missed so many.
    Refused(u32),
    /// Its cell.
    Admitted(usize),
}

impl Shape {
    /// Counts a newcomer that is turned away at once, if it is.
    #[inline(always)]
    pub(super) fn turn_away(&self, bucket: &mut [u64], (calm, doubling_misses): (u32, u32), (hash, units): (u64, u8)) -> bool {
        let old = Self::misses_mut(bucket);
        let count = old.wrapping_add(1);
        if count <= calm || may_contest(hash, count, units) {
            return false;
        }
        // Of one in so many something else comes, if at all.
        if count.is_multiple_of(DOUBLING_STEP) && (count & !FULL >= doubling_misses || ages(count & !FULL)) {
            return false;
        }
        *old = count;
        true
    }

    /// Counts one more miss of a bucket whose cells are all taken; how many there are.
    #[inline(always)]
    fn miss(bucket: &mut [u64]) -> u32 {
        let count = Self::misses_mut(bucket);
        let misses = (*count & !FULL) + 1;
        // Far beyond what a window has; ageing and draws go on alike.
        let misses = if misses == FULL { FULL / 2 } else { misses };
        *count = FULL | misses;
        misses
    }

    /// A bucket of which half is moved elsewhere keeps the count, and has free cells.
    pub(super) fn inherit_misses(bucket: &mut [u64], parent: &mut [u64]) {
        *Self::misses_mut(bucket) = *Self::misses_mut(parent) & !FULL;
    }
}

/// A packet that found no cell: only now and then, where there may be more of them, is it asked whether there should.
#[inline(always)]
pub(super) const fn missed(misses: u32, doubling_misses: u32) -> Step {
    if misses >= doubling_misses && misses.is_multiple_of(DOUBLING_STEP) { Step::Missed(misses) } else { Step::Counted }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of any key, whatever the count goes on by: no rhythm of arrivals keeps it out.
    #[test]
    fn newcomers_contest_as_often_as_their_units_say() {
        for (key, step) in (0..50).flat_map(|key| [1, 2, 3, 4, 5, 8, 12, 16, 64, 100].map(|step| (spread(key), step))) {
            for units in 1..=5 {
                let counts = (0..4_000_u32).map(|n| FULL | (CALM_MISSES + n * step));
                let chance = |count| f64::from(u32::from(units) * LOST_SHARE) / missed_shares(count) as f64;
                let expected: f64 = counts.clone().map(|count| chance(count).min(1.0)).sum();
                let contested = counts.filter(|count| may_contest(key, *count, units)).count();
                assert!(
                    (contested as f64 - expected).abs() <= 10.0 + expected / 16.0,
                    "every {step}th, {units} units: {contested} for {expected}"
                );
            }
        }
    }

    #[test]
    fn a_count_that_runs_over_goes_on() {
        let mut bucket = [0; 16];
        *Shape::misses_mut(&mut bucket) = FULL | (FULL - 1);
        assert_eq!((Shape::miss(&mut bucket), *Shape::misses_mut(&mut bucket)), (FULL / 2, FULL | (FULL / 2)));
        let mut child = [0; 16];
        Shape::inherit_misses(&mut child, &mut bucket);
        assert_eq!(*Shape::misses_mut(&mut child), FULL / 2);
    }
}
