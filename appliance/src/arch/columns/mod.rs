//! Questions that are asked of a whole column of a batch, and work that is compiled for what the processor has: for AVX-512
//! too, so that a plain loop over a column takes eight or sixteen numbers a step. The scalar forms are the definition.
#![allow(unsafe_code, reason = "lanes are loaded through pointers, and functions are compiled for more than every processor has")]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "lanes have no sign")]

#[cfg(target_arch = "x86_64")]
mod narrow;
#[cfg(target_arch = "x86_64")]
mod wide;

use super::hash::Seeds;
#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{Form, Lanes, Usual};

/// What a processor can ask of 64 numbers that stand beside each other.
pub trait Columns: Lanes {
    /// Which numbers have of the bits in `mask` those that are `wanted`, and no others: one bit each.
    fn matching(self, numbers: &[u16; 64], mask: u16, wanted: u16) -> u64;

    /// Which numbers are `low`, or above it by no more than `span`: one bit each.
    fn within(self, numbers: &[u32; 64], low: u32, span: u32) -> u64;

    /// Which bytes are `least` at least: one bit each.
    fn at_least(self, bytes: &[u8; 64], least: u8) -> u64;

    /// Hashes of keys of up to four bytes, each as a big-endian number of four: its bytes and then zeros. Of so many, and of some
    /// behind them.
    #[inline(always)]
    fn hash_heads(self, seeds: &Seeds, heads: &[u32; 64], count: usize, hashes: &mut [u64; 64]) {
        heads.iter().zip(hashes).take(count).for_each(|(head, hash)| *hash = seeds.hash(u64::from(head.swap_bytes()), 0));
    }

    /// Hashes of keys of nine to sixteen bytes, see [`Seeds::hash`]. Of so many, and of some behind them.
    #[inline(always)]
    fn hash_pairs(self, seeds: &Seeds, (first, rest): (&[u64; 64], &[u64; 64]), count: usize, hashes: &mut [u64; 64]) {
        for (hash, (first, rest)) in hashes.iter_mut().zip(first.iter().zip(rest)).take(count) {
            *hash = seeds.hash(*first, *rest);
        }
    }

    /// Enters those hashes that have a bit into a HyperLogLog of 2^`precision` registers, zero as one: see [`enter`].
    #[inline(always)]
    fn enter_all(self, registers: &mut [u8], precision: u32, hashes: &[u64; 64], which: u64) {
        let (index_shift, guard, mut left) = (64 - precision, 1 << (precision - 1), which);
        while left != 0 {
            let hash = hashes[left.trailing_zeros() as usize % 64];
            let zeros = (hash << precision | guard).leading_zeros();
            // Of a sketch that has seen many few raise their register.
            let raises = registers.get((hash >> index_shift) as usize).is_some_and(|register| u32::from(*register) <= zeros);
            if raises {
                enter(registers, precision, hash.max(1));
            }
            left &= left - 1;
        }
    }
}

/// Enters a hash into a HyperLogLog: its top `precision` bits choose the register, the zeros in front of the rest its value.
#[inline(always)]
pub fn enter(registers: &mut [u8], precision: u32, hash: u64) {
    let index = usize::try_from(hash >> (64 - precision)).unwrap_or(0);
    let rank = (hash << precision | 1 << (precision - 1)).leading_zeros() + 1;
    if let Some(register) = registers.get_mut(index) {
        *register = (*register).max(rank.to_le_bytes()[0]);
    }
}

/// A loop that is compiled once for each kind of processor. All that it calls is to be inlined: what is not, is compiled for
/// every processor.
pub trait Task {
    /// What comes of it.
    type Out;

    /// Does it.
    fn run<C: Columns>(self, columns: C) -> Self::Out;
}

/// Does a task by what the processor has, which is found out once.
#[inline]
pub fn run<T: Task>(task: T) -> T::Out {
    #[cfg(test)]
    if let Some(form) = super::lanes::only_form() {
        return run_by(form, task);
    }
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(columns) = Avx512::here() {
            // SAFETY: `columns` says that the processor has what the function is compiled for.
            return unsafe { run_avx512(task, columns) };
        }
        if let Some(columns) = Avx2::here() {
            // SAFETY: as above.
            return unsafe { run_avx2(task, columns) };
        }
    }
    task.run(Usual)
}

/// Does a task in a form; in the scalar one, if the processor lacks it.
pub fn run_by<T: Task>(form: Form, task: T) -> T::Out {
    #[cfg(target_arch = "x86_64")]
    match (form, Avx2::here(), Avx512::here()) {
        // SAFETY: `columns` says that the processor has what the function is compiled for.
        (Form::Avx2, Some(columns), _) => return unsafe { run_avx2(task, columns) },
        // SAFETY: as above.
        (Form::Avx512, _, Some(columns)) => return unsafe { run_avx512(task, columns) },
        _ => {}
    }
    task.run(Usual)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx512<T: Task>(task: T, columns: Avx512) -> T::Out {
    task.run(columns)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx2<T: Task>(task: T, columns: Avx2) -> T::Out {
    task.run(columns)
}

impl Columns for Usual {
    #[inline(always)]
    fn matching(self, numbers: &[u16; 64], mask: u16, wanted: u16) -> u64 {
        numbers.iter().enumerate().fold(0, |found, (i, number)| found | u64::from(number & mask == wanted) << i)
    }

    #[inline(always)]
    fn within(self, numbers: &[u32; 64], low: u32, span: u32) -> u64 {
        numbers.iter().enumerate().fold(0, |found, (i, number)| found | u64::from(number.wrapping_sub(low) <= span) << i)
    }

    #[inline(always)]
    fn at_least(self, bytes: &[u8; 64], least: u8) -> u64 {
        bytes.iter().enumerate().fold(0, |found, (i, byte)| found | u64::from(*byte >= least) << i)
    }
}

#[cfg(test)]
mod tests;
