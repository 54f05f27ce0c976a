//! Whose frames of the usual kind are: by their addresses alone, a burst at once.

use super::{Generation, Hit, Verdicts, length};
use crate::limits::BURST_FRAMES_MAX;
use crate::parse::Usual;
use crate::record::Has;
use crate::rx::Frame;
use crate::units::{Family, RangeIndex};

/// Addresses of a burst, those of IPv4 as numbers.
#[derive(Clone, Copy, Debug)]
pub struct Sides {
    /// Sources.
    pub src: [u32; BURST_FRAMES_MAX],
    /// Destinations.
    pub dst: [u32; BURST_FRAMES_MAX],
}

/// Ranges of a burst's addresses; none: [`Self::NONE`].
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Of sources, if packets that come from a range are observed.
    pub src: [u32; BURST_FRAMES_MAX],
    /// Of destinations, if packets that go to a range are.
    pub dst: [u32; BURST_FRAMES_MAX],
}

impl Found {
    /// No range.
    pub const NONE: u32 = u32::MAX;

    /// Ranges of a frame as [`Generation::classify`] tells them: the first, with its direction, and the other one that it comes
    /// from. The first is [`Self::NONE`] if there is none.
    #[inline]
    pub const fn ranges(&self, at: usize) -> (Hit, u32) {
        let (to, from) = (self.dst[at], self.src[at]);
        if to == Self::NONE {
            let direction = if from == Self::NONE { Has(0) } else { Has::EGRESS };
            return (Hit { range: RangeIndex(from), direction }, Self::NONE);
        }
        if to == from {
            return (Hit { range: RangeIndex(to), direction: Has::INGRESS.with(Has::EGRESS, true) }, Self::NONE);
        }
        (Hit { range: RangeIndex(to), direction: Has::INGRESS }, from)
    }
}

impl Generation {
    /// What a core remembers of the tag rules.
    pub fn verdicts(&self) -> Verdicts {
        Verdicts::new(&self.rules)
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
            let is_observed = self.observed.all(direction);
            for (address, found) in of.iter().zip(found).take(count) {
                *found = if is_observed { lpm.lookup_v4(*address).map_or(Found::NONE, |range| range.0) } else { Found::NONE };
            }
        }
    }

    /// Ranges of one frame's IPv6 addresses.
    pub fn find_v6(&self, at: usize, header: &[u8], found: &mut Found) {
        let lpm = self.domains.common();
        let side = |direction: Has, from: usize| {
            let address = header.get(from..).and_then(|rest| rest.first_chunk()).filter(|_| self.observed.all(direction));
            address.and_then(|address| lpm.lookup(Family::V6, address)).map_or(Found::NONE, |range| range.0)
        };
        (found.src[at], found.dst[at]) = (side(Has::EGRESS, 8), side(Has::INGRESS, 24));
    }
}
