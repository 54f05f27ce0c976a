//! Eight IPv6 addresses at once.

use core::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::super::format::CODE_BITS;
use super::super::{BURST_MAX, Cells, LINK, V6, halves};
use super::{Waiting, ask, decoded, pick, take, wait, whole};

/// Vectors of a burst.
const BLOCKS: usize = BURST_MAX / 8;

/// What a burst's roots said, and which lanes ask units.
struct Entries {
    entry: [__m256i; BLOCKS],
    units: [u8; BLOCKS],
}

/// Up to [`BURST_MAX`] of each, as many as there is room for.
pub(in super::super) fn v6(cells: &Cells<V6>, addresses: &[[u8; 16]], values: &mut [u32]) {
    // SAFETY: a table has this form only if the processor has what the function asks for; these are whole vectors.
    let linked = whole(addresses, values, |addresses, values| unsafe { burst(cells, addresses, values) });
    if linked {
        for (address, value) in addresses.iter().zip(values).filter(|(_, value)| **value & LINK != 0) {
            let (position, second) = halves(address);
            *value = cells.follow(*value, position, second);
        }
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
    let at = _mm512_min_epu64(_mm512_srl_epi64(from, _mm_cvtsi32_si128(root.shift as i32)), _mm512_set1_epi64(1 << root.bits));
    _mm512_cvtepi64_epi32(at)
}

/// Whether any value is a link.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn burst(cells: &Cells<V6>, addresses: &[[u8; 16]], values: &mut [u32]) -> bool {
    let bytes = cells.pages.words().as_ptr().cast::<u8>();
    let depth = _mm_cvtsi32_si128(64 - cells.root.shift as i32);
    let mut entries = Entries { entry: [_mm256_setzero_si256(); BLOCKS], units: [0; BLOCKS] };
    let mut any = 0;
    let blocks = entries.entry.iter_mut().zip(&mut entries.units).enumerate();
    for (block, (entry, units)) in blocks.take(addresses.len() / 8) {
        // SAFETY: these are whole vectors; the root has an entry for each place.
        unsafe {
            let position = positions(addresses.as_ptr().add(8 * block));
            *entry = pick::<4>(bytes, places(cells, position));
            let asked = _mm512_cvtepi64_epi32(_mm512_srli_epi64::<{ 64 - CODE_BITS }>(_mm512_sll_epi64(position, depth)));
            let (value, more) = decoded(_mm512_castsi256_si512(*entry), _mm512_castsi256_si512(asked));
            _mm256_storeu_si256(values.as_mut_ptr().add(8 * block).cast(), _mm512_castsi512_si256(value));
            // Of the lower half alone.
            *units = more as u8;
        }
        any |= *units;
    }
    // SAFETY: these are whole vectors.
    any != 0 && unsafe { ask_units(cells, &entries, addresses, values) }
}

/// What units say. Whether any value is a link.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn ask_units(cells: &Cells<V6>, entries: &Entries, addresses: &[[u8; 16]], values: &mut [u32]) -> bool {
    let bytes = cells.pages.words().as_ptr().cast::<u8>();
    let depth = _mm_cvtsi32_si128(64 - cells.root.shift as i32);
    let mut waiting = MaybeUninit::<Waiting<u64>>::uninit();
    let (all, mut waits) = (waiting.as_mut_ptr(), 0);
    let mut lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (block, (entry, units)) in entries.entry.iter().zip(entries.units).enumerate().take(addresses.len() / 8) {
        // SAFETY: these are whole vectors; at most the blocks before wait, and all arrays have 16 more than a burst.
        unsafe {
            let position = positions(addresses.as_ptr().add(8 * block));
            let to = (&raw mut (*all).position).cast::<u64>().add(waits);
            _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi64(units, position));
            // 31 bits are more than those that choose a unit.
            let behind = _mm512_cvtepi64_epi32(_mm512_srli_epi64::<33>(_mm512_sll_epi64(position, depth)));
            let asks = (u16::from(units), lanes);
            wait::<V6, u64>(all, waits, asks, _mm512_castsi256_si512(*entry), _mm512_castsi256_si512(behind));
        }
        waits += units.count_ones() as usize;
        lanes = _mm512_add_epi32(lanes, _mm512_set1_epi32(8));
    }
    // SAFETY: so many were stored.
    unsafe { ask(bytes, all, waits) };
    let mut linked = 0;
    for at in 0..waits {
        // SAFETY: all of these were stored; a reference leads to units that are there, and eight words stand behind the last.
        linked |= unsafe {
            let keys = _mm256_loadu_si256(bytes.add((*all).unit[at] as usize).cast());
            let below = _mm256_cmplt_epu64_mask(keys, _mm256_set1_epi64x((*all).position[at] as i64));
            take(bytes, all, at, u32::from(below), values)
        };
    }
    linked & LINK != 0
}
