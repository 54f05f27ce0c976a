//! A core that is offered more than it can carry does less with each packet before packets are lost; when it is over, it does
//! all again. What it is offered comes over a ring of bounded size, as from a NIC; what a packet costs is counted in units of
//! work, so that no machine's speed is in the verdict.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tailwater::gather::Stage;
use tailwater::limits::BURST_FRAMES_MAX;
use tailwater::report::pb;
use tailwater::runtime::receiver::Receiver;
use tailwater::runtime::wiring::AnyReceiver;
use tailwater::rx::Frame;
use tailwater::spread::Worker;
use tailwater::telemetry::LiveCore;
use tailwater::units::{Epoch, LinkType};
use tailwater::window::Shard;

use super::support::beneath::Beneath;
use super::support::dice::Dice;
use super::support::drive::{Log, cores, engine, finish, load, world};
use super::support::traffic::{FRAME_BYTES, udp};

const TOML: &str = "[appliance]\nwindow_ms = 1000\nmemory_mb = 64\n[ranges]\nfile = \"ranges.csv\"\n[mirror]\ndirections = [\"ingress\"]\n\
    [[stats]]\nname = \"packets\"\ncalculation = \"sum\"\n[[stats]]\nname = \"bytes\"\ncalculation = \"sum\"\nmetric = \"bytes\"\n\
    [[stats]]\nname = \"sizes\"\ncalculation = \"histogram\"\nkey = \"packet_size\"\n[[stats]]\nname = \"sources\"\ncalculation = \"distinct\"\n\
    key = \"src_ip\"\n[[stats]]\nname = \"top\"\ncalculation = \"topk\"\nkey = \"src_ip\"\n";
const START_NS: u64 = 1_700_000_000_000_000_000;
const TICK_NS: u64 = 500_000;
const TICKS_A_WINDOW: u64 = 2_000;
/// Frames that wait at the port at most.
const RING: usize = 1_024;
/// Units of work that the core that runs stats has in a tick; a frame takes 64. So it carries 32.
const BUDGET: u64 = 2_048;
const CARRIED: u64 = 32;
/// What a poll takes at least.
const IDLE_POLL: u64 = 32;

/// What a frame takes, by level.
type Cost = fn(u32) -> u64;
/// Top-K is three quarters of the work.
const MOST: Cost = |level| 16 + (48 >> level);
/// Top-K is three eighths of it, as of the standard set.
const THIRD: Cost = |level| 40 + (24 >> level);

/// What was received of a window, by source, and what was offered.
#[derive(Default)]
struct Seen {
    of_source: HashMap<u32, u64>,
    received: u64,
}

/// The core that runs stats in `pipeline`, and what it shows.
type Works<'a> = (&'a mut Worker<Shard>, &'a LiveCore);

/// A paced sender, a bounded ring, and a core, or two: then the first has time for all.
struct Bench<'a, S> {
    receiver: &'a mut Receiver<S>,
    worker: Option<Works<'a>>,
    cost: Cost,
    /// Units of work that were done and are not paid for yet.
    owed: u64,
    beneath: &'a Beneath,
    dice: Dice,
    ring: VecDeque<u32>,
    now_ns: u64,
    offered: u64,
    /// The level when the first frame was missed.
    first_missed: Option<u32>,
    windows: BTreeMap<u64, Seen>,
}

impl<S: Stage> Bench<'_, S> {
    /// Half of it of ten sources, each half as heavy as the one before, the rest of anybody.
    fn source(&mut self) -> u32 {
        if self.dice.one_in(2) {
            1 + self.dice.next().trailing_ones().min(9)
        } else {
            u32::try_from(self.dice.next() >> 32).unwrap() | 1 << 31
        }
    }

    fn tick(&mut self, frames: u64) {
        self.now_ns += TICK_NS;
        self.offered += frames;
        let mut missed = 0;
        for _ in 0..frames {
            let source = self.source();
            if self.ring.len() < RING { self.ring.push_back(source) } else { missed += 1 }
        }
        self.beneath.miss(missed, self.now_ns);
        if missed > 0 {
            self.first_missed = self.first_missed.or_else(|| Some(self.level()));
        }
        while self.worker.is_some() && !self.ring.is_empty() {
            self.poll();
        }
        let mut left = BUDGET.saturating_sub(self.owed);
        self.owed = self.owed.saturating_sub(BUDGET);
        while left > 0 {
            let cost = self.work();
            self.owed += cost.saturating_sub(left);
            left = left.saturating_sub(cost);
        }
    }

    /// A turn of the core that runs stats: what it costs.
    fn work(&mut self) -> u64 {
        let Some((worker, live)) = &mut self.worker else {
            let polled = self.poll();
            return (polled * (self.cost)(self.receiver.shed_level())).max(IDLE_POLL);
        };
        let before = live.counted.get();
        worker.poll();
        worker.stage().show(live);
        ((live.counted.get() - before) * (self.cost)(worker.shed_level())).max(IDLE_POLL)
    }

    fn level(&self) -> u32 {
        self.worker.as_ref().map_or_else(|| self.receiver.shed_level(), |(worker, _)| worker.shed_level())
    }

    fn poll(&mut self) -> u64 {
        let sources: Vec<u32> = self.ring.drain(..self.ring.len().min(BURST_FRAMES_MAX)).collect();
        self.receiver.polled_all(sources.len() >= BURST_FRAMES_MAX);
        let epoch = Epoch(self.now_ns / (TICK_NS * TICKS_A_WINDOW) + 1);
        self.receiver.epoch(epoch);
        assert!(!self.receiver.is_overdue());
        let seen = self.windows.entry((epoch.0 - 1) * TICK_NS * TICKS_A_WINDOW).or_default();
        seen.received += sources.len() as u64;
        sources.iter().for_each(|source| *seen.of_source.entry(*source).or_default() += 1);
        let bytes: Vec<[u8; FRAME_BYTES]> = sources.iter().map(|source| frame(*source)).collect();
        let wire_bytes = u32::try_from(FRAME_BYTES).unwrap();
        let frames = bytes.iter().map(|bytes| Frame {
            bytes,
            wire_bytes,
            captured_bytes: wire_bytes,
            time_ns: self.now_ns,
            epoch,
            port: 0,
            link: LinkType::Ethernet,
            late: false,
        });
        self.receiver.frames(&frames.collect::<Vec<_>>());
        self.receiver.step();
        sources.len() as u64
    }
}

/// UDP from a source to one range.
fn frame(source: u32) -> [u8; FRAME_BYTES] {
    udp(source, 10 << 24 | 1, 0)
}

fn stat<'a>(report: &'a pb::RangeReport, name: &str) -> &'a pb::stat::Figure {
    report.stats.iter().find(|stat| stat.name == name).unwrap().figure.as_ref().unwrap()
}

fn top_of(report: &pb::RangeReport) -> &pb::Top {
    let pb::stat::Figure::Top(top) = stat(report, "top") else { panic!("a list") };
    top
}

/// What is exact is exact, and each entry's bounds hold what was received.
fn holds(report: &pb::RangeReport, seen: &Seen) {
    let total = |name: &str| {
        let pb::stat::Figure::Total(total) = stat(report, name) else { panic!("a sum") };
        total.value
    };
    assert_eq!((total("packets"), total("bytes")), (seen.received as f64, (seen.received * FRAME_BYTES as u64) as f64));
    let pb::stat::Figure::Histogram(sizes) = stat(report, "sizes") else { panic!("a histogram") };
    assert_eq!(sizes.bins.iter().map(|bin| bin.value.as_ref().unwrap().value).sum::<f64>(), seen.received as f64);
    // Lists tell it which keys they know: of those that they did not look at, too, they know nothing.
    let pb::stat::Figure::Distinct(sources) = stat(report, "sources") else { panic!("a number of keys") };
    let (truth, sources) = (seen.of_source.len() as f64, sources.value.as_ref().unwrap());
    let off = if truth <= 128.0 { 0.0 } else { 0.05 * truth };
    assert!((sources.value - truth).abs() <= off, "{sources:?}: {truth}");
    let top = top_of(report);
    assert_eq!(top.all.as_ref().unwrap().value, seen.received as f64);
    for entry in top.entries.iter().chain(&top.reserve) {
        let source: std::net::Ipv4Addr = entry.key.parse().unwrap();
        let (truth, value) = (seen.of_source[&u32::from(source)], entry.value.as_ref().unwrap());
        let counted = entry.sufficient.as_ref().unwrap().passed;
        assert!(counted <= truth && truth <= counted.saturating_add(entry.unseen_passed), "{entry:?}: {truth}");
        assert!(value.low <= truth as f64 && value.high.is_none_or(|high| truth as f64 <= high), "{entry:?}: {truth}");
        assert!(truth < 5_000 || (value.value / truth as f64 - 1.0).abs() < 0.1, "{entry:?}: {truth}");
    }
    if seen.received < 10_000 {
        return;
    }
    let heaviest: Vec<&str> = top.entries.iter().take(4).map(|entry| &entry.key[..]).collect();
    assert_eq!(heaviest, ["0.0.0.1", "0.0.0.2", "0.0.0.3", "0.0.0.4"]);
}

/// What came of a run.
struct Outcome {
    offered: u64,
    /// In each phase: what the port missed, and what rings lost; the level at its end.
    missed: Vec<u64>,
    dropped: Vec<u64>,
    levels: Vec<u32>,
    first_missed: Option<u32>,
    windows: BTreeMap<u64, Seen>,
}

/// A load, and for how many windows.
type Phases = [(u64, u64); 4];
/// A quarter of what it can; twice; eight times; a quarter.
const PHASES: Phases = [(CARRIED / 4, 2), (2 * CARRIED, 3), (8 * CARRIED, 1), (CARRIED / 4, 3)];

fn drive<S: Stage>(
    receiver: &mut Receiver<S>,
    worker: Option<Works<'_>>,
    (cost, phases): (Cost, Phases),
    beneath: &Beneath,
    mut report: impl FnMut(),
) -> Outcome {
    let (dice, ring, windows, first_missed) = (Dice::new(5), VecDeque::new(), BTreeMap::new(), None);
    let mut bench = Bench { receiver, worker, cost, owed: 0, beneath, dice, ring, now_ns: START_NS, offered: 0, first_missed, windows };
    let (mut missed, mut dropped, mut levels) = (Vec::new(), Vec::new(), Vec::new());
    let lost = |bench: &mut Bench<'_, S>| {
        bench.receiver.show();
        bench.receiver.live().ring_dropped.get()
    };
    for (frames, windows) in phases {
        let before = (beneath.missed(), lost(&mut bench));
        for tick in 0..windows * TICKS_A_WINDOW {
            bench.tick(frames);
            if tick % 100 == 0 {
                report();
            }
        }
        missed.push(beneath.missed() - before.0);
        dropped.push(lost(&mut bench) - before.1);
        levels.push(bench.level());
    }
    println!("missed in each phase {missed:?} of {}, lost in rings {dropped:?}, level at its end {levels:?}", bench.offered);
    Outcome { offered: bench.offered, missed, dropped, levels, first_missed: bench.first_missed, windows: bench.windows }
}

/// On one core, or on two of which the second runs the stats.
fn overloaded(workers: u32, (cost, phases): (Cost, Phases)) -> (Outcome, Log) {
    let config = load(TOML, "prefix,customer\n10.0.0.0/8,a\n");
    let world = world(&config);
    let beneath = Beneath::that_is_told();
    let (mut wired, mut reporter) = engine(&config, &world, &cores(1, workers), (false, true), &beneath);
    let worker = wired.workers.first_mut().map(|(worker, live)| (worker, &**live));
    let report = || _ = reporter.poll();
    let outcome = match &mut wired.receivers[0] {
        AnyReceiver::Own(receiver) => drive(receiver, worker, (cost, phases), &beneath, report),
        AnyReceiver::Sends(receiver) => drive(receiver, worker, (cost, phases), &beneath, report),
    };
    let log = finish(wired, reporter, |receiver, _| match receiver {
        AnyReceiver::Own(mut receiver) => receiver.end(),
        AnyReceiver::Sends(mut receiver) => receiver.end(),
    });
    let of = |ledger: &pb::Ledger| (ledger.offered, ledger.received + ledger.nic_missed);
    for account in &log.appliance {
        let (sent, accounted) = of(account.ledger.as_ref().unwrap());
        assert_eq!(sent, accounted, "{account:?}");
    }
    let total = log.appliance.iter().find(|account| account.total).unwrap().ledger.clone().unwrap();
    assert_eq!((total.offered, total.nic_missed), (outcome.offered, beneath.missed()));
    assert_eq!(total.ring_dropped, outcome.dropped.iter().sum::<u64>());
    (outcome, log)
}

/// Of each window, what it says was left out: nothing before it and after it, and at twice the load no more than is needed.
fn weights_fit(outcome: &Outcome, log: &Log) {
    let weights: Vec<u32> = log.ranges.iter().map(|report| top_of(report).shed_weight).collect();
    println!("weights of windows {weights:?}");
    let shed = weights.iter().filter(|weight| **weight > 1).count() as u64;
    assert_eq!((log.ranges.len(), log.strain[4]), (outcome.windows.len(), shed));
    let [first, .., one, last] = &weights[..] else { panic!("{weights:?}") };
    assert!((*first, *one, *last) == (1, 1, 1) && weights[3] >= 4 && weights[2] >= 4, "{weights:?}");
}

#[test]
fn work_is_shed_before_packets_and_taken_up_again() {
    let (outcome, log) = overloaded(0, (MOST, PHASES));
    let Outcome { missed, levels, .. } = &outcome;
    // Twice the load costs no packet; eight times is more than the least work carries.
    assert!(levels[0] == 0 && levels[3] == 0 && levels[1] > 0, "{levels:?}");
    assert!(missed[..2] == [0, 0] && missed[2] > 10_000 && missed[3] == 0, "{missed:?}");
    for report in &log.ranges {
        holds(report, &outcome.windows[&report.window_start_ns]);
    }
    weights_fit(&outcome, &log);
}

/// Where top-K is less of the work less can be shed: what still is too much the port misses, and not before work was shed.
#[test]
fn what_shedding_cannot_carry_the_port_misses() {
    let phases = [(CARRIED / 4, 1), (CARRIED * 5 / 4, 2), (2 * CARRIED, 2), (CARRIED / 4, 3)];
    let (outcome, log) = overloaded(0, (THIRD, phases));
    let Outcome { missed, levels, first_missed, .. } = &outcome;
    assert!(levels[0] == 0 && levels[1] > 0 && levels[2] == 3 && levels[3] == 0, "{levels:?}");
    // At the least a frame takes 43 of 64: of two times 32 frames a tick, some 47 can be taken.
    let most = 2 * CARRIED * 2 * TICKS_A_WINDOW;
    assert!(missed[..2] == [0, 0] && missed[3] == 0 && missed[2] > most / 5 && missed[2] < most * 2 / 5, "{missed:?} of {most}");
    assert!(first_missed.is_some_and(|level| level > 0), "{first_missed:?}");
    for report in &log.ranges {
        holds(report, &outcome.windows[&report.window_start_ns]);
    }
}

/// As the first where a worker runs the stats: then rings lose what is too much, and the account has it.
#[test]
fn a_worker_sheds_work_before_its_rings_lose_records() {
    let (outcome, log) = overloaded(1, (MOST, PHASES));
    let Outcome { missed, dropped, levels, .. } = &outcome;
    assert!(levels[0] == 0 && levels[3] == 0 && levels[1] > 0, "{levels:?}");
    assert!(missed == &[0; 4] && dropped[..2] == [0, 0] && dropped[2] > 10_000, "{missed:?}, {dropped:?}");
    let lacks = |report: &pb::RangeReport| report.incomplete.iter().flat_map(|lacks| &lacks.reasons).any(|reason| reason == "ring_full");
    for report in log.ranges.iter().filter(|report| !lacks(report)) {
        holds(report, &outcome.windows[&report.window_start_ns]);
    }
    assert!((1..=2).contains(&log.ranges.iter().filter(|report| lacks(report)).count()), "{:?}", log.ranges);
    weights_fit(&outcome, &log);
}
