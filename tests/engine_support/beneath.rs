//! What lies beneath the engine: ports that lose frames, and the clock that windows follow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tailwater::report::{ClockState, Health, PortHealth};
use tailwater::rx::timeline::{Clock, Timeline};

use super::dice::Dice;
use super::drive::{Event, PORTS};

/// Two clocks that a test turns.
#[derive(Default)]
pub struct Turned {
    pub monotonic_ns: AtomicU64,
    pub wall_ns: AtomicU64,
}

impl Clock for Turned {
    fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns.load(Relaxed)
    }
    fn wall_ns(&self) -> u64 {
        self.wall_ns.load(Relaxed)
    }
}

/// By default nothing: no port tells anything, as in a replay.
#[derive(Clone, Default)]
pub struct Beneath {
    /// A port loses one frame in so many; 0: there is no port.
    one_in: u64,
    missed: Arc<AtomicU64>,
    now_ns: Arc<AtomicU64>,
    pub timeline: Option<Arc<Timeline<Turned>>>,
}

impl Beneath {
    pub fn that_loses(one_in: u64) -> Self {
        Self { one_in, ..Self::default() }
    }

    pub fn follows(timeline: &Arc<Timeline<Turned>>) -> Self {
        Self { timeline: Some(Arc::clone(timeline)), ..Self::default() }
    }

    /// A port whose losses are told by [`Self::miss`].
    pub fn that_is_told() -> Self {
        Self::that_loses(u64::MAX)
    }

    /// So many frames were lost at the port, and it is so late.
    pub fn miss(&self, frames: u64, now_ns: u64) {
        self.now_ns.fetch_max(now_ns, Relaxed);
        self.missed.fetch_add(frames, Relaxed);
    }

    pub fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }

    /// Whether a frame never reaches its queue. Time goes on with what comes.
    pub fn loses(&self, event: &Event<'_>, epoch_ns: u64, dice: &mut Dice) -> bool {
        let Event::Frame { packet, epoch, .. } = event else { return false };
        let within = (epoch.0 - 1).saturating_mul(epoch_ns).saturating_add(1);
        self.now_ns.fetch_max(within.max(packet.time_ns), Relaxed);
        let lost = self.one_in > 0 && dice.one_in(self.one_in);
        self.missed.fetch_add(u64::from(lost), Relaxed);
        lost
    }
}

impl Health for Beneath {
    fn read(&mut self) -> Vec<PortHealth> {
        let port = |n: usize| PortHealth { missed: if n == 0 { self.missed() } else { 0 }, up: true, ..PortHealth::default() };
        if self.one_in > 0 { (0..PORTS).map(port).collect() } else { Vec::new() }
    }

    fn clock(&mut self) -> Option<ClockState> {
        match &self.timeline {
            Some(timeline) => Some(timeline.look()),
            None => (self.one_in > 0).then(|| ClockState { now_ns: self.now_ns.load(Relaxed), ..ClockState::default() }),
        }
    }
}
