//! Records → batches of one range.
//!
//! Touching a range's stats packet by packet costs a cache miss each; a batch of up to 64 records touches them once.
//! An open batch is a chain of small segments from one pool, so that tens of thousands of half-open ones stay small. A
//! full batch is handed on whole; an empty pool hands on the oldest batch, it never drops.
//!
//! Two epochs can be alive: the open one, and the one before, whose batches are handed on when their range is touched
//! again or when [`Gather::step`] comes by.

use std::collections::VecDeque;

use crate::limits::{BATCH_RECORDS_MAX, SEGMENT_RECORDS};
use crate::record::Record;
use crate::telemetry::LiveCore;
use crate::units::{Epoch, RangeIndex};

/// What takes batches: the stats of this core, or rings to workers.
pub trait Stage {
    /// A batch of one range and epoch, 1 to 64 records in their order.
    fn batch(&mut self, range: RangeIndex, epoch: Epoch, records: &[Record]);

    /// All batches of epochs before `next` were given.
    fn advance(&mut self, next: Epoch);

    /// Whether epochs must come one by one: where several cores send to one, it keeps no more than two apart.
    fn is_stepwise(&self) -> bool {
        false
    }

    /// Tells what was lost in the epochs that [`Self::advance`] ended, and forgets it.
    fn losses(&mut self, _tell: &mut dyn FnMut(Loss)) {}

    /// Does a bounded piece of what waits to be done; false if nothing does.
    fn step(&mut self) -> bool;

    /// Looks whether something has come from the control; to be called now and then.
    fn look(&mut self) {}

    /// Shows what was counted and lost here since the start, and the memory in use; where batches only pass through, what
    /// it knows of that.
    fn show(&self, _live: &LiveCore) {}
}

/// Why records were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A ring was full: to a worker, or to the reporter.
    Ring,
    /// The memory budget was spent.
    Memory,
    /// The reporter was too far behind for what a long window holds; short ones have these records.
    Long,
}

impl Cause {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// Records that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Whose; none: of ranges that are not told apart.
    pub range: Option<RangeIndex>,
    /// How many, by [`Cause`].
    pub records: [u64; Cause::COUNT],
}

const NONE: u32 = u32::MAX;
/// Ranges that one step looks at: a few microseconds.
const STEP_RANGES: usize = 64;

/// The open batch of one range.
#[derive(Clone, Copy)]
struct Cursor {
    head: u32,
    tail: u32,
    count: u8,
    /// Which of the two epochs the batch belongs to.
    side: u8,
    /// In which lists of touched ranges it stands: one bit a side.
    listed: u8,
    /// Which of its range's batches this is, by their last eight bits.
    turn: u8,
}

#[derive(Clone, Copy)]
struct Segment {
    next: u32,
    records: [Record; SEGMENT_RECORDS],
}

/// The open batches of one core.
pub struct Gather {
    cursors: Vec<Cursor>,
    segments: Vec<Segment>,
    segments_max: usize,
    free: u32,
    /// Batches in the order in which they were opened: range and turn. Those handed on since are passed over.
    opened: VecDeque<(u32, u8)>,
    touched: [Vec<u32>; 2],
    side: usize,
    epochs: [Epoch; 2],
    walking: bool,
    whole: Box<[Record; BATCH_RECORDS_MAX]>,
}

impl Gather {
    /// For so many ranges, with segments of at most so many bytes.
    pub fn new(ranges: usize, bytes_max: usize) -> Self {
        let segments_max = (bytes_max / size_of::<Segment>()).clamp(2 * BATCH_RECORDS_MAX / SEGMENT_RECORDS, NONE as usize - 1);
        Self {
            cursors: vec![Cursor { head: NONE, tail: NONE, count: 0, side: 0, listed: 0, turn: 0 }; ranges],
            segments: Vec::with_capacity(segments_max),
            segments_max,
            free: NONE,
            opened: VecDeque::with_capacity(segments_max),
            touched: [Vec::with_capacity(ranges), Vec::with_capacity(ranges)],
            side: 0,
            epochs: [Epoch::default(); 2],
            walking: false,
            whole: Box::new([Record::default(); BATCH_RECORDS_MAX]),
        }
    }

    /// Bytes that a core needs for each range, touched or not.
    pub const RANGE_BYTES: usize = size_of::<Cursor>() + 2 * size_of::<u32>();

    /// Adds a record to its range's batch.
    #[inline]
    pub fn append(&mut self, range: RangeIndex, record: &Record, stage: &mut impl Stage) {
        let cursor = self.cursors[range.at()];
        if cursor.count > 0 && usize::from(cursor.side) != self.side {
            self.hand_on(range.0, stage);
        }
        let filled = usize::from(self.cursors[range.at()].count) % SEGMENT_RECORDS;
        let segment = if filled == 0 { self.extend(range.0, stage) } else { self.cursors[range.at()].tail };
        let cursor = &mut self.cursors[range.at()];
        let at = usize::from(cursor.count) % SEGMENT_RECORDS;
        self.segments[segment as usize].records[at] = *record;
        cursor.count += 1;
        if usize::from(cursor.count) == BATCH_RECORDS_MAX {
            self.hand_on(range.0, stage);
        }
    }

    /// Opens the next epoch. Call [`Self::step`] until it is done before the one after.
    pub fn advance(&mut self, next: Epoch) {
        self.side ^= 1;
        self.epochs[self.side] = next;
        self.walking = true;
    }

    /// Hands on some batches of the epoch before; false when none is left.
    pub fn step(&mut self, stage: &mut impl Stage) -> bool {
        let old = self.side ^ 1;
        for _ in 0..STEP_RANGES {
            let Some(range) = self.touched[old].pop() else {
                self.walking = false;
                return false;
            };
            let cursor = &mut self.cursors[range as usize];
            cursor.listed &= !(1 << old);
            if cursor.count > 0 && usize::from(cursor.side) == old {
                self.hand_on(range, stage);
            }
        }
        true
    }

    /// Whether batches of the epoch before are still open.
    pub const fn is_walking(&self) -> bool {
        self.walking
    }

    /// A further segment for a range's batch, which it may open.
    fn extend(&mut self, range: u32, stage: &mut impl Stage) -> u32 {
        let segment = self.take(stage);
        // Taking may have handed on this very batch.
        let (side, cursor) = (self.side, &mut self.cursors[range as usize]);
        if cursor.count == 0 {
            (cursor.head, cursor.side) = (segment, u8::from(side == 1));
            if cursor.listed >> side & 1 == 0 {
                cursor.listed |= 1 << side;
                self.touched[side].push(range);
            }
            self.open(range, stage);
        } else {
            self.segments[cursor.tail as usize].next = segment;
        }
        self.cursors[range as usize].tail = segment;
        segment
    }

    /// Remembers the order in which batches were opened.
    fn open(&mut self, range: u32, stage: &mut impl Stage) {
        while self.opened.len() >= self.segments_max {
            self.hand_on_oldest(stage);
        }
        self.opened.push_back((range, self.cursors[range as usize].turn));
    }

    fn take(&mut self, stage: &mut impl Stage) -> u32 {
        if self.free == NONE && self.segments.len() < self.segments_max {
            self.segments.push(Segment { next: NONE, records: [Record::default(); SEGMENT_RECORDS] });
            return u32::try_from(self.segments.len() - 1).unwrap_or(NONE);
        }
        while self.free == NONE {
            self.hand_on_oldest(stage);
        }
        let segment = self.free;
        self.free = self.segments[segment as usize].next;
        self.segments[segment as usize].next = NONE;
        segment
    }

    fn hand_on_oldest(&mut self, stage: &mut impl Stage) {
        if let Some((range, turn)) = self.opened.pop_front()
            && self.cursors[range as usize].turn == turn
        {
            self.hand_on(range, stage);
        }
    }

    /// Copies a batch into one piece, frees its segments and gives it away.
    fn hand_on(&mut self, range: u32, stage: &mut impl Stage) {
        let cursor = self.cursors[range as usize];
        let count = usize::from(cursor.count);
        if count == 0 {
            return;
        }
        let mut at = cursor.head;
        for piece in self.whole[..count].chunks_mut(SEGMENT_RECORDS) {
            let segment = &self.segments[at as usize];
            piece.copy_from_slice(&segment.records[..piece.len()]);
            at = segment.next;
        }
        self.segments[cursor.tail as usize].next = self.free;
        self.free = cursor.head;
        let epoch = self.epochs[usize::from(cursor.side)];
        let cursor = &mut self.cursors[range as usize];
        (cursor.count, cursor.head, cursor.tail) = (0, NONE, NONE);
        cursor.turn = cursor.turn.wrapping_add(1);
        stage.batch(RangeIndex(range), epoch, &self.whole[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::hash::spread;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Log {
        batches: BTreeMap<(u32, u64), Vec<u64>>,
        largest: usize,
        handed: usize,
    }

    impl Stage for Log {
        fn batch(&mut self, range: RangeIndex, epoch: Epoch, records: &[Record]) {
            self.largest = self.largest.max(records.len());
            self.handed += 1;
            self.batches.entry((range.0, epoch.0)).or_default().extend(records.iter().map(|r| r.time_ns));
        }
        fn advance(&mut self, _: Epoch) {}
        fn step(&mut self) -> bool {
            false
        }
    }

    /// Whatever the pool's size: every record once, in its range's order, in its epoch.
    #[test]
    fn no_record_is_lost_doubled_or_moved() {
        for bytes in [0, 20_000, 1 << 22] {
            let mut gather = Gather::new(300, bytes);
            let (mut log, mut want) = (Log::default(), BTreeMap::<(u32, u64), Vec<u64>>::new());
            let mut epoch = Epoch(0);
            for n in 0..60_000_u64 {
                if n % 7_000 == 6_999 {
                    while gather.is_walking() && gather.step(&mut log) {}
                    epoch = Epoch(epoch.0 + 1 + n % 3);
                    gather.advance(epoch);
                }
                let draw = spread(n * 31 + bytes as u64);
                let range = RangeIndex(u32::try_from(if draw.is_multiple_of(2) { draw % 300 } else { draw % 3 }).unwrap());
                let record = Record { time_ns: n, ..Record::default() };
                want.entry((range.0, epoch.0)).or_default().push(n);
                gather.append(range, &record, &mut log);
                if n % 32 == 0 && gather.is_walking() {
                    gather.step(&mut log);
                }
            }
            while gather.step(&mut log) {}
            gather.advance(Epoch::END);
            while gather.step(&mut log) {}
            assert_eq!(log.batches, want, "{bytes} bytes");
            assert!(log.largest == BATCH_RECORDS_MAX || bytes < 1 << 22, "{bytes} bytes: {}", log.largest);
        }
    }

    /// Ranges that fill batch after batch must not cut each other's short.
    #[test]
    fn hot_ranges_keep_their_batches_whole() {
        let mut gather = Gather::new(300, 1 << 17);
        let mut log = Log::default();
        for n in 0..64 * 3_000_u64 {
            let range = RangeIndex(u32::try_from(spread(n) % 8).unwrap());
            gather.append(range, &Record { time_ns: n, ..Record::default() }, &mut log);
        }
        assert!(log.handed <= 3_000, "{} batches", log.handed);
    }
}
