//! Export datagrams as a router sends them: one of templates, then data that is the same but for its numbers.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::cast_possible_truncation, reason = "each bench, and a test, uses its part")]

/// What a router tells of a flow: element and bytes.
const FIELDS: [(u16, u16); 20] = [
    (8, 4),
    (12, 4),
    (15, 4),
    (10, 4),
    (14, 4),
    (2, 8),
    (1, 8),
    (22, 4),
    (21, 4),
    (7, 2),
    (11, 2),
    (6, 1),
    (4, 1),
    (5, 1),
    (16, 4),
    (17, 4),
    (9, 1),
    (13, 1),
    (61, 1),
    (89, 1),
];

/// The datagrams of one exporter.
#[derive(Clone)]
pub struct Exports {
    /// Empty where the protocol has none.
    pub template: Vec<u8>,
    pub data: Vec<u8>,
    /// Records in `data`.
    pub records: u32,
    /// Numbers in `data` that count up: where each is, and by how much a datagram.
    counts: Vec<(usize, u32)>,
}

impl Exports {
    /// Datagram `n` of the data.
    pub fn number(&mut self, n: u32) -> &[u8] {
        for (at, step) in &self.counts {
            self.data[*at..*at + 4].copy_from_slice(&(n.wrapping_mul(*step)).to_be_bytes());
        }
        &self.data
    }
}

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &((body.len() + 4) as u16).to_be_bytes(), body].concat()
}

/// NetFlow 9 or IPFIX: 24 records of 20 fields.
pub fn templated(version: u16) -> Exports {
    let rows = FIELDS.iter().flat_map(|(id, bytes)| [id.to_be_bytes(), bytes.to_be_bytes()].concat());
    let template = [&[1, 0, 0, FIELDS.len() as u8][..], &rows.collect::<Vec<u8>>()].concat();
    let record: usize = FIELDS.iter().map(|(_, bytes)| usize::from(*bytes)).sum();
    let records: Vec<u8> = (0..24 * record).map(|i| (i * 7 % 251) as u8).collect();
    let datagram = |set: Vec<u8>| {
        let mut out = version.to_be_bytes().to_vec();
        let second = if version == 9 { 24 } else { 16 + set.len() as u16 };
        out.extend_from_slice(&second.to_be_bytes());
        out.extend_from_slice(&[0; 16][..if version == 9 { 16 } else { 12 }]);
        [out, set].concat()
    };
    let counts = if version == 9 { vec![(12, 1)] } else { vec![(8, 24)] };
    let template = datagram(set(if version == 9 { 0 } else { 2 }, &template));
    Exports { template, data: datagram(set(256, &records)), records: 24, counts }
}

/// NetFlow 5: 30 records.
pub fn five() -> Exports {
    let mut data = vec![0, 5, 0, 30];
    data.extend((0..20 + 30 * 48usize).map(|i| (i * 7 % 251) as u8));
    Exports { template: Vec::new(), data, records: 30, counts: vec![(16, 30)] }
}

/// sFlow: four samples of frames of 128 bytes.
pub fn sflow() -> Exports {
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
    let mut frame = vec![0u8; 128];
    frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    frame[16..18].copy_from_slice(&1_400u16.to_be_bytes());
    frame[22..24].copy_from_slice(&[64, 6]);
    frame[46] = 0x50;
    let raw = [words(&[1, 16 + 128, 1, 1_418, 4, 128]), frame].concat();
    let sample = [words(&[1, 1_000, 4_096_000, 0, 3, 4, 1]), raw].concat();
    let sample = [words(&[1, 4 + sample.len() as u32, 7]), sample].concat();
    let data = [words(&[5, 1, 0x0A00_0001, 0, 1, 1, 4]), sample.repeat(4)].concat();
    // The datagram's number, and that of the first sample of its source; the others are late, which costs as much.
    Exports { template: Vec::new(), data, records: 4, counts: vec![(16, 1), (28 + 8, 4)] }
}

/// All of them, by name.
pub fn all() -> [(&'static str, Exports); 4] {
    [("netflow5", five()), ("netflow9", templated(9)), ("ipfix", templated(10)), ("sflow", sflow())]
}
