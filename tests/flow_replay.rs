//! `replay --flows` from outside: packets and flow records side by side in one range's report, the same in both modes; and what real
//! exporters sent adds up to what their messages say.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_precision_loss, reason = "a test says what it expects; counts are small")]

mod flow_stats_support;
mod flows_support;
#[allow(dead_code, reason = "shared by several tests")]
mod replaying;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use flow_stats_support::{Seen, Speaks, datagram, framed};
use replaying::files::{ETHERNET, Record, pcap, syn, whole, write};
use replaying::{Ran, count, replay, stat};
use serde_json::Value;
use tailwater::flows::Flow;
use tailwater::limits::FLOW_PACKET_BYTES_MAX;

const START_NS: u64 = 1_700_000_000_000_000_000;

fn config(folder: &Path, ranges: &str, text: &str) -> PathBuf {
    write(folder, "ranges.csv", format!("prefix,customer\n{ranges}").as_bytes());
    write(folder, "tailwater.toml", text.as_bytes())
}

const STATS: &str = "[ranges]\nfile = \"ranges.csv\"\n\
    [[stats]]\nname = \"packets\"\ncalculation = \"sum\"\n\
    [[stats]]\nname = \"flow_packets\"\ncalculation = \"sum\"\nsource = \"flows\"\n\
    [[stats]]\nname = \"exporters\"\ncalculation = \"topk\"\nkey = [\"exporter\", \"link\"]\nmetric = \"bytes\"\nsource = \"flows\"\n\
    [[stats]]\nname = \"sources\"\ncalculation = \"topk\"\nkey = \"src_ip\"\nfast = true\n\
    [[links]]\nname = \"transit\"\nexporter = \"192.0.2.1\"\nif_index = 7\ncapacity_bps = 1_000_000_000\n";

fn flow(rate: u64, packets: u64, time_ns: u64) -> Seen {
    Seen {
        exporter: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        in_if: 7,
        out_if: 2,
        src: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 4)),
        dst: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
        src_port: 53,
        dst_port: 4_242,
        protocol: 17,
        tos: 0,
        tcp_flags: 0,
        packets,
        bytes: 100 * packets,
        rate,
        is_random: true,
        ttl: None,
        blocked: false,
        leaves: false,
        time_ns,
        frame: None,
    }
}

/// Half a minute of packets, one a second from another source, and in between export datagrams.
fn mixed() -> (Vec<Record>, Vec<Record>) {
    let packets = (0..30_u8).map(|at| whole(START_NS + u64::from(at) * 1_000_000_000, syn(at))).collect();
    let export = |at: u32| {
        let time_ns = START_NS + u64::from(at) * 1_000_000_000 + 500_000_000;
        let flows = [flow(1, 10, time_ns), flow(1, 1, time_ns)];
        let speaks = if at.is_multiple_of(2) { Speaks::Five } else { Speaks::Ipfix };
        let bytes = datagram(speaks, &flows, (at / 2, at / 2 * 2));
        whole(time_ns, framed((flows[0].exporter, &bytes)))
    };
    (packets, (0..30).map(export).collect())
}

#[test]
fn packets_and_flows_stand_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let (packets, exports) = mixed();
    let mut both = [packets.clone(), exports].concat();
    both.sort_by_key(|record| record.time_ns);
    let alone = write(folder.path(), "packets.pcap", &pcap(ETHERNET, &packets));
    let both = write(folder.path(), "both.pcap", &pcap(ETHERNET, &both));
    let config = config(folder.path(), "198.51.100.0/24,c\n", STATS);
    let ran = replay(&config, std::slice::from_ref(&both), &["--flows"]);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert_eq!(ran.ledger_faults(), Vec::<String>::new());
    let of_packets = replay(&config, &[alone], &[]);
    let mut seen = 0;
    for (report, packets) in ran.ranges().iter().zip(of_packets.ranges()) {
        assert_eq!(report["windowStartNs"], packets["windowStartNs"]);
        for name in ["packets", "sources"].into_iter().filter(|name| *name == "sources" || report["windowKind"] == "LONG") {
            assert_eq!(stat(report, name), stat(&packets, name), "no flow record counts among packets");
        }
        let names = |report: &Value| report["stats"].as_array().unwrap().iter().map(|stat| stat["name"].clone()).collect::<Vec<_>>();
        assert!(!names(&packets).contains(&Value::from("flow_packets")), "what nobody gives is absent");
        if report["windowKind"] == "LONG" {
            let (flows, top) = (stat(report, "flow_packets"), stat(report, "exporters"));
            assert_eq!((flows["source"].as_str(), stat(report, "packets")["source"].as_str()), (Some("flows"), Some("packets")));
            assert_eq!((flows["total"]["value"].as_f64(), flows["total"]["basis"].as_str()), (Some(110.0), Some("EXACT")));
            let entry = &top["top"]["entries"][0];
            assert_eq!((entry["key"].as_str(), entry["value"]["value"].as_f64()), (Some("192.0.2.1|transit"), Some(11_000.0)));
            seen += 1;
        }
    }
    assert_eq!(seen, 3);
    assert_flow_totals(&ran);
    let other = replay(&config, &[both], &["--flows", "--mode", "pipeline", "--workers", "2"]);
    assert_eq!(ran.range_lines(), other.range_lines());
}

/// Its word counts before the exporter's, in the mirror's captures too; and reports of other rates have another hash.
#[test]
fn what_the_operator_says_of_rates_holds() {
    let folder = tempfile::tempdir().unwrap();
    let capture = write(folder.path(), "export.pcap", &pcap(ETHERNET, &mixed().1));
    let of = |rows: &str| {
        let config = config(folder.path(), "198.51.100.0/24,c\n", &format!("{STATS}[flows]\nlisten = [\"udp/2055\"]\n{rows}"));
        let ran = replay(&config, std::slice::from_ref(&capture), &["--flows"]);
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        let long: Vec<_> = ran.ranges().into_iter().filter(|report| report["windowKind"] == "LONG").collect();
        let packets = long.iter().map(|report| stat(report, "flow_packets")["total"]["value"].as_f64().unwrap()).sum::<f64>();
        (packets, long[0]["configHash"].as_str().unwrap().to_owned())
    };
    let (told, said) = (of(""), of("sampling = [\"192.0.2.1=1000\"]\n"));
    assert_eq!((told.0, said.0), (330.0, 330_000.0));
    assert_ne!(told.1, said.1);
}

fn assert_flow_totals(ran: &Ran) {
    let total = ran.total();
    let of = |name: &str| count(&total["flowAnalysis"][name]);
    assert_eq!(["records", "matched", "views", "counted", "missing", "lost"].map(of), [60, 60, 60, 60, 0, 0]);
    // Export datagrams are no packets.
    assert_eq!(count(&total["ledger"]["received"]), 30);
}

/// A flow between two ranges of a customer is a record of each, and one of the customer.
#[test]
fn a_flow_between_two_ranges_counts_once_for_their_customer() {
    let folder = tempfile::tempdir().unwrap();
    let flows = [flow(1, 10, START_NS), Seen { dst: IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), ..flow(1, 3, START_NS) }];
    let export = whole(START_NS, framed((flows[0].exporter, &datagram(Speaks::Nine, &flows, (0, 0)))));
    let file = write(folder.path(), "rollup.pcap", &pcap(ETHERNET, &[export]));
    let sum = |name: &str| format!("[[stats]]\nname = \"{name}\"\ncalculation = \"sum\"\nsource = \"flows\"\ndirection = \"{name}\"\n");
    // What the mirror shows is nothing to exporters.
    let text = "[ranges]\nfile = \"ranges.csv\"\nrollup = true\n[mirror]\ndirections = [\"ingress\"]\n".to_owned();
    let text = ["ingress", "egress", "any"].iter().fold(text, |text, name| text + &sum(name));
    let config = config(folder.path(), "198.51.100.0/24,c\n203.0.113.0/24,c\n", &text);
    let ran = replay(&config, &[file], &["--flows"]);
    let of = |scope: &str, prefix: &str| {
        let reports = ran.ranges();
        let report = reports.iter().find(|report| report["scope"] == scope && report["prefix"] == prefix).unwrap();
        ["ingress", "egress", "any"].map(|name| stat(report, name)["total"]["value"].as_f64().unwrap())
    };
    assert_eq!(of("OWN", "198.51.100.0/24"), [10.0, 0.0, 10.0]);
    assert_eq!(of("OWN", "203.0.113.0/24"), [0.0, 13.0, 13.0]);
    assert_eq!(of("CUSTOMER", ""), [10.0, 13.0, 13.0]);
}

/// Records that are missing by their exporter's numbers make figures of flows open-ended, and none of packets.
#[test]
fn a_gap_is_told_with_the_figures_that_lack_it() {
    let folder = tempfile::tempdir().unwrap();
    let export = |number: u32| {
        let flows = [flow(1, 10, START_NS)];
        whole(START_NS + u64::from(number), framed((flows[0].exporter, &datagram(Speaks::Five, &flows, (number, number)))))
    };
    let file = write(folder.path(), "gap.pcap", &pcap(ETHERNET, &[export(0), export(1), export(5), whole(START_NS + 9, syn(1))]));
    let config = config(folder.path(), "198.51.100.0/24,c\n", STATS);
    let ran = replay(&config, &[file], &["--flows"]);
    let reports = ran.ranges();
    let report = reports.iter().find(|report| report["windowKind"] == "LONG").unwrap();
    assert_eq!(report["incomplete"]["reasons"], serde_json::json!(["flows_lost"]));
    let (flows, packets) = (&stat(report, "flow_packets")["total"], &stat(report, "packets")["total"]);
    assert_eq!((flows["value"].as_f64(), flows["low"].as_f64(), flows.get("high")), (Some(30.0), Some(30.0), None));
    assert_eq!((packets["value"].as_f64(), packets["high"].as_f64()), (Some(1.0), Some(1.0)));
    assert_eq!(count(&ran.total()["flowAnalysis"]["missing"]), 3);
}

/// What an analysis makes of a message: packets and bytes, scaled.
fn scaled(flow: &Flow) -> Option<(bool, u128, u128)> {
    let f = &flow.fields;
    let (src, dst) = (f.src_addr.ip()?, f.dst_addr.ip()?);
    let rate = if f.sampling_rate > 1 << 24 { 1 } else { u128::from(f.sampling_rate.max(1)) };
    let (packets, bytes) = if f.packets | f.bytes == 0 {
        (u64::from(f.frame_bytes > 0), f.frame_bytes)
    } else {
        (f.packets, f.bytes.saturating_sub(f.fcs_bytes.into()))
    };
    let at_least = |packets: u64, bytes: u64| if packets == 0 { bytes.div_ceil(FLOW_PACKET_BYTES_MAX) } else { packets };
    // What came back counts too: here both ways are of one range.
    let back = match f.reverse_packets | f.reverse_bytes {
        0 => (f.responder_packets, f.responder_bytes),
        _ => (f.reverse_packets, f.reverse_bytes),
    };
    let (packets, bytes) = (at_least(packets, bytes) + at_least(back.0, back.1), bytes + back.1);
    (src.is_ipv4() == dst.is_ipv4()).then(|| (src.is_ipv4(), rate * u128::from(packets), rate * u128::from(bytes)))
}

#[test]
fn what_real_exporters_sent_adds_up_to_their_messages() {
    let Some(captures) = flows_support::captures("what_real_exporters_sent_adds_up_to_their_messages") else { return };
    let folder = tempfile::tempdir().unwrap();
    let sum = |name: &str, metric: &str| {
        format!("[[stats]]\nname = \"{name}\"\ncalculation = \"sum\"\nmetric = \"{metric}\"\nsource = \"flows\"\ndirection = \"any\"\n")
    };
    let text = format!("[ranges]\nfile = \"ranges.csv\"\n{}{}", sum("packets", "packets"), sum("bytes", "bytes"));
    let config = config(folder.path(), "0.0.0.0/0,all\n::/0,all\n", &text);
    let (mut matched, mut of_twins) = (0, 0);
    for file in captures {
        let flows = flows_support::feed(&mut flows_support::collector(), &flows_support::datagrams(&file));
        let ran = replay(&config, std::slice::from_ref(&file), &["--flows"]);
        assert_eq!((ran.status, ran.ledger_faults().len()), (Some(0), 0), "{}: {}", file.display(), ran.stderr);
        let (total, reports) = (ran.total(), ran.ranges());
        let of = |name: &str| count(&total["flowAnalysis"][name]);
        assert_eq!(of("records"), flows.len() as u64, "{}", file.display());
        assert_eq!(
            of("records"),
            ["matched", "no_address", "no_counts", "implausible", "duplicate_view"].map(|name| of(&camel(name))).iter().sum::<u64>()
        );
        assert_eq!((of("views"), of("implausible")), (of("counted"), 0), "{}", file.display());
        matched += of("matched");
        // Of a router that meters both ways a flow comes in by one record, and leaves by another, which is the same packets.
        if of("duplicateView") > 0 {
            of_twins += 1;
            continue;
        }
        for (prefix, is_v4) in [("0.0.0.0/0", true), ("::/0", false)] {
            let all: Vec<_> = flows.iter().filter_map(scaled).filter(|(v4, ..)| *v4 == is_v4).collect();
            let want = all.iter().fold((0, 0), |(packets, bytes), (_, p, b)| (packets + p, bytes + b));
            let told = |name| {
                reports
                    .iter()
                    .filter(|report| report["prefix"] == prefix)
                    .map(|r| stat(r, name)["total"]["value"].as_f64().unwrap())
                    .sum::<f64>()
            };
            assert_eq!((told("packets"), told("bytes")), (want.0 as f64, want.1 as f64), "{} {prefix}", file.display());
        }
    }
    assert!(matched > 1_000 && of_twins <= 5, "{matched} {of_twins}");
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + &part[..1].to_uppercase() + &part[1..])
}

/// A record of both directions is half told where either is.
#[test]
fn the_way_back_may_be_half_told_alone() {
    use flows_support::told::{REVERSE, ipfix, of, sets};
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "198.51.100.0/24,c\n", STATS);
    let both = [of(8, &[203, 0, 113, 4]), of(12, &[198, 51, 100, 1]), of(1, &[100]), of(2, &[1])];
    for (packets_back, half_told) in [(None, 1), (Some(1), 0)] {
        let back = [Some((1, Some(REVERSE), vec![90])), packets_back.map(|n| (2, Some(REVERSE), vec![n]))];
        let bytes = ipfix(0, 0, &sets(10, &both.iter().cloned().chain(back.into_iter().flatten()).collect::<Vec<_>>()));
        let record = whole(START_NS, framed((IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), &bytes)));
        let file = write(folder.path(), "exports.pcap", &pcap(ETHERNET, &[record]));
        let ran = replay(&config, &[file], &["--flows"]);
        let total = ran.total();
        let of = |name: &str| count(&total["flowAnalysis"][name]);
        assert_eq!((of("matched"), of("views"), of("halfTold")), (1, 2, half_told), "{total}");
    }
}
