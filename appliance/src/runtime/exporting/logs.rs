//! Packet logs on their way out: in lots into the journal, or as lines into a file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::{Journal, LotForm, LotWriter, Message, WindowOf};
use crate::limits::{FLOW_LOT_BYTES, FLOW_LOT_MS_MAX};

/// Room in a lot's buffer for its last line.
const SPARE_BYTES: usize = 8 << 10;

/// Where lines go.
pub(super) enum Lines {
    /// Into the journal, for all sinks.
    Journal(Box<Lots>),
    /// Of a replay.
    File(LogFile),
}

/// Lines that were given on, and not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) written: u64,
    pub(super) refused: u64,
}

impl Lines {
    /// It is so late.
    pub(super) fn turn(&mut self, now_ns: u64) {
        if let Self::Journal(lots) = self {
            lots.turn(now_ns);
        }
    }

    /// Takes a line without its end, with a key.
    pub(super) fn put(&mut self, key: &str, line: &[u8]) {
        match self {
            Self::Journal(lots) => lots.put(key, line),
            Self::File(file) => file.put(line),
        }
    }

    /// What waits goes on.
    pub(super) fn flush(&mut self) {
        if let Self::Journal(lots) = self {
            lots.flush();
        }
    }

    pub(super) fn given(&self) -> Given {
        match self {
            Self::Journal(lots) => lots.given,
            Self::File(file) => file.given,
        }
    }
}

/// A lot holds lines of one window, so what falls off the journal is told by window.
pub(super) struct Lots {
    journal: Arc<Journal>,
    topic: String,
    lot: LotWriter,
    window_ns: u64,
    window: WindowOf,
    now_ns: u64,
    begun_ns: u64,
    given: Given,
}

impl Lots {
    pub(super) fn new(journal: Arc<Journal>, topic: &str, window_ns: u64) -> Self {
        Self {
            journal,
            topic: topic.to_owned(),
            lot: LotWriter::new(LotForm::Json, SPARE_BYTES),
            window_ns: window_ns.max(1),
            window: WindowOf::default(),
            now_ns: 0,
            begun_ns: 0,
            given: Given::default(),
        }
    }

    fn turn(&mut self, now_ns: u64) {
        let start_ns = now_ns - now_ns % self.window_ns;
        let is_old = now_ns.saturating_sub(self.begun_ns) >= FLOW_LOT_MS_MAX * 1_000_000;
        if is_old || start_ns != self.window.start_ns {
            self.flush();
            self.window = WindowOf { start_ns, end_ns: start_ns.saturating_add(self.window_ns) };
        }
        self.now_ns = now_ns;
    }

    fn put(&mut self, key: &str, line: &[u8]) {
        if !self.add(key, line) {
            self.flush();
            // One that no lot has room for.
            if !self.add(key, line) {
                self.given.refused += 1;
            }
        }
        if self.lot.bytes() >= FLOW_LOT_BYTES {
            self.flush();
        }
    }

    fn add(&mut self, key: &str, line: &[u8]) -> bool {
        if self.lot.count() == 0 {
            self.begun_ns = self.now_ns;
        }
        self.lot.put(|out| out.extend(key.as_bytes()), |out| out.extend(line))
    }

    fn flush(&mut self) {
        let count = u64::from(self.lot.count());
        if count == 0 {
            return;
        }
        let message = Message::logs(&self.topic, self.lot.take(), self.window);
        let counter = if self.journal.append(message) { &mut self.given.written } else { &mut self.given.refused };
        *counter += count;
    }
}

/// A file of lines, which who made it finishes.
#[derive(Clone)]
pub struct LogFile {
    to: Arc<Mutex<(BufWriter<File>, Option<std::io::Error>)>>,
    given: Given,
}

impl LogFile {
    /// Makes it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(file: &std::path::Path) -> std::io::Result<Self> {
        Ok(Self { to: Arc::new(Mutex::new((BufWriter::new(File::create(file)?), None))), given: Given::default() })
    }

    fn put(&mut self, line: &[u8]) {
        let mut state = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let (to, fault) = &mut *state;
        if fault.is_none() {
            *fault = to.write_all(line).and_then(|()| to.write_all(b"\n")).err();
        }
        let counter = if fault.is_none() { &mut self.given.written } else { &mut self.given.refused };
        *counter += 1;
    }

    /// All is written.
    ///
    /// # Errors
    /// Something could not be: nothing was written behind it.
    pub fn finish(&self) -> std::io::Result<()> {
        let mut state = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.take().map_or_else(|| state.0.flush(), Err)
    }
}
