//! Short captures with everything in them, and how two replays of one are compared.
#![allow(missing_docs, unreachable_pub, dead_code, reason = "shared by tests that use a part each")]

#[path = "../engine_support/dice.rs"]
pub mod dice;
#[path = "../engine_support/rows.rs"]
pub mod rows;
#[path = "../engine_support/setup.rs"]
pub mod setup;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tailwater::generate::{self, Options};

use crate::replaying::{Ran, count};

/// Legitimate traffic and some of each attack, on ranges that [`setup::Setup`] has.
const SCENARIO: &str = r#"
about = "some of everything"
duration_s = 3
window_ms = 1000
snap_bytes = 128
start = "2025-03-01T12:00:09.3Z"
ranges.list = [{ prefix = "10.0.0.0/14", customer = "a" }, { prefix = "10.1.2.0/24", customer = "b" }, { prefix = "10.1.2.3/32", customer = "c" }, { prefix = "2001:db8:1::/48", customer = "d" }]
tag = { rule = true, sampling = 4 }
legitimate = { pps = 500, ipv6 = 0.4, blocked = 0.05, clients = 300 }
noise = { non_ip_pps = 5, unmatched_pps = 50 }
attack = [
  { kind = "syn_flood", target = "10.1.2.3", pps = 600, blocked = 0.7, begin_s = 1 },
  { kind = "udp_flood", target = "10.0.0.0/14", pps = 300, blocked = 0.5, sources = 700, even = true },
  { kind = "dns_reflection", target = "10.1.2.9", pps = 100, blocked = 0.5, sources = 30, payload_bytes = [300, 3000] },
  { kind = "fragment_flood", target = "10.1.2.9", pps = 100, blocked = 0.5, sources = 30 },
  { kind = "icmp_flood", target = "2001:db8:1:2::3", pps = 200, blocked = 0.5, pulse_ms = [100, 400] },
  { kind = "ack_flood", target = "2001:db8:1::/48", pps = 200, blocked = 0.5, sources = 20 },
  { kind = "scan", target = "10.1.0.0/16", pps = 200, blocked = 0.2, sources = 2, ports = [22, 23] },
  { kind = "tunnelled_flood", target = "10.1.2.3", pps = 150, blocked = 0.5, sources = 20, inner = "10.0.0.0/24" },
]
"#;

/// So many of them, with seeds from `seed` on.
pub fn captures(folder: &Path, number: u64, seed: u64) -> Vec<PathBuf> {
    let scenario = folder.join("scenario.toml");
    std::fs::write(&scenario, SCENARIO).expect("the test's folder is ours");
    let one = |n: u64| {
        let pcap = folder.join(format!("{n}.pcap"));
        let options = Options {
            scenario: scenario.to_str().map(str::to_owned),
            pcap: Some(pcap.clone()),
            truth: Some(folder.join("truth.json")),
            seed: Some(seed.wrapping_add(n)),
            start: None,
            duration: None,
            snap: None,
            ranges: None,
            config: None,
            list: false,
        };
        generate::run(&options).unwrap_or_else(|error| panic!("{error}"));
        pcap
    };
    (0..number).map(one).collect()
}

/// Where two replays differ: nowhere but within the bounds of a top-K.
pub fn differences(one: &Ran, other: &Ran) -> Vec<String> {
    let (lines, others) = (one.range_lines(), other.range_lines());
    if lines.len() != others.len() {
        return vec![format!("{} reports, {}", lines.len(), others.len())];
    }
    let unequal = lines.into_iter().zip(others).filter(|(line, other)| line != other);
    unequal.flat_map(|(line, other)| in_report(line, other)).collect()
}

fn in_report(line: &str, other: &str) -> Vec<String> {
    let [mut one, mut other] = [line, other].map(|line| serde_json::from_str::<Value>(line).unwrap_or_default());
    let mut found = Vec::new();
    let [stats, others] = [&mut one, &mut other].map(|report| report["stats"].as_array().cloned().unwrap_or_default());
    for (mine, theirs) in stats.iter().zip(&others) {
        if mine["calculation"] == "topk" {
            found.extend(tops(&mine["top"], &theirs["top"]).into_iter().map(|what| format!("{}: {what}", mine["name"])));
        } else if mine != theirs {
            found.push(format!("{mine}\n  is elsewhere {theirs}"));
        }
    }
    for report in [&mut one, &mut other] {
        report["stats"].as_array_mut().into_iter().flatten().for_each(|stat| stat["top"] = Value::Null);
    }
    if one != other && found.is_empty() {
        found.push(format!("more than its top-K: {line}"));
    }
    found.into_iter().map(|what| format!("{} at {}: {what}", one["prefix"], one["windowStartNs"])).collect()
}

/// Lower and upper bounds of what was seen of a key: passed, scaled, sampled packets.
type Bounds = [(u64, u64); 3];

fn listed(top: &Value) -> BTreeMap<String, Bounds> {
    let entries = top["entries"].as_array().into_iter().chain(top["reserve"].as_array()).flatten();
    let bounds = |entry: &Value| {
        [("passed", "unseenPassed"), ("scaled", "unseenScaled"), ("sampledPackets", "unseenSampledPackets")].map(|(seen, unseen)| {
            let low = count(&entry["sufficient"][seen]);
            (low, low + count(&entry[unseen]))
        })
    };
    entries.map(|entry| (entry["key"].as_str().unwrap_or_default().to_owned(), bounds(entry))).collect()
}

/// Two top-K of the same packets: the whole is the same, and each key's bounds allow for the other's.
fn tops(one: &Value, other: &Value) -> Vec<String> {
    let absent = |top: &Value| ["absentHighPassed", "absentHighScaled", "absentHighSampledPackets"].map(|name| (0, count(&top[name])));
    let (mine, theirs) = (listed(one), listed(other));
    let mut found = Vec::new();
    for whole in ["all", "allSufficient"] {
        if one[whole] != other[whole] {
            found.push(format!("{whole}: {}, {}", one[whole], other[whole]));
        }
    }
    for key in mine.keys().chain(theirs.keys()) {
        let (a, b) = (mine.get(key).copied().unwrap_or_else(|| absent(one)), theirs.get(key).copied().unwrap_or_else(|| absent(other)));
        if a.iter().zip(b).any(|(a, b)| a.0 > b.1 || b.0 > a.1) {
            found.push(format!("{key}: {a:?} and {b:?} have nothing in common"));
        }
    }
    found
}
