//! The ports' own counters and the clock, read off the data path: for the ledger, for `/metrics`, and for a word when a link changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::report::{ClockState, Health, KernelClock, PortHealth, QueueHealth, WallClock};
use crate::rx::health::{HealthReading, PortHealth as Sensor};
use crate::rx::keepers::{Keepers, Lookout};
use crate::rx::timeline::Timeline;
use crate::telemetry::{LivePort, LiveQueue, Registry};

/// Shared by the reporter, which asks once a window, and the main loop, which looks once a second.
#[derive(Clone)]
pub struct Monitor {
    ports: Arc<Mutex<Vec<Watched>>>,
    timeline: Arc<Timeline>,
    registry: Arc<Registry>,
    keepers: Arc<Mutex<Keepers>>,
}

struct Watched {
    device: String,
    sensor: Sensor,
    live: Arc<LivePort>,
    queues: Vec<Queue>,
    counters: BTreeMap<String, u64>,
    up: bool,
    downs: u64,
    /// Of its link, at the last reading; none before the first.
    link_changes: Option<u64>,
}

/// A queue, and the lcore that polls it.
pub struct Queue {
    /// Its number on the port.
    pub index: u16,
    /// Who polls it.
    pub lcore: u32,
    /// What came of it.
    pub live: Arc<LiveQueue>,
}

/// A started port: its device, what tells how it is, where that is shown, and its queues.
pub type Started = (String, Sensor, Arc<LivePort>, Vec<Queue>);

impl Monitor {
    /// Of started ports, in the configuration's order.
    pub fn new(ports: Vec<Started>, timeline: Arc<Timeline>, registry: Arc<Registry>) -> Self {
        let watch = |(device, sensor, live, queues): Started| {
            live.started.set(1);
            Watched { device, sensor, live, queues, counters: BTreeMap::new(), up: true, downs: 0, link_changes: None }
        };
        let ports = Arc::new(Mutex::new(ports.into_iter().map(watch).collect()));
        Self { ports, timeline, registry, keepers: Arc::default() }
    }

    /// Looks who keeps the wall clock: a few small reads, once a minute one for each process. To be called about once a second.
    pub fn look_at_keepers(&self, lookout: &mut Lookout) {
        let seen = lookout.look(KernelClock::now().map_or(0, |kernel| kernel.tai_s)).clone();
        *self.keepers.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// Reads every port, and says when one went down or came back.
    pub fn look(&self) -> Vec<PortHealth> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().map(|port| port.look(&self.registry)).collect()
    }

    /// Reads transceivers, for `/metrics`. It takes milliseconds, and a reading of the ports waits for it: now and then.
    pub fn look_at_optics(&self) {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let told = (0..).zip(&*ports).filter_map(|(number, port)| Some((number, port.sensor.optics()?))).collect();
        drop(ports);
        self.registry.set_optics(told);
    }

    /// Looks after the clock that windows follow, and says when it was stepped. To be called ten times a second.
    pub fn look_at_clock(&self) -> ClockState {
        let state = self.timeline.look();
        if self.registry.set_clock(state.offset_ns, state.jumps) {
            let ahead_ms = state.offset_ns / 1_000_000;
            tracing::warn!(ahead_ms, "the wall clock was stepped, or the machine suspended: windows that this touched say `clock_jumped`");
        }
        state
    }
}

impl Watched {
    fn look(&mut self, registry: &Registry) -> PortHealth {
        let reading = self.sensor.read();
        self.tell(&reading);
        let live = &*self.live;
        live.received.set(reading.received);
        live.missed.set(reading.nic_missed);
        live.offered.set(reading.received + reading.nic_missed);
        live.link_up.set(u64::from(self.up));
        for (name, more) in reading.moved {
            *self.counters.entry(name).or_insert(0) += more;
        }
        let counters = self.counters.iter().map(|(name, n)| (name.clone(), *n)).collect();
        let queue = |queue: &Queue| QueueHealth {
            queue: u32::from(queue.index),
            lcore: queue.lcore,
            received: queue.live.frames.get(),
            full_polls: queue.live.full_polls.get(),
            polls: queue.live.polls.get(),
            held_ns: registry.held_ns(queue.lcore),
        };
        let (queues, link_bps) = (self.queues.iter().map(queue).collect(), reading.link_mbps.map(|mbps| u64::from(mbps) * 1_000_000));
        PortHealth { missed: reading.nic_missed, up: self.up, downs: self.downs, counters, queues, link_bps }
    }

    fn tell(&mut self, reading: &HealthReading) {
        let up = reading.link_up && !reading.gone;
        let changed = self.link_changes.replace(reading.link_changes).is_some_and(|before| before != reading.link_changes);
        if up == self.up {
            self.tell_of_a_moment(up && changed);
            return;
        }
        self.up = up;
        // One that came back was without a link in a part of the window, too.
        self.downs += u64::from(!up || changed);
        let device = &self.device;
        match (up, reading.gone) {
            (true, _) => tracing::info!(%device, "the port is up again"),
            (false, true) => tracing::error!(%device, "the port's device is gone: its feed is DOWN until a restart"),
            (false, false) => {
                tracing::error!(%device, "the port's link is down: its feed is DOWN; check cable, transceiver or the other side")
            }
        }
    }

    /// A link that is up as it was, and `changed` in between: nobody looked while it was down.
    fn tell_of_a_moment(&mut self, changed: bool) {
        if changed {
            self.downs += 1;
            let device = &self.device;
            tracing::warn!(%device, "the port's link went down and came back: its feed was DOWN for a moment; check cable and transceiver");
        }
    }
}

impl Health for Monitor {
    fn read(&mut self) -> Vec<PortHealth> {
        self.look()
    }

    fn clock(&mut self) -> Option<ClockState> {
        Some(self.look_at_clock())
    }

    fn wall_clock(&mut self) -> WallClock {
        let keepers = self.keepers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        WallClock { kernel: KernelClock::now(), keepers: Some(keepers) }
    }
}
