//! What sequence numbers told, by exporter and observation domain.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test says what it expects; its numbers are small")]

mod flows_support;

use std::collections::BTreeMap;

use flows_support::told::{ipfix, nine, of, sample, sets, sflow};
use flows_support::{collector, feed, from};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tailwater::flows::{Collector, DomainGaps, Gaps, Ledger, Settings};
use tailwater::limits::{EXPORTER_SILENT_MS_MAX, FLOW_DOMAINS_TOLD_MAX};

const SECOND_NS: u64 = 1_000_000_000;

/// A datagram of a protocol's domain, with a number.
fn datagram(protocol: u8, domain: u8, number: u32) -> Vec<u8> {
    match protocol {
        5 => {
            let mut bytes = [&[0, 5, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 0][..], &number.to_be_bytes(), &[0, domain, 0, 0]].concat();
            bytes.resize(24 + 48, 1);
            bytes
        }
        9 => {
            let mut bytes = nine(number, 0, 1_000_000, &sets(9, &[of(1, &[9])]));
            bytes[19] = domain;
            bytes
        }
        10 => {
            let mut bytes = ipfix(number, 0, &sets(10, &[of(1, &[9])]));
            bytes[15] = domain;
            bytes
        }
        _ => {
            let mut bytes = sflow(number, 1_000_000, &[sample(1, &[number, 3, 400, 400, 0, 7, 8], &[0; 60])]);
            bytes[15] = domain;
            bytes
        }
    }
}

fn gaps(of: &Ledger) -> [(&'static str, Gaps); 3] {
    [("datagrams", of.datagram_gaps), ("records", of.record_gaps), ("samples", of.sample_gaps)]
}

/// Each domain alone in a collector of its own tells the same.
#[test]
fn each_domain_is_told_as_if_it_were_alone() {
    let seed = 20_261_127;
    eprintln!("seed {seed}");
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let (mut all, mut alone, mut numbers) = (collector(), BTreeMap::<_, Collector>::new(), BTreeMap::<_, u32>::new());
    for step in 0..8_000u64 {
        let mut roll = |below: u32| dice.next_u32() % below;
        let who = (1 + roll(5), [5u8, 9, 10, 105][roll(4) as usize], roll(3) as u8);
        let next = numbers.entry(who).or_insert(100_000);
        // Now and then something is left out, comes late, comes twice, or begins anew.
        let number = match roll(20) {
            0 => *next + roll(9),
            1 => *next - roll(20),
            2 if roll(20) == 0 => roll(1_000),
            _ => *next,
        };
        *next = (number + 1).max(if number + 100 < *next { 0 } else { *next });
        let came = [(from(who.0, 1, step * SECOND_NS / 100), datagram(who.1, who.2, number))];
        feed(&mut all, &came);
        feed(alone.entry(who).or_insert_with(collector), &came);
    }
    let told: BTreeMap<_, _> = all.numbers().told().into_iter().map(|row| ((row.exporter, row.protocol, row.domain), row.gaps)).collect();
    // None that had no gaps has a row.
    let had = alone.values().filter(|collector| gaps(collector.ledger()).iter().any(|(_, gaps)| *gaps != Gaps::default())).count();
    assert_eq!(told.len(), had + 1);
    let mut sums = [Gaps::default(); 3];
    for ((exporter, protocol, domain), collector) in &alone {
        let name = match protocol {
            5 => "netflow5",
            9 => "netflow9",
            10 => "ipfix",
            _ => "sflow5",
        };
        let agent = if *protocol == 105 { "192.0.2.9/" } else { "" };
        let row = &told[&(format!("0.0.0.{exporter}"), name, format!("{agent}{domain}"))];
        let expected = gaps(collector.ledger());
        for (unit, own) in row {
            assert_eq!(*own, expected.iter().find(|(of, _)| of == unit).unwrap().1, "{exporter} {name} {domain} {unit}");
        }
        let counts: &[&str] = match protocol {
            5 | 10 => &["records"],
            9 => &["datagrams"],
            _ => &["datagrams", "samples"],
        };
        assert_eq!(row.iter().map(|(of, _)| *of).collect::<Vec<_>>(), counts);
        for (sum, (_, more)) in sums.iter_mut().zip(expected) {
            sum.lost += more.lost;
            (sum.gaps, sum.late, sum.repeated) = (sum.gaps + more.gaps, sum.late + more.late, sum.repeated + more.repeated);
            sum.restarts += more.restarts;
        }
    }
    assert_eq!(gaps(all.ledger()).map(|(_, gaps)| gaps), sums);
    assert!(sums.iter().all(|sum| sum.gaps > 10 && sum.late > 3 && sum.repeated > 3 && sum.restarts > 3), "{sums:?}");
    assert!(all.numbers().to_string().starts_with(&format!("gaps by domain: {} with any", alone.len())), "{}", all.numbers());
}

/// So many have rows, whoever sends; those beyond are one, and who was silent for long makes room.
#[test]
fn rows_are_bounded_and_nothing_is_lost_of_the_sums() {
    let mut c = collector();
    let give = |c: &mut Collector, exporter: u32, second: u64, number: u32| {
        feed(c, &[(from(exporter, 1, second * SECOND_NS), datagram(9, 1, number))]);
    };
    // Those without gaps take no room of those that have some.
    (2_000..3_000).for_each(|exporter| give(&mut c, exporter, 1, 10));
    (2_000..3_000).for_each(|exporter| give(&mut c, exporter, 1, 11));
    assert_eq!(c.numbers().told().len(), 1);
    for n in [10, 15] {
        (1..=400).for_each(|exporter| give(&mut c, exporter, 1, n));
    }
    let told = c.numbers().told();
    assert_eq!(told.len(), FLOW_DOMAINS_TOLD_MAX + 1);
    let lost = |row: &DomainGaps| row.gaps[0].1.lost;
    assert_eq!((lost(&told[0]), lost(told.last().unwrap()), &told.last().unwrap().exporter[..]), (4, 4 * 144, "other"));
    let later = EXPORTER_SILENT_MS_MAX / 1_000 + 10;
    give(&mut c, 1_000, later, 1);
    give(&mut c, 1_000, later, 3);
    let told = c.numbers().told();
    assert_eq!((told.len(), told.iter().map(lost).sum::<u64>()), (FLOW_DOMAINS_TOLD_MAX + 1, 4 * 400 + 1));
    assert_eq!(told.iter().find(|row| row.exporter == "0.0.3.232").map(lost), Some(1));
}

#[test]
fn ports_that_tell_exporters_apart_are_told() {
    let mut c = Collector::new(&Settings { per_port: true, ..Settings::default() });
    for (port, number) in [(7, 1), (8, 1), (7, 2), (8, 5)] {
        feed(&mut c, &[(from(1, port, 1), datagram(10, 3, number))]);
    }
    let text = c.numbers().to_string();
    assert_eq!(text, "gaps by domain: 1 with any\n  0.0.0.1 ipfix 3:8: records 3 lost in 1 gaps, 0 late, 0 repeated, 0 restarts");
}
