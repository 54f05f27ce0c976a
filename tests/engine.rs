//! The engine, from frames to reports, against a slow and obvious model; in both modes, on threads, without DPDK.
//!
//! `TAILWATER_SEEDS` says how many seeds, `TAILWATER_SEED` which one alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

#[path = "engine_support/mod.rs"]
mod support;

use support::compare::check;
use support::dice::{Dice, seeds};
use support::drive::{Log, load, run};
use support::setup::Setup;
use support::traffic::{Mix, Packet, draw};

#[path = "engine_support/overload.rs"]
mod overload;

#[path = "engine_support/overdue.rs"]
mod overdue;

#[path = "engine_support/reloaded.rs"]
mod reloaded;

#[path = "engine_support/rolled.rs"]
mod rolled;

#[path = "engine_support/shed.rs"]
mod shed;

#[path = "engine_support/stepped.rs"]
mod stepped;

#[path = "engine_support/urgent.rs"]
mod urgent;

/// Receivers and workers.
const SHAPES: [(u32, u32); 7] = [(1, 0), (2, 0), (4, 0), (1, 1), (1, 3), (1, 6), (2, 2)];

fn case(seed: u64) -> (Setup, Vec<Packet>) {
    let mut dice = Dice::new(seed);
    let setup = Setup::draw(&mut dice);
    let mix = Mix {
        packets: 1_500,
        windows: 4,
        window_ns: setup.window_ms * 1_000_000,
        spoofed: dice.of(&[0, 0, 2]),
        tunnels: dice.one_in(2),
        late: dice.one_in(2),
        gaps: dice.one_in(2),
    };
    let packets = draw(&mut dice, &mix);
    (setup, packets)
}

#[test]
fn every_figure_is_what_was_sent() {
    for seed in seeds(12) {
        println!("TAILWATER_SEED={seed}");
        let (setup, packets) = case(seed);
        let config = load(&setup.toml(), &setup.csv());
        let shape = SHAPES[usize::try_from(seed).unwrap() % SHAPES.len()];
        let log = run(&config, &packets, shape, seed);
        check(&setup, &packets, &log);
    }
}

/// Without what may differ: a top-K beyond its exact keys, which the model bounds.
fn fixed(log: &Log, keeps: impl Fn(&str) -> bool) -> Log {
    let mut log = log.clone();
    log.ranges.iter_mut().for_each(|report| report.stats.retain(|stat| keeps(&stat.calculation)));
    log.appliance.iter_mut().for_each(|report| {
        report.cores.clear();
        report.unmatched_top.clear();
    });
    log
}

#[test]
fn reports_do_not_depend_on_modes_cores_or_bursts() {
    for seed in seeds(3) {
        println!("TAILWATER_SEED={seed}");
        let (setup, packets) = case(seed);
        let config = load(&setup.toml(), &setup.csv());
        let first = run(&config, &packets, (1, 0), 0);
        for shape in SHAPES {
            let log = run(&config, &packets, shape, seed + 1);
            check(&setup, &packets, &log);
            let any_order = |calculation: &str| calculation != "topk";
            assert_eq!(fixed(&log, any_order), fixed(&first, any_order), "{shape:?}");
            if shape.1 == 0 || shape.0 == 1 {
                let again = run(&config, &packets, shape, seed + 2);
                assert_eq!(again.ranges, log.ranges, "{shape:?}, cut otherwise");
            }
        }
    }
}
