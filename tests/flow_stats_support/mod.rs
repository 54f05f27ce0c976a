//! What tests of flow statistics share: exporters that are made here, datagrams byte by byte after the standards, and the engine
//! over them without lcores.

#![allow(dead_code, clippy::unwrap_used, clippy::cast_possible_truncation, reason = "not every test uses all; its numbers are small")]

pub(crate) mod model;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tailwater::arch::HashKey;
use tailwater::config::{self, Config};
use tailwater::flows::{Address, Arrival, Collector, Settings};
use tailwater::report::{NoHealth, Publisher, Reporter, pb};
use tailwater::runtime::reporting;
use tailwater::runtime::wiring::{Cores, wire};
use tailwater::runtime::world::{World, setting};
use tailwater::telemetry::Registry;

pub(crate) use model::Seen;

/// A datagram and where it came from.
pub(crate) type Came = (Arrival, Vec<u8>);

/// What an exporter speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Five,
    Nine,
    Ipfix,
    Sflow,
}

/// Everything that was reported.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) ranges: Vec<pb::RangeReport>,
    pub(crate) appliance: Vec<pb::ApplianceReport>,
}

impl Publisher for Kept {
    fn range(&mut self, report: &pb::RangeReport) {
        self.ranges.push(report.clone());
    }

    fn appliance(&mut self, report: &pb::ApplianceReport) {
        self.appliance.push(report.clone());
    }
}

/// Writes ranges and a configuration, and reads it as the program does.
pub(crate) fn load(folder: &Path, ranges: &str, text: &str) -> Config {
    std::fs::write(folder.join("ranges.csv"), ranges).unwrap();
    let file: PathBuf = folder.join("tailwater.toml");
    std::fs::write(&file, text).unwrap();
    config::load(&file, &tailwater::stats::check).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

/// The stats of flows over datagrams in the order in which they came.
pub(crate) fn analyse(config: &Config, came: &[Came]) -> Kept {
    let world = Arc::new(World::new(config, HashKey::constant(), 0).unwrap());
    let registry = Registry::new("t", "", Duration::from_secs(1));
    let mut wired = wire(&world, &Cores { rx: vec![0], workers: Vec::new() }, &registry, true);
    let streams = std::mem::take(&mut wired.streams).into_iter().filter(|(name, _)| name.is_of_flows()).collect();
    let mut analysis = wired.analysis.take().unwrap();
    let setting = setting(config, &world, 0, Vec::new(), false);
    let reporter = Reporter::new(setting, Arc::clone(&world.plans), world.calendar, streams, Kept::default(), NoHealth);
    let reporter = std::thread::spawn(move || reporting::run(reporter, || ()));
    let mut collector = Collector::new(&Settings::default());
    for (from, datagram) in came {
        analysis.turn(from.received_ns);
        collector.take(from, datagram, &mut |flow| analysis.take(flow));
        assert!(collector.ledger().balances(), "{}", collector.ledger());
    }
    analysis.end();
    std::mem::take(reporter.join().unwrap().publisher())
}

/// From an exporter.
pub(crate) fn arrival(exporter: IpAddr, received_ns: u64) -> Arrival {
    Arrival { exporter: Address::from(exporter), port: 2_055, received_ns }
}

/// A UDP datagram in IPv4 in Ethernet.
pub(crate) fn framed((exporter, payload): (IpAddr, &[u8])) -> Vec<u8> {
    let IpAddr::V4(src) = exporter else { panic!("exporters here are IPv4") };
    let length = |more: usize| (payload.len() as u16 + more as u16).to_be_bytes();
    let [total, udp] = [length(28), length(8)];
    let mut out = [&[2; 12][..], &[8, 0, 0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0], &src.octets(), &[203, 0, 113, 9]].concat();
    out.extend([&[0x08, 0x07, 0x08, 0x07, udp[0], udp[1], 0, 0], payload].concat());
    out
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// One datagram of these flows, which have one exporter, format and rate; so many datagrams and records came before it.
pub(crate) fn datagram(speaks: Speaks, flows: &[Seen], (number, records): (u32, u32)) -> Vec<u8> {
    match speaks {
        Speaks::Five => five(flows, records),
        Speaks::Nine => export(false, flows, number),
        Speaks::Ipfix => export(true, flows, records),
        Speaks::Sflow => sflow(flows, number, records),
    }
}

/// NetFlow 5: IPv4 alone, interfaces of 16 bits, counts of 32, a rate of 14 bits and above it 1 (one in so many) or 2 (random).
fn five(flows: &[Seen], number: u32) -> Vec<u8> {
    let mut out = [&5_u16.to_be_bytes()[..], &(flows.len() as u16).to_be_bytes(), &[0; 12]].concat();
    out.extend(number.to_be_bytes());
    let mode = if flows[0].is_random { 2 } else { 1 };
    out.extend([0, 0]);
    out.extend((flows[0].rate as u16 | mode << 14).to_be_bytes());
    for f in flows {
        out.extend([octets(f.src), octets(f.dst), vec![0; 4]].concat());
        out.extend([f.in_if as u16, f.out_if as u16].iter().flat_map(|interface| interface.to_be_bytes()));
        out.extend([f.packets as u32, f.bytes as u32, 0, 0].iter().flat_map(|n| n.to_be_bytes()));
        out.extend([f.src_port, f.dst_port].iter().flat_map(|port| port.to_be_bytes()));
        out.extend([0, f.tcp_flags, f.protocol, f.tos, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    out
}

/// NetFlow 9 and IPFIX: templates 256 (IPv4) and 257 (IPv6) in each datagram. The rate stands in the records: 34 and 35, or 305 and
/// 306 with 304.
fn export(ipfix: bool, flows: &[Seen], number: u32) -> Vec<u8> {
    let rate: [(u16, u16); 3] = if ipfix { [(305, 4), (306, 4), (304, 2)] } else { [(34, 4), (35, 1), (89, 1)] };
    let common = [(7, 2), (11, 2), (4, 1), (5, 1), (6, 1), (10, 4), (14, 4), (61, 1), (2, 8), (1, 8)];
    let (v4, v6) = ([(8, 4), (12, 4)], [(27, 16), (28, 16)]);
    let template = |id: u16, addresses: [(u16, u16); 2]| {
        let fields: Vec<(u16, u16)> = addresses.into_iter().chain(common).chain(rate).collect();
        let words = [id, fields.len() as u16].into_iter().chain(fields.into_iter().flat_map(|(id, bytes)| [id, bytes]));
        words.flat_map(u16::to_be_bytes).collect::<Vec<u8>>()
    };
    let set = |id: u16, body: Vec<u8>| [&id.to_be_bytes()[..], &(body.len() as u16 + 4).to_be_bytes(), &body].concat();
    let mut sets = vec![set(if ipfix { 2 } else { 0 }, [template(256, v4), template(257, v6)].concat())];
    for (id, is_v6) in [(256, false), (257, true)] {
        let of: Vec<u8> = flows.iter().filter(|f| f.src.is_ipv6() == is_v6).flat_map(|f| record(ipfix, f)).collect();
        if !of.is_empty() {
            sets.push(set(id, of));
        }
    }
    let body = sets.concat();
    let head = if ipfix {
        [&10_u16.to_be_bytes()[..], &(body.len() as u16 + 16).to_be_bytes(), &[0; 4], &number.to_be_bytes(), &[0; 4]].concat()
    } else {
        [&9_u16.to_be_bytes()[..], &(flows.len() as u16 + 2).to_be_bytes(), &[0; 8], &number.to_be_bytes(), &[0; 4]].concat()
    };
    [head, body].concat()
}

fn record(ipfix: bool, f: &Seen) -> Vec<u8> {
    let ports = [f.src_port, f.dst_port].iter().flat_map(|port| port.to_be_bytes()).collect();
    let interfaces = [f.in_if, f.out_if].iter().flat_map(|interface| interface.to_be_bytes()).collect();
    let counts = [f.packets, f.bytes].iter().flat_map(|n| n.to_be_bytes()).collect();
    let rate = f.rate as u32;
    // One is taken, so many are left out; of a rate of 1 none is: then it is told as the whole interval.
    let rate = match (ipfix, rate) {
        (true, 0) => vec![0; 8],
        (true, rate) => [1_u32.min(rate), rate - 1].iter().flat_map(|n| n.to_be_bytes()).collect(),
        (false, rate) => rate.to_be_bytes().to_vec(),
    };
    let algorithm = match (ipfix, f.is_random) {
        (true, is) => [0, if is { 3 } else { 1 }],
        (false, is) => [if is { 2 } else { 1 }, if f.blocked { 130 } else { 64 }],
    };
    [
        octets(f.src),
        octets(f.dst),
        ports,
        vec![f.protocol, f.tos, f.tcp_flags],
        interfaces,
        vec![u8::from(f.leaves)],
        counts,
        rate,
        algorithm.to_vec(),
    ]
    .concat()
}

/// sFlow 5: each flow is one sampled packet, its first bytes are shown.
fn sflow(flows: &[Seen], number: u32, records: u32) -> Vec<u8> {
    let words = |list: &[u32]| list.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
    let IpAddr::V4(agent) = flows[0].exporter else { panic!("agents here are IPv4") };
    let mut out = words(&[5, 1, u32::from(agent), 0, number, 0, flows.len() as u32]);
    for (at, f) in flows.iter().enumerate() {
        let mut shown = f.frame.clone().unwrap_or_else(|| f.framed());
        shown.truncate(128);
        let shown_bytes = shown.len();
        shown.resize(shown_bytes.next_multiple_of(4), 0);
        // By the standard a frame's length holds its check sequence, which is stripped before the header is taken.
        let raw = [words(&[1, f.bytes as u32 + 4, 4, shown_bytes as u32]), shown].concat();
        let sequence = records + at as u32;
        // The pool says nothing: it does not move.
        let head = words(&[sequence, f.in_if, f.rate as u32, 0, 0, f.in_if, f.out_if, 1, 1, raw.len() as u32]);
        out.extend(words(&[1, (head.len() + raw.len()) as u32]));
        out.extend([head, raw].concat());
    }
    out
}
