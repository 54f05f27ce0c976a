//! Blocks arrive whole, work stays bounded, and every epoch's account is told once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plans::{Compiled, PERIODS};
use super::shard::ShardBytes;
use super::stream::{Room, Stream, stream, stream_of};
use super::{Shard, Told};
use crate::arch::hash::spread;
use crate::arch::{HashKey, Reserve};
use crate::config;
use crate::gather::Stage;
use crate::record::{Has, Record};
use crate::runtime::world::World;
use crate::stats::plan::{Period, Place, execute};
use crate::stats::pool::{Budget, Memory, Pool};
use crate::units::{Epoch, RangeIndex};

/// The longest exports that a row can ask for.
const HEAVY: &str = r#"
[[stats]]
name = "pairs"
calculation = "fanout"
key = "src_ip"
pairs = 65536
[[stats]]
name = "all"
calculation = "sum"
[[stats]]
name = "spread"
calculation = "entropy"
key = "src_ip"
keys = 16384
[[stats]]
name = "top"
calculation = "topk"
key = ["src_ip", "dst_port"]
k = 1000
[[stats]]
name = "sources"
calculation = "distinct"
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
bins = { first = 2, factor = 2, count = 20 }
[[stats]]
name = "rate"
calculation = "peak"
[[tags]]
match = { vlan = 666 }
decision = "blocked"
sampling = 40
"#;
const LIGHT: &str = "[[stats]]\nname = \"all\"\ncalculation = \"sum\"\n[[stats]]\nname = \"fast\"\ncalculation = \"sum\"\nfast = true\n";

fn world(stats: &str, ranges: u32) -> World {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(&file, format!("[appliance]\nwindow_ms = 10000\n[ranges]\nfile = \"r.csv\"\n{stats}")).unwrap();
    let rows: String = (0..ranges).map(|n| format!("10.{}.{}.0/24,c{n}\n", n / 256, n % 256)).collect();
    std::fs::write(folder.path().join("r.csv"), format!("prefix,customer\n{rows}")).unwrap();
    let config = config::load(&file, &crate::stats::check).unwrap_or_else(|faults| panic!("{faults}"));
    World::new(&config, HashKey::constant(), 1).unwrap()
}

fn shard(world: &World, (roots, sketches): (usize, usize), room: Room, capacity: Option<usize>) -> (Shard, Stream) {
    shard_of(1, world, (roots, sketches), room, capacity)
}

/// To which so many cores send.
fn shard_of(feeders: usize, world: &World, (roots, sketches): (usize, usize), room: Room, capacity: Option<usize>) -> (Shard, Stream) {
    let (outlet, stream) = capacity.map_or_else(|| stream(room, false), |words| stream_of(room, words, false));
    let bytes = ShardBytes { roots, sketches, reserve: Reserve::Lazily };
    (Shard::new(Arc::clone(&world.plans), HashKey::constant(), world.calendar, bytes, outlet, feeders), stream)
}

fn record(n: u64) -> Record {
    let (mut src, draw) = ([0; 16], spread(n));
    src[..8].copy_from_slice(&draw.to_be_bytes());
    let has = Has::INGRESS.with(Has::PORTS, true);
    Record { src, dst_port: 53, weight: 1, wire_bytes: 60 + u32::try_from(draw >> 54).unwrap(), has, ..Record::default() }
}

/// One in three is a sample of blocked ones.
fn mixed(n: u64) -> Record {
    let record = record(n);
    let blocked = n % 3 == 2;
    Record { weight: if blocked { 40 } else { 1 }, has: record.has.with(Has::BLOCKED, blocked).with(Has::RANDOM, blocked), ..record }
}

/// In many parts and more pieces: the words are those of an export at once.
#[test]
fn a_block_is_whole_however_it_was_cut() {
    for packets in [1, 70, 3_000, 40_000] {
        let world = world(HEAVY, 2);
        let (mut shard, mut stream) = shard(&world, (1 << 20, 256 << 20), world.plans.room(), None);
        let (plan, mut compiled) = (world.plans.of(RangeIndex(0)), Compiled::new(&world.plans));
        let scratch = &mut compiled.scratch[world.plans.of_range[0] as usize];
        let (mut pool, mut budget) = (Pool::with_bytes(256 << 20), Budget::of_bytes(256 << 20));
        let mut root = vec![0; plan.root_words(Period::Long)];
        let all: Vec<Record> = (0..packets).map(mixed).collect();
        for batch in all.chunks(64) {
            shard.records(RangeIndex(0), Epoch(1), batch);
            scratch.open(0, world.calendar.bounds_ns(Period::Long, world.calendar.long(Epoch(1))).0);
            execute(plan, scratch, batch, &HashKey::constant(), (&mut [], &mut root), &mut Memory { pool: &mut pool, budget: &mut budget });
        }
        let mut want = Vec::new();
        assert_eq!(plan.export((Period::Long, Place::default()), usize::MAX, &root, &pool, &mut want), None);
        shard.advance(Epoch(1));
        while shard.step() {}
        shard.advance(Epoch(2));
        let (mut steps, mut told, mut busy) = (0, Vec::new(), true);
        while busy {
            busy = shard.step();
            steps += 1;
            while stream.next(|message| {
                if let Told::Block(sealed, words) = message {
                    told.push((sealed.records, words.to_vec()));
                }
            }) {}
        }
        assert_eq!(told.len(), 1, "one block, and it is told once");
        assert!(told[0] == (packets, want), "{packets}");
        let words = told[0].1.len();
        assert!(steps * 2 * super::stream::PART_WORDS >= words, "{steps} steps for {words} words");
        assert_eq!((shard.chunks.used_bytes(), shard.roots.used_bytes()), (0, 0));
    }
}

/// However few roots there are: a batch sends away no more than one block for each that it opens, or is a block itself.
#[test]
fn a_batch_has_bounded_work_and_sums_stay_exact() {
    let world = world(LIGHT, 3_000);
    let (mut shard, mut stream) = shard(&world, (0, 1 << 20), world.plans.room(), None);
    let (mut sums, mut in_all) = ([0; 2], [0; 2]);
    let mut take = |stream: &mut Stream| {
        let mut blocks = 0;
        while stream.next(|message| {
            if let Told::Block(sealed, words) = message {
                sums[usize::from(sealed.period == Period::Long)] += words[1];
                blocks += 1;
            }
        }) {}
        blocks
    };
    for n in 0..30_000_u64 {
        let epoch = Epoch(10 * (n / 10_000) + 1);
        if n % 10_000 == 0 {
            shard.advance(epoch);
            take(&mut stream);
        }
        let batch: Vec<Record> = (0..=n % 5).map(record).collect();
        in_all.iter_mut().for_each(|all| *all += batch.len() as u64);
        shard.records(RangeIndex(u32::try_from(spread(n) % 3_000).unwrap()), epoch, &batch);
        let blocks = take(&mut stream);
        assert!(blocks <= 2 * PERIODS.len(), "{blocks} blocks of one batch");
    }
    shard.advance(Epoch(40));
    while shard.step() {
        take(&mut stream);
    }
    take(&mut stream);
    assert_eq!(sums, in_all);
}

/// One core has given a range's last batch, another not yet, and no root is left: whatever is sealed meanwhile, no block is
/// counted into that was given back.
#[test]
fn a_range_that_one_core_has_ended_is_still_open_for_another() {
    let world = world(LIGHT, 12_000);
    let seed = crate::stats::tests::seed();
    for draws in 0..20 {
        let (mut shard, mut stream) = shard_of(2, &world, (0, 1 << 20), world.plans.room(), None);
        let (mut sums, mut in_all, mut ended) = ([0; 2], 0, RangeIndex(0));
        let mut take = |stream: &mut Stream| {
            while stream.next(|message| {
                if let Told::Block(sealed, words) = message {
                    assert_eq!(sealed.records, words[1], "seed {seed}, {draws}");
                    sums[usize::from(sealed.period == Period::Long)] += words[1];
                }
            }) {}
        };
        shard.advance(Epoch(10));
        while shard.step() {}
        for n in 0..20_000_u64 {
            let draw = spread(n ^ spread(seed << 20 | draws));
            let any = RangeIndex(u32::try_from(draw % (200 + 590 * draws)).unwrap());
            let range = if draw >> 60 < 4 { ended } else { any };
            shard.records(range, Epoch(10), &[record(n); 3]);
            in_all += 3;
            if draw >> 32 & 3 == 0 {
                shard.passed(range, Epoch(10), Epoch(11));
                ended = range;
            }
            if draw >> 40 & 7 == 0 {
                take(&mut stream);
            }
            if draw >> 50 & 63 == 0 {
                shard.step();
            }
        }
        shard.advance(Epoch(11));
        while shard.step() {
            take(&mut stream);
        }
        shard.advance(Epoch::END);
        while shard.step() {
            take(&mut stream);
        }
        take(&mut stream);
        assert_eq!((sums, shard.roots.used_bytes()), ([in_all; 2], 0), "seed {seed}, {draws}");
    }
}

/// A stream that nobody reads: accounts that find no room are told with later ones, each once, with all that was lost.
#[test]
fn every_epoch_is_told_once() {
    let world = world(LIGHT, 10);
    let room = Room { account: 64, ..world.plans.room() };
    for (read_every, epochs) in [(u64::MAX, 200), (u64::MAX, 2_000), (130, 800)] {
        let (mut shard, mut stream) = shard(&world, (1 << 20, 1 << 20), room, Some(300 + room.kept()));
        let (mut told, mut blocks, mut seen) = ([0; 4], 0, BTreeSet::new());
        let mut take = |stream: &mut Stream| {
            while stream.next(|message| match message {
                Told::Block(sealed, _) => blocks += if sealed.period == Period::Fast { sealed.records } else { 0 },
                Told::Closed { epoch, site, .. } => {
                    assert!(seen.insert(epoch), "{epoch:?} is told twice");
                    let [ring, memory, _] = site.lost_total();
                    let more = [1, site.taken_over, site.counted, ring + memory];
                    told.iter_mut().zip(more).for_each(|(told, more)| *told += more);
                }
            }) {}
        };
        shard.advance(Epoch(1));
        while shard.step() {}
        for epoch in 1..=epochs {
            shard.records(RangeIndex(u32::try_from(epoch % 10).unwrap()), Epoch(epoch), &[record(1); 5]);
            shard.advance(Epoch(epoch + 1));
            (0..3).for_each(|_| _ = shard.step());
            if epoch % read_every == 0 {
                take(&mut stream);
            }
        }
        shard.advance(Epoch::END);
        while shard.step() {
            take(&mut stream);
        }
        take(&mut stream);
        let [alone, with_others, counted, lost] = told;
        assert_eq!(alone + with_others, epochs + 2, "the first, those with records, and the last");
        assert_eq!((counted + lost, counted), (5 * epochs, blocks), "each record once");
        assert!(with_others > 0 && lost > 0, "{told:?} of {epochs}");
    }
}
