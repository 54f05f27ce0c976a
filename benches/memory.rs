//! What the data path holds, read from the process.
//!
//! `bash scripts/bench memory`: one line of JSON a case, each measured in a process of its own. Four cores that receive and
//! work, put together as `run` does it, are fed in turn, a few thousand packets each, so that all hold what they hold at
//! once; a window is closed while the next one is fed. What they seal is read and added up, as a reporter that keeps up
//! would; the reporter's own memory is not in these figures.

#![allow(clippy::cast_precision_loss, clippy::panic, clippy::expect_used, reason = "a bench")]

mod support;

use std::sync::Arc;

use support::{Chances, Figure, record, standard, twelve_more, world};
use tailwater::arch::hash::spread;
use tailwater::gather::{Gather, Stage};
use tailwater::record::Has;
use tailwater::runtime::memory::MemoryPlan;
use tailwater::runtime::wiring::Cores;
use tailwater::runtime::world::World;
use tailwater::units::{Epoch, RangeIndex};
use tailwater::window::stream::{Stream, stream};
use tailwater::window::{Shard, Told};

const CORES: u32 = 4;
/// The target of 50,000 ranges, 36 stats and four cores.
const TARGET_BYTES: f64 = 1.5e9;
/// What the target's configuration gives the data path; the rest of the process has to fit beside it.
const TARGET_MB: usize = 1_360;
const WINDOW_PACKETS: u64 = 20_000_000;
/// Packets of a core before the next core has its turn, and before a core does a step of what waits.
const TURN: u64 = 4_096;
const BURST: u64 = 32;

/// A receiving core that works, and who reads what it seals.
struct Core {
    gather: Gather,
    shard: Shard,
    stream: Stream,
    at: Epoch,
    handed: bool,
    /// Of sealed blocks: records, those of which a stat found no memory, passed packets as the first sum has them.
    sealed: [u64; 3],
    /// What was sent: records, passed packets.
    sent: [u64; 2],
}

impl Core {
    fn new(world: &Arc<World>, plan: &MemoryPlan) -> Self {
        let (outlet, stream) = stream(world.plans.room(), false);
        Self {
            gather: Gather::new(world.ranges(), plan.logs, &world.plans.layout),
            shard: Shard::new(Arc::clone(&world.plans), world.hash_key.clone(), world.calendar, plan.shard, outlet, 1),
            stream,
            at: Epoch(0),
            handed: true,
            sealed: [0; 3],
            sent: [0; 2],
        }
    }

    fn packet(&mut self, n: u64, range: u32) {
        let record = record(n, range);
        self.sent[0] += 1;
        self.sent[1] += u64::from(!record.has.all(Has::BLOCKED));
        self.gather.append(RangeIndex(range), &record, &mut self.shard);
        if n.is_multiple_of(BURST) {
            self.step();
        }
    }

    fn step(&mut self) -> bool {
        let mut busy = self.shard.step();
        if !self.shard.is_busy() && self.gather.is_walking() {
            self.gather.step(&mut self.shard);
            busy = true;
        } else if !self.gather.is_walking() && !self.handed {
            self.handed = true;
            self.shard.advance(self.at);
            busy = true;
        }
        let [records, starved, passed] = &mut self.sealed;
        while self.stream.next(|told| {
            if let Told::Block(sealed, words) = told {
                *records += sealed.records;
                *starved += sealed.starved;
                *passed += if sealed.first == 0 { words[1] } else { 0 };
            }
        }) {}
        busy
    }

    fn open(&mut self, epoch: Epoch) {
        while self.step() {}
        (self.at, self.handed) = (epoch, false);
        self.gather.advance(epoch);
    }
}

/// A number of kilobytes of /proc/self/status, in bytes.
fn status(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find(|line| line.starts_with(name)).expect("a line of memory");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).expect("kilobytes") * 1_024.0
}

fn cores(world: &Arc<World>) -> Vec<Core> {
    let plan = MemoryPlan::new(world, &Cores { rx: (1..=CORES).collect(), workers: Vec::new() });
    eprintln!("{plan:?}, worst {} MB", plan.worst() >> 20);
    assert!(plan.lacking(world).is_none(), "{:?}", plan.lacking(world));
    (0..CORES).map(|_| Core::new(world, &plan)).collect()
}

/// Feeds all cores so many packets a window, window after window, and closes the last.
fn feed(cores: &mut [Core], chances: &Chances, packets: u64, windows: u64) {
    for window in 1..=windows {
        cores.iter_mut().for_each(|core| core.open(Epoch(window)));
        for turn in 0..packets / TURN {
            for (number, core) in cores.iter_mut().enumerate() {
                for n in turn * TURN..(turn + 1) * TURN {
                    let draw = spread((n + window * packets) * 8 + number as u64);
                    core.packet(n + window * packets + ((number as u64) << 40), chances.pick(draw));
                }
            }
        }
        eprintln!("window {window}: {:.0} MB, peak {:.0} MB", status("VmRSS") / 1e6, status("VmHWM") / 1e6);
    }
    for core in cores.iter_mut() {
        core.open(Epoch(windows + 1));
        while core.step() {}
    }
}

/// Panics unless every record and every passed packet is in a block. Says which share of records a stat missed.
fn exact(cores: &[Core]) -> f64 {
    let sum = |of: fn(&Core) -> u64| cores.iter().map(of).sum::<u64>();
    let (records, passed) = (sum(|c| c.sealed[0]), sum(|c| c.sealed[2]));
    assert_eq!((records, passed), (sum(|c| c.sent[0]), sum(|c| c.sent[1])), "sums are exact");
    let (starved, early) = (sum(|c| c.sealed[1]), sum(|c| c.gather.early()));
    eprintln!("{records} records, of {starved} some stat found no memory; {early} handed on early");
    starved as f64 / records as f64
}

fn target() {
    let world = world(&standard(50_000, TARGET_MB, &twelve_more()));
    let mut cores = cores(&world);
    feed(&mut cores, &Chances::zipf(50_000), WINDOW_PACKETS, 2);
    let missed = exact(&cores);
    let peak = status("VmHWM");
    let line = |case, unit, ours, against, theirs: f64| {
        Figure { bench: "memory", case, unit, ours, against, theirs, ratio: ours / theirs }.print();
    };
    line("50k-ranges-36-stats-4-cores", "MB", peak / 1e6, "the target, whole process", TARGET_BYTES / 1e6);
    line("50k-ranges-36-stats-4-cores-missed", "share of records", missed, "all records", 1.0);
}

fn idle() {
    let of = |ranges: usize| {
        let world = world(&standard(ranges, 4_000, ""));
        let before = status("VmRSS");
        let cores = cores(&world);
        let after = status("VmRSS");
        drop(cores);
        after - before
    };
    let (few, many) = (of(1_000), of(61_000));
    let ours = (many - few) / 60_000.0 / f64::from(CORES);
    Figure { bench: "memory", case: "idle-range", unit: "bytes a core", ours, against: "the bound", theirs: 256.0, ratio: ours / 256.0 }
        .print();
}

fn overloaded() {
    let budget_mb = 512;
    let world = world(&standard(50_000, budget_mb, &twelve_more()));
    let before = status("VmRSS");
    let mut cores = cores(&world);
    feed(&mut cores, &Chances::uniform(50_000), WINDOW_PACKETS / 2, 2);
    exact(&cores);
    let (ours, theirs) = ((status("VmHWM") - before) / 1e6, budget_mb as f64 * 1.048_576);
    assert!(ours <= theirs, "{ours} MB are more than the budget of {theirs}");
    Figure { bench: "memory", case: "more-than-the-budget", unit: "MB", ours, against: "memory_mb", theirs, ratio: ours / theirs }.print();
}

fn main() {
    let cases: [(&str, fn()); 3] = [("target", target), ("idle", idle), ("overloaded", overloaded)];
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if let Some((_, run)) = cases.iter().find(|(name, _)| Some(*name) == only.as_deref()) {
        return run();
    }
    for (name, _) in cases {
        let program = std::env::current_exe().expect("this program");
        let ended = std::process::Command::new(program).arg(name).status().expect("it starts again");
        assert!(ended.success(), "{name}");
    }
}
