//! By AVX-512 with bytes, words and shorter vectors: comparisons leave a bit each.
#![allow(unsafe_code, reason = "lanes are loaded through pointers")]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "lanes have no sign")]

use std::sync::OnceLock;

use super::avx2::Avx2;
use super::{Lanes, Pieces};

/// AVX-512 with numbers of 8 to 64 bits, shorter vectors and counting of leading zeros: there is one of these only where the
/// processor has it.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(Avx2);

/// The first twelve.
const TWELVE: u16 = (1 << 12) - 1;

impl Avx512 {
    /// If the processor has it.
    #[inline]
    pub fn here() -> Option<Self> {
        static HERE: OnceLock<Option<Avx512>> = OnceLock::new();
        *HERE.get_or_init(|| {
            let has = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
            let has = has && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl");
            Avx2::here().filter(|_| has && is_x86_feature_detected!("avx512cd")).map(Self)
        })
    }

    /// See [`Lanes::equal_each`].
    #[inline(always)]
    fn equal_of(self, pieces: &Pieces<'_>, row: usize, wanted: u32) -> u16 {
        use core::arch::x86_64::{_mm512_loadu_si512, _mm512_mask_cmpeq_epi32_mask, _mm512_set1_epi32};
        assert!(pieces.len() >= 8);
        // SAFETY: the processor has AVX-512, or there were no `self`; a piece has eight words.
        unsafe {
            let have = _mm512_loadu_si512(pieces.head(row).cast());
            _mm512_mask_cmpeq_epi32_mask(TWELVE, have, _mm512_set1_epi32(wanted as i32))
        }
    }
}

impl Lanes for Avx512 {
    #[inline(always)]
    fn equal(self, numbers: &[u32; 12], wanted: u32) -> u32 {
        use core::arch::x86_64::{_mm512_mask_cmpeq_epi32_mask, _mm512_maskz_loadu_epi32, _mm512_set1_epi32};
        // SAFETY: the processor has AVX-512, or there were no `self`; the mask leaves the twelve to be read.
        unsafe {
            let have = _mm512_maskz_loadu_epi32(TWELVE, numbers.as_ptr().cast());
            u32::from(_mm512_mask_cmpeq_epi32_mask(TWELVE, have, _mm512_set1_epi32(wanted as i32)))
        }
    }

    #[inline(always)]
    fn equal_each(self, pieces: &mut Pieces<'_>, rows: u64, wanted: &[u32; 64], equal: &mut [u16; 64]) {
        if rows == u64::MAX {
            // Nearly always: nothing is to be found out of which.
            for at in 0..64 {
                equal[at] = self.equal_of(pieces, at, wanted[at]);
            }
            return;
        }
        let mut left = rows;
        while left != 0 {
            let at = left.trailing_zeros() as usize % 64;
            equal[at] = self.equal_of(pieces, at, wanted[at]);
            left &= left - 1;
        }
    }

    #[inline(always)]
    fn same(self, numbers: &[u32; 12], others: &[u32; 12]) -> u32 {
        use core::arch::x86_64::{_mm512_mask_cmpeq_epi32_mask, _mm512_maskz_loadu_epi32};
        // SAFETY: the processor has AVX-512, or there were no `self`; the mask leaves twelve of each to be read.
        unsafe {
            let have = _mm512_maskz_loadu_epi32(TWELVE, numbers.as_ptr().cast());
            let others = _mm512_maskz_loadu_epi32(TWELVE, others.as_ptr().cast());
            u32::from(_mm512_mask_cmpeq_epi32_mask(TWELVE, have, others))
        }
    }

    #[inline(always)]
    fn equal_long(self, numbers: &[u64; 8], wanted: u64) -> u32 {
        use core::arch::x86_64::{_mm512_cmpeq_epi64_mask, _mm512_loadu_si512, _mm512_set1_epi64};
        // SAFETY: the processor has AVX-512, or there were no `self`; the load reads the eight.
        unsafe {
            let have = _mm512_loadu_si512(numbers.as_ptr().cast());
            u32::from(_mm512_cmpeq_epi64_mask(have, _mm512_set1_epi64(wanted as i64)))
        }
    }

    #[inline(always)]
    fn least(self, bytes: &[u8; 16], n: usize) -> (usize, u8) {
        self.0.least(bytes, n)
    }

    #[inline(always)]
    fn any_bits(self, numbers: &[u16; 64], bits: u16) -> u64 {
        use core::arch::x86_64::{_mm512_loadu_si512, _mm512_set1_epi16, _mm512_test_epi16_mask};
        // SAFETY: the processor has AVX-512, or there were no `self`; two loads of 32 numbers each read the 64.
        unsafe {
            let (from, wanted) = (numbers.as_ptr(), _mm512_set1_epi16(bits as i16));
            let any = |at: usize| _mm512_test_epi16_mask(_mm512_loadu_si512(from.add(at).cast()), wanted);
            u64::from(any(32)) << 32 | u64::from(any(0))
        }
    }

    #[inline(always)]
    fn below(self, numbers: &[u32; 64], bounds: &[u32; 64]) -> u64 {
        use core::arch::x86_64::{_mm512_cmplt_epu32_mask, _mm512_loadu_si512};
        let mut mask = 0;
        for part in 0..4 {
            // SAFETY: the processor has AVX-512, or there were no `self`; four loads of sixteen numbers each read the 64 of both.
            let below = unsafe {
                let (numbers, bounds) = (numbers.as_ptr().add(16 * part), bounds.as_ptr().add(16 * part));
                _mm512_cmplt_epu32_mask(_mm512_loadu_si512(numbers.cast()), _mm512_loadu_si512(bounds.cast()))
            };
            mask |= u64::from(below) << (16 * part);
        }
        mask
    }

    #[inline(always)]
    fn equal_bytes(self, bytes: &[u8; 64], wanted: u8) -> u64 {
        use core::arch::x86_64::{_mm512_cmpeq_epi8_mask, _mm512_loadu_si512, _mm512_set1_epi8};
        // SAFETY: the processor has AVX-512, or there were no `self`; the load reads the 64.
        unsafe { _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(bytes.as_ptr().cast()), _mm512_set1_epi8(wanted as i8)) }
    }

    #[inline(always)]
    fn nonzero_bytes(self, bytes: &[u8; 64]) -> u64 {
        use core::arch::x86_64::{_mm512_loadu_si512, _mm512_test_epi8_mask};
        // SAFETY: the processor has AVX-512, or there were no `self`; the load reads the 64.
        unsafe {
            let have = _mm512_loadu_si512(bytes.as_ptr().cast());
            _mm512_test_epi8_mask(have, have)
        }
    }

    #[inline(always)]
    fn nonzero(self, numbers: &[u32; 64]) -> u64 {
        use core::arch::x86_64::{_mm512_loadu_si512, _mm512_test_epi32_mask};
        let mut mask = 0;
        for part in 0..4 {
            // SAFETY: the processor has AVX-512, or there were no `self`; four loads of sixteen numbers each read the 64.
            let some = unsafe {
                let have = _mm512_loadu_si512(numbers.as_ptr().add(16 * part).cast());
                _mm512_test_epi32_mask(have, have)
            };
            mask |= u64::from(some) << (16 * part);
        }
        mask
    }

    #[inline(always)]
    fn sum(self, numbers: &[u32; 64], which: u64) -> u64 {
        use core::arch::x86_64::{
            _mm256_maskz_loadu_epi32, _mm512_add_epi64, _mm512_cvtepu32_epi64, _mm512_reduce_add_epi64, _mm512_setzero_si512,
        };
        // SAFETY: the processor has AVX-512, or there were no `self`; eight loads of eight numbers each read the 64.
        unsafe {
            let mut all = _mm512_setzero_si512();
            for eight in 0..8 {
                let have = _mm256_maskz_loadu_epi32((which >> (8 * eight)) as u8, numbers.as_ptr().add(8 * eight).cast());
                all = _mm512_add_epi64(all, _mm512_cvtepu32_epi64(have));
            }
            _mm512_reduce_add_epi64(all) as u64
        }
    }
}
