//! Every calculation that takes memory, where any grant may fail: ends that are sure hold, and what is coarser says so.

use std::collections::{BTreeMap, BTreeSet};

use super::loss::Gap;
use super::widen::{Missing, widen};
use crate::axes::{Key, Metric};
use crate::record::Record;
use crate::stats::figure::{Basis, BinOf, Confidence, DistinctSketch, Estimate, Figure};
use crate::stats::moody_tests::{Dice, Shards, record, spec};
use crate::stats::plan::WeightBounds;
use crate::stats::{Closing, Past};

const WINDOW_NS: u64 = 10_000_000_000;
const PLAIN: WeightBounds = WeightBounds { passed: 1, blocked: 1, random: true, rate: None };
const SAMPLED: WeightBounds = WeightBounds { passed: 1, blocked: 40, random: true, rate: Some(40) };
const BYTES_MAX: u64 = 1_500;

type Row = (&'static str, &'static [Key], Metric, &'static [(&'static str, i64)]);

const ROWS: &[Row] = &[
    ("sum", &[Key::None], Metric::Bytes, &[]),
    ("histogram", &[Key::Icmp], Metric::Packets, &[]),
    ("histogram", &[Key::Icmp], Metric::Bytes, &[]),
    ("histogram", &[Key::PacketSize], Metric::Bytes, &[]),
    ("distinct", &[Key::SrcIp], Metric::Packets, &[]),
    ("distinct", &[Key::SrcIp], Metric::Packets, &[("p", 8)]),
    ("new_keys", &[Key::SrcIp], Metric::Packets, &[]),
    ("quantiles", &[Key::PacketSize], Metric::Packets, &[]),
    ("entropy", &[Key::SrcIp], Metric::Packets, &[("keys", 64)]),
    ("entropy", &[Key::SrcIp], Metric::Bytes, &[]),
    ("fanout", &[Key::SrcIp], Metric::Packets, &[("pairs", 256)]),
    ("peak", &[Key::None], Metric::Bytes, &[]),
];

fn source(record: &Record) -> u32 {
    u32::from_be_bytes([record.src[0], record.src[1], record.src[2], record.src[3]])
}

fn inside(of: &Estimate, truth: f64, what: &str) {
    // A sum of logarithms is not exact to the last bit.
    let holds = of.low <= truth + 1e-9 && of.high.is_none_or(|high| truth <= high + 1e-9);
    assert!(of.confidence == Confidence::P95 || holds, "{what}: {truth} is not within {of:?}");
}

/// What was sent in a window, and what has to be said of it.
struct Truth<'a> {
    metric: Metric,
    records: &'a [Record],
    /// Keys of the window before.
    before: &'a BTreeSet<u32>,
}

impl Truth<'_> {
    fn value(&self, record: &Record) -> u64 {
        if self.metric == Metric::Bytes { u64::from(record.wire_bytes) } else { 1 }
    }

    fn sums<K: Ord>(&self, key: impl Fn(&Record) -> K) -> BTreeMap<K, u64> {
        let mut sums = BTreeMap::new();
        self.records.iter().for_each(|r| *sums.entry(key(r)).or_insert(0) += self.value(r) * u64::from(r.weight));
        sums
    }

    fn all(&self) -> u64 {
        self.records.iter().map(|r| self.value(r) * u64::from(r.weight)).sum()
    }

    fn keys(&self) -> BTreeSet<u32> {
        self.records.iter().map(source).collect()
    }

    /// Of figures of packets that were all seen every end that is sure is asked; of samples, that nothing is missing.
    fn asks(&self, figure: &Figure, plain: bool) {
        match figure {
            Figure::Total(_, Some(sum)) => assert_eq!(sum.total(), self.all()),
            Figure::Histogram(bins) => {
                assert_eq!(bins.iter().map(|bin| bin.sufficient.total()).sum::<u64>(), self.all());
                let by_label = self.sums(|r| format!("{}/{}", r.src_port >> 8, r.src_port & 255));
                for bin in bins.iter().filter(|_| plain) {
                    let truth = match &bin.of {
                        BinOf::Label(name) => by_label.get(name).copied(),
                        BinOf::Numbers(low, high) => {
                            let within =
                                |r: &&Record| f64::from(r.wire_bytes) >= *low && high.is_none_or(|high| f64::from(r.wire_bytes) < high);
                            Some(self.records.iter().filter(within).map(|r| self.value(r)).sum())
                        }
                    };
                    truth.into_iter().for_each(|truth| inside(&bin.value, truth as f64, "a bin"));
                }
            }
            Figure::Distinct(of) => inside(&of.value, self.keys().len() as f64, "distinct"),
            Figure::NewKeys(of) => inside(&of.value, self.keys().difference(self.before).count() as f64, "new keys"),
            Figure::Quantiles(of) if plain => {
                let mut sizes: Vec<u32> = self.records.iter().map(|r| r.wire_bytes).collect();
                sizes.sort_unstable();
                for quantile in &of.quantiles {
                    let rank = (quantile.rank * sizes.len() as f64).ceil().max(1.0);
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
                    inside(&quantile.value, f64::from(sizes[rank as usize - 1]), "a quantile");
                }
            }
            Figure::Entropy(value, _) if plain => {
                let (sums, all) = (self.sums(source), self.all() as f64);
                let bits = sums.values().map(|sum| *sum as f64 / all).map(|p| -p * p.log2()).sum::<f64>();
                inside(value, bits, "entropy");
            }
            Figure::Fanout(of) => {
                let pairs: BTreeSet<(u32, [u8; 16])> = self.records.iter().map(|r| (source(r), r.dst)).collect();
                let of_key = |key: &str| pairs.iter().filter(|(src, _)| std::net::Ipv4Addr::from(*src).to_string() == key).count();
                for entry in of.entries.iter().chain(&of.reserve) {
                    inside(&entry.value, of_key(&entry.key) as f64, "fanout");
                }
                inside(&of.all, pairs.len() as f64, "pairs");
            }
            Figure::Peak(of) if plain => {
                let by_window = self.sums(|r| r.time_ns % WINDOW_NS / (of.sub_window_ms * 1_000_000));
                let most = by_window.values().max().copied().unwrap_or(0);
                inside(&of.rate, most as f64 * 1_000.0 / of.sub_window_ms as f64, "a peak");
            }
            _ => {}
        }
    }
}

/// How coarse a figure says that it is, of itself: nothing finer was to be had.
fn coarseness(figure: &Figure) -> u64 {
    let registers = |sketch: &DistinctSketch| match sketch {
        DistinctSketch::Hashes(_) => 0,
        DistinctSketch::Registers(registers) => u64::from(17 - registers.len().trailing_zeros()),
    };
    match figure {
        Figure::Distinct(of) => registers(&of.sketch) + (u64::from(of.shown.as_ref().is_some_and(|shown| shown.short)) << 20),
        Figure::NewKeys(of) => registers(&of.keys.sketch),
        Figure::Fanout(of) => of.level,
        Figure::Histogram(bins) => {
            let all_placed = bins.iter().all(|bin| bin.value.basis == Basis::Exact || bin.value.basis == Basis::Sampled);
            let other = bins.iter().find(|bin| matches!(&bin.of, BinOf::Label(name) if name == "other"));
            other.map_or(0, |bin| bin.sufficient.total()) + u64::from(!all_placed) * (1 << 40)
        }
        _ => 0,
    }
}

fn window(dice: &mut Dice, plain: bool, start_ns: u64) -> Vec<Record> {
    let (packets, keys) = (dice.below(6_000) + 1, dice.of(&[3, 60, 300, 3_000]));
    (0..packets)
        .map(|i| {
            let few = if dice.one_in(2) { 1 + keys / 20 } else { keys };
            let (src, dst) = (u32::try_from(dice.below(few)).unwrap(), u32::try_from(dice.below(50)).unwrap());
            let weight = if plain || dice.one_in(2) { 1 } else { 40 };
            let bytes = u32::try_from(64 + dice.below(BYTES_MAX - 63)).unwrap();
            Record { time_ns: start_ns + i * WINDOW_NS / packets, ..record((src, dst), bytes, weight, true) }
        })
        .collect()
}

/// A window through shards that refuse and through ones that have plenty: the figure of each, and what the first missed.
fn figures(dice: &mut Dice, row: &Row, plain: bool, (records, number, seed): (&[Record], u64, u64), pasts: &mut [Past; 2]) -> [Figure; 2] {
    let (name, keys, metric, settings) = *row;
    let (weights, of) = (if plain { PLAIN } else { SAMPLED }, || spec(name, keys, metric, settings));
    let (shards, lines) = (usize::try_from(1 + dice.below(3)).unwrap(), dice.of(&[0, 2, 10, 60, 300, 4_000, 30_000]));
    let mut few = Shards::new(of(), weights, (shards, 64 * lines), seed);
    let mut plenty = Shards::new(of(), weights, (shards, 1 << 22), seed);
    [&mut few, &mut plenty].into_iter().for_each(|shards| shards.open(number * WINDOW_NS));
    let mut rest = records;
    while !rest.is_empty() {
        if dice.one_in(20) {
            few.refuse(dice.of(&[0, 0, 0, 100, 250]));
        }
        let at = usize::try_from(dice.below(3)).unwrap();
        if dice.one_in(100) {
            few.seal(at);
            plenty.seal(at);
        }
        let batch;
        (batch, rest) = rest.split_at(rest.len().min(usize::try_from(1 + dice.below(64)).unwrap()));
        few.batch(at, batch);
        plenty.batch(at, batch);
    }
    assert_eq!(plenty.starved, 0);
    let (question, window_ns) = (few.question(), (number * WINDOW_NS, (number + 1) * WINDOW_NS));
    let mut close = |shards: &mut Shards, at: usize| shards.summary().close(&question, &mut Closing { window_ns, past: &mut pasts[at] });
    let (mut have, want) = (close(&mut few, 0), close(&mut plenty, 1));
    assert!(few.starved > 0 || coarseness(&have) >= coarseness(&want));
    // Later windows of new keys also rest on those before.
    if few.starved == 0 && coarseness(&have) == coarseness(&want) && number == 0 {
        assert!(have == want, "coarser, and does not say so");
    }
    if few.starved > 0 {
        let value_max = if metric == Metric::Bytes { BYTES_MAX } else { 1 };
        widen(&mut have, &Missing { gap: Gap::AtMost(few.starved), value_max, question: &question });
    }
    [have, want]
}

#[test]
fn sure_ends_hold_whatever_the_pool_refuses() {
    let first = crate::stats::tests::seed();
    let runs = 20;
    for seed in first * runs..(first + 1) * runs {
        println!("seed {seed} of TAILWATER_SEED={first}");
        for row in ROWS {
            let mut dice = Dice::new(seed);
            let plain = dice.one_in(2);
            let (mut pasts, mut before) = ([Past::default(), Past::default()], BTreeSet::new());
            for number in 0..2 {
                let records = window(&mut dice, plain, number * WINDOW_NS);
                let truth = Truth { metric: row.2, records: &records, before: &before };
                println!("{row:?}, window {number}");
                let figures = figures(&mut dice, row, plain, (&records, number, seed), &mut pasts);
                figures.iter().for_each(|figure| truth.asks(figure, plain));
                before = truth.keys();
            }
        }
    }
}
