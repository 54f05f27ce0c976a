//! The tools that someone would pick instead, on the same capture.
//!
//! `bash scripts/bench peers [TOOL]`: one line of JSON a tool, in millions of packets that a second of CPU does, of all its
//! processes and threads together, user and system; on stderr a table with the share of our job that each does. Each tool reads
//! the capture of `line`'s `uniform-10k` from the page cache; what it takes for a capture of ten frames is taken off. Ours is
//! `tailwater run` on that capture through `net_pcap`: 24 stats on each of its 10,000 ranges, a whole window with its closing and
//! its reports as JSON, all threads. It is stopped while a tool runs; rounds whose clock changed do not count, and the row says how many
//! did, or that none had one clock. It says too what was shed (reports over which it was stopped are incomplete) and how many reports
//! a measured window brought (fewer than there are ranges: they were late, as on a busy machine, and ours looks cheaper than it is).
//! Records that were lost and reports that nobody took are a failure. Beside that
//! stands `tailwater replay`, which reads the file once as the tools do and makes all its reports for a hundred packets each.
//!
//! Needs `cargo build --release --locked`, and the tools: `bash scripts/setup --benches`. `BENCH_FRAMES=100000` makes a smaller capture.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench"
)]

#[path = "peers/ours.rs"]
mod ours;
mod support;
#[path = "peers/table.rs"]
mod table;
#[path = "peers/tools.rs"]
mod tools;

use std::path::Path;
use std::process::ExitCode;

use ours::Running;
use support::captures::Capture;
use support::{Figure, clock, median};
use table::Row;
use tools::{Bench, TOOLS, Tool};

const ROUNDS: usize = 5;
/// Sides whose clocks differ by more are not compared.
const CLOCKS_MAX: f64 = 1.05;
/// At least so many times what each tool does that aggregates; and what is aimed at.
const MUST: f64 = 15.0;
const AIM: f64 = 25.0;

/// What one side took in a round, and the clock that it saw.
#[derive(Clone, Copy)]
struct Took {
    ns: f64,
    clock: f64,
}

fn timed(run: impl FnOnce() -> f64) -> Took {
    let before = clock();
    let ns = run();
    Took { ns, clock: before.midpoint(clock()) }
}

/// Ours over theirs of each round: of those of one clock, or of all where no round had one. And how many these are.
fn ratios(ours: &[Took], theirs: &[Took]) -> (Vec<f64>, String) {
    let pairs: Vec<(f64, bool)> =
        ours.iter().zip(theirs).map(|(a, b)| (b.ns / a.ns, a.clock.max(b.clock) / a.clock.min(b.clock) <= CLOCKS_MAX)).collect();
    let kept: Vec<f64> = pairs.iter().filter(|(_, steady)| *steady).map(|(ratio, _)| *ratio).collect();
    let tried = pairs.len();
    if kept.is_empty() {
        return (pairs.iter().map(|(ratio, _)| *ratio).collect(), format!("{tried} of {tried}, of several clocks"));
    }
    let rounds = format!("{} of {tried}", kept.len());
    (kept, rounds)
}

fn mpps(took: &[Took]) -> f64 {
    1e3 / median(took.iter().map(|took| took.ns).collect())
}

/// A figure and its row: `case` by `ours`, beside a tool; `about` ours is more to say, in JSON. A tool that only reads, and a replay,
/// are not held to anything.
fn row(case: &str, tool: &Tool, (ours, about): (&[Took], &str), theirs: &[Took]) -> Row {
    let goals = (tool.aggregates && case == tool.name).then_some((MUST, AIM));
    let (ratios, rounds) = ratios(ours, theirs);
    let (least, most) = ratios.iter().fold((f64::MAX, 0.0_f64), |(least, most), r| (least.min(*r), most.max(*r)));
    let ratio = median(ratios);
    let (ours, theirs) = (mpps(ours), mpps(theirs));
    let held = goals.map_or_else(String::new, |(must, aim)| format!(", \"must\": {must}, \"aim\": {aim}"));
    let more = format!("\"low\": {least:.2}, \"high\": {most:.2}, \"rounds\": \"{rounds}\"{about}, \"share\": \"{}\"{held}", tool.share);
    Figure { bench: "peers", case, unit: "Mpps of a CPU", ours, against: tool.name, theirs, ratio }.print_with(&more);
    Row { name: tool.name.to_owned(), theirs, ratio, spread: (least, most), rounds, goals, share: tool.share.to_owned() }
}

fn main() -> ExitCode {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let binary = root.join("target/release/tailwater");
    let wanted: Vec<&Tool> = TOOLS.iter().filter(|tool| only.as_ref().is_none_or(|only| only == tool.name)).collect();
    if !binary.is_file() || wanted.is_empty() {
        let names: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        eprintln!("peers: wants {} (cargo build --release --locked), and one of: {}", binary.display(), names.join(" "));
        return ExitCode::from(2);
    }
    let capture = Capture::ready(&binary, root, "uniform-10k");
    let bench = Bench::new(root, &binary, &capture);
    let (there, missing): (Vec<&Tool>, Vec<&Tool>) = wanted.iter().partition(|tool| tool.is_there());
    let running = Running::start(&binary, root, &capture);
    let (mut ours, mut replays) = (Vec::new(), Vec::new());
    let mut theirs: Vec<Vec<Took>> = there.iter().map(|_| Vec::new()).collect();
    for round in 1..=ROUNDS {
        ours.push(timed(|| running.ns_a_packet()));
        replays.push(timed(|| bench.replay()));
        there.iter().zip(&mut theirs).for_each(|(tool, took)| took.push(timed(|| bench.run(tool))));
        eprintln!("round {round}: ours {:.0} ns, replay {:.0} ns", ours[round - 1].ns, replays[round - 1].ns);
    }
    let reports = running.end();
    let (lines, ranges) = reports.lines;
    let about = format!(", \"shed\": \"{}\", \"reports\": \"{lines} of {ranges}\"", reports.shed);
    let mut rows: Vec<Row> = there.iter().zip(&theirs).map(|(tool, took)| row(tool.name, tool, (&ours, &about), took)).collect();
    let by_replay: Vec<Row> =
        there.iter().zip(&theirs).map(|(tool, took)| row(&format!("{}-replay", tool.name), tool, (&replays, ""), took)).collect();
    rows.extend(
        missing.iter().map(|tool| Row::missing(tool.name, &format!("{}; it is not here: bash scripts/setup --benches", tool.share))),
    );
    table::print(mpps(&ours), mpps(&replays), &reports, &rows, &by_replay);
    match bench.wrong().or(reports.lost) {
        None => ExitCode::SUCCESS,
        Some(wrong) => {
            eprintln!("peers: FAILED: {wrong}");
            ExitCode::FAILURE
        }
    }
}
