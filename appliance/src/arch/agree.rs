//! Every kernel that has a form for some processors, asked the same things in each form: the scalar form says what is right. One list for
//! tests, for the bench and for `tailwater check`, since a processor, or who emulates one, may be wrong.

use super::HashKey;
use super::cells::{V4, V6, agree};
use super::columns::{self, Columns, Task};
use super::hash::spread;
use super::lanes::Form;
use super::pieces::Pieces;

/// Kernels by name; the last two look ranges up, with gathers and without.
pub const KERNELS: [&str; 19] = [
    "equal",
    "equal_each",
    "same",
    "equal_long",
    "least",
    "any_bits",
    "below",
    "equal_bytes",
    "nonzero_bytes",
    "nonzero",
    "sum",
    "matching",
    "within",
    "at_least",
    "hash_heads",
    "hash_pairs",
    "enter_all",
    "find_v4",
    "find_v6",
];

/// Registers of the sketch that hashes enter: 2^12.
const PRECISION: u32 = 12;

/// Of these forms, the kernels that do not say in `rounds` rounds of draws what the scalar form says.
pub fn disagreeing(forms: &[Form], rounds: u64) -> Vec<(Form, &'static str)> {
    let others = || forms.iter().copied().filter(|form| *form != Form::Usual);
    let wrong = |kernel| {
        let right = answers(Form::Usual, kernel, rounds);
        others().filter(move |form| answers(*form, kernel, rounds) != right).map(move |form| (form, kernel))
    };
    KERNELS.into_iter().flat_map(wrong).collect()
}

/// All that a kernel says in so many rounds, in one number; a form that the processor lacks is the scalar one.
pub fn answers(form: Form, kernel: &'static str, rounds: u64) -> u64 {
    match kernel {
        "find_v4" => agree::answers::<V4>(form, rounds),
        "find_v6" => agree::answers::<V6>(form, rounds),
        _ => columns::run_by(form, Asked { kernel, rounds }),
    }
}

struct Asked {
    kernel: &'static str,
    rounds: u64,
}

impl Task for Asked {
    type Out = u64;

    #[inline(always)]
    fn run<C: Columns>(self, columns: C) -> u64 {
        let mut registers = vec![0; 1 << PRECISION];
        let all = (0..self.rounds).fold(0, |all, round| spread(all ^ ask(columns, self.kernel, round, &mut registers)));
        fold(registers.iter().map(|register| u64::from(*register))) ^ all
    }
}

fn fold(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, |all, number| spread(all ^ number))
}

/// What a kernel says of a round's draws: numbers of all sizes, some of which are equal.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "a few bits of draws")]
fn ask<C: Columns>(columns: C, kernel: &str, round: u64, registers: &mut [u8]) -> u64 {
    let of = |i: usize| spread(round * 256 + i as u64);
    let few = (1 << (round % 33)) - 1;
    let long: [u32; 64] = std::array::from_fn(|i| (of(i) & few) as u32 | u32::from(round.is_multiple_of(2)) << 31);
    let bytes = long.map(|number| number as u8);
    let short = long.map(|number| (number ^ number >> 16) as u16);
    let words: [u64; 64] = std::array::from_fn(|i| of(i + 64) & (few | few << 31));
    let (Some(twelve), Some(eight), Some(sixteen)) = (long.first_chunk(), words.first_chunk(), bytes.first_chunk()) else { return 0 };
    let others: [u32; 12] = std::array::from_fn(|i| long[i] ^ u32::from(of(i + 130).is_multiple_of(3)));
    let halved = long.map(|number| number >> 1);
    match kernel {
        "equal" => u64::from(columns.equal(twelve, long[3])),
        "equal_each" => {
            let (mut table, mut equal) = ([words, words], [0; 64]);
            let numbers = std::array::from_fn(|i| (of(i + 140) % 16) as u32);
            let mut pieces = Pieces::new(table.as_flattened_mut(), 8, &numbers);
            let wanted = std::array::from_fn(|i| pieces.of(i)[i % 6] as u32);
            columns.equal_each(&mut pieces, of(210), &wanted, &mut equal);
            fold(equal.iter().map(|bits| u64::from(*bits)))
        }
        "same" => u64::from(columns.same(twelve, &others)),
        "equal_long" => u64::from(columns.equal_long(eight, words[5])),
        "least" => {
            let (place, least) = columns.least(sixteen, 1 + round as usize % 16);
            place as u64 | u64::from(least) << 8
        }
        "any_bits" => columns.any_bits(&short, of(211) as u16 & 0x111),
        "below" => columns.below(&halved, &std::array::from_fn(|i| halved[63 - i])),
        "equal_bytes" => columns.equal_bytes(&bytes, bytes[9]),
        "nonzero_bytes" => columns.nonzero_bytes(&bytes),
        "nonzero" => columns.nonzero(&halved),
        "sum" => columns.sum(&long, of(212)),
        "matching" => columns.matching(&short, of(213) as u16, short[9] & of(213) as u16),
        "within" => columns.within(&long, long[3], (of(214) & few) as u32),
        "at_least" => columns.at_least(&bytes, bytes[7]),
        "hash_heads" | "hash_pairs" => {
            let (seeds, mut hashes) = (HashKey::constant().seeds(1 + round as usize % 16), [0; 64]);
            if kernel == "hash_heads" {
                columns.hash_heads(&seeds, &long, 64, &mut hashes);
            } else {
                columns.hash_pairs(&seeds, (&words, &words.map(spread)), 64, &mut hashes);
            }
            fold(hashes.into_iter())
        }
        _ => {
            let zeros = round % 60;
            columns.enter_all(registers, PRECISION, &words.map(|word| spread(word) << zeros >> zeros), of(215));
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_every_kernel_says_what_the_scalar_form_says() {
        assert_eq!(disagreeing(&Form::all(), if cfg!(miri) { 40 } else { 5_000 }), []);
    }

    /// What a kernel says depends on each of its rounds, and no kernel says what another does.
    #[test]
    fn answers_tell_kernels_and_rounds_apart() {
        let of = |rounds| KERNELS.map(|kernel| answers(Form::Usual, kernel, rounds));
        let mut all = [of(300), of(301)].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2 * KERNELS.len());
    }
}
