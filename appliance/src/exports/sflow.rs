//! Sampled frames as sFlow version 5 (sflow.org/sflow_version_5.txt): flow samples with raw headers, counter samples of ports.
//!
//! Each port is a data source; what tag rules sample there at a rate of its own is another one, since a source has one rate. Its pool are
//! the frames that were passed over up to its samples, times that rate of the tag rules: together the pools of a core's ports are all its
//! frames.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::sample::Sample;
use super::{interface, rate};
use crate::limits::{EXPORT_DATAGRAM_BYTES_MAX, EXPORT_SOURCES_MAX};
use crate::record::Has;
use crate::units::LinkType;

/// Of a discarded frame's output: that it is one, and why (communication administratively prohibited).
const DISCARDED: u32 = 1 << 30 | 13;
/// Not told.
const UNKNOWN: u32 = u32::MAX;
const UNKNOWN_LONG: u64 = u64::MAX;
/// Frames have a checksum behind them that mirrors do not show.
const FCS_BYTES: u32 = 4;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Who exports.
    pub agent: IpAddr,
    /// And which part of it.
    pub sub_agent: u32,
    /// One frame in so many.
    pub sampling: u32,
    /// Bytes that are shown of each.
    pub header_bytes: usize,
}

/// Counters of a port, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    /// Its index.
    pub port: u16,
    /// Bits a second; 0: not known.
    pub speed_bps: u64,
    /// The link is up.
    pub is_up: bool,
    /// Frames received.
    pub frames: u64,
    /// Frames that it missed.
    pub missed: u64,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams.
    pub datagrams: u64,
    /// Flow samples in them,
    pub samples: u64,
    /// and counter samples.
    pub counters: u64,
    /// Samples that were not: there were too many rates.
    pub unplaced: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Source {
    sequence: u32,
    pool: u32,
    drops: u32,
}

/// See the module.
pub struct Encoder {
    plan: Plan,
    /// By weight and port.
    sources: BTreeMap<(u16, u16), Source>,
    counters: BTreeMap<u16, u32>,
    sequence: u32,
    /// When uptime began.
    begun_ns: Option<u64>,
    bytes: Vec<u8>,
    /// Samples in it.
    held: u32,
    of_flows: u32,
    sent: Sent,
}

impl Encoder {
    /// Of the configuration.
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            sources: BTreeMap::new(),
            counters: BTreeMap::new(),
            sequence: 0,
            begun_ns: None,
            bytes: Vec::new(),
            held: 0,
            of_flows: 0,
            sent: Sent::default(),
        }
    }

    /// What was sent so far.
    pub const fn sent(&self) -> Sent {
        self.sent
    }

    /// Takes a sample; datagrams that are full go out.
    #[allow(clippy::cast_possible_truncation, reason = "totals modulo 2^32, as sFlow has them")]
    pub fn put(&mut self, sample: &Sample, now_ns: u64, send: &mut impl FnMut(&[u8])) {
        let (weight, port) = (sample.record.weight.max(1), sample.record.rx_port);
        let is_known = self.sources.contains_key(&(weight, port));
        if !is_known && self.sources.len() >= EXPORT_SOURCES_MAX {
            self.sent.unplaced += 1;
            return;
        }
        let source = self.sources.entry((weight, port)).or_default();
        source.sequence = source.sequence.wrapping_add(1);
        source.pool = source.pool.wrapping_add(sample.passed.wrapping_mul(u64::from(weight)) as u32);
        source.drops = source.drops.wrapping_add(sample.lost);
        let Source { sequence, pool, drops } = *source;
        let (protocol, header, frame_bytes, stripped) = header(sample, self.plan.header_bytes);
        let padded = header.len().next_multiple_of(4);
        let output = if sample.record.has.all(Has::BLOCKED) { DISCARDED } else { 0 };
        let one = [source_id(weight, port), rate(self.plan.sampling, weight), pool, drops, interface(port), output, 1];
        let raw = [1, 16 + length(padded), protocol, frame_bytes, stripped, length(header.len())];
        self.room(8 + 4 + 4 * (one.len() + raw.len()) + padded, now_ns, send);
        self.words(&[1, 4 + length(4 * (one.len() + raw.len()) + padded), sequence]);
        self.words(&one);
        self.words(&raw);
        self.bytes.extend(header);
        self.bytes.resize(self.bytes.len() + padded - header.len(), 0);
        (self.held, self.of_flows) = (self.held + 1, self.of_flows + 1);
    }

    /// Takes the counters of a port.
    #[allow(clippy::cast_possible_truncation, reason = "totals modulo 2^32, as sFlow has them")]
    pub fn counters(&mut self, of: &PortCounters, now_ns: u64, send: &mut impl FnMut(&[u8])) {
        let sequence = self.counters.entry(of.port).or_default();
        *sequence = sequence.wrapping_add(1);
        let sequence = *sequence;
        self.room(8 + 12 + 8 + 88, now_ns, send);
        self.words(&[2, 12 + 8 + 88, sequence, source_id(1, of.port), 1]);
        // if_counters: index, type (ethernetCsmacd), speed, direction (full duplex), status.
        self.words(&[1, 88, interface(of.port), 6]);
        self.bytes.extend(of.speed_bps.to_be_bytes());
        self.words(&[1, if of.is_up { 3 } else { 0 }]);
        // In: octets, unicast, multicast, broadcast, discards, errors, unknown protocols.
        self.bytes.extend(UNKNOWN_LONG.to_be_bytes());
        self.words(&[of.frames as u32, UNKNOWN, UNKNOWN, of.missed as u32, UNKNOWN, UNKNOWN]);
        // Out: a mirror's port sends nothing. Promiscuous mode.
        self.bytes.extend(0_u64.to_be_bytes());
        self.words(&[0, 0, 0, 0, 0, 1]);
        self.held += 1;
        self.sent.counters += 1;
    }

    /// Sends what waits.
    pub fn flush(&mut self, now_ns: u64, send: &mut impl FnMut(&[u8])) {
        if self.held == 0 {
            return;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let head = self.head(now_ns);
        if let Some(place) = self.bytes.get_mut(..head.len()) {
            place.copy_from_slice(&head);
        }
        send(&self.bytes);
        (self.sent.datagrams, self.sent.samples) = (self.sent.datagrams + 1, self.sent.samples + u64::from(self.of_flows));
        self.bytes.clear();
        (self.held, self.of_flows) = (0, 0);
    }

    /// A datagram is open that has room for so many bytes.
    fn room(&mut self, bytes: usize, now_ns: u64, send: &mut impl FnMut(&[u8])) {
        if self.bytes.len() + bytes > EXPORT_DATAGRAM_BYTES_MAX {
            self.flush(now_ns, send);
        }
        self.begun_ns.get_or_insert(now_ns);
        if self.bytes.is_empty() {
            self.bytes.resize(self.head(now_ns).len(), 0);
        }
    }

    fn words(&mut self, words: &[u32]) {
        words.iter().for_each(|word| self.bytes.extend(word.to_be_bytes()));
    }

    #[allow(clippy::cast_possible_truncation, reason = "modulo 2^32, as sFlow has it")]
    fn head(&self, now_ns: u64) -> Vec<u8> {
        let (kind, address) = match self.plan.agent {
            IpAddr::V4(address) => (1_u32, address.octets().to_vec()),
            IpAddr::V6(address) => (2, address.octets().to_vec()),
        };
        let uptime_ms = (now_ns.saturating_sub(self.begun_ns.unwrap_or(now_ns)) / 1_000_000) as u32;
        let rest = [self.plan.sub_agent, self.sequence.wrapping_sub(1), uptime_ms, self.held].map(u32::to_be_bytes).concat();
        [&5_u32.to_be_bytes()[..], &kind.to_be_bytes(), &address, &rest].concat()
    }
}

/// Class 0 and 24 bits: the interface in the lowest eight, the tag rules' rate less one above.
fn source_id(weight: u16, port: u16) -> u32 {
    (u32::from(weight) - 1) << 8 | interface(port) & 0xFF
}

/// Protocol, bytes, length of the frame, and how much of it is not shown in front or behind. Of links other than Ethernet the IP packet.
fn header(sample: &Sample, bytes_max: usize) -> (u32, &[u8], u32, u32) {
    let bytes = sample.bytes();
    let shown = |from: usize| bytes.get(from..bytes.len().min(from + bytes_max)).unwrap_or_default();
    if sample.link == LinkType::Ethernet {
        return (1, shown(0), sample.frame_bytes.saturating_add(FCS_BYTES), FCS_BYTES);
    }
    let at = usize::from(sample.ip_at.unwrap_or(0));
    let version = shown(at).first().map_or(0, |byte| byte >> 4);
    (if version == 6 { 12 } else { 11 }, shown(at), sample.frame_bytes.saturating_sub(length(at)), 0)
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
