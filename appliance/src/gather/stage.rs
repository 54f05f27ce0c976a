//! What takes batches: the stats of this core, or rings to workers.

use std::sync::Arc;

use super::packed::Batch;
use crate::telemetry::LiveCore;
use crate::units::{Epoch, RangeIndex};

/// See the module.
pub trait Stage {
    /// A batch of one range and epoch, 1 to 64 records in their order. The last one of its range and epoch may say so.
    fn batch(&mut self, range: RangeIndex, epoch: Epoch, batch: &Batch<'_>);

    /// No batch of the range comes any more of `epoch`, and none was there to say so; `next` is open now.
    fn passed(&mut self, _range: RangeIndex, _epoch: Epoch, _next: Epoch) {}

    /// Whether a walk over ranges had better pause: what the last range's end began goes on, which [`Self::step`] does, or
    /// workers have enough to do.
    fn is_busy(&self) -> bool {
        false
    }

    /// Whether what [`Self::advance`] ended is not over yet: two epochs are alive here, and there is no room for a third.
    fn is_closing(&self) -> bool {
        false
    }

    /// The next epoch has begun and must wait for what is over: until [`Self::advance`] has ended that, nothing waits for room
    /// where others take too long. What finds none is lost and counted.
    fn hurry(&mut self) {}

    /// Takes note of records of the open epoch that were received and not kept. Only where [`Self::is_stepwise`] made them wait.
    fn lose(&mut self, _range: RangeIndex, _epoch: Epoch, _records: u64) {}

    /// Records that one step of a walk over ranges may hand on, where this core works on them: more would hold it too long.
    fn walk_records_max(&self) -> Option<usize> {
        None
    }

    /// All batches of epochs before `next` were given.
    fn advance(&mut self, next: Epoch);

    /// Other ranges count from here on, and so much is done with a record of each. Who keeps it lets go of the one before,
    /// which others hold still.
    fn renew(&mut self, _efforts: &Arc<[u8]>) {}

    /// Whether an epoch that is not the next must wait until all batches of the one before were given: where several cores send
    /// to one, it keeps no more than two apart.
    fn is_stepwise(&self) -> bool {
        false
    }

    /// All batches of epochs before `next` were given, and some of its own may come before [`Self::advance`] says so.
    fn begin(&mut self, _next: Epoch) {}

    /// Tells what was lost in the epochs that [`Self::advance`] ended, and forgets it.
    fn losses(&mut self, _tell: &mut dyn FnMut(&Lost<'_>)) {}

    /// Does a bounded piece of what waits to be done; false if nothing does.
    fn step(&mut self) -> bool;

    /// A poll that is timed begins. Where batches only pass through there is nothing to time.
    fn begin_timing(&mut self) {}

    /// It is over; what was timed counts, or is forgotten.
    fn end_timing(&mut self, _counts: bool) {}

    /// Ticks of all that it has timed since the start.
    fn timed(&self) -> u64 {
        0
    }

    /// The core has more to do than it can: from now on stats that may leave records out look at one in 2^level; 0: at all.
    fn shed(&mut self, _level: u32) {}

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

/// Records of a range that were lost, by [`Cause`].
pub type LossOfRange = (u32, [u64; Cause::COUNT]);

/// Records that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost<'a> {
    /// In the order of ranges.
    pub ranges: &'a [LossOfRange],
    /// Of ranges that are not told apart.
    pub others: [u64; Cause::COUNT],
}
