//! A few short numbers beside each other, asked at once. The scalar forms are the definition.
#![allow(unsafe_code, reason = "lanes are loaded through pointers")]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "lanes have no sign")]

/// Which of twelve numbers are `wanted`: one bit each.
#[inline]
pub fn equal(numbers: &[u32; 12], wanted: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has SSE2; three loads of four numbers each read the twelve.
    unsafe {
        use core::arch::x86_64::{_mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi32};
        let wanted = _mm_set1_epi32(wanted as i32);
        let four = |at: usize| _mm_cmpeq_epi32(_mm_loadu_si128(numbers.as_ptr().add(at).cast()), wanted);
        let (a, b, c) = (four(0), four(4), four(8));
        let bytes = _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, c));
        _mm_movemask_epi8(bytes) as u32 & 0xFFF
    }
    #[cfg(not(target_arch = "x86_64"))]
    equal_scalar(numbers, wanted)
}

/// The first place of the smallest among the first `n` bytes, of which there is at least one.
#[inline]
pub fn least(bytes: &[u8; 16], n: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has SSE2; the load reads the sixteen bytes.
    unsafe {
        use core::arch::x86_64::{
            _mm_cmplt_epi8, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_min_epi16, _mm_or_si128, _mm_set1_epi8, _mm_setr_epi8, _mm_srli_si128,
            _mm_unpackhi_epi8, _mm_unpacklo_epi8, _mm_xor_si128,
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
    }
    #[cfg(not(target_arch = "x86_64"))]
    least_scalar(bytes, n)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn equal_scalar(numbers: &[u32; 12], wanted: u32) -> u32 {
    numbers.iter().enumerate().fold(0, |same, (i, have)| same | u32::from(*have == wanted) << i)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn least_scalar(bytes: &[u8; 16], n: usize) -> usize {
    bytes[..n.min(16)].iter().enumerate().min_by_key(|(_, byte)| **byte).map_or(0, |(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::hash::spread;

    #[test]
    fn lanes_say_what_the_scalar_forms_say() {
        // Miri takes a thousand times as long, and looks at what is read rather than at what comes out.
        let rounds = if cfg!(miri) { 40 } else { 20_000 };
        for round in 0..rounds {
            let of = |i: usize| spread(round * 64 + i as u64);
            let few = 1 << (round % 9);
            let numbers: [u32; 12] = std::array::from_fn(|i| (of(i) % few) as u32 | u32::from(round % 2 == 0) << 31);
            let bytes: [u8; 16] = std::array::from_fn(|i| 255 - (of(i + 12) % few) as u8);
            assert_eq!(equal(&numbers, numbers[3]), equal_scalar(&numbers, numbers[3]));
            assert_eq!(equal(&numbers, 77), equal_scalar(&numbers, 77));
            for n in 1..=16 {
                assert_eq!(least(&bytes, n), least_scalar(&bytes, n), "{n} of {bytes:?}");
            }
        }
    }
}
