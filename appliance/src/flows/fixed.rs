//! NetFlow 1, 5 and 7: headers and records that never change.

use super::collector::{Arrival, Work};
use super::cursor::Cursor;
use super::flow::{Address, Fields, FlowType, RateFrom};
use super::ledger::{DatagramDrop, RecordDrop, Unit};
use super::sequence::Times;
use super::steps::Units;
use super::times::{Base, seconds};

/// The header of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    version: u16,
    count: u16,
    base: Base,
    /// Flows before this datagram; version 1 does not count.
    sequence: Option<u32>,
    /// Engine type and id of version 5.
    pub(super) engine: u32,
    /// Mode in the two highest bits, rate below; version 5.
    sampling: u16,
}

impl Header {
    /// Reads the header, its version included.
    pub(super) fn read(c: &mut Cursor<'_>) -> Result<Self, DatagramDrop> {
        Self::fields(c).ok_or(DatagramDrop::Short)
    }

    fn fields(c: &mut Cursor<'_>) -> Option<Self> {
        let (version, count, uptime_ms) = (c.u16()?, c.u16()?, c.u32()?);
        let export_ns = seconds(u64::from(c.u32()?)).saturating_add(u64::from(c.u32()?));
        let sequence = if version == 1 { None } else { Some(c.u32()?) };
        let (engine, sampling) = match version {
            5 => (u32::from(c.u16()?), c.u16()?),
            7 => (c.u32().map(|_| 0)?, 0),
            _ => (0, 0),
        };
        Some(Self { version, count, base: Base { export_ns, uptime_ms }, sequence, engine, sampling })
    }

    #[allow(clippy::cast_possible_truncation, reason = "modulo 2^32")]
    fn started_ms(&self) -> u32 {
        ((self.base.export_ns / 1_000_000) as u32).wrapping_sub(self.base.uptime_ms)
    }

    /// 1, 5 or 7.
    pub(super) const fn version(&self) -> u16 {
        self.version
    }

    const fn record_bytes(&self) -> usize {
        if self.version == 5 { 48 } else { 52 }
    }
}

/// Reads the records that the header counts. What is behind them is padding.
pub(super) fn read(header: &Header, from: &Arrival, mut c: Cursor<'_>, work: &mut Work<'_>) {
    if let Some(sequence) = header.sequence {
        let times = Times { started_ms: Some(header.started_ms()), sent_ms: Some(header.base.export_ns / 1_000_000) };
        // Whether the count is a lie, or the datagram was cut on the way, the next number tells.
        let there = u32::try_from(c.left() / header.record_bytes()).unwrap_or(u32::MAX).min(header.count.into());
        let units = Units { sure: there, unsure: u32::from(header.count) - there };
        work.follow(Unit::Records, sequence, (units, Units::ONE), times);
    }
    let told = u64::from(header.sampling & 0x3FFF);
    for read in 0..header.count {
        let Some(record) = c.take(header.record_bytes()) else {
            return work.ledger.drop_records(RecordDrop::Missing, u64::from(header.count - read));
        };
        work.flow.begin(&Fields::default());
        if fill(header, from, Cursor::new(record), &mut work.flow.fields).is_none() {
            work.ledger.drop_records(RecordDrop::Cut, 1);
            continue;
        }
        let f = &mut work.flow.fields;
        (f.sampling_rate, f.rate_from) = match (work.operator.of(Some(f.in_if)), told) {
            (Some(rate), _) => (rate, RateFrom::Operator),
            (None, 0) => (0, RateFrom::Unknown),
            (None, rate) => (rate, RateFrom::Header),
        };
        // Mode 1 is one in so many, 2 at random.
        f.rate_random = header.sampling >> 14 == 2;
        work.ledger.rate_unknown += u64::from(f.sampling_rate == 0);
        work.ledger.records += 1;
        work.ledger.flows += 1;
        (work.out)(work.flow);
    }
}

fn fill(header: &Header, from: &Arrival, mut c: Cursor<'_>, f: &mut Fields) -> Option<()> {
    f.kind = FlowType::NetflowV5;
    f.export_version = u32::from(header.version);
    (f.time_received_ns, f.sampler_address) = (from.received_ns, from.exporter);
    f.sequence_num = header.sequence.unwrap_or(0);
    f.etype = 0x0800;
    (f.src_addr, f.dst_addr, f.next_hop) = (Address::of(c.take(4)?), Address::of(c.take(4)?), Address::of(c.take(4)?));
    (f.in_if, f.out_if) = (u32::from(c.u16()?), u32::from(c.u16()?));
    (f.packets, f.bytes) = (u64::from(c.u32()?), u64::from(c.u32()?));
    (f.time_flow_start_ns, f.time_flow_end_ns) = (header.base.uptime(c.u32()?), header.base.uptime(c.u32()?));
    (f.src_port, f.dst_port) = (u32::from(c.u16()?), u32::from(c.u16()?));
    if header.version == 1 {
        c.take(2)?;
        (f.proto, f.ip_tos, f.tcp_flags) = (u32::from(c.u8()?), u32::from(c.u8()?), u32::from(c.u8()?));
    } else {
        c.take(1)?;
        (f.tcp_flags, f.proto, f.ip_tos) = (u32::from(c.u8()?), u32::from(c.u8()?), u32::from(c.u8()?));
        (f.src_as, f.dst_as) = (u32::from(c.u16()?), u32::from(c.u16()?));
        (f.src_net, f.dst_net) = (u32::from(c.u8()?), u32::from(c.u8()?));
    }
    icmp(f);
    Some(())
}

/// ICMP has its type and code where the destination port is.
const fn icmp(f: &mut Fields) {
    if f.proto == 1 {
        (f.icmp_type, f.icmp_code) = (f.dst_port >> 8, f.dst_port & 0xFF);
    }
}
