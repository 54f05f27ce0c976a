//! Runs of samplers that take every n-th packet, and of random ones, however counters are read: how soon the former are found, and how
//! often one of the latter is.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of a test")]

use rand_core::Rng;

use super::tests::{Dice, close, plan, row, verdict};
use super::*;

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
const SEED: u64 = 20_271;
/// Time goes in steps of 100 ms.
const STEPS: u64 = 10;

/// When counters are read, and by whose clock.
#[derive(Clone, Copy, Debug)]
struct Reading {
    skew_ms: u64,
    every_s: u64,
    /// Behind a second's start, in steps.
    at: u64,
    /// In which of so many steps from there on is thrown anew each time.
    jitter: u64,
    /// Each key's so many steps behind the one before.
    stagger: u64,
    /// The scrubber's clock is ahead.
    ahead_ms: u64,
}

const ALIGNED: Reading = Reading { skew_ms: 0, every_s: 10, at: 0, jitter: 1, stagger: 0, ahead_ms: 0 };
const READINGS: [(&str, Reading); 6] = [
    ("where windows end, `skew_ms = 0`", ALIGNED),
    ("where windows end, `skew_ms = 100`", Reading { skew_ms: 100, ..ALIGNED }),
    ("by a clock 60 ms ahead, `skew_ms = 100`", Reading { skew_ms: 100, ahead_ms: 60, ..ALIGNED }),
    ("300 ms behind", Reading { skew_ms: 100, at: 3, ..ALIGNED }),
    ("each key 100 ms behind another", Reading { skew_ms: 100, every_s: 1, stagger: 1, ..ALIGNED }),
    ("at any time within a second", Reading { skew_ms: 100, jitter: 10, ..ALIGNED }),
];

/// What is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Traffic {
    /// Steps differ by a tenth, seconds by a half.
    Lively,
    /// In the three steps around each reading alone: all there is lies at edges.
    AtEdges,
}

struct Run {
    keys: usize,
    /// Expected samples a second, of all keys.
    rate: u64,
    traffic: Traffic,
    reading: Reading,
    is_random: bool,
}

impl Run {
    /// Expected samples until it was called systematic, if it was; and the most evidence that there was of all keys.
    fn until(&self, dice: &mut Dice, seconds: u64) -> (Option<u64>, f64) {
        let mut auditor = Auditor::new(Plan { skew_ns: self.reading.skew_ms * MS, ..plan(0.001) });
        let names: Vec<String> = (0..self.keys).map(|key| format!("10.0.{key}.0/24")).collect();
        let (mut dropped, mut all, mut most) = (vec![0_u64; self.keys], 0, 0.0_f64);
        for second in 0..seconds {
            let mut samples: Vec<(String, u64)> = names.iter().map(|name| (name.clone(), 0)).collect();
            let (pace, thrown) = (0.5 + dice.share(), self.reading.at + dice.0.next_u64() % self.reading.jitter);
            for step in 0..STEPS {
                for (key, name) in names.iter().enumerate() {
                    if second.is_multiple_of(self.reading.every_s) && step == (thrown + key as u64 * self.reading.stagger) % STEPS {
                        let time_ns = second * S + (step * 100 + self.reading.ahead_ms) * MS;
                        auditor.offer(row(time_ns, name, dropped[key]), true);
                    }
                    let n = self.dropped(dice, pace, second * STEPS + step);
                    let every_nth = (all + n) / 40 - all / 40;
                    (dropped[key], all) = (dropped[key] + n, all + n);
                    samples[key].1 += if self.is_random { dice.sampled(n, 40.0) } else { every_nth };
                }
            }
            close(&mut auditor, second, &samples);
            if auditor.look(false) {
                most = most.max(auditor.findings()[0].evidence[1]);
            }
            if verdict(&auditor, "") == Verdict::Systematic {
                return (Some(all / 40), most);
            }
        }
        (None, most)
    }

    fn dropped(&self, dice: &mut Dice, pace: f64, step: u64) -> u64 {
        let a_step = self.rate as f64 * 40.0 / (STEPS * self.keys as u64) as f64;
        let cycle = self.reading.every_s * STEPS;
        match self.traffic {
            Traffic::Lively => (a_step * pace * (0.9 + 0.2 * dice.share())) as u64,
            Traffic::AtEdges if (step + 1 + cycle - self.reading.at) % cycle > 2 => 0,
            Traffic::AtEdges => (a_step * (cycle / 3) as f64 * pace) as u64,
        }
    }
}

#[test]
fn a_systematic_sampler_is_found_however_counters_are_read() {
    let mut dice = Dice::new(SEED);
    for (name, reading) in READINGS {
        for (rate, seconds) in [(50, 10_000), (200, 20_000), (5_000, 80_000)] {
            let keys = if reading.stagger > 0 { 4 } else { 1 };
            let run = Run { keys, rate, traffic: Traffic::Lively, reading, is_random: false };
            let mut found: Vec<u64> = (0..3).map(|_| run.until(&mut dice, seconds).0.unwrap_or(u64::MAX)).collect();
            found.sort_unstable();
            println!("counters read {name}: of {rate} samples a second found after {} (median of 3: {found:?})", found[1]);
            assert!(found[2] < u64::MAX, "{name}, {rate} a second");
        }
    }
}

/// Evidence of random samplers reaches 20 in no more than a twentieth of runs, within what chance allows.
#[test]
fn a_random_sampler_is_not_however_counters_are_read() {
    let mut dice = Dice::new(SEED + 1);
    let runs = 60_u32;
    let (mut found, mut alarms, mut over) = (0, 0.0, 0);
    for traffic in [Traffic::Lively, Traffic::AtEdges] {
        for (_, reading) in READINGS {
            for keys in [1, 4] {
                let run = Run { keys, rate: 200, traffic, reading, is_random: true };
                let mut here = 0;
                for _ in 0..runs {
                    let (systematic, most) = run.until(&mut dice, 80);
                    (found, here) = (found + u32::from(systematic.is_some()), here + u32::from(most >= 20_f64.ln()));
                    over += 1;
                }
                alarms += f64::from(here);
            }
        }
    }
    let allowed = f64::from(over) * 0.05;
    println!("{found} of {over} random samplers are called systematic, evidence reaches 20 in {alarms}; {allowed} are allowed");
    assert!(found <= 5 && alarms < allowed + 3.0 * allowed.sqrt(), "{found} {alarms}");
}
