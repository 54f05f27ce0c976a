//! Samples of a generated capture, as sFlow shows them and as NetFlow adds them up: 95 % intervals hold what was there before the sampling,
//! and what several exporters saw counts once. `FLOW_SAMPLES_SEED` draws others.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test says what it expects; its numbers are small"
)]

mod flow_stats_support;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use flow_stats_support::model::{View, Wanted, views};
use flow_stats_support::{Came, Kept, Seen, Speaks, analyse, arrival, datagram, load};
use ipnet::IpNet;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tailwater::generate::{self, Options};
use tailwater::report::pb::{self, stat::Figure};
use tailwater::rx::capture::Capture;

const WINDOW_NS: u64 = 10_000_000_000;
const SEEDS: u64 = 12;
/// Of all figures, and of each kind.
const COVERED_LEAST: f64 = 0.93;

/// A frame read in the obvious way: Ethernet, VLAN tags, IPv4 or IPv6 and what follows it.
fn read(frame: &[u8], wire_bytes: u32, time_ns: u64) -> Option<Seen> {
    let mut at = 12;
    while matches!(frame.get(at..at + 2)?, [0x81, 0] | [0x88, 0xA8]) {
        at += 4;
    }
    let ip = frame.get(at + 2..)?;
    let (src, dst, protocol, tos, ttl, body): (IpAddr, IpAddr, u8, u8, u8, usize) = match frame.get(at..at + 2)? {
        [8, 0] => {
            let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?));
            (address(12)?, address(16)?, *ip.get(9)?, ip[1], ip[8], usize::from(ip[0] & 15) * 4)
        }
        [0x86, 0xDD] => {
            let address = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(ip.get(at..at + 16)?).ok()?));
            (address(8)?, address(24)?, *ip.get(6)?, ip[0] << 4 | ip[1] >> 4, ip[7], 40)
        }
        _ => return None,
    };
    let port = |at: usize| ip.get(body + at..body + at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
    let (src_port, dst_port) = if matches!(protocol, 6 | 17) { (port(0), port(2)) } else { (0, 0) };
    let tcp_flags = if protocol == 6 { ip.get(body + 13).copied().unwrap_or(0) } else { 0 };
    let seen = Seen {
        exporter: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        in_if: 1,
        out_if: 2,
        src,
        dst,
        src_port,
        dst_port,
        protocol,
        tos,
        tcp_flags,
        packets: 1,
        bytes: u64::from(wire_bytes),
        rate: 1,
        is_random: true,
        ttl: Some(ttl),
        blocked: false,
        leaves: false,
        time_ns,
        frame: Some(frame.to_vec()),
    };
    Some(seen)
}

/// A capture of its own, and its ranges.
fn capture(folder: &std::path::Path) -> (Vec<Seen>, Vec<IpNet>) {
    let file = |name: &str| folder.join(name);
    let options = Options {
        scenario: Some("mix".to_owned()),
        pcap: Some(file("x.pcap")),
        truth: Some(file("x.json")),
        seed: None,
        start: None,
        duration: Some(20),
        snap: None,
        ranges: Some(file("x.csv")),
        config: None,
        list: false,
    };
    generate::run(&options).unwrap();
    let (mut capture, mut seen) = (Capture::open(&file("x.pcap")).unwrap(), Vec::new());
    while let Some(frame) = capture.next_frame().unwrap() {
        seen.extend(read(frame.bytes, frame.wire_bytes, frame.time_ns));
    }
    let ranges = std::fs::read_to_string(file("x.csv")).unwrap();
    let ranges = ranges.lines().skip(1).filter_map(|line| line.split(',').next()?.parse().ok()).collect();
    (seen, ranges)
}

fn stats() -> Vec<Wanted> {
    let sum = |name: &str, bytes, direction, only| Wanted {
        name: name.to_owned(),
        calculation: "sum",
        keys: vec!["none"],
        bytes,
        direction,
        decision: "any",
        only,
    };
    let udp = || Some(("protocol", vec!["17".to_owned()]));
    vec![
        sum("packets", false, "any", None),
        sum("bytes", true, "any", None),
        sum("udp_packets", false, "ingress", udp()),
        sum("udp_bytes", true, "egress", udp()),
        Wanted { calculation: "topk", keys: vec!["src_port"], ..sum("top_bytes", true, "any", None) },
        Wanted { calculation: "topk", keys: vec!["dst_ip"], ..sum("top_packets", false, "any", None) },
        Wanted { calculation: "distinct", keys: vec!["src_ip"], ..sum("sources", false, "any", None) },
    ]
}

/// One packet in `rate`, drawn.
fn sampled(d: &mut ChaCha8Rng, all: &[Seen], rate: u64) -> Vec<Seen> {
    all.iter().filter(|_| d.next_u64().is_multiple_of(rate)).map(|seen| Seen { rate, ..seen.clone() }).collect()
}

/// As sFlow tells of them.
fn as_sflow(samples: &[Seen]) -> Vec<Came> {
    let datagrams = samples.chunks(8).zip(0..);
    datagrams.map(|(of, number)| (arrival(of[0].exporter, of[0].time_ns), datagram(Speaks::Sflow, of, (number, 8 * number)))).collect()
}

/// Added up by flow and window, and exported at its end.
fn as_netflow(samples: &[Seen]) -> Vec<Came> {
    let mut flows = BTreeMap::<(u64, IpAddr, IpAddr, u8, u16, u16), Seen>::new();
    for s in samples {
        let flow = flows.entry((s.time_ns / WINDOW_NS, s.src, s.dst, s.protocol, s.src_port, s.dst_port));
        let flow =
            flow.and_modify(|flow| (flow.packets, flow.bytes) = (flow.packets + 1, flow.bytes + s.bytes)).or_insert_with(|| s.clone());
        flow.time_ns = s.time_ns / WINDOW_NS * WINDOW_NS + WINDOW_NS - 1;
    }
    let flows: Vec<Seen> = flows.into_values().collect();
    let datagrams = flows.chunk_by(|a, b| a.time_ns == b.time_ns).flat_map(|window| window.chunks(20)).zip(0..);
    datagrams.map(|(of, number)| (arrival(of[0].exporter, of[0].time_ns), datagram(Speaks::Nine, of, (number, 0)))).collect()
}

type Truths = HashMap<(u64, String, String), BTreeMap<String, u64>>;

/// What each stat of each range and window is over all packets.
fn truths(all: &[Seen], ranges: &[IpNet], stats: &[Wanted]) -> Truths {
    let mut truths = Truths::new();
    for window in all.chunk_by(|a, b| a.time_ns / WINDOW_NS == b.time_ns / WINDOW_NS) {
        let (by_range, _) = views(ranges, |_, _| true, &window.iter().collect::<Vec<_>>());
        for (range, of) in by_range {
            let of: Vec<View<'_>> = of;
            let number = window[0].time_ns / WINDOW_NS;
            truths.extend(stats.iter().map(|stat| ((number, range.to_string(), stat.name.clone()), stat.counts(&of))));
        }
    }
    truths
}

/// Figures that hold the truth, and all, by kind.
type Tally = BTreeMap<String, (u64, u64)>;

fn judge(kept: &Kept, truths: &Truths, what: &str, tally: &mut Tally) {
    for report in &kept.ranges {
        assert_eq!(report.incomplete, None);
        for stat in &report.stats {
            let none = BTreeMap::new();
            let truth = truths.get(&(report.window_start_ns / WINDOW_NS, report.prefix.clone(), stat.name.clone())).unwrap_or(&none);
            let whole: u64 = truth.values().sum();
            let mut count = |kind: &str, of: &pb::Estimate, truth: u64| {
                assert_eq!((of.basis() == pb::Basis::Exact, of.high.is_some()), (false, true), "{what} {} {of:?}", stat.name);
                let truth = truth as f64;
                let (held, all) = tally.entry(format!("{what} {kind}")).or_default();
                *held += u64::from(of.low <= truth && truth <= of.high.unwrap());
                *all += 1;
            };
            match stat.figure.as_ref().unwrap() {
                Figure::Total(total) => count(&stat.name, total, whole),
                Figure::Distinct(distinct) => count(&stat.name, distinct.value.as_ref().unwrap(), truth.len() as u64),
                Figure::Top(top) => {
                    count(&format!("{} all", stat.name), top.all.as_ref().unwrap(), whole);
                    // The key that truly is the largest.
                    let largest = truth.iter().max_by_key(|(_, n)| **n).map(|(key, n)| (key.clone(), *n));
                    if let Some((key, n)) = largest
                        && let Some(entry) = top.entries.iter().find(|entry| entry.key == key)
                    {
                        count(&format!("{} largest", stat.name), entry.value.as_ref().unwrap(), n);
                    }
                }
                other => panic!("no such figure was asked for: {other:?}"),
            }
        }
    }
}

#[test]
fn intervals_hold_what_was_there_before_the_sampling() {
    let seed = std::env::var("FLOW_SAMPLES_SEED").ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
    println!("FLOW_SAMPLES_SEED={seed}");
    let (folder, stats) = (tempfile::tempdir().unwrap(), stats());
    let (all, ranges) = capture(folder.path());
    assert!(all.len() > 100_000 && ranges.len() > 10, "{} {}", all.len(), ranges.len());
    let truths = truths(&all, &ranges, &stats);
    let list: String = ranges.iter().map(|range| format!("{range},c\n")).collect();
    let rows: String = stats.iter().map(Wanted::row).collect();
    let config = load(folder.path(), &format!("prefix,customer\n{list}"), &format!("[ranges]\nfile = \"ranges.csv\"\n{rows}"));
    let mut tally = Tally::new();
    for at in seed..seed + SEEDS {
        let d = &mut ChaCha8Rng::seed_from_u64(at);
        let samples = sampled(d, &all, if at % 2 == 0 { 20 } else { 100 });
        judge(&analyse(&config, &as_sflow(&samples)), &truths, "sFlow", &mut tally);
        judge(&analyse(&config, &as_netflow(&samples)), &truths, "NetFlow", &mut tally);
    }
    let share = |(held, all): &(u64, u64)| *held as f64 / *all as f64;
    tally.iter().for_each(|(kind, of)| println!("{kind}: {} of {}, {:.3}", of.0, of.1, share(of)));
    let low: Vec<_> = tally.iter().filter(|(_, of)| share(of) < COVERED_LEAST).collect();
    assert!(low.is_empty() && tally.values().all(|(_, all)| *all > 300), "{low:?}");
}

/// Where every packet is sampled, sFlow says what packets do, to the byte: its frames are longer by their check sequence.
#[test]
fn samples_of_all_packets_are_the_packets() {
    let (folder, stats) = (tempfile::tempdir().unwrap(), stats());
    let (all, ranges) = capture(folder.path());
    let all = &all[..20_000];
    let truths = truths(all, &ranges, &stats);
    let list: String = ranges.iter().map(|range| format!("{range},c\n")).collect();
    let rows: String = stats.iter().map(Wanted::row).collect();
    let config = load(folder.path(), &format!("prefix,customer\n{list}"), &format!("[ranges]\nfile = \"ranges.csv\"\n{rows}"));
    let mut compared = 0;
    for report in analyse(&config, &as_sflow(all)).ranges {
        for stat in &report.stats {
            let Some(Figure::Total(total)) = &stat.figure else { continue };
            let truth = truths.get(&(report.window_start_ns / WINDOW_NS, report.prefix.clone(), stat.name.clone()));
            let truth: u64 = truth.into_iter().flat_map(BTreeMap::values).sum();
            assert_eq!((total.value, total.basis()), (truth as f64, pb::Basis::Exact), "{} {}", report.prefix, stat.name);
            compared += u64::from(truth > 0);
        }
    }
    assert!(compared > 20, "{compared}");
}

/// Two routers sample the same packets at different rates, one at the edge, one within: only the edge's count.
#[test]
fn what_two_exporters_see_counts_where_it_crosses_the_edge() {
    let folder = tempfile::tempdir().unwrap();
    let (all, ranges) = capture(folder.path());
    let inner = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    let list: String = ranges.iter().map(|range| format!("{range},c\n")).collect();
    let stats = stats();
    let rows: String = stats.iter().map(Wanted::row).collect();
    let text = format!("[ranges]\nfile = \"ranges.csv\"\n[flows.interfaces]\ndefault = \"internal\"\nexternal = [\"192.0.2.1/*\"]\n{rows}");
    let config = load(folder.path(), &format!("prefix,customer\n{list}"), &text);
    let d = &mut ChaCha8Rng::seed_from_u64(5);
    let (edge, within) = (sampled(d, &all, 50), sampled(d, &all, 10));
    let within: Vec<Seen> = within.into_iter().map(|seen| Seen { exporter: inner, ..seen }).collect();
    let alone = analyse(&config, &as_sflow(&edge));
    let mut came = [as_sflow(&edge), as_sflow(&within)].concat();
    came.sort_by_key(|(from, _)| from.received_ns);
    let both = analyse(&config, &came);
    assert!(alone.ranges.len() > 10);
    assert_eq!(alone.ranges, both.ranges);
    let total = both.appliance.last().and_then(|report| report.flow_analysis).unwrap();
    assert!(total.duplicate_view > total.matched && total.records == (edge.len() + within.len()) as u64, "{total:?}");
    assert_eq!(total.matched + total.unmatched + total.duplicate_view, total.records);
}
