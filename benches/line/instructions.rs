//! Instructions a frame, counted by callgrind, by stage.
//!
//! Three runs a case. From frame to sealed block: `tailwater`'s own receiver in this program, a window of some millions of frames
//! and all of its closing (`inside`). What rx takes: `tailwater run` itself on `net_pcap`, without stats. And `dpdk-testpmd`. The
//! same seed counts the same; nothing is measured. valgrind knows no AVX-512: kernels run their next best form.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::rounds::WINDOW_MS;
use super::support::callgrind::{self, counted};
use super::support::captures::Capture;
use super::support::inner::{Frames, Inner};
use super::support::programs::{Ours, Theirs, frames_of};
use super::support::stages::{STAGES, Shares};
use super::support::{Figure, sets};

/// How often a window holds the capture. A live window holds it some 60 times; what its closing takes is shared by fewer here.
const LOOPS: usize = 8;
/// How long a program on the wire is counted, frames or no.
const WIRE: Duration = Duration::from_secs(12);
/// Frames that our rx is counted over, at least.
const FRAMES_MIN: u64 = 300_000;

#[inline(never)]
fn counted_by_callgrind(inner: &mut Inner, frames: &Frames, loops: usize) {
    inner.window(frames, frames.len() * loops);
    inner.close();
}

/// What callgrind runs.
pub(crate) fn inside(configuration: &Path, pcap: &Path, loops: usize) -> ExitCode {
    let frames = Frames::read(pcap);
    let mut inner = Inner::new(configuration, true);
    counted_by_callgrind(&mut inner, &frames, loops);
    ExitCode::SUCCESS
}

/// Instructions a frame by stage, from parse to the sealed block.
pub(crate) fn of_inside(configuration: &Path, pcap: &Path, frames: f64, loops: usize) -> Shares {
    let (out, program) = (configuration.with_extension("callgrind"), std::env::current_exe().expect("this program"));
    let mut command = callgrind::command(&out);
    command.args(["--collect-atstart=no", "--toggle-collect=*counted_by_callgrind*"]).arg(&program).arg("inside");
    let ran = command.arg(configuration).arg(pcap).arg(loops.to_string()).output().expect("valgrind starts: apt-get install valgrind");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let mut shares = counted(&out, &program);
    std::fs::remove_file(&out).ok();
    shares.values_mut().for_each(|n| *n /= frames * loops as f64);
    shares
}

/// The file of the thread in which most was counted of what is named, and that sum. The main thread fills the driver's ring, and
/// is none of them.
fn busiest(out: &Path, of: impl Fn(&Path) -> f64) -> Option<(PathBuf, f64)> {
    let name = out.file_name()?.to_string_lossy().into_owned() + "-";
    let files = std::fs::read_dir(out.parent()?).ok()?.flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name)));
    files.filter(|file| !file.to_string_lossy().ends_with("-01")).map(|file| (file.clone(), of(&file))).max_by(|a, b| a.1.total_cmp(&b.1))
}

fn forget(out: &Path) {
    while let Some((file, _)) = busiest(out, |_| 0.0) {
        std::fs::remove_file(file).expect("a file of ours");
    }
    for ending in ["", "-01"] {
        std::fs::remove_file(format!("{}{ending}", out.display())).ok();
    }
}

fn wrapped(command: &Command, out: &Path) -> Child {
    let mut wrapped = callgrind::command(out);
    wrapped.arg("--separate-threads=yes").arg(command.get_program()).args(command.get_args());
    wrapped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("valgrind starts")
}

/// Instructions a frame of `dpdk-testpmd` that only receives.
fn of_theirs(capture: &Capture, folder: &Path) -> f64 {
    let out = folder.join("testpmd.callgrind");
    forget(&out);
    let mut child = wrapped(&Theirs::command("rxonly", 1, capture, false), &out);
    let (mut to, from) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let reads = std::thread::spawn(move || {
        let lines = BufReader::new(from).split(b'\n').map_while(Result::ok);
        let frames = lines
            .filter_map(|line| String::from_utf8_lossy(&line).trim().strip_prefix("RX-packets:")?.split_whitespace().next()?.parse().ok());
        frames.last().unwrap_or(0.0_f64)
    });
    sleep(2 * WIRE);
    to.write_all(b"quit\n").expect("dpdk-testpmd listens");
    child.wait().expect("dpdk-testpmd ends");
    let frames = reads.join().expect("a reader");
    let totals = |file: &Path| {
        let text = std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        text.lines().rev().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok()).unwrap_or(0.0)
    };
    let lcore = busiest(&out, totals);
    forget(&out);
    lcore.map_or(f64::NAN, |(_, instructions)| instructions / frames)
}

/// Instructions a frame of our own rx.
fn of_our_rx(binary: &Path, capture: &Capture, folder: &Path) -> f64 {
    let (out, name) = (folder.join("run.callgrind"), "rx");
    forget(&out);
    let text = sets::configuration(0, &capture.ranges, 3_600_000).replace("memory_mb = 4096", "memory_mb = 256");
    let (command, admin) = Ours::command(binary, folder, name, &text, capture);
    let mut child = wrapped(&command, &out);
    let from = child.stdout.take().expect("piped");
    let reads = std::thread::spawn(move || {
        let lines = BufReader::new(from).lines().map_while(Result::ok).filter(|line| line.contains("\"total\":true"));
        let last: serde_json::Value = serde_json::from_str(&lines.last().unwrap_or_default()).unwrap_or_default();
        last["ledger"]["received"].as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN)
    });
    let (begun, pid) = (Instant::now(), child.id().to_string());
    while frames_of(admin).is_none_or(|frames| frames < FRAMES_MIN) {
        assert!(begun.elapsed() < 10 * WIRE, "tailwater receives nothing under valgrind");
        sleep(Duration::from_secs(1));
    }
    Command::new("kill").args(["-INT", &pid]).status().expect("kill");
    child.wait().expect("tailwater ends");
    let frames = reads.join().expect("a reader");
    let rx = busiest(&out, |file| counted(file, binary).get("rx").copied().unwrap_or(0.0));
    forget(&out);
    rx.map_or(f64::NAN, |(_, instructions)| instructions / frames)
}

/// Counts cases and prints a figure each, and a table on stderr.
pub(crate) fn count(binary: &Path, root: &Path, cases: &[(&str, &str, usize)]) -> ExitCode {
    let folder = root.join("target/bench-line");
    let mut rows = Vec::new();
    for (name, capture, stats) in cases {
        let capture = Capture::ready(binary, root, capture);
        let file = folder.join(format!("{name}-inside.toml"));
        std::fs::write(&file, sets::configuration(*stats, &capture.ranges, WINDOW_MS)).expect("a configuration");
        let mut shares = of_inside(&file, &capture.pcap, capture.frames as f64, LOOPS);
        let theirs = of_theirs(&capture, &folder);
        shares.insert("rx", of_our_rx(binary, &capture, &folder));
        let ours: f64 = shares.values().sum();
        let stages: Vec<String> = STAGES.iter().filter_map(|stage| Some(format!("\"{stage}\": {:.1}", shares.get(stage)?))).collect();
        let more = format!("\"stages\": {{{}}}", stages.join(", "));
        let (against, ratio, unit) = ("testpmd rxonly", theirs / ours, "instructions a frame");
        Figure { bench: "line", case: &format!("{name}-instructions"), unit, ours, against, theirs, ratio }.print_with(&more);
        rows.push((*name, shares, ours, theirs));
    }
    let listed: Vec<&str> =
        STAGES.into_iter().filter(|stage| rows.iter().any(|(_, shares, ..)| shares.get(stage).is_some_and(|n| *n >= 0.5))).collect();
    eprintln!("\n| case | instructions a frame | {} | testpmd rxonly |\n|---|---|{}---|", listed.join(" | "), "---|".repeat(listed.len()));
    for (name, shares, ours, theirs) in rows {
        let of: Vec<String> = listed.iter().map(|stage| format!("{:.0}", shares.get(stage).copied().unwrap_or(0.0))).collect();
        eprintln!("| {name} | {ours:.0} | {} | {theirs:.0} |", of.join(" | "));
    }
    ExitCode::SUCCESS
}
