//! Whether the disk answers, as far as a process can tell that may have stood still itself.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// After so long in a call the disk hangs,
pub(super) const HANGS: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 2 });
/// if it still does so long after that was first seen: a process that was stopped, or got no CPU, sees its own pause at first, and the
/// answer then.
const DOUBT: Duration = Duration::from_millis(500);

/// Of a disk.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Since when it is asked something,
    asked: Option<Instant>,
    /// when it was first seen that it should have answered,
    seen: Cell<Option<Instant>>,
    /// and that it hangs was told.
    is_told: bool,
}

impl Watch {
    /// It is asked something, or has answered. Whether it is said that it hangs.
    pub(super) fn asks(&mut self, asked: Option<Instant>) -> bool {
        self.asked = asked;
        self.seen.set(None);
        std::mem::take(&mut self.is_told)
    }

    pub(super) fn hangs(&self) -> bool {
        if self.asked.is_none_or(|since| since.elapsed() <= HANGS) {
            return false;
        }
        let seen = self.seen.get().unwrap_or_else(Instant::now);
        self.seen.set(Some(seen));
        seen.elapsed() >= DOUBT
    }

    /// Whether it is to be said that it hangs.
    pub(super) fn begins_to_hang(&mut self) -> bool {
        self.hangs() && !std::mem::replace(&mut self.is_told, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_stood_still_does_not_blame_the_disk() {
        let mut watch = Watch::default();
        let long_ago = Instant::now().checked_sub(HANGS * 2).unwrap();
        watch.asks(Some(long_ago));
        assert!(!watch.begins_to_hang(), "it may have been us");
        assert!(!watch.asks(None) && !watch.hangs(), "and so it was");
        watch.asks(Some(long_ago));
        assert!(!watch.hangs());
        std::thread::sleep(DOUBT);
        assert!(watch.begins_to_hang() && watch.hangs() && !watch.begins_to_hang(), "the disk it is, told once");
        assert!(watch.asks(None) && !watch.hangs());
    }
}
