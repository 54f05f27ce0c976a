//! What flows do not tell, and what is asked of them: totals that run on, counts that a forger names, prefixes of `of`, links by name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod flow_stats_support;

use std::net::{IpAddr, Ipv4Addr};

use flow_stats_support::{Came, Kept, analyse, arrival, load};
use tailwater::flows::{Collector, Flow, Settings};
use tailwater::report::pb;
use tailwater::report::pb::stat::Figure;

const EXPORTER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const START_NS: u64 = 1_700_000_000_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const RANGES: &str = "[ranges]\nfile = \"ranges.csv\"\n";
/// Source, destination, ports, protocol, the interface that it came by, and the rate; behind these the counts.
const KEYS: [(u16, u16); 7] = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (10, 4), (34, 4)];
const DELTAS: [u16; 2] = [2, 1];
const TOTALS: [u16; 2] = [86, 85];

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &u16::try_from(body.len() + 4).unwrap().to_be_bytes(), body].concat()
}

/// IPFIX with a template of these counts, eight octets each, and records: source, destination, each count.
fn ipfix(number: u32, counts: &[u16], records: &[([u8; 4], [u8; 4], &[u64])]) -> Vec<u8> {
    let fields = KEYS.into_iter().chain(counts.iter().map(|id| (*id, 8)));
    let template: Vec<u16> =
        [256, u16::try_from(KEYS.len() + counts.len()).unwrap()].into_iter().chain(fields.flat_map(|(id, bytes)| [id, bytes])).collect();
    let template: Vec<u8> = template.into_iter().flat_map(u16::to_be_bytes).collect();
    let record = |(src, dst, values): &([u8; 4], [u8; 4], &[u64])| {
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
        [&src[..], dst, &[0, 53, 16, 146, 17, 0, 0, 0, 7, 0, 0, 0, 1], &values].concat()
    };
    let sets = [set(2, &template), set(256, &records.iter().flat_map(record).collect::<Vec<u8>>())].concat();
    let length = u16::try_from(sets.len() + 16).unwrap().to_be_bytes();
    [&[0, 10][..], &length, &[0; 4], &number.to_be_bytes(), &[0; 4], &sets].concat()
}

fn came(at: u64, datagram: Vec<u8>) -> Came {
    (arrival(EXPORTER, START_NS + at * SECOND_NS), datagram)
}

fn row(name: &str, rest: &str) -> String {
    format!("[[stats]]\nname = \"{name}\"\nsource = \"flows\"\n{rest}\n")
}

fn kept(text: &str, came: &[Came]) -> Kept {
    let folder = tempfile::tempdir().unwrap();
    analyse(&load(folder.path(), "prefix,customer\n10.0.0.0/24,a\n10.0.1.0/24,b\n", &format!("{RANGES}{text}")), came)
}

/// Of a range in the first window.
fn figure(kept: &Kept, prefix: &str, name: &str) -> Figure {
    let report = kept.ranges.iter().find(|report| report.prefix == prefix).unwrap();
    report.stats.iter().find(|stat| stat.name == name).unwrap().figure.clone().unwrap()
}

fn total(kept: &Kept, prefix: &str) -> (f64, f64, Option<f64>, pb::Basis) {
    let Figure::Total(total) = figure(kept, prefix, "packets") else { panic!("no total") };
    (total.value, total.low, total.high, total.basis())
}

/// A flow is told of three times, at its exporter's active timeout, by what it has in all: it has 40 packets, of which each record tells
/// again what those before told. So the sum is the most that it may be, and no more is claimed; other ranges are exact.
#[test]
fn totals_that_run_on_are_no_exact_counts() {
    let sum = row("packets", "calculation = \"sum\"");
    let (source, ours, others) = ([8, 8, 8, 8], [10, 0, 0, 2], [10, 0, 1, 2]);
    let told = |counts: &[u16]| -> Kept {
        let record = |at: u32, packets: u64| {
            let values: Vec<u64> = counts.iter().map(|id| if [1, 85].contains(id) { packets * 100 } else { packets }).collect();
            came(u64::from(at), ipfix(2 * at, counts, &[(source, ours, &values)]))
        };
        let plain = came(3, ipfix(5, &DELTAS, &[(source, others, &[7, 700])]));
        kept(&sum, &[record(0, 10), record(1, 25), record(2, 40), plain])
    };
    for counts in [&TOTALS[..], &[86, 1], &[2, 85]] {
        let kept = told(counts);
        assert_eq!(total(&kept, "10.0.0.0/24"), (75.0, 0.0, None, pb::Basis::Sampled), "{counts:?}");
        assert_eq!(total(&kept, "10.0.1.0/24"), (7.0, 7.0, Some(7.0), pb::Basis::Exact), "{counts:?}");
        let totals = kept.appliance.iter().find(|report| report.total).unwrap().flow_analysis.unwrap().running_totals;
        assert_eq!(totals, 3, "{counts:?}");
    }
    // Where the record tells what it adds, totals beside it are no matter.
    for counts in [&DELTAS[..], &[2, 1, 86, 85], &[24, 23, 86, 85]] {
        let kept = told(counts);
        assert_eq!(total(&kept, "10.0.0.0/24"), (75.0, 75.0, Some(75.0), pb::Basis::Exact), "{counts:?}");
    }
}

/// Lengths hold for prefixes in `of` whatever the key is.
#[test]
fn prefixes_of_the_others_have_the_row_s_length() {
    let sources = [[8, 8, 8, 8], [8, 1, 8, 9], [8, 2, 1, 1], [8, 8, 8, 5], [9, 8, 8, 8]];
    let records: Vec<([u8; 4], [u8; 4], &[u64])> = sources.iter().map(|source| (*source, [10, 0, 0, 2], &[1, 100][..])).collect();
    let fanout = |name: &str, rest: &str| row(name, &format!("calculation = \"fanout\"\n{rest}"));
    let text = [
        fanout("usual", "key = \"dst_ip\"\nof = \"src_prefix\""),
        fanout("eight", "key = \"dst_ip\"\nof = \"src_prefix\"\nprefix_v4 = 8"),
        fanout("pair", "key = \"protocol\"\nof = [\"src_prefix\", \"dst_port\"]\nprefix_v4 = 16"),
        fanout("both", "key = \"dst_prefix\"\nof = \"src_prefix\"\nprefix_v4 = 8"),
        fanout("plain", "key = \"dst_ip\"\nof = \"src_ip\"\nprefix_v4 = 8"),
    ];
    let kept = kept(&text.concat(), &[came(0, ipfix(0, &DELTAS, &records))]);
    let touched = |name: &str| {
        let Figure::Top(top) = figure(&kept, "10.0.0.0/24", name) else { panic!("no ranking") };
        (top.entries[0].key.clone(), top.entries[0].value.unwrap().value)
    };
    let want = [
        ("usual", "10.0.0.2", 4.0),
        ("eight", "10.0.0.2", 2.0),
        ("pair", "17", 4.0),
        ("both", "10.0.0.0/8", 2.0),
        ("plain", "10.0.0.2", 5.0),
    ];
    for (name, key, others) in want {
        assert_eq!(touched(name), (key.to_owned(), others), "{name}");
    }
}

/// The lengths are part of what is counted, and lengths that nothing has use for are not.
#[test]
fn the_hash_of_a_configuration_has_the_lengths_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let hash = |rest: &str| {
        let text = format!("{RANGES}{}", row("x", &format!("calculation = \"fanout\"\nkey = \"dst_ip\"\n{rest}")));
        load(folder.path(), "prefix,customer\n10.0.0.0/24,a\n", &text).hash
    };
    let of = |length: u8| hash(&format!("of = \"src_prefix\"\nprefix_v4 = {length}"));
    assert_eq!((of(24), hash("of = \"src_ip\"")), (hash("of = \"src_prefix\""), hash("of = \"src_ip\"\nprefix_v4 = 8")));
    assert_ne!(of(8), of(24));
}

/// Bins are named as reports name links; among several keys too.
#[test]
fn bins_of_links_are_listed_by_name() {
    let links: String = (1..=3)
        .map(|n| format!("[[links]]\nname = \"up{n}\"\ncapacity_bps = 1000000\nexporter = \"192.0.2.1\"\nif_index = {}\n", 5 + n))
        .collect();
    let histogram = |name: &str, rest: &str| row(name, &format!("calculation = \"histogram\"\n{rest}"));
    let text = [
        histogram("links", "key = \"link\"\nbins = [\"up3\", \"up2\"]"),
        histogram("pairs", "key = [\"protocol\", \"link\"]\nbins = [\"17|up2\", \"6|up2\"]"),
        histogram("flow", "key = [\"flow\", \"link\"]\nbins = [\"8.8.8.8|53|10.0.0.2|4242|17|up2\"]"),
    ];
    let kept = kept(&(links + &text.concat()), &[came(0, ipfix(0, &DELTAS, &[([8, 8, 8, 8], [10, 0, 0, 2], &[3, 300])]))]);
    let bins = |name: &str| {
        let Figure::Histogram(histogram) = figure(&kept, "10.0.0.0/24", name) else { panic!("no histogram") };
        let bins = histogram.bins.into_iter().map(|bin| (bin.label.unwrap(), bin.value.unwrap().value));
        bins.filter(|(label, value)| label != "other" || *value > 0.0).collect::<Vec<_>>()
    };
    let want = |list: &[(&str, f64)]| list.iter().map(|(label, value)| ((*label).to_owned(), *value)).collect::<Vec<_>>();
    assert_eq!(bins("links"), want(&[("up3", 0.0), ("up2", 3.0)]));
    assert_eq!(bins("pairs"), want(&[("17|up2", 3.0), ("6|up2", 0.0)]));
    assert_eq!(bins("flow"), want(&[("8.8.8.8|53|10.0.0.2|4242|17|up2", 3.0)]));
}

/// What is missing by a forged count is no more than a datagram may have held.
#[test]
fn a_count_of_samples_is_bounded_by_what_a_datagram_holds() {
    let sflow = |number: u32, samples: u32| {
        let words = [5, 1, 0xC000_0201, 0, number, 1_000 * number, samples];
        [words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect::<Vec<u8>>(), vec![0, 0, 0, 99, 0, 0, 0, 4, 1, 2, 3, 4]].concat()
    };
    let mut collector = Collector::new(&Settings::default());
    for (number, samples) in [(1, 1), (2, 3), (3, u32::MAX)] {
        collector.take(&arrival(EXPORTER, START_NS + u64::from(number)), &sflow(number, samples), &mut |_: &Flow| {});
    }
    let ledger = collector.ledger();
    assert!(ledger.balances(), "{ledger}");
    let told = ledger.to_string();
    assert!(told.contains("missing 8193") && told.contains("other_sample 3") && ledger.sets == 3 + 8_193, "{told}");
}
