//! The words that every room uses: families, decisions, directions, indices.
//!
//! Small `Copy` types only; nothing here knows a packet, a file or a clock.

/// Address family of an IP header, of a range and of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4: addresses are 4 bytes.
    V4,
    /// IPv6: addresses are 16 bytes.
    V6,
}

impl Family {
    /// Bytes of an address.
    pub const fn address_bytes(self) -> usize {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }
}

/// Position of a range in its generation's table. Ranges are sorted by family, prefix and
/// domain, so indices are too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RangeIndex(pub u32);

impl RangeIndex {
    /// As an index into a table.
    pub const fn at(self) -> usize {
        self.0 as usize
    }
}

/// What the scrubber did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Let through; the mirror holds every such packet.
    Passed,
    /// Dropped; the mirror holds a sample of such packets.
    Blocked,
}

/// What a frame starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LinkType {
    /// An Ethernet header. All that a NIC gives.
    #[default]
    Ethernet,
    /// An IP header, its version in the first four bits.
    RawIp,
    /// Linux cooked capture, version 1.
    LinuxCooked,
    /// Linux cooked capture, version 2.
    LinuxCooked2,
    /// BSD loopback: a 4-byte address family in the byte order of the machine that captured.
    Loopback,
}

/// Number of a base window: its start since 1970 divided by its length, plus one. Zero is before all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// After all others: a core that says it has said its last.
    pub const END: Self = Self(u64::MAX >> 1);

    /// The epoch of a time; windows being `length_ns` long, at least 1.
    #[inline]
    pub const fn of(time_ns: u64, length_ns: u64) -> Self {
        Self(time_ns / if length_ns == 0 { 1 } else { length_ns } + 1)
    }
}
