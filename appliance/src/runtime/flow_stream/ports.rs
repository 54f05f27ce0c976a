//! Export datagrams that receiving cores take out of the mirror, on the thread that receives.

use std::sync::{Arc, Mutex, PoisonError};

use crate::flows::tap::{TapCounts, Tapped};
use crate::flows::{Collector, Flow};

type Ends = (Vec<Tapped>, Arc<TapCounts>);

/// From who makes the data path to the thread.
#[derive(Clone, Default)]
pub(super) struct Hand(Arc<Mutex<Option<Ends>>>);

impl Hand {
    /// Gives it the ends of all cores.
    pub(super) fn give(&self, tapped: Vec<Tapped>, counts: Arc<TapCounts>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((tapped, counts));
    }
}

/// The thread's side.
#[derive(Default)]
pub(super) struct Ports {
    hand: Hand,
    ends: Option<Ends>,
}

impl Ports {
    pub(super) fn hand(&self) -> Hand {
        self.hand.clone()
    }

    /// Whether cores hand anything over: nobody wakes the thread for it.
    pub(super) const fn is_on(&self) -> bool {
        self.ends.is_some()
    }

    /// Whether no core hands over anything more.
    pub(super) fn is_over(&self) -> bool {
        self.ends.as_ref().is_none_or(|(tapped, _)| tapped.iter().all(Tapped::is_abandoned))
    }

    /// Takes what is there of each core, up to a burst; how many packets.
    pub(super) fn receive(&mut self, collector: &mut Collector, out: &mut dyn FnMut(&Flow)) -> usize {
        if self.ends.is_none() {
            self.ends = self.hand.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        let Some((tapped, counts)) = &mut self.ends else { return 0 };
        let came = tapped.iter_mut().map(|tapped| tapped.receive(collector, out)).sum();
        collector.note_ports(counts.now());
        came
    }
}
