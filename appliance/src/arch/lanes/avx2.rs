//! By AVX2, and what came with it.
#![allow(unsafe_code, reason = "lanes are loaded through pointers")]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "lanes have no sign")]

use std::sync::OnceLock;

use super::{Lanes, Pieces};

/// AVX2, and what came with it: there is one of these only where the processor has it.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// If the processor has it.
    #[inline]
    pub fn here() -> Option<Self> {
        static HERE: OnceLock<Option<Avx2>> = OnceLock::new();
        *HERE.get_or_init(|| {
            let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2");
            let has = has && is_x86_feature_detected!("lzcnt") && is_x86_feature_detected!("popcnt");
            has.then_some(Self(()))
        })
    }
}

impl Lanes for Avx2 {
    #[inline(always)]
    fn equal(self, numbers: &[u32; 12], wanted: u32) -> u32 {
        use core::arch::x86_64::{
            _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_ps, _mm_set1_epi32, _mm256_castsi256_ps, _mm256_cmpeq_epi32,
            _mm256_loadu_si256, _mm256_movemask_ps, _mm256_set1_epi32,
        };
        // SAFETY: the processor has AVX2, or there were no `self`; loads of eight and of four numbers read the twelve.
        unsafe {
            let eight = _mm256_cmpeq_epi32(_mm256_loadu_si256(numbers.as_ptr().cast()), _mm256_set1_epi32(wanted as i32));
            let four = _mm_cmpeq_epi32(_mm_loadu_si128(numbers.as_ptr().add(8).cast()), _mm_set1_epi32(wanted as i32));
            (_mm256_movemask_ps(_mm256_castsi256_ps(eight)) | _mm_movemask_ps(_mm_castsi128_ps(four)) << 8) as u32
        }
    }

    #[inline(always)]
    fn equal_each(self, pieces: &mut Pieces<'_>, rows: u64, wanted: &[u32; 64], equal: &mut [u16; 64]) {
        assert!(pieces.len() >= 8);
        let mut left = rows;
        while left != 0 {
            let at = left.trailing_zeros() as usize % 64;
            // SAFETY: a piece has eight words, and so twelve numbers.
            let numbers = unsafe { &*pieces.head(at).cast::<[u32; 12]>() };
            equal[at] = self.equal(numbers, wanted[at]) as u16;
            left &= left - 1;
        }
    }

    #[inline(always)]
    fn same(self, numbers: &[u32; 12], others: &[u32; 12]) -> u32 {
        use core::arch::x86_64::{
            _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_ps, _mm256_castsi256_ps, _mm256_cmpeq_epi32,
            _mm256_loadu_si256, _mm256_movemask_ps,
        };
        let (ours, theirs) = (numbers.as_ptr(), others.as_ptr());
        // SAFETY: the processor has AVX2, or there were no `self`; loads of eight and of four numbers read twelve of each.
        unsafe {
            let eight = _mm256_cmpeq_epi32(_mm256_loadu_si256(ours.cast()), _mm256_loadu_si256(theirs.cast()));
            let four = _mm_cmpeq_epi32(_mm_loadu_si128(ours.add(8).cast()), _mm_loadu_si128(theirs.add(8).cast()));
            (_mm256_movemask_ps(_mm256_castsi256_ps(eight)) | _mm_movemask_ps(_mm_castsi128_ps(four)) << 8) as u32
        }
    }

    #[inline(always)]
    fn equal_long(self, numbers: &[u64; 8], wanted: u64) -> u32 {
        use core::arch::x86_64::{_mm256_castsi256_pd, _mm256_cmpeq_epi64, _mm256_loadu_si256, _mm256_movemask_pd, _mm256_set1_epi64x};
        // SAFETY: the processor has AVX2, or there were no `self`; two loads of four numbers each read the eight.
        unsafe {
            let wanted = _mm256_set1_epi64x(wanted as i64);
            let low = _mm256_cmpeq_epi64(_mm256_loadu_si256(numbers.as_ptr().cast()), wanted);
            let high = _mm256_cmpeq_epi64(_mm256_loadu_si256(numbers.as_ptr().add(4).cast()), wanted);
            (_mm256_movemask_pd(_mm256_castsi256_pd(low)) | _mm256_movemask_pd(_mm256_castsi256_pd(high)) << 4) as u32
        }
    }

    #[inline(always)]
    fn least(self, bytes: &[u8; 16], n: usize) -> (usize, u8) {
        use core::arch::x86_64::{
            _mm_cmplt_epi8, _mm_cvtepu8_epi16, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_min_epu16, _mm_minpos_epu16, _mm_or_si128,
            _mm_set1_epi8, _mm_setr_epi8, _mm_setr_epi16, _mm_slli_epi16, _mm_srli_si128,
        };
        // SAFETY: the processor has AVX2 and so SSE4.1, or there were no `self`; the load reads the sixteen bytes.
        unsafe {
            let places = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let behind = _mm_cmplt_epi8(_mm_set1_epi8(n.min(16) as i8 - 1), places);
            let have = _mm_or_si128(_mm_loadu_si128(bytes.as_ptr().cast()), behind);
            // Each byte with its place below it: the smallest is the first of the smallest bytes.
            let (low, high) = (_mm_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7), _mm_setr_epi16(8, 9, 10, 11, 12, 13, 14, 15));
            let low = _mm_or_si128(_mm_slli_epi16::<4>(_mm_cvtepu8_epi16(have)), low);
            let high = _mm_or_si128(_mm_slli_epi16::<4>(_mm_cvtepu8_epi16(_mm_srli_si128::<8>(have))), high);
            let least = _mm_cvtsi128_si32(_mm_minpos_epu16(_mm_min_epu16(low, high))) as u32;
            ((least & 0xF) as usize, (least >> 4) as u8)
        }
    }

    #[inline(always)]
    fn any_bits(self, numbers: &[u16; 64], bits: u16) -> u64 {
        use core::arch::x86_64::{
            _mm256_and_si256, _mm256_cmpeq_epi16, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_packs_epi16, _mm256_permute4x64_epi64,
            _mm256_set1_epi16, _mm256_setzero_si256,
        };
        let mut mask = 0;
        for half in 0..2 {
            // SAFETY: the processor has AVX2, or there were no `self`; two loads of sixteen numbers each from 0 and from 32 on
            // read the 64.
            let none = unsafe {
                let (wanted, zero, from) = (_mm256_set1_epi16(bits as i16), _mm256_setzero_si256(), numbers.as_ptr().add(32 * half));
                let low = _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_loadu_si256(from.cast()), wanted), zero);
                let high = _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_loadu_si256(from.add(16).cast()), wanted), zero);
                _mm256_movemask_epi8(_mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi16(low, high)))
            };
            mask |= u64::from(!none as u32) << (32 * half);
        }
        mask
    }

    #[inline(always)]
    fn below(self, numbers: &[u32; 64], bounds: &[u32; 64]) -> u64 {
        use core::arch::x86_64::{_mm256_castsi256_ps, _mm256_cmpgt_epi32, _mm256_loadu_si256, _mm256_movemask_ps};
        let mut mask = 0;
        for eight in 0..8 {
            // SAFETY: the processor has AVX2, or there were no `self`; eight loads of eight numbers each read the 64 of both.
            let below = unsafe {
                let (numbers, bounds) = (numbers.as_ptr().add(8 * eight), bounds.as_ptr().add(8 * eight));
                let below = _mm256_cmpgt_epi32(_mm256_loadu_si256(bounds.cast()), _mm256_loadu_si256(numbers.cast()));
                _mm256_movemask_ps(_mm256_castsi256_ps(below))
            };
            mask |= u64::from(below as u8) << (8 * eight);
        }
        mask
    }

    #[inline(always)]
    fn equal_bytes(self, bytes: &[u8; 64], wanted: u8) -> u64 {
        use core::arch::x86_64::{_mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8};
        // SAFETY: the processor has AVX2, or there were no `self`; two loads of 32 bytes each read the 64.
        let (low, high) = unsafe {
            let (wanted, from) = (_mm256_set1_epi8(wanted as i8), bytes.as_ptr());
            let equal = |at: usize| _mm256_cmpeq_epi8(_mm256_loadu_si256(from.add(at).cast()), wanted);
            (_mm256_movemask_epi8(equal(0)), _mm256_movemask_epi8(equal(32)))
        };
        u64::from(high as u32) << 32 | u64::from(low as u32)
    }

    #[inline(always)]
    fn nonzero_bytes(self, bytes: &[u8; 64]) -> u64 {
        !self.equal_bytes(bytes, 0)
    }

    #[inline(always)]
    fn nonzero(self, numbers: &[u32; 64]) -> u64 {
        use core::arch::x86_64::{_mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_loadu_si256, _mm256_movemask_ps, _mm256_setzero_si256};
        let mut mask = 0;
        for eight in 0..8 {
            // SAFETY: the processor has AVX2, or there were no `self`; eight loads of eight numbers each read the 64.
            let zero = unsafe {
                let have = _mm256_loadu_si256(numbers.as_ptr().add(8 * eight).cast());
                _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(have, _mm256_setzero_si256())))
            };
            mask |= u64::from(!zero as u8) << (8 * eight);
        }
        mask
    }

    #[inline(always)]
    fn sum(self, numbers: &[u32; 64], which: u64) -> u64 {
        use core::arch::x86_64::{
            _mm256_add_epi64, _mm256_and_si256, _mm256_cmpeq_epi32, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_set1_epi64x,
            _mm256_setr_epi32, _mm256_setzero_si256, _mm256_srli_epi64, _mm256_storeu_si256,
        };
        let mut sums = [0_u64; 4];
        // SAFETY: the processor has AVX2, or there were no `self`; eight loads of eight numbers each read the 64, and the four
        // sums have room for what is stored.
        unsafe {
            let (bits, low) = (_mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128), _mm256_set1_epi64x(0xFFFF_FFFF));
            let mut all = _mm256_setzero_si256();
            for eight in 0..8 {
                let here = _mm256_and_si256(_mm256_set1_epi32((which >> (8 * eight)) as u8 as i32), bits);
                let have = _mm256_and_si256(_mm256_loadu_si256(numbers.as_ptr().add(8 * eight).cast()), _mm256_cmpeq_epi32(here, bits));
                all = _mm256_add_epi64(all, _mm256_add_epi64(_mm256_and_si256(have, low), _mm256_srli_epi64::<32>(have)));
            }
            _mm256_storeu_si256(sums.as_mut_ptr().cast(), all);
        }
        sums.iter().sum()
    }
}
