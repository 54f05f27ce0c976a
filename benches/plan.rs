//! What `tailwater plan` says against what `tailwater run` does: on one core, through `net_pcap` with `infinite_rx`, on the captures
//! of `line`.
//!
//! `bash scripts/bench plan [CASE]`: seven interleaved pairs a case, of some 30 seconds; `v6` is measured where it is named, for which
//! there is no time beside all others. Of each, `run` is measured for the length of a
//! window of five seconds, whatever its phase, and ended; then `plan` says what it carries on the same configuration, from as many frames
//! that the generator makes in memory. While time is left, pairs whose clock changed are made again; the seven whose clock changed
//! least count, and the row says in how many of them it changed. One line of JSON a case: millions of packets a second, predicted and measured,
//! and the error of the median pair. `BENCH_FRAMES=100000` makes smaller captures, to see that all works.
//!
//! Needs `cargo build --release --locked`. Exit status 1: something is broken; the error has no say in it.

#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::expect_used, clippy::panic, reason = "a bench")]

mod support;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::captures::Capture;
use support::programs::Ours;
use support::{Figure, clock, median, sets};

const PAIRS: usize = 7;
/// All cases together end within this, seconds; a pair takes no more than that.
const WHOLE_S: u64 = 1_300;
const PAIR_S: u64 = 35;
/// Pairs whose clocks differ by more are made again.
const CLOCKS_MAX: f64 = 1.03;
const WINDOW_MS: u64 = 5_000;
/// How long `plan` may measure one shape: a window, and what is around it.
const PLAN_S: &str = "8";
const STATS: usize = 24;

/// A capture, and the shape that is it.
const CASES: [(&str, &str); 7] = [
    ("uniform-10k", "uniform"),
    ("one-range", "one-range"),
    ("zipf-10k", "zipf"),
    ("carpet", "carpet"),
    ("sizes", "peace"),
    ("mix", "mix"),
    ("v6", "v6"),
];
/// Measured by its name alone: there is no time for it beside the others.
const NAMED: &str = "v6";

/// What a pair came to, in millions of packets a second.
struct Pair {
    said: f64,
    done: f64,
    clocks: f64,
}

fn pair(binary: &Path, folder: &Path, case: &str, shape: &str, capture: &Capture) -> Pair {
    let text = sets::configuration(STATS, &capture.ranges, WINDOW_MS);
    let name = format!("plan-{case}");
    let mut clocks = vec![clock()];
    let done = {
        let (ours, reports) = Ours::start(binary, folder, &name, &text, capture);
        // Its first window is cut short: what is measured has one behind it.
        sleep(Duration::from_millis(WINDOW_MS * 3 / 2));
        let begun = ours.point();
        sleep(Duration::from_millis(WINDOW_MS));
        let mpps = ours.point().mpps_since(begun);
        drop((ours, reports));
        mpps
    };
    clocks.push(clock());
    let mut plan = Command::new(binary);
    plan.args(["plan", "--json", "--seconds", PLAN_S, "--shape", shape, "--frames", &capture.frames.to_string(), "--config"]);
    let said = plan.arg(folder.join(format!("{name}.toml"))).stdin(Stdio::null()).output().expect("tailwater plans");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let account: serde_json::Value = serde_json::from_slice(&said.stdout).expect("an account as JSON");
    let said = account["shapes"][0]["core_mpps"].as_f64().expect("packets a second");
    clocks.push(clock());
    let (least, most) = clocks.iter().fold((f64::MAX, 0.0_f64), |(least, most), c| (least.min(*c), most.max(*c)));
    Pair { said, done, clocks: most / least }
}

/// Pairs of a case until there are enough, or until `end`.
fn measure(binary: &Path, root: &Path, (case, shape): (&str, &str), end: Instant) {
    let folder = root.join("target/bench-line");
    let capture = Capture::ready(binary, root, case);
    let mut all: Vec<Pair> = Vec::new();
    let steady = |all: &[Pair]| all.iter().filter(|pair| pair.clocks <= CLOCKS_MAX).count();
    while steady(&all) < PAIRS && all.len() < 2 * PAIRS && (all.is_empty() || Instant::now() < end) {
        let pair = pair(binary, &folder, case, shape, &capture);
        let percent = (pair.said / pair.done - 1.0) * 100.0;
        eprintln!(
            "{case}: said {:.2}, done {:.2} Mpps ({percent:+.1} %); clocks within {:.1} %",
            pair.said,
            pair.done,
            (pair.clocks - 1.0) * 100.0
        );
        all.push(pair);
    }
    let tried = all.len();
    all.sort_by(|one, other| one.clocks.total_cmp(&other.clocks));
    all.truncate(PAIRS);
    let changed = all.len() - steady(&all);
    let ratios: Vec<f64> = all.iter().map(|pair| pair.said / pair.done).collect();
    let (least, most) = ratios.iter().fold((f64::MAX, 0.0_f64), |(least, most), r| (least.min(*r), most.max(*r)));
    let (said, done) = (median(all.iter().map(|pair| pair.said).collect()), median(all.iter().map(|pair| pair.done).collect()));
    let ratio = median(ratios);
    let clocks = if changed > 0 { format!(", {changed} of changing clocks") } else { String::new() };
    let more = format!(
        "\"error_percent\": {:.1}, \"low\": {least:.4}, \"high\": {most:.4}, \"pairs\": \"{} of {tried}{clocks}\"",
        (ratio - 1.0) * 100.0,
        all.len()
    );
    Figure { bench: "plan", case, unit: "Mpps", ours: said, against: "tailwater run", theirs: done, ratio }.print_with(&more);
}

fn main() -> ExitCode {
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let binary = root.join("target/release/tailwater");
    let asked = |name: &str| if only.is_empty() { name != NAMED } else { only.iter().any(|only| only == name) };
    let cases: Vec<(&str, &str)> = CASES.into_iter().filter(|(name, _)| asked(name)).collect();
    if !binary.is_file() || cases.is_empty() {
        let names: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
        eprintln!("plan: wants {} (cargo build --release --locked), and one of: {}", binary.display(), names.join(" "));
        return ExitCode::from(2);
    }
    let end = Instant::now() + Duration::from_secs(WHOLE_S);
    for (at, case) in cases.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now()) / (cases.len() - at) as u32;
        measure(&binary, root, *case, Instant::now() + left.saturating_sub(Duration::from_secs(PAIR_S)));
    }
    ExitCode::SUCCESS
}
