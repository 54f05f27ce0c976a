//! A file of frames, one behind the other. Its name is the position of its first message.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::Message;
use super::frame::{self, Found, MAGIC};

/// Read of a file at once.
const CHUNK_BYTES: usize = 1 << 20;
const EXTENSION: &str = "twj";

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Position of its first message,
    pub(super) first: u64,
    /// and behind its last one.
    pub(super) end: u64,
    pub(super) bytes: u64,
    pub(super) path: PathBuf,
}

impl Segment {
    /// One that begins there, without any message yet.
    pub(super) fn begin(folder: &Path, first: u64) -> Self {
        Self { first, end: first, bytes: 0, path: folder.join(format!("{first:020}.{EXTENSION}")) }
    }
}

/// The segments of a folder, oldest first: each ends where the next begins; of the last one all is read. Those without a message
/// are removed.
pub(super) fn all(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(EXTENSION)?.strip_suffix('.'));
        let Some(first) = name.filter(|name| name.len() == 20).and_then(|name| name.parse().ok()) else { continue };
        let bytes = path.metadata()?.len();
        segments.push(Segment { first, end: first, bytes, path });
    }
    segments.sort_by_key(|segment| segment.first);
    // A run that was cut off leaves one that is empty; nothing is known of it but its name.
    while let Some(last) = segments.last_mut() {
        last.end = end_of(last)?;
        if last.end > last.first {
            break;
        }
        std::fs::remove_file(&last.path)?;
        segments.pop();
    }
    for at in 1..segments.len() {
        segments[at - 1].end = segments[at].first;
    }
    Ok(segments)
}

/// Behind the last message that can be read.
fn end_of(segment: &Segment) -> io::Result<u64> {
    let (mut frames, mut end) = (Frames::open(&segment.path)?, segment.first);
    while let Some((position, _)) = frames.next()? {
        end = end.max(position.saturating_add(1));
    }
    Ok(end)
}

/// Reads the frames of a file in their order, over what is damaged.
#[derive(Debug)]
pub(super) struct Frames {
    file: File,
    bytes: Vec<u8>,
    /// Those before were read.
    at: usize,
    /// The file has no more now.
    is_over: bool,
}

impl Frames {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, bytes: Vec::new(), at: 0, is_over: false })
    }

    /// The next message and its position; none where the file ends now: what is cut there may be whole later.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Message)>> {
        self.is_over = false;
        loop {
            match frame::decode(&self.bytes[self.at..]) {
                Found::Frame(position, message, bytes) => {
                    self.at += bytes;
                    return Ok(Some((position, message)));
                }
                Found::Cut(want) if !self.is_over => self.fill(want)?,
                // Its length may be damaged: a frame behind it tells.
                Found::Cut(_) => match self.behind() {
                    Some(at) => self.at = at,
                    None => return Ok(None),
                },
                Found::Damaged => self.at += 1 + next_magic(&self.bytes[self.at + 1..]),
            }
        }
    }

    /// Where a whole frame begins behind one that is cut.
    fn behind(&self) -> Option<usize> {
        let mut at = self.at;
        while at < self.bytes.len() {
            at += 1 + next_magic(&self.bytes[at + 1..]);
            if let Found::Frame(..) = frame::decode(&self.bytes[at.min(self.bytes.len())..]) {
                return Some(at);
            }
        }
        None
    }

    /// Reads on, until there are so many bytes or the file ends.
    fn fill(&mut self, want: usize) -> io::Result<()> {
        self.bytes.drain(..self.at);
        self.at = 0;
        while self.bytes.len() < want {
            let have = self.bytes.len();
            self.bytes.resize(have + CHUNK_BYTES.max(want - have), 0);
            let read = loop {
                match self.file.read(&mut self.bytes[have..]) {
                    Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                    Err(fault) => {
                        self.bytes.truncate(have);
                        return Err(fault);
                    }
                    Ok(read) => break read,
                }
            };
            self.bytes.truncate(have + read);
            if read == 0 {
                self.is_over = true;
                break;
            }
        }
        Ok(())
    }
}

/// How far it is to where a frame may begin, or to the end.
fn next_magic(bytes: &[u8]) -> usize {
    (0..bytes.len()).find(|at| bytes[*at..].iter().zip(MAGIC).all(|(byte, magic)| *byte == magic)).unwrap_or(bytes.len())
}
