//! Real captures for tests: where they lie, and what independent tools say of them.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tailwater::rx::capture::Capture;
use tailwater::units::LinkType;

/// Folders whose truth speaks of packets.
pub(crate) const FOLDERS: [&str; 4] = ["packets", "attacks", "encap", "malformed"];

/// One frame, held.
pub(crate) struct Held {
    pub(crate) wire_bytes: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) link: LinkType,
}

/// The folder of captures; `None`, and one visible line, where there is none.
pub(crate) fn folder(test: &str) -> Option<PathBuf> {
    let given = std::env::var_os("TAILWATER_CAPTURES").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1).map(|above| above.join("shared/data"));
    let found = given.into_iter().chain(beside).find(|p| p.join("packets").is_dir());
    if found.is_none() {
        eprintln!("SKIPPED {test}: no captures; name their folder in TAILWATER_CAPTURES");
    }
    found
}

/// All captures, in order.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = FOLDERS
        .iter()
        .flat_map(|sub| std::fs::read_dir(folder.join(sub)).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|p| p.extension().is_some_and(|e| e == "pcap"))
        .collect();
    files.sort();
    files
}

/// The frames of a capture up to where it can be read; none of a file that is no capture, or of a link that is not read.
pub(crate) fn frames(path: &Path) -> Vec<Held> {
    let mut held = Vec::new();
    let Ok(mut capture) = Capture::open(path) else { return held };
    while let Ok(Some(frame)) = capture.next_frame() {
        held.push(Held { wire_bytes: frame.wire_bytes, bytes: frame.bytes.to_vec(), link: frame.link });
    }
    held
}

/// What stands beside a capture about its packets.
#[allow(dead_code, reason = "not every test compares")]
pub(crate) fn truth(path: &Path) -> Option<Value> {
    let mut whole: Value = serde_json::from_slice(&std::fs::read(path.with_extension("truth.json")).ok()?).ok()?;
    Some(whole["packets"].take()).filter(|packets| !packets.is_null())
}
