//! Our longest prefix match against DPDK's and the crates', over the same prefixes and addresses.
//!
//! `bash scripts/bench lpm`: one line of JSON a rival and case, and one a size for what our table takes. Cases: `in`, each
//! address inside a random prefix, and `random`, any; 10,000 /24, 50,000 of /20 to /32, a million of /16 to /24 as the
//! Internet has them; `-v6`: 10,000 /48, 50,000 of /32 to /64. Bursts of 32. All give the same values, or it fails.
//! Without hugepages DPDK's memory is asked to be on large pages, as ours is.

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

#[path = "lpm/rivals.rs"]
mod rivals;
#[path = "lpm/sets.rs"]
mod sets;
mod support;

use std::time::Instant;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rivals::{BURST, Build, Side, each};
use sets::{Lengths, Net};
use support::{Figure, in_turn};
use tailwater::classify::Lpm;
use tailwater::dpdk::tables::advise_large_pages;
use tailwater::dpdk::{Eal, EalConfig, Hugepages};

const ROUNDS: usize = 7;
const ADDRESSES: usize = 1 << 20;
/// A round is the best of some passes, so what else the CPU did is not in it.
const PASSES: usize = 5;
const ROUND_NS: f64 = 50e6;
/// What our table may take.
const MB_MAX: f64 = 64.0;

/// All addresses once: the sum of what was found.
fn pass<A>(side: &Side<A>, addresses: &[A]) -> u64 {
    addresses.chunks(BURST).fold(0, |sum, burst| sum.wrapping_add((side.burst)(burst)))
}

/// Nanoseconds of the best pass.
fn round<A>(side: &Side<A>, addresses: &[A]) -> f64 {
    let (begun, mut best) = (Instant::now(), f64::MAX);
    for _ in 0..PASSES {
        let start = begun.elapsed();
        std::hint::black_box(pass(side, addresses));
        best = best.min((begun.elapsed() - start).as_nanos() as f64);
        if begun.elapsed().as_nanos() as f64 > ROUND_NS {
            break;
        }
    }
    best
}

/// Every address alone, and all in bursts.
fn agree<A>(ours: &Side<A>, theirs: &Side<A>, addresses: &[A]) {
    let differ = addresses.chunks(1).position(|one| (ours.burst)(one) != (theirs.burst)(one));
    assert_eq!(differ, None, "{} finds another prefix than ours", theirs.name);
    assert_eq!(pass(ours, addresses), pass(theirs, addresses), "{} finds other prefixes than ours in bursts", theirs.name);
}

/// Addresses that are asked for, and the case's name.
type Asked<A> = (String, Vec<A>);

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
            .print();
        }
    }
}

fn bytes(lpm: &Lpm, size: &str) {
    let mb = lpm.bytes() as f64 / 1e6;
    Figure { bench: "lpm", case: &format!("lpm-bytes-{size}"), unit: "MB", ours: mb, against: "bound", theirs: MB_MAX, ratio: MB_MAX / mb }
        .print();
}

/// Those of the two cases that are wanted.
fn wanted<A>(only: Option<&String>, size: &str, inside: impl FnOnce() -> Vec<A>, random: impl FnOnce() -> Vec<A>) -> Vec<Asked<A>> {
    let (a, b) = (format!("in-{size}"), format!("random-{size}"));
    let is = |name: &String| only.is_none_or(|only| only == name);
    let mut asked = Vec::new();
    if is(&a) {
        asked.push((a, inside()));
    }
    if is(&b) {
        asked.push((b, random()));
    }
    asked
}

fn v4(eal: &Eal, only: Option<&String>, size: &str, count: usize, lengths: Lengths) {
    let nets = sets::v4(count, lengths);
    let asked = wanted(only, size, || sets::inside_v4(&nets, ADDRESSES), || sets::random_v4(ADDRESSES));
    if asked.is_empty() {
        return;
    }
    let lpm = Lpm::new(nets.iter().map(|net| IpNet::from(Ipv4Net::new(net.bits.into(), net.length).unwrap())));
    bytes(&lpm, size);
    let ours = each("ours", move |address: u32| lpm.lookup_v4(address).map_or(0, |range| range.0 + 1));
    race(eal, &nets, &ours, &asked, &rivals::V4);
}

fn v6(eal: &Eal, only: Option<&String>, size: &str, count: usize, lengths: Lengths) {
    let nets = sets::v6(count, lengths);
    let asked = wanted(only, size, || sets::inside_v6(&nets, ADDRESSES), || sets::random_v6(ADDRESSES));
    if asked.is_empty() {
        return;
    }
    let lpm = Lpm::new(nets.iter().map(|net| IpNet::from(Ipv6Net::new(net.bits.into(), net.length).unwrap())));
    bytes(&lpm, size);
    let ours = each("ours", move |address: [u8; 16]| lpm.lookup_v6(u128::from_be_bytes(address)).map_or(0, |range| range.0 + 1));
    race(eal, &nets, &ours, &asked, &rivals::V6);
}

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let only = only.as_ref();
    let config = EalConfig { memory_mb: 4_000, hugepages: Hugepages::Auto, ..EalConfig::private("bench-lpm", &[0]) };
    let eal = Eal::init(&config).expect("EAL");
    advise_large_pages(&eal);
    v4(&eal, only, "10k", 10_000, |_| 24);
    v6(&eal, only, "10k-v6", 10_000, |_| 48);
    v4(&eal, only, "50k", 50_000, |draw| 20 + (draw % 13) as u8);
    v6(&eal, only, "50k-v6", 50_000, |draw| 32 + (draw % 33) as u8);
    v4(&eal, only, "1m", 1_000_000, sets::bgp);
}
