//! Packets of the usual kind, straight into the words of a packed record: see `packed.rs`, which is the definition.

use super::packed::{Form, Layout, NARROW_WORDS, WIDE_WORDS, joined, long_bit, low};
use crate::parse::Usual;
use crate::record::Has;

/// A record that is being packed.
#[derive(Clone, Copy, Debug)]
pub struct Words(pub [u64; Layout::WORDS_MAX]);

impl Words {
    /// Of an IPv4 packet, whose addresses are the eight bytes from `addresses` on.
    #[inline]
    pub const fn v4(&mut self, usual: &Usual, addresses: &[u8; 8]) {
        self.0[0] = u64::from_le_bytes(*addresses);
        self.common(usual);
    }

    /// Of an IPv6 packet: addresses as they stand in its header, the source first.
    #[inline]
    pub fn v6(&mut self, usual: &Usual, addresses: &[u8; 32]) {
        let quarter = |at: usize| addresses.get(4 * at..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_le_bytes(*four));
        let word = |at: usize| u64::from(quarter(at)) | u64::from(quarter(at + 4)) << 32;
        (self.0[0], self.0[3], self.0[4], self.0[5]) = (word(0), word(1), word(2), word(3));
        self.common(usual);
    }

    #[inline]
    const fn common(&mut self, usual: &Usual) {
        self.0[1] = joined([usual.src_port, usual.dst_port, 0, low(usual.payload_bytes)]);
        let small = u32::from_le_bytes([usual.protocol, usual.ttl, usual.tcp_flags, usual.dscp]);
        self.0[2] = small as u64 | (usual.has.0 as u64) << 32;
    }

    /// Adds what its tag says of it.
    #[inline]
    pub const fn tag(&mut self, has: Has, wire_bytes: u32, weight: u16) {
        self.0[1] |= (low(wire_bytes) as u64) << 32;
        self.0[2] |= ((has.0 | long_bit(wire_bytes)) as u64) << 32 | (weight as u64) << 48;
    }

    /// Adds what the wide form has beside the narrow one, but for addresses.
    #[inline]
    pub const fn widen(&mut self, usual: &Usual, wire_bytes: u32) {
        if !usual.is_v6 {
            (self.0[3], self.0[4], self.0[5]) = (0, 0, 0);
        }
        self.0[WIDE_WORDS - 1] = (wire_bytes >> 16) as u64 | ((usual.payload_bytes >> 16) as u64) << 16;
    }

    /// Where extras stand.
    #[inline]
    pub fn extras(&mut self, layout: &Layout, form: Form) -> &mut [u64] {
        let head = if form == Form::Narrow { NARROW_WORDS } else { WIDE_WORDS };
        &mut self.0[head..layout.words(form)]
    }

    /// Whether its addresses are IPv6.
    #[inline]
    pub const fn is_v6(&self) -> bool {
        self.0[2] >> 32 & Has::V6.0 as u64 != 0
    }

    /// As the range of this direction sees it.
    #[inline]
    #[must_use]
    pub const fn towards(mut self, direction: Has) -> Self {
        self.0[2] |= (direction.0 as u64) << 32;
        self
    }

    /// The narrow form.
    #[inline]
    pub const fn narrow(&self, direction: Has) -> [u64; NARROW_WORDS] {
        [self.0[0], self.0[1], self.0[2] | (direction.0 as u64) << 32]
    }

    /// The form of a packet.
    #[inline]
    pub const fn form(usual: &Usual, wire_bytes: u32) -> Form {
        if usual.is_v6 || (wire_bytes >> 1 | usual.payload_bytes) >> 16 != 0 { Form::Wide } else { Form::Narrow }
    }
}
