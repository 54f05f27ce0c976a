//! The appliance's own loops in the test's process: DPDK's lcores poll `net_ring` queues that the test feeds, on the machine's
//! clock. All of an appliance but its ports, sinks and signals.
#![allow(dead_code, reason = "each test uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tailwater::config::Config;
use tailwater::dpdk::{Eal, EalConfig, Feeder, FrameTag, LcoreHandle, LcorePin, RingSetup, ring_port};
use tailwater::report::{ClockState, Health, PortHealth, Reporter};
use tailwater::runtime::lcores::{Idle, launch_all};
use tailwater::runtime::reporting;
use tailwater::runtime::wiring::wire;
use tailwater::rx::{self, timeline::Timeline};
use tailwater::telemetry::{CoreFigures, Registry};

use crate::support::drive::{Log, PORTS, cores, setting_of, world};

/// EAL with so many lcores beside the main one, which share this machine's CPUs.
pub(crate) fn eal(lcores: u32) -> Eal {
    let cpus: Vec<usize> = core_affinity::get_core_ids().unwrap().into_iter().map(|core| core.id).collect();
    let pin = |lcore| LcorePin { lcore, cpus: cpus.clone() };
    Eal::init(&EalConfig { lcores: (0..=lcores).map(pin).collect(), ..EalConfig::private("fed", &[]) }).unwrap()
}

/// What the sender says that its queues did not take, as a NIC would.
struct Senders {
    missed: Arc<AtomicU64>,
    timeline: Arc<Timeline>,
}

impl Health for Senders {
    fn read(&mut self) -> Vec<PortHealth> {
        let port = |n: usize| PortHealth { missed: if n == 0 { self.missed.load(Relaxed) } else { 0 }, up: true, ..PortHealth::default() };
        (0..PORTS).map(port).collect()
    }

    fn clock(&mut self) -> Option<ClockState> {
        Some(self.timeline.look())
    }
}

/// A running appliance: port 0 has a queue for each receiving core.
pub(crate) struct Fed {
    stop: Arc<AtomicBool>,
    handles: Vec<LcoreHandle<()>>,
    reporter: Option<JoinHandle<Reporter<Log, Senders>>>,
    registry: Arc<Registry>,
    /// The queues' other ends, in the order of the receiving cores.
    pub(crate) feeders: Vec<Feeder>,
    missed: Arc<AtomicU64>,
}

impl Fed {
    /// With so many receivers and workers, and queues in which so many frames wait. Its reports do not say that the first
    /// and the last window are partial: the test knows.
    pub(crate) fn start(eal: &Eal, config: &Config, (receivers, workers): (u32, u32), waiting_frames: u32) -> Self {
        let (world, cores) = (world(config), cores(receivers, workers));
        let registry = Registry::new("fed", "", Duration::from_secs(1));
        let mut wired = wire(&world, &cores, &registry, false);
        let setup = RingSetup { queues: u16::try_from(receivers).unwrap(), waiting_frames };
        let (_, raw, feeders) = ring_port(eal, setup).unwrap();
        let (timeline, missed) = (Arc::new(Timeline::default()), Arc::default());
        let queues = raw.into_iter().map(|queue| vec![rx::live::fed(queue, 0, world.calendar.epoch_ns(), &timeline)]).collect();
        let health = Senders { missed: Arc::clone(&missed), timeline };
        let (setting, streams) = (setting_of(config, &world, false), std::mem::take(&mut wired.streams));
        let reporter = Reporter::new(setting, Arc::clone(&world.plans), world.calendar, streams, Log::default(), health);
        let reporter = std::thread::spawn(move || reporting::run(reporter, || ()));
        let stop = Arc::new(AtomicBool::new(false));
        let handles = launch_all(eal, (&cores.rx, &cores.workers), wired, (queues, world.hands_over), &stop, Idle::Yield).unwrap();
        Self { stop, handles, reporter: Some(reporter), registry, feeders, missed }
    }

    /// Each receiving core, as `/metrics` shows it.
    pub(crate) fn receivers(&self) -> Vec<CoreFigures> {
        let cores = self.registry.snapshot().cores;
        cores.into_iter().filter(|core| core.role == "rx").map(|core| core.figures).collect()
    }

    /// All cores.
    pub(crate) fn total(&self) -> CoreFigures {
        self.registry.snapshot().total()
    }

    /// Frames that its receiving cores counted.
    pub(crate) fn received(&self) -> u64 {
        self.receivers().iter().map(|core| core.received).sum()
    }

    /// Gives a frame to a queue. Whether that took it: if not, it is lost there.
    pub(crate) fn offer(&mut self, queue: usize, bytes: &[u8]) -> bool {
        let taken = self.feeders[queue].feed(FrameTag::default(), bytes).is_ok();
        if !taken {
            self.missed.fetch_add(1, Relaxed);
        }
        taken
    }

    /// The same, and waits where there is no room.
    pub(crate) fn give(&mut self, queue: usize, bytes: &[u8]) {
        while self.feeders[queue].feed(FrameTag::default(), bytes).is_err() {
            std::thread::yield_now();
        }
    }

    /// What still gathers before the queues goes in.
    pub(crate) fn flush(&mut self) {
        for feeder in &mut self.feeders {
            while feeder.flush().is_err() {
                std::thread::yield_now();
            }
        }
    }

    /// What the queues did not take.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }

    /// Stops it as a signal does: what waits is counted, the window is closed.
    pub(crate) fn end(mut self) -> (Log, Vec<CoreFigures>) {
        self.flush();
        self.stop.store(true, Relaxed);
        self.handles.drain(..).for_each(|handle| handle.join().unwrap());
        let mut reporter = self.reporter.take().unwrap().join().unwrap();
        let cores = self.registry.snapshot().cores.into_iter().map(|core| core.figures).collect();
        (std::mem::take(reporter.publisher()), cores)
    }
}

impl Drop for Fed {
    /// A test that fails ends too.
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// Waits until something is so; not for ever.
pub(crate) fn until(seconds: u64, what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(seconds), "{what}: not within {seconds} s");
        std::thread::sleep(Duration::from_millis(1));
    }
}
