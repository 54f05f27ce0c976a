//! Export datagrams that receiving cores take out of the mirror, on the thread that receives.

use std::sync::{Arc, Mutex, PoisonError};

use crate::flows::tap::Tapped;
use crate::flows::{Collector, Flow};

/// From who makes the data path to the thread.
#[derive(Clone, Default)]
pub(super) struct Hand(Arc<Mutex<Option<Tapped>>>);

impl Hand {
    /// Gives it the other end of all cores' taps.
    pub(super) fn give(&self, tapped: Tapped) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tapped);
    }
}

/// The thread's side.
#[derive(Default)]
pub(super) struct Ports {
    hand: Hand,
    tapped: Option<Tapped>,
}

impl Ports {
    pub(super) fn hand(&self) -> Hand {
        self.hand.clone()
    }

    /// Whether cores hand anything over: nobody wakes the thread for it.
    pub(super) const fn is_on(&self) -> bool {
        self.tapped.is_some()
    }

    /// Whether no core hands over anything more.
    pub(super) fn is_over(&self) -> bool {
        self.tapped.as_ref().is_none_or(Tapped::is_abandoned)
    }

    /// Takes what is there of each core, up to a burst, at this time; how many packets.
    pub(super) fn receive(&mut self, now_ns: u64, collector: &mut Collector, out: &mut dyn FnMut(&Flow)) -> usize {
        if self.tapped.is_none() {
            self.tapped = self.hand.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        self.tapped.as_mut().map_or(0, |tapped| tapped.receive(now_ns, collector, out))
    }

    /// Nothing more will come.
    pub(super) fn end(&mut self, collector: &mut Collector) {
        self.tapped.iter_mut().for_each(|tapped| tapped.end(collector));
    }
}
