//! Against a slow model: every pair of frames is compared, and each distinct packet counted once.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of a test")]

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::super::sight::Sight;
use super::*;

const MS: u64 = 1_000_000;
const SEED: u64 = 3_024;

fn plan(sample: u32) -> Plan {
    Plan { sample, within_ns: 5 * MS, alarm_share: 0.01 }
}

struct Frame {
    packet: u64,
    time_ns: u64,
    port: u16,
    ttl: u8,
    part: u8,
}

/// Through so many cores and epochs.
fn run(frames: &[Frame], cores: usize, epoch_ns: u64, sample: u32) -> (Vec<(Pair, PairFigures)>, u64) {
    let mut pairs = Pairs::new(plan(sample));
    for epoch in frames.chunk_by(|a, b| a.time_ns / epoch_ns == b.time_ns / epoch_ns) {
        let mut of_cores: Vec<Copies> = (0..cores).map(|_| Copies::new(sample)).collect();
        for (i, frame) in epoch.iter().enumerate() {
            let sight = Sight { hash: frame.packet, ttl: frame.ttl, part: frame.part };
            of_cores[i % cores].see(&sight, frame.time_ns, frame.port);
        }
        let mut all = Copies::default();
        of_cores.into_iter().for_each(|copies| all.merge(copies));
        pairs.close(all);
    }
    pairs.take()
}

/// Distinct packets of each pair of ports, and those seen twice.
fn slow(frames: &[Frame]) -> BTreeMap<Pair, (u64, u64)> {
    let mut by_packet: BTreeMap<u64, Vec<&Frame>> = BTreeMap::new();
    frames.iter().for_each(|frame| by_packet.entry(frame.packet).or_default().push(frame));
    let ports: BTreeSet<u16> = frames.iter().map(|frame| frame.port).collect();
    let mut all = BTreeMap::new();
    for a in &ports {
        for b in ports.range(a..) {
            let mut counts = (0, 0);
            for same in by_packet.values().filter(|same| same.iter().any(|frame| frame.port == *a || frame.port == *b)) {
                counts.0 += 1;
                let twice = same.iter().enumerate().any(|(i, one)| {
                    same.iter().skip(i + 1).any(|other| {
                        let ports = (one.port.min(other.port), one.port.max(other.port));
                        ports == (*a, *b) && one.time_ns.abs_diff(other.time_ns) <= 5 * MS && one.ttl.abs_diff(other.ttl) <= 1
                    })
                });
                counts.1 += u64::from(twice);
            }
            all.insert((*a, *b), counts);
        }
    }
    all
}

fn generated(dice: &mut ChaCha8Rng, packets: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    for n in 0..packets {
        let (packet, time_ns, ttl) = (dice.next_u64(), 1_000 * MS + n * 100_000, 40 + (dice.next_u64() % 100) as u8);
        let (port, part) = ((dice.next_u64() % 2) as u16, (dice.next_u64() % 16) as u8);
        frames.push(Frame { packet, time_ns, port, ttl, part });
        let later_ns = dice.next_u64() % (6 * MS);
        match dice.next_u64() % 10 {
            0 => frames.push(Frame { packet, time_ns: time_ns + later_ns, port, ttl, part }),
            1 => frames.push(Frame { packet, time_ns: time_ns + later_ns, port: 1 - port, ttl: ttl - 1, part }),
            2 => frames.push(Frame { packet, time_ns: time_ns + later_ns, port: 1 - port, ttl: ttl - 2, part }),
            3 => frames.push(Frame { packet, time_ns: time_ns + later_ns + 20 * MS, port, ttl, part }),
            _ => {}
        }
    }
    frames.sort_by_key(|frame| frame.time_ns);
    frames
}

#[test]
fn pairs_are_what_a_model_says() {
    println!("seed {SEED}");
    let mut dice = ChaCha8Rng::seed_from_u64(SEED);
    let frames = generated(&mut dice, 4_000);
    let model = slow(&frames);
    for cores in [1, 3] {
        let (have, sample) = run(&frames, cores, u64::MAX, 1);
        let have: BTreeMap<Pair, (u64, u64)> = have.iter().map(|(pair, of)| (*pair, (of.sampled, of.twice))).collect();
        assert_eq!((&have, sample), (&model, 1));
        assert!(model.values().all(|(all, twice)| *twice > 100 && all > twice), "teeth");
    }
    // Cut into epochs a packet may count in two; copies on both sides of an edge are found all the same.
    let (have, _) = run(&frames, 2, 50 * MS, 1);
    for (pair, of) in have {
        let (all, twice) = model[&pair];
        assert!(of.twice >= twice && of.twice < twice + twice / 10 && of.sampled >= all && of.sampled < all + all / 5, "{pair:?} {of:?}");
    }
}

/// A sample by hash tells the share of the whole.
#[test]
fn a_sample_tells_the_share() {
    println!("seed {}", SEED + 1);
    let mut dice = ChaCha8Rng::seed_from_u64(SEED + 1);
    let frames = generated(&mut dice, 60_000);
    let model = slow(&frames);
    let (have, sample) = run(&frames, 2, u64::MAX, 16);
    assert_eq!(sample, 16);
    for (pair, of) in have {
        let (all, twice) = model[&pair];
        let (share, want) = (of.twice as f64 / of.sampled as f64, twice as f64 / all as f64);
        let error = (want * (1.0 - want) / of.sampled as f64).sqrt();
        assert!((share - want).abs() < 4.5 * error, "{pair:?}: {share} {want}");
    }
}

#[test]
fn what_is_not_the_mirror_is_not_told_as_it() {
    let frame = |packet: u64, time_ns: u64, part: u64| Frame { packet, time_ns, port: 0, ttl: 64, part: (part % 16) as u8 };
    let low = |of: &PairFigures| 0.8 * of.twice as f64 / of.sampled as f64;
    let say = |frames: &[Frame]| {
        let (pairs, _) = run(frames, 1, u64::MAX, 1);
        (pairs[0].1.standing(low(&pairs[0].1), 0.01), pairs[0].1)
    };
    let quiet: Vec<Frame> = (0..5_000).map(|n| frame(n << 40 | 1, n * 1_000, n)).collect();
    assert_eq!(say(&quiet).0, Standing::Few);
    // One packet a thousand times over is one packet.
    let mut flood: Vec<Frame> = (0..5_000).map(|n| frame(n << 40 | 1, n * 1_000, n)).collect();
    flood.extend((0..1_000).map(|n| frame(7, n * 1_000, 3)));
    flood.sort_by_key(|frame| frame.time_ns);
    let (standing, of) = say(&flood);
    assert_eq!((standing, of.twice), (Standing::Few, 1));
    // Somebody sends each packet twice, to one customer.
    let twice = |keep: &dyn Fn(u64) -> bool| {
        let mut all: Vec<Frame> = Vec::new();
        for n in 0..3_000 {
            all.push(frame(n << 40 | 1, n * 1_000, n));
            if keep(n) {
                all.push(frame(n << 40 | 1, n * 1_000 + 500, n));
            }
        }
        all
    };
    assert_eq!(say(&twice(&|n| n % 16 == 5)).0, Standing::Concentrated);
    assert_eq!(say(&twice(&|_| true)).0, Standing::Duplicated);
    assert_eq!(say(&quiet[..30]).0, Standing::Unknown);
}

/// Counted over 1,000 quiet runs: no alarm where nothing comes twice, nor where fewer do than is allowed for.
#[test]
fn quiet_runs_raise_no_alarm() {
    println!("seed {}", SEED + 2);
    let mut dice = ChaCha8Rng::seed_from_u64(SEED + 2);
    let (mut alarms, mut seen) = (0, 0);
    for run_at in 0..1_000 {
        let mut frames = Vec::new();
        for n in 0..600_u64 {
            let (packet, part) = (dice.next_u64(), (dice.next_u64() % 16) as u8);
            frames.push(Frame { packet, time_ns: n * 100_000, port: (n % 2) as u16, ttl: 60, part });
            // Half of the runs: as many as are no fault yet.
            if run_at % 2 == 0 && dice.next_u64() % 100 == 0 {
                frames.push(Frame { packet, time_ns: n * 100_000 + 1, port: (n % 2) as u16, ttl: 60, part });
            }
        }
        for (_, of) in run(&frames, 1, u64::MAX, 1).0 {
            let low = crate::stats::interval::garwood(of.twice as f64, 0.025).0 / of.sampled as f64;
            let standing = of.standing(low, 0.01);
            (alarms, seen) = (alarms + u32::from(!matches!(standing, Standing::Few)), seen + of.twice);
        }
    }
    println!("{alarms} alarms in 1,000 quiet runs");
    assert!(
        seen > 1_000 && alarms <= 50,
        "{alarms}: of 1,000 figures at the bar itself, 2.5 % may be above, and three standard deviations"
    );
}
