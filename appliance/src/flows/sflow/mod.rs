//! sFlow version 5 (sflow.org/sflow_version_5.txt, and the structures published beside it): samples of flows, of counters and of
//! discarded packets.

pub(super) mod frame;
pub(super) mod pool;
mod records;
mod sample;

use super::collector::{Arrival, Work};
use super::cursor::Cursor;
use super::flow::Address;
use super::ledger::{DatagramDrop, SetDrop, Unit};
use super::sequence::Times;
use super::steps::Units;
use sample::Read;

/// The header of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) agent: Address,
    pub(super) sub_agent: u32,
    sequence: u32,
    uptime_ms: u32,
    samples: u32,
}

/// The shortest sample: its format and its length.
const SAMPLE_BYTES_MIN: usize = 8;

impl Header {
    /// Reads the header, its version included.
    pub(super) fn read(c: &mut Cursor<'_>) -> Result<Self, DatagramDrop> {
        let short = DatagramDrop::Short;
        c.u32().ok_or(short)?;
        let agent = match c.u32().ok_or(short)? {
            // It does not say: then it is who sends.
            0 => c.take(0),
            1 => c.take(4),
            2 => c.take(16),
            _ => return Err(DatagramDrop::Malformed),
        };
        let agent = Address::of(agent.ok_or(short)?);
        let words = (c.u32(), c.u32(), c.u32(), c.u32());
        let (Some(sub_agent), Some(sequence), Some(uptime_ms), Some(samples)) = words else { return Err(short) };
        Ok(Self { agent, sub_agent, sequence, uptime_ms, samples })
    }

    /// When the agent started, by our clock, milliseconds modulo 2^32; and its own clock, its uptime.
    #[allow(clippy::cast_possible_truncation, reason = "modulo 2^32")]
    fn times(&self, received_ns: u64) -> Times {
        let started_ms = ((received_ns / 1_000_000) as u32).wrapping_sub(self.uptime_ms);
        Times { started_ms: Some(started_ms), sent_ms: Some(u64::from(self.uptime_ms)) }
    }
}

/// So many bytes, behind which XDR fills up to a multiple of four (RFC 4506, 4.10).
fn opaque<'a>(c: &mut Cursor<'a>, length: u32) -> Option<&'a [u8]> {
    let length = usize::try_from(length).ok()?;
    let body = c.take(length)?;
    c.take(length.wrapping_neg() % 4);
    Some(body)
}

/// Reads the samples that the header counts.
pub(super) fn read(header: &Header, from: &Arrival, mut c: Cursor<'_>, work: &mut Work<'_>) {
    work.follow(Unit::Datagrams, header.sequence, (Units::ONE, Units::ONE), header.times(from.received_ns));
    let mut missing = header.samples;
    while missing > 0 && c.left() >= SAMPLE_BYTES_MIN {
        missing -= 1;
        work.ledger.sets += 1;
        let (Some(format), Some(length)) = (c.u32(), c.u32()) else { break };
        let Some(body) = opaque(&mut c, length) else {
            work.ledger.drop_set(SetDrop::Cut);
            break;
        };
        match sample::read(format, header, from, Cursor::new(body), work) {
            Read::Done => work.ledger.data_sets += 1,
            Read::Bad => work.ledger.drop_set(SetDrop::BadSample),
            Read::Other => work.ledger.drop_set(SetDrop::OtherSample),
        }
    }
    work.ledger.miss_sets(u64::from(missing));
}
