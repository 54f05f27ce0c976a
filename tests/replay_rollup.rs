//! Carpet bombing through `replay` with roll-ups, against packets counted from the capture's bytes, by no line of the program.

#![allow(clippy::panic, clippy::unwrap_used, clippy::cast_precision_loss, reason = "a test says what it expects; counts are small")]

#[allow(dead_code, reason = "shared by several tests")]
mod replaying;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use replaying::{Draw, count, files, replay, seed, stat, tailwater, value};
use serde_json::Value;

const WINDOW_MS: u64 = 2_000;
const FAST_MS: u64 = 500;
const SAMPLING: u64 = 40;
const METRICS: [&str; 2] = ["packets", "bytes"];
const DECISIONS: [&str; 3] = ["any", "passed", "blocked"];
const DIRECTIONS: [&str; 3] = ["ingress", "egress", "any"];

/// A /20 of many /24; in it another customer, and in that the first one again; both elsewhere too, and one that has a range alone.
fn ranges() -> Vec<(IpNet, &'static str)> {
    let mut all: Vec<(String, &str)> = (0..12).map(|n| (format!("198.18.{}.0/24", 16 + n), "campus")).collect();
    let others = [
        ("198.18.16.0/20", "campus"),
        ("198.18.16.128/25", "campus"),
        ("198.18.28.0/22", "tenant"),
        ("198.18.29.0/24", "campus"),
        ("198.18.29.64/26", "tenant"),
        ("203.0.113.0/24", "tenant"),
        ("192.0.2.0/24", "alone"),
        ("2001:db8:16::/48", "campus"),
    ];
    all.extend(others.map(|(prefix, customer)| (prefix.to_owned(), customer)));
    all.into_iter().map(|(prefix, customer)| (prefix.parse().unwrap(), customer)).collect()
}

/// The attack lies over all ranges in the /20; sessions go between ranges too.
fn scenario() -> String {
    let row = |(prefix, customer): &(IpNet, &str)| format!("    {{ prefix = \"{prefix}\", customer = \"{customer}\" }},\n");
    let list: String = ranges().iter().map(row).collect();
    format!(
        "about = \"a carpet\"\nduration_s = 7\n[ranges]\nlist = [\n{list}]\n[legitimate]\npps = 3000\nclients = 500\nblocked = 0.01\n\
         [[attack]]\nkind = \"udp_flood\"\ntarget = \"198.18.16.0/20\"\nover = \"ranges\"\nbegin_s = 2\npps = 20000\nblocked = 0.9\nsources = 3000\n"
    )
}

fn config(folder: &Path, rollup: bool) -> PathBuf {
    let mut csv = "prefix,customer\n".to_owned();
    ranges().iter().for_each(|(prefix, customer)| _ = writeln!(csv, "{prefix},{customer}"));
    std::fs::write(folder.join("ranges.csv"), csv).unwrap();
    let mut text = format!(
        "[appliance]\nwindow_ms = {WINDOW_MS}\nfast_window_ms = {FAST_MS}\n[ranges]\nfile = \"ranges.csv\"\nrollup = {rollup}\n\
         [[tags]]\nmatch = {{ vlan = 666 }}\ndecision = \"blocked\"\nsampling = {SAMPLING}\nadded_bytes = 4\n"
    );
    for (decision, direction) in DECISIONS.iter().flat_map(|decision| DIRECTIONS.map(|direction| (decision, direction))) {
        let of = format!("decision = \"{decision}\"\ndirection = \"{direction}\"\nfast = true\n");
        for metric in METRICS {
            let name = format!("{metric}_{decision}_{direction}");
            let _ = writeln!(text, "[[stats]]\nname = \"{name}\"\ncalculation = \"sum\"\nmetric = \"{metric}\"\n{of}");
        }
        let _ = writeln!(
            text,
            "[[stats]]\nname = \"sources_{decision}_{direction}\"\ncalculation = \"distinct\"\nkey = \"src_ip\"\np = 12\n{of}"
        );
    }
    let file = folder.join(format!("rollup-{rollup}.toml"));
    std::fs::write(&file, text).unwrap();
    file
}

/// Datagrams between any two ranges of IPv4, or within one, one in four of them blocked.
fn between(seed: u64) -> Vec<u8> {
    let nets: Vec<_> = ranges().into_iter().filter_map(|(net, _)| if let IpNet::V4(net) = net { Some(net) } else { None }).collect();
    let (mut draw, mut time_ns) = (Draw(seed), 1_735_689_600_000_000_000);
    let mut below = move |n: u64| draw.next() % n;
    let address = |below: &mut dyn FnMut(u64) -> u64| {
        let net = nets[usize::try_from(below(nets.len() as u64)).unwrap()];
        let host = u32::try_from(below(1 << (32 - net.prefix_len()))).unwrap();
        (u32::from(net.network()) + host).to_be_bytes()
    };
    let mut records = Vec::new();
    for _ in 0..4_000 {
        time_ns += below(3_000_000);
        let payload = usize::try_from(below(400)).unwrap();
        let length = u16::try_from(28 + payload).unwrap().to_be_bytes();
        let tag: &[u8] = if below(4) == 0 { &[0x81, 0, 0x02, 0x9A] } else { &[] };
        let head = [0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 17, 0, 0];
        let (src, dst) = (address(&mut below), address(&mut below));
        let udp = [0x9C, 0x40, 0, 53, 0, 0, 0, 0];
        let frame = [&[2; 12][..], tag, &[8, 0], &head, &src, &dst, &udp, &vec![0; payload]].concat();
        records.push(files::whole(time_ns, frame));
    }
    files::pcap(files::ETHERNET, &records)
}

/// What the model knows of a frame.
struct Packet {
    time_ns: u64,
    src: IpAddr,
    dst: IpAddr,
    bytes: u64,
    blocked: bool,
}

/// A classic capture with nanoseconds.
fn packets(file: &Path) -> Vec<Packet> {
    let bytes = std::fs::read(file).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((word(0), word(20)), (0xa1b2_3c4d, 1), "nanoseconds and Ethernet");
    let (mut at, mut all) = (24, Vec::new());
    while at < bytes.len() {
        let held = usize::try_from(word(at + 8)).unwrap();
        let time_ns = u64::from(word(at)) * 1_000_000_000 + u64::from(word(at + 4));
        all.extend(packet(time_ns, u64::from(word(at + 12)), &bytes[at + 16..at + 16 + held]));
        at += 16 + held;
    }
    all
}

fn packet(time_ns: u64, wire_bytes: u64, frame: &[u8]) -> Option<Packet> {
    let kind = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let (mut at, mut blocked) = (12, false);
    while kind(at) == 0x8100 {
        blocked |= kind(at + 2) & 0xFFF == 666;
        at += 4;
    }
    let ip = &frame[at + 2..];
    let v4 = |at: usize| IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(&ip[at..at + 4]).unwrap()));
    let v6 = |at: usize| IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(&ip[at..at + 16]).unwrap()));
    let (src, dst) = match kind(at) {
        0x0800 => (v4(12), v4(16)),
        0x86DD => (v6(8), v6(24)),
        _ => return None,
    };
    Some(Packet { time_ns, src, dst, bytes: wire_bytes - if blocked { 4 } else { 0 }, blocked })
}

/// Scope, prefix and customer of a report.
type Name = (&'static str, String, &'static str);

/// What is counted, each with its ranges.
fn scopes(ranges: &[(IpNet, &'static str)]) -> Vec<(Name, BTreeSet<usize>)> {
    let all = || 0..ranges.len();
    let own = all().map(|at| (("OWN", ranges[at].0.to_string(), ranges[at].1), BTreeSet::from([at])));
    let within = |inner: usize, outer: usize| ranges[inner].1 == ranges[outer].1 && ranges[outer].0.contains(&ranges[inner].0);
    let subtree = |outer: usize| all().filter(|inner| within(*inner, outer)).collect::<BTreeSet<_>>();
    let subtrees = all().map(|outer| (("SUBTREE", ranges[outer].0.to_string(), ranges[outer].1), subtree(outer)));
    let names: BTreeSet<&str> = ranges.iter().map(|range| range.1).collect();
    let customer = |name: &str| all().filter(|at| ranges[*at].1 == name).collect::<BTreeSet<_>>();
    let customers = names.into_iter().map(|name| (("CUSTOMER", String::new(), name), customer(name)));
    own.chain(subtrees.chain(customers).filter(|(_, ranges)| ranges.len() > 1)).collect()
}

/// Packets, bytes and sources of what one stat counts.
#[derive(Default)]
struct Sum {
    amounts: [u64; 2],
    sources: BTreeSet<IpAddr>,
}

/// By kind of window, its start, whose, and decision and direction.
type Truth = BTreeMap<(&'static str, u64, Name), BTreeMap<(&'static str, &'static str), Sum>>;

/// And how many packets went from one range of a customer to another.
fn truth(packets: &[Packet]) -> (Truth, u64) {
    let (ranges, mut all, mut between) = (ranges(), Truth::new(), 0);
    let scopes = scopes(&ranges);
    let longest = |address: IpAddr| {
        let fits = ranges.iter().enumerate().filter(|(_, (net, _))| net.contains(&address));
        fits.max_by_key(|(_, (net, _))| net.prefix_len()).map(|(at, _)| at)
    };
    for packet in packets {
        let (from, to) = (longest(packet.src), longest(packet.dst));
        between += u64::from(from != to && from.zip(to).is_some_and(|(from, to)| ranges[from].1 == ranges[to].1));
        for (name, members) in &scopes {
            let [comes, goes] = [from, to].map(|range| range.is_some_and(|range| members.contains(&range)));
            for (kind, length_ms) in [("LONG", WINDOW_MS), ("FAST", FAST_MS)] {
                if comes || goes {
                    let start_ns = packet.time_ns - packet.time_ns % (length_ms * 1_000_000);
                    add(all.entry((kind, start_ns, name.clone())).or_default(), packet, (comes, goes));
                }
            }
        }
    }
    (all, between)
}

fn add(sums: &mut BTreeMap<(&'static str, &'static str), Sum>, packet: &Packet, (comes, goes): (bool, bool)) {
    let weight = if packet.blocked { SAMPLING } else { 1 };
    let decisions = ["any", if packet.blocked { "blocked" } else { "passed" }];
    let directions = [(true, "any"), (goes, "ingress"), (comes, "egress")];
    for direction in directions.into_iter().filter(|(is, _)| *is).map(|(_, direction)| direction) {
        for decision in decisions {
            let sum = sums.entry((decision, direction)).or_default();
            sum.amounts[0] += weight;
            sum.amounts[1] += weight * packet.bytes;
            sum.sources.insert(packet.src);
        }
    }
}

/// Every report is one of the truth's, and its figures are.
fn compare(reports: &[Value], truth: &Truth) {
    assert_eq!(reports.len(), truth.len());
    let none = Sum::default();
    for ((kind, start_ns, name), sums) in truth {
        let is = |r: &&Value| {
            (r["windowKind"].as_str(), count(&r["windowStartNs"])) == (Some(kind), *start_ns)
                && (r["scope"].as_str(), r["prefix"].as_str(), r["customer"].as_str()) == (Some(name.0), Some(&name.1[..]), Some(name.2))
        };
        let report = reports.iter().find(is).unwrap_or_else(|| panic!("no report of {name:?} in {kind} {start_ns}"));
        assert_eq!(report["incomplete"], Value::Null);
        for (decision, direction) in DECISIONS.iter().flat_map(|decision| DIRECTIONS.map(|direction| (*decision, direction))) {
            let (sum, of) = (sums.get(&(decision, direction)).unwrap_or(&none), format!("{decision}_{direction}"));
            for (metric, amount) in METRICS.iter().zip(sum.amounts) {
                let name_of = format!("{metric}_{of}");
                assert_eq!(value(report, &name_of), amount as f64, "{name_of} of {name:?} in {kind} {start_ns}");
                let total = &stat(report, &name_of)["total"];
                let ends = [&total["low"], &total["high"]].map(|end| end.as_f64().unwrap());
                assert!(decision != "passed" || ends == [amount as f64; 2] && total["basis"] == "EXACT", "{name_of}: {total}");
            }
            let (have, want) = (value(report, &format!("sources_{of}")), sum.sources.len() as f64);
            // Five standard errors of 2^12 registers.
            let off = if want <= 128.0 { 0.0 } else { 5.0 * 1.04 / 64.0 * want };
            assert!((have - want).abs() <= off, "sources_{of} of {name:?} in {kind} {start_ns}: {have}, not {want}");
        }
    }
}

#[test]
fn a_carpet_is_seen_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("carpet.toml"), scenario()).unwrap();
    let (capture, seed) = (path("carpet.pcap"), seed());
    let captures = [&capture, &path("between.pcap")];
    std::fs::write(captures[1], between(seed)).unwrap();
    let seed = seed.to_string();
    let made =
        tailwater(["generate", "--scenario", &path("carpet.toml"), "--seed", &seed, "--pcap", &capture, "--truth", &path("truth.json")]);
    assert_eq!(made.status, Some(0), "{}", made.stderr);
    let (with, without) = (config(folder.path(), true), config(folder.path(), false));

    let first = replay(&with, &captures, &[]);
    assert_eq!((first.status, first.ledger_faults()), (Some(0), Vec::new()), "{}", first.stderr);
    let all: Vec<Packet> = captures.iter().flat_map(|capture| packets(Path::new(capture))).collect();
    let (truth, between) = truth(&all);
    assert!(between > 2_000, "{between} packets between ranges of one customer");
    compare(&first.ranges(), &truth);

    // The whole of the attack stands in one report, and no range has a quarter of it.
    let of = |name: Name| {
        let long = truth.iter().filter(|((kind, _, other), _)| *kind == "LONG" && *other == name);
        // A window may have nothing of that direction.
        long.filter_map(|(_, sums)| sums.get(&("any", "ingress"))).map(|sum| sum.amounts[0]).max().unwrap_or(0)
    };
    let most = ranges().iter().map(|(prefix, customer)| of(("OWN", prefix.to_string(), customer))).max().unwrap();
    let carpet = of(("SUBTREE", "198.18.16.0/20".to_owned(), "campus"));
    assert!(carpet > 30_000 && most < carpet / 4, "{carpet}, and {most} of one range");

    let rollups = first.ranges().iter().filter(|report| report["scope"] != "OWN").count();
    assert_eq!(count(&first.total()["rollupsReported"]) + fast(&first), rollups as u64);
    let lines = first.range_lines();
    for workers in ["1", "2", "3", "4"] {
        for mode in ["run-to-completion", "pipeline"] {
            let other = replay(&with, &captures, &["--mode", mode, "--workers", workers]);
            assert!(other.range_lines() == lines, "{mode} with {workers} tells otherwise");
        }
    }
    let plain = replay(&without, &captures, &[]);
    let own: Vec<&str> = lines.into_iter().filter(|line| line.contains("\"scope\":\"OWN\"")).collect();
    assert!(plain.range_lines() == own, "ranges say the same without roll-ups");
    assert_eq!(plain.total()["rollupsReported"], Value::Null);
}

/// Roll-ups of fast windows.
fn fast(ran: &replaying::Ran) -> u64 {
    let all = ran.appliances();
    all.iter().filter(|report| report["windowKind"] == "FAST").map(|report| count(&report["rollupsReported"])).sum()
}
