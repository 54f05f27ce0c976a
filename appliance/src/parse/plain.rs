//! The plainest frames of a burst, all at once: Ethernet without tags, IPv4 without options, and TCP, UDP or ICMP whole.
//!
//! What they say stands at the same bytes of each. So it is put beside each other first, and then asked in columns: a step of the
//! loop reads eight or sixteen frames. [`Usual`] is the definition; a frame that is not taken here may still be a usual one.

use super::upper::number;
use super::{Usual, udp};
use crate::limits::BURST_FRAMES_MAX;
use crate::record::Has;

/// Bytes of a frame that are looked at: an Ethernet, an IPv4 and a TCP header.
pub const PLAIN_BYTES: usize = LINK_BYTES as usize + 40;
const LINK_BYTES: u32 = 14;
const V4_BYTES: u32 = 20;
/// EtherType, version and header length of what is taken, as they stand.
const V4_HEAD: u32 = 0x45_0008;
const V4_HEAD_MASK: u32 = 0x00FF_FFFF;
/// More fragments, and offset.
const FRAGMENT_MASK: u32 = 0xFF3F;

type Column = [u32; BURST_FRAMES_MAX];

/// What stands at the same bytes of frames, in the order of the bytes.
#[derive(Clone, Debug)]
pub struct Plain {
    /// From the EtherType on; of a frame that is not looked at, zero.
    heads: Column,
    /// From the IP packet's length on.
    lengths: Column,
    /// From the fragment's offset on.
    lives: Column,
    /// Both addresses.
    pub addresses: [u64; BURST_FRAMES_MAX],
    ports: Column,
    /// From behind the ports on.
    behind_ports: Column,
    /// From TCP's data offset on.
    offsets: Column,
    /// Of each frame, bytes on the wire.
    pub wire_bytes: Column,
}

/// What they say, as a packed record has it: see [`Usual`].
#[derive(Clone, Copy, Debug)]
pub struct Said {
    /// Whether it is a frame that is taken.
    pub is_taken: bool,
    /// See [`Usual::ports`].
    pub ports: u32,
    /// See [`Usual::small`].
    pub small: u32,
    /// See [`Usual::has`].
    pub has: Has,
    /// See [`Usual::payload_bytes`].
    pub payload_bytes: u32,
}

impl Default for Plain {
    /// Of no frames.
    fn default() -> Self {
        let (none, addresses) = ([0; BURST_FRAMES_MAX], [0; BURST_FRAMES_MAX]);
        let (heads, lengths, lives, ports) = (none, none, none, none);
        Self { heads, lengths, lives, addresses, ports, behind_ports: none, offsets: none, wire_bytes: none }
    }
}

impl Plain {
    /// Puts a frame beside the others; false if it cannot be taken: it lacks bytes, or is not IPv4 without tags.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "its loop does little else")]
    pub fn put(&mut self, at: usize, frame: &[u8], wire_bytes: u32) -> bool {
        let (Some(f), true) = (frame.first_chunk::<PLAIN_BYTES>(), wire_bytes as usize >= frame.len()) else {
            self.heads[at] = 0;
            return false;
        };
        let word = |from: usize| u32::from_le_bytes([f[from], f[from + 1], f[from + 2], f[from + 3]]);
        self.heads[at] = word(12);
        if self.heads[at] & V4_HEAD_MASK != V4_HEAD {
            return false;
        }
        (self.lengths[at], self.lives[at]) = (word(16), word(20));
        self.addresses[at] = u64::from(word(26)) | u64::from(word(30)) << 32;
        (self.ports[at], self.behind_ports[at], self.offsets[at]) = (word(34), word(38), word(46));
        self.wire_bytes[at] = wire_bytes;
        true
    }

    /// There are so many frames: none stands behind them.
    pub fn end(&mut self, count: usize) {
        self.heads[count.min(BURST_FRAMES_MAX)..].fill(0);
    }

    /// What one frame says: to be asked of all, one behind the other.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "lanes ask it of many at once")]
    pub fn said(&self, at: usize, reads_options: bool) -> Said {
        let (head, life, offset) = (self.heads[at], self.lives[at], self.offsets[at]);
        let (ttl, protocol) = (life >> 16 & 0xFF, life >> 24);
        let (is_tcp, is_udp) = (protocol == number::TCP as u32, protocol == number::UDP as u32);
        let is_icmp = (protocol == number::ICMP as u32) | (protocol == number::ICMPV6 as u32);
        let tcp_bytes = (offset & 0xF0) >> 2;
        let (least, behind) = if is_tcp { (20, tcp_bytes) } else { (8, 8) };
        let body = turned(self.lengths[at]).wrapping_sub(V4_BYTES);
        let is_there = (body <= self.wire_bytes[at].wrapping_sub(LINK_BYTES + V4_BYTES)) & (body >= least);
        // Both ports as numbers, the source's below.
        let ports = (self.ports[at] & 0x00FF_00FF) << 8 | self.ports[at] >> 8 & 0x00FF_00FF;
        let udp_bytes = turned(self.behind_ports[at]);
        let tcp = is_tcp & (tcp_bytes >= 20) & ((tcp_bytes == 20) | !reads_options);
        let udp = is_udp & ((udp_bytes == 0) | (udp_bytes >= 8)) & !udp::is_tunnel((ports >> 16) as u16);
        let flags = if is_tcp { offset >> 8 & 0xFF } else { 0 };
        let upper = if is_icmp { Has::ICMP.0 } else { Has::PORTS.0 } | if is_tcp { Has::TCP_FLAGS.0 } else { 0 };
        let is_whole = (head & V4_HEAD_MASK == V4_HEAD) & (life & FRAGMENT_MASK == 0);
        Said {
            is_taken: is_whole & is_there & (tcp | udp | is_icmp),
            ports: if is_icmp { ports & 0xFFFF } else { ports },
            small: protocol | ttl << 8 | flags << 16 | head >> 26 << 24,
            has: Has(Has::MAC.0 | upper),
            payload_bytes: body.saturating_sub(behind),
        }
    }
}

/// The number whose bytes stand first in a word, the greater one first.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
const fn turned(word: u32) -> u32 {
    (word & 0xFF) << 8 | word >> 8 & 0xFF
}

impl Usual {
    /// A frame of which nothing is told but that it is untagged.
    pub const UNTAGGED: Self =
        Self { link_bytes: LINK_BYTES, vlans: [0; 2], has: Has::MAC, addresses: 0, small: 0, ports: 0, ip_bytes: 0, payload_bytes: 0 };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "dice")]
    use super::*;
    use crate::arch::hash::spread;

    /// Frames of which each byte that matters is often what is usual, and often not: what is taken is what [`Usual`] reads.
    #[test]
    fn what_is_taken_is_what_a_usual_frame_says() {
        let (mut plain, mut taken) = (Plain::default(), 0);
        for n in 0..if cfg!(miri) { 500 } else { 200_000_u64 } {
            let dice = |i: u64| spread(n * 97 + i);
            let mut frame: Vec<u8> = (0..54 + dice(1) % 20).map(|i| dice(100 + i).to_le_bytes()[0]).collect();
            let mut set = |at: usize, values: &[u8]| {
                let pick = dice(at as u64 + 200);
                if !pick.is_multiple_of(16) {
                    frame[at] = values[(pick >> 8) as usize % values.len()];
                }
            };
            [(12, 8), (13, 0), (14, 0x45), (16, 0), (20, 0), (21, 0), (38, 0)].iter().for_each(|(at, value)| set(*at, &[*value]));
            set(17, &[28, 40, 44, 46, 27, 60]);
            set(20, &[0, 0x40]);
            set(23, &[1, 6, 17, 58, 47]);
            set(36, &[0, 8, 18]);
            set(39, &[0, 8, 7, 26, 200]);
            set(46, &[0x50, 0x60, 0x40]);
            let (wire, at) = (u32::try_from(frame.len()).unwrap() + (dice(3) % 3) as u32, n as usize % BURST_FRAMES_MAX);
            let reads_options = dice(4).is_multiple_of(2);
            let is_put = plain.put(at, &frame, wire);
            let (said, usual) = (plain.said(at, reads_options), Usual::read(&frame, wire, reads_options));
            assert!(is_put || !said.is_taken);
            let usual = usual.filter(|usual| usual.vlans == [0; 2] && !usual.is_v6());
            assert_eq!(said.is_taken, usual.is_some(), "{frame:?}");
            let Some(usual) = usual else { continue };
            let have = (plain.addresses[at], said.ports, said.small, said.has, said.payload_bytes);
            assert_eq!(have, (usual.addresses, usual.ports, usual.small, usual.has, usual.payload_bytes), "{frame:?}");
            taken += 1;
        }
        assert!(taken > n_least(), "{taken}");
    }

    const fn n_least() -> u32 {
        if cfg!(miri) { 10 } else { 20_000 }
    }
}
