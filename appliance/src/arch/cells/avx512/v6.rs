//! Sixteen IPv6 addresses at once.

use core::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::super::{BURST_MAX, Cells, V6, halves};
use super::trees::{Down, Levels, levels, walk};
use super::{Asked, ROOM, decoded, each, keep, pick_all, tell, whole};

/// So many vectors: where the root is asked, what it said, what units are asked, and which lanes ask them.
struct Vectors<const N: usize> {
    place: [__m512i; N],
    entry: [__m512i; N],
    key: [__m512i; N],
    value: [__m512i; N],
    units: [u16; N],
}

/// Up to [`BURST_MAX`] of each, as many as there is room for.
#[inline]
pub(in super::super) fn v6<const GATHERS: bool>(cells: &Cells<V6>, addresses: &[[u8; 16]], values: &mut [u32]) {
    // SAFETY: a table has this form only if the processor has what the functions ask for; these are whole vectors. Where it
    // is known how many, all of them stay in registers.
    let linked = whole(addresses, values, |addresses, values| unsafe {
        match addresses.len() / 16 {
            4 => burst::<GATHERS, 4>(cells, addresses, values),
            3 => burst::<GATHERS, 3>(cells, addresses, values),
            2 => burst::<GATHERS, 2>(cells, addresses, values),
            1 => burst::<GATHERS, 1>(cells, addresses, values),
            _ => false,
        }
    });
    if linked {
        cells.follow_all(addresses, values, halves);
    }
}

/// First halves of eight addresses.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn positions(addresses: *const [u8; 16]) -> __m512i {
    let firsts = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    let swapped = _mm512_broadcast_i32x4(_mm_setr_epi8(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8));
    // SAFETY: the caller has eight addresses.
    let (a, b) = unsafe { (_mm512_loadu_si512(addresses.cast()), _mm512_loadu_si512(addresses.add(4).cast())) };
    _mm512_shuffle_epi8(_mm512_permutex2var_epi64(a, firsts, b), swapped)
}

/// Places of entries in the root, in the lower half of each lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn places(cells: &Cells<V6>, position: __m512i) -> __m512i {
    let root = cells.root;
    let from = _mm512_sub_epi64(position, _mm512_set1_epi64(root.first as i64));
    _mm512_min_epu64(_mm512_srlv_epi64(from, _mm512_set1_epi64(i64::from(root.shift))), _mm512_set1_epi64(1 << root.bits))
}

/// Of sixteen addresses: places of entries, and the 32 bits behind those that the root looks at.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn sixteen(cells: &Cells<V6>, addresses: *const [u8; 16]) -> (__m512i, __m512i) {
    let low = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let high = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    // SAFETY: the caller has sixteen addresses.
    let (a, b) = unsafe { (positions(addresses), positions(addresses.add(8))) };
    let depth = _mm512_set1_epi64(64 - i64::from(cells.root.shift));
    let place = _mm512_permutex2var_epi32(places(cells, a), low, places(cells, b));
    (place, _mm512_permutex2var_epi32(_mm512_sllv_epi64(a, depth), high, _mm512_sllv_epi64(b, depth)))
}

/// Of so many vectors. Whether any value is a link.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn burst<const GATHERS: bool, const N: usize>(cells: &Cells<V6>, addresses: &[[u8; 16]], values: &mut [u32]) -> bool {
    let bytes = cells.pages.start();
    let none = [_mm512_setzero_si512(); N];
    let mut all = Vectors { place: none, entry: none, key: none, value: none, units: [0; N] };
    let mut lanes = 0;
    // All is read before anything is written: what was written last could be taken for what is read.
    for block in 0..N {
        // SAFETY: the caller has so many vectors.
        (all.place[block], all.key[block]) = unsafe { sixteen(cells, addresses.as_ptr().add(16 * block)) };
    }
    for block in 0..N {
        // SAFETY: the root has an entry for each place.
        all.entry[block] = unsafe { pick_all::<GATHERS, 4>(bytes, all.place[block]) };
        (all.value[block], all.units[block]) = decoded(all.entry[block], _mm512_srli_epi32::<1>(all.key[block]));
        lanes |= u64::from(all.units[block]) << (16 * block);
    }
    for block in 0..N {
        // SAFETY: the caller has so many vectors.
        unsafe { _mm512_storeu_si512(values.as_mut_ptr().add(16 * block).cast(), all.value[block]) };
    }
    // SAFETY: these are what the root said, of whole vectors.
    lanes != 0 && unsafe { ask(cells, &all, lanes, addresses, values) }
}

/// What units and trees say. Whether any value is a link.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn ask<const N: usize>(cells: &Cells<V6>, all: &Vectors<N>, lanes: u64, addresses: &[[u8; 16]], values: &mut [u32]) -> bool {
    let bytes = cells.pages.start();
    let (mut asked, mut key) = (MaybeUninit::<Asked>::uninit(), MaybeUninit::<[u32; ROOM]>::uninit());
    let (to, key, mut trees) = (asked.as_mut_ptr(), key.as_mut_ptr(), Levels::default());
    for block in 0..N {
        // SAFETY: there is room for a burst's.
        unsafe {
            keep::<V6>(to, 16 * block, all.entry[block], _mm512_srli_epi32::<1>(all.key[block]));
            _mm512_storeu_si512(key.cast::<u32>().add(16 * block).cast(), all.key[block]);
        }
        levels(&mut trees, 16 * block, all.entry[block], all.units[block]);
    }
    // SAFETY: all were stored; eight words stand behind the last unit, and a tree's lines are whole.
    unsafe {
        let mut linked = tell(bytes, to, lanes & !trees[0], values, |unit, lane| {
            let keys = _mm256_loadu_si256(unit.cast());
            let (position, _) = halves(addresses.get_unchecked(lane));
            u32::from(_mm256_cmplt_epu64_mask(keys, _mm256_set1_epi64x(position as i64)))
        });
        if trees[0] != 0 {
            each(trees[0]).for_each(|lane| _mm_prefetch::<_MM_HINT_T0>(bytes.wrapping_add((*to).unit[lane] as usize).cast()));
            linked |= walk(bytes, &Down { line: &raw mut (*to).unit, key }, &trees, values);
        }
        linked
    }
}

const _: () = assert!(BURST_MAX == 4 * 16, "no burst has more vectors");
