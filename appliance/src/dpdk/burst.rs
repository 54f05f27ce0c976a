//! What one poll gives: up to [`BURST_FRAMES_MAX`] frames, each with its headers in one slice.

use std::sync::Arc;

use dpdk_sys as sys;

use super::parcel::Parcel;
use super::port::{Opened, RxQueue};
use super::tag::{FrameTag, TagField};
use crate::limits::{BURST_FRAMES_MAX, HEADER_SLICE_BYTES_MAX};

#[allow(clippy::cast_possible_truncation, reason = "limits.rs keeps it small; checked below")]
const BURST_FRAMES: u16 = BURST_FRAMES_MAX as u16;
const _: () = assert!(BURST_FRAMES as usize == BURST_FRAMES_MAX);

/// The frames of one poll. It owns their mbufs and frees them in bulk: at the next poll, by [`Burst::clear`], or when it
/// drops. It may be handed to another thread.
#[derive(Debug)]
pub struct Burst {
    frames: usize,
    /// As many at the next poll, at most.
    most: u16,
    mbufs: [*mut sys::rte_mbuf; BURST_FRAMES_MAX],
    slots: [Slot; BURST_FRAMES_MAX],
    /// Headers of frames whose first segment is too short; untouched memory until one comes.
    scratch: Box<[[u8; HEADER_SLICE_BYTES_MAX]]>,
    tag: Option<TagField>,
    /// Holds the pools that the mbufs belong to.
    port: Arc<Opened>,
}

/// Where a frame's headers are.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// In an mbuf; null: in the scratch. The scratch is our own and moves with us, so no pointer into it is kept.
    start: *const u8,
    bytes: u32,
    total_bytes: u32,
}

/// One frame of a burst.
#[derive(Clone, Copy, Debug)]
pub struct RawFrame<'a> {
    /// The whole frame, or at least [`HEADER_SLICE_BYTES_MAX`] bytes of it.
    pub bytes: &'a [u8],
    /// The frame's length in its mbufs.
    pub total_bytes: u32,
}

// SAFETY: the burst owns its mbufs; they may be read and freed by any thread, one at a time.
unsafe impl Send for Burst {}

impl Burst {
    pub(super) fn new(port: &Arc<Opened>, tag: Option<TagField>) -> Self {
        Self {
            frames: 0,
            most: BURST_FRAMES,
            mbufs: [std::ptr::null_mut(); BURST_FRAMES_MAX],
            slots: [Slot { start: std::ptr::null(), bytes: 0, total_bytes: 0 }; BURST_FRAMES_MAX],
            scratch: vec![[0; HEADER_SLICE_BYTES_MAX]; BURST_FRAMES_MAX].into_boxed_slice(),
            tag,
            port: Arc::clone(port),
        }
    }

    /// Frames in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.frames
    }

    /// Whether the poll gave nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Frame `index`, if there is one.
    #[inline]
    pub fn frame(&self, index: usize) -> Option<RawFrame<'_>> {
        let slot = self.slots[..self.frames].get(index)?;
        let bytes = if slot.start.is_null() {
            self.scratch.get(index)?.get(..slot.bytes as usize)?
        } else {
            // SAFETY: `locate` left a pointer to `bytes` readable bytes of an mbuf that we own, which lives and stays
            // unchanged as long as the burst is borrowed.
            unsafe { std::slice::from_raw_parts(slot.start, slot.bytes as usize) }
        };
        Some(RawFrame { bytes, total_bytes: slot.total_bytes })
    }

    /// The tag that frame `index` was fed with; none on a port that is not fed by this process.
    #[inline]
    pub fn tag(&self, index: usize) -> Option<FrameTag> {
        let mbuf = *self.mbufs[..self.frames].get(index)?;
        // SAFETY: the burst owns the mbuf.
        Some(unsafe { self.tag?.read(mbuf) })
    }

    /// From the next poll on it holds so many frames at most, and never more than [`BURST_FRAMES_MAX`].
    #[inline]
    pub fn limit(&mut self, frames: usize) {
        self.most = u16::try_from(frames).map_or(BURST_FRAMES, |most| most.min(BURST_FRAMES));
    }

    /// Gives the frames back to their pool.
    #[inline]
    pub fn clear(&mut self) {
        if self.frames > 0 {
            // SAFETY: the first `frames` pointers are mbufs that we own, and we forget them.
            unsafe { sys::rte_pktmbuf_free_bulk(self.mbufs.as_mut_ptr(), small(self.frames)) };
            self.frames = 0;
        }
    }

    /// Replaces the content by what `queue` holds.
    #[inline]
    pub(super) fn fill(&mut self, queue: &RxQueue) {
        self.frames = self.draw(queue);
        self.locate();
    }

    /// The same; but as many as it may hold go into the parcel.
    #[inline]
    pub(super) fn fill_or_pack(&mut self, queue: &RxQueue, parcel: &mut Parcel) -> bool {
        let came = self.draw(queue);
        if came < usize::from(self.most) {
            self.frames = came;
            self.locate();
            return false;
        }
        parcel.clear();
        (parcel.frames, parcel.mbufs, parcel.tag) = (came, self.mbufs, self.tag);
        if !Arc::ptr_eq(&parcel.port, &queue.port) {
            parcel.port = Arc::clone(&queue.port);
        }
        true
    }

    /// Replaces the content by what the parcel holds, which then is empty.
    #[inline]
    pub fn unpack(&mut self, parcel: &mut Parcel) {
        self.clear();
        if !Arc::ptr_eq(&self.port, &parcel.port) {
            self.port = Arc::clone(&parcel.port);
        }
        (self.mbufs, self.tag) = (parcel.mbufs, parcel.tag);
        self.frames = std::mem::take(&mut parcel.frames).min(BURST_FRAMES_MAX);
        self.locate();
    }

    /// Takes frames from the queue; as long as nobody says how many there are, the burst holds none.
    #[inline]
    fn draw(&mut self, queue: &RxQueue) -> usize {
        self.clear();
        if !Arc::ptr_eq(&self.port, &queue.port) {
            self.port = Arc::clone(&queue.port);
        }
        self.tag = queue.tag;
        // SAFETY: the port is started, the queue is set up, only its one owner polls it, and the array holds `BURST_FRAMES`.
        let came = unsafe { sys::tw_rx_burst(queue.port.id, queue.index, self.mbufs.as_mut_ptr(), self.most) };
        usize::from(came).min(BURST_FRAMES_MAX)
    }

    /// Finds each frame's headers, and asks for them ahead of the parser.
    #[inline]
    fn locate(&mut self) {
        let frames = self.frames.min(BURST_FRAMES_MAX);
        for &mbuf in &self.mbufs[..frames] {
            prefetch(mbuf.cast::<u8>());
        }
        for index in 0..frames {
            let mbuf = self.mbufs[index];
            // SAFETY: the driver gave us this mbuf, whole.
            let head = unsafe { &*mbuf };
            // SAFETY: data starts inside the segment's buffer.
            let start = unsafe { head.buf_addr.cast::<u8>().add(usize::from(head.data_off)) };
            prefetch(start);
            let (bytes, total_bytes) = (u32::from(head.data_len), head.pkt_len);
            self.slots[index] = Slot { start, bytes, total_bytes };
            if bytes < total_bytes && (bytes as usize) < HEADER_SLICE_BYTES_MAX {
                self.gather(index);
            }
        }
    }

    /// Copies the start of the chained frame `index` into one piece.
    #[cold]
    fn gather(&mut self, index: usize) {
        let Some((to, slot)) = self.scratch.get_mut(index).zip(self.slots.get_mut(index)) else { return };
        let mut mbuf = self.mbufs[index].cast_const();
        let mut done = 0;
        while !mbuf.is_null() && done < to.len() {
            // SAFETY: the chain is ours, whole, and unchanged meanwhile.
            let (segment, length) = unsafe { (&*mbuf, usize::from((*mbuf).data_len)) };
            let take = length.min(to.len() - done);
            // SAFETY: `data_len` bytes from `data_off` are the segment's data; `to` has room for `take` more.
            unsafe {
                let from = segment.buf_addr.cast::<u8>().add(usize::from(segment.data_off));
                std::ptr::copy_nonoverlapping(from, to.as_mut_ptr().add(done), take);
            }
            done += take;
            mbuf = segment.next;
        }
        (slot.start, slot.bytes) = (std::ptr::null(), small(done));
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        self.clear();
    }
}

#[inline]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that could fault, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast::<i8>());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// A number that is bounded by a frame or a few bursts.
#[allow(clippy::cast_possible_truncation, reason = "bounded far below by limits.rs")]
#[inline]
pub(super) const fn small(number: usize) -> u32 {
    number as u32
}
