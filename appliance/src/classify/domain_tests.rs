//! Which domain a packet is in, and whose it is then.

use super::{Generation, Known};
use crate::config::{Domain, KeysFrom, Mirror, Range};
use crate::parse::{IpHeader, Network, Parsed};
use crate::rx::Frame;
use crate::units::{Epoch, LinkType};

const NET: &str = "10.0.0.0/24";

/// Ranges in the order of the file, by domain alone: all have one prefix, but for the last.
const DOMAINS: [Option<Domain>; 7] = [
    None,
    Some(Domain::Mpls(16)),
    Some(Domain::Vlan(100)),
    Some(Domain::Vlan(200)),
    Some(Domain::Vni(16)),
    Some(Domain::Vni(5_001)),
    Some(Domain::Vni(5_002)),
];

fn generation() -> Generation {
    let range = |prefix: &str, domain| Range { prefix: prefix.parse().unwrap(), domain, customer: "c".to_owned(), labels: Vec::new() };
    let mut ranges: Vec<Range> = DOMAINS.iter().map(|domain| range(NET, *domain)).collect();
    ranges.push(range("10.0.1.0/24", Some(Domain::Vni(5_001))));
    Generation::new(&ranges, &[], KeysFrom::Matched, &Mirror::default())
}

/// Position of the range that a packet goes to.
fn whose(parsed: &Parsed) -> Option<u32> {
    let frame = Frame {
        bytes: &[],
        wire_bytes: 100,
        captured_bytes: 100,
        time_ns: 0,
        epoch: Epoch(1),
        port: 0,
        link: LinkType::Ethernet,
        late: false,
    };
    let (generation, mut known) = (generation(), [Known::default()]);
    let alone = generation.classify(&frame, parsed).unwrap();
    generation.look_up([parsed], &mut known);
    assert_eq!(generation.classify_known(&frame, parsed, known[0]), Ok(alone));
    alone.hits().next().map(|hit| hit.range.0)
}

fn to(host: [u8; 4]) -> IpHeader {
    let mut header = IpHeader { src: [9; 16], ..IpHeader::default() };
    header.dst[..4].copy_from_slice(&host);
    header
}

fn plain() -> Parsed {
    Parsed::of(&[to([10, 0, 0, 1])])
}

fn tagged(vlans: &[u16]) -> Parsed {
    let mut parsed = plain();
    parsed.link.vlan_count = u8::try_from(vlans.len()).unwrap();
    parsed.link.vlans[..vlans.len()].copy_from_slice(vlans);
    parsed
}

/// From another network to another one, and within that to ours.
fn tunnelled(vni: u32) -> Parsed {
    tunnelled_to(vni, [10, 0, 0, 1])
}

fn tunnelled_to(vni: u32, host: [u8; 4]) -> Parsed {
    let mut parsed = Parsed::of(&[to([192, 0, 2, 1]), to(host)]);
    parsed.network = Some(Network { vni, from: 1 });
    parsed
}

#[test]
fn a_packet_is_in_the_outermost_domain_that_has_ranges() {
    assert_eq!(whose(&plain()), Some(0));
    assert_eq!(whose(&tagged(&[100])), Some(2));
    assert_eq!(whose(&tagged(&[300, 200])), Some(3));
    assert_eq!(whose(&tagged(&[100, 200])), Some(2));
    assert_eq!(whose(&tagged(&[300, 301, 100])), Some(0));
    let labelled = |label, mut parsed: Parsed| {
        parsed.link.mpls_label = Some(label);
        parsed
    };
    assert_eq!(whose(&labelled(16, plain())), Some(1));
    assert_eq!(whose(&labelled(5_001, plain())), Some(0));
    assert_eq!(whose(&labelled(16, tagged(&[100]))), Some(2));
    assert_eq!(whose(&labelled(16, tunnelled(5_001))), Some(1));
    assert_eq!((whose(&tunnelled(5_001)), whose(&tunnelled(16)), whose(&tunnelled(7))), (Some(5), Some(4), Some(0)));
}

#[test]
fn a_tunnel_s_own_addresses_are_not_within_its_network() {
    let mut parsed = tunnelled(5_001);
    parsed.network = Some(Network { vni: 5_001, from: 2 });
    assert_eq!(whose(&parsed), Some(0));
}

#[test]
fn what_the_mirror_wrapped_is_in_the_mirror_s_network_if_that_has_ranges() {
    let mut parsed = tunnelled(5_002);
    parsed.stripped_bytes = 50;
    parsed.envelope.vni = Some(5_001);
    assert_eq!(whose(&parsed), Some(5));
    parsed.envelope.vni = Some(77);
    assert_eq!(whose(&parsed), Some(6));
    // Not stripped: the envelope is that of the tunnel.
    parsed.stripped_bytes = 0;
    parsed.envelope.vni = Some(5_001);
    assert_eq!(whose(&parsed), Some(6));
}

#[test]
fn without_a_match_in_its_domain_a_packet_is_never_another_domain_s() {
    let mut parsed = tunnelled_to(5_002, [10, 0, 1, 1]);
    assert_eq!(whose(&parsed), None);
    parsed.network = Some(Network { vni: 5_001, from: 1 });
    assert_eq!(whose(&parsed), Some(7));
    parsed.link.vlans[0] = 100;
    parsed.link.vlan_count = 1;
    assert_eq!(whose(&parsed), None);
}
