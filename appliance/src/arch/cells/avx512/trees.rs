//! Lanes of a burst down their trees, all of them a line at a time: while one waits for memory, others ask.

use core::arch::x86_64::*;

use super::super::tree::{LEAF_KEYS, LEVELS_MAX, LINE_WORDS, WAYS_KEYS};
use super::super::{BURST_MAX, LINK};
use super::each;

/// Bytes of a line.
const LINE_BYTES: u32 = 4 * LINE_WORDS as u32;

/// Of a burst's lanes: the lines that they are at, bytes from the first word, and their keys.
pub(super) struct Down {
    pub(super) line: *mut [u32; BURST_MAX],
    pub(super) key: *const [u32; BURST_MAX],
}

/// Which lanes have a tree, by how many lines at least are before its leaf.
pub(super) type Levels = [u64; LEVELS_MAX as usize + 1];

/// Of sixteen entries, of which these lead to units, from a lane on.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn levels(to: &mut Levels, lane: usize, entry: __m512i, units: u16) {
    const CLASS: i32 = 3;
    let code = _mm512_and_si512(entry, _mm512_set1_epi32(127));
    let trees = _mm512_mask_cmpeq_epi32_mask(units, _mm512_and_si512(entry, _mm512_set1_epi32(CLASS)), _mm512_set1_epi32(CLASS));
    if trees == 0 {
        return;
    }
    for (level, lanes) in to.iter_mut().enumerate() {
        let least = _mm512_set1_epi32((level as i32) << 2 | CLASS);
        *lanes |= u64::from(_mm512_mask_cmpge_epi32_mask(trees, code, least)) << lane;
    }
}

/// How many of a line's keys, of so many, are below one.
#[inline]
#[target_feature(enable = "avx512f,popcnt")]
unsafe fn below(line: *const u8, keys: usize, key: u32) -> u32 {
    // SAFETY: the caller has a line there.
    let line = unsafe { _mm512_loadu_si512(line.cast()) };
    (u32::from(_mm512_cmplt_epu32_mask(line, _mm512_set1_epi32(key as i32))) & ((1 << keys) - 1)).count_ones()
}

/// What trees say. Whether any value is a link.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
pub(super) unsafe fn walk(bytes: *const u8, down: &Down, levels: &Levels, values: &mut [u32]) -> bool {
    let mut linked = 0;
    // SAFETY: the caller stored these for all lanes, which are below the burst's length; a tree was looked at when its table
    // was made: all that it leads to is there.
    unsafe {
        for lanes in levels[1..].iter().rev() {
            for lane in each(*lanes) {
                let (line, key) = (bytes.add((*down.line)[lane] as usize), (*down.key)[lane]);
                let first = line.cast::<u32>().add(WAYS_KEYS).read_unaligned();
                let next = LINE_BYTES * (first + below(line, WAYS_KEYS, key));
                _mm_prefetch::<_MM_HINT_T0>(bytes.wrapping_add(next as usize).cast());
                (*down.line)[lane] = next;
            }
        }
        for lane in each(levels[0]) {
            let (line, key) = (bytes.add((*down.line)[lane] as usize), (*down.key)[lane]);
            let value = line.cast::<u32>().add(LEAF_KEYS + below(line, LEAF_KEYS, key) as usize).read_unaligned();
            *values.get_unchecked_mut(lane) = value;
            linked |= value;
        }
    }
    linked & LINK != 0
}
