//! What waited while a core did not poll.

use super::receiver::Receiver;
use crate::gather::Stage;
use crate::telemetry::Work;

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

    /// It did not poll for longer than its work takes: what waits now came meanwhile, and is not more than it can do.
    #[cold]
    pub fn was_away(&mut self, away_ns: u64) {
        if let Some(load) = &mut self.load {
            load.was_away(away_ns);
        }
    }

    /// Batches handed on since the start, and what one takes at most.
    pub fn work(&self) -> Work {
        Work { handed: self.gather.handed(), batch_ns_max: self.world.batch_ns_max }
    }
}
