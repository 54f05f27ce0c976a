//! What the first IP header of a sampled frame says beyond what figures are made of: for packet logs.
//!
//! Read of the bytes that were kept; what is cut off is absent, never zero.

use serde::Serialize;

use crate::limits::IP_EXTENSIONS_MAX;

/// Fields of IP. Names are those of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Ip {
    #[serde(rename = "IPHeaderLength")]
    header_bytes: u16,
    #[serde(rename = "IPECN")]
    ecn: u8,
    #[serde(rename = "IPv4Identification", skip_serializing_if = "Option::is_none")]
    identification: Option<u16>,
    #[serde(rename = "IPv4DontFragment", skip_serializing_if = "Option::is_none")]
    dont_fragment: Option<bool>,
    #[serde(rename = "IPv4Checksum", skip_serializing_if = "Option::is_none")]
    checksum: Option<u16>,
    #[serde(rename = "IPv6FlowLabel", skip_serializing_if = "Option::is_none")]
    flow_label: Option<u32>,
    #[serde(rename = "IPMoreFragments", skip_serializing_if = "Option::is_none")]
    more_fragments: Option<bool>,
    #[serde(rename = "IPFragmentOffset", skip_serializing_if = "Option::is_none")]
    fragment_offset: Option<u16>,
}

/// Fields of what IP carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Transport {
    #[serde(rename = "TCPSequenceNumber", skip_serializing_if = "Option::is_none")]
    sequence: Option<u32>,
    #[serde(rename = "TCPAcknowledgementNumber", skip_serializing_if = "Option::is_none")]
    acknowledgement: Option<u32>,
    #[serde(rename = "TCPDataOffset", skip_serializing_if = "Option::is_none")]
    data_offset: Option<u8>,
    #[serde(rename = "TCPWindowSize", skip_serializing_if = "Option::is_none")]
    window: Option<u16>,
    #[serde(rename = "TCPChecksum", skip_serializing_if = "Option::is_none")]
    tcp_checksum: Option<u16>,
    #[serde(rename = "TCPUrgentPointer", skip_serializing_if = "Option::is_none")]
    urgent: Option<u16>,
    #[serde(rename = "TCPOptions", skip_serializing_if = "Option::is_none")]
    options: Option<Vec<u8>>,
    #[serde(rename = "TCPMSS", skip_serializing_if = "Option::is_none")]
    mss: Option<u16>,
    #[serde(rename = "TCPWindowScale", skip_serializing_if = "Option::is_none")]
    window_scale: Option<u8>,
    #[serde(rename = "TCPSACKPermitted", skip_serializing_if = "Option::is_none")]
    sack_permitted: Option<bool>,
    #[serde(rename = "TCPTimestampValue", skip_serializing_if = "Option::is_none")]
    timestamp: Option<u32>,
    #[serde(rename = "TCPTimestampECR", skip_serializing_if = "Option::is_none")]
    timestamp_echo: Option<u32>,
    #[serde(rename = "UDPChecksum", skip_serializing_if = "Option::is_none")]
    udp_checksum: Option<u16>,
    #[serde(rename = "ICMPChecksum", skip_serializing_if = "Option::is_none")]
    icmp_checksum: Option<u16>,
    #[serde(rename = "GREVersion", skip_serializing_if = "Option::is_none")]
    gre_version: Option<u8>,
    #[serde(rename = "GREEtherType", skip_serializing_if = "Option::is_none")]
    gre_ethertype: Option<u16>,
    #[serde(rename = "GREChecksum", skip_serializing_if = "Option::is_none")]
    gre_checksum: Option<u16>,
    #[serde(rename = "GREKey", skip_serializing_if = "Option::is_none")]
    gre_key: Option<u32>,
    #[serde(rename = "GRESequenceNumber", skip_serializing_if = "Option::is_none")]
    gre_sequence: Option<u32>,
    #[serde(rename = "GREHeaderLength", skip_serializing_if = "Option::is_none")]
    gre_header_bytes: Option<u8>,
}

fn byte(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// What the IP packet says that begins here, whose protocol, extension headers skipped, is this one.
pub(super) fn read(packet: &[u8], protocol: u8) -> Option<(Ip, Transport)> {
    let (ip, at, is_first) = if byte(packet, 0)? >> 4 == 6 { v6(packet)? } else { v4(packet)? };
    let transport = if is_first { packet.get(at..).map(|bytes| transport(bytes, protocol)) } else { None };
    Some((ip, transport.unwrap_or_default()))
}

/// The header, where it ends, and whether a transport header follows.
fn v4(packet: &[u8]) -> Option<(Ip, usize, bool)> {
    let header_bytes = u16::from(byte(packet, 0)? & 15) * 4;
    let fragment = short(packet, 6)?;
    let ip = Ip {
        header_bytes,
        ecn: byte(packet, 1)? & 3,
        identification: short(packet, 4),
        dont_fragment: Some(fragment & 0x4000 != 0),
        checksum: short(packet, 10),
        flow_label: None,
        more_fragments: Some(fragment & 0x2000 != 0),
        fragment_offset: Some(fragment & 0x1FFF),
    };
    // An authentication header, as IPv6 has it, stands before what it vouches for.
    let (mut next, mut at) = (byte(packet, 9)?, usize::from(header_bytes));
    for _ in 0..IP_EXTENSIONS_MAX {
        let (AH, Some(following), Some(length)) = (next, byte(packet, at), byte(packet, at + 1)) else { break };
        (next, at) = (following, at + ah_bytes(length));
    }
    Some((ip, at, fragment & 0x1FFF == 0))
}

/// Protocol of the authentication header.
const AH: u8 = 51;

/// How long one is, by its second byte.
const fn ah_bytes(length: u8) -> usize {
    4 * (length as usize + 2)
}

fn v6(packet: &[u8]) -> Option<(Ip, usize, bool)> {
    let first = word(packet, 0)?;
    let mut ip = Ip { ecn: u8::try_from(first >> 20 & 3).unwrap_or(0), flow_label: Some(first & 0xF_FFFF), ..Ip::default() };
    let (mut next, mut at, mut is_first) = (byte(packet, 6)?, 40, true);
    for _ in 0..IP_EXTENSIONS_MAX {
        let (Some(following), Some(length)) = (byte(packet, at), byte(packet, at + 1)) else { break };
        let bytes = match next {
            0 | 43 | 60 | 135 | 139 | 140 => 8 * (usize::from(length) + 1),
            44 => {
                let fragment = short(packet, at + 2);
                ip.more_fragments = fragment.map(|fragment| fragment & 1 == 1);
                ip.fragment_offset = fragment.map(|fragment| fragment >> 3);
                is_first &= fragment.is_some_and(|fragment| fragment >> 3 == 0);
                8
            }
            AH => ah_bytes(length),
            _ => break,
        };
        (next, at) = (following, at + bytes);
        if !is_first {
            break;
        }
    }
    ip.header_bytes = u16::try_from(at).unwrap_or(u16::MAX);
    Some((ip, at, is_first))
}

fn transport(bytes: &[u8], protocol: u8) -> Transport {
    match protocol {
        6 => tcp(bytes),
        17 | 136 => Transport { udp_checksum: short(bytes, 6), ..Transport::default() },
        1 | 58 => Transport { icmp_checksum: short(bytes, 2), ..Transport::default() },
        47 => gre(bytes),
        _ => Transport::default(),
    }
}

fn tcp(bytes: &[u8]) -> Transport {
    let data_offset = byte(bytes, 12).map(|byte| byte >> 4);
    let mut tcp = Transport {
        sequence: word(bytes, 4),
        acknowledgement: word(bytes, 8),
        data_offset,
        window: short(bytes, 14),
        tcp_checksum: short(bytes, 16),
        urgent: short(bytes, 18),
        ..Transport::default()
    };
    let end = 4 * usize::from(data_offset.unwrap_or(0));
    // All of them, or none: a list that is cut would be another.
    if let Some(options) = bytes.get(20..end) {
        tcp_options(options, &mut tcp);
    }
    tcp
}

/// Kinds in their order, as far as lengths can be true.
fn tcp_options(mut options: &[u8], tcp: &mut Transport) {
    let (mut kinds, mut sack_permitted) = (Vec::new(), false);
    while let Some(kind) = byte(options, 0).filter(|kind| *kind != 0) {
        let bytes = if kind == 1 { 1 } else { byte(options, 1).map_or(0, usize::from) };
        if bytes < 1 || kind != 1 && bytes < 2 || bytes > options.len() {
            break;
        }
        kinds.push(kind);
        match (kind, bytes) {
            (2, 4) => tcp.mss = short(options, 2),
            (3, 3) => tcp.window_scale = byte(options, 2),
            (4, 2) => sack_permitted = true,
            (8, 10) => (tcp.timestamp, tcp.timestamp_echo) = (word(options, 2), word(options, 6)),
            _ => {}
        }
        options = options.get(bytes..).unwrap_or_default();
    }
    (tcp.options, tcp.sack_permitted) = (Some(kinds), Some(sack_permitted));
}

/// RFC 2784, RFC 2890, and version 1 of RFC 2637.
fn gre(bytes: &[u8]) -> Transport {
    let Some(flags) = short(bytes, 0) else { return Transport::default() };
    let mut gre = Transport { gre_version: u8::try_from(flags & 7).ok(), gre_ethertype: short(bytes, 2), ..Transport::default() };
    let mut at = 4;
    // Checksum or routing.
    if flags & 0xC000 != 0 {
        gre.gre_checksum = short(bytes, at).filter(|_| flags & 0x8000 != 0);
        at += 4;
    }
    if flags & 0x2000 != 0 {
        gre.gre_key = word(bytes, at);
        at += 4;
    }
    if flags & 0x1000 != 0 {
        gre.gre_sequence = word(bytes, at);
        at += 4;
    }
    if flags & 7 == 1 && flags & 0x80 != 0 {
        at += 4;
    }
    gre.gre_header_bytes = u8::try_from(at).ok();
    gre
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4302: two of them behind IPv4, one behind IPv6.
    #[test]
    fn transport_is_read_behind_authentication_headers() {
        let tcp: Vec<u8> = [&[0, 80, 1, 0][..], &[1, 2, 3, 4], &[5, 6, 7, 8], &[0x50, 2, 9, 10], &[11, 12, 0, 0]].concat();
        let ah = |next: u8, words: u8| [vec![next, words - 2], vec![0xEE; usize::from(words) * 4 - 2]].concat();
        let v4 = [&[0x45, 0, 0, 0, 0, 1, 0, 0, 64, AH, 0, 0][..], &[192, 0, 2, 1], &[192, 0, 2, 2]].concat();
        let v6 = [&[0x60, 0, 0, 0, 0, 0, AH, 64][..], &[0x20; 32]].concat();
        for packet in [[v4, ah(AH, 3), ah(6, 6), tcp.clone()].concat(), [v6, ah(6, 6), tcp].concat()] {
            let (_, transport) = read(&packet, 6).unwrap();
            assert_eq!((transport.sequence, transport.data_offset, transport.window), (Some(0x0102_0304), Some(5), Some(0x090A)));
        }
    }
}
