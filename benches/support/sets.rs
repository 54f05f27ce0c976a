//! Sets of 0 to 96 stats, out of the standard set.

use std::path::Path;

use super::standard_text;

/// A third of the standard set, of its kinds in its proportion.
const EIGHT: [&str; 8] = [
    "packets_passed",
    "packets_blocked",
    "bytes_passed",
    "protocols",
    "sources",
    "top_sources",
    "top_destinations",
    "top_destination_ports",
];
/// What names of copies begin with.
pub const PART: &str = "part_";
/// Of what more copies of the standard set count.
const WHERE: [&str; 3] = ["{ protocol = \"udp\" }", "{ protocol = \"tcp\" }", "{ dst_port = \"1024..\" }"];

/// The standard configuration with so many stats (0: the ledger alone; 1: a sum) over the ranges of a capture.
pub fn configuration(stats: usize, ranges: &Path, window_ms: u64) -> String {
    let text = standard_text();
    let (head, rows) = text.split_once("# 8 sums").expect("the standard set");
    let head = head
        .replace("window_ms = 10000", &format!("window_ms = {window_ms}"))
        .replace("memory_mb = 1024", "memory_mb = 4096\nshed = false");
    let head = head.replace("ranges.csv", &ranges.display().to_string()).replace("name = \"standard\"", "name = \"bench-line\"");
    let rows: Vec<&str> = rows.split("[[stats]]").skip(1).collect();
    let one = |row: &&&str, names: &[&str]| names.iter().any(|name| row.contains(&format!("name = \"{name}\"")));
    let chosen: Vec<String> = match stats {
        0 => Vec::new(),
        1 => rows.iter().filter(|row| one(row, &EIGHT[..1])).map(|row| (*row).to_owned()).collect(),
        8 => rows.iter().filter(|row| one(row, &EIGHT)).map(|row| (*row).to_owned()).collect(),
        _ => (0..stats / rows.len()).flat_map(|copy| rows.iter().map(move |row| copied(row, copy))).collect(),
    };
    assert!(chosen.len() == stats, "{} stats in place of {stats}", chosen.len());
    let head = if stats == 0 { "stats = []\n".to_owned() + &head } else { head };
    chosen.iter().fold(head, |text, row| text + "[[stats]]" + row + "\n")
}

/// A stat again, of a part of the packets.
fn copied(row: &str, copy: usize) -> String {
    let Some(part) = copy.checked_sub(1).and_then(|at| WHERE.get(at)) else { return row.to_owned() };
    let lines = row.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    lines.replacen("name = \"", &format!("where = {part}\nname = \"{PART}{copy}_"), 1)
}
