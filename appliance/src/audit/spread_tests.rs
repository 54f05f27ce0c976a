//! Against sums over all outcomes.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of a test")]

use super::*;

fn evidence_of(dropped: u64, low: u64, high: u64, one_in: u32) -> Spread {
    let mut spread = Spread::default();
    spread.add(&Counts { dropped, low, high }, one_in, 0.0);
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
    for (n, one_in) in [(1, 2), (50, 2), (2_560, 40), (2_571, 40), (20_000, 10)] {
        let shares = outcomes(n, 1.0 / f64::from(one_in));
        for theta in 0..THETAS.len() {
            let mean: f64 = (0..=n).map(|k| shares[k as usize] * evidence_of(n, k, k, one_in).0[theta].exp()).sum();
            assert!((mean - 1.0).abs() < 1e-7, "{n} 1 in {one_in}: {mean}");
        }
        let mut wide = Spread::default();
        wide.add(&Counts { dropped: n, low: 0, high: n }, one_in, 0.0);
        assert!((0..=n).all(|k| evidence_of(n, k, k, one_in).0[1] >= wide.0[1]), "the least that ends allow");
    }
}

/// Where the sum is given up for its limit, both are the same.
#[test]
fn large_blocks_are_normal() {
    let (n, rate) = (16_500_000_000_u64, 1.0 / 40.0);
    let deviation = (n as f64 * rate * (1.0 - rate)).sqrt();
    assert!((NORMAL_FROM..1.01 * NORMAL_FROM).contains(&deviation), "{deviation}");
    for theta in THETAS {
        let summed = mean_of(n, rate, NORMAL_FROM - 1.0, theta);
        let limit = mean_of(n, rate, deviation, theta);
        assert!(limit > summed && limit < summed * 1.01, "{theta}: {summed} {limit}");
    }
}

#[test]
fn any_numbers_give_a_number() {
    for (dropped, low, high) in [(0, 0, 0), (0, 0, u64::MAX), (u64::MAX, 0, 0), (1 << 40, 1 << 40, 1 << 40), (5, 9, 9)] {
        let have = evidence_of(dropped, low, high, 40).evidence();
        assert!(!have.is_nan(), "{dropped} {low} {high}");
    }
    assert!(block_size(0) == BLOCK_MIN && block_size(u64::MAX) == BLOCK_MAX);
}
