//! Sixteen IPv4 addresses a vector, all vectors of a burst at once.

use core::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::super::format::WIDE;
use super::super::{BURST_MAX, Below, Cells, LINK, V4, WIDE_LINK, halves_v4};
use super::{Asked, decoded, direct, keep, pick_all, pick_some, tell, whole};

/// [`Below`], as code is made for it.
const KEYED: u8 = 0;
const RARE: u8 = 1;
const OFTEN: u8 = 2;

/// So many vectors: what was asked, what the root said, and which lanes ask units.
struct Vectors<const N: usize> {
    address: [__m512i; N],
    entry: [__m512i; N],
    value: [__m512i; N],
    units: [u16; N],
}

/// Up to [`BURST_MAX`] of each, as many as there is room for.
#[inline]
pub(in super::super) fn v4<const GATHERS: bool>(cells: &Cells<V4>, addresses: &[u32], values: &mut [u32]) {
    // SAFETY: a table has this form only if the processor has what the functions ask for; these are whole vectors.
    let linked = whole(addresses, values, |addresses, values| unsafe {
        match (cells.below, cells.root.is_all()) {
            _ if cells.root.wide => wide::<GATHERS>(cells, addresses, values),
            (Below::Keyed, true) => narrow::<GATHERS, KEYED, true>(cells, addresses, values),
            (Below::Rare, true) => narrow::<GATHERS, RARE, true>(cells, addresses, values),
            (Below::Often, true) => narrow::<GATHERS, OFTEN, true>(cells, addresses, values),
            (Below::Keyed, false) => narrow::<GATHERS, KEYED, false>(cells, addresses, values),
            (Below::Rare, false) => narrow::<GATHERS, RARE, false>(cells, addresses, values),
            (Below::Often, false) => narrow::<GATHERS, OFTEN, false>(cells, addresses, values),
        }
    });
    if linked {
        cells.follow_all(addresses, values, halves_v4);
    }
}

/// Of one shift in each lane, by which shifting is half the work that it is by one for all: so the compiler must not know.
#[inline]
#[target_feature(enable = "avx512f")]
fn shifts(by: u32) -> __m512i {
    let mut all = _mm512_set1_epi32(by as i32);
    // SAFETY: does nothing.
    unsafe { core::arch::asm!("/* {0} */", inout(zmm_reg) all, options(pure, nomem, nostack, preserves_flags)) };
    all
}

/// Places of entries in the root.
#[inline]
#[target_feature(enable = "avx512f")]
fn places<const ALL: bool>(cells: &Cells<V4>, address: __m512i) -> __m512i {
    let root = cells.root;
    if ALL {
        return _mm512_srlv_epi32(address, shifts(root.shift - 32));
    }
    let from = _mm512_sub_epi32(address, _mm512_set1_epi32((root.first >> 32) as i32));
    _mm512_min_epu32(_mm512_srlv_epi32(from, shifts(root.shift - 32)), _mm512_set1_epi32(1 << root.bits))
}

/// Of a wide root. Whether any value is a link.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn wide<const GATHERS: bool>(cells: &Cells<V4>, addresses: &[u32], values: &mut [u32]) -> bool {
    let bytes = cells.pages.start();
    let mut linked = 0;
    for here in (0..addresses.len().min(BURST_MAX)).step_by(16) {
        // SAFETY: these are whole vectors; the root has an entry for each place, and a byte behind the last.
        unsafe {
            let place = places::<false>(cells, _mm512_loadu_si512(addresses.as_ptr().add(here).cast()));
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
    _mm512_sllv_epi32(address, shifts(63 - cells.root.shift))
}

/// Of a root with entries of a word. Whether any value is a link.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn narrow<const GATHERS: bool, const BELOW: u8, const ALL: bool>(cells: &Cells<V4>, addresses: &[u32], values: &mut [u32]) -> bool {
    // SAFETY: these are whole vectors. Where it is known how many, all of them stay in registers.
    unsafe {
        match addresses.len() / 16 {
            4 => vectors::<GATHERS, BELOW, ALL, 4>(cells, addresses, values),
            3 => vectors::<GATHERS, BELOW, ALL, 3>(cells, addresses, values),
            2 => vectors::<GATHERS, BELOW, ALL, 2>(cells, addresses, values),
            1 => vectors::<GATHERS, BELOW, ALL, 1>(cells, addresses, values),
            _ => false,
        }
    }
}

/// The same for `N` vectors.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn vectors<const GATHERS: bool, const BELOW: u8, const ALL: bool, const N: usize>(
    cells: &Cells<V4>,
    addresses: &[u32],
    values: &mut [u32],
) -> bool {
    let bytes = cells.pages.start();
    let none = [_mm512_setzero_si512(); N];
    let mut all = Vectors { address: none, entry: none, value: none, units: [0; N] };
    // All is read before anything is written: what was written last could be taken for what is read.
    for block in 0..N {
        // SAFETY: the caller has so many vectors.
        all.address[block] = unsafe { _mm512_loadu_si512(addresses.as_ptr().add(16 * block).cast()) };
    }
    for block in 0..N {
        let address = all.address[block];
        // SAFETY: the root has an entry for each place.
        all.entry[block] = unsafe { pick_all::<GATHERS, 4>(bytes, places::<ALL>(cells, address)) };
        (all.value[block], all.units[block]) = decoded(all.entry[block], behind(cells, address));
    }
    let any = all.units.iter().fold(0, |any, units| any | units);
    let asks = BELOW == OFTEN || any != 0;
    // SAFETY: these are what the root said.
    let mut linked = BELOW != KEYED && asks && unsafe { ask_values::<GATHERS, N>(cells, &mut all) };
    for block in 0..N {
        // SAFETY: the caller has so many vectors.
        unsafe { _mm512_storeu_si512(values.as_mut_ptr().add(16 * block).cast(), all.value[block]) };
    }
    if BELOW == KEYED && asks {
        // SAFETY: as above, and these are whole vectors.
        linked = unsafe { ask_units(cells, &all, addresses, values) };
    }
    linked
}

/// What units without keys say: all lanes together, if no two ask at one place of their vectors. Whether any value is a link.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn ask_values<const GATHERS: bool, const N: usize>(cells: &Cells<V4>, all: &mut Vectors<N>) -> bool {
    let bytes = cells.pages.start();
    let (mut entry, mut address) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    let (mut any, mut twice) = (0, 0);
    for block in 0..N {
        let units = all.units[block];
        entry = _mm512_mask_mov_epi32(entry, units, all.entry[block]);
        address = _mm512_mask_mov_epi32(address, units, all.address[block]);
        (any, twice) = (any | units, twice | any & units);
    }
    // SAFETY: references lead to units that are there; without one it is the first word.
    let mut told = unsafe { pick_some::<GATHERS>(bytes, any, direct(entry, behind(cells, address))) };
    let mut links = _mm512_movepi32_mask(told) & any;
    for block in 0..N {
        let units = all.units[block];
        if twice != 0 {
            let at = direct(_mm512_maskz_mov_epi32(units, all.entry[block]), behind(cells, all.address[block]));
            // SAFETY: as above.
            told = unsafe { pick_some::<GATHERS>(bytes, units, at) };
            links |= _mm512_movepi32_mask(told) & units;
        }
        all.value[block] = _mm512_mask_mov_epi32(all.value[block], units, told);
    }
    links != 0
}

/// What units say. Whether any value is a link.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,popcnt")]
unsafe fn ask_units<const N: usize>(cells: &Cells<V4>, all: &Vectors<N>, addresses: &[u32], values: &mut [u32]) -> bool {
    let mut asked = MaybeUninit::<Asked>::uninit();
    let (to, mut lanes) = (asked.as_mut_ptr(), 0);
    for block in 0..N {
        // SAFETY: there is room for a burst's.
        unsafe { keep::<V4>(to, 16 * block, all.entry[block], behind(cells, all.address[block])) };
        lanes |= u64::from(all.units[block]) << (16 * block);
    }
    // SAFETY: all blocks' were stored; eight words stand behind the last unit.
    unsafe {
        tell(cells.pages.start(), to, lanes, values, |unit, lane| {
            let keys = _mm256_loadu_si256(unit.cast());
            u32::from(_mm256_cmplt_epu16_mask(keys, _mm256_set1_epi16(*addresses.get_unchecked(lane) as i16)))
        })
    }
}
