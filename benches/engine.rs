//! The standard set over many ranges: gathered, against the same kernels run packet by packet with two-stage prefetch.
//!
//! `bash scripts/bench engine`: one line of JSON a case. Both sides count the same records, in memory, a window after the
//! other, and close each window; what is sealed is read and thrown away by the same thread. Nanoseconds are those that the
//! thread ran.

#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::panic, reason = "a bench")]

mod support;

use std::sync::Arc;

use support::{Chances, Figure, in_turn, ran_ns, standard, traffic, world};
use tailwater::arch::Reserve;
use tailwater::gather::{Gather, Stage};
use tailwater::record::Record;
use tailwater::runtime::world::World;
use tailwater::units::{Epoch, RangeIndex};
use tailwater::window::stream::{Stream, stream};
use tailwater::window::{Shard, ShardBytes};

const ROUNDS: usize = 5;
const MEMORY_MB: usize = 6_000;
/// Packets ahead of the one that is counted of which the slot, and then the block, is fetched.
const SLOT_AHEAD: usize = 24;
const BLOCK_AHEAD: usize = 12;

/// A shard whose stream is read by whoever runs it.
struct Engine {
    shard: Shard,
    stream: Stream,
    at: Epoch,
}

impl Engine {
    fn new(world: &Arc<World>) -> Self {
        let (outlet, stream) = stream(world.plans.room(), false);
        let bytes = ShardBytes { roots: world.plans.roots_bytes(), sketches: MEMORY_MB << 20, reserve: Reserve::Lazily };
        let shard = Shard::new(Arc::clone(&world.plans), world.hash_key.clone(), world.calendar, bytes, outlet, 1);
        Self { shard, stream, at: Epoch(0) }
    }

    fn drain(&mut self) {
        while self.stream.next(|_| ()) {}
    }

    /// Ends the window.
    fn close(&mut self, next: Epoch) {
        self.shard.advance(next);
        while self.shard.step() {
            self.drain();
        }
        self.drain();
        self.at = next;
    }
}

type Traffic = [(RangeIndex, Record)];

/// One window, gathered.
fn gathered(engine: &mut Engine, gather: &mut Gather, traffic: &Traffic) -> f64 {
    let begun = ran_ns();
    for (range, record) in traffic {
        gather.append(*range, record, &mut engine.shard);
    }
    let next = Epoch(engine.at.0 + 1);
    gather.advance(next);
    while gather.step(&mut engine.shard) {
        while engine.shard.is_busy() {
            engine.shard.step();
            engine.drain();
        }
    }
    engine.close(next);
    (ran_ns() - begun) as f64
}

/// One window, packet by packet.
fn direct(engine: &mut Engine, traffic: &Traffic) -> f64 {
    let begun = ran_ns();
    for (n, (range, record)) in traffic.iter().enumerate() {
        if let Some((ahead, _)) = traffic.get(n + SLOT_AHEAD) {
            engine.shard.prefetch_slot(*ahead);
        }
        if let Some((ahead, _)) = traffic.get(n + BLOCK_AHEAD) {
            engine.shard.prefetch_block(*ahead);
        }
        engine.shard.records(*range, engine.at, std::slice::from_ref(record));
    }
    engine.close(Epoch(engine.at.0 + 1));
    (ran_ns() - begun) as f64
}

fn case(name: &str, ranges: usize, packets: usize, chances: &Chances) {
    let world = world(&standard(ranges, MEMORY_MB, ""));
    let traffic = traffic(packets, chances);
    let (mut ours, mut theirs) = (Engine::new(&world), Engine::new(&world));
    let mut gather = Gather::new(world.ranges(), 256 << 20, &world.plans.layout);
    // Memory is touched for the first time outside of what is measured.
    gathered(&mut ours, &mut gather, &traffic);
    direct(&mut theirs, &traffic);
    let (a, b) = in_turn(ROUNDS, || gathered(&mut ours, &mut gather, &traffic), || direct(&mut theirs, &traffic));
    let mpps = |ns: f64| packets as f64 / ns * 1e3;
    let against = "the same kernels packet by packet, two-stage prefetch";
    Figure { bench: "engine", case: name, unit: "Mpps", ours: mpps(a), against, theirs: mpps(b), ratio: b / a }.print();
}

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    type Case = (&'static str, usize, usize, fn(usize) -> Chances);
    let cases: [Case; 5] = [
        ("uniform-1k", 1_000, 500_000, Chances::uniform),
        ("uniform-10k", 10_000, 1_000_000, Chances::uniform),
        ("uniform-50k", 50_000, 2_000_000, Chances::uniform),
        ("zipf-10k", 10_000, 1_000_000, Chances::zipf),
        ("one-range", 1_000, 500_000, Chances::victim),
    ];
    for (name, ranges, packets, chances) in cases {
        if only.as_ref().is_none_or(|only| only == name) {
            case(name, ranges, packets, &chances(ranges));
        }
    }
}
