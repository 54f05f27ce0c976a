//! One queue has all the traffic, where RSS cannot spread it: `tailwater run` with two receiving cores, of which the idle one takes
//! bursts from the other, against `hand_over = false`.
//!
//! `bash scripts/bench skew [CASE]`: in pairs, in turn, each stopped while the other runs; one line of JSON a case: millions of frames
//! for each second that the core ran which polls the queue, how much of it the other core took, and whether there is a CPU for each
//! core that polls. The queue is a `net_pcap` with `infinite_rx`; the idle core has none. In `pipeline` one stat
//! is asked for: there it is receiving that chokes. Nothing is shed. Where no pair kept one clock and lost nothing, as in
//! `pipeline` on two CPUs, there is no line.
//!
//! Needs `cargo build --release --locked`. `BENCH_FRAMES=100000` makes a smaller capture, to see that all works. Exit status 1:
//! something is broken; speed has no say in it.

#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::expect_used, clippy::panic, reason = "a bench")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::captures::Capture;
use support::programs::{Ours, metric, metrics};
use support::{Figure, clock, median, ran_ns_of, sets};

const PAIRS: usize = 7;
/// Pairs whose clocks differ by more do not count, nor do those that lost records: what is lost costs nothing.
const CLOCKS_MAX: f64 = 1.03;
const WINDOW_MS: u64 = 10_000;
/// A turn: until it is as before it was stopped, and a window.
const SETTLE: Duration = Duration::from_millis(500);
const TURN: Duration = Duration::from_millis(WINDOW_MS);
/// How long a program may take to start.
const START: Duration = Duration::from_secs(90);
/// The lcore that polls the queue.
const HOT: u32 = 1;

/// A mode, its core map, how many stats, and how many cores poll.
const CASES: [(&str, &str, usize, usize); 2] = [
    ("run-to-completion", "main = 0\nrx = [1, 2]\nreporter = 3", 24, 2),
    ("pipeline", "main = 0\nrx = [1, 2]\nworkers = [3, 4]\nreporter = 5", 1, 4),
];

/// `tailwater run`, on two receiving cores.
struct Program {
    child: Child,
    admin: u16,
    hot: PathBuf,
}

/// Where it stands.
#[derive(Clone, Copy)]
struct Point {
    received: u64,
    taken: u64,
    lost: u64,
    ran_ns: u64,
}

impl Program {
    fn start(binary: &Path, folder: &Path, (mode, cores, stats): (&str, &str, usize), capture: &Capture, hands_over: bool) -> Self {
        let name = format!("skew-{mode}-{}", if hands_over { "on" } else { "off" });
        let text = sets::configuration(stats, &capture.ranges, WINDOW_MS).replace("name = \"bench-line\"", &format!("name = \"{name}\""));
        let text = text.replace("memory_mb = 4096\n", &format!("memory_mb = 2048\nhand_over = {hands_over}\n"));
        assert!(text.contains("hand_over"), "{text}");
        let text = format!("{text}\n[cores]\nmode = \"{mode}\"\n{cores}\n");
        let log = std::fs::File::create(folder.join(format!("{name}.log"))).expect("a log");
        let (mut command, admin) = Ours::command(binary, folder, &name, &text, capture);
        let child = command.arg("--share-cpus").stdout(Stdio::null()).stderr(log).spawn().expect("tailwater starts");
        let mut program = Self { child, admin, hot: PathBuf::new() };
        let begun = Instant::now();
        while program.find().is_none_or(|hot| {
            program.hot = hot;
            program.point().is_none_or(|point| point.received == 0)
        }) {
            assert!(begun.elapsed() < START, "tailwater receives nothing: see {name}.log in {folder:?}");
            sleep(Duration::from_millis(50));
        }
        program
    }

    /// The thread that polls the queue.
    fn find(&self) -> Option<PathBuf> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let is = |path: &PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == format!("rte-worker-{HOT}"));
        tasks.flatten().map(|entry| entry.path()).find(is)
    }

    fn point(&self) -> Option<Point> {
        let before = ran_ns_of(&self.hot);
        let text = metrics(self.admin)?;
        let sum = |name: &str| metric(&text, &format!("tailwater_core_{name}_total{{")).iter().map(|(_, n)| n).sum();
        let (received, taken, lost) = (sum("received"), sum("taken_frames"), sum("ring_dropped"));
        Some(Point { received, taken, lost, ran_ns: before.midpoint(ran_ns_of(&self.hot)) })
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// Runs for a turn: millions of frames a second, and the shares that another core took, and that rings lost.
    fn turn(&self) -> (f64, f64, f64) {
        self.signal("CONT");
        sleep(SETTLE);
        let begun = self.point().expect("metrics");
        sleep(TURN);
        let ended = self.point().expect("metrics");
        self.signal("STOP");
        let frames = (ended.received - begun.received).max(1) as f64;
        let mpps = frames / (ended.ran_ns - begun.ran_ns) as f64 * 1e3;
        (mpps, (ended.taken - begun.taken) as f64 / frames, (ended.lost - begun.lost) as f64 / frames)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What a pair came to: with and without, and the clocks' ratio.
type Pair = ((f64, f64, f64), (f64, f64, f64), f64);

fn is_steady(((_, _, lost), (_, _, lost_off), clocks): &Pair) -> bool {
    *clocks <= CLOCKS_MAX && lost.max(*lost_off) <= 0.0
}

fn pair(on: &Program, off: &Program) -> Pair {
    let mut clocks = vec![clock()];
    let with = on.turn();
    clocks.push(clock());
    let without = off.turn();
    clocks.push(clock());
    let (least, most) = clocks.iter().fold((f64::MAX, 0.0_f64), |(least, most), c| (least.min(*c), most.max(*c)));
    (with, without, most / least)
}

fn measure(binary: &Path, root: &Path, (mode, cores, stats, polling): (&str, &str, usize, usize)) {
    let folder = root.join("target/bench-line");
    let capture = Capture::ready(binary, root, "uniform-10k");
    let start = |hands_over| {
        let program = Program::start(binary, &folder, (mode, cores, stats), &capture, hands_over);
        program.signal("STOP");
        program
    };
    let (on, off) = (start(true), start(false));
    let mut all: Vec<Pair> = Vec::new();
    let steady = |all: &[Pair]| all.iter().filter(|pair| is_steady(pair)).count();
    while steady(&all) < PAIRS && all.len() < 2 * PAIRS {
        let (with, without, clocks) = pair(&on, &off);
        let [taken, lost, lost_off] = [with.1, with.2, without.2].map(|share| share * 100.0);
        eprintln!(
            "{mode}: {:.2} against {:.2} Mpps; {taken:.0} % taken; lost in rings {lost:.1} and {lost_off:.1} %; clocks within {:.1} %",
            with.0,
            without.0,
            (clocks - 1.0) * 100.0
        );
        all.push((with, without, clocks));
    }
    print((mode, stats, polling), all);
}

fn print((mode, stats, polling): (&str, usize, usize), mut all: Vec<Pair>) {
    let tried = all.len();
    all.retain(is_steady);
    if all.is_empty() {
        eprintln!("{mode}: NOT MEASURED: none of {tried} pairs kept one clock and lost nothing in rings; cores that poll want a CPU each");
        return;
    }
    let ratios: Vec<f64> = all.iter().map(|pair| pair.0.0 / pair.1.0).collect();
    let (least, most) = ratios.iter().fold((f64::MAX, 0.0_f64), |(least, most), r| (least.min(*r), most.max(*r)));
    let of = |figure: fn(&Pair) -> f64| median(all.iter().map(figure).collect());
    let cpus = core_affinity::get_core_ids().map_or(0, |cpus| cpus.len());
    let place = if cpus > polling + 1 {
        "a CPU for each"
    } else if cpus >= polling {
        "those that poll share none with each other"
    } else {
        "shared"
    };
    let more = format!(
        "\"low\": {least:.4}, \"high\": {most:.4}, \"pairs\": \"{} of {tried}\", \"stats\": {stats}, \"taken\": {:.3}, \
         \"ring_dropped\": {:.3}, \"ring_dropped_off\": {:.3}, \"cpus\": \"{cpus} for {polling} that poll: {place}\"",
        all.len(),
        of(|pair| pair.0.1),
        of(|pair| pair.0.2),
        of(|pair| pair.1.2)
    );
    let (ours, theirs) = (of(|pair| pair.0.0), of(|pair| pair.1.0));
    Figure { bench: "skew", case: mode, unit: "Mpps", ours, against: "hand_over = false", theirs, ratio: median(ratios) }.print_with(&more);
}

fn main() -> ExitCode {
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let binary = root.join("target/release/tailwater");
    let cases: Vec<_> = CASES.into_iter().filter(|(name, ..)| only.is_empty() || only.iter().any(|only| only == name)).collect();
    if !binary.is_file() || cases.is_empty() {
        let names: Vec<&str> = CASES.iter().map(|(name, ..)| *name).collect();
        eprintln!("skew: wants {} (cargo build --release --locked), and one of: {}", binary.display(), names.join(" "));
        return ExitCode::from(2);
    }
    cases.into_iter().for_each(|case| measure(&binary, root, case));
    ExitCode::SUCCESS
}
