//! Lists of a range whose memory is spent, beside a map that counts the same: whatever is refused, bounds hold.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use crate::axes::{Key, Metric};
use crate::record::Record;
use crate::stats::figure::{Figure, Top, Unseen};
use crate::stats::moody_tests::{Dice, Shards, record, spec};
use crate::stats::plan::WeightBounds;

/// What there was of each key, and in all.
#[derive(Default)]
pub(super) struct Truth {
    pub(super) of_key: HashMap<String, Unseen>,
    all: Unseen,
}

impl Truth {
    fn count(&mut self, key: String, record: &Record, metric: Metric) {
        let value = if metric == Metric::Bytes { u64::from(record.wire_bytes) } else { 1 };
        let sampled = record.has.all(crate::record::Has::BLOCKED);
        let one = if sampled {
            Unseen { passed: 0, scaled: value * u64::from(record.weight), sampled_packets: 1 }
        } else {
            Unseen { passed: value, ..Unseen::default() }
        };
        self.of_key.entry(key).or_default().add(&one);
        self.all.add(&one);
    }
}

fn at_most(one: &Unseen, other: &Unseen) -> bool {
    one.passed <= other.passed && one.scaled <= other.scaled && one.sampled_packets <= other.sampled_packets
}

/// Every listed key is within its bounds, every other one below the bound for those.
pub(super) fn holds(top: &Top, truth: &Truth) {
    assert_eq!(Unseen::of(&top.all_sufficient), truth.all);
    let mut rest: HashMap<&str, &Unseen> = truth.of_key.iter().map(|(key, sum)| (&key[..], sum)).collect();
    for entry in top.entries.iter().chain(&top.reserve) {
        let truth = rest.remove(&entry.key[..]).unwrap();
        let (low, mut high) = (Unseen::of(&entry.sufficient), Unseen::of(&entry.sufficient));
        high.add(&entry.unseen);
        assert!(at_most(&low, truth) && at_most(truth, &high), "{}: {truth:?} is not within {low:?} and {high:?}", entry.key);
        // Of a sampler that proves nothing, no upper end is claimed.
        let below = entry.value.high.map_or(top.all_sufficient.unproven > 0, |high| truth.passed as f64 <= high);
        let inside = entry.value.low <= truth.passed as f64 && below;
        assert!(truth.sampled_packets > 0 || high.sampled_packets > 0 || inside, "{entry:?}: {truth:?}");
    }
    for (key, truth) in rest {
        assert!(at_most(truth, &top.absent), "{key} is absent: {truth:?} is above {:?}", top.absent);
    }
}

pub(super) fn top(shards: &mut Shards) -> Top {
    let (summary, question) = (shards.summary(), shards.question());
    let Figure::Top(top) = summary.figure(&question) else { unreachable!("a top-K") };
    top
}

pub(super) fn address(n: u32) -> String {
    Ipv4Addr::from(n).to_string()
}

pub(super) const BLOCKED: WeightBounds = WeightBounds { passed: 1, blocked: 40, random: true, rate: Some(40) };

/// Batches of these records, of which the map knows, to the first shard.
pub(super) fn send(shards: &mut Shards, truth: &mut Truth, metric: Metric, records: &[Record]) {
    send_to(0, shards, truth, metric, records);
}

pub(super) fn send_to(at: usize, shards: &mut Shards, truth: &mut Truth, metric: Metric, records: &[Record]) {
    for batch in records.chunks(64) {
        batch.iter().for_each(|r| truth.count(address(u32::from_be_bytes([r.src[0], r.src[1], r.src[2], r.src[3]])), r, metric));
        shards.batch(at, batch);
    }
}

/// 4,095 samples by bytes fill a narrow cell. What comes then, and finds no memory for wide cells, is in the bounds, which
/// are not much wider than that.
#[test]
fn a_full_cell_without_memory_is_in_the_bounds() {
    let mut shards = Shards::new(spec("topk", &[Key::SrcIp], Metric::Bytes, &[]), BLOCKED, (1, 64 * 6), 1);
    let mut truth = Truth::default();
    send(&mut shards, &mut truth, Metric::Bytes, &vec![record((7, 0), 1_500, 40, true); 100_000]);
    let top = top(&mut shards);
    holds(&top, &truth);
    assert!(top.short);
    let (counted, unseen) = (top.entries[0].sufficient.sampled_packets, top.entries[0].unseen.sampled_packets);
    assert!(counted >= 4_095 && counted + unseen <= 100_100, "{counted} and {unseen}");
}

/// Where newcomers contest its cell the key may go: then what it missed is in the bound for those that are not listed.
#[test]
fn what_a_full_cell_missed_stays_in_the_bound_when_its_key_has_gone() {
    let mut shards = Shards::new(spec("topk", &[Key::SrcIp], Metric::Bytes, &[("k", 1)]), BLOCKED, (1, 64 * 6), 1);
    let mut truth = Truth::default();
    let passed = |keys: std::ops::Range<u32>| keys.map(|n| record((n, 0), 1_500, 1, true)).collect::<Vec<Record>>();
    send(&mut shards, &mut truth, Metric::Bytes, &passed(100..120));
    send(&mut shards, &mut truth, Metric::Bytes, &vec![record((7, 0), 1_500, 40, true); 20_000]);
    send(&mut shards, &mut truth, Metric::Bytes, &passed(1_000..400_000));
    let top = top(&mut shards);
    assert!(top.entries.iter().chain(&top.reserve).all(|entry| entry.key != address(7)));
    holds(&top, &truth);
}

/// A heavy key whose cell is full does not lose it to a flood that is a tenth of its own.
#[test]
fn a_full_cell_is_held_by_what_it_misses() {
    let mut shards = Shards::new(spec("topk", &[Key::SrcIp], Metric::Bytes, &[("k", 1)]), BLOCKED, (1, 64 * 6), 1);
    let mut truth = Truth::default();
    for n in 0..100_000 {
        let records = [record((if n % 10 == 0 { 1_000 + n } else { 7 }, 0), 100, 40, true)];
        send(&mut shards, &mut truth, Metric::Bytes, &records);
    }
    let top = top(&mut shards);
    holds(&top, &truth);
    assert_eq!(top.entries[0].key, address(7));
}

/// What one run draws.
struct Run {
    metric: Metric,
    pair: bool,
    weights: WeightBounds,
    /// One packet in so many is sampled; none if zero.
    sampled: u64,
    /// Lengths are up to so many bytes.
    bytes: u64,
}

impl Run {
    fn draw(dice: &mut Dice) -> Self {
        let of = |blocked, random, rate| WeightBounds { passed: 1, blocked, random, rate };
        let weights = dice.of(&[of(1, true, None), BLOCKED, BLOCKED, of(40, true, None), of(40, false, None)]);
        let sampled = if weights.blocked == 1 { 0 } else { dice.of(&[1, 2, 10]) };
        let metric = dice.of(&[Metric::Packets, Metric::Bytes, Metric::Bytes]);
        Self { metric, pair: dice.one_in(3), weights, sampled, bytes: dice.of(&[100, 1_500, 1_500, 20_000, 65_535, 1 << 31]) }
    }

    fn packet(&self, dice: &mut Dice, keys: u64) -> (String, Record) {
        // Few of many keys have most.
        let few = if dice.one_in(2) { 1 + keys / 20 } else { keys };
        let key = u32::try_from(dice.below(few)).unwrap();
        let (src, dst) = if self.pair { (key / 3, key % 3) } else { (key, 0) };
        let is_sampled = self.sampled > 0 && dice.one_in(self.sampled);
        let weight = if is_sampled && self.weights.rate.is_none() {
            1 + dice.below(40)
        } else if is_sampled {
            40
        } else {
            1
        };
        let proven = !is_sampled || self.weights.random;
        // Of a random sampler, a packet that stands for itself is none.
        let weight = if proven && is_sampled { weight.max(2) } else { weight };
        let bytes = u32::try_from(60 + dice.below(self.bytes)).unwrap();
        let text = if self.pair { format!("{}|{}", address(src), address(dst)) } else { address(src) };
        (text, record((src, dst), bytes, u16::try_from(weight).unwrap(), proven))
    }
}

/// Any grant may fail at any time, shards are sealed early and merged: bounds hold, and what was not counted is told of.
#[test]
fn bounds_hold_whatever_the_pool_refuses() {
    let first = crate::stats::tests::seed();
    let runs = 400;
    for seed in first * runs..(first + 1) * runs {
        println!("seed {seed} of TAILWATER_SEED={first}");
        let mut dice = Dice::new(seed);
        let run = Run::draw(&mut dice);
        let key: &[Key] = if run.pair { &[Key::SrcIp, Key::DstIp] } else { &[Key::SrcIp] };
        let k = dice.of(&[1, 5, 20, 60]);
        let (shards, lines) = (1 + dice.below(3), dice.of(&[0, 5, 40, 200, 1_000, 20_000]));
        let room = (usize::try_from(shards).unwrap(), 64 * usize::try_from(lines).unwrap());
        let mut shards = Shards::new(spec("topk", key, run.metric, &[("k", k)]), run.weights, room, seed);
        let mut truth = Truth::default();
        for _ in 0..dice.below(6) + 1 {
            shards.refuse(dice.of(&[0, 0, 30, 128, 250, 255]));
            let keys = dice.of(&[1, 20, 100, 400, 5_000]);
            for _ in 0..dice.below(200) {
                let batch: Vec<(String, Record)> = (0..dice.below(64) + 1).map(|_| run.packet(&mut dice, keys)).collect();
                batch.iter().for_each(|(key, record)| truth.count(key.clone(), record, run.metric));
                let records: Vec<Record> = batch.into_iter().map(|(_, record)| record).collect();
                shards.batch(usize::try_from(dice.below(3)).unwrap(), &records);
            }
            if dice.one_in(4) {
                shards.seal(0);
            }
        }
        assert_eq!(shards.starved, 0);
        let top = top(&mut shards);
        holds(&top, &truth);
        let missed = top.entries.iter().chain(&top.reserve).any(|entry| !entry.unseen.is_zero());
        assert!(!missed || truth.of_key.len() > 128 || top.short || top.thinned > 1, "not told");
    }
}
