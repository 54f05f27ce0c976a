//! What waited while a core did not poll.

use super::receiver::Receiver;
use crate::gather::Stage;

/// Part of a window that may lie between two polls.
const HELD_PARTS: u64 = 10;

impl<S: Stage> Receiver<S> {
    /// Frames come that may have waited for this poll so long.
    #[cold]
    pub fn held_up(&mut self, time_ns: u64, pause_ns: u64) {
        let calendar = &self.world.calendar;
        let (from, to) = (calendar.epoch(time_ns.saturating_sub(pause_ns)), calendar.epoch(time_ns));
        if from < to {
            self.open.hold(from, to);
        }
    }

    /// A pause between two polls over the end of a window that is longer than this moves too much of it into the next: a tenth of the
    /// shortest window, as of clocks.
    pub fn pause_ns_max(&self) -> u64 {
        self.world.calendar.epoch_ns() / HELD_PARTS
    }
}
