//! An engine put together of a configuration, and driven over packets on threads.

use std::sync::Arc;
use std::time::Duration;

use tailwater::arch::HashKey;
use tailwater::config::{self, Config};
use tailwater::gather::Stage;
use tailwater::report::{Glance, PortName, Publisher, Reporter, Setting, Strain, pb};
use tailwater::runtime::receiver::Receiver;
use tailwater::runtime::wiring::{AnyReceiver, Cores, Wired, wire};
use tailwater::runtime::world::{World, setting};
use tailwater::rx::Frame;
use tailwater::telemetry::Registry;
use tailwater::units::{Epoch, LinkType};

use super::beneath::Beneath;
use super::dice::Dice;
use super::traffic::Packet;

pub const PORTS: usize = 2;

/// Everything that was published.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    pub ranges: Vec<pb::RangeReport>,
    pub appliance: Vec<pb::ApplianceReport>,
    pub links: Vec<pb::LinkReport>,
    /// What want of memory did, as it is counted for metrics.
    pub strain: [u64; 5],
    /// Windows whose start is a multiple of this are doubtful; 0: none.
    pub doubts_each_ns: u64,
}

impl Publisher for Log {
    fn range(&mut self, report: &pb::RangeReport) {
        self.ranges.push(report.clone());
    }
    fn link(&mut self, report: &pb::LinkReport) {
        self.links.push(report.clone());
    }
    fn appliance(&mut self, report: &pb::ApplianceReport) {
        self.appliance.push(report.clone());
    }
    fn doubts(&mut self, glance: &Glance<'_>) -> Vec<&'static str> {
        let is_doubtful = self.doubts_each_ns > 0 && glance.bounds_ns.0.is_multiple_of(self.doubts_each_ns);
        if is_doubtful { vec!["tag_silent"] } else { Vec::new() }
    }
    fn strained(&mut self, _is_long: bool, of: &Strain) {
        self.strain.iter_mut().zip(of.counts()).for_each(|(all, n)| *all += n);
    }
}

pub fn load(toml: &str, ranges: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.toml"), toml).unwrap();
    std::fs::write(folder.path().join("ranges.csv"), ranges).unwrap();
    config::load(&folder.path().join("t.toml"), &tailwater::stats::check).unwrap_or_else(|faults| panic!("{toml}\n{faults}"))
}

pub fn world(config: &Config) -> Arc<World> {
    Arc::new(World::new(config, HashKey::constant(), PORTS).unwrap())
}

/// `receivers` receive; with no workers they work too.
pub fn cores(receivers: u32, workers: u32) -> Cores {
    Cores { rx: (1..=receivers).collect(), workers: (receivers + 1..=receivers + workers).collect() }
}

pub fn setting_of(config: &Config, world: &World, live: bool) -> Setting {
    let port = |n: usize| PortName { device: format!("port{n}"), feed: "feed".to_owned(), min_pps: 0 };
    setting(config, world, 0, (0..PORTS).map(port).collect(), live)
}

pub fn engine(
    config: &Config,
    world: &Arc<World>,
    cores: &Cores,
    (waits, live): (bool, bool),
    beneath: &Beneath,
) -> (Wired, Reporter<Log, Beneath>) {
    let registry = Registry::new("test", "", Duration::from_secs(1));
    let mut wired = wire(world, cores, &registry, waits);
    let setting = setting_of(config, world, live);
    let streams = std::mem::take(&mut wired.streams);
    let reporter = Reporter::new(setting, Arc::clone(&world.plans), world.calendar, streams, Log::default(), beneath.clone());
    (wired, reporter)
}

/// What one queue gives, in order.
pub enum Event<'a> {
    Epoch(Epoch),
    Frame { packet: &'a Packet, late: bool, epoch: Epoch },
}

/// As the reader of captures does it: all queues hear of an epoch when the first frame of it is read; time never goes
/// back.
pub fn queues<'a>(world: &World, packets: &'a [Packet], queues: u32) -> Vec<Vec<Event<'a>>> {
    let mut out: Vec<Vec<Event<'a>>> = (0..queues).map(|_| Vec::new()).collect();
    let mut at = Epoch(0);
    for packet in packets {
        let epoch = world.calendar.epoch(packet.time_ns);
        if epoch > at {
            at = epoch;
            out.iter_mut().for_each(|queue| queue.push(Event::Epoch(epoch)));
        }
        let spread = packet.ip.as_ref().map_or(0, |ip| format!("{}{}", ip.src, ip.dst).bytes().map(u64::from).sum::<u64>());
        let queue = usize::try_from(spread % u64::from(queues)).unwrap();
        out[queue].push(Event::Frame { packet, late: epoch < at, epoch: at });
    }
    out
}

pub fn give<S: Stage>(receiver: &mut Receiver<S>, event: &Event<'_>) {
    match event {
        Event::Epoch(epoch) => receiver.epoch(*epoch),
        Event::Frame { .. } => burst_of(receiver, std::slice::from_ref(event)),
    }
}

fn burst_of<S: Stage>(receiver: &mut Receiver<S>, events: &[Event<'_>]) {
    let bytes: Vec<Vec<u8>> = events.iter().filter_map(|event| Some(frame_of(event)?.0.frame())).collect();
    let frames = events.iter().filter_map(frame_of).zip(&bytes).map(|((packet, late, epoch), bytes)| {
        let wire_bytes = u32::try_from(bytes.len()).unwrap();
        let (time_ns, port, link) = (packet.time_ns, packet.port, LinkType::Ethernet);
        Frame { bytes, wire_bytes, captured_bytes: wire_bytes, time_ns, epoch, port, link, late }
    });
    receiver.frames(&frames.collect::<Vec<_>>());
}

fn frame_of<'a>(event: &Event<'a>) -> Option<(&'a Packet, bool, Epoch)> {
    match event {
        Event::Frame { packet, late, epoch } => Some((packet, *late, *epoch)),
        Event::Epoch(_) => None,
    }
}

fn receive<S: Stage>(mut receiver: Box<Receiver<S>>, events: &[Event<'_>], seed: u64) {
    let mut dice = Dice::new(seed);
    let mut left = events;
    while !left.is_empty() {
        // A burst, as a poll gives it: frames up to the next epoch.
        let most = usize::try_from(dice.below(40)).unwrap() + 1;
        let frames = left.iter().take(most).take_while(|event| matches!(event, Event::Frame { .. })).count();
        let (burst, rest) = left.split_at(frames);
        burst_of(&mut receiver, burst);
        left = rest;
        if let Some(epoch @ Event::Epoch(_)) = left.first() {
            give(&mut receiver, epoch);
            left = &left[1..];
        }
        receiver.step();
        if dice.one_in(20) {
            std::thread::yield_now();
        }
    }
    receiver.end();
}

pub fn any(receiver: &mut AnyReceiver, event: Option<&Event<'_>>) {
    match (receiver, event) {
        (AnyReceiver::Own(receiver), Some(event)) => give(receiver, event),
        (AnyReceiver::Sends(receiver), Some(event)) => give(receiver, event),
        (AnyReceiver::Own(receiver), None) => _ = receiver.step(),
        (AnyReceiver::Sends(receiver), None) => _ = receiver.step(),
    }
}

/// Until the epoch that has begun is open.
pub fn in_time(receiver: &mut AnyReceiver) {
    let is_overdue = |receiver: &AnyReceiver| match receiver {
        AnyReceiver::Own(receiver) => receiver.is_overdue(),
        AnyReceiver::Sends(receiver) => receiver.is_overdue(),
    };
    while is_overdue(receiver) {
        any(receiver, None);
    }
}

/// How often others have their turn beside the receivers: once in so many events; 0: not before all frames are in.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub workers: u64,
    pub reporter: u64,
    /// Of receivers' own steps: once in so many events.
    pub steps: u64,
    pub live: bool,
    /// Cores sleep over epochs in which they have nothing.
    pub sleepy: bool,
    /// Frames come while an epoch has begun and waits for what closes; else nothing comes before it is open.
    pub overdue: bool,
}

/// Runs everything on one thread in an order that chance chooses, nobody waiting: if a receiver did, this would hang.
pub fn simulate(config: &Config, packets: &[Packet], shape: (u32, u32), seed: u64, pace: Pace) -> Log {
    simulate_over(config, packets, shape, seed, pace, &Beneath::default())
}

/// The same over ports that may lose frames, and clocks that may jump.
pub fn simulate_over(
    config: &Config,
    packets: &[Packet],
    (receivers, workers): (u32, u32),
    seed: u64,
    pace: Pace,
    beneath: &Beneath,
) -> Log {
    let world = world(config);
    let (mut wired, mut reporter) = engine(config, &world, &cores(receivers, workers), (false, pace.live), beneath);
    let mut queues: Vec<_> = queues(&world, packets, receivers).into_iter().map(|q| q.into_iter().peekable()).collect();
    let mut dice = Dice::new(seed);
    let mut at = 0;
    while queues.iter_mut().any(|queue| queue.peek().is_some()) {
        // Runs of events, so that receivers get apart.
        if dice.one_in(12) || queues[at].peek().is_none() {
            at = usize::try_from(dice.below(u64::from(receivers))).unwrap();
        }
        let Some(event) = queues[at].next() else { continue };
        let idle = matches!((&event, queues[at].peek()), (Event::Epoch(_), Some(Event::Epoch(_)) | None));
        let lost = beneath.loses(&event, world.calendar.epoch_ns(), &mut dice);
        if !(lost || pace.sleepy && idle) {
            any(&mut wired.receivers[at], Some(&event));
        }
        if !pace.overdue {
            in_time(&mut wired.receivers[at]);
        }
        if dice.one_in(pace.steps) {
            any(&mut wired.receivers[at], None);
        }
        if pace.workers > 0 && dice.one_in(pace.workers) && workers > 0 {
            let which = usize::try_from(dice.below(u64::from(workers))).unwrap();
            wired.workers[which].0.poll();
        }
        if pace.reporter > 0 && dice.one_in(pace.reporter) {
            reporter.poll();
        }
    }
    finish(wired, reporter, |receiver, _| match receiver {
        AnyReceiver::Own(mut receiver) => receiver.end(),
        AnyReceiver::Sends(mut receiver) => receiver.end(),
    })
}

/// Runs everything on threads, as a replay does. `cuts` chooses where bursts are cut.
pub fn run(config: &Config, packets: &[Packet], (receivers, workers): (u32, u32), cuts: u64) -> Log {
    let world = world(config);
    let (wired, reporter) = engine(config, &world, &cores(receivers, workers), (true, false), &Beneath::default());
    let queues = queues(&world, packets, receivers);
    finish(wired, reporter, |receiver, i| match receiver {
        AnyReceiver::Own(receiver) => receive(receiver, &queues[i], cuts * 64 + i as u64),
        AnyReceiver::Sends(receiver) => receive(receiver, &queues[i], cuts * 64 + i as u64),
    })
}

/// Each core on a thread, until all have said their last.
pub fn finish(wired: Wired, mut reporter: Reporter<Log, Beneath>, receive: impl Fn(AnyReceiver, usize) + Sync) -> Log {
    let receive = &receive;
    std::thread::scope(|scope| {
        for (mut worker, _) in wired.workers {
            scope.spawn(move || {
                while worker.poll() || worker.at() != Epoch::END {
                    std::thread::yield_now();
                }
            });
        }
        for (i, receiver) in wired.receivers.into_iter().enumerate() {
            scope.spawn(move || receive(receiver, i));
        }
        while reporter.poll() || !reporter.is_over() {
            assert!(!reporter.is_abandoned(), "a core went away");
            std::thread::yield_now();
        }
    });
    reporter.finish();
    std::mem::take(reporter.publisher())
}
