//! What tshark reads in a generated capture, against the truth that was written beside it.

#![allow(clippy::panic, clippy::unwrap_used, clippy::cast_precision_loss, reason = "a test says what it expects")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use ipnet::IpNet;
use serde_json::Value;
use tailwater::generate::{self, Options, Scenario, Summary};

/// Every kind of attack, both families, nested ranges, a rule's VLAN and a VLAN of the frames' own.
const SCENARIO: &str = include_str!("generate_support/everything.toml");

const FIELDS: [&str; 19] = [
    "frame.time_epoch",
    "frame.len",
    "frame.protocols",
    "vlan.id",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.flags",
    "ip.flags.mf",
    "ip.frag_offset",
    "udp.srcport",
    "ip.proto",
    "ipv6.nxt",
    "udp.dstport",
    "tcp.srcport",
    "tcp.dstport",
    "ip.ttl",
    "ipv6.hlim",
];

fn tshark(file: &Path, arguments: &[&str]) -> String {
    let output = Command::new("tshark").arg("-n").arg("-r").arg(file).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("tshark cannot be run ({error}): run `bash scripts/setup`, which installs it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn make(folder: &Path) -> (Summary, Value) {
    let scenario = folder.join("all.toml");
    std::fs::write(&scenario, SCENARIO).unwrap();
    let options = Options {
        scenario: Some(scenario.to_str().unwrap().to_owned()),
        pcap: Some(folder.join("x.pcap")),
        truth: Some(folder.join("x.json")),
        seed: None,
        start: None,
        duration: None,
        snap: None,
        ranges: None,
        config: Some(folder.join("tailwater.toml")),
        list: false,
    };
    let summary = generate::run(&options).unwrap();
    (summary, serde_json::from_slice(&std::fs::read(folder.join("x.json")).unwrap()).unwrap())
}

type Tuple = (IpAddr, IpAddr, Option<(u16, u16)>, u8);

/// One range in one window, in one direction and decision, as read from the capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    packets: u64,
    bytes: u64,
    opened: u64,
    accepted: u64,
    fragments: u64,
    dns_answer_packets: u64,
    sources: BTreeMap<IpAddr, u64>,
    /// Source, destination, ports if there are any, protocol: packets.
    tuples: BTreeMap<Tuple, u64>,
    sizes: BTreeMap<u64, u64>,
    ttls: BTreeMap<u64, u64>,
    flags: BTreeMap<u64, u64>,
    /// By sub-window: packets, bytes.
    rates: BTreeMap<u64, [u64; 2]>,
}

/// Window, prefix, direction, decision.
type Key = (u64, String, &'static str, &'static str);

fn longest(ranges: &[IpNet], address: IpAddr) -> Option<IpNet> {
    ranges.iter().copied().filter(|range| range.contains(&address)).max_by_key(IpNet::prefix_len)
}

/// The first value of a field that may occur several times.
fn first(field: &str) -> &str {
    field.split(',').next().unwrap_or_default()
}

fn tally(rows: &str, ranges: &[IpNet]) -> (BTreeMap<Key, Tally>, [u64; 4]) {
    let mut tallies: BTreeMap<Key, Tally> = BTreeMap::new();
    let [mut frames, mut wire_bytes, mut non_ip, mut unmatched] = [0; 4];
    for row in rows.lines() {
        let field: Vec<&str> = row.split('\t').collect();
        let length: u64 = field[1].parse().unwrap();
        (frames, wire_bytes) = (frames + 1, wire_bytes + length);
        let Some(outermost) = field[2].split(':').find(|token| ["ip", "ipv6"].contains(token)) else {
            non_ip += 1;
            continue;
        };
        let v4 = outermost == "ip";
        let address = |v4_at: usize, v6_at: usize| first(field[if v4 { v4_at } else { v6_at }]).parse::<IpAddr>().unwrap();
        let (src, dst) = (address(4, 6), address(5, 7));
        let blocked = first(field[3]) == "666";
        let protocol = first(field[if v4 { 12 } else { 13 }]);
        let seconds: u64 = first(field[0]).split('.').next().unwrap().parse().unwrap();
        let flags = if protocol == "6" { u32::from_str_radix(first(field[8]).trim_start_matches("0x"), 16).unwrap() } else { 0 };
        let later = v4 && first(field[10]) != "0";
        let sides = [("ingress", longest(ranges, dst)), ("egress", longest(ranges, src))];
        unmatched += u64::from(sides.iter().all(|(_, range)| range.is_none()));
        for (direction, range) in sides.into_iter().filter_map(|(direction, range)| Some((direction, range?))) {
            let decision = if blocked { "blocked" } else { "passed" };
            let tally = tallies.entry((seconds / 5 * 5_000, range.to_string(), direction, decision)).or_default();
            tally.packets += 1;
            tally.bytes += length - if blocked { 8 } else { 0 };
            tally.opened += u64::from(flags & 0x12 == 2);
            tally.accepted += u64::from(flags & 0x12 == 0x12);
            tally.fragments += u64::from(later || (v4 && first(field[9]) == "1"));
            tally.dns_answer_packets += u64::from(protocol == "17" && !later && first(field[11]) == "53");
            *tally.sources.entry(src).or_default() += 1;
            let port = |tcp: usize, udp: usize| first(field[if protocol == "6" { tcp } else { udp }]).parse::<u16>();
            let ports = port(15, 11).ok().zip(port(16, 14).ok()).filter(|_| !later && ["6", "17"].contains(&protocol));
            *tally.tuples.entry((src, dst, ports, protocol.parse().unwrap())).or_default() += 1;
            let bytes = length - if blocked { 8 } else { 0 };
            *tally.sizes.entry(bytes).or_default() += 1;
            *tally.ttls.entry(first(field[if v4 { 17 } else { 18 }]).parse().unwrap()).or_default() += 1;
            if protocol == "6" {
                *tally.flags.entry(u64::from(flags)).or_default() += 1;
            }
            let fraction: u64 = first(field[0]).split('.').nth(1).unwrap()[..1].parse().unwrap();
            let rate = tally.rates.entry(seconds % 5 * 10 + fraction).or_default();
            *rate = [rate[0] + 1, rate[1] + bytes];
        }
    }
    (tallies, [frames, wire_bytes, non_ip, unmatched])
}

fn expected(row: &Value, direction: &str, decision: &str) -> Tally {
    let figures = &row["captured"][direction][decision];
    let figure = |name: &str| figures[name].as_u64().unwrap();
    Tally {
        packets: figure("packets"),
        bytes: figure("bytes"),
        opened: figure("connections_opened"),
        accepted: figure("connections_accepted"),
        fragments: figure("fragments"),
        dns_answer_packets: figure("dns_answer_packets"),
        ..Tally::default()
    }
}

/// The parts of a tally that the truth tells as a detail.
fn detail(row: &Value, direction: &str, decision: &str, tally: &Tally) {
    let name = if decision == "blocked" { "captured_blocked" } else { decision };
    let (told, what) = (&row["detail"][direction][name], format!("{} {} {direction} {name}", row["window_start_ms"], row["prefix"]));
    if tally.tuples.is_empty() {
        return assert!(told.is_null(), "{what}");
    }
    let weight = if decision == "blocked" { 10 } else { 1 };
    let rows = |of: &BTreeMap<u64, u64>| serde_json::json!(of.iter().collect::<Vec<_>>());
    assert_eq!(told["packet_size"], rows(&tally.sizes), "{what}");
    assert_eq!(told["ttl"], rows(&tally.ttls), "{what}");
    assert_eq!(told["tcp_flags"], rows(&tally.flags), "{what}");
    let rates: Vec<[u64; 3]> = tally.rates.iter().map(|(slot, [packets, bytes])| [*slot, *packets, *bytes]).collect();
    let have = told["rates"].as_array().unwrap().iter().map(|rate| [0, 1, 2].map(|i| rate[i].as_u64().unwrap()));
    assert_eq!(have.collect::<Vec<_>>(), rates, "{what}");
    for (at, metric) in ["packets", "bytes"].iter().enumerate() {
        let highest = rates.iter().map(|rate| rate[at + 1]).max().unwrap();
        let first = rates.iter().find(|rate| rate[at + 1] == highest).unwrap()[0];
        assert_eq!(told["peak"][metric], serde_json::json!([first * 100, highest * weight]), "{what}");
    }
    let mut others: BTreeMap<IpAddr, BTreeSet<IpAddr>> = BTreeMap::new();
    tally.tuples.keys().for_each(|(src, dst, ..)| _ = others.entry(*src).or_default().insert(*dst));
    let mut fanout: Vec<(IpAddr, usize)> = others.into_iter().map(|(src, dsts)| (src, dsts.len())).collect();
    fanout.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    fanout.truncate(10);
    let have = told["fanout"]["src_ip>dst_ip"].as_array().unwrap().iter();
    let have = have.map(|pair| (pair[0].as_str().unwrap().parse().unwrap(), usize::try_from(pair[1].as_u64().unwrap()).unwrap()));
    assert_eq!(have.collect::<Vec<(IpAddr, usize)>>(), fanout, "{what}");
    let key = |name: &str, want: Vec<u64>| {
        let of = &told["keys"][name];
        assert_eq!(of["distinct"], want.len(), "{what}: {name}");
        let all: u64 = want.iter().sum();
        let share = |n: &u64| *n as f64 / all as f64;
        let entropy: f64 = -want.iter().map(|n| share(n) * share(n).log2()).sum::<f64>();
        assert!((of["entropy_packets"].as_f64().unwrap() - entropy).abs() < 1e-9, "{what}: {name}: {entropy}");
    };
    let with_ports = |tuple: &&Tuple| tuple.2.is_some();
    key("flow", tally.tuples.iter().filter(|(tuple, _)| with_ports(tuple)).map(|(_, n)| *n).collect());
    key("src_ip", tally.sources.values().copied().collect());
    let mut ports: BTreeMap<u16, u64> = BTreeMap::new();
    tally.tuples.iter().for_each(|(tuple, n)| tuple.2.iter().for_each(|(_, port)| *ports.entry(*port).or_default() += n));
    key("dst_port", ports.into_values().collect());
}

/// Sources that no window before had, by prefix and decision.
#[derive(Default)]
struct Known(BTreeMap<(String, &'static str), BTreeSet<IpAddr>>);

impl Known {
    fn new_sources(&mut self, row: &Value, decision: &'static str, sources: &BTreeMap<IpAddr, u64>) {
        let known = self.0.entry((row["prefix"].as_str().unwrap().to_owned(), decision)).or_default();
        let new = sources.keys().filter(|source| known.insert(**source)).count();
        let name = if decision == "blocked" { "captured_blocked" } else { decision };
        if !sources.is_empty() {
            let told = &row["detail"]["ingress"][name]["keys"]["src_ip"]["new"];
            assert_eq!(*told, new, "{} {} {name}", row["window_start_ms"], row["prefix"]);
        }
    }
}

fn compare(row: &Value, tallies: &mut BTreeMap<Key, Tally>, known: &mut Known) {
    let (window, prefix) = (row["window_start_ms"].as_u64().unwrap(), row["prefix"].as_str().unwrap());
    let mut value: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for (direction, decision) in [("ingress", "passed"), ("ingress", "blocked"), ("egress", "passed"), ("egress", "blocked")] {
        let mut seen = tallies.remove(&(window, prefix.to_owned(), direction, decision)).unwrap_or_default();
        detail(row, direction, decision, &seen);
        let sources = std::mem::take(&mut seen.sources);
        let Tally { packets, bytes, opened, accepted, fragments, dns_answer_packets, .. } = seen;
        let seen = Tally { packets, bytes, opened, accepted, fragments, dns_answer_packets, ..Tally::default() };
        assert_eq!(seen, expected(row, direction, decision), "{window} {prefix} {direction} {decision}");
        if direction == "ingress" {
            known.new_sources(row, decision, &sources);
            assert_eq!(sources.len() as u64, row["captured"]["distinct_sources"][decision], "{window} {prefix} {decision}");
            for (source, packets) in sources {
                *value.entry(source).or_default() += packets * if decision == "blocked" { 10 } else { 1 };
            }
        }
    }
    assert_eq!(value.len() as u64, row["captured"]["distinct_sources"]["any"]);
    let mut top: Vec<(IpAddr, u64)> = value.into_iter().collect();
    top.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let told = row["captured"]["top_sources"].as_array().unwrap();
    let told = told.iter().map(|entry| (entry["source"].as_str().unwrap().parse().unwrap(), entry["value"].as_u64().unwrap()));
    assert_eq!(told.collect::<Vec<_>>(), top.into_iter().take(20).collect::<Vec<_>>(), "{window} {prefix}");
}

#[test]
fn tshark_agrees_with_the_truth() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, truth) = make(folder.path());
    let mut arguments = vec!["-o", "ip.defragment:FALSE", "-T", "fields", "-E", "occurrence=a", "-E", "separator=/t"];
    FIELDS.iter().for_each(|field| arguments.extend(["-e", field]));
    let rows = tshark(&folder.path().join("x.pcap"), &arguments);
    let csv = std::fs::read_to_string(folder.path().join("ranges.csv")).unwrap();
    let ranges: Vec<IpNet> = csv.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(ranges.len(), 13);
    let (mut tallies, seen) = tally(&rows, &ranges);
    let (totals, mut known) = (summary.totals, Known::default());
    assert_eq!(seen, [totals.frames, totals.wire_bytes, totals.non_ip_frames, totals.unmatched], "seed {}", summary.seed);
    for row in truth["windows"].as_array().unwrap() {
        compare(row, &mut tallies, &mut known);
    }
    assert!(tallies.is_empty(), "in the capture but not in the truth: {:?}", tallies.keys().collect::<Vec<_>>());
}

#[test]
fn tshark_finds_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, _) = make(folder.path());
    let file = folder.path().join("x.pcap");
    let mut arguments = Vec::new();
    for option in ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE", "ip.defragment:TRUE"] {
        arguments.extend(["-o", option]);
    }
    let bad =
        "ip.checksum.status==0 || tcp.checksum.status==0 || udp.checksum.status==0 || icmp.checksum.status==0 || icmpv6.checksum.status==0";
    let wrong = tshark(&file, &[&arguments[..], &["-Y", bad]].concat());
    assert_eq!(wrong, "", "seed {}: wrong checksums", summary.seed);
    let good = "tcp.checksum.status==1 || udp.checksum.status==1";
    let checked = tshark(&file, &[&arguments[..], &["-Y", good]].concat()).lines().count();
    assert!(checked > 5_000, "tshark checked {checked} checksums only");
    // What the floods send to port 40000 is random bytes, which a heuristic dissector may take for anything.
    let malformed = tshark(&file, &[&arguments[..], &["-Y", "_ws.malformed && !(udp.port == 40000)"]].concat());
    assert_eq!(malformed, "", "seed {}: malformed", summary.seed);
}

#[test]
fn named_scenarios_differ() {
    let abouts: BTreeSet<String> = Scenario::named().map(|(_, about)| about).collect();
    assert_eq!(abouts.len(), Scenario::named().count());
}
