//! Frames in memory, over and over, as a receiving core gets them from its queue.

use std::hint::black_box;
use std::io;

use arrayvec::ArrayVec;

use super::clock::ran_ns;
use crate::limits::BURST_FRAMES_MAX;
use crate::rx::Frame;
use crate::rx::capture::{Capture, CaptureError};
use crate::units::{Epoch, LinkType};

/// Frames that are looked at to tell what looking costs.
const LOOKED_AT: usize = 4_000_000;

/// See the module.
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// The next one, and where it begins.
    at: (usize, usize),
}

impl Frames {
    /// All of a capture in memory.
    pub(super) fn of(capture: Vec<u8>) -> Result<Self, CaptureError> {
        let mut capture = Capture::from_reader("memory".as_ref(), Box::new(io::Cursor::new(capture)))?;
        let mut frames = Self { bytes: Vec::new(), ends: Vec::new(), at: (0, 0) };
        while let Some(frame) = capture.next_frame()? {
            frames.bytes.extend_from_slice(frame.bytes);
            frames.ends.push(frames.bytes.len());
        }
        Ok(frames)
    }

    /// How many there are before they come again.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of a frame, on average.
    #[allow(clippy::cast_precision_loss, reason = "an average")]
    pub(super) fn bytes_mean(&self) -> f64 {
        self.bytes.len() as f64 / self.ends.len().max(1) as f64
    }

    /// The next burst.
    pub(super) fn burst(&mut self, time_ns: u64, epoch: Epoch) -> ArrayVec<Frame<'_>, BURST_FRAMES_MAX> {
        let (mut at, mut start) = self.at;
        let mut burst = ArrayVec::new();
        if at >= self.ends.len() {
            (at, start) = (0, 0);
        }
        for end in &self.ends[at..self.ends.len().min(at + BURST_FRAMES_MAX)] {
            let bytes = &self.bytes[start..*end];
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            burst.push(Frame {
                bytes,
                wire_bytes: length,
                captured_bytes: length,
                time_ns,
                epoch,
                port: 0,
                link: LinkType::Ethernet,
                late: false,
            });
            start = *end;
        }
        self.at = (at + burst.len(), start);
        burst
    }

    /// Nanoseconds a frame that fetching its headers from memory takes: a core that got them from its queue has them at hand.
    #[allow(clippy::cast_precision_loss, reason = "an average")]
    pub(super) fn fetching_ns(&mut self) -> f64 {
        let (mut looked, mut sum) = (0, 0_u64);
        let begun = ran_ns();
        while looked < LOOKED_AT && !self.ends.is_empty() {
            for frame in &self.burst(0, Epoch(1)) {
                sum += frame.bytes.iter().step_by(32).take(2).map(|byte| u64::from(*byte)).sum::<u64>();
                looked += 1;
            }
        }
        black_box(sum);
        (ran_ns() - begun) as f64 / looked.max(1) as f64
    }
}
