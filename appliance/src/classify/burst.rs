//! A burst's addresses, looked up together: waiting for the memory of all costs little more than waiting for one's.

use super::{Generation, Lpm};
use crate::config::KeysFrom;
use crate::parse::{IpHeader, Parsed};
use crate::units::RangeIndex;

/// Packets that are looked up together: two addresses each.
const PACKETS: usize = crate::arch::cells::BURST_MAX / 2;

/// What the ranges without a domain say of one packet: of source and destination of the header that is asked first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    src: u32,
    dst: u32,
}

impl Known {
    pub(super) const fn sides(self) -> (Option<RangeIndex>, Option<RangeIndex>) {
        (Lpm::range(self.src), Lpm::range(self.dst))
    }
}

/// Addresses of one family, and whose they are.
struct Asked<A> {
    addresses: [A; 2 * PACKETS],
    whose: [u8; PACKETS],
    packets: usize,
}

impl<A: Copy + Default> Asked<A> {
    fn new() -> Self {
        Self { addresses: [A::default(); 2 * PACKETS], whose: [0; PACKETS], packets: 0 }
    }

    fn push(&mut self, at: usize, src: A, dst: A) {
        let n = self.packets;
        let (Ok(whose), true) = (u8::try_from(at), n < PACKETS) else { return };
        (self.addresses[2 * n], self.addresses[2 * n + 1], self.whose[n]) = (src, dst, whose);
        self.packets += 1;
    }

    fn find(&self, find: impl FnOnce(&[A], &mut [u32]), known: &mut [Known]) {
        let (mut found, n) = ([0; 2 * PACKETS], self.packets);
        if n == 0 {
            return;
        }
        // Whole vectors are faster than what ends within one.
        let count = (2 * n).next_multiple_of(16).min(2 * PACKETS);
        find(&self.addresses[..count], &mut found[..count]);
        for (whose, [src, dst]) in self.whose[..n].iter().zip(found.as_chunks::<2>().0) {
            if let Some(known) = known.get_mut(usize::from(*whose)) {
                *known = Known { src: *src, dst: *dst };
            }
        }
    }
}

impl Generation {
    /// Looks a burst up, as far as that can be done before tags are read, for [`Self::classify_known`]; of as many packets as
    /// there is room for.
    pub fn look_up<'a>(&self, packets: impl IntoIterator<Item = &'a Parsed>, known: &mut [Known]) {
        let mut packets = packets.into_iter();
        for known in known.chunks_mut(PACKETS) {
            let (mut v4, mut v6) = (Asked::<u32>::new(), Asked::<[u8; 16]>::new());
            for (at, parsed) in packets.by_ref().take(known.len()).enumerate() {
                match parsed.headers().get(self.first_asked(parsed.headers())) {
                    Some(header) if header.v6 => v6.push(at, header.src, header.dst),
                    Some(header) => v4.push(at, number(&header.src), number(&header.dst)),
                    None => {}
                }
            }
            v4.find(|addresses, found| self.lpm().find_v4(addresses, found), known);
            v6.find(|addresses, found| self.lpm().find_v6(addresses, found), known);
        }
    }

    /// The header whose addresses are looked up first.
    #[inline]
    pub(super) const fn first_asked(&self, headers: &[IpHeader]) -> usize {
        match self.keys_from {
            KeysFrom::Innermost => headers.len().saturating_sub(1),
            KeysFrom::Outermost | KeysFrom::Matched => 0,
        }
    }
}

/// An IPv4 address stands in the first four bytes.
#[inline]
const fn number(address: &[u8; 16]) -> u32 {
    let [a, b, c, d, ..] = *address;
    u32::from_be_bytes([a, b, c, d])
}
