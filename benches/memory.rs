//! What the data path holds, read from the process.
//!
//! `bash scripts/bench memory`: one line of JSON a case, each measured in a process of its own. Four cores that receive and
//! work, put together as `run` does it, are fed by a thread each, which wait for each other every few thousand packets, so that
//! all hold what they hold at once; a window is closed while the next one is fed. What they seal is read and added up, as a
//! reporter that keeps up would; the reporter's own memory is not in these figures. Each sealed top-K says whether it was
//! thinned or found no memory, each sketch of distinct keys how many registers it has.

#![allow(clippy::cast_precision_loss, clippy::panic, clippy::expect_used, reason = "a bench")]

mod support;

use std::sync::{Arc, Barrier};

use support::{Chances, Figure, record, standard, twelve_more, world};
use tailwater::arch::hash::spread;
use tailwater::config::{Config, StatSpec};
use tailwater::gather::{Gather, Stage};
use tailwater::record::Has;
use tailwater::runtime::memory::MemoryPlan;
use tailwater::runtime::wiring::Cores;
use tailwater::runtime::world::World;
use tailwater::stats::distinct::PRECISION_DEFAULT;
use tailwater::stats::plan::Plan;
use tailwater::stats::settings::integer;
use tailwater::units::{Epoch, RangeIndex};
use tailwater::window::stream::{Stream, stream};
use tailwater::window::{Shard, Told};

const CORES: u32 = 4;
/// The target of 50,000 ranges, 36 stats and four cores.
const TARGET_BYTES: f64 = 1.5e9;
/// What the target's configuration gives the data path; the rest of the process has to fit beside it.
const TARGET_MB: usize = 1_400;
const WINDOW_PACKETS: u64 = 20_000_000;
/// Packets of a core before it waits for the others, and before it does a step of what waits.
const TURN: u64 = 1 << 16;
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
    told: Figures,
}

/// What sealed stats say of themselves.
struct Figures {
    /// Of each stat of a long block.
    watched: Vec<Watched>,
    /// Top-K and distinct.
    all: u64,
    /// Thinned, short of memory, of fewer registers than configured.
    short: [u64; 3],
}

#[derive(Clone, Copy)]
enum Watched {
    Top,
    /// With so many registers, as a power of two.
    Distinct(u64),
    Other,
}

impl Figures {
    /// All ranges have one plan and long stats alone.
    fn new(world: &World, specs: &[StatSpec]) -> Self {
        let stats = world.plans.plans.iter().map(Plan::stats).max_by_key(|stats| stats.len()).expect("a plan");
        let watched = stats.iter().map(|stat| match specs[stat.spec].calculation.as_str() {
            "topk" => Watched::Top,
            "distinct" => {
                let precision = integer(&specs[stat.spec], "p", u64::from(PRECISION_DEFAULT), 4..=16);
                Watched::Distinct(precision.unwrap_or_else(|refusal| panic!("{}", refusal.message)))
            }
            _ => Watched::Other,
        });
        Self { watched: watched.collect(), all: 0, short: [0; 3] }
    }

    fn read(&mut self, mut words: &[u64]) {
        for watched in &self.watched {
            let Some((len, rest)) = words.split_first() else { break };
            let (body, behind) = rest.split_at(usize::try_from(*len).expect("a length"));
            let [thinned, short, fewer] = &mut self.short;
            match (watched, body) {
                (Watched::Top, [head, ..]) => {
                    self.all += 1;
                    *thinned += u64::from(head >> 32 & 0xFF > 0);
                    *short += head >> 40 & 1;
                }
                (Watched::Distinct(precision), [head, ..]) => {
                    self.all += 1;
                    *fewer += u64::from(*head > 0 && head < precision);
                }
                _ => {}
            }
            words = behind;
        }
    }
}

impl Core {
    fn new(world: &Arc<World>, plan: &MemoryPlan, specs: &[StatSpec]) -> Self {
        let (outlet, stream) = stream(world.plans.room(), false);
        Self {
            gather: Gather::new(world.ranges(), plan.logs, &world.plans.layout),
            shard: Shard::new(Arc::clone(&world.plans), world.hash_key.clone(), world.calendar, plan.shard, outlet, 1),
            stream,
            at: Epoch(0),
            handed: true,
            sealed: [0; 3],
            sent: [0; 2],
            told: Figures::new(world, specs),
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
                *passed += words[1];
                self.told.read(words);
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

fn cores(config: &Config, world: &Arc<World>, cores: u32) -> Vec<Core> {
    let plan = MemoryPlan::new(world, &Cores { rx: (1..=cores).collect(), workers: Vec::new() });
    eprintln!("{plan:?}, worst {} MB", plan.worst() >> 20);
    assert!(plan.lacking(world).is_none(), "{:?}", plan.lacking(world));
    (0..cores).map(|_| Core::new(world, &plan, &config.stats)).collect()
}

/// Feeds all cores so many packets a window, window after window, and closes the last.
fn feed(cores: &mut [Core], chances: &Chances, packets: u64, windows: u64) {
    let others = &Barrier::new(cores.len());
    std::thread::scope(|threads| {
        for (number, core) in cores.iter_mut().enumerate() {
            threads.spawn(move || feed_one(core, number as u64, chances, (packets, windows), others));
        }
    });
}

fn feed_one(core: &mut Core, number: u64, chances: &Chances, (packets, windows): (u64, u64), others: &Barrier) {
    for window in 1..=windows {
        core.open(Epoch(window));
        for n in 0..packets {
            if n.is_multiple_of(TURN) {
                others.wait();
            }
            let draw = spread((n + window * packets) * 8 + number);
            core.packet(n + window * packets + (number << 40), chances.pick(draw));
        }
        if number == 0 {
            eprintln!("window {window}: {:.0} MB, peak {:.0} MB", status("VmRSS") / 1e6, status("VmHWM") / 1e6);
        }
    }
    core.open(Epoch(windows + 1));
    while core.step() {}
}

/// Panics unless every record and every passed packet is in a block. Says how many records some stat missed, of
/// how many, and how many figures say that they were short of memory, of how many.
fn exact(cores: &[Core]) -> [(f64, f64); 2] {
    let sum = |of: fn(&Core) -> u64| cores.iter().map(of).sum::<u64>();
    let (records, passed) = (sum(|c| c.sealed[0]), sum(|c| c.sealed[2]));
    assert_eq!((records, passed), (sum(|c| c.sent[0]), sum(|c| c.sent[1])), "sums are exact");
    let (starved, early) = (sum(|c| c.sealed[1]), sum(|c| c.gather.early()));
    eprintln!("{records} records, of {starved} some stat found no memory; {early} handed on early");
    let (all, short) = (sum(|c| c.told.all), [0, 1, 2].map(|why| cores.iter().map(|core| core.told.short[why]).sum::<u64>()));
    eprintln!("of {all} top-K and distinct: thinned, short of memory, of fewer registers: {short:?}");
    [(starved as f64, records as f64), (short.iter().sum::<u64>() as f64, all as f64)]
}

fn print(case: &str, unit: &str, ours: f64, against: &str, theirs: f64) {
    Figure { bench: "memory", case, unit, ours, against, theirs, ratio: ours / theirs }.print();
}

fn target() {
    let config = standard(50_000, TARGET_MB, &twelve_more());
    let mut cores = cores(&config, &world(&config), CORES);
    feed(&mut cores, &Chances::zipf(50_000), WINDOW_PACKETS, 2);
    let [missed, short] = exact(&cores);
    print("50k-ranges-36-stats-4-cores", "MB", status("VmHWM") / 1e6, "the target, whole process", TARGET_BYTES / 1e6);
    print("50k-ranges-36-stats-4-cores-missed", "records", missed.0, "all records", missed.1);
    print("50k-ranges-36-stats-4-cores-short-of-memory", "figures of a core", short.0, "all top-K and distinct", short.1);
}

/// One core of the target's, with its share of the budget: soon over.
fn one_core() {
    let config = standard(50_000, TARGET_MB / CORES as usize, &twelve_more());
    let mut cores = cores(&config, &world(&config), 1);
    feed(&mut cores, &Chances::zipf(50_000), WINDOW_PACKETS, 2);
    let [_, short] = exact(&cores);
    print("50k-ranges-36-stats-1-core-short-of-memory", "figures", short.0, "all top-K and distinct", short.1);
}

fn idle() {
    let of = |ranges: usize| {
        let config = standard(ranges, 4_000, "");
        let world = world(&config);
        let before = status("VmRSS");
        let cores = cores(&config, &world, CORES);
        let after = status("VmRSS");
        drop(cores);
        after - before
    };
    let (few, many) = (of(1_000), of(61_000));
    let ours = (many - few) / 60_000.0 / f64::from(CORES);
    print("idle-range", "bytes a core", ours, "the bound", 256.0);
}

fn overloaded() {
    let budget_mb = 1_040;
    let config = standard(50_000, budget_mb, &twelve_more());
    let world = world(&config);
    let before = status("VmRSS");
    let mut cores = cores(&config, &world, CORES);
    feed(&mut cores, &Chances::uniform(50_000), WINDOW_PACKETS / 2, 2);
    exact(&cores);
    let (ours, theirs) = ((status("VmHWM") - before) / 1e6, budget_mb as f64 * 1.048_576);
    assert!(ours <= theirs, "{ours} MB are more than the budget of {theirs}");
    print("more-than-the-budget", "MB", ours, "memory_mb", theirs);
}

fn main() {
    let cases: [(&str, fn()); 3] = [("target", target), ("idle", idle), ("overloaded", overloaded)];
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if only.as_deref() == Some("one-core") {
        return one_core();
    }
    if let Some((_, run)) = cases.iter().find(|(name, _)| Some(*name) == only.as_deref()) {
        return run();
    }
    for (name, _) in cases {
        let program = std::env::current_exe().expect("this program");
        let ended = std::process::Command::new(program).arg(name).status().expect("it starts again");
        assert!(ended.success(), "{name}");
    }
}
