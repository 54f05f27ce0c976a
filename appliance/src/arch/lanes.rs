//! A few short numbers beside each other, asked at once, and work that is compiled for what the processor has. The scalar
//! forms are the definition.
#![allow(unsafe_code, reason = "lanes are loaded through pointers, and functions are compiled for more than every processor has")]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "lanes have no sign")]

use std::sync::atomic::{AtomicU8, Ordering};

/// What a processor can ask of numbers that stand beside each other.
pub trait Lanes: Copy {
    /// Which of twelve numbers are `wanted`: one bit each.
    fn equal(self, numbers: &[u32; 12], wanted: u32) -> u32;

    /// Which of twelve numbers are the same as the others: one bit each.
    fn same(self, numbers: &[u32; 12], others: &[u32; 12]) -> u32;

    /// Which of eight long numbers are `wanted`: one bit each.
    fn equal_long(self, numbers: &[u64; 8], wanted: u64) -> u32;

    /// The first place of the smallest among the first `n` bytes, of which there is at least one, and that byte.
    fn least(self, bytes: &[u8; 16], n: usize) -> (usize, u8);

    /// Which numbers have any of these bits: one bit each.
    fn any_bits(self, numbers: &[u16; 64], bits: u16) -> u64;

    /// Which bytes are `wanted`: one bit each.
    fn equal_bytes(self, bytes: &[u8; 64], wanted: u8) -> u64;

    /// Which bytes are not zero: one bit each.
    fn nonzero_bytes(self, bytes: &[u8; 64]) -> u64;

    /// Which numbers are not zero: one bit each.
    fn nonzero(self, numbers: &[u32; 64]) -> u64;

    /// The sum of those numbers that have a bit.
    fn sum(self, numbers: &[u32; 64], which: u64) -> u64;
}

/// A loop that is compiled once for each kind of processor. All that it calls is to be inlined: what is not, is compiled for
/// every processor.
pub trait Work {
    /// What comes of it.
    type Out;

    /// Does it.
    fn run<L: Lanes>(self, lanes: L) -> Self::Out;
}

/// What every processor of the kind has.
#[derive(Clone, Copy, Debug)]
pub struct Usual;

/// AVX2, and what came with it: there is one of these only where the processor has it.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

/// Does `work` by what the processor has, which is found out once.
#[inline]
pub fn run<W: Work>(work: W) -> W::Out {
    #[cfg(test)]
    if USUAL.get() {
        return work.run(Usual);
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(lanes) = Avx2::here() {
        // SAFETY: `lanes` says that the processor has what the function is compiled for.
        return unsafe { run_avx2(work, lanes) };
    }
    work.run(Usual)
}

#[cfg(test)]
thread_local! {
    static USUAL: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Of tests: whether all is done as a processor would that has nothing unusual.
#[cfg(test)]
pub(super) fn is_usual() -> bool {
    USUAL.get()
}

/// Of tests: does it as a processor would that has nothing unusual.
#[cfg(test)]
pub(crate) fn as_usual<T>(work: impl FnOnce() -> T) -> T {
    USUAL.set(true);
    let done = work();
    USUAL.set(false);
    done
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx2<W: Work>(work: W, lanes: Avx2) -> W::Out {
    work.run(lanes)
}

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    /// If the processor has it.
    #[inline]
    pub fn here() -> Option<Self> {
        static HERE: AtomicU8 = AtomicU8::new(UNKNOWN);
        const UNKNOWN: u8 = 2;
        #[cold]
        fn find_out() -> u8 {
            let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2");
            let here = u8::from(has && is_x86_feature_detected!("lzcnt") && is_x86_feature_detected!("popcnt"));
            HERE.store(here, Ordering::Relaxed);
            here
        }
        let here = HERE.load(Ordering::Relaxed);
        let here = if here == UNKNOWN { find_out() } else { here };
        (here == 1).then_some(Self(()))
    }
}

#[cfg(target_arch = "x86_64")]
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

/// See [`Lanes::nonzero_bytes`].
pub fn nonzero_bytes(bytes: &[u8; 64]) -> u64 {
    struct Nonzero<'a>(&'a [u8; 64]);
    impl Work for Nonzero<'_> {
        type Out = u64;

        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> u64 {
            lanes.nonzero_bytes(self.0)
        }
    }
    run(Nonzero(bytes))
}

/// See [`Lanes::nonzero`].
pub fn nonzero(numbers: &[u32; 64]) -> u64 {
    struct Nonzero<'a>(&'a [u32; 64]);
    impl Work for Nonzero<'_> {
        type Out = u64;

        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> u64 {
            lanes.nonzero(self.0)
        }
    }
    run(Nonzero(numbers))
}

/// See [`Lanes::sum`].
pub fn sum(numbers: &[u32; 64], which: u64) -> u64 {
    struct Sum<'a>(&'a [u32; 64], u64);
    impl Work for Sum<'_> {
        type Out = u64;

        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> u64 {
            lanes.sum(self.0, self.1)
        }
    }
    run(Sum(numbers, which))
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
#[path = "lanes_tests.rs"]
mod tests;
