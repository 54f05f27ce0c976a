//! What it costs to take a frame from a queue and give it back.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock::ran_ns;
use crate::config::{Config, Port};
use crate::dpdk::{Eal, EalConfig, Hugepages, LcorePin};
use crate::limits::LCORES_MAX;
use crate::rx::timeline::Timeline;
use crate::rx::{Frames, live};

/// How long a queue is polled.
const POLLED: Duration = Duration::from_millis(400);
/// Bytes of the file that stands in for a NIC: some sixteen thousand of the shortest frames.
const STAND_IN_BYTES: usize = 1_300_000;
/// Memory of EAL for all stand-ins.
const MEMORY_MB: u32 = 768;

/// Polls devices.
pub(super) struct Receives {
    eal: Eal,
    /// The configuration's own port, where that is a capture that never ends.
    own: Option<Port>,
    own_ns: Option<f64>,
    made: u32,
}

impl Receives {
    /// Starts DPDK, in private memory.
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        let own = config.ports.iter().find(|port| port.device.starts_with("net_pcap") && port.device.contains("infinite_rx=1")).cloned();
        let usable = core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id);
        let cpus = usable.filter(|cpu| *cpu < LCORES_MAX).collect();
        let memory_mb = own.as_ref().map_or(MEMORY_MB, |port| live::memory_mb(std::slice::from_ref(port), 0));
        let lcores = vec![LcorePin { lcore: 0, cpus }];
        let eal = Eal::init(&EalConfig { lcores, memory_mb, hugepages: Hugepages::Auto, ..EalConfig::private("tailwater", &[]) });
        Ok(Self { eal: eal.map_err(|error| error.to_string())?, own, own_ns: None, made: 0 })
    }

    /// What is polled.
    pub(super) const fn what(&self) -> &'static str {
        if self.own.is_some() {
            "measured on the configuration's own net_pcap, which copies each frame"
        } else {
            "measured on a net_pcap that copies each frame, in place of the ports: a NIC's driver costs less, and was never measured here"
        }
    }

    /// Nanoseconds a frame of such a capture.
    pub(super) fn price_ns(&mut self, capture: &[u8]) -> Result<f64, String> {
        if let Some(ns) = self.own_ns {
            return Ok(ns);
        }
        if let Some(port) = self.own.clone() {
            let ns = self.poll(&port)?;
            self.own_ns = Some(ns);
            return Ok(ns);
        }
        let file = std::env::temp_dir().join(format!("tailwater-plan-{}-{}.pcap", std::process::id(), self.made));
        let stand_in = StandIn(file);
        // Nobody else's file, nor one that a link points to.
        let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&stand_in.0);
        made.and_then(|mut made| made.write_all(first_records(capture, STAND_IN_BYTES)))
            .map_err(|error| format!("{}: {error}", stand_in.0.display()))?;
        let device = format!("net_pcap{},rx_pcap={},infinite_rx=1", self.made, stand_in.0.display());
        self.made += 1;
        self.poll(&Port { feed: device.clone(), device, queues: 1, min_pps: 0 })
    }

    #[allow(clippy::cast_precision_loss, reason = "an average")]
    fn poll(&self, port: &Port) -> Result<f64, String> {
        let port = Port { queues: 1, ..port.clone() };
        let timeline = Arc::new(Timeline::default());
        let opened = live::open(&self.eal, &[port], 1_000_000_000, &timeline);
        let mut ports = opened.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let queue = ports.first_mut().and_then(|port| port.queues.first_mut()).ok_or("the port has no queue")?;
        let mut burst = queue.burst();
        // The first round touches memory.
        let (mut frames, mut ran) = (0, 0);
        for round in 0..2 {
            let (clock, begun) = (Instant::now(), ran_ns());
            frames = 0;
            while clock.elapsed() < POLLED / (2 - round) {
                for _ in 0..1_024 {
                    queue.poll(&mut burst);
                    frames += given(&burst);
                    burst.clear();
                }
            }
            ran = ran_ns() - begun;
        }
        if frames == 0 { Err("the device gave no frame".to_owned()) } else { Ok(ran as f64 / frames as f64) }
    }
}

/// Frames of a burst, taken apart as a receiving core does it.
fn given(burst: &crate::rx::Burst) -> u64 {
    let Some((_, frames)) = burst.live() else { return 0 };
    for at in 0..frames.count() {
        std::hint::black_box(frames.at(at));
    }
    frames.count() as u64
}

/// A capture's header and its first records.
fn first_records(capture: &[u8], bytes_max: usize) -> &[u8] {
    const HEAD_BYTES: usize = 24;
    const RECORD_BYTES: usize = 16;
    let mut end = HEAD_BYTES.min(capture.len());
    while end < bytes_max {
        let Some(length) = capture.get(end + 8..end + 12).and_then(|bytes| bytes.first_chunk()) else { break };
        let next = end + RECORD_BYTES + u32::from_le_bytes(*length) as usize;
        if next > capture.len() {
            break;
        }
        end = next;
    }
    &capture[..end]
}

/// A file that goes when it is no longer needed.
struct StandIn(PathBuf);

impl Drop for StandIn {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}
