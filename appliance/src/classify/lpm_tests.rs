//! The trie against the obvious way, and what it costs.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::Lpm;
use crate::units::{Family, RangeIndex};

/// The obvious way: try them all.
fn slowly(nets: &[IpNet], family: Family, address: &[u8; 16]) -> Option<RangeIndex> {
    let address: std::net::IpAddr = match family {
        Family::V4 => Ipv4Addr::new(address[0], address[1], address[2], address[3]).into(),
        Family::V6 => Ipv6Addr::from(*address).into(),
    };
    let fit = nets.iter().enumerate().filter(|(_, net)| net.contains(&address));
    fit.max_by_key(|(_, net)| net.prefix_len()).map(|(i, _)| RangeIndex(u32::try_from(i).unwrap()))
}

fn padded(v4: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&v4.to_be_bytes());
    bytes
}

/// First and last address of a prefix, and those beside it.
fn edges(net: &IpNet) -> Vec<(Family, [u8; 16])> {
    match net {
        IpNet::V4(net) => {
            let (low, high) = (u32::from(net.network()), u32::from(net.broadcast()));
            [low, high, low.wrapping_sub(1), high.wrapping_add(1)].map(|a| (Family::V4, padded(a))).into()
        }
        IpNet::V6(net) => {
            let (low, high) = (u128::from(net.network()), u128::from(net.broadcast()));
            [low, high, low.wrapping_sub(1), high.wrapping_add(1)].map(|a| (Family::V6, a.to_be_bytes())).into()
        }
    }
}

fn prepared(mut nets: Vec<IpNet>) -> Vec<IpNet> {
    nets.sort_by_key(|n| (n.addr(), n.prefix_len()));
    nets.dedup();
    nets
}

/// Few first bits differ, so that prefixes nest.
fn nets() -> impl Strategy<Value = Vec<IpNet>> {
    let v4 = (any::<u32>(), 0..=32_u8, 0..=3_u32).prop_map(|(bits, length, few)| {
        let bits = if few > 0 { bits & 0x0103_0301 | 0xCB00_0000 } else { bits };
        IpNet::from(Ipv4Net::new(bits.into(), length).unwrap().trunc())
    });
    let v6 = (any::<u128>(), 0..=128_u8, 0..=3_u32).prop_map(|(bits, length, few)| {
        let bits = if few > 0 { bits & (0x0001_0003 << 96 | 0x0103 << 48 | 0x0301) | 0x2001_0DB8 << 96 } else { bits };
        IpNet::from(Ipv6Net::new(bits.into(), length).unwrap().trunc())
    });
    proptest::collection::vec(prop_oneof![v4, v6], 0..80)
}

/// `TAILWATER_SEED` repeats a run; the seed is printed with a failure.
fn runner() -> TestRunner {
    let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.subsec_nanos());
    let seed = std::env::var("TAILWATER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(clock);
    println!("TAILWATER_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let config = ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

#[test]
fn equals_the_obvious_way() {
    let cases = (nets(), any::<[[u8; 16]; 16]>());
    let outcome = runner().run(&cases, |(nets, others)| {
        let nets = prepared(nets);
        let lpm = Lpm::new(nets.iter().copied());
        let random = others.into_iter().flat_map(|a| [(Family::V4, padded(u32::from_be_bytes([a[0], a[1], a[2], a[3]]))), (Family::V6, a)]);
        let small = super::lpm::SmallLpm::new(nets.iter().copied());
        for (family, address) in nets.iter().flat_map(edges).chain(random) {
            prop_assert_eq!(lpm.lookup(family, &address), small.lookup(family, &address));
            prop_assert_eq!(lpm.lookup(family, &address), slowly(&nets, family, &address), "{:?} {:?} in {:?}", family, address, nets);
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn the_extremes_are_right() {
    let nets: Vec<IpNet> =
        ["0.0.0.0/0", "0.0.0.0/32", "255.255.255.255/32", "::/0", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"]
            .iter()
            .map(|p| p.parse().unwrap())
            .collect();
    let nets = prepared(nets);
    let lpm = Lpm::new(nets.iter().copied());
    for (family, address) in nets.iter().flat_map(edges) {
        assert_eq!(lpm.lookup(family, &address), slowly(&nets, family, &address), "{family:?} {address:?}");
    }
    assert_eq!(Lpm::default().lookup(Family::V4, &[0; 16]), None);
    assert_eq!(Lpm::default().lookup(Family::V6, &[0; 16]), None);
}

#[test]
fn memory_grows_with_the_prefixes() {
    let nets = (0..50_000_u32).map(|i| IpNet::from(Ipv4Net::new((i << 12).into(), 24).unwrap()));
    let bytes = Lpm::new(prepared(nets.collect())).bytes();
    assert!(bytes < 4 << 20, "{bytes}");
    assert_eq!(Lpm::default().bytes(), 0);
}

/// Prefixes as customers have them, at random: /20 to /32 and /32 to /64.
fn customers(count: u32, random: &mut impl FnMut() -> u64) -> Vec<IpNet> {
    let net = |i: u32, bits: u64| {
        let length = u8::try_from(bits % 13).unwrap();
        match i % 2 {
            0 => IpNet::from(Ipv4Net::new(u32::try_from(bits >> 32).unwrap().into(), 20 + length).unwrap().trunc()),
            _ => IpNet::from(
                Ipv6Net::new((u128::from(0x2000 | bits >> 52) << 112 | u128::from(bits) << 56).into(), 32 + 2 * length).unwrap().trunc(),
            ),
        }
    };
    prepared((0..count).map(|i| net(i, random())).collect())
}

/// `cargo test --release -p tailwater --no-default-features --lib lpm -- --ignored --nocapture`
#[test]
#[ignore = "measures; run it alone, optimised"]
fn measure() {
    let mut state = 1_u64;
    let mut random = move || {
        state = crate::arch::hash::spread(state.wrapping_add(0x9E37_79B9_7F4A_7C15));
        state
    };
    for count in [10_000, 50_000] {
        let nets = customers(count, &mut random);
        let start = std::time::Instant::now();
        let lpm = Lpm::new(nets.iter().copied());
        println!("{} prefixes: built in {:?}, {} kB", nets.len(), start.elapsed(), lpm.bytes() / 1024);
        for family in [Family::V4, Family::V6] {
            let inside: Vec<_> = nets.iter().flat_map(edges).filter(|(f, _)| *f == family).map(|(_, a)| a).collect();
            let pick = |a: u64| inside[usize::try_from(a).unwrap() % inside.len()];
            let known: Vec<[u8; 16]> = (0..1 << 16).map(|_| pick(random() >> 1)).collect();
            let any: Vec<[u8; 16]> = (0..1 << 16).map(|_| (u128::from(random()) << 64 | u128::from(random())).to_be_bytes()).collect();
            for (name, addresses) in [("in", known), ("random", any)] {
                let start = std::time::Instant::now();
                let mut found = 0_usize;
                for _ in 0..32 {
                    found += addresses.iter().filter(|a| lpm.lookup(family, a).is_some()).count();
                }
                let lookups = 32 * addresses.len();
                println!(
                    "  {family:?} {name}: {:.1} ns a lookup, {found} of {lookups} found",
                    start.elapsed().as_secs_f64() * 1e9 / lookups as f64
                );
            }
        }
    }
}
