//! pcapng: sections of blocks. See draft-ietf-opsawg-pcapng.

use super::window::{Order, Window};
use super::{CaptureFault, Record, Step, bounded, link};
use crate::limits::{CAPTURE_BUFFER_BYTES, CAPTURE_INTERFACES_MAX, CAPTURE_SKIPPED_BLOCK_BYTES_MAX};
use crate::units::LinkType;

/// Type of a section header block, the same in both byte orders: a file's first four bytes.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const SECTION: u32 = u32::from_be_bytes(MAGIC);
const INTERFACE: u32 = 1;
const PACKET_OBSOLETE: u32 = 2;
const PACKET_SIMPLE: u32 = 3;
const PACKET_ENHANCED: u32 = 6;

/// Type and length before a block's body.
const HEAD_BYTES: usize = 8;
/// The length again, behind it.
const TAIL_BYTES: usize = 4;
const NS: u128 = 1_000_000_000;

/// The section that is being read.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
    /// For records without a stamp.
    time_ns: u64,
}

#[derive(Debug)]
struct Interface {
    link: u16,
    snap_bytes: u32,
    ticks_per_second: Option<u128>,
    offset_seconds: i64,
}

impl Interface {
    fn time_ns(&self, ticks: u64) -> u64 {
        // Without a divisor a second has more than 10^38 ticks: no stamp reaches a nanosecond.
        let ns = self.ticks_per_second.map_or(0, |per_second| u128::from(ticks) * NS / per_second);
        let ns = i128::try_from(ns).unwrap_or(i128::MAX).saturating_add(i128::from(self.offset_seconds) * NS.cast_signed());
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
    }
}

impl Pcapng {
    /// Reads the first section's header.
    pub(super) fn open(window: &mut Window) -> Result<Self, CaptureFault> {
        let mut section = Self { order: Order::Little, interfaces: Vec::new(), time_ns: 0 };
        match section.block(window)? {
            Block::Other => Ok(section),
            _ => Err(CaptureFault::NoHeader),
        }
    }

    /// Where no frame came: whether one could have been read.
    pub(super) fn readable_if_any(&self) -> Result<(), CaptureFault> {
        match self.interfaces.first() {
            Some(first) if self.interfaces.iter().all(|interface| link::of(interface.link).is_err()) => {
                Err(CaptureFault::LinkType(first.link))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn step(&mut self, window: &mut Window) -> Result<Step, CaptureFault> {
        loop {
            match self.block(window)? {
                Block::Packet(record) => return Ok(Step::Frame(record)),
                Block::Other => {}
                Block::Cut => return Ok(Step::Cut),
                Block::End => return Ok(Step::End),
            }
        }
    }

    /// Reads one block whole.
    fn block(&mut self, window: &mut Window) -> Result<Block, CaptureFault> {
        if !window.fill(HEAD_BYTES)? {
            return Ok(if window.held().is_empty() { Block::End } else { Block::Cut });
        }
        if window.held().starts_with(&MAGIC) && !self.read_order(window)? {
            return Ok(Block::Cut);
        }
        let (kind, bytes) = self.head(window)?;
        if !matches!(kind, SECTION | INTERFACE | PACKET_OBSOLETE | PACKET_SIMPLE | PACKET_ENHANCED) {
            return Ok(if window.skip(bytes)? { Block::Other } else { Block::Cut });
        }
        if bytes > CAPTURE_BUFFER_BYTES {
            return Err(CaptureFault::Corrupt(format!("a block of type {kind} and {bytes} bytes (at most {CAPTURE_BUFFER_BYTES})")));
        }
        if !window.fill(bytes)? {
            return Ok(Block::Cut);
        }
        let block = self.known_block(kind, &window.held()[..bytes], window.position())?;
        window.consume(bytes);
        Ok(block)
    }

    /// Reads a block that is whole and stands at a position in the window.
    fn known_block(&mut self, kind: u32, block: &[u8], position: usize) -> Result<Block, CaptureFault> {
        let tail_at = block.len() - TAIL_BYTES;
        if self.order.u32(block, tail_at) != self.order.u32(block, 4) {
            return Err(CaptureFault::Corrupt(format!("a block of type {kind} whose two lengths differ")));
        }
        let (body, body_at) = (&block[HEAD_BYTES..tail_at], position + HEAD_BYTES);
        let read = match kind {
            SECTION => self.section(body)?,
            INTERFACE => self.interface(body)?,
            PACKET_ENHANCED => self.packet_enhanced(body, body_at)?,
            PACKET_OBSOLETE => self.packet_obsolete(body, body_at)?,
            _ => self.packet_simple(body, body_at)?,
        };
        read.ok_or_else(|| CaptureFault::Corrupt(format!("a block of type {kind} that is too short")))
    }

    /// A section sets its own byte order, which its length is already written in.
    fn read_order(&mut self, window: &mut Window) -> Result<bool, CaptureFault> {
        if !window.fill(HEAD_BYTES + 4)? {
            return Ok(false);
        }
        self.order = match &window.held()[HEAD_BYTES..HEAD_BYTES + 4] {
            [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
            [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
            other => return Err(CaptureFault::Corrupt(format!("a section without a byte order: {other:02x?}"))),
        };
        Ok(true)
    }

    fn head(&self, window: &Window) -> Result<(u32, usize), CaptureFault> {
        let head = window.held();
        let (kind, bytes) = self.order.u32(head, 0).zip(self.order.u32(head, 4)).unwrap_or_default();
        let sound = bytes as usize >= HEAD_BYTES + TAIL_BYTES && bytes % 4 == 0 && bytes as usize <= CAPTURE_SKIPPED_BLOCK_BYTES_MAX;
        if sound { Ok((kind, bytes as usize)) } else { Err(CaptureFault::Corrupt(format!("a block of type {kind} and {bytes} bytes"))) }
    }

    fn section(&mut self, body: &[u8]) -> Result<Option<Block>, CaptureFault> {
        let Some((major, minor)) = self.order.u16(body, 4).zip(self.order.u16(body, 6)) else { return Ok(None) };
        if major != 1 {
            return Err(CaptureFault::Version(major, minor));
        }
        self.interfaces.clear();
        Ok(Some(Block::Other))
    }

    fn interface(&mut self, body: &[u8]) -> Result<Option<Block>, CaptureFault> {
        let Some((link, snap_bytes)) = self.order.u16(body, 0).zip(self.order.u32(body, 4)) else { return Ok(None) };
        if self.interfaces.len() == CAPTURE_INTERFACES_MAX {
            return Err(CaptureFault::Corrupt(format!("a section of more than {CAPTURE_INTERFACES_MAX} interfaces")));
        }
        let mut interface = Interface { link, snap_bytes, ticks_per_second: Some(1_000_000), offset_seconds: 0 };
        for (code, value) in self.options(body.get(8..).unwrap_or_default()) {
            match (code, value) {
                (9, [power, ..]) => interface.ticks_per_second = ticks_per_second(*power),
                (14, value) => interface.offset_seconds = self.order.u64(value, 0).unwrap_or_default().cast_signed(),
                _ => {}
            }
        }
        self.interfaces.push(interface);
        Ok(Some(Block::Other))
    }

    /// Code and value of each option that is whole, up to the end mark.
    fn options<'a>(&self, mut bytes: &'a [u8]) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let order = self.order;
        std::iter::from_fn(move || {
            let (code, length) = order.u16(bytes, 0).zip(order.u16(bytes, 2))?;
            let value = bytes.get(4..4 + usize::from(length))?;
            bytes = bytes.get(4 + usize::from(length).next_multiple_of(4)..).unwrap_or_default();
            (code != 0).then_some((code, value))
        })
    }

    fn packet_enhanced(&mut self, body: &[u8], body_at: usize) -> Result<Option<Block>, CaptureFault> {
        let Some(interface) = self.order.u32(body, 0) else { return Ok(None) };
        self.packet(interface, body, body_at)
    }

    /// An interface of 16 bits and a drop count stand where the enhanced block has an interface of 32.
    fn packet_obsolete(&mut self, body: &[u8], body_at: usize) -> Result<Option<Block>, CaptureFault> {
        let Some(interface) = self.order.u16(body, 0) else { return Ok(None) };
        self.packet(u32::from(interface), body, body_at)
    }

    fn packet(&mut self, interface: u32, body: &[u8], body_at: usize) -> Result<Option<Block>, CaptureFault> {
        let field = |at| self.order.u32(body, at);
        let (Some((high, low)), Some((captured, original))) = (field(4).zip(field(8)), field(12).zip(field(16))) else {
            return Ok(None);
        };
        let (link, interface) = self.at(interface)?;
        let time_ns = interface.time_ns(u64::from(high) << 32 | u64::from(low));
        if bounded(captured)? > body.len() - 20 {
            return Err(CaptureFault::Corrupt(format!("a packet of {captured} bytes in a block of {}", body.len())));
        }
        self.time_ns = time_ns;
        Ok(Some(Block::Packet(Record::new(time_ns, body_at + 20, captured, original, link))))
    }

    fn packet_simple(&mut self, body: &[u8], body_at: usize) -> Result<Option<Block>, CaptureFault> {
        let Some(original) = self.order.u32(body, 0) else { return Ok(None) };
        let (link, interface) = self.at(0)?;
        let snap = if interface.snap_bytes == 0 { u32::MAX } else { interface.snap_bytes };
        let captured = original.min(snap).min(u32::try_from(body.len() - 4).unwrap_or(u32::MAX));
        bounded(captured)?;
        Ok(Some(Block::Packet(Record::new(self.time_ns, body_at + 4, captured, original, link))))
    }

    fn at(&self, index: u32) -> Result<(LinkType, &Interface), CaptureFault> {
        let known = self.interfaces.len();
        let interface = self.interfaces.get(index as usize);
        let interface = interface.ok_or_else(|| CaptureFault::Corrupt(format!("a packet of interface {index}, of {known}")))?;
        Ok((link::of(interface.link)?, interface))
    }
}

/// What one block was.
enum Block {
    Packet(Record),
    Other,
    /// The file ends inside it.
    Cut,
    /// There is none.
    End,
}

/// The option `if_tsresol`: a power of ten, or with the highest bit a power of two. None where it is beyond 128 bits.
fn ticks_per_second(power: u8) -> Option<u128> {
    let exponent = u32::from(power & 0x7f);
    if power & 0x80 == 0 { 10_u128.checked_pow(exponent) } else { 1_u128.checked_shl(exponent) }
}
