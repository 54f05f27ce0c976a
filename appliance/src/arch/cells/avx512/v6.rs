//! Eight IPv6 addresses a vector, all vectors of a burst at once.

use core::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::super::format::{CODE_BITS, VALUE_BITS};
use super::super::{BURST_MAX, Cells, V6, halves};
use super::trees::{Down, Levels, levels, walk};
use super::{Asked, DIFFER, each, keep, tell, whole};

/// All bits of a code where it stands in an entry.
const CODE: i64 = ((1 << CODE_BITS) - 1) << VALUE_BITS;

/// So many vectors: what is asked, and what the root said.
struct Vectors<const N: usize> {
    position: [__m512i; N],
    entry: [__m512i; N],
}

/// Up to [`BURST_MAX`] of each, as many as there is room for.
#[inline]
pub(in super::super) fn v6<const GATHERS: bool>(cells: &Cells<V6>, addresses: &[[u8; 16]], values: &mut [u32]) {
    // SAFETY: a table has this form only if the processor has what the functions ask for; these are whole vectors. Where it
    // is known how many, all of them stay in registers.
    let linked = whole(addresses, values, |addresses, values| unsafe {
        match addresses.len() / 16 {
            4 => burst::<GATHERS, 8>(cells, addresses, values),
            3 => burst::<GATHERS, 6>(cells, addresses, values),
            2 => burst::<GATHERS, 4>(cells, addresses, values),
            1 => burst::<GATHERS, 2>(cells, addresses, values),
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

/// Places of entries in the root.
#[inline]
#[target_feature(enable = "avx512f")]
fn places(cells: &Cells<V6>, position: __m512i) -> __m512i {
    let root = cells.root;
    let from = _mm512_sub_epi64(position, _mm512_set1_epi64(root.first as i64));
    _mm512_min_epu64(_mm512_srlv_epi64(from, _mm512_set1_epi64(i64::from(root.shift))), _mm512_set1_epi64(1 << root.bits))
}

/// The bits behind those that the root looks at.
#[inline]
#[target_feature(enable = "avx512f")]
fn behind(cells: &Cells<V6>, position: __m512i) -> __m512i {
    _mm512_sllv_epi64(position, _mm512_set1_epi64(64 - i64::from(cells.root.shift)))
}

/// Entries at eight places.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn entries<const GATHERS: bool>(bytes: *const u8, at: __m512i) -> __m512i {
    if GATHERS {
        // SAFETY: the caller has entries at all places.
        return unsafe { _mm512_i64gather_epi64::<8>(at, bytes.cast()) };
    }
    let four = |at: __m256i| {
        let (low, high) = (_mm256_castsi256_si128(at), _mm256_extracti128_si256::<1>(at));
        let places = [_mm_cvtsi128_si64(low), _mm_extract_epi64::<1>(low), _mm_cvtsi128_si64(high), _mm_extract_epi64::<1>(high)];
        // SAFETY: as above.
        let [a, b, c, d] = places.map(|at| unsafe { bytes.add(8 * at as usize).cast::<i64>().read_unaligned() });
        _mm256_setr_epi64x(a, b, c, d)
    };
    let low = _mm512_castsi256_si512(four(_mm512_castsi512_si256(at)));
    _mm512_inserti64x4::<1>(low, four(_mm512_extracti64x4_epi64::<1>(at)))
}

/// Of entries and the bits behind those that the root looks at: the values, and those that lead to units.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn decoded(entry: __m512i, behind: __m512i) -> (__m256i, u8) {
    let (less, behind) = (_mm512_sub_epi64(entry, _mm512_set1_epi64(1 << VALUE_BITS)), _mm512_srli_epi64::<1>(behind));
    let differ = _mm512_ternarylogic_epi64::<DIFFER>(entry, behind, less);
    let same = _mm512_testn_epi64_mask(differ, _mm512_set1_epi64(CODE));
    let value = _mm512_maskz_and_epi64(same, entry, _mm512_set1_epi64((1 << VALUE_BITS) - 1));
    (_mm512_cvtepi64_epi32(value), _mm512_movepi64_mask(entry))
}

/// Of so many vectors. Whether any value is a link.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn burst<const GATHERS: bool, const N: usize>(cells: &Cells<V6>, addresses: &[[u8; 16]], values: &mut [u32]) -> bool {
    let bytes = cells.pages.start();
    let none = [_mm512_setzero_si512(); N];
    let mut all = Vectors { position: none, entry: none };
    let mut lanes = 0;
    // All is read before anything is written: what was written last could be taken for what is read.
    for block in 0..N {
        // SAFETY: the caller has so many vectors.
        all.position[block] = unsafe { positions(addresses.as_ptr().add(8 * block)) };
    }
    for block in 0..N {
        // SAFETY: the root has an entry for each place.
        all.entry[block] = unsafe { entries::<GATHERS>(bytes, places(cells, all.position[block])) };
    }
    for block in 0..N {
        let (value, units) = decoded(all.entry[block], behind(cells, all.position[block]));
        // SAFETY: the caller has so many vectors.
        unsafe { _mm256_storeu_si256(values.as_mut_ptr().add(8 * block).cast(), value) };
        lanes |= u64::from(units) << (8 * block);
    }
    // SAFETY: these are what the root said, of whole vectors.
    lanes != 0 && unsafe { ask(cells, &all, lanes, addresses, values) }
}

/// What units and trees say. Whether any value is a link.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn ask<const N: usize>(cells: &Cells<V6>, all: &Vectors<N>, lanes: u64, addresses: &[[u8; 16]], values: &mut [u32]) -> bool {
    let lows = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let highs = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    let bytes = cells.pages.start();
    let (mut asked, mut key) = (MaybeUninit::<Asked>::uninit(), MaybeUninit::<[u32; BURST_MAX]>::uninit());
    let (to, key, mut trees) = (asked.as_mut_ptr(), key.as_mut_ptr(), Levels::default());
    for block in 0..N / 2 {
        let (a, b) = (2 * block, 2 * block + 1);
        let entry = _mm512_permutex2var_epi32(all.entry[a], lows, all.entry[b]);
        let asks = _mm512_permutex2var_epi32(behind(cells, all.position[a]), highs, behind(cells, all.position[b]));
        // SAFETY: there is room for a burst's.
        unsafe {
            keep::<V6>(to, 16 * block, entry, _mm512_srli_epi32::<1>(asks));
            _mm512_storeu_si512(key.cast::<u32>().add(16 * block).cast(), asks);
        }
        levels(&mut trees, 16 * block, entry, (lanes >> (16 * block)) as u16);
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
