//! A row of a flow record that is several packets counts as as many rows would, in every calculation.

use crate::arch::HashKey;
use crate::arch::hash::spread;
use crate::axes::{DirectionAxis, Key, Metric, Source};
use crate::config::{Setting, StatSpec};
use crate::limits::BATCH_RECORDS_MAX;
use crate::record::{FlowRow, Has, Record};
use crate::stats::figure::Figure;
use crate::stats::moody_tests::{Dice, spec};
use crate::stats::plan::{Compiler, Period, Place, Plan, Rows, Scratch, WeightBounds, execute_rows};
use crate::stats::pool::{Budget, Memory, Pool};
use crate::units::Family;

const BYTES: usize = 64 << 20;

fn row(source: u32, bytes: u32, times: u64, (weight, proven): (u16, bool)) -> FlowRow {
    let mut record = Record { weight, protocol: [6, 17][(source % 2) as usize], ..Record::default() };
    record.src[..4].copy_from_slice(&source.to_be_bytes());
    record.has = Has::INGRESS.with(Has::RANDOM, proven);
    FlowRow { record, packets: 1, bytes, times, exporter: [0; 16], in_if: source % 3, out_if: 0, told: FlowRow::PROTOCOL }
}

fn specs() -> Vec<StatSpec> {
    let mut specs = Vec::new();
    for metric in [Metric::Packets, Metric::Bytes] {
        specs.push(spec("sum", &[Key::None], metric, &[]));
        specs.push(spec("histogram", &[Key::Protocol], metric, &[]));
        for edges in [vec![1, 2], (1..90).collect()] {
            specs.push(spec("histogram", &[Key::InIf], metric, &[]).with("bins", Setting::Integers(edges)));
        }
        specs.push(spec("topk", &[Key::SrcIp], metric, &[("k", 60)]));
        specs.push(spec("entropy", &[Key::SrcIp], metric, &[]));
        specs.push(spec("entropy", &[Key::SrcIp], metric, &[("keys", 16)]));
    }
    specs.push(spec("quantiles", &[Key::InIf], Metric::Packets, &[]));
    specs.push(spec("distinct", &[Key::SrcIp], Metric::Packets, &[("p", 12)]));
    specs.push(spec("new_keys", &[Key::SrcIp], Metric::Packets, &[]));
    specs.push(spec("fanout", &[Key::SrcIp], Metric::Packets, &[]));
    let of_flows = |spec: StatSpec| StatSpec { source: Source::Flows, direction: DirectionAxis::Ingress, ..spec };
    specs.into_iter().map(of_flows).collect()
}

/// Of a stat alone: what the rows make of it.
fn figure(spec: &StatSpec, rows: &[FlowRow]) -> Result<Figure, String> {
    let (compiler, bounds) = (Compiler { source: Source::Flows, ..Compiler::default() }, WeightBounds::OF_FLOWS);
    let refused = |refusal| format!("{refusal:?}");
    let plan = Plan::of_rows(&compiler, std::slice::from_ref(spec), &[0], Family::V4, bounds).map_err(refused)?;
    let (mut pool, mut budget) = (Pool::with_bytes(BYTES), Budget::of_bytes(BYTES));
    let (mut long, mut scratch) = (vec![0; plan.root_words(Period::Long)], Scratch::new(&plan));
    scratch.open(0, 0);
    for rows in rows.chunks(BATCH_RECORDS_MAX) {
        let (mut memory, key) = (Memory { pool: &mut pool, budget: &mut budget }, HashKey::constant());
        let starved = execute_rows(&plan, &mut scratch, Rows::Flows(rows, 1), &key, (&mut [], &mut long), &mut memory, &mut ());
        assert_eq!(starved, 0);
    }
    let mut words = Vec::new();
    assert!(plan.export((Period::Long, Place::default()), usize::MAX, &long, &pool, &mut words).is_none());
    let mut summary = plan.stats()[0].kernel.summary();
    summary.absorb(&words[1..]);
    Ok(summary.figure(&plan.stats()[0].question))
}

fn expanded(rows: &[FlowRow]) -> Vec<FlowRow> {
    let each = |row: &FlowRow| (0..row.times).map(|_| FlowRow { times: 1, ..*row }).collect::<Vec<_>>();
    rows.iter().flat_map(each).collect()
}

#[test]
#[cfg_attr(miri, ignore = "safe code: minutes under Miri")]
fn several_alike_are_as_many_rows() {
    let seed = crate::stats::tests::seed();
    let mut dice = Dice::new(seed);
    for case in 0..12 {
        let (keys, proven) = (dice.of(&[3, 40, 200]), case % 3 > 0);
        let one = |dice: &mut Dice| {
            let weight = if dice.one_in(4) { 1 } else { dice.of(&[2, 100, 65_535]) };
            let times = dice.of(&[1, 1, 2, 3, 90]);
            row(u32::try_from(dice.below(keys)).unwrap(), dice.of(&[20, 700, 1_500]), times, (weight, proven || dice.one_in(2)))
        };
        let rows: Vec<FlowRow> = (0..150).map(|_| one(&mut dice)).collect();
        for spec in specs() {
            let (have, want) = (figure(&spec, &rows).unwrap(), figure(&spec, &expanded(&rows)).unwrap());
            assert_eq!(format!("{have:?}"), format!("{want:?}"), "seed {seed}, case {case}, {spec:?}");
        }
    }
}

/// A key that comes late, in one row, among many whose cells are held by more than one packet: it is among the largest all the same.
#[test]
#[cfg_attr(miri, ignore = "safe code: minutes under Miri")]
fn a_row_of_many_packets_gets_a_cell_of_a_table_that_is_full() {
    let spec = StatSpec { source: Source::Flows, ..spec("topk", &[Key::SrcIp], Metric::Packets, &[("k", 10)]) };
    let others = (0..60_000_u64).map(|n| row(u32::try_from(spread(n) % 6_000).unwrap(), 700, 1 + n % 2, (100, true)));
    let rows: Vec<FlowRow> = others.chain([row(77_777, 700, 5_000, (100, true)), row(88_888, 700, 9_000, (1, true))]).collect();
    let Figure::Top(top) = figure(&spec, &rows).unwrap() else { panic!("a top") };
    let texts: Vec<&str> = top.entries.iter().map(|entry| &entry.key[..]).collect();
    assert_eq!(texts[0], "0.1.47.209", "{texts:?}");
    assert!(top.entries[0].value.value >= 500_000.0 && top.entries[0].value.low <= 500_000.0, "{:?}", top.entries[0]);
    assert!(top.entries.iter().any(|entry| entry.key == "0.1.91.56" && entry.value.value >= 9_000.0), "{texts:?}");
}
