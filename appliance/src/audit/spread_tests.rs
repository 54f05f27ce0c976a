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
    for (n, one_in) in [(1, 2), (50, 2), (2_560, 40), (2_571, 40), (9_000, 10), (20_000, 10)] {
        let shares = outcomes(n, 1.0 / f64::from(one_in));
        for theta in 0..THETAS.len() {
            let mean: f64 = (0..=n).map(|k| shares[k as usize] * evidence_of(n, k, k, one_in).0[theta].exp()).sum();
            // Half of it is the block's.
            let margin = if n < 10_000 { 0.0 } else { SMOOTH_MARGIN / 2.0 };
            assert!((mean + margin - 1.0).abs() < 1e-7, "{n} 1 in {one_in}: {mean}");
        }
        let mut wide = Spread::default();
        wide.add(&Counts { dropped: n, low: 0, high: n }, one_in, 0.0);
        assert!((0..=n).all(|k| evidence_of(n, k, k, one_in).0[1] >= wide.0[1]), "the least that ends allow");
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
            spread.add(&Counts { dropped, low: sampled, high: sampled }, one_in, 0.0);
        }
    }
    println!("{points} points");
    assert!(points < 10_000_000 && spread.evidence().is_finite() && spread.evidence() > 100.0, "{points} {}", spread.evidence());
}

#[test]
fn any_numbers_give_a_number() {
    for (dropped, low, high) in [(0, 0, 0), (0, 0, u64::MAX), (u64::MAX, 0, 0), (1 << 40, 1 << 40, 1 << 40), (5, 9, 9)] {
        let have = evidence_of(dropped, low, high, 40).evidence();
        assert!(!have.is_nan(), "{dropped} {low} {high}");
    }
    assert!(block_size(0) == BLOCK_MIN && block_size(u64::MAX) == BLOCK_MAX);
}
