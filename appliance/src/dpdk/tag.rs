//! What a fed frame carries beside its bytes: a dynamic field of the mbuf.

use dpdk_sys as sys;

use super::eal::Eal;
use super::error::DpdkError;

/// Beside a frame's bytes: what a capture knows and a NIC does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FrameTag {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// Number of the window.
    pub epoch: u64,
    /// Bytes on the wire.
    pub wire_bytes: u32,
    /// Bytes that the capture holds.
    pub captured_bytes: u32,
    /// Index of the port.
    pub port: u16,
    /// The user's own number; what kind of frame it is.
    pub link: u8,
    /// The user's own bits.
    pub flags: u8,
}

/// Where the tag lies in every mbuf of this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct TagField {
    offset: usize,
}

impl TagField {
    /// Reserves the field; asking again gives the same.
    pub(super) fn register(_eal: &Eal) -> Result<Self, DpdkError> {
        let mut wanted = sys::rte_mbuf_dynfield { size: size_of::<FrameTag>(), align: align_of::<FrameTag>(), ..Default::default() };
        for (to, from) in wanted.name.iter_mut().zip(c"tailwater_frame_tag".to_bytes()) {
            *to = from.cast_signed();
        }
        // SAFETY: EAL runs; the description is whole and DPDK copies it.
        let offset = unsafe { sys::rte_mbuf_dynfield_register(&raw const wanted) };
        // SAFETY: reads a thread-local.
        let errno = unsafe { sys::tw_errno() };
        let remedy = "another library has taken the mbuf's dynamic space";
        let offset = usize::try_from(offset).map_err(|_| DpdkError::failed("mbuf", "reserve the tag", errno, remedy))?;
        Ok(Self { offset })
    }

    /// # Safety
    /// `mbuf` is a live mbuf of this process.
    #[inline]
    pub(super) unsafe fn read(self, mbuf: *const sys::rte_mbuf) -> FrameTag {
        // SAFETY: DPDK reserved `size_of::<FrameTag>()` bytes there, aligned; pools start zeroed, and zero is a valid tag.
        unsafe { mbuf.cast::<u8>().add(self.offset).cast::<FrameTag>().read() }
    }

    /// # Safety
    /// `mbuf` is a live mbuf of this process that nobody else reads now.
    #[inline]
    pub(super) unsafe fn write(self, mbuf: *mut sys::rte_mbuf, tag: FrameTag) {
        // SAFETY: as in `read`.
        unsafe { mbuf.cast::<u8>().add(self.offset).cast::<FrameTag>().write(tag) };
    }
}
