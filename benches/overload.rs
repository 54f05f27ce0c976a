//! More than a core can carry, offered over `net_ring` by a sender that keeps to a pace: what is shed, and what the port misses all the
//! same.
//!
//! `bash scripts/bench overload`: one line of JSON a load. First, with shedding off, as much as the queue takes: that is what the core
//! carries. Then so many times that, by the clock: millions of frames a second that the core took, beside what it carries; the
//! load as it came out, the share that the port missed, and the share of records at which top-K did not look. The standard set of 24 stats on
//! 1,000 ranges, forged sources, run-to-completion, a queue of 1,024 frames. How much shedding stretches hangs on the
//! traffic: here each range has some 33 keys, over and over, where it does not pay.
//!
//! Wants two CPUs, one for the core and one for the sender. Exit status 1: something is broken; speed has no say in it.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench"
)]

#[path = "../tests/fed_support/mod.rs"]
mod fed_support;
#[path = "../tests/engine_support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fed_support::{Fed, until};
use support::dice::Dice;
use support::drive::load;
use support::traffic::{FRAME_BYTES, udp};
use tailwater::config::Config;
use tailwater::dpdk::{Eal, EalConfig, LcorePin};
use tailwater::limits::BURST_FRAMES_MAX;

const RANGES: u32 = 1_000;
/// Made beforehand, and sent over and over.
const FRAMES: usize = 1 << 15;
/// Frames that wait in the queue, as in a NIC's.
const WAITING_FRAMES: u32 = 1_024;
/// Of each load: until ranges have their tables, and what counts.
const SETTLE: Duration = Duration::from_secs(4);
const COUNTED: Duration = Duration::from_secs(8);
const LOADS: [f64; 6] = [0.8, 1.1, 1.2, 1.3, 1.5, 2.0];

/// One lcore, on the last CPU; the sender and all else on the first.
fn eal() -> Eal {
    let cpus: Vec<usize> = core_affinity::get_core_ids().unwrap().into_iter().map(|core| core.id).collect();
    let pin = |(lcore, cpu): (u32, Option<&usize>)| LcorePin { lcore, cpus: cpu.copied().into_iter().collect() };
    let lcores = [(0, cpus.first()), (1, cpus.last())].map(pin).to_vec();
    Eal::init(&EalConfig { lcores, ..EalConfig::private("overload", &[]) }).unwrap()
}

/// The standard set over so many /24.
fn config(sheds: bool) -> Config {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/standard.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let text =
        text.replace("memory_mb = 1024", &format!("memory_mb = 1024\nshed = {sheds}")).replace("window_ms = 10000", "window_ms = 2000");
    let mut ranges = "prefix,customer\n".to_owned();
    (0..RANGES).for_each(|n| writeln!(ranges, "10.{}.{}.0/24,c{n}", n >> 8, n & 255).unwrap());
    load(&text, &ranges)
}

/// UDP of anybody to one of the ranges.
fn frame(dice: &mut Dice) -> [u8; FRAME_BYTES] {
    let (draw, range) = (dice.next(), dice.next() as u32 % RANGES);
    udp(draw as u32, 10 << 24 | range << 8 | (draw >> 32) as u32 & 255, (draw >> 16) as u32)
}

struct Sender {
    fed: Fed,
    frames: Vec<[u8; FRAME_BYTES]>,
    sent: u64,
}

/// What stands in counters.
#[derive(Clone, Copy)]
struct Point {
    sent: u64,
    missed: u64,
    received: u64,
    shed: u64,
}

impl Sender {
    fn new(eal: &Eal, sheds: bool) -> Self {
        let mut dice = Dice::new(7);
        let frames = (0..FRAMES).map(|_| frame(&mut dice)).collect();
        Self { fed: Fed::start(eal, &config(sheds), (1, 0), WAITING_FRAMES), frames, sent: 0 }
    }

    fn point(&self) -> Point {
        let total = self.fed.total();
        Point { sent: self.sent, missed: self.fed.missed(), received: total.received, shed: total.shed }
    }

    /// Sends so many millions a second for so long: a burst whenever it is due.
    fn pace(&mut self, mpps: f64, during: Duration) {
        let (begun, before, mut skipped) = (Instant::now(), self.sent, 0);
        loop {
            let gone = begun.elapsed();
            if gone >= during {
                return;
            }
            let due = before + (gone.as_nanos() as f64 * mpps / 1e3) as u64 - skipped;
            // What was due while this thread did not run is not made up for: it would come faster than the pace.
            let late = due.saturating_sub(self.sent + BEHIND_MAX);
            skipped += late;
            for _ in self.sent..(due - late).min(self.sent + TURN) {
                let bytes = self.frames[self.sent as usize % FRAMES];
                self.fed.offer(0, &bytes);
                self.sent += 1;
            }
            // What finds no room waits on, and is counted as missed when more comes.
            self.fed.feeders[0].flush().ok();
        }
    }

    /// A load, and what came of it.
    fn measure(&mut self, mpps: f64) -> (Point, Point, f64) {
        self.pace(mpps, SETTLE);
        let (begun, before) = (Instant::now(), self.point());
        self.pace(mpps, COUNTED);
        (before, self.point(), begun.elapsed().as_nanos() as f64 / 1e3)
    }
}

/// Frames that are sent at once: half a burst, so that a poll that takes a whole one left something behind.
const TURN: u64 = BURST_FRAMES_MAX as u64 / 2;
/// Frames that the sender may be behind its pace.
const BEHIND_MAX: u64 = 4 * BURST_FRAMES_MAX as u64;
/// More than any sender sends.
const ALL_MPPS: f64 = 1e6;

fn carried(eal: &Eal) -> f64 {
    let mut sender = Sender::new(eal, false);
    let (before, after, us) = sender.measure(ALL_MPPS);
    sender.fed.end();
    (after.received - before.received) as f64 / us
}

fn main() {
    let eal = eal();
    let carried = carried(&eal);
    eprintln!("carries {carried:.2} million frames a second");
    for times in LOADS {
        let mut sender = Sender::new(&eal, true);
        let (before, after, us) = sender.measure(carried * times);
        let (sent, missed) = ((after.sent - before.sent) as f64, (after.missed - before.missed) as f64);
        let received = (after.received - before.received) as f64;
        let (load, unseen) = (sent / us / carried, (after.shed - before.shed) as f64 / received);
        println!(
            "{{\"bench\": \"overload\", \"case\": \"{times}\", \"unit\": \"Mpps\", \"ours\": {:.4}, \"against\": \"what it carries without shedding\", \
             \"theirs\": {carried:.4}, \"ratio\": {:.4}, \"load\": {load:.3}, \"missed\": {:.4}, \"not_looked_at\": {unseen:.4}}}",
            received / us,
            received / us / carried,
            missed / sent
        );
        sender.fed.flush();
        let due = sender.sent - sender.fed.missed();
        until(60, "what is there is received", || sender.fed.received() >= due);
        sender.fed.end();
    }
}
