//! The thread that writes: the only one that waits for the disk.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::for_writer::Work;
use super::frame;
use super::lane::Lane;
use super::marks::Saved;
use super::queue::Unsaved;
use super::store::{Store, held_by, is_full};

/// Bytes that are written at once, about.
const WRITE_BYTES: u64 = 1 << 20;
/// What was written is on the disk within this time, unless the disk is slower.
const SYNC: Duration = Duration::from_millis(200);
/// How often it is saved where the sinks are.
const SAVE: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 1_000 });
/// How long a disk that refuses is left alone.
const RETRY: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Writer {
    journal: Arc<Lane>,
    store: Store,
    frames: Vec<u8>,
    /// When what was written last reached the disk,
    synced: Instant,
    /// and whether more was written since.
    is_behind: bool,
    saved: Instant,
    last_saved: Saved,
    /// It was said that they cannot be saved.
    is_told: bool,
}

impl Writer {
    pub(super) fn new(journal: Arc<Lane>, store: Store) -> Self {
        let (now, last_saved) = (Instant::now(), Saved::default());
        Self { journal, store, frames: Vec::new(), synced: now, is_behind: false, saved: now, last_saved, is_told: false }
    }

    /// Works until the journal has ended.
    pub(super) fn run(mut self) {
        self.save();
        let bytes_max = usize::try_from(WRITE_BYTES.min(self.store.segment_bytes())).unwrap_or(usize::MAX);
        loop {
            match self.journal.work(SYNC, bytes_max) {
                Work::Messages(unsaved) => {
                    self.write(&unsaved);
                }
                Work::None => {}
                Work::Ended => break,
            }
            self.keep_up();
        }
        // Once more also where it was refused.
        while let Some(unsaved) = self.journal.unsaved(bytes_max) {
            if !self.write(&unsaved) {
                break;
            }
        }
        self.sync();
        self.save();
    }

    /// Asks the disk for something.
    fn ask<T>(&mut self, what: impl FnOnce(&mut Store) -> T) -> T {
        self.journal.asks(Some(Instant::now()));
        let answer = what(&mut self.store);
        self.journal.asks(None);
        answer
    }

    /// Writes messages, or says why not and waits: they stay where they are, and so does what comes. Whether it is worth going on.
    fn write(&mut self, unsaved: &Unsaved) -> bool {
        self.frames.clear();
        if unsaved.behind < unsaved.first {
            frame::encode_gap((unsaved.behind, unsaved.first), &mut self.frames);
            // Who reads it takes what was there for told.
            self.save();
        }
        let messages = (unsaved.first..).zip(&unsaved.messages);
        messages.for_each(|(position, message)| frame::encode(position, message, &mut self.frames));
        let end = unsaved.first + unsaved.messages.len() as u64;
        if self.store.must_seal(unsaved.behind, self.frames.len() as u64) {
            if !self.sync() {
                self.journal.unwritten(unsaved);
                return false;
            }
            self.store.give_up(u64::MAX);
        }
        let Err(fault) = self.put((unsaved.behind, end)) else { return true };
        self.journal.unwritten(unsaved);
        if self.sync() {
            self.store.give_up(u64::MAX);
        }
        // A full disk has room for new ones if old ones go.
        match if is_full(&fault) { self.drop_oldest() } else { Ok(false) } {
            Ok(true) => return true,
            Ok(false) => self.refused(&fault),
            Err(fault) => self.refused(&fault),
        }
        false
    }

    fn put(&mut self, positions: (u64, u64)) -> io::Result<()> {
        while self.store.is_full_for(self.frames.len() as u64) && self.drop_oldest()? {}
        let frames = std::mem::take(&mut self.frames);
        let active = self.ask(|store| store.write(positions, &frames));
        self.frames = frames;
        self.journal.saved(active?);
        self.is_behind = true;
        Ok(())
    }

    fn refused(&self, fault: &io::Error) {
        self.journal.refused(&fault.to_string());
        self.journal.rest(RETRY);
    }

    /// Whether there was one that is not being written.
    fn drop_oldest(&mut self) -> io::Result<bool> {
        let Some((segment, is_unread)) = self.journal.begin_to_drop() else { return Ok(false) };
        let held = if is_unread { self.ask(|_| held_by(&segment)) } else { Vec::new() };
        match self.ask(|store| store.remove(&segment)) {
            Ok(()) => {
                self.journal.dropped(&segment, &held);
                // Else a kill would have them counted again, and nobody knew any more what they were.
                self.save();
            }
            Err(fault) => {
                self.journal.stays();
                return Err(fault);
            }
        }
        Ok(true)
    }

    /// What is due from time to time.
    fn keep_up(&mut self) {
        if self.synced.elapsed() >= SYNC {
            self.sync();
        }
        if self.journal.has_begun() || self.saved.elapsed() >= SAVE {
            self.save();
        }
        if self.journal.awaits(self.last_saved.run) && self.ask(|store| store.settle()).is_ok() {
            self.journal.run_is_settled();
        }
    }

    /// What was written reaches the disk. If it does not, nobody knows what of it did: it is written again elsewhere.
    fn sync(&mut self) -> bool {
        self.synced = Instant::now();
        if !self.is_behind {
            return true;
        }
        self.is_behind = false;
        match self.ask(Store::sync) {
            Ok(()) => self.journal.synced(),
            Err(fault) => {
                let kept = self.journal.unsynced();
                self.store.give_up(kept);
                self.refused(&fault);
                return false;
            }
        }
        true
    }

    fn save(&mut self) {
        self.saved = Instant::now();
        let marks = self.journal.marks();
        if marks == self.last_saved {
            return;
        }
        match self.ask(|store| store.save(&marks)) {
            Ok(()) => (self.last_saved, self.is_told) = (marks, false),
            Err(fault) if !std::mem::replace(&mut self.is_told, true) => {
                tracing::warn!("how far the sinks are cannot be saved: {fault}; after a kill now they repeat what they delivered");
            }
            Err(_) => {}
        }
    }
}
