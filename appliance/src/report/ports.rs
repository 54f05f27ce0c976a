//! What ports lost since a window of the same kind was closed, and what of it may have been this window's.

use std::collections::VecDeque;

use super::{ClockState, Health, PortHealth, QueueHealth, WallClock};
use crate::stats::plan::Period;

/// Readings that are kept: those of the longest window's shortest epochs, within reason.
const READINGS_MAX: usize = 4_096;

/// Preamble, FCS and gap of a frame on the wire.
pub(super) const L1_OVERHEAD_BYTES: u128 = 24;

/// The ports, read at each close.
pub(super) struct Ports<H> {
    health: H,
    /// At the last close of a window, by period.
    last: [Vec<PortHealth>; 2],
    /// When ports were read, and all that they had lost by then; ascending.
    readings: VecDeque<(u64, u64)>,
}

/// One window's.
pub(super) struct PortsSince {
    /// Of every port, since the last window of this kind.
    pub(super) health: Vec<PortHealth>,
    /// Frames that may have been lost within this window. A reading comes a moment after a window's end: what was lost in
    /// that moment stands in the ledger of the window before, and was this window's.
    pub(super) missed_high: u64,
}

impl PortsSince {
    /// Frames lost since the last window of this kind.
    pub(super) fn missed(&self) -> u64 {
        self.health.iter().map(|port| port.missed).sum()
    }
}

impl<H: Health> Ports<H> {
    pub(super) const fn new(health: H) -> Self {
        Self { health, last: [Vec::new(), Vec::new()], readings: VecDeque::new() }
    }

    /// What the clock did, and where it stands.
    pub(super) fn clock(&mut self) -> Option<ClockState> {
        self.health.clock()
    }

    /// What is known of the wall clock.
    pub(super) fn wall_clock(&mut self) -> WallClock {
        self.health.wall_clock()
    }

    /// Reads all ports at the close of a window, at `now_ns`.
    pub(super) fn read(&mut self, period: Period, (start_ns, end_ns): (u64, u64), now_ns: Option<u64>) -> PortsSince {
        let now = self.health.read();
        let all: u64 = now.iter().map(|port| port.missed).sum();
        let before_window = self.readings.iter().rev().find(|(at, _)| *at <= start_ns).map_or(0, |(_, missed)| *missed);
        self.readings.push_back((now_ns.unwrap_or(end_ns), all));
        // Windows that are still to come start no earlier than a long one that is closed now.
        let needless = period == Period::Long && self.readings.len() > 1;
        while needless && self.readings.get(1).is_some_and(|(at, _)| *at <= start_ns) || self.readings.len() > READINGS_MAX {
            self.readings.pop_front();
        }
        let before = std::mem::replace(&mut self.last[period as usize], now.clone());
        let health: Vec<PortHealth> = now.into_iter().enumerate().map(|(i, port)| since(port, before.get(i))).collect();
        let missed: u64 = health.iter().map(|port| port.missed).sum();
        PortsSince { missed_high: all.saturating_sub(before_window).max(missed), health }
    }

    /// Since the start, as of the last long window.
    pub(super) fn total(&mut self) -> Vec<PortHealth> {
        std::mem::take(&mut self.last[Period::Long as usize])
    }
}

fn since(port: PortHealth, old: Option<&PortHealth>) -> PortHealth {
    let Some(old) = old else { return PortHealth { up: port.up && port.downs == 0, ..port } };
    let earlier = |name: &str| old.counters.iter().find(|(n, _)| n == name).map_or(0, |(_, v)| *v);
    let counters = port.counters.iter().map(|(n, v)| (n.clone(), v.saturating_sub(earlier(n)))).collect();
    // A link that was down for a moment makes the window no less incomplete than one that still is.
    let up = port.up && port.downs == old.downs;
    let queues = port.queues.iter().map(|queue| queue_since(queue, &old.queues)).collect();
    PortHealth { missed: port.missed.saturating_sub(old.missed), up, counters, queues, ..port }
}

fn queue_since(now: &QueueHealth, old: &[QueueHealth]) -> QueueHealth {
    let Some(old) = old.iter().find(|old| old.queue == now.queue) else { return *now };
    QueueHealth {
        received: now.received.saturating_sub(old.received),
        full_polls: now.full_polls.saturating_sub(old.full_polls),
        polls: now.polls.saturating_sub(old.polls),
        held_ns: now.held_ns.saturating_sub(old.held_ns),
        ..*now
    }
}
