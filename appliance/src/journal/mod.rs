//! Reports wait here until every sink has delivered them, or until the bound is reached.
//!
//! There are two lanes, each a log of its own ([`Lane`]): reports of fast windows go ahead of long ones, which may be a backlog of
//! hours. Flow messages, which are many more, have a third one with bounds of its own, where they are configured: they push no report out;
//! so have packet logs a fourth. Within a lane every sink gets all messages in the order in which they were appended; between lanes there
//! is no order, but a sink that reads both ([`Both`]) takes what is fast first. An eighth of every bound is the fast lane's.
//!
//! All of it is control path: a mutex and a condition variable serve a few hundred thousand messages a second with ease.

mod both;
mod cursor;
mod for_writer;
mod frame;
mod lane;
mod losses;
mod lot;
mod marks;
mod message;
mod place;
mod previous;
mod queue;
mod segment;
mod stamps;
mod store;
mod telling;
mod watch;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use both::Both;
pub use cursor::{Cursor, Next};
pub use lane::{Bound, JournalState};
pub use losses::Losses;
pub use lot::{Lot, LotForm, LotWriter};
pub use message::{Kind, Message, WindowOf};
pub use place::CursorState;
pub use store::{Disk, OpenError};

use crate::report::pb;
use lane::Lane;
use telling::{FLOWS, LOGS, OWN};

/// The fast lane has one in so many of what the journal may hold.
const FAST_SHARE: u8 = 8;

/// Where flow messages, or packet logs, wait.
#[derive(Clone, Debug)]
pub struct FlowLane {
    /// Of the queue in memory.
    pub bound: Bound,
    /// On disk, where the journal is.
    pub disk: Option<Disk>,
}

impl FlowLane {
    fn open<S: AsRef<str>>(&self, sinks: &[S]) -> Result<Arc<Lane>, OpenError> {
        match &self.disk {
            Some(disk) => Lane::open(self.bound, disk, sinks),
            None => Ok(Lane::new(self.bound, sinks)),
        }
    }
}

/// See the module. Shared by its writers (the reporter, who receives flows) and the sinks.
#[derive(Debug)]
pub struct Journal {
    long: Arc<Lane>,
    fast: Arc<Lane>,
    flows: Option<Arc<Lane>>,
    logs: Option<Arc<Lane>>,
    previous: Option<pb::PreviousRun>,
    /// Runs that were before this one, as far as they were counted.
    runs: u64,
}

impl Journal {
    /// An empty journal in memory that is read by the sinks named. Without sinks it forgets what it is given.
    pub fn new<S: AsRef<str>>(bound: Bound, sinks: &[S]) -> Arc<Self> {
        let [long, fast] = bound.lanes();
        Arc::new(Self { long: Lane::new(long, sinks), fast: Lane::new(fast, sinks), flows: None, logs: None, previous: None, runs: 0 })
    }

    /// As [`Self::new`], where a disk is configured that cannot be used: its state says why.
    pub fn without_disk<S: AsRef<str>>(bound: Bound, sinks: &[S], why: String) -> Arc<Self> {
        let [long, fast] = bound.lanes();
        let (long, fast) = (Lane::without_disk(long, sinks, why.clone()), Lane::without_disk(fast, sinks, why));
        Arc::new(Self { long, fast, flows: None, logs: None, previous: None, runs: 0 })
    }

    /// A journal on disk, with what an earlier run left there: sinks go on where they were. The fast lane has a folder in the folder.
    ///
    /// # Errors
    /// The folder cannot be used, or another process uses it.
    pub fn open<S: AsRef<str>>(bound: Bound, disk: &Disk, sinks: &[S]) -> Result<Arc<Self>, OpenError> {
        let ([long, fast], [on, on_fast]) = (bound.lanes(), disk.lanes());
        let long = Lane::open(long, &on, sinks)?;
        let fast = Lane::open(fast, &on_fast, sinks)?;
        let previous = previous::of_both(long.previous(), fast.previous());
        let runs = [long.previous(), fast.previous()].into_iter().flatten().map(|run| run.number).max().unwrap_or(0);
        Ok(Arc::new(Self { long, fast, flows: None, logs: None, previous, runs }))
    }

    /// A run begins, whose first windows begin there (0: there are none of that kind): the next one knows of it once
    /// [`Self::await_begun`] says so.
    pub fn begin(&self, boot_id: u64, start_ns: u64, (long_ns, fast_ns): (u64, u64)) {
        // If it is killed before its first window ends, nobody has counted since the one before was killed.
        let cut = self.previous.filter(|run| !run.ended);
        let since = |start_ns: u64, before_ns: Option<u64>| before_ns.filter(|ns| *ns > 0).map_or(start_ns, |ns| ns.min(start_ns));
        let long_end_ns = since(long_ns, cut.map(|run| run.long_end_ns));
        let fast_end_ns = since(fast_ns, cut.map(|run| run.fast_end_ns));
        let last = pb::PreviousRun { boot_id, long_end_ns, fast_end_ns, ..Default::default() };
        [&self.long, &self.fast].into_iter().for_each(|lane| lane.begin(self.runs + 1, start_ns, last));
    }

    /// Waits for the disk to have that a run began, so that a kill or a power cut does not hide it; false: it has not by then. Where there
    /// is no disk nothing is waited for.
    pub fn await_begun(&self, deadline: Instant) -> bool {
        [&self.long, &self.fast].into_iter().all(|lane| lane.await_begun(deadline))
    }

    /// The same with a lane for flow messages, whose bounds are its own.
    ///
    /// # Errors
    /// Its folder cannot be used.
    pub fn with_flows<S: AsRef<str>>(self: Arc<Self>, lane: &FlowLane, sinks: &[S]) -> Result<Arc<Self>, OpenError> {
        let flows = lane.open(sinks)?;
        Ok(Arc::new(Self { flows: Some(flows), ..self.shared() }))
    }

    /// The same with a lane for packet logs, whose bounds are its own.
    ///
    /// # Errors
    /// Its folder cannot be used.
    pub fn with_logs<S: AsRef<str>>(self: Arc<Self>, lane: &FlowLane, sinks: &[S]) -> Result<Arc<Self>, OpenError> {
        let logs = lane.open(sinks)?;
        Ok(Arc::new(Self { logs: Some(logs), ..self.shared() }))
    }

    fn shared(&self) -> Self {
        let Self { long, fast, flows, logs, previous, runs } = self;
        Self { long: Arc::clone(long), fast: Arc::clone(fast), flows: flows.clone(), logs: logs.clone(), previous: *previous, runs: *runs }
    }

    /// How far the run before this one came, if it left something on the disk.
    pub const fn previous(&self) -> Option<&pb::PreviousRun> {
        self.previous.as_ref()
    }

    /// Adds a message; the oldest of its lane fall off where the bound asks for it. False if the journal is closed (nothing is added).
    pub fn append(&self, message: Message) -> bool {
        let lane = match message.kind {
            Kind::Flows => self.flows.as_ref(),
            Kind::Logs => self.logs.as_ref(),
            _ if message.is_fast => Some(&self.fast),
            _ => Some(&self.long),
        };
        let is_account = message.kind == Kind::Appliance;
        let Some((lane, position)) = lane.and_then(|lane| Some((lane, lane.append(message)?))) else { return false };
        if is_account {
            self.lanes().for_each(|other| other.account_is_at(&lane.reached, position));
        }
        true
    }

    /// No more messages: readers get what is left, then [`Next::Closed`].
    pub fn close(&self) {
        self.lanes().for_each(Lane::close);
    }

    /// Closes it, and has all on the disk before the deadline, with how far the sinks are; after they have ended. Whether nothing is
    /// lost that they left.
    pub fn end(&self, deadline: Instant) -> bool {
        // One whose disk hangs takes no time from the other.
        self.lanes().for_each(Lane::begin_to_end);
        // All of them, also where one has lost something.
        self.lanes().filter(|lane| !lane.end(deadline)).count() == 0
    }

    /// The cursors of this sink, of the long lane and of the fast one; `None` if there is no such sink or they were already taken.
    pub fn cursors(&self, sink: &str) -> Option<[Cursor; 2]> {
        Some([self.long.cursor(sink)?, self.fast.cursor(sink)?])
    }

    /// The cursor of this sink in the lane of flows, if there is one.
    pub fn flow_cursor(&self, sink: &str) -> Option<Cursor> {
        self.flows.as_ref()?.cursor(sink)
    }

    /// Where the lane of flows stands, in lots; `None`: there is none.
    pub fn flow_state(&self) -> Option<JournalState> {
        self.flows.as_ref().map(|lane| lane.state())
    }

    /// Which flow messages each sink lost since this was asked last, for an account as [`Self::losses`].
    pub fn flow_losses(&self) -> Vec<(String, Losses)> {
        self.lost_lots(self.flows.as_deref(), FLOWS)
    }

    /// What a lane lost, and of the same kind what accounts told that sinks did not get.
    fn lost_lots(&self, lane: Option<&Lane>, kind: usize) -> Vec<(String, Losses)> {
        let mut losses = lane.map_or_else(Vec::new, |lane| lane.take(OWN));
        add(&mut losses, self.long.take(kind));
        add(&mut losses, self.fast.take(kind));
        losses
    }

    /// The cursor of this sink in the lane of packet logs, if there is one.
    pub fn log_cursor(&self, sink: &str) -> Option<Cursor> {
        self.logs.as_ref()?.cursor(sink)
    }

    /// Where the lane of packet logs stands, in lots; `None`: there is none.
    pub fn log_state(&self) -> Option<JournalState> {
        self.logs.as_ref().map(|lane| lane.state())
    }

    /// Which packet logs each sink lost since this was asked last, for an account as [`Self::losses`].
    pub fn log_losses(&self) -> Vec<(String, Losses)> {
        self.lost_lots(self.logs.as_deref(), LOGS)
    }

    /// Where everything stands, both lanes of reports together.
    pub fn state(&self) -> JournalState {
        let (mut state, fast) = (self.long.state(), self.fast.state());
        state.appended += fast.appended;
        state.messages += fast.messages;
        state.bytes += fast.bytes;
        state.disk_bytes += fast.disk_bytes;
        state.unsynced += fast.unsynced;
        // A disk that takes no flows is no better.
        state.fault = state.fault.or(fast.fault).or_else(|| self.flow_state()?.fault).or_else(|| self.log_state()?.fault);
        state.cursors.iter_mut().zip(&fast.cursors).for_each(|(cursor, fast)| cursor.add(fast));
        state
    }

    /// For how long the oldest message that a sink has not settled has waited at least, by sink; zero: none waits. One of an earlier run
    /// has waited since this start.
    pub fn waiting(&self) -> Vec<(String, Duration)> {
        let fast = self.fast.waiting();
        self.long.waiting().into_iter().zip(fast).map(|((sink, long), (_, fast))| (sink, long.max(fast))).collect()
    }

    /// The same of flow messages, and of packet logs.
    pub fn lots_waiting(&self) -> [Vec<(String, Duration)>; 2] {
        [&self.flows, &self.logs].map(|lane| lane.as_ref().map_or_else(Vec::new, |lane| lane.waiting()))
    }

    /// Overflow of each sink since the start, for `ApplianceReport.sink_overflow`.
    pub fn overflow(&self) -> Vec<(String, u64)> {
        let fast = self.fast.overflow();
        self.long.overflow().into_iter().zip(fast).map(|((sink, long), (_, fast))| (sink, long + fast)).collect()
    }

    /// Configurations, in parts, that sinks have lost since the start.
    pub fn lost_configs(&self) -> u64 {
        self.lanes().map(Lane::lost_configs).sum()
    }

    /// What each sink lost since this was asked last, for an account that is appended next: where a sink loses that account too, it is
    /// told once more.
    pub fn losses(&self) -> Vec<(String, Losses)> {
        let mut losses = self.long.take(OWN);
        add(&mut losses, self.fast.take(OWN));
        losses
    }

    /// Waits until every sink has settled everything, flows too, or until the deadline. True if so.
    pub fn drained_by(&self, deadline: Instant) -> bool {
        self.lanes().all(|lane| lane.drained_by(deadline))
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        [Some(&*self.long), Some(&*self.fast), self.flows.as_deref(), self.logs.as_deref()].into_iter().flatten()
    }
}

/// What a segment's file holds, over what is damaged: a position and its message; no message: a gap begins there.
pub fn segment(file: &Path, mut take: impl FnMut(u64, Option<Message>)) {
    let bytes = file.metadata().map_or(0, |meta| meta.len());
    let segment = segment::Segment { first: 0, end: 0, bytes, path: file.into() };
    segment::read(&segment, |position, content| match content {
        frame::Content::Message(message) => take(position, Some(message)),
        frame::Content::Gap(_) => take(position, None),
    });
}

fn add(losses: &mut Vec<(String, Losses)>, more: Vec<(String, Losses)>) {
    for (sink, lost) in more {
        match losses.iter_mut().find(|(name, _)| *name == sink) {
            Some((_, losses)) => losses.merge(lost),
            None => losses.push((sink, lost)),
        }
    }
}

#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod failing_tests;
#[cfg(test)]
mod lanes_tests;
#[cfg(test)]
mod restart_tests;
#[cfg(test)]
mod telling_tests;
#[cfg(test)]
mod tests;
