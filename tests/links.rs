//! Links against a model that reads the captures itself: frames, L2 and L1 bits and utilisation of every link and second, the ranges
//! that fill it, and stats whose key is a link. In both modes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_precision_loss, reason = "a test says what it expects")]

#[path = "links_support/mod.rs"]
mod links_support;
#[allow(dead_code, reason = "shared by several tests")]
mod replaying;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use links_support::{CAPACITY_BPS, Model, Side};
use replaying::{Ran, replay, tailwater};
use serde_json::Value;

const SAMPLING: f64 = 40.0;
const WINDOW_NS: u64 = 1_000_000_000;

fn scenario(own_vlan: u16, target: &str, seed: u64) -> String {
    format!(
        "about = \"a link\"\nduration_s = 4\nseed = {seed}\nranges.count = 30\ntag.own_vlan = {own_vlan}\nlegitimate = {{ pps = 1500 }}\n\
         [[attack]]\nkind = \"udp_flood\"\ntarget = \"{target}\"\nbegin_s = 1\nduration_s = 2\npps = 20000\nblocked = 0.9\npayload_bytes = [18, 400]\n\
         [[attack]]\nkind = \"syn_flood\"\ntarget = \"10.0.0.0/8\"\nover = \"ranges\"\npps = 9000\nblocked = 0.5\n"
    )
}

fn generate(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = |end: &str| folder.join(format!("{name}.{end}"));
    std::fs::write(file("toml"), text).unwrap();
    let arguments = ["--scenario", "--pcap", "--truth", "--ranges"].map(PathBuf::from);
    let files = [file("toml"), file("pcap"), file("json"), folder.join("ranges.csv")];
    let ran = tailwater(std::iter::once("generate".into()).chain(arguments.into_iter().zip(files).flat_map(|(key, file)| [key, file])));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    file("pcap")
}

fn configure(folder: &Path) -> PathBuf {
    configured(folder, &[("transit-a", "{ port = 0 }"), ("transit-b", "{ vlan = 77 }"), ("peering", "{ inner_vlan = 77 }")])
}

fn configured(folder: &Path, links: &[(&str, &str)]) -> PathBuf {
    let link = |name: &str, wanted: &str| {
        format!("[[links]]\nname = \"{name}\"\ncapacity_bps = {CAPACITY_BPS}\nrouter = \"edge1\"\ntarget = 0.8\nmatch = {wanted}\n")
    };
    let stat = |name: &str, rest: &str| format!("[[stats]]\nname = \"{name}\"\ndirection = \"any\"\n{rest}\n");
    let text = [
        "[ranges]\nfile = \"ranges.csv\"\n[[tags]]\nmatch = { vlan = 666 }\ndecision = \"blocked\"\nsampling = 40\nadded_bytes = 4\n",
        &links.iter().map(|(name, wanted)| link(name, wanted)).collect::<String>(),
        &stat("by_link", "calculation = \"histogram\"\nkey = \"link\""),
        &stat("top", "calculation = \"topk\"\nkey = [\"link\", \"protocol\"]"),
        &stat("of_b", "calculation = \"sum\"\nwhere = { link = \"transit-b\" }"),
    ];
    let file = folder.join("tailwater.toml");
    std::fs::write(&file, text.concat()).unwrap();
    file
}

#[test]
fn links_are_what_a_model_says() {
    let folder = tempfile::tempdir().unwrap();
    let a = generate(folder.path(), "a", &scenario(0, "10.0.3.10", 1));
    let b = generate(folder.path(), "b", &scenario(77, "10.0.7.10", 2));
    // A third port has no link.
    let c = generate(folder.path(), "c", &scenario(0, "10.0.5.10", 3));
    let config = configure(folder.path());
    let model = Model::of(&folder.path().join("ranges.csv"), &[&a, &b, &c], WINDOW_NS);
    assert!(model.sides.len() >= 16, "{}", model.sides.len());
    for way in [&["--workers", "1"][..], &["--workers", "3"], &["--mode", "pipeline", "--workers", "2"]] {
        let ran = replay(&config, &[&a, &b, &c], way);
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        let reports = of_links(&ran);
        let windows: std::collections::BTreeSet<u64> = reports.iter().map(|report| whole(&report["windowStartNs"])).collect();
        assert_eq!(reports.len(), 3 * windows.len());
        reports.iter().for_each(|report| judge(report, &model));
        let told: std::collections::BTreeSet<(String, u64)> = reports.iter().map(place).collect();
        assert!(model.sides.keys().all(|(link, window, _)| told.contains(&(link.clone(), *window))), "a link or window is missing");
        by_link(&ran, &model);
        let accounts = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told = accounts.filter(|account| !account["linksReported"].is_null()).inspect(feeds_are_their_ports);
        let others = told.map(|account| (whole(&account["windowStartNs"]), whole(&account["framesWithoutLink"]))).collect();
        assert_eq!(model.others, others);
        assert!(model.others.values().any(|frames| *frames > 0), "the capture has frames of no link");
    }
}

/// A frame that the scrubber tagged has the tag's VLAN in front of the link's own.
#[test]
fn a_link_is_known_by_its_vlan_behind_a_tag_too() {
    let folder = tempfile::tempdir().unwrap();
    let a = generate(folder.path(), "a", &scenario(0, "10.0.3.10", 1));
    let b = generate(folder.path(), "b", &scenario(77, "10.0.7.10", 2));
    let both = "[{ vlan = 77 }, { vlan = 666, inner_vlan = 77 }]";
    let config = configured(folder.path(), &[("transit-a", "{ port = 0 }"), ("transit-b", both)]);
    // It has a link each for what is tagged and what is not.
    let model = Model::of(&folder.path().join("ranges.csv"), &[&a, &b], WINDOW_NS);
    for way in [&["--workers", "1"][..], &["--mode", "pipeline", "--workers", "2"]] {
        let ran = replay(&config, &[&a, &b], way);
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        let reports: Vec<Value> = of_links(&ran).into_iter().filter(|report| report["link"] == "transit-b").collect();
        assert!(reports.len() >= 4, "{}", reports.len());
        for report in &reports {
            let at = |link: &str, blocked| model.sides.get(&(link.to_owned(), place(report).1, blocked)).cloned().unwrap_or_default();
            let (passed, blocked) = (at("transit-b", false), at("peering", true));
            assert!(passed.frames > 0 && blocked.frames > 0, "{report}");
            traffic(&report["passed"], &[(&passed, 1.0)], "passed");
            traffic(&report["blocked"], &[(&blocked, SAMPLING)], "blocked");
            traffic(&report["total"], &[(&passed, 1.0), (&blocked, SAMPLING)], "total");
        }
    }
}

/// Each file is a port and a feed of its own.
fn feeds_are_their_ports(account: &Value) {
    let (feeds, ports) = (account["feeds"].as_array().unwrap(), account["ports"].as_array().unwrap());
    assert_eq!((feeds.len(), ports.len()), (3, 3));
    for (feed, port) in feeds.iter().zip(ports) {
        assert!(feed["ledger"] == port["ledger"] && feed["ledger"]["received"] == feed["received"], "{feed} {port}");
    }
}

fn of_links(ran: &Ran) -> Vec<Value> {
    let lines = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|message| message.get("link").is_some()).collect()
}

fn whole(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

fn place(report: &Value) -> (String, u64) {
    (report["link"].as_str().unwrap().to_owned(), whole(&report["windowStartNs"]))
}

fn near(value: &Value, want: f64, what: &str) {
    let have = value["value"].as_f64().unwrap();
    assert!((have - want).abs() <= 1e-9 * want.abs(), "{what}: {have}, the model says {want}");
    let (low, high) = (value["low"].as_f64().unwrap(), value["high"].as_f64().unwrap_or(f64::INFINITY));
    assert!(low <= have && have <= high, "{what}: {value}");
}

fn judge(report: &Value, model: &Model) {
    let (link, window) = place(report);
    assert!(report["incomplete"].is_null() && report["router"] == "edge1" && report["target"] == 0.8 && report["max"] == 1.0, "{report}");
    let side = |blocked: bool| model.sides.get(&(link.clone(), window, blocked)).cloned().unwrap_or_default();
    let (passed, blocked) = (side(false), side(true));
    let at = format!("{link} at {window}");
    traffic(&report["passed"], &[(&passed, 1.0)], &at);
    traffic(&report["blocked"], &[(&blocked, SAMPLING)], &at);
    traffic(&report["total"], &[(&passed, 1.0), (&blocked, SAMPLING)], &at);
    assert!(report["passed"]["l1Bits"]["basis"] == "EXACT" && report["passed"]["l1Bits"]["confidence"] == "SURE");
    assert!(report["blocked"]["l1Bits"]["basis"] == "SAMPLED" && report["blocked"]["l1Bits"]["confidence"] == "P95");
    for (list, side, weight) in [("passedRanges", &passed, 1.0), ("blockedRanges", &blocked, SAMPLING)] {
        let listed = report[list].as_array().unwrap();
        let mut truth: Vec<f64> = side.ranges.values().map(|bytes| *bytes as f64 * 8.0 * weight).collect();
        truth.sort_by(|a, b| b.total_cmp(a));
        assert_eq!(listed.len(), truth.len().min(20), "{at} {list}");
        for (entry, nth) in listed.iter().zip(truth) {
            near(&entry["l2Bits"], nth, &format!("{at} {list}, by rank"));
            let of_range = side.ranges[entry["prefix"].as_str().unwrap()] as f64;
            near(&entry["l2Bits"], of_range * 8.0 * weight, &format!("{at} {list} {}", entry["prefix"]));
        }
    }
}

fn traffic(told: &Value, sides: &[(&Side, f64)], at: &str) {
    let sum = |of: &dyn Fn(&Side) -> u64| sides.iter().map(|(side, weight)| of(side) as f64 * weight).sum::<f64>();
    let line_bits = 8.0 * sum(&|side| side.bytes + 24 * side.frames);
    near(&told["frames"], sum(&|side| side.frames), &format!("{at}: frames"));
    near(&told["l2Bits"], 8.0 * sum(&|side| side.bytes), &format!("{at}: L2"));
    near(&told["l1Bits"], line_bits, &format!("{at}: L1"));
    near(&told["utilisation"], line_bits / CAPACITY_BPS as f64, &format!("{at}: utilisation"));
}

/// Stats whose key or predicate is a link, over all windows.
fn by_link(ran: &Ran, model: &Model) {
    let (mut bins, mut of_b, mut top) = (BTreeMap::<String, f64>::new(), 0.0, BTreeMap::<String, f64>::new());
    let reports = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|m| m.get("prefix").is_some());
    for report in reports {
        assert_eq!(report["windowKind"], "LONG", "what links ask of ranges is not shown");
        let stats = report["stats"].as_array().unwrap();
        assert_eq!(stats.len(), 3);
        for bin in stats[0]["histogram"]["bins"].as_array().unwrap() {
            *bins.entry(bin["label"].as_str().unwrap().to_owned()).or_default() += bin["value"]["value"].as_f64().unwrap();
        }
        for entry in stats[1]["top"]["entries"].as_array().unwrap() {
            let key = entry["key"].as_str().unwrap();
            *top.entry(key.split('|').next().unwrap().to_owned()).or_default() += entry["value"]["value"].as_f64().unwrap();
        }
        of_b += stats[2]["total"]["value"].as_f64().unwrap();
    }
    let mut truth = BTreeMap::<String, f64>::new();
    for ((link, _, blocked), side) in &model.sides {
        *truth.entry(link.clone()).or_default() += side.records as f64 * if *blocked { SAMPLING } else { 1.0 };
    }
    assert_eq!(of_b, truth["transit-b"]);
    assert_eq!((&bins, &top), (&truth, &truth));
}
