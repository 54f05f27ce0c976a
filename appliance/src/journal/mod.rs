//! Reports wait here until every sink has delivered them, or until the bound is reached.
//!
//! A bounded queue in memory with one cursor a sink. Appending never waits: when the queue is full the oldest message
//! falls off, and each sink that had not yet read it counts one overflow. What a sink has read it holds itself until it is
//! settled (each sink bounds that). So for every sink, at any time,
//! `appended = committed + overflow + in_flight + unread` (see [`CursorState`]); nothing disappears uncounted.
//!
//! All of it is control path: a mutex and a condition variable serve a few thousand messages a second with ease.

mod message;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use message::{Kind, Message};

/// How much the journal holds before the oldest messages fall off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Messages; at least 1.
    pub messages: usize,
    /// Sum of [`Message::bytes`]. One message above it is still held while it is alone.
    pub bytes: usize,
}

impl Default for Bound {
    /// A minute and more of 50,000 ranges' reports of 1 KB, or all of 256 MiB.
    fn default() -> Self {
        Self { messages: 1 << 20, bytes: 256 << 20 }
    }
}

/// Where one sink stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorState {
    /// The sink's name.
    pub sink: String,
    /// Messages that it has read and settled (delivered, or given up and counted by the sink).
    pub committed: u64,
    /// Messages that fell off before it had read them; of a sink that is gone, also those that came after it.
    pub overflow: u64,
    /// Messages read and not settled.
    pub in_flight: u64,
    /// Messages not yet read; of a sink that is gone, those that it left unread.
    pub unread: u64,
}

impl CursorState {
    /// Messages that still wait for this sink.
    pub const fn behind(&self) -> u64 {
        self.in_flight + self.unread
    }
}

/// The whole journal at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalState {
    /// Messages appended since the start.
    pub appended: u64,
    /// Messages held now.
    pub messages: usize,
    /// Bytes held now.
    pub bytes: usize,
    /// One entry for each sink, in the order given to [`Journal::new`].
    pub cursors: Vec<CursorState>,
}

/// The bounded queue. Shared by its writer (the reporter) and the sinks.
#[derive(Debug)]
pub struct Journal {
    bound: Bound,
    inner: Mutex<Inner>,
    news: Condvar,
}

#[derive(Debug)]
struct Inner {
    queue: VecDeque<Arc<Message>>,
    /// Position of the queue's front; positions count up from 0 with each append.
    front: u64,
    bytes: usize,
    closed: bool,
    cursors: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    sink: String,
    /// Next position to read.
    next: u64,
    /// Read and settled.
    committed: u64,
    in_flight: u64,
    overflow: u64,
    /// Once its cursor is gone: what it had not read by then. It holds nothing back; what comes later it has missed.
    left: Option<u64>,
    taken: bool,
}

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
}

impl Journal {
    /// An empty journal that is read by the sinks named. Without sinks it forgets what it is given.
    pub fn new<S: AsRef<str>>(bound: Bound, sinks: &[S]) -> Arc<Self> {
        let cursors = sinks.iter().map(|sink| Place::new(sink.as_ref())).collect();
        let inner = Inner { queue: VecDeque::new(), front: 0, bytes: 0, closed: false, cursors };
        let bound = Bound { messages: bound.messages.max(1), ..bound };
        Arc::new(Self { bound, inner: Mutex::new(inner), news: Condvar::new() })
    }

    /// Adds a message; the oldest fall off where the bound asks for it. False if the journal is closed (nothing is added).
    pub fn append(&self, message: Message) -> bool {
        let mut inner = self.lock();
        if inner.closed {
            return false;
        }
        inner.bytes += message.bytes();
        inner.cursors.iter_mut().filter(|place| place.left.is_some()).for_each(|place| place.overflow += 1);
        inner.queue.push_back(Arc::new(message));
        inner.forget_read();
        while inner.queue.len() > self.bound.messages || (inner.bytes > self.bound.bytes && inner.queue.len() > 1) {
            inner.drop_oldest();
        }
        drop(inner);
        self.news.notify_all();
        true
    }

    /// No more messages: readers get what is left, then [`Next::Closed`].
    pub fn close(&self) {
        self.lock().closed = true;
        self.news.notify_all();
    }

    /// The cursor of this sink; `None` if there is no such sink or its cursor was already taken.
    pub fn cursor(self: &Arc<Self>, sink: &str) -> Option<Cursor> {
        let mut inner = self.lock();
        let index = inner.cursors.iter().position(|place| place.sink == sink && !place.taken)?;
        inner.cursors[index].taken = true;
        Some(Cursor { journal: Arc::clone(self), index })
    }

    /// Where everything stands.
    pub fn state(&self) -> JournalState {
        let inner = self.lock();
        let end = inner.end();
        let cursors = inner.cursors.iter().map(|place| place.state(end)).collect();
        JournalState { appended: end, messages: inner.queue.len(), bytes: inner.bytes, cursors }
    }

    /// Overflow of each sink since the start, for `ApplianceReport.sink_overflow`.
    pub fn overflow(&self) -> Vec<(String, u64)> {
        self.lock().cursors.iter().map(|place| (place.sink.clone(), place.overflow)).collect()
    }

    /// Waits until every sink has settled everything, or until the deadline. True if so.
    pub fn drained_by(&self, deadline: Instant) -> bool {
        let mut inner = self.lock();
        loop {
            let end = inner.end();
            if inner.cursors.iter().all(|place| place.left.is_some() || place.state(end).behind() == 0) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            inner = self.news.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Counters and a queue stay whole even if a holder of the lock panicked between two statements that move them.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cursor {
    /// The oldest message that this sink has not read; waits for one at most `timeout`.
    pub fn next(&self, timeout: Duration) -> Next {
        let deadline = Instant::now() + timeout;
        let mut inner = self.journal.lock();
        loop {
            if let Some(message) = inner.read(self.index) {
                return Next::Message(message);
            }
            if inner.closed {
                return Next::Closed;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Empty;
            }
            inner = self.journal.news.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The `count` oldest messages in flight are settled.
    pub fn commit(&self, count: u64) {
        let mut inner = self.journal.lock();
        let place = &mut inner.cursors[self.index];
        let count = count.min(place.in_flight);
        place.in_flight -= count;
        place.committed += count;
        drop(inner);
        self.journal.news.notify_all();
    }

    /// Where this sink stands.
    pub fn state(&self) -> CursorState {
        let inner = self.journal.lock();
        inner.cursors[self.index].state(inner.end())
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        let mut inner = self.journal.lock();
        let end = inner.end();
        let place = &mut inner.cursors[self.index];
        place.left = Some(end - place.next);
        inner.forget_read();
        drop(inner);
        self.journal.news.notify_all();
    }
}

impl Inner {
    fn end(&self) -> u64 {
        self.front + self.queue.len() as u64
    }

    fn read(&mut self, index: usize) -> Option<Arc<Message>> {
        let place = &mut self.cursors[index];
        let at = usize::try_from(place.next.checked_sub(self.front)?).ok()?;
        let message = self.queue.get(at)?;
        let message = Arc::clone(message);
        place.next += 1;
        place.in_flight += 1;
        self.forget_read();
        Some(message)
    }

    /// Messages that every sink has read are held by those sinks, where they are in flight: they need no place here.
    fn forget_read(&mut self) {
        let needed = self.cursors.iter().filter(|place| place.left.is_none()).map(|place| place.next).min();
        let needed = needed.unwrap_or_else(|| self.end());
        while self.front < needed && self.pop() {}
    }

    fn drop_oldest(&mut self) {
        let oldest = self.front;
        if !self.pop() {
            return;
        }
        for place in self.cursors.iter_mut().filter(|place| place.left.is_none() && place.next <= oldest) {
            place.next = oldest + 1;
            place.overflow += 1;
        }
    }

    fn pop(&mut self) -> bool {
        let Some(message) = self.queue.pop_front() else { return false };
        self.bytes -= message.bytes();
        self.front += 1;
        true
    }
}

impl Place {
    fn new(sink: &str) -> Self {
        Self { sink: sink.to_owned(), next: 0, committed: 0, in_flight: 0, overflow: 0, left: None, taken: false }
    }

    fn state(&self, end: u64) -> CursorState {
        let unread = self.left.unwrap_or(end - self.next);
        CursorState { sink: self.sink.clone(), committed: self.committed, overflow: self.overflow, in_flight: self.in_flight, unread }
    }
}

#[cfg(test)]
mod tests;
