//! Cells of what is a sketch though every packet is seen: distinct keys, fan-out, new keys.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use tailwater::arch::hash::spread;
use tailwater::axes::{Key, Metric};
use tailwater::config::{Setting, StatSpec};
use tailwater::record::Record;
use tailwater::stats::figure::{FanoutEntry, Figure};

use super::coverage::{Cell, Judge, Part, SIZES};
use super::range::{rate, record};

fn once_each(from: u64, keys: u64, times: u64, rate: u16) -> Part {
    Part { packets: keys * times, rate, make: Box::new(move |i| record((from + i % keys) as u32, 64, rate)) }
}

fn counted(name: String, parts: Vec<Part>, precision: i64, truth: u64) -> Cell {
    let sampled = parts.iter().map(|part| u32::from(part.rate)).max().unwrap_or(1);
    let spec = StatSpec::new("distinct", &[Key::SrcIp], Metric::Packets).with("p", Setting::Integer(precision));
    let judge: Judge = Box::new(move |figure, _, claims| {
        let Figure::Distinct(of) = figure else { unreachable!("a distinct") };
        let error = 1.04 / 2_f64.powi(precision as i32).sqrt() * truth as f64;
        claims.judge("", &of.value, truth as f64, if of.value.low < of.value.value { 2.0 * 1.96 * error } else { 0.0 });
    });
    Cell { name, spec, weights: rate(sampled), shards: 1 + truth as usize % 3, before: Vec::new(), parts, judge, width_max: None }
}

/// Exact ones, sketches, and of samples: keys that come once, ten times, a hundred times.
pub fn distincts() -> Vec<Cell> {
    let mut cells = Vec::new();
    for keys in [1, 100, 129, 300, 1_000, 3_000, 10_000, 30_000] {
        cells.push(counted(format!("distinct-{keys}"), vec![once_each(1 << 24, keys, 1, 1)], 12, keys));
        cells.push(counted(format!("distinct-p-10-{keys}"), vec![once_each(1 << 24, keys, 1, 1)], 10, keys));
    }
    for expected in SIZES {
        for times in [1, 10, 100, 1_000] {
            let keys = ((40.0 * expected) as u64 / times).max(1);
            let parts = vec![once_each(1 << 24, keys, times, 40)];
            cells.push(counted(format!("distinct-sampled-{times}-each-{expected}"), parts, 12, keys));
        }
        let keys = (40.0 * expected) as u64;
        let parts = vec![once_each(1 << 25, 50, 1, 1), once_each(1 << 24, keys, 1, 40)];
        cells.push(counted(format!("distinct-sampled-any-{expected}"), parts, 12, keys + 50));
    }
    for times in [1, 10] {
        let parts = vec![once_each(1 << 24, 100_000 / times, times, 40)];
        cells.push(counted(format!("distinct-sampled-many-{times}-each"), parts, 12, 100_000 / times));
    }
    cells
}

/// A few scanners among keys that touch one other each, until pairs are thinned.
pub fn fanouts() -> Vec<Cell> {
    [(100, 0), (300, 2_000), (1_000, 6_000), (3_000, 0), (30, 6_000)].into_iter().map(|(scanned, light)| fanout(scanned, light)).collect()
}

fn fanout(scanned: u64, light: u64) -> Cell {
    const SCANNERS: u64 = 3;
    let make = move |i: u64| {
        let (src, dst) = if i < SCANNERS * scanned { (i % SCANNERS, i) } else { (1_000 + i, spread(i) % 50) };
        let mut record = record(src as u32, 64, 1);
        record.dst[..4].copy_from_slice(&(dst as u32).to_be_bytes());
        record
    };
    let part = Part { packets: SCANNERS * scanned + light, rate: 1, make: Box::new(make) };
    let mut pairs: HashMap<[u8; 16], HashSet<[u8; 16]>> = HashMap::new();
    (0..part.packets).map(&part.make).for_each(|record: Record| _ = pairs.entry(record.src).or_default().insert(record.dst));
    let all: usize = pairs.values().map(HashSet::len).sum();
    let judge: Judge = Box::new(move |figure, _, claims| {
        let Figure::Fanout(of) = figure else { unreachable!("a fan-out") };
        claims.judge("-all", &of.all, all as f64, 0.0);
        let mut missed = (false, false);
        let entry = |e: &FanoutEntry| {
            let mut key = [0; 16];
            key[..4].copy_from_slice(&e.key.parse::<Ipv4Addr>().unwrap().octets());
            let (low, high) = claims.judge("-each", &e.value, pairs[&key].len() as f64, 0.0);
            missed = (missed.0 || low, missed.1 || high);
        };
        of.entries.iter().chain(&of.reserve).for_each(entry);
        claims.verdict("-together", missed);
    });
    let spec = StatSpec::new("fanout", &[Key::SrcIp], Metric::Packets);
    let name = format!("fanout-{scanned}-among-{light}");
    Cell { name, spec, weights: rate(1), shards: 2, before: Vec::new(), parts: vec![part], judge, width_max: None }
}

/// Known and new keys; as many known ones come again as there are new ones.
pub fn new_keys() -> Vec<Cell> {
    let cell = |(known, new): (u64, u64)| {
        let judge: Judge = Box::new(move |figure, _, claims| {
            let Figure::NewKeys(of) = figure else { unreachable!("new keys") };
            claims.judge("", &of.value, new as f64, 0.0);
        });
        let spec = StatSpec::new("new_keys", &[Key::SrcIp], Metric::Packets);
        let parts = vec![once_each((1 << 24) + known - new.min(known), new + new.min(known), 1, 1)];
        let before = vec![once_each(1 << 24, known, 1, 1)];
        Cell { name: format!("new-keys-{new}-beside-{known}"), spec, weights: rate(1), shards: 2, before, parts, judge, width_max: None }
    };
    [(100, 50), (3_000, 60), (3_000, 1_000), (10_000, 100), (10_000, 5_000), (30_000, 3_000)].into_iter().map(cell).collect()
}
