//! Sixty statistics in three sets over generated attacks and real captures, every figure against an independent computation:
//! `tests/independent` is a model in Python, written from the papers, that reads captures and the configuration itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

#[allow(dead_code, reason = "shared by several tests")]
mod captures;
#[allow(dead_code, reason = "shared by several tests")]
mod replaying;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use replaying::replay;
use serde_json::Value;
use tailwater::generate::{self, Options};

/// Blocked packets are all mirrored: the model thins them out itself, so that it knows what a sample stands for.
const SCENARIO: &str = r#"
about = "some of everything, nothing thinned out"
duration_s = 6
snap_bytes = 128
start = "2025-03-01T12:00:01.7Z"
ranges.list = [{ prefix = "10.0.0.0/14", customer = "a" }, { prefix = "10.1.2.0/24", customer = "b" }, { prefix = "10.1.2.3/32", customer = "c" }, { prefix = "2001:db8:1::/48", customer = "d" }]
tag = { rule = true, sampling = 1 }
legitimate = { pps = 600, ipv6 = 0.4, blocked = 0.01, clients = 400 }
attack = [
  { kind = "syn_flood", target = "10.1.2.3", pps = 2000, blocked = 0.9, begin_s = 1, rule = 7, sources = 300 },
  { kind = "udp_flood", target = "10.0.0.0/14", pps = 800, blocked = 0.7, sources = 700, even = true, rule = 8 },
  { kind = "dns_reflection", target = "10.1.2.9", pps = 400, blocked = 0.8, sources = 30, payload_bytes = [300, 3000], rule = 9 },
  { kind = "ntp_reflection", target = "10.1.2.3", pps = 500, blocked = 0.9, sources = 50, rule = 10 },
  { kind = "fragment_flood", target = "10.1.2.9", pps = 300, blocked = 0.8, sources = 30, rule = 11 },
  { kind = "icmp_flood", target = "2001:db8:1:2::3", pps = 500, blocked = 0.8, pulse_ms = [100, 400], rule = 12 },
  { kind = "ack_flood", target = "2001:db8:1::/48", pps = 300, blocked = 0.5, sources = 20, rule = 13 },
  { kind = "scan", target = "10.1.0.0/16", pps = 300, blocked = 0.2, sources = 2, ports = [22, 23], rule = 14 },
]
"#;

/// Every set: `default`, `premium`, and `watch`, which has all. The second VLAN of a blocked packet is the rule that blocked it.
const RANGES: &str = "prefix,customer,plan,domain\n0.0.0.0/0,world,basic,\n::/0,world,premium,\n10.0.0.0/14,campus,basic,\n\
    10.1.2.0/24,shop,premium,\n10.1.2.3/32,watched,,\n2001:db8:1::/48,watched,basic,\n192.168.0.0/16,watched,,\n10.0.0.0/8,campus,premium,\n\
    10.0.0.0/15,tenant,premium,vlan=8\n10.1.2.0/24,tenant,premium,vlan=11\n192.168.0.0/24,tenant,premium,vlan=1\n";

/// Intervals that hold the truth, of each kind: at least this share.
const HELD_MIN: f64 = 0.95;
/// Kinds with fewer intervals say too little for that: one in so many may be off by chance.
const JUDGED_MIN: u64 = 30;
/// Kinds of intervals that generated attacks must show.
const KINDS: [&str; 11] = [
    "sum packets",
    "sum bytes",
    "histogram",
    "top-K",
    "peak",
    "quantiles",
    "entropy",
    "entropy of a sample",
    "distinct",
    "distinct of a sample",
    "fanout",
];
/// Real captures that are judged, the shortest first; `TAILWATER_INDEPENDENT` says how many.
const CAPTURES: usize = 25;
const CAPTURE_BYTES_MAX: u64 = 300_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/independent")
}

fn python(arguments: &[&str]) -> String {
    let output = Command::new("python3").arg("-B").arg(folder().join("judge.py")).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("python3 cannot be run ({error}): run `bash scripts/setup`, which installs it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn configure(own: &Path) -> PathBuf {
    let config = own.join("tailwater.toml");
    std::fs::copy(folder().join("sixty.toml"), &config).unwrap();
    std::fs::write(own.join("ranges.csv"), RANGES).unwrap();
    config
}

/// What the model found, over all.
#[derive(Default)]
struct Found {
    compared: u64,
    /// By kind of interval: all, and those that hold the truth.
    intervals: BTreeMap<String, [u64; 2]>,
    uncovered: u64,
}

impl Found {
    /// Replays a capture and has every figure judged; `full` is what it was sampled from.
    fn judge(&mut self, own: &Path, pcap: &Path, full: &Path, way: &[&str]) {
        let config = configure(own);
        let ran = replay(&config, &[pcap], way);
        // No capture that is read: another link, or no capture at all.
        if ran.status == Some(2) {
            self.uncovered += 1;
            return;
        }
        assert_eq!(ran.status, Some(0), "{}: {}", pcap.display(), ran.stderr);
        let reports = own.join("reports.json");
        std::fs::write(&reports, &ran.stdout).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let verdict = python(&["judge", &text(&config), &text(pcap), &text(full), &text(&reports)]);
        let verdict: Value = serde_json::from_str(&verdict).unwrap();
        if verdict["uncovered"].is_string() {
            self.uncovered += 1;
            return;
        }
        assert_eq!(verdict["faults"], 0, "{} {way:?}: {:#}", pcap.display(), verdict["shown"]);
        assert_eq!(verdict["unknown"], serde_json::json!({}), "calculations that the model does not know");
        self.compared += verdict["compared"].as_u64().unwrap();
        for (kind, number) in verdict["intervals"].as_object().unwrap() {
            let of = self.intervals.entry(kind.clone()).or_default();
            of[0] += number.as_u64().unwrap();
            of[1] += verdict["held"][kind].as_u64().unwrap_or(0);
        }
    }

    fn intervals_hold(&self, seed: u64) {
        for (kind, [all, held]) in self.intervals.iter().filter(|(_, of)| of[0] >= JUDGED_MIN) {
            #[allow(clippy::cast_precision_loss, reason = "thousands")]
            let share = *held as f64 / *all as f64;
            assert!(share >= HELD_MIN, "SEED={seed}: of {all} intervals of {kind} {held} hold the truth");
        }
    }
}

/// `SEED`, or a constant one: the figures of one run are of the same packets, so that a kind's share of intervals that hold
/// varies from seed to seed by more than as many independent ones would.
fn seed() -> u64 {
    std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[test]
fn generated_attacks_are_as_computed_elsewhere() {
    let (seed, mut found) = (seed(), Found::default());
    let tmp = tempfile::tempdir().unwrap();
    let own = tmp.path();
    std::fs::write(own.join("scenario.toml"), SCENARIO).unwrap();
    let [full, sampled] = ["full.pcap", "sampled.pcap"].map(|name| own.join(name));
    for (number, way) in [&["--workers", "2"][..], &["--mode", "pipeline", "--workers", "3"]].into_iter().enumerate() {
        let seed = seed.wrapping_add(number as u64);
        let options = Options {
            scenario: own.join("scenario.toml").to_str().map(str::to_owned),
            pcap: Some(full.clone()),
            truth: Some(own.join("truth.json")),
            seed: Some(seed),
            start: None,
            duration: None,
            snap: None,
            ranges: None,
            config: None,
            list: false,
        };
        generate::run(&options).unwrap();
        python(&["thin", full.to_str().unwrap(), sampled.to_str().unwrap(), "40", &seed.to_string()]);
        found.judge(own, &sampled, &full, way);
    }
    assert_eq!(found.uncovered, 0);
    println!("SEED={seed}: {} figures as computed elsewhere; intervals and how many hold the truth: {:?}", found.compared, found.intervals);
    for kind in KINDS {
        assert!(found.intervals.get(kind).is_some_and(|of| of[0] >= JUDGED_MIN), "SEED={seed}: {kind}");
    }
    found.intervals_hold(seed);
    assert!(found.compared > 40_000, "SEED={seed}");
}

#[test]
fn real_captures_are_as_computed_elsewhere() {
    let Some(folder) = captures::folder("real_captures_are_as_computed_elsewhere") else { return };
    let count = std::env::var("TAILWATER_INDEPENDENT").ok().and_then(|text| text.parse().ok()).unwrap_or(CAPTURES);
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |meta| meta.len());
    let mut files = captures::files(&folder);
    files.retain(|path| size(path) <= CAPTURE_BYTES_MAX);
    files.sort_by_key(|path| std::cmp::Reverse(size(path)));
    let (tmp, mut found) = (tempfile::tempdir().unwrap(), Found::default());
    let step = (files.len() / count.max(1)).max(1);
    let chosen: Vec<PathBuf> = files.into_iter().step_by(step).take(count).collect();
    for (pcap, way) in chosen.iter().zip([&["--workers", "3"][..], &["--mode", "pipeline", "--workers", "2"]].iter().cycle()) {
        found.judge(tmp.path(), pcap, pcap, way);
    }
    println!(
        "{} captures, of {} the model has no opinion; {} figures as computed elsewhere; {:?}",
        chosen.len(),
        found.uncovered,
        found.compared,
        found.intervals
    );
    assert!(found.compared > 5_000 || chosen.len() < CAPTURES);
}
