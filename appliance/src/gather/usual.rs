//! Packets of the usual kind, straight into the words of a packed record: see `packed.rs`, which is the definition.

use super::packed::{Form, Layout, NARROW_WORDS, WIDE_WORDS, long_bit, low};
use crate::parse::Usual;
use crate::record::Has;

/// Adds what a tag says of a record to its third word.
#[inline]
pub const fn tag_word(has: Has, weight: u16) -> u64 {
    (has.0 as u64) << 32 | (weight as u64) << 48
}

/// What tells a narrow record's direction, in its third word.
#[inline]
pub const fn direction_word(direction: Has) -> u64 {
    (direction.0 as u64) << 32
}

/// The narrow form of an IPv4 packet, but for its direction; `tag` is [`tag_word`]'s.
#[inline(always)]
#[allow(clippy::inline_always, reason = "its result is stored at once")]
pub const fn narrow(usual: &Usual, wire_bytes: u32, tag: u64) -> [u64; NARROW_WORDS] {
    let [word, small] = usual_words(usual);
    [usual.addresses, word | wire_word(wire_bytes), small | tag | long_word(wire_bytes)]
}

/// The second and the third word, but for what a tag and the wire say.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
const fn usual_words(usual: &Usual) -> [u64; 2] {
    [usual.ports as u64 | (low(usual.payload_bytes) as u64) << 48, usual.small as u64 | (usual.has.0 as u64) << 32]
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
const fn wire_word(wire_bytes: u32) -> u64 {
    (low(wire_bytes) as u64) << 32
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
const fn long_word(wire_bytes: u32) -> u64 {
    (long_bit(wire_bytes) as u64) << 32
}

/// A record that is being packed.
#[derive(Clone, Copy, Debug)]
pub struct Words(pub [u64; Layout::WORDS_MAX]);

impl Words {
    /// Of an IPv4 packet.
    #[inline]
    pub const fn v4(&mut self, usual: &Usual) {
        self.0[0] = usual.addresses;
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
        let [word, small] = usual_words(usual);
        (self.0[1], self.0[2]) = (word, small);
    }

    /// Adds what its tag says of it.
    #[inline]
    pub const fn tag(&mut self, wire_bytes: u32, tag: u64) {
        self.0[1] |= wire_word(wire_bytes);
        self.0[2] |= tag | long_word(wire_bytes);
    }

    /// Adds what the wide form has beside the narrow one, but for addresses.
    #[inline]
    pub const fn widen(&mut self, usual: &Usual, wire_bytes: u32) {
        if !usual.is_v6() {
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

    /// As the range of a direction sees it: `direction` is [`direction_word`]'s.
    #[inline]
    #[must_use]
    pub const fn towards(mut self, direction: u64) -> Self {
        self.0[2] |= direction;
        self
    }

    /// The form of a packet.
    #[inline]
    pub const fn form(usual: &Usual, wire_bytes: u32) -> Form {
        if usual.is_v6() || (wire_bytes >> 1 | usual.payload_bytes) >> 16 != 0 { Form::Wide } else { Form::Narrow }
    }
}
