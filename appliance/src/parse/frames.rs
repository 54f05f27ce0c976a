//! Hand-made frames for the tests of each header: outer parts wrap what is inside them.

use super::{DropReason, MirrorPlan, Outcome, Parsed, parse};
use crate::units::LinkType;

/// Source MAC of [`eth`].
pub(super) const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Addresses of [`v4`], one byte more than the last one with each `n`.
pub(super) const NET4: [u8; 3] = [192, 0, 2];

/// Parses Ethernet without a mirror.
pub(super) fn read(frame: &[u8]) -> Outcome {
    parse(frame, LinkType::Ethernet, &MirrorPlan::default())
}

/// Parses what is a packet.
pub(super) fn packet(frame: &[u8]) -> Parsed {
    read(frame).unwrap()
}

/// Why it is none.
pub(super) fn refused(frame: &[u8]) -> DropReason {
    read(frame).unwrap_err()
}

/// All parts, one after the other.
pub(super) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// An Ethernet header.
pub(super) fn eth(kind: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[2, 0, 0, 0, 0, 1], &MAC, &kind.to_be_bytes(), payload])
}

/// A tag behind the type that announces it.
pub(super) fn tag(id: u16, kind: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&(id | 0x6000).to_be_bytes(), &kind.to_be_bytes(), payload])
}

/// Labels, the last of them at the bottom.
pub(super) fn labels(labels: &[u32], payload: &[u8]) -> Vec<u8> {
    let mut stack = Vec::new();
    for (i, label) in labels.iter().enumerate() {
        stack.extend((label << 12 | u32::from(i + 1 == labels.len()) << 8 | 64).to_be_bytes());
    }
    join(&[&stack, payload])
}

/// IPv4 from 192.0.2.n to 192.0.2.(n+1) with TTL 64 and DSCP 10.
pub(super) fn v4(n: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    v4_with(n, protocol, 0, &[], payload)
}

/// The same with a fragment field and options.
pub(super) fn v4_with(n: u8, protocol: u8, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_bytes = 20 + options.len();
    let total = u16::try_from(header_bytes + payload.len()).unwrap().to_be_bytes();
    let [a, b, c] = NET4;
    let first = 0x40 | u8::try_from(header_bytes / 4).unwrap();
    let head = [&[first, 40], &total[..], &[0, 1], &fragment.to_be_bytes(), &[64, protocol, 0, 0, a, b, c, n, a, b, c, n + 1]].concat();
    join(&[&head, options, payload])
}

/// IPv6 from 2001:db8::n to 2001:db8::(n+1) with hop limit 63 and DSCP 46.
pub(super) fn v6(n: u8, next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    join(&[&[0x6B, 0x80, 0, 0], &length, &[next, 63], &address6(n), &address6(n + 1), payload])
}

/// 2001:db8::n.
pub(super) const fn address6(n: u8) -> [u8; 16] {
    [0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n]
}

/// 192.0.2.n as it is kept.
pub(super) const fn address4(n: u8) -> [u8; 16] {
    let [a, b, c] = NET4;
    [a, b, c, n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// UDP from port 1000.
pub(super) fn udp(to: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    join(&[&1000u16.to_be_bytes(), &to.to_be_bytes(), &length, &[0, 0], payload])
}

/// TCP from port 1000 to 443, with options of 4 bytes.
pub(super) fn tcp(flags: u8, payload: &[u8]) -> Vec<u8> {
    join(&[&1000u16.to_be_bytes(), &443u16.to_be_bytes(), &[0, 0, 0, 1, 0, 0, 0, 2, 0x60, flags, 1, 0, 0, 0, 0, 0, 2, 4, 5, 0xB4], payload])
}

/// An inner packet to find: UDP to port 53 from 192.0.2.n.
pub(super) fn inner4(n: u8) -> Vec<u8> {
    v4(n, 17, &udp(53, b"dns"))
}
