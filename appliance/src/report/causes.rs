//! Where loss came from: from what ports, queues and cores tell of a window to a word and what mends it.
//!
//! A queue is *busy* if half of its polls brought as many frames as they might: its core takes all that it can, and more waits. Which
//! queues are busy tells a core that has too much from traffic that RSS cannot spread, and both from a core that was held up.
//! docs/events.md has these rows in words.

use super::ports::L1_OVERHEAD_BYTES;
use super::{PortHealth, PortName, pb};

/// The driver's counter of frames for which no mbuf was free.
const NO_MBUF: &str = "rx_mbuf_allocation_errors";
/// A port whose counters of damaged frames have so many hundredths of what it missed has lost them on the wire.
const DAMAGED_PERCENT: u128 = 50;
/// A polling core that the system held up for so long may have let a queue of 1,024 frames run over.
const HELD_NS_MIN: u64 = 1_000_000;
/// A mirror's link that is so full, in hundredths, has probably no room for all.
const SATURATED_PERCENT: u128 = 97;
/// One queue with so many hundredths of all queues' errors has them alone.
const ALONE_PERCENT: u128 = 80;

/// Why, and what mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    MempoolEmpty,
    Damaged,
    HotQueue,
    RssSkew,
    Cpu,
    HeldUp,
    Unknown,
    MirrorSaturated,
    RingFull,
    ReporterLate,
    Memory,
}

impl Why {
    /// Its word and the remedy.
    const fn said(self) -> (&'static str, &'static str) {
        match self {
            Self::MempoolEmpty => ("mempool_empty", "more hugepages for DPDK's pools (`tailwater check` says how many), or fewer queues"),
            Self::Damaged => ("damaged", "cable, optics and the other side's port: frames arrive with errors (`deviceCounters`)"),
            Self::HotQueue => (
                "hot_queue",
                "RSS cannot spread it (one tunnel, one 5-tuple): more `cores.rx` with `hand_over = true`, a NIC that hashes inner headers, \
                 or the mirror over more ports",
            ),
            Self::RssSkew => ("rss_skew", "more `queues` of the port and `cores.rx`: some queues have more than a core can take"),
            Self::Cpu => ("cpu", "more `queues` of the port and `cores.rx`, or fewer and cheaper stats: all its cores are busy"),
            Self::HeldUp => ("held_up", "isolate the core's CPU (`tailwater check` says how): the system ran something else on it"),
            Self::Unknown => (
                "unknown",
                "a burst that a queue does not hold, or a loss below the driver: compare the port's own counters in `deviceCounters`",
            ),
            Self::MirrorSaturated => (
                "mirror_saturated",
                "mirror over more ports, or filter at the mirror: its link is full, and the switch drops the rest uncounted",
            ),
            Self::RingFull => ("ring_full", "more `cores.workers`, or fewer and cheaper stats: workers do not keep up"),
            Self::ReporterLate => ("reporter_late", "a CPU of its own for `cores.reporter`, or longer windows: it does not read in time"),
            Self::Memory => ("memory", "a larger `memory_mb`, or smaller `k`, `p` and fewer stats"),
        }
    }
}

/// What a core lost, in records.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CoreLoss {
    pub(super) lcore: u32,
    pub(super) role: &'static str,
    /// At a ring to a worker, or at its stream to the reporter.
    pub(super) ring: u64,
    /// At its stream, of a long window that is counted by short ones.
    pub(super) long: u64,
    pub(super) memory: u64,
}

/// Of every port and core that lost something in a window of so many nanoseconds.
pub(super) fn losses(ports: &[(&PortName, &PortHealth)], received: &[(u64, u64)], cores: &[CoreLoss], window_ns: u64) -> Vec<pb::Loss> {
    let of_ports = ports.iter().zip(received).enumerate().flat_map(|(number, ((name, health), received))| {
        let loss = |what: &str, count, (why, text): (Why, String)| pb::Loss {
            what: what.to_owned(),
            place: "port".to_owned(),
            number: u32::try_from(number).unwrap_or(u32::MAX),
            name: name.device.clone(),
            feed: name.feed.clone(),
            count,
            cause: why.said().0.to_owned(),
            why: text,
            remedy: why.said().1.to_owned(),
        };
        let missed = (health.missed > 0).then(|| loss("nic_missed", health.missed, of_port(health)));
        let full = saturated(health, *received, window_ns).map(|text| loss("mirror", 0, (Why::MirrorSaturated, text)));
        missed.into_iter().chain(full)
    });
    let pipeline = cores.iter().any(|core| core.role == "worker");
    let of_cores = cores.iter().flat_map(|core| of_core(core, pipeline));
    of_ports.chain(of_cores).collect()
}

/// Why a port missed frames.
fn of_port(health: &PortHealth) -> (Why, String) {
    if let Some((_, n)) = health.counters.iter().find(|(name, n)| name == NO_MBUF && *n > 0) {
        return (Why::MempoolEmpty, format!("{NO_MBUF} {n}"));
    }
    if let Some((name, n)) = damaged(health) {
        return (Why::Damaged, format!("{name} {n}"));
    }
    let queues = &health.queues;
    let busy: Vec<u32> = queues.iter().filter(|queue| queue.is_busy()).map(|queue| queue.queue).collect();
    let held = queues.iter().max_by_key(|queue| queue.held_ns).filter(|queue| queue.held_ns >= HELD_NS_MIN);
    match (busy.len(), queues.len()) {
        (0, _) => match (alone(health), held) {
            (Some((queue, errors)), _) => (Why::HotQueue, format!("queue {queue} has {errors} errors, and nearly all")),
            (None, Some(queue)) => (Why::HeldUp, format!("lcore {} was held up for {} us", queue.lcore, queue.held_ns / 1_000)),
            (None, None) => (Why::Unknown, format!("none of {} queues was busy", queues.len())),
        },
        (n, all) if n == all => (Why::Cpu, format!("all of {all} queues were busy")),
        (1, all) => (Why::HotQueue, format!("queue {} alone of {all} was busy", busy[0])),
        (n, all) => (Why::RssSkew, format!("{n} of {all} queues were busy: {busy:?}")),
    }
}

/// The core whose system held it up, of a loss with that cause: what other ports missed that it polls comes from the same.
pub fn lcore_held_up(loss: &pb::Loss) -> Option<u32> {
    let is_held_up = loss.cause == Why::HeldUp.said().0;
    loss.why.strip_prefix("lcore ").filter(|_| is_held_up)?.split(' ').next()?.parse().ok()
}

/// The counter of damaged frames that explains what was missed: by CRC, code or length, as drivers spell it.
fn damaged(health: &PortHealth) -> Option<(&str, u64)> {
    let is_of_wire =
        |name: &str| ["crc", "illegal", "symbol", "align", "undersize", "oversize", "fragment"].iter().any(|word| name.contains(word));
    let worst = health.counters.iter().filter(|(name, _)| is_of_wire(name)).max_by_key(|(_, n)| *n)?;
    (worst.1 > 0 && u128::from(worst.1) * 100 >= u128::from(health.missed) * DAMAGED_PERCENT).then_some((&worst.0, worst.1))
}

/// The queue that has nearly all errors of several, by the driver's counters `rx_qN_errors`.
fn alone(health: &PortHealth) -> Option<(u32, u64)> {
    let number = |name: &str| name.strip_prefix("rx_q")?.strip_suffix("_errors")?.parse::<u32>().ok();
    let errors: Vec<(u32, u64)> = health.counters.iter().filter_map(|(name, n)| Some((number(name)?, *n))).collect();
    let all: u128 = errors.iter().map(|(_, n)| u128::from(*n)).sum();
    let worst = errors.iter().max_by_key(|(_, n)| *n).copied()?;
    (health.queues.len() > 1 && all > 0 && u128::from(worst.1) * 100 >= all * ALONE_PERCENT).then_some(worst)
}

/// Whether the mirror's link was full: what came and what was missed, as long as what came, with preamble, FCS and gap.
fn saturated(health: &PortHealth, (frames, bytes): (u64, u64), window_ns: u64) -> Option<String> {
    let (link_bps, frames) = (u128::from(health.link_bps?), u128::from(frames));
    if frames == 0 || window_ns == 0 || link_bps == 0 {
        return None;
    }
    let came = u128::from(bytes) + frames * L1_OVERHEAD_BYTES;
    let bits = came * 8 * (frames + u128::from(health.missed)) / frames;
    let percent = bits * 100 * 1_000_000_000 / (link_bps * u128::from(window_ns));
    (percent >= SATURATED_PERCENT).then(|| format!("{percent} % of {link_bps} bit/s on the wire"))
}

fn of_core(core: &CoreLoss, pipeline: bool) -> impl Iterator<Item = pb::Loss> {
    let CoreLoss { lcore, role, ring, long, memory } = *core;
    let to_worker = pipeline && role == "rx";
    let (full, late) = if to_worker { (ring, long) } else { (0, ring + long) };
    let rows = [("ring_dropped", full, Why::RingFull), ("ring_dropped", late, Why::ReporterLate), ("memory", memory, Why::Memory)];
    rows.into_iter().filter(|(_, count, _)| *count > 0).map(move |(what, count, why)| pb::Loss {
        what: what.to_owned(),
        place: "core".to_owned(),
        number: lcore,
        name: role.to_owned(),
        feed: String::new(),
        count,
        cause: why.said().0.to_owned(),
        why: format!("{count} records"),
        remedy: why.said().1.to_owned(),
    })
}

#[cfg(test)]
#[path = "causes_tests.rs"]
mod tests;
