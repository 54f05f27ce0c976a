//! Source → burst: what a poll of a queue gives.
//!
//! A [`Frame`] is the only thing that leaves this room: one contiguous header slice, and what is known of the frame
//! beside its bytes. Where it came from (a NIC, a vdev, a capture) is told no further: live and replayed traffic come out
//! of the same `RxQueue`, and one loop serves both.
//!
//! ```text
//! queue.poll(&mut burst);
//! for event in burst.events() { match event { Event::Epoch(e) => …, Event::Frame(f) => …, Event::End => … } }
//! ```

#[cfg(feature = "dpdk")]
pub mod device;
#[cfg(feature = "dpdk")]
pub mod health;
#[cfg(feature = "dpdk")]
pub mod live;
#[cfg(feature = "dpdk")]
mod queue;
#[cfg(feature = "dpdk")]
pub mod replay;

#[cfg(feature = "dpdk")]
pub use queue::{Burst, Event, Events, Parcel, RxQueue};

pub mod capture;
pub mod keepers;
pub mod optics;
mod phc;
pub mod timeline;

use crate::units::{Epoch, LinkType};

/// One frame of a burst.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The frame's start, contiguous: all of it, or as much as [`crate::limits::HEADER_SLICE_BYTES_MAX`].
    pub bytes: &'a [u8],
    /// Bytes on the wire, FCS not counted; never less than `bytes`.
    pub wire_bytes: u32,
    /// Bytes that reached us: less than `wire_bytes` in a capture with a snap length, or where the driver cut the frame.
    pub captured_bytes: u32,
    /// When it was received, nanoseconds since 1970.
    pub time_ns: u64,
    /// Window that it counts in.
    pub epoch: Epoch,
    /// Index of its port in the configuration.
    pub port: u16,
    /// What `bytes` start with.
    pub link: LinkType,
    /// Its time was before the open window; it counts there.
    pub late: bool,
}

/// Frames of one port, each of which is made when it is looked at: what is the same in all of them costs nothing.
pub trait Frames<'a>: Copy {
    /// How many.
    fn count(self) -> usize;

    /// One of them; none: there are not so many.
    fn at(self, at: usize) -> Option<Frame<'a>>;
}

impl<'a> Frames<'a> for &[Frame<'a>] {
    #[inline]
    fn count(self) -> usize {
        self.len()
    }

    #[inline]
    fn at(self, at: usize) -> Option<Frame<'a>> {
        self.get(at).copied()
    }
}
