//! What decoding flow records costs: nanoseconds a record, of a datagram of 24 NetFlow 9 or IPFIX records of 20 fields, of 30 of
//! NetFlow 5, and of four sFlow samples of 128 bytes; alone, and written as protobuf or JSON. The least of several rounds.

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "a bench prints its figures"
)]

use std::hint::black_box;
use std::time::Instant;

use tailwater::flows::{Address, Arrival, Collector, Flow, Settings, json, protobuf};

const ROUNDS: usize = 7;
const DATAGRAMS: u32 = 20_000;
/// What a router tells of a flow: element and bytes.
const FIELDS: [(u16, u16); 20] = [
    (8, 4),
    (12, 4),
    (15, 4),
    (10, 4),
    (14, 4),
    (2, 8),
    (1, 8),
    (22, 4),
    (21, 4),
    (7, 2),
    (11, 2),
    (6, 1),
    (4, 1),
    (5, 1),
    (16, 4),
    (17, 4),
    (9, 1),
    (13, 1),
    (61, 1),
    (89, 1),
];

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &((body.len() + 4) as u16).to_be_bytes(), body].concat()
}

fn templated(version: u16) -> (Vec<u8>, Vec<u8>, u32) {
    let rows = FIELDS.iter().flat_map(|(id, bytes)| [id.to_be_bytes(), bytes.to_be_bytes()].concat());
    let template = [&[1, 0, 0, FIELDS.len() as u8][..], &rows.collect::<Vec<u8>>()].concat();
    let record: usize = FIELDS.iter().map(|(_, bytes)| usize::from(*bytes)).sum();
    let records: Vec<u8> = (0..24 * record).map(|i| (i * 7 % 251) as u8).collect();
    let datagram = |set: Vec<u8>| {
        let mut out = version.to_be_bytes().to_vec();
        let second = if version == 9 { 24 } else { 16 + set.len() as u16 };
        out.extend_from_slice(&second.to_be_bytes());
        out.extend_from_slice(&[0; 16][..if version == 9 { 16 } else { 12 }]);
        [out, set].concat()
    };
    (datagram(set(if version == 9 { 0 } else { 2 }, &template)), datagram(set(256, &records)), 24)
}

fn five() -> (Vec<u8>, Vec<u8>, u32) {
    let mut out = vec![0, 5, 0, 30];
    out.extend((0..20 + 30 * 48usize).map(|i| (i * 7 % 251) as u8));
    (Vec::new(), out, 30)
}

fn sflow() -> (Vec<u8>, Vec<u8>, u32) {
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
    let mut frame = vec![0u8; 128];
    frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    frame[16..18].copy_from_slice(&1_400u16.to_be_bytes());
    frame[22..24].copy_from_slice(&[64, 6]);
    frame[46] = 0x50;
    let raw = [words(&[1, 16 + 128, 1, 1_418, 4, 128]), frame].concat();
    let sample = [words(&[1, 1_000, 4_096_000, 0, 3, 4, 1]), raw].concat();
    let sample = [words(&[1, 4 + sample.len() as u32, 7]), sample].concat();
    let samples = sample.repeat(4);
    (Vec::new(), [words(&[5, 1, 0x0A00_0001, 0, 1, 1, 4]), samples].concat(), 4)
}

fn measure(case: &str, (template, data, records): &(Vec<u8>, Vec<u8>, u32), mut each: impl FnMut(&Flow)) {
    let from = Arrival { exporter: Address::of(&[10, 0, 0, 1]), port: 1, received_ns: 1 };
    let mut collector = Collector::new(&Settings::default());
    collector.take(&from, template, &mut |_| ());
    let round = |_| {
        let start = Instant::now();
        (0..DATAGRAMS).for_each(|_| collector.take(&from, black_box(data), &mut each));
        start.elapsed().as_nanos() as f64 / f64::from(DATAGRAMS * records)
    };
    let best = (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min);
    assert_eq!(collector.ledger().flows, u64::from(DATAGRAMS * records) * ROUNDS as u64);
    println!("{case:24} {best:8.1} ns a record, {:6.2} million a second", 1_000.0 / best);
}

fn main() {
    for (name, made) in [("netflow 5", five()), ("netflow 9", templated(9)), ("ipfix", templated(10)), ("sflow", sflow())] {
        measure(name, &made, |flow| {
            black_box(flow);
        });
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        measure(&format!("{name}, protobuf"), &made, |flow| {
            out.clear();
            protobuf::write_framed(flow, &mut scratch, &mut out);
            black_box(&out);
        });
        measure(&format!("{name}, json"), &made, |flow| {
            out.clear();
            json::write(flow, &mut out);
            black_box(&out);
        });
    }
}
