//! The folder of segments: one process writes there, and takes the oldest away where there is no more room.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::FAST_SHARE;
use super::frame::Content;
use super::losses::Lost;
use super::marks::{self, Marks, Saved};
use super::previous::{self, LastRun};
use super::segment::{self, Segment};

/// How the journal lies on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// A folder, which is made if it is not there. No other process may use it.
    pub folder: PathBuf,
    /// Of all segments. What is beyond falls off, oldest first.
    pub bytes_max: u64,
    /// A segment has no more, unless it is one message.
    pub segment_bytes: u64,
}

impl Disk {
    /// Of the long lane, and of the fast one, whose segments are as many.
    pub(super) fn lanes(&self) -> [Self; 2] {
        let share = u64::from(FAST_SHARE);
        let bytes = self.bytes_max / share;
        let fast = Self { folder: self.folder.join("fast"), bytes_max: bytes, segment_bytes: self.segment_bytes / share };
        [Self { bytes_max: self.bytes_max - bytes, ..self.clone() }, fast]
    }
}

/// The journal's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("[journal] path: another process uses {}; give each appliance a folder of its own", .0.display())]
    InUse(PathBuf),
    /// The system refuses.
    #[error("[journal] path: {} cannot be used: {reason}; make it a folder that may be written, on a disk with room", folder.display())]
    Io {
        /// As configured.
        folder: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
}

impl OpenError {
    /// Whether it is the disk that ails, and not the configuration: it may be well again later.
    pub fn is_of_the_disk(&self) -> bool {
        let is_of_the_disk = |reason: &io::Error| {
            is_full(reason) || reason.kind() == io::ErrorKind::ReadOnlyFilesystem || reason.raw_os_error() == Some(libc::EIO)
        };
        matches!(self, Self::Io { reason, .. } if is_of_the_disk(reason))
    }
}

/// Whether there is no room for more.
pub(super) fn is_full(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What an earlier run left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Oldest first.
    pub(super) segments: Vec<Segment>,
    /// None: nobody knows how far the sinks were.
    pub(super) marks: Option<Marks>,
    pub(super) run: Option<LastRun>,
}

/// See the module. Where it writes is behind all that it found: a segment that was cut short stays as it is.
#[derive(Debug)]
pub(super) struct Store {
    disk: Disk,
    active: Option<(File, Segment)>,
    /// Bytes of all segments but the active one.
    sealed_bytes: u64,
    is_synced: bool,
    /// The folder itself has reached the disk since it got its last segment.
    is_listed: bool,
    /// As long as it is there, no other process has the folder.
    lock: File,
}

impl Store {
    pub(super) fn open(disk: &Disk) -> Result<(Self, Left), OpenError> {
        let fail = |reason| OpenError::Io { folder: disk.folder.clone(), reason };
        std::fs::create_dir_all(&disk.folder).map_err(fail)?;
        let lock = locked(&disk.folder)?;
        let segments = segment::all(&disk.folder).map_err(fail)?;
        let saved = marks::load(&disk.folder).unwrap_or_else(|fault| {
            tracing::warn!("how far the sinks were cannot be read, so each begins with the oldest report: {fault}");
            None
        });
        let run = previous::previous(&segments, saved.as_ref().and_then(|saved| saved.run));
        let sealed_bytes = segments.iter().map(|segment| segment.bytes).sum();
        let store = Self { disk: disk.clone(), active: None, sealed_bytes, is_synced: true, is_listed: true, lock };
        Ok((store, Left { segments, marks: saved.map(|saved| saved.sinks), run }))
    }

    pub(super) const fn segment_bytes(&self) -> u64 {
        self.disk.segment_bytes
    }

    /// Whether so many more bytes want an old segment to go.
    pub(super) fn is_full_for(&self, bytes: u64) -> bool {
        self.sealed_bytes + self.active.as_ref().map_or(0, |(_, segment)| segment.bytes) + bytes > self.disk.bytes_max
    }

    /// Whether so many more bytes, or frames from a position on that do not follow on the last one, do not go into the active segment.
    pub(super) fn must_seal(&self, first: u64, bytes: u64) -> bool {
        let goes_there = |segment: &Segment| segment.end == first && segment.bytes + bytes <= self.disk.segment_bytes;
        self.active.as_ref().is_some_and(|(_, segment)| !goes_there(segment))
    }

    /// Writes frames of the messages from `first` on, before `end`. All of them or, on an error, none. The active segment as it is
    /// then.
    pub(super) fn write(&mut self, (first, end): (u64, u64), frames: &[u8]) -> io::Result<Segment> {
        if self.active.is_none() {
            let segment = Segment::begin(&self.disk.folder, first);
            let file = OpenOptions::new().create(true).truncate(true).write(true).open(&segment.path)?;
            (self.active, self.is_listed) = (Some((file, segment)), false);
        }
        let Some((file, segment)) = &mut self.active else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(fault) = file.write_all(frames) {
            // Readers pass over a frame that is cut, but none is left if that can be helped.
            let _ = file.set_len(segment.bytes).and_then(|()| io::Seek::seek(file, io::SeekFrom::Start(segment.bytes)));
            return Err(fault);
        }
        self.is_synced = false;
        segment.bytes += frames.len() as u64;
        segment.end = end;
        Ok(segment.clone())
    }

    /// The active segment is not written to any more: what comes next begins another one. What it has from `kept` on is written again.
    pub(super) fn give_up(&mut self, kept: u64) {
        let Some((_, segment)) = self.active.take() else { return };
        if segment.end.min(kept) > segment.first {
            self.sealed_bytes += segment.bytes;
            return;
        }
        // Nobody knows of it any more. The next one may have its name.
        if let Err(fault) = std::fs::remove_file(&segment.path)
            && fault.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("{} is not used any more and cannot be removed: {fault}", segment.path.display());
        }
    }

    /// What was written reaches the disk, and is to be found there.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let (false, Some((file, segment))) = (self.is_synced, &self.active) {
            if file.metadata()?.nlink() == 0 {
                return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} was removed", segment.path.display())));
            }
            file.sync_data()?;
            self.is_synced = true;
        }
        if !self.is_listed {
            // A file that its folder does not name is lost, whatever is in it.
            File::open(&self.disk.folder)?.sync_all()?;
            self.is_listed = true;
        }
        if self.lock.metadata()?.nlink() == 0 {
            self.lock = locked(&self.disk.folder).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Removes a segment. One that is gone already is removed.
    pub(super) fn remove(&mut self, segment: &Segment) -> io::Result<()> {
        match std::fs::remove_file(&segment.path) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound || !self.disk.folder.exists() => return Err(fault),
            _ => self.sealed_bytes = self.sealed_bytes.saturating_sub(segment.bytes),
        }
        Ok(())
    }

    pub(super) fn save(&self, saved: &Saved) -> io::Result<()> {
        marks::save(&self.disk.folder, saved)
    }

    /// What was saved is there after a power cut too.
    pub(super) fn settle(&self) -> io::Result<()> {
        File::open(&self.disk.folder)?.sync_all()
    }
}

/// The folder for this process alone.
fn locked(folder: &Path) -> Result<File, OpenError> {
    let fail = |reason| OpenError::Io { folder: folder.to_owned(), reason };
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock")).map_err(fail)?;
    lock.try_lock().map_err(|refused| match refused {
        TryLockError::WouldBlock => OpenError::InUse(folder.to_owned()),
        TryLockError::Error(reason) => fail(reason),
    })?;
    Ok(lock)
}

/// What is to be known of a position that goes with its segment.
#[derive(Debug)]
pub(super) enum Held {
    /// A message was there.
    Message(Lost),
    /// Nothing was ever there.
    Gap {
        /// From this position on,
        from: u64,
        /// before this one.
        to: u64,
    },
}

/// What a segment holds, as far as it can be read.
pub(super) fn held_by(segment: &Segment) -> Vec<Held> {
    let mut held = Vec::new();
    segment::read(segment, |position, content| match content {
        // What stands behind its end did not reach the disk for sure, and was written again elsewhere.
        _ if position >= segment.end => {}
        Content::Message(message) => held.push(Held::Message(Lost::of(position, &message))),
        Content::Gap(to) => held.push(Held::Gap { from: position, to: to.min(segment.end) }),
    });
    held
}
