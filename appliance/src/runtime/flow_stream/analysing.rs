//! Flow records into the stats of ranges, on the thread that receives them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::analyse::Analysis;
use crate::flows::{Flow, Ledger};
use crate::runtime::flow_feed::units_missing;
use crate::rx::timeline::Timeline;

/// What counts flows, and the time of the data path: its windows are those of all other cores, whatever the wall clock does.
pub(super) type Counting = (Analysis, Arc<Timeline>);

/// From who makes the data path to the thread that receives.
#[derive(Default)]
pub(super) enum Hand {
    /// The data path has not begun.
    #[default]
    Empty,
    /// To be taken.
    Given(Box<Counting>),
    /// The thread has ended: nobody takes it.
    Over,
}

/// Both sides hold it.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Hand>>);

impl Shared {
    /// Gives it to the thread. Where that is over already the reporter is told so: it waits for the end of all.
    pub(super) fn give(&self, counting: Counting) {
        let mut hand = self.lock();
        match &mut *hand {
            Hand::Over => {
                drop(hand);
                let (mut analysis, _) = counting;
                analysis.end();
            }
            empty => *empty = Hand::Given(Box::new(counting)),
        }
    }

    fn take(&self, becomes: Hand) -> Option<Box<Counting>> {
        match std::mem::replace(&mut *self.lock(), becomes) {
            Hand::Given(counting) => Some(counting),
            Hand::Empty | Hand::Over => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Hand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's side.
#[derive(Default)]
pub(super) struct Analysing {
    pub(super) hand: Shared,
    counting: Option<Box<Counting>>,
    missing: u64,
}

impl Analysing {
    /// Whether flows are counted.
    pub(super) const fn is_on(&self) -> bool {
        self.counting.is_some()
    }

    /// The window of now is open; once a burst.
    pub(super) fn turn(&mut self) {
        if self.counting.is_none() {
            self.counting = self.hand.take(Hand::Empty);
        }
        if let Some((analysis, timeline)) = self.counting.as_deref_mut() {
            analysis.turn(timeline.now_ns());
        }
    }

    /// Counts a flow.
    #[inline]
    pub(super) fn take(&mut self, flow: &Flow) {
        if let Some((analysis, _)) = self.counting.as_deref_mut() {
            analysis.take(flow);
        }
    }

    /// Notes what is known to be missing by now.
    pub(super) fn miss(&mut self, ledger: &Ledger) {
        let Some((analysis, _)) = self.counting.as_deref_mut() else { return };
        let now = units_missing(ledger);
        analysis.miss(now.saturating_sub(self.missing));
        self.missing = now;
    }

    /// Nothing comes any more; so many sets wait for their templates in vain.
    pub(super) fn end(&mut self, waiting: u64) {
        let late = self.hand.take(Hand::Over);
        if let Some((analysis, _)) = self.counting.take().or(late).as_deref_mut() {
            analysis.miss(waiting);
            analysis.end();
        }
    }
}

/// However the thread ends, the reporter does not wait for it.
impl Drop for Analysing {
    fn drop(&mut self) {
        self.end(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::HashKey;
    use crate::runtime::wiring::{Cores, wire};
    use crate::runtime::world::World;
    use crate::telemetry::Registry;
    use std::time::Duration;

    fn analysis(folder: &std::path::Path) -> (Analysis, crate::window::stream::Stream) {
        std::fs::write(folder.join("r.csv"), "prefix,customer\n10.0.0.0/8,a\n").unwrap();
        let rows = "[ranges]\nfile = \"r.csv\"\n[[stats]]\nname = \"s\"\ncalculation = \"sum\"\nsource = \"flows\"\n";
        std::fs::write(folder.join("t.toml"), rows).unwrap();
        let config = crate::config::load(&folder.join("t.toml"), &crate::stats::check).unwrap();
        let world = Arc::new(World::new(&config, HashKey::constant(), 1).unwrap());
        let registry = Registry::new("t", "", Duration::from_secs(1));
        let mut wired = wire(&world, &Cores { rx: vec![1], workers: Vec::new() }, &registry, false);
        (wired.analysis.take().unwrap(), wired.streams.pop().unwrap().1)
    }

    /// It is given before, while or after the thread ends: its stream is over each time.
    #[test]
    fn the_reporter_is_told_the_end_whoever_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for order in 0..3 {
            let (analysis, mut stream) = analysis(folder.path());
            let (mut analysing, timeline) = (Analysing::default(), Arc::new(Timeline::default()));
            let hand = analysing.hand.clone();
            if order == 2 {
                analysing.end(0);
            }
            hand.give((analysis, timeline));
            if order == 0 {
                analysing.turn();
                assert!(analysing.is_on());
            }
            drop(analysing);
            while stream.next(|_| {}) {}
            assert!(stream.is_over(), "{order}");
        }
    }
}
