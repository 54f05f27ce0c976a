//! Whose frames of the usual kind are: by their addresses alone, a burst at once.

use super::{Generation, Verdicts, length};
use crate::config::LengthFrom;
use crate::limits::BURST_FRAMES_MAX;
use crate::parse::Usual;
use crate::record::Has;
use crate::rx::Frame;

/// Addresses of a burst, those of IPv4 as numbers.
#[derive(Clone, Copy, Debug)]
pub struct Sides {
    /// Sources.
    pub src: [u32; BURST_FRAMES_MAX],
    /// Destinations.
    pub dst: [u32; BURST_FRAMES_MAX],
}

impl Sides {
    /// Of a frame, as they stand in an IPv4 header, the source first.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each half is asked for")]
    pub const fn put(&mut self, at: usize, addresses: u64) {
        let numbers = addresses.swap_bytes();
        (self.src[at], self.dst[at]) = ((numbers >> 32) as u32, numbers as u32);
    }

    /// Of all frames of a burst.
    pub fn put_all(&mut self, addresses: &[u64; BURST_FRAMES_MAX]) {
        addresses.iter().enumerate().for_each(|(at, addresses)| self.put(at, *addresses));
    }
}

/// IPv6 addresses that are best asked together.
const ASKED_TOGETHER: usize = 16;

/// IPv6 addresses of a burst, one behind the other: few bursts have any.
#[derive(Clone, Debug)]
pub struct LongSides {
    count: usize,
    /// Places of their frames in the burst.
    at: [u8; BURST_FRAMES_MAX],
    src: [[u8; 16]; BURST_FRAMES_MAX],
    dst: [[u8; 16]; BURST_FRAMES_MAX],
}

impl Default for LongSides {
    fn default() -> Self {
        let none = [[0; 16]; BURST_FRAMES_MAX];
        Self { count: 0, at: [0; BURST_FRAMES_MAX], src: none, dst: none }
    }
}

impl LongSides {
    /// Another burst begins.
    pub const fn clear(&mut self) {
        self.count = 0;
    }

    /// Whether no frame has such addresses.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Of a frame, as they stand in an IPv6 header, the source first. A burst has each place once.
    pub fn put(&mut self, at: u8, addresses: &[u8; 32]) {
        let ([src, dst], _) = addresses.as_chunks() else { return };
        if let (Some(own_at), Some(own_src), Some(own_dst)) =
            (self.at.get_mut(self.count), self.src.get_mut(self.count), self.dst.get_mut(self.count))
        {
            (*own_at, *own_src, *own_dst) = (at, *src, *dst);
            self.count += 1;
        }
    }

    fn places(&self) -> &[u8] {
        &self.at[..self.count]
    }
}

/// Ranges of a burst's addresses, as [`Lpm::find_v4`] tells them; none: [`Self::NONE`].
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Of sources, if packets that come from a range are observed.
    pub src: [u32; BURST_FRAMES_MAX],
    /// Of destinations, if packets that go to a range are.
    pub dst: [u32; BURST_FRAMES_MAX],
}

impl Found {
    /// No range.
    pub const NONE: u32 = 0;

    /// Ranges of a frame as [`Generation::classify`] tells them: the first, with the frame's directions there, and the other one
    /// that it comes from. Either may be none; the first is that only where both are.
    #[inline]
    pub const fn hits(&self, at: usize) -> (u32, Has, u32) {
        let (to, from) = (self.dst[at], self.src[at]);
        let first = if to == Self::NONE { from } else { to };
        let ingress = if to == Self::NONE { 0 } else { Has::INGRESS.0 };
        let (egress, second) = if from == first { (Has::EGRESS.0, Self::NONE) } else { (0, from) };
        (first, Has(ingress | if from == Self::NONE { 0 } else { egress }), second)
    }
}

impl Generation {
    /// What a core remembers of the tag rules.
    pub fn verdicts(&self) -> Verdicts {
        Verdicts::new(&self.rules, &self.links)
    }

    /// Whether a frame's length is its own, not what its IP header says.
    #[inline]
    pub fn measures_frames(&self) -> bool {
        self.length == LengthFrom::Frame
    }

    /// Whether frames of the usual kind can be told whose they are by their addresses alone.
    #[inline]
    pub const fn is_plain(&self) -> bool {
        self.domains.are_none()
    }

    /// Bytes on the wire of a frame of the usual kind, and whether they should have come from its IP header, but could not.
    #[inline]
    pub fn wire_bytes(&self, frame: &Frame<'_>, usual: &Usual, added_bytes: u32) -> (u32, bool) {
        let claims = length::Claims { stripped_bytes: 0, link_bytes: usual.link_bytes, ip_bytes: usual.ip_bytes };
        length::wire_bytes(self.length, frame, &claims, added_bytes)
    }

    /// Ranges of the first so many IPv4 addresses. What is not observed is left out, so it need not be known.
    #[inline]
    pub fn find_v4(&self, count: usize, of: &Sides, found: &mut Found) {
        let lpm = self.domains.common();
        for (direction, of, found) in [(Has::INGRESS, &of.dst, &mut found.dst), (Has::EGRESS, &of.src, &mut found.src)] {
            let count = count.min(BURST_FRAMES_MAX);
            if self.observed.all(direction) {
                lpm.find_v4(&of[..count], &mut found[..count]);
            } else {
                found.fill(Found::NONE);
            }
        }
        if self.scopes.part() {
            (0..count.min(BURST_FRAMES_MAX)).for_each(|at| self.part(at, found));
        }
    }

    /// A packet between two ranges: the one that it comes from counts it apart, where roll-ups ask for it.
    #[inline]
    fn part(&self, at: usize, found: &mut Found) {
        let (from, to) = (found.src[at], found.dst[at]);
        if from != Found::NONE && to != Found::NONE && from != to {
            found.src[at] = self.scopes.source(from - 1, to - 1) + 1;
        }
    }

    /// Ranges of a burst's IPv6 frames.
    pub fn find_v6(&self, of: &LongSides, found: &mut Found) {
        let lpm = self.domains.common();
        let (places, mut ranges) = (of.places(), [Found::NONE; BURST_FRAMES_MAX]);
        // Whole vectors: what is asked too much is of an earlier burst, and nobody looks at it.
        let asked = places.len().next_multiple_of(ASKED_TOGETHER).min(BURST_FRAMES_MAX);
        let ranges = &mut ranges[..asked];
        for (direction, of, found) in [(Has::INGRESS, &of.dst, &mut found.dst), (Has::EGRESS, &of.src, &mut found.src)] {
            if self.observed.all(direction) {
                lpm.find_v6(&of[..asked], ranges);
            } else {
                ranges.fill(Found::NONE);
            }
            places.iter().zip(&*ranges).for_each(|(at, range)| found[usize::from(*at)] = *range);
        }
        if self.scopes.part() {
            places.iter().for_each(|at| self.part(usize::from(*at), found));
        }
    }
}
