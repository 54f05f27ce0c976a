//! An encoder of our own for NetFlow 9 and IPFIX: random templates, and records of random values.
#![allow(clippy::cast_possible_truncation, reason = "its numbers are small")]

use rand_chacha::ChaCha8Rng;
use rand_core::Rng as _;
use tailwater::flows::Flow;

/// An element that the model knows: number, lengths it may have, and where its value is found.
pub(crate) type Known = (u16, &'static [u16], fn(&Flow) -> u64);

pub(crate) const KNOWN: &[Known] = &[
    (1, &[1, 2, 3, 4, 5, 6, 7, 8], |f| f.fields.bytes),
    (2, &[1, 3, 4, 8], |f| f.fields.packets),
    (4, &[1], |f| f.fields.proto.into()),
    (5, &[1], |f| f.fields.ip_tos.into()),
    (6, &[1, 2], |f| f.fields.tcp_flags.into()),
    (7, &[2], |f| f.fields.src_port.into()),
    (11, &[2], |f| f.fields.dst_port.into()),
    (10, &[2, 4], |f| f.fields.in_if.into()),
    (14, &[2, 4], |f| f.fields.out_if.into()),
    (16, &[2, 4], |f| f.fields.src_as.into()),
    (17, &[2, 3, 4], |f| f.fields.dst_as.into()),
    (8, &[4], |f| number(f.fields.src_addr.bytes())),
    (12, &[4], |f| number(f.fields.dst_addr.bytes())),
    (56, &[6], |f| f.fields.src_mac),
    (80, &[6], |f| f.fields.dst_mac),
    (58, &[2], |f| f.fields.src_vlan.into()),
    (89, &[1], |f| f.fields.forwarding_status.into()),
    (136, &[1], |f| f.fields.flow_end_reason.into()),
    (153, &[8], |f| f.fields.time_flow_end_ns / 1_000_000),
    (232, &[4, 8], |f| f.fields.responder_bytes),
    (234, &[4], |f| f.fields.ingress_vrf_id.into()),
    (235, &[2, 4], |f| f.fields.egress_vrf_id.into()),
    (239, &[1], |f| f.fields.biflow_direction.into()),
];

pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, b| sum * 256 + u64::from(*b))
}

/// One field of a made template.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) id: u16,
    pub(crate) bytes: u16,
    pub(crate) enterprise: Option<u32>,
    pub(crate) known: Option<usize>,
}

pub(crate) fn dice(dice: &mut ChaCha8Rng, below: usize) -> usize {
    dice.next_u32() as usize % below
}

/// Known elements once each in any order, unknown ones between.
pub(crate) fn template(d: &mut ChaCha8Rng, version: u16) -> Vec<Made> {
    let mut known: Vec<usize> = (0..KNOWN.len()).collect();
    (0..known.len()).rev().for_each(|i| known.swap(i, dice(d, i + 1)));
    known.truncate(1 + dice(d, KNOWN.len()));
    let mut fields = Vec::new();
    for at in known {
        for _ in 0..dice(d, 3) {
            let variable = version == 10 && dice(d, 3) == 0;
            let enterprise = (version == 10 && dice(d, 2) == 0).then(|| 1 + d.next_u32() % 29_000);
            // 371 and beyond: nothing that a flow wants. 291 to 293 are structured data.
            let id =
                if dice(d, 4) == 0 && variable && enterprise.is_none() { 291 + dice(d, 3) as u16 } else { 400 + dice(d, 9_000) as u16 };
            fields.push(Made { id, bytes: if variable { u16::MAX } else { dice(d, 40) as u16 }, enterprise, known: None });
        }
        let lengths = KNOWN[at].1;
        fields.push(Made { id: KNOWN[at].0, bytes: lengths[dice(d, lengths.len())], enterprise: None, known: Some(at) });
    }
    fields
}

pub(crate) fn template_set(version: u16, id: u16, fields: &[Made]) -> Vec<u8> {
    let mut body = [id.to_be_bytes(), (fields.len() as u16).to_be_bytes()].concat();
    for field in fields {
        let bit = if field.enterprise.is_some() { 0x8000 } else { 0 };
        body.extend_from_slice(&(field.id | bit).to_be_bytes());
        body.extend_from_slice(&field.bytes.to_be_bytes());
        field.enterprise.iter().for_each(|enterprise| body.extend_from_slice(&enterprise.to_be_bytes()));
    }
    set(if version == 9 { 0 } else { 2 }, &body, 0)
}

pub(crate) fn set(id: u16, body: &[u8], padding: usize) -> Vec<u8> {
    let length = 4 + body.len() + padding;
    [&id.to_be_bytes()[..], &(length as u16).to_be_bytes(), body, &vec![0; padding]].concat()
}

pub(crate) fn datagram(version: u16, sequence: u32, domain: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let mut out = version.to_be_bytes().to_vec();
    let second = if version == 9 { sets.len() } else { 16 + body.len() };
    out.extend_from_slice(&(second as u16).to_be_bytes());
    if version == 9 {
        out.extend_from_slice(&60_000u32.to_be_bytes());
    }
    for word in [1_700_000_000, sequence, domain] {
        out.extend_from_slice(&u32::to_be_bytes(word));
    }
    [out, body].concat()
}

/// A record of random values; which value each known field got.
pub(crate) fn record(d: &mut ChaCha8Rng, fields: &[Made]) -> (Vec<u8>, Vec<(usize, u64)>) {
    let (mut out, mut values) = (Vec::new(), Vec::new());
    for field in fields {
        let mut bytes = if field.bytes == u16::MAX { dice(d, 400) } else { usize::from(field.bytes) };
        if field.bytes == u16::MAX {
            if bytes >= 255 || dice(d, 5) == 0 {
                out.push(255);
                out.extend_from_slice(&(bytes as u16).to_be_bytes());
            } else {
                out.push(bytes as u8);
            }
        }
        let at = out.len();
        while bytes > 0 {
            out.push(d.next_u32().to_le_bytes()[0]);
            bytes -= 1;
        }
        if KNOWN.get(field.known.unwrap_or(usize::MAX)).is_some_and(|known| known.0 == 153) {
            // A time that can be: the highest bytes would overflow nanoseconds.
            out[at..at + 3].fill(0);
        }
        values.extend(field.known.map(|known| (known, number(&out[at..]))));
    }
    (out, values)
}
