//! What the writer asks of the journal, and tells it.

use std::time::{Duration, Instant};

use super::lane::{Inner, Lane};
use super::marks::Saved;
use super::place::Place;
use super::previous::LastRun;
use super::queue::Unsaved;
use super::segment::Segment;
use super::store::Held;

/// What the writer is to do.
pub(super) enum Work {
    /// Write these.
    Messages(Unsaved),
    /// Nothing now.
    None,
    /// Nothing, and nothing will come.
    Ended,
}

/// Messages of a segment that goes are counted in lots of so many: others want the lock too.
const LOT: usize = 1_024;

impl Lane {
    /// Messages that are not on disk yet, of so many bytes about; waits for some at most `timeout`, and for a run that begins.
    pub(super) fn work(&self, timeout: Duration, bytes_max: usize) -> Work {
        let deadline = Instant::now() + timeout;
        let mut inner = self.lock();
        loop {
            if inner.ended && inner.queue.is_refused() {
                return Work::Ended;
            }
            if let Some(unsaved) = inner.queue.unsaved(bytes_max) {
                return Work::Messages(unsaved);
            }
            if inner.ended {
                return Work::Ended;
            }
            if inner.run.is_new() {
                return Work::None;
            }
            let Ok(again) = self.wait(inner, deadline) else { return Work::None };
            inner = again;
        }
    }

    pub(super) fn unsaved(&self, bytes_max: usize) -> Option<Unsaved> {
        self.lock().queue.unsaved(bytes_max)
    }

    /// Waits, unless the journal ends.
    pub(super) fn rest(&self, time: Duration) {
        let _ = self.news.wait_timeout_while(self.lock(), time, |inner| !inner.ended);
    }

    /// The disk is asked something, or has answered.
    pub(super) fn asks(&self, asked: Option<Instant>) {
        if self.lock().queue.asks(asked) {
            tracing::info!("the disk of the journal answers again");
        }
    }

    /// The active segment, with what was written to it.
    pub(super) fn saved(&self, active: Segment) {
        self.lock().queue.saved(active);
        self.news.notify_all();
    }

    /// All that was written has reached the disk.
    pub(super) fn synced(&self) {
        let mut inner = self.lock();
        let Inner { queue, places, .. } = &mut *inner;
        if queue.synced() {
            tracing::info!("the disk of the journal takes reports again");
        }
        self.reached.set(queue.reached());
        queue.forget(Place::needed(places));
        drop(inner);
        self.news.notify_all();
    }

    /// What was written did not reach the disk. Up to where it is there.
    pub(super) fn unsynced(&self) -> u64 {
        self.lock().queue.unsynced()
    }

    /// What was being written is not on the disk: what of it fell off memory meanwhile is lost.
    pub(super) fn unwritten(&self, unsaved: &Unsaved) {
        let mut inner = self.lock();
        let Inner { queue, places, .. } = &mut *inner;
        for lost in queue.unwritten(unsaved.first, &unsaved.messages) {
            places.iter_mut().for_each(|place| place.lose_unsaved(&lost));
        }
    }

    pub(super) fn refused(&self, fault: &str) {
        if self.lock().queue.refused(fault) {
            tracing::error!(
                "the journal cannot be written: {fault}; reports are in memory alone until its disk has room and may be written"
            );
        }
        self.news.notify_all();
    }

    /// The oldest segment, if it is not the last one, and whether some sink has yet to read of it. It goes, unless it [`Self::stays`].
    pub(super) fn begin_to_drop(&self) -> Option<(Segment, bool)> {
        let mut inner = self.lock();
        let oldest = inner.queue.begin_to_drop()?;
        let is_unread = inner.places.iter().any(|place| place.wants(oldest.end));
        Some((oldest, is_unread))
    }

    pub(super) fn stays(&self) {
        self.lock().queue.stays();
        self.news.notify_all();
    }

    /// The oldest segment is gone, of which so much could be read.
    pub(super) fn dropped(&self, segment: &Segment, held: &[Held]) {
        for lot in held.chunks(LOT) {
            let mut inner = self.lock();
            let Inner { queue, places, .. } = &mut *inner;
            places.iter_mut().for_each(|place| place.lose_all(lot, queue.holes()));
        }
        let mut inner = self.lock();
        let Inner { queue, places, .. } = &mut *inner;
        for place in places {
            place.skip(segment.end, queue.holes(), None);
        }
        queue.dropped(segment);
        drop(inner);
        self.news.notify_all();
    }

    /// Whether who begins a run waits for the disk to have for good what was saved.
    pub(super) fn awaits(&self, saved: Option<LastRun>) -> bool {
        self.lock().run.is_unsettled(saved)
    }

    /// It has.
    pub(super) fn run_is_settled(&self) {
        self.lock().run.settled();
        self.news.notify_all();
    }

    /// Whether a run has begun, and nobody asked before.
    pub(super) fn has_begun(&self) -> bool {
        self.lock().run.has_begun()
    }

    /// Where the sinks are, and what they are to be told, and how far this run has come.
    pub(super) fn marks(&self) -> Saved {
        let mut inner = self.lock();
        let Inner { queue, places, run, .. } = &mut *inner;
        let sinks = places.iter_mut().map(|place| (place.sink.clone(), place.mark(queue))).collect();
        Saved { sinks, run: run.reached(queue.reached()) }
    }
}
