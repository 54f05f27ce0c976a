//! Captures: pcap and pcapng files, as a stream of frames.
//!
//! One record at a time stands in one bounded buffer; nothing is mapped, nothing grows with the file. A capture is a
//! stranger's file: every length in it is checked before it is used. What tshark does with odd files is what we do:
//! a record beyond 256 KiB is corrupt, a captured length above the original one is cut to it, a last record that is cut
//! short is left out with a warning.

mod classic;
mod error;
mod link;
mod merged;
mod pcapng;
mod window;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use self::classic::Classic;
pub use self::error::{CaptureError, CaptureFault};
pub use self::merged::Merged;
use self::pcapng::Pcapng;
use self::window::Window;
pub use self::writer::PcapWriter;
use crate::limits::CAPTURE_RECORD_BYTES_MAX;
use crate::units::LinkType;

/// One frame of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapturedFrame<'a> {
    /// When it was captured, nanoseconds since 1970. A record without a stamp has that of the record before it.
    pub time_ns: u64,
    /// Bytes on the wire, as the capture's original length says: never less than `bytes`.
    pub wire_bytes: u32,
    /// What was captured of it.
    pub bytes: &'a [u8],
    /// What `bytes` start with.
    pub link: LinkType,
}

/// A capture file that is being read.
#[derive(Debug)]
pub struct Capture {
    file: PathBuf,
    file_bytes: Option<u64>,
    window: Window,
    format: Format,
    current: Option<Record>,
    /// What came of a step that `open` made and `advance` has not yet given.
    ahead: Option<Result<bool, CaptureError>>,
    frames: u64,
    warning: Option<String>,
    over: bool,
}

#[derive(Debug)]
enum Format {
    Classic(Classic),
    Pcapng(Pcapng),
}

/// Where the current frame stands in the window, and what is known of it.
#[derive(Clone, Debug)]
struct Record {
    time_ns: u64,
    wire_bytes: u32,
    at: Range<usize>,
    link: LinkType,
}

impl Record {
    /// A record of `captured` bytes at `start`, cut to its original length where that is less.
    fn new(time_ns: u64, start: usize, captured: u32, original: u32, link: LinkType) -> Self {
        let bytes = captured.min(original) as usize;
        Self { time_ns, wire_bytes: original, at: start..start + bytes, link }
    }
}

/// What one step through a file came to.
enum Step {
    Frame(Record),
    End,
    /// The file ends inside a record.
    Cut,
}

impl Capture {
    /// Opens a file and reads its header, and with pcapng on to the first frame, so that what cannot be read at all shows here.
    pub fn open(file: &Path) -> Result<Self, CaptureError> {
        let at_start = |fault| CaptureError::at_start(file, fault);
        let source = File::open(file).map_err(|error| at_start(error.into()))?;
        let metadata = source.metadata().map_err(|error| at_start(error.into()))?;
        if metadata.is_dir() {
            return Err(at_start(CaptureFault::Directory));
        }
        let file_bytes = metadata.is_file().then_some(metadata.len());
        let mut capture = Self::from_reader(file, Box::new(source))?;
        capture.file_bytes = file_bytes;
        capture.window.set_whole(file_bytes);
        Ok(capture)
    }

    /// Reads from anything; `name` stands in errors.
    pub fn from_reader(name: &Path, source: Box<dyn Read + Send>) -> Result<Self, CaptureError> {
        let mut window = Window::new(source);
        let format = Self::format(&mut window).map_err(|fault| CaptureError::at_start(name, fault))?;
        let mut capture = Self {
            file: name.to_owned(),
            file_bytes: None,
            window,
            format,
            current: None,
            ahead: None,
            frames: 0,
            warning: None,
            over: false,
        };
        if matches!(capture.format, Format::Pcapng(_)) {
            capture.look_ahead()?;
        }
        Ok(capture)
    }

    fn format(window: &mut Window) -> Result<Format, CaptureFault> {
        window.fill(4)?;
        let Some(&magic) = window.held().first_chunk::<4>() else {
            return Err(if window.held().is_empty() { CaptureFault::Empty } else { CaptureFault::NoHeader });
        };
        if magic == pcapng::MAGIC {
            return Ok(Format::Pcapng(Pcapng::open(window)?));
        }
        Ok(Format::Classic(Classic::open(magic, window)?))
    }

    /// Interfaces of a pcapng come before its first frame, anywhere among other blocks. Link types that cannot be read
    /// show now; what is corrupt shows when it is reached, as in a classic file.
    fn look_ahead(&mut self) -> Result<(), CaptureError> {
        let stepped = self.step();
        let (Ok(false), Format::Pcapng(pcapng)) = (&stepped, &self.format) else {
            if let Err(CaptureError { fault: fault @ (CaptureFault::LinkType(_) | CaptureFault::Version(..)), .. }) = stepped {
                return Err(CaptureError::at_start(&self.file, fault));
            }
            self.ahead = Some(stepped);
            return Ok(());
        };
        pcapng.readable_if_any().map_err(|fault| CaptureError::at_start(&self.file, fault))
    }

    /// Goes to the next frame; false at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, CaptureError> {
        let stepped = self.ahead.take().unwrap_or_else(|| self.step())?;
        self.frames += u64::from(stepped);
        Ok(stepped)
    }

    fn step(&mut self) -> Result<bool, CaptureError> {
        self.current = None;
        if self.over {
            return Ok(false);
        }
        let step = match &mut self.format {
            Format::Classic(classic) => classic.step(&mut self.window),
            Format::Pcapng(pcapng) => pcapng.step(&mut self.window),
        };
        match step {
            Ok(Step::Frame(record)) => {
                self.current = Some(record);
                return Ok(true);
            }
            Ok(Step::End) => {}
            Ok(Step::Cut) => {
                let (file, frames) = (self.file.display(), self.frames);
                self.warning = Some(format!("{file}: the file ends in the middle of a record, after {frames} whole frames"));
            }
            Err(fault) => {
                self.over = true;
                let (file, frames, offset) = (self.file.clone(), self.frames, self.window.offset());
                return Err(CaptureError { file, fault, frames, offset: Some(offset) });
            }
        }
        self.over = true;
        Ok(false)
    }

    /// The frame that [`Self::advance`] went to.
    pub(crate) fn current(&self) -> Option<CapturedFrame<'_>> {
        let Record { time_ns, wire_bytes, at, link } = self.current.clone()?;
        Some(CapturedFrame { time_ns, wire_bytes, bytes: self.window.slice(at), link })
    }

    /// The next frame; `None` at the end. After an error there are no more.
    pub fn next_frame(&mut self) -> Result<Option<CapturedFrame<'_>>, CaptureError> {
        Ok(if self.advance()? { self.current() } else { None })
    }

    /// What was odd without being an error: the last record was cut short. Known at the end.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Frames given so far.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Bytes of the file that were read so far, and that it has, if it is a regular one.
    pub const fn progress_bytes(&self) -> (u64, Option<u64>) {
        (self.window.offset(), self.file_bytes)
    }

    /// As given to `open`.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// Refuses a record that is longer than any frame can be.
fn bounded(captured: u32) -> Result<usize, CaptureFault> {
    if captured as usize > CAPTURE_RECORD_BYTES_MAX {
        return Err(CaptureFault::Corrupt(format!("a record of {captured} bytes (at most {CAPTURE_RECORD_BYTES_MAX})")));
    }
    Ok(captured as usize)
}
