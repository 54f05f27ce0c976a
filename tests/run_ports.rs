//! `tailwater run` with `[flows] from_ports`: export datagrams out of the mirror become the flow messages that `tailwater flows` makes of
//! the same capture, and count as packets of their range all the same.
//!
//! The test has a network namespace of its own; without root it is skipped, and says so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "a test says what it expects")]

mod e2e_support;
mod eal_support;
#[path = "flows_support/lines.rs"]
mod lines;
#[path = "flows_support/live.rs"]
mod live;
#[path = "e2e_support/place.rs"]
mod place;

use std::path::Path;
use std::process::Command;

use e2e_support::{Appliance, BINARY, output, wait};
use eal_support::in_namespace;
use lines::flow_lines;
use live::{five, nine};
use place::{ANY_ADMIN, FILE, MIRROR, Place};
use serde_json::Value;

const PORTS: &str = "[flows]\nfrom_ports = [\"udp/203.0.113.9:2055\", \"udp/[2001:db8::9]:2055\"]\n[[stats]]\nname = \"told\"\ncalculation = \"sum\"\nmetric = \"bytes\"\ndirection = \"egress\"\nsource = \"flows\"\n";

/// Ethernet, a VLAN tag in every third, IPv6 to 2001:db8::9, and some bytes of a datagram. (Of IPv4 `net_af_packet` has the kernel put
/// pieces together.)
fn piece(number: usize, datagram: &[u8], from: usize, end: usize) -> Vec<u8> {
    let body = &datagram[from..end];
    let length = u16::try_from(body.len() + 8).unwrap().to_be_bytes();
    let place = (u16::try_from(from).unwrap() | u16::from(end < datagram.len())).to_be_bytes();
    let tag: &[u8] = if number.is_multiple_of(3) { &[0x81, 0, 0, 7] } else { &[] };
    let address = |last: u8| [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[last]].concat();
    let ip = [&[0x60, 0, 0, 0][..], &length, &[44, 64], &address(1), &address(9)].concat();
    let fragment = [&[17, 0][..], &place, &u32::try_from(number).unwrap().to_be_bytes()].concat();
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], tag, &[0x86, 0xDD], &ip, &fragment, body].concat()
}

/// UDP to a port; without a checksum.
fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap().to_be_bytes();
    [&[0x30, 0x39], &port.to_be_bytes()[..], &length, &[0, 0], payload].concat()
}

/// The same over IPv4, in one piece.
fn frame(number: usize, to: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
    let datagram = udp(port, payload);
    let length = u16::try_from(datagram.len() + 20).unwrap().to_be_bytes();
    let tag: &[u8] = if number.is_multiple_of(3) { &[0x81, 0, 0, 7] } else { &[] };
    let ip = [&[0x45, 0][..], &length, &[0, 1, 0, 0, 64, 17, 0, 0, 198, 51, 100, 1], &to].concat();
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], tag, &[8, 0], &ip, &datagram].concat()
}

/// In two pieces, the later one first.
fn pieces(number: usize, port: u16, payload: &[u8]) -> Vec<Vec<u8>> {
    let datagram = udp(port, payload);
    let middle = datagram.len() / 16 * 8;
    vec![piece(number, &datagram, middle, datagram.len()), piece(number, &datagram, 0, middle)]
}

fn capture(file: &Path, frames: &[Vec<u8>]) {
    let mut out: Vec<u8> = [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 262_144, 1].into_iter().flat_map(u32::to_le_bytes).collect();
    for frame in frames {
        let held = frame.len() as u32;
        out.extend([1_700_000_000, 0, held, held].into_iter().flat_map(u32::to_le_bytes));
        out.extend(frame);
    }
    std::fs::write(file, out).unwrap();
}

#[test]
fn exports_in_the_mirror_are_flows_as_those_of_sockets() {
    in_namespace("exports_in_the_mirror_are_flows_as_those_of_sockets", || {
        let place = Place::new();
        let to = [203, 0, 113, 9];
        let mut payloads: Vec<Vec<u8>> = (0..200).map(|n| five(u32::from_be_bytes([203, 0, 113, 0]) + n, 20)).collect();
        payloads.extend((1..100).map(|n| nine(n, n == 20)));
        // Of two exporters; one sends in pieces.
        let in_pieces = |n: &usize| *n < 200 && n.is_multiple_of(5);
        let of =
            |(n, payload): (usize, &Vec<u8>)| if in_pieces(&n) { pieces(n, 2_055, payload) } else { vec![frame(n, to, 2_055, payload)] };
        let ours: Vec<Vec<u8>> = payloads.iter().enumerate().flat_map(of).collect();
        capture(&place.file("ours.pcap"), &ours);
        // Another port, in pieces too, and another address are nobody's export; and the rest of one is nowhere.
        let mut others = pieces(1_000, 2_056, &five(1, 20));
        others.extend([frame(1, to, 2_056, &five(1, 20)), frame(1, [203, 0, 113, 8], 2_055, &five(1, 20))]);
        others.push(pieces(2_000, 2_055, &five(1, 20)).remove(1));
        capture(&place.file("frames.pcap"), &[others, ours].concat());
        let file = place.config(1_000, &[MIRROR, ANY_ADMIN, FILE, PORTS]);
        let appliance = Appliance::counting(&file, &[]);
        output(Command::new("tcpreplay").args(["-q", "--pps=5000", "--intf1=scrubber0"]).arg(place.file("frames.pcap")));
        let taken = || appliance.metric("tailwater_flows_port_datagrams_total", "") as usize;
        wait(30, || taken() == payloads.len(), || format!("{} of {} datagrams\n{}", taken(), payloads.len(), appliance.log()));
        let exporter = |address: &str| appliance.metric("tailwater_flows_datagrams_total", &format!("exporter=\"{address}\"")) as usize;
        assert_eq!([exporter("198.51.100.1"), exporter("2001:db8::1")], [payloads.len() - 40, 40]);
        appliance.stop(60);

        let command = output(Command::new(BINARY).args(["flows", "--pcap"]).arg(place.file("ours.pcap")));
        let reports = std::fs::read_to_string(place.file("reports.jsonl")).unwrap();
        let (live, expected) = (flow_lines(&reports), flow_lines(&command));
        assert_eq!(expected.values().sum::<usize>(), 200 * 20 + 98 * 2);
        assert!(live == expected, "{} and {} flows", live.len(), expected.len());
        let total =
            reports.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).rfind(|report| report["total"] == true).unwrap();
        let ports = &total["flows"]["ports"];
        let of = |name: &str| ports[name].as_str().unwrap().parse::<usize>().unwrap();
        assert_eq!(["datagrams", "full", "cut", "otherPort"].map(of), [payloads.len(), 0, 0, 1]);
        assert_eq!(["whole", "begunInPieces", "incomplete", "waiting"].map(of), [payloads.len() - 40, 42, 1, 0]);
        // They count as packets too, and flows to the range in the stats of flows.
        assert_eq!(place.reports().sum("packets"), f64::from(u32::try_from(payloads.len() - 40 + 2).unwrap()));
        assert_eq!(place.reports().sum("told"), f64::from(200 * 20 * 10));
    });
}
