//! One bounded buffer that slides over a file.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use crate::limits::CAPTURE_BUFFER_BYTES;

/// A file's bytes from some offset on, as far as they were asked for.
pub(super) struct Window {
    source: Box<dyn Read + Send>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    offset: u64,
    /// Bytes of the whole source, where they are known.
    whole: Option<u64>,
}

impl Window {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self { source, buffer: vec![0; CAPTURE_BUFFER_BYTES].into_boxed_slice(), start: 0, end: 0, offset: 0, whole: None }
    }

    /// Tells how long the source is.
    pub(super) const fn set_whole(&mut self, bytes: Option<u64>) {
        self.whole = bytes;
    }

    /// Whether the source is known to end within the next so many bytes.
    pub(super) fn ends_within(&self, bytes: u64) -> bool {
        self.whole.is_some_and(|whole| whole.saturating_sub(self.offset) < bytes)
    }

    /// Makes `bytes` bytes stand contiguously; false where the file ends before. At most [`CAPTURE_BUFFER_BYTES`].
    pub(super) fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        if self.end - self.start >= bytes {
            return Ok(true);
        }
        if bytes > self.buffer.len() {
            return Err(io::Error::other("a record above the reader's buffer"));
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < bytes {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// What stands in the buffer and was not consumed.
    pub(super) fn held(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Passes over bytes that are held. They stay readable through [`Self::slice`] until the next `fill`.
    pub(super) fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.end - self.start);
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Passes over bytes that need not be held; false where the file ends before.
    pub(super) fn skip(&mut self, mut bytes: usize) -> io::Result<bool> {
        loop {
            let now = bytes.min(self.end - self.start);
            self.consume(now);
            bytes -= now;
            if bytes == 0 {
                return Ok(true);
            }
            if !self.fill(1)? {
                return Ok(false);
            }
        }
    }

    /// Position in the buffer of the first byte that was not consumed.
    pub(super) const fn position(&self) -> usize {
        self.start
    }

    /// Offset in the file of the first byte that was not consumed.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes by their position in the buffer.
    pub(super) fn slice(&self, at: Range<usize>) -> &[u8] {
        self.buffer.get(at).unwrap_or_default()
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("offset", &self.offset).field("held", &(self.end - self.start)).finish_non_exhaustive()
    }
}

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let raw = *bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u16::from_le_bytes(raw) } else { u16::from_be_bytes(raw) })
    }

    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let raw = *bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u32::from_le_bytes(raw) } else { u32::from_be_bytes(raw) })
    }

    pub(super) fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let raw = *bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u64::from_le_bytes(raw) } else { u64::from_be_bytes(raw) })
    }
}
