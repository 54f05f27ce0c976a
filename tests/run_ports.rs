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

/// Ethernet, a VLAN tag in every third, IPv4, UDP to an address and port.
fn frame(number: usize, to: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
    let length = |extra: usize| u16::try_from(payload.len() + extra).unwrap().to_be_bytes();
    let tag: &[u8] = if number.is_multiple_of(3) { &[0x81, 0, 0, 7] } else { &[] };
    let ip = [&[0x45, 0][..], &length(28), &[0, 1, 0, 0, 64, 17, 0, 0, 198, 51, 100, 1], &to].concat();
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], tag, &[8, 0], &ip, &[0x30, 0x39], &port.to_be_bytes(), &length(8), &[0, 0], payload]
        .concat()
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
        let ours: Vec<Vec<u8>> = payloads.iter().enumerate().map(|(n, payload)| frame(n, to, 2_055, payload)).collect();
        capture(&place.file("ours.pcap"), &ours);
        // Another port and another address are nobody's export.
        let others = [frame(1, to, 2_056, &five(1, 20)), frame(1, [203, 0, 113, 8], 2_055, &five(1, 20))];
        capture(&place.file("frames.pcap"), &[others.to_vec(), ours].concat());
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
        assert_eq!((&ports["datagrams"], &ports["full"], &ports["cut"]), (&payloads.len().to_string().into(), &"0".into(), &"0".into()));
        // They count as packets too, and flows to the range in the stats of flows.
        let packets = u32::try_from(payloads.len() + 2).unwrap();
        assert_eq!(place.reports().sum("packets"), f64::from(packets));
        assert_eq!(place.reports().sum("told"), f64::from(200 * 20 * 10));
    });
}
