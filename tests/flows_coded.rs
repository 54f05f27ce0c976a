//! Exports that an encoder of our own makes of random templates and values, and such as nobody sane would send.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test says what it expects; its numbers are small")]

mod flows_support;

use flows_support::coded::{KNOWN, Made, datagram, dice, record, set, template, template_set};
use flows_support::{collector, feed, from};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use tailwater::flows::{Address, Collector, DatagramDrop, Fields, Flow, Gaps, RateFrom, RecordDrop, SetDrop, Settings, TemplateEvent};
use tailwater::limits::{FLOW_DOMAINS_MAX, FLOW_KNOWN_BYTES_MAX, HELD_BYTES_MAX, HELD_BYTES_OF_DOMAIN_MAX, TEMPLATES_OF_DOMAIN_MAX};

#[test]
fn random_templates_and_records_come_back() {
    let seed = std::env::var("FLOWS_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("FLOWS_SEED={seed}");
    let mut d = ChaCha8Rng::seed_from_u64(seed);
    let (mut nine, mut ten, mut sequences) = (collector(), collector(), [0u32; 2]);
    for round in 0..600u32 {
        let version = if round % 2 == 0 { 9 } else { 10 };
        let collector = if version == 9 { &mut nine } else { &mut ten };
        let fields = template(&mut d, version);
        let id = 256 + dice(&mut d, 30) as u16;
        let shortest: usize = fields.iter().map(|f| if f.bytes == u16::MAX { 1 } else { usize::from(f.bytes) }).sum();
        let made: Vec<_> = (0..1 + dice(&mut d, 8)).map(|_| record(&mut d, &fields)).collect();
        let body = made.iter().flat_map(|(bytes, _)| bytes.clone()).collect::<Vec<u8>>();
        let padding = dice(&mut d, shortest.min(4));
        let mut sets = vec![template_set(version, id, &fields), set(id, &body, padding)];
        let sequence = &mut sequences[usize::from(version == 10)];
        let came = datagram(version, *sequence, 7, &sets);
        let flows = feed(collector, &[(from(1, 2055, 1), came)]);
        *sequence += if version == 9 { 1 } else { made.len() as u32 };
        assert_eq!(flows.len(), made.len(), "round {round}");
        for (flow, (_, values)) in flows.iter().zip(&made) {
            for (known, value) in values {
                // What fills a field with zero is "not told"; addresses are compared as they are.
                assert_eq!(KNOWN[*known].2(flow), *value, "round {round}, element {}", KNOWN[*known].0);
            }
        }
        // The other way round, of an exporter that is not known: data waits, and comes out the same.
        sets.swap(0, 1);
        let stranger = from(1_000 + round, 2055, 1);
        let late = feed(collector, &[(stranger, datagram(version, 0, 7, &sets))]);
        let of = |flows: &[Flow]| flows.iter().map(|f| KNOWN.iter().map(|known| known.2(f)).collect::<Vec<_>>()).collect::<Vec<_>>();
        assert_eq!(of(&late), of(&flows));
    }
    for collector in [&nine, &ten] {
        let gaps = collector.ledger().record_gaps.lost + collector.ledger().datagram_gaps.lost;
        assert_eq!((gaps, collector.ledger().waiting), (0, 0), "{}", collector.ledger());
    }
}

fn one_template(_id: u16, fields: &[(u16, u16)]) -> Vec<Made> {
    fields.iter().map(|(id, bytes)| Made { id: *id, bytes: *bytes, enterprise: None, known: None }).collect()
}

fn nine(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    datagram(9, sequence, 1, sets)
}

#[test]
fn templates_that_are_lies() {
    let mut c = collector();
    let lies: Vec<Vec<u8>> = vec![
        // 65,535 fields that are not there.
        set(0, &[1, 0, 0xFF, 0xFF, 0, 1, 0, 4], 0),
        // No field, and only fields of no length.
        set(0, &[1, 0, 0, 0], 0),
        template_set(9, 256, &one_template(256, &[(1, 0), (2, 0)])),
        // More fields than are kept, all there.
        template_set(9, 256, &one_template(256, &vec![(400, 1); 15_000])),
    ];
    for lie in lies {
        feed(&mut c, &[(from(1, 1, 1), nine(0, &[lie, set(256, &[0; 64], 0)]))]);
    }
    let events = c.ledger().templates;
    assert_eq!(events[TemplateEvent::Cut as usize], 1);
    assert_eq!(events[TemplateEvent::Empty as usize], 2);
    assert_eq!(events[TemplateEvent::TooLong as usize], 1);
    assert_eq!((c.ledger().flows, c.ledger().waiting, c.memory_bytes().0), (0, 4, 4 * size_of::<u64>()), "but for fingerprints");
}

#[test]
fn ten_million_spoofed_templates_take_no_more_than_their_bound() {
    let rounds = std::env::var("FLOWS_SPOOFED").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000u32);
    let (mut c, mut flows) = (collector(), 0);
    let fields = one_template(256, &[(8, 4), (12, 4), (1, 4), (2, 4), (400, 20)]);
    // An exporter that goes on working amid them.
    let good = from(0, 1, 1);
    let used = set(256, &[1; 36], 0);
    c.take(&good, &nine(0, &[template_set(9, 256, &fields)]), &mut |_| ());
    for round in 1..=rounds {
        let sets = [template_set(9, 256 + (round % 60_000) as u16, &fields), set(65_535, &[0; 100], 0)];
        c.take(&from(round, 1, 1), &nine(round, &sets), &mut |_| ());
        if round % 5_000 == 0 {
            c.take(&good, &nine(round / 5_000, std::slice::from_ref(&used)), &mut |_| flows += 1);
            assert!(c.ledger().balances(), "{}", c.ledger());
            assert!(c.domains() <= FLOW_DOMAINS_MAX);
            let (templates, held) = c.memory_bytes();
            assert!(templates <= FLOW_KNOWN_BYTES_MAX && held <= HELD_BYTES_MAX, "{templates} {held}");
        }
    }
    assert_eq!(flows, rounds / 5_000, "an exporter in use was pushed out");
    assert_eq!(c.ledger().domains_evicted, u64::from(rounds + 1) - FLOW_DOMAINS_MAX as u64);
}

#[test]
fn one_domain_has_its_bounds_too() {
    let mut c = collector();
    let fields = one_template(256, &[(1, 4)]);
    for id in 256..60_000u16 {
        c.take(&from(1, 1, 1), &nine(0, &[template_set(9, id, &fields)]), &mut |_| ());
    }
    let evicted = c.ledger().templates[TemplateEvent::Evicted as usize];
    assert_eq!(evicted, 60_000 - 256 - TEMPLATES_OF_DOMAIN_MAX as u64);
    for _ in 0..100 {
        c.take(&from(2, 1, 1), &nine(0, &[set(300, &[0; 60_000], 0)]), &mut |_| ());
    }
    assert!(c.memory_bytes().1 <= HELD_BYTES_OF_DOMAIN_MAX);
    assert!(c.ledger().set_drops[SetDrop::NoRoom as usize] > 80 && c.ledger().balances());
    // What waits too long is given up.
    c.take(&from(2, 1, 1 + 36 * 60 * 1_000_000_000), &nine(0, &[]), &mut |_| ());
    assert_eq!((c.ledger().waiting, c.memory_bytes().1), (0, 0));
}

#[test]
fn sets_and_headers_that_are_lies() {
    let mut c = collector();
    let mut give = |bytes: &[u8]| c.take(&from(1, 1, 1), bytes, &mut |_| ());
    [&[][..], &[0], &[0, 9], &[0, 3, 0, 0], &[0, 0, 0, 5, 0, 0, 0, 9], &[0, 10, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
        .into_iter()
        .for_each(&mut give);
    give(&nine(0, &[vec![1, 0, 0, 3]]));
    give(&nine(1, &[vec![1, 0, 0xFF, 0xFF]]));
    give(&nine(2, &[set(77, &[1; 10], 0)]));
    // A record of variable length that claims more than its set holds.
    let ten = one_template(256, &[(400, u16::MAX), (1, 4)]);
    give(&datagram(10, 0, 1, &[template_set(10, 256, &ten), set(256, &[200, 1, 2, 3, 4, 5], 0)]));
    // NetFlow 5 that counts thirty and holds one.
    let mut five = vec![0, 5, 0, 30];
    five.resize(24 + 48, 0);
    give(&five);
    let l = c.ledger();
    assert!(l.balances(), "{l}");
    assert_eq!(l.datagram_drops, [3, 1, 2], "{:?}", DatagramDrop::ALL);
    assert_eq!(l.set_drops[SetDrop::BadLength as usize], 1);
    assert_eq!(l.set_drops[SetDrop::Cut as usize], 1);
    assert_eq!(l.set_drops[SetDrop::ReservedId as usize], 1);
    assert_eq!(l.record_drops[RecordDrop::Cut as usize], 1);
    assert_eq!((l.record_drops[RecordDrop::Missing as usize], l.flows), (29, 1));
}

#[test]
fn templates_change_conflict_and_expire_and_are_not_withdrawn() {
    let (a, b) = (one_template(256, &[(1, 4)]), one_template(256, &[(2, 8)]));
    let mut c = collector();
    let mut give =
        |port: u16, received_ns: u64, sets: &[Vec<u8>]| c.take(&from(1, port, received_ns), &datagram(10, 0, 1, sets), &mut |_| ());
    give(1, 1, &[template_set(10, 256, &a)]);
    give(1, 2, &[template_set(10, 256, &a)]);
    give(1, 3, &[template_set(10, 256, &b)]);
    give(2, 4, &[template_set(10, 256, &a)]);
    give(2, 5, &[set(2, &[1, 0, 0, 0], 0)]);
    give(2, 6, &[template_set(10, 300, &a), template_set(10, 301, &a), set(2, &[0, 2, 0, 0], 0)]);
    give(2, 7, &[template_set(10, 256, &a)]);
    give(2, 25 * 3_600 * 1_000_000_000, &[set(256, &[0, 0, 0, 1], 0)]);
    let events = c.ledger().templates;
    let of = |event: TemplateEvent| events[event as usize];
    assert_eq!([of(TemplateEvent::New), of(TemplateEvent::Refreshed), of(TemplateEvent::Changed)], [3, 2, 1]);
    assert_eq!([of(TemplateEvent::Conflict), of(TemplateEvent::WithdrawalIgnored), of(TemplateEvent::Expired)], [1, 2, 1]);
    assert_eq!((c.ledger().waiting, c.ledger().flows), (1, 0));
}

#[test]
fn rates_of_options_operator_and_record() {
    let data = one_template(256, &[(1, 4), (10, 2)]);
    // Scope: system, no length told. Then sampler, mode, rate.
    let options = set(1, &[1, 1, 0, 4, 0, 8, 0, 1, 0, 0, 0, 35, 0, 1, 0, 50, 0, 4], 2);
    let mut c = collector();
    let flow = |c: &mut Collector, sets: &[Vec<u8>]| feed(c, &[(from(1, 1, 1), nine(0, sets))]).last().cloned();
    let record = set(256, &[0, 0, 0, 9, 0, 5], 2);
    let before = flow(&mut c, &[template_set(9, 256, &data), record.clone()]).unwrap().fields;
    assert_eq!((before.sampling_rate, before.rate_from, before.bytes), (0, RateFrom::Unknown, 9));
    let after = flow(&mut c, &[options, set(257, &[2, 0, 0, 4, 0], 3), record.clone()]).unwrap().fields;
    assert_eq!((after.sampling_rate, after.rate_from), (1_024, RateFrom::Options));
    assert_eq!((c.ledger().rate_unknown, c.ledger().rates_told, c.ledger().options), (1, 1, 1));
    let exporter = Address::of(&[0, 0, 0, 1]);
    let row = |interface, rate| tailwater::flows::OperatorRate { exporter, interface, rate };
    let mut c = Collector::new(&Settings { per_port: false, rates: vec![row(None, 10), row(Some(5), 20)] });
    let set_by_operator = flow(&mut c, &[template_set(9, 256, &data), record]).unwrap().fields;
    assert_eq!((set_by_operator.sampling_rate, set_by_operator.rate_from), (20, RateFrom::Operator));
    assert_ne!(set_by_operator, Fields::default());
}

#[test]
fn losses_of_each_protocol() {
    let mut c = collector();
    let data = one_template(256, &[(1, 4)]);
    let give = |c: &mut Collector, bytes: &[u8]| c.take(&from(1, 1, 1), bytes, &mut |_| ());
    give(&mut c, &nine(10, &[template_set(9, 256, &data)]));
    [12, 13, 11].into_iter().for_each(|n| give(&mut c, &nine(n, &[set(256, &[1; 8], 0)])));
    assert_eq!(c.ledger().datagram_gaps, Gaps { gaps: 1, late: 1, ..Gaps::default() });
    give(&mut c, &datagram(10, 100, 1, &[template_set(10, 256, &data), set(256, &[1; 8], 0)]));
    give(&mut c, &datagram(10, 105, 1, &[set(256, &[1; 4], 0)]));
    assert_eq!(c.ledger().record_gaps, Gaps { lost: 3, gaps: 1, ..Gaps::default() });
}

#[test]
fn rates_of_a_narrower_scope_are_not_those_of_the_domain() {
    let record = set(256, &[0, 0, 0, 9, 0, 0, 0, 5], 0);
    // Of IPFIX: domain, process, interface, line card, egress, template. Of NetFlow 9: system, interface, line card, cache, template.
    let ten = [(149u16, true), (144, true), (10, true), (141, false), (14, false), (145, false)].map(|(id, holds)| (10, id, holds));
    let nine = [(1u16, true), (2, true), (3, false), (4, false), (5, false)].map(|(id, holds)| (9, id, holds));
    for (version, scope, holds) in ten.into_iter().chain(nine) {
        let counts: [u16; 2] = if version == 9 { [4, 4] } else { [2, 1] };
        let body: Vec<u8> = [257, counts[0], counts[1], scope, 4, 34, 4].iter().flat_map(|n| n.to_be_bytes()).collect();
        let options = set(if version == 9 { 1 } else { 3 }, &body, 0);
        // A scope that names a domain names that of the datagrams.
        let told = set(257, &[0, 0, 0, 5, 0, 0, 0, 100], 0);
        let (mut c, data) = (collector(), template_set(version, 256, &one_template(256, &[(1, 4), (10, 4)])));
        let flows = feed(&mut c, &[(from(1, 1, 1), datagram(version, 0, 5, &[data, options, told, record.clone()]))]);
        assert_eq!(flows[0].fields.sampling_rate, if holds { 100 } else { 0 }, "version {version}, scope {scope}");
        assert_eq!((c.ledger().rates_told, c.ledger().rates_ignored), (u64::from(holds), u64::from(!holds)));
    }
}

#[test]
fn records_that_an_exporter_says_it_sent_are_flows_held_ones_too() {
    let data = template_set(10, 256, &one_template(256, &[(1, 4)]));
    let body: Vec<u8> = [257u16, 2, 1, 149, 4, 42, 4].iter().flat_map(|n| n.to_be_bytes()).collect();
    let told = |sent: u8| set(257, &[0, 0, 0, 1, 0, 0, 0, sent], 0);
    let (mut c, options) = (collector(), set(3, &body, 0));
    let give = |c: &mut Collector, domain: u32, sets: &[Vec<u8>]| c.take(&from(1, 1, 1), &datagram(10, 0, domain, sets), &mut |_| ());
    give(&mut c, 1, &[options, told(10)]);
    give(&mut c, 1, &[set(256, &[1; 12], 0)]);
    give(&mut c, 1, &[data, told(13)]);
    assert_eq!(c.warnings(), Vec::<String>::new());
    give(&mut c, 1, &[told(15)]);
    assert_eq!(c.warnings().len(), 1, "{:?}", c.warnings());
    // The total is of both domains, of which each saw a part.
    give(&mut c, 2, &[]);
    assert_eq!(c.warnings(), Vec::<String>::new());
}

#[test]
fn samples_that_are_not_there_are_missing() {
    // sFlow: version, agent, sub-agent, number, uptime, three samples; one of them there, of a kind that is not read.
    let words = [5u32, 1, 0x0A00_0001, 0, 1, 1_000, 3, 99, 4, 0];
    let mut c = collector();
    feed(&mut c, &[(from(1, 1, 1), words.iter().flat_map(|n| n.to_be_bytes()).collect())]);
    assert_eq!([SetDrop::OtherSample, SetDrop::Missing].map(|drop| c.ledger().set_drops[drop as usize]), [1, 2]);
    assert!(c.ledger().sets == 3 && c.ledger().balances());
}

#[test]
fn interfaces_of_samples_are_those_alone() {
    // A sample of a flow: number, source, rate, pool, drops, input, output, one record: Ethernet of 60 bytes.
    let sample = |input: u32, output: u32| {
        let body = [1u32, 1, 10, 10, 0, input, output, 1, 2, 20, 60, 0, 0, 0, 0x0800_0000];
        let head = [5u32, 1, 0x0A00_0001, 0, 1, 1_000, 1, 1, 4 * body.len() as u32];
        let bytes = head.iter().chain(&body).flat_map(|n| n.to_be_bytes()).collect();
        let fields = feed(&mut collector(), &[(from(1, 1, 1), bytes)])[0].fields;
        (fields.in_if, fields.out_if, fields.discard_reason, fields.out_if_count)
    };
    assert_eq!(sample(7, 8), (7, 8, 0, 0));
    assert_eq!(sample(0x8000_0002, 0x8000_0003), (0, 0, 0, 3));
    assert_eq!(sample(7, 0x4000_0102), (7, 0, 0x103, 0));
}

#[test]
fn strangers_without_templates_and_one_address_with_many_domains_push_out_none() {
    let (mut c, mut flows) = (collector(), 0);
    let data = template_set(9, 256, &one_template(256, &[(1, 4)]));
    c.take(&from(0, 1, 1), &nine(0, std::slice::from_ref(&data)), &mut |_| ());
    (1..=FLOW_DOMAINS_MAX as u32 + 500).for_each(|stranger| c.take(&from(stranger, 1, 1), &nine(0, &[]), &mut |_| ()));
    assert_eq!((c.domains(), c.ledger().domains_evicted), (FLOW_DOMAINS_MAX, 501));
    (1..=40_000).for_each(|id| c.take(&from(u32::MAX, 1, 1), &datagram(9, 0, id, std::slice::from_ref(&data)), &mut |_| ()));
    c.take(&from(0, 1, 1), &nine(1, &[set(256, &[1; 4], 0)]), &mut |_| flows += 1);
    assert_eq!((flows, c.domains(), c.ledger().balances()), (1, FLOW_DOMAINS_MAX, true));
}
