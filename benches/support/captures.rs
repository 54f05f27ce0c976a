//! Captures of a million frames, made once, and which part of them belongs to which range.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use tailwater::rx::capture::Capture as Reader;

/// Frames that a scenario is written for.
const WRITTEN_FOR: u64 = 1_000_000;
/// Says how many frames a capture shall have instead.
const FRAMES: &str = "BENCH_FRAMES";

/// What the capture holds of a range.
#[derive(Clone, Copy, Debug, Default)]
pub struct Share {
    /// Packets let through and blocked.
    pub packets: [u64; 2],
    /// Bytes of those that were let through.
    pub bytes: u64,
    /// Different sources.
    pub sources: u64,
}

/// By prefix.
pub type Shares = HashMap<String, Share>;

/// A capture and what is in it.
pub struct Capture {
    /// Its file.
    pub pcap: PathBuf,
    /// Its ranges.
    pub ranges: PathBuf,
    /// Of its ranges.
    pub shares: Shares,
    /// All of them.
    pub frames: u64,
    /// Bytes of the longest frame.
    pub longest: usize,
}

/// Frames that captures are asked to have.
pub fn wanted() -> u64 {
    let frames = std::env::var(FRAMES).ok().map(|text| text.parse().ok().filter(|n| *n >= 1_000));
    frames.map_or(WRITTEN_FOR, |frames| frames.unwrap_or_else(|| panic!("{FRAMES} is a number of frames, 1,000 at least")))
}

impl Capture {
    /// Of this name, made by `benches/line/NAME.toml` if it is not there.
    pub fn ready(binary: &Path, root: &Path, name: &str) -> Self {
        let text = std::fs::read_to_string(root.join(format!("benches/line/{name}.toml"))).expect("a scenario");
        Self::of(binary, root, name, &text)
    }

    /// Of this name, made by this scenario if it is not there.
    pub fn of(binary: &Path, root: &Path, name: &str, scenario: &str) -> Self {
        let folder = root.join("target/bench-line");
        std::fs::create_dir_all(&folder).expect("a folder for captures");
        let stem = if wanted() == WRITTEN_FOR { name.to_owned() } else { format!("{name}-{}", wanted()) };
        let file = |ending: &str| folder.join(format!("{stem}.{ending}"));
        if !file("shares").is_file() {
            make(binary, &scaled(scenario), &file);
        }
        let text = std::fs::read_to_string(file("shares")).expect("shares");
        let (head, rows) = text.split_once('\n').expect("a head");
        let (frames, longest) = head.split_once(',').expect("two figures");
        let (frames, longest) = (frames.parse().expect("frames"), longest.parse().expect("bytes"));
        Self { pcap: file("pcap"), ranges: file("csv"), shares: rows.lines().map(share).collect(), frames, longest }
    }
}

fn share(line: &str) -> (String, Share) {
    let (prefix, figures) = line.split_once(',').expect("a share");
    let figures: Vec<u64> = figures.split(',').map(|figure| figure.parse().expect("a figure")).collect();
    let &[passed, blocked, bytes, sources] = &figures[..] else { panic!("{line}") };
    (prefix.to_owned(), Share { packets: [passed, blocked], bytes, sources })
}

/// The scenario for as many frames as are wanted.
fn scaled(scenario: &str) -> String {
    let scale = |rate: &str| {
        let rate: u64 = rate.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().expect("packets a second");
        rate * wanted() / WRITTEN_FOR
    };
    let line = |line: &str| match line.split_once("pps = ") {
        Some((front, rate)) if line.starts_with("pps") => format!("{front}pps = {}\n", scale(rate)),
        Some((front, rate)) if line.starts_with("legitimate") => {
            let (rate, rest) = rate.split_at(rate.find(|c: char| !c.is_ascii_digit()).unwrap_or(rate.len()));
            format!("{front}pps = {}{rest}\n", scale(rate))
        }
        _ => format!("{line}\n"),
    };
    scenario.lines().map(line).collect()
}

fn make(binary: &Path, scenario: &str, file: &dyn Fn(&str) -> PathBuf) {
    eprintln!("making {}", file("pcap").display());
    std::fs::write(file("scenario.toml"), scenario).expect("a scenario");
    let mut command = Command::new(binary);
    command.arg("generate").arg("--scenario").arg(file("scenario.toml")).arg("--pcap").arg(file("pcap"));
    let made = command.arg("--truth").arg(file("json")).arg("--ranges").arg(file("csv")).output().expect("tailwater generates");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (frames, longest) = measured(&file("pcap"));
    let mut shares = format!("{frames},{longest}\n");
    // The truth has a line for each range; those of the whole capture stand behind this one.
    let lines = BufReader::new(File::open(file("json")).expect("the truth")).lines().map_while(Result::ok);
    for line in lines.skip_while(|line| line != "\"ranges\": [").skip(1).take_while(|line| line.starts_with('{')) {
        let row: serde_json::Value = serde_json::from_str(line.trim_end_matches(',')).expect("a range of the truth");
        let captured = &row["captured"];
        let of = |decision: &str, figure: &str| captured["ingress"][decision][figure].as_u64().expect("a figure");
        let (prefix, sources) = (row["prefix"].as_str().expect("a prefix"), captured["distinct_sources"]["any"].as_u64().expect("sources"));
        let [passed, blocked, bytes] = [("passed", "packets"), ("blocked", "packets"), ("passed", "bytes")].map(|(d, f)| of(d, f));
        writeln!(shares, "{prefix},{passed},{blocked},{bytes},{sources}").expect("memory");
    }
    // Last, so that what was begun and not ended is made again. The truth itself is large.
    std::fs::write(file("shares"), shares).expect("shares");
    std::fs::remove_file(file("json")).expect("the truth");
}

/// Frames of a capture, and bytes of the longest.
fn measured(pcap: &Path) -> (u64, usize) {
    let mut capture = Reader::open(pcap).expect("a capture");
    let (mut frames, mut longest) = (0, 0);
    while let Some(frame) = capture.next_frame().expect("a frame") {
        frames += 1;
        longest = longest.max(frame.bytes.len());
    }
    (frames, longest)
}
