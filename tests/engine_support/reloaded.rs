//! Reloads while packets come: every window is counted under one configuration, and nothing is lost or counted twice.

use tailwater::units::Epoch;

use super::support::compare::check_over;
use super::support::dice::{Dice, seeds};
use super::support::drive::{Pace, world};
use super::support::reloads::{run, simulate};
use super::support::setup::Setup;
use super::support::traffic::{Mix, Packet, draw};

const SHAPES: [(u32, u32); 6] = [(1, 0), (2, 0), (1, 1), (1, 3), (2, 2), (3, 1)];

fn case(seed: u64, packets: usize, windows: u64, reloads: usize) -> (Setup, Vec<Setup>, Vec<Packet>) {
    let mut dice = Dice::new(seed);
    let setup = Setup::draw(&mut dice);
    let later = (0..reloads).map(|_| setup.redraw(&mut dice)).collect();
    let (tunnels, late, gaps) = (dice.one_in(2), dice.one_in(2), dice.one_in(2));
    let mix = Mix { packets, windows, window_ns: setup.window_ms * 1_000_000, spoofed: dice.of(&[0, 2]), tunnels, late, gaps };
    let packets = draw(&mut dice, &mix);
    (setup, later, packets)
}

/// Wherever reloads fall, whoever is behind.
#[test]
fn windows_belong_to_one_configuration_each() {
    for seed in seeds(8) {
        println!("TAILWATER_SEED={seed}");
        let (setup, later, packets) = case(seed, 1_500, 20, 20);
        let shape = SHAPES[usize::try_from(seed).unwrap() % SHAPES.len()];
        let pace = Pace { workers: 2, reporter: 9, steps: 4, live: false, sleepy: seed.is_multiple_of(2) };
        let (log, history) = simulate((&setup, &later), &packets, shape, seed, (pace, 25));
        println!("{shape:?}: {} configurations counted", history.eras.len());
        assert!(history.eras.len() > 1, "{:?}", history.eras.iter().map(|era| era.0).collect::<Vec<_>>());
        check_over(&history, &packets, &log);
    }
}

/// On threads, at every edge of a window.
#[test]
fn every_edge_may_be_another_configuration() {
    for seed in seeds(6) {
        println!("TAILWATER_SEED={seed}");
        let (setup, later, packets) = case(seed, 1_500, 10, 24);
        let calendar = world(&super::support::drive::load(&setup.toml(), &setup.csv())).calendar;
        let mut longs: Vec<u64> = packets.iter().map(|packet| calendar.long(calendar.epoch(packet.time_ns))).collect();
        longs.sort_unstable();
        longs.dedup();
        let gates: Vec<Epoch> = longs.iter().take(later.len()).map(|long| calendar.first_of_long(*long)).collect();
        let shape = SHAPES[usize::try_from(seed).unwrap() % SHAPES.len()];
        let (log, history) = run((&setup, &later[..gates.len()]), &gates, &packets, shape, seed);
        println!("{shape:?}: {} configurations counted", history.eras.len());
        check_over(&history, &packets, &log);
    }
}
