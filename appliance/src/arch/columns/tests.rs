//! Columns of any kind say what the scalar forms say.

use super::*;
use crate::arch::HashKey;
use crate::arch::hash::spread;
use crate::arch::lanes::as_usual;

/// What the scalar forms say.
struct Agree;

impl Task for Agree {
    type Out = ();

    fn run<C: Columns>(self, columns: C) {
        let rounds = if cfg!(miri) { 20 } else { 20_000 };
        for round in 0..rounds {
            let of = |i: usize| spread(round * 64 + i as u64);
            let few = 1 << (round % 17);
            let short: [u16; 64] = std::array::from_fn(|i| (of(i) % few) as u16 | u16::from(round % 2 == 0) << 15);
            let mask = of(65) as u16;
            for wanted in [0, short[9] & mask, mask, 1] {
                assert_eq!(columns.matching(&short, mask, wanted), Usual.matching(&short, mask, wanted), "{mask:x} {wanted:x}");
            }
            let long: [u32; 64] = std::array::from_fn(|i| ((of(i) % few) as u32).wrapping_mul(1 + (round % 3) as u32 * 0x5555_5555));
            for (low, span) in [(long[3], 0), (long[3], of(66) as u32), (0, u32::MAX), (of(67) as u32, of(68) as u32 % 1_000), (0, 0)] {
                assert_eq!(columns.within(&long, low, span), Usual.within(&long, low, span), "{low} {span}");
            }
            let bytes = short.map(|number| number as u8);
            for least in [0, 1, bytes[7], 255, of(69) as u8] {
                assert_eq!(columns.at_least(&bytes, least), Usual.at_least(&bytes, least), "{least}");
            }
            agree_on_hashes(columns, round, &long);
            let words: [u64; 8] = std::array::from_fn(|i| of(i) % few);
            assert_eq!(columns.equal_long(&words, words[5]), Usual.equal_long(&words, words[5]));
        }
    }
}

fn agree_on_hashes(columns: impl Columns, round: u64, heads: &[u32; 64]) {
    let (seeds, count) = (HashKey::constant().seeds(1 + (round % 16) as usize), (round % 65) as usize);
    let (mut have, mut want) = ([7; 64], [7; 64]);
    columns.hash_heads(&seeds, heads, count, &mut have);
    Usual.hash_heads(&seeds, heads, count, &mut want);
    assert_eq!(have[..count], want[..count]);
    let of = |salt: u64| std::array::from_fn(|i| spread(round * 64 + i as u64 + salt) << (round % 64));
    let (first, rest) = (of(3), of(4));
    columns.hash_pairs(&seeds, (&first, &rest), count, &mut have);
    Usual.hash_pairs(&seeds, (&first, &rest), count, &mut want);
    assert_eq!(have[..count], want[..count]);
}

/// Registers are those that hashes make one by one.
struct Enter;

impl Task for Enter {
    type Out = ();

    fn run<C: Columns>(self, columns: C) {
        for precision in [4, 6, 10, 12, 16] {
            let (mut have, mut want) = (vec![0_u8; 1 << precision], vec![0_u8; 1 << precision]);
            for batch in 0..if cfg!(miri) { 3 } else { 300 } {
                // Some with many zeros behind the bits that choose the register, and some twice.
                let of = |i: u64| spread(batch * 64 + i / 2) & u64::MAX << (spread(i ^ batch << 7) % 64);
                let hashes: [u64; 64] = std::array::from_fn(|i| of(i as u64));
                let which = spread(batch ^ 77) | if batch % 3 == 0 { u64::MAX } else { 0 };
                columns.enter_all(&mut have, precision, &hashes, which);
                hashes
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| which >> i & 1 == 1)
                    .for_each(|(_, hash)| enter(&mut want, precision, (*hash).max(1)));
                assert_eq!(have, want, "2^{precision}, batch {batch}");
            }
        }
    }
}

#[test]
fn columns_say_what_the_scalar_forms_say() {
    as_usual(|| (run(Agree), run(Enter)));
    #[cfg(target_arch = "x86_64")]
    if let Some(columns) = Avx2::here() {
        Agree.run(columns);
        Enter.run(columns);
    }
    run(Agree);
    run(Enter);
}
