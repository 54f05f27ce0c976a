//! Captures made byte by byte, after draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.

use std::path::{Path, PathBuf};

pub(crate) const ETHERNET: u16 = 1;

/// A record: time in nanoseconds, bytes on the wire, bytes captured.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) time_ns: u64,
    pub(crate) wire_bytes: u32,
    pub(crate) bytes: Vec<u8>,
}

/// A record that holds its whole frame.
pub(crate) fn whole(time_ns: u64, bytes: Vec<u8>) -> Record {
    Record { time_ns, wire_bytes: u32::try_from(bytes.len()).expect("a frame is short"), bytes }
}

/// A classic capture with nanoseconds, little-endian.
pub(crate) fn pcap(link: u16, records: &[Record]) -> Vec<u8> {
    let mut file = [&0xa1b2_3c4d_u32.to_le_bytes()[..], &[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0], &262_144_u32.to_le_bytes()].concat();
    file.extend(u32::from(link).to_le_bytes());
    for record in records {
        let seconds = u32::try_from(record.time_ns / 1_000_000_000).expect("a classic capture ends in 2106");
        let fraction_ns = u32::try_from(record.time_ns % 1_000_000_000).expect("a remainder");
        let held = u32::try_from(record.bytes.len()).expect("a frame is short");
        [seconds, fraction_ns, held, record.wire_bytes].iter().for_each(|field| file.extend(field.to_le_bytes()));
        file.extend(&record.bytes);
    }
    file
}

/// A pcapng with an interface for each link type, nanoseconds; records name their interface.
pub(crate) fn pcapng(links: &[u16], records: &[(u32, Record)]) -> Vec<u8> {
    let mut file = block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    for link in links {
        // Option 9: a unit is 10^-9 s.
        file.extend(block(1, &[&link.to_le_bytes()[..], &[0, 0], &0_u32.to_le_bytes(), &[9, 0, 1, 0, 9, 0, 0, 0], &[0; 4]].concat()));
    }
    for (interface, record) in records {
        let held = u32::try_from(record.bytes.len()).expect("a frame is short");
        let (high, low) = (record.time_ns.to_be_bytes(), record.time_ns.to_le_bytes());
        let high = u32::from_be_bytes([high[0], high[1], high[2], high[3]]);
        let low = u32::from_le_bytes([low[0], low[1], low[2], low[3]]);
        let mut body: Vec<u8> = [*interface, high, low, held, record.wire_bytes].iter().flat_map(|field| field.to_le_bytes()).collect();
        body.extend(&record.bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        file.extend(block(6, &body));
    }
    file
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 12).expect("a block is short").to_le_bytes();
    [&kind.to_le_bytes()[..], &length, body, &length].concat()
}

/// Writes a file into a folder.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, bytes).expect("the test's folder is ours");
    file
}

/// An IPv4 packet with a SYN; the last byte of the source is given.
pub(crate) fn syn_v4(source: u8, payload: usize) -> Vec<u8> {
    let length = u16::try_from(40 + payload).unwrap_or(u16::MAX).to_be_bytes();
    let head = [0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, source, 198, 51, 100, 1];
    [&head[..], &tcp_syn(), &vec![0; payload]].concat()
}

/// The same over IPv6.
pub(crate) fn syn_v6(source: u8, payload: usize) -> Vec<u8> {
    let length = u16::try_from(20 + payload).unwrap_or(u16::MAX).to_be_bytes();
    let address = |last: u8| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    [&[0x60, 0, 0, 0, length[0], length[1], 6, 64], &address(source)[..], &address(1), &tcp_syn(), &vec![0; payload]].concat()
}

fn tcp_syn() -> [u8; 20] {
    let mut header = [0; 20];
    (header[1], header[3], header[12], header[13]) = (99, 80, 0x50, 2);
    header
}

/// An IP packet behind the header of a link type.
pub(crate) fn framed(link: u16, ip: &[u8]) -> Vec<u8> {
    let v6 = ip[0] >> 4 == 6;
    let kind: [u8; 2] = if v6 { [0x86, 0xdd] } else { [8, 0] };
    let head = match link {
        1 => [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &kind].concat(),
        113 => [&[0; 14][..], &kind].concat(),
        276 => [&kind[..], &[0; 18]].concat(),
        0 => vec![if v6 { 30 } else { 2 }, 0, 0, 0],
        108 => vec![0, 0, 0, if v6 { 30 } else { 2 }],
        _ => Vec::new(),
    };
    [head, ip.to_vec()].concat()
}

/// An Ethernet frame with a SYN of IPv4.
pub(crate) fn syn(source: u8) -> Vec<u8> {
    framed(ETHERNET, &syn_v4(source, 0))
}
