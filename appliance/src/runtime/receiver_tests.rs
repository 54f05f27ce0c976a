//! Whatever comes when: what closes a window is done in bounded pieces, between polls.

use std::time::Duration;

use super::*;
use crate::arch::HashKey;
use crate::config;
use crate::gather::packed::Batch;
use crate::runtime::memory::MemoryPlan;
use crate::runtime::wiring::{AnyReceiver, Cores, Wired, wire};
use crate::rx::Frame;
use crate::telemetry::Registry;
use crate::units::{LinkType, RangeIndex};
use crate::window::stream::stream;
use crate::window::{Room, Told};

/// More than are walked while the frames of a window come.
const RANGES: u32 = 3_000;
/// Records that a step may work off: a batch, or one of each of four ranges where others work.
const STEP_RECORDS: u64 = 256;
/// Words that a step may send: two parts, or a few.
const STEP_WORDS: usize = 8_192;

const TOML: &str = r#"
[appliance]
window_ms = 4000
fast_window_ms = 1000
memory_mb = 256
[ranges]
file = "r.csv"
[[stats]]
name = "packets"
calculation = "sum"
fast = true
[[stats]]
name = "sources"
calculation = "topk"
key = "src_ip"
[[stats]]
name = "ports"
calculation = "distinct"
key = "dst_port"
"#;

fn world() -> Arc<World> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(&file, TOML).unwrap();
    let rows: String = (0..RANGES).map(|n| format!("10.{}.{}.0/24,c\n", n / 256, n % 256)).collect();
    std::fs::write(folder.path().join("r.csv"), format!("prefix,customer\n{rows}")).unwrap();
    let config = config::load(&file, &crate::stats::check).unwrap_or_else(|faults| panic!("{faults}"));
    Arc::new(World::new(&config, HashKey::constant(), 1).unwrap())
}

/// The nth UDP datagram to a range.
fn datagram(range: u32, n: u64) -> [u8; 42] {
    let mut bytes = [0; 42];
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14..24].copy_from_slice(&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17]);
    bytes[26..30].copy_from_slice(&[192, 0, 2, n.to_le_bytes()[0]]);
    let [low, high, ..] = range.to_le_bytes();
    bytes[30..34].copy_from_slice(&[10, high, low, 1]);
    bytes[34..42].copy_from_slice(&[0, 53, n.to_le_bytes()[1], n.to_le_bytes()[0], 0, 8, 0, 0]);
    bytes
}

/// An appliance of one receiver, whose reporter and worker take what there is behind each call.
struct Bench {
    wired: Wired,
    received: u64,
    overdue: u64,
    counted: u64,
    lost: u64,
    reads: bool,
}

/// What a call may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// An epoch has begun.
    Epoch(u64),
    /// A poll has given a burst: its first frame, and how many.
    Burst(u64, u64),
    /// What is done once a poll.
    Step,
}

impl Bench {
    fn new(workers: u32, reads: bool) -> Self {
        let registry = Registry::new("t", "", Duration::from_secs(1));
        let cores = Cores { rx: vec![1], workers: (2..2 + workers).collect() };
        let wired = wire(&world(), &cores, &registry, false);
        Self { wired, received: 0, overdue: 0, counted: 0, lost: 0, reads }
    }

    /// Calls the receiver, and looks at what it did: records worked off, and words sent.
    fn call(&mut self, call: Call) -> (u64, usize) {
        fn on<S: Stage>(receiver: &mut Receiver<S>, call: Call) {
            match call {
                Call::Epoch(epoch) => receiver.epoch(Epoch(epoch)),
                Call::Step => _ = receiver.step(),
                Call::Burst(first, frames) => (first..first + frames).for_each(|n| {
                    let bytes = datagram(u32::try_from(n % u64::from(RANGES)).unwrap(), n);
                    let (wire_bytes, link, epoch) = (42, LinkType::Ethernet, receiver.at);
                    let captured_bytes = wire_bytes;
                    receiver.frames(&[Frame { bytes: &bytes, wire_bytes, captured_bytes, time_ns: 0, epoch, port: 0, link, late: false }]);
                }),
            }
            receiver.show();
        }
        let before = self.worked_off();
        match &mut self.wired.receivers[0] {
            AnyReceiver::Own(receiver) => on(receiver, call),
            AnyReceiver::Sends(receiver) => on(receiver, call),
        }
        (0..64).for_each(|_| self.wired.workers.iter_mut().for_each(|(worker, _)| _ = worker.poll()));
        self.wired.workers.iter_mut().for_each(|(worker, live)| worker.stage().show(live));
        let words = if self.reads { self.read() } else { 0 };
        (self.worked_off() - before, words)
    }

    fn worked_off(&self) -> u64 {
        let receiver = match &self.wired.receivers[0] {
            AnyReceiver::Own(receiver) => &receiver.live,
            AnyReceiver::Sends(receiver) => &receiver.live,
        };
        let all = self.wired.workers.iter().map(|(_, live)| live).chain([receiver]);
        all.map(|live| live.counted.get()).sum()
    }

    /// What the reporter does.
    fn read(&mut self) -> usize {
        let mut words = 0;
        for (_, stream) in &mut self.wired.streams {
            while stream.next(|told| match told {
                Told::Block(_, block) => words += block.len(),
                Told::Closed { site, .. } => {
                    let ledger = site.ledger();
                    self.received += ledger.received;
                    self.overdue += ledger.overdue;
                    self.counted += site.counted;
                    // What only a long window lacks is counted.
                    let [ring, memory, _] = site.lost_total();
                    self.lost += ring + memory;
                }
            }) {}
        }
        words
    }

    /// A burst and a step, which is bounded.
    fn poll(&mut self, first: u64) -> u64 {
        let frames = self.frames_max(0) as u64;
        self.call(Call::Burst(first, frames));
        let (records, words) = self.call(Call::Step);
        // A worker that is behind catches up beside the call.
        let told = self.reads || self.wired.workers.is_empty();
        assert!(!told || records <= STEP_RECORDS && words <= STEP_WORDS, "{records} records, {words} words");
        first + frames
    }

    /// An epoch begins: nothing is worked off for it.
    fn epoch(&mut self, epoch: u64) {
        let told = self.reads || self.wired.workers.is_empty();
        let done = self.call(Call::Epoch(epoch));
        assert!(!told || done == (0, 0), "{epoch}: {done:?}");
    }

    /// To the end, in peace.
    fn end(&mut self) {
        self.reads = true;
        while self.is_overdue() || self.is_closing() {
            self.call(Call::Step);
        }
        self.call(Call::Epoch(Epoch::END.0));
        (0..100_000).for_each(|_| _ = self.call(Call::Step));
    }

    fn is_closing(&self) -> bool {
        match &self.wired.receivers[0] {
            AnyReceiver::Own(receiver) => receiver.closing.is_some() || receiver.stage.is_closing(),
            AnyReceiver::Sends(receiver) => receiver.closing.is_some(),
        }
    }

    fn frames_max(&mut self, time_ns: u64) -> usize {
        match &mut self.wired.receivers[0] {
            AnyReceiver::Own(receiver) => receiver.frames_max(time_ns),
            AnyReceiver::Sends(receiver) => receiver.frames_max(time_ns),
        }
    }

    fn strides(&self) -> u32 {
        match &self.wired.receivers[0] {
            AnyReceiver::Own(receiver) => receiver.strides,
            AnyReceiver::Sends(receiver) => receiver.strides,
        }
    }

    fn is_overdue(&self) -> bool {
        match &self.wired.receivers[0] {
            AnyReceiver::Own(receiver) => receiver.is_overdue(),
            AnyReceiver::Sends(receiver) => receiver.is_overdue(),
        }
    }
}

/// The next epoch comes right behind an edge, and then one that is far away: both wait for the walk, which goes on piece by
/// piece, and no frame is lost.
#[test]
fn an_epoch_waits_for_what_is_over() {
    for workers in 0..2 {
        let (mut bench, mut frames) = (Bench::new(workers, true), 0);
        bench.epoch(10);
        (0..2_000).for_each(|_| frames = bench.poll(frames));
        bench.epoch(11);
        frames = bench.poll(frames);
        bench.epoch(12);
        let before = frames;
        frames = bench.poll(frames);
        bench.epoch(500);
        let mut polls = 1;
        while bench.is_overdue() {
            frames = bench.poll(frames);
            polls += 1;
        }
        assert!(polls > 300, "{workers}: {polls} polls for {RANGES} ranges");
        bench.end();
        assert_eq!((bench.received, bench.counted, bench.lost), (frames, frames, 0), "{workers}");
        // The step of the last poll has opened it.
        assert_eq!(bench.overdue, frames - before, "{workers}");
    }
}

/// A reporter that is away: what it has no room for is lost, told later, and never keeps an epoch waiting for long.
#[test]
fn no_epoch_waits_for_the_reporter() {
    for workers in 0..2 {
        let (mut bench, mut frames) = (Bench::new(workers, false), 0);
        for epoch in 10..150 {
            bench.epoch(epoch);
            (0..400).for_each(|_| frames = bench.poll(frames));
            let mut more = 0;
            while bench.is_overdue() {
                frames = bench.poll(frames);
                more += 1;
            }
            assert!(more < 4 * RANGES, "{workers}: {more} polls");
        }
        bench.end();
        assert_eq!((bench.received, bench.counted + bench.lost), (frames, frames), "{workers}");
        assert!(bench.lost > 0 || workers > 0, "the stream was never full");
    }
}

/// A core whose walk falls behind takes fewer frames a poll, so that it is done in time; one that only sends does not.
#[test]
fn a_late_walk_takes_its_share_of_the_core() {
    for workers in 0..2 {
        let (mut bench, mut frames) = (Bench::new(workers, true), 0);
        let at = |percent: u64| 10 * 1_000_000_000 + percent * 10_000_000;
        bench.epoch(10);
        (0..2_000).for_each(|_| frames = bench.poll(frames));
        assert_eq!(bench.frames_max(at(0) - 1), BURST_FRAMES_MAX);
        bench.epoch(11);
        let mut most = |percent| bench.frames_max(at(percent));
        let late = if workers == 0 { BURST_FRAMES_LATE } else { BURST_FRAMES_MAX };
        assert_eq!((most(0), most(1), most(2), most(99)), (BURST_FRAMES_MAX, BURST_FRAMES_MAX, late, late));
        let mut strides = |percent| {
            bench.frames_max(at(percent));
            bench.strides()
        };
        assert_eq!((strides(0), strides(99)), if workers == 0 { (0, 4) } else { (0, 0) });
        while bench.is_closing() {
            frames = bench.poll(frames);
        }
        assert_eq!(bench.frames_max(at(99)), BURST_FRAMES_MAX);
        bench.end();
        assert_eq!((bench.received, bench.counted), (frames, frames));
    }
}

/// A stage that keeps what it was told to shed.
#[derive(Default)]
struct Sheds(Vec<u32>);

impl Stage for Sheds {
    fn batch(&mut self, _: RangeIndex, _: Epoch, _: &Batch<'_>) {}

    fn advance(&mut self, _: Epoch) {}

    fn step(&mut self) -> bool {
        false
    }

    fn shed(&mut self, level: u32) {
        self.0.push(level);
    }
}

/// Full polls until its own level has risen.
fn fill<S: Stage>(receiver: &mut Receiver<S>) {
    let before = receiver.own_shed_level();
    while receiver.own_shed_level() == before {
        receiver.polled_all(true);
    }
}

/// Who takes bursts sheds as much as the one of those that it takes from that sheds most, or as it has to itself.
#[test]
fn a_taker_sheds_as_those_do_that_it_helps() {
    let (world, cores) = (world(), Cores { rx: vec![1], workers: Vec::new() });
    let (outlet, _reader) = stream(Room::of_account(world.ports, world.tag_room, world.links), false);
    let live = Registry::new("t", "", Duration::from_secs(1)).core(1, "rx");
    let logs = MemoryPlan::new(&world, &cores).logs;
    let mut taker = Receiver::new(world, Sheds::default(), outlet, live, logs);
    let levels = |of: &Receiver<Sheds>| (of.own_shed_level(), of.shed_level());
    // The level of one that it helps rises. One that sheds less is no reason to shed less, and does not keep it at that.
    assert!(taker.helps(0) && taker.stage.0.is_empty());
    assert!(taker.helps(1) && taker.helps(3) && !taker.helps(1) && taker.helps(3));
    assert_eq!((levels(&taker), &taker.stage.0[..]), ((0, 3), &[1, 3][..]));
    // It falls: once nobody has given at the old one for a while.
    taker.helps_nobody();
    taker.helps_nobody();
    assert!(taker.helps(1));
    assert_eq!((levels(&taker), &taker.stage.0[..]), ((0, 1), &[1, 3, 0, 1][..]));
    // What it has to shed itself counts where that is more, and is what it tells others.
    fill(&mut taker);
    fill(&mut taker);
    assert_eq!((levels(&taker), taker.stage.0.last()), ((2, 2), Some(&2)));
    assert!(taker.helps(3));
    assert_eq!((levels(&taker), taker.stage.0.last()), ((2, 3), Some(&3)));
    taker.helps_nobody();
    assert_eq!((levels(&taker), taker.stage.0.last()), ((2, 2), Some(&2)));
    // Others' level stays while its own falls.
    assert!(taker.helps(1));
    while taker.own_shed_level() > 0 {
        taker.polled_all(false);
    }
    assert_eq!((levels(&taker), taker.stage.0.last()), ((0, 1), Some(&1)));
}
