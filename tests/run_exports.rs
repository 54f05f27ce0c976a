//! `tailwater run` with `[[exports]]` and `[packet_logs]`: over loopback to `tailwater`'s own collector, nfcapd and GoFlow2; logs out of
//! the topic and the file; and the ledger has them all.
//!
//! Each test has a network namespace of its own; without root they are skipped, and say so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "a test says what it expects")]

mod e2e_support;
mod eal_support;
#[path = "e2e_support/place.rs"]
mod place;
#[path = "e2e_support/topic.rs"]
mod topic;

use std::io::Write as _;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e_support::{Appliance, BINARY, output, root, wait};
use eal_support::in_namespace;
use place::{ANY_ADMIN, FILE, MIRROR, Place};
use serde_json::Value;
use topic::topic;

const MOCK: &str = "[sinks.kafka]\nbrokers = \"mock\"\n";
const FRAMES: usize = 500;
/// Of each frame's IP packet.
const IP_BYTES: u64 = 86;

fn export(protocol: &str, port: u16, sampling: u32) -> String {
    let times = if protocol == "sflow" { "" } else { "active_timeout_ms = 60000\nidle_timeout_ms = 3000\ntemplate_refresh_ms = 1000\n" };
    format!("[[exports]]\nprotocol = \"{protocol}\"\nto = \"udp/127.0.0.1:{port}\"\nsampling = {sampling}\n{times}")
}

/// A collector at work; killed when it is dropped.
struct Collector {
    child: Child,
    out: PathBuf,
}

impl Collector {
    /// Once it listens.
    fn start(mut command: Command, port: u16, out: PathBuf) -> Self {
        let file = std::fs::File::create(&out).unwrap();
        let child = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).spawn().unwrap();
        let listens = || {
            let text = std::fs::read_to_string("/proc/net/udp").unwrap() + &std::fs::read_to_string("/proc/net/udp6").unwrap_or_default();
            text.contains(&format!(":{port:04X} "))
        };
        wait(20, listens, || format!("{command:?} does not listen at {port}"));
        Self { child, out }
    }

    fn ours(place: &Place, port: u16) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["flows", "--listen", &format!("udp/127.0.0.1:{port}")]);
        Self::start(command, port, place.file(&format!("ours-{port}.jsonl")))
    }

    /// Ends it as a user does.
    fn end(mut self) -> String {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap();
        std::fs::read_to_string(&self.out).unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok())).unwrap_or(0)
}

/// Packets and bytes of all lines, times their rates; and how many flows they are.
fn sums(text: &str) -> (u64, u64, usize) {
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let sum = |name: &str| lines.iter().map(|line| number(&line[name]) * number(&line["sampling_rate"]).max(1)).sum();
    (sum("packets"), sum("bytes"), lines.len())
}

/// GoFlow2, where a bench has built it.
fn goflow2() -> Option<PathBuf> {
    let given = std::env::var_os("GOFLOW2").map(PathBuf::from);
    given.or_else(|| Some(root().join("target/goflow2/goflow2"))).filter(|program| program.is_file())
}

fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED run_exports: no {what}");
}

fn waits(appliance: &Appliance, name: &str, label: &str, n: u64) {
    let has = || appliance.metric(name, label);
    wait(20, || has() == n, || format!("{name}{{{label}}} is {}, not {n}\n{}", has(), appliance.log()));
}

/// 500 frames of 256 flows, each sampled: all collectors have all of them.
#[test]
fn collectors_have_what_was_seen() {
    in_namespace("collectors_have_what_was_seen", || {
        let place = Place::new();
        let rows = [
            ("ipfix", 4_739),
            ("netflow9", 2_055),
            ("sflow", 6_343),
            ("ipfix", 9_995),
            ("netflow9", 9_996),
            ("ipfix", 9_998),
            ("netflow9", 9_999),
        ];
        let rows: String = rows.iter().map(|(protocol, port)| export(protocol, *port, 1)).collect();
        let ours: Vec<Collector> = [4_739, 2_055, 6_343].iter().map(|port| Collector::ours(&place, *port)).collect();
        let nfcapd: Vec<Collector> = [9_995_u16, 9_996]
            .iter()
            .map(|port| {
                let folder = place.file(&format!("nfcapd-{port}"));
                std::fs::create_dir(&folder).unwrap();
                let mut command = Command::new("nfcapd");
                command.args(["-b", "127.0.0.1", "-p", &port.to_string(), "-t", "3600", "-w"]).arg(&folder);
                Collector::start(command, *port, place.file(&format!("nfcapd-{port}.log")))
            })
            .collect();
        let theirs: Vec<Collector> = goflow2().map_or_else(Vec::new, |program| {
            [9_998_u16, 9_999]
                .iter()
                .map(|port| {
                    let mut command = Command::new(&program);
                    command.args([
                        "-listen",
                        &format!("netflow://127.0.0.1:{port}?count=1&workers=1"),
                        "-addr",
                        "127.0.0.1:0",
                        "-format",
                        "json",
                    ]);
                    Collector::start(command, *port, place.file(&format!("goflow2-{port}.jsonl")))
                })
                .collect()
        });
        let appliance = Appliance::counting(&place.config(1_000, &[MIRROR, ANY_ADMIN, FILE, &rows]), &[]);
        place.send(&appliance);
        waits(&appliance, "tailwater_export_records_total", "export=\"ipfix:127.0.0.1:4739\"", 256);
        waits(&appliance, "tailwater_export_records_total", "export=\"sflow:127.0.0.1:6343\"", FRAMES as u64);
        std::thread::sleep(Duration::from_millis(500));
        let failed = appliance.metric("tailwater_export_send_failed_total", "export=\"ipfix:127.0.0.1:4739\"");
        assert_eq!((failed, appliance.metric("tailwater_export_lost_total", "")), (0, 0));
        appliance.stop(60);
        let bytes = FRAMES as u64 * IP_BYTES;
        for (collector, want) in ours.into_iter().zip([(500, bytes, 256), (500, bytes, 256), (500, 500 * 104, 500)]) {
            let port = collector.out.display().to_string();
            assert_eq!(sums(&collector.end()), want, "{port}");
        }
        for collector in theirs {
            assert_eq!(sums(&collector.end()), (500, bytes, 256), "GoFlow2");
        }
        if goflow2().is_none() {
            skipped("GoFlow2: bash scripts/bench flows builds it");
        }
        for (collector, port) in nfcapd.into_iter().zip([9_995, 9_996]) {
            collector.end();
            let folder = place.file(&format!("nfcapd-{port}"));
            let csv = output(Command::new("nfdump").arg("-R").arg(&folder).args(["-q", "-N", "-o", "fmt:%pkt %byt %sa %da %pr"]));
            let rows: Vec<Vec<&str>> =
                csv.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|row| row.len() >= 5).collect();
            let sum = |at: usize| rows.iter().map(|row| row[at].parse::<u64>().unwrap()).sum::<u64>();
            assert_eq!((sum(0), sum(1), rows.len()), (500, bytes, 256), "nfdump at {port}: {csv}");
        }
        accounts(&place);
    });
}

/// What the reports say of it.
fn accounts(place: &Place) {
    let text = std::fs::read_to_string(place.file("reports.jsonl")).unwrap();
    let accounts: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|line| line.get("exports").is_some()).collect();
    let (total, windows): (Vec<&Value>, Vec<&Value>) = accounts.iter().partition(|account| account["total"] == true);
    let total = &total[0]["exports"];
    assert_eq!(number(&total["taps"][0]["sampled"]), 7 * FRAMES as u64, "{total}");
    for (at, row) in total["exports"].as_array().unwrap().iter().enumerate() {
        let sum = |name: &str| windows.iter().map(|account| number(&account["exports"]["exports"][at][name])).sum::<u64>();
        for name in ["sampled", "lost", "records", "datagrams"] {
            assert!(sum(name) <= number(&row[name]), "{name}: {row}");
        }
        assert_eq!((number(&row["sampled"]), number(&row["lost"]), number(&row["leftOut"])), (FRAMES as u64, 0, 0), "{row}");
        assert_eq!(number(&row["records"]), if row["protocol"] == "sflow" { FRAMES as u64 } else { 256 }, "{row}");
    }
}

/// All whole lines of the file that hold one of these.
fn lines_with(place: &Place, word: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(place.file("reports.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter(|line| line.contains(word)).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Nobody listens: datagrams fail, or vanish, nothing waits for them, and one event says so, on the account that has it.
#[test]
fn who_exports_to_nobody_goes_on() {
    in_namespace("who_exports_to_nobody_goes_on", || {
        let place = Place::new();
        let appliance = Appliance::counting(&place.config(1_000, &[MIRROR, ANY_ADMIN, FILE, &export("sflow", 6_343, 1)]), &[]);
        for _ in 0..3 {
            place.send(&appliance);
        }
        waits(&appliance, "tailwater_export_records_total", "", 3 * FRAMES as u64);
        let told = || lines_with(&place, "\"exports_loss\"");
        wait(20, || !told().is_empty(), || appliance.log());
        let event = &told()[0];
        assert_eq!((&event["state"], &event["cause"], &event["severity"]), (&"BEGUN".into(), &"not_sent".into(), &"WARNING".into()));
        assert_eq!(event["subject"], serde_json::json!({"type": "exports", "name": "exports_send_failed"}));
        let is_it = |account: &&Value| account["sequence"] == event["evidence"][0]["sequence"] && account.get("losses").is_some();
        let accounts = lines_with(&place, "exports_send_failed");
        let loss = &accounts.iter().find(is_it).unwrap()["losses"][0];
        assert!(loss["what"] == "exports_send_failed" && loss["why"].as_str().unwrap().contains("sflow 127.0.0.1:6343 domain 1"), "{loss}");
        assert_eq!(event["figures"][0]["value"]["value"].as_f64(), Some(f64::from(number(&loss["count"]) as u32)));
        // Now somebody does, and has what comes from here on.
        let socket = UdpSocket::bind("127.0.0.1:6343").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        place.send(&appliance);
        let mut buffer = [0; 2_000];
        let bytes = socket.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..4], [0, 0, 0, 5], "sFlow, {bytes} bytes");
        appliance.stop(60);
    });
}

/// Key and line of all packet logs that a topic has.
fn logged(brokers: &str, name: &str, messages: usize) -> Vec<(String, Value)> {
    let read = topic(brokers, name, messages).into_iter();
    read.map(|(key, line)| (String::from_utf8(key).unwrap(), serde_json::from_slice(&line).unwrap())).collect()
}

/// Logs go to a topic of their own and into the file, once each; the account has them all, window by window.
#[test]
fn logs_reach_topic_and_file() {
    in_namespace("logs_reach_topic_and_file", || {
        let place = Place::new();
        let journal = "[journal]\npath = \"journal\"\nsize_mb = 16\n";
        let logs = "[packet_logs]\nsampling = 1\ntopic = \"edge.packets\"\njournal_mb = 16\n";
        let appliance = Appliance::counting(&place.config(1_000, &[MIRROR, ANY_ADMIN, MOCK, FILE, journal, logs]), &[]);
        place.send(&appliance);
        for sink in ["sink=\"kafka\"", "sink=\"file\""] {
            waits(&appliance, "tailwater_sink_logs_delivered_total", sink, FRAMES as u64);
        }
        waits(&appliance, "tailwater_packet_logs_journalled_total", "", FRAMES as u64);
        let log = appliance.log();
        let brokers = log.split("kcat -C -b ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let came = logged(&brokers, "edge.packets", FRAMES);
        assert_eq!(came.len(), FRAMES);
        assert!(came.iter().all(|(key, line)| key == "203.0.113.0/24" && line["Customer"] == "web-shop" && line["IPProtocol"] == 17));
        let mut last: Vec<u64> = came
            .iter()
            .map(|(_, line)| line["IPDestinationAddress"].as_str().unwrap().rsplit('.').next().unwrap().parse().unwrap())
            .collect();
        last.sort_unstable();
        let mut want: Vec<u64> = (0..FRAMES as u64).map(|n| n % 256).collect();
        want.sort_unstable();
        assert_eq!(last, want);
        appliance.stop(60);
        let text = std::fs::read_to_string(place.file("reports.jsonl")).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.iter().filter(|line| line.get("Verdict").is_some()).count(), FRAMES);
        let total = lines.iter().find(|line| line["total"] == true).unwrap();
        let of = &total["exports"]["packetLogs"];
        let n = |name: &str| number(&of[name]);
        assert_eq!((n("sampled"), n("journalled"), n("lost"), n("leftOut"), n("refused")), (FRAMES as u64, FRAMES as u64, 0, 0, 0), "{of}");
        let windows = lines.iter().filter(|line| line["total"] == false && line["windowKind"] == "LONG");
        let sum: u64 = windows.map(|line| number(&line["exports"]["packetLogs"]["journalled"])).sum();
        assert!(sum <= FRAMES as u64);
    });
}

/// A reload changes whose the range is: each line has the name of the generation that counted its packet.
#[test]
fn logs_follow_a_reload() {
    in_namespace("logs_follow_a_reload", || {
        let place = Place::new();
        let appliance = Appliance::counting(&place.config(500, &[MIRROR, ANY_ADMIN, FILE, "[packet_logs]\nsampling = 1\n"]), &[]);
        place.send(&appliance);
        std::fs::write(place.file("ranges.csv"), "prefix,customer\n203.0.113.0/25,left\n203.0.113.128/25,right\n").unwrap();
        appliance.signal("HUP");
        waits(&appliance, "tailwater_generation", "", 2);
        place.send(&appliance);
        waits(&appliance, "tailwater_sink_logs_delivered_total", "", 2 * FRAMES as u64);
        appliance.stop(60);
        let text = std::fs::read_to_string(place.file("reports.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|line| line.get("Verdict").is_some());
        let mut counts = std::collections::BTreeMap::new();
        for line in lines {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            *counts.entry((text("Range"), text("Customer"))).or_insert(0) += 1;
        }
        let row = |range: &str, customer: &str, n: usize| ((range.to_owned(), customer.to_owned()), n);
        let want = [row("203.0.113.0/24", "web-shop", 500), row("203.0.113.0/25", "left", 256), row("203.0.113.128/25", "right", 244)];
        assert_eq!(counts, want.into());
    });
}

/// Logs that no broker took outlive a kill: the next start delivers each of them.
#[test]
fn logs_outlive_a_kill() {
    in_namespace("logs_outlive_a_kill", || {
        let place = Place::new();
        let rest = |brokers: &str| {
            let kafka = format!("[sinks.kafka]\nbrokers = \"{brokers}\"\n");
            let journal = "[journal]\npath = \"journal\"\nsize_mb = 16\n[packet_logs]\nsampling = 1\njournal_mb = 16\n";
            place.config(1_000, &[MIRROR, ANY_ADMIN, &kafka, journal])
        };
        let killed = Appliance::counting(&rest("127.0.0.1:19094"), &[]);
        place.send(&killed);
        waits(&killed, "tailwater_packet_logs_journalled_total", "", FRAMES as u64);
        let windows = || killed.metric("tailwater_windows_closed_total", "");
        let before = windows();
        wait(20, || windows() > before + 1, || killed.log());
        assert!(killed.metric("tailwater_packet_logs_journal_disk_bytes", "") > 0);
        killed.signal("KILL");
        killed.ended(20);
        let next = Appliance::counting(&rest("mock"), &[]);
        waits(&next, "tailwater_sink_logs_delivered_total", "sink=\"kafka\"", FRAMES as u64);
        let log = next.log();
        let brokers = log.split("kcat -C -b ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let came = logged(&brokers, "tailwater.v1.packets", FRAMES);
        assert_eq!(came.iter().filter(|(_, line)| line["Verdict"] == "pass" && line["Customer"] == "web-shop").count(), FRAMES);
        next.stop(60);
    });
}
