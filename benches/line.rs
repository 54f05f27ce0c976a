//! The whole appliance on the wire: `tailwater run`, one receiving core, against `dpdk-testpmd` that only receives.
//!
//! `bash scripts/bench line [CASE]`: one line of JSON a case, in millions of frames a second that the core ran. Both read the
//! same capture of a million frames through `net_pcap` with `infinite_rx`, on one CPU, with the same memory, segments and
//! bursts, and each is stopped while the other runs. A round of ours goes from one window's end over the next: its work is
//! that of a whole window, its closing included. Ratios of rounds whose clock changed do not count.
//!
//! Needs `cargo build --release --locked`. Captures are made once, under target/bench-line.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench"
)]

#[path = "line/captures.rs"]
mod captures;
#[path = "line/programs.rs"]
mod programs;
#[path = "line/sets.rs"]
mod sets;
mod support;
#[path = "line/truth.rs"]
mod truth;

use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use captures::Capture;
use programs::{Ours, Theirs};
use support::{Figure, clock, median};

const ROUNDS: usize = 5;
const TRIED_MAX: usize = 15;
/// Rounds whose clocks differ by more do not count.
const CLOCKS_MAX: f64 = 1.03;
/// A round of both takes one window of the standard set.
const WINDOW_MS: u64 = 10_000;
/// Ours runs from so long before a window's end to so long after it; what is left is theirs.
const BEFORE_MS: u64 = 2_000;
const AFTER_MS: u64 = 4_500;
const THEIRS_MS: u64 = 500;

/// A case: its name, its capture, how many stats, and how testpmd forwards.
type Case = (&'static str, &'static str, usize, &'static str);

const CASES: [Case; 14] = [
    ("uniform-10k", "uniform-10k", 24, "rxonly"),
    ("uniform-50k", "uniform-50k", 24, "rxonly"),
    ("zipf-10k", "zipf-10k", 24, "rxonly"),
    ("one-range", "one-range", 24, "rxonly"),
    ("carpet", "carpet", 24, "rxonly"),
    ("mix", "mix", 24, "rxonly"),
    ("v6", "v6", 24, "rxonly"),
    ("no-stats", "uniform-10k", 0, "rxonly"),
    ("uniform-10k-8", "uniform-10k", 8, "rxonly"),
    ("uniform-10k-48", "uniform-10k", 48, "rxonly"),
    ("uniform-10k-96", "uniform-10k", 96, "rxonly"),
    ("uniform-10k-macswap", "uniform-10k", 24, "macswap"),
    ("one-range-macswap", "one-range", 24, "macswap"),
    ("no-stats-macswap", "uniform-10k", 0, "macswap"),
];

/// Sleeps until so many milliseconds after a window's end, the next time that this comes.
fn until(phase_ms: u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    sleep(Duration::from_millis((WINDOW_MS + phase_ms - now % WINDOW_MS) % WINDOW_MS));
}

/// What a round measured.
struct Round {
    ours: f64,
    theirs: f64,
    /// The fastest clock over the slowest.
    clocks: f64,
    /// It came right behind the one before: the window that it closed was whole.
    whole: bool,
}

/// Ticks of the clock of a CPU.
fn clock_of(cpu: usize) -> f64 {
    let probe = move || core_affinity::set_for_current(core_affinity::CoreId { id: cpu }).then(clock);
    std::thread::spawn(probe).join().ok().flatten().expect("a CPU of ours")
}

/// One round: ours over a window's end, then theirs.
fn round(ours: &Ours, theirs: &Theirs, cpu: usize, last: &mut Option<Instant>) -> Round {
    until(WINDOW_MS - BEFORE_MS - 100);
    let now = Instant::now();
    let whole = last.replace(now).is_some_and(|last| (now - last).as_millis() < u128::from(WINDOW_MS) * 3 / 2);
    let first = clock_of(cpu);
    ours.signal("CONT");
    until(WINDOW_MS - BEFORE_MS);
    let begun = ours.point();
    until(AFTER_MS);
    let a = ours.point().mpps_since(begun);
    ours.signal("STOP");
    let second = clock_of(cpu);
    theirs.signal("CONT");
    let begun = theirs.point();
    sleep(Duration::from_millis(THEIRS_MS));
    let b = theirs.point().mpps_since(begun);
    theirs.signal("STOP");
    let third = clock_of(cpu);
    let clocks = first.max(second).max(third) / first.min(second).min(third);
    Round { ours: a, theirs: b, clocks, whole }
}

fn case(binary: &Path, root: &Path, (name, capture, stats, mode): Case) -> Result<(), String> {
    let folder = root.join("target/bench-line");
    let capture_of = Capture::ready(binary, root, &folder, capture);
    let text = sets::configuration(stats, capture, WINDOW_MS);
    let (ours, reports) = Ours::start(binary, &folder, name, &text, &capture_of.pcap);
    let cpu = ours.cpu();
    ours.signal("STOP");
    let theirs = Theirs::start(mode, cpu, &capture_of.pcap, capture_of.frames(), false);
    theirs.signal("STOP");
    let (mut last, mut kept, mut tried) = (None, Vec::new(), 0);
    round(&ours, &theirs, cpu, &mut last);
    while kept.len() < ROUNDS && tried < TRIED_MAX {
        tried += 1;
        let Round { ours: a, theirs: b, clocks, whole } = round(&ours, &theirs, cpu, &mut last);
        if whole && clocks <= CLOCKS_MAX {
            kept.push((a, b));
        } else {
            let why = if whole { "its clocks differ by" } else { "its window was not whole; clocks differ by" };
            eprintln!("{name}: {a:.2} against {b:.2} Mpps is dropped: {why} {:.1} %", (clocks - 1.0) * 100.0);
        }
    }
    ours.signal("CONT");
    let shed = ours.shed();
    let told = truth::compare(reports, &capture_of.shares);
    drop((ours, theirs));
    if kept.len() < ROUNDS {
        return Err(format!("only {} of {tried} rounds count", kept.len()));
    }
    let of = |value: fn(&(f64, f64)) -> f64| median(kept.iter().map(value).collect());
    let (a, b, ratio) = (of(|r| r.0), of(|r| r.1), of(|r| r.0 / r.1));
    let against = format!("testpmd {mode}");
    Figure { bench: "line", case: name, unit: "Mpps", ours: a, against: &against, theirs: b, ratio }.print();
    let ratios: Vec<String> = kept.iter().map(|(a, b)| format!("{:.3} ({a:.2}/{b:.1})", a / b)).collect();
    eprintln!("{name}: rounds {}; {tried} tried; shed: {shed:?}", ratios.join(", "));
    eprintln!("{name}: {}", told.as_ref().unwrap_or_else(|fault| fault));
    told.map(|_| ())
}

fn main() -> ExitCode {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let binary = root.join("target/release/tailwater");
    if !binary.is_file() {
        eprintln!("line: {} is missing: cargo build --release --locked", binary.display());
        return ExitCode::from(2);
    }
    std::fs::create_dir_all(root.join("target/bench-line")).expect("a folder for captures");
    let mut done = ExitCode::SUCCESS;
    for row in CASES.into_iter().filter(|(name, ..)| only.as_ref().is_none_or(|only| only == name)) {
        if let Err(fault) = case(&binary, root, row) {
            eprintln!("{}: FAILED: {fault}", row.0);
            done = ExitCode::FAILURE;
        }
    }
    done
}
