//! The audit of samplers, end to end: generated traffic, counters made of its truth, `tailwater replay`. A sampler that does as configured
//! is consistent, one of another rate is found, in both modes with any number of workers, and by range, tag rule and mitigation rule.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

#[allow(dead_code, reason = "shared by several tests")]
mod replaying;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use replaying::{Ran, replay, tailwater};
use serde_json::Value;

const SECONDS: u64 = 12;

fn generate(folder: &Path, sampling: u32) -> Value {
    let text = format!(
        "about = \"drops\"\nduration_s = {SECONDS}\nwindow_ms = 1000\nseed = 5\nranges.count = 8\ntag.sampling = {sampling}\ntag.rule = true\n\
         legitimate = {{ pps = 200, blocked = 0.0 }}\n\
         [[attack]]\nkind = \"udp_flood\"\ntarget = \"10.0.3.10\"\nbegin_s = 1\npps = 25000\nblocked = 0.98\npayload_bytes = [18, 40]\nrule = 77\n\
         [[attack]]\nkind = \"syn_flood\"\ntarget = \"10.0.0.0/8\"\nover = \"ranges\"\npps = 5000\nblocked = 1.0\nrule = 77\n"
    );
    std::fs::write(folder.join("s.toml"), text).unwrap();
    let files = [("--scenario", "s.toml"), ("--pcap", "s.pcap"), ("--truth", "s.json"), ("--ranges", "ranges.csv")];
    let ran = tailwater(
        std::iter::once("generate".into()).chain(files.iter().flat_map(|(key, file)| [(*key).into(), folder.join(file).into_os_string()])),
    );
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    serde_json::from_slice(&std::fs::read(folder.join("s.json")).unwrap()).unwrap()
}

/// Packets that the scrubber had dropped at each second's end, by range, and of all.
fn dropped(truth: &Value) -> BTreeMap<(u64, String), u64> {
    let mut by_window: BTreeMap<u64, BTreeMap<String, u64>> = BTreeMap::new();
    let mut names = BTreeSet::from([String::new()]);
    for row in truth["windows"].as_array().unwrap() {
        let of = by_window.entry(row["window_start_ms"].as_u64().unwrap()).or_default();
        let (name, packets) = (row["prefix"].as_str().unwrap(), row["offered"]["ingress"]["blocked"]["packets"].as_u64().unwrap());
        names.insert(name.to_owned());
        *of.entry(name.to_owned()).or_default() += packets;
        *of.entry(String::new()).or_default() += packets;
    }
    let (mut sums, mut all) = (BTreeMap::<String, u64>::new(), BTreeMap::new());
    for (start_ms, of) in by_window {
        for name in &names {
            let sum = sums.entry(name.clone()).or_insert(1 << 40);
            all.insert((start_ms * 1_000_000, name.clone()), *sum);
            *sum += of.get(name).copied().unwrap_or(0);
            all.insert(((start_ms + 1_000) * 1_000_000, name.clone()), *sum);
        }
    }
    all
}

fn configure(folder: &Path, by: &str) -> std::path::PathBuf {
    let text = format!(
        "[ranges]\nfile = \"ranges.csv\"\n[[tags]]\nmatch = {{ vlan = 666 }}\ndecision = \"blocked\"\nsampling = 40\nadded_bytes = 8\n\
         rule = {{ from = \"inner_vlan\" }}\n[[stats]]\nname = \"packets\"\ncalculation = \"sum\"\nfast = {}\n\
         [audit]\ncounters = \"counters.csv\"\nby = \"{by}\"\nskew_ms = 0\n",
        // By tag no stat is kept that would make windows short.
        by == "tag"
    );
    let file = folder.join(format!("{by}.toml"));
    std::fs::write(&file, text).unwrap();
    file
}

fn counters(folder: &Path, rows: &BTreeMap<(u64, String), u64>, key: impl Fn(&str) -> Option<String>) {
    let mut text = "time_ns,key,dropped_packets,dropped_bytes\nnot,a,row,at all\n".to_owned();
    for ((time_ns, name), dropped) in rows {
        if let Some(key) = key(name) {
            writeln!(text, "{time_ns},{key},{dropped},0").unwrap();
        }
    }
    std::fs::write(folder.join("counters.csv"), text).unwrap();
}

fn audit(ran: &Ran) -> Value {
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    ran.total()["audit"].clone()
}

fn row(audit: &Value, name: &str) -> u64 {
    let rows = audit["rows"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap()["value"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_right_rate_is_consistent_and_a_wrong_one_is_found() {
    for (sampling, verdict) in [(40, "AUDIT_VERDICT_CONSISTENT"), (50, "AUDIT_VERDICT_RATE_WRONG")] {
        let folder = tempfile::tempdir().unwrap();
        let truth = generate(folder.path(), sampling);
        let rows = dropped(&truth);
        let pcap = folder.path().join("s.pcap");
        for by in ["range", "tag", "rule"] {
            let name = |of: &str| match by {
                "range" => (!of.is_empty()).then(|| of.to_owned()),
                "tag" => of.is_empty().then(|| "0".to_owned()),
                _ => of.is_empty().then(|| "77".to_owned()),
            };
            counters(folder.path(), &rows, name);
            let config = configure(folder.path(), by);
            let first = audit(&replay(&config, &[&pcap], &[]));
            judge(&first, by, verdict, f64::from(sampling));
            for way in [&["--workers", "3"][..], &["--mode", "pipeline", "--workers", "2"]] {
                assert_eq!(audit(&replay(&config, &[&pcap], way)), first, "{by} {way:?}");
            }
        }
    }
}

fn judge(audit: &Value, by: &str, verdict: &str, sampling: f64) {
    println!("by {by}: {}", audit["all"]);
    assert_eq!((row(audit, "bad"), row(audit, "unknown_key"), row(audit, "waiting")), (1, 0, 0), "{audit}");
    assert!(row(audit, "counted") >= SECONDS - 1, "{audit}");
    let all = &audit["all"][0];
    assert_eq!(all["verdict"], verdict, "{audit}");
    let (low, high) = (all["sampling"]["low"].as_f64().unwrap(), all["sampling"]["high"].as_f64().unwrap());
    assert!(low < sampling && sampling < high && high - low < 8.0, "{all}");
    let found = audit["found"].as_array().unwrap();
    let is_found = verdict.ends_with("WRONG");
    assert_eq!(found.is_empty(), !is_found, "{audit}");
    if by == "range" && is_found {
        assert_eq!(found[0]["key"], "10.0.3.0/24", "the range with most samples first");
    }
    assert_eq!(audit["keysFound"], found.len().to_string(), "{audit}");
}

/// Reports of ranges say the same with an audit beside them, and nothing of its hidden stat.
#[test]
fn an_audit_changes_no_report_of_a_range() {
    let folder = tempfile::tempdir().unwrap();
    let truth = generate(folder.path(), 40);
    counters(folder.path(), &dropped(&truth), |of| (!of.is_empty()).then(|| of.to_owned()));
    let config = configure(folder.path(), "range");
    let text = std::fs::read_to_string(&config).unwrap();
    let without = folder.path().join("without.toml");
    std::fs::write(&without, text.split("[audit]").next().unwrap()).unwrap();
    let pcap = folder.path().join("s.pcap");
    let (with, without) = (replay(&config, &[&pcap], &[]), replay(&without, &[&pcap], &[]));
    assert!(with.range_lines().len() > 8);
    assert_eq!(with.range_lines(), without.range_lines());
    assert!(without.total()["audit"].is_null());
}

/// A list of counters is read row by row: with 400 MB of address space a file of 40 MB can be looked at whose values, held together,
/// would take more.
#[test]
fn a_long_list_of_counters_takes_no_more_memory_than_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    generate(folder.path(), 40);
    let text = std::fs::read_to_string(configure(folder.path(), "range")).unwrap();
    let config = folder.path().join("long.toml");
    std::fs::write(&config, text.replace("counters.csv", "counters.json")).unwrap();
    let rows: Vec<String> = (0..100_000)
        .map(|n| format!("{{\"time_ns\":{n},\"key\":\"10.0.3.0/24\",\"dropped_packets\":{n},\"more\":[{}0]}}", "{\"a\":null},".repeat(30)))
        .collect();
    std::fs::write(folder.path().join("counters.json"), format!("[{}]", rows.join(",\n"))).unwrap();
    let call = format!("ulimit -v 400000 && exec \"$0\" check --config {}", config.display());
    let ran = Command::new("sh").args(["-c", &call, env!("CARGO_BIN_EXE_tailwater")]).output().unwrap();
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(told.contains("100000 rows"), "{told} {}", String::from_utf8_lossy(&ran.stderr));
}

/// Clocks apart, and counters read between windows: what cannot be told is unknown, and is no finding.
#[test]
fn what_edges_hide_is_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let truth = generate(folder.path(), 40);
    let late: BTreeMap<(u64, String), u64> =
        dropped(&truth).into_iter().map(|((time_ns, name), dropped)| ((time_ns + 90_000_000, name), dropped)).collect();
    counters(folder.path(), &late, |of| (!of.is_empty()).then(|| of.to_owned()));
    let file = configure(folder.path(), "range");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("skew_ms = 0", "skew_ms = 100")).unwrap();
    let audit = audit(&replay(&file, &[folder.path().join("s.pcap")], &[]));
    let all = &audit["all"][0];
    assert!(audit["found"].as_array().unwrap().is_empty() && !all["verdict"].as_str().unwrap().ends_with("WRONG"), "{audit}");
    assert!(all["sampledPacketsLow"] != all["sampledPacketsHigh"], "{all}");
}
