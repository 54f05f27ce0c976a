//! What the appliance exports, end to end: generated captures through `tailwater replay --exports-pcap`, the datagrams read by our own
//! collector, by nfcapd and nfdump, and by GoFlow2, against a plain count of the capture.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test says what it expects; its numbers are small"
)]

mod exports_support;
mod flows_support;
#[allow(dead_code, reason = "shared by several tests")]
mod replaying;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use exports_support::{Flow, RATE, Sums, add, flows, generated, packets};
use flows_support::{Came, collector, datagrams, feed};
use replaying::replay;
use tailwater::flows::{Address, Flow as Told};

const LONG: &str = "active_timeout_ms = 3600000\nidle_timeout_ms = 3600000\n";
const CUT: &str = "active_timeout_ms = 500\nidle_timeout_ms = 200\ntemplate_refresh_ms = 1000\nflows_max = 300\n";

fn export(protocol: &str, sampling: u32, more: &str) -> String {
    format!("[[exports]]\nprotocol = \"{protocol}\"\nto = \"udp/127.0.0.1:4739\"\nsampling = {sampling}\n{more}")
}

/// The datagrams of a replay, and the capture that was replayed.
fn exported(folder: &Path, rows: &str, way: &[&str]) -> (Vec<Came>, PathBuf) {
    generated(folder, rows);
    let (capture, exports) = (folder.join("s.pcap"), folder.join("exports.pcap"));
    let more = [way, &["--exports-pcap", exports.to_str().unwrap()]].concat();
    let ran = replay(&folder.join("tailwater.toml"), &[&capture], &more);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    (datagrams(&exports), capture)
}

fn flow(told: &Told) -> (Flow, Sums) {
    let f = &told.fields;
    let text = |address: &Address| address.ip().unwrap().to_string();
    let numbers = [f.src_port, f.dst_port, f.icmp_type, f.icmp_code, f.proto, f.vlan_id.max(f.src_vlan)].map(u64::from);
    let blocked = f.forwarding_status == 129;
    let sums = [f.packets, f.bytes, f.time_flow_start_ns / 1_000_000, f.time_flow_end_ns / 1_000_000, f.tcp_flags.into()];
    ((text(&f.src_addr), text(&f.dst_addr), numbers, blocked), sums)
}

fn summed(told: &[Told]) -> BTreeMap<Flow, Sums> {
    let mut all: BTreeMap<Flow, Sums> = BTreeMap::new();
    for (flow, sums) in told.iter().map(flow) {
        all.entry(flow).and_modify(|known| add(known, sums)).or_insert(sums);
    }
    all
}

fn same(ours: &BTreeMap<Flow, Sums>, truth: &BTreeMap<Flow, Sums>, who: &str) {
    let other = truth.iter().find(|(flow, sums)| ours.get(*flow) != Some(sums));
    let found = other.and_then(|(flow, _)| ours.get(flow));
    assert!(ours == truth, "{who}: {} flows of {}; {other:?} is {found:?}", ours.len(), truth.len());
}

/// With every frame sampled, flows and their packets, bytes, times, flags and rates are those of the capture: where each is told once, and
/// where it is told in many pieces; in both modes.
#[test]
fn all_flows_of_a_capture_are_told_exactly() {
    for (protocol, more, way) in [
        ("ipfix", LONG, &["--mode", "run-to-completion"][..]),
        ("ipfix", CUT, &["--mode", "pipeline", "--workers", "2"]),
        ("netflow9", LONG, &["--mode", "pipeline"]),
        ("netflow9", CUT, &["--workers", "3"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (came, capture) = exported(folder.path(), &export(protocol, 1, more), way);
        let (truth, mut collector) = (packets(&capture).0, collector());
        assert!(came.iter().all(|(_, datagram)| datagram.len() <= 1_400));
        let told = feed(&mut collector, &came);
        let ledger = collector.ledger();
        assert_eq!((ledger.record_gaps.gaps, ledger.datagram_gaps.gaps, ledger.waiting, ledger.rate_unknown), (0, 0, 0, 0), "{ledger}");
        same(&summed(&told), &flows(&truth), protocol);
        for told in &told {
            let f = &told.fields;
            assert_eq!(f.sampling_rate, if f.forwarding_status == 129 { RATE } else { 1 });
            assert_eq!((f.in_if, f.observation_domain_id), (1, if f.forwarding_status == 129 { RATE as u32 } else { 1 }));
        }
        assert!(truth.iter().any(exports_support::Packet::blocked) && truth.iter().any(|packet| packet.v6));
        if more == LONG {
            assert_eq!(told.len(), flows(&truth).len(), "each flow once");
        }
    }
}

/// Sampled at random, estimates of packets and bytes hold the truth within five standard deviations, of what passed and of what was
/// blocked; and which frames are sampled does not depend on what they are.
#[test]
fn estimates_of_samples_hold_the_truth() {
    for protocol in ["ipfix", "netflow9", "sflow"] {
        let (folder, sampling) = (tempfile::tempdir().unwrap(), 20);
        let (came, capture) = exported(folder.path(), &export(protocol, sampling, ""), &[]);
        let (truth, mut collector) = (packets(&capture).0, collector());
        let told = feed(&mut collector, &came);
        assert_eq!(collector.warnings(), Vec::<String>::new(), "the pool agrees with the rate");
        let is_blocked = |told: &&Told| told.fields.forwarding_status == 129 || told.fields.discard_reason > 0;
        for blocked in [false, true] {
            let (kind, rate) = (if blocked { RATE as f64 } else { 1.0 }, f64::from(sampling));
            let of_kind = || truth.iter().filter(|packet| packet.blocked() == blocked);
            let told: Vec<&Told> = told.iter().filter(|told| is_blocked(told) == blocked).collect();
            assert!(told.iter().all(|told| (told.fields.sampling_rate as f64 - kind * rate).abs() < 0.5), "{protocol}");
            let counts: f64 = told.iter().map(|told| told.fields.packets as f64 * told.fields.sampling_rate as f64).sum();
            let packets = of_kind().count() as f64;
            let bound = 5.0 * (packets * (rate - 1.0)).sqrt() * kind;
            // sFlow shows frames that are no packets too.
            let spare = if protocol == "sflow" && !blocked { 0.05 * packets } else { 0.0 };
            assert!((counts - packets * kind).abs() <= bound + spare, "{protocol}, {blocked}: {counts} of {packets}");
            if protocol != "sflow" {
                let bytes: f64 = told.iter().map(|told| told.fields.bytes as f64 * told.fields.sampling_rate as f64).sum();
                let truth: f64 = of_kind().map(|packet| packet.ip_bytes as f64).sum();
                let squares: f64 = of_kind().map(|packet| (packet.ip_bytes as f64).powi(2)).sum();
                let bound = 5.0 * (squares * (rate - 1.0)).sqrt() * kind;
                assert!((bytes - truth * kind).abs() <= bound, "{protocol}, {blocked}: {bytes} bytes of {truth}");
            }
        }
    }
}

/// sFlow with every frame: each packet once, in order, with its own length; the pool is all frames.
#[test]
fn every_frame_is_an_sflow_sample() {
    let folder = tempfile::tempdir().unwrap();
    let (came, capture) = exported(folder.path(), &export("sflow", 1, "header_bytes = 96\n"), &["--mode", "pipeline"]);
    let ((truth, others), mut collector) = (packets(&capture), collector());
    let told = feed(&mut collector, &came);
    assert_eq!((told.len() as u64, collector.ledger().sample_gaps.gaps), (truth.len() as u64 + others, 0));
    let packets: Vec<&Told> = told.iter().filter(|told| told.fields.proto > 0 || !told.fields.src_addr.is_void()).collect();
    assert_eq!(packets.len(), truth.len());
    for (told, packet) in packets.iter().zip(&truth) {
        let f = &told.fields;
        let (src, dst) = packet.ports().unwrap_or_default();
        // What the scrubber's tag added is there: these are frames.
        let numbers = [f.src_port, f.dst_port, f.proto, f.ip_ttl, f.tcp_flags, f.vlan_id, f.in_if].map(u64::from);
        let vlan = packet.vlans.first().copied().unwrap_or(0);
        let want = [src.into(), dst.into(), packet.protocol.into(), packet.ttl.into(), packet.flags().into(), vlan.into(), 1_u64];
        assert_eq!((numbers, f.bytes, f.fcs_bytes), (want, packet.frame_bytes + 4, 4), "{packet:?}");
        assert_eq!((f.src_addr.ip().unwrap().to_string(), f.discard_reason), (packet.src.clone(), if packet.blocked() { 14 } else { 0 }));
        assert_eq!(f.sampling_rate, if packet.blocked() { RATE } else { 1 });
    }
}

/// `where` is asked of each packet, and two exports of one appliance do not know of each other.
#[test]
fn each_export_has_what_it_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        export("ipfix", 1, &format!("where = {{ protocol = \"udp\", dst_port = [53, \"1024..\"] }}\n{LONG}")),
        export("netflow9", 1, &format!("observation_domain = 100\nwhere = {{ protocol = [\"tcp\", \"icmp\"] }}\n{LONG}")),
    ];
    let (came, capture) = exported(folder.path(), &rows.concat(), &[]);
    let truth = packets(&capture).0;
    for (version, is_asked) in [(10_u8, true), (9, false)] {
        let of_version: Vec<Came> = came.iter().filter(|(_, datagram)| datagram[1] == version).cloned().collect();
        let asked = truth.iter().filter(|packet| match packet.ports() {
            Some((_, dst)) if is_asked => packet.protocol == 17 && (dst == 53 || dst >= 1_024),
            _ if is_asked => false,
            _ => packet.protocol == 6 || packet.protocol == 1 && !packet.v6,
        });
        let told = feed(&mut collector(), &of_version);
        same(&summed(&told), &flows(asked), "where");
    }
}
