//! Eight IPv6 addresses at once.

use core::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::super::{BURST_MAX, Cells, V6, halves};
use super::{Asked, decoded, keep, pick, tell, whole};

/// Up to [`BURST_MAX`] of each, as many as there is room for.
#[inline]
pub(in super::super) fn v6<const GATHERS: bool>(cells: &Cells<V6>, addresses: &[[u8; 16]], values: &mut [u32]) {
    // SAFETY: a table has this form only if the processor has what the function asks for; these are whole vectors.
    let linked = whole(addresses, values, |addresses, values| unsafe { burst::<GATHERS>(cells, addresses, values) });
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
fn places(cells: &Cells<V6>, position: __m512i) -> __m256i {
    let root = cells.root;
    let from = _mm512_sub_epi64(position, _mm512_set1_epi64(root.first as i64));
    let at = _mm512_min_epu64(_mm512_srlv_epi64(from, _mm512_set1_epi64(i64::from(root.shift))), _mm512_set1_epi64(1 << root.bits));
    _mm512_cvtepi64_epi32(at)
}

/// The 31 bits behind those that the root looks at: more than those that choose a unit.
#[inline]
#[target_feature(enable = "avx512f")]
fn behind(cells: &Cells<V6>, position: __m512i) -> __m512i {
    let from = _mm512_sllv_epi64(position, _mm512_set1_epi64(64 - i64::from(cells.root.shift)));
    _mm512_castsi256_si512(_mm512_cvtepi64_epi32(_mm512_srli_epi64::<33>(from)))
}

/// Whether any value is a link.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn burst<const GATHERS: bool>(cells: &Cells<V6>, addresses: &[[u8; 16]], values: &mut [u32]) -> bool {
    let bytes = cells.pages.start();
    let mut asked = MaybeUninit::<Asked>::uninit();
    let (all, mut lanes) = (asked.as_mut_ptr(), 0);
    for at in (0..addresses.len().min(BURST_MAX)).step_by(8) {
        // SAFETY: these are whole vectors; the root has an entry for each place.
        unsafe {
            let position = positions(addresses.as_ptr().add(at));
            let entry = _mm512_castsi256_si512(pick::<GATHERS, 4>(bytes, places(cells, position)));
            let behind = behind(cells, position);
            let (value, units) = decoded(entry, behind);
            _mm256_storeu_si256(values.as_mut_ptr().add(at).cast(), _mm512_castsi512_si256(value));
            keep::<V6>(all, at, entry, behind);
            // Of the lower half alone.
            lanes |= u64::from(units as u8) << at;
        }
    }
    // SAFETY: all were stored; eight words stand behind the last unit.
    lanes != 0
        && unsafe {
            tell(bytes, all, lanes, values, |unit, lane| {
                let keys = _mm256_loadu_si256(unit.cast());
                let (position, _) = halves(addresses.get_unchecked(lane));
                u32::from(_mm256_cmplt_epu64_mask(keys, _mm256_set1_epi64x(position as i64)))
            })
        }
}
