//! What we race: DPDK's tables, crates, and DXR, which none of them has.

use std::cell::RefCell;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use ip_network_table_deps_treebitmap::IpLookupTable;
use ipnet::{Ipv4Net, Ipv6Net};
use tailwater::dpdk::Eal;
use tailwater::dpdk::tables::{Fib, Fib6, Lookup, Lpm, Lpm6, Room};

use super::dxr::Dxr;
use super::sets::Net;

/// Addresses that one call is given.
pub const BURST: usize = 64;

/// Looks a burst up; gives the sum of the values that it found, if it is asked for.
pub type Burst<A> = Box<dyn Fn(&[A], bool) -> u64>;

/// One that we race.
pub struct Side<A> {
    pub name: &'static str,
    pub burst: Burst<A>,
}

/// Makes some of prefixes; none where there is no memory, or no such CPU.
pub type Build<N, A> = fn(&Eal, &[Net<N>]) -> Vec<Side<A>>;

/// One lookup after the other.
pub fn each<A: Copy + 'static>(name: &'static str, lookup: impl Fn(A) -> u32 + 'static) -> Side<A> {
    let find = move |addresses: &[A], values: &mut [u32]| {
        values.iter_mut().zip(addresses).for_each(|(value, address)| *value = lookup(*address));
    };
    bulk(name, find, u64::from)
}

/// Of a bulk lookup: `find` fills values, of which each is worth `value`. They are left where the caller would read them, and
/// nobody adds them up while the clock runs.
pub fn bulk<A, V: Copy + Default + 'static>(
    name: &'static str,
    find: impl Fn(&[A], &mut [V]) + 'static,
    value: impl Fn(V) -> u64 + 'static,
) -> Side<A> {
    let values = RefCell::new([V::default(); BURST]);
    let burst = move |addresses: &[A], adds: bool| {
        let mut values = values.borrow_mut();
        let found = &mut values[..addresses.len()];
        find(addresses, found);
        let found: &[V] = std::hint::black_box(found);
        if adds { found.iter().map(|v| value(*v)).sum() } else { 0 }
    };
    Side { name, burst: Box::new(burst) }
}

/// For this table: 24 bits of the address in the root, then a group each eight. `rte_fib6` keeps as many free as a prefix
/// could need.
fn room<N: Copy + Into<u128>>(nets: &[Net<N>], width: u8) -> Room {
    let group = |net: &Net<N>, bits: u8| net.bits.into() >> (width - bits);
    let below = |bits: u8| {
        let mut longer: Vec<u128> = nets.iter().filter(|net| net.length > bits).map(|net| group(net, bits)).collect();
        longer.dedup();
        longer.len() as u32
    };
    Room { prefixes: nets.len() as u32 + 1, groups: 2 * (24..width).step_by(8).map(below).sum::<u32>() + 256 }
}

/// By length: `rte_lpm` moves fewer rules.
fn by_length<N: Copy>(nets: &[Net<N>]) -> Vec<Net<N>> {
    let mut nets = nets.to_vec();
    nets.sort_by_key(|net| net.length);
    nets
}

const fn lpm_value(found: u32) -> u64 {
    if found & Lpm::FOUND == 0 { 0 } else { (found & 0x00FF_FFFF) as u64 }
}

pub fn rte_lpm(eal: &Eal, nets: &[Net<u32>]) -> Vec<Side<u32>> {
    let Some(mut lpm) = Lpm::new(eal, room(nets, 32)) else { return Vec::new() };
    by_length(nets).iter().for_each(|net| assert!(lpm.add(net.bits, net.length, net.value), "rte_lpm has room"));
    let lpm = Rc::new(lpm);
    let same = Rc::clone(&lpm);
    vec![
        bulk("rte_lpm lookup_bulk", move |addresses, values: &mut [u32]| lpm.lookup_bulk(addresses, values), lpm_value),
        bulk("rte_lpm lookup", move |addresses, values: &mut [u32]| same.lookup_each(addresses, values), lpm_value),
    ]
}

fn fib(eal: &Eal, nets: &[Net<u32>], name: &'static str, wide: bool, lookup: Lookup) -> Vec<Side<u32>> {
    // An entry of two bytes has 15 bits for a value.
    let fits = wide || nets.len() < 1 << 15;
    let Some(mut fib) = fits.then(|| Fib::new(eal, room(nets, 32), wide, lookup)).flatten() else { return Vec::new() };
    nets.iter().for_each(|net| assert!(fib.add(net.bits, net.length, net.value), "rte_fib has room"));
    vec![bulk(name, move |addresses, values: &mut [u64]| fib.lookup_bulk(addresses, values), |value| value)]
}

fn fib6(eal: &Eal, nets: &[Net<u128>], name: &'static str, lookup: Lookup) -> Vec<Side<[u8; 16]>> {
    let Some(mut fib) = Fib6::new(eal, room(nets, 128), lookup) else { return Vec::new() };
    nets.iter().for_each(|net| assert!(fib.add(net.bits.to_be_bytes(), net.length, net.value), "rte_fib6 has room"));
    vec![bulk(name, move |addresses, values: &mut [u64]| fib.lookup_bulk(addresses, values), |value| value)]
}

pub fn rte_lpm6(eal: &Eal, nets: &[Net<u128>]) -> Vec<Side<[u8; 16]>> {
    let Some(mut lpm) = Lpm6::new(eal, room(nets, 128)) else { return Vec::new() };
    nets.iter().for_each(|net| assert!(lpm.add(net.bits.to_be_bytes(), net.length, net.value), "rte_lpm6 has room"));
    let value = |found: i32| u64::try_from(found).unwrap_or(0);
    vec![bulk("rte_lpm6 lookup_bulk", move |addresses, values: &mut [i32]| lpm.lookup_bulk(addresses, values), value)]
}

fn prefix_trie(_: &Eal, nets: &[Net<u32>]) -> Vec<Side<u32>> {
    let mut map = prefix_trie::PrefixMap::<Ipv4Net, u32>::new();
    nets.iter().for_each(|net| {
        assert!(map.insert(Ipv4Net::new(net.bits.into(), net.length).expect("a length"), net.value).is_none(), "each stands once")
    });
    vec![each("prefix-trie", move |address: u32| map.get_lpm(&Ipv4Addr::from(address).into()).map_or(0, |(_, value)| *value))]
}

fn prefix_trie_v6(_: &Eal, nets: &[Net<u128>]) -> Vec<Side<[u8; 16]>> {
    let mut map = prefix_trie::PrefixMap::<Ipv6Net, u32>::new();
    nets.iter().for_each(|net| {
        assert!(map.insert(Ipv6Net::new(net.bits.into(), net.length).expect("a length"), net.value).is_none(), "each stands once")
    });
    vec![each("prefix-trie", move |address: [u8; 16]| map.get_lpm(&Ipv6Addr::from(address).into()).map_or(0, |(_, value)| *value))]
}

fn treebitmap(_: &Eal, nets: &[Net<u32>]) -> Vec<Side<u32>> {
    let mut map = IpLookupTable::<Ipv4Addr, u32>::with_capacity(nets.len());
    nets.iter().for_each(|net| assert!(map.insert(net.bits.into(), net.length.into(), net.value).is_none(), "each stands once"));
    vec![each("treebitmap", move |address: u32| map.longest_match(address.into()).map_or(0, |(_, _, value)| *value))]
}

fn treebitmap_v6(_: &Eal, nets: &[Net<u128>]) -> Vec<Side<[u8; 16]>> {
    let mut map = IpLookupTable::<Ipv6Addr, u32>::with_capacity(nets.len());
    nets.iter().for_each(|net| assert!(map.insert(net.bits.into(), net.length.into(), net.value).is_none(), "each stands once"));
    vec![each("treebitmap", move |address: [u8; 16]| map.longest_match(address.into()).map_or(0, |(_, _, value)| *value))]
}

fn iptrie(_: &Eal, nets: &[Net<u32>]) -> Vec<Side<u32>> {
    let mut map = iptrie::map::RTrieMap::<Ipv4Net, u32>::with_root_and_capacity(0, nets.len());
    nets.iter().for_each(|net| {
        assert!(map.insert(Ipv4Net::new(net.bits.into(), net.length).expect("a length"), net.value).is_none(), "each stands once")
    });
    let map = map.compress();
    vec![each("iptrie LC", move |address: u32| *map.lookup(&Ipv4Addr::from(address)).1)]
}

fn iptrie_v6(_: &Eal, nets: &[Net<u128>]) -> Vec<Side<[u8; 16]>> {
    let mut map = iptrie::map::RTrieMap::<Ipv6Net, u32>::with_root_and_capacity(0, nets.len());
    nets.iter().for_each(|net| {
        assert!(map.insert(Ipv6Net::new(net.bits.into(), net.length).expect("a length"), net.value).is_none(), "each stands once")
    });
    let map = map.compress();
    vec![each("iptrie LC", move |address: [u8; 16]| *map.lookup(&Ipv6Addr::from(address)).1)]
}

fn poptrie(_: &Eal, nets: &[Net<u32>]) -> Vec<Side<u32>> {
    let map: poptrie::Poptrie<(u32, u8), u32> = nets.iter().map(|net| ((net.bits, net.length), net.value)).collect();
    vec![each("poptrie", move |address: u32| map.lookup(address).copied().unwrap_or(0))]
}

fn poptrie_v6(_: &Eal, nets: &[Net<u128>]) -> Vec<Side<[u8; 16]>> {
    let map: poptrie::Poptrie<(u128, u8), u32> = nets.iter().map(|net| ((net.bits, net.length), net.value)).collect();
    vec![each("poptrie", move |address: [u8; 16]| map.lookup(u128::from_be_bytes(address)).copied().unwrap_or(0))]
}

fn dxr(_: &Eal, nets: &[Net<u32>]) -> Vec<Side<u32>> {
    let table = Dxr::new(nets);
    vec![bulk("DXR D18R", move |addresses: &[u32], values: &mut [u32]| table.find(addresses, values), u64::from)]
}

/// The slowest to fill comes last.
pub const V4: [Build<u32, u32>; 10] = [
    |eal, nets| fib(eal, nets, "rte_fib 2 B scalar", false, Lookup::Scalar),
    |eal, nets| fib(eal, nets, "rte_fib 2 B AVX-512", false, Lookup::Vector),
    |eal, nets| fib(eal, nets, "rte_fib 4 B scalar", true, Lookup::Scalar),
    |eal, nets| fib(eal, nets, "rte_fib 4 B AVX-512", true, Lookup::Vector),
    prefix_trie,
    treebitmap,
    iptrie,
    poptrie,
    dxr,
    rte_lpm,
];

pub const V6: [Build<u128, [u8; 16]>; 7] = [
    |eal, nets| fib6(eal, nets, "rte_fib6 scalar", Lookup::Scalar),
    |eal, nets| fib6(eal, nets, "rte_fib6 AVX-512", Lookup::Vector),
    rte_lpm6,
    prefix_trie_v6,
    treebitmap_v6,
    iptrie_v6,
    poptrie_v6,
];
