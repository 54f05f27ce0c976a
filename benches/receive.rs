//! What a receiving core does with a frame before its stats: parse, tags, longest prefix match, gather, and the ledger.
//!
//! `bash scripts/bench receive [CASE]`: nanoseconds a frame, one line of JSON a case. With a second word each runs once, as for
//! `valgrind --tool=callgrind --toggle-collect='*receive::measured*'`. Batches go nowhere: what takes them counts them.

#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::panic, reason = "a bench")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use support::{median, ran_ns, standard, world};
use tailwater::arch::hash::spread;
use tailwater::exports::tap::taps;
use tailwater::gather::Stage;
use tailwater::gather::packed::Batch;
use tailwater::limits::BURST_FRAMES_MAX;
use tailwater::runtime::receiver::Receiver;
use tailwater::rx::Frame;
use tailwater::telemetry::Registry;
use tailwater::units::{Epoch, LinkType, RangeIndex};
use tailwater::window::stream::stream;

const FRAMES: usize = 400_000;
const ROUNDS: usize = 5;
const LOGS_BYTES: usize = 64 << 20;

struct Case {
    name: &'static str,
    ranges: usize,
    /// Of a hundred frames, those that go to one range.
    hot_percent: u64,
    /// VLAN tags; with two, one frame in forty is a sample of what was blocked.
    tags: usize,
    /// One in so many is sampled for an export; 0: there is none.
    sampling: u32,
}

const CASES: [Case; 5] = [
    Case { name: "uniform-10k", ranges: 10_000, hot_percent: 0, tags: 0, sampling: 0 },
    Case { name: "uniform-50k", ranges: 50_000, hot_percent: 0, tags: 0, sampling: 0 },
    Case { name: "one-range", ranges: 10_000, hot_percent: 90, tags: 0, sampling: 0 },
    Case { name: "qinq-10k", ranges: 10_000, hot_percent: 0, tags: 2, sampling: 0 },
    Case { name: "uniform-10k-sampled", ranges: 10_000, hot_percent: 0, tags: 0, sampling: 1_000 },
];

/// Takes batches and does nothing with them.
#[derive(Default)]
struct Nowhere {
    records: usize,
}

impl Stage for Nowhere {
    fn batch(&mut self, _: RangeIndex, _: Epoch, batch: &Batch<'_>) {
        self.records += batch.len;
    }
    fn advance(&mut self, _: Epoch) {}
    fn step(&mut self) -> bool {
        false
    }
}

/// Frames of 64 bytes, FCS counted: UDP and TCP from anywhere.
fn frames(case: &Case) -> Vec<Vec<u8>> {
    let frame = |n: u64| {
        let draw = spread(n);
        let range = if draw % 100 < case.hot_percent { 7 } else { spread(n ^ 0x77) % case.ranges as u64 };
        let mut bytes = vec![0; 12];
        for tag in 0..case.tags {
            let id: u16 = if tag == 0 && n.is_multiple_of(40) { 666 } else { 100 };
            bytes.extend([0x81, 0x00]);
            bytes.extend(id.to_be_bytes());
        }
        bytes.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, if draw >> 60 == 0 { 6 } else { 17 }, 0, 0]);
        bytes.extend(&draw.to_le_bytes()[..4]);
        bytes.extend([10, (range / 256) as u8, (range % 256) as u8, draw.to_le_bytes()[4]]);
        bytes.extend(&draw.to_le_bytes()[5..7]);
        bytes.extend([0, 53, 0, 26, 0, 0]);
        bytes.extend([0x50; 18]);
        bytes
    };
    (0..FRAMES as u64).map(frame).collect()
}

#[inline(never)]
fn measured(receiver: &mut Receiver<Nowhere>, frames: &[Vec<u8>]) {
    for burst in frames.chunks(BURST_FRAMES_MAX) {
        let mut polled = ArrayVec::<_, BURST_FRAMES_MAX>::new();
        for bytes in burst {
            let length = bytes.len() as u32;
            let (port, link, late) = (0, LinkType::Ethernet, false);
            polled.push(Frame { bytes, wire_bytes: length, captured_bytes: length, time_ns: 1, epoch: Epoch(1), port, link, late });
        }
        receiver.frames(&polled);
    }
}

/// Nanoseconds a frame.
fn run(case: &Case) -> f64 {
    let world = world(&standard(case.ranges, 1_024, ""));
    let registry = Registry::new("bench", "", Duration::from_secs(1));
    let (outlet, _stream) = stream(world.room, false);
    let mut receiver = Receiver::new(Arc::clone(&world), Nowhere::default(), outlet, registry.core(1, "rx"), LOGS_BYTES);
    // As many samples as come find room.
    let (taps, _ends) = taps(usize::from(case.sampling > 0), &[case.sampling], [7; 32], false);
    taps.into_iter().for_each(|tap| receiver.sample_for(tap));
    receiver.epoch(Epoch(1));
    let frames = frames(case);
    let begun = ran_ns();
    measured(&mut receiver, &frames);
    let ran = (ran_ns() - begun) as f64 / frames.len() as f64;
    receiver.end();
    assert_eq!(receiver.stage().records, FRAMES, "each frame is one record");
    ran
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let (name, rounds) = (words.first(), if words.len() > 1 { 1 } else { ROUNDS });
    for case in CASES.iter().filter(|case| name.is_none_or(|name| name == case.name || name == "any")) {
        let ns = median((0..rounds).map(|_| run(case)).collect());
        println!("{{\"bench\":\"receive\",\"case\":\"{}\",\"ns_per_frame\":{ns:.1}}}", case.name);
    }
}
