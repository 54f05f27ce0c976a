//! What a sink lost, until an account that says so is on the disk.
//!
//! An account takes what was lost since the one before it. It may wait in another lane than the one that lost: so each that is taken
//! keeps where its account is, and asks that lane's disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Losses;

/// How many kinds of losses accounts list apart: of reports, of flows, of packet logs.
pub(super) const KINDS: usize = 3;
/// Of these, what a lane lost of its own messages,
pub(super) const OWN: usize = 0;
/// and in a lane of reports, what its lost accounts told of flows,
pub(super) const FLOWS: usize = 1;
/// and of packet logs.
pub(super) const LOGS: usize = 2;
/// Accounts whose way to the disk is followed apart; where it is slow, later ones are followed together.
const ACCOUNTS_MAX: usize = 8;

/// How far a lane has reached its disk: all messages before a position. Of a lane without one, that is all.
#[derive(Clone, Debug)]
pub(super) struct Reached(Arc<AtomicU64>);

impl Reached {
    pub(super) fn new(position: u64) -> Self {
        Self(Arc::new(AtomicU64::new(position)))
    }

    pub(super) fn set(&self, position: u64) {
        self.0.store(position, Relaxed);
    }

    fn has(&self, position: u64) -> bool {
        self.0.load(Relaxed) > position
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// What no account took yet.
    pub(super) now: Losses,
    /// What accounts took that may not be on the disk, oldest first.
    taken: VecDeque<Taken>,
}

#[derive(Debug)]
struct Taken {
    losses: Losses,
    /// The account; `None`: it is not appended yet.
    account: Option<(Reached, u64)>,
}

impl Telling {
    /// What an earlier run did not tell any more.
    pub(super) fn again(losses: Losses) -> Self {
        Self { now: losses, taken: VecDeque::new() }
    }

    /// For an account that is appended next.
    pub(super) fn take(&mut self) -> Losses {
        self.forget();
        let losses = std::mem::take(&mut self.now);
        if !losses.is_empty() {
            self.taken.push_back(Taken { losses: losses.summary(), account: None });
        }
        losses
    }

    /// An account was appended there.
    pub(super) fn appended(&mut self, lane: &Reached, position: u64) {
        let new = self.taken.iter_mut().filter(|taken| taken.account.is_none());
        new.for_each(|taken| taken.account = Some((lane.clone(), position)));
        self.forget();
        while self.taken.len() > ACCOUNTS_MAX {
            let Some(Taken { losses, .. }) = self.taken.remove(ACCOUNTS_MAX - 1) else { break };
            self.taken[ACCOUNTS_MAX - 1].losses.merge(losses);
        }
    }

    fn forget(&mut self) {
        self.taken.retain(|taken| !taken.is_there());
    }

    /// What nobody would tell if the process were killed now, without the names of ranges: a lock is held meanwhile.
    pub(super) fn untold(&self) -> Losses {
        let mut all = self.now.summary();
        self.taken.iter().filter(|taken| !taken.is_there()).for_each(|taken| all.merge(taken.losses.clone()));
        all
    }
}

impl Taken {
    fn is_there(&self) -> bool {
        self.account.as_ref().is_some_and(|(lane, position)| lane.has(*position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_account_took_is_kept_until_that_account_is_on_the_disk_of_its_own_lane() {
        let (long, fast) = (Reached::new(0), Reached::new(0));
        let mut telling = Telling::default();
        let untold = |telling: &Telling| telling.untold().messages();
        let lose = |telling: &mut Telling| telling.now.damaged += 1;
        lose(&mut telling);
        assert_eq!((telling.take().messages(), untold(&telling)), (1, 1));
        telling.appended(&long, 7);
        fast.set(u64::MAX);
        assert_eq!(untold(&telling), 1);
        lose(&mut telling);
        assert_eq!((telling.take().messages(), untold(&telling)), (1, 2));
        telling.appended(&fast, 3);
        assert_eq!(untold(&telling), 1);
        long.set(7);
        assert_eq!(untold(&telling), 1);
        long.set(8);
        assert_eq!(untold(&telling), 0);
    }

    #[test]
    fn a_disk_that_takes_no_accounts_grows_nothing() {
        let long = Reached::new(0);
        let mut telling = Telling::default();
        for n in 0..100 {
            telling.now.damaged += 1;
            assert_eq!(telling.take().messages(), 1);
            telling.appended(&long, n);
            assert!(telling.taken.len() <= ACCOUNTS_MAX);
        }
        assert_eq!(telling.untold().messages(), 100);
        // The first ones are known apart, of the others only the last.
        long.set(99);
        assert_eq!(telling.untold().messages(), 93);
        long.set(100);
        assert_eq!(telling.untold().messages(), 0);
    }
}
