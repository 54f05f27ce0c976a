//! Quantiles of gamma distributions, as fast as a reporter needs them: several for each entry of each list.
//!
//! Newton's method on the logarithm of the smaller tail, over the logarithm of the value. Both tails of a gamma variable's
//! logarithm are log-concave, so steps towards the tail never pass the root, and at most the first one comes from its other
//! side. Started from Wilson and Hilferty's value, three or four are enough.

use std::cell::Cell;

use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::gamma::ln_gamma;

/// A step so small, of the logarithm, is the last: what is left is its square.
const LAST_STEP: f64 = 1e-8;
/// More are never taken; no shape and tail of use take ten.
const STEPS_MAX: usize = 60;
/// Sums end where a term no longer counts.
const TERM_MIN: f64 = 1e-15;
const TERMS_MAX: u32 = 5_000;

/// Quantiles that are remembered: entries of one list ask for the same tail, and many for the same few shapes.
const KNOWN: usize = 1 << 10;

/// From this shape on, Wilson and Hilferty (1931) is closer than any use of the figure.
const SHAPE_LARGE: f64 = 200.0;

/// What was asked, by its bits, and the answer.
type Answer = ((u64, u64), f64);

thread_local! {
    static ANSWERS: Vec<Cell<Answer>> = (0..KNOWN).map(|_| Cell::new(((0, 0), 0.0))).collect();
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Below,
    Above,
}

/// Where the gamma distribution of that shape and scale 1 has this share (0.5 or less) below.
pub(super) fn lower(shape: f64, tail: f64) -> f64 {
    if tail > 0.0 { quantile(Side::Below, shape, tail) } else { 0.0 }
}

/// Where it has this share above.
pub(super) fn upper(shape: f64, tail: f64) -> f64 {
    if tail > 0.0 { quantile(Side::Above, shape, tail) } else { f64::INFINITY }
}

fn quantile(side: Side, shape: f64, tail: f64) -> f64 {
    let asked = (shape.to_bits(), if side == Side::Below { tail } else { -tail }.to_bits());
    let mixed = asked.0 ^ asked.1.rotate_left(29);
    let at = usize::try_from(mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54).unwrap_or(0) % KNOWN;
    ANSWERS.with(|answers| {
        let (known, value) = answers[at].get();
        if known == asked {
            return value;
        }
        let value = solve(side, shape, tail);
        answers[at].set((asked, value));
        value
    })
}

fn solve(side: Side, shape: f64, tail: f64) -> f64 {
    let z = Normal::standard().inverse_cdf(tail);
    let cube = wilson_hilferty(shape, if side == Side::Below { z } else { -z });
    if shape >= SHAPE_LARGE {
        return shape * cube.max(0.0).powi(3);
    }
    let ln_gamma_of_shape = ln_gamma(shape);
    let wanted = tail.ln();
    // x^a / Γ(a+1) is above the lower tail: its root is below.
    let share = if side == Side::Below { wanted } else { (-tail).ln_1p() };
    let below = (share + ln_gamma_of_shape + shape.ln()) / shape;
    let mut at = if cube > 0.1 { (shape * cube.powi(3)).ln().max(below) } else { below };
    for _ in 0..STEPS_MAX {
        let x = at.exp();
        let scale = (shape * at - x - ln_gamma_of_shape).exp();
        let have = tail_of(side, shape, x, scale);
        if !(have > 0.0 && scale > 0.0) {
            break;
        }
        let step = (have.ln() - wanted) * have / scale;
        at += if side == Side::Below { -step } else { step };
        if step.abs() < LAST_STEP {
            break;
        }
    }
    at.exp()
}

/// The cube root of the quantile over the shape, nearly.
fn wilson_hilferty(shape: f64, z: f64) -> f64 {
    let c = 1.0 / (9.0 * shape);
    1.0 - c + z * c.sqrt()
}

/// The share of the distribution below `x`, or above it. `scale`: x^a e^-x / Γ(a).
fn tail_of(side: Side, shape: f64, x: f64, scale: f64) -> f64 {
    if x <= 1.0 || x <= shape {
        let below = scale * series(shape, x);
        if side == Side::Below { below } else { 1.0 - below }
    } else {
        let above = scale * fraction(shape, x);
        if side == Side::Below { 1.0 - above } else { above }
    }
}

/// The lower tail: Σ x^n / (a (a+1) … (a+n)).
fn series(shape: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut a) = (1.0 / shape, 1.0 / shape, shape);
    for _ in 0..TERMS_MAX {
        a += 1.0;
        term *= x / a;
        sum += term;
        if term < sum * TERM_MIN {
            break;
        }
    }
    sum
}

/// The upper tail: Legendre's continued fraction, by Lentz's method.
fn fraction(shape: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - shape;
    let (mut c, mut d) = (1.0 / f64::MIN_POSITIVE, 1.0 / b);
    let mut value = d;
    for n in 1..TERMS_MAX {
        let n = f64::from(n);
        let a = n * (shape - n);
        b += 2.0;
        d = 1.0 / (a * d + b);
        c = b + a / c;
        value *= c * d;
        if (c * d - 1.0).abs() < TERM_MIN {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use statrs::distribution::Gamma;
    use statrs::function::gamma::{gamma_lr, gamma_ur};

    use super::*;

    fn ours(shape: f64, probability: f64) -> f64 {
        if probability <= 0.5 { lower(shape, probability) } else { upper(shape, 1.0 - probability) }
    }

    fn shapes() -> impl Iterator<Item = f64> {
        (1..200).map(f64::from).chain((0..200).map(|step| 0.05 * 1.042_f64.powi(step)))
    }

    /// Shape, tail, and whether it is the upper one; by bisection in 40 digits (mpmath).
    const TABLE: [(f64, f64, bool, f64); 12] = [
        (0.3, 0.025, false, 3.185_679_031_739_166e-6),
        (0.3, 0.025, true, 1.900_263_642_838_826),
        (1.0, 0.025, true, 3.688_879_454_113_936),
        (2.0, 0.025, false, 0.242_209_278_543_965),
        (2.0, 1.490_116_119_384_765_6e-8, false, 1.726_434_263_941_784e-4),
        (2.0, 0.025, true, 5.571_643_390_938_899),
        (2.5, 9.536_743_164_062_5e-7, true, 17.995_593_211_734_137),
        (10.0, 0.025, false, 4.795_388_696_132_434),
        (11.0, 1.490_116_119_384_765_6e-8, true, 40.110_411_171_013_77),
        (140.5, 0.025, false, 118.229_172_312_800_19),
        (150.0, 0.025, true, 174.937_234_414_957_63),
        (199.0, 1.490_116_119_384_765_6e-8, true, 287.335_592_422_117_65),
    ];

    #[test]
    fn quantiles_are_those_of_forty_digits() {
        for (shape, tail, above, value) in TABLE {
            let have = if above { upper(shape, tail) } else { lower(shape, tail) };
            assert!((have / value - 1.0).abs() < 1e-9, "shape {shape}, tail {tail}: {have} against {value}");
        }
    }

    /// Tails as they are asked for: 2.5 % a side, and that of one among many keys. What lies beyond the value is what was
    /// asked for, as others compute it, to the 1e-9 of the value.
    #[test]
    fn beyond_a_quantile_lies_what_was_asked_for() {
        for shape in shapes() {
            for tail in [0.5, 0.025, 0.01, 0.025 / 1_000.0, 0.025 / 65_536.0, 0.025 / 1_048_576.0] {
                let (low, high) = (lower(shape, tail), upper(shape, tail));
                let per_share = |x: f64| (shape * x.ln() - x - ln_gamma(shape)).exp();
                // What is as good as zero is looked at by nobody: the packets that were seen bound it from below.
                if low > 1e-6 {
                    let error = (gamma_lr(shape, low) - tail) / per_share(low);
                    assert!(error.abs() < 1e-9, "shape {shape}, lower {tail}: {low}, {error}");
                }
                let error = (gamma_ur(shape, high) - tail) / per_share(high);
                assert!(error.abs() < 1e-9, "shape {shape}, upper {tail}: {high}, {error}");
            }
        }
    }

    /// Where bisection, which stood here before, comes to its end: of larger shapes its density overflows.
    #[test]
    fn quantiles_are_those_of_bisection() {
        for shape in shapes().filter(|shape| (1.0..130.0).contains(shape)) {
            let gamma = Gamma::new(shape, 1.0).unwrap();
            for probability in [0.01, 0.025, 0.5, 0.975, 0.999_5, 1.0 - 2.5e-7] {
                let (mine, theirs) = (ours(shape, probability), gamma.inverse_cdf(probability));
                assert!((mine - theirs).abs() < 1e-9 * theirs.max(1.0), "shape {shape}, {probability}: {mine} against {theirs}");
            }
        }
    }

    #[test]
    fn of_shape_one_it_is_a_logarithm_and_ends_are_ends() {
        for tail in [0.5, 0.025, 1e-5, 2e-8] {
            for (have, value) in [(lower(1.0, tail), -(-tail).ln_1p()), (upper(1.0, tail), -tail.ln())] {
                assert!((have / value - 1.0).abs() < 1e-13, "{tail}: {have} against {value}");
            }
        }
        assert_eq!((ours(3.0, 0.0), ours(3.0, 1.0)), (0.0, f64::INFINITY));
        assert_eq!(ours(7.0, 0.025).to_bits(), ours(7.0, 0.025).to_bits(), "remembered");
    }

    #[test]
    fn quantiles_of_the_gamma_distribution_leave_the_tails_that_were_asked_for() {
        for shape in (1..100).map(|n| f64::from(n * n) / 50.0 + 0.98) {
            for tail in [0.25, 0.025, 1e-4, 1e-7, 1e-11] {
                let (low, high) = (lower(shape, tail), upper(shape, tail));
                let (below, above) = (gamma_lr(shape, low) / tail, gamma_ur(shape, high) / tail);
                assert!((below - 1.0).abs() < 1e-6 && (above - 1.0).abs() < 1e-6, "{shape}, {tail}: {below} {above}");
            }
        }
        // Wilson and Hilferty's, from where they take over.
        for tail in [0.025, 1e-4, 1e-7] {
            let (shape, exact) = (SHAPE_LARGE, SHAPE_LARGE - 1e-9);
            let off = [lower(shape, tail) / lower(exact, tail), upper(shape, tail) / upper(exact, tail)];
            assert!(off.iter().all(|ratio| (ratio - 1.0).abs() < 2e-3), "{tail}: {off:?}");
        }
    }
}
