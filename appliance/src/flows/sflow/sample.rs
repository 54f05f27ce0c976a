//! Samples: of flows, in both forms, of counters, of discarded packets.

use super::super::collector::{Arrival, Work};
use super::super::cursor::Cursor;
use super::super::flow::{Fields, FlowType, RateFrom};
use super::super::ledger::Unit;
use super::super::sequence::Verdict;
use super::super::steps::Units;
use super::pool::Stream;
use super::{Header, records};

/// "No interface": the packet is of the device itself, or for it (sFlow version 5, 4.2.3).
const OWN: u32 = 0x3FFF_FFFF;

/// Element 89: dropped, for a reason that it has no word for.
const DROPPED: u32 = 0x80;

/// Element 61: seen where it leaves.
const LEAVES: u32 = 1;

/// What came of a sample.
pub(super) enum Read {
    Done,
    Bad,
    Other,
}

/// What a sample of a flow says before its records.
struct Sampled {
    sequence: u32,
    source: (u32, u32),
    rate: u32,
    /// Packets that could have been sampled, and samples that were dropped: running totals.
    pool: u32,
    drops: u32,
    /// An interface; none where it comes in by several, or by what is not told.
    input: Option<u32>,
    output: u32,
    /// What `output` is: 0 an interface, 1 a reason to discard, 2 a number of interfaces.
    output_kind: u32,
    records: u32,
}

/// Reads one sample.
pub(super) fn read(format: u32, header: &Header, from: &Arrival, mut c: Cursor<'_>, work: &mut Work<'_>) -> Read {
    match format {
        1 => flow(short(&mut c), header, from, c, work),
        3 => flow(expanded(&mut c), header, from, c, work),
        2 => counters(c.u32().zip(c.u32()).map(|(n, source)| (n, (source >> 24, source & 0xFF_FFFF))), header, from, work),
        4 => counters(c.u32().zip(c.u32().zip(c.u32())), header, from, work),
        5 => discarded(header, from, c, work),
        _ => Read::Other,
    }
}

fn short(c: &mut Cursor<'_>) -> Option<Sampled> {
    let (sequence, source, rate, pool, drops) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?);
    let (input, output, records) = (c.u32()?, c.u32()?, c.u32()?);
    let source = (source >> 24, source & 0xFF_FFFF);
    // The two highest bits are the kind.
    let (input, output, output_kind) = (Some(input).filter(|input| *input < OWN), output & OWN, output >> 30);
    Some(Sampled { sequence, source, rate, pool, drops, input, output, output_kind, records })
}

fn expanded(c: &mut Cursor<'_>) -> Option<Sampled> {
    let (sequence, source, rate, pool, drops) = (c.u32()?, (c.u32()?, c.u32()?), c.u32()?, c.u32()?, c.u32()?);
    let (input_kind, input, output_kind, output, records) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?);
    let input = Some(input).filter(|input| input_kind == 0 && *input != OWN);
    Some(Sampled { sequence, source, rate, pool, drops, input, output, output_kind, records })
}

/// Structures within are of the exporter's own business; here they only count.
fn counters(head: Option<(u32, (u32, u32))>, header: &Header, from: &Arrival, work: &mut Work<'_>) -> Read {
    let Some((number, source)) = head else { return Read::Bad };
    follow(Stream::Counters, source, (number, header, from), work);
    work.ledger.records += 1;
    work.ledger.counters += 1;
    Read::Done
}

/// Numbers of a data source. It begins anew when its agent does, and the agent's uptime is the clock that tells its new count from old
/// numbers.
fn follow(stream: Stream, source: (u32, u32), (number, header, from): (u32, &Header, &Arrival), work: &mut Work<'_>) -> Verdict {
    if work.repeated {
        work.ledger.number(Unit::Samples, Verdict::Repeated, false);
        return Verdict::Repeated;
    }
    let sequence = &mut work.domain.sources.of((stream, source.0, source.1)).sequence;
    sequence.open(work.window);
    let verdict = sequence.take(number, (Units::ONE, Units::ONE), header.times(from.received_ns));
    work.ledger.number(Unit::Samples, verdict, sequence.is_own());
    work.ledger.misnumbered(Unit::Samples, sequence.misnumbered());
    verdict
}

const fn interface_of(index: u32) -> u32 {
    if index == OWN { 0 } else { index }
}

fn flow(sampled: Option<Sampled>, header: &Header, from: &Arrival, c: Cursor<'_>, work: &mut Work<'_>) -> Read {
    let Some(sampled) = sampled else { return Read::Bad };
    let verdict = follow(Stream::Flows, sampled.source, (sampled.sequence, header, from), work);
    let operator = work.operator.of(sampled.input);
    if operator.is_none() {
        let source = work.domain.sources.of((Stream::Flows, sampled.source.0, sampled.source.1));
        source.pool(sampled.rate, sampled.pool, sampled.drops, verdict);
    }
    work.flow.begin(&shared(header, from));
    let f = &mut work.flow.fields;
    f.in_if = sampled.input.unwrap_or(0);
    match (sampled.output_kind, sampled.output) {
        (0, interface) => f.out_if = interface_of(interface),
        (1, reason) => (f.discard_reason, f.forwarding_status) = (reason.saturating_add(1), DROPPED),
        (2, count) => f.out_if_count = count,
        _ => {}
    }
    // An interface of its own is sampled there, in which direction the other one says.
    if f.out_if > 0 && sampled.source == (0, f.out_if) && f.out_if != f.in_if {
        f.direction = LEAVES;
    }
    (f.sampling_rate, f.rate_from) = match (operator, sampled.rate) {
        (Some(rate), _) => (rate, RateFrom::Operator),
        (None, 0) => (0, RateFrom::Unknown),
        (None, rate) => (u64::from(rate), RateFrom::Record),
    };
    give(sampled.records, c, work)
}

/// A packet that was dropped, and why (sflow.org/sflow_drops.txt): each is told, up to a limit of the agent's; none stands for others.
fn discarded(header: &Header, from: &Arrival, mut c: Cursor<'_>, work: &mut Work<'_>) -> Read {
    let head = (c.u32(), c.u32(), c.u32(), c.u32(), c.u32(), c.u32(), c.u32(), c.u32());
    let (Some(number), Some(class), Some(index), Some(_), Some(input), Some(output), Some(reason), Some(count)) = head else {
        return Read::Bad;
    };
    follow(Stream::Discards, (class, index), (number, header, from), work);
    work.flow.begin(&shared(header, from));
    let f = &mut work.flow.fields;
    (f.in_if, f.out_if) = (interface_of(input), interface_of(output));
    (f.discard_reason, f.forwarding_status) = (reason.saturating_add(1), DROPPED);
    (f.sampling_rate, f.rate_from) = (1, RateFrom::Record);
    give(count, c, work)
}

fn shared(header: &Header, from: &Arrival) -> Fields {
    let agent = if header.agent.is_void() { from.exporter } else { header.agent };
    Fields {
        kind: FlowType::Sflow5,
        export_version: 5,
        // Random, says the standard (sFlow version 5, 4.2.2).
        rate_random: true,
        packets: 1,
        time_received_ns: from.received_ns,
        time_flow_start_ns: from.received_ns,
        time_flow_end_ns: from.received_ns,
        sequence_num: header.sequence,
        sampler_address: agent,
        exporter_address: if agent == from.exporter { super::super::flow::Address::NONE } else { from.exporter },
        ..Fields::default()
    }
}

/// What stands behind a record that is cut is lost; what stood before it is not.
fn give(records: u32, mut c: Cursor<'_>, work: &mut Work<'_>) -> Read {
    let whole = records::read(records, &mut c, work.flow);
    if !whole && work.flow.fields.bytes == 0 {
        return Read::Bad;
    }
    work.ledger.rate_unknown += u64::from(work.flow.fields.sampling_rate == 0);
    work.ledger.records += 1;
    work.ledger.flows += 1;
    (work.out)(work.flow);
    Read::Done
}
