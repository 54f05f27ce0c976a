//! Sixteen IPv4 addresses at once.

use core::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::super::format::{CODE_BITS, WIDE};
use super::super::{BURST_MAX, Cells, LINK, V4, WIDE_LINK};
use super::{Waiting, ask, decoded, pick_all, take, wait, whole};

/// Vectors of a burst.
const BLOCKS: usize = BURST_MAX / 16;

/// What a burst's roots said, and which lanes ask units.
struct Entries {
    entry: [__m512i; BLOCKS],
    units: [u16; BLOCKS],
}

/// Up to [`BURST_MAX`] of each, as many as there is room for.
pub(in super::super) fn v4(cells: &Cells<V4>, addresses: &[u32], values: &mut [u32]) {
    let burst = if cells.root.wide { wide } else { narrow };
    // SAFETY: a table has this form only if the processor has what the functions ask for; these are whole vectors.
    let linked = whole(addresses, values, |addresses, values| unsafe { burst(cells, addresses, values) });
    if linked {
        for (address, value) in addresses.iter().zip(values).filter(|(_, value)| **value & LINK != 0) {
            *value = cells.follow(*value, u64::from(*address) << 32, 0);
        }
    }
}

/// Places of entries in the root.
#[inline]
#[target_feature(enable = "avx512f")]
fn places(cells: &Cells<V4>, address: __m512i) -> __m512i {
    let root = cells.root;
    let from = _mm512_sub_epi32(address, _mm512_set1_epi32((root.first >> 32) as i32));
    _mm512_min_epu32(_mm512_srl_epi32(from, _mm_cvtsi32_si128(root.shift as i32 - 32)), _mm512_set1_epi32(1 << root.bits))
}

/// Of a wide root. Whether any value is a link.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn wide(cells: &Cells<V4>, addresses: &[u32], values: &mut [u32]) -> bool {
    let bytes = cells.pages.words().as_ptr().cast::<u8>();
    let mut linked = 0;
    for here in (0..addresses.len().min(BURST_MAX)).step_by(16) {
        // SAFETY: these are whole vectors; the root has an entry for each place, and a byte behind the last.
        unsafe {
            let address = _mm512_loadu_si512(addresses.as_ptr().add(here).cast());
            let entry = _mm512_and_si512(pick_all::<3>(bytes, places(cells, address)), _mm512_set1_epi32(WIDE as i32));
            let links = _mm512_test_epi32_mask(entry, _mm512_set1_epi32(WIDE_LINK as i32));
            let value = _mm512_mask_xor_epi32(entry, links, entry, _mm512_set1_epi32((LINK | WIDE_LINK) as i32));
            _mm512_storeu_si512(values.as_mut_ptr().add(here).cast(), value);
            linked |= links;
        }
    }
    linked != 0
}

/// Of a root with entries of a word. Whether any value is a link.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn narrow(cells: &Cells<V4>, addresses: &[u32], values: &mut [u32]) -> bool {
    let bytes = cells.pages.words().as_ptr().cast::<u8>();
    let depth = _mm_cvtsi32_si128(64 - cells.root.shift as i32);
    let mut entries = Entries { entry: [_mm512_setzero_si512(); BLOCKS], units: [0; BLOCKS] };
    let mut any = 0;
    let blocks = entries.entry.iter_mut().zip(&mut entries.units).enumerate();
    for (block, (entry, units)) in blocks.take(addresses.len() / 16) {
        // SAFETY: these are whole vectors; the root has an entry for each place.
        unsafe {
            let address = _mm512_loadu_si512(addresses.as_ptr().add(16 * block).cast());
            *entry = pick_all::<4>(bytes, places(cells, address));
            let (value, more) = decoded(*entry, _mm512_srli_epi32::<{ 32 - CODE_BITS }>(_mm512_sll_epi32(address, depth)));
            _mm512_storeu_si512(values.as_mut_ptr().add(16 * block).cast(), value);
            *units = more;
        }
        any |= *units;
    }
    // SAFETY: these are whole vectors.
    any != 0 && unsafe { ask_units(cells, &entries, addresses, values) }
}

/// What units say. Whether any value is a link.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn ask_units(cells: &Cells<V4>, entries: &Entries, addresses: &[u32], values: &mut [u32]) -> bool {
    let bytes = cells.pages.words().as_ptr().cast::<u8>();
    let depth = _mm_cvtsi32_si128(64 - cells.root.shift as i32);
    let mut waiting = MaybeUninit::<Waiting<u32>>::uninit();
    let (all, mut waits) = (waiting.as_mut_ptr(), 0);
    let mut lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (block, (entry, units)) in entries.entry.iter().zip(entries.units).enumerate().take(addresses.len() / 16) {
        // SAFETY: these are whole vectors; at most the blocks before wait, and all arrays have 16 more than a burst.
        unsafe {
            let address = _mm512_loadu_si512(addresses.as_ptr().add(16 * block).cast());
            let position = (&raw mut (*all).position).cast::<u32>().add(waits);
            _mm512_storeu_si512(position.cast(), _mm512_maskz_compress_epi32(units, address));
            wait::<V4, u32>(all, waits, (units, lanes), *entry, _mm512_srli_epi32::<1>(_mm512_sll_epi32(address, depth)));
        }
        waits += units.count_ones() as usize;
        lanes = _mm512_add_epi32(lanes, _mm512_set1_epi32(16));
    }
    // SAFETY: so many were stored.
    unsafe { ask(bytes, all, waits) };
    let mut linked = 0;
    for at in 0..waits {
        // SAFETY: all of these were stored; a reference leads to units that are there, and eight words stand behind the last.
        linked |= unsafe {
            let keys = _mm256_loadu_si256(bytes.add((*all).unit[at] as usize).cast());
            let below = _mm256_cmplt_epu16_mask(keys, _mm256_set1_epi16((*all).position[at] as i16));
            take(bytes, all, at, u32::from(below), values)
        };
    }
    linked & LINK != 0
}
