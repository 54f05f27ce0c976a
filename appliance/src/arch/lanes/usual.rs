//! By what every processor of the kind has; and the scalar forms, which are the definition.
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "lanes have no sign")]

use super::{Lanes, Pieces};

/// What every processor of the kind has.
#[derive(Clone, Copy, Debug)]
pub struct Usual;

impl Lanes for Usual {
    #[inline(always)]
    fn equal(self, numbers: &[u32; 12], wanted: u32) -> u32 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every x86-64 processor has SSE2; three loads of four numbers each read the twelve.
        unsafe {
            use core::arch::x86_64::{
                _mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi32,
            };
            let wanted = _mm_set1_epi32(wanted as i32);
            let four = |at: usize| _mm_cmpeq_epi32(_mm_loadu_si128(numbers.as_ptr().add(at).cast()), wanted);
            let (a, b, c) = (four(0), four(4), four(8));
            let bytes = _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, c));
            _mm_movemask_epi8(bytes) as u32 & 0xFFF
        }
        #[cfg(not(target_arch = "x86_64"))]
        equal_scalar(numbers, wanted)
    }

    #[inline(always)]
    fn equal_each(self, pieces: &mut Pieces<'_>, rows: u64, wanted: &[u32; 64], equal: &mut [u16; 64]) {
        let mut left = rows;
        while left != 0 {
            let at = left.trailing_zeros() as usize % 64;
            let numbers: &[u32] = bytemuck::cast_slice(&pieces.of(at)[..8]);
            equal[at] = numbers.first_chunk().map_or(0, |numbers| self.equal(numbers, wanted[at]) as u16);
            left &= left - 1;
        }
    }

    #[inline(always)]
    fn least(self, bytes: &[u8; 16], n: usize) -> (usize, u8) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every x86-64 processor has SSE2; the load reads the sixteen bytes.
        let place = unsafe {
            use core::arch::x86_64::{
                _mm_cmplt_epi8, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_min_epi16, _mm_or_si128, _mm_set1_epi8, _mm_setr_epi8,
                _mm_srli_si128, _mm_unpackhi_epi8, _mm_unpacklo_epi8, _mm_xor_si128,
            };
            let places = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let behind = _mm_cmplt_epi8(_mm_set1_epi8(n.min(16) as i8 - 1), places);
            // Those behind are the largest; then all are biased, because the lanes are compared as signed.
            let have = _mm_or_si128(_mm_loadu_si128(bytes.as_ptr().cast()), behind);
            let have = _mm_xor_si128(have, _mm_set1_epi8(i8::MIN));
            let pairs = _mm_min_epi16(_mm_unpacklo_epi8(places, have), _mm_unpackhi_epi8(places, have));
            let pairs = _mm_min_epi16(pairs, _mm_srli_si128::<8>(pairs));
            let pairs = _mm_min_epi16(pairs, _mm_srli_si128::<4>(pairs));
            let pairs = _mm_min_epi16(pairs, _mm_srli_si128::<2>(pairs));
            (_mm_cvtsi128_si32(pairs) & 0xF) as usize
        };
        #[cfg(not(target_arch = "x86_64"))]
        let place = least_scalar(bytes, n);
        (place, bytes[place])
    }

    #[inline(always)]
    fn same(self, numbers: &[u32; 12], others: &[u32; 12]) -> u32 {
        numbers.iter().zip(others).enumerate().fold(0, |mask, (i, (one, other))| mask | u32::from(one == other) << i)
    }

    #[inline(always)]
    fn equal_long(self, numbers: &[u64; 8], wanted: u64) -> u32 {
        numbers.iter().enumerate().fold(0, |mask, (i, number)| mask | u32::from(*number == wanted) << i)
    }

    #[inline(always)]
    fn any_bits(self, numbers: &[u16; 64], bits: u16) -> u64 {
        numbers.iter().enumerate().fold(0, |mask, (i, number)| mask | u64::from(number & bits != 0) << i)
    }

    #[inline(always)]
    fn below(self, numbers: &[u32; 64], bounds: &[u32; 64]) -> u64 {
        numbers.iter().zip(bounds).enumerate().fold(0, |mask, (i, (number, bound))| mask | u64::from(number < bound) << i)
    }

    #[inline(always)]
    fn equal_bytes(self, bytes: &[u8; 64], wanted: u8) -> u64 {
        bytes.iter().enumerate().fold(0, |mask, (i, byte)| mask | u64::from(*byte == wanted) << i)
    }

    #[inline(always)]
    fn nonzero_bytes(self, bytes: &[u8; 64]) -> u64 {
        bytes.iter().enumerate().fold(0, |mask, (i, byte)| mask | u64::from(*byte != 0) << i)
    }

    #[inline(always)]
    fn nonzero(self, numbers: &[u32; 64]) -> u64 {
        numbers.iter().enumerate().fold(0, |mask, (i, number)| mask | u64::from(*number != 0) << i)
    }

    #[inline(always)]
    fn sum(self, numbers: &[u32; 64], which: u64) -> u64 {
        numbers.iter().enumerate().map(|(i, number)| u64::from(*number) * (which >> i & 1)).sum()
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
pub(super) fn equal_scalar(numbers: &[u32; 12], wanted: u32) -> u32 {
    numbers.iter().enumerate().fold(0, |same, (i, have)| same | u32::from(*have == wanted) << i)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
pub(super) fn least_scalar(bytes: &[u8; 16], n: usize) -> usize {
    bytes[..n.min(16)].iter().enumerate().min_by_key(|(_, byte)| **byte).map_or(0, |(i, _)| i)
}
