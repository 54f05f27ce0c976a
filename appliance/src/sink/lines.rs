//! JSON lines, appended to a file or written to stdout.
//!
//! Lines are gathered while more messages wait, then written in one go; nothing is held back once the journal is empty, so
//! the lines of a window stand in the file as soon as it is reported. A write that fails (a full disk) is tried again from
//! the very byte where it stopped: no line is ever torn or doubled by it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Seat, to_json_line};
use crate::journal::{Both, Message, Next};

/// Lines are written once so many bytes are gathered, even if more messages wait.
const GATHERED_BYTES_MAX: usize = 1 << 20;
/// How long the thread sleeps when there is nothing to do.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// Waits between attempts: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Something that takes bytes.
pub(super) trait Target {
    /// Writes some of the bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Called between two lines.
    fn between_lines(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The sink's thread.
pub(super) struct Lines<T> {
    target: T,
    seat: Seat<Both>,
    gathered: Vec<u8>,
    /// Bytes of `gathered` that are written.
    written: usize,
    /// The messages in it, oldest first: where each ends there, and what it is. A lot of flows has many lines.
    ends: VecDeque<(usize, Arc<Message>)>,
}

impl<T: Target> Lines<T> {
    pub(super) fn new(target: T, seat: Seat<Both>) -> Self {
        Self { target, seat, gathered: Vec::new(), written: 0, ends: VecDeque::new() }
    }

    /// Works until the journal is closed and empty, the deadline has passed or the reader is gone.
    pub(super) fn run(mut self) {
        let mut wait = IDLE_WAIT;
        loop {
            match self.seat.cursor.next(wait) {
                Next::Message(message) => {
                    match to_json_line(&message, &mut self.gathered) {
                        Ok(()) => self.ends.push_back((self.gathered.len(), message)),
                        Err(fault) => self.refuse(&message, &fault),
                    }
                    wait = Duration::ZERO;
                    if self.gathered.len() < GATHERED_BYTES_MAX {
                        continue;
                    }
                }
                Next::Empty => wait = IDLE_WAIT,
                Next::Closed => {
                    self.flush();
                    break;
                }
            }
            if !self.flush() {
                break;
            }
        }
        self.seat.health.ended();
    }

    /// A message that is none. Lines before it are settled first: the journal settles in order.
    fn refuse(&mut self, message: &Message, fault: &str) {
        if self.flush() {
            self.seat.health.error(fault.to_owned());
            self.seat.health.failed_of(message, message.count());
            self.seat.cursor.commit(1);
        }
    }

    /// Writes all that is gathered, however often it takes. False if this sink has ended.
    fn flush(&mut self) -> bool {
        let mut wait = RETRY_FIRST;
        while self.written < self.gathered.len() {
            match self.write_some() {
                Ok(()) => wait = RETRY_FIRST,
                Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                Err(fault) if fault.kind() == ErrorKind::BrokenPipe => return false,
                Err(fault) => {
                    if !self.try_later(&fault, wait) {
                        return false;
                    }
                    wait = (wait * 2).min(RETRY_LAST);
                }
            }
        }
        self.gathered.clear();
        self.written = 0;
        true
    }

    fn write_some(&mut self) -> io::Result<()> {
        if self.written == 0 {
            self.target.between_lines()?;
        }
        let rest = &self.gathered[self.written..];
        let bytes = self.target.write(rest)?;
        if bytes == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        self.written += bytes.min(rest.len());
        let mut whole = 0;
        while let Some((_, message)) = self.ends.pop_front_if(|(end, _)| *end <= self.written) {
            let readable = message.readable();
            self.seat.health.delivered_of(&message, readable);
            self.seat.health.failed_of(&message, message.count().saturating_sub(readable));
            whole += 1;
        }
        self.seat.health.up();
        self.seat.cursor.commit(whole);
        Ok(())
    }

    fn try_later(&self, fault: &io::Error, wait: Duration) -> bool {
        // A slow reader of a non-blocking pipe is no fault.
        if fault.kind() != ErrorKind::WouldBlock {
            self.seat.health.error(fault.to_string());
            self.seat.health.retried(1);
            self.seat.health.down("free space on its disk, or make it writable");
        }
        if self.seat.stop.expired() {
            return false;
        }
        self.seat.stop.pause(wait);
        true
    }
}

/// A file that is only ever appended to. If it was renamed or removed (log rotation), it is made anew.
pub(super) struct Appended {
    path: PathBuf,
    file: File,
}

impl Appended {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open_at_line_start(path)? })
    }

    fn is_still_there(&self) -> bool {
        let identity = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        match (self.file.metadata().map(identity), std::fs::metadata(&self.path).map(identity)) {
            (Ok(mine), Ok(theirs)) => mine == theirs,
            _ => false,
        }
    }
}

impl Target for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn between_lines(&mut self) -> io::Result<()> {
        if !self.is_still_there() {
            self.file = open_at_line_start(&self.path)?;
        }
        Ok(())
    }
}

/// Opens for appending. A last line that an earlier run could not finish gets its end, so that it spoils no other.
fn open_at_line_start(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.is_file() && file.metadata()?.len() > 0 {
        let mut reader = File::open(path)?;
        reader.seek(SeekFrom::End(-1))?;
        let mut last = [0; 1];
        reader.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

/// Stdout without a buffer in between. When its reader goes away the sink ends quietly.
pub(super) struct Stdout(File);

impl Stdout {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self::on(io::stdout().as_fd().try_clone_to_owned()?))
    }

    pub(super) fn on(descriptor: OwnedFd) -> Self {
        Self(File::from(descriptor))
    }
}

impl Target for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
}
