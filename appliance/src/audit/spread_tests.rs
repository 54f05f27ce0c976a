//! Against sums over all outcomes.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of a test")]

use super::*;

fn evidence_of(dropped: u64, sampled: u64, one_in: u32, tolerance: f64) -> Spread {
    let mut spread = Spread::default();
    spread.add(0, &Block { dropped, sampled }, (one_in, tolerance));
    spread
}

/// Probabilities of all outcomes, each from its logarithm as a sum.
fn outcomes(n: u64, p: f64) -> Vec<f64> {
    let mut logarithms = vec![n as f64 * (1.0 - p).ln()];
    for k in 0..n {
        logarithms.push(logarithms[k as usize] + ((n - k) as f64 / (k + 1) as f64).ln() + (p / (1.0 - p)).ln());
    }
    logarithms.into_iter().map(f64::exp).collect()
}

#[test]
fn the_mean_of_a_blocks_evidence_is_one() {
    for (n, one_in) in [(1, 2), (50, 2), (2_560, 40), (2_571, 40), (9_000, 10), (20_000, 10)] {
        let rate = 1.0 / f64::from(one_in);
        let shares = outcomes(n, rate);
        for theta in 0..THETAS.len() {
            let mean: f64 = (0..=n).map(|k| shares[k as usize] * evidence_of(n, k, one_in, 0.0).0[0][theta].exp()).sum();
            // Half of it is the block's.
            let margin = (-OF_ANY_NUMBER / (n as f64 * rate).max(1.0)).exp() / if n < 10_000 { 1.0 } else { 1.0 + SMOOTH_MARGIN };
            assert!((mean - f64::midpoint(1.0, margin)).abs() < 1e-7, "{n} 1 in {one_in}: {mean}");
        }
    }
}

/// However many packets it is that made the samples, and at any rate within the tolerance: the mean is one at most.
#[test]
fn the_mean_is_no_more_whatever_number_was_dropped() {
    for (n, one_in) in [(128_u64, 2), (192, 3), (647, 10), (2_560, 40), (2_571, 40), (12_800, 200)] {
        let evidence: Vec<_> = (0..3 * n).map(|k| evidence_of(n, k, one_in, 0.005).0[0].map(f64::exp)).collect();
        let near = n - n / 16..=n + n / 16;
        let numbers = (0..3 * n).filter(|other| other % (n / 20) == 0 || near.contains(other) && (n < 5_000 || other % 20 == 0));
        let (mut most, mut at) = (0.0_f64, 0);
        for number in numbers {
            for off in [-0.005_f64, 0.0, 0.005] {
                let shares = outcomes(number, off.exp() / f64::from(one_in));
                for theta in 0..THETAS.len() {
                    let mean = shares.iter().zip(&evidence).map(|(share, evidence)| share * evidence[theta]).sum();
                    if mean > most {
                        (most, at) = (mean, number);
                    }
                }
            }
        }
        println!("{n} 1 in {one_in}: {most} at most, with {at}");
        assert!(most <= 1.0 && most > 0.99, "{n} 1 in {one_in}: {most} with {at}");
    }
}

/// Against all outcomes where these can be had, else against their sum.
#[test]
fn large_blocks_have_the_same_means() {
    let mut checked = 0;
    for one_in in [2_u32, 3, 10, 40, 1_000, 65_535] {
        let rate = 1.0 / f64::from(one_in);
        for deviation in [30.5, 47.0, 120.0, 900.0, 20_000.0_f64] {
            let n = (deviation * deviation / (rate * (1.0 - rate))) as u64 + 7;
            let deviation = (n as f64 * rate * (1.0 - rate)).sqrt();
            let (smooth, summed) = (means_of(n, rate, deviation).0, means_over(terms(n, rate, deviation)).0);
            if n <= 200_000 {
                let mean = |theta: f64| {
                    let of = |(k, share): (usize, f64)| share * (-theta / 2.0 * ((k as f64 - n as f64 * rate) / deviation).powi(2)).exp();
                    outcomes(n, rate).into_iter().enumerate().map(of).sum::<f64>()
                };
                let slow = THETAS.map(mean);
                assert!(slow.iter().zip(summed).all(|(slow, summed)| (slow / summed - 1.0).abs() < 1e-6), "{n}: {slow:?} {summed:?}");
                checked += 1;
            }
            for (smooth, summed) in smooth.into_iter().zip(summed) {
                let over = smooth / summed - 1.0;
                // Never below, so evidence is never more than it should be.
                assert!((0.0..2.0 * SMOOTH_MARGIN).contains(&over), "{n} 1 in {one_in}: {over}");
            }
        }
    }
    assert!(checked > 5);
}

/// However large counters are, a row costs the same: what is summed over is counted, not the time.
#[test]
fn fifty_thousand_rows_of_huge_counters_end() {
    let (mut spread, mut points) = (Spread::default(), 0_u64);
    for row in 0..50_000_u64 {
        let (dropped, one_in) = (u64::MAX >> (row % 50), [2_u32, 3, 40, 1_000, 65_535][row as usize % 5]);
        let rate = 1.0 / f64::from(one_in);
        let (_, more) = means_of(dropped, rate, (dropped as f64 * rate * (1.0 - rate)).sqrt());
        assert!(more < 1_000, "{dropped} 1 in {one_in}: {more}");
        points += u64::from(more);
        if row < 1_000 {
            let sampled = dropped / u64::from(one_in);
            spread.add(0, &Block { dropped, sampled }, (one_in, 0.0));
        }
    }
    println!("{points} points");
    assert!(points < 10_000_000 && spread.evidence().is_finite() && spread.evidence() > 100.0, "{points} {}", spread.evidence());
}

#[test]
fn any_numbers_give_a_number() {
    for (dropped, sampled) in [(0, 0), (0, u64::MAX), (u64::MAX, 0), (1 << 40, 1 << 40), (5, 9)] {
        let have = evidence_of(dropped, sampled, 40, 0.005).evidence();
        assert!(!have.is_nan(), "{dropped} {sampled}");
        let mut blocks = Blocks::default();
        (0..3).for_each(|day| blocks.add(day, Block { dropped, sampled }, (40, 0.005)));
        assert!(!blocks.of(2).evidence().is_nan(), "{dropped} {sampled}");
    }
}

#[test]
fn blocks_end_at_their_sizes_and_go_on_over_midnight() {
    let mut blocks = Blocks::default();
    let half = Block { dropped: 1_280, sampled: 32 };
    blocks.add(0, half, (40, 0.0));
    assert_eq!(blocks.of(0), Spread::default());
    blocks.add(1, half, (40, 0.0));
    let one = blocks.of(1);
    assert!(one.0[0].iter().all(|sum| *sum > 0.1) && one.0[1..].as_flattened().iter().all(|sum| *sum == 0.0), "{one:?}");
    assert_eq!((blocks.of(0), blocks.of(2)), (Spread::default(), Spread::default()));
    (0..30).for_each(|_| blocks.add(1, half, (40, 0.0)));
    let many = blocks.of(1);
    assert!((many.0[0][0] - 16.0 * one.0[0][0]).abs() < 1e-9 && many.0[1][2] > 1.0 && many.0[2][2] == 0.0, "{many:?}");
}
