//! Against sums over all outcomes.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of a test")]

use super::*;

/// Probability of k of n, from products alone.
fn probability(n: u64, k: u64, p: f64) -> f64 {
    (0..k).fold(1.0, |all, i| all * (n - i) as f64 / (i + 1) as f64) * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32)
}

/// The mixture, packet by packet, without logarithms.
fn slow(one_in: u32, tolerance: f64, n: u64, k: u64) -> f64 {
    let p0 = 1.0 / f64::from(one_in);
    let mut all = Vec::new();
    for i in 0..17 {
        for side in [1.0_f64, -1.0] {
            let end = p0 * (side * tolerance).exp();
            let p1 = end * (side * 0.01 * 1.4_f64.powi(i)).exp();
            if p1 < 1.0 && end < 1.0 {
                let steps = (0..n).map(|packet| if packet < k { p1 / end } else { (1.0 - p1) / (1.0 - end) });
                all.push(steps.product::<f64>());
            }
        }
    }
    all.iter().sum::<f64>() / all.len() as f64
}

fn counts(dropped: u64, low: u64, high: u64) -> Counts {
    Counts { dropped, low, high }
}

#[test]
fn evidence_is_the_product_of_all_packets_and_its_mean_is_at_most_one() {
    for (one_in, tolerance) in [(2, 0.0), (2, 0.01), (7, 0.0), (40, 0.0), (40, 0.005)] {
        let test = RateTest::new(one_in, tolerance);
        let p0 = 1.0 / f64::from(one_in);
        for n in [1, 17, 60] {
            let of = |k: u64| test.evidence(&counts(n, k, k));
            (0..=n).for_each(|k| assert!((of(k) - slow(one_in, tolerance, n, k).ln()).abs() < 1e-9, "1 in {one_in}, {k} of {n}"));
            let mean = |p: f64| (0..=n).map(|k| probability(n, k, p) * of(k).exp()).sum::<f64>();
            let within = [p0, p0 * (tolerance).exp(), p0 * (-tolerance).exp()].map(mean);
            assert!(within.iter().all(|mean| *mean < 1.0 + 1e-9), "1 in {one_in}, {n}: {within:?}");
            if tolerance == 0.0 {
                assert!((within[0] - 1.0).abs() < 1e-9, "{within:?}");
            }
            assert!(n < 17 || mean((1.5 * p0).min(0.99)) > within[0], "teeth");
        }
    }
}

/// Looked at after each packet, it reaches 1/alpha with the probability that Ville allows: by dynamic programming over all outcomes.
#[test]
fn looking_after_each_packet_costs_nothing() {
    let (test, alpha) = (RateTest::new(10, 0.0), 0.2_f64);
    let (mut open, mut crossed) = (vec![1.0], 0.0);
    for n in 1..=1_500_u64 {
        let mut next = vec![0.0; n as usize + 1];
        for (k, share) in open.iter().enumerate().filter(|(_, share)| **share > 1e-300) {
            next[k] += share * 0.9;
            next[k + 1] += share * 0.1;
        }
        for (k, share) in next.iter_mut().enumerate().filter(|(_, share)| **share > 0.0) {
            if test.evidence(&counts(n, k as u64, k as u64)) >= -alpha.ln() {
                crossed += std::mem::take(share);
            }
        }
        open = next;
        if n >= 300 && n % 100 > 0 {
            continue;
        }
        assert!(crossed <= alpha, "after {n}: {crossed}");
    }
    assert!(crossed > 0.02, "teeth: {crossed}");
    println!("probability of ever reaching 1/{alpha} within 1,500 packets of which one in ten is sampled: {crossed:.4}");
}

#[test]
fn between_two_ends_the_least_is_taken() {
    let test = RateTest::new(40, 0.005);
    for (dropped, low, high) in [(4_000, 60, 140), (4_000, 0, 60), (4_000, 130, 200), (4_000, 99, 99), (100, 0, 100), (100, 90, 500)] {
        let slowly = (low..=high.min(dropped)).map(|k| test.evidence(&counts(dropped, k, k))).fold(f64::INFINITY, f64::min);
        let have = test.evidence(&counts(dropped, low, high));
        assert!((have - slowly).abs() < 1e-9, "{dropped} {low} {high}: {have}, {slowly}");
    }
}

#[test]
fn any_numbers_give_a_number() {
    for one_in in [2, 40, 65_535] {
        let test = RateTest::new(one_in, 0.005);
        for dropped in [0, 1, 1_000_000_000_000, u64::MAX] {
            for (low, high) in [(0, 0), (0, u64::MAX), (dropped / 50, dropped / 50), (dropped, dropped), (u64::MAX, u64::MAX)] {
                let have = test.evidence(&counts(dropped, low, high));
                assert!(!have.is_nan() && (have < CERTAIN || low > dropped), "1 in {one_in}: {dropped} {low} {high}: {have}");
            }
        }
        let right = 1_000_000_000_000 / u64::from(one_in);
        assert!(test.evidence(&counts(1_000_000_000_000, right, right)) < 0.0);
        assert!(test.evidence(&counts(1_000_000_000_000, right - right / 50, right - right / 50)) > 1_000.0);
    }
    assert_eq!(RateTest::new(40, 0.0).evidence(&counts(5, 6, 6)), CERTAIN);
    assert!(RateTest::new(40, 0.0).evidence(&counts(50_000_000_000, 100, 100)) < CERTAIN, "few samples of many are another rate");
}
