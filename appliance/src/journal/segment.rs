//! A file of frames, one behind the other. Its name is the position of its first message.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::frame::{self, Content, Found, MAGIC};

/// Read of a file at once.
const CHUNK_BYTES: usize = 1 << 20;
/// What a disk that cannot read one of its blocks loses, at least.
const BLOCK_BYTES: u64 = 4_096;
const EXTENSION: &str = "twj";
/// A name beyond it is none that was given.
const FIRST_MAX: u64 = 1 << 62;

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Position of its first message,
    pub(super) first: u64,
    /// and behind its last one.
    pub(super) end: u64,
    pub(super) bytes: u64,
    pub(super) path: Arc<Path>,
}

impl Segment {
    /// One that begins there, without any message yet.
    pub(super) fn begin(folder: &Path, first: u64) -> Self {
        Self { first, end: first, bytes: 0, path: folder.join(format!("{first:020}.{EXTENSION}")).into() }
    }
}

/// The segments of a folder, oldest first: each ends where the next begins; of the last one all is read. Those without a byte are
/// removed.
pub(super) fn all(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(EXTENSION)?.strip_suffix('.'));
        let Some(first) = name.filter(|name| name.len() == 20).and_then(|name| name.parse().ok()) else { continue };
        match path.metadata() {
            Ok(meta) if meta.is_file() && first < FIRST_MAX => {
                segments.push(Segment { first, end: first, bytes: meta.len(), path: path.into() });
            }
            Ok(_) => tracing::warn!("{} is no segment of the journal: it is left alone", path.display()),
            Err(fault) => tracing::warn!("{}: {fault}: it is left alone", path.display()),
        }
    }
    segments.sort_by_key(|segment| segment.first);
    // A run that was cut off leaves one that is empty; nothing is known of it but its name.
    while segments.last().is_some_and(|last| last.bytes == 0) {
        let Some(last) = segments.pop() else { break };
        if let Err(fault) = std::fs::remove_file(&last.path) {
            tracing::warn!("{} is empty and cannot be removed: {fault}", last.path.display());
        }
    }
    if let Some(last) = segments.last_mut() {
        last.end = end_of(last);
    }
    for at in 1..segments.len() {
        segments[at - 1].end = segments[at].first;
    }
    Ok(segments)
}

/// Behind the last message that can be read; one that has none at all had one at least.
fn end_of(segment: &Segment) -> u64 {
    let mut end = segment.first;
    read(segment, |position, content| {
        let to = if let Content::Gap(to) = content { to } else { position.saturating_add(1) };
        end = end.max(to);
    });
    if end == segment.first {
        tracing::warn!("{} holds {} bytes, and no whole report", segment.path.display(), segment.bytes);
    }
    end.max(segment.first + 1)
}

/// All that a segment holds, over what is damaged and what the disk cannot read; which is said.
pub(super) fn read(segment: &Segment, mut take: impl FnMut(u64, Content)) {
    let path = segment.path.display();
    let mut frames = match Frames::open(&segment.path) {
        Ok(frames) => frames,
        Err(fault) => return tracing::warn!("{path}: {fault}"),
    };
    loop {
        match frames.next() {
            Ok(Some((position, content))) => take(position, content),
            Ok(None) => return,
            Err(fault) => {
                tracing::warn!("{path}, near byte {}: {fault}", frames.read_to);
                if !frames.skip_block(segment.bytes) {
                    return;
                }
            }
        }
    }
}

/// Reads the frames of a file in their order, over what is damaged.
#[derive(Debug)]
pub(super) struct Frames {
    file: File,
    bytes: Vec<u8>,
    /// Those before were read.
    at: usize,
    /// Where the file is read on.
    read_to: u64,
    /// The file has no more now.
    is_over: bool,
}

impl Frames {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, bytes: Vec::new(), at: 0, read_to: 0, is_over: false })
    }

    /// The next position of which something is known, and what; none where the file ends now: what is cut there may be whole later.
    /// After an error it may be asked again.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Content)>> {
        self.is_over = false;
        loop {
            match frame::decode(&self.bytes[self.at..]) {
                Found::Frame(position, content, bytes) => {
                    self.at += bytes;
                    return Ok(Some((position, content)));
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

    /// Goes on behind what cannot be read; false if a file of so many bytes ends there.
    pub(super) fn skip_block(&mut self, bytes: u64) -> bool {
        self.bytes.clear();
        self.at = 0;
        self.read_to = (self.read_to / BLOCK_BYTES + 1) * BLOCK_BYTES;
        self.read_to < bytes && self.file.seek(SeekFrom::Start(self.read_to)).is_ok()
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
            // Never more than is there: a length that is damaged asks for 256 MiB.
            self.bytes.resize(have + CHUNK_BYTES, 0);
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
            self.read_to += read as u64;
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
