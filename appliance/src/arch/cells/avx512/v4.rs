//! Sixteen IPv4 addresses at once.

use core::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::super::format::WIDE;
use super::super::{BURST_MAX, Below, Cells, LINK, V4, WIDE_LINK};
use super::{Asked, decoded, direct, keep, pick_all, tell, whole};

/// Vectors of a burst.
const BLOCKS: usize = BURST_MAX / 16;

/// What a burst's roots said, and which lanes ask units.
struct Entries {
    entry: [__m512i; BLOCKS],
    units: [u16; BLOCKS],
}

/// Up to [`BURST_MAX`] of each, as many as there is room for.
#[inline]
pub(in super::super) fn v4<const GATHERS: bool>(cells: &Cells<V4>, addresses: &[u32], values: &mut [u32]) {
    let burst = if cells.root.wide { wide::<GATHERS> } else { narrow::<GATHERS> };
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
    _mm512_min_epu32(_mm512_srlv_epi32(from, _mm512_set1_epi32(root.shift as i32 - 32)), _mm512_set1_epi32(1 << root.bits))
}

/// Of a wide root. Whether any value is a link.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn wide<const GATHERS: bool>(cells: &Cells<V4>, addresses: &[u32], values: &mut [u32]) -> bool {
    let bytes = cells.pages.words().as_ptr().cast::<u8>();
    let mut linked = 0;
    for here in (0..addresses.len().min(BURST_MAX)).step_by(16) {
        // SAFETY: these are whole vectors; the root has an entry for each place, and a byte behind the last.
        unsafe {
            let place = places(cells, _mm512_loadu_si512(addresses.as_ptr().add(here).cast()));
            let at = _mm512_add_epi32(place, _mm512_add_epi32(place, place));
            let entry = _mm512_and_si512(pick_all::<GATHERS, 1>(bytes, at), _mm512_set1_epi32(WIDE as i32));
            let links = _mm512_test_epi32_mask(entry, _mm512_set1_epi32(WIDE_LINK as i32));
            let value = _mm512_mask_xor_epi32(entry, links, entry, _mm512_set1_epi32((LINK | WIDE_LINK) as i32));
            _mm512_storeu_si512(values.as_mut_ptr().add(here).cast(), value);
            linked |= links;
        }
    }
    linked != 0
}

/// The 31 bits behind those that the root looks at, and one before.
#[inline]
#[target_feature(enable = "avx512f")]
fn behind(cells: &Cells<V4>, address: __m512i) -> __m512i {
    _mm512_sllv_epi32(address, _mm512_set1_epi32(63 - cells.root.shift as i32))
}

/// Of a root with entries of a word. Whether any value is a link.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn narrow<const GATHERS: bool>(cells: &Cells<V4>, addresses: &[u32], values: &mut [u32]) -> bool {
    let bytes = cells.pages.words().as_ptr().cast::<u8>();
    let mut entries = Entries { entry: [_mm512_setzero_si512(); BLOCKS], units: [0; BLOCKS] };
    let mut any = 0;
    let blocks = entries.entry.iter_mut().zip(&mut entries.units).enumerate();
    for (block, (entry, units)) in blocks.take(addresses.len() / 16) {
        // SAFETY: these are whole vectors; the root has an entry for each place.
        unsafe {
            let address = _mm512_loadu_si512(addresses.as_ptr().add(16 * block).cast());
            *entry = pick_all::<GATHERS, 4>(bytes, places(cells, address));
            let (value, more) = decoded(*entry, behind(cells, address));
            _mm512_storeu_si512(values.as_mut_ptr().add(16 * block).cast(), value);
            *units = more;
        }
        any |= *units;
    }
    // SAFETY: these are whole vectors.
    unsafe {
        match cells.below {
            Below::Keyed => any != 0 && ask_units(cells, &entries, addresses, values),
            Below::Rare => any != 0 && ask_values::<GATHERS>(cells, &entries, addresses, values),
            Below::Often => ask_values::<GATHERS>(cells, &entries, addresses, values),
        }
    }
}

/// What units without keys say: a burst's lanes together, if no two ask at one place of their vectors. Whether any value is a
/// link.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn ask_values<const GATHERS: bool>(cells: &Cells<V4>, entries: &Entries, addresses: &[u32], values: &mut [u32]) -> bool {
    let bytes = cells.pages.words().as_ptr().cast::<u8>();
    let blocks = || entries.entry.iter().zip(entries.units).enumerate().take(addresses.len() / 16);
    // SAFETY: these are whole vectors.
    let load = |from: &[u32], block: usize| unsafe { _mm512_loadu_si512(from.as_ptr().add(16 * block).cast()) };
    let (mut entry, mut address) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    let (mut all, mut twice) = (0, 0);
    for (block, (of, units)) in blocks() {
        entry = _mm512_mask_mov_epi32(entry, units, *of);
        address = _mm512_mask_mov_epi32(address, units, load(addresses, block));
        (all, twice) = (all | units, twice | all & units);
    }
    // SAFETY: references lead to units that are there; without one it is the first word.
    let mut told = unsafe { pick_all::<GATHERS, 1>(bytes, direct(entry, behind(cells, address))) };
    let mut links = _mm512_movepi32_mask(told) & all;
    for (block, (of, units)) in blocks() {
        if twice != 0 {
            let at = direct(_mm512_maskz_mov_epi32(units, *of), behind(cells, load(addresses, block)));
            // SAFETY: as above.
            told = unsafe { pick_all::<GATHERS, 1>(bytes, at) };
            links |= _mm512_movepi32_mask(told) & units;
        }
        let value = _mm512_mask_mov_epi32(load(values, block), units, told);
        // SAFETY: these are whole vectors.
        unsafe { _mm512_storeu_si512(values.as_mut_ptr().add(16 * block).cast(), value) };
    }
    links != 0
}

/// What units say. Whether any value is a link.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn ask_units(cells: &Cells<V4>, entries: &Entries, addresses: &[u32], values: &mut [u32]) -> bool {
    let bytes = cells.pages.words().as_ptr().cast::<u8>();
    let mut asked = MaybeUninit::<Asked>::uninit();
    let (all, mut lanes) = (asked.as_mut_ptr(), 0);
    for (block, (entry, units)) in entries.entry.iter().zip(entries.units).enumerate().take(addresses.len() / 16) {
        // SAFETY: these are whole vectors.
        unsafe {
            let address = _mm512_loadu_si512(addresses.as_ptr().add(16 * block).cast());
            keep::<V4>(all, 16 * block, *entry, behind(cells, address));
        }
        lanes |= u64::from(units) << (16 * block);
    }
    // SAFETY: all blocks' were stored; eight words stand behind the last unit.
    unsafe {
        tell(bytes, all, lanes, values, |unit, lane| {
            let keys = _mm256_loadu_si256(unit.cast());
            u32::from(_mm256_cmplt_epu16_mask(keys, _mm256_set1_epi16(*addresses.get_unchecked(lane) as i16)))
        })
    }
}
