//! Where the newest tables lie: who reads files and asks exporters puts them there, who has flows takes them when it finds time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::tables::Tables;

/// So many of what lay there before are kept: who has not taken one meanwhile frees it himself.
const BEFORE_MAX: usize = 8;

/// The newest tables and their number.
#[derive(Debug)]
pub struct Shelf {
    pub(super) tables: Mutex<Tables>,
    pub(super) version: AtomicU64,
    /// What lay there before: kept for a while, so that not those who have flows have to free it.
    before: Mutex<VecDeque<Tables>>,
}

impl Shelf {
    /// With these.
    pub(super) fn new(tables: Tables) -> Self {
        Self { tables: Mutex::new(tables), version: AtomicU64::new(1), before: Mutex::default() }
    }

    /// Changes them: what is long is done before, the lock is held for a few words only.
    pub(super) fn change(&self, change: impl FnOnce(&mut Tables)) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let before = tables.clone();
        change(&mut tables);
        drop(tables);
        let mut kept = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(before);
        while kept.len() > BEFORE_MAX {
            kept.pop_front();
        }
        drop(kept);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Frees what lay there before: everybody has had time to take what is new.
    pub(super) fn forget(&self) {
        self.before.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A copy.
    pub(super) fn copy(&self) -> Tables {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
