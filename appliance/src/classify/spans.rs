//! Longest prefix match in tables of any size, one address at a time: what flows are looked up in.
//!
//! Prefixes are laid out as runs of addresses that lead to the same, sorted, behind a root of their first sixteen bits: one look
//! there, then a search among the few runs that share them. 5 bytes an IPv4 run and 20 an IPv6 one, and no bound on their number
//! below 2^32. What packets are looked up in is [`super::Lpm`].

use ipnet::IpNet;

use super::prefix::{Address, Prefix, by_family};
use super::runs::runs;

/// Bits that index the root.
const ROOT_BITS: u32 = 16;

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
    /// What each run leads to, and one; 0: to nothing.
    values: Vec<u32>,
    /// Of each possible first bits, how many runs start before.
    root: Vec<u32>,
}

impl<A> Default for Family<A> {
    fn default() -> Self {
        Self { starts: Vec::new(), values: Vec::new(), root: Vec::new() }
    }
}

impl Spans {
    /// Of prefixes without host bits, none of them twice, in any order. Numbers may repeat, and are below `u32::MAX`.
    pub fn new(mut prefixes: Vec<(u32, IpNet)>) -> Self {
        prefixes.sort_unstable_by_key(|(_, net)| (net.addr(), net.prefix_len()));
        let (v4, v6) = by_family(prefixes);
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
    fn new(prefixes: &[Prefix<A>]) -> Self {
        if prefixes.is_empty() {
            return Self::default();
        }
        let runs = runs(prefixes);
        let starts: Vec<A> = runs.iter().map(|run| run.first).collect();
        let before = |bits: usize| starts.partition_point(|start| start.bits(0, ROOT_BITS) < bits);
        let root = (0..=1_usize << ROOT_BITS).map(|bits| u32::try_from(before(bits)).unwrap_or(u32::MAX)).collect();
        Self { starts, values: runs.iter().map(|run| run.value).collect(), root }
    }

    #[inline]
    fn lookup(&self, address: A) -> Option<u32> {
        let first = address.bits(0, ROOT_BITS);
        let (from, to) = (*self.root.get(first)? as usize, *self.root.get(first + 1)? as usize);
        let at = from + self.starts.get(from..to)?.partition_point(|start| *start <= address);
        self.values.get(at.checked_sub(1)?)?.checked_sub(1)
    }
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
