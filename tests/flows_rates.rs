//! Sampling rates: whose word holds for whom.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test says what it expects; its numbers are small")]

mod flows_support;

use flows_support::coded::set;
use flows_support::told::{ipfix, nine, of, sample, sets, sflow};
use flows_support::{collector, feed, from};
use tailwater::flows::{Address, Collector, OperatorRate, Settings};

/// In whose name a datagram of NetFlow 9 or IPFIX is sent.
fn in_domain(domain: u32, mut datagram: Vec<u8>) -> Vec<u8> {
    let at = if datagram[1] == 9 { 16 } else { 12 };
    datagram[at..at + 4].copy_from_slice(&domain.to_be_bytes());
    datagram
}

fn datagram(version: u16, domain: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    in_domain(domain, if version == 9 { nine(0, 0, 100_000, sets) } else { ipfix(0, 0, sets) })
}

/// A value of an element, or of a scope.
type Value = (u16, u32);

/// Options in a domain: scopes and what they tell, four bytes each.
fn options(version: u16, domain: u32, scopes: &[Value], told: &[Value]) -> Vec<u8> {
    let fields: Vec<u8> = scopes.iter().chain(told).flat_map(|(id, _)| [*id, 4].map(u16::to_be_bytes).concat()).collect();
    let (scope, rest) = (scopes.len() as u16, told.len() as u16);
    let head = if version == 9 { [300, 4 * scope, 4 * rest] } else { [300, scope + rest, scope] };
    let template = [head.map(u16::to_be_bytes).concat(), fields].concat();
    let values: Vec<u8> = scopes.iter().chain(told).flat_map(|(_, value)| value.to_be_bytes()).collect();
    datagram(version, domain, &[set(if version == 9 { 1 } else { 3 }, &template, 0), set(300, &values, 0)])
}

fn tell(c: &mut Collector, datagram: Vec<u8>) {
    assert!(feed(c, &[(from(1, 1, 1), datagram)]).is_empty());
}

/// The rate of a flow in a domain, by an interface.
fn rate(c: &mut Collector, version: u16, domain: u32, interface: u32) -> u64 {
    let record = sets(version, &[of(1, &[9]), of(10, &interface.to_be_bytes())]);
    feed(c, &[(from(1, 1, 1), datagram(version, domain, &record))])[0].fields.sampling_rate
}

const SYSTEM: (u16, Value) = (9, (1, 0));

#[test]
fn what_is_told_of_all_holds_for_domains_that_told_nothing() {
    let whole = [130, 131, 143, 144].map(|scope| (10, (scope, 1)));
    for (version, scope) in whole.into_iter().chain([SYSTEM, (10, (149, 0))]) {
        let mut c = collector();
        let mut now = |domains: [u32; 3]| domains.map(|domain| rate(&mut c, version, domain, 3));
        assert_eq!(now([0, 7, 8]), [0; 3]);
        tell(&mut c, options(version, 0, &[scope], &[(34, 100)]));
        let mut now = |domains: [u32; 3]| domains.map(|domain| rate(&mut c, version, domain, 3));
        assert_eq!(now([0, 7, 8]), [100; 3], "{version}, {scope:?}");
        // One that tells itself is asked first; and then not all agree.
        tell(&mut c, options(version, 8, &[scope], &[(34, 200)]));
        let mut now = |domains: [u32; 3]| domains.map(|domain| rate(&mut c, version, domain, 3));
        assert_eq!(now([0, 7, 8]), [100, 0, 200], "{version}, {scope:?}");
        tell(&mut c, options(version, 0, &[scope], &[(34, 200)]));
        let mut now = |domains: [u32; 3]| domains.map(|domain| rate(&mut c, version, domain, 3));
        assert_eq!(now([0, 7, 8]), [200; 3], "{version}, {scope:?}");
        // Another exporter is another.
        let record = sets(version, &[of(1, &[9])]);
        assert_eq!(feed(&mut c, &[(from(2, 1, 1), datagram(version, 7, &record))])[0].fields.sampling_rate, 0);
    }
}

#[test]
fn what_is_told_of_a_domain_or_less_is_told_of_no_other() {
    // Of domain 5; of the own one; of a line card; of a template of the own one.
    for (scopes, holds) in
        [(&[(149, 5)][..], [0, 100]), (&[(149, 0x0A)], [0, 0]), (&[(141, 1)], [0, 0]), (&[(145, 256), (149, 0x0A)], [0, 0])]
    {
        let mut c = collector();
        tell(&mut c, options(10, 0x0A, scopes, &[(34, 100)]));
        assert_eq!([rate(&mut c, 10, 4, 3), rate(&mut c, 10, 5, 3)], holds, "{scopes:?}");
    }
    // A rate of 0 ends that of the domain which it names, and no other's.
    let mut c = collector();
    [4, 5].into_iter().for_each(|domain| tell(&mut c, options(10, 4, &[(149, domain)], &[(34, 100)])));
    tell(&mut c, options(10, 4, &[(149, 5)], &[(34, 0)]));
    assert_eq!([rate(&mut c, 10, 4, 3), rate(&mut c, 10, 5, 3)], [100, 0]);
    // With --per-port what one port told is not the other's.
    let mut c = Collector::new(&Settings { per_port: true, ..Settings::default() });
    tell(&mut c, options(10, 0, &[(144, 1)], &[(34, 100)]));
    let record = datagram(10, 7, &sets(10, &[of(1, &[9])]));
    let rates = [1, 2].map(|port| feed(&mut c, &[(from(1, port, 1), record.clone())])[0].fields.sampling_rate);
    assert_eq!(rates, [100, 0]);
}

#[test]
fn a_rate_of_zero_ends_the_one_before() {
    for element in [34, 50, 305, 309] {
        let mut c = collector();
        let mut now = |rates: &[u32], scope: Value| {
            rates.iter().for_each(|rate| tell(&mut c, options(10, 7, &[scope], &[(element, *rate), (310, *rate * 50)])));
            [rate(&mut c, 10, 7, 3), rate(&mut c, 10, 8, 3)]
        };
        let first = now(&[2], (144, 1));
        assert!(first[0] > 0 && first[0] == first[1], "{element}: {first:?}");
        assert_eq!(now(&[0], (144, 1)), [0, 0], "{element}");
        assert_eq!(now(&[2, 0, 2], (144, 1)), first, "{element}");
        // Of an interface, and of a line card, which is not the domain.
        assert_eq!(now(&[0], (10, 3)), first, "{element}: of an interface it had none");
        assert_eq!(now(&[0], (141, 3)), first, "{element}");
    }
}

#[test]
fn rates_of_all_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("templates");
    let mut c = collector();
    tell(&mut c, options(10, 0, &[(144, 1)], &[(34, 100)]));
    tell(&mut c, options(10, 2, &[(144, 1)], &[(302, 9), (34, 50)]));
    c.save(&file).unwrap();
    let mut again = collector();
    again.restore(&file).unwrap();
    assert_eq!(again.told(), c.told());
    assert_eq!((rate(&mut again, 10, 2, 3), rate(&mut again, 10, 7, 3)), (50, 0), "they do not agree");
    tell(&mut again, options(10, 2, &[(144, 1)], &[(302, 9), (34, 0)]));
    assert_eq!((rate(&mut again, 10, 2, 3), rate(&mut again, 10, 7, 3)), (100, 100));
}

/// Bounded, and gone with the exporter's last domain.
#[test]
fn what_all_told_takes_so_much_at_most() {
    let mut c = collector();
    for domain in 0..300 {
        tell(&mut c, options(10, domain, &[(144, 1)], &[(302, domain), (34, 100)]));
    }
    let before = c.memory_bytes().0;
    (0..300).for_each(|domain| tell(&mut c, options(10, domain, &[(144, 1)], &[(302, domain), (34, 0)])));
    assert!(c.memory_bytes().0 < before);
    for domain in 0..4 {
        (0..5_000).for_each(|id| tell(&mut c, options(10, domain, &[(144, 1)], &[(302, id), (34, 100)])));
    }
    assert!(c.memory_bytes().0 < before + (6 << 20), "{}", c.memory_bytes().0);
}

/// The operator's rates of the agent go first, one by one; then those of the source.
#[test]
fn an_agent_goes_before_its_source() {
    let agent = Address::of(&[192, 0, 2, 9]);
    let of = |exporter, interface, rate| OperatorRate { exporter, interface, rate };
    let source = from(1, 1, 1).exporter;
    let rates = vec![of(agent, Some(7), 77), of(source, None, 11), of(source, Some(8), 88), of(agent, Some(9), 99), of(source, Some(9), 1)];
    let mut c = Collector::new(&Settings { rates, ..Settings::default() });
    let rates = [7, 8, 9, 10].map(|interface| {
        let datagram = sflow(interface, 9, &[sample(1, &[interface, 3, 400, 400, 0, interface, 8], &[0; 60])]);
        feed(&mut c, &[(from(1, 1, 1), datagram)])[0].fields.sampling_rate
    });
    assert_eq!(rates, [77, 88, 99, 11]);
}

/// Doubts are told of exporters of most flows first, and no longer than an hour behind their last datagram.
#[test]
fn doubts_have_an_order_and_an_age() {
    const HOUR_NS: u64 = 3_600_000_000_000;
    let mut c = collector();
    // A rate of 100, where the pool makes 1,000, or ten thousand.
    for (exporter, samples, step) in [(1, 150, 10_000), (2, 300, 1_000), (3, 150, 100_000), (4, 400, 100)] {
        for n in 1..=samples {
            let shown = sample(1, &[n, 3, 100, n * step, 0, 1, 2], &[0; 14]);
            feed(&mut c, &[(from(exporter, 1, u64::from(exporter) * HOUR_NS), sflow(n, n * 1_000, &[shown]))]);
        }
    }
    let of = |c: &Collector, now_ns: u64| c.doubts(now_ns).into_iter().map(|doubt| doubt.of[..7].to_owned()).collect::<Vec<_>>();
    assert_eq!(of(&c, HOUR_NS), ["0.0.0.2", "0.0.0.1", "0.0.0.3"]);
    assert_eq!(of(&c, 2 * HOUR_NS), ["0.0.0.2", "0.0.0.1", "0.0.0.3"]);
    assert_eq!(of(&c, 2 * HOUR_NS + 1), ["0.0.0.2", "0.0.0.3"]);
    assert_eq!(of(&c, 3 * HOUR_NS + 1), ["0.0.0.3"]);
    assert_eq!(c.doubtful(4 * HOUR_NS).len(), 1);
    assert_eq!((of(&c, 4 * HOUR_NS + 1), c.doubtful(4 * HOUR_NS + 1)), (vec![], vec![]));
    assert_eq!(c.warnings().len(), 1, "when the last datagram came");
}
