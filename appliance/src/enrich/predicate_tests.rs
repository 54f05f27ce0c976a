use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::*;
use crate::analyse::keys;
use crate::axes::key::{KEYS, KeySpec, Lengths};
use crate::axes::value::number_bits;
use crate::config::flow_asks;
use crate::config::streams::parse_where;
use crate::record::FlowRow;

struct Dice(ChaCha8Rng);

impl Dice {
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.next_u32() as usize % of.len()]
    }
}

/// Both addresses, and all else told or not.
fn flow(dice: &mut Dice) -> (Flow, Added) {
    let (mut flow, mut added) = (Flow::default(), Added::NONE);
    let f = &mut flow.fields;
    let bytes = dice.one(&[4, 16]);
    (f.src_addr, f.dst_addr) = (Address::of(&[dice.one(&[10, 32]); 16][..bytes]), Address::of(&[dice.one(&[10, 32]); 16][..bytes]));
    f.kind = dice.one(&[FlowType::NetflowV5, FlowType::Ipfix, FlowType::Sflow5]);
    f.proto = dice.one(&[0, 1, 6, 17, 58, 132]);
    (f.src_port, f.dst_port) = (dice.one(&[0, 53, 123, 443]), dice.one(&[0, 53, 443]));
    (f.tcp_flags, f.ip_tos, f.ip_ttl) = (dice.one(&[0, 2, 18]), dice.one(&[0, 184, 3]), dice.one(&[0, 1, 64]));
    (f.icmp_type, f.icmp_code) = (dice.one(&[0, 0, 3]), dice.one(&[0, 0, 1]));
    (f.vlan_id, f.src_vlan, f.src_mac) = (dice.one(&[0, 5]), dice.one(&[0, 6]), dice.one(&[0, 0x0200_5E10_0001]));
    (f.fragment_offset, f.ip_flags) = (dice.one(&[0, 0, 185]), dice.one(&[0, 1, 2, 3]));
    (f.packets, f.bytes) = dice.one(&[(0, 0), (1, 64), (1, 1_500), (2, 64), (1, 0)]);
    (f.frame_bytes, f.sampling_rate) = (dice.one(&[0, 64]), dice.one(&[0, 1, 1_000]));
    flow.lists.mpls_label.extend(dice.one(&[&[][..], &[0], &[7, 8]]).iter().copied());
    flow.lists.layers.extend(dice.one(&[&[][..], &[(0, 14), (1, 20)], &[(2, 40), (8, 4)], &[(0, 14)]]).iter().copied());
    if dice.one(&[true, false]) && flow.fields.sampling_rate > 0 {
        let f = &mut flow.fields;
        (f.packets, f.bytes, added.normalized) = (f.packets * f.sampling_rate, f.bytes * f.sampling_rate, true);
    }
    (flow, added)
}

/// What a stat of flows has of it: the bytes of a key, and its text.
fn of_stats(key: Key, flow: &Flow, added: &Added) -> Option<(Vec<u8>, String)> {
    let told = if added.normalized { flow.fields.sampling_rate } else { 1 };
    let (packets, bytes) = (flow.fields.packets / told, flow.fields.bytes / told);
    let mut row = keys::row((flow, None), keys::addresses(&flow.fields)?, [0; 4].into());
    // As `analyse` has it of what it counts.
    let (packets, bytes) = if packets == 0 && bytes == 0 { (1, flow.fields.frame_bytes) } else { (packets, bytes) };
    if packets == 1 && bytes > 0 {
        (row.record.wire_bytes, row.told) = (u32::try_from(bytes).unwrap(), row.told | FlowRow::SIZE);
    }
    let (spec, family) = (KeySpec::new(vec![key], Lengths { v4: 32, v6: 128 }), row.record.family());
    let mut bytes = vec![0; spec.width(family)];
    spec.extract_flow(&row, &mut bytes).then(|| (bytes.clone(), spec.text(&bytes, family)))
}

#[test]
fn keys_are_those_of_stats() {
    let seed = std::env::var("ENRICH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    println!("ENRICH_SEED={seed}");
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    for key in KEYS.iter().map(|row| row.key).filter(|key| flow_asks(*key)) {
        let (mut held, mut absent) = (0, 0);
        for _ in 0..2_000 {
            let ((one, its), (other, others)) = (flow(&mut dice), flow(&mut dice));
            let name = key.row().name;
            let Some((bytes, text)) = of_stats(key, &one, &its) else {
                absent += 1;
                let any = FlowPredicate { tests: vec![FlowTest { of: FlowOf::Key(key), among: every(key) }] };
                assert!(!admits(&any, &one, &its), "{name} of {:?}, ENRICH_SEED={seed}", one.fields);
                continue;
            };
            let value = if number_bits(key).is_some() { text } else { format!("\"{text}\"") };
            let asked = format!("{{ {name} = {value} }}");
            let predicate = parse_where(&asked, &[]).unwrap_or_else(|faults| panic!("{faults}"));
            assert!(admits(&predicate, &one, &its), "{asked} of {:?}, ENRICH_SEED={seed}", one.fields);
            let is_same = of_stats(key, &other, &others).is_some_and(|(other, _)| other == bytes);
            assert_eq!(admits(&predicate, &other, &others), is_same, "{asked} of {:?}, ENRICH_SEED={seed}", other.fields);
            held += 1;
        }
        let always = matches!(key, Key::SrcIp | Key::DstIp | Key::SrcPrefix | Key::DstPrefix | Key::Dscp);
        assert!(held > 50 && (absent > 50 || always), "{}: {held} {absent}", key.row().name);
    }
}

/// Whatever a key may be.
fn every(key: Key) -> Among {
    let of = |family| {
        let width = (key.row().width)(family);
        vec![(vec![0; width], vec![u8::MAX; width])]
    };
    Among::Spans(of(crate::units::Family::V4), of(crate::units::Family::V6))
}
