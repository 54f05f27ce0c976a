//! What the engine's benches share: the standard set over many ranges, traffic in memory, clocks.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each bench uses its part")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::panic,
    clippy::expect_used,
    reason = "a bench"
)]

pub mod assign;
pub mod callgrind;
pub mod captures;
pub mod drain;
pub mod inner;
pub mod programs;
pub mod sets;
pub mod stages;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tailwater::arch::HashKey;
use tailwater::arch::hash::spread;
use tailwater::config::{self, Config};
use tailwater::record::{Has, Record};
use tailwater::runtime::world::World;
use tailwater::units::RangeIndex;

/// `examples/standard.toml`.
pub fn standard_text() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join("examples/standard.toml")).expect("the standard set")
}

/// The standard set, and more stats, over so many /24 of 10.0.0.0/8.
pub fn standard(ranges: usize, memory_mb: usize, more: &str) -> Config {
    written(ranges, &(standard_text().replace("memory_mb = 1024", &format!("memory_mb = {memory_mb}")) + more))
}

/// A configuration over so many /24 of 10.0.0.0/8.
pub fn written(ranges: usize, text: &str) -> Config {
    let folder = std::env::temp_dir().join(format!("tailwater-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the configuration");
    let rows: String = (0..ranges).map(|n| format!("10.{}.{}.0/24,c{n}\n", n / 256, n % 256)).collect();
    std::fs::write(folder.join("ranges.csv"), format!("prefix,customer\n{rows}")).expect("ranges");
    std::fs::write(folder.join("bench.toml"), text).expect("a configuration");
    let loaded = config::load(&folder.join("bench.toml"), &tailwater::stats::check);
    std::fs::remove_dir_all(&folder).expect("a folder that was just made");
    loaded.unwrap_or_else(|faults| panic!("{faults}"))
}

/// Twelve stats more than the standard set, of mixed kinds.
pub fn twelve_more() -> String {
    let row = |name: &str, rest: &str| format!("\n[[stats]]\nname = \"{name}\"\n{rest}\n");
    [
        row("syn_sources", "calculation = \"distinct\"\nkey = \"src_ip\"\nmetric = \"connections_opened\"\np = 10"),
        row("accepted", "calculation = \"sum\"\nmetric = \"connections_accepted\""),
        row("fragments", "calculation = \"sum\"\nmetric = \"fragments\""),
        row("udp_bytes", "calculation = \"sum\"\nmetric = \"bytes\"\nwhere = { protocol = \"udp\" }"),
        row("dns_answers", "calculation = \"sum\"\nmetric = \"bytes\"\nwhere = { protocol = \"udp\", src_port = 53 }"),
        row("payload_sizes", "calculation = \"histogram\"\nkey = \"payload_size\""),
        row("size_bytes", "calculation = \"histogram\"\nkey = \"packet_size\"\nmetric = \"bytes\""),
        row("destination_ports", "calculation = \"distinct\"\nkey = \"dst_port\"\np = 10"),
        row("top_services", "calculation = \"topk\"\nkey = [\"dst_ip\", \"dst_port\"]\nk = 20"),
        row("top_protocols", "calculation = \"topk\"\nkey = \"protocol\"\nmetric = \"bytes\"\nk = 20"),
        row("top_syn_sources", "calculation = \"topk\"\nkey = \"src_ip\"\nmetric = \"connections_opened\"\nk = 20"),
        row("top_udp_ports", "calculation = \"topk\"\nkey = \"src_port\"\nwhere = { protocol = \"udp\" }\nk = 20"),
    ]
    .concat()
}

/// What cores share.
pub fn world(config: &Config) -> Arc<World> {
    Arc::new(World::new(config, HashKey::constant(), 1).unwrap_or_else(|refusal| panic!("{}: {}", refusal.key, refusal.message)))
}

/// Numbers from 0 to n-1, each with its own chance: two looks into a table (Walker's alias method).
pub struct Chances {
    table: Vec<(u32, u32)>,
}

impl Chances {
    /// With these weights.
    pub fn new(weights: &[f64]) -> Self {
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        let mut left: Vec<f64> = weights.iter().map(|weight| weight / mean).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..left.len()).partition(|at| left[*at] < 1.0);
        let mut table = vec![(u32::MAX, 0); left.len()];
        while let (Some(low), Some(high)) = (small.pop(), large.last().copied()) {
            table[low] = ((left[low] * f64::from(u32::MAX)) as u32, high as u32);
            left[high] -= 1.0 - left[low];
            if left[high] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        Self { table }
    }

    /// Each alike.
    pub fn uniform(n: usize) -> Self {
        Self::new(&vec![1.0; n])
    }

    /// By Zipf's law with exponent 1; ranks are spread over the numbers.
    pub fn zipf(n: usize) -> Self {
        let mut weights = vec![0.0; n];
        let mut free: Vec<usize> = (0..n).collect();
        for rank in 0..n {
            let at = free.swap_remove(spread(rank as u64 + 77) as usize % free.len());
            weights[at] = 1.0 / (rank + 1) as f64;
        }
        Self::new(&weights)
    }

    /// One has nine in ten; the others share the rest.
    pub fn victim(n: usize) -> Self {
        let mut weights = vec![0.1 / (n - 1) as f64; n];
        weights[n / 2] = 0.9;
        Self::new(&weights)
    }

    /// By a draw of 64 bits.
    pub fn pick(&self, draw: u64) -> u32 {
        let slot = (((draw >> 32) * self.table.len() as u64) >> 32) as usize;
        let (keep, other) = self.table[slot];
        if draw as u32 <= keep { slot as u32 } else { other }
    }
}

/// The n-th packet to a range: half of them TCP, sources spoofed, one in eight a sample of what was blocked.
pub fn record(n: u64, range: u32) -> Record {
    let draw = spread(n.wrapping_mul(3) + 1);
    let more = spread(draw);
    let blocked = draw & 7 == 0;
    let tcp = draw & 8 == 0;
    let has = Has::default()
        .with(Has::PORTS, true)
        .with(Has::INGRESS, true)
        .with(Has::TCP_FLAGS, tcp)
        .with(Has::BLOCKED, blocked)
        .with(Has::RANDOM, blocked);
    let mut src = [0; 16];
    let mut dst = [0; 16];
    src[..4].copy_from_slice(&(draw as u32 >> 4).to_be_bytes());
    dst[..4].copy_from_slice(&(0x0A00_0000 | range << 8 | (more as u32 & 0xFF).min(more as u32 >> 8 & 0xFF)).to_be_bytes());
    Record {
        src,
        dst,
        time_ns: n,
        wire_bytes: [60, 60, 60, 124, 590, 1_514, 1_514, 342][more as usize >> 16 & 7],
        payload_bytes: 6,
        src_port: (more >> 20) as u16,
        dst_port: [80, 443, 53, 123, 22, 8_080, 443, 443][more as usize >> 36 & 7],
        weight: if blocked { 40 } else { 1 },
        has,
        protocol: if tcp { 6 } else { 17 },
        ttl: 40 + (more >> 40) as u8 % 80,
        tcp_flags: if tcp { [0x02, 0x10, 0x18, 0x12, 0x10, 0x10, 0x04, 0x11][more as usize >> 48 & 7] } else { 0 },
        ..Record::default()
    }
}

/// So many packets over ranges, in memory.
pub fn traffic(packets: usize, chances: &Chances) -> Vec<(RangeIndex, Record)> {
    (0..packets as u64).map(|n| (n, chances.pick(spread(n ^ 0xABCD)))).map(|(n, range)| (RangeIndex(range), record(n, range))).collect()
}

/// Nanoseconds that this thread has run: preemptions are not in it.
pub fn ran_ns() -> u64 {
    ran_ns_of(Path::new("/proc/thread-self"))
}

/// Likewise of a thread, which is a folder of /proc.
pub fn ran_ns_of(thread: &Path) -> u64 {
    let text = std::fs::read_to_string(thread.join("schedstat")).expect("Linux");
    text.split_whitespace().next().and_then(|field| field.parse().ok()).expect("nanoseconds on a CPU")
}

/// Nanoseconds of some dependent multiplications: the clock of the CPU. The shortest of many tries: others may run between.
pub fn clock() -> f64 {
    let (start, mut x) = (Instant::now(), 3_u64);
    let best = (0..50).map(|_| {
        let begun = start.elapsed();
        (0..40_000).for_each(|_| x = std::hint::black_box(x).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        (start.elapsed() - begun).as_nanos() as f64
    });
    best.fold(f64::MAX, f64::min)
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One figure.
pub struct Figure<'a> {
    pub bench: &'a str,
    pub case: &'a str,
    pub unit: &'a str,
    pub ours: f64,
    pub against: &'a str,
    pub theirs: f64,
    pub ratio: f64,
}

impl Figure<'_> {
    /// As one line of JSON.
    pub fn print(&self) {
        self.print_with("");
    }

    /// Likewise, with more fields, which are JSON.
    pub fn print_with(&self, more: &str) {
        let Self { bench, case, unit, ours, against, theirs, ratio } = self;
        let more = if more.is_empty() { String::new() } else { format!(", {more}") };
        println!(
            "{{\"bench\": \"{bench}\", \"case\": \"{case}\", \"unit\": \"{unit}\", \"ours\": {ours:.4}, \"against\": \"{against}\", \"theirs\": {theirs:.4}, \"ratio\": {ratio:.4}{more}}}"
        );
    }
}

/// Runs both sides in turn, `rounds` times at least, until so many rounds had one clock. Each side gives nanoseconds.
pub fn in_turn(rounds: usize, mut ours: impl FnMut() -> f64, mut theirs: impl FnMut() -> f64) -> (f64, f64) {
    let (mut kept, mut tried) = (Vec::new(), 0);
    while kept.len() < rounds && tried < 3 * rounds {
        tried += 1;
        let clocks = [clock(), 0.0, 0.0];
        let a = ours();
        let clocks = [clocks[0], clock(), 0.0];
        let b = theirs();
        let clocks = [clocks[0], clocks[1], clock()];
        let (least, most) = clocks.iter().fold((f64::MAX, 0.0_f64), |(least, most), c| (least.min(*c), most.max(*c)));
        if most / least < 1.05 {
            kept.push((a, b));
        } else {
            eprintln!("a round whose clock changed is dropped: {clocks:?}");
        }
    }
    (median(kept.iter().map(|(a, _)| *a).collect()), median(kept.iter().map(|(_, b)| *b).collect()))
}
