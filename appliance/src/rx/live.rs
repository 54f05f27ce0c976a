//! The ports of the configuration: NICs and vdevs through one path.

use std::sync::Arc;

use super::device::{DeviceName, Vdev};
use super::health::PortHealth;
use super::queue::{RxQueue, Source};
use super::timeline::Timeline;
use crate::config;
use crate::dpdk::{self, Device, DpdkError, Eal, KernelSockets, Mempool, PoolSpec, PortReport, PortSetup, SEGMENT_BYTES};
use crate::limits::{BURST_FRAMES_MAX, FRAME_BYTES_MAX, HANDED_BURSTS_MAX, IP_FRAME_BYTES_MAX};

/// Descriptors of a queue, where the device lets us choose.
const DESCRIPTORS: u16 = 1_024;
/// Segments of a queue: its descriptors, and what bursts and caches hold.
const QUEUE_SEGMENTS: u32 = 2_048;
/// Segments of a queue that are on their way to other cores.
#[allow(clippy::cast_possible_truncation, reason = "limits.rs keeps it small")]
const HANDED_SEGMENTS: u32 = (HANDED_BURSTS_MAX * BURST_FRAMES_MAX) as u32;
/// Segments that each lcore keeps for itself.
const CACHE_SEGMENTS: u32 = 256;
/// Segments of a core that takes bursts from others: its cache at its fullest, and what it has in hand.
#[allow(clippy::cast_possible_truncation, reason = "limits.rs keeps it small")]
const TAKER_SEGMENTS: u32 = CACHE_SEGMENTS + CACHE_SEGMENTS / 2 + BURST_FRAMES_MAX as u32;
/// Polls that empty a queue of what it took in before it was bound.
const DISCARD_POLLS_MAX: u32 = 4_096;
/// Of one `net_ring`.
const RING_QUEUES_MAX: u16 = 16;
/// Memory of EAL itself, of rings and of drivers, MB.
const BASE_MB: u32 = 128;

/// A started port.
#[derive(Debug)]
pub struct LivePort {
    /// Index in the configuration.
    pub index: u16,
    /// Its device as the configuration writes it.
    pub device: String,
    /// Its settings, read back. Its warnings are to be shown.
    pub report: PortReport,
    /// Its queues, in order: each goes to the lcore that polls it.
    pub queues: Vec<RxQueue>,
    /// Its counters and link, for a thread off the data path.
    pub health: PortHealth,
}

/// PCI addresses among the ports: what EAL must be allowed to open.
pub fn pci_addresses(ports: &[config::Port]) -> Vec<String> {
    let pci = |port: &config::Port| match DeviceName::read(&port.device) {
        DeviceName::Pci(address) => Some(address),
        DeviceName::Vdev(_) => None,
    };
    ports.iter().filter_map(pci).collect()
}

/// The longest frame that a port lets in: a NIC's bound is ours to set; below a vdev any IP packet may come.
pub fn frame_bytes_max(ports: &[config::Port]) -> u32 {
    let all_pci = pci_addresses(ports).len() == ports.len();
    u32::try_from(if all_pci { FRAME_BYTES_MAX } else { IP_FRAME_BYTES_MAX }).unwrap_or(u32::MAX)
}

/// Memory that the ports need of DPDK, MB, where so many cores may take bursts from the one that polls a queue.
pub fn memory_mb(ports: &[config::Port], takers: usize) -> u32 {
    let need = |port: &config::Port| {
        let vdev = match DeviceName::read(&port.device) {
            DeviceName::Pci(_) => None,
            DeviceName::Vdev(vdev) => Some(completed(vdev, port.queues)),
        };
        let spec = pool_spec(vdev.as_ref(), port.queues, takers, None);
        u64::from(spec.segments) * (u64::from(spec.segment_bytes) + 512)
    };
    let bytes: u64 = ports.iter().map(need).sum();
    BASE_MB.saturating_add(u32::try_from(bytes >> 20).unwrap_or(u32::MAX))
}

/// Starts every port, each of whose queues is one core's alone. Its frames' times are the timeline's.
///
/// # Errors
/// All ports' faults at once; those that did start are closed again.
pub fn open(eal: &Eal, ports: &[config::Port], base_window_ns: u64, timeline: &Arc<Timeline>) -> Result<Vec<LivePort>, Vec<DpdkError>> {
    open_for(eal, ports, 0, base_window_ns, timeline)
}

/// The same, where so many cores may take bursts from the one that polls a queue.
///
/// # Errors
/// As [`open`].
pub fn open_for(
    eal: &Eal,
    ports: &[config::Port],
    takers: usize,
    base_window_ns: u64,
    timeline: &Arc<Timeline>,
) -> Result<Vec<LivePort>, Vec<DpdkError>> {
    let numbered = ports.iter().zip(0u16..);
    let (mut started, mut faults) = (Vec::new(), Vec::new());
    for (port, index) in numbered {
        let source = Source::Live { base_window_ns, timeline: Arc::clone(timeline) };
        match open_one(eal, port, (index, takers), &source) {
            Ok(port) => started.push(port),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(started) } else { Err(faults) }
}

/// A queue that this process feeds, as if it were a port's.
pub fn fed(raw: dpdk::RxQueue, port: u16, base_window_ns: u64, timeline: &Arc<Timeline>) -> RxQueue {
    RxQueue::new(raw, Source::Live { base_window_ns, timeline: Arc::clone(timeline) }, port, u32::MAX)
}

/// So many queues by which nothing ever comes: of cores that only take bursts from others, by the same clock.
///
/// # Errors
/// If there is not enough memory.
pub fn empty(eal: &Eal, count: usize, base_window_ns: u64, timeline: &Arc<Timeline>) -> Result<Vec<RxQueue>, DpdkError> {
    let mut queues = Vec::new();
    while queues.len() < count {
        let some = u16::try_from(count - queues.len()).unwrap_or(u16::MAX).min(RING_QUEUES_MAX);
        queues.extend(dpdk::empty_queues(eal, some)?.into_iter().map(|raw| fed(raw, 0, base_window_ns, timeline)));
    }
    Ok(queues)
}

fn open_one(eal: &Eal, port: &config::Port, (index, takers): (u16, usize), source: &Source) -> Result<LivePort, DpdkError> {
    let before = KernelSockets::now();
    let (device, vdev) = match DeviceName::read(&port.device) {
        DeviceName::Pci(address) => (Device::find(eal, &address)?, None),
        DeviceName::Vdev(vdev) => {
            let vdev = completed(vdev, port.queues);
            if let Some(fault) = vdev.queues_fault(port.queues) {
                let (what, remedy) = fault.split_once(": ").unwrap_or((&fault, ""));
                return Err(DpdkError::Bad { what: what.to_owned(), remedy: remedy.to_owned() });
            }
            (Device::make(eal, &vdev.words())?, Some(vdev))
        }
    };
    let queues_remedy = "set `queues` of the port to at most that";
    // Before memory is taken for them.
    device.check_queues(port.queues, queues_remedy)?;
    let info = device.info()?;
    let pool = Mempool::new(eal, pool_spec(vdev.as_ref(), port.queues, takers, info.numa_node))?;
    let setup = PortSetup {
        queues: port.queues,
        descriptors: DESCRIPTORS,
        pool: &pool,
        // A kernel interface's MTU is the machine's, not ours to change.
        frame_bytes_max: if vdev.is_some() { None } else { u16::try_from(FRAME_BYTES_MAX).ok() },
        queues_remedy,
    };
    let (handle, mut raw, mut report) = dpdk::start(device, setup)?;
    let mut sockets = match report.driver.as_str() {
        "net_af_packet" => info.interface_index.map(KernelSockets::packet),
        "net_af_xdp" => Some(KernelSockets::xdp(&before)),
        _ => None,
    };
    let cut_bytes = vdev.as_ref().map_or(u32::MAX, Vdev::cut_bytes);
    let named = || dpdk::interface_index(vdev.as_ref()?.interface()?);
    // Its sockets are bound last: until then they take in what any interface carries.
    let foreign = if report.driver == "net_af_packet" { raw.iter_mut().map(discard).sum() } else { 0 };
    sockets.iter_mut().for_each(KernelSockets::forget);
    tracing::debug!(device = port.device, frames = foreign, "given back: taken in before the sockets were bound");
    let health = PortHealth::new(handle, info.interface_index.or_else(named), sockets, foreign);
    describe(&mut report, &health, &port.device);
    let queues = raw.into_iter().map(|queue| RxQueue::new(queue, source.clone(), index, cut_bytes)).collect();
    Ok(LivePort { index, device: port.device.clone(), report, queues, health })
}

/// Gives back what stands in a queue before it is used, and counts it; not endlessly, should a mirror speak already.
fn discard(queue: &mut dpdk::RxQueue) -> u64 {
    let (mut burst, mut frames) = (queue.burst(), 0);
    for _ in 0..DISCARD_POLLS_MAX {
        queue.poll(&mut burst);
        if burst.is_empty() {
            break;
        }
        frames += u64::try_from(burst.len()).unwrap_or(0);
    }
    frames
}

fn completed(mut vdev: Vdev, queues: u16) -> Vdev {
    let mtu = vdev.interface().and_then(dpdk::interface_state).map(|state| state.mtu);
    vdev.complete(queues, mtu);
    vdev
}

/// What the driver cannot tell and the kernel can, and what is wrong with the link.
fn describe(report: &mut PortReport, health: &PortHealth, device: &str) {
    if let Some(state) = health.interface_state() {
        report.mtu = u16::try_from(state.mtu).unwrap_or(u16::MAX);
        report.link.up &= state.running;
    }
    if !health.sees_kernel_losses() {
        let remedy = "losses below the driver stay unknown: is /proc mounted?";
        report.warnings.push(format!("{device}: the driver's sockets were not found: {remedy}"));
    }
    if !report.link.up {
        report
            .warnings
            .push(format!("{device}: link is down: plug the cable, set the interface up (`ip link set … up`) or start the other side"));
    }
}

fn pool_spec(vdev: Option<&Vdev>, queues: u16, takers: usize, numa_node: Option<i32>) -> PoolSpec {
    let preloaded = vdev.map_or(0, Vdev::preloaded_segments);
    let handed = if takers > 0 { HANDED_SEGMENTS } else { 0 };
    let of_takers = u32::try_from(takers).unwrap_or(u32::MAX).saturating_mul(TAKER_SEGMENTS);
    let of_queue = (QUEUE_SEGMENTS + handed).saturating_add(preloaded);
    PoolSpec {
        segments: u32::from(queues.max(1)).saturating_mul(of_queue).saturating_add(of_takers),
        segment_bytes: vdev.map_or(SEGMENT_BYTES, Vdev::segment_bytes),
        cache: CACHE_SEGMENTS,
        numa_node: numa_node.unwrap_or(-1),
        large_pages: vdev.is_some_and(Vdev::copies),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(device: &str, queues: u16) -> config::Port {
        config::Port { device: device.into(), queues, feed: device.into(), min_pps: 0 }
    }

    #[test]
    fn ports_say_what_eal_must_give_them() {
        let ports = [port("net_null0", 2), port("3b:00.0", 4), port("0000:AF:00.1", 1)];
        assert_eq!(pci_addresses(&ports), ["0000:3b:00.0", "0000:af:00.1"]);
        assert!(memory_mb(&ports, 0) > memory_mb(&ports[..1], 0));
        assert!(memory_mb(&ports, 3) > memory_mb(&ports, 0), "what is handed over is not the queues'");
        let jumbo = [port("net_af_packet0,iface=none,framesz=16384,blocksz=16384", 1)];
        assert!(memory_mb(&jumbo, 0) >= BASE_MB + 32);
    }
}
