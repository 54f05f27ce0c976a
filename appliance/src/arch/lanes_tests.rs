//! Lanes of any kind say what the scalar forms say.
#![allow(clippy::cast_possible_truncation, reason = "a few bits of draws")]

use super::usual::{equal_scalar, least_scalar};
use super::*;
use crate::arch::hash::spread;

/// What the scalar forms say.
struct Agree;

impl Work for Agree {
    type Out = ();

    fn run<L: Lanes>(self, lanes: L) {
        // Miri takes a thousand times as long, and looks at what is read rather than at what comes out.
        let rounds = if cfg!(miri) { 40 } else { 20_000 };
        for round in 0..rounds {
            let of = |i: usize| spread(round * 64 + i as u64);
            let few = 1 << (round % 9);
            let numbers: [u32; 12] = std::array::from_fn(|i| (of(i) % few) as u32 | u32::from(round % 2 == 0) << 31);
            let bytes: [u8; 16] = std::array::from_fn(|i| 255 - (of(i + 12) % few) as u8);
            assert_eq!(lanes.equal(&numbers, numbers[3]), equal_scalar(&numbers, numbers[3]));
            assert_eq!(lanes.equal(&numbers, 77), equal_scalar(&numbers, 77));
            let others = std::array::from_fn(|i| numbers[i] ^ u32::from(of(i + 30).is_multiple_of(3)));
            assert_eq!(lanes.same(&numbers, &others), Usual.same(&numbers, &others));
            let (short, long): ([u16; 64], [u32; 64]) =
                (std::array::from_fn(|i| of(i) as u16), std::array::from_fn(|i| ((of(i) % few) as u32).wrapping_mul(of(i) as u32)));
            let bits = 1 << (round % 16) | of(70) as u16 & 0x11;
            assert_eq!(lanes.any_bits(&short, bits), Usual.any_bits(&short, bits));
            let words: [u64; 8] = std::array::from_fn(|i| of(i) % few);
            assert_eq!(lanes.equal_long(&words, words[5]), Usual.equal_long(&words, words[5]));
            let flags: [u8; 64] = std::array::from_fn(|i| (of(i + 80) % few) as u8);
            assert_eq!(lanes.nonzero_bytes(&flags), Usual.nonzero_bytes(&flags));
            assert_eq!(lanes.equal_bytes(&flags, flags[9]), Usual.equal_bytes(&flags, flags[9]));
            assert_eq!(lanes.nonzero(&long), Usual.nonzero(&long));
            let (draws, bounds) = (long.map(|number| number >> 1), std::array::from_fn(|i| long[63 - i] >> 1));
            assert_eq!(lanes.below(&draws, &bounds), Usual.below(&draws, &bounds));
            assert_eq!(lanes.sum(&long, of(71)), Usual.sum(&long, of(71)));
            let mut words: Vec<u64> = (0..8 * 9).map(|i| of(i) % few).collect();
            let (numbers, wanted) = (std::array::from_fn(|i| (of(i) % 9) as u32), std::array::from_fn(|i| (of(i + 5) % few) as u32));
            let (mut pieces, rows) = (Pieces::new(&mut words, 8, &numbers), of(72));
            let (mut have, mut want) = ([77; 64], [77; 64]);
            lanes.equal_each(&mut pieces, rows, &wanted, &mut have);
            for at in (0..64).filter(|at| rows >> at & 1 == 1) {
                let twelve = bytemuck::cast_slice::<u64, u32>(&pieces.of(at)[..6]).try_into().unwrap();
                want[at] = equal_scalar(&twelve, wanted[at]) as u16;
            }
            assert_eq!(have, want);
            for n in 1..=16 {
                let (place, least) = lanes.least(&bytes, n);
                assert_eq!((place, least), (least_scalar(&bytes, n), bytes[place]), "{n} of {bytes:?}");
            }
        }
    }
}

#[test]
fn lanes_say_what_the_scalar_forms_say() {
    for form in Form::all() {
        only(form, || run(Agree));
    }
}
