//! What a packet costs against the number of stats and of ranges.
//!
//! `bash scripts/bench slope`: one line of JSON a cell, nanoseconds a packet beside those of 24 stats on 10,000 ranges, whose
//! `ratio` is work per time; on stderr a table, in which the largest step of each row and column is marked. A cell is a process of
//! its own: the appliance's receiver from frame to sealed block (no rx, which costs each cell the same), fed with frames in memory
//! that go to ranges drawn alike, a window after the other, each of them closed while the next one comes. Cells and the one
//! beside them run in turn. Under the table stand instructions a packet, counted by callgrind, along both edges.
//!
//! `BENCH_FRAMES=100000` and `BENCH_WINDOW=1000000` make captures and windows smaller, to see that all works.

#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::expect_used, clippy::panic, reason = "a bench")]

#[path = "slope/cells.rs"]
mod cells;
mod support;
#[path = "slope/table.rs"]
mod table;

use std::path::Path;
use std::process::ExitCode;

use cells::{Cell, Ground};
use support::captures::Capture;
use support::{Figure, in_turn};

const STATS: [usize; 5] = [0, 8, 24, 48, 96];
const RANGES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// What cells are compared with.
const BESIDE: (usize, usize) = (24, 10_000);
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [inside, configuration, pcap, ranges] = &words[..]
        && inside == "inside"
    {
        return cells::inside(Path::new(configuration), Path::new(pcap), ranges.parse().expect("ranges"));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let binary = root.join("target/release/tailwater");
    if !binary.is_file() {
        eprintln!("slope: {} is missing, which makes captures: cargo build --release --locked", binary.display());
        return ExitCode::from(2);
    }
    let capture = Capture::ready(&binary, root, "uniform-10k");
    let ground = Ground { folder: &root.join("target/bench-line"), pcap: &capture.pcap };
    let mut beside = Cell::start(&ground, BESIDE.0, BESIDE.1);
    let mut ns = [[f64::NAN; RANGES.len()]; STATS.len()];
    for (row, stats) in STATS.into_iter().enumerate() {
        for (column, ranges) in RANGES.into_iter().enumerate() {
            let mut cell = Cell::start(&ground, stats, ranges);
            let (a, b) = in_turn(ROUNDS, || cell.window(), || beside.window());
            let short = cell.short().unwrap_or("nothing");
            let (case, against) = (format!("{stats}-stats-{ranges}-ranges"), "24 stats, 10,000 ranges");
            let figure = Figure { bench: "slope", case: &case, unit: "ns a packet", ours: a, against, theirs: b, ratio: b / a };
            figure.print_with(&format!("\"short\": \"{short}\""));
            ns[row][column] = a;
        }
    }
    drop(beside);
    table::print("ns a packet", &STATS, &RANGES, &ns.map(Vec::from));
    let mut counted = ns.map(|row| row.map(|_| f64::NAN));
    for (row, stats) in STATS.into_iter().enumerate() {
        for (column, ranges) in RANGES.into_iter().enumerate().filter(|(_, ranges)| stats == BESIDE.0 || *ranges == BESIDE.1) {
            counted[row][column] = cells::instructions(&ground, stats, ranges);
        }
    }
    let unit = format!("instructions a packet, windows of {}", cells::counted_packets());
    table::print(&unit, &STATS, &RANGES, &counted.map(Vec::from));
    ExitCode::SUCCESS
}
