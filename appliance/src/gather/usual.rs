//! Packets of the usual kind, straight into the words of a packed record: see `packed.rs`, which is the definition.

use super::packed::{Form, Layout, NARROW_WORDS, WIDE_WORDS, long_bit, low};
use crate::arch::columns::{Columns, Task};
use crate::limits::BURST_FRAMES_MAX;
use crate::parse::Usual;
use crate::parse::plain::Plain;
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
    let [word, small] = usual_words(usual.ports, usual.payload_bytes, (usual.small, usual.has));
    [usual.addresses, word | wire_word(wire_bytes), small | tag | long_word(wire_bytes)]
}

/// The second and the third word, but for what a tag and the wire say.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
const fn usual_words(ports: u32, payload_bytes: u32, (small, has): (u32, Has)) -> [u64; 2] {
    [ports as u64 | (low(payload_bytes) as u64) << 48, small as u64 | (has.0 as u64) << 32]
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

/// The narrow forms of a burst's IPv4 packets, but for their directions: three words of each.
#[derive(Clone, Debug)]
pub struct Rows {
    /// First words.
    pub addresses: [u64; BURST_FRAMES_MAX],
    /// Second words.
    pub sizes: [u64; BURST_FRAMES_MAX],
    /// Third words.
    pub rest: [u64; BURST_FRAMES_MAX],
}

impl Default for Rows {
    /// Of none.
    fn default() -> Self {
        let none = [0; BURST_FRAMES_MAX];
        Self { addresses: none, sizes: none, rest: none }
    }
}

impl Rows {
    /// Of one more.
    #[inline]
    pub const fn put(&mut self, at: usize, [one, two, three]: [u64; NARROW_WORDS]) {
        (self.addresses[at], self.sizes[at], self.rest[at]) = (one, two, three);
    }

    /// With these directions.
    #[inline]
    pub const fn row(&self, at: usize, directions: u64) -> (u64, u64, u64) {
        (self.addresses[at], self.sizes[at], self.rest[at] | directions)
    }
}

/// Reads the plainest frames of a burst at once, and packs them.
pub struct Reading<'a> {
    /// What the frames say.
    pub plain: &'a Plain,
    /// Where records go, of those that are taken; of others stands anything.
    pub rows: &'a mut Rows,
    /// See [`crate::parse::MirrorPlan::reads_options`].
    pub reads_options: bool,
    /// What the mirror added to each frame.
    pub added_bytes: u32,
    /// Of all, see [`tag_word`].
    pub tag: u64,
}

impl Task for Reading<'_> {
    /// The frames that are taken, a bit each, and their bytes on the wire without what the mirror added.
    type Out = (u64, u64);

    #[inline(always)]
    fn run<C: Columns>(self, columns: C) -> (u64, u64) {
        let Self { plain, rows, reads_options, added_bytes, tag } = self;
        let (mut taken, mut bytes) = ([0_u8; BURST_FRAMES_MAX], 0);
        for (at, taken) in taken.iter_mut().enumerate() {
            let (said, wire_bytes) = (plain.said(at, reads_options), plain.wire_bytes[at].saturating_sub(added_bytes));
            let is_taken = said.is_taken & is_narrow(wire_bytes, said.payload_bytes);
            let [word, small] = usual_words(said.ports, said.payload_bytes, (said.small, said.has));
            (rows.sizes[at], rows.rest[at]) = (word | wire_word(wire_bytes), small | tag | long_word(wire_bytes));
            *taken = u8::from(is_taken);
            bytes += if is_taken { u64::from(wire_bytes) } else { 0 };
        }
        rows.addresses = plain.addresses;
        (columns.at_least(&taken, 1), bytes)
    }
}

/// Whether the narrow form holds an IPv4 packet of these lengths.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
const fn is_narrow(wire_bytes: u32, payload_bytes: u32) -> bool {
    (wire_bytes >> 1 | payload_bytes) >> 16 == 0
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
        let [word, small] = usual_words(usual.ports, usual.payload_bytes, (usual.small, usual.has));
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
        if !usual.is_v6() && is_narrow(wire_bytes, usual.payload_bytes) { Form::Narrow } else { Form::Wide }
    }
}
