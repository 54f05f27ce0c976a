//! Pools of mbufs.

use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dpdk_sys as sys;

use super::eal::Eal;
use super::error::DpdkError;
use super::outside::Outside;

/// Bytes in front of a segment's data.
pub(super) const HEADROOM_BYTES: u16 = 128;
/// Bytes of a segment that hold a frame, unless a driver wants more.
pub const SEGMENT_BYTES: u16 = 2_048;

/// What a pool holds.
#[derive(Clone, Copy, Debug)]
pub struct PoolSpec {
    /// Segments.
    pub segments: u32,
    /// Bytes of frame that one segment holds.
    pub segment_bytes: u16,
    /// Segments that each lcore keeps for itself; at most 512.
    pub cache: u32,
    /// NUMA node, or -1 for any.
    pub numa_node: i32,
    /// Large pages where EAL has ordinary ones: for drivers that copy frames, to which it is one what a pool is made of.
    pub large_pages: bool,
}

/// A pool of mbufs; a clone is a handle on the same. It is freed when the last handle drops: whatever holds its mbufs
/// holds a handle.
#[derive(Clone, Debug)]
pub struct Mempool(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    raw: *mut sys::rte_mempool,
    segment_bytes: u16,
    /// Of what it is made, if not of EAL's memory. Dropped behind the pool itself.
    outside: Option<Outside>,
    _eal: Eal,
}

// SAFETY: DPDK's pools are made for many threads; the pointer is freed once, by the last handle.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Mempool {
    /// Makes a pool.
    ///
    /// # Errors
    /// If there is not enough memory, with the amount.
    pub fn new(eal: &Eal, spec: PoolSpec) -> Result<Self, DpdkError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("pool{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let text = CString::new(name.as_str()).map_err(|_| DpdkError::bad("a pool's name", "no zero bytes"))?;
        let room = spec.segment_bytes.saturating_add(HEADROOM_BYTES);
        let cache = spec.cache.min(512).min(spec.segments / 2);
        super::log::hush();
        // SAFETY: EAL runs and the name is a C string, which DPDK copies.
        let create = |node| unsafe { sys::rte_pktmbuf_pool_create(text.as_ptr(), spec.segments, cache, 0, room, node) };
        let large = spec.large_pages && eal.page_bytes() <= 4_096;
        let mut outside = if large { Outside::for_pool(spec.segments, room) } else { None };
        let mut raw = outside.as_ref().map_or(std::ptr::null_mut(), |outside| create(outside.socket()));
        if raw.is_null() {
            outside = None;
            raw = create(spec.numa_node);
        }
        if raw.is_null() {
            // SAFETY: reads a thread-local.
            let errno = unsafe { sys::tw_errno() };
            let mb = (u64::from(spec.segments) * (u64::from(room) + 256)) >> 20;
            let remedy = format!("it needs about {mb} MB: give DPDK more memory (`bash hugepages.sh reserve`), or use fewer queues");
            return Err(DpdkError::failed(&format!("pool of {} segments", spec.segments), "create", errno, &remedy));
        }
        Ok(Self(Arc::new(Pool { raw, segment_bytes: spec.segment_bytes, outside, _eal: eal.clone() })))
    }

    /// Bytes of frame that one segment holds.
    pub fn segment_bytes(&self) -> u16 {
        self.0.segment_bytes
    }

    /// Whether it lies in memory of our own, of which the system may make large pages.
    pub fn is_outside(&self) -> bool {
        self.0.outside.is_some()
    }

    /// Segments in use now.
    pub fn in_use(&self) -> u32 {
        // SAFETY: the pool lives.
        unsafe { sys::rte_mempool_in_use_count(self.0.raw) }
    }

    pub(super) fn raw(&self) -> *mut sys::rte_mempool {
        self.0.raw
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: the last handle is gone, and with it every port, burst and feeder that could hold an mbuf.
        unsafe { sys::rte_mempool_free(self.raw) };
    }
}
