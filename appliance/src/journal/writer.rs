//! The thread that writes: the only one that waits for the disk.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::store::{Store, held_by};
use super::{Journal, Message, Unsaved, frame};

/// Bytes that are written at once, about.
const WRITE_BYTES: u64 = 1 << 20;
/// What was written is on the disk within this time, unless the disk is slower.
const SYNC: Duration = Duration::from_millis(200);
/// How often it is saved where the sinks are.
const SAVE: Duration = Duration::from_secs(1);
/// How long a disk that refuses is left alone.
const RETRY: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Writer {
    journal: Arc<Journal>,
    store: Store,
    frames: Vec<u8>,
    synced: Instant,
    saved: Instant,
    last_places: super::places::Places,
}

impl Writer {
    pub(super) fn new(journal: Arc<Journal>, store: Store) -> Self {
        let now = Instant::now();
        Self { journal, store, frames: Vec::new(), synced: now, saved: now, last_places: Default::default() }
    }

    /// Works until the journal has ended.
    pub(super) fn run(mut self) {
        let bytes_max = usize::try_from(WRITE_BYTES.min(self.store.segment_bytes())).unwrap_or(usize::MAX);
        loop {
            match self.journal.unsaved(SYNC, bytes_max) {
                Unsaved::Messages(first, messages) => self.write(first, &messages),
                Unsaved::None => {}
                Unsaved::Ended => break,
            }
            self.keep_up(false);
        }
        self.keep_up(true);
    }

    /// Writes messages, or says why not and waits: they stay where they are, and so does what comes.
    fn write(&mut self, first: u64, messages: &[Arc<Message>]) {
        self.frames.clear();
        (first..).zip(messages).for_each(|(position, message)| frame::encode(position, message, &mut self.frames));
        let end = first + messages.len() as u64;
        if let Err(fault) = self.put((first, end)) {
            self.store.give_up();
            // A full disk has room for new ones if old ones go.
            let has_room = fault.kind() == ErrorKind::StorageFull && self.drop_oldest();
            if !has_room {
                self.journal.refused(&fault.to_string());
                self.journal.rest(RETRY);
            }
        }
    }

    fn put(&mut self, (first, end): (u64, u64)) -> io::Result<()> {
        let bytes = self.frames.len() as u64;
        self.store.seal_for(first, bytes)?;
        while self.store.is_full_for(bytes) && self.drop_oldest() {}
        let active = self.store.write((first, end), &self.frames)?;
        self.journal.saved(active);
        Ok(())
    }

    /// Whether there was one that is not being written.
    fn drop_oldest(&mut self) -> bool {
        let Some((segment, is_unread)) = self.journal.oldest() else { return false };
        let held = if is_unread { held_by(&segment) } else { Vec::new() };
        // First told, then done: no reader comes for what is not there.
        self.journal.dropped(&segment, &held);
        if let Err(fault) = self.store.remove(&segment) {
            self.journal.refused(&fault.to_string());
            return false;
        }
        true
    }

    /// What is due from time to time.
    fn keep_up(&mut self, now: bool) {
        if now || self.synced.elapsed() >= SYNC {
            self.synced = Instant::now();
            if let Err(fault) = self.store.sync() {
                self.journal.refused(&fault.to_string());
            }
        }
        if now || self.saved.elapsed() >= SAVE {
            self.saved = Instant::now();
            let places = self.journal.places();
            if places != self.last_places && self.store.save(&places).is_ok() {
                self.last_places = places;
            }
        }
    }
}
