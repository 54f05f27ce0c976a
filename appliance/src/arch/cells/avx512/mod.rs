//! Bursts by AVX-512: vectors of addresses ask the root, sixteen of IPv4 or eight of IPv6 each. What units must tell waits until all
//! have asked, so that a burst's units are fetched together: a vector of values where units have no keys; else one
//! comparison of all keys each.
//!
//! Vectors are read and written whole: later loads would wait for what is stored under a mask.
#![allow(unsafe_code, reason = "vectors are loaded through pointers")]
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "lanes have no sign")]

mod trees;
mod v4;
mod v6;

use core::arch::x86_64::*;

use super::format::{NARROW_CODE_BITS, VALUE_BITS};
use super::{BURST_MAX, Class, LINK, Shape};

pub(super) use v4::v4;
pub(super) use v6::v6;

/// Units of one burst that are asked for first, if they are more: so few are under way together in any case.
const ASKED_MIN: u32 = 16;
/// All bits of a value, and of a code where it stands in an entry.
const VALUE: i32 = (1 << VALUE_BITS) - 1;
const CODE: i32 = ((1 << NARROW_CODE_BITS) - 1) << VALUE_BITS;
/// Of a, b and c: what differs in a and b, and does not in a and c.
const DIFFER: i32 = (0xF0 ^ 0xCC) & !(0xF0 ^ 0xAA);
/// Bits of an entry that are its first unit's place in bytes, when it stands three further right.
const FIRST: i32 = 0x0FFF_FFF0;

/// Of a burst's addresses that ask units, in their places: where their units and the values of these begin, bytes from the
/// first word, and which keys a unit has.
#[repr(C, align(64))]
struct Asked {
    unit: [u32; BURST_MAX],
    values: [u32; BURST_MAX],
    keys: [u32; BURST_MAX],
}

/// Looks whole vectors up: a burst that ends within one is copied. Whether any value is a link.
#[inline]
fn whole<A: Copy + Default>(addresses: &[A], values: &mut [u32], burst: impl Fn(&[A], &mut [u32]) -> bool) -> bool {
    let count = addresses.len();
    if count == values.len() && count.is_multiple_of(16) && count <= BURST_MAX {
        return burst(addresses, values);
    }
    copied(addresses, values, burst)
}

#[cold]
#[inline(never)]
fn copied<A: Copy + Default>(addresses: &[A], values: &mut [u32], burst: impl Fn(&[A], &mut [u32]) -> bool) -> bool {
    let count = addresses.len().min(values.len()).min(BURST_MAX);
    let (mut all, mut found, whole) = ([A::default(); BURST_MAX], [0; BURST_MAX], count.next_multiple_of(16));
    all[..count].copy_from_slice(&addresses[..count]);
    let linked = burst(&all[..whole], &mut found[..whole]);
    values[..count].copy_from_slice(&found[..count]);
    linked
}

/// Words at eight places, of so many bytes each. Some processors take a gather apart into more than these loads.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn pick<const GATHERS: bool, const SCALE: i32>(bytes: *const u8, at: __m256i) -> __m256i {
    if GATHERS {
        // SAFETY: the caller has words at all places.
        return unsafe { _mm256_i32gather_epi32::<SCALE>(bytes.cast(), at) };
    }
    let four = |at: __m128i| {
        let (low, high) = (_mm_cvtsi128_si64(at) as u64, _mm_extract_epi64::<1>(at) as u64);
        // SAFETY: as above.
        let word = |at: u64| unsafe { bytes.add(SCALE as usize * at as usize).cast::<i32>().read_unaligned() };
        let one = _mm_cvtsi32_si128(word(low & 0xFFFF_FFFF));
        let two = _mm_insert_epi32::<1>(one, word(low >> 32));
        _mm_insert_epi32::<3>(_mm_insert_epi32::<2>(two, word(high & 0xFFFF_FFFF)), word(high >> 32))
    };
    _mm256_set_m128i(four(_mm256_extracti128_si256::<1>(at)), four(_mm256_castsi256_si128(at)))
}

/// The same at sixteen.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn pick_all<const GATHERS: bool, const SCALE: i32>(bytes: *const u8, at: __m512i) -> __m512i {
    // SAFETY: the caller has words at all places.
    unsafe {
        if GATHERS {
            return _mm512_i32gather_epi32::<SCALE>(at, bytes.cast());
        }
        let low = pick::<false, SCALE>(bytes, _mm512_castsi512_si256(at));
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), pick::<false, SCALE>(bytes, _mm512_extracti64x4_epi64::<1>(at)))
    }
}

/// The same at those of sixteen that are asked for.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn pick_some<const GATHERS: bool>(bytes: *const u8, lanes: u16, at: __m512i) -> __m512i {
    // SAFETY: the caller has words at all places.
    unsafe {
        match GATHERS {
            true => _mm512_mask_i32gather_epi32::<1>(_mm512_setzero_si512(), lanes, at, bytes.cast()),
            false => pick_all::<false, 1>(bytes, at),
        }
    }
}

/// Of entries and the 31 bits behind those that the root looks at: the values, and those that lead to units.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn decoded(entry: __m512i, behind: __m512i) -> (__m512i, u16) {
    // A code ends in its lowest bit: what is above does not change when one is taken off.
    let less = _mm512_sub_epi32(entry, _mm512_set1_epi32(1 << VALUE_BITS));
    let differ = _mm512_ternarylogic_epi32::<DIFFER>(entry, behind, less);
    let same = _mm512_testn_epi32_mask(differ, _mm512_set1_epi32(CODE));
    (_mm512_maskz_and_epi32(same, entry, _mm512_set1_epi32(VALUE)), _mm512_movepi32_mask(entry))
}

/// By class, as often as a vector has room.
#[inline]
#[target_feature(enable = "avx512f")]
fn by_class(of: impl Fn(Class) -> u32, classes: [Class; 4]) -> __m512i {
    let [a, b, c, d] = classes.map(|class| of(class) as i32);
    _mm512_broadcast_i32x4(_mm_setr_epi32(a, b, c, d))
}

/// Units that entries lead to, by the 31 bits behind those that the root looks at, and where their row begins: bytes from
/// the first word.
#[inline]
#[target_feature(enable = "avx512f")]
fn unit(entry: __m512i, behind: __m512i) -> (__m512i, __m512i) {
    let bits = _mm512_and_si512(_mm512_srli_epi32::<2>(entry), _mm512_set1_epi32(31));
    let behind = _mm512_and_si512(behind, _mm512_set1_epi32(i32::MAX));
    let unit = _mm512_srlv_epi32(behind, _mm512_sub_epi32(_mm512_set1_epi32(31), bits));
    (unit, _mm512_and_si512(_mm512_srli_epi32::<3>(entry), _mm512_set1_epi32(FIRST)))
}

/// Where values stand that units without keys are.
#[inline]
#[target_feature(enable = "avx512f")]
fn direct(entry: __m512i, behind: __m512i) -> __m512i {
    let (unit, first) = unit(entry, behind);
    _mm512_add_epi32(first, _mm512_slli_epi32::<2>(unit))
}

/// Keeps, for a vector of lanes from this one on, what they ask.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn keep<S: Shape>(asked: *mut Asked, lane: usize, entry: __m512i, behind: __m512i) {
    let (unit, first) = unit(entry, behind);
    let class = _mm512_and_si512(entry, _mm512_set1_epi32(3));
    let shifts = _mm512_permutexvar_epi32(class, by_class(|class| class.shift, S::CLASSES));
    let begins = _mm512_add_epi32(first, _mm512_sllv_epi32(unit, shifts));
    let values = _mm512_permutexvar_epi32(class, by_class(|class| class.keys * S::KEY_BYTES, S::CLASSES));
    let keys = _mm512_permutexvar_epi32(class, by_class(|class| (1 << class.keys) - 1, S::CLASSES));
    // SAFETY: the caller has room for a vector there.
    unsafe {
        let store = |to: *mut [u32; BURST_MAX], what| _mm512_storeu_si512(to.cast::<u32>().add(lane).cast(), what);
        store(&raw mut (*asked).unit, begins);
        store(&raw mut (*asked).values, _mm512_add_epi32(begins, values));
        store(&raw mut (*asked).keys, keys);
    }
}

/// These lanes' numbers.
#[inline(always)]
fn each(lanes: u64) -> impl Iterator<Item = usize> {
    let left = std::iter::successors(Some(lanes), |left| Some(left & left.wrapping_sub(1))).take_while(|left| *left != 0);
    left.map(|left| left.trailing_zeros() as usize)
}

/// What units say to these lanes. `below`: which keys at this place are below what a lane's are compared with. Whether any
/// value is a link.
#[inline(always)]
unsafe fn tell(bytes: *const u8, asked: *const Asked, lanes: u64, values: &mut [u32], below: impl Fn(*const u8, usize) -> u32) -> bool {
    let each = || each(lanes);
    let mut linked = 0;
    // SAFETY: the caller stored these for all lanes, and they are below the burst's length; references lead to units that
    // are there, and a unit has a value more than keys.
    unsafe {
        if lanes.count_ones() > ASKED_MIN {
            each().for_each(|lane| _mm_prefetch::<_MM_HINT_T0>(bytes.wrapping_add((*asked).unit[lane] as usize).cast()));
        }
        for lane in each() {
            let run = (below(bytes.add((*asked).unit[lane] as usize), lane) & (*asked).keys[lane]).count_ones() as usize;
            let value = bytes.add((*asked).values[lane] as usize).cast::<u32>().add(run).read_unaligned();
            *values.get_unchecked_mut(lane) = value;
            linked |= value;
        }
    }
    linked & LINK != 0
}
