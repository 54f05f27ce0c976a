//! Encoders of our own for what has no templates: NetFlow 1, 5 and 7, and sFlow 5 (sflow.org/sflow_version_5.txt), with random values.
#![allow(clippy::cast_possible_truncation, reason = "its numbers are small")]

use rand_chacha::ChaCha8Rng;
use rand_core::Rng as _;

use super::coded::dice;

fn bytes(d: &mut ChaCha8Rng, count: usize) -> Vec<u8> {
    (0..count).map(|_| d.next_u32().to_le_bytes()[0]).collect()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// NetFlow 1, 5 or 7 with so many records of random bytes; `sequence` is that of its header, where it has one.
pub(crate) fn netflow(d: &mut ChaCha8Rng, version: u16, sequence: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = [version.to_be_bytes(), (records.len() as u16).to_be_bytes()].concat();
    out.extend(words(&[60_000, 1_700_000_000, d.next_u32() % 1_000_000_000]));
    if version != 1 {
        out.extend(words(&[sequence]));
        // Engine and sampling of version 5; reserved in 7.
        out.extend(if version == 5 { [1, 7, 0x40 | d.next_u32() as u8 & 0x3F, d.next_u32() as u8] } else { [0; 4] });
    }
    [out, records.concat()].concat()
}

/// One record of it.
pub(crate) fn netflow_record(d: &mut ChaCha8Rng, version: u16) -> Vec<u8> {
    bytes(d, if version == 5 { 48 } else { 52 })
}

/// A record of a sample: its format, and what it holds.
fn record(format: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let mut out = words(&[format, padded as u32]);
    out.extend(body);
    out.resize(8 + padded, 0);
    out
}

/// The start of a packet, of which so many bytes were on the wire.
pub(crate) fn raw(frame_bytes: u32, protocol: u32, frame: &[u8]) -> Vec<u8> {
    record(1, &[words(&[protocol, frame_bytes, 4, frame.len() as u32]), frame.to_vec()].concat())
}

/// What a switch knows.
pub(crate) fn switch(src_vlan: u32, dst_vlan: u32) -> Vec<u8> {
    record(1001, &words(&[src_vlan, 0, dst_vlan, 0]))
}

/// What a router knows.
pub(crate) fn router(next_hop: [u8; 4], src_net: u32, dst_net: u32) -> Vec<u8> {
    record(1002, &[words(&[1]), next_hop.to_vec(), words(&[src_net, dst_net])].concat())
}

/// What a BGP speaker knows: the path in segments, and communities.
pub(crate) fn gateway(own: u32, source: u32, path: &[Vec<u32>], communities: &[u32]) -> Vec<u8> {
    let mut body = words(&[1, 0xC000_0201, own, source, 64_999, path.len() as u32]);
    for segment in path {
        body.extend(words(&[2, segment.len() as u32]));
        body.extend(words(segment));
    }
    body.extend(words(&[communities.len() as u32]));
    body.extend(words(communities));
    // The local preference.
    body.extend(words(&[100]));
    record(1003, &body)
}

/// What an agent says of IPv4 (3) or IPv6 (4) where it does not show the packet.
pub(crate) fn ip(format: u32, length: u32, protocol: u32, addresses: &[u8], rest: [u32; 4]) -> Vec<u8> {
    record(format, &[words(&[length, protocol]), addresses.to_vec(), words(&rest)].concat())
}

/// Something of the agent's own, or of Ethernet (2), with random bytes.
pub(crate) fn other(d: &mut ChaCha8Rng, format: u32) -> Vec<u8> {
    let count = dice(d, 60);
    record(format, &bytes(d, count))
}

/// What a sample of a flow says before its records.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) sequence: u32,
    pub(crate) source: u32,
    pub(crate) rate: u32,
    pub(crate) pool: u32,
    pub(crate) drops: u32,
    pub(crate) input: u32,
    pub(crate) output: u32,
}

/// A sample of a flow, in the short form or the expanded one.
pub(crate) fn sample(of: &Sample, expanded: bool, records: &[Vec<u8>]) -> Vec<u8> {
    let Sample { sequence, source, rate, pool, drops, input, output } = *of;
    let count = records.len() as u32;
    let head = if expanded {
        words(&[sequence, 0, source, rate, pool, drops, 0, input, 0, output, count])
    } else {
        words(&[sequence, source, rate, pool, drops, input, output, count])
    };
    record(if expanded { 3 } else { 1 }, &[head, records.concat()].concat())
}

/// A sample of counters, in either form.
pub(crate) fn counters(d: &mut ChaCha8Rng, sequence: u32, expanded: bool) -> Vec<u8> {
    let head = if expanded { words(&[sequence, 0, 3, 1]) } else { words(&[sequence, 3, 1]) };
    let body = other(d, 1);
    record(if expanded { 4 } else { 2 }, &[head, body].concat())
}

/// A packet that was dropped.
pub(crate) fn discarded(sequence: u32, interfaces: [u32; 2], reason: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let head = words(&[sequence, 0, 3, 0, interfaces[0], interfaces[1], reason, records.len() as u32]);
    record(5, &[head, records.concat()].concat())
}

/// A datagram of an agent with an IPv4 address (1) or an IPv6 one (2).
pub(crate) fn sflow(kind: u32, sequence: u32, samples: &[Vec<u8>]) -> Vec<u8> {
    let agent = if kind == 1 { vec![192, 0, 2, 9] } else { vec![0x20; 16] };
    [words(&[5, kind]), agent, words(&[0, sequence, 1_000, samples.len() as u32]), samples.concat()].concat()
}
