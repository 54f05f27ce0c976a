//! A running appliance that is given other configurations, by signal and by admin call, while frames come.
//!
//! Each test has a network namespace of its own; without root they are skipped, and say so. `TAILWATER_RELOADS` says how
//! many reloads the long test does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod e2e_support;
mod eal_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e_support::{Appliance, Reports, interface, output, wait};
use eal_support::{in_namespace, sh, write_pcap};
use serde_json::Value;

const ALL: &str = "prefix,customer,plan\n203.0.113.0/24,web-shop,basic\n";
const HALVES: &str = "prefix,customer,plan\n203.0.113.0/25,new-shop,premium\n203.0.113.128/25,web-shop,basic\n";
const NESTED: &str = "prefix,customer,plan\n203.0.113.0/24,other,basic\n203.0.113.64/26,web-shop,premium\n203.0.113.7/32,one,\n";
/// In every configuration: what all ranges together must count.
const PACKETS: &str = "[[stats]]\nname = \"packets\"\ncalculation = \"sum\"\n";
const SOURCES: &str = "[[stats]]\nname = \"sources\"\ncalculation = \"topk\"\nkey = \"src_ip\"\n";
const PREMIUM: &str = "[[stats]]\nname = \"ports\"\ncalculation = \"distinct\"\nkey = \"dst_port\"\nsets = [\"premium\"]\n\
    [[sets]]\nname = \"premium\"\nmatch = { label = \"plan=premium\" }\ninclude = [\"default\"]\n";

/// A veth pair, and a folder with a configuration.
struct Place {
    folder: tempfile::TempDir,
    window_ms: u64,
}

impl Place {
    fn new(window_ms: u64) -> Self {
        assert!(sh("ip link set lo up && ip link add mirror0 type veth peer name scrubber0"));
        assert!(sh("ip link set mirror0 up && ip link set scrubber0 up"));
        let folder = tempfile::tempdir().unwrap();
        write_pcap(&folder.path().join("frames.pcap"), 512, 100, false);
        Self { folder, window_ms }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.file("new"), text).unwrap();
        fs::rename(self.file("new"), self.file(name)).unwrap();
    }

    /// Ranges and stats as given; the name of the appliance is the test's alone.
    fn configure(&self, ranges: &str, stats: &str, memory_mb: u64) -> PathBuf {
        let (name, window_ms) = (format!("reload-{}", std::process::id()), self.window_ms);
        self.write("ranges.csv", ranges);
        let text = format!(
            "[appliance]\nname = \"{name}\"\nwindow_ms = {window_ms}\nmemory_mb = {memory_mb}\n[ranges]\nfile = \"ranges.csv\"\n{stats}\
             [admin]\nlisten = \"127.0.0.1:0\"\n[sinks.file]\npath = \"reports.jsonl\"\n\
             [[ports]]\ndevice = \"net_af_packet0,iface=mirror0\"\nfeed = \"mirror\"\n"
        );
        self.write("tailwater.toml", &text);
        self.file("tailwater.toml")
    }

    /// 512 frames, and waits until the appliance has them all.
    fn send(&self, appliance: &Appliance) {
        let before = appliance.metric("tailwater_core_received_total", "");
        output(Command::new("tcpreplay").args(["-q", "--pps=5000", "--intf1=scrubber0"]).arg(self.file("frames.pcap")));
        wait(10, || appliance.metric("tailwater_core_received_total", "") == before + 512, || appliance.log());
    }

    fn reports(&self) -> Reports {
        Reports::of(&self.file("reports.jsonl"))
    }
}

fn number(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

/// The start of the first window that counts, as the answer says it.
fn first_window_ns(answer: &str) -> u64 {
    let (_, after) = answer.split_once("window_start_ns ").unwrap_or_else(|| panic!("{answer}"));
    after.split(')').next().unwrap().parse().unwrap()
}

/// Three counted: each is told once, in its order, and every report finds its own by its hash.
fn configurations_are_told(place: &Place, second_ns: u64) {
    let text = fs::read_to_string(place.file("reports.jsonl")).unwrap();
    let messages: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let configs: Vec<&Value> = messages.iter().filter(|message| message.get("textSha256").is_some()).collect();
    let of = |name: &str| configs.iter().map(|config| number(&config[name])).collect::<Vec<_>>();
    assert_eq!((of("sequence"), of("generation")), (vec![1, 2, 3], vec![1, 2, 3]), "what was refused is not among them");
    assert_eq!((of("fromWindowNs")[0], of("fromWindowNs")[1]), (0, second_ns));
    assert!(configs[1]["text"].as_str().unwrap().contains("# ranges\nprefix,customer,domain"), "{}", configs[1]);
    assert_ne!(configs[0]["configHash"], configs[1]["configHash"]);
    assert_eq!(configs[0]["configHash"], configs[2]["configHash"]);
    for (at, message) in messages.iter().enumerate().filter(|(_, message)| message.get("textSha256").is_none()) {
        let told = messages[..at].iter().any(|before| before.get("textSha256").is_some() && before["configHash"] == message["configHash"]);
        assert!(told, "its configuration comes before it: {message}");
    }
}

#[test]
fn a_reload_counts_from_a_window_on_or_changes_nothing() {
    in_namespace("a_reload_counts_from_a_window_on_or_changes_nothing", || {
        let place = Place::new(1_000);
        let appliance = Appliance::counting(&place.configure(ALL, PACKETS, 64), &[]);
        place.send(&appliance);

        // Faulty: by signal and by call, the same words.
        place.write("ranges.csv", "prefix,customer\n203.0.113.5/24,web-shop\n");
        let fault = "ranges.csv:2: prefix: \"203.0.113.5/24\" has bits beyond its length; write 203.0.113.0/24";
        appliance.signal("HUP");
        appliance.says("the reload is refused and nothing has changed", 10);
        assert!(appliance.log().replace("\\\"", "\"").contains(fault), "{}", appliance.log());
        let (status, text) = appliance.ask("POST", "/reload");
        assert!(status == 422 && text.contains(fault), "{status} {text}");
        // What cannot change.
        place.configure(HALVES, PACKETS, 65);
        let (status, text) = appliance.ask("POST", "/reload");
        assert!(status == 409 && text.contains("tailwater.toml:4: appliance.memory_mb: is 65, and was 64 at the start"), "{status} {text}");
        assert!(text.contains("needs a restart"), "{text}");
        assert_eq!((appliance.metric("tailwater_generation", ""), appliance.metric("tailwater_ranges", "")), (1, 1));
        assert_eq!(appliance.metric("tailwater_reloads_total", "refused"), 3);
        place.send(&appliance);

        // Good.
        place.configure(HALVES, &[PACKETS, SOURCES, PREMIUM].concat(), 64);
        let (status, text) = appliance.ask("POST", "/reload");
        println!("{text}");
        assert!(status == 200 && text.contains("2 ranges (2 added, 1 removed, 0 changed), 3 stats, 1 sets"), "{status} {text}");
        let first = first_window_ns(&text);
        appliance.says("reloaded: generation", 5);
        wait(10, || appliance.metric("tailwater_ranges", "") == 2, || appliance.log());
        assert_eq!(
            (appliance.metric("tailwater_last_reload_accepted", ""), appliance.metric("tailwater_reloads_total", "accepted")),
            (1, 1)
        );
        place.send(&appliance);
        place.configure(ALL, PACKETS, 64);
        appliance.signal("HUP");
        wait(10, || appliance.metric("tailwater_ranges", "") == 1, || appliance.log());
        place.send(&appliance);
        let log = appliance.stop(30);

        configurations_are_told(&place, first);
        let reports = place.reports();
        assert_eq!(reports.sum("packets"), 2_048.0, "{log}");
        let names =
            |report: &Value| report["stats"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        for report in &reports.ranges {
            let (start, prefix) = (number(&report["windowStartNs"]), report["prefix"].as_str().unwrap());
            match prefix {
                "203.0.113.0/24" => assert_eq!(names(report), ["packets"], "{report}"),
                "203.0.113.0/25" => {
                    assert_eq!((names(report), &report["customer"]), (words(&["packets", "sources", "ports"]), &"new-shop".into()))
                }
                _ => assert_eq!(names(report), ["packets", "sources"]),
            }
            assert!(prefix == "203.0.113.0/24" || start >= first, "{report}");
        }
        sequences(&reports);
        // Windows of one configuration each.
        let hashes: BTreeMap<u64, &Value> = reports.accounts.iter().map(|a| (number(&a["windowStartNs"]), &a["configHash"])).collect();
        let changes: Vec<u64> = hashes.iter().zip(hashes.iter().skip(1)).filter(|(a, b)| a.1 != b.1).map(|(_, b)| *b.0).collect();
        assert!(changes.len() == 2 && changes[0] == first, "{changes:?}, {first}");
        assert!(reports.ranges.iter().all(|r| r["configHash"] == *hashes[&number(&r["windowStartNs"])]));
    });
}

/// Histograms of 64 bins: half a megabyte each, over the thousand ranges that there is room for.
fn histograms(count: usize) -> String {
    let bins = (1..64).map(|n| (16 * n).to_string()).collect::<Vec<_>>().join(", ");
    let row = |n: usize| format!("[[stats]]\nname = \"sizes{n}\"\ncalculation = \"histogram\"\nkey = \"packet_size\"\nbins = [{bins}]\n");
    (0..count).map(row).collect()
}

#[test]
fn stats_are_added_while_there_is_room_and_refused_beyond() {
    in_namespace("stats_are_added_while_there_is_room_and_refused_beyond", || {
        let place = Place::new(1_000);
        let appliance = Appliance::counting(&place.configure(ALL, &[PACKETS, &histograms(1)].concat(), 64), &[]);
        place.send(&appliance);
        place.configure(ALL, &[PACKETS, &histograms(3)].concat(), 64);
        let (status, text) = appliance.ask("POST", "/reload");
        assert!(status == 200 && text.contains("4 stats"), "{status} {text}");
        wait(10, || appliance.metric("tailwater_generation", "") == 2, || appliance.log());
        place.send(&appliance);
        place.configure(ALL, &[PACKETS, &histograms(12)].concat(), 64);
        let (status, text) = appliance.ask("POST", "/reload");
        println!("{text}");
        assert!(status == 409 && text.contains(" (sizes"), "{status} {text}");
        assert!(text.contains("more than the") && text.contains("since the start") && text.contains("this stat takes"), "{text}");
        assert!(text.contains("this needs a restart, for which memory_mb = 64 will do"), "{text}");
        appliance.says("the reload is refused and nothing has changed", 10);
        place.send(&appliance);
        let log = appliance.stop(30);
        assert!(log.contains("memory: logs "), "what a core's memory is made of: {log}");

        let reports = place.reports();
        assert_eq!(reports.sum("packets"), 1_536.0, "{log}");
        let counted = |stat: &str| -> f64 {
            let stats = reports.ranges.iter().flat_map(|report| report["stats"].as_array().unwrap()).filter(|one| one["name"] == stat);
            stats.flat_map(|one| one["histogram"]["bins"].as_array().unwrap()).map(|bin| bin["value"]["value"].as_f64().unwrap()).sum()
        };
        assert_eq!((counted("sizes0"), counted("sizes2"), counted("sizes3")), (1_536.0, 1_024.0, 0.0), "{log}");
    });
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// Each range's, without a gap.
fn sequences(reports: &Reports) {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for report in &reports.ranges {
        let sequence = last.entry(report["prefix"].as_str().unwrap()).or_default();
        *sequence += 1;
        assert_eq!(number(&report["sequence"]), *sequence, "{report}");
    }
}

/// Every reload is waited for until it counts.
#[test]
fn the_totals_are_the_truth_however_often_it_reloads() {
    in_namespace("the_totals_are_the_truth_however_often_it_reloads", || {
        let reloads: usize = std::env::var("TAILWATER_RELOADS").map_or(40, |text| text.parse().unwrap());
        let place = Place::new(20);
        let kinds = [(ALL, PACKETS.to_owned()), (HALVES, [PACKETS, SOURCES, PREMIUM].concat()), (NESTED, [PREMIUM, PACKETS].concat())];
        let appliance = Appliance::counting(&place.configure(kinds[0].0, &kinds[0].1, 64), &[]);
        let line =
            format!("exec tcpreplay -q --pps=2000 --loop=0 --intf1=scrubber0 {} >/dev/null 2>&1", place.file("frames.pcap").display());
        let mut sending = Command::new("sh").args(["-c", &line]).spawn().unwrap();
        let begin = Instant::now();
        for n in 1..=reloads {
            let (ranges, stats) = &kinds[n % kinds.len()];
            place.configure(ranges, stats, 64);
            let (status, text) = appliance.ask("POST", "/reload");
            assert_eq!(status, 200, "{n}: {text}");
            let until = Duration::from_nanos(first_window_ns(&text));
            std::thread::sleep(until.saturating_sub(std::time::UNIX_EPOCH.elapsed().unwrap()));
            while appliance.metric("tailwater_generation", "") != n as u64 + 1 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        println!("{reloads} reloads in {:?}", begin.elapsed());
        sending.kill().unwrap();
        sending.wait().unwrap();
        let taken = || appliance.metric("tailwater_port_offered_total", "");
        wait(10, || taken() == interface("mirror0", "rx_packets"), || appliance.log());
        let accepted = appliance.metric("tailwater_reloads_total", "accepted");
        let log = appliance.stop(60);
        assert_eq!(accepted, reloads as u64, "{log}");

        let reports = place.reports();
        let sum = |name: &str| -> u64 { reports.accounts.iter().map(|account| number(&account["ledger"][name])).sum() };
        for account in &reports.accounts {
            let of = |name: &str| number(&account["ledger"][name]);
            assert_eq!((of("received"), of("matched")), (of("parsed"), of("parsed")), "{account}");
            assert_eq!(of("records"), of("counted") + of("ringDropped"), "{account}");
        }
        let delivered = interface("mirror0", "rx_packets");
        let configurations = reports.accounts.windows(2).filter(|pair| pair[0]["configHash"] != pair[1]["configHash"]).count();
        println!(
            "{delivered} frames, {} windows, {configurations} changes seen in reports, counted {}, lost {}, missed {}, sum of packets {}",
            reports.accounts.len(),
            sum("counted"),
            sum("ringDropped"),
            sum("nicMissed"),
            reports.sum("packets")
        );
        assert_eq!(sum("received") + sum("nicMissed"), delivered);
        assert_eq!((sum("counted") + sum("ringDropped"), sum("ringDropped")), (sum("received"), 0));
        assert_eq!(reports.sum("packets"), delivered.saturating_sub(sum("nicMissed")) as f64);
        assert_eq!(configurations, reloads);
        sequences(&reports);
    });
}
