//! Intervals against tables and against their promise.

use super::*;
use crate::arch::hash::spread;
use crate::stats::weighted::{SAMPLED_WORDS, add};

const PACKETS: Question = Question { weight_max: 40, value_max: 1, random: true, twins: false };
const BYTES: Question = Question { weight_max: 40, value_max: 1_518, random: true, twins: false };

fn packets(n: u64, weight: u64) -> Weighted {
    let mut words = [0; SAMPLED_WORDS];
    (0..n).for_each(|_| add(&mut words, 1, weight, true));
    Weighted::from_words(&words)
}

/// Garwood's table: half the chi-square quantiles.
#[test]
fn packets_of_one_weight_have_garwoods_interval() {
    for (n, low, high) in [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.390), (30, 20.241, 42.827), (1_000, 938.97, 1_063.95)] {
        let e = estimate(&packets(n, 40), &PACKETS);
        let want_low = (40.0_f64 * low).max(n as f64);
        assert!((e.low - want_low).abs() < 1.0, "{n}: low {} against {want_low}", e.low);
        assert!((e.high.unwrap() - 40.0 * high).abs() < 1.0, "{n}: high {:?} against {}", e.high, 40.0 * high);
        assert_eq!(e.value, 40.0 * n as f64);
    }
}

#[test]
fn nothing_sampled_is_exact_and_unproven_samplers_claim_nothing() {
    let mut words = [0; SAMPLED_WORDS];
    add(&mut words, 100, 1, true);
    let exact = estimate(&Weighted::from_words(&words), &Question { weight_max: 1, value_max: 1, random: true, twins: false });
    assert_eq!(exact, Estimate::exact(100.0));
    add(&mut words, 100, 40, false);
    let e = estimate(&Weighted::from_words(&words), &PACKETS);
    assert_eq!((e.value, e.low, e.high, e.confidence), (4_100.0, 200.0, None, Confidence::Sure));
    let none = estimate(&Weighted::default(), &Question { random: false, ..PACKETS });
    assert_eq!((none.value, none.low, none.high, none.confidence), (0.0, 0.0, None, Confidence::Sure));
    let mut unknown = [0; SAMPLED_WORDS];
    add(&mut unknown, 100, 1, false);
    let e = estimate(&Weighted::from_words(&unknown), &BYTES);
    assert_eq!((e.value, e.low, e.high), (100.0, 100.0, None), "a rate that is unknown");
}

/// Of some thousand windows under random 1:40 sampling, how many hold the truth; and how wide the interval is against Wald's.
fn cover(seed: u64, sent: u64, large_percent: u64, question: &Question) -> (f64, f64) {
    let (trials, mut inside, mut width, mut wald) = (3_000 / (1 + sent / 8_000), 0, 0.0, 0.0);
    for trial in 0..trials {
        let mut words = [0; SAMPLED_WORDS];
        let mut truth = 0_u64;
        for i in 0..sent {
            let x = spread(seed ^ (trial << 32 | i).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let size = if x % 100 < large_percent { 1_500 } else { 64 };
            let value = if question.value_max == 1 { 1 } else { size };
            truth += value;
            if (x >> 20).is_multiple_of(40) {
                add(&mut words, value, 40, true);
            }
        }
        let sum = Weighted::from_words(&words);
        let e = estimate(&sum, question);
        let high = e.high.unwrap();
        assert!(e.low <= e.value && e.value <= high);
        inside += u64::from(e.low <= truth as f64 && truth as f64 <= high);
        width += high - e.low;
        wald += 2.0 * 1.96 * (sum.variance as f64).sqrt();
    }
    (inside as f64 / trials as f64, width / wald)
}

#[test]
#[cfg_attr(miri, ignore = "statistics of safe code: hours under Miri")]
fn sums_are_covered_and_not_by_width_alone() {
    let seed = crate::stats::tests::seed();
    for sent in [20, 80, 200, 400, 1_200, 4_000, 40_000] {
        let (share, ratio) = cover(seed, sent, 0, &PACKETS);
        println!("packets, {} expected: {share:.4} covered, {ratio:.3} of Wald's width", sent / 40);
        assert!(share >= 0.94 && (sent < 1_200 || ratio <= 1.15), "seed {seed}: {sent} packets: {share}, width {ratio}");
        for large in [0, 1, 10, 50] {
            let (share, ratio) = cover(seed + large, sent, large, &BYTES);
            println!("bytes, {} expected, {large} % large: {share:.4} covered, {ratio:.3} of Wald's width", sent / 40);
            assert!(share >= 0.94 && (sent < 40_000 || ratio <= 1.4), "seed {seed}: {sent} packets, {large} %: {share}, width {ratio}");
        }
    }
}
