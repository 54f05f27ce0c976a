//! The tables against the obvious way and each other, in every form and layout; and what they cost.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::Lpm;
use super::cells::Layout;
use super::trie::SmallLpm;
use crate::arch::cells::Form;
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

pub(super) fn padded(v4: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&v4.to_be_bytes());
    bytes
}

/// First and last address of a prefix, and those beside it.
pub(super) fn edges(net: &IpNet) -> Vec<(Family, [u8; 16])> {
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

pub(super) fn prepared(mut nets: Vec<IpNet>) -> Vec<IpNet> {
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

/// `TAILWATER_SEED` repeats a run; the seed is printed with a failure, and what looks up on this machine.
pub(super) fn seed() -> u32 {
    let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.subsec_nanos());
    let seed = std::env::var("TAILWATER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(clock);
    println!("TAILWATER_SEED={seed} by {:?}", Form::all());
    seed
}

/// Numbers of a seed.
pub(super) fn random() -> impl FnMut() -> u64 {
    let mut state = u64::from(seed());
    move || {
        state = crate::arch::hash::spread(state.wrapping_add(0x9E37_79B9_7F4A_7C15));
        state
    }
}

fn runner(cases: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed().to_le_bytes());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// What bursts say, one address after the other.
pub(super) fn in_bursts(lpm: &Lpm, family: Family, addresses: &[[u8; 16]], burst: usize) -> Vec<Option<RangeIndex>> {
    let mut found = vec![u32::MAX; addresses.len()];
    for (addresses, found) in addresses.chunks(burst).zip(found.chunks_mut(burst)) {
        match family {
            Family::V4 => lpm.find_v4(&addresses.iter().map(|a| u32::from_be_bytes([a[0], a[1], a[2], a[3]])).collect::<Vec<_>>(), found),
            Family::V6 => lpm.find_v6(addresses, found),
        }
    }
    found.into_iter().map(Lpm::range).collect()
}

fn equals(cases: u32, layouts: impl Fn() -> Vec<Option<Layout>>) {
    let inputs = (nets(), any::<[[u8; 16]; 16]>());
    let outcome = runner(cases).run(&inputs, |(nets, others)| {
        let nets = prepared(nets);
        let indexed = || (0..).zip(nets.iter().copied());
        let small = SmallLpm::of(indexed());
        let random = others.into_iter().flat_map(|a| [(Family::V4, padded(u32::from_be_bytes([a[0], a[1], a[2], a[3]]))), (Family::V6, a)]);
        let asked: Vec<(Family, [u8; 16])> = nets.iter().flat_map(edges).chain(random).collect();
        let truth: Vec<Option<RangeIndex>> = asked.iter().map(|(family, address)| slowly(&nets, *family, address)).collect();
        for (form, layout) in Form::all().into_iter().flat_map(|form| layouts().into_iter().map(move |layout| (form, layout))) {
            let lpm = Lpm::made(indexed(), form, layout);
            for ((family, address), truth) in asked.iter().zip(&truth) {
                let found = lpm.lookup(*family, address);
                prop_assert_eq!(found, *truth, "{:?} {:?} in {:?} by {:?} {:?}", family, address, nets, form, layout);
                prop_assert_eq!(small.lookup(*family, address), *truth);
            }
            for family in [Family::V4, Family::V6] {
                let (addresses, truth): (Vec<_>, Vec<_>) =
                    asked.iter().zip(&truth).filter(|((f, _), _)| *f == family).map(|((_, address), truth)| (*address, *truth)).unzip();
                let found = in_bursts(&lpm, family, &addresses, 64);
                prop_assert_eq!(found, truth, "{:?} in bursts in {:?} by {:?} {:?}", family, nets, form, layout);
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn equals_the_obvious_way() {
    equals(400, || vec![None]);
}

#[test]
fn equals_the_obvious_way_in_every_layout() {
    equals(8, || Layout::all().map(Some).collect());
}

#[test]
fn all_forms_agree_on_many_prefixes_in_bursts_of_any_length() {
    let mut random = random();
    for count in [300, 6_000, 60_000] {
        let nets = customers(count, &mut random);
        let indexed = || (0..).zip(nets.iter().copied());
        let small = SmallLpm::of(indexed());
        for family in [Family::V4, Family::V6] {
            let inside = nets.iter().flat_map(edges).filter(|(f, _)| *f == family).map(|(_, a)| a).step_by(1 + nets.len() / 4_000);
            let any = std::iter::repeat_with(|| (u128::from(random()) << 64 | u128::from(random())).to_be_bytes()).take(4_000);
            let asked: Vec<[u8; 16]> = inside.chain(any).collect();
            let truth: Vec<_> = asked.iter().map(|address| small.lookup(family, address)).collect();
            for form in Form::all() {
                let lpm = Lpm::made(indexed(), form, None);
                for burst in (1..=64).chain([100, 1_000]) {
                    assert!(in_bursts(&lpm, family, &asked, burst) == truth, "{form:?}, {family:?}, bursts of {burst}, {count} prefixes");
                }
            }
        }
    }
}

/// Prefixes of /29 to /64 in a few blocks, as the Internet has them: unevenly many within one entry of the root.
#[allow(clippy::cast_possible_truncation, reason = "of random bits any will do")]
fn crowds(count: u32, random: &mut impl FnMut() -> u64) -> Vec<IpNet> {
    let holders: Vec<u64> =
        (0..count / 8).map(|i| [0x2001, 0x2A00 | random() & 15][i as usize % 2] << 48 | random() & 0xFFFF << 32).collect();
    let mut net = || {
        let bits = holders[random() as usize % holders.len()] | random() >> 32;
        let length = [29, 32, 32, 36, 40, 44, 48, 48, 48, 48, 56, 64][random() as usize % 12];
        IpNet::from(Ipv6Net::new((u128::from(bits) << 64).into(), length).unwrap().trunc())
    };
    prepared((0..count).map(|_| net()).collect())
}

#[test]
fn crowds_are_right_in_every_form_and_small() {
    let mut random = random();
    for count in [400, 4_000, 40_000] {
        let nets = crowds(count, &mut random);
        let small = SmallLpm::of((0..).zip(nets.iter().copied()));
        let asked: Vec<[u8; 16]> = nets.iter().flat_map(edges).map(|(_, address)| address).collect();
        let truth: Vec<_> = asked.iter().map(|address| small.lookup(Family::V6, address)).collect();
        for form in Form::all() {
            let lpm = Lpm::made((0..).zip(nets.iter().copied()), form, None);
            for burst in [64, 48, 7] {
                assert!(in_bursts(&lpm, Family::V6, &asked, burst) == truth, "{form:?}, bursts of {burst}, {count} prefixes");
            }
            assert!(asked.iter().map(|address| lpm.lookup(Family::V6, address)).eq(truth.iter().copied()), "{form:?}, {count} prefixes");
            assert!(lpm.bytes() < (2 << 20) + 70 * nets.len(), "{count} prefixes take {}", lpm.bytes());
        }
    }
}

/// Addresses of hosts one behind the other, and prefixes that nest as deep as they can.
#[test]
fn crowded_blocks_are_right_and_small() {
    let hosts = (0..3_000_u32).map(|i| IpNet::from(Ipv4Net::new((0x0A01_0000 + i * 3).into(), 32).unwrap()));
    let hosts_v6 = (0..3_000_u128).map(|i| IpNet::from(Ipv6Net::new(((0x2001_0DB8 << 96) + i * 5).into(), 128).unwrap()));
    let nested = (1..=32).map(|length| IpNet::from(Ipv4Net::new(0xC0A8_0101.into(), length).unwrap().trunc()));
    let nested_v6 = (1..=128).map(|length| IpNet::from(Ipv6Net::new(u128::MAX.into(), length).unwrap().trunc()));
    let nets = prepared(hosts.chain(hosts_v6).chain(nested).chain(nested_v6).collect());
    let small = SmallLpm::of((0..).zip(nets.iter().copied()));
    let layouts = Layout::all().map(Some).chain([None]);
    for (layout, form) in layouts.flat_map(|layout| Form::all().into_iter().map(move |form| (layout, form))) {
        let lpm = Lpm::made((0..).zip(nets.iter().copied()), form, layout);
        for family in [Family::V4, Family::V6] {
            let asked: Vec<_> = nets.iter().flat_map(edges).filter(|(f, _)| *f == family).map(|(_, a)| a).collect();
            let truth: Vec<_> = asked.iter().map(|address| small.lookup(family, address)).collect();
            assert!(in_bursts(&lpm, family, &asked, 64) == truth, "{family:?} {layout:?} {form:?}");
        }
        assert!(layout.is_some() || lpm.bytes() <= (4 << 20) + 1_024, "{}", lpm.bytes());
    }
}

#[test]
fn the_extremes_are_right() {
    let nets: Vec<IpNet> =
        ["0.0.0.0/0", "0.0.0.0/32", "255.255.255.255/32", "::/0", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"]
            .iter()
            .map(|p| p.parse().unwrap())
            .collect();
    let nets = prepared(nets);
    for (form, family) in Form::all().into_iter().flat_map(|form| [(form, Family::V4), (form, Family::V6)]) {
        let lpm = Lpm::made((0..).zip(nets.iter().copied()), form, None);
        let asked: Vec<[u8; 16]> = nets.iter().flat_map(edges).filter(|(of, _)| *of == family).map(|(_, address)| address).collect();
        let truth: Vec<_> = asked.iter().map(|address| slowly(&nets, family, address)).collect();
        assert_eq!(asked.iter().map(|address| lpm.lookup(family, address)).collect::<Vec<_>>(), truth, "{family:?} by {form:?}");
        for burst in [1, 7, 64] {
            assert_eq!(in_bursts(&lpm, family, &asked, burst), truth, "{family:?} by {form:?}, bursts of {burst}");
        }
    }
    assert_eq!(Lpm::default().lookup(Family::V4, &[0; 16]), None);
    assert_eq!(Lpm::default().lookup(Family::V6, &[0; 16]), None);
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
