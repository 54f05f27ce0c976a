//! Real captures for tests: where they lie, and a reader small enough to be judged by eye.

use std::path::{Path, PathBuf};

use tailwater::units::LinkType;

/// One frame of a capture.
pub struct Frame {
    pub wire_bytes: u32,
    pub bytes: Vec<u8>,
}

/// A capture, whole in memory.
pub struct Capture {
    pub path: PathBuf,
    /// The field's low 16 bits.
    pub link_number: u16,
    pub frames: Vec<Frame>,
}

impl Capture {
    /// The link type that the parser knows, if it does.
    pub fn link(&self) -> Option<LinkType> {
        Some(match self.link_number {
            1 => LinkType::Ethernet,
            0 | 108 => LinkType::Loopback,
            12 | 14 | 101 | 228 | 229 => LinkType::RawIp,
            113 => LinkType::LinuxCooked,
            276 => LinkType::LinuxCooked2,
            _ => return None,
        })
    }
}

/// The folder of captures; `None`, and one visible line, where there is none.
pub fn folder(test: &str) -> Option<PathBuf> {
    let given = std::env::var_os("TAILWATER_CAPTURES").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1).map(|above| above.join("shared/data"));
    let found = given.into_iter().chain(beside).find(|p| p.join("packets").is_dir());
    if found.is_none() {
        eprintln!("SKIPPED {test}: no captures; name their folder in TAILWATER_CAPTURES");
    }
    found
}

/// All captures of the given subfolders, in order.
pub fn files(folder: &Path, subfolders: &[&str]) -> Vec<PathBuf> {
    let mut files: Vec<_> = subfolders
        .iter()
        .flat_map(|sub| std::fs::read_dir(folder.join(sub)).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|p| p.extension().is_some_and(|e| e == "pcap"))
        .collect();
    files.sort();
    files
}

/// Reads a classic pcap, micro- or nanosecond, of either byte order; `None` if it is something else. Ends at a cut record.
pub fn read(path: &Path) -> Option<Capture> {
    let data = std::fs::read(path).ok()?;
    let big = match data.get(..4)? {
        [0xD4, 0xC3, 0xB2, 0xA1] | [0x4D, 0x3C, 0xB2, 0xA1] => false,
        [0xA1, 0xB2, 0xC3, 0xD4] | [0xA1, 0xB2, 0x3C, 0x4D] => true,
        _ => return None,
    };
    let word = |at: usize| -> Option<u32> {
        let raw = data.get(at..at + 4)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    };
    let link_number = (word(20)? & 0xFFFF) as u16;
    let mut frames = Vec::new();
    let mut at = 24;
    while let (Some(held), Some(wire_bytes)) = (word(at + 8), word(at + 12)) {
        let Some(bytes) = data.get(at + 16..at + 16 + held as usize) else { break };
        frames.push(Frame { wire_bytes, bytes: bytes.to_vec() });
        at += 16 + held as usize;
    }
    Some(Capture { path: path.to_owned(), link_number, frames })
}
