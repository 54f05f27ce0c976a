//! The classic pcap file: one header, then records. See draft-ietf-opsawg-pcap.

use super::window::{Order, Window};
use super::{CaptureFault, Record, Step, bounded, link};
use crate::units::LinkType;

const HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 16;
/// The modified format of old Linux distributions puts an interface index, a protocol and a packet type behind.
const RECORD_HEADER_MODIFIED_BYTES: usize = 24;

/// What the header said.
#[derive(Debug)]
pub(super) struct Classic {
    order: Order,
    fraction_ns: u64,
    record_header_bytes: usize,
    lengths: Lengths,
    link: LinkType,
}

/// Order of the two lengths of a record: captured before original, but in files of some old versions.
#[derive(Debug)]
enum Lengths {
    Straight,
    Swapped,
    /// Version 2.3 was written both ways: the captured length is the lesser.
    LesserIsCaptured,
}

impl Classic {
    /// Reads the header; `magic` was seen and not consumed.
    pub(super) fn open(magic: [u8; 4], window: &mut Window) -> Result<Self, CaptureFault> {
        let (order, fraction_ns, record_header_bytes) = variant(magic).ok_or(CaptureFault::NotACapture(magic))?;
        window.fill(HEADER_BYTES)?;
        let header = window.held();
        let read = |at| order.u16(header, at).zip(order.u16(header, at + 2)).ok_or(CaptureFault::NoHeader);
        let (major, minor) = read(4)?;
        let (low, high) = read(20)?;
        let lengths = match (major, minor) {
            (2, 0..=2) | (543, _) => Lengths::Swapped,
            (2, 3) => Lengths::LesserIsCaptured,
            (2.., _) => Lengths::Straight,
            _ => return Err(CaptureFault::Version(major, minor)),
        };
        let link = link::of(if order == Order::Little { low } else { high })?;
        window.consume(HEADER_BYTES);
        Ok(Self { order, fraction_ns, record_header_bytes, lengths, link })
    }

    pub(super) fn step(&self, window: &mut Window) -> Result<Step, CaptureFault> {
        if !window.fill(self.record_header_bytes)? {
            return Ok(if window.held().is_empty() { Step::End } else { Step::Cut });
        }
        let Some((time_ns, captured, original)) = self.record_header(window.held()) else {
            return Ok(Step::Cut);
        };
        if window.ends_within(self.record_header_bytes as u64 + u64::from(captured)) {
            // Whatever length it claims, it is the last record and the file does not hold it whole.
            return Ok(Step::Cut);
        }
        let captured_bytes = bounded(captured)?;
        if !window.fill(self.record_header_bytes + captured_bytes)? {
            return Ok(Step::Cut);
        }
        let start = window.position() + self.record_header_bytes;
        window.consume(self.record_header_bytes + captured_bytes);
        Ok(Step::Frame(Record::new(time_ns, start, captured, original, self.link)))
    }

    fn record_header(&self, header: &[u8]) -> Option<(u64, u32, u32)> {
        let field = |at| self.order.u32(header, at);
        let (seconds, fraction) = (u64::from(field(0)?), u64::from(field(4)?));
        let (first, second) = (field(8)?, field(12)?);
        let (captured, original) = match self.lengths {
            Lengths::Straight => (first, second),
            Lengths::Swapped => (second, first),
            Lengths::LesserIsCaptured => (first.min(second), first.max(second)),
        };
        // At most (2^32 - 1) * (10^9 + 1000): a fraction beyond a second is added like any other.
        Some((seconds * 1_000_000_000 + fraction * self.fraction_ns, captured, original))
    }
}

/// Byte order, nanoseconds in a unit of the stamp's fraction, bytes of a record's header.
const fn variant(magic: [u8; 4]) -> Option<(Order, u64, usize)> {
    Some(match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, 1_000, RECORD_HEADER_BYTES),
        [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, 1_000, RECORD_HEADER_BYTES),
        [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, 1, RECORD_HEADER_BYTES),
        [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, 1, RECORD_HEADER_BYTES),
        [0x34, 0xcd, 0xb2, 0xa1] => (Order::Little, 1_000, RECORD_HEADER_MODIFIED_BYTES),
        [0xa1, 0xb2, 0xcd, 0x34] => (Order::Big, 1_000, RECORD_HEADER_MODIFIED_BYTES),
        _ => return None,
    })
}
