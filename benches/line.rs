//! The whole appliance on the wire: `tailwater run`, one receiving core, against `dpdk-testpmd` that only receives.
//!
//! `bash scripts/bench line`: the five cases that are held to something; `line more`: other captures; `line sets`: sets of 1 to 96 stats;
//! `line CASE`: one of them. One line of JSON a case, in millions of frames a second that the core ran; on stderr how it came about, and at
//! the end a table. Both read the same capture of a million frames through `net_pcap` with `infinite_rx`, on
//! one CPU, with the same segments and bursts, and each is stopped while the other runs. Both have hugepages where some are reserved and
//! mounted; where not, `tailwater` asks the kernel for large pages by itself, and `testpmd` has ordinary ones: the row says which. A round of ours is three
//! windows with their ends, but for 3 s in the midst of one, which are theirs. Ratios of rounds whose clock changed do not count. Behind
//! the rounds `perf` samples where the core spends its time (stderr says how much of it the core's own account of stages gives), and a
//! window's reports are compared with the capture's truth: of all ranges packets, bytes and sources, of `looked_at` of them each stat key by
//! key, but for stats of a part of the packets, which sets of 48 and 96 have. Nothing is shed:
//! `net_pcap` waits, and what want of memory made coarser is told on the row.
//!
//! `bash scripts/bench line [CASE] instructions` counts instead of measuring: see `line/instructions.rs`.
//!
//! Needs `cargo build --release --locked`. Captures are made once, under target/bench-line. `BENCH_FRAMES=100000` makes smaller
//! ones, to see that all works. Exit status 1: something is broken, or a report is wrong; speed has no say in it.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench"
)]

#[path = "line/instructions.rs"]
mod instructions;
#[path = "line/model.rs"]
mod model;
#[path = "line/packet.rs"]
mod packet;
#[path = "line/rounds.rs"]
mod rounds;
#[path = "line/shares.rs"]
mod shares;
mod support;
#[path = "line/table.rs"]
mod table;
#[path = "line/truth.rs"]
mod truth;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use model::Model;
use rounds::{Rounds, WINDOW_MS, measure};
use support::captures::Capture;
use support::drain::Drain;
use support::programs::{self, Ours, Theirs};
use support::stages::text;
use support::{Figure, median, sets};
use table::Row;

/// All cases together end within this, seconds.
const WHOLE_S: u64 = 1_300;
/// Of one case: five rounds, and one before that is not counted.
const CASE_S: u64 = 260;
/// Of a case, what is not rounds: start, samples, the wait for a window's reports.
const BESIDE_S: u64 = 40;

/// A case: its name, its capture, how many stats, how testpmd forwards, what must be reached and what is aimed at.
type Case = (&'static str, &'static str, usize, &'static [&'static str], Option<(f64, f64)>);

const RECEIVES: &[&str] = &["rxonly"];
const BOTH: &[&str] = &["rxonly", "macswap"];
const CASES: [Case; 13] = [
    ("uniform-10k", "uniform-10k", 24, BOTH, Some((0.25, 0.35))),
    ("uniform-50k", "uniform-50k", 24, BOTH, Some((0.22, 0.30))),
    ("zipf-10k", "zipf-10k", 24, BOTH, Some((0.25, 0.35))),
    ("one-range", "one-range", 24, BOTH, Some((0.32, 0.45))),
    ("no-stats", "uniform-10k", 0, BOTH, Some((0.65, 0.75))),
    ("one-sum", "uniform-10k", 1, RECEIVES, None),
    ("carpet", "carpet", 24, RECEIVES, None),
    ("mix", "mix", 24, RECEIVES, None),
    ("v6", "v6", 24, RECEIVES, None),
    ("sizes", "sizes", 24, RECEIVES, None),
    ("uniform-10k-8", "uniform-10k", 8, RECEIVES, None),
    ("uniform-10k-48", "uniform-10k", 48, RECEIVES, None),
    ("uniform-10k-96", "uniform-10k", 96, RECEIVES, None),
];

/// Measures a case until `end`: a row for each way to forward, and what is wrong with the reports.
fn case(binary: &Path, root: &Path, case: Case, end: Instant) -> Result<Vec<Row>, String> {
    let (name, capture, stats, modes, goals) = case;
    let folder = root.join("target/bench-line");
    let capture = Capture::ready(binary, root, capture);
    let text_of = sets::configuration(stats, &capture.ranges, WINDOW_MS);
    let (ours, reports) = Ours::start(binary, &folder, name, &text_of, &capture);
    let (cpu, huge, reports) = (ours.cpu(), ours.huge(), Drain::start(reports));
    let begun = ours.shed();
    ours.signal("STOP");
    let start = |mode: &&str| {
        let theirs = Theirs::start(mode, cpu, &capture, huge);
        theirs.signal("STOP");
        theirs
    };
    let theirs: Vec<Theirs> = modes.iter().map(start).collect();
    let measured = measure(name, &ours, &theirs, cpu, end);
    ours.signal("CONT");
    let begun_stages = ours.staged();
    let shares = shares::sampled(binary, ours.thread(), &folder, "10");
    let staged = share_staged(begun_stages, ours.staged());
    let shed = programs::since(&ours.shed(), &begun);
    let model = Model::of(&capture);
    rounds::until_late();
    // The window that is open now ends with the run, and is read whole.
    let reports = reports.end(|| ours.signal("TERM"));
    let told = truth::compare(reports, &capture, stats, &model);
    drop((ours, theirs));
    let shown = shares.as_ref().map_or_else(|| "no perf here".to_owned(), |shares| text(shares, shares.values().sum()));
    eprintln!("{name}: time: {shown}; its own account of stages came to {:.0} % of what the core ran", staged * 100.0);
    eprintln!("{name}: {}", told.as_ref().map_or_else(|fault| fault, |told| &told.text));
    let looked_at = told?.looked_at;
    let pages = match (huge, programs::makes_large_pages()) {
        (true, _) => "hugepages",
        (false, true) => &format!("--no-huge, {} of the kernel's making", table::PAGES_DIFFER),
        (false, false) => "--no-huge",
    };
    let about = About { stats, looked_at, pages, shed: &shed, time: &shown };
    let row = |(at, mode): (usize, &&'static str)| print((name, mode), &measured, at, &about, goals.filter(|_| at == 0));
    modes.iter().enumerate().map(row).collect()
}

/// How much of the time that the core ran its own account gives to stages, `tailwater_stage_seconds_total`: an estimate of one poll in a
/// thousand, that ought to be about all.
fn share_staged((told_before, ran_before): (f64, f64), (told, ran): (f64, f64)) -> f64 {
    (told - told_before) / (ran - ran_before)
}

/// What is alike in all rows of a case.
struct About<'a> {
    stats: usize,
    /// Ranges whose reports were compared with the capture key by key.
    looked_at: usize,
    pages: &'a str,
    shed: &'a str,
    time: &'a str,
}

/// The figure of one way to forward.
fn print((name, mode): (&str, &str), measured: &Rounds, at: usize, about: &About<'_>, goals: Option<(f64, f64)>) -> Result<Row, String> {
    let Rounds { kept, tried, unsteady } = measured;
    let About { stats, looked_at, pages, shed, time } = *about;
    if kept.is_empty() {
        return Err(format!("none of {tried} rounds closed a whole window"));
    }
    let name = if at == 0 { name.to_owned() } else { format!("{name}-{mode}") };
    let ratios: Vec<f64> = kept.iter().map(|round| round.ours / round.theirs[at]).collect();
    let (least, most) = ratios.iter().fold((f64::MAX, 0.0_f64), |(least, most), r| (least.min(*r), most.max(*r)));
    let (ours, theirs) = (median(kept.iter().map(|r| r.ours).collect()), median(kept.iter().map(|r| r.theirs[at]).collect()));
    let ratio = median(ratios);
    let steady = if *unsteady { ", of several clocks" } else { "" };
    let rounds = format!("{} of {tried}{steady}", kept.len());
    let goals_json = goals.map_or_else(String::new, |(must, aim)| format!(", \"must\": {must}, \"aim\": {aim}"));
    let more = format!(
        "\"low\": {least:.4}, \"high\": {most:.4}, \"rounds\": \"{rounds}\", \"stats\": {stats}, \"looked_at\": {looked_at}, \"pages\": \"{pages}\", \"shed\": \"{shed}\", \"time\": \"{time}\"{goals_json}"
    );
    let against = format!("testpmd {mode}");
    Figure { bench: "line", case: &name, unit: "Mpps", ours, against: &against, theirs, ratio }.print_with(&more);
    let time = if at == 0 { time.to_owned() } else { "as above".to_owned() };
    Ok(Row {
        name,
        against,
        ours,
        theirs,
        ratio,
        spread: (least, most),
        rounds,
        goals,
        pages: pages.to_owned(),
        shed: shed.to_owned(),
        time,
    })
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [inside, configuration, pcap, loops] = &words[..]
        && inside == "inside"
    {
        return instructions::inside(Path::new(configuration), Path::new(pcap), loops.parse().expect("how often"));
    }
    let (counts, only): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| *word == "instructions");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let binary = root.join("target/release/tailwater");
    let is_wanted = |(name, _, stats, _, goals): &Case| match goals {
        Some(_) if only.is_empty() => true,
        Some(_) => only.iter().any(|only| only == name),
        None => only.iter().any(|only| [*name, if *stats == 24 { "more" } else { "sets" }].contains(&only.as_str())),
    };
    let cases: Vec<Case> = CASES.into_iter().filter(is_wanted).collect();
    if !binary.is_file() || cases.is_empty() {
        let names: Vec<&str> = CASES.iter().map(|(name, ..)| *name).collect();
        eprintln!("line: wants {} (cargo build --release --locked), and one of: more sets {}", binary.display(), names.join(" "));
        return ExitCode::from(2);
    }
    if !counts.is_empty() {
        return instructions::count(
            &binary,
            root,
            &cases.iter().map(|(name, capture, stats, ..)| (*name, *capture, *stats)).collect::<Vec<_>>(),
        );
    }
    let (end, mut rows, mut done) = (Instant::now() + Duration::from_secs(WHOLE_S), Vec::new(), ExitCode::SUCCESS);
    for (at, row) in cases.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now()).as_secs() / (cases.len() - at) as u64;
        let until = Instant::now() + Duration::from_secs(left.min(CASE_S).saturating_sub(BESIDE_S));
        match case(&binary, root, *row, until) {
            Ok(more) => rows.extend(more),
            Err(fault) => {
                eprintln!("{}: FAILED: {fault}", row.0);
                done = ExitCode::FAILURE;
            }
        }
    }
    table::print(&rows);
    done
}
