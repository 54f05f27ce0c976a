//! What of a frame is the same in both copies of a packet, and tells it from every other packet.
//!
//! In: the IPv4 header's length, total length, identification, fragment field, protocol and addresses; the IPv6 header's flow label,
//! payload length, next header and addresses; and up to 20 bytes behind the header: all of a TCP header (ports, sequence and
//! acknowledgement number, checksum), UDP's with its checksum and twelve bytes. Out: the link layer and tags (switches and scrubbers
//! change them), TTL and hop limit (a router on the way takes one), the header checksum that follows from it, DSCP and ECN (re-marked at
//! borders), IPv4 options (filled in on the way).
//!
//! Not looked at: IPv4 packets that are no TCP and have the identification 0 (RFC 6864 lets atomic datagrams have it: then two that say the
//! same are not told from one seen twice); what has fewer than eight bytes behind its header; frames without an IP header behind Ethernet
//! and VLAN tags.

use crate::arch::HashKey;
use crate::limits::VLAN_TAGS_MAX;
use crate::units::LinkType;

/// Bytes behind the IP header.
const BEHIND: usize = 20;
const BEHIND_MIN: usize = 8;
const V4: usize = 20;
const V6: usize = 40;
const TCP: u8 = 6;
/// Parts of the destinations, each by a keyed hash: see [`super::pairs`].
pub const PARTS: u8 = 16;

/// A packet as both copies show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Of what is the same.
    pub hash: u64,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Which part of the destinations its /24 or /48 is in.
    pub part: u8,
}

/// What is seen of a frame; none: it is not looked at, or its hash is not below `limit`.
#[inline]
pub fn sight(bytes: &[u8], link: LinkType, key: &HashKey, limit: u64) -> Option<Sight> {
    let ip = bytes.get(ip_at(bytes, link)?..)?;
    let mut same = [0; V6 + BEHIND];
    let (len, header, ttl, network) = match ip.first()? >> 4 {
        4 => v4(ip, &mut same)?,
        6 => v6(ip, &mut same)?,
        _ => return None,
    };
    let behind = ip.get(header.0..header.1.min(header.0 + BEHIND).min(ip.len()))?;
    if behind.len() < BEHIND_MIN {
        return None;
    }
    same.get_mut(len..len + behind.len())?.copy_from_slice(behind);
    let hash = key.hash(same.get(..len + behind.len())?);
    if hash >= limit {
        return None;
    }
    let part = u8::try_from(key.hash(same.get(network.0..network.1)?) >> 60).unwrap_or(0);
    Some(Sight { hash, ttl, part })
}

/// Bytes copied, the payload's bounds, TTL, where the destination's network stands.
type Header = (usize, (usize, usize), u8, (usize, usize));

#[inline]
fn v4(ip: &[u8], same: &mut [u8; V6 + BEHIND]) -> Option<Header> {
    let header: &[u8; V4] = ip.first_chunk()?;
    let [first, _, length_high, length_low, id_high, id_low, _, _, ttl, protocol, ..] = *header;
    if protocol != TCP && id_high == 0 && id_low == 0 {
        return None;
    }
    same[..V4].copy_from_slice(header);
    // DSCP and ECN, TTL, checksum.
    (same[1], same[8], same[10], same[11]) = (0, 0, 0, 0);
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    Some((V4, (usize::from(first & 15) * 4, length), ttl, (16, 19)))
}

#[inline]
fn v6(ip: &[u8], same: &mut [u8; V6 + BEHIND]) -> Option<Header> {
    let header: &[u8; V6] = ip.first_chunk()?;
    same[..V6].copy_from_slice(header);
    // Traffic class, hop limit.
    (same[0], same[1], same[7]) = (0x60, same[1] & 15, 0);
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    Some((V6, (V6, V6 + length), header[7], (24, 30)))
}

/// Where the IP header stands, behind Ethernet and VLAN tags.
#[inline]
fn ip_at(bytes: &[u8], link: LinkType) -> Option<usize> {
    match link {
        LinkType::RawIp => return Some(0),
        LinkType::Ethernet => {}
        _ => return None,
    }
    let mut at = 12;
    for _ in 0..=VLAN_TAGS_MAX {
        match bytes.get(at..at + 2)? {
            [0x08, 0x00] | [0x86, 0xDD] => return Some(at + 2),
            [0x81, 0x00] | [0x88, 0xA8] | [0x91, 0x00] => at += 4,
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
#[path = "sight_tests.rs"]
mod tests;
