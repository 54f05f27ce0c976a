//! What decoding flow records costs: nanoseconds a record, of a datagram of 24 NetFlow 9 or IPFIX records of 20 fields, of 30 of
//! NetFlow 5, and of four sFlow samples of 128 bytes; alone, written as protobuf or JSON, and all the way into the journal on disk, with
//! key and length, checksum and write: CPU time of all threads. The least of several rounds.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "a bench prints its figures"
)]

#[path = "support/exports.rs"]
mod exports;

use std::hint::black_box;
use std::time::Instant;

use exports::{Exports, all};
use tailwater::flows::key::Key;
use tailwater::flows::{Address, Arrival, Collector, Flow, Settings, json, protobuf};
use tailwater::journal::{Bound, Disk, FlowLane, Journal, LotForm, LotWriter, Message, WindowOf};

const ROUNDS: usize = 7;
const DATAGRAMS: u32 = 20_000;
fn measure(case: &str, Exports { template, data, records, .. }: &Exports, mut each: impl FnMut(&Flow)) {
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

/// CPU time of all threads of this process, nanoseconds.
fn ran_ns() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux").filter_map(Result::ok);
    let ran = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0)
    };
    tasks.map(ran).sum()
}

/// From the datagram into segments on disk, in lots, as the appliance does it.
fn journalled(case: &str, Exports { template, data, records, .. }: &Exports) {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = |name: &str| Disk { folder: folder.path().join(name), bytes_max: 1 << 30, segment_bytes: 16 << 20 };
    let journal = Journal::open(Bound::default(), &disk("reports"), &["none"]).expect("a journal");
    let lane = FlowLane { bound: Bound { messages: usize::MAX, bytes: 128 << 20 }, disk: Some(disk("flows")) };
    let journal = journal.with_flows(&lane, &["none"]).expect("a lane");
    let from = Arrival { exporter: Address::of(&[10, 0, 0, 1]), port: 1, received_ns: 1 };
    let mut collector = Collector::new(&Settings::default());
    collector.take(&from, template, &mut |_| ());
    let (mut lot, mut key, mut scratch) = (LotWriter::new(LotForm::Framed, 80 << 10), Key::new(&["sampler_address"]), Vec::new());
    let mut put = |flow: &Flow| {
        lot.put(|out| key.write(&tailwater::flows::Message::plain(flow), out), |out| protobuf::write_framed(flow, &mut scratch, out));
        if lot.bytes() >= 64 << 10 {
            journal.append(Message::flows("t", lot.take(), WindowOf::default()));
        }
    };
    let mut round = |_| {
        let start = ran_ns();
        for _ in 0..DATAGRAMS {
            collector.take(&from, black_box(data), &mut put);
        }
        while journal.flow_state().is_some_and(|state| state.unsynced > 0) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        (ran_ns() - start) as f64 / f64::from(DATAGRAMS * records)
    };
    let best = (0..ROUNDS).map(&mut round).fold(f64::INFINITY, f64::min);
    println!("{case:24} {best:8.1} ns a record, {:6.2} million a second", 1_000.0 / best);
}

fn main() {
    for (name, made) in all() {
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
        journalled(&format!("{name}, journalled"), &made);
    }
}
