//! AVX2: four words a step, eight numbers, 32 bytes.

use core::arch::x86_64::__m256i;

use super::Columns;
use crate::arch::hash::Seeds;
use crate::arch::lanes::Avx2;

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
                let (mask, wanted, from) =
                    (_mm256_set1_epi16(mask as i16), _mm256_set1_epi16(wanted as i16), numbers.as_ptr().add(32 * half));
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
    fn hash_heads(self, seeds: &Seeds, heads: &[u32; 64], count: usize, hashes: &mut [u64; 64]) {
        use core::arch::x86_64::{
            _mm_loadu_si128, _mm_setr_epi8, _mm_shuffle_epi8, _mm256_cvtepu32_epi64, _mm256_set1_epi64x, _mm256_storeu_si256,
            _mm256_xor_si256,
        };
        for four in 0..count.min(64).div_ceil(4) {
            // SAFETY: the processor has AVX2, or there were no `self`; of the 64 numbers the load reads those of one four, and the
            // store writes as many hashes.
            unsafe {
                let swap = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
                let keys = _mm_shuffle_epi8(_mm_loadu_si128(heads.as_ptr().add(4 * four).cast()), swap);
                let first = _mm256_xor_si256(_mm256_cvtepu32_epi64(keys), _mm256_set1_epi64x(seeds.first as i64));
                let mixed = fold(first, _mm256_set1_epi64x(seeds.rest as i64));
                let mixed = _mm256_xor_si256(mixed, _mm256_set1_epi64x(seeds.between as i64));
                _mm256_storeu_si256(hashes.as_mut_ptr().add(4 * four).cast(), fold(mixed, _mm256_set1_epi64x(seeds.last as i64)));
            }
        }
    }

    #[inline(always)]
    fn hash_pairs(self, seeds: &Seeds, (first, rest): (&[u64; 64], &[u64; 64]), count: usize, hashes: &mut [u64; 64]) {
        use core::arch::x86_64::{_mm256_loadu_si256, _mm256_set1_epi64x, _mm256_storeu_si256, _mm256_xor_si256};
        for four in 0..count.min(64).div_ceil(4) {
            // SAFETY: as above.
            unsafe {
                let first = _mm256_loadu_si256(first.as_ptr().add(4 * four).cast());
                let rest = _mm256_loadu_si256(rest.as_ptr().add(4 * four).cast());
                let first = _mm256_xor_si256(first, _mm256_set1_epi64x(seeds.first as i64));
                let mixed = fold(first, _mm256_xor_si256(rest, _mm256_set1_epi64x(seeds.rest as i64)));
                let mixed = _mm256_xor_si256(mixed, _mm256_set1_epi64x(seeds.between as i64));
                _mm256_storeu_si256(hashes.as_mut_ptr().add(4 * four).cast(), fold(mixed, _mm256_set1_epi64x(seeds.last as i64)));
            }
        }
    }
}

/// Both halves of four products of 128 bits, out of four of 64 bits each.
#[inline]
#[target_feature(enable = "avx2")]
fn fold(a: __m256i, b: __m256i) -> __m256i {
    use core::arch::x86_64::{
        _mm256_add_epi64, _mm256_and_si256, _mm256_blend_epi32, _mm256_mul_epu32, _mm256_set1_epi64x, _mm256_slli_epi64, _mm256_srli_epi64,
        _mm256_xor_si256,
    };
    let low = _mm256_set1_epi64x(0xFFFF_FFFF);
    let (a_high, b_high) = (_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b));
    let lowest = _mm256_mul_epu32(a, b);
    let one = _mm256_add_epi64(_mm256_mul_epu32(a, b_high), _mm256_srli_epi64::<32>(lowest));
    let other = _mm256_add_epi64(_mm256_mul_epu32(a_high, b), _mm256_and_si256(one, low));
    let highest = _mm256_add_epi64(_mm256_mul_epu32(a_high, b_high), _mm256_srli_epi64::<32>(one));
    let upper = _mm256_add_epi64(highest, _mm256_srli_epi64::<32>(other));
    let lower = _mm256_blend_epi32::<0b1010_1010>(lowest, _mm256_slli_epi64::<32>(other));
    _mm256_xor_si256(lower, upper)
}
