//! Questions that are asked of a whole column of a batch, and work that is compiled for what the processor has: for AVX-512
//! too, so that a plain loop over a column takes eight or sixteen numbers a step. The scalar forms are the definition.
#![allow(unsafe_code, reason = "lanes are loaded through pointers, and functions are compiled for more than every processor has")]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "lanes have no sign")]

#[cfg(target_arch = "x86_64")]
mod wide;

#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Lanes};
use super::lanes::Usual;
#[cfg(target_arch = "x86_64")]
pub use wide::Avx512;

/// What a processor can ask of 64 numbers that stand beside each other.
pub trait Columns: Copy {
    /// Which numbers have of the bits in `mask` those that are `wanted`, and no others: one bit each.
    fn matching(self, numbers: &[u16; 64], mask: u16, wanted: u16) -> u64;

    /// Which numbers are `low`, or above it by no more than `span`: one bit each.
    fn within(self, numbers: &[u32; 64], low: u32, span: u32) -> u64;

    /// Which bytes are `least` at least: one bit each.
    fn at_least(self, bytes: &[u8; 64], least: u8) -> u64;

    /// Which words are `wanted`: one bit each.
    fn equal_words(self, words: &[u64; 8], wanted: u64) -> u32;

    /// Enters those hashes that have a bit into a HyperLogLog of 2^`precision` registers, zero as one: see [`enter`].
    fn enter_all(self, registers: &mut [u8], precision: u32, hashes: &[u64; 64], which: u64) {
        let mut left = which;
        while left != 0 {
            enter(registers, precision, hashes[left.trailing_zeros() as usize % 64].max(1));
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
    if super::lanes::is_usual() {
        return task.run(Usual);
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

    #[inline(always)]
    fn equal_words(self, words: &[u64; 8], wanted: u64) -> u32 {
        words.iter().enumerate().fold(0, |found, (i, word)| found | u32::from(*word == wanted) << i)
    }
}

#[cfg(target_arch = "x86_64")]
impl Columns for Avx2 {
    #[inline(always)]
    fn matching(self, numbers: &[u16; 64], mask: u16, wanted: u16) -> u64 {
        use core::arch::x86_64::{
            _mm256_and_si256, _mm256_cmpeq_epi16, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_packs_epi16, _mm256_permute4x64_epi64,
            _mm256_set1_epi16,
        };
        let mut found = 0;
        for half in 0..2 {
            // SAFETY: the processor has AVX2, or there were no `self`; two loads of sixteen numbers each from 0 and from 32 on
            // read the 64.
            let here = unsafe {
                let (mask, wanted, from) = (_mm256_set1_epi16(mask as i16), _mm256_set1_epi16(wanted as i16), numbers.as_ptr().add(32 * half));
                let equal = |at: usize| _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_loadu_si256(from.add(at).cast()), mask), wanted);
                _mm256_movemask_epi8(_mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi16(equal(0), equal(16))))
            };
            found |= u64::from(here as u32) << (32 * half);
        }
        found
    }

    #[inline(always)]
    fn within(self, numbers: &[u32; 64], low: u32, span: u32) -> u64 {
        use core::arch::x86_64::{
            _mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_loadu_si256, _mm256_min_epu32, _mm256_movemask_ps, _mm256_set1_epi32,
            _mm256_sub_epi32,
        };
        let mut found = 0;
        for eight in 0..8 {
            // SAFETY: the processor has AVX2, or there were no `self`; eight loads of eight numbers each read the 64.
            let here = unsafe {
                let (low, span) = (_mm256_set1_epi32(low as i32), _mm256_set1_epi32(span as i32));
                let above = _mm256_sub_epi32(_mm256_loadu_si256(numbers.as_ptr().add(8 * eight).cast()), low);
                _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_min_epu32(above, span), above)))
            };
            found |= u64::from(here as u8) << (8 * eight);
        }
        found
    }

    #[inline(always)]
    fn at_least(self, bytes: &[u8; 64], least: u8) -> u64 {
        use core::arch::x86_64::{_mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_max_epu8, _mm256_movemask_epi8, _mm256_set1_epi8};
        // SAFETY: the processor has AVX2, or there were no `self`; two loads of 32 bytes each read the 64.
        let (low, high) = unsafe {
            let (least, from) = (_mm256_set1_epi8(least as i8), bytes.as_ptr());
            let above = |have| _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(have, least), have));
            (above(_mm256_loadu_si256(from.cast())), above(_mm256_loadu_si256(from.add(32).cast())))
        };
        u64::from(high as u32) << 32 | u64::from(low as u32)
    }

    #[inline(always)]
    fn equal_words(self, words: &[u64; 8], wanted: u64) -> u32 {
        self.equal_long(words, wanted)
    }
}

#[cfg(test)]
mod tests;
