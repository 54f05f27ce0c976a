//! A port whose frames come from this process: `net_ring`, with a feeder for each queue.

use std::ffi::CString;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};

use dpdk_sys as sys;

use super::burst::small;
use super::device::{Device, PLUGGING};
use super::eal::Eal;
use super::error::DpdkError;
use super::mempool::{Mempool, PoolSpec, SEGMENT_BYTES};
use super::port::{Opened, Port, RxQueue};
use super::setup::{PortSetup, start_with};
use super::tag::{FrameTag, TagField};
use crate::limits::{BURST_FRAMES_MAX, FRAME_BYTES_MAX};

/// Segments that the longest frame takes.
const SEGMENTS_MAX: usize = FRAME_BYTES_MAX.div_ceil(SEGMENT_BYTES as usize);
/// Segments that each lcore keeps for itself.
const CACHE_SEGMENTS: u32 = 128;

/// What a fed port is made of.
#[derive(Clone, Copy, Debug)]
pub struct RingSetup {
    /// Queues, each with a feeder; at most 16, net_ring's bound.
    pub queues: u16,
    /// Frames that wait in a queue; rounded up to a power of two.
    pub waiting_frames: u32,
}

impl RingSetup {
    fn frames(self) -> u32 {
        self.waiting_frames.max(64).next_power_of_two()
    }
}

/// A ring that holds mbufs on their way from a feeder to a queue.
#[derive(Debug)]
pub(super) struct Ring(*mut sys::rte_ring);

// SAFETY: a ring is made for two threads, one at each end; `Feeder` and `RxQueue` are the only ends and have one owner each.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

impl Ring {
    fn new(frames: u32) -> Result<Self, DpdkError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("feed{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let text = CString::new(name.as_str()).map_err(|_| DpdkError::bad("a ring's name", "no zero bytes"))?;
        // SAFETY: EAL runs; the name is copied.
        let raw = unsafe { sys::rte_ring_create(text.as_ptr(), frames, -1, sys::TW_RING_SINGLE) };
        if raw.is_null() {
            // SAFETY: reads a thread-local.
            let errno = unsafe { sys::tw_errno() };
            return Err(DpdkError::failed(&name, "create a ring", errno, "give DPDK more memory"));
        }
        Ok(Self(raw))
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let mut left = [std::ptr::null_mut(); BURST_FRAMES_MAX];
        loop {
            // SAFETY: both ends are gone; the array has room for what is asked.
            let count = unsafe { sys::tw_ring_dequeue_burst(self.0, left.as_mut_ptr(), small(BURST_FRAMES_MAX)) };
            if count == 0 {
                break;
            }
            // SAFETY: only mbufs were put in, and they are ours now; their pool is still held.
            unsafe { sys::rte_pktmbuf_free_bulk(left.as_mut_ptr().cast(), count) };
        }
        // SAFETY: nobody uses the ring any more.
        unsafe { sys::rte_ring_free(self.0) };
    }
}

/// The queue is full: the frame was not taken. Let the other side run, then offer it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Feeds one queue of a ring port. Frames gather and enter the ring 32 at a time: [`Feeder::flush`] sends what waits.
#[derive(Debug)]
pub struct Feeder {
    port: Arc<Opened>,
    queue: usize,
    pool: Mempool,
    tag: TagField,
    pending: [*mut sys::rte_mbuf; BURST_FRAMES_MAX],
    waiting: usize,
}

// SAFETY: the pending mbufs are the feeder's own, and it is the ring's only producer.
unsafe impl Send for Feeder {}

/// Makes and starts a fed port.
///
/// # Errors
/// If there is not enough memory, or too many queues are asked for.
pub fn ring_port(eal: &Eal, setup: RingSetup) -> Result<(Port, Vec<RxQueue>, Vec<Feeder>), DpdkError> {
    let tag = TagField::register(eal)?;
    let pool = Mempool::new(eal, pool_spec(eal, setup.queues, setup.frames()))?;
    let (port, queues) = port_of(eal, setup, &pool, Some(tag))?;
    let feeder = |queue: usize| Feeder {
        port: Arc::clone(&port.0),
        queue,
        pool: pool.clone(),
        tag,
        pending: [std::ptr::null_mut(); BURST_FRAMES_MAX],
        waiting: 0,
    };
    let feeders = (0..usize::from(setup.queues)).map(feeder).collect();
    Ok((port, queues, feeders))
}

/// So many queues by which nothing ever comes. Without tags: beside a driver that has fields of its own there is no room for those in
/// an mbuf.
///
/// # Errors
/// As [`ring_port`].
pub fn empty_queues(eal: &Eal, queues: u16) -> Result<Vec<RxQueue>, DpdkError> {
    let spec = PoolSpec { segments: 64, segment_bytes: SEGMENT_BYTES, cache: 0, numa_node: -1, large_pages: false };
    let (_, queues) = port_of(eal, RingSetup { queues, waiting_frames: 0 }, &Mempool::new(eal, spec)?, None)?;
    Ok(queues)
}

fn port_of(eal: &Eal, setup: RingSetup, pool: &Mempool, tag: Option<TagField>) -> Result<(Port, Vec<RxQueue>), DpdkError> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let frames = setup.frames();
    let rings: Vec<Ring> = (0..setup.queues).map(|_| Ring::new(frames)).collect::<Result<_, _>>()?;
    let raw: Vec<*mut sys::rte_ring> = rings.iter().map(|ring| ring.0).collect();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = CString::new(format!("fed{number}")).map_err(|_| DpdkError::bad("a port's name", "no zero bytes"))?;
    super::log::hush();
    let turn = PLUGGING.lock().unwrap_or_else(PoisonError::into_inner);
    // The driver wants a ring to send to; nothing is ever sent, so any will do.
    // SAFETY: EAL runs; the driver copies the pointers of rings that outlive the port, which holds them.
    let id = unsafe { sys::rte_eth_from_rings(name.as_ptr(), raw.as_ptr(), u32::from(setup.queues), raw.as_ptr(), 1, 0) };
    drop(turn);
    if id < 0 {
        // SAFETY: reads a thread-local.
        let errno = unsafe { sys::tw_errno() };
        return Err(DpdkError::failed("net_ring", "make the port", errno, "at most 16 queues"));
    }
    let device = Device::hold(eal, &format!("net_ring_fed{number}"), true)?;
    let port_setup = PortSetup { queues: setup.queues, descriptors: 512, pool, frame_bytes_max: None, queues_remedy: "at most 16 queues" };
    let (port, queues, _) = start_with(device, port_setup, rings, tag)?;
    Ok((port, queues))
}

/// Enough that full rings, bursts in hand and every lcore's cache leave room for one more of the longest frames.
fn pool_spec(eal: &Eal, queues: u16, frames: u32) -> PoolSpec {
    let lcores = u32::try_from(eal.lcores().len()).unwrap_or(u32::MAX);
    let in_hand = 4 * small(BURST_FRAMES_MAX);
    let caches = lcores.saturating_mul(CACHE_SEGMENTS + CACHE_SEGMENTS / 2);
    let segments = u32::from(queues).saturating_mul(frames + in_hand).saturating_add(caches).saturating_add(small(SEGMENTS_MAX));
    PoolSpec { segments, segment_bytes: SEGMENT_BYTES, cache: CACHE_SEGMENTS, numa_node: -1, large_pages: false }
}

impl Feeder {
    /// Adds a frame, at most [`FRAME_BYTES_MAX`] bytes (more are cut), chained over segments where it is long.
    ///
    /// # Errors
    /// [`Full`] if the ring or the pool is; the frame was not taken.
    pub fn feed(&mut self, tag: FrameTag, bytes: &[u8]) -> Result<(), Full> {
        if self.waiting == BURST_FRAMES_MAX {
            self.flush()?;
        }
        let bytes = &bytes[..bytes.len().min(FRAME_BYTES_MAX)];
        let Some(mbuf) = self.fill(bytes) else {
            // What waits here may be all that the pool lacks.
            let _ = self.flush();
            return Err(Full);
        };
        // SAFETY: the mbuf was just allocated and is only ours.
        unsafe { self.tag.write(mbuf, tag) };
        self.pending[self.waiting] = mbuf;
        self.waiting += 1;
        Ok(())
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// [`Full`] if the ring did not take all of it; the rest waits on.
    pub fn flush(&mut self) -> Result<(), Full> {
        let count = small(self.waiting);
        let ring = self.port.rings.get(self.queue).ok_or(Full)?.0;
        // SAFETY: the ring lives as long as the port; we are its only producer; the array holds `count` mbufs.
        let sent = unsafe { sys::tw_ring_enqueue_burst(ring, self.pending.as_ptr().cast(), count) } as usize;
        self.pending.copy_within(sent..self.waiting, 0);
        self.waiting -= sent;
        if self.waiting == 0 { Ok(()) } else { Err(Full) }
    }

    /// A chain of segments that holds `bytes`; none if the pool is empty.
    fn fill(&self, bytes: &[u8]) -> Option<*mut sys::rte_mbuf> {
        let mut chain = [std::ptr::null_mut::<sys::rte_mbuf>(); SEGMENTS_MAX];
        let count = bytes.len().div_ceil(usize::from(SEGMENT_BYTES)).max(1);
        // SAFETY: `count` is at most `SEGMENTS_MAX`, as `bytes` is at most `FRAME_BYTES_MAX`; all or none are allocated.
        if unsafe { sys::tw_alloc_bulk(self.pool.raw(), chain.as_mut_ptr(), small(count)) } != 0 {
            return None;
        }
        let mut rest = bytes;
        for at in 0..count {
            let (piece, after) = rest.split_at(rest.len().min(usize::from(SEGMENT_BYTES)));
            // SAFETY: the segment is fresh and only ours; its buffer holds HEADROOM + SEGMENT_BYTES bytes.
            unsafe {
                let segment = &mut *chain[at];
                let to = segment.buf_addr.cast::<u8>().add(usize::from(segment.data_off));
                std::ptr::copy_nonoverlapping(piece.as_ptr(), to, piece.len());
                segment.data_len = u16::try_from(piece.len()).unwrap_or(SEGMENT_BYTES);
                segment.next = chain.get(at + 1).copied().unwrap_or(std::ptr::null_mut());
            }
            rest = after;
        }
        // SAFETY: as above.
        unsafe {
            (*chain[0]).pkt_len = small(bytes.len());
            (*chain[0]).nb_segs = u16::try_from(count).unwrap_or(1);
        }
        Some(chain[0])
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        if self.waiting > 0 {
            // SAFETY: the pending mbufs are ours.
            unsafe { sys::rte_pktmbuf_free_bulk(self.pending.as_mut_ptr(), small(self.waiting)) };
        }
    }
}
