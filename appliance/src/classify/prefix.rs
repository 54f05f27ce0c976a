//! Prefixes as numbers.

use ipnet::IpNet;

use crate::arch::cells::VALUE_MAX;
use crate::limits::RANGES_MAX;

const _: () = assert!(RANGES_MAX < VALUE_MAX as usize, "tables hold a range's index and one");

/// An address as a number, its first bit the highest.
pub(super) trait Address: Copy + Ord {
    /// How many bits it has.
    const BITS: u32;
    /// The first one.
    const ZERO: Self;

    /// Up to 16 of its bits from `offset` on; zeros behind its end.
    fn bits(self, offset: u32, count: u32) -> usize;

    /// The last one with the same first bits.
    fn last(self, length: u32) -> Self;

    /// The one behind it, if there is one.
    fn next(self) -> Option<Self>;
}

impl Address for u32 {
    const BITS: Self = Self::BITS;
    const ZERO: Self = 0;

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "at most 16 bits are left")]
    fn bits(self, offset: u32, count: u32) -> usize {
        let left = u64::from(self) << 32 << offset;
        (left >> (u64::BITS - count)) as usize
    }

    fn last(self, length: u32) -> Self {
        self | Self::MAX.checked_shr(length).unwrap_or(0)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Address for u128 {
    const BITS: u32 = Self::BITS;
    const ZERO: Self = 0;

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "at most 16 bits are left")]
    fn bits(self, offset: u32, count: u32) -> usize {
        (self << offset >> (Self::BITS - count)) as usize
    }

    fn last(self, length: u32) -> Self {
        self | Self::MAX.checked_shr(length).unwrap_or(0)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// One prefix, and what it leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix<A> {
    pub(super) bits: A,
    pub(super) length: u32,
    pub(super) index: u32,
}

impl<A: Address> Prefix<A> {
    /// Its last address.
    pub(super) fn last(&self) -> A {
        self.bits.last(self.length)
    }
}

/// Those of IPv4 and those of IPv6, in their order.
pub(super) fn by_family(prefixes: impl IntoIterator<Item = (u32, IpNet)>) -> (Vec<Prefix<u32>>, Vec<Prefix<u128>>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (index, prefix) in prefixes {
        assert!(index < VALUE_MAX, "a configuration has at most RANGES_MAX ranges");
        match prefix {
            IpNet::V4(net) => v4.push(Prefix { bits: u32::from(net.network()), length: u32::from(net.prefix_len()), index }),
            IpNet::V6(net) => v6.push(Prefix { bits: u128::from(net.network()), length: u32::from(net.prefix_len()), index }),
        }
    }
    (v4, v6)
}
