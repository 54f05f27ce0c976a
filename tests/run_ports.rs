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

const PORTS: &str = "[flows]\nfrom_ports = [\"udp/203.0.113.9:2055\"]\n[[stats]]\nname = \"told\"\ncalculation = \"sum\"\nmetric = \"bytes\"\ndirection = \"egress\"\nsource = \"flows\"\n";

/// Ethernet, a VLAN tag in every third, IPv4, and what UDP to a port is of these bytes.
fn piece(number: usize, to: [u8; 4], datagram: &[u8], from: usize, end: usize) -> Vec<u8> {
    let body = &datagram[from..end];
    let length = u16::try_from(body.len() + 20).unwrap().to_be_bytes();
    let id = u16::try_from(number).unwrap().to_be_bytes();
    let place = (u16::try_from(from / 8).unwrap() | if end < datagram.len() { 0x2000 } else { 0 }).to_be_bytes();
    let tag: &[u8] = if number.is_multiple_of(3) { &[0x81, 0, 0, 7] } else { &[] };
    let ip = [&[0x45, 0][..], &length, &id, &place, &[64, 17, 0, 0, 198, 51, 100, 1], &to].concat();
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], tag, &[8, 0], &ip, body].concat()
}

/// UDP to a port; without a checksum.
fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap().to_be_bytes();
    [&[0x30, 0x39], &port.to_be_bytes()[..], &length, &[0, 0], payload].concat()
}

fn frame(number: usize, to: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
    let datagram = udp(port, payload);
    piece(number, to, &datagram, 0, datagram.len())
}

/// The same; of every fifth two pieces, the later one first.
fn frames(number: usize, to: [u8; 4], port: u16, payload: &[u8]) -> Vec<Vec<u8>> {
    let datagram = udp(port, payload);
    let middle = datagram.len() / 16 * 8;
    if number.is_multiple_of(5) {
        vec![piece(number, to, &datagram, middle, datagram.len()), piece(number, to, &datagram, 0, middle)]
    } else {
        vec![frame(number, to, port, payload)]
    }
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
        let ours: Vec<Vec<u8>> = payloads.iter().enumerate().flat_map(|(n, payload)| frames(n, to, 2_055, payload)).collect();
        capture(&place.file("ours.pcap"), &ours);
        // Another port, in pieces too, and another address are nobody's export; and the rest of one is nowhere.
        let mut others = frames(1_000, to, 2_056, &five(1, 20));
        others.extend([frame(1, to, 2_056, &five(1, 20)), frame(1, [203, 0, 113, 8], 2_055, &five(1, 20))]);
        others.push(frames(2_000, to, 2_055, &five(1, 20)).remove(1));
        let sent = others.len() + ours.len();
        capture(&place.file("frames.pcap"), &[others, ours].concat());
        let file = place.config(1_000, &[MIRROR, ANY_ADMIN, FILE, PORTS]);
        let appliance = Appliance::counting(&file, &[]);
        output(Command::new("tcpreplay").args(["-q", "--pps=5000", "--intf1=scrubber0"]).arg(place.file("frames.pcap")));
        let taken = || appliance.metric("tailwater_flows_port_datagrams_total", "") as usize;
        wait(30, || taken() == payloads.len(), || format!("{} of {} datagrams\n{}", taken(), payloads.len(), appliance.log()));
        assert_eq!(appliance.metric("tailwater_flows_datagrams_total", "exporter=\"198.51.100.1\"") as usize, payloads.len());
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
        let pieces = payloads.len().div_ceil(5);
        assert_eq!(["datagrams", "full", "cut", "otherPort"].map(of), [payloads.len(), 0, 0, 1]);
        assert_eq!(["whole", "begunInPieces", "incomplete", "waiting"].map(of), [payloads.len() - pieces, pieces + 2, 1, 0]);
        // They count as packets too, and flows to the range in the stats of flows.
        assert_eq!(place.reports().sum("packets"), f64::from(u32::try_from(sent).unwrap()));
        assert_eq!(place.reports().sum("told"), f64::from(200 * 20 * 10));
    });
}
