//! One of the journal's two queues: all its messages in order, each sink's place in it, and what is on disk.
//!
//! Appending never waits for anything but the lock: a message goes into a queue in memory. Where a disk is configured, one thread
//! writes what the queue has into segments ([`Disk`]), and a sink sees a message only when it is written; what is written need not
//! stay in memory, and what a sink has not delivered when the process dies, it finds again at the next start. A disk that refuses or
//! is slow fills the queue; while it refuses, sinks read from the queue. Without a disk the queue is all there is.
//!
//! When the bound is reached the oldest message falls off, and each sink that had not yet read it counts one overflow, and of which
//! window and range it was. What a sink has read it holds itself until it is settled (each sink bounds that). So for every sink, at
//! any time, `appended + backlog = committed + overflow + in_flight + unread` (see [`CursorState`]); nothing disappears uncounted.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::marks::Marks;
use super::place::Place;
use super::previous::{LastRun, Run, Told};
use super::queue::Queue;
use super::stamps::Stamps;
use super::store::Store;
use super::telling::Reached;
use super::writer::Writer;
use super::{Cursor, CursorState, Disk, FAST_SHARE, Losses, Message, OpenError};
use crate::report::pb;

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

impl Bound {
    /// Of the long lane, and of the fast one.
    pub(super) fn lanes(self) -> [Self; 2] {
        let share = usize::from(FAST_SHARE);
        let fast = Self { messages: self.messages / share, bytes: self.bytes / share };
        [Self { messages: self.messages - fast.messages, bytes: self.bytes - fast.bytes }, fast]
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
    /// Messages that have not reached the disk yet, where there is one.
    pub unsynced: u64,
    /// Why the disk takes nothing at present.
    pub fault: Option<String>,
    /// One entry for each sink, in the order given to [`super::Journal::new`].
    pub cursors: Vec<CursorState>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    inner: Mutex<Inner>,
    pub(super) news: Condvar,
    pub(super) reached: Reached,
    writer: Mutex<Option<JoinHandle<()>>>,
    previous: Option<LastRun>,
    /// Why it is not on the disk that is configured.
    without_disk: Option<String>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) queue: Queue,
    /// Position of the first message of this run.
    pub(super) begin: u64,
    pub(super) closed: bool,
    pub(super) ended: bool,
    pub(super) places: Vec<Place>,
    stamps: Stamps,
    pub(super) run: Run,
}

impl Lane {
    /// An empty journal in memory that is read by the sinks named. Without sinks it forgets what it is given.
    pub(super) fn new<S: AsRef<str>>(bound: Bound, sinks: &[S]) -> Arc<Self> {
        Arc::new(Self::in_memory(bound, sinks))
    }

    /// As [`Self::new`], where a disk is configured that cannot be used: its state says why.
    pub(super) fn without_disk<S: AsRef<str>>(bound: Bound, sinks: &[S], why: String) -> Arc<Self> {
        Arc::new(Self { without_disk: Some(why), ..Self::in_memory(bound, sinks) })
    }

    fn in_memory<S: AsRef<str>>(bound: Bound, sinks: &[S]) -> Self {
        Self::made(Queue::new(bound, 0, None), sinks.iter().map(|sink| Place::new(sink.as_ref(), 0)).collect())
    }

    /// A journal on disk, with what an earlier run left there: sinks go on where they were.
    ///
    /// # Errors
    /// The folder cannot be used, or another process uses it.
    pub(super) fn open<S: AsRef<str>>(bound: Bound, disk: &Disk, sinks: &[S]) -> Result<Arc<Self>, OpenError> {
        let (store, left) = Store::open(disk)?;
        let oldest = left.segments.first().map(|segment| segment.first);
        let last = left.segments.last().map_or(0, |segment| segment.end);
        // What a power cut took, and a sink had seen, never gets a number again.
        let begin = left.marks.iter().flat_map(Marks::values).fold(last, |last, mark| last.max(mark.end()));
        let place = |sink: &S| {
            let mark = left.marks.as_ref().map(|marks| marks.get(sink.as_ref()));
            match mark {
                Some(Some(mark)) => Place::left(sink.as_ref(), mark, begin),
                // A sink that is new begins with what is new.
                Some(None) => Place::new(sink.as_ref(), begin),
                None => Place::new(sink.as_ref(), oldest.unwrap_or(begin)),
            }
        };
        let mut places: Vec<Place> = sinks.iter().map(place).collect();
        for place in &mut places {
            place.miss(oldest.unwrap_or(begin));
        }
        let made = Self::made(Queue::new(bound, begin, Some(left.segments)), places);
        made.lock().run = Run::after(left.run);
        let journal = Arc::new(Self { previous: left.run, ..made });
        let writer = Writer::new(Arc::clone(&journal), store);
        let thread = thread::Builder::new().name("journal".into()).spawn(|| writer.run());
        let thread = thread.map_err(|reason| OpenError::Io { folder: disk.folder.clone(), reason })?;
        *journal.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(journal)
    }

    fn made(queue: Queue, places: Vec<Place>) -> Self {
        let begin = queue.end();
        let (stamps, reached) = (Stamps::new(begin, Instant::now()), Reached::new(queue.reached()));
        let inner = Mutex::new(Inner { queue, begin, closed: false, ended: false, places, stamps, run: Run::default() });
        Self { inner, news: Condvar::new(), reached, writer: Mutex::new(None), previous: None, without_disk: None }
    }

    /// How far the run before this one came, if it left something on the disk.
    pub(super) const fn previous(&self) -> Option<&LastRun> {
        self.previous.as_ref()
    }

    /// A run begins, so many after the first one: the next one is to know of it, however this one ends.
    pub(super) fn begin(&self, number: u64, start_ns: u64, last: pb::PreviousRun) {
        let mut inner = self.lock();
        let Inner { queue, run, .. } = &mut *inner;
        if queue.is_on_disk() {
            run.begin(LastRun { number, read_to: queue.end(), start_ns, last });
        }
        drop(inner);
        self.news.notify_all();
    }

    /// Until the disk has for good that a run began; false: it has not by then.
    pub(super) fn await_begun(&self, deadline: Instant) -> bool {
        let mut inner = self.lock();
        while inner.run.is_awaited() {
            let Ok(again) = self.wait(inner, deadline) else { return false };
            inner = again;
        }
        true
    }

    /// Adds a message; the oldest fall off where the bound asks for it. Its position; `None`: the journal is closed, nothing is added.
    pub(super) fn append(&self, message: Message) -> Option<u64> {
        let told = Told::by(&message);
        let mut inner = self.lock();
        if inner.closed {
            return None;
        }
        let Inner { queue, places, stamps, run, .. } = &mut *inner;
        let position = queue.end();
        run.account(position, told);
        stamps.note(position, Instant::now());
        stamps.forget(places.iter().filter(|place| !place.has_left()).map(Place::unsettled).min().unwrap_or_else(|| queue.end()));
        places.iter_mut().filter(|place| place.has_left()).for_each(|place| place.overflow += 1);
        queue.push(Arc::new(message));
        queue.forget(Place::needed(places));
        while queue.is_over() {
            let Some(lost) = queue.drop_oldest() else { continue };
            places.iter_mut().for_each(|place| place.lose_unsaved(&lost));
        }
        let hangs = queue.begins_to_hang();
        drop(inner);
        if hangs {
            tracing::error!("the disk of the journal does not answer: reports are in memory alone until it does");
        }
        self.news.notify_all();
        Some(position)
    }

    /// No more messages: readers get what is left, then [`Next::Closed`].
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_all();
    }

    /// What [`Self::end`] does before it waits.
    pub(super) fn begin_to_end(&self) {
        {
            let mut inner = self.lock();
            (inner.closed, inner.ended) = (true, true);
        }
        self.news.notify_all();
    }

    /// Closes it, and has all on the disk before the deadline, with how far the sinks are; after they have ended. Whether nothing is
    /// lost that they left.
    pub(super) fn end(&self, deadline: Instant) -> bool {
        self.begin_to_end();
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
        self.lock().queue.is_synced()
    }

    /// The cursor of this sink; `None` if there is no such sink or its cursor was already taken.
    pub(super) fn cursor(self: &Arc<Self>, sink: &str) -> Option<Cursor> {
        let mut inner = self.lock();
        let index = inner.places.iter().position(|place| place.sink == sink && !place.taken)?;
        inner.places[index].taken = true;
        Some(Cursor::new(Arc::clone(self), index))
    }

    /// Where everything stands.
    pub(super) fn state(&self) -> JournalState {
        let inner = self.lock();
        let queue = &inner.queue;
        let cursors = inner.places.iter().map(|place| place.state(queue, inner.begin)).collect();
        let (messages, bytes) = queue.held();
        let (disk_bytes, fault) = queue.disk();
        let fault = fault.or_else(|| self.without_disk.clone());
        JournalState {
            appended: queue.end() - inner.begin,
            messages,
            bytes,
            disk_bytes,
            unsynced: queue.unsynced_messages(),
            fault,
            cursors,
        }
    }

    /// For how long the oldest message that a sink has not settled has waited at least, by sink; zero: none waits. One of an earlier run
    /// has waited since this start.
    pub(super) fn waiting(&self) -> Vec<(String, Duration)> {
        let (inner, now) = (self.lock(), Instant::now());
        let waited = |place: &Place| {
            let is_behind = place.state(&inner.queue, inner.begin).behind() > 0;
            if is_behind { inner.stamps.waited(place.unsettled(), now) } else { Duration::ZERO }
        };
        inner.places.iter().map(|place| (place.sink.clone(), waited(place))).collect()
    }

    /// Overflow of each sink since the start, for `ApplianceReport.sink_overflow`.
    pub(super) fn overflow(&self) -> Vec<(String, u64)> {
        self.lock().places.iter().map(|place| (place.sink.clone(), place.overflow)).collect()
    }

    /// Configurations, in parts, that sinks have lost since the start.
    pub(super) fn lost_configs(&self) -> u64 {
        self.lock().places.iter().map(|place| place.lost_configs).sum()
    }

    /// What each sink lost of a kind since this was asked last, for an account that is appended next.
    pub(super) fn take(&self, kind: usize) -> Vec<(String, Losses)> {
        let mut inner = self.lock();
        let taken = inner.places.iter_mut().map(|place| (place.sink.clone(), place.take(kind)));
        taken.filter(|(_, losses)| !losses.is_empty()).collect()
    }

    /// An account was appended there: it tells what was taken before it.
    pub(super) fn account_is_at(&self, lane: &Reached, position: u64) {
        self.lock().places.iter_mut().for_each(|place| place.account_is_at(lane, position));
    }

    /// Waits until every sink has settled everything, or until the deadline. True if so.
    pub(super) fn drained_by(&self, deadline: Instant) -> bool {
        let mut inner = self.lock();
        loop {
            let Inner { queue, places, begin, .. } = &*inner;
            if places.iter().all(|place| place.has_left() || place.state(queue, *begin).behind() == 0) {
                return true;
            }
            let Ok(again) = self.wait(inner, deadline) else { return false };
            inner = again;
        }
    }

    /// Waits for news; an error if the deadline has passed.
    pub(super) fn wait<'a>(
        &'a self,
        inner: MutexGuard<'a, Inner>,
        deadline: Instant,
    ) -> Result<MutexGuard<'a, Inner>, MutexGuard<'a, Inner>> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(inner);
        }
        Ok(self.news.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Counters and a queue stay whole even if a holder of the lock panicked between two statements that move them.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
