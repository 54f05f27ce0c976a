//! The house: a room uses only rooms that stand before it, lib.rs tells of each, and `unsafe` stands where CONTRIBUTING says.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::path::{Path, PathBuf};

/// Rooms that may hold `unsafe` one day; today only the first does.
const UNSAFE_ROOMS: [&str; 2] = ["dpdk", "arch"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// In the order of lib.rs.
fn rooms() -> Vec<String> {
    let lib = std::fs::read_to_string(source().join("lib.rs")).unwrap();
    lib.lines().filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned())).collect()
}

/// Every Rust file below a path, with its text.
fn files(path: &Path) -> Vec<(PathBuf, String)> {
    if path.is_file() {
        return vec![(path.to_owned(), std::fs::read_to_string(path).unwrap())];
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir() || path.extension().is_some_and(|e| e == "rs")).flat_map(|path| files(&path)).collect()
}

fn of_room(room: &str) -> Vec<(PathBuf, String)> {
    let file = source().join(format!("{room}.rs"));
    files(&if file.is_file() { file } else { source().join(room) })
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// Names of our modules that a text starts paths with: `crate::NAME`, or each of `crate::{NAME…, NAME…}`.
fn used(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => names.extend(list.split('}').next().unwrap_or_default().split(',').map(|part| word(part.trim()))),
            None => names.push(word(rest)),
        }
    }
    names
}

#[test]
fn a_room_uses_only_rooms_before_it() {
    let rooms = rooms();
    assert!(rooms.len() > 15, "{rooms:?}");
    let mut wrong = Vec::new();
    for (i, room) in rooms.iter().enumerate() {
        let files = of_room(room);
        assert!(!files.is_empty(), "{room}");
        for (file, text) in files {
            let later = used(&text).into_iter().filter(|name| rooms[i + 1..].iter().any(|room| room == name));
            wrong.extend(later.map(|name| format!("{} uses {name}, which stands after {room}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_folder_is_a_room_and_is_told_of() {
    let (rooms, lib) = (rooms(), std::fs::read_to_string(source().join("lib.rs")).unwrap());
    let told = |room: &str| lib.contains(&format!("| [`{room}`] |")) || lib.contains(&format!("| `{room}` |"));
    let untold: Vec<_> = rooms.iter().filter(|room| !told(room)).collect();
    assert!(untold.is_empty(), "{untold:?}");
    let folders = std::fs::read_dir(source()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let names = folders.map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    // The command line belongs to the binary.
    let strange: Vec<_> = names.filter(|name| !rooms.contains(name) && name != "cli").collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn unsafe_stands_where_contributing_says() {
    let allowed: Vec<PathBuf> = UNSAFE_ROOMS.iter().map(|room| source().join(room)).collect();
    let says = |text: &str| text.contains("allow(unsafe_code") || text.lines().any(|line| code(line).split(' ').any(|w| w == "unsafe"));
    let wrong: Vec<_> =
        files(&source()).into_iter().filter(|(file, text)| says(text) && !allowed.iter().any(|a| file.starts_with(a))).collect();
    assert!(wrong.is_empty(), "{:?}", wrong.iter().map(|(file, _)| file).collect::<Vec<_>>());
    for (file, text) in allowed.iter().flat_map(|room| files(room)) {
        let blocks = text.lines().filter(|line| code(line).contains("unsafe {")).count();
        let reasons = text.matches("// SAFETY:").count();
        assert!(reasons >= blocks, "{}: {blocks} blocks, {reasons} reasons", file.display());
    }
}

/// A line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}
