//! AVX-512: a column of 64 short numbers is two vectors, of words eight.

use core::arch::x86_64::__m512i;

use super::{Columns, enter};
use crate::arch::hash::Seeds;
use crate::arch::lanes::Avx512;

impl Columns for Avx512 {
    #[inline(always)]
    fn matching(self, numbers: &[u16; 64], mask: u16, wanted: u16) -> u64 {
        use core::arch::x86_64::{_mm512_and_si512, _mm512_cmpeq_epi16_mask, _mm512_loadu_si512, _mm512_set1_epi16};
        // SAFETY: the processor has AVX-512 BW, or there were no `self`; two loads of 32 numbers each read the 64.
        let (low, high) = unsafe {
            let (mask, wanted, from) = (_mm512_set1_epi16(mask as i16), _mm512_set1_epi16(wanted as i16), numbers.as_ptr());
            let equal = |at: usize| _mm512_cmpeq_epi16_mask(_mm512_and_si512(_mm512_loadu_si512(from.add(at).cast()), mask), wanted);
            (equal(0), equal(32))
        };
        u64::from(high) << 32 | u64::from(low)
    }

    #[inline(always)]
    fn within(self, numbers: &[u32; 64], low: u32, span: u32) -> u64 {
        use core::arch::x86_64::{_mm512_cmple_epu32_mask, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_sub_epi32};
        let mut found = 0;
        for sixteen in 0..4 {
            // SAFETY: the processor has AVX-512, or there were no `self`; four loads of sixteen numbers each read the 64.
            let here = unsafe {
                let above = _mm512_sub_epi32(_mm512_loadu_si512(numbers.as_ptr().add(16 * sixteen).cast()), _mm512_set1_epi32(low as i32));
                _mm512_cmple_epu32_mask(above, _mm512_set1_epi32(span as i32))
            };
            found |= u64::from(here) << (16 * sixteen);
        }
        found
    }

    #[inline(always)]
    fn at_least(self, bytes: &[u8; 64], least: u8) -> u64 {
        use core::arch::x86_64::{_mm512_cmpge_epu8_mask, _mm512_loadu_si512, _mm512_set1_epi8};
        // SAFETY: the processor has AVX-512 BW, or there were no `self`; the load reads the 64 bytes.
        unsafe { _mm512_cmpge_epu8_mask(_mm512_loadu_si512(bytes.as_ptr().cast()), _mm512_set1_epi8(least as i8)) }
    }

    #[inline(always)]
    fn hash_heads(self, seeds: &Seeds, heads: &[u32; 64], count: usize, hashes: &mut [u64; 64]) {
        use core::arch::x86_64::{
            _mm_setr_epi8, _mm256_broadcastsi128_si256, _mm256_loadu_si256, _mm256_shuffle_epi8, _mm512_cvtepu32_epi64, _mm512_set1_epi64,
            _mm512_storeu_si512, _mm512_xor_si512,
        };
        for eight in 0..count.min(64).div_ceil(8) {
            // SAFETY: the processor has AVX-512, or there were no `self`; of the 64 numbers the load reads those of one eight, and
            // the store writes as many hashes.
            unsafe {
                let swap = _mm256_broadcastsi128_si256(_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
                let keys = _mm256_shuffle_epi8(_mm256_loadu_si256(heads.as_ptr().add(8 * eight).cast()), swap);
                let first = _mm512_xor_si512(_mm512_cvtepu32_epi64(keys), _mm512_set1_epi64(seeds.first as i64));
                let mixed = _mm512_xor_si512(fold(first, _mm512_set1_epi64(seeds.rest as i64)), _mm512_set1_epi64(seeds.between as i64));
                _mm512_storeu_si512(hashes.as_mut_ptr().add(8 * eight).cast(), fold(mixed, _mm512_set1_epi64(seeds.last as i64)));
            }
        }
    }

    #[inline(always)]
    fn hash_pairs(self, seeds: &Seeds, (first, rest): (&[u64; 64], &[u64; 64]), count: usize, hashes: &mut [u64; 64]) {
        use core::arch::x86_64::{_mm512_loadu_si512, _mm512_set1_epi64, _mm512_storeu_si512, _mm512_xor_si512};
        for eight in 0..count.min(64).div_ceil(8) {
            // SAFETY: as above.
            unsafe {
                let first = _mm512_loadu_si512(first.as_ptr().add(8 * eight).cast());
                let rest = _mm512_loadu_si512(rest.as_ptr().add(8 * eight).cast());
                let first = _mm512_xor_si512(first, _mm512_set1_epi64(seeds.first as i64));
                let mixed = fold(first, _mm512_xor_si512(rest, _mm512_set1_epi64(seeds.rest as i64)));
                let mixed = _mm512_xor_si512(mixed, _mm512_set1_epi64(seeds.between as i64));
                _mm512_storeu_si512(hashes.as_mut_ptr().add(8 * eight).cast(), fold(mixed, _mm512_set1_epi64(seeds.last as i64)));
            }
        }
    }

    /// Most hashes of a sketch that has seen many raise no register: eight are compared at once, and only those that do are entered.
    #[inline(always)]
    fn enter_all(self, registers: &mut [u8], precision: u32, hashes: &[u64; 64], which: u64) {
        let mut left = 0;
        for (eight, hashes) in hashes.as_chunks::<8>().0.iter().enumerate() {
            let here = (which >> (8 * eight)) as u8;
            if here != 0 {
                left |= u64::from(self.raising(registers, precision, hashes, here)) << (8 * eight);
            }
        }
        while left != 0 {
            enter(registers, precision, hashes[left.trailing_zeros() as usize % 64].max(1));
            left &= left - 1;
        }
    }
}

/// Both halves of eight products of 128 bits, out of four of 64 bits each.
#[inline]
#[target_feature(enable = "avx512f")]
fn fold(a: __m512i, b: __m512i) -> __m512i {
    use core::arch::x86_64::{
        _mm512_add_epi64, _mm512_and_si512, _mm512_mask_blend_epi32, _mm512_mul_epu32, _mm512_set1_epi64, _mm512_slli_epi64,
        _mm512_srli_epi64, _mm512_xor_si512,
    };
    let low = _mm512_set1_epi64(0xFFFF_FFFF);
    let (a_high, b_high) = (_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
    let lowest = _mm512_mul_epu32(a, b);
    let one = _mm512_add_epi64(_mm512_mul_epu32(a, b_high), _mm512_srli_epi64::<32>(lowest));
    let other = _mm512_add_epi64(_mm512_mul_epu32(a_high, b), _mm512_and_si512(one, low));
    let highest = _mm512_add_epi64(_mm512_mul_epu32(a_high, b_high), _mm512_srli_epi64::<32>(one));
    let upper = _mm512_add_epi64(highest, _mm512_srli_epi64::<32>(other));
    let lower = _mm512_mask_blend_epi32(0xAAAA, lowest, _mm512_slli_epi64::<32>(other));
    _mm512_xor_si512(lower, upper)
}

impl Avx512 {
    /// Those of eight hashes among `which` that are above their registers now.
    #[inline(always)]
    fn raising(self, registers: &[u8], precision: u32, hashes: &[u64; 8], which: u8) -> u8 {
        use core::arch::x86_64::{
            _mm_cvtsi32_si128, _mm256_and_si256, _mm256_mask_cmpge_epu32_mask, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_slli_epi32,
            _mm256_srlv_epi32, _mm512_cvtepi64_epi32, _mm512_loadu_si512, _mm512_lzcnt_epi64, _mm512_mask_i64gather_epi32, _mm512_or_si512,
            _mm512_set1_epi64, _mm512_sll_epi64, _mm512_srl_epi64, _mm512_srli_epi64,
        };
        if !(2..=32).contains(&precision) || registers.len() < 1 << precision {
            return which;
        }
        // SAFETY: the processor has AVX-512 with what is used here, or there were no `self`; the load reads the eight hashes. An
        // index is below 2^precision, so the four registers that one is gathered with, from a multiple of four on, are among
        // the registers.
        unsafe {
            let hashes = _mm512_loadu_si512(hashes.as_ptr().cast());
            let index = _mm512_srl_epi64(hashes, _mm_cvtsi32_si128(64 - precision as i32));
            let fours =
                _mm512_mask_i64gather_epi32::<4>(_mm256_setzero_si256(), which, _mm512_srli_epi64::<2>(index), registers.as_ptr().cast());
            let shift = _mm256_slli_epi32::<3>(_mm256_and_si256(_mm512_cvtepi64_epi32(index), _mm256_set1_epi32(3)));
            let have = _mm256_and_si256(_mm256_srlv_epi32(fours, shift), _mm256_set1_epi32(0xFF));
            let rest = _mm512_sll_epi64(hashes, _mm_cvtsi32_si128(precision as i32));
            let zeros = _mm512_lzcnt_epi64(_mm512_or_si512(rest, _mm512_set1_epi64(1 << (precision - 1))));
            // A rank is one more than the zeros: above the register if those are not below it.
            _mm256_mask_cmpge_epu32_mask(which, _mm512_cvtepi64_epi32(zeros), have)
        }
    }
}
