//! Columns that are read off the words of a batch's records say what the records say, whatever the processor has.

use super::*;
use crate::arch::hash::spread;
use crate::arch::lanes::as_usual;
use crate::axes::key::{KEYS, Lengths};
use crate::axes::metric::METRICS;
use crate::axes::{DecisionAxis, DirectionAxis, Key};
use crate::config::{Predicate, Span, StatSpec, Test};
use crate::gather::packed::Form;
use crate::record::{Fragment, Has};
use crate::stats::plan::WeightBounds;
use crate::stats::tests::seed;

/// Draws of a test.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        spread(self.0)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn of<const N: usize>(&mut self, list: [u64; N]) -> u64 {
        list[usize::try_from(self.below(N as u64)).unwrap()]
    }

    fn short(&mut self) -> u16 {
        u16::try_from(self.next() >> 48).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.next() >> 56).unwrap()
    }
}

fn record(draws: &mut Draws) -> Record {
    let (mut src, mut dst) = ([0; 16], [0; 16]);
    src[..4].copy_from_slice(&draws.next().to_le_bytes()[..4]);
    dst[..4].copy_from_slice(&draws.next().to_le_bytes()[..4]);
    let few = draws.of([1, 0]);
    let port = |draws: &mut Draws| if few == 1 { u16::try_from(draws.of([53, 80, 443, 123])).unwrap() } else { draws.short() };
    Record {
        src,
        dst,
        time_ns: draws.next(),
        wire_bytes: u32::try_from(draws.below(1 << 17)).unwrap() * u32::from(draws.below(9) > 0),
        payload_bytes: draws.short().into(),
        src_port: port(draws),
        dst_port: port(draws),
        vlan: draws.short(),
        inner_vlan: draws.short(),
        mpls_label: u32::from(draws.short()) << 4,
        rule: u32::from(draws.short()),
        src_mac: [draws.byte(), 2, 3, 4, 5, draws.byte()],
        weight: u16::try_from(draws.of([0, 1, 1, 1, 40, 65_535])).unwrap(),
        rx_port: draws.short(),
        has: Has(draws.short() & (Has::V6.0 - 1)),
        protocol: u8::try_from(draws.of([1, 6, 17, 17, 47, 255])).unwrap(),
        ttl: draws.byte(),
        dscp: draws.byte() & 0x3F,
        tcp_flags: draws.byte(),
        fragment: Fragment::of(u8::try_from(draws.below(3)).unwrap()),
        ..Record::default()
    }
}

/// A stat for each key and metric, of each decision and direction, and each with a test of some key.
fn specs(draws: &mut Draws) -> Vec<StatSpec> {
    let mut keys: Vec<Vec<Key>> = KEYS.iter().map(|row| vec![row.key]).collect();
    keys.extend([vec![Key::SrcPrefix, Key::DstPort], vec![Key::Protocol, Key::SrcPort, Key::Vlan]]);
    let mut specs = Vec::new();
    for (n, parts) in keys.iter().enumerate() {
        let lengths = Lengths { v4: u8::try_from(draws.of([0, 8, 19, 24, 32])).unwrap(), v6: 48 };
        let key = KeySpec::new(parts.clone(), lengths);
        let calculation = if parts[0] == Key::None { "sum" } else { "topk" };
        let metric = METRICS[n % (METRICS.len() - 1)].metric;
        let decision = [DecisionAxis::Any, DecisionAxis::Passed, DecisionAxis::Blocked][n % 3];
        let direction = [DirectionAxis::Ingress, DirectionAxis::Any, DirectionAxis::Egress][n / 2 % 3];
        let all = StatSpec { key: key.clone(), decision, direction, ..StatSpec::new(calculation, parts, metric) };
        specs.push(StatSpec { predicate: Some(Predicate { tests: vec![test(draws, &key)] }), ..all.clone() });
        specs.push(all);
    }
    specs.push(StatSpec::new("peak", &[Key::None], METRICS[1].metric));
    specs.extend(METRICS.iter().map(|row| StatSpec::new("sum", &[Key::None], row.metric)));
    specs
}

/// Admits some values of a key.
fn test(draws: &mut Draws, key: &KeySpec) -> Test {
    let width = key.width(Family::V4);
    let mut edges: Vec<Vec<u8>> = (0..2 * draws.of([1, 2, 4, 9])).map(|_| (0..width).map(|_| draws.byte()).collect()).collect();
    edges.sort();
    let mut spans: Vec<Span> = edges.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    spans.dedup_by(|next, before| next.0 <= before.1);
    Test { key: key.clone(), v4: spans.clone(), v6: spans }
}

/// All that a stat sees of a batch, as text.
fn seen(scratch: &Scratch, plan: &Plan) -> Vec<String> {
    let of = |stat: &Planned| {
        let chosen = (stat.group(), scratch.masks.of(stat.selection));
        let view = View::new(&scratch.keys[stat.key], &scratch.values[stat.metric], &scratch.weights, chosen);
        let is_short = view.head_shift().is_some();
        let key = |at: usize| (is_short || stat.kernel.reads_bytes()).then(|| view.key(at));
        let row = |at: usize| (key(at), is_short.then(|| view.head(at)), view.weight(at), view.row_without_key(at));
        let rows: Vec<_> = view.places().map(|at| (at, row(at), view.is_sampled(at))).collect();
        let tally = (!view.is_empty()).then(|| view.tally().plain);
        format!("{rows:?} {tally:?} {:?} {:?}", view.any_unproven(), &scratch.times_ns)
    };
    plan.stats.iter().map(of).collect()
}

/// Of records, and of the same records packed in this layout.
fn agree(draws: &mut Draws, plan: &Plan, (of_records, of_words): (&mut Scratch, &mut Scratch), layout: &Layout) {
    let records: Vec<Record> = (0..draws.of([1, 3, 31, 32, 63, 64, 64])).map(|_| record(draws)).collect();
    let step = layout.words(Form::Narrow);
    let mut words = vec![0; records.len() * step];
    words.chunks_mut(step).zip(&records).for_each(|(words, record)| layout.pack(record, Form::Narrow, words));
    let batch = Batch { form: Form::Narrow, len: records.len(), words: &words, ends: None };
    of_records.fill(plan, Rows::Records(&records), &HashKey::constant());
    of_words.fill(plan, Rows::Packed(&batch, layout), &HashKey::constant());
    let (want, have) = (seen(of_records, plan), seen(of_words, plan));
    for ((stat, want), have) in plan.stats.iter().zip(want).zip(have) {
        assert!(want == have, "seed {}, {} records, stat {}:\n{want}\n{have}", seed(), records.len(), stat.spec);
    }
}

#[test]
#[cfg_attr(miri, ignore = "safe code: hours under Miri")]
fn columns_of_words_are_columns_of_records() {
    let mut draws = Draws(seed());
    for round in 0..20 {
        let specs = specs(&mut draws);
        let list: Vec<usize> = (0..specs.len()).collect();
        let bounds = WeightBounds { passed: 65_535, blocked: 65_535, random: false, rate: None };
        let Ok(plan) = Plan::compile(&specs, &list, Family::V4, bounds) else { panic!("a plan") };
        let mut both = (Scratch::new(&plan), Scratch::new(&plan));
        let layout = if round % 2 == 0 { Layout::whole() } else { Layout::of(|one, other| plan.tells_apart(one, other)) };
        for _ in 0..10 {
            agree(&mut draws, &plan, (&mut both.0, &mut both.1), &layout);
            as_usual(|| agree(&mut draws, &plan, (&mut both.0, &mut both.1), &layout));
        }
    }
}

/// Whether a plan needs records depends on its keys and tests alone; without any the layout may be the barest.
#[test]
fn usual_keys_ask_for_no_records() {
    let keys = [Key::SrcIp, Key::DstPrefix, Key::SrcPort, Key::Protocol, Key::TcpFlags, Key::PacketSize, Key::Flow, Key::Ttl];
    let specs: Vec<StatSpec> = keys.iter().map(|key| StatSpec::new("topk", &[*key], crate::axes::Metric::Bytes)).collect();
    let list: Vec<usize> = (0..specs.len()).collect();
    let bounds = WeightBounds { passed: 1, blocked: 40, random: true, rate: Some(40) };
    let Ok(plan) = Plan::compile(&specs, &list, Family::V4, bounds) else { panic!("a plan") };
    let (mut one, mut other) = (Scratch::new(&plan), Scratch::new(&plan));
    assert!(!one.asks_records);
    let layout = Layout::of(|one, other| plan.tells_apart(one, other));
    let mut draws = Draws(seed());
    (0..200).for_each(|_| agree(&mut draws, &plan, (&mut one, &mut other), &layout));
}

/// A key of several parts reads all of them, also where the first packet that one thinks of lacks one.
#[test]
fn every_part_of_a_key_is_kept() {
    let packet = |vlan| Record { vlan, protocol: 17, src_port: 53, has: Has::PORTS.with(Has::VLAN, true), weight: 1, ..Record::default() };
    for keys in [[Key::Vlan, Key::Service], [Key::Service, Key::Vlan]] {
        let specs = [StatSpec::new("distinct", &keys, crate::axes::Metric::Packets)];
        let bounds = WeightBounds { passed: 1, blocked: 1, random: true, rate: None };
        let Ok(plan) = Plan::compile(&specs, &[0], Family::V4, bounds) else { panic!("a plan") };
        let layout = Layout::of(|one, other| plan.tells_apart(one, other));
        let mut words = vec![0; layout.words(Form::Narrow)];
        layout.pack(&packet(7), Form::Narrow, &mut words);
        assert_eq!(layout.unpack(&words, Form::Narrow).vlan, 7, "{keys:?}");
    }
}
