//! What kernels that read one key tell each other of a batch.

use std::cell::Cell;

use super::pool::Handle;
use crate::limits::BATCH_RECORDS_MAX;

/// See the module.
#[derive(Default)]
pub(super) struct Told {
    /// Which records they were asked of, and how many keys those have at least.
    pub(super) least: Cell<(u64, usize)>,
    /// Of those in one choice of records: the ones whose key came before in this window.
    pub(super) known: Cell<(usize, u64)>,
    pub(super) placed: Cell<Option<Placed>>,
    places: Cell<Places>,
}

/// Of each record, where its key stands in a table.
#[derive(Clone, Copy)]
pub(super) struct Places(pub(super) [u16; BATCH_RECORDS_MAX]);

impl Default for Places {
    fn default() -> Self {
        Self([0; BATCH_RECORDS_MAX])
    }
}

/// Records whose keys all found their place in a table.
#[derive(Clone, Copy)]
pub(super) struct Placed {
    pub(super) table: Handle,
    /// What kind of table it is: buckets, and cells of each.
    pub(super) kind: (usize, usize),
    /// Words of a bucket of it, and the first of those with keys.
    pub(super) words: (usize, usize),
    pub(super) rows: u64,
    /// The first of each key that was not there before.
    pub(super) fresh: u64,
}

impl Told {
    /// Forgets all: there is another batch.
    #[inline]
    pub(super) fn forget(&self) {
        self.least.take();
        self.known.take();
        self.placed.take();
    }

    /// Tells of a table.
    #[inline]
    pub(super) fn place(&self, placed: Placed, places: &Places) {
        self.placed.set(Some(placed));
        self.places.set(*places);
    }

    /// Where keys stand in the table that was told of.
    #[inline]
    pub(super) fn places(&self) -> Places {
        self.places.get()
    }

    /// Tells of records of a choice whose keys came before.
    #[inline]
    pub(super) fn know(&self, group: usize, rows: u64) {
        let (of, known) = self.known.get();
        self.known.set((group, if of == group { known | rows } else { rows }));
    }
}
