//! Packet logs, end to end: each line, read by a JSON library, against a plain reading of the capture; in both modes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "a test says what it expects")]

mod exports_support;
#[allow(dead_code, reason = "shared by several tests")]
mod replaying;

use std::path::Path;

use exports_support::{Packet, RATE, generated, packets, short, word};
use replaying::replay;
use serde_json::{Map, Value, json};

type Line = Map<String, Value>;

/// The lines of a replay, and what the capture holds.
fn logged(folder: &Path, section: &str, way: &[&str]) -> (Vec<Line>, (Vec<Packet>, u64)) {
    generated(folder, section);
    let (capture, logs) = (folder.join("s.pcap"), folder.join("logs.jsonl"));
    let more = [way, &["--packet-logs", logs.to_str().unwrap()]].concat();
    let ran = replay(&folder.join("tailwater.toml"), &[&capture], &more);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let text = std::fs::read_to_string(logs).unwrap();
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), packets(&capture))
}

/// Ranges that an address is in: all are told apart, so it is one at most.
fn range_of(ranges: &[(ipnet::IpNet, String)], address: &str) -> Option<(String, String)> {
    let address: std::net::IpAddr = address.parse().unwrap();
    let inside = ranges.iter().filter(|(range, _)| range.contains(&address));
    inside.max_by_key(|(range, _)| range.prefix_len()).map(|(range, customer)| (range.to_string(), customer.clone()))
}

fn ranges(folder: &Path) -> Vec<(ipnet::IpNet, String)> {
    let text = std::fs::read_to_string(folder.join("ranges.csv")).unwrap();
    let row = |line: &str| {
        let mut cells = line.split(',');
        (cells.next().unwrap().parse().unwrap(), cells.next().unwrap().to_owned())
    };
    text.lines().skip(1).map(row).collect()
}

/// The fields of a line that only some packets have, as the packet's bytes have them.
fn expected(packet: &Packet, sampling: u64) -> Line {
    let mut want = Line::new();
    let mut put = |name: &str, value: Value| want.insert(name.to_owned(), value);
    put("IPSourceAddress", json!(packet.src));
    put("IPDestinationAddress", json!(packet.dst));
    put("IPVersion", json!(if packet.v6 { 6 } else { 4 }));
    put("IPProtocol", json!(packet.protocol));
    put("IPTTL", json!(packet.ttl));
    put("IPDSCP", json!(packet.tos >> 2));
    put("IPECN", json!(packet.tos & 3));
    put("IPTotalLength", json!(packet.ip_bytes));
    put("IPHeaderLength", json!(packet.header_bytes));
    put("Tunnel", json!("none"));
    put("Verdict", json!(if packet.blocked() { "drop" } else { "pass" }));
    put("SampleInterval", json!(sampling * if packet.blocked() { RATE } else { 1 }));
    put("FeedSampleInterval", json!(if packet.blocked() { RATE } else { 1 }));
    put("Port", json!(0));
    put("Appliance", json!("generated"));
    if let Some(vlan) = packet.vlans.first() {
        put("VLAN", json!(vlan));
    }
    if let Some(vlan) = packet.vlans.get(1) {
        put("InnerVLAN", json!(vlan));
        put("RuleID", json!(vlan));
    }
    if packet.v6 {
        put("IPv6FlowLabel", json!(packet.flow_label));
    } else {
        put("IPv4Identification", json!(packet.id));
        put("IPv4DontFragment", json!(packet.fragment & 0x4000 != 0));
        put("IPMoreFragments", json!(packet.fragment & 0x2000 != 0));
        put("IPFragmentOffset", json!(packet.fragment & 0x1FFF));
        put(
            "IPFragment",
            json!(match packet.fragment & 0x3FFF {
                0 => "none",
                0x2000 => "first",
                _ => "later",
            }),
        );
    }
    if let Some((src, dst)) = packet.ports() {
        put("SourcePort", json!(src));
        put("DestinationPort", json!(dst));
    }
    let bytes = &packet.transport;
    if packet.protocol == 6 && bytes.len() >= 20 {
        put("TCPFlags", json!(bytes[13]));
        put("TCPSequenceNumber", json!(word(bytes, 4)));
        put("TCPAcknowledgementNumber", json!(word(bytes, 8)));
        put("TCPDataOffset", json!(bytes[12] >> 4));
        put("TCPWindowSize", json!(short(bytes, 14)));
        put("TCPChecksum", json!(short(bytes, 16)));
        put("TCPUrgentPointer", json!(short(bytes, 18)));
        options(&bytes[20..usize::from(bytes[12] >> 4) * 4], &mut put);
    }
    if packet.protocol == 17 && !bytes.is_empty() {
        put("UDPChecksum", json!(short(bytes, 6)));
    }
    if packet.is_icmp() {
        put("ICMPType", json!(bytes[0]));
        put("ICMPCode", json!(bytes[1]));
        put("ICMPChecksum", json!(short(bytes, 2)));
    }
    want
}

fn options(mut options: &[u8], put: &mut impl FnMut(&str, Value) -> Option<Value>) {
    let mut kinds = Vec::new();
    while let Some(kind) = options.first().copied().filter(|kind| *kind != 0) {
        kinds.push(kind);
        match kind {
            2 => _ = put("TCPMSS", json!(short(options, 2))),
            3 => _ = put("TCPWindowScale", json!(options[2])),
            8 => {
                put("TCPTimestampValue", json!(word(options, 2)));
                put("TCPTimestampECR", json!(word(options, 6)));
            }
            _ => {}
        }
        options = &options[if kind == 1 { 1 } else { usize::from(options[1]) }..];
    }
    put("TCPSACKPermitted", json!(kinds.contains(&4)));
    put("TCPOptions", json!(kinds));
}

/// Fields that are compared otherwise, or that are of no packet's bytes.
const ELSE: [&str; 13] = [
    "Timestamp",
    "Feed",
    "RuleName",
    "Direction",
    "Range",
    "Customer",
    "SourceRange",
    "SourceCustomer",
    "FrameLength",
    "SourceMAC",
    "IPProtocolName",
    "TCPFlagsString",
    "PayloadLength",
];

fn compare(line: &Line, packet: &Packet, ranges: &[(ipnet::IpNet, String)]) {
    let mut want = expected(packet, 1);
    let mut have = line.clone();
    ELSE.iter().for_each(|name| _ = have.remove(*name));
    // The plain reading has no checksum of the IP header, and of IPv6 no fragments.
    have.remove("IPv4Checksum");
    if packet.v6 {
        assert_eq!(have.remove("IPFragment"), Some(json!("none")));
    }
    if packet.protocol == 6 && packet.transport.len() < 20 {
        have.retain(|name, _| !name.starts_with("TCP"));
        want.retain(|name, _| !name.starts_with("TCP"));
    }
    assert_eq!(have, want, "{packet:?}");
    let time = line["Timestamp"].as_str().unwrap();
    assert_eq!(time.len(), "2025-01-01T00:00:00.000000000Z".len());
    assert_eq!(time[20..29].parse::<u64>().unwrap(), packet.time_ns % 1_000_000_000);
    let added = if packet.blocked() { 4 * packet.vlans.len() as u64 } else { 0 };
    assert_eq!(line["FrameLength"], json!(packet.frame_bytes - added));
    let (to, from) = (range_of(ranges, &packet.dst), range_of(ranges, &packet.src));
    let text = |name: &str| line.get(name).map(|value| value.as_str().unwrap().to_owned());
    assert_eq!(text("Range").zip(text("Customer")), to);
    assert_eq!(text("SourceRange").zip(text("SourceCustomer")), from);
    let direction = match (to.is_some(), from.is_some()) {
        (true, true) => Some("both"),
        (true, false) => Some("ingress"),
        (false, true) => Some("egress"),
        (false, false) => None,
    };
    assert_eq!(text("Direction").as_deref(), direction);
    assert_eq!(text("RuleName").as_deref(), packet.blocked().then_some("tags[0] vlan=666"));
    assert_eq!(text("Feed").as_deref(), Some("s.pcap"));
}

#[test]
fn each_line_says_what_the_packet_says() {
    for way in [&["--mode", "run-to-completion"][..], &["--mode", "pipeline", "--workers", "2"]] {
        let folder = tempfile::tempdir().unwrap();
        let (lines, (truth, others)) = logged(folder.path(), "[packet_logs]\nsampling = 1\n", way);
        let ranges = ranges(folder.path());
        let (refused, of_packets): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.contains_key("Refused"));
        assert_eq!((of_packets.len(), refused.len() as u64), (truth.len(), others));
        for (line, packet) in of_packets.into_iter().zip(&truth) {
            compare(line, packet, &ranges);
        }
        assert!(refused.iter().all(|line| line["Refused"] == "non_ip" && !line.contains_key("IPProtocol")));
        let names = ["ICMPType", "TCPMSS", "InnerVLAN", "SourceRange"];
        assert!(names.iter().all(|name| lines.iter().any(|line| line.contains_key(*name))), "the capture has all kinds");
    }
}

/// `where` is asked of each packet; what is sampled stands for the rest.
#[test]
fn logs_are_of_what_is_asked_and_say_how_many_each_stands_for() {
    let folder = tempfile::tempdir().unwrap();
    let section = "[packet_logs]\nsampling = 10\nwhere = { protocol = \"tcp\", tcp_flags = [\"S\"] }\n";
    let (lines, (truth, _)) = logged(folder.path(), section, &[]);
    let syns = truth.iter().filter(|packet| packet.protocol == 6 && packet.flags() == 2);
    assert!(lines.iter().all(|line| line["TCPFlagsString"] == "S" && line["IPProtocol"] == 6));
    let count: u64 = lines.iter().map(|line| line["SampleInterval"].as_u64().unwrap()).sum();
    let (all, squares) =
        syns.map(|packet| if packet.blocked() { RATE } else { 1 }).fold((0, 0), |(n, s), rate| (n + rate, s + rate * rate));
    // Nine times the squares, as each is sampled with a chance of a tenth.
    let bound = 5.0 * (9.0 * f64::from(squares as u32)).sqrt();
    assert!((f64::from(count as u32) - f64::from(all as u32)).abs() < bound, "{count} of {all}");
}

/// IPv4 without options.
fn ip4(src: [u8; 4], dst: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len() as u16).to_be_bytes();
    [&[0x45, 0][..], &length, &[0, 1, 0, 0, 64, protocol, 0, 0], &src, &dst, payload].concat()
}

fn ip6(last: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let address = |n: u8| [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[n]].concat();
    [&[0x60, 0, 0, 0][..], &(payload.len() as u16).to_be_bytes(), &[protocol, 64], &address(last), &address(last + 1), payload].concat()
}

fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    [&src.to_be_bytes()[..], &dst.to_be_bytes(), &(8 + payload.len() as u16).to_be_bytes(), &[0, 0], payload].concat()
}

fn syn(src: u16, dst: u16) -> Vec<u8> {
    [&src.to_be_bytes()[..], &dst.to_be_bytes(), &[0; 8], &[0x50, 2, 1, 0, 0, 0, 0, 0]].concat()
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &kind.to_be_bytes(), payload].concat()
}

fn vxlan(payload: &[u8]) -> Vec<u8> {
    udp(50_000, 4_789, &[&[8, 0, 0, 0, 0, 0, 77, 0][..], payload].concat())
}

/// What a tunnel carries has fields of its own beside the header that counts; where that is the innermost there are none.
#[test]
fn what_a_tunnel_carries_stands_beside_it() {
    let (from, to) = ([198, 51, 100, 1], [203, 0, 113, 9]);
    let inner_tcp = ip4([10, 1, 1, 1], [10, 2, 2, 2], 6, &syn(1_111, 443));
    let frames = [
        ip4(from, to, 17, &udp(1, 2, &[0; 30])),
        ip4(from, to, 17, &vxlan(&ethernet(0x0800, &inner_tcp))),
        ip4(from, to, 47, &[&[0, 0, 0x86, 0xDD][..], &ip6(1, 17, &udp(5, 6, &[7; 9]))].concat()),
        // Two tunnels: the innermost is told.
        ip4(from, to, 17, &vxlan(&ethernet(0x0800, &ip4([10, 3, 3, 3], [10, 4, 4, 4], 4, &inner_tcp)))),
        // Its header is cut short: nothing can be said of it.
        ip4(from, to, 4, &inner_tcp[..12]),
        // No ports in a later fragment.
        ip4(from, to, 4, &[&inner_tcp[..6], &[0, 9], &inner_tcp[8..]].concat()),
    ];
    let mut capture: Vec<u8> = [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 262_144, 1].into_iter().flat_map(u32::to_le_bytes).collect();
    for frame in frames.iter().map(|ip| ethernet(0x0800, ip)) {
        capture.extend([1_700_000_000, 0, frame.len() as u32, frame.len() as u32].into_iter().flat_map(u32::to_le_bytes));
        capture.extend(frame);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("c.pcap"), capture).unwrap();
    std::fs::write(file("r.csv"), "prefix,customer\n203.0.113.0/24,a\n").unwrap();
    let logged = |keys_from: &str| -> Vec<Line> {
        let head = "[ranges]\nfile = \"r.csv\"\n[[stats]]\nname = \"s\"\ncalculation = \"sum\"\n[packet_logs]\nsampling = 1\n[parse]\n";
        std::fs::write(file("t.toml"), format!("{head}keys_from = \"{keys_from}\"\n")).unwrap();
        let ran = replay(&file("t.toml"), &[file("c.pcap")], &["--packet-logs", file("logs.jsonl").to_str().unwrap()]);
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        std::fs::read_to_string(file("logs.jsonl")).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let tcp = |tunnel: &str| {
        json!({"InnerTunnel": tunnel, "InnerIPSourceAddress": "10.1.1.1", "InnerIPDestinationAddress": "10.2.2.2", "InnerIPVersion": 4,
               "InnerIPProtocol": 6, "InnerSourcePort": 1_111, "InnerDestinationPort": 443, "InnerTCPFlags": 2})
    };
    let mut later = tcp("ipip");
    ["InnerSourcePort", "InnerDestinationPort", "InnerTCPFlags"].iter().for_each(|name| _ = later.as_object_mut().unwrap().remove(*name));
    let v6 = json!({"InnerTunnel": "gre", "InnerIPSourceAddress": "2001:db8::1", "InnerIPDestinationAddress": "2001:db8::2",
                    "InnerIPVersion": 6, "InnerIPProtocol": 17, "InnerSourcePort": 5, "InnerDestinationPort": 6});
    let expected = [json!({}), tcp("vxlan"), v6, tcp("ipip"), json!({}), later];
    let lines = logged("matched");
    assert!(lines.iter().all(|line| line["IPDestinationAddress"] == "203.0.113.9" && line["Tunnel"] == "none"));
    let inner = |line: &Line| Value::from(line.clone().into_iter().filter(|(name, _)| name.starts_with("Inner")).collect::<Line>());
    assert_eq!(lines.iter().map(inner).collect::<Vec<_>>(), expected);
    let lines = logged("innermost");
    assert!(lines.iter().all(|line| inner(line) == json!({})) && lines[3]["IPSourceAddress"] == "10.1.1.1" && lines[3]["Tunnel"] == "ipip");
}
