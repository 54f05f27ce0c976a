//! A sink's own way through the journal.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::Lies;
use super::segment::{Frames, Segment};
use super::{CursorState, Journal, Message};

/// What [`Cursor::next`] found.
#[derive(Debug)]
pub enum Next {
    /// The oldest message not yet read. Settle it with [`Cursor::commit`].
    Message(Arc<Message>),
    /// Nothing came within the time given.
    Empty,
    /// Nothing is left and nothing will come.
    Closed,
}

/// One sink's place in the journal. Dropping it says that this sink is gone for good.
#[derive(Debug)]
pub struct Cursor {
    journal: Arc<Journal>,
    index: usize,
    /// The segment that it reads, by its first position.
    open: RefCell<Option<(u64, Frames)>>,
}

impl Cursor {
    pub(super) const fn new(journal: Arc<Journal>, index: usize) -> Self {
        Self { journal, index, open: RefCell::new(None) }
    }

    /// The oldest message that this sink has not read; waits for one at most `timeout`.
    pub fn next(&self, timeout: Duration) -> Next {
        let deadline = Instant::now() + timeout;
        let mut inner = self.journal.lock();
        loop {
            let (queue, place) = (&inner.queue, &inner.places[self.index]);
            let (at, lies) = queue.find(place.next);
            inner.places[self.index].next = at;
            match lies {
                Lies::Here(message) => {
                    let inner = &mut *inner;
                    let place = &mut inner.places[self.index];
                    place.read(at);
                    inner.queue.forget(super::Place::needed(&inner.places));
                    return Next::Message(message);
                }
                Lies::OnDisk(segment) => {
                    drop(inner);
                    if let Some(message) = self.read_disk(at, segment) {
                        return Next::Message(message);
                    }
                    inner = self.journal.lock();
                    continue;
                }
                Lies::Nowhere => {}
            }
            if inner.closed && at >= inner.queue.end() {
                return Next::Closed;
            }
            let Some(again) = self.journal.wait(inner, deadline) else { return Next::Empty };
            inner = again;
        }
    }

    /// The first message from a position on in a segment. None: there is none, or it fell off meanwhile; where to go on is known.
    fn read_disk(&self, at: u64, segment: Option<Segment>) -> Option<Arc<Message>> {
        let found = segment.as_ref().and_then(|segment| self.read(at, segment));
        let mut inner = self.journal.lock();
        let inner = &mut *inner;
        let place = &mut inner.places[self.index];
        if place.next != at {
            // It fell off while it was read, and was counted.
            return None;
        }
        if let Some((position, message)) = found {
            place.skip(position, &[], inner.queue.holes());
            place.read(position);
            return Some(Arc::new(message));
        }
        let end = segment.map_or_else(|| inner.queue.front(), |segment| segment.end);
        place.skip(end, &[], inner.queue.holes());
        tracing::error!(sink = place.sink, from = at, to = end, "a part of the journal cannot be read: these messages are lost");
        None
    }

    /// The first message from a position on, if the segment has one.
    fn read(&self, at: u64, segment: &Segment) -> Option<(u64, Message)> {
        let mut open = self.open.borrow_mut();
        if open.as_ref().is_none_or(|(first, _)| *first != segment.first) {
            *open = Frames::open(&segment.path).ok().map(|frames| (segment.first, frames));
        }
        let (_, frames) = open.as_mut()?;
        let found = loop {
            match frames.next() {
                Ok(Some((position, _))) if position < at => {}
                Ok(Some(found)) if found.0 < segment.end => break Some(found),
                _ => break None,
            }
        };
        if found.is_none() {
            *open = None;
        }
        found
    }

    /// The `count` oldest messages in flight are settled.
    pub fn commit(&self, count: u64) {
        self.journal.lock().places[self.index].commit(count);
        self.journal.news.notify_all();
    }

    /// Where this sink stands.
    pub fn state(&self) -> CursorState {
        let inner = self.journal.lock();
        inner.places[self.index].state(&inner.queue, inner.begin)
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        let mut inner = self.journal.lock();
        let super::Inner { queue, places, .. } = &mut *inner;
        places[self.index].leave(queue);
        queue.forget(super::Place::needed(places));
        drop(inner);
        self.journal.news.notify_all();
    }
}
