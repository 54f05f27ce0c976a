//! At least twice what a core can carry, offered over `net_ring` to the real loops: work is shed before sums suffer, what the port drops
//! stands in the ledger, figures say what was left out and hold their bounds, and when it is over all is as before.
//!
//! No machine's speed is in the verdict: the sender offers more than the queue takes, so that at least as much is missed. What was shed when
//! the first frame is missed is what the core had shown until then; `engine` counts that in units of work. From the first frame of the
//! overload to its end the cores' threads take no memory and give none back.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod counting_allocator;
mod fed_support;
#[path = "engine_support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use counting_allocator::{Counted, first, watch, watched};
use fed_support::{Fed, eal, until};
use support::dice::Dice;
use support::drive::{Log, load};
use support::traffic::{FRAME_BYTES, udp};
use tailwater::dpdk::Eal;
use tailwater::report::pb;
use tailwater::telemetry::{CoreFigures, PAUSE_CAUSES};

const WINDOW_MS: u64 = 500;
const TOML: &str = "[appliance]\nwindow_ms = 500\nmemory_mb = 128\n[ranges]\nfile = \"ranges.csv\"\n[mirror]\ndirections = [\"ingress\"]\n\
    [[stats]]\nname = \"packets\"\ncalculation = \"sum\"\n[[stats]]\nname = \"bytes\"\ncalculation = \"sum\"\nmetric = \"bytes\"\n\
    [[stats]]\nname = \"sizes\"\ncalculation = \"histogram\"\nkey = \"packet_size\"\n[[stats]]\nname = \"sources\"\ncalculation = \"distinct\"\n\
    key = \"src_ip\"\n[[stats]]\nname = \"top\"\ncalculation = \"topk\"\nkey = \"src_ip\"\n";
/// Sources that half of the frames are of, each half as heavy as the one before.
const HEAVY: u32 = 8;
/// Frames that wait in a queue, as in a NIC's.
const WAITING_FRAMES: u32 = 1_024;
/// Frames that are offered between two looks at the clock.
const TURN: u64 = 200;
/// Frames of the phase of overload, and those that the port shall miss; in any case it ends when this is over.
const OFFERED: u64 = 200_000;
const MISSED: u64 = 20_000;
const PHASE: Duration = Duration::from_secs(4);
/// A core that worked on frames for so many hundredths of a moment was overloaded; else others had its CPU. It is enough for far more
/// polls than make a core shed.
const BUSY_PERCENT: u64 = 90;
const MOMENT: Duration = Duration::from_millis(20);
/// Frames of a phase in which it is over, at least: so many show whether records are left out.
const EASY: u64 = 200;
/// After so many polls it has ended: three levels, each of which is tried after 64 stretches of 4,096 polls at worst, of which those
/// that are never full count as 16; and as much again.
const RECOVERY_POLLS: u64 = 2 * 3 * 4_096 * 4;
/// It is waited so long for them.
const RECOVERY: Duration = Duration::from_secs(15);

/// UDP from a source to one range.
fn frame(source: u32) -> [u8; FRAME_BYTES] {
    udp(source, 10 << 24 | 1, 0)
}

/// Frames that are made beforehand, and sent over and over: the sender is faster than the core.
const FRAMES: usize = 1 << 15;

struct Sender {
    fed: Fed,
    /// Each with its source, and how often the queue took it.
    frames: Vec<(u32, [u8; FRAME_BYTES], u64)>,
    sent: u64,
}

/// Half of them of few sources, the rest of anybody.
fn source(dice: &mut Dice) -> u32 {
    if dice.one_in(2) { 1 + dice.next().trailing_ones().min(HEAVY - 1) } else { u32::try_from(dice.next() >> 32).unwrap() | 1 << 31 }
}

impl Sender {
    fn new(fed: Fed) -> Self {
        let mut dice = Dice::new(7);
        let frames = (0..FRAMES).map(|_| source(&mut dice)).map(|source| (source, frame(source), 0)).collect();
        Self { fed, frames, sent: 0 }
    }

    fn offer(&mut self) -> bool {
        let (_, bytes, times) = &mut self.frames[usize::try_from(self.sent).unwrap() % FRAMES];
        self.sent += 1;
        let taken = self.fed.offer(0, bytes);
        *times += u64::from(taken);
        taken
    }

    /// Sends little until two windows have gone by in which nothing was left out. False: the machine gave the core no time for as
    /// many polls as that may take.
    fn recover(&mut self, mut shed: u64) -> bool {
        let (begun, polls) = (Instant::now(), self.polls());
        loop {
            // It may recover within the two windows: those polls count that came before them.
            let polled = self.polls() - polls;
            self.easy(Duration::from_millis(2 * WINDOW_MS));
            let before = std::mem::replace(&mut shed, self.fed.total().shed);
            if before == shed {
                return true;
            }
            assert!(polled < RECOVERY_POLLS, "it goes on shedding: {shed}");
            if begun.elapsed() > RECOVERY {
                return false;
            }
        }
    }

    fn polls(&self) -> u64 {
        self.fed.receivers().iter().map(|core| core.polls).sum()
    }

    /// What the queue took, by source.
    fn taken(&self) -> HashMap<u32, u64> {
        let mut taken = HashMap::new();
        self.frames.iter().for_each(|(source, _, times)| *taken.entry(*source).or_default() += times);
        taken
    }

    /// How long the receiving cores worked on frames and windows.
    fn worked_ns(&self) -> u64 {
        let of = |core: &CoreFigures| -> u64 {
            let is_work = |cause: &&str| !["poll", "rest", "system"].contains(cause);
            PAUSE_CAUSES.iter().zip(core.pauses.total_ns).filter(|(cause, _)| is_work(cause)).map(|(_, ns)| ns).sum()
        };
        self.fed.receivers().iter().map(of).sum()
    }

    /// As much as the queue takes and more, until that has shown. Whether it was an overload for a moment at least.
    fn overload(&mut self) -> bool {
        let (begun, before, mut was_overloaded) = (Instant::now(), self.sent, false);
        let is_over = |all: &Self| all.fed.missed() > MISSED && all.fed.total().shed > 0;
        while begun.elapsed() < PHASE && !(is_over(self) && self.sent - before >= OFFERED) {
            was_overloaded |= self.is_too_much();
        }
        was_overloaded
    }

    /// Offers more than the queue takes for a moment. Whether at least as much was missed as was taken, by a core that had its CPU.
    fn is_too_much(&mut self) -> bool {
        let (begun, sent, missed, worked_ns) = (Instant::now(), self.sent, self.fed.missed(), self.worked_ns());
        while begun.elapsed() < MOMENT {
            for _ in 0..TURN {
                if !self.offer() && self.fed.missed() == 1 {
                    println!("the first is missed after {} frames: {} records not looked at", self.sent, self.fed.total().shed);
                }
            }
        }
        let took_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap();
        let is_busy = (self.worked_ns() - worked_ns) * 100 >= took_ns * BUSY_PERCENT;
        is_busy && 2 * (self.fed.missed() - missed) >= self.sent - sent
    }

    /// What the queue took has been received.
    fn wait(&mut self) {
        self.fed.flush();
        let due = self.sent - self.fed.missed();
        until(60, "what is there is received", || self.fed.received() >= due);
    }

    /// As much as it carries easily: what was sent has been received before more is.
    fn easy(&mut self, during: Duration) {
        let (begun, before) = (Instant::now(), self.sent);
        while begun.elapsed() < during || self.sent - before < EASY {
            (0..4).for_each(|_| assert!(self.offer(), "an empty queue takes four frames"));
            self.wait();
        }
    }
}

fn stat<'a>(report: &'a pb::RangeReport, name: &str) -> &'a pb::stat::Figure {
    report.stats.iter().find(|stat| stat.name == name).unwrap().figure.as_ref().unwrap()
}

fn total_of(report: &pb::RangeReport, name: &str) -> f64 {
    let pb::stat::Figure::Total(total) = stat(report, name) else { panic!("a sum") };
    total.value
}

fn top_of(report: &pb::RangeReport) -> &pb::Top {
    let pb::stat::Figure::Top(top) = stat(report, "top") else { panic!("a list") };
    top
}

/// Each window's account adds up, and its range's sums are what its ledger has.
fn sums_are_exact(log: &Log) {
    for account in log.appliance.iter().filter(|account| !account.total) {
        let ledger = account.ledger.as_ref().unwrap();
        assert_eq!(ledger.offered, ledger.received + ledger.nic_missed, "{account:?}");
        assert_eq!((ledger.received, ledger.parsed, ledger.matched), (ledger.parsed, ledger.matched, ledger.records), "{account:?}");
        assert_eq!(ledger.records, ledger.counted + ledger.ring_dropped, "{account:?}");
        let Some(report) = log.ranges.iter().find(|report| report.window_start_ns == account.window_start_ns) else {
            assert_eq!(ledger.counted, 0, "{account:?}");
            continue;
        };
        let counted = ledger.received - ledger.ring_dropped;
        assert_eq!((total_of(report, "packets"), total_of(report, "bytes")), (counted as f64, (counted * FRAME_BYTES as u64) as f64));
        let pb::stat::Figure::Histogram(sizes) = stat(report, "sizes") else { panic!("a histogram") };
        let of_all: f64 = sizes.bins.iter().map(|bin| bin.value.as_ref().unwrap().value).sum();
        assert_eq!((of_all, top_of(report).all.as_ref().unwrap().value), (counted as f64, counted as f64));
    }
}

/// The heaviest sources: over all windows that list them, what was counted, and what that may lack at most, enclose the truth.
fn bounds_hold(log: &Log, taken: &HashMap<u32, u64>, lost: u64) {
    for source in 1..=HEAVY / 2 {
        let key = std::net::Ipv4Addr::from(source).to_string();
        let of = |report| top_of(report).entries.iter().chain(&top_of(report).reserve).find(|entry| entry.key == key).cloned();
        let (mut low, mut high, mut listed) = (0, 0_u64, 0);
        for entry in log.ranges.iter().filter_map(of) {
            let passed = entry.sufficient.as_ref().unwrap().passed;
            (low, high, listed) = (low + passed, high.saturating_add(passed).saturating_add(entry.unseen_passed), listed + 1);
            let value = entry.value.as_ref().unwrap();
            assert!(value.low <= value.value && value.high.is_none_or(|high| value.value <= high), "{entry:?}");
        }
        // What was lost behind the ledger's `received` may have been its own.
        let truth = taken[&source];
        println!("source {source}: {low} <= {truth} <= {high} in {listed} of {} windows, {lost} lost in rings", log.ranges.len());
        assert!(low <= truth && (listed < log.ranges.len() || truth <= high.saturating_add(lost)), "{source}");
    }
}

/// Runs it on so many receivers and workers.
fn overloaded(eal: &Eal, shape: (u32, u32)) {
    let config = load(TOML, "prefix,customer\n10.0.0.0/8,a\n");
    let window = Duration::from_millis(WINDOW_MS);
    let mut sender = Sender::new(Fed::start(eal, &config, shape, WAITING_FRAMES));
    sender.easy(window);
    let (easy, begun) = (sender.sent, Instant::now());
    watch();
    let was_overloaded = sender.overload();
    sender.wait();
    let (took, offered) = (begun.elapsed(), sender.sent - easy);
    let (missed, shed) = (sender.fed.missed(), sender.fed.total().shed);
    let recovered = sender.recover(shed);
    assert_eq!(watched(), Counted::default(), "{}", first());
    sender.easy(2 * window);
    let (sent, taken, missed_of_all) = (sender.sent, sender.taken(), sender.fed.missed());
    watch();
    let (log, cores) = sender.fed.end();
    assert!(watched().given_back > 0 && !first().is_empty(), "what a core has goes at its end: that is seen");
    let shed_of_all: u64 = cores.iter().map(|core| core.shed).sum();
    let total = log.appliance.iter().find(|account| account.total).unwrap().ledger.clone().unwrap();
    let weights: Vec<u32> = log.ranges.iter().map(|report| top_of(report).shed_weight).collect();
    println!(
        "{shape:?}: {offered} offered in {took:?}, {missed} missed by the port, {} lost in rings, {shed} records not looked at; \
         weights of windows {weights:?}",
        total.ring_dropped
    );
    assert_eq!((total.offered, total.nic_missed), (sent, missed_of_all));
    assert_eq!(total.received, taken.values().sum::<u64>());
    assert_eq!(missed, missed_of_all, "the port drops nothing of what is easy");
    sums_are_exact(&log);
    bounds_hold(&log, &taken, total.ring_dropped);
    let of_weight = weights.iter().filter(|weight| **weight > 1).count() as u64;
    assert_eq!(log.strain[4], of_weight, "each list says what was left out");
    assert!((of_weight > 0 || shed_of_all == 0) && weights.iter().all(|weight| [1, 2, 4, 8].contains(weight)), "{weights:?}");
    if was_overloaded && shape.1 == 0 {
        assert!(shed > 0, "twice the load, and no work was shed");
    } else if missed == 0 || shed == 0 {
        let why = "the machine gave no time, or the receiving core takes no more than its worker works off";
        let _ = writeln!(std::io::stderr(), "NO OVERLOAD with {shape:?}: {why}");
    }
    assert_eq!(weights[0], 1, "before it, it looks at all");
    if recovered {
        assert_eq!(weights.last(), Some(&1), "and after it");
    } else {
        let _ = writeln!(std::io::stderr(), "NO RECOVERY seen with {shape:?}: the machine gave the core no time to poll");
    }
}

#[test]
fn twice_the_load_sheds_work_and_keeps_sums_exact() {
    let eal = eal(2);
    for shape in [(1, 0), (1, 1)] {
        overloaded(&eal, shape);
    }
}
