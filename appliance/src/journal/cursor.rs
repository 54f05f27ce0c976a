//! A sink's own way through the journal.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::frame::Content;
use super::lane::{Inner, Lane};
use super::place::Place;
use super::queue::Lies;
use super::segment::{Frames, Segment};
use super::{CursorState, Message};

/// How long a disk that cannot be read is left alone,
const RETRY: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 500 });
/// and how long at all: what cannot be read then, where the disk may be written, is damaged.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 30 });

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
    journal: Arc<Lane>,
    index: usize,
    /// The segment that it reads, by its first position.
    open: RefCell<Option<(u64, Frames)>>,
    /// Since when it cannot be read, and when it is tried again.
    fails: Cell<Option<Instant>>,
    retry_at: Cell<Option<Instant>>,
}

impl Cursor {
    pub(super) const fn new(journal: Arc<Lane>, index: usize) -> Self {
        Self { journal, index, open: RefCell::new(None), fails: Cell::new(None), retry_at: Cell::new(None) }
    }

    /// The oldest message that this sink has not read; waits for one at most `timeout`.
    pub fn next(&self, timeout: Duration) -> Next {
        let deadline = Instant::now() + timeout;
        let mut inner = self.journal.lock();
        loop {
            let wanted = inner.places[self.index].wanted();
            let (at, lies) = inner.queue.find(wanted);
            inner.places[self.index].next = at;
            let until = match lies {
                Lies::Here(message) => {
                    self.fails.set(None);
                    let inner = &mut *inner;
                    inner.places[self.index].read(at, &message);
                    inner.queue.forget(Place::needed(&inner.places));
                    return Next::Message(message);
                }
                Lies::OnDisk(Some(segment)) if !inner.queue.goes(&segment) && self.rests() => {
                    self.retry_at.get().map_or(deadline, |again| again.min(deadline))
                }
                Lies::OnDisk(segment) => {
                    drop(inner);
                    let read = self.read_disk(at, segment);
                    match read {
                        Some(Some(message)) => return Next::Message(message),
                        Some(None) => {
                            inner = self.journal.lock();
                            continue;
                        }
                        None => inner = self.journal.lock(),
                    }
                    self.retry_at.set(Some(Instant::now() + RETRY));
                    deadline.min(Instant::now() + RETRY)
                }
                Lies::Nowhere if inner.closed && at >= inner.queue.end() => return Next::Closed,
                Lies::Nowhere => deadline,
            };
            inner = match self.journal.wait(inner, until) {
                Ok(again) => again,
                Err(_) if Instant::now() >= deadline => return Next::Empty,
                Err(again) => again,
            };
        }
    }

    /// Whether what could not be read is yet to be left alone.
    fn rests(&self) -> bool {
        self.retry_at.get().is_some_and(|again| Instant::now() < again)
    }

    /// The first message from a position on in a segment. None: it cannot be read now. None of it: there is none, or it fell off
    /// meanwhile; where to go on is known.
    fn read_disk(&self, at: u64, segment: Option<Segment>) -> Option<Option<Arc<Message>>> {
        let found = match segment.as_ref().map(|segment| self.read(at, segment)).transpose() {
            Ok(found) => found.flatten(),
            Err(fault) => {
                let segment = segment?;
                if !self.is_lost(&segment, &fault) {
                    // What it has open may not be what is there by then.
                    self.open.replace(None);
                    return None;
                }
                if self.open.borrow_mut().as_mut().is_some_and(|(_, frames)| frames.skip_block(segment.bytes)) {
                    return Some(None);
                }
                self.open.replace(None);
                return Some(self.take(at, Some(segment), None));
            }
        };
        self.retry_at.set(None);
        if found.is_some() && self.fails.take().is_some() {
            tracing::info!("the journal can be read again");
        }
        Some(self.take(at, segment, found))
    }

    /// Where it goes on, and with what.
    fn take(&self, at: u64, segment: Option<Segment>, found: Option<(u64, Content)>) -> Option<Arc<Message>> {
        let mut inner = self.journal.lock();
        let Inner { queue, places, .. } = &mut *inner;
        let (place, holes) = (&mut places[self.index], queue.holes());
        if place.next != at {
            // It fell off while it was read, and was counted.
            return None;
        }
        let end = segment.map_or_else(|| queue.front(), |segment| segment.end);
        let (to, message, gap) = match found {
            Some((position, Content::Message(message))) => (position, Some(message), None),
            Some((position, Content::Gap(to))) => (position, None, Some(to)),
            None => (end, None, None),
        };
        let lost = place.skip(to, holes, message.as_ref().map(|message| message.window));
        if lost > 0 {
            tracing::error!(sink = place.sink, from = at, to, lost, "a part of the journal is damaged: these reports are lost");
        }
        if let Some(to) = gap {
            place.pass(to, holes);
        }
        let message = Arc::new(message?);
        place.read(to, &message);
        Some(message)
    }

    /// What is known first from a position on, if the segment has anything there.
    fn read(&self, at: u64, segment: &Segment) -> io::Result<Option<(u64, Content)>> {
        let mut open = self.open.borrow_mut();
        let (_, frames) = match open.take() {
            Some((first, frames)) if first == segment.first => open.insert((first, frames)),
            _ => open.insert((segment.first, Frames::open(&segment.path)?)),
        };
        let is_before = |position: u64, content: &Content| if let Content::Gap(to) = content { *to <= at } else { position < at };
        loop {
            match frames.next()? {
                Some((position, content)) if is_before(position, &content) => {}
                Some(found) if found.0 < segment.end => return Ok(Some(found)),
                _ => break,
            }
        }
        *open = None;
        Ok(None)
    }

    /// Whether what cannot be read is given up. It is not while the disk is away: then it comes later.
    fn is_lost(&self, segment: &Segment, fault: &io::Error) -> bool {
        let (goes, is_away, sink) = {
            let inner = self.journal.lock();
            let queue = &inner.queue;
            (queue.goes(segment), queue.is_refused() || queue.hangs(), inner.places[self.index].sink.clone())
        };
        if goes {
            return false;
        }
        let since = self.fails.get().unwrap_or_else(|| {
            tracing::error!(sink, "the journal cannot be read: {}: {fault}; trying again", segment.path.display());
            Instant::now()
        });
        // Time counts while the disk takes writes.
        let is_there = !is_away && segment.path.parent().is_some_and(Path::exists);
        self.fails.set(Some(if is_there { since } else { Instant::now() }));
        is_there && since.elapsed() > PATIENCE
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
        let Inner { queue, places, .. } = &mut *inner;
        places[self.index].leave(queue);
        queue.forget(Place::needed(places));
        drop(inner);
        self.journal.news.notify_all();
    }
}
