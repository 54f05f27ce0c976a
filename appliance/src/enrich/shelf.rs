//! Where the newest tables lie: who reads files and asks exporters puts them there, who has flows takes them when it finds time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::tables::Tables;

/// The newest tables and their number.
#[derive(Debug)]
pub struct Shelf {
    pub(super) tables: Mutex<Tables>,
    pub(super) version: AtomicU64,
}

impl Shelf {
    /// With these.
    pub(super) fn new(tables: Tables) -> Self {
        Self { tables: Mutex::new(tables), version: AtomicU64::new(1) }
    }

    /// Changes them: what is long is done before, the lock is held for a few words only.
    pub(super) fn change(&self, change: impl FnOnce(&mut Tables)) {
        change(&mut self.tables.lock().unwrap_or_else(PoisonError::into_inner));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// A copy.
    pub(super) fn copy(&self) -> Tables {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
