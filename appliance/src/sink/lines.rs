//! JSON lines, appended to a file or written to stdout.
//!
//! Lines are gathered while more messages wait, then written in one go; nothing is held back once the journal is empty, so
//! the lines of a window stand in the file as soon as it is reported. A write that fails (a full disk) is tried again from
//! the very byte where it stopped: no line is ever torn or doubled by it.
//!
//! The journal forgets what is settled, so lines of a file are settled only once they have reached its disk ([`Target::sync`]): at
//! once after a pause, else every 200 ms or 8 MiB. Where a sync fails nobody knows what of them is there, and all are written again.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Seat, to_json_line};
use crate::journal::{Both, Message, Next};

/// Lines are written once so many bytes are gathered, even if more messages wait.
const GATHERED_BYTES_MAX: usize = 1 << 20;
/// So many bytes, and those of one message, are written and not synced.
const UNSYNCED_BYTES_MAX: usize = 8 << 20;
/// A sync begins no sooner than so long after the one before, unless there are so many bytes.
const SYNC: Duration = Duration::from_millis(200);
/// How long the thread sleeps when there is nothing to do.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// Waits between attempts: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Something that takes bytes.
pub(super) trait Target {
    /// What was written is settled only once it is synced.
    const IS_SYNCED: bool;
    /// Writes some of the bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Called between two lines.
    fn between_lines(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// All that was written survives a power cut. After an error none of it need be there.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The sink's thread.
pub(super) struct Lines<T> {
    target: T,
    seat: Seat<Both>,
    /// Lines that are not settled.
    gathered: Vec<u8>,
    /// Bytes of `gathered` that are written.
    written: usize,
    /// The messages in it, oldest first: where each ends there, and what it is. A lot of flows has many lines.
    ends: VecDeque<(usize, Arc<Message>)>,
    /// When the last sync began.
    synced: Option<Instant>,
}

impl<T: Target> Lines<T> {
    pub(super) fn new(target: T, seat: Seat<Both>) -> Self {
        Self { target, seat, gathered: Vec::new(), written: 0, ends: VecDeque::new(), synced: None }
    }

    /// Works until the journal is closed and empty, the deadline has passed or the reader is gone.
    pub(super) fn run(mut self) {
        let mut wait = IDLE_WAIT;
        loop {
            let is_empty = match self.seat.cursor.next(wait) {
                Next::Message(message) => {
                    match to_json_line(&message, &mut self.gathered) {
                        Ok(()) => self.ends.push_back((self.gathered.len(), message)),
                        Err(fault) => self.refuse(&message, &fault),
                    }
                    wait = Duration::ZERO;
                    if self.gathered.len() - self.written < GATHERED_BYTES_MAX {
                        continue;
                    }
                    false
                }
                Next::Empty => true,
                Next::Closed => {
                    let _ = self.flush() && self.sync();
                    break;
                }
            };
            if !self.flush() || self.is_due() && !self.sync() {
                break;
            }
            wait = if is_empty { self.until_due() } else { Duration::ZERO };
        }
        self.seat.health.ended();
    }

    /// Whether what is written is to be synced now.
    fn is_due(&self) -> bool {
        !self.ends.is_empty() && (self.written >= UNSYNCED_BYTES_MAX || self.until_due().is_zero())
    }

    /// How long to wait for messages at most.
    fn until_due(&self) -> Duration {
        if self.ends.is_empty() {
            return IDLE_WAIT;
        }
        self.synced.map_or(Duration::ZERO, |at| SYNC.saturating_sub(at.elapsed()))
    }

    /// A message that is none. Lines before it are settled first: the journal settles in order.
    fn refuse(&mut self, message: &Message, fault: &str) {
        if self.flush() && self.sync() {
            self.seat.health.error(fault.to_owned());
            self.seat.health.failed_of(message, message.count().max(1));
            self.seat.cursor.commit(1);
        }
    }

    /// Writes all that is gathered, however often it takes. False if this sink has ended.
    fn flush(&mut self) -> bool {
        let mut wait = RETRY_FIRST;
        let mut is_between = true;
        while self.written < self.gathered.len() {
            match self.write_some(is_between) {
                Ok(()) => (wait, is_between) = (RETRY_FIRST, false),
                Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                Err(fault) if fault.kind() == ErrorKind::BrokenPipe => return false,
                Err(fault) => {
                    if !self.try_later(&fault, wait) {
                        // What the disk has taken need not come again after a restart.
                        if T::IS_SYNCED && self.target.sync().is_ok() {
                            self.settle();
                        }
                        return false;
                    }
                    wait = (wait * 2).min(RETRY_LAST);
                }
            }
        }
        if !T::IS_SYNCED {
            self.clear();
        }
        true
    }

    fn write_some(&mut self, is_between: bool) -> io::Result<()> {
        if is_between {
            self.target.between_lines()?;
        }
        let rest = &self.gathered[self.written..];
        let bytes = self.target.write(rest)?;
        if bytes == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        self.written += bytes.min(rest.len());
        if !T::IS_SYNCED {
            self.settle();
        }
        Ok(())
    }

    /// Has all that is written on the disk, however often it takes; where that fails it is written again. False if this sink has ended.
    fn sync(&mut self) -> bool {
        let mut wait = RETRY_FIRST;
        while !self.ends.is_empty() {
            self.synced = Some(Instant::now());
            match self.target.sync() {
                Ok(()) => self.settle(),
                Err(fault) => {
                    self.written = 0;
                    if !self.try_later(&fault, wait) || !self.flush() {
                        return false;
                    }
                    wait = (wait * 2).min(RETRY_LAST);
                }
            }
        }
        self.clear();
        true
    }

    /// The lines that are written are delivered.
    fn settle(&mut self) {
        let mut whole = 0;
        while let Some((_, message)) = self.ends.pop_front_if(|(end, _)| *end <= self.written) {
            let readable = message.readable();
            self.seat.health.delivered_of(&message, readable);
            self.seat.health.failed_of(&message, message.count().saturating_sub(readable));
            whole += 1;
        }
        if whole > 0 {
            self.seat.health.up();
            self.seat.cursor.commit(whole);
        }
    }

    fn clear(&mut self) {
        self.gathered.clear();
        self.written = 0;
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
    const IS_SYNCED: bool = false;

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
}
