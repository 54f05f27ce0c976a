//! The appliance from frame to sealed block on one core, without DPDK: what a receiving core runs for the frames of a burst.
//! What is sealed is read by another thread, as the reporter does it, and thrown away.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arrayvec::ArrayVec;
use tailwater::arch::hash::spread;
use tailwater::config;
use tailwater::limits::BURST_FRAMES_MAX;
use tailwater::runtime::receiver::Receiver;
use tailwater::runtime::wiring::{AnyReceiver, Cores, wire};
use tailwater::rx::Frame;
use tailwater::rx::capture::Capture;
use tailwater::telemetry::Registry;
use tailwater::units::{Epoch, LinkType};
use tailwater::window::{Shard, Told};

use super::world;

/// Bursts between two looks at a core's counters, as a receiving core has it.
const SHOWN_BURSTS: usize = 64;
/// How long the reader rests when there is nothing to read.
const REST: Duration = Duration::from_micros(100);
/// Where IPv4's destination stands behind a bare Ethernet header.
const DST_AT: usize = 30;
/// 10.0.0.0
const FIRST_RANGE: u32 = 10 << 24;

/// So many /24 from 10.0.0.0 on, as a file of ranges.
pub fn ranges_text(ranges: usize) -> String {
    let row = |n: usize| format!("{}/24,c{n}\n", std::net::Ipv4Addr::from_bits(FIRST_RANGE + ((n as u32) << 8)));
    "prefix,customer\n".to_owned() + &(0..ranges).map(row).collect::<String>()
}

/// The frames of a capture, in memory.
pub struct Frames {
    bytes: Vec<u8>,
    /// Where each ends, and its length on the wire.
    ends: Vec<(usize, u32)>,
}

impl Frames {
    /// All of a file.
    pub fn read(pcap: &Path) -> Self {
        Self::of(Capture::open(pcap).expect("a capture"))
    }

    /// All of a capture.
    pub fn of(mut capture: Capture) -> Self {
        let mut frames = Self { bytes: Vec::new(), ends: Vec::new() };
        while let Some(frame) = capture.next_frame().expect("a frame") {
            frames.bytes.extend_from_slice(frame.bytes);
            frames.ends.push((frames.bytes.len(), frame.wire_bytes));
        }
        frames
    }

    /// These over and over, so many of them, each to a range that is drawn: IPv4 behind a bare Ethernet header, to one of so many
    /// /24 from 10.0.0.0 on.
    pub fn over(&self, ranges: usize, wanted: usize) -> Self {
        let mut over = Self { bytes: Vec::new(), ends: Vec::with_capacity(wanted) };
        for (n, at) in (0..wanted).map(|n| (n, n % self.len())) {
            let start = at.checked_sub(1).map_or(0, |before| self.ends[before].0);
            let (end, wire_bytes) = self.ends[at];
            let first = over.bytes.len();
            over.bytes.extend_from_slice(&self.bytes[start..end]);
            let draw = spread(n as u64);
            let address = FIRST_RANGE + (((draw % ranges as u64) as u32) << 8) + (draw >> 56) as u32;
            over.bytes[first + DST_AT..first + DST_AT + 4].copy_from_slice(&address.to_be_bytes());
            over.ends.push((over.bytes.len(), wire_bytes));
        }
        over
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }
}

/// A receiving core that also works.
pub struct Inner {
    receiver: Box<Receiver<Shard>>,
    at: u64,
    window_ns: u64,
    stop: Arc<AtomicBool>,
    /// Records of which a stat found no memory.
    starved: Arc<AtomicU64>,
    reader: Option<JoinHandle<()>>,
}

impl Inner {
    /// Of this configuration. `waits`: a full stream makes the core wait, as in a replay; else it puts closing off, as live.
    pub fn new(configuration: &Path, waits: bool) -> Self {
        let config = config::load(configuration, &tailwater::stats::check).unwrap_or_else(|faults| panic!("{faults}"));
        let world = world(&config);
        let registry = Registry::new("bench", "", Duration::from_millis(config.appliance.window_ms));
        let mut wired = wire(&world, &Cores { rx: vec![1], workers: Vec::new() }, &registry, waits);
        let Some(AnyReceiver::Own(receiver)) = wired.receivers.pop() else { panic!("a core that works too") };
        let stop = Arc::new(AtomicBool::new(false));
        let starved = Arc::new(AtomicU64::new(0));
        let (stopped, short) = (Arc::clone(&stop), Arc::clone(&starved));
        let read = move || {
            while !stopped.load(Ordering::Relaxed) {
                for (_, stream) in &mut wired.streams {
                    let take = |told: Told<'_>| {
                        if let Told::Block(sealed, _) = told {
                            short.fetch_add(sealed.starved, Ordering::Relaxed);
                        }
                    };
                    while stream.next(take) {}
                }
                std::thread::sleep(REST);
            }
        };
        let window_ns = config.appliance.window_ms * 1_000_000;
        Self { receiver, at: 0, window_ns, stop, starved, reader: Some(std::thread::spawn(read)) }
    }

    /// So many frames in a window, out of the capture over and over; then the next one is open. The window before is closed meanwhile.
    pub fn window(&mut self, frames: &Frames, wanted: usize) {
        let (mut done, mut bursts) = (0, 0);
        while done < wanted {
            let mut start = 0;
            for burst in frames.ends.chunks(BURST_FRAMES_MAX) {
                let time_ns = self.at * self.window_ns + self.window_ns / wanted as u64 * done.min(wanted - 1) as u64;
                let mut polled = ArrayVec::<_, BURST_FRAMES_MAX>::new();
                for (end, wire_bytes) in burst {
                    polled.push(frame(&frames.bytes[start..*end], *wire_bytes, time_ns, Epoch(self.at)));
                    start = *end;
                }
                self.receiver.frames(&polled);
                self.receiver.step();
                bursts += 1;
                if bursts % SHOWN_BURSTS == 0 {
                    self.receiver.show();
                    self.receiver.look();
                }
                done += burst.len();
                if done >= wanted {
                    break;
                }
            }
        }
        self.at += 1;
        self.receiver.epoch(Epoch(self.at));
    }

    /// What there was no memory for, since the start.
    pub fn short(&self) -> Option<String> {
        let starved = self.starved.load(Ordering::Relaxed);
        (starved > 0).then(|| format!("{starved} records found no memory for a stat"))
    }

    /// Closes what is still being closed.
    pub fn close(&mut self) {
        while self.receiver.step() {
            std::thread::yield_now();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.take().map(JoinHandle::join);
    }
}

fn frame(bytes: &[u8], wire_bytes: u32, time_ns: u64, epoch: Epoch) -> Frame<'_> {
    let captured_bytes = bytes.len() as u32;
    Frame { bytes, wire_bytes, captured_bytes, time_ns, epoch, port: 0, link: LinkType::Ethernet, late: false }
}
