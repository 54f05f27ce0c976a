//! Packets as bytes: headers, checksums, tags.

use std::net::IpAddr;

use super::dice::Dice;
use super::packet::{Body, CARRIER_TTL, Carrier, FRAME_BYTES_MIN, Packet, Piece, TcpOptions};
use super::payload;
use super::scenario::Tunnel;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const UDP: u8 = 17;

/// Makes one frame at a time in buffers that are kept.
#[derive(Debug)]
pub(super) struct Framer {
    filler: Vec<u8>,
    frame: Vec<u8>,
    /// Transport header and payload of the innermost packet.
    body: Vec<u8>,
    /// The IP packet that a tunnel carries.
    inner: Vec<u8>,
}

impl Framer {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let filler = (0..payload::FILLER_BYTES / 8).flat_map(|_| dice.u64().to_le_bytes()).collect();
        Self { filler, frame: Vec::new(), body: Vec::new(), inner: Vec::new() }
    }

    /// The frame of a piece, tagged with these VLAN ids from the outside.
    pub(super) fn frame(&mut self, packet: &Packet, piece: Piece, vlans: &[u16]) -> &[u8] {
        self.body.clear();
        transport(packet, &self.filler, &mut self.body);
        let body = self.body.get(piece.at as usize..(piece.at + piece.bytes) as usize).unwrap_or_default();
        let (src, dst) = packet.outer();
        self.frame.clear();
        ethernet(src, vlans, &mut self.frame);
        let header = Ip { src: packet.src, dst: packet.dst, ttl: packet.ttl, salt: packet.salt, protocol: packet.protocol(), piece };
        match &packet.carrier {
            None => ip(&header, body, &mut self.frame),
            Some(carrier) => {
                self.inner.clear();
                ip(&header, body, &mut self.inner);
                self.body.clear();
                let protocol = envelop(carrier, packet, &self.inner, &mut self.body);
                let whole = Piece { at: 0, bytes: 0, more: false };
                ip(&Ip { src, dst, ttl: CARRIER_TTL, salt: packet.salt, protocol, piece: whole }, &self.body, &mut self.frame);
            }
        }
        let least = FRAME_BYTES_MIN as usize + 4 * vlans.len();
        if self.frame.len() < least {
            self.frame.resize(least, 0);
        }
        &self.frame
    }

    /// A frame without IP: ARP's request, or an LLDP announcement.
    pub(super) fn without_ip(&mut self, lldp: bool, vlans: &[u16], salt: u16) -> &[u8] {
        self.frame.clear();
        let [high, low] = salt.to_be_bytes();
        let to = if lldp { [0x01, 0x80, 0xc2, 0, 0, 0x0e] } else { [0xff; 6] };
        self.frame.extend_from_slice(&to);
        self.frame.extend_from_slice(&[0x02, 0, 0, 0, high, low]);
        tags(vlans, &mut self.frame);
        if lldp {
            // Chassis id, port id, time to live, end.
            self.frame
                .extend_from_slice(&[0x88, 0xcc, 0x02, 7, 4, 0x02, 0, 0, 0, high, low, 0x04, 3, 7, b'e', b'1', 0x06, 2, 0, 120, 0, 0]);
        } else {
            self.frame
                .extend_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1, 0x02, 0, 0, 0, high, low, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
            self.frame.extend_from_slice(&[192, 0, high, low]);
        }
        self.frame.resize(FRAME_BYTES_MIN as usize + 4 * vlans.len(), 0);
        &self.frame
    }
}

struct Ip {
    src: IpAddr,
    dst: IpAddr,
    ttl: u8,
    salt: u16,
    protocol: u8,
    piece: Piece,
}

const fn ether_type(address: IpAddr) -> u16 {
    if address.is_ipv4() { IPV4 } else { IPV6 }
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Lengths here are of frames that were made to fit 16 bits.
fn length16(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

fn tags(vlans: &[u16], out: &mut Vec<u8>) {
    for vlan in vlans {
        put16(out, VLAN);
        put16(out, *vlan);
    }
}

/// From one of four upstream routers, by source, to the scrubber's own side.
fn ethernet(src: IpAddr, vlans: &[u16], out: &mut Vec<u8>) {
    let last = match src {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    out.extend_from_slice(&[0x02, 0x54, 0x57, 0, 0, 1, 0x02, 0x54, 0x57, 0, 1, last & 3]);
    tags(vlans, out);
    put16(out, ether_type(src));
}

/// An IP header and what it carries.
fn ip(header: &Ip, body: &[u8], out: &mut Vec<u8>) {
    match (header.src, header.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let at = out.len();
            out.extend_from_slice(&[0x45, 0]);
            put16(out, length16(20 + body.len()));
            put16(out, header.salt);
            let offset = length16((header.piece.at / 8) as usize);
            put16(out, offset | if header.piece.more { 0x2000 } else { 0 });
            out.extend_from_slice(&[header.ttl, header.protocol, 0, 0]);
            out.extend_from_slice(&src.octets());
            out.extend_from_slice(&dst.octets());
            let sum = fold(sum(0, &out[at..]));
            out[at + 10..at + 12].copy_from_slice(&sum.to_be_bytes());
        }
        (src, dst) => {
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            put16(out, length16(body.len()));
            out.extend_from_slice(&[header.protocol, header.ttl]);
            for address in [src, dst] {
                out.extend_from_slice(&v6_octets(address));
            }
        }
    }
    out.extend_from_slice(body);
}

const fn v6_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Transport header and payload, checksum included.
fn transport(packet: &Packet, filler: &[u8], out: &mut Vec<u8>) {
    let checksum_at = match packet.body {
        Body::Tcp { ports, seq, ack, flags, options } => {
            tcp(ports, seq, ack, flags, options, out);
            16
        }
        Body::Udp { ports } => {
            udp(ports, packet.body_bytes() as usize, out);
            6
        }
        Body::Echo { reply, id, seq } => {
            let kind = if packet.src.is_ipv4() { u8::from(!reply) * 8 } else { 128 + u8::from(reply) };
            out.extend_from_slice(&[kind, 0, 0, 0]);
            put16(out, id);
            put16(out, seq);
            2
        }
    };
    payload::write(packet, filler, out);
    let v4_echo = matches!(packet.body, Body::Echo { .. }) && packet.src.is_ipv4();
    let pseudo = if v4_echo { 0 } else { pseudo_header(packet.src, packet.dst, packet.protocol(), out.len()) };
    checksum(out, checksum_at, pseudo);
}

fn tcp(ports: (u16, u16), seq: u32, ack: u32, flags: u8, options: TcpOptions, out: &mut Vec<u8>) {
    put16(out, ports.0);
    put16(out, ports.1);
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend_from_slice(&ack.to_be_bytes());
    let words = u8::try_from(5 + options.bytes() / 4).unwrap_or(5);
    out.extend_from_slice(&[words << 4, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
    let stamp = seq.to_be_bytes();
    match options {
        TcpOptions::None => {}
        TcpOptions::Syn => {
            out.extend_from_slice(&[2, 4, 0x05, 0xb4, 4, 2, 8, 10]);
            out.extend_from_slice(&stamp);
            out.extend_from_slice(&[0, 0, 0, 0, 1, 3, 3, 7]);
        }
        TcpOptions::Stamps => {
            out.extend_from_slice(&[1, 1, 8, 10]);
            out.extend_from_slice(&stamp);
            out.extend_from_slice(&ack.to_be_bytes());
        }
    }
}

fn udp(ports: (u16, u16), bytes: usize, out: &mut Vec<u8>) {
    put16(out, ports.0);
    put16(out, ports.1);
    put16(out, length16(bytes));
    put16(out, 0);
}

/// Puts a tunnel's headers before an IP packet; what stands behind the outer IP header. Gives its protocol.
fn envelop(carrier: &Carrier, packet: &Packet, inner: &[u8], out: &mut Vec<u8>) -> u8 {
    match carrier.tunnel {
        Tunnel::Ipip => {
            out.extend_from_slice(inner);
            if packet.src.is_ipv4() { 4 } else { 41 }
        }
        Tunnel::Gre => {
            put16(out, 0);
            put16(out, ether_type(packet.src));
            out.extend_from_slice(inner);
            47
        }
        Tunnel::Vxlan => {
            udp(packet.vxlan_ports(), 8 + 8 + 14 + inner.len(), out);
            let [high, low] = packet.salt.to_be_bytes();
            out.extend_from_slice(&[0x08, 0, 0, 0, 0, high, low, 0]);
            ethernet(packet.src, &[], out);
            out.extend_from_slice(inner);
            let pseudo = pseudo_header(carrier.src, carrier.dst, UDP, out.len());
            checksum(out, 6, pseudo);
            UDP
        }
    }
}

fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, bytes: usize) -> u64 {
    let addresses = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => sum(sum(0, &src.octets()), &dst.octets()),
        (src, dst) => sum(sum(0, &v6_octets(src)), &v6_octets(dst)),
    };
    addresses + u64::from(protocol) + bytes as u64
}

/// Writes the Internet checksum (RFC 1071) over all of `out`; one that comes out as zero is written as its twin, as UDP wants.
fn checksum(out: &mut [u8], at: usize, pseudo: u64) {
    let value = fold(sum(pseudo, out));
    let value = if value == 0 { 0xffff } else { value };
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// Adds 16-bit words; what is odd at the end counts as if a zero followed. Up to 4 GB before it overflows.
fn sum(start: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut total = words.iter().fold(start, |total, word| total + u64::from(u32::from_be_bytes(*word)));
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total += u64::from(u32::from_be_bytes(last));
    total
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::packet::{Fill, Payload, SYN};
    use super::*;

    #[test]
    fn the_checksum_of_the_rfc() {
        // RFC 1071, section 3: the sum of these words is ddf2.
        assert_eq!(fold(sum(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), !0xddf2);
        assert_eq!(fold(sum(0, &[0x01])), !0x0100);
    }

    #[test]
    fn lengths_foretold_are_the_lengths_made() {
        let mut dice = Dice::new(7, 0);
        let mut framer = Framer::new(&mut dice);
        let addresses = [("198.51.100.1", "198.18.0.1"), ("2400::1", "2001:db8::1")].map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap()));
        let bodies = [
            Body::Tcp { ports: (1, 2), seq: 3, ack: 4, flags: SYN, options: TcpOptions::Syn },
            Body::Udp { ports: (53, 9) },
            Body::Echo { reply: true, id: 1, seq: 2 },
        ];
        let tunnels = [None, Some(Tunnel::Vxlan), Some(Tunnel::Gre), Some(Tunnel::Ipip)];
        for ((src, dst), body) in addresses.iter().flat_map(|pair| bodies.iter().map(move |body| (*pair, *body))) {
            for (tunnel, bytes) in tunnels.iter().flat_map(|tunnel| [0, 1, 40, 1_300, 4_000].map(|bytes| (*tunnel, bytes))) {
                let carrier = tunnel.map(|tunnel| Carrier { tunnel, src, dst });
                let payload = Payload { fill: Fill::Noise, bytes };
                let packet = Packet { src, dst, ttl: 60, body, payload, carrier, only: None, salt: 5 };
                for piece in packet.pieces() {
                    let made = framer.frame(&packet, piece, &[666, 3]).len();
                    assert_eq!(made, packet.wire_bytes(piece) as usize + 8, "{packet:?} {piece:?}");
                }
                assert_eq!(packet.pieces().map(|piece| piece.bytes).sum::<u32>(), packet.body_bytes());
            }
        }
    }
}
