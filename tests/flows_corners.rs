//! Corners of the standards (RFC 3954, 5103, 5477, 7011, sFlow 5, XDR), and exporters that leave them: what is read, and what is not lost.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test says what it expects; its numbers are small")]

mod flows_support;

use flows_support::coded::set;
use flows_support::told::{AT, REVERSE, Told, ipfix, nine, of, options, sample, sets, sflow};
use flows_support::{collector, feed, fixed, from};
use tailwater::flows::{Collector, Flow, Gaps, RecordDrop, SetDrop, TemplateEvent};

const SECOND_NS: u64 = 1_000_000_000;
const AT_NS: u64 = AT as u64 * SECOND_NS;

fn give(c: &mut Collector, bytes: Vec<u8>) -> Vec<Flow> {
    feed(c, &[(from(1, 2_055, AT_NS), bytes)])
}

/// Of one record of IPFIX.
fn told(fields: &[Told]) -> Flow {
    give(&mut collector(), ipfix(0, 0, &sets(10, fields))).remove(0)
}

/// What the packet is: addresses say it, and an EtherType beside them may be of what is around the packet, or of nothing.
#[test]
fn an_ethertype_counts_where_no_address_does() {
    let [family, ethernet, nowhere] = [of(8, &[192, 0, 2, 1]), of(256, &[0x88, 0x47]), of(12, &[0; 4])];
    for fields in orders(&[family, ethernet.clone(), nowhere.clone()]) {
        assert_eq!(told(&fields).fields.etype, 0x0800, "{fields:?}");
    }
    for fields in orders(&[ethernet, nowhere.clone(), of(60, &[4])]) {
        assert_eq!(told(&fields).fields.etype, 0x8847, "{fields:?}");
    }
    for fields in orders(&[of(256, &[0, 0]), nowhere]) {
        assert_eq!(told(&fields).fields.etype, 0x0800, "{fields:?}");
    }
}

fn reverse(id: u16, value: &[u8]) -> Told {
    (id, Some(REVERSE), value.to_vec())
}

/// All orders of a few.
fn orders<T: Clone>(of: &[T]) -> Vec<Vec<T>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let without = |at: usize| [&of[..at], &of[at + 1..]].concat();
    (0..of.len())
        .flat_map(|at| orders(&without(at)).into_iter().map(move |rest| (at, rest)))
        .map(|(at, rest)| [vec![of[at].clone()], rest].concat())
        .collect()
}

/// An exporter of IPFIX that counts messages: no loss, no restart, and its uptimes stay what they are.
#[test]
fn an_exporter_that_counts_messages_loses_neither_records_nor_times() {
    let (mut c, records) = (collector(), 24u16);
    let start = (u64::from(AT) * 1_000 - 3_600_000).to_be_bytes();
    give(&mut c, ipfix(0, 0, &options(7, &[of(160, &start)])));
    let [template, _] = sets(10, &[of(1, &[0, 0, 0, 9]), of(22, &[0; 4])]);
    give(&mut c, ipfix(1, 0, std::slice::from_ref(&template)));
    let mut timely = 0;
    for n in 0..200u32 {
        let body = [[0, 0, 0, 9], (3_600_000 + n * 1_000).to_be_bytes()].concat().repeat(records.into());
        let flows = give(&mut c, ipfix(2 + n, n, &[set(256, &body, 0)]));
        timely += flows.iter().filter(|flow| flow.fields.time_flow_start_ns == AT_NS + u64::from(n) * SECOND_NS).count();
        if n == 150 {
            assert_eq!(timely, 151 * usize::from(records), "each second's");
        }
    }
    assert_eq!(timely, 200 * usize::from(records));
    let Gaps { lost, gaps, restarts, misnumbered, .. } = c.ledger().record_gaps;
    assert_eq!((lost, gaps, restarts, c.ledger().missed), (0, 0, 0, 0), "{}", c.ledger());
    assert!(misnumbered >= 190 && c.ledger().to_string().contains(" misnumbered"), "{}", c.ledger());
    // What of it is lost is seen.
    give(&mut c, ipfix(205, 201, &[set(256, &[0; 48], 0)]));
    assert_eq!((c.ledger().record_gaps.lost, c.ledger().missed), (3, 3));
}

/// What an exporter of IPFIX told of its start holds until a restart is sure, and is nobody else's.
#[test]
fn a_start_is_forgotten_when_a_restart_is_confirmed() {
    let start = (u64::from(AT) * 1_000 - 3_600_000).to_be_bytes();
    let record = &sets(10, &[of(22, &3_600_000u32.to_be_bytes())]);
    let known = |c: &mut Collector, number: u32, after: u32| give(c, ipfix(number, after, record))[0].fields.time_flow_start_ns == AT_NS;
    let mut c = collector();
    give(&mut c, ipfix(5_000_000, 0, &options(7, &[of(160, &start)])));
    assert!(known(&mut c, 5_000_001, 1) && known(&mut c, 5_000_002, 2));
    // One of a stranger's: it alone is not told by this start.
    assert!(!known(&mut c, 7, 3) && known(&mut c, 5_000_003, 4));
    assert_eq!((c.ledger().record_gaps.restarts, c.ledger().record_gaps.misnumbered), (0, 1));
    // Far ahead, and meant.
    assert!(known(&mut c, 5_100_000, 5) && known(&mut c, 5_100_001, 6));
    assert_eq!((c.ledger().record_gaps.lost, c.ledger().record_gaps.restarts), (100_000 - 4, 0));
    // It began anew.
    assert!(!known(&mut c, 0, 7) && !known(&mut c, 1, 8) && !known(&mut c, 2, 9));
    assert_eq!(c.ledger().record_gaps.restarts, 1);
    give(&mut c, ipfix(3, 10, &options(7, &[of(160, &start)])));
    assert!(known(&mut c, 4, 11));
    // Anew, and its start is told with the first datagram.
    let anew = (u64::from(AT) * 1_000 - 3_500_000).to_be_bytes();
    give(&mut c, ipfix(0, 20, &options(7, &[of(160, &anew)])));
    let flow = &give(&mut c, ipfix(1, 21, &sets(10, &[of(22, &3_500_000u32.to_be_bytes())])))[0];
    assert_eq!((flow.fields.time_flow_start_ns, c.ledger().record_gaps.restarts), (AT_NS, 2), "{}", c.ledger());
    assert_eq!(give(&mut c, ipfix(2, 22, &sets(10, &[of(22, &3_500_000u32.to_be_bytes())])))[0].fields.time_flow_start_ns, AT_NS);
}

/// One forged number far ahead: what is lost behind it is told, in the window in which it was.
#[test]
fn a_stray_number_hides_no_loss() {
    let mut c = collector();
    let [template, record] = sets(9, &[of(1, &[9])]);
    let at = |c: &mut Collector, second: u64, number: u32| {
        feed(
            c,
            &[(
                from(1, 1, AT_NS + second * SECOND_NS),
                nine(number, second as u32, 1_000_000 + 1_000 * second as u32, &[template.clone(), record.clone()]),
            )],
        )
    };
    (0..10).for_each(|n| drop(at(&mut c, n.into(), n)));
    at(&mut c, 10, 1 << 20);
    assert_eq!((c.ledger().missed, c.missed_since_ns()), (0, None));
    at(&mut c, 11, 15);
    assert_eq!((c.ledger().missed, c.ledger().datagram_gaps.lost, c.missed_since_ns()), (5, 5, Some(AT_NS + 9 * SECOND_NS)));
    // A true one, which the next confirms: missing since the last that came before it.
    at(&mut c, 12, 1 << 20);
    at(&mut c, 13, (1 << 20) + 1);
    assert_eq!((c.ledger().datagram_gaps.lost, c.missed_since_ns()), (5 + (1 << 20) - 16, Some(AT_NS + 11 * SECOND_NS)));
    assert_eq!((c.ledger().datagram_gaps.misnumbered, c.ledger().datagram_gaps.restarts), (1, 0));
}

/// Of the way back too counts after the box give way to those before it, whatever their order.
#[test]
fn counts_give_way_in_both_directions_and_in_any_order() {
    let rows = |wanted: &[(u16, u8)], way: &dyn Fn(u16, &[u8]) -> Told| wanted.iter().map(|(id, n)| way(*id, &[*n])).collect::<Vec<_>>();
    let octets = [(1, 11), (23, 23), (85, 85), (352, 35)];
    for from in 0..octets.len() {
        for order in orders(&octets[from..]) {
            let f = told(&[rows(&order, &of), rows(&order, &reverse)].concat()).fields;
            assert_eq!((f.bytes, f.reverse_bytes), (octets[from].1.into(), octets[from].1.into()), "{order:?}");
        }
    }
    for order in orders(&[(2, 12), (24, 24), (86, 86)]) {
        let f = told(&rows(&order, &reverse)).fields;
        assert_eq!(f.reverse_packets, 12, "{order:?}");
    }
    // Octets of frames are nothing beside the initiator's, and are those of NetFlow 9 too.
    assert_eq!(told(&[of(352, &[35]), of(231, &[7])]).fields.bytes, 7);
    assert_eq!(give(&mut collector(), nine(0, 0, 9, &sets(9, &[of(352, &[35])])))[0].fields.bytes, 35);
}

/// Entries of the label stack stand in the order of their elements; those behind the last that has any bit are none.
#[test]
fn labels_stand_as_in_the_stack() {
    let entry = |label: u32, bottom: u32| (label << 4 | bottom).to_be_bytes()[1..].to_vec();
    let stack = |labels: &[(u16, Vec<u8>)]| {
        let found: Vec<Vec<u32>> = orders(labels)
            .iter()
            .map(|order| told(&order.iter().map(|(id, value)| of(*id, value)).collect::<Vec<_>>()).lists.mpls_label.to_vec())
            .collect();
        assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
        found[0].clone()
    };
    let none = || vec![0; 3];
    assert_eq!(stack(&[(70, entry(16, 0)), (71, entry(1_048_575, 0)), (72, entry(18, 1)), (73, none())]), [16, 1_048_575, 18]);
    assert_eq!(stack(&[(70, none()), (71, none())]), [0; 0]);
    // Explicit null: on top of another, and alone at the bottom.
    assert_eq!(stack(&[(70, none()), (71, entry(18, 1)), (72, none())]), [0, 18]);
    assert_eq!(stack(&[(70, entry(0, 1)), (71, none())]), [0]);
    assert_eq!(stack(&[(79, entry(9, 1)), (70, entry(1, 0))]), [1, 9]);
}

/// The lowest eleven bits of a fraction of dateTimeMicroseconds are not looked at (RFC 7011, 6.1.9); those of nanoseconds are.
#[test]
fn bits_below_microseconds_are_ignored() {
    let ntp = |low: u64| ((u64::from(AT) + 2_208_988_800) << 32 | 0x8000_0000 | low).to_be_bytes();
    let half = AT_NS + SECOND_NS / 2;
    let times = |rows: &[Told]| {
        let f = told(rows).fields;
        (f.time_flow_start_ns, f.time_flow_end_ns, f.reverse_time_flow_start_ns, f.reverse_time_flow_end_ns)
    };
    let low = ntp(0x7FF);
    let way = [of(154, &low), of(155, &low), reverse(154, &low), reverse(155, &low)];
    assert_eq!(times(&way), (half, half, half, half));
    assert_eq!(times(&[of(324, &low)]), (half, half, 0, 0));
    let more = half + 476;
    assert_eq!(times(&[of(156, &low), of(157, &low), reverse(156, &low), reverse(157, &low)]), (more, more, more, more));
}

/// Templates of options whose scopes are no whole fields are refused; zeros behind records of a byte are padding.
#[test]
fn netflow_9_at_its_edges() {
    let mut c = collector();
    // Six bytes of scopes and six of options.
    let odd = set(1, &[1, 1, 0, 6, 0, 6, 0, 1, 0, 4, 0, 34, 0, 4, 0, 35, 0, 1], 2);
    give(&mut c, nine(0, 0, 9, &[odd]));
    assert_eq!((c.ledger().templates[TemplateEvent::Cut as usize], c.ledger().templates[TemplateEvent::New as usize]), (1, 0));
    let [template, _] = sets(9, &[of(4, &[6])]);
    let protocols = |c: &mut Collector, number: u32, body: &[u8]| {
        give(c, nine(number, 0, 9, &[template.clone(), set(256, body, 0)])).iter().map(|flow| flow.fields.proto).collect::<Vec<_>>()
    };
    assert_eq!(protocols(&mut c, 1, &[6, 0, 0, 0]), [6]);
    assert_eq!(protocols(&mut c, 2, &[6, 17, 0, 1]), [6, 17, 0, 1]);
    assert!(c.ledger().balances() && c.ledger().record_drops == [0; RecordDrop::COUNT]);
}

/// What is left behind the last record and is no padding is a record that was cut.
#[test]
fn what_is_left_of_a_record_is_counted() {
    for (left, cut) in [(vec![0; 7], 0), (vec![1; 3], 0), (vec![0, 0, 0, 0, 9], 1), (vec![1; 7], 1)] {
        let mut c = collector();
        let [template, _] = sets(10, &[of(1, &[0; 8])]);
        assert_eq!(give(&mut c, ipfix(0, 0, &[template, set(256, &[vec![7; 8], left.clone()].concat(), 0)])).len(), 1);
        assert_eq!((c.ledger().record_drops[RecordDrop::Cut as usize], c.ledger().missed), (cut, cut), "{left:?}");
        // It was counted by its exporter, or not: the next number is right either way.
        give(&mut c, ipfix(1 + cut as u32, 1, &[]));
        assert!(c.ledger().record_gaps == Gaps::default() && c.ledger().balances());
    }
}

/// Lengths in the record: of one byte, of three, of nothing at all; and a set that is cut does not end the count of what is lost.
#[test]
fn lengths_in_the_record() {
    let template = set(2, &[1, 0, 0, 2, 0, 82, 0xFF, 0xFF, 0, 1, 0, 1], 0);
    let records = [&[0, 1][..], &[3, 9, 9, 9, 2], &[255, 0, 0, 3], &[255, 0, 2, 9, 9, 4], &[254], &[9; 254], &[5]].concat();
    let mut c = collector();
    let flows = give(&mut c, ipfix(0, 0, &[template, set(256, &records, 0)]));
    assert_eq!(flows.iter().map(|flow| flow.fields.bytes).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let mut cut = ipfix(5, 1, &[set(256, &[0, 1], 0), set(256, &[0, 1], 0)]);
    cut.truncate(cut.len() - 1);
    assert_eq!(give(&mut c, cut).len(), 1);
    assert_eq!(c.ledger().set_drops[SetDrop::Cut as usize], 1);
    give(&mut c, ipfix(7, 2, &[]));
    assert_eq!(c.ledger().record_gaps, Gaps::default());
    give(&mut c, ipfix(9, 3, &[]));
    assert_eq!(c.ledger().record_gaps.lost, 2);
}

/// NetFlow 5 that counts more than it has: the next number says what it meant.
#[test]
fn counts_of_netflow_5_that_are_lies() {
    for (count, next) in [(3u8, 3u32), (30, 30), (255, 3), (0, 0), (3, 9)] {
        let mut c = collector();
        let of = |count: u8, number: u32, records: usize| {
            let mut bytes =
                [&[0, 5, 0, count, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 0][..], &number.to_be_bytes(), &[0, 1, 0x80 | 1, 0x40]].concat();
            bytes.resize(24 + 48 * records, 1);
            bytes
        };
        let flows = give(&mut c, of(count, 0, 3));
        assert_eq!(flows.len(), usize::from(count.min(3)));
        // Mode 2 in the two highest bits.
        assert!(flows.iter().all(|flow| flow.fields.sampling_rate == 0x140 && flow.fields.rate_random));
        assert_eq!(c.ledger().record_drops[RecordDrop::Missing as usize], u64::from(count.saturating_sub(3)));
        give(&mut c, of(1, next, 1));
        let lost = u64::from(next.saturating_sub(count.into()));
        assert_eq!((c.ledger().record_gaps.lost, c.ledger().record_gaps.restarts), (lost, 0), "{count} {next}");
    }
}

/// XDR fills up what it counts in bytes; an agent need not say who it is; what is shown may be longer than what it was.
#[test]
fn sflow_at_its_edges() {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let frame =
        [&[2; 12][..], &[8, 0, 0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2, 0, 7, 0, 9, 0, 8, 0, 0]].concat();
    // A record of an odd length before the one that matters, in a sample of an odd length before another.
    let padded =
        |format: u32, body: &[u8]| [words(&[format, body.len() as u32]), body.to_vec(), vec![0; body.len().wrapping_neg() % 4]].concat();
    let raw = [words(&[1, 64, 0, frame.len() as u32]), frame.clone()].concat();
    let records = [padded(4_097, &[9; 5]), padded(1, &raw), [words(&[4_099, 3]), vec![9; 3]].concat()].concat();
    let head = words(&[1, 3, 400, 400, 0, 7, 8, 3]);
    let odd = padded(1, &[head, records].concat());
    let mut c = collector();
    let flows = give(&mut c, sflow(1, 9, &[odd, sample(1, &[2, 3, 400, 800, 0, 7, 8], &frame)]));
    assert_eq!(flows.iter().map(|flow| (flow.fields.src_port, flow.fields.bytes)).collect::<Vec<_>>(), [(7, 64), (7, frame.len() as u64)]);
    assert!(c.ledger().set_drops == [0; SetDrop::COUNT] && c.ledger().balances(), "{}", c.ledger());
    // More is shown than there was.
    let mut short = sample(1, &[1, 3, 400, 400, 0, 7, 8], &frame);
    short[8 + 32 + 8 + 4..][..4].copy_from_slice(&10u32.to_be_bytes());
    let flow = &give(&mut collector(), sflow(1, 9, &[short]))[0];
    assert_eq!((flow.fields.bytes, flow.fields.src_port), (10, 7));
    // No agent: the datagram's source is it.
    let bytes = [words(&[5, 0, 0, 1, 9, 1]), sample(1, &[1, 3, 400, 400, 0, 7, 8], &frame)].concat();
    let flow = &give(&mut collector(), bytes)[0];
    assert_eq!((flow.fields.sampler_address.text(), flow.fields.exporter_address.bytes().len()), ("0.0.0.1".to_owned(), 0));
    // The length of a frame goes before that of the packet in it, whichever is told first, and one that is shown before all.
    let shown = [words(&[1, 16 + 44, 1, 64, 0, frame.len() as u32]), frame.clone(), vec![0; frame.len().wrapping_neg() % 4]].concat();
    let packet = fixed::ip(3, 46, 17, &[9; 8], [7, 9, 0, 0]);
    let ethernet = words(&[2, 24, 99, 0x0200_0000, 0, 0x0200_0001, 0, 0x0800]);
    let all = [(shown, (64, 0)), (ethernet, (99, 4)), (packet, (46, 0))];
    for order in (1..=3).flat_map(|of| (0..=3 - of).map(move |from| from..from + of)).flat_map(|some| orders(&all[some])) {
        let body =
            [words(&[1, 3, 400, 400, 0, 7, 8, order.len() as u32]), order.iter().flat_map(|(record, _)| record.clone()).collect()].concat();
        let flow = &give(&mut collector(), sflow(1, 9, &[padded(1, &body)]))[0];
        let first = all.iter().find(|(record, _)| order.iter().any(|(other, _)| other == record)).unwrap();
        assert_eq!((flow.fields.bytes, flow.fields.fcs_bytes), first.1, "{order:?}");
    }
}

/// Templates with an id below 256 and options whose scope is longer than they are: counted, and what stands behind them in the set is read.
#[test]
fn templates_that_cannot_be_do_not_hide_those_behind_them() {
    for version in [9, 10] {
        let datagram = |number: u32, sets: &[Vec<u8>]| if version == 9 { nine(number, 0, 9, sets) } else { ipfix(number, 0, sets) };
        let good = [1, 0, 0, 1, 0, 1, 0, 4];
        let [plain, scoped] = if version == 9 { [0, 1] } else { [2, 3] };
        let reserved = [&[0, 255, 0, 2, 0, 1, 0, 4, 0, 2, 0, 4][..], &good, &[0; 4]].concat();
        let mut c = collector();
        let flows = give(&mut c, datagram(0, &[set(plain, &reserved, 0), set(256, &[0, 0, 0, 7], 0)]));
        assert_eq!(flows.iter().map(|flow| flow.fields.bytes).collect::<Vec<_>>(), [7], "{}", c.ledger());
        let told = |event: TemplateEvent, c: &Collector| c.ledger().templates[event as usize];
        assert_eq!([TemplateEvent::ReservedId, TemplateEvent::New, TemplateEvent::Cut].map(|event| told(event, &c)), [1, 1, 0]);
        if version == 10 {
            let options = [&[1, 7, 0, 1, 0, 2, 0, 34, 0, 4][..], &[1, 8, 0, 1, 0, 1, 0, 34, 0, 4]].concat();
            give(&mut c, datagram(1, &[set(scoped, &options, 0), set(263, &[0; 4], 0), set(264, &[0; 4], 0)]));
            assert_eq!((told(TemplateEvent::BadScope, &c), told(TemplateEvent::New, &c)), (1, 2), "{}", c.ledger());
            assert_eq!((c.ledger().options, c.ledger().waiting), (1, 1), "{}", c.ledger());
        }
        assert!(c.ledger().balances());
    }
}

/// A message of IPFIX that says it is longer than its datagram lacks a set at least, wherever it was cut.
#[test]
fn a_message_that_ends_between_two_sets_is_cut() {
    let [template, data] = sets(10, &[of(1, &[0, 0, 0, 9])]);
    let whole = ipfix(0, 0, &[template.clone(), data.clone(), data.clone()]);
    for lacking in 0..=data.len() + 1 {
        let mut c = collector();
        let flows = give(&mut c, whole[..whole.len() - lacking].to_vec());
        assert_eq!(
            flows.len(),
            if lacking == 0 {
                2
            } else if lacking <= data.len() {
                1
            } else {
                0
            }
        );
        assert_eq!(c.ledger().set_drops[SetDrop::Cut as usize], u64::from(lacking > 0), "{lacking}: {}", c.ledger());
        assert!(c.ledger().balances());
        // How many records it had nobody knows.
        give(&mut c, ipfix(2, 1, &[]));
        assert_eq!(c.ledger().record_gaps, Gaps::default(), "{lacking}");
    }
}

/// The length of a frame may be told behind it.
#[test]
fn a_frame_is_the_same_before_and_behind_its_length() {
    let inner = [0x45, 0, 5, 0, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 7, 0, 9, 4, 0xEC, 0, 0];
    let outer = [&[0x45, 0, 5, 20, 0, 1, 0, 0, 64, 4, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2][..], &inner].concat();
    let frame = [&[2; 12][..], &[8, 0], &outer].concat();
    let (section, length) = (of(315, &frame), of(312, &1_314u16.to_be_bytes()));
    let [before, behind] = [vec![length.clone(), section.clone()], vec![section, length]].map(|rows| told(&rows));
    assert_eq!(before, behind);
    assert_eq!((before.fields.frame_bytes, before.fields.has_encap, before.fields.src_port_encap), (1_314, 1, 7));
}
