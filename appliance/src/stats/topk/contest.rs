//! A full bucket: who keeps a cell, and who gets one.

use bytemuck::{cast_slice, cast_slice_mut};

use super::TopKernel;
use super::cells::PARTS_MAX;
use super::growth::{State, is_thinned};
use super::table::{HEAD_WORDS, Shape, TAG_WORDS};
use crate::arch::hash::spread;
use crate::arch::lanes::Lanes;
use crate::limits::BATCH_RECORDS_MAX;
use crate::stats::columns::{Row, View};
use crate::stats::weighted::SumLayout;

/// Newcomers of a bucket, as many as contest a cell where each stands for one unit, after which its scores are halved: so what a
/// burst left is not worn away while hardly anybody asks for its cell, and who comes late need not wait long for one.
const AGEING_CONTESTS: u32 = 1 << TICK_BITS;
const TICK_BITS: u32 = 6;
/// Misses after which newcomers are turned away.
const CALM_MISSES: u64 = 64;
/// Of the others, by unit, as many contest a cell as make this of all that a bucket missed: what a key loses until it contests
/// is one in so many of that. No more than one in four, and no fewer than one in 64.
const LOST_SHARE: u64 = 128;
const LET_IN_SHARES: [u64; 2] = [4, 64];
/// Bits of a draw and of the chance that it is held against: both leave room for all units.
const DRAW_BITS: u32 = 26;
/// A victim that holds more than one in so many of what its bucket missed gets a second chance,
const SECOND_CHANCE_SHARE: u64 = 96;
/// unless it holds less than so many packets: of a bucket that missed little, every key would.
const SECOND_CHANCE_PACKETS_MIN: u64 = 4;
/// Bytes that count as a packet where keys are ranked by bytes.
const UNIT_BYTES: u64 = 256;
/// The most that one packet moves a score.
const UNITS_MAX: u64 = 64;

/// Packets of one row that contest a cell: more wear no score down that so many did not.
const TURNS_MAX: u64 = 1 << TURN_BITS;
const TURN_BITS: u32 = 9;

const _: () = assert!(TICKS / (TURNED_AWAY_MAX + 1) == AGEING_CONTESTS - 1, "a count that is full is the last");
const _: () = assert!((UNITS_MAX << DRAW_BITS) / LET_IN_SHARES[0] < 1 << 31, "a chance of all units is a number without a sign");

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

    /// How much a row moves a score, which may be several packets.
    #[inline(always)]
    pub(super) fn units_of_all(&self, shape: &Shape, row: &Row<'_>) -> u8 {
        let units = self.units(shape, row);
        match shape.sums.layout {
            SumLayout::General => units.saturating_mul(u8::try_from(row.times).unwrap_or(u8::MAX)),
            SumLayout::Plain | SumLayout::Ones { .. } | SumLayout::Values { .. } => units,
        }
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

    /// Of rows, those that may contest a cell if they are newcomers; the others are turned away. And those of them that would if
    /// each stood for one unit.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the tag is made of the other half")]
    pub(super) fn let_in<L: Lanes>(
        &self,
        (lanes, shape): (L, &Shape),
        (view, rows): (&View<'_>, u64),
        state: &State,
        nths: &[u32; BATCH_RECORDS_MAX],
    ) -> (u64, u64) {
        let each = state.misses_each();
        if each < CALM_MISSES {
            return (rows, rows);
        }
        let (one, mut draws, mut chances) = (chance_of_one(each), [0; BATCH_RECORDS_MAX], [0; BATCH_RECORDS_MAX]);
        for at in 0..BATCH_RECORDS_MAX {
            draws[at] = draw(view.hash(at) as u32, nths[at]);
            chances[at] = one * u32::from(self.units(shape, &view.plain_row(at)));
        }
        let sure = view.sampled_of(rows) | view.several_of(rows);
        (rows & lanes.below(&draws, &chances) | sure, rows & lanes.below(&draws, &[one; BATCH_RECORDS_MAX]))
    }

    /// A new key at its bucket, which was not turned away: its cell, or none. It is in the `nth` row, and makes scores age if it
    /// `ticks`.
    #[inline(always)]
    pub(super) fn enter<L: Lanes>(
        &self,
        (lanes, shape, bucket): (L, &Shape, &mut [u64]),
        (row, is_sampled): (&Row<'_>, bool),
        (nth, ticks): (u32, bool),
        key: (u32, &[u32]),
        (state, pressure): (&mut State, u32),
    ) -> Option<usize> {
        let (mut way, mut score) = shape.weakest(lanes, bucket);
        if score == 0 {
            shape.admit(bucket, way, key);
            return Some(way);
        }
        *Shape::turned_away_mut(bucket) |= CLOSED;
        state.fresh_misses += 1;
        if ticks && shape.tick(bucket) {
            (way, score) = shape.weakest(lanes, bucket);
        }
        let is_thinned = is_thinned(row, nth.into(), pressure);
        if is_thinned {
            state.thinned = state.thinned.max(pressure);
        }
        let mut takes = !is_thinned && self.contest((shape, bucket), row, (nth, way, score));
        if !takes && row.times > 1 {
            let taken = self.contest_again((shape, bucket), row, nth, (state, pressure));
            (takes, way) = (taken.is_some(), taken.unwrap_or(way));
        }
        if !takes {
            shape.sums.miss_row(shape.missed_mut(bucket), row, is_sampled);
            return None;
        }
        let evicted = shape.held(bucket, way);
        shape.admit(bucket, way, key);
        shape.sums.miss_parts(shape.missed_mut(bucket), &evicted);
        Some(way)
    }

    /// A new key against the weakest of a full bucket: whether it takes that cell.
    #[inline(always)]
    fn contest(&self, (shape, bucket): (&Shape, &mut [u64]), row: &Row<'_>, (nth, way, score): (u32, usize, u8)) -> bool {
        // Scores are kept with one added.
        let score = score - 1;
        // Nearly always nothing is left of it, and any draw takes it.
        if score > 0 {
            // Drawn from the keyed hash and the table's own count: the same packets in the same order decide alike.
            let draw = spread(row.hash ^ u64::from(nth).wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 32;
            if draw >= DECAY[usize::from(score)] * u64::from(self.units(shape, row)) {
                return false;
            }
        }
        *shape.score_mut(bucket, way) -= score.min(1);
        score <= 1 && self.takes(shape, bucket, way, score)
    }

    /// The same for the further packets of a row that is several, one after the other: the cell that one of them takes. Scores age
    /// meanwhile as they would with so many rows.
    #[cold]
    #[inline(never)]
    fn contest_again(
        &self,
        (shape, bucket): (&Shape, &mut [u64]),
        row: &Row<'_>,
        nth: u32,
        (state, pressure): (&State, u32),
    ) -> Option<usize> {
        let turns = row.times.min(TURNS_MAX);
        let each = turns / (halvings(row.times, state.misses_each()) + 1);
        (1..turns).zip(1_u32..).find_map(|(at, turn)| {
            if at % each == 0 {
                shape.halve_scores(bucket);
            }
            let (way, score) = shape.scores(bucket).iter().copied().enumerate().min_by_key(|(_, score)| *score)?;
            // Other draws than those of rows to come.
            let nth = nth ^ turn.rotate_right(TURN_BITS);
            let takes = !is_thinned(row, nth.into(), pressure) && self.contest((shape, bucket), row, (nth, way, score));
            takes.then_some(way)
        })
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

/// What a newcomer draws: a number of [`DRAW_BITS`]. The next time, it draws another one, which has nothing to do with how many
/// rows there were in between: who sends most of them chooses that.
#[inline(always)]
const fn draw(hash: u32, nth: u32) -> u32 {
    let mixed = (hash ^ nth).wrapping_mul(0x9E37_79B9);
    (mixed ^ mixed >> 15).wrapping_mul(0x85EB_CA6B) >> (u32::BITS - DRAW_BITS)
}

/// How likely a newcomer of one unit may contest a cell where each bucket missed so many: draws below do.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "a quarter of a draw's range at most")]
fn chance_of_one(misses_each: u64) -> u32 {
    let [least, most] = LET_IN_SHARES.map(|share| LOST_SHARE * share);
    ((LOST_SHARE << DRAW_BITS) / misses_each.clamp(least, most)) as u32
}

/// How often scores are halved while so many packets of one newcomer come: after the last of these no score is left.
fn halvings(times: u64, misses_each: u64) -> u64 {
    let chance = if misses_each < CALM_MISSES { 1 << DRAW_BITS } else { u128::from(chance_of_one(misses_each)) };
    let ticks = (u128::from(times) * chance) >> DRAW_BITS;
    u64::try_from(ticks / u128::from(AGEING_CONTESTS)).unwrap_or(u64::MAX).min(u8::BITS.into())
}

/// None of a bucket's cells is free, so that newcomers may be turned away from it at once. It stands above what was turned away,
const CLOSED: u32 = 1 << 31;
/// and between both how many contests there were since its scores were halved.
const TURNED_AWAY_MAX: u32 = (1 << (31 - TICK_BITS)) - 1;
const TICKS: u32 = !(CLOSED | TURNED_AWAY_MAX);

impl Shape {
    /// Counts what a newcomer that is turned away adds; false if a cell may be free for it.
    ///
    /// It is summed up in the bucket's first line, where its tags are, and moves on to U before there is no room.
    #[inline(always)]
    pub(super) fn turn_away(&self, bucket: &mut [u64], by: u32) -> bool {
        let sum = Self::turned_away_mut(bucket);
        let more = (*sum & TURNED_AWAY_MAX).wrapping_add(by);
        // What is too large itself might wrap around.
        if (more | by) & !TURNED_AWAY_MAX | !*sum & CLOSED != 0 {
            return self.turn_away_slowly(bucket, by);
        }
        *sum += by;
        true
    }

    #[cold]
    #[inline(never)]
    fn turn_away_slowly(&self, bucket: &mut [u64], by: u32) -> bool {
        let sum = *Self::turned_away_mut(bucket);
        if sum & CLOSED == 0 {
            return false;
        }
        *Self::turned_away_mut(bucket) = sum & !TURNED_AWAY_MAX;
        let passed = &mut self.missed_mut(bucket)[0];
        *passed = passed.saturating_add(u64::from(sum & TURNED_AWAY_MAX) + u64::from(by));
        true
    }

    /// None of a bucket's cells is free if none of this one's is.
    pub(super) fn close_as(bucket: &mut [u64], other: &mut [u64]) {
        *Self::turned_away_mut(bucket) |= *Self::turned_away_mut(other) & !TURNED_AWAY_MAX;
    }

    /// Halves the scores of a bucket: free cells have none, and keep that.
    #[inline(always)]
    pub(super) fn halve_scores(&self, bucket: &mut [u64]) {
        self.scores_mut(bucket).iter_mut().for_each(|score| *score = score.div_ceil(2));
    }

    /// Counts a contest. Whether it is the one after which scores were halved.
    #[inline(always)]
    fn tick(&self, bucket: &mut [u64]) -> bool {
        let word = Self::turned_away_mut(bucket);
        if *word & TICKS == TICKS {
            *word &= !TICKS;
            self.halve_scores(bucket);
            return true;
        }
        *word += TURNED_AWAY_MAX + 1;
        false
    }

    /// What was turned away of a bucket and did not move on to U yet.
    #[inline(always)]
    pub(super) fn turned_away(bucket: &[u64]) -> u64 {
        u64::from(cast_slice::<u64, u32>(&bucket[TAG_WORDS..HEAD_WORDS])[3] & TURNED_AWAY_MAX)
    }

    #[inline(always)]
    fn turned_away_mut(bucket: &mut [u64]) -> &mut u32 {
        &mut cast_slice_mut(&mut bucket[TAG_WORDS..HEAD_WORDS])[3]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "draws")]
    use super::super::cells::Sums;
    use super::*;

    /// Of any key, whatever the count goes on by: no rhythm of arrivals keeps it out.
    #[test]
    fn newcomers_contest_as_often_as_their_units_say() {
        const STEPS: [u32; 14] = [1, 2, 3, 4, 5, 8, 12, 21, 55, 64, 100, 233, 987, 4_096];
        for (key, step) in (0..50).flat_map(|key| STEPS.map(|step| (spread(key) as u32, step))) {
            for (units, each) in (1..=5).flat_map(|units| [64, 600, 5_000, 1 << 40].map(|each| (units, each))) {
                let chance = units * chance_of_one(each);
                let expected = (4_000.0 * f64::from(chance) / f64::from(1 << DRAW_BITS)).min(4_000.0);
                let contests: Vec<u32> = (0..4_000).filter(|n| draw(key, n * step) < chance).collect();
                let longest = contests.windows(2).map(|two| two[1] - two[0]).max().unwrap();
                let said = format!("every {step}th, {units} units, {each} misses: {} for {expected}, {longest} apart", contests.len());
                assert!((contests.len() as f64 - expected).abs() <= 6.0 * expected.sqrt(), "{said}");
                assert!(f64::from(longest) <= 20.0 * (4_000.0 / expected), "{said}");
            }
        }
    }

    #[test]
    fn scores_are_halved_at_each_64th_tick() {
        let shape = Shape::new(4, Sums { layout: SumLayout::Plain, wide: false });
        let mut bucket = vec![0; shape.words];
        *Shape::turned_away_mut(&mut bucket) |= CLOSED;
        shape.scores_mut(&mut bucket).iter_mut().zip([0, 1, 2, 255]).for_each(|(score, to)| *score = to);
        let aged: Vec<u32> = (1..=200).filter(|_| shape.tick(&mut bucket)).collect();
        assert_eq!(aged, [AGEING_CONTESTS, 2 * AGEING_CONTESTS, 3 * AGEING_CONTESTS]);
        assert_eq!(shape.scores(&bucket)[..4], [0, 1, 1, 32]);
        assert!(shape.turn_away(&mut bucket, 9) && Shape::turned_away(&bucket) == 9);
    }

    #[test]
    fn what_is_turned_away_moves_on_to_the_bound() {
        let shape = Shape::new(4, Sums { layout: SumLayout::Plain, wide: false });
        let mut bucket = vec![0; shape.words];
        assert!(!shape.turn_away(&mut bucket, 5) && !shape.turn_away(&mut bucket, u32::MAX));
        *Shape::turned_away_mut(&mut bucket) |= CLOSED;
        let by = [5, u32::MAX, 0, CLOSED - 1, 1, CLOSED, TURNED_AWAY_MAX, 7, TURNED_AWAY_MAX - 7, 1, TURNED_AWAY_MAX + 1];
        let mut sum = 0;
        for by in by {
            assert!(shape.turn_away(&mut bucket, by));
            sum += u64::from(by);
            assert_eq!(shape.missed_parts(&bucket)[0], sum);
        }
    }
}
