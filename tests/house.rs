//! The house's own order: who may use whom, where `unsafe` may stand, how long a file may be.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 400;
/// Files that may say `unsafe`, beside the rooms that CONTRIBUTING.md names.
const UNSAFE_FILES: &[&str] = &["tests/counting_allocator/mod.rs", "fuzz/judge/bound.rs"];
/// Folders, from the repository's root, that may say `unsafe`.
const UNSAFE_ROOMS: &[&str] = &["dpdk-sys", "appliance/src/dpdk", "appliance/src/arch"];
/// Behind all rooms: not in `lib.rs`, but on top of it.
const ABOVE: &[&str] = &["cli", "main"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files below a folder with this ending, their text, and their path from the root.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Lines without comments, and without what stands in a string.
fn code(text: &str) -> Vec<String> {
    text.lines().map(uncommented).collect()
}

fn uncommented(line: &str) -> String {
    let (mut out, mut within, mut rest) = (String::new(), false, line);
    while let Some(c) = rest.chars().next() {
        if !within && rest.starts_with("//") {
            break;
        }
        if within && rest.starts_with('\\') {
            rest = rest.get(2..).unwrap_or("");
            continue;
        }
        within ^= c == '"' && !rest.starts_with("\"'");
        if !within {
            out.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

fn rooms() -> Vec<String> {
    let text = fs::read_to_string(root().join("appliance/src/lib.rs")).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';').map(str::to_owned)).collect()
}

/// Rooms named behind `crate::`, single or in braces.
fn used(line: &str) -> Vec<String> {
    let name = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let behind = line.split("crate::").skip(1).zip(line.split("crate::"));
    let ours = behind.filter(|(_, before)| !before.ends_with('$')).map(|(after, _)| after);
    let names = ours.flat_map(|after| match after.strip_prefix('{') {
        Some(list) => list.split(',').map(name).collect::<Vec<_>>(),
        None => vec![name(after)],
    });
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn a_room_uses_only_what_stands_before_it() {
    let rooms = rooms();
    assert!(rooms.len() > 15 && rooms.first().is_some_and(|r| r == "units") && rooms.last().is_some_and(|r| r == "runtime"), "{rooms:?}");
    let mut wrong = Vec::new();
    for (file, text) in files("appliance/src", "rs") {
        let room = file.trim_start_matches("appliance/src/").split(['/', '.']).next().unwrap().to_owned();
        if room == "lib" || ABOVE.contains(&&room[..]) {
            continue;
        }
        let own = rooms.iter().position(|r| *r == room).unwrap_or_else(|| panic!("{file}: its room is not in lib.rs"));
        let tests = file.contains("test");
        for (i, line) in code(&text).iter().enumerate() {
            if tests || line.contains("#[cfg(test)]") {
                break;
            }
            for name in used(line) {
                match rooms.iter().position(|r| *r == name) {
                    Some(other) if other <= own => {}
                    Some(_) => wrong.push(format!("{file}:{}: `{room}` uses `{name}`, which stands behind it", i + 1)),
                    None => wrong.push(format!("{file}:{}: `crate::{name}` is no room", i + 1)),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_stands_only_where_it_may() {
    let mut wrong = Vec::new();
    for folder in ["appliance", "dpdk-sys", "tests", "benches", "fuzz/judge", "fuzz/src"] {
        for (file, text) in files(folder, "rs") {
            let may = UNSAFE_ROOMS.iter().any(|room| Path::new(&file).starts_with(room)) || UNSAFE_FILES.contains(&&file[..]);
            let lines = code(&text);
            let says = |line: &String| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
            if let Some(at) = lines.iter().position(says).filter(|_| !may) {
                wrong.push(format!("{file}:{}", at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "`unsafe` where CONTRIBUTING.md does not allow it:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_is_long() {
    let sources =
        ["appliance", "dpdk-sys", "tests", "benches", "fuzz/judge", "fuzz/src"].into_iter().flat_map(|folder| files(folder, "rs"));
    let long: Vec<String> = sources
        .map(|(file, text)| (file, text.lines().count()))
        .filter(|(_, n)| *n > LINES_MAX)
        .map(|(file, n)| format!("{file}: {n}"))
        .collect();
    assert!(long.is_empty(), "files of more than {LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn every_folder_is_a_room_and_is_told_of() {
    let (rooms, source) = (rooms(), root().join("appliance/src"));
    let lib = fs::read_to_string(source.join("lib.rs")).unwrap();
    let told = |room: &str| lib.contains(&format!("| [`{room}`] |")) || lib.contains(&format!("| `{room}` |"));
    let untold: Vec<_> = rooms.iter().filter(|room| !told(room)).collect();
    assert!(untold.is_empty(), "{untold:?}");
    let folders = fs::read_dir(source).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let names = folders.map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    let strange: Vec<_> = names.filter(|name| !rooms.contains(name) && !ABOVE.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "{strange:?}");
}
