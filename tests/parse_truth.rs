//! The parser against real captures whose truth was computed by independent tools.
//!
//! `ONLY=NAME` judges one capture; `DUMP=1` prints what was read of each frame.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod captures;
mod parse_truth_wrong;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use parse_truth_wrong::WRONG;
use serde_json::Value;
use tailwater::parse::{IpHeader, MirrorPlan, Parsed, parse_into};
use tailwater::record::Fragment;

/// What was counted in one capture, under the truth's own names.
#[derive(Default)]
struct Tally {
    numbers: BTreeMap<&'static str, u64>,
    /// Counts by text: protocols, versions, VLAN ids, addresses, ports.
    by_text: BTreeMap<&'static str, BTreeMap<String, u64>>,
    distinct: BTreeMap<&'static str, BTreeSet<IpAddr>>,
}

const NUMBERS: [&str; 11] = [
    "frames",
    "wire_bytes",
    "ipv4_packets",
    "ipv6_packets",
    "non_ip_frames",
    "fragments_outer",
    "fragments_any",
    "tcp_syn_no_ack_outer",
    "tcp_syn_no_ack",
    "tcp_syn_ack",
    "l3_bytes_outer",
];
const DISTINCT: [&str; 4] =
    ["distinct_src_outermost", "distinct_dst_outermost", "distinct_src_innermost_ext", "distinct_dst_innermost_ext"];
const MAPS: [&str; 4] = ["outer_proto", "innermost_ext_proto", "innermost_ext_ip_version", "vlan_ids_outer"];
const TOPS: [&str; 8] = [
    "top10_src_by_packets",
    "top10_dst_by_packets",
    "top10_src_by_bytes",
    "top10_dst_by_bytes",
    "top10_tcp_dst_ports_outer",
    "top10_udp_dst_ports_outer",
    "top10_tcp_dst_ports_inner",
    "top10_udp_dst_ports_inner",
];

/// Counts of the innermost header that the truth reached through the tunnels of its own list alone.
const OF_LISTED_TUNNELS: [&str; 4] = ["tcp_syn_no_ack", "tcp_syn_ack", "top10_tcp_dst_ports_inner", "top10_udp_dst_ports_inner"];

/// Tunnels that are parsed here and that the truth's list lacks; the chains it gives end with them.
const UNLISTED_TUNNELS: [&str; 5] = ["geneve", "nsh", "pppoes", "ppp", "ieee8021ah"];

fn has_tunnels_beyond_its_list(truth: &Value) -> bool {
    let chains = truth["protocol_chains"].as_object().unwrap();
    chains.keys().any(|chain| UNLISTED_TUNNELS.iter().any(|tunnel| chain.rsplit(':').next() == Some(*tunnel)))
}

fn ip(header: &IpHeader, address: [u8; 16]) -> IpAddr {
    match address {
        bytes if header.v6 => Ipv6Addr::from(bytes).into(),
        [a, b, c, d, ..] => Ipv4Addr::new(a, b, c, d).into(),
    }
}

impl Tally {
    fn add(&mut self, name: &'static str, count: u64) {
        *self.numbers.entry(name).or_default() += count;
    }

    fn text(&mut self, name: &'static str, text: impl ToString, count: u64) {
        *self.by_text.entry(name).or_default().entry(text.to_string()).or_default() += count;
    }

    fn frame(&mut self, parsed: &Parsed, wire_bytes: u32, is_packet: bool) {
        self.add("frames", 1);
        self.add("wire_bytes", wire_bytes.into());
        for id in parsed.link.vlan_ids() {
            self.text("vlan_ids_outer", id, 1);
        }
        let (Some(outer), Some(inner)) = (parsed.headers().first(), parsed.headers().last()) else {
            assert!(!is_packet, "a packet without a header");
            return self.add("non_ip_frames", 1);
        };
        assert!(is_packet, "a header of a frame that is no packet");
        self.outermost(parsed, outer, wire_bytes);
        self.innermost(inner);
        self.add("fragments_any", parsed.headers().iter().any(|h| h.fragment != Fragment::None).into());
    }

    fn outermost(&mut self, parsed: &Parsed, outer: &IpHeader, wire_bytes: u32) {
        self.add(if outer.v6 { "ipv6_packets" } else { "ipv4_packets" }, 1);
        self.text("outer_proto", outer.protocol, 1);
        self.add("fragments_outer", (outer.fragment != Fragment::None).into());
        self.add("tcp_syn_no_ack_outer", outer.tcp_flags.is_some_and(|f| f & 0x12 == 2).into());
        // Where none is claimed the truth has what the wire held.
        let l3_bytes = if outer.ip_bytes == 0 { wire_bytes - parsed.link.bytes } else { outer.ip_bytes };
        self.add("l3_bytes_outer", l3_bytes.into());
        for (distinct, packets, bytes, address) in [
            ("distinct_src_outermost", "top10_src_by_packets", "top10_src_by_bytes", outer.src),
            ("distinct_dst_outermost", "top10_dst_by_packets", "top10_dst_by_bytes", outer.dst),
        ] {
            let address = ip(outer, address);
            self.distinct.entry(distinct).or_default().insert(address);
            self.text(packets, address, 1);
            self.text(bytes, address, wire_bytes.into());
        }
        self.port(outer, "top10_tcp_dst_ports_outer", "top10_udp_dst_ports_outer");
    }

    fn innermost(&mut self, inner: &IpHeader) {
        self.text("innermost_ext_proto", inner.protocol, 1);
        self.text("innermost_ext_ip_version", if inner.v6 { 6 } else { 4 }, 1);
        self.add("tcp_syn_no_ack", inner.tcp_flags.is_some_and(|f| f & 0x12 == 2).into());
        self.add("tcp_syn_ack", inner.tcp_flags.is_some_and(|f| f & 0x12 == 0x12).into());
        self.distinct.entry("distinct_src_innermost_ext").or_default().insert(ip(inner, inner.src));
        self.distinct.entry("distinct_dst_innermost_ext").or_default().insert(ip(inner, inner.dst));
        self.port(inner, "top10_tcp_dst_ports_inner", "top10_udp_dst_ports_inner");
    }

    fn port(&mut self, header: &IpHeader, tcp: &'static str, udp: &'static str) {
        match (header.protocol, header.ports) {
            (6, Some((_, to))) => self.text(tcp, to, 1),
            (17, Some((_, to))) => self.text(udp, to, 1),
            _ => {}
        }
    }

    /// What differs from the truth: name and both sides.
    fn differences(&self, truth: &Value) -> Vec<(&'static str, String)> {
        let mut bad = Vec::new();
        let narrow = has_tunnels_beyond_its_list(truth);
        let mut judge = |name: &'static str, want: u64, have: u64, of: &str| {
            if want != have && !(narrow && OF_LISTED_TUNNELS.contains(&name)) {
                bad.push((name, format!("{of} want {want}, have {have}")));
            }
        };
        for name in NUMBERS {
            judge(name, truth[name].as_u64().unwrap(), self.numbers.get(name).copied().unwrap_or(0), "");
        }
        for name in DISTINCT {
            judge(name, truth[name].as_u64().unwrap(), self.distinct.get(name).map_or(0, |s| s.len() as u64), "");
        }
        let nothing = BTreeMap::new();
        for name in MAPS {
            let have = self.by_text.get(name).unwrap_or(&nothing);
            let want: BTreeMap<_, _> = truth[name].as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_u64().unwrap())).collect();
            for key in want.keys().chain(have.keys()).collect::<BTreeSet<_>>() {
                judge(name, want.get(key).copied().unwrap_or(0), have.get(key).copied().unwrap_or(0), key);
            }
        }
        for name in TOPS {
            let have = self.by_text.get(name).unwrap_or(&nothing);
            for row in truth[name].as_array().unwrap() {
                let key = row[0].as_str().unwrap();
                judge(name, row[1].as_u64().unwrap(), have.get(key).copied().unwrap_or(0), key);
            }
        }
        bad
    }
}

fn tally(frames: &[captures::Held]) -> Tally {
    let (plan, dump) = (MirrorPlan::default(), std::env::var_os("DUMP").is_some());
    let (mut tally, mut parsed) = (Tally::default(), Parsed::default());
    for (i, frame) in frames.iter().enumerate() {
        let result = parse_into(&frame.bytes, frame.wire_bytes, frame.link, &plan, &mut parsed);
        tally.frame(&parsed, frame.wire_bytes, result.is_ok());
        if dump {
            let headers: Vec<_> = parsed.headers().iter().map(|h| format!("\t{h:?}")).collect();
            println!("{}\t{result:?}\t{:?}\t{:?}{}", i + 1, parsed.fault, parsed.link.vlan_ids(), headers.concat());
        }
    }
    tally
}

#[test]
fn counts_equal_the_truth() {
    let Some(folder) = captures::folder("counts_equal_the_truth") else { return };
    let only = std::env::var("ONLY").unwrap_or_default();
    let (mut judged, mut unexplained, mut stale) = (0, Vec::new(), Vec::new());
    for path in captures::files(&folder) {
        let name = path.strip_prefix(&folder).unwrap().with_extension("").display().to_string();
        let (Some(truth), true) = (captures::truth(&path), name.contains(&only)) else { continue };
        judged += 1;
        let mut excused: BTreeSet<&str> = WRONG.iter().filter(|w| w.capture == name).flat_map(|w| w.names).copied().collect();
        let known = excused.clone();
        for (what, difference) in tally(&captures::frames(&path)).differences(&truth) {
            excused.remove(what);
            if !known.contains(what) {
                let (agree, malformed) = (&truth["crosscheck_dpkt"]["agree"], &truth["malformed_frames"]);
                unexplained.push(format!("{name}: {what} {difference} (tools agree: {agree}, malformed frames: {malformed})"));
            }
        }
        stale.extend(excused.iter().map(|what| format!("{name}: {what} is listed as wrong and is equal")));
    }
    println!("{judged} captures judged, {} of them with a truth that is judged wrong in part", WRONG.len());
    assert!(unexplained.is_empty() && stale.is_empty(), "\n{}\n{}", unexplained.join("\n"), stale.join("\n"));
    assert!(judged > 0 || !only.is_empty(), "no capture was judged");
}
