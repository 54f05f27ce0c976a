//! Longest prefix match: which range an address belongs to.
//!
//! Asked in bursts, because what costs is waiting for memory, and waiting for all at once costs little more than for one.
//! What stands in memory is `arch/cells`; `cells` and `runs` make it of prefixes. It never changes: a reload makes another
//! one beside it, off the data path, and cores turn to it at a window's edge. So no lookup meets a table that is being
//! changed, there is nothing to lock or to pause for, and the structure can be what is fastest to read, not to change.
//!
//! A million prefixes of IPv4 take less than 64 MB, in all sets that were made to take most. One of IPv6 takes 20 to 70 bytes as
//! networks have them, and up to 150 at worst: a single host in a random /64.

use std::sync::Arc;

use ipnet::IpNet;

use super::cells::{self, Layout};
use super::prefix::by_family;
use crate::arch::cells::{Cells, Form, V4, V6};
use crate::units::{Family, RangeIndex};

/// Ranges of both families.
#[derive(Clone, Debug, Default)]
pub struct Lpm {
    /// None where there is no prefix.
    v4: Option<Arc<Cells<V4>>>,
    v6: Option<Arc<Cells<V6>>>,
}

impl Lpm {
    /// Of prefixes without host bits, none of them twice, sorted by family (IPv4 first), address and length. The position
    /// of a prefix is its [`RangeIndex`].
    pub fn new(prefixes: impl IntoIterator<Item = IpNet>) -> Self {
        Self::of((0..).zip(prefixes))
    }

    /// The same, each prefix with its [`RangeIndex`].
    pub fn of(prefixes: impl IntoIterator<Item = (u32, IpNet)>) -> Self {
        Self::made(prefixes, Form::best(), None)
    }

    /// The same, looked up by this code, which the processor has; and with another layout for IPv4 than would be chosen.
    pub(super) fn made(prefixes: impl IntoIterator<Item = (u32, IpNet)>, form: Form, layout: Option<Layout>) -> Self {
        let (v4, v6) = by_family(prefixes);
        Self {
            v4: (!v4.is_empty()).then(|| Arc::new(cells::v4(&v4, layout, form))),
            v6: (!v6.is_empty()).then(|| Arc::new(cells::v6(&v6, form))),
        }
    }

    /// The longest range that holds an address; IPv4 stands in the first four bytes.
    #[inline]
    pub fn lookup(&self, family: Family, address: &[u8; 16]) -> Option<RangeIndex> {
        let [a, b, c, d, ..] = *address;
        let found = match family {
            Family::V4 => self.v4.as_ref().map(|v4| v4.find(u32::from_be_bytes([a, b, c, d]))),
            Family::V6 => self.v6.as_ref().map(|v6| v6.find(address)),
        };
        found.and_then(Self::range)
    }

    /// The longest ranges that hold IPv4 addresses, for [`Self::range`]; of as many as there is room for, and what is behind
    /// them stays as it is. Bursts of 64 are best, and multiples of 16 better than what is between.
    #[inline]
    pub fn find_v4(&self, addresses: &[u32], found: &mut [u32]) {
        match &self.v4 {
            Some(v4) => v4.find_all(addresses, found),
            None => found.iter_mut().zip(addresses).for_each(|(found, _)| *found = 0),
        }
    }

    /// The same of IPv6 addresses.
    #[inline]
    pub fn find_v6(&self, addresses: &[[u8; 16]], found: &mut [u32]) {
        match &self.v6 {
            Some(v6) => v6.find_all(addresses, found),
            None => found.iter_mut().zip(addresses).for_each(|(found, _)| *found = 0),
        }
    }

    /// The range that was found.
    #[inline]
    pub const fn range(found: u32) -> Option<RangeIndex> {
        match found.checked_sub(1) {
            Some(index) => Some(RangeIndex(index)),
            None => None,
        }
    }

    /// Memory that it takes, bytes.
    pub fn bytes(&self) -> usize {
        self.v4.as_ref().map_or(0, |v4| v4.bytes()) + self.v6.as_ref().map_or(0, |v6| v6.bytes())
    }
}
