//! A sink's way through several lanes at once: what is more urgent first.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Cursor, Next};

/// While it waits at the most urgent lane, the others are looked at so often.
const LOOK: Duration = Duration::from_millis(20);

/// See the module. Dropping it says that this sink is gone for good.
#[derive(Debug)]
pub struct Both {
    /// The most urgent first.
    lanes: Vec<Cursor>,
    /// Of each message in flight, oldest first: the lane that it came by.
    in_flight: RefCell<VecDeque<usize>>,
}

impl Both {
    /// Reads these, the last first: [`super::Journal::cursors`] has the long lane before the fast one.
    pub fn new(cursors: impl IntoIterator<Item = Cursor, IntoIter: DoubleEndedIterator>) -> Self {
        Self { lanes: cursors.into_iter().rev().collect(), in_flight: RefCell::new(VecDeque::new()) }
    }

    /// As it is, with a lane that has its turn where no other has anything.
    pub fn and_last(mut self, cursor: Option<Cursor>) -> Self {
        self.lanes.extend(cursor);
        self
    }

    /// The oldest message that this sink has not read of the most urgent lane that has one; waits for one at most `timeout`.
    pub fn next(&self, timeout: Duration) -> Next {
        let deadline = Instant::now() + timeout;
        let mut wait = Duration::ZERO;
        loop {
            let mut open = 0;
            for (at, lane) in self.lanes.iter().enumerate() {
                // It waits at the first lane that is open: nothing will come by one that is closed.
                let found = lane.next(if open == 0 { wait } else { Duration::ZERO });
                match found {
                    Next::Message(_) => {
                        self.in_flight.borrow_mut().push_back(at);
                        return found;
                    }
                    Next::Empty => open += 1,
                    Next::Closed => {}
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match open {
                0 => return Next::Closed,
                _ if left.is_zero() => return Next::Empty,
                1 => wait = left,
                _ => wait = LOOK.min(left),
            }
        }
    }

    /// The `count` oldest messages in flight are settled.
    pub fn commit(&self, count: u64) {
        let mut in_flight = self.in_flight.borrow_mut();
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(in_flight.len());
        let mut settled = vec![0; self.lanes.len()];
        in_flight.drain(..count).for_each(|lane| settled[lane] += 1);
        drop(in_flight);
        self.lanes.iter().zip(settled).filter(|(_, n)| *n > 0).for_each(|(lane, n)| lane.commit(n));
    }
}
