//! Packets made by hand against what must come of them.

use super::*;
use crate::config::{Given, Sampler, TagField, TagMatch};
use crate::record::Tunnel;
use crate::units::{Epoch, Family, LinkType};

const A: &str = "203.0.113.0/24";
const A_HIGH: &str = "203.0.113.128/25";
const B: &str = "198.51.100.0/24";
const C6: &str = "2001:db8::/32";

fn ranges(prefixes: &[&str]) -> Vec<Range> {
    let mut nets: Vec<ipnet::IpNet> = prefixes.iter().map(|p| p.parse().unwrap()).collect();
    nets.sort_by_key(|n| (n.addr(), n.prefix_len()));
    nets.into_iter().map(|prefix| Range { prefix, domain: None, customer: "c".to_owned(), labels: Vec::new() }).collect()
}

struct Bench {
    ranges: Vec<Range>,
    rules: Vec<TagRule>,
    keys_from: KeysFrom,
    mirror: Mirror,
}

impl Bench {
    fn new(prefixes: &[&str]) -> Self {
        Self { ranges: ranges(prefixes), rules: Vec::new(), keys_from: KeysFrom::Matched, mirror: Mirror::default() }
    }

    fn classify(&self, parsed: &Parsed) -> Result<Classified, DropReason> {
        let bytes = [0; 128];
        let frame = Frame {
            bytes: &bytes,
            wire_bytes: 128,
            captured_bytes: 128,
            time_ns: 7,
            epoch: Epoch(0),
            port: 3,
            link: LinkType::Ethernet,
            late: false,
        };
        self.classify_frame(&frame, parsed)
    }

    fn classify_frame(&self, frame: &Frame<'_>, parsed: &Parsed) -> Result<Classified, DropReason> {
        let generation = Generation::new(&self.ranges, &self.rules, self.keys_from, &self.mirror);
        let alone = generation.classify(frame, parsed);
        // A burst says the same, whoever else is in it and wherever it stands.
        let (other, mut known) = (Parsed::of(&[ip("198.51.100.1", "203.0.113.1")]), [Known::default(); 70]);
        generation.look_up((0..70).map(|n| if n % 3 == 0 { parsed } else { &other }), &mut known);
        known.iter().step_by(3).for_each(|known| assert_eq!(generation.classify_known(frame, parsed, *known), alone));
        alone
    }

    /// Prefix and direction bits of each hit.
    fn hits(&self, parsed: &Parsed) -> Vec<(String, Has)> {
        self.classify(parsed).unwrap().hits().map(|h| (self.ranges[h.range.at()].prefix.to_string(), h.direction)).collect()
    }
}

fn bytes_of(text: &str) -> ([u8; 16], bool) {
    match text.parse().unwrap() {
        std::net::IpAddr::V4(a) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&a.octets());
            (bytes, false)
        }
        std::net::IpAddr::V6(a) => (a.octets(), true),
    }
}

fn ip(src: &str, dst: &str) -> IpHeader {
    let ((src, v6), (dst, _)) = (bytes_of(src), bytes_of(dst));
    IpHeader { src, dst, v6, protocol: 17, ttl: 64, ip_bytes: 100, ports: Some((53, 4242)), ..IpHeader::default() }
}

fn inner(tunnel: Tunnel, src: &str, dst: &str) -> IpHeader {
    IpHeader { tunnel, ..ip(src, dst) }
}

fn rule(fields: &[(TagField, u32)]) -> TagRule {
    let matches = TagMatch { fields: fields.to_vec(), src_mac: None };
    TagRule { matches, blocked: true, sampling: Given::Fixed(40), sampler: Sampler::Random, added_bytes: 4, rule: None }
}

fn with_vlans(headers: &[IpHeader], vlans: &[u16]) -> Parsed {
    let mut parsed = Parsed::of(headers);
    parsed.link.vlan_count = u8::try_from(vlans.len()).unwrap();
    parsed.link.vlans[..vlans.len()].copy_from_slice(vlans);
    parsed
}

const BOTH: Has = Has(Has::INGRESS.0 | Has::EGRESS.0);

#[test]
fn sides_give_directions() {
    let bench = Bench::new(&[A, B]);
    let (a, b) = (A.to_owned(), B.to_owned());
    assert_eq!(bench.hits(&Parsed::of(&[ip("192.0.2.1", "203.0.113.1")])), [(a.clone(), Has::INGRESS)]);
    assert_eq!(bench.hits(&Parsed::of(&[ip("203.0.113.1", "192.0.2.1")])), [(a.clone(), Has::EGRESS)]);
    assert_eq!(bench.hits(&Parsed::of(&[ip("203.0.113.1", "203.0.113.2")])), [(a.clone(), BOTH)]);
    assert_eq!(bench.hits(&Parsed::of(&[ip("198.51.100.1", "203.0.113.1")])), [(a, Has::INGRESS), (b, Has::EGRESS)]);
}

#[test]
fn the_longest_of_nested_ranges_has_the_packet() {
    let bench = Bench::new(&["0.0.0.0/0", A, A_HIGH, "203.0.113.200/32"]);
    for (dst, range) in [("203.0.113.127", A), ("203.0.113.128", A_HIGH), ("203.0.113.200", "203.0.113.200/32"), ("9.9.9.9", "0.0.0.0/0")] {
        assert_eq!(bench.hits(&Parsed::of(&[ip("203.0.113.1", dst)])).first().unwrap().0, range, "{dst}");
    }
}

#[test]
fn families_do_not_mix() {
    let bench = Bench::new(&["0.0.0.0/0", C6]);
    assert_eq!(bench.hits(&Parsed::of(&[ip("2001:db8::1", "2001:db9::1")])), [(C6.to_owned(), Has::EGRESS)]);
    assert!(bench.hits(&Parsed::of(&[ip("::1", "::2")])).is_empty());
}

#[test]
fn a_tunnelled_flood_belongs_to_the_outer_victim() {
    let bench = Bench::new(&[A, B, C6]);
    for tunnel in [Tunnel::Vxlan, Tunnel::Gre, Tunnel::IpIp] {
        for inside in [
            inner(tunnel, "192.0.2.66", "198.51.100.1"),
            inner(tunnel, "198.51.100.1", "192.0.2.66"),
            inner(tunnel, "2001:db9::1", "2001:db8::1"),
        ] {
            let flood = Parsed::of(&[ip("192.0.2.1", "203.0.113.1"), inside]);
            assert_eq!(bench.hits(&flood), [(A.to_owned(), Has::INGRESS)], "{tunnel:?}");
            assert_eq!(bench.classify(&flood).unwrap().record.tunnel, Tunnel::None);
        }
    }
}

#[test]
fn an_outer_header_of_ours_counts_even_where_its_direction_is_not_observed() {
    let mut bench = Bench::new(&[A, B]);
    bench.mirror.egress = false;
    let packet = Parsed::of(&[ip("203.0.113.1", "192.0.2.1"), inner(Tunnel::Gre, "192.0.2.66", "198.51.100.1")]);
    assert!(bench.classify(&packet).unwrap().is_unmatched());
    let within = Parsed::of(&[ip("203.0.113.1", "203.0.113.2")]);
    assert_eq!(bench.hits(&within), [(A.to_owned(), Has::INGRESS)]);
}

#[test]
fn transit_tunnels_are_looked_into() {
    let mut bench = Bench::new(&[A, B]);
    let outer = ip("192.0.2.1", "192.0.2.2");
    let packet = Parsed::of(&[outer, inner(Tunnel::Gre, "192.0.2.66", "198.51.100.1"), inner(Tunnel::IpIp, "192.0.2.67", "203.0.113.1")]);
    let record = bench.classify(&packet).unwrap().record;
    assert_eq!((bench.hits(&packet), record.tunnel), (vec![(B.to_owned(), Has::INGRESS)], Tunnel::Gre));
    bench.keys_from = KeysFrom::Innermost;
    assert_eq!(bench.hits(&packet), [(A.to_owned(), Has::INGRESS)]);
    bench.keys_from = KeysFrom::Outermost;
    let missed = bench.classify(&packet).unwrap();
    assert!(missed.is_unmatched());
    assert_eq!((missed.record.src, missed.record.dst), (outer.src, outer.dst));
}

#[test]
fn the_unmatched_show_their_outermost_addresses() {
    let missed =
        Bench::new(&[A]).classify(&Parsed::of(&[ip("192.0.2.1", "192.0.2.2"), inner(Tunnel::Gre, "10.0.0.1", "10.0.0.2")])).unwrap();
    assert!(missed.is_unmatched());
    assert_eq!(missed.record.dst, bytes_of("192.0.2.2").0);
}

#[test]
fn a_frame_without_headers_is_unmatched() {
    for keys_from in [KeysFrom::Matched, KeysFrom::Outermost, KeysFrom::Innermost] {
        let bench = Bench { keys_from, ..Bench::new(&["0.0.0.0/0"]) };
        assert!(bench.classify(&Parsed::of(&[])).unwrap().is_unmatched());
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let mut bench = Bench::new(&[A]);
    let both = [(TagField::Vlan, 666), (TagField::Dscp, 8)];
    bench.rules = vec![rule(&both), TagRule { sampling: Given::Fixed(10), ..rule(&both[..1]) }];
    let header = ip("192.0.2.1", "203.0.113.1");
    let found = |dscp, vlans: &[u16]| {
        let done = bench.classify(&with_vlans(&[IpHeader { dscp, ..header }], vlans)).unwrap();
        (done.tag, done.record.weight, done.record.has.all(Has::BLOCKED), done.record.wire_bytes)
    };
    assert_eq!(found(8, &[666]), (Some(0), 40, true, 124));
    assert_eq!(found(0, &[666]), (Some(1), 10, true, 124));
    assert_eq!(found(8, &[667, 666]), (None, 1, false, 128));
    assert_eq!(found(8, &[]), (None, 1, false, 128));
}

#[test]
fn every_field_is_read_where_it_stands() {
    let mut parsed = with_vlans(&[IpHeader { dscp: 12, ..ip("192.0.2.1", "203.0.113.1") }], &[5, 6]);
    parsed.link.mpls_label = Some(1_048_575);
    parsed.link.src_mac = Some([2, 0, 0, 0, 0, 9]);
    parsed.envelope = crate::parse::Envelope { vni: Some(77), gre_key: Some(u32::MAX), erspan_session: Some(1_023) };
    let fields = [
        (TagField::Port, 3),
        (TagField::Vlan, 5),
        (TagField::InnerVlan, 6),
        (TagField::Dscp, 12),
        (TagField::Mpls, 1_048_575),
        (TagField::Vni, 77),
        (TagField::GreKey, u32::MAX),
        (TagField::ErspanSession, 1_023),
    ];
    let tagged = |parsed: &Parsed, rule: TagRule| Bench { rules: vec![rule], ..Bench::new(&[A]) }.classify(parsed).unwrap().tag;
    let mac = |mac| TagRule { matches: TagMatch { fields: Vec::new(), src_mac: Some(mac) }, ..rule(&[]) };
    for (field, value) in fields {
        assert_eq!(tagged(&parsed, rule(&[(field, value)])), Some(0), "{field:?}");
        assert_eq!(tagged(&parsed, rule(&[(field, value ^ 1)])), None, "{field:?}");
        let absent = !matches!(field, TagField::Port | TagField::Dscp);
        assert!(!absent || tagged(&Parsed::of(&[]), rule(&[(field, value)])).is_none(), "{field:?}");
    }
    assert_eq!(tagged(&parsed, rule(&fields)), Some(0));
    assert_eq!((tagged(&parsed, mac([2, 0, 0, 0, 0, 9])), tagged(&parsed, mac([2, 0, 0, 0, 0, 8]))), (Some(0), None));
}

#[test]
fn rate_and_rule_come_from_the_frame() {
    let from = TagRule {
        sampling: Given::From(TagField::InnerVlan),
        rule: Some(Given::From(TagField::InnerVlan)),
        ..rule(&[(TagField::Vlan, 666)])
    };
    let bench = Bench { rules: vec![from], ..Bench::new(&[A]) };
    let found = |vlans: &[u16]| {
        let done = bench.classify(&with_vlans(&[ip("192.0.2.1", "203.0.113.1")], vlans)).unwrap();
        let has = done.record.has;
        assert!(has.all(Has::BLOCKED));
        (done.record.weight, has.all(Has::RANDOM), done.sampling_unproven, has.all(Has::RULE).then_some(done.record.rule))
    };
    assert_eq!(found(&[666, 40]), (40, true, false, Some(40)));
    assert_eq!(found(&[666, 0]), (1, false, true, Some(0)));
    assert_eq!(found(&[666]), (1, false, true, None));
}

#[test]
fn a_rate_too_large_is_unproven_and_other_samplers_claim_nothing() {
    let mut parsed = with_vlans(&[ip("192.0.2.1", "203.0.113.1")], &[666]);
    parsed.envelope.gre_key = Some(65_536);
    let from = TagRule { sampling: Given::From(TagField::GreKey), ..rule(&[(TagField::Vlan, 666)]) };
    let done = Bench { rules: vec![from.clone()], ..Bench::new(&[A]) }.classify(&parsed).unwrap();
    assert_eq!((done.record.weight, done.sampling_unproven), (1, true));
    for sampler in [Sampler::EveryNth, Sampler::Hash] {
        let rules = vec![TagRule { sampler, sampling: Given::Fixed(40), ..from.clone() }];
        let done = Bench { rules, ..Bench::new(&[A]) }.classify(&parsed).unwrap();
        assert_eq!((done.record.weight, done.record.has.all(Has::RANDOM)), (40, false));
    }
}

#[test]
fn untagged_frames_are_dropped_where_that_is_asked() {
    let mut bench = Bench { rules: vec![rule(&[(TagField::Vlan, 666)])], ..Bench::new(&[A]) };
    bench.mirror.untagged_passes = false;
    let header = ip("192.0.2.1", "203.0.113.1");
    assert_eq!(bench.classify(&Parsed::of(&[header])), Err(DropReason::Untagged));
    assert!(bench.classify(&with_vlans(&[header], &[666])).is_ok());
}

#[test]
fn what_the_mirror_added_is_taken_off() {
    let bench = Bench { rules: vec![rule(&[(TagField::Vlan, 666)])], ..Bench::new(&[A]) };
    let mut parsed = with_vlans(&[ip("192.0.2.1", "203.0.113.1")], &[666]);
    parsed.stripped_bytes = 50;
    assert_eq!(bench.classify(&parsed).unwrap().record.wire_bytes, 128 - 50 - 4);
    parsed.stripped_bytes = 1_000;
    assert_eq!(bench.classify(&parsed).unwrap().record.wire_bytes, 0);
}

#[test]
fn lengths_of_a_slicing_mirror_come_from_ip_where_they_can() {
    let mut bench = Bench::new(&[A]);
    bench.mirror.length = LengthFrom::Ip;
    // captured bytes, IP length → bytes, implausible
    for (captured, ip_bytes, want) in [
        (128, 1_500, (1_514, false)),
        (128, 114, (128, false)),
        (128, 65_575, (65_589, false)),
        (128, 65_576, (128, true)),
        (128, 0, (128, true)),
        (128, 40, (128, true)),
        (60, 40, (60, false)),
        (60, 46, (60, false)),
    ] {
        let bytes = [0; 128];
        let (port, link, late) = (0, LinkType::Ethernet, false);
        let frame = Frame { bytes: &bytes, wire_bytes: captured, captured_bytes: captured, time_ns: 0, epoch: Epoch(0), port, link, late };
        let mut parsed = Parsed::of(&[IpHeader { ip_bytes, ..ip("192.0.2.1", "203.0.113.1") }]);
        parsed.link.bytes = 14;
        let done = bench.classify_frame(&frame, &parsed).unwrap();
        assert_eq!((done.record.wire_bytes, done.length_implausible), want, "{captured} {ip_bytes}");
    }
}

#[test]
fn the_record_holds_what_the_header_says() {
    let header = IpHeader { ports: None, icmp: Some((8, 3)), protocol: 1, ttl: 9, dscp: 46, ..ip("192.0.2.1", "203.0.113.1") };
    let record = Bench::new(&[A]).classify(&with_vlans(&[header], &[5])).unwrap().record;
    assert_eq!((record.src_port, record.protocol, record.ttl, record.dscp, record.vlan), (0x0803, 1, 9, 46, 5));
    assert_eq!(record.has, Has(Has::ICMP.0 | Has::VLAN.0));
    assert_eq!((record.time_ns, record.rx_port, record.weight, record.family()), (7, 3, 1, Family::V4));
}
