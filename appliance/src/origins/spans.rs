//! Longest prefix match in tables of any size, one address at a time: what flows, and keys by country and AS, are looked up in.
//!
//! Prefixes are laid out as runs of addresses that lead to the same, sorted, behind a root of their first sixteen bits: one look
//! there, then a search among the few runs that share them. 8 bytes an IPv4 run and 20 an IPv6 one, and no bound on their number
//! below 2^32. What ranges are looked up in, packet by packet, is `classify`'s own.

use ipnet::IpNet;

/// Bits that index the root.
const ROOT_BITS: u32 = 16;
/// Leads to nothing.
const NONE: u32 = u32::MAX;

/// Prefixes of both families, each with a number.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    v4: Family<u32>,
    v6: Family<u128>,
}

#[derive(Clone, Debug)]
struct Family<A> {
    /// First addresses of runs; empty where there is no prefix.
    starts: Vec<A>,
    /// What each run leads to.
    values: Vec<u32>,
    /// Of each possible first bits, how many runs start before.
    root: Vec<u32>,
}

impl<A> Default for Family<A> {
    fn default() -> Self {
        Self { starts: Vec::new(), values: Vec::new(), root: Vec::new() }
    }
}

/// An address as a number.
trait Address: Copy + Ord {
    /// Of the first bits of 128.
    fn of(first_bits: u128) -> Self;
    /// The bits that index the root.
    fn top(self) -> usize;
}

impl Address for u32 {
    #[allow(clippy::cast_possible_truncation, reason = "32 bits are left")]
    fn of(first_bits: u128) -> Self {
        (first_bits >> 96) as Self
    }

    #[inline]
    fn top(self) -> usize {
        (self >> (Self::BITS - ROOT_BITS)) as usize
    }
}

impl Address for u128 {
    fn of(first_bits: u128) -> Self {
        first_bits
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "16 bits are left")]
    fn top(self) -> usize {
        (self >> (Self::BITS - ROOT_BITS)) as usize
    }
}

/// A prefix: its first and its last address, in the first of 128 bits, and its number.
type Prefix = (u128, u128, u32);

impl Spans {
    /// Of prefixes without host bits, none of them twice, in any order. Numbers may repeat, and are below `u32::MAX`.
    pub fn new(mut prefixes: Vec<(u32, IpNet)>) -> Self {
        prefixes.sort_unstable_by_key(|(_, net)| (net.addr(), net.prefix_len()));
        let (mut v4, mut v6): (Vec<Prefix>, Vec<Prefix>) = (Vec::new(), Vec::new());
        for (number, net) in prefixes {
            let behind = |length: u8| u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            match net {
                IpNet::V4(net) => {
                    let first = u128::from(u32::from(net.network())) << 96;
                    v4.push((first, first | behind(net.prefix_len()), number));
                }
                IpNet::V6(net) => {
                    let first = u128::from(net.network());
                    v6.push((first, first | behind(net.prefix_len()), number));
                }
            }
        }
        Self { v4: Family::new(&v4), v6: Family::new(&v6) }
    }

    /// The number of the longest prefix that holds an address of 4 or 16 bytes.
    #[inline]
    pub fn lookup(&self, address: &[u8]) -> Option<u32> {
        if let Ok(v4) = <[u8; 4]>::try_from(address) {
            return self.v4.lookup(u32::from_be_bytes(v4));
        }
        self.v6.lookup(u128::from_be_bytes(<[u8; 16]>::try_from(address).ok()?))
    }
}

impl<A: Address> Family<A> {
    fn new(prefixes: &[Prefix]) -> Self {
        if prefixes.is_empty() {
            return Self::default();
        }
        let runs = runs(prefixes);
        let starts: Vec<A> = runs.iter().map(|(first, _)| A::of(*first)).collect();
        let before = |bits: usize| starts.partition_point(|start| start.top() < bits);
        let root = (0..=1_usize << ROOT_BITS).map(|bits| u32::try_from(before(bits)).unwrap_or(u32::MAX)).collect();
        Self { starts, values: runs.iter().map(|(_, value)| *value).collect(), root }
    }

    #[inline]
    fn lookup(&self, address: A) -> Option<u32> {
        let first = address.top();
        let (from, to) = (*self.root.get(first)? as usize, *self.root.get(first + 1)? as usize);
        let at = from + self.starts.get(from..to)?.partition_point(|start| *start <= address);
        self.values.get(at.checked_sub(1)?).copied().filter(|value| *value != NONE)
    }
}

/// Where what holds changes, and to what, from the first address on; what is nested comes behind what it is nested in.
fn runs(prefixes: &[Prefix]) -> Vec<(u128, u32)> {
    let mut runs: Vec<(u128, u32)> = vec![(0, NONE)];
    let mut open: Vec<(u128, u32)> = Vec::new();
    let mut begin = |first: u128, value: u32| {
        let _ = runs.pop_if(|(start, _)| *start == first);
        if runs.last().is_none_or(|(_, before)| *before != value) {
            runs.push((first, value));
        }
    };
    let ends_at = |last: u128| last.checked_add(1);
    for (first, last, value) in prefixes {
        while let Some((over, _)) = open.pop_if(|(over, _)| *over < *first) {
            let outer = open.last().map_or(NONE, |(_, value)| *value);
            ends_at(over).into_iter().for_each(|next| begin(next, outer));
        }
        begin(*first, *value);
        open.push((*last, *value));
    }
    while let Some((over, _)) = open.pop() {
        let outer = open.last().map_or(NONE, |(_, value)| *value);
        ends_at(over).into_iter().for_each(|next| begin(next, outer));
    }
    runs
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng as _, SeedableRng as _};

    use super::*;

    /// Against a walk over all prefixes, of random tables that nest deeply.
    #[test]
    fn the_longest_is_found() {
        let seed = std::env::var("SPANS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
        println!("SPANS_SEED={seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for round in 0..60 {
            let count = [0, 1, 2, 10, 500][round % 5];
            let mut prefixes: Vec<(u32, IpNet)> = Vec::new();
            for number in 0..count {
                let net = network(&mut random);
                if prefixes.iter().all(|(_, other)| *other != net) {
                    prefixes.push((number, net));
                }
            }
            let spans = Spans::new(prefixes.clone());
            for _ in 0..500 {
                let address = near(&mut random, &prefixes);
                let slow = prefixes.iter().filter(|(_, net)| net.contains(&address)).max_by_key(|(_, net)| net.prefix_len());
                let bytes = match address {
                    std::net::IpAddr::V4(a) => a.octets().to_vec(),
                    std::net::IpAddr::V6(a) => a.octets().to_vec(),
                };
                assert_eq!(spans.lookup(&bytes), slow.map(|(number, _)| *number), "{address} of {prefixes:?}");
            }
        }
        assert_eq!(Spans::default().lookup(&[1, 2, 3, 4]), None);
        assert_eq!(Spans::new(vec![(0, "0.0.0.0/0".parse().unwrap())]).lookup(&[1, 2, 3]), None);
    }

    fn network(random: &mut ChaCha8Rng) -> IpNet {
        let (a, b) = (random.next_u32(), random.next_u64());
        if random.next_u32().is_multiple_of(2) {
            let length = u8::try_from(random.next_u32() % 33).unwrap();
            return IpNet::new(std::net::Ipv4Addr::from(a & 0x0707_0707).into(), length).unwrap().trunc();
        }
        let length = u8::try_from(random.next_u32() % 129).unwrap();
        let bits = u128::from(b & 0x0303_0303_0303_0303) << 64 | u128::from(a);
        IpNet::new(std::net::Ipv6Addr::from(bits).into(), length).unwrap().trunc()
    }

    /// At an edge of one of them, or anywhere.
    fn near(random: &mut ChaCha8Rng, prefixes: &[(u32, IpNet)]) -> std::net::IpAddr {
        let at = random.next_u32() as usize;
        match (random.next_u32() % 4, prefixes.get(at % prefixes.len().max(1))) {
            (0, Some((_, net))) => net.network(),
            (1, Some((_, net))) => net.broadcast(),
            _ => network(random).addr(),
        }
    }
}
