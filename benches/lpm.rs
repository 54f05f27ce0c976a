//! Our longest prefix match against DPDK's, DXR's and the crates', over the same prefixes and addresses.
//!
//! `bash scripts/bench lpm`: one line of JSON a rival and case, and two a size: what our table takes, and how long it is in
//! the making. Cases: `in`, each address inside a random prefix, `zipf`, inside a prefix by Zipf's law, and `random`, any;
//! 1,000 and 10,000 /24, 50,000 of /20 to /32, a million of /16 to /24 as the Internet has them; `-v6`: 1,000 and 10,000
//! /48, 50,000 of /32 to /64, a million of /29 to /48 in the registries' blocks. Bursts of 64: the sources and destinations of 32 frames.
//! All give the same values, or it fails. Without hugepages DPDK's memory is asked to be on large pages, as ours is; the system gives them
//! where `/sys/kernel/mm/transparent_hugepage/shmem_enabled` says `advise`; each row says what theirs lie on.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a bench"
)]

#[path = "lpm/dxr.rs"]
mod dxr;
#[path = "lpm/rivals.rs"]
mod rivals;
#[path = "lpm/sets.rs"]
mod sets;
mod support;

use std::time::Instant;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rivals::{BURST, Build, Side, bulk};
use sets::{Lengths, Net};
use support::{Chances, Figure, in_turn};
use tailwater::classify::Lpm;
use tailwater::dpdk::tables::advise_large_pages;
use tailwater::dpdk::{Eal, EalConfig, Hugepages};

const ROUNDS: usize = 7;
const ADDRESSES: usize = 1 << 20;
/// A round is the best of some passes, so what else the CPU did is not in it.
const PASSES: usize = 25;
const ROUND_NS: f64 = 50e6;
/// What our table may take, and what it may take to make one.
const MB_MAX: f64 = 64.0;
const MADE_MS_MAX: f64 = 1_000.0;

/// All addresses once: the sum of what was found, if it is asked for.
fn pass<A>(side: &Side<A>, addresses: &[A], adds: bool) -> u64 {
    addresses.chunks(BURST).fold(0, |sum, burst| sum.wrapping_add((side.burst)(burst, adds)))
}

/// Nanoseconds of the best pass.
fn round<A>(side: &Side<A>, addresses: &[A]) -> f64 {
    let (begun, mut best) = (Instant::now(), f64::MAX);
    for _ in 0..PASSES {
        let start = begun.elapsed();
        std::hint::black_box(pass(side, addresses, false));
        best = best.min((begun.elapsed() - start).as_nanos() as f64);
        if begun.elapsed().as_nanos() as f64 > ROUND_NS {
            break;
        }
    }
    best
}

/// Every address alone, and all in bursts.
fn agree<A>(ours: &Side<A>, theirs: &Side<A>, addresses: &[A]) {
    let differ = addresses.chunks(1).position(|one| (ours.burst)(one, true) != (theirs.burst)(one, true));
    assert_eq!(differ, None, "{} finds another prefix than ours", theirs.name);
    assert_eq!(pass(ours, addresses, true), pass(theirs, addresses, true), "{} finds other prefixes than ours in bursts", theirs.name);
}

/// Addresses that are asked for, and the case's name.
type Asked<A> = (String, Vec<A>);

/// What theirs lie on; ours lie on large pages wherever the kernel makes some.
fn pages(eal: &Eal) -> &'static str {
    let shared = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/shmem_enabled").unwrap_or_default();
    let is_asked = ["[advise]", "[always]", "[within_size]"].iter().any(|word| shared.contains(word));
    match (eal.page_bytes() > 4_096, is_asked) {
        (true, _) => "theirs hugepages",
        (false, true) => "theirs large of the kernel's making",
        (false, false) => "theirs ordinary",
    }
}

fn race<N, A>(eal: &Eal, nets: &[Net<N>], ours: &Side<A>, asked: &[Asked<A>], rivals: &[Build<N, A>]) {
    for build in rivals {
        let begun = Instant::now();
        let sides = build(eal, nets);
        eprintln!(
            "{}: {} prefixes in {:.1} s",
            sides.first().map_or("one is not for this", |s| s.name),
            nets.len(),
            begun.elapsed().as_secs_f64()
        );
        for (theirs, (case, addresses)) in sides.iter().flat_map(|side| asked.iter().map(move |asked| (side, asked))) {
            agree(ours, theirs, addresses);
            let (a, b) = in_turn(ROUNDS, || round(ours, addresses), || round(theirs, addresses));
            let rate = |ns: f64| addresses.len() as f64 / ns * 1e3;
            Figure {
                bench: "lpm",
                case,
                unit: "million lookups a second",
                ours: rate(a),
                against: theirs.name,
                theirs: rate(b),
                ratio: b / a,
            }
            .print_with(&format!("\"pages\": \"{}\"", pages(eal)));
        }
    }
}

/// Our table, and figures of it.
fn ours(size: &str, prefixes: impl Iterator<Item = IpNet> + Clone) -> Lpm {
    let mut best = f64::MAX;
    let mut lpm = Lpm::default();
    for _ in 0..3 {
        let begun = Instant::now();
        lpm = Lpm::new(prefixes.clone());
        best = best.min(begun.elapsed().as_secs_f64() * 1e3);
    }
    let mb = lpm.bytes() as f64 / f64::from(1 << 20);
    for (case, unit, ours, bound) in [("lpm-bytes", "MB", mb, MB_MAX), ("lpm-made", "ms", best, MADE_MS_MAX)] {
        let case = &format!("{case}-{size}");
        Figure { bench: "lpm", case, unit, ours, against: "bound", theirs: bound, ratio: bound / ours }.print();
    }
    lpm
}

/// What is asked of a table.
struct Question<N, A> {
    inside: fn(&[Net<N>], &Chances, usize) -> Vec<A>,
    random: fn(usize) -> Vec<A>,
}

/// Those of the cases that are wanted.
fn wanted<N, A>(only: Option<&String>, size: &str, nets: &[Net<N>], question: &Question<N, A>) -> Vec<Asked<A>> {
    let is = |case: &str| Some(format!("{case}-{size}")).filter(|name| only.is_none_or(|only| only == name));
    let inside = |chances: Chances| (question.inside)(nets, &chances, ADDRESSES);
    let mut asked = Vec::new();
    asked.extend(is("in").map(|name| (name, inside(Chances::uniform(nets.len())))));
    asked.extend(is("zipf").map(|name| (name, inside(Chances::zipf(nets.len())))));
    asked.extend(is("random").map(|name| (name, (question.random)(ADDRESSES))));
    asked
}

fn v4(eal: &Eal, only: Option<&String>, size: &str, count: usize, lengths: Lengths) {
    let nets = sets::v4(count, lengths);
    let asked = wanted(only, size, &nets, &Question { inside: sets::inside_v4, random: sets::random_v4 });
    if asked.is_empty() {
        return;
    }
    let lpm = ours(size, nets.iter().map(|net| IpNet::from(Ipv4Net::new(net.bits.into(), net.length).unwrap())));
    let ours = bulk("ours", move |addresses: &[u32], values: &mut [u32]| lpm.find_v4(addresses, values), u64::from);
    race(eal, &nets, &ours, &asked, &rivals::V4);
}

fn v6(eal: &Eal, only: Option<&String>, size: &str, nets: &[Net<u128>]) {
    let asked = wanted(only, size, nets, &Question { inside: sets::inside_v6, random: sets::random_v6 });
    if asked.is_empty() {
        return;
    }
    let lpm = ours(size, nets.iter().map(|net| IpNet::from(Ipv6Net::new(net.bits.into(), net.length).unwrap())));
    let ours = bulk("ours", move |addresses: &[[u8; 16]], values: &mut [u32]| lpm.find_v6(addresses, values), u64::from);
    race(eal, nets, &ours, &asked, &rivals::V6);
}

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let only = only.as_ref();
    let config = EalConfig { memory_mb: 4_000, hugepages: Hugepages::Auto, ..EalConfig::private("bench-lpm", &[0]) };
    let eal = Eal::init(&config).expect("EAL");
    advise_large_pages(&eal);
    v4(&eal, only, "1k", 1_000, |_| 24);
    v6(&eal, only, "1k-v6", &sets::v6(1_000, |_| 48));
    v4(&eal, only, "10k", 10_000, |_| 24);
    v6(&eal, only, "10k-v6", &sets::v6(10_000, |_| 48));
    v4(&eal, only, "50k", 50_000, |draw| 20 + (draw % 13) as u8);
    v6(&eal, only, "50k-v6", &sets::v6(50_000, |draw| 32 + (draw % 33) as u8));
    v6(&eal, only, "1m-v6", &sets::bgp_v6(1_000_000));
    v4(&eal, only, "1m", 1_000_000, sets::bgp);
}
