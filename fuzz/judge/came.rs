//! An input as datagrams: a byte of control, a length of two (little-endian), the datagram; the last one may be cut.
//!
//! Control, from the lowest bit: which of four exporters (2), which of two ports (1), how much later it came (3), whether the length in an
//! IPFIX header is set right (1), whether the collector is restarted before (1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tailwater::flows::{Address, Arrival};

const SECOND: i64 = 1_000_000_000;
/// Around what is forgotten after 35 minutes, and after 24 hours; and a clock that was set back.
const LATER_NS: [i64; 8] =
    [0, 1_000_000, SECOND, -2 * SECOND, 34 * 60 * SECOND, 36 * 60 * SECOND, 23 * 3_600 * SECOND, 25 * 3_600 * SECOND];

/// One datagram.
pub(crate) struct Came {
    pub(crate) from: Arrival,
    pub(crate) datagram: Vec<u8>,
    pub(crate) restarts: bool,
}

/// All datagrams of an input.
pub(crate) fn all(mut bytes: &[u8]) -> Vec<Came> {
    let mut now_ns: u64 = 1_700_000_000 * SECOND.unsigned_abs();
    let mut came = Vec::new();
    while let Some((control, datagram, rest)) = next(bytes) {
        bytes = rest;
        let later = LATER_NS[usize::from(control >> 3 & 7)];
        now_ns = now_ns.saturating_add_signed(later);
        let from = Arrival { exporter: exporter(control & 3), port: 2_055 + u16::from(control >> 2 & 1), received_ns: now_ns };
        let mut datagram = datagram.to_vec();
        if control & 0x40 != 0 {
            mend(&mut datagram);
        }
        came.push(Came { from, datagram, restarts: control & 0x80 != 0 });
    }
    came
}

/// Control and datagram that come first, and what is behind them.
pub(crate) fn next(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[control, low, high], rest) = bytes.split_first_chunk::<3>()?;
    let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (datagram, rest) = rest.split_at(length);
    Some((control, datagram, rest))
}

fn exporter(number: u8) -> Address {
    Address::from(match number {
        3 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 1)),
        number => IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)),
    })
}

/// Its own length, where an IPFIX message has it: a mutation seldom guesses it.
fn mend(datagram: &mut [u8]) {
    let length = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
    if let [0, 10, high, low, ..] = datagram {
        [*high, *low] = length.to_be_bytes();
    }
}

/// One datagram as it stands in an input.
#[allow(dead_code, reason = "seeds are written with it")]
pub(crate) fn write(control: u8, datagram: &[u8], out: &mut Vec<u8>) {
    out.push(control);
    out.extend(u16::try_from(datagram.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(datagram);
}
