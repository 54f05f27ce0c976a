//! Captures through the real receive path: a reader feeds `net_ring` queues, and lcores poll them like any other.

use crate::dpdk::{self, DpdkError, Eal, Feeder, FrameTag, RingSetup};
use crate::rx::RxQueue;
use crate::rx::queue::{FLAG_END, FLAG_LATE, FLAG_MARK, Source};
use crate::units::{Epoch, LinkType};

pub use crate::dpdk::Full;

/// Queues of one fed port: net_ring's bound. More queues are spread over more ports.
const PORT_QUEUES_MAX: usize = 16;
/// Frames that wait in a queue: enough that reader and lcore on one CPU change places seldom.
const WAITING_FRAMES: u32 = 1_024;

/// What a capture knows of a frame beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameMeta {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// Window that it counts in.
    pub epoch: Epoch,
    /// Bytes on the wire, FCS not counted.
    pub wire_bytes: u32,
    /// Bytes that the capture holds.
    pub captured_bytes: u32,
    /// Number of the file.
    pub port: u16,
    /// What the bytes start with.
    pub link: LinkType,
    /// Its own stamp was before the open window.
    pub late: bool,
}

/// The feeding ends of all queues; owned by the reader.
#[derive(Debug)]
pub struct Feed {
    feeders: Vec<Feeder>,
    ended: Vec<bool>,
}

/// Makes `queues` fed queues and their feed.
///
/// # Errors
/// If there is not enough memory.
pub fn open(eal: &Eal, queues: usize) -> Result<(Vec<RxQueue>, Feed), DpdkError> {
    let (mut receivers, mut feeders) = (Vec::new(), Vec::new());
    while receivers.len() < queues.max(1) {
        let some = (queues.max(1) - receivers.len()).min(PORT_QUEUES_MAX);
        let setup = RingSetup { queues: u16::try_from(some).unwrap_or(1), waiting_frames: WAITING_FRAMES };
        let (_, raw, more) = dpdk::ring_port(eal, setup)?;
        receivers.extend(raw.into_iter().map(|queue| RxQueue::new(queue, Source::Fed, 0, u32::MAX)));
        feeders.extend(more);
    }
    let ended = vec![false; feeders.len()];
    Ok((receivers, Feed { feeders, ended }))
}

impl Feed {
    /// Queues.
    pub fn queues(&self) -> usize {
        self.feeders.len()
    }

    /// Gives a frame to `queue`; of its bytes at most [`crate::limits::FRAME_BYTES_MAX`] travel.
    ///
    /// # Errors
    /// [`Full`]: it was not taken. Let the lcores run, then offer it again.
    pub fn feed(&mut self, queue: usize, meta: FrameMeta, bytes: &[u8]) -> Result<(), Full> {
        let held = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let tag = FrameTag {
            time_ns: meta.time_ns,
            epoch: meta.epoch.0,
            wire_bytes: meta.wire_bytes.max(held),
            captured_bytes: meta.captured_bytes.max(held),
            port: meta.port,
            link: meta.link as u8,
            flags: if meta.late { FLAG_LATE } else { 0 },
        };
        self.feeders.get_mut(queue).ok_or(Full)?.feed(tag, bytes)
    }

    /// Tells `queue` that `epoch` begins: whatever was fed before belongs to earlier ones.
    ///
    /// # Errors
    /// [`Full`]: it was not taken. Let the lcores run, then offer it again.
    pub fn mark(&mut self, queue: usize, epoch: Epoch) -> Result<(), Full> {
        let feeder = self.feeders.get_mut(queue).ok_or(Full)?;
        feeder.feed(FrameTag { epoch: epoch.0, flags: FLAG_MARK, ..FrameTag::default() }, &[])?;
        // What the ring cannot take now goes with the next call.
        let _ = feeder.flush();
        Ok(())
    }

    /// Tells `queue` that nothing follows, and sends all that waits.
    ///
    /// # Errors
    /// [`Full`]: something still waits. Let the lcores run, then call again.
    pub fn end(&mut self, queue: usize) -> Result<(), Full> {
        let (feeder, ended) = self.feeders.get_mut(queue).zip(self.ended.get_mut(queue)).ok_or(Full)?;
        if !*ended {
            feeder.feed(FrameTag { flags: FLAG_END, ..FrameTag::default() }, &[])?;
            *ended = true;
        }
        feeder.flush()
    }

    /// Sends what waits for `queue`: frames gather 32 at a time.
    ///
    /// # Errors
    /// [`Full`]: something still waits.
    pub fn flush(&mut self, queue: usize) -> Result<(), Full> {
        self.feeders.get_mut(queue).ok_or(Full)?.flush()
    }
}
