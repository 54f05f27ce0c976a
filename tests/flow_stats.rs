//! Statistics of flow records against a slow model: random exporters of four formats, random ranges, stats, interfaces and rates.
//! `FLOW_STATS_SEED` repeats a run, `FLOW_STATS_ROUNDS` asks for more.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test says what it expects; its numbers are small"
)]

#[path = "enrich_support/mmdb.rs"]
#[allow(dead_code, reason = "not every test uses all of it")]
mod mmdb;

mod flow_stats_support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flow_stats_support::model::{Ledger, View, Wanted, views};
use flow_stats_support::{Came, Kept, Seen, Speaks, analyse, arrival, datagram, load};
use ipnet::IpNet;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tailwater::report::pb::{self, stat::Figure};

const WINDOW_NS: u64 = 10_000_000_000;
const START_NS: u64 = 1_700_000_000_000_000_000;
const WINDOWS: u64 = 3;

fn dice(d: &mut ChaCha8Rng, below: u64) -> u64 {
    d.next_u64() % below
}

fn pick<T: Clone>(d: &mut ChaCha8Rng, list: &[T]) -> T {
    list[dice(d, list.len() as u64) as usize].clone()
}

/// An exporter, what it speaks, and how it samples.
#[derive(Clone, Debug)]
struct Exporter {
    address: IpAddr,
    speaks: Speaks,
    rate: u64,
    is_random: bool,
}

fn exporters(d: &mut ChaCha8Rng, exact: bool) -> Vec<Exporter> {
    let all = [Speaks::Five, Speaks::Nine, Speaks::Ipfix, Speaks::Sflow];
    let exporter = |(at, speaks): (usize, Speaks), d: &mut ChaCha8Rng| {
        let rate = if exact { 1 } else { pick(d, &[0, 1, 1, 7, 100, 1_000, 16_000]) };
        // A large one does not fit version 5.
        let rate = if speaks != Speaks::Five && rate == 16_000 { pick(d, &[65_536, 100_003, 1 << 20]) } else { rate };
        Exporter {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, at as u8 + 1)),
            speaks,
            rate,
            is_random: speaks == Speaks::Sflow || dice(d, 2) == 0,
        }
    };
    let one_or_two = [all, all].concat();
    one_or_two.into_iter().enumerate().map(|each| exporter(each, d)).collect()
}

fn address(d: &mut ChaCha8Rng, v6: bool) -> IpAddr {
    let (net, host) = (dice(d, 5) as u16, dice(d, 4) as u16);
    if v6 {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, host))
    } else {
        IpAddr::V4(Ipv4Addr::new(198, 18, net as u8, host as u8))
    }
}

fn flow(d: &mut ChaCha8Rng, exporter: &Exporter, time_ns: u64) -> Seen {
    let sflow = exporter.speaks == Speaks::Sflow;
    let v6 = exporter.speaks != Speaks::Five && dice(d, 3) == 0;
    let protocol = pick(d, &[6, 6, 17, 17, 47]);
    let packets = if sflow || dice(d, 4) == 0 { 1 } else { pick(d, &[2, 3, 17, 900, 5_000]) };
    let mean = 60 + dice(d, 1_400);
    let ports = matches!(protocol, 6 | 17);
    Seen {
        exporter: exporter.address,
        in_if: 1 + dice(d, 3) as u32,
        out_if: 1 + dice(d, 3) as u32,
        src: address(d, v6),
        dst: address(d, v6),
        src_port: if ports { pick(d, &[53, 123, 443, 50_000]) } else { 0 },
        dst_port: if ports { pick(d, &[53, 80, 443, 4_242]) } else { 0 },
        protocol,
        tos: pick(d, &[0, 0, 184, 40]),
        tcp_flags: if protocol == 6 { pick(d, &[2, 18, 27, 16]) } else { 0 },
        packets,
        bytes: packets * mean,
        rate: exporter.rate,
        is_random: exporter.is_random,
        ttl: sflow.then(|| 50 + dice(d, 10) as u8),
        blocked: exporter.speaks == Speaks::Nine && dice(d, 4) == 0,
        leaves: false,
        time_ns,
        frame: None,
    }
}

/// All flows, and the datagrams that tell of them.
fn traffic(d: &mut ChaCha8Rng, exporters: &[Exporter]) -> (Vec<Seen>, Vec<Came>) {
    let (mut flows, mut came, mut numbers) = (Vec::new(), Vec::new(), vec![(0_u32, 0_u32); exporters.len()]);
    for step in 0..WINDOWS * 40 {
        let time_ns = START_NS + step * (WINDOW_NS / 40) + dice(d, 1_000_000);
        let at = dice(d, exporters.len() as u64) as usize;
        let exporter = &exporters[at];
        let of: Vec<Seen> = (0..1 + dice(d, 12)).map(|_| flow(d, exporter, time_ns)).collect();
        came.push((arrival(exporter.address, time_ns), datagram(exporter.speaks, &of, numbers[at])));
        numbers[at] = (numbers[at].0 + 1, numbers[at].1 + of.len() as u32);
        flows.extend(of);
    }
    (flows, came)
}

fn stats(d: &mut ChaCha8Rng) -> Vec<Wanted> {
    let keys = [
        "src_ip",
        "dst_ip",
        "src_prefix",
        "src_port",
        "dst_port",
        "protocol",
        "dscp",
        "ttl",
        "tcp_flags",
        "exporter",
        "in_if",
        "out_if",
        "packet_size",
        "src_asn",
        "dst_country",
    ];
    let stat = |at: u64, d: &mut ChaCha8Rng| {
        let calculation = pick(d, &["sum", "sum", "topk", "topk", "distinct", "histogram"]);
        let key = pick(d, &keys);
        let keys = match calculation {
            "sum" => vec!["none"],
            "histogram" => vec![pick(d, &["protocol", "tcp_flags"])],
            _ if dice(d, 3) == 0 && key != "in_if" => vec![key, "in_if"],
            _ => vec![key],
        };
        let only = match dice(d, 4) {
            0 => Some(("protocol", vec!["17".to_owned()])),
            1 => Some((pick(d, &["in_if", "out_if"]), vec!["1".to_owned(), "3".to_owned()])),
            2 if dice(d, 2) == 0 => Some(("exporter", vec!["192.0.2.1".to_owned(), "192.0.2.4".to_owned()])),
            2 => Some((pick(d, &["dst_asn", "src_asn"]), vec!["64500".to_owned(), "64502".to_owned()])),
            3 if dice(d, 2) == 0 => Some(("src_country", vec!["DE".to_owned(), "JP".to_owned()])),
            _ => None,
        };
        Wanted {
            name: format!("s{at}"),
            calculation,
            keys,
            bytes: calculation != "distinct" && dice(d, 2) == 0,
            direction: pick(d, &["ingress", "egress", "any"]),
            decision: pick(d, &["any", "any", "passed", "blocked"]),
            only,
        }
    };
    (0..14).map(|at| stat(at, d)).collect()
}

/// Ranges that nest, of both families.
fn ranges(d: &mut ChaCha8Rng) -> Vec<IpNet> {
    let all = [
        "198.18.0.0/24",
        "198.18.1.0/24",
        "198.18.1.2/32",
        "198.18.0.0/22",
        "198.18.4.0/30",
        "2001:db8::/48",
        "2001:db8:1::/48",
        "2001:db8::/32",
    ];
    let mut ranges: Vec<IpNet> = all.iter().filter(|_| dice(d, 3) > 0).map(|text| text.parse().unwrap()).collect();
    if ranges.is_empty() {
        ranges.push(all[0].parse().unwrap());
    }
    ranges
}

/// What is said of interfaces, and what that means.
fn interfaces(d: &mut ChaCha8Rng) -> (String, BTreeMap<(IpAddr, u32), bool>, bool) {
    if dice(d, 3) == 0 {
        return (String::new(), BTreeMap::new(), true);
    }
    let (mut said, mut lists) = (BTreeMap::new(), [Vec::new(), Vec::new()]);
    for exporter in 1..9 {
        for interface in 1..4 {
            let external = dice(d, 2) == 0;
            if dice(d, 2) == 0 {
                said.insert((IpAddr::V4(Ipv4Addr::new(192, 0, 2, exporter)), interface), external);
                lists[usize::from(external)].push(format!("\"192.0.2.{exporter}/{interface}\""));
            }
        }
    }
    let default = dice(d, 2) == 0;
    let [internal, external] = lists.map(|list| list.join(", "));
    let word = if default { "external" } else { "internal" };
    (format!("[flows.interfaces]\ndefault = \"{word}\"\nexternal = [{external}]\ninternal = [{internal}]\n"), said, default)
}

/// What the model says of networks, as databases have it.
fn databases(folder: &std::path::Path) {
    let networks = |n: u8| [format!("198.18.{n}.0/24"), format!("2001:db8:{n}::/48")];
    let all: Vec<(String, u8)> = (0..4).flat_map(|n| networks(n).map(|network| (network, n))).collect();
    let write = |name: &str, record: &dyn Fn(u8) -> mmdb::Datum| {
        let rows: Vec<(&str, mmdb::Datum)> = all.iter().map(|(network, n)| (&network[..], record(*n))).collect();
        std::fs::write(folder.join(name), mmdb::database(6, &rows)).unwrap();
    };
    write("asn.mmdb", &|n| mmdb::system(64_500 + u32::from(n), "an example"));
    write("country.mmdb", &|n| mmdb::country(["DE", "FR", "US", "JP"][usize::from(n)]));
}

#[test]
fn every_figure_is_what_a_slow_model_says() {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, rounds) = (given("FLOW_STATS_SEED").unwrap_or(1), given("FLOW_STATS_ROUNDS").unwrap_or(24));
    let mut compared = 0;
    for round in seed..seed + rounds {
        println!("FLOW_STATS_SEED={round} FLOW_STATS_ROUNDS=1");
        let d = &mut ChaCha8Rng::seed_from_u64(round);
        let (exporters, stats, ranges, (said, listed, default)) = (exporters(d, round % 2 == 0), stats(d), ranges(d), interfaces(d));
        let (flows, came) = traffic(d, &exporters);
        let folder = tempfile::tempdir().unwrap();
        let rows: String = stats.iter().map(Wanted::row).collect();
        let list: String = ranges.iter().map(|range| format!("{range},c\n")).collect();
        databases(folder.path());
        let enrich = "[enrich]\nasn = \"asn.mmdb\"\ncountry = \"country.mmdb\"\n";
        let text = format!("[ranges]\nfile = \"ranges.csv\"\n{enrich}{said}{rows}");
        let config = load(folder.path(), &format!("prefix,customer\n{list}"), &text);
        let kept = analyse(&config, &came);
        let external = |exporter: IpAddr, interface: u32| listed.get(&(exporter, interface)).copied().unwrap_or(default);
        compared += compare(&kept, &stats, &ranges, &flows, external);
    }
    assert!(compared > 100 * rounds, "{compared}: too little was there to compare");
}

fn compare(kept: &Kept, stats: &[Wanted], ranges: &[IpNet], flows: &[Seen], external: impl Fn(IpAddr, u32) -> bool) -> u64 {
    let mut compared = 0;
    let windows: BTreeSet<u64> = flows.iter().map(|flow| flow.time_ns / WINDOW_NS).collect();
    for window in windows {
        let of: Vec<&Seen> = flows.iter().filter(|flow| flow.time_ns / WINDOW_NS == window).collect();
        let (by_range, ledger) = views(ranges, &external, &of);
        let start = |start_ns: u64| start_ns == window * WINDOW_NS;
        let account = kept.appliance.iter().find(|report| start(report.window_start_ns) && !report.total).unwrap();
        compare_ledger(account.flow_analysis.as_ref().unwrap(), &ledger);
        let reports: Vec<&pb::RangeReport> = kept.ranges.iter().filter(|report| start(report.window_start_ns)).collect();
        let told: BTreeSet<&str> = reports.iter().map(|report| &report.prefix[..]).collect();
        assert_eq!(told.len(), by_range.len(), "{told:?}");
        let rates: BTreeSet<u64> = by_range.values().flatten().map(|view| view.flow.rate).collect();
        let is_exact = rates.iter().all(|rate| *rate == 1);
        // A weight of more bits is not kept beside a key.
        let is_heavy = rates.iter().any(|rate| *rate > u64::from(u16::MAX));
        for report in reports {
            let views = &by_range[&report.prefix.parse::<IpNet>().unwrap()];
            let unknown = views.iter().any(|view| view.flow.rate == 0);
            let reasons = report.incomplete.as_ref().map_or(&[][..], |incomplete| &incomplete.reasons);
            assert_eq!(reasons.iter().any(|reason| reason == "flow_rate_unknown"), unknown, "{}", report.prefix);
            for (wanted, stat) in stats.iter().zip(&report.stats) {
                assert_eq!((&stat.name, &stat.source[..]), (&wanted.name, "flows"));
                compare_stat(wanted, stat, views, (is_exact, is_heavy));
                compared += 1;
            }
        }
    }
    compared
}

fn compare_ledger(told: &pb::FlowAnalysis, want: &Ledger) {
    let told = Ledger {
        records: told.records,
        matched: told.matched,
        unmatched: told.unmatched,
        duplicate_view: told.duplicate_view,
        views: told.counted,
        rate_unknown: told.rate_unknown,
    };
    assert_eq!(told, *want);
}

fn compare_stat(wanted: &Wanted, stat: &pb::Stat, views: &[View<'_>], (is_exact, is_heavy): (bool, bool)) {
    let counts = wanted.counts(views);
    let all: u64 = counts.values().sum();
    let unproven = views.iter().any(|view| view.flow.rate == 0 || view.flow.rate > 1 && !view.flow.is_random);
    let check = |of: &Option<pb::Estimate>, want: u64, what: &str| {
        let of = of.as_ref().unwrap();
        assert_eq!(of.value, want as f64, "{what} {wanted:?} {of:?}");
        let bounds = (of.low <= of.value, of.high.is_none_or(|high| high >= of.value));
        assert_eq!(bounds, (true, true), "{what} {wanted:?} {of:?}");
        assert_eq!(of.basis() == pb::Basis::Exact, is_exact, "{what} {wanted:?} {of:?}");
        assert_eq!(of.high.is_none(), unproven, "{what} {wanted:?} {of:?}");
        if is_exact {
            assert_eq!((of.low, of.high), (of.value, Some(of.value)), "{what} {wanted:?}");
        }
    };
    match stat.figure.as_ref().unwrap() {
        Figure::Total(total) => check(&Some(*total), all, "sum"),
        Figure::Histogram(histogram) => {
            let told: BTreeMap<String, &pb::Bin> = histogram.bins.iter().map(|bin| (bin.label.clone().unwrap(), bin)).collect();
            assert_eq!(told.keys().collect::<Vec<_>>(), counts.keys().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
            counts.iter().for_each(|(key, want)| check(&told[key].value, *want, key));
        }
        Figure::Top(top) => {
            check(&top.all, all, "all");
            let told: Vec<&pb::TopEntry> = top.entries.iter().chain(&top.reserve).collect();
            assert_eq!(top.entries.len(), counts.len().min(20), "{wanted:?}");
            told.iter().for_each(|entry| check(&entry.value, counts[&entry.key], &entry.key));
        }
        Figure::Distinct(distinct) => {
            let value = distinct.value.as_ref().unwrap();
            assert_eq!(value.value, counts.len() as f64, "{wanted:?} {counts:?}");
            assert_eq!(value.high.is_none(), unproven || is_heavy, "{wanted:?} {value:?}");
        }
        other => panic!("no such figure was asked for: {other:?}"),
    }
}
