//! Bursts by AVX2: eight addresses ask the root at once. What units must tell waits until all have asked, so that a burst's
//! units are fetched together; then each is one comparison of all its keys.
#![allow(unsafe_code, reason = "vectors are loaded through pointers")]
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "lanes have no sign")]

use core::arch::x86_64::*;

use arrayvec::ArrayVec;

use super::format::{NARROW_CODE_BITS, VALUE_BITS, WIDE};
use super::{BURST_MAX, Cells, Entry, LINK, Shape, V4, V6, WIDE_LINK, halves, halves_v4};

/// All bits of a value, and of a code where it stands in an entry.
const VALUE: i32 = (1 << VALUE_BITS) - 1;
const CODE: i32 = ((1 << NARROW_CODE_BITS) - 1) << VALUE_BITS;

/// Up to [`BURST_MAX`] of each, as many as there is room for.
#[inline]
pub(super) fn v4<const GATHERS: bool>(cells: &Cells<V4>, addresses: &[u32], values: &mut [u32]) {
    // SAFETY: a table has this form only if the processor has what the functions ask for.
    unsafe { if cells.root.wide { wide::<GATHERS>(cells, addresses, values) } else { narrow::<GATHERS>(cells, addresses, values) } }
}

/// Up to [`BURST_MAX`] of each, as many as there is room for.
#[inline]
pub(super) fn v6(cells: &Cells<V6>, addresses: &[[u8; 16]], values: &mut [u32]) {
    // SAFETY: as above.
    unsafe { burst_v6(cells, addresses, values) }
}

/// Words at four places, bytes from the first. Some processors take a gather apart into more than these loads.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pick<const GATHERS: bool>(bytes: *const u8, at: __m128i) -> __m128i {
    // SAFETY: the caller has words at all places.
    unsafe {
        if GATHERS {
            return _mm_i32gather_epi32::<1>(bytes.cast(), at);
        }
        let (low, high) = (_mm_cvtsi128_si64(at) as u64, _mm_extract_epi64::<1>(at) as u64);
        let word = |at: u64| bytes.add(at as usize).cast::<i32>().read_unaligned();
        let two = _mm_insert_epi32::<1>(_mm_cvtsi32_si128(word(low & 0xFFFF_FFFF)), word(low >> 32));
        _mm_insert_epi32::<3>(_mm_insert_epi32::<2>(two, word(high & 0xFFFF_FFFF)), word(high >> 32))
    }
}

/// The same at eight.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pick_all<const GATHERS: bool>(bytes: *const u8, at: __m256i) -> __m256i {
    // SAFETY: the caller has words at all places.
    unsafe {
        if GATHERS {
            return _mm256_i32gather_epi32::<1>(bytes.cast(), at);
        }
        let (low, high) = (_mm256_castsi256_si128(at), _mm256_extracti128_si256::<1>(at));
        _mm256_set_m128i(pick::<false>(bytes, high), pick::<false>(bytes, low))
    }
}

/// Of entries and the 31 bits behind those that the root looks at: the values, and which lead to units.
#[inline]
#[target_feature(enable = "avx2")]
fn decoded(entry: __m256i, behind: __m256i) -> (__m256i, u64) {
    // A code ends in its lowest bit: what is above does not change when one is taken off.
    let less = _mm256_sub_epi32(entry, _mm256_set1_epi32(1 << VALUE_BITS));
    let differ = _mm256_andnot_si256(_mm256_xor_si256(entry, less), _mm256_xor_si256(entry, behind));
    let same = _mm256_cmpeq_epi32(_mm256_and_si256(differ, _mm256_set1_epi32(CODE)), _mm256_setzero_si256());
    let units = _mm256_movemask_ps(_mm256_castsi256_ps(entry)) as u64;
    (_mm256_and_si256(_mm256_and_si256(entry, same), _mm256_set1_epi32(VALUE)), units)
}

/// A vector of addresses, of which those behind the last are zeros.
#[inline]
fn eight<A: Copy + Default>(addresses: &[A]) -> [A; 8] {
    addresses.first_chunk().copied().unwrap_or_else(|| std::array::from_fn(|at| addresses.get(at).copied().unwrap_or_default()))
}

/// Writes as many as there is room for: values end where their addresses do.
#[inline]
#[target_feature(enable = "avx2")]
fn put(to: &mut [u32], values: __m256i) {
    // SAFETY: both are eight words.
    let all: [u32; 8] = unsafe { core::mem::transmute(values) };
    match to.first_chunk_mut() {
        Some(eight) => *eight = all,
        None => to.iter_mut().zip(all).for_each(|(to, value)| *to = value),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn of<T>(eight: [T; 8]) -> __m256i {
    const { assert!(size_of::<T>() == 4, "a vector has eight of them") };
    // SAFETY: as many bytes, and any of them will do.
    unsafe { core::mem::transmute_copy(&eight) }
}

/// Places of entries in the root.
#[inline]
#[target_feature(enable = "avx2")]
fn places(cells: &Cells<V4>, address: __m256i) -> __m256i {
    let root = cells.root;
    let from = _mm256_sub_epi32(address, _mm256_set1_epi32((root.first >> 32) as i32));
    _mm256_min_epu32(_mm256_srlv_epi32(from, _mm256_set1_epi32(root.shift as i32 - 32)), _mm256_set1_epi32(1 << root.bits))
}

/// Of a wide root.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
unsafe fn wide<const GATHERS: bool>(cells: &Cells<V4>, addresses: &[u32], values: &mut [u32]) {
    let (bytes, mut linked) = (cells.pages.start(), 0);
    for (addresses, values) in addresses.chunks(8).zip(values.chunks_mut(8)) {
        let place = places(cells, of(eight(addresses)));
        let at = _mm256_add_epi32(place, _mm256_add_epi32(place, place));
        // SAFETY: the root has an entry for each place, and a byte behind the last.
        let entry = unsafe { _mm256_and_si256(pick_all::<GATHERS>(bytes, at), _mm256_set1_epi32(WIDE as i32)) };
        let is_link = _mm256_cmpgt_epi32(entry, _mm256_set1_epi32(WIDE_LINK as i32 - 1));
        let value = _mm256_xor_si256(entry, _mm256_and_si256(is_link, _mm256_set1_epi32((LINK | WIDE_LINK) as i32)));
        put(values, value);
        linked |= _mm256_movemask_epi8(is_link);
    }
    if linked != 0 {
        cells.follow_all(addresses, values, halves_v4);
    }
}

/// What the root says of a burst, and which of it lead to units.
struct Entries {
    entry: [u32; BURST_MAX],
    units: u64,
}

/// Of a root with entries of a word.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
unsafe fn narrow<const GATHERS: bool>(cells: &Cells<V4>, addresses: &[u32], values: &mut [u32]) {
    let bytes = cells.pages.start();
    let depth = _mm256_set1_epi32(63 - cells.root.shift as i32);
    let mut all = Entries { entry: [0; BURST_MAX], units: 0 };
    for (block, (addresses, values)) in addresses.chunks(8).zip(values.chunks_mut(8)).enumerate().take(BURST_MAX / 8) {
        let address = of(eight(addresses));
        // SAFETY: the root has an entry for each place.
        let entry = unsafe { pick_all::<GATHERS>(bytes, _mm256_slli_epi32::<2>(places(cells, address))) };
        let (value, units) = decoded(entry, _mm256_sllv_epi32(address, depth));
        put(values, value);
        put(&mut all.entry[8 * block..], entry);
        all.units |= units << (8 * block);
    }
    let below = |unit: *const u8, position: u64| {
        let flip = _mm256_set1_epi16(i16::MIN);
        // SAFETY: eight words stand behind the last unit.
        let keys = unsafe { _mm256_xor_si256(_mm256_loadu_si256(unit.cast()), flip) };
        let asked = _mm256_xor_si256(_mm256_set1_epi16((position >> 32) as i16), flip);
        _mm256_movemask_epi8(_mm256_cmpgt_epi16(asked, keys)) as u32
    };
    // SAFETY: the entries are the root's.
    unsafe { ask::<V4, u32, 2>(cells, &all, (addresses, halves_v4), values, below) }
}

/// Of IPv6: an entry is asked by as few instructions as it takes to bring its place into a vector.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
unsafe fn burst_v6(cells: &Cells<V6>, addresses: &[[u8; 16]], values: &mut [u32]) {
    let (words, depth) = (cells.pages.words(), 64 - cells.root.shift);
    let mut all = Entries { entry: [0; BURST_MAX], units: 0 };
    for (lane, (address, value)) in addresses.iter().zip(&mut *values).enumerate().take(BURST_MAX) {
        let (position, _) = halves(address);
        let entry = V6::entry(words, cells.root.at(position));
        (*value, all.entry[lane]) = (entry.value(position, depth), entry.word());
        all.units |= u64::from(entry.reference().is_some()) << lane;
    }
    let below = |unit: *const u8, position: u64| {
        let flip = _mm256_set1_epi64x(i64::MIN);
        // SAFETY: eight words stand behind the last unit.
        let keys = unsafe { _mm256_xor_si256(_mm256_loadu_si256(unit.cast()), flip) };
        let asked = _mm256_xor_si256(_mm256_set1_epi64x(position as i64), flip);
        _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(asked, keys))) as u32
    };
    // SAFETY: the entries are the root's.
    unsafe { ask::<V6, [u8; 16], 1>(cells, &all, (addresses, halves), values, below) }
}

/// What units say. `below`: which keys at this place are below a position's, so many bits a key.
#[inline(always)]
unsafe fn ask<S: Shape, A, const BITS: u32>(
    cells: &Cells<S>,
    all: &Entries,
    (addresses, halves): (&[A], impl Fn(&A) -> (u64, u64)),
    values: &mut [u32],
    below: impl Fn(*const u8, u64) -> u32,
) {
    let (words, depth) = (cells.pages.words(), 64 - cells.root.shift);
    let mut asked = [(0, 0); BURST_MAX];
    let count = addresses.len().min(values.len()).min(BURST_MAX);
    let each = |lanes: u64| {
        let lanes = std::iter::successors(Some(lanes), |left| Some(left & left.wrapping_sub(1))).take_while(|left| *left != 0);
        lanes.map(|left| left.trailing_zeros() as usize).take_while(|lane| *lane < count)
    };
    let (mut trees, mut rows) = (ArrayVec::new(), all.units);
    for lane in each(all.units) {
        let (position, _) = halves(&addresses[lane]);
        let Some(reference) = Entry::of_word(all.entry[lane]).reference() else { continue };
        if reference.is_tree::<S>() {
            trees.push(cells.lane(lane, position, reference));
            rows ^= 1 << lane;
        }
        asked[lane] = (reference.unit::<S>(position, depth), reference.keys::<S>());
        // SAFETY: a prefetch reads nothing that the program sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(words.as_ptr().wrapping_add(asked[lane].0).cast()) };
    }
    let mut linked = 0;
    for lane in each(rows) {
        let (unit, keys) = asked[lane];
        let (position, _) = halves(&addresses[lane]);
        // SAFETY: references lead to units that are there, and a unit has a value more than keys.
        let value = unsafe {
            let unit = words.as_ptr().add(unit);
            let run = (below(unit.cast(), position) & ((1 << (BITS * keys)) - 1)).count_ones() / BITS;
            *unit.add((keys * S::KEY_BYTES / 4 + run) as usize)
        };
        (values[lane], linked) = (value, linked | value);
    }
    if !trees.is_empty() {
        cells.walk(&mut trees, values);
        linked |= values.iter().fold(0, |any, value| any | value);
    }
    if linked & LINK != 0 {
        cells.follow_all(addresses, values, halves);
    }
}
