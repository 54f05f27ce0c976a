//! One stat of one range, streams of packets, and simulated samples: shared by the accuracy tests and their bench.

pub mod cells;
pub mod coverage;
#[path = "../engine_support/dice.rs"]
pub mod dice;
pub mod range;
pub mod shapes;
pub mod sketches;

use dice::Dice;
use tailwater::axes::{Key, Metric};
use tailwater::config::StatSpec;

pub use range::Bench;

pub fn spec(calculation: &str, metric: Metric) -> StatSpec {
    StatSpec::new(calculation, &[Key::SrcIp], metric)
}

/// Sources of a stream of packets.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// So many per mille are random addresses, the rest a Zipf of some thousand.
    Spoofed(u64),
    /// No random ones.
    Zipf,
    /// Decoys first, each often enough to be kept, then as `Spoofed(900)`.
    Decoys,
    /// Twenty keys of one packet in 100 each, that come in two short bursts of the stream only, among random ones.
    Pulses,
    /// Each of ten thousand as often.
    Uniform,
}

/// Zipf of exponent 1 over `n` keys, by inverting the harmonic sum.
pub fn zipf(dice: &mut Dice, n: f64) -> u32 {
    let u = dice.below(1 << 32) as f64 / 4_294_967_296.0;
    0x0A00_0000 + n.powf(u) as u32
}

pub fn source(dice: &mut Dice, stream: Stream, i: u64, n: u64) -> u32 {
    let random = |dice: &mut Dice| u32::try_from(dice.next() >> 32).unwrap() | 0x8000_0000;
    match stream {
        Stream::Pulses if (i * 20 / n) % 10 == 3 && dice.one_in(2) => 0x0C00_0000 + u32::try_from(dice.below(20)).unwrap(),
        Stream::Pulses => random(dice),
        Stream::Uniform => 0x0A00_0000 + u32::try_from(dice.below(10_000)).unwrap(),
        Stream::Decoys if i < n / 10 => 0x0B00_0000 + u32::try_from(i % 400).unwrap(),
        Stream::Spoofed(share) if dice.below(1_000) < share => random(dice),
        Stream::Decoys if dice.below(1_000) < 900 => random(dice),
        _ => zipf(dice, 5_000.0),
    }
}
