//! Kernels say the same wherever batches are cut, whatever the processor has, and if no memory is there for what a batch needs
//! at once.

use crate::arch::{HashKey, lanes};
use crate::axes::{DecisionAxis, Key, Metric};
use crate::config::{Setting, StatSpec};
use crate::record::{Has, Record};
use crate::stats::Figure;
use crate::stats::moody_tests::{Dice, Shards, record, spec};
use crate::stats::plan::{Period, Place, Plan, Scratch, WeightBounds, execute};
use crate::stats::pool::{Budget, Memory, Pool};
use crate::units::Family;

const BYTES: usize = 64 << 20;

fn plain() -> WeightBounds {
    WeightBounds { passed: 1, blocked: 1, random: true, rate: None }
}

fn one_rate() -> WeightBounds {
    WeightBounds { passed: 1, blocked: 40, random: true, rate: Some(40) }
}

fn any_rate() -> WeightBounds {
    WeightBounds { passed: 1, blocked: 40, random: false, rate: None }
}

/// Packets of so many keys, some of which are heavy.
fn records(dice: &mut Dice, weights: WeightBounds, packets: u64, keys: u64) -> Vec<Record> {
    let one = |dice: &mut Dice| {
        let key = if dice.one_in(2) { dice.below(1 + keys / 8) } else { dice.below(keys) };
        let sampled = weights.blocked > 1 && dice.one_in(6);
        let weight = if !sampled { 1 } else { weights.rate.map_or_else(|| dice.of(&[2, 7, 40]), |rate| u16::try_from(rate).unwrap()) };
        let proven = weights.random || !sampled || dice.one_in(2);
        let key = u32::try_from(key).unwrap();
        record((key << 8 | 5, key % 300), dice.of(&[60, 64, 590, 1_514]), weight, proven)
    };
    (0..packets).map(|_| one(dice)).collect()
}

/// What comes of records that are cut like this.
fn figure(spec: &StatSpec, weights: WeightBounds, records: &[Record], mut cut: impl FnMut() -> usize) -> String {
    let (mut shards, mut rest) = (Shards::new(spec.clone(), weights, (1, BYTES), 3), records);
    while !rest.is_empty() {
        let (batch, behind) = rest.split_at(cut().min(rest.len()));
        shards.batch(0, batch);
        rest = behind;
    }
    let question = shards.question();
    format!("{:?}", shards.summary().figure(&question))
}

fn specs() -> Vec<StatSpec> {
    vec![
        spec("topk", &[Key::SrcIp], Metric::Packets, &[("k", 20)]),
        spec("topk", &[Key::SrcIp], Metric::Bytes, &[("k", 20)]),
        spec("topk", &[Key::SrcIp, Key::DstIp], Metric::Bytes, &[("k", 5)]),
        spec("topk", &[Key::SrcIp], Metric::Packets, &[("k", 90)]),
        spec("topk", &[Key::PacketSize], Metric::Bytes, &[]),
        spec("distinct", &[Key::SrcIp], Metric::Packets, &[("p", 12)]),
        spec("distinct", &[Key::SrcIp], Metric::Packets, &[("p", 6)]),
        spec("histogram", &[Key::Protocol], Metric::Packets, &[]),
        spec("histogram", &[Key::Icmp], Metric::Bytes, &[]),
        spec("histogram", &[Key::PacketSize], Metric::Packets, &[]),
        spec("sum", &[Key::None], Metric::Bytes, &[]),
        spec("entropy", &[Key::SrcIp], Metric::Packets, &[]),
        spec("fanout", &[Key::SrcIp], Metric::Packets, &[]).with("of", Setting::Text("dst_ip".into())),
        spec("quantiles", &[Key::PacketSize], Metric::Packets, &[]),
        spec("peak", &[Key::None], Metric::Bytes, &[]),
        spec("new_keys", &[Key::SrcIp], Metric::Packets, &[]),
    ]
}

/// A sample that stands for one packet, of a sampler that is not random, is counted as any other.
#[test]
fn samples_of_one_packet_are_counted() {
    let weights = WeightBounds { passed: 1, blocked: 1, random: false, rate: None };
    let records: Vec<Record> = (0..200).map(|n| record((n, n), 64, 1, n % 3 > 0)).collect();
    for key in [Key::Protocol, Key::Icmp, Key::PacketSize] {
        let mut shards = Shards::new(spec("histogram", &[key], Metric::Packets, &[]), weights, (1, BYTES), 3);
        records.chunks(64).for_each(|batch| shards.batch(0, batch));
        let question = shards.question();
        let Figure::Histogram(bins) = shards.summary().figure(&question) else { panic!("a histogram") };
        let all: f64 = bins.iter().map(|bin| bin.value.value).sum();
        assert!((all - 200.0).abs() < 0.5, "{key:?}: {all}");
    }
}

fn each(check: impl Fn(&mut Dice, &StatSpec, WeightBounds, &[Record])) {
    let mut dice = Dice::new(crate::stats::tests::seed());
    for (packets, keys) in [(40, 20), (300, 12), (700, 90), (900, 140), (9_000, 4_000), (30_000, 700)] {
        for weights in [plain(), one_rate(), any_rate()] {
            let records = records(&mut dice, weights, packets, keys);
            specs().iter().for_each(|spec| check(&mut dice, spec, weights, &records));
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "safe code: hours under Miri")]
fn a_figure_does_not_depend_on_where_batches_are_cut() {
    each(|dice, spec, weights, records| {
        let whole = figure(spec, weights, records, || 64);
        let (one, any) =
            (figure(spec, weights, records, || 1), figure(spec, weights, records, || 1 + usize::try_from(dice.below(64)).unwrap()));
        assert!(whole == one && whole == any, "seed {}, {} packets, {spec:?}, {weights:?}", crate::stats::tests::seed(), records.len());
    });
}

#[test]
#[cfg_attr(miri, ignore = "safe code: hours under Miri")]
fn a_figure_does_not_depend_on_what_the_processor_has() {
    each(|_, spec, weights, records| {
        let here = figure(spec, weights, records, || 64);
        for form in lanes::Form::all() {
            let by = lanes::only(form, || figure(spec, weights, records, || 64));
            let (seed, packets) = (crate::stats::tests::seed(), records.len());
            assert!(here == by, "{form:?}, seed {seed}, {packets} packets, {spec:?}, {weights:?}");
        }
    });
}

/// The figure of each of these stats, which share a plan and so memory and columns.
fn figures(specs: &[StatSpec], weights: WeightBounds, records: &[Record]) -> Vec<String> {
    figures_shed(specs, weights, records, || None)
}

/// The same, where of each batch lists look at some records only, as [`Scratch::shed`] is told.
fn figures_shed(
    specs: &[StatSpec],
    weights: WeightBounds,
    records: &[Record],
    mut shed: impl FnMut() -> Option<(u32, u64)>,
) -> Vec<String> {
    let list: Vec<usize> = (0..specs.len()).collect();
    let Ok(plan) = Plan::compile(specs, &list, Family::V4, weights) else { panic!("a plan") };
    let (mut pool, mut budget) = (Pool::with_bytes(BYTES), Budget::of_bytes(BYTES));
    let (mut fast, mut long) = (vec![0; plan.root_words(Period::Fast)], vec![0; plan.root_words(Period::Long)]);
    let (mut scratch, key) = (Scratch::new(&plan), HashKey::constant());
    for batch in records.chunks(64) {
        scratch.shed(shed());
        let mut memory = Memory { pool: &mut pool, budget: &mut budget };
        assert_eq!(execute(&plan, &mut scratch, batch, &key, (&mut fast, &mut long), &mut memory), 0);
    }
    let figure = |period, root: &[u64]| {
        let mut words = Vec::new();
        assert!(plan.export((period, Place::default()), usize::MAX, root, &pool, &mut words).is_none());
        let mut rest = &words[..];
        let of = plan.stats().iter().filter(|stat| stat.period == period).map(|stat| {
            let (own, behind) = rest[1..].split_at(usize::try_from(rest[0]).unwrap());
            rest = behind;
            let mut summary = stat.kernel.summary();
            summary.absorb(own);
            (stat.spec, format!("{:?}", summary.figure(&stat.question)))
        });
        of.collect::<Vec<_>>()
    };
    let mut all = [figure(Period::Fast, &fast), figure(Period::Long, &long)].concat();
    all.sort();
    all.into_iter().map(|(_, text)| text).collect()
}

/// What stats of one key tell each other changes no figure: whatever they select, count, keep and in which order they stand.
#[test]
#[cfg_attr(miri, ignore = "safe code: hours under Miri")]
fn a_figure_does_not_depend_on_which_stats_stand_beside_it() {
    let of = |calculation, key, metric| spec(calculation, &[key], metric, &[]);
    let mut specs = Vec::new();
    for key in [Key::SrcIp, Key::DstIp, Key::PacketSize] {
        for metric in [Metric::Packets, Metric::Bytes, Metric::ConnectionsOpened] {
            specs.push(of("topk", key, metric));
            specs.push(spec("topk", &[key], metric, &[("k", 5)]));
        }
        specs.extend([Metric::Packets, Metric::ConnectionsOpened].map(|metric| of("distinct", key, metric)));
    }
    for decision in [DecisionAxis::Passed, DecisionAxis::Blocked] {
        let chosen: Vec<StatSpec> = specs[..8].iter().map(|spec| StatSpec { decision, ..spec.clone() }).collect();
        specs.extend(chosen);
    }
    specs.extend(specs[..8].iter().map(|spec| StatSpec { fast: true, ..spec.clone() }).collect::<Vec<_>>());
    let mut dice = Dice::new(crate::stats::tests::seed());
    for (packets, keys) in [(60, 30), (900, 70), (900, 140), (9_000, 100), (9_000, 700), (20_000, 9_000)] {
        for weights in [plain(), one_rate(), any_rate()] {
            let mut records = records(&mut dice, weights, packets, keys);
            for record in &mut records {
                (record.tcp_flags, record.has) = (if dice.one_in(3) { 2 } else { 16 }, record.has.with(Has::TCP_FLAGS, true));
            }
            let together = figures(&specs, weights, &records);
            for (spec, have) in specs.iter().zip(together) {
                let alone = figures(std::slice::from_ref(spec), weights, &records);
                assert!(alone == [have], "seed {}, {packets} of {keys}, {spec:?}, {weights:?}", crate::stats::tests::seed());
            }
        }
    }
}

/// What lists leave out changes no other figure, though they tell others of what they looked at.
#[test]
#[cfg_attr(miri, ignore = "safe code: hours under Miri")]
fn what_lists_leave_out_is_left_out_of_no_other_figure() {
    let (specs, seed) = (specs(), crate::stats::tests::seed());
    let (mut dice, mut draws) = (Dice::new(seed), Dice::new(seed + 1));
    // Few keys that come once or twice, too: those that a list has not met.
    for (packets, keys) in [(60, 1_000), (110, 100_000), (900, 90), (9_000, 700), (20_000, 9_000)] {
        for weights in [plain(), one_rate(), any_rate()] {
            let records = records(&mut dice, weights, packets, keys);
            let whole = figures(&specs, weights, &records);
            let shed = figures_shed(&specs, weights, &records, || {
                let level = draws.of(&[0, 1, 3, 3]);
                let kept = (0..64).fold(0, |kept, at| kept | u64::from(draws.one_in(1 << level)) << at);
                (level > 0).then_some((level, kept))
            });
            for (spec, (whole, shed)) in specs.iter().zip(whole.iter().zip(&shed)) {
                let case = || format!("seed {seed}, {packets} of {keys}, {spec:?}, {weights:?}: {whole}, {shed}");
                assert!(spec.calculation == "topk" || whole == shed, "{}", case());
            }
            assert!(packets < 900 || shed[0].contains("shed: 8"), "{}", shed[0]);
        }
    }
}
