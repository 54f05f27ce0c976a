//! What can be wrong with a capture, said with its file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::link;

/// A capture could not be opened, or not be read on.
#[derive(Debug)]
pub struct CaptureError {
    /// Which file.
    pub file: PathBuf,
    /// What is wrong.
    pub fault: CaptureFault,
    /// Frames given before.
    pub frames: u64,
    /// Where in the file; `None` where it could not be opened as a capture.
    pub offset: Option<u64>,
}

/// What is wrong with a capture.
#[derive(Debug)]
#[non_exhaustive]
pub enum CaptureFault {
    /// No such file.
    Missing,
    /// A directory.
    Directory,
    /// It cannot be opened or read.
    Io(io::Error),
    /// No bytes at all.
    Empty,
    /// It starts with this, which no capture does.
    NotACapture([u8; 4]),
    /// It ends inside its header.
    NoHeader,
    /// A capture of a version that nobody writes.
    Version(u16, u16),
    /// Frames of a link type that is not read.
    LinkType(u16),
    /// A length or number in it that cannot be.
    Corrupt(String),
}

impl CaptureError {
    pub(super) fn at_start(file: &Path, fault: CaptureFault) -> Self {
        Self { file: file.to_owned(), fault, frames: 0, offset: None }
    }

    /// Whether nothing of the file could be used: a fault of what was asked for (exit status 2), not of what happened (1).
    pub const fn before_start(&self) -> bool {
        self.offset.is_none()
    }
}

impl From<io::Error> for CaptureFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::IsADirectory => Self::Directory,
            _ => Self::Io(error),
        }
    }
}

impl std::error::Error for CaptureError {}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.fault)?;
        match self.offset {
            Some(offset) => write!(f, " (at byte {offset}, after {} whole frames)", self.frames),
            None => Ok(()),
        }
    }
}

impl fmt::Display for CaptureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no such file"),
            Self::Directory => f.write_str("is a directory; name the captures in it one by one"),
            Self::Io(error) => write!(f, "cannot be read: {error}"),
            Self::Empty => f.write_str("is empty; a capture has a header at least"),
            Self::NotACapture(magic) => not_a_capture(f, *magic),
            Self::NoHeader => f.write_str("ends inside its header; it is no whole capture"),
            Self::Version(major, minor) => {
                write!(f, "is a capture of version {major}.{minor}, which is not read (pcap 2.x and pcapng 1.x are)")
            }
            Self::LinkType(number) => {
                let name = link::name(*number).unwrap_or("unknown");
                write!(f, "holds frames of link type {number} ({name}), which is not read; read are {}", link::READ)
            }
            Self::Corrupt(what) => write!(f, "is corrupt: {what}"),
        }
    }
}

fn not_a_capture(f: &mut fmt::Formatter<'_>, magic: [u8; 4]) -> fmt::Result {
    let [a, b, c, d] = magic;
    write!(f, "is neither pcap nor pcapng: it starts with {a:02x} {b:02x} {c:02x} {d:02x}")?;
    match magic {
        [0x1f, 0x8b, ..] => f.write_str(" (gzip); decompress it with gunzip first"),
        [0x28, 0xb5, 0x2f, 0xfd] => f.write_str(" (zstd); decompress it with unzstd first"),
        [0xfd, b'7', b'z', b'X'] => f.write_str(" (xz); decompress it with unxz first"),
        [b'B', b'Z', b'h', _] => f.write_str(" (bzip2); decompress it with bunzip2 first"),
        [0x04, 0x22, 0x4d, 0x18] => f.write_str(" (lz4); decompress it with unlz4 first"),
        [b's', b'n', b'o', b'o'] | [b'G', b'M', b'B', b'U'] => f.write_str("; convert it with editcap -F pcapng"),
        _ => Ok(()),
    }
}
