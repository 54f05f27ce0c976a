//! Hand-made NetFlow 9, IPFIX and sFlow of given fields and values.
#![allow(clippy::cast_possible_truncation, reason = "its numbers are small")]

use super::coded::{Made, set, template_set};

/// Enterprise number of reverse elements (RFC 5103).
pub(crate) const REVERSE: u32 = 29_305;
/// When all of it is exported, seconds since 1970.
pub(crate) const AT: u32 = 1_700_000_000;

/// One field of a record: element, enterprise, value.
pub(crate) type Told = (u16, Option<u32>, Vec<u8>);

/// An element of the registry.
pub(crate) fn of(id: u16, value: &[u8]) -> Told {
    (id, None, value.to_vec())
}

/// The template that fits, and one record.
pub(crate) fn sets(version: u16, fields: &[Told]) -> [Vec<u8>; 2] {
    let made = |(id, enterprise, value): &Told| Made { id: *id, bytes: value.len() as u16, enterprise: *enterprise, known: None };
    let values: Vec<u8> = fields.iter().flat_map(|field| field.2.clone()).collect();
    [template_set(version, 256, &fields.iter().map(made).collect::<Vec<_>>()), set(256, &values, 0)]
}

/// Options of an exporter's domain (IPFIX): their template, and one record.
pub(crate) fn options(domain: u32, fields: &[Told]) -> [Vec<u8>; 2] {
    let mut template = [300u16, 1 + fields.len() as u16, 1, 149, 4].map(u16::to_be_bytes).concat();
    fields.iter().for_each(|field| template.extend([field.0, field.2.len() as u16].map(u16::to_be_bytes).concat()));
    let values: Vec<u8> = domain.to_be_bytes().into_iter().chain(fields.iter().flat_map(|field| field.2.clone())).collect();
    [set(3, &template, 0), set(300, &values, 0)]
}

/// A datagram of a domain, exported `after` seconds.
pub(crate) fn ipfix(sequence: u32, after: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let head = [10u16, 16 + body.len() as u16].map(u16::to_be_bytes).concat();
    [head, [AT + after, sequence, 7].map(u32::to_be_bytes).concat(), body].concat()
}

/// The same of NetFlow 9, from an exporter that has been up for so long.
pub(crate) fn nine(sequence: u32, after: u32, uptime_ms: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let head = [9u16, sets.len() as u16].map(u16::to_be_bytes).concat();
    [head, [uptime_ms, AT + after, sequence, 7].map(u32::to_be_bytes).concat(), sets.concat()].concat()
}

/// sFlow of one agent, 192.0.2.9.
pub(crate) fn sflow(sequence: u32, uptime_ms: u32, samples: &[Vec<u8>]) -> Vec<u8> {
    let head = [5, 1, 0xC000_0209, 0, sequence, uptime_ms, samples.len() as u32].map(u32::to_be_bytes).concat();
    [head, samples.concat()].concat()
}

/// A sample of one frame; `words` are those before its records, the first its number.
pub(crate) fn sample(format: u32, words: &[u32], frame: &[u8]) -> Vec<u8> {
    let shown = frame.len() as u32;
    let padding = vec![0; frame.len().wrapping_neg() % 4];
    let raw = [1, 16 + shown.next_multiple_of(4), 1, shown, 0, shown].map(u32::to_be_bytes).concat();
    let words: Vec<u8> = words.iter().chain([&1]).flat_map(|word| word.to_be_bytes()).collect();
    let body = [words, raw, frame.to_vec(), padding].concat();
    [[format, body.len() as u32].map(u32::to_be_bytes).concat(), body].concat()
}
