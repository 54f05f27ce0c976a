//! HyperLogLog: registers of one byte (Flajolet, Fusy, Gandouet and Meunier, 2007), read by Ertl's estimator (2017).

pub(super) use crate::arch::columns::enter as set_register;

/// The registers that the same hashes would have made with fewer of them: exactly those.
pub(super) fn fold(registers: &[u8], precision: u32) -> Vec<u8> {
    let mut folded = vec![0; 1 << precision];
    let bits = registers.len().trailing_zeros() - precision;
    for (index, rank) in registers.iter().enumerate().filter(|(_, rank)| **rank > 0) {
        let lost = index & ((1 << bits) - 1);
        // The bits of the index that are lost now stand in front of those whose zeros were counted.
        let rank = if lost == 0 { u32::from(*rank) + bits } else { bits - lost.ilog2() };
        let register = &mut folded[index >> bits];
        *register = u8::try_from(rank).unwrap_or(u8::MAX).max(*register);
    }
    folded
}

#[allow(clippy::cast_precision_loss, reason = "65,536 registers at most")]
fn count(n: usize) -> f64 {
    n as f64
}

/// Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), the improved raw estimator.
pub(super) fn ertl(registers: &[u8]) -> f64 {
    let m = count(registers.len());
    let q = 64 - registers.len().trailing_zeros() as usize;
    let mut histogram = vec![0.0_f64; q + 2];
    registers.iter().for_each(|r| histogram[usize::from(*r).min(q + 1)] += 1.0);
    let mut z = m * tau(1.0 - histogram[q + 1] / m);
    for k in (1..=q).rev() {
        z = 0.5 * (z + histogram[k]);
    }
    z += m * sigma(histogram[0] / m);
    m / (2.0 * std::f64::consts::LN_2) * m / z
}

fn sigma(x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut x, mut y, mut z) = (x, 1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut x, mut y, mut z) = (x, 1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::hash::spread;

    #[test]
    fn folded_registers_are_those_of_fewer_from_the_start() {
        for n in [1_u64, 30, 500, 20_000] {
            let of = |precision: u32| {
                let mut registers = vec![0; 1 << precision];
                (1..=n).for_each(|i| set_register(&mut registers, precision, spread(i * 77)));
                registers
            };
            let fine = of(12);
            for precision in [4, 6, 11, 12] {
                assert_eq!(fold(&fine, precision), of(precision), "{n} keys, 2^{precision}");
            }
        }
    }
}
