//! One queue has all the traffic, and its core more to do than it can: another core takes bursts, and every figure, the ledger and
//! the totals are what they would be had one core counted all of it. In both modes, on the real lcores and rings, whose threads take no
//! memory meanwhile and give none back.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod counting_allocator;
mod fed_support;
#[path = "engine_support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use counting_allocator::{Counted, first, watch, watched};
use fed_support::{Fed, eal, until};
use support::compare::check;
use support::dice::Dice;
use support::drive::{Log, load};
use support::setup::Setup;
use support::traffic::{Mix, Packet, draw};
use tailwater::dpdk::Eal;

const HOUR_MS: u64 = 3_600_000;
/// Sent over and over.
const PACKETS: usize = 1_500;
/// So often at least, and at most.
const ROUNDS: (usize, usize) = (12, 60);
/// Frames that are taken by the other core are enough for a verdict.
const TAKEN: u64 = 4_000;
/// Frames that wait in a queue.
const WAITING_FRAMES: u32 = 4_096;
/// Runs until one loses nothing.
const TRIES: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);

/// All calculations but `peak`, which tells when a packet came; one window holds all.
fn setup(dice: &mut Dice) -> Setup {
    let mut setup = Setup::draw(dice);
    (setup.window_ms, setup.fast_ms) = (HOUR_MS, HOUR_MS);
    setup.rows.retain(|row| row.calculation != "peak");
    setup.rows.iter_mut().for_each(|row| row.fast = false);
    setup
}

fn packets(dice: &mut Dice) -> Vec<Packet> {
    let mix = Mix { packets: PACKETS, windows: 1, window_ns: HOUR_MS * 1_000_000, spoofed: 2, tunnels: true, late: false, gaps: false };
    let mut packets = draw(dice, &mix);
    packets.iter_mut().for_each(|packet| packet.port = 0);
    packets
}

/// Sends all of it to one queue until the other core has taken enough; gives how often, what was said, and the records that found
/// a worker's ring full: more threads than CPUs may wait for each other.
fn run(eal: &Eal, config: &str, csv: &str, packets: &[Packet], shape: (u32, u32), hands_over: bool) -> (usize, Log, u64) {
    let config = load(&config.replace("[appliance]\n", &format!("[appliance]\nhand_over = {hands_over}\n")), csv);
    let frames: Vec<Vec<u8>> = packets.iter().map(Packet::frame).collect();
    let mut fed = Fed::start(eal, &config, shape, WAITING_FRAMES);
    until(10, "cores poll", || fed.receivers().iter().all(|core| core.empty_polls > 1_000));
    watch();
    let (begun, mut rounds) = (Instant::now(), 0);
    let is_enough = |fed: &Fed| !hands_over || fed.receivers()[0].taken_frames > TAKEN;
    while rounds < ROUNDS.0 || rounds < ROUNDS.1 && !is_enough(&fed) && begun.elapsed() < PATIENCE {
        frames.iter().for_each(|frame| fed.give(1, frame));
        rounds += 1;
    }
    assert_eq!(watched(), Counted::default(), "{}", first());
    watch();
    let (log, cores) = fed.end();
    assert!(watched().given_back > 0 && !first().is_empty(), "what a core has goes at its end: that is seen");
    let sent = (rounds * packets.len()) as u64;
    let of = |at: usize| (cores[at].received, cores[at].handed_frames, cores[at].taken_frames, cores[at].taken_bursts);
    let (idle, hot) = if shape.1 > 0 { (shape.1 as usize, shape.1 as usize + 1) } else { (0, 1) };
    println!("{shape:?}, handing over: {hands_over}: {sent} frames; (received, handed, taken, bursts taken): {:?} {:?}", of(idle), of(hot));
    assert_eq!((cores[idle].received + cores[hot].received, cores[hot].taken_frames), (sent, 0));
    assert_eq!((cores[hot].handed_frames, cores[hot].handed_bursts), (cores[idle].taken_frames, cores[idle].taken_bursts));
    assert_eq!((cores[idle].received, cores[idle].taken_frames > 0), (cores[idle].taken_frames, hands_over), "nobody took anything");
    (rounds, log, cores.iter().map(|core| core.ring_dropped).sum())
}

#[test]
fn what_another_core_takes_is_counted_once_and_alike() {
    let eal = eal(4);
    let mut dice = Dice::new(11);
    for shape in [(2, 0), (2, 2)] {
        let (setup, packets) = (setup(&mut dice), packets(&mut dice));
        for hands_over in [true, false] {
            // Once in an hour it is two windows.
            let verdict = (0..TRIES)
                .map(|_| run(&eal, &setup.toml(), &setup.csv(), &packets, shape, hands_over))
                .find(|(_, log, dropped)| log.appliance.len() == 2 && *dropped == 0);
            let Some((rounds, log, _)) = verdict else {
                assert!(shape.1 > 0, "there are no rings that could lose anything, and no {TRIES} runs over the end of an hour");
                println!("NO VERDICT with {shape:?}: the machine gave the workers no time");
                continue;
            };
            let mut sent: Vec<Packet> = (0..rounds).flat_map(|_| packets.clone()).collect();
            sent.iter_mut().for_each(|packet| packet.time_ns = log.appliance[0].window_start_ns);
            check(&setup, &sent, &log);
        }
    }
}
