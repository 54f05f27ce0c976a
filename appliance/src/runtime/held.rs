//! What waited while a core did not poll.

use super::receiver::Receiver;
use crate::gather::Stage;

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
}
