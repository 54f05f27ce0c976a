//! Reports wait here until every sink has delivered them, or until the bound is reached.
//!
//! Appending never waits for anything but the lock: a message goes into a queue in memory. Where a disk is configured, one thread
//! writes what the queue has into segments ([`Disk`]), and a sink sees a message only when it is written; what is written need not
//! stay in memory, and what a sink has not delivered when the process dies, it finds again at the next start. A disk that refuses or
//! is slow fills the queue; while it refuses, sinks read from the queue. Without a disk the queue is all there is.
//!
//! When the bound is reached the oldest message falls off, and each sink that had not yet read it counts one overflow, and of which
//! window and range it was. What a sink has read it holds itself until it is settled (each sink bounds that). So for every sink, at
//! any time, `appended + backlog = committed + overflow + in_flight + unread` (see [`CursorState`]); nothing disappears uncounted.
//!
//! All of it is control path: a mutex and a condition variable serve a few hundred thousand messages a second with ease.

mod cursor;
mod frame;
mod losses;
mod message;
mod place;
mod places;
mod queue;
mod segment;
mod store;
mod writer;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use cursor::{Cursor, Next};
pub use losses::Losses;
pub use message::{Kind, Message, WindowOf};
pub use place::CursorState;
pub use store::{Disk, OpenError};

use losses::Lost;
use place::Place;
use places::Places;
use queue::Queue;
use segment::Segment;
use store::Store;
use writer::Writer;

/// How much the journal holds in memory before the oldest messages fall off.
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

/// The whole journal at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalState {
    /// Messages appended since the start.
    pub appended: u64,
    /// Messages held in memory now.
    pub messages: usize,
    /// Bytes held in memory now.
    pub bytes: usize,
    /// Bytes of all segments on disk.
    pub disk_bytes: u64,
    /// Why the disk takes nothing at present.
    pub fault: Option<String>,
    /// One entry for each sink, in the order given to [`Journal::new`].
    pub cursors: Vec<CursorState>,
}

/// See the module. Shared by its writer (the reporter) and the sinks.
#[derive(Debug)]
pub struct Journal {
    inner: Mutex<Inner>,
    news: Condvar,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Inner {
    queue: Queue,
    /// Position of the first message of this run.
    begin: u64,
    closed: bool,
    ended: bool,
    places: Vec<Place>,
}

/// What is to be written.
enum Unsaved {
    /// From this position on.
    Messages(u64, Vec<Arc<Message>>),
    /// Nothing now.
    None,
    /// Nothing, and nothing will come.
    Ended,
}

impl Journal {
    /// An empty journal in memory that is read by the sinks named. Without sinks it forgets what it is given.
    pub fn new<S: AsRef<str>>(bound: Bound, sinks: &[S]) -> Arc<Self> {
        Self::made(Queue::new(bound, 0, None), sinks.iter().map(|sink| Place::new(sink.as_ref(), 0)).collect())
    }

    /// A journal on disk, with what an earlier run left there: sinks go on where they were.
    ///
    /// # Errors
    /// The folder cannot be used, or another process uses it.
    pub fn open<S: AsRef<str>>(bound: Bound, disk: &Disk, sinks: &[S]) -> Result<Arc<Self>, OpenError> {
        let (store, left) = Store::open(disk)?;
        let oldest = left.segments.first().map(|segment| segment.first);
        let last = left.segments.last().map_or(0, |segment| segment.end);
        // What a power cut took, and a sink had seen, never gets a number again.
        let begin = left.places.iter().flat_map(Places::values).fold(last, |last, place| last.max(*place));
        let place = |sink: &S| {
            let at = match &left.places {
                // A sink that is new begins with what is new.
                Some(places) => places.get(sink.as_ref()).copied().unwrap_or(begin),
                None => oldest.unwrap_or(begin),
            };
            Place::new(sink.as_ref(), at)
        };
        let mut places: Vec<Place> = sinks.iter().map(place).collect();
        places.iter_mut().for_each(|place| place.skip(oldest.unwrap_or(begin), &[], &[]));
        let journal = Self::made(Queue::new(bound, begin, Some(left.segments)), places);
        let writer = Writer::new(Arc::clone(&journal), store);
        let thread = thread::Builder::new().name("journal".into()).spawn(|| writer.run());
        let thread = thread.map_err(|reason| OpenError::Io { folder: disk.folder.clone(), reason })?;
        *journal.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(journal)
    }

    fn made(queue: Queue, places: Vec<Place>) -> Arc<Self> {
        let begin = queue.end();
        let inner = Inner { queue, begin, closed: false, ended: false, places };
        Arc::new(Self { inner: Mutex::new(inner), news: Condvar::new(), writer: Mutex::new(None) })
    }

    /// Adds a message; the oldest fall off where the bound asks for it. False if the journal is closed (nothing is added).
    pub fn append(&self, message: Message) -> bool {
        let mut inner = self.lock();
        if inner.closed {
            return false;
        }
        let Inner { queue, places, .. } = &mut *inner;
        places.iter_mut().filter(|place| place.has_left()).for_each(|place| place.overflow += 1);
        queue.push(Arc::new(message));
        queue.forget(Place::needed(places));
        while queue.is_over() {
            let Some(lost) = queue.drop_oldest() else { continue };
            places.iter_mut().for_each(|place| place.lose(&lost));
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

    /// Closes it, and has all on the disk before the deadline, with how far the sinks are; after they have ended. Whether nothing is
    /// lost that they left.
    pub fn end(&self, deadline: Instant) -> bool {
        {
            let mut inner = self.lock();
            (inner.closed, inner.ended) = (true, true);
        }
        self.news.notify_all();
        let Some(thread) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() else { return false };
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        if !thread.is_finished() {
            tracing::error!("the disk of the journal hangs: what it had not taken yet is lost");
            return false;
        }
        if thread.join().is_err() {
            tracing::error!("the journal's thread ended by a fault of its own");
        }
        self.lock().queue.is_saved()
    }

    /// The cursor of this sink; `None` if there is no such sink or its cursor was already taken.
    pub fn cursor(self: &Arc<Self>, sink: &str) -> Option<Cursor> {
        let mut inner = self.lock();
        let index = inner.places.iter().position(|place| place.sink == sink && !place.taken)?;
        inner.places[index].taken = true;
        Some(Cursor::new(Arc::clone(self), index))
    }

    /// Where everything stands.
    pub fn state(&self) -> JournalState {
        let inner = self.lock();
        let queue = &inner.queue;
        let cursors = inner.places.iter().map(|place| place.state(queue, inner.begin)).collect();
        let (messages, bytes) = queue.held();
        let (disk_bytes, fault) = queue.disk();
        JournalState { appended: queue.end() - inner.begin, messages, bytes, disk_bytes, fault, cursors }
    }

    /// Overflow of each sink since the start, for `ApplianceReport.sink_overflow`.
    pub fn overflow(&self) -> Vec<(String, u64)> {
        self.lock().places.iter().map(|place| (place.sink.clone(), place.overflow)).collect()
    }

    /// What each sink lost since this was asked last.
    pub fn losses(&self) -> Vec<(String, Losses)> {
        let mut inner = self.lock();
        let lost = inner.places.iter_mut().filter(|place| !place.losses.is_empty());
        lost.map(|place| (place.sink.clone(), std::mem::take(&mut place.losses))).collect()
    }

    /// Waits until every sink has settled everything, or until the deadline. True if so.
    pub fn drained_by(&self, deadline: Instant) -> bool {
        let mut inner = self.lock();
        loop {
            let Inner { queue, places, begin, .. } = &*inner;
            if places.iter().all(|place| place.has_left() || place.state(queue, *begin).behind() == 0) {
                return true;
            }
            let Some(again) = self.wait(inner, deadline) else { return false };
            inner = again;
        }
    }

    /// Waits for news; none if the deadline has passed.
    fn wait<'a>(&'a self, inner: MutexGuard<'a, Inner>, deadline: Instant) -> Option<MutexGuard<'a, Inner>> {
        let left = deadline.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| self.news.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Counters and a queue stay whole even if a holder of the lock panicked between two statements that move them.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the writer asks and tells.
impl Journal {
    /// Messages that are not on disk yet, of so many bytes about; waits for some at most `timeout`.
    fn unsaved(&self, timeout: Duration, bytes_max: usize) -> Unsaved {
        let deadline = Instant::now() + timeout;
        let mut inner = self.lock();
        loop {
            if let Some((first, messages)) = inner.queue.unsaved(bytes_max)
                && !(inner.ended && inner.queue.is_refused())
            {
                return Unsaved::Messages(first, messages);
            }
            if inner.ended {
                return Unsaved::Ended;
            }
            let Some(again) = self.wait(inner, deadline) else { return Unsaved::None };
            inner = again;
        }
    }

    /// Waits, unless the journal ends.
    fn rest(&self, time: Duration) {
        let _ = self.news.wait_timeout_while(self.lock(), time, |inner| !inner.ended);
    }

    /// The active segment, with what was written to it.
    fn saved(&self, active: Segment) {
        let mut inner = self.lock();
        let Inner { queue, places, .. } = &mut *inner;
        if queue.saved(active) {
            tracing::info!("the disk of the journal takes reports again");
        }
        queue.forget(Place::needed(places));
        drop(inner);
        self.news.notify_all();
    }

    fn refused(&self, fault: &str) {
        if self.lock().queue.refused(fault) {
            tracing::error!(
                "the journal cannot be written: {fault}; reports are in memory alone until its disk has room and may be written"
            );
        }
        self.news.notify_all();
    }

    /// The oldest segment, if it is not the last one, and whether some sink has yet to read of it.
    fn oldest(&self) -> Option<(Segment, bool)> {
        let inner = self.lock();
        let oldest = inner.queue.oldest()?.clone();
        let is_unread = inner.places.iter().any(|place| place.wants(oldest.end));
        Some((oldest, is_unread))
    }

    /// The oldest segment goes, of which so much could be read.
    fn dropped(&self, segment: &Segment, held: &[Lost]) {
        let mut inner = self.lock();
        let Inner { queue, places, .. } = &mut *inner;
        places.iter_mut().filter(|place| place.wants(segment.end)).for_each(|place| place.skip(segment.end, held, queue.holes()));
        queue.dropped(segment);
        drop(inner);
        self.news.notify_all();
    }

    fn places(&self) -> Places {
        self.lock().places.iter().map(|place| (place.sink.clone(), place.unsettled())).collect()
    }
}

#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod tests;
