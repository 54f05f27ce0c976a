//! The longest stretch for which closing a window of 50,000 ranges, or a reload of them, holds a receiving core.
//!
//! `bash scripts/bench pause`: one line of JSON a case. A core that receives and works counts a window of the standard set
//! and closes it, step by step, as it does between bursts. Every step is timed by the wall, and of each range its longest step
//! is taken; the same window comes again and again, and of each range the shortest of these counts, so that what other
//! programs did meanwhile is not in it. The figure is the longest of all ranges'. `close-heaviest` has the settings that make the
//! longest blocks, over few ranges whose sketches are all full. In `reload-50k` another generation waits as well: the figure is the longest
//! of all that the core's loop calls until it counts with that and the window before is closed, each call at its shortest.

#![allow(clippy::cast_precision_loss, clippy::panic, clippy::expect_used, reason = "a bench")]

#[path = "pause/reload.rs"]
mod reload;
mod support;

use std::sync::Arc;
use std::time::Instant;

use reload::Turn;
use support::{Chances, Figure, standard, traffic, world, written};
use tailwater::arch::Reserve;
use tailwater::config::Config;
use tailwater::gather::{Gather, Stage};
use tailwater::record::Record;
use tailwater::units::{Epoch, RangeIndex};
use tailwater::window::stream::{Stream, stream};
use tailwater::window::{Shard, ShardBytes, Told};

const RANGES: usize = 50_000;
const MEMORY_MB: usize = 4_000;
/// Of the heaviest settings: each with more keys than its sketches hold.
const HEAVY_RANGES: usize = 8;
const HEAVY_PACKETS: usize = 1_300_000;
const HEAVIEST: &str = r#"
[appliance]
name = "heaviest"
window_ms = 10000
memory_mb = 4000
[ranges]
file = "ranges.csv"
[mirror]
directions = ["ingress"]
[[tags]]
match = { vlan = 666 }
decision = "blocked"
sampling = 40
sampler = "random"
[[stats]]
name = "touched"
calculation = "fanout"
key = "src_ip"
k = 1000
pairs = 65536
[[stats]]
name = "evenness"
calculation = "entropy"
key = "src_ip"
keys = 16384
[[stats]]
name = "top"
calculation = "topk"
key = ["src_ip", "dst_ip", "dst_port"]
metric = "bytes"
k = 1000
[[stats]]
name = "sources"
calculation = "distinct"
key = "src_ip"
p = 16
[[stats]]
name = "newcomers"
calculation = "new_keys"
key = "src_ip"
p = 16
[[stats]]
name = "sizes"
calculation = "quantiles"
key = "packet_size"
[[stats]]
name = "ports"
calculation = "histogram"
key = "packet_size"
metric = "bytes"
bins = { first = 2, factor = 2, count = 30 }
[[stats]]
name = "busiest"
calculation = "peak"
metric = "bytes"
sub_window_ms = 10
"#;
const REPEATS: u64 = 7;
const BOUND_US: f64 = 50.0;

struct Core {
    gather: Gather,
    shard: Shard,
    stream: Stream,
    ranges: usize,
}

impl Core {
    fn new(config: &Config) -> Self {
        let world = world(config);
        let (outlet, stream) = stream(world.plans.room(), false);
        let bytes = ShardBytes { roots: world.plans.roots_bytes(), sketches: MEMORY_MB << 20, reserve: Reserve::Lazily };
        let shard = Shard::new(Arc::clone(&world.plans), world.hash_key.clone(), world.calendar, bytes, outlet, 1);
        Self { gather: Gather::new(world.ranges(), 512 << 20, &world.plans.layout), shard, stream, ranges: world.ranges() }
    }

    /// What a receiver does of a closing once a poll; false if nothing is left.
    fn step(&mut self, next: Epoch, handed: &mut bool) -> bool {
        let mut busy = self.shard.step();
        if self.shard.is_busy() {
            return true;
        }
        if self.gather.is_walking() {
            self.gather.step(&mut self.shard);
            busy = true;
        } else if !*handed {
            *handed = true;
            self.shard.advance(next);
            busy = true;
        }
        busy
    }

    /// Counts a window and closes it: nanoseconds of each range's longest step.
    fn window(&mut self, traffic: &[(RangeIndex, Record)], next: Epoch) -> Vec<u64> {
        for (range, record) in traffic {
            self.gather.append(*range, record, &mut self.shard);
        }
        self.gather.advance(next);
        let (mut longest, mut handed, mut longest_since) = (vec![0; self.ranges], false, 0);
        loop {
            let begun = Instant::now();
            let busy = self.step(next, &mut handed);
            longest_since = longest_since.max(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
            while self.stream.next(|told| {
                // What led to a range's block was done for it.
                if let Told::Block(sealed, _) = told {
                    let of_range = &mut longest[sealed.range.at()];
                    *of_range = longest_since.max(*of_range);
                    longest_since = 0;
                }
            }) {}
            if !busy {
                return longest;
            }
        }
    }
}

fn case(name: &str, config: &Config, traffic: &[(RangeIndex, Record)]) {
    let mut core = Core::new(config);
    // Memory is touched for the first time outside of what is measured.
    core.window(traffic, Epoch(1));
    let mut least = core.window(traffic, Epoch(2));
    for repeat in 1..REPEATS {
        let longest = core.window(traffic, Epoch(2 + repeat));
        least.iter_mut().zip(longest).for_each(|(least, ns)| *least = ns.min(*least));
    }
    least.sort_unstable();
    let us = |permille: usize| least[(least.len() - 1) * permille / 1_000] as f64 / 1e3;
    eprintln!("{name}: of ranges' longest steps the median is {} us, 99.9 % are within {} us", us(500), us(999));
    let ours = us(1_000);
    Figure { bench: "pause", case: name, unit: "us", ours, against: "the bound", theirs: BOUND_US, ratio: ours / BOUND_US }.print();
}

/// Turns to one generation after the other, all of the same ranges.
fn reloads(name: &str, config: &Config) {
    let mut core = reload::Core::new(config);
    // As above.
    core.turn(config);
    let mut least = core.turn(config);
    for _ in 1..REPEATS {
        let Turn { look, epoch, steps, back } = core.turn(config);
        least.look = look.min(least.look);
        least.epoch = epoch.min(least.epoch);
        least.back = back.min(least.back);
        // The same frames are closed by the same steps.
        assert_eq!(steps.len(), least.steps.len(), "steps of a window");
        least.steps.iter_mut().zip(steps).for_each(|(least, ns)| *least = ns.min(*least));
    }
    let Turn { look, epoch, steps, back } = least;
    let step = steps.iter().copied().max().unwrap_or(0);
    let us = |ns: u64| ns as f64 / 1e3;
    let (takes, turns, sends) = (us(look), us(epoch), us(back));
    eprintln!("{name}: taking it {takes} us, turning {turns} us, sending the old one back {sends} us, the longest step {} us", us(step));
    let ours = us(look.max(epoch).max(step).max(back));
    Figure { bench: "pause", case: name, unit: "us", ours, against: "the bound", theirs: BOUND_US, ratio: ours / BOUND_US }.print();
}

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    type Case = (&'static str, usize, fn(usize) -> Chances);
    let cases: [Case; 2] = [("close-uniform-50k", 1_500_000, Chances::uniform), ("close-zipf-50k", 2_500_000, Chances::zipf)];
    for (name, packets, chances) in cases {
        if only.as_ref().is_none_or(|only| only == name) {
            case(name, &standard(RANGES, MEMORY_MB, ""), &traffic(packets, &chances(RANGES)));
        }
    }
    if only.as_ref().is_none_or(|only| only == "reload-50k") {
        reloads("reload-50k", &standard(RANGES, MEMORY_MB, ""));
    }
    if only.as_ref().is_none_or(|only| only == "close-heaviest") {
        case("close-heaviest", &written(HEAVY_RANGES, HEAVIEST), &traffic(HEAVY_PACKETS, &Chances::uniform(HEAVY_RANGES)));
    }
}
