//! Other ways to assign work to workers than ours: where a part of a range's work goes, before the remainder by their number.

use tailwater::arch::hash::spread;

/// All of a range to one.
pub fn by_range(range: usize, _part: usize) -> usize {
    spread(range as u64) as usize
}

/// Each kind of calculation to one; parts are kinds.
pub fn by_type(_range: usize, kind: usize) -> usize {
    kind
}

/// Each range's stat to one; parts are stats.
pub fn by_stat(range: usize, stat: usize) -> usize {
    spread((range as u64) << 16 | stat as u64) as usize
}
