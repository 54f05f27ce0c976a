//! Captures through `tailwater replay`: no crash, ledgers that balance, totals that two independent tools agree on, and the
//! same reports however the work is spread.
//!
//! A sample of the captures is replayed, drawn by a seed that is printed (`SEED=…` repeats it); `TAILWATER_ALL=1` replays all.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects")]

#[allow(dead_code, reason = "shared by several tests")]
mod captures;
mod parse_truth_wrong;
#[allow(dead_code, reason = "shared by several tests")]
mod replaying;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use parse_truth_wrong::WRONG;
use prost::Message as _;
use replaying::{Draw, Ran, Top, bins, count, everything, replay, seed, tailwater, top, value};
use serde_json::Value;
use tailwater::journal::Message;
use tailwater::report::pb;
use tailwater::sink::to_json_line;

/// Captures of a sample.
const SAMPLE: usize = 80;
/// Replays that run side by side.
const SIDE_BY_SIDE: usize = 2;
/// Each way to spread the work; the first is the one that the others must equal.
const WAYS: [&[&str]; 6] = [
    &["--mode", "run-to-completion"],
    &["--mode", "run-to-completion", "--workers", "2"],
    &["--mode", "run-to-completion", "--workers", "4"],
    &["--mode", "pipeline"],
    &["--mode", "pipeline", "--workers", "2"],
    &["--mode", "pipeline", "--workers", "4"],
];
/// Counts of the truth that the totals are made of.
const COMPARED: [&str; 5] = ["ipv4_packets", "ipv6_packets", "tcp_syn_no_ack_outer", "distinct_src_outermost", "wire_bytes"];
/// Up to so many sources `distinct` is exact.
const DISTINCT_EXACT: u64 = 128;

/// Replays in all ways, and the first twice; faults of the runs and between them.
fn all_ways(config: &Path, capture: &Path) -> (Ran, Vec<String>) {
    let first = replay(config, &[capture], WAYS[0]);
    let mut faults = run_faults(&first);
    faults.extend(written_otherwise(&first));
    if replay(config, &[capture], WAYS[0]).stdout != first.stdout {
        faults.push("twice in a row differs".to_owned());
    }
    for way in &WAYS[1..] {
        let other = replay(config, &[capture], way);
        faults.extend(run_faults(&other).into_iter().map(|fault| format!("{way:?}: {fault}")));
        if !alike(&first, &other) {
            faults.push(format!("{way:?}: range reports differ"));
        }
    }
    (first, faults)
}

fn run_faults(ran: &Ran) -> Vec<String> {
    // Not all of the files are captures that can be read: 1 and 2 are refusals, which say why.
    match ran.status {
        Some(0) => ran.ledger_faults(),
        Some(1 | 2) if ran.stderr.contains("panicked") => vec![ran.stderr.clone()],
        Some(1) => ran.ledger_faults(),
        Some(2) if ran.stdout.is_empty() && ran.stderr.contains("tailwater: ") => Vec::new(),
        other => vec![format!("exit {other:?}: {}", ran.stderr)],
    }
}

/// A replay writes reports as they are; a sink has what the journal encoded of them. It writes the same.
fn written_otherwise(ran: &Ran) -> Vec<String> {
    let is_same = |line: &&str| {
        let report: pb::RangeReport = serde_json::from_str(line).unwrap();
        let (message, mut written) = (Message::range(&report), Vec::new());
        let is_written = to_json_line(&message, &mut written).is_ok();
        // Not the line itself: reading it may change the last digit of a number.
        is_written
            && *message.payload == *report.encode_to_vec()
            && written == format!("{}\n", serde_json::to_string(&report).unwrap()).into_bytes()
    };
    let others = ran.range_lines().into_iter().filter(|line| !is_same(line));
    others.map(|line| format!("a sink writes otherwise: {line}")).collect()
}

/// Byte for byte, but for top-K entries that are within each other's bounds.
fn alike(one: &Ran, other: &Ran) -> bool {
    let (lines, others) = (one.range_lines(), other.range_lines());
    one.status == other.status
        && lines.len() == others.len()
        && (lines == others || one.ranges().into_iter().zip(other.ranges()).all(|(a, b)| within_bounds(&a, &b)))
}

fn within_bounds(a: &Value, b: &Value) -> bool {
    let (ours, theirs) = (top(a, "sources"), top(b, "sources"));
    let overlap = |one: &Top| theirs.iter().find(|other| other.key == one.key).is_none_or(|t| t.low <= one.high && one.low <= t.high);
    without_top(a) == without_top(b) && ours.len() == theirs.len() && ours.iter().all(overlap)
}

fn without_top(report: &Value) -> Value {
    let mut report = report.clone();
    for stat in report["stats"].as_array_mut().into_iter().flatten() {
        stat["top"].take();
    }
    report
}

/// What the reports of a capture add up to.
#[derive(Default)]
struct Sums {
    packets: f64,
    bytes: f64,
    opened: f64,
    sizes: Vec<f64>,
}

impl Sums {
    fn of(ran: &Ran) -> Self {
        let mut sums = Self { sizes: vec![0.0; 7], ..Self::default() };
        for report in ran.ranges() {
            sums.packets += value(&report, "packets");
            sums.bytes += value(&report, "bytes");
            sums.opened += value(&report, "opened");
            sums.sizes.iter_mut().zip(bins(&report, "sizes")).for_each(|(sum, bin)| *sum += bin);
        }
        sums
    }
}

/// Where the totals are not the truth's.
#[allow(clippy::cast_precision_loss, reason = "counts of a capture")]
fn differences(ran: &Ran, truth: &Value) -> Vec<String> {
    let (sums, mut faults) = (Sums::of(ran), Vec::new());
    let want = |name: &str| truth[name].as_u64().unwrap_or(0);
    let packets = want("ipv4_packets") + want("ipv6_packets");
    let mut judge = |name: &str, want: u64, have: f64| {
        if want as f64 != have {
            faults.push(format!("{name}: want {want}, have {have}"));
        }
    };
    judge("packets", packets, sums.packets);
    judge("opened", want("tcp_syn_no_ack_outer"), sums.opened);
    judge("sum of sizes", packets, sums.sizes.iter().sum());
    if want("non_ip_frames") == 0 {
        judge("bytes", want("wire_bytes"), sums.bytes);
        let edges = ["0-63", "64-127", "128-255", "256-511", "512-1023", "1024-1517", "1518+"];
        edges.iter().zip(&sums.sizes).for_each(|(edge, have)| judge(edge, truth["size_histogram"][edge].as_u64().unwrap_or(0), *have));
    }
    for (version, prefix) in [("v4", "0.0.0.0/0"), ("v6", "::/0")] {
        let distinct = want(&format!("distinct_src_outermost_{version}"));
        let reports: Vec<Value> = ran.ranges().into_iter().filter(|report| report["prefix"] == prefix).collect();
        if let ([report], 0..=DISTINCT_EXACT) = (reports.as_slice(), distinct) {
            judge(&format!("distinct sources {version}"), distinct, value(report, "distinct_sources"));
        }
    }
    faults
}

/// Whether the truth is one: two tools agree, neither found a malformed frame, and nothing in it is judged wrong.
fn is_agreed(file: &Path, truth: &Value) -> bool {
    let name = file.with_extension("");
    let judged = |names: &[&str]| names.iter().any(|name| COMPARED.contains(name));
    let wrong = WRONG.iter().any(|wrong| name.ends_with(wrong.capture) && judged(wrong.names));
    truth["crosscheck_dpkt"]["agree"] == true && truth["malformed_frames"] == 0 && !wrong
}

/// Does something with each, several at a time.
fn each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item)
                }
            });
        }
    });
}

fn sample(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    if std::env::var_os("TAILWATER_ALL").is_none() {
        let mut draw = Draw(seed());
        files.sort_by_cached_key(|_| draw.next());
        files.truncate(SAMPLE);
    }
    files
}

#[test]
fn captures_are_counted_as_two_tools_count_them() {
    let Some(folder) = captures::folder("captures_are_counted_as_two_tools_count_them") else { return };
    let own = tempfile::tempdir().unwrap();
    let config = everything(own.path(), "");
    let files = sample(captures::files(&folder));
    let (faults, wrong, judged) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()), AtomicUsize::new(0));
    each(&files, |file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (ran, found) = all_ways(&config, file);
        faults.lock().unwrap().extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
        let Some(truth) = captures::truth(file).filter(|truth| truth["frames"] != 0) else { return };
        if ran.status != Some(0) {
            faults.lock().unwrap().push(format!("{name}: exit {:?}: {}", ran.status, ran.stderr));
        } else if is_agreed(file, &truth) {
            judged.fetch_add(1, Ordering::Relaxed);
            wrong.lock().unwrap().extend(differences(&ran, &truth).into_iter().map(|fault| format!("{name}: {fault}")));
        }
    });
    let (faults, wrong) = (faults.into_inner().unwrap(), wrong.into_inner().unwrap());
    println!("{} captures, of which {} have an agreed truth", files.len(), judged.into_inner());
    assert!(faults.is_empty() && wrong.is_empty(), "faults:\n{}\nwrong:\n{}", faults.join("\n"), wrong.join("\n"));
}

#[test]
fn generated_captures_are_the_same_in_every_way() {
    let own = tempfile::tempdir().unwrap();
    let names = tailwater(["generate", "--list"]).stdout;
    let names: Vec<&str> = names.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() >= 5, "{names:?}");
    let faults = Mutex::new(Vec::new());
    each(&names, |name| {
        let folder = own.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let config = everything(&folder, "window_ms = 2000");
        let (pcap, truth) = (folder.join("x.pcap"), folder.join("x.json"));
        let files = ["--pcap", pcap.to_str().unwrap(), "--truth", truth.to_str().unwrap()];
        let made = tailwater(["generate", "--scenario", name, "--duration", "12"].iter().chain(&files));
        assert_eq!(made.status, Some(0), "{}", made.stderr);
        let (ran, found) = all_ways(&config, &pcap);
        let truth: Value = serde_json::from_slice(&std::fs::read(truth).unwrap()).unwrap();
        faults.lock().unwrap().extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
        let ledger = &ran.total()["ledger"];
        let frames = truth["totals"]["frames"].as_u64().unwrap();
        let packets = frames - truth["totals"]["non_ip_frames"].as_u64().unwrap();
        assert_eq!((count(&ledger["received"]), count(&ledger["matched"])), (frames, packets), "{name}");
        assert_eq!(count(&ledger["receivedBytes"]), truth["totals"]["wire_bytes"].as_u64().unwrap(), "{name}");
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
