//! Large pages for a pool where EAL has ordinary ones.
//!
//! Without hugepages EAL's memory is a file in memory, of which most systems never make large pages by themselves. Of memory that we map
//! ourselves they do, where they are asked to; DPDK takes such memory as a heap of its own ("external memory"). Frames then lie on as few
//! pages as with hugepages, with nothing to be reserved beforehand.

use std::ffi::{CString, c_uint, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use dpdk_sys as sys;

use crate::arch::{HUGE_PAGE_BYTES, Region, Reserve};

/// Beside the mbufs: the pool's head with its caches, and what a heap keeps of itself.
const BESIDE_BYTES: usize = 8 << 20;

/// A heap for one pool. To be dropped when the pool is gone.
pub(super) struct Outside {
    name: CString,
    start: *mut c_void,
    bytes: usize,
    /// What it is made of.
    _region: Region,
}

impl Outside {
    /// Room for a pool of so many mbufs whose data take so many bytes; none where the system or DPDK will not have it: then DPDK's own
    /// memory does.
    pub(super) fn for_pool(mbufs: u32, room_bytes: u16) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mbufs_bytes = mbufs as usize * object_bytes(room_bytes);
        // A ring holds a pointer of each.
        let bytes = (mbufs_bytes + 16 * (mbufs as usize + 1).next_power_of_two() + BESIDE_BYTES).next_multiple_of(HUGE_PAGE_BYTES);
        let name = CString::new(format!("large{}", NUMBER.fetch_add(1, Ordering::Relaxed))).ok()?;
        let mut region = Region::new((bytes + HUGE_PAGE_BYTES) / 8, Reserve::AtStart);
        let before = region.as_ptr().align_offset(HUGE_PAGE_BYTES);
        let start = region.get_mut(before..)?.as_mut_ptr().cast::<c_void>();
        let outside = Self { name, start, bytes, _region: region };
        outside.hand_over().then_some(outside)
    }

    /// Gives the memory to DPDK.
    fn hand_over(&self) -> bool {
        // SAFETY: EAL runs; the name is a C string, which DPDK copies.
        if unsafe { sys::rte_malloc_heap_create(self.name.as_ptr()) } != 0 {
            return false;
        }
        // Without hugepages EAL's devices have addresses as we do.
        let mut addresses: Vec<u64> =
            (0..self.bytes / HUGE_PAGE_BYTES).map(|page| self.start as u64 + (page * HUGE_PAGE_BYTES) as u64).collect();
        let pages = c_uint::try_from(addresses.len()).unwrap_or(0);
        // SAFETY: `bytes` from `start` on, whole pages, are mapped and ours, and nothing else of this process uses them until the heap
        // is gone, which is before the region is. DPDK copies the addresses.
        let added = unsafe {
            sys::rte_malloc_heap_memory_add(self.name.as_ptr(), self.start, self.bytes, addresses.as_mut_ptr(), pages, HUGE_PAGE_BYTES)
        };
        if added != 0 {
            // SAFETY: the heap is empty.
            unsafe { sys::rte_malloc_heap_destroy(self.name.as_ptr()) };
        }
        added == 0
    }

    /// By which pools are made there.
    pub(super) fn socket(&self) -> i32 {
        // SAFETY: the heap is there.
        unsafe { sys::rte_malloc_heap_get_socket(self.name.as_ptr()) }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // SAFETY: what was made there is freed, and EAL runs. Should DPDK refuse all the same, the heap knows memory that is gone, and
        // nobody knows the heap: its name is asked for here alone.
        unsafe {
            if sys::rte_malloc_heap_memory_remove(self.name.as_ptr(), self.start, self.bytes) == 0 {
                sys::rte_malloc_heap_destroy(self.name.as_ptr());
            }
        }
    }
}

/// Bytes that an mbuf takes in a pool, with what stands before and behind it.
fn object_bytes(room_bytes: u16) -> usize {
    let element = size_of::<sys::rte_mbuf>() + usize::from(room_bytes);
    // SAFETY: a calculation; the sizes of the parts are not asked for.
    let all = unsafe { sys::rte_mempool_calc_obj_size(u32::try_from(element).unwrap_or(u32::MAX), 0, std::ptr::null_mut()) };
    all as usize
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").field("name", &self.name).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
