//! Lists that left records out, beside a map that counts all of them.

use super::starved_tests::{BLOCKED, Truth, address, holds, send, send_to, top};
use crate::axes::{Key, Metric};
use crate::record::Record;
use crate::stats::figure::{Basis, Confidence, Top, TopEntry};
use crate::stats::moody_tests::{Dice, Shards, record, spec};
use crate::stats::plan::WeightBounds;

const PASSED: WeightBounds = WeightBounds { passed: 1, blocked: 1, random: true, rate: None };

/// Heavy keys 0 to 19, each half as heavy as the one before, among others that come once or twice.
fn records(dice: &mut Dice, count: usize, blocked: bool) -> Vec<Record> {
    let one = |dice: &mut Dice| {
        let key =
            if dice.one_in(2) { dice.below(1 << 20).trailing_ones().min(19) } else { 1_000 + u32::try_from(dice.below(1 << 16)).unwrap() };
        let weight = if blocked && dice.one_in(2) { 40 } else { 1 };
        record((key, 0), dice.of(&[64, 400, 1_500]), weight, true)
    };
    (0..count).map(|_| one(dice)).collect()
}

/// A window in which so many batches come at each level.
fn window(levels: &[(u32, usize)], metric: Metric, weights: WeightBounds, seed: u64) -> (Top, Truth) {
    let mut shards = Shards::new(spec("topk", &[Key::SrcIp], metric, &[("k", 5)]), weights, (2, 1 << 20), seed);
    let (mut dice, mut truth) = (Dice::new(seed), Truth::default());
    for (level, batches) in levels {
        shards.shed(*level);
        let records = records(&mut dice, 64 * batches, weights.blocked > 1);
        send(&mut shards, &mut truth, metric, &records);
    }
    (top(&mut shards), truth)
}

/// Tables that are merged, each of so many of these records at a level: of one shard each, or of one shard one after the other.
fn tables(of: &[(u32, &[Record])], is_one_shard: bool, metric: Metric, seed: u64) -> (Top, Truth) {
    let mut shards = Shards::new(spec("topk", &[Key::SrcIp], metric, &[("k", 5)]), PASSED, (2, 1 << 20), seed);
    let mut truth = Truth::default();
    for (at, (level, records)) in of.iter().enumerate() {
        shards.shed(*level);
        if is_one_shard {
            send(&mut shards, &mut truth, metric, records);
            shards.seal(0);
        } else {
            send_to(at, &mut shards, &mut truth, metric, records);
        }
    }
    (top(&mut shards), truth)
}

#[allow(clippy::cast_precision_loss, reason = "some hundreds")]
fn is_inside(entry: &TopEntry, truth: &Truth) -> bool {
    let truth = truth.of_key[&entry.key].passed as f64;
    entry.value.low <= truth && entry.value.high.is_some_and(|high| truth <= high)
}

/// However much was left out, and when: what is sure holds, and so do the intervals, and the heaviest keys are about as heavy as
/// they were.
#[test]
#[allow(clippy::cast_precision_loss, reason = "shares")]
fn bounds_hold_and_values_are_near() {
    for seed in 1..=6 {
        for (levels, weight) in [(&[(1, 600)][..], 2), (&[(3, 600)], 8), (&[(0, 300), (2, 200), (1, 100)], 4)] {
            for (metric, weights) in
                [(Metric::Packets, PASSED), (Metric::Bytes, PASSED), (Metric::Packets, BLOCKED), (Metric::Bytes, BLOCKED)]
            {
                let (top, truth) = window(levels, metric, weights, seed);
                holds(&top, &truth);
                assert_eq!(top.shed, weight);
                // A byte's packet may have been the longest that there can be.
                let most = f64::from(weight) * if metric == Metric::Bytes { 4.0 } else { 1.5 };
                for n in 0..2 {
                    let (entry, key) = (&top.entries[n], address(u32::try_from(n).unwrap()));
                    let truth = truth.of_key[&key];
                    let whole = (truth.passed + truth.scaled) as f64;
                    let (value, case) = (entry.value, format!("{seed}, {levels:?}, {metric:?}, {weights:?}: {:?} of {whole}", entry.value));
                    assert_eq!(entry.key, key, "{case}");
                    assert!((value.value / whole - 1.0).abs() < 0.3, "{case}");
                    assert!(
                        value.low <= value.value && value.high.is_some_and(|high| value.value <= high && high < most * whole),
                        "{case}"
                    );
                    assert!(matches!(value.basis, Basis::Sampled | Basis::SampledSketched), "{case}");
                    // Of few that were left out, the sure bound may be the lower one.
                    assert!(value.confidence == Confidence::P95 || levels.len() > 1, "{case}");
                }
            }
        }
    }
}

/// A key's interval holds it in 95 of 100 windows at least, though only one record in 8 was looked at, here or everywhere.
#[test]
fn intervals_cover_what_was_there() {
    let (mut inside, windows) = ([0; 2], 200);
    for seed in 1..=windows {
        let mut dice = Dice::new(seed);
        let [some, others] = [(); 2].map(|()| records(&mut dice, 64 * 40, false));
        let merged = tables(&[(3, &some), (0, &others)], false, Metric::Packets, seed);
        for (inside, (top, truth)) in inside.iter_mut().zip([window(&[(3, 40)], Metric::Packets, PASSED, seed), merged]) {
            *inside += u64::from(top.entries.iter().all(|entry| is_inside(entry, &truth)));
        }
    }
    assert!(inside.iter().all(|inside| inside * 100 >= windows * 95), "{inside:?} of {windows}");
}

/// One core has far more to do than it can and another little, or one window and the next: what each left out is no reason to make
/// more or less of what the other counted.
#[test]
#[allow(clippy::cast_precision_loss, reason = "some thousands")]
fn what_one_table_left_out_scales_no_other() {
    const BUSY: u32 = 7;
    const CALM: u32 = 2_000_000;
    for (seed, level, is_one_shard) in [(1, 0, false), (2, 1, false), (3, 0, true), (4, 1, true)] {
        for metric in [Metric::Packets, Metric::Bytes] {
            let mut dice = Dice::new(seed);
            // 6 % of one key, the rest of anybody.
            let key = |dice: &mut Dice| if dice.below(100) < 6 { BUSY } else { 1_000 + u32::try_from(dice.below(1 << 16)).unwrap() };
            let busy: Vec<Record> = (0..100_032).map(|_| record((key(&mut dice), 0), 500, 1, true)).collect();
            let calm = vec![record((CALM, 0), 500, 1, true); 1_024];
            let (top, truth) = tables(&[(3, &busy), (level, &calm)], is_one_shard, metric, seed);
            holds(&top, &truth);
            let of = |key: u32| truth.of_key[&address(key)].passed as f64;
            let [first, second, ..] = &top.entries[..] else { panic!("{top:?}") };
            let case = format!("{seed}, {metric:?}: {first:?}, {second:?}");
            assert_eq!((&first.key, &second.key, top.shed), (&address(BUSY), &address(CALM), 8), "{case}");
            assert!((first.value.value / of(BUSY) - 1.0).abs() < 0.2, "{case}");
            assert!((second.value.value / of(CALM) - 1.0).abs() < 1e-9, "{case}");
            assert!(is_inside(first, &truth) && is_inside(second, &truth), "{case}");
            // What the other table may have of it is all that is unknown, and what was drawn here.
            assert!(metric == Metric::Bytes || second.value.high.unwrap() < 3.5 * of(CALM), "{case}");
            let share = (of(BUSY) + of(CALM)) / top.all.value;
            assert!((top.coverage / share - 1.0).abs() < 0.2, "{case}: {} of {share}", top.coverage);
        }
    }
}

/// Where nothing is left out, nothing is said and nothing is different.
#[test]
fn whole_lists_are_as_they_were() {
    let (top, truth) = window(&[(0, 2)], Metric::Packets, PASSED, 3);
    holds(&top, &truth);
    assert!(top.shed == 1 && top.entries.iter().all(|entry| entry.value.basis == Basis::Exact), "{top:?}");
}
