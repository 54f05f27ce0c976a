//! Reloads while packets come: every window is counted under one configuration, and nothing is lost or counted twice.

use tailwater::units::Epoch;

use super::support::compare::check_over;
use super::support::dice::{Dice, seeds};
use super::support::drive::{Pace, load, world};
use super::support::reloads::{run, simulate};
use super::support::setup::Setup;
use super::support::traffic::{Mix, Packet, draw};

const SHAPES: [(u32, u32); 6] = [(1, 0), (2, 0), (1, 1), (1, 3), (2, 2), (3, 1)];

/// Not so many epochs that their marks alone fill a ring.
fn case(seed: u64, packets: usize, windows: u64, reloads: usize) -> (Setup, Vec<Setup>, Vec<Packet>) {
    let mut dice = Dice::new(seed);
    let setup = Setup::draw(&mut dice);
    let windows = windows.min((100 * setup.fast_ms / setup.window_ms).max(3));
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
        let pace = Pace { workers: 2, reporter: 9, steps: 4, live: false, sleepy: seed.is_multiple_of(2), overdue: false };
        let (log, history) = simulate((&setup, &later), &packets, shape, seed, (pace, 25));
        println!("{shape:?}: {} configurations counted", history.eras.len());
        assert!(history.eras.len() > 1, "{:?}", history.eras.iter().map(|era| era.0).collect::<Vec<_>>());
        check_over(&history, &packets, &log);
    }
}

/// On threads, before each window another one.
fn at_every_edge(eras: (&Setup, &[Setup]), packets: &[Packet], shape: (u32, u32), seed: u64) -> usize {
    let (setup, later) = eras;
    let calendar = world(&load(&setup.toml(), &setup.csv())).calendar;
    let mut longs: Vec<u64> = packets.iter().map(|packet| calendar.long(calendar.epoch(packet.time_ns))).collect();
    longs.sort_unstable();
    longs.dedup();
    let gates: Vec<Epoch> = longs.iter().take(later.len()).map(|long| calendar.first_of_long(*long)).collect();
    let (log, history) = run((setup, &later[..gates.len()]), &gates, packets, shape, seed);
    check_over(&history, packets, &log);
    history.eras.len() - 1
}

#[test]
fn every_edge_may_be_another_configuration() {
    for seed in seeds(6) {
        println!("TAILWATER_SEED={seed}");
        let (setup, later, packets) = case(seed, 1_500, 10, 24);
        let shape = SHAPES[usize::try_from(seed).unwrap() % SHAPES.len()];
        let counted = at_every_edge((&setup, &later), &packets, shape, seed);
        println!("{shape:?}: {counted} reloads counted");
    }
}

/// `TAILWATER_RELOADS` says how many; every figure of every window is the model's, the ledger balances, and the totals are
/// the truth.
#[test]
fn reload_after_reload() {
    let reloads: usize = std::env::var("TAILWATER_RELOADS").map_or(150, |text| text.parse().unwrap());
    let mut dice = Dice::new(11);
    let mut setup = Setup::draw(&mut dice);
    (setup.window_ms, setup.fast_ms) = (4, 2);
    setup.rows.truncate(8);
    let later: Vec<Setup> = (0..reloads).map(|_| setup.redraw(&mut dice)).collect();
    let (windows, window_ns) = (reloads as u64 + 1, 4_000_000);
    let mix = Mix { packets: 5 * reloads, windows, window_ns, spoofed: 0, tunnels: true, late: false, gaps: false };
    let packets = draw(&mut dice, &mix);
    for shape in [(1, 0), (2, 2)] {
        let start = std::time::Instant::now();
        let counted = at_every_edge((&setup, &later), &packets, shape, 1);
        println!("{shape:?}: {counted} of {reloads} reloads counted, {} packets, {:?}", packets.len(), start.elapsed());
        assert!(counted * 10 > reloads * 9, "{shape:?}: {counted}");
    }
}
