//! What is kept where memory is scarce, or none is left.

use super::packed::{Batch, Layout};
use super::*;
use crate::limits::{BATCH_RECORDS_MAX, LOG_RECORDS_MAX, LOG_RECORDS_SCARCE};

/// The range of each batch.
#[derive(Default)]
struct Ranges(Vec<u32>);

impl Stage for Ranges {
    fn batch(&mut self, range: RangeIndex, _: Epoch, _: &Batch<'_>) {
        self.0.push(range.0);
    }
    fn advance(&mut self, _: Epoch) {}
    fn step(&mut self) -> bool {
        false
    }
}

fn gather(ranges: u32, bytes: usize) -> Gather {
    Gather::new(ranges as usize, bytes, &Layout::of(|_, _| false))
}

/// Records of a range that waited at most, while so many came.
fn most_held(gather: &mut Gather, range: u32, records: usize) -> usize {
    let mut stage = Ranges::default();
    let held = (0..records).map(|_| {
        gather.append_narrow(RangeIndex(range), (0, 0, 0), &mut stage);
        usize::from(gather.chains[0][range as usize].count)
    });
    held.max().unwrap_or(0)
}

/// Beside what is kept comes what arrives before its turn.
#[test]
fn a_log_is_as_long_as_memory_allows() {
    const OTHERS: u32 = 4_000;
    let mut gather = gather(OTHERS + 2, 8 << 20);
    let near = |most: usize, want: usize| (want..=want + BATCH_RECORDS_MAX).contains(&most);
    let plenty = most_held(&mut gather, 0, 3 * LOG_RECORDS_MAX);
    assert!(near(plenty, LOG_RECORDS_MAX), "{plenty}");
    for range in 2..OTHERS {
        if !gather.segments.is_half_full() {
            most_held(&mut gather, range, BATCH_RECORDS_MAX - 1);
        }
    }
    assert!(gather.segments.is_half_full() && gather.early() == 0);
    most_held(&mut gather, 0, LOG_RECORDS_MAX);
    let (opened, unopened) = (most_held(&mut gather, 0, LOG_RECORDS_MAX), most_held(&mut gather, 1, LOG_RECORDS_MAX));
    assert!(near(opened, 4 * BATCH_RECORDS_MAX) && near(unopened, LOG_RECORDS_SCARCE), "{opened}, {unopened}");
    assert_eq!(gather.early(), 0);
}

/// A block that is opened since nothing is free takes all batches of its range, before another's is.
#[test]
fn an_empty_pool_works_one_range_off_before_the_next() {
    const RANGES: u32 = 200;
    let (mut gather, mut stage) = (gather(RANGES, 1 << 20), Ranges::default());
    for range in (0..RANGES).cycle() {
        gather.append_narrow(RangeIndex(range), (0, 0, 0), &mut stage);
        if stage.0.len() == 90 {
            break;
        }
    }
    let mut ranges = stage.0.clone();
    ranges.dedup();
    assert!(gather.early() > 0 && ranges.len() <= 45, "{:?}", stage.0);
}
