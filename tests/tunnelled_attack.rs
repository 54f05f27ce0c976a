//! A flood on customer A whose frames pretend, within a tunnel, to belong to customer B: from the bytes to the range.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use tailwater::classify::Generation;
use tailwater::config::{self, Config};
use tailwater::parse::{MirrorPlan, Parsed, parse_into};
use tailwater::record::{Has, Tunnel};
use tailwater::rx::Frame;
use tailwater::units::{Epoch, LinkType};

const ATTACKER: [u8; 4] = [192, 0, 2, 66];
const OF_A: [u8; 4] = [203, 0, 113, 7];
const OF_B: [u8; 4] = [198, 51, 100, 9];
const ELSEWHERE: [u8; 4] = [192, 0, 2, 1];

fn ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    [&[0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0], &src[..], &dst, payload].concat()
}

fn udp(dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    [&[0x12, 0x34], &dst_port.to_be_bytes()[..], &length, &[0, 0], payload].concat()
}

fn ethernet(payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0], payload].concat()
}

/// A packet from the attacker to B, carried to `outer` in each kind of tunnel.
fn tunnelled(outer: [u8; 4]) -> Vec<(Tunnel, Vec<u8>)> {
    let inner = ipv4(ATTACKER, OF_B, 17, &udp(53, &[0; 32]));
    let vxlan = [&[8, 0, 0, 0, 0, 0, 77, 0], &ethernet(&inner)[..]].concat();
    let gre = [&[0, 0, 8, 0], &inner[..]].concat();
    let to_outer = |protocol, payload: &[u8]| ethernet(&ipv4(ATTACKER, outer, protocol, payload));
    vec![(Tunnel::Vxlan, to_outer(17, &udp(4789, &vxlan))), (Tunnel::Gre, to_outer(47, &gre)), (Tunnel::IpIp, to_outer(4, &inner))]
}

fn configured(more: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ranges.csv"), "prefix,customer\n203.0.113.0/24,A\n198.51.100.0/24,B\n").unwrap();
    let text = format!("{more}\n[ranges]\nfile = \"ranges.csv\"\n[[stats]]\nname = \"packets\"\ncalculation = \"sum\"\n");
    std::fs::write(folder.path().join("t.toml"), text).unwrap();
    config::load(&folder.path().join("t.toml"), &tailwater::stats::check).unwrap()
}

/// Customer, direction, tunnel of the header that counts, and bytes.
fn booked(config: &Config, bytes: &[u8]) -> Option<(String, Has, Tunnel, u32)> {
    let generation = Generation::new(&config.ranges.list, &config.tags, config.keys_from, &config.mirror);
    let length = u32::try_from(bytes.len()).unwrap();
    let (time_ns, epoch, port, link, late) = (0, Epoch(0), 0, LinkType::Ethernet, false);
    let frame = Frame { bytes, wire_bytes: length, captured_bytes: length, time_ns, epoch, port, link, late };
    let mut parsed = Parsed::default();
    parse_into(bytes, length, link, &MirrorPlan::new(&config.mirror), &mut parsed).unwrap();
    let classified = generation.classify(&frame, &parsed).unwrap();
    assert!(classified.hits().count() < 2);
    let hit = classified.hits().next()?;
    let range = &config.ranges.list[hit.range.at()];
    Some((range.customer.clone(), hit.direction, classified.record.tunnel, classified.record.wire_bytes))
}

#[test]
fn the_flood_is_booked_to_the_customer_that_it_hits() {
    let config = configured("");
    for (tunnel, bytes) in tunnelled(OF_A) {
        let length = u32::try_from(bytes.len()).unwrap();
        assert_eq!(booked(&config, &bytes), Some(("A".to_owned(), Has::INGRESS, Tunnel::None, length)), "{tunnel:?}");
    }
}

#[test]
fn in_transit_the_inner_header_counts() {
    for (tunnel, bytes) in tunnelled(ELSEWHERE) {
        let length = u32::try_from(bytes.len()).unwrap();
        assert_eq!(booked(&configured(""), &bytes), Some(("B".to_owned(), Has::INGRESS, tunnel, length)), "{tunnel:?}");
        assert_eq!(booked(&configured("[parse]\nkeys_from = \"outermost\"\n"), &bytes), None, "{tunnel:?}");
    }
}

#[test]
fn what_the_mirror_wrapped_is_taken_off_and_only_from_its_endpoints() {
    let mirror = |from: &str| configured(&format!("[mirror]\nstrip = [\"vxlan\", \"gre\", \"ipip\"]\nfrom = [\"{from}\"]\n"));
    for (tunnel, bytes) in tunnelled(OF_A) {
        let all = u32::try_from(bytes.len()).unwrap();
        let (customer, _, kind, length) = booked(&mirror("192.0.2.66"), &bytes).unwrap();
        assert_eq!((customer.as_str(), kind), ("B", Tunnel::None), "{tunnel:?}");
        assert!(length < all - 19, "{tunnel:?}: {length} of {all}");
        assert_eq!(booked(&mirror("192.0.2.67"), &bytes).unwrap().0, "A", "{tunnel:?}");
    }
}
