//! A core that is offered twice what it can carry does less with each packet before packets are lost; when it is over, it does
//! all again. What it is offered comes over a ring of bounded size, as from a NIC; what a packet costs is counted in units of
//! work, so that no machine's speed is in the verdict.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tailwater::limits::BURST_FRAMES_MAX;
use tailwater::report::pb;
use tailwater::runtime::receiver::Receiver;
use tailwater::runtime::wiring::AnyReceiver;
use tailwater::rx::Frame;
use tailwater::units::{Epoch, LinkType};
use tailwater::window::Shard;

use super::support::beneath::Beneath;
use super::support::dice::Dice;
use super::support::drive::{cores, engine, finish, load, world};

const TOML: &str = "[appliance]\nwindow_ms = 1000\nmemory_mb = 64\n[ranges]\nfile = \"ranges.csv\"\n[mirror]\ndirections = [\"ingress\"]\n\
    [[stats]]\nname = \"packets\"\ncalculation = \"sum\"\n[[stats]]\nname = \"bytes\"\ncalculation = \"sum\"\nmetric = \"bytes\"\n\
    [[stats]]\nname = \"sizes\"\ncalculation = \"histogram\"\nkey = \"packet_size\"\n[[stats]]\nname = \"sources\"\ncalculation = \"distinct\"\n\
    key = \"src_ip\"\n[[stats]]\nname = \"top\"\ncalculation = \"topk\"\nkey = \"src_ip\"\n";
const START_NS: u64 = 1_700_000_000_000_000_000;
const TICK_NS: u64 = 500_000;
const TICKS_A_WINDOW: u64 = 2_000;
/// Frames that wait at the port at most.
const RING: usize = 1_024;
/// Units of work that the core has in a tick, and what a frame takes of it: 8, of which top-K makes 6. So it carries 32.
const BUDGET: u64 = 256;
const CARRIED: u64 = 32;
/// What a poll takes at least.
const IDLE_POLL: u64 = 4;
const FRAME_BYTES: usize = 64;

const fn cost(level: u32) -> u64 {
    2 + (6 >> level)
}

/// What was received of a window, by source, and what was offered.
#[derive(Default)]
struct Seen {
    of_source: HashMap<u32, u64>,
    received: u64,
}

/// A paced sender, a bounded ring, and a core.
struct Bench<'a> {
    receiver: &'a mut Receiver<Shard>,
    beneath: &'a Beneath,
    dice: Dice,
    ring: VecDeque<u32>,
    now_ns: u64,
    offered: u64,
    windows: BTreeMap<u64, Seen>,
}

impl Bench<'_> {
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
        let mut left = BUDGET;
        while left > 0 {
            let polled = self.poll();
            left = left.saturating_sub((polled * cost(self.receiver.shed_level())).max(IDLE_POLL));
        }
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
    let mut bytes = [0; FRAME_BYTES];
    bytes[..12].copy_from_slice(&[2; 12]);
    let ip_bytes = u8::try_from(FRAME_BYTES - 14).unwrap();
    bytes[12..26].copy_from_slice(&[8, 0, 0x45, 0, 0, ip_bytes, 0, 0, 0, 0, 64, 17, 0, 0]);
    bytes[26..30].copy_from_slice(&source.to_be_bytes());
    bytes[30..34].copy_from_slice(&[10, 0, 0, 1]);
    bytes[38..40].copy_from_slice(&u16::from(ip_bytes - 20).to_be_bytes());
    bytes
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

#[test]
fn work_is_shed_before_packets_and_taken_up_again() {
    let config = load(TOML, "prefix,customer\n10.0.0.0/8,a\n");
    let world = world(&config);
    let beneath = Beneath::that_is_told();
    let (mut wired, mut reporter) = engine(&config, &world, &cores(1, 0), (false, true), &beneath);
    let AnyReceiver::Own(receiver) = &mut wired.receivers[0] else { panic!("run-to-completion") };
    let (dice, ring, windows) = (Dice::new(5), VecDeque::new(), BTreeMap::new());
    let mut bench = Bench { receiver, beneath: &beneath, dice, ring, now_ns: START_NS, offered: 0, windows };
    // A quarter of what it can; twice; eight times; a quarter.
    let phases = [(CARRIED / 4, 2), (2 * CARRIED, 3), (8 * CARRIED, 1), (CARRIED / 4, 3)];
    let (mut missed, mut levels) = (Vec::new(), Vec::new());
    for (frames, windows) in phases {
        let before = beneath.missed();
        for tick in 0..windows * TICKS_A_WINDOW {
            bench.tick(frames);
            if tick % 100 == 0 {
                reporter.poll();
            }
        }
        missed.push(beneath.missed() - before);
        levels.push(bench.receiver.shed_level());
    }
    let (offered, seen) = (bench.offered, bench.windows);
    let log = finish(wired, reporter, |receiver, _| match receiver {
        AnyReceiver::Own(mut receiver) => receiver.end(),
        AnyReceiver::Sends(mut receiver) => receiver.end(),
    });
    println!("missed in each phase {missed:?} of {offered}, level at its end {levels:?}");
    // Twice the load costs what comes until it is noticed; eight times is more than the least work carries.
    assert!(levels[0] == 0 && levels[3] == 0 && levels[1] > 0 && missed[0] == 0 && missed[3] == 0, "{levels:?}, {missed:?}");
    assert!(missed[1] < 3 * TICKS_A_WINDOW * 2 * CARRIED / 50 && missed[2] > 10_000, "{missed:?}");

    let of = |ledger: &pb::Ledger| (ledger.offered, ledger.received + ledger.nic_missed);
    for account in &log.appliance {
        let (sent, accounted) = of(account.ledger.as_ref().unwrap());
        assert_eq!(sent, accounted, "{account:?}");
    }
    let total = log.appliance.iter().find(|account| account.total).unwrap().ledger.clone().unwrap();
    assert_eq!((total.offered, total.nic_missed), (offered, beneath.missed()));
    let weights: Vec<u32> = log.ranges.iter().map(|report| top_of(report).shed_weight).collect();
    let whole: Vec<bool> = log.ranges.iter().map(|report| report.incomplete.is_none()).collect();
    println!("weights of windows {weights:?}, complete: {whole:?}");
    for report in &log.ranges {
        holds(report, &seen[&report.window_start_ns]);
    }
    let shed = log.ranges.iter().filter(|report| top_of(report).shed_weight > 1).count() as u64;
    assert_eq!((log.ranges.len(), log.strain[4]), (seen.len(), shed));
    let [first, .., one, last] = &weights[..] else { panic!("{weights:?}") };
    assert!((*first, *one, *last) == (1, 1, 1) && weights[3] == 4 && weights[2] >= 4, "{weights:?}");
}
