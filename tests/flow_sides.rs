//! Where flow records count: once, though a router meters what comes in and what leaves, or with a figure that says it may be twice; and by
//! the header of a sampled frame that packets count by.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod flow_stats_support;

use std::net::IpAddr;

use flow_stats_support::{Came, Kept, Seen, Speaks, analyse, arrival, datagram, load};
use tailwater::report::pb::{self, stat::Figure};

const START_NS: u64 = 1_700_000_000_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const INSIDE: [&str; 2] = ["198.51.100.1", "2001:db8::1"];
const OUTSIDE: [&str; 2] = ["203.0.113.4", "2001:db8:9::4"];

/// Of ten packets, from outside (interface 7) to inside (2), or back.
fn flow(v6: bool, inwards: bool, leaves: bool, (second, number): (u64, u16)) -> Seen {
    let [inside, outside] = [INSIDE, OUTSIDE].map(|of| of[usize::from(v6)].parse::<IpAddr>().unwrap());
    let ((src, in_if), (dst, out_if)) = if inwards { ((outside, 7), (inside, 2)) } else { ((inside, 2), (outside, 7)) };
    Seen {
        exporter: "192.0.2.1".parse().unwrap(),
        in_if,
        out_if,
        src,
        dst,
        src_port: 1_000 + number,
        dst_port: 443,
        protocol: 17,
        tos: 0,
        tcp_flags: 0,
        packets: 10,
        bytes: 1_000,
        rate: 1,
        is_random: true,
        ttl: None,
        blocked: false,
        leaves,
        time_ns: START_NS + second * SECOND_NS,
        frame: None,
    }
}

fn sent(flows: &[Seen], speaks: Speaks) -> Vec<Came> {
    (0..).zip(flows).map(|(n, flow)| (arrival(flow.exporter, flow.time_ns), datagram(speaks, std::slice::from_ref(flow), (n, n)))).collect()
}

fn ran(flows: &[Seen], interfaces: &str) -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let stat =
        |direction| format!("[[stats]]\nname = \"{direction}\"\nsource = \"flows\"\ncalculation = \"sum\"\ndirection = \"{direction}\"\n");
    let text = format!(
        "[ranges]\nfile = \"ranges.csv\"\n[flows.interfaces]\nexternal = [\"192.0.2.1/7\"]\ndefault = \"internal\"\n{interfaces}\n{}{}",
        stat("ingress"),
        stat("egress")
    );
    let config = load(folder.path(), "prefix,customer\n198.51.100.0/24,c\n2001:db8::/48,c\n", &text);
    analyse(&config, &sent(flows, Speaks::Ipfix))
}

/// Value and low of a figure; none: it is exact. And whether the report says that it rests on a guess.
fn figures(kept: &Kept, prefix: &str, name: &str) -> Vec<(f64, Option<f64>, bool)> {
    let reports = kept.ranges.iter().filter(|report| report.prefix == prefix);
    reports
        .map(|report| {
            let Some(Figure::Total(total)) = report.stats.iter().find(|stat| stat.name == name).unwrap().figure else { panic!() };
            let is_exact = total.basis() == pb::Basis::Exact;
            assert_eq!(total.high.is_some(), is_exact);
            let reasons = report.incomplete.as_ref().map_or(&[][..], |incomplete| &incomplete.reasons);
            (total.value, (!is_exact).then_some(total.low), reasons.iter().any(|reason| reason == "flow_metering_unsettled"))
        })
        .collect()
}

/// The record of what leaves comes first, once in ten minutes: the first flow counts twice, and says so; the others once.
#[test]
fn a_flow_that_may_have_counted_twice_is_bounded_and_the_next_counts_once() {
    let flows: Vec<Seen> =
        (0..4).flat_map(|n| [true, false].map(|leaves| flow(false, true, leaves, (600 * n, u16::try_from(n).unwrap())))).collect();
    let kept = ran(&flows, "");
    let once = (10.0, None, false);
    assert_eq!(figures(&kept, "198.51.100.0/24", "ingress"), [(20.0, Some(10.0), true), once, once, once]);
    let account = |second: u64| {
        let start_ns = START_NS + second * SECOND_NS;
        let of = kept.appliance.iter().find(|report| report.window_start_ns == start_ns && !report.total).unwrap().flow_analysis.unwrap();
        (of.matched, of.duplicate_view, of.metering_unsettled)
    };
    assert_eq!([account(0), account(600)], [(2, 0, 1), (1, 1, 0)]);
    // Nothing is guessed of what is said.
    for said in [
        "metered = \"both\"",
        "metered_both = [\"192.0.2.1/*\"]",
        "metered = \"ingress\"",
        "metered_egress = [\"192.0.2.1/7\", \"192.0.2.1/2\"]",
    ] {
        assert_eq!(figures(&ran(&flows, said), "198.51.100.0/24", "ingress"), [once; 4], "{said}");
    }
}

/// IPv4 is metered where it comes in and where it leaves, IPv6 where it comes in: none of it vanishes.
#[test]
fn what_one_family_meters_hides_nothing_of_the_other() {
    let of = |at: u64| {
        (0..40).flat_map(move |n| {
            let at = (at, n);
            [flow(false, false, false, at), flow(false, false, true, at), flow(true, false, false, at)]
        })
    };
    let flows: Vec<Seen> = of(0).chain(of(400)).collect();
    let kept = ran(&flows, "");
    assert_eq!(figures(&kept, "2001:db8::/48", "egress"), [(400.0, Some(200.0), true), (400.0, None, false)]);
    assert_eq!(figures(&kept, "198.51.100.0/24", "egress")[1], (400.0, None, false));
    let sure = ran(&flows, "metered_ingress = [\"192.0.2.1/*\"]");
    for prefix in ["2001:db8::/48", "198.51.100.0/24"] {
        assert_eq!(figures(&sure, prefix, "egress"), [(400.0, None, false); 2]);
    }
}

/// Both ends are the customer's, and both interfaces external: in a direction of its own each record counts, of any direction each packet
/// once, in the range, in the range above and in the customer.
#[test]
fn a_flow_from_a_customer_to_the_same_counts_once_of_any_direction() {
    let flows: Vec<Seen> = (0..5)
        .flat_map(|n| {
            [(["198.51.100.1", "198.51.100.2"], 0), (["198.51.100.1", "198.51.100.129"], 100)].map(|(ends, port)| (n, ends, port))
        })
        .flat_map(|(n, ends, port)| [false, true].map(|leaves| (n, ends, port, leaves)))
        .map(|(n, [src, dst], port, leaves)| {
            let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
            Seen { src, dst, out_if: 8, ..flow(false, true, leaves, (60 * n, u16::try_from(n).unwrap() + port)) }
        })
        .collect();
    let stats = ["ingress", "egress", "any"].map(|direction| {
        format!("[[stats]]\nname = \"{direction}\"\nsource = \"flows\"\ncalculation = \"sum\"\ndirection = \"{direction}\"\n")
    });
    let text = format!("[ranges]\nfile = \"ranges.csv\"\nrollup = true\n[flows.interfaces]\nmetered = \"both\"\n{}", stats.concat());
    let folder = tempfile::tempdir().unwrap();
    let prefixes = "prefix,customer\n198.51.100.0/24,c\n198.51.100.0/25,c\n198.51.100.128/25,c\n";
    let kept = analyse(&load(folder.path(), prefixes, &text), &sent(&flows, Speaks::Ipfix));
    let of = |prefix: &str, scope: pb::Scope, name: &str| -> f64 {
        let reports = kept.ranges.iter().filter(|report| report.prefix == prefix && report.scope() == scope);
        let totals = reports.flat_map(|report| &report.stats).filter(|stat| stat.name == name).map(|stat| match &stat.figure {
            Some(Figure::Total(total)) => total.value,
            _ => panic!(),
        });
        totals.sum()
    };
    let all = |prefix, scope| ["ingress", "egress", "any"].map(|name| of(prefix, scope, name));
    assert_eq!(all("198.51.100.0/25", pb::Scope::Own), [50.0, 100.0, 100.0]);
    assert_eq!(all("198.51.100.128/25", pb::Scope::Own), [50.0, 0.0, 50.0]);
    assert_eq!(all("198.51.100.0/24", pb::Scope::Subtree), [100.0, 100.0, 100.0]);
    assert_eq!(all("", pb::Scope::Customer), [100.0, 100.0, 100.0]);
}

fn ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + body.len()).unwrap().to_be_bytes();
    [&[0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0], &src[..], &dst[..], body].concat()
}

fn ethernet(ip: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &[8, 0], ip].concat()
}

/// VXLAN to this address, with a datagram to 198.51.100.9, port 53, within.
fn tunnel(to: [u8; 4]) -> Vec<u8> {
    let inner = ethernet(&ipv4([8, 8, 8, 8], [198, 51, 100, 9], 17, &[0, 7, 0, 53, 0, 8, 0, 0]));
    let length = u16::try_from(16 + inner.len()).unwrap().to_be_bytes();
    let udp = [&[0, 4, 0x12, 0xB5, length[0], length[1], 0, 0, 8, 0, 0, 0, 0, 0, 5, 0][..], &inner].concat();
    ethernet(&ipv4([192, 0, 2, 77], to, 17, &udp))
}

/// A frame of which only the inner header is of a range, and one whose outer header is too.
#[test]
fn sampled_frames_count_by_the_header_that_packets_count_by() {
    let inner = "8.8.8.8|198.51.100.9|53".to_owned();
    let outer = "192.0.2.77|198.51.100.1|4789".to_owned();
    let frames = [[203, 0, 113, 2], [198, 51, 100, 1]].map(tunnel);
    let flows: Vec<Seen> = frames
        .into_iter()
        .map(|frame| Seen { packets: 1, bytes: frame.len() as u64, frame: Some(frame), ..flow(false, true, false, (0, 0)) })
        .collect();
    for (said, want) in [
        ("", vec![(inner.clone(), 1.0), (outer.clone(), 1.0)]),
        ("keys_from = \"innermost\"", vec![(inner, 2.0)]),
        ("keys_from = \"outermost\"", vec![(outer, 1.0)]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let stat = "[[stats]]\nname = \"top\"\nsource = \"flows\"\ncalculation = \"topk\"\nkey = [\"src_ip\", \"dst_ip\", \"dst_port\"]\n";
        let config = load(
            folder.path(),
            "prefix,customer\n198.51.100.0/24,c\n",
            &format!("[ranges]\nfile = \"ranges.csv\"\n[parse]\n{said}\n{stat}"),
        );
        let kept = analyse(&config, &sent(&flows, Speaks::Sflow));
        let Some(Figure::Top(top)) = kept.ranges[0].stats[0].figure.clone() else { panic!() };
        let mut told: Vec<(String, f64)> = top.entries.into_iter().map(|entry| (entry.key, entry.value.unwrap().value)).collect();
        told.sort_by(|a, b| a.0.cmp(&b.0).reverse());
        assert_eq!(told, want, "{said}");
    }
}
