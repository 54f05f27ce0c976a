//! A sink's way through both lanes at once: what is fast first.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Cursor, Next};

/// While it waits at the fast lane, the other one is looked at so often.
const LOOK: Duration = Duration::from_millis(20);

/// See the module. Dropping it says that this sink is gone for good.
#[derive(Debug)]
pub struct Both {
    long: Cursor,
    fast: Cursor,
    /// Of each message in flight, oldest first: whether it came by the fast lane.
    in_flight: RefCell<VecDeque<bool>>,
}

impl Both {
    /// Reads these two.
    pub fn new([long, fast]: [Cursor; 2]) -> Self {
        Self { long, fast, in_flight: RefCell::new(VecDeque::new()) }
    }

    /// The oldest message of the fast lane that this sink has not read, or else of the other one; waits for one at most `timeout`.
    pub fn next(&self, timeout: Duration) -> Next {
        let deadline = Instant::now() + timeout;
        let mut wait = Duration::ZERO;
        loop {
            let fast = self.took(self.fast.next(wait), true);
            if matches!(fast, Next::Message(_)) {
                return fast;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // Nothing will come by a lane that is closed: then it waits at the other one.
            let wait_long = if matches!(fast, Next::Closed) { left } else { Duration::ZERO };
            let long = self.took(self.long.next(wait_long), false);
            match (&fast, &long) {
                (_, Next::Message(_)) | (Next::Closed, _) => return long,
                _ if left.is_zero() => return Next::Empty,
                _ => wait = LOOK.min(left),
            }
        }
    }

    fn took(&self, next: Next, is_fast: bool) -> Next {
        if matches!(next, Next::Message(_)) {
            self.in_flight.borrow_mut().push_back(is_fast);
        }
        next
    }

    /// The `count` oldest messages in flight are settled.
    pub fn commit(&self, count: u64) {
        let mut in_flight = self.in_flight.borrow_mut();
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(in_flight.len());
        let fast = in_flight.drain(..count).filter(|is_fast| *is_fast).count();
        drop(in_flight);
        [(&self.fast, fast), (&self.long, count - fast)].into_iter().filter(|(_, n)| *n > 0).for_each(|(lane, n)| lane.commit(n as u64));
    }
}
