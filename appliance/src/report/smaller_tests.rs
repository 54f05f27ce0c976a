use std::collections::BTreeMap;

use prost::Message as _;

use super::pb::{self, stat::Figure};
use super::smaller;
use crate::arch::hash::spread;

const SEED: u64 = 20_261_127;

/// Numbers below `bound`, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 += 1;
        spread(self.0) % bound
    }
}

fn stat(figure: Figure) -> pb::Stat {
    pb::Stat { name: "s".to_owned(), figure: Some(figure), ..Default::default() }
}

fn exact(value: f64) -> Option<pb::Estimate> {
    Some(pb::Estimate { value, low: value, high: Some(value), ..Default::default() })
}

/// Registers as docs/messages.md says that hashes go into them, one by one.
fn registers(hashes: &[u64], p: u32) -> Vec<u8> {
    let mut registers = vec![0; 1 << p];
    for hash in hashes {
        let (index, rest) = (usize::try_from(hash >> (64 - p)).unwrap(), hash << p);
        let rank = u8::try_from(rest.leading_zeros().min(64 - p) + 1).unwrap();
        registers[index] = rank.max(registers[index]);
    }
    registers
}

fn distinct(hashes: &[u64], p: u32, missed: Option<f64>) -> pb::Distinct {
    let basis = if missed == Some(0.0) { pb::Basis::Sketched } else { pb::Basis::SampledSketched };
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let n = hashes.len() as f64;
    let spread = 1.96 * 1.04 / f64::from(1 << p).sqrt();
    let high = missed.map(|missed| (n * (1.0 + spread)).ceil() + missed);
    let value =
        pb::Estimate { value: n, low: (n * (1.0 - spread)).floor(), high, basis: basis.into(), confidence: pb::Confidence::P95.into() };
    pb::Distinct { value: Some(value), sketch: registers(hashes, p), sketch_kind: "hll".to_owned(), p, ..Default::default() }
}

#[test]
fn a_folded_sketch_is_that_of_fewer_registers_and_its_ends_are_as_far_apart() {
    for (n, missed) in [(0_u64, Some(0.0)), (40, Some(0.0)), (30_000, Some(0.0)), (30_000, Some(700.0)), (500_000, None)] {
        let hashes: Vec<u64> = (0..n).map(|i| spread(SEED ^ i << 20)).collect();
        for bytes_max in [1 << 15, 9_000, 8_192, 1_000] {
            let mut made = stat(Figure::Distinct(distinct(&hashes, 16, missed)));
            let before = made.encoded_len();
            assert!(smaller(&mut made, bytes_max) && made.encoded_len() <= bytes_max);
            assert_eq!(made.reduced_from_bytes, Some(before as u64));
            let Some(Figure::Distinct(of)) = &made.figure else { panic!() };
            assert!(of.sketch.len() * 2 > bytes_max - 200, "no smaller than it must be: p = {}", of.p);
            assert!(of.sketch == registers(&hashes, of.p), "{n} keys, p = {}", of.p);
            let (value, error) = (of.value.unwrap(), 1.96 * 1.04 / f64::from(1 << of.p).sqrt());
            assert!((value.low - (value.value * (1.0 - error)).floor()).abs() < 1.0);
            assert_eq!(value.high.map(|high| (high - (value.value * (1.0 + error)).ceil()).round()), missed);
            #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
            let n = n as f64;
            assert!(value.low <= n && value.high.is_none_or(|high| n <= high), "{n}: {value:?}");
        }
    }
    let mut odd =
        stat(Figure::Distinct(pb::Distinct { sketch: vec![7; 3_000], sketch_kind: "hll".to_owned(), p: 12, ..Default::default() }));
    assert!(!smaller(&mut odd, 2_000), "what is none cannot be folded");
}

#[test]
fn new_keys_keep_their_number_and_fold_their_keys() {
    let hashes: Vec<u64> = (0..9_000).map(|i| spread(SEED + i)).collect();
    let keys = Some(distinct(&hashes, 14, Some(0.0)));
    let mut made = stat(Figure::NewKeys(pb::NewKeys { value: exact(77.0), keys, covers_windows: 5 }));
    assert!(smaller(&mut made, 5_000));
    let Some(Figure::NewKeys(of)) = made.figure else { panic!() };
    assert_eq!((of.value, of.covers_windows, of.keys.unwrap().sketch), (exact(77.0), 5, registers(&hashes, 12)));
}

/// Every key is in the list with what it had, or no larger than the list says of those that are absent.
#[test]
fn a_shorter_list_bounds_the_keys_that_it_lost() {
    println!("seed {SEED}");
    let mut dice = Dice(SEED);
    for bytes_max in [100, 1_500, 4_000, 9_000] {
        let mut truth: Vec<(String, [u64; 3])> =
            (0..100).map(|n| (format!("192.0.2.{n}"), [dice.below(1 << 30), dice.below(1 << 20), dice.below(1 << 10)])).collect();
        truth.sort_by_key(|(_, [passed, scaled, _])| std::cmp::Reverse(passed + scaled));
        let all: u64 = truth.iter().map(|(_, [passed, scaled, _])| passed + scaled).sum();
        #[allow(clippy::cast_precision_loss, reason = "a figure")]
        let entry = |(key, [passed, scaled, samples]): &(String, [u64; 3])| pb::TopEntry {
            key: key.clone(),
            value: exact((passed + scaled) as f64),
            sufficient: Some(pb::WeightedSum {
                passed: passed - passed / 8,
                scaled: *scaled,
                sampled_packets: *samples,
                ..Default::default()
            }),
            unseen_passed: passed / 8,
            ..Default::default()
        };
        #[allow(clippy::cast_precision_loss, reason = "a share")]
        let share = |count: usize| truth[..count].iter().map(|(_, [p, s, _])| p + s).sum::<u64>() as f64 / all as f64;
        let (entries, reserve) = (truth[..50].iter().map(entry).collect(), truth[50..].iter().map(entry).collect());
        let all_sufficient = Some(pb::WeightedSum::default());
        let top = pb::Top {
            entries,
            reserve,
            coverage: share(50),
            all_sufficient,
            order_proven: 30,
            absent_high_passed: 3,
            ..Default::default()
        };
        let mut made = stat(Figure::Top(top));
        assert!(smaller(&mut made, bytes_max) && made.encoded_len() <= bytes_max);
        let Some(Figure::Top(top)) = &made.figure else { panic!() };
        let listed: BTreeMap<&str, u64> =
            top.entries.iter().chain(&top.reserve).map(|e| (&*e.key, e.sufficient.unwrap().passed + e.unseen_passed)).collect();
        assert!(top.reserve.is_empty() || top.entries.len() == 50, "those that merging needs go first");
        for (key, [passed, scaled, samples]) in &truth {
            let absent = [top.absent_high_passed, top.absent_high_scaled, top.absent_high_sampled_packets];
            let is_bound = absent[0] >= *passed && absent[1] >= *scaled && absent[2] >= *samples;
            assert!(listed.get(&**key).map_or(is_bound, |held| held == passed), "{key} of {bytes_max}");
        }
        assert!((top.coverage - share(top.entries.len())).abs() < 1e-9);
        assert_eq!(top.order_proven, u32::try_from(top.entries.len()).unwrap().min(30));
    }
}

#[test]
fn a_fanout_thins_its_pairs_and_keeps_its_figures() {
    println!("seed {SEED}");
    let mut dice = Dice(SEED);
    let mut hashes: Vec<Vec<u64>> = (0..20).map(|_| (0..300).map(|_| dice.below(u64::MAX) >> 2).collect()).collect();
    hashes.iter_mut().for_each(|hashes| hashes.sort_unstable());
    let entry = |hashes: &Vec<u64>| pb::TopEntry {
        value: exact(300.0),
        pairs: hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect(),
        ..Default::default()
    };
    let top = pb::Top { entries: hashes.iter().map(entry).collect(), pairs_level: 2, absent_high_passed: 9, ..Default::default() };
    let mut made = stat(Figure::Top(top));
    assert!(smaller(&mut made, 10_000));
    let Some(Figure::Top(top)) = &mut made.figure else { panic!() };
    assert!(top.pairs_level > 3 && top.entries.len() == 20 && top.entries.iter().all(|entry| entry.value == exact(300.0)));
    for (entry, hashes) in top.entries.iter().zip(&hashes) {
        let kept = hashes.iter().filter(|hash| hash.leading_zeros() >= top.pairs_level);
        assert_eq!(entry.pairs, kept.flat_map(|hash| hash.to_be_bytes()).collect::<Vec<_>>());
    }
    assert!(smaller(&mut made, 200));
    let Some(Figure::Top(top)) = &made.figure else { panic!() };
    assert!(top.entries.len() < 20 && top.absent_high_passed == 300);
}

fn bins(dice: &mut Dice, count: u64, of: impl Fn(u64) -> pb::Bin) -> Vec<pb::Bin> {
    let bin = |n| {
        let (seen, variance) = (dice.below(1 << 40), u64::MAX - dice.below(9));
        #[allow(clippy::cast_precision_loss, reason = "a figure")]
        let value = seen as f64;
        let estimate =
            pb::Estimate { value, low: value / 2.0, high: Some(value * 2.0), basis: i32::from(dice.below(2) == 1), confidence: 1 };
        let sufficient = pb::WeightedSum { scaled: seen, variance_low: variance, largest: seen / 3, ..Default::default() };
        pb::Bin { value: Some(estimate), sufficient: Some(sufficient), ..of(n) }
    };
    (0..count).map(bin).collect()
}

/// Of all bins: sums, ends, variances, the largest.
fn all_of(bins: &[pb::Bin]) -> (u64, i64, Option<i64>, u128, u64) {
    let (mut all, mut high) = ((0, 0, None, 0, 0), Some(0));
    for bin in bins {
        let (value, sum) = (bin.value.unwrap(), bin.sufficient.unwrap());
        #[allow(clippy::cast_possible_truncation, reason = "rounded")]
        let whole = |value: f64| (value * 2.0) as i64;
        (all.0, all.1) = (all.0 + sum.scaled, all.1 + whole(value.low));
        high = high.zip(value.high).map(|(all, high)| all + whole(high));
        all.3 += u128::from(sum.variance_high) << 64 | u128::from(sum.variance_low);
        all.4 = sum.largest.max(all.4);
    }
    all.2 = high;
    all
}

#[test]
fn joined_bins_hold_what_they_held_apart() {
    println!("seed {SEED}");
    let mut dice = Dice(SEED);
    let numbers = bins(&mut dice, 257, |n| {
        let low = f64::from(u32::try_from(n).unwrap()) * 10.0;
        pb::Bin { low: Some(low), high: (n < 256).then_some(low + 10.0), ..Default::default() }
    });
    let labels = bins(&mut dice, 512, |n| pb::Bin {
        label: Some(if n == 511 { "other".to_owned() } else { format!("F{n}") }),
        ..Default::default()
    });
    for (before, bytes_max) in [(&numbers, 8_000), (&labels, 8_000), (&labels, 30_000), (&labels[..511].to_vec(), 20_000)] {
        let mut made = stat(Figure::Histogram(pb::Histogram { bins: before.clone() }));
        assert!(smaller(&mut made, bytes_max) && made.encoded_len() <= bytes_max);
        let Some(Figure::Histogram(after)) = &made.figure else { panic!() };
        assert_eq!(all_of(&after.bins), all_of(before));
        let ends: Vec<_> = after.bins.iter().filter(|bin| bin.low.is_some()).collect();
        assert!(ends.windows(2).all(|two| two[0].high == two[1].low) && ends.last().is_none_or(|bin| bin.high.is_none()));
        let (other, kept): (Vec<_>, Vec<_>) = after.bins.iter().partition(|bin| bin.label.as_deref() == Some("other"));
        assert_eq!(other.len(), usize::from(ends.is_empty()));
        if ends.is_empty() {
            let least = kept.iter().map(|bin| bin.sufficient.unwrap().scaled).min().unwrap();
            let larger = before.iter().filter(|bin| bin.label.as_deref() != Some("other") && bin.sufficient.unwrap().scaled >= least);
            assert!(larger.count() == kept.len() && kept.iter().all(|bin| before.contains(bin)), "the largest stay as they are");
        }
    }
}

#[test]
fn what_merging_alone_needs_goes_where_a_figure_stands_without_it() {
    let sub_window = |n| pb::SubWindow {
        start_ns: 1_700_000_000_000_000_000 + n,
        sufficient: Some(pb::WeightedSum { passed: n, ..Default::default() }),
    };
    let peak = pb::Peak { start_ns: 7, sub_window_ms: 10, series: (0..1_000).map(sub_window).collect() };
    let mut made = pb::Stat { peak: Some(peak), ..stat(Figure::Total(exact(5.0).unwrap())) };
    assert!(smaller(&mut made, 8_192) && made.figure == Some(Figure::Total(exact(5.0).unwrap())));
    assert_eq!(made.peak, Some(pb::Peak { start_ns: 7, sub_window_ms: 10, series: Vec::new() }));
    let bins =
        (0..3_000).map(|low| pb::QuantileBin { low, high: low + 1, sufficient: Some(pb::WeightedSum { passed: 9, ..Default::default() }) });
    let quantiles = vec![pb::Quantile { rank: 0.5, value: exact(80.0) }];
    let mut made = stat(Figure::Quantiles(pb::Quantiles { quantiles: quantiles.clone(), bins: bins.collect() }));
    assert!(smaller(&mut made, 8_192) && made.figure == Some(Figure::Quantiles(pb::Quantiles { quantiles, bins: Vec::new() })));
    let mut total = stat(Figure::Total(exact(5.0).unwrap()));
    let as_it_was = total.clone();
    assert!(smaller(&mut total, 1_000) && total == as_it_was, "what fits stays as it is");
    assert!(!smaller(&mut total, 5));
}
