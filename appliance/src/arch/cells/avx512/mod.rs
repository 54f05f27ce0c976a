//! Bursts by AVX-512: sixteen IPv4 addresses, or eight of IPv6, ask the root at once. What units must tell waits until all
//! have asked, so that a burst's units are fetched together; then each is one comparison of all its keys.
//!
//! Vectors are read and written whole: later loads would wait for what is stored under a mask.
#![allow(unsafe_code, reason = "vectors are loaded through pointers")]
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "lanes have no sign")]

mod v4;
mod v6;

use core::arch::x86_64::*;

use super::format::{CODE_BITS, VALUE_BITS};
use super::{BURST_MAX, Class, Shape};

pub(super) use v4::v4;
pub(super) use v6::v6;

/// A vector is stored behind the last that waits.
const ROOM: usize = BURST_MAX + 16;
/// Units of one burst that are asked for first, if they are more: so few are under way together in any case.
const ASKED_MIN: usize = 16;
/// All bits of a code, and of a value.
const CODE: i32 = (1 << CODE_BITS) - 1;
const VALUE: i32 = (1 << VALUE_BITS) - 1;
/// Bits of an entry that are its first unit's place in bytes, when it stands three further right.
const FIRST: i32 = 0x0FFF_FFF0;

/// Addresses that ask a unit: their lanes, what keys are compared with, where units and their values begin, bytes from the
/// first word, and which keys a unit has.
#[repr(C, align(64))]
struct Waiting<P> {
    lane: [u32; ROOM],
    position: [P; ROOM],
    unit: [u32; ROOM],
    values: [u32; ROOM],
    keys: [u32; ROOM],
}

/// Looks whole vectors up: a burst that ends within one is copied. Whether any value is a link.
#[inline]
fn whole<A: Copy + Default>(addresses: &[A], values: &mut [u32], burst: impl Fn(&[A], &mut [u32]) -> bool) -> bool {
    let count = addresses.len().min(values.len()).min(BURST_MAX);
    if count.is_multiple_of(16) {
        return burst(&addresses[..count], &mut values[..count]);
    }
    let (mut all, mut found, whole) = ([A::default(); BURST_MAX], [0; BURST_MAX], count.next_multiple_of(16));
    all[..count].copy_from_slice(&addresses[..count]);
    let linked = burst(&all[..whole], &mut found[..whole]);
    values[..count].copy_from_slice(&found[..count]);
    linked
}

/// Words at eight places, of so many bytes each. A gather would be the same, but some processors take it apart into more
/// than these loads.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn pick<const SCALE: usize>(bytes: *const u8, at: __m256i) -> __m256i {
    let four = |at: __m128i| {
        let (low, high) = (_mm_cvtsi128_si64(at) as u64, _mm_extract_epi64::<1>(at) as u64);
        // SAFETY: the caller has words at all places.
        let word = |at: u64| unsafe { bytes.add(SCALE * at as usize).cast::<i32>().read_unaligned() };
        let one = _mm_cvtsi32_si128(word(low & 0xFFFF_FFFF));
        let two = _mm_insert_epi32::<1>(one, word(low >> 32));
        _mm_insert_epi32::<3>(_mm_insert_epi32::<2>(two, word(high & 0xFFFF_FFFF)), word(high >> 32))
    };
    _mm256_set_m128i(four(_mm256_extracti128_si256::<1>(at)), four(_mm256_castsi256_si128(at)))
}

/// The same at sixteen.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn pick_all<const SCALE: usize>(bytes: *const u8, at: __m512i) -> __m512i {
    // SAFETY: the caller has words at all places.
    let (low, high) =
        unsafe { (pick::<SCALE>(bytes, _mm512_castsi512_si256(at)), pick::<SCALE>(bytes, _mm512_extracti64x4_epi64::<1>(at))) };
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

/// Of entries and what is asked in them: the values, and those that lead to units.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn decoded(entry: __m512i, asked: __m512i) -> (__m512i, u16) {
    let code = _mm512_srli_epi32::<VALUE_BITS>(entry);
    let below = _mm512_xor_si512(code, _mm512_sub_epi32(code, _mm512_set1_epi32(1)));
    let differ = _mm512_andnot_si512(below, _mm512_xor_si512(code, asked));
    let same = _mm512_testn_epi32_mask(differ, _mm512_set1_epi32(CODE));
    (_mm512_maskz_and_epi32(same, entry, _mm512_set1_epi32(VALUE)), _mm512_cmplt_epi32_mask(entry, _mm512_setzero_si512()))
}

/// By class, as often as a vector has room.
#[inline]
#[target_feature(enable = "avx512f")]
fn by_class(of: impl Fn(Class) -> u32, classes: [Class; 4]) -> __m512i {
    let [a, b, c, d] = classes.map(|class| of(class) as i32);
    _mm512_broadcast_i32x4(_mm_setr_epi32(a, b, c, d))
}

/// Keeps, behind those that wait, where units and their values begin and which keys they have, of the lanes that ask
/// `units`. `behind`: 31 bits of the positions, behind the root's.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn wait<S: Shape, P>(all: *mut Waiting<P>, waits: usize, (units, lanes): (u16, __m512i), entry: __m512i, behind: __m512i) {
    let bits = _mm512_and_si512(_mm512_srli_epi32::<2>(entry), _mm512_set1_epi32(31));
    let unit = _mm512_srlv_epi32(behind, _mm512_sub_epi32(_mm512_set1_epi32(31), bits));
    let class = _mm512_and_si512(entry, _mm512_set1_epi32(3));
    let shifts = _mm512_permutexvar_epi32(class, by_class(|class| class.shift, S::CLASSES));
    let first = _mm512_and_si512(_mm512_srli_epi32::<3>(entry), _mm512_set1_epi32(FIRST));
    let from = _mm512_add_epi32(first, _mm512_sllv_epi32(unit, shifts));
    let values = _mm512_permutexvar_epi32(class, by_class(|class| class.keys * S::KEY_BYTES, S::CLASSES));
    let keys = _mm512_permutexvar_epi32(class, by_class(|class| (1 << class.keys) - 1, S::CLASSES));
    // SAFETY: the caller has room for a vector behind those that wait.
    unsafe {
        let store = |to: *mut [u32; ROOM], what| {
            _mm512_storeu_si512(to.cast::<u32>().add(waits).cast(), _mm512_maskz_compress_epi32(units, what));
        };
        store(&raw mut (*all).lane, lanes);
        store(&raw mut (*all).unit, from);
        store(&raw mut (*all).values, _mm512_add_epi32(from, values));
        store(&raw mut (*all).keys, keys);
    }
}

/// Asks for the lines of units, if they are many.
#[inline(always)]
unsafe fn ask<P>(bytes: *const u8, all: *const Waiting<P>, waits: usize) {
    for at in (waits > ASKED_MIN).then_some(0..waits).into_iter().flatten() {
        // SAFETY: the caller stored these; a prefetch reads nothing that the program sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.wrapping_add((*all).unit[at] as usize).cast()) };
    }
}

/// Takes the value behind the keys that are `below`.
#[inline(always)]
unsafe fn take<P>(bytes: *const u8, all: *const Waiting<P>, at: usize, below: u32, values: &mut [u32]) -> u32 {
    // SAFETY: the caller stored these, a unit has a value more than keys, and lanes are below the burst's length.
    unsafe {
        let run = (below & (*all).keys[at]).count_ones() as usize;
        let value = bytes.add((*all).values[at] as usize).cast::<u32>().add(run).read_unaligned();
        *values.get_unchecked_mut((*all).lane[at] as usize) = value;
        value
    }
}
