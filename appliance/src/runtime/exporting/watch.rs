//! Where exports stand, for the reporter and for metrics: told by the thread that exports a few times a second.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::lots::Given;

/// How long the last account waits for the last samples.
const END_MAX: Duration = Duration::from_secs(3);

/// Of one export since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ExportFigures {
    /// Samples that it does not tell: no packets, or not those that `where` asks for.
    pub(super) left_out: u64,
    pub(super) records: u64,
    pub(super) datagrams: u64,
    /// Datagrams that the kernel did not take, or that a host refused: nobody listens there.
    pub(super) failed: u64,
    pub(super) evicted: u64,
    pub(super) unplaced: u64,
    /// Flows held now.
    pub(super) held: u64,
}

/// Of packet logs since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LogFigures {
    pub(super) given: Given,
    pub(super) left_out: u64,
}

/// One moment.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) exports: Vec<ExportFigures>,
    pub(super) logs: Option<LogFigures>,
    is_over: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watch {
    state: Mutex<State>,
    over: Condvar,
}

impl Watch {
    pub(super) fn tell(&self, exports: Vec<ExportFigures>, logs: Option<LogFigures>, is_over: bool) {
        let mut state = self.lock();
        *state = State { exports, logs, is_over: state.is_over || is_over };
        drop(state);
        self.over.notify_all();
    }

    /// No more will be told, however the thread ended.
    pub(super) fn is_over(&self) {
        self.lock().is_over = true;
        self.over.notify_all();
    }

    /// The last moment that was told.
    pub(super) fn moment(&self) -> State {
        self.lock().clone()
    }

    /// The very last one: all cores have ended, or are about to.
    pub(super) fn last(&self) -> State {
        let (mut state, until) = (self.lock(), Instant::now() + END_MAX);
        while !state.is_over && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            state = self.over.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever waits for the last moment waits no more.
pub(super) struct Over(pub(super) Arc<Watch>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.is_over();
    }
}
