//! A burst's mbufs on their way to another core, which frees them.

use std::sync::Arc;

use dpdk_sys as sys;

use super::burst::{Burst, small};
use super::port::{Opened, RxQueue};
use super::tag::TagField;
use crate::limits::BURST_FRAMES_MAX;

/// See the module. Nobody has looked into the frames: whoever unpacks it finds their headers, in its own cache.
#[derive(Debug)]
pub struct Parcel {
    pub(super) frames: usize,
    pub(super) mbufs: [*mut sys::rte_mbuf; BURST_FRAMES_MAX],
    pub(super) tag: Option<TagField>,
    /// Holds the pools that the mbufs belong to.
    pub(super) port: Arc<Opened>,
}

// SAFETY: the parcel owns its mbufs; they may be read and freed by any thread, one at a time. Pools are made for many threads.
unsafe impl Send for Parcel {}

impl RxQueue {
    /// A parcel for what this queue gives, empty.
    pub fn parcel(&self) -> Parcel {
        Parcel { frames: 0, mbufs: [std::ptr::null_mut(); BURST_FRAMES_MAX], tag: self.tag, port: Arc::clone(&self.port) }
    }

    /// As [`RxQueue::poll`]. But if there are as many new frames as the burst may hold, they go into the parcel: then the burst
    /// is empty, and this true.
    #[inline]
    pub fn poll_or_pack(&mut self, burst: &mut Burst, parcel: &mut Parcel) -> bool {
        burst.fill_or_pack(self, parcel)
    }
}

impl Parcel {
    /// Frames in it.
    pub fn len(&self) -> usize {
        self.frames
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Gives the frames back to their pool.
    pub(super) fn clear(&mut self) {
        if self.frames > 0 {
            // SAFETY: the first `frames` pointers are mbufs that we own, and we forget them.
            unsafe { sys::rte_pktmbuf_free_bulk(self.mbufs.as_mut_ptr(), small(self.frames)) };
            self.frames = 0;
        }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.clear();
    }
}
