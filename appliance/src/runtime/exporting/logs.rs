//! Packet logs on their way out: in lots into the journal, or as lines into a file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::lots::{Given, Lots};
use crate::journal::{Journal, LotForm, Message};

/// Where lines go.
pub(super) enum Lines {
    /// Into the journal, for all sinks.
    Journal(Box<Lots>),
    /// Of a replay.
    File(LogFile),
}

impl Lines {
    /// Into the journal, as lines of a topic.
    pub(super) fn into_journal(journal: Arc<Journal>, topic: &str, window_ns: u64) -> Self {
        Self::Journal(Box::new(Lots::new(journal, topic, (LotForm::Json, Message::logs), window_ns)))
    }

    /// It is so late.
    pub(super) fn turn(&mut self, now_ns: u64) {
        if let Self::Journal(lots) = self {
            lots.turn(now_ns);
        }
    }

    /// Takes a line without its end, with a key.
    pub(super) fn put(&mut self, key: &str, line: &[u8]) {
        match self {
            Self::Journal(lots) => lots.put(|out| out.extend(key.as_bytes()), |out| out.extend(line)),
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
