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
use super::sequence::{Times, Verdict};
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
            1 => c.take(4),
            2 => c.take(16),
            _ => return Err(DatagramDrop::Malformed),
        };
        let agent = Address::of(agent.ok_or(short)?);
        let words = (c.u32(), c.u32(), c.u32(), c.u32());
        let (Some(sub_agent), Some(sequence), Some(uptime_ms), Some(samples)) = words else { return Err(short) };
        Ok(Self { agent, sub_agent, sequence, uptime_ms, samples })
    }

    /// When the agent started, by our clock: milliseconds modulo 2^32.
    #[allow(clippy::cast_possible_truncation, reason = "modulo 2^32")]
    const fn started_ms(&self, received_ns: u64) -> u32 {
        ((received_ns / 1_000_000) as u32).wrapping_sub(self.uptime_ms)
    }
}

/// Reads the samples that the header counts.
pub(super) fn read(header: &Header, from: &Arrival, mut c: Cursor<'_>, work: &mut Work<'_>) {
    let times = Times { started_ms: Some(header.started_ms(from.received_ns)), sent_ms: Some(u64::from(header.uptime_ms)), unsure: 0 };
    if work.follow(Unit::Datagrams, header.sequence, Some(1), times) == Verdict::Restart {
        work.domain.sources.begin_anew();
    }
    let mut missing = header.samples;
    while missing > 0 && c.left() >= SAMPLE_BYTES_MIN {
        missing -= 1;
        work.ledger.sets += 1;
        let (Some(format), Some(length)) = (c.u32(), c.u32()) else { break };
        let Some(body) = usize::try_from(length).ok().and_then(|length| c.take(length)) else {
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
