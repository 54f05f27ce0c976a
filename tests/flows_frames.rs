//! Frames that sFlow and IPFIX show: whatever stands between link and IP, the packet's fields are those of the bare packet.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test says what it expects; its numbers are small")]

mod flows_support;

use flows_support::told::{of, sample, sets, sflow};
use flows_support::{collector, feed, from};
use tailwater::flows::{Fields, Flow};
use tailwater::parse::{MirrorPlan, parse};
use tailwater::units::LinkType;

/// IPv4 with a TOS, an id, and a place among fragments.
fn ipv4(tos: u8, id: u16, fragment: u16, ttl: u8) -> Vec<u8> {
    let [id, fragment] = [id, fragment].map(u16::to_be_bytes);
    [&[0x45, tos, 0, 28][..], &id, &fragment, &[ttl, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7, 0xC0, 0, 0, 53, 0, 8, 0, 0]].concat()
}

/// IPv6 with a class, a label, and headers before UDP.
fn ipv6(class: u8, label: u32, hops: u8, extensions: &[u8], first: u8) -> Vec<u8> {
    let word = (6 << 28 | u32::from(class) << 20 | label).to_be_bytes();
    let address = |last: u8| [&[0x20, 1, 0x0D, 0xB8][..], &[0; 11], &[last]].concat();
    let length = (extensions.len() + 8) as u16;
    [&word[..], &length.to_be_bytes(), &[first, hops], &address(1), &address(2), extensions, &[0xC0, 0, 0, 53, 0, 8, 0, 0]].concat()
}

fn ethernet(etype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &etype.to_be_bytes(), payload].concat()
}

/// The packet behind each kind of link.
fn frames(packet: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let is_v4 = packet[0] >> 4 == 4;
    let (etype, ppp) = if is_v4 { ([8, 0], [0, 0x21]) } else { ([0x86, 0xDD], [0, 0x57]) };
    let own = u16::from_be_bytes(etype);
    let tag = |id: u16, behind: &[u8]| [&id.to_be_bytes()[..], behind].concat();
    let behind_type = [&etype[..], packet].concat();
    let pppoe = [&[0x11, 0, 0, 1][..], &(packet.len() as u16 + 2).to_be_bytes(), &ppp, packet].concat();
    let snap = [&[0xAA, 0xAA, 3, 0, 0, 0][..], &behind_type].concat();
    let label = [0, 0x04, 0xD1, 64];
    vec![
        ("Ethernet", ethernet(own, packet)),
        ("a tag", ethernet(0x8100, &tag(7, &behind_type))),
        ("two tags", ethernet(0x88A8, &tag(7, &[&[0x81, 0][..], &tag(9, &behind_type)].concat()))),
        ("PPPoE", ethernet(0x8864, &pppoe)),
        ("PPPoE behind a tag", ethernet(0x8100, &tag(7, &[&[0x88, 0x64][..], &pppoe].concat()))),
        ("LLC and SNAP", ethernet(snap.len() as u16, &snap)),
        ("labels", ethernet(0x8847, &[&label[..], packet].concat())),
        ("a pseudowire", ethernet(0x8847, &[&label[..], &ethernet(own, packet)].concat())),
        ("a pseudowire with a control word", ethernet(0x8847, &[&label[..], &[0; 4], &ethernet(own, packet)].concat())),
        ("a backbone's tag", ethernet(0x88E7, &[&[0; 4][..], &ethernet(own, packet)].concat())),
    ]
}

/// What a sample of a frame makes, and what a frame in IPFIX does.
fn shown(frame: &[u8]) -> [Flow; 2] {
    let ipfix = flows_support::told::ipfix(0, 0, &sets(10, &[of(1, &[9]), of(315, frame)]));
    [sflow(1, 9, &[sample(1, &[1, 3, 400, 400, 0, 7, 8], frame)]), ipfix]
        .map(|datagram| feed(&mut collector(), &[(from(1, 1, 1), datagram)]).remove(0))
}

fn of_packet(f: &Fields) -> [u32; 12] {
    let Fields {
        etype,
        ip_tos,
        ip_ttl,
        proto,
        src_port,
        dst_port,
        fragment_id,
        fragment_offset,
        ip_flags,
        ipv6_flow_label,
        icmp_type,
        tcp_flags,
        ..
    } = *f;
    [etype, ip_tos, ip_ttl, proto, src_port, dst_port, fragment_id, fragment_offset, ip_flags, ipv6_flow_label, icmp_type, tcp_flags]
}

#[test]
fn fields_of_a_packet_are_the_same_behind_every_link() {
    let later = [17, 0, 0x05, 0x50, 0, 0, 0, 9];
    let behind_ah = [&[44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &[17, 0, 0, 1, 0, 0, 0, 8]].concat();
    let (four, six) = (0x0800, 0x86DD);
    // By hand, from the standards: 791, 8200, 4302.
    let packets = [
        (ipv4(0xB9, 77, 0x4000, 63), [four, 0xB9, 63, 17, 0xC000, 53, 77, 0, 2, 0, 0, 0]),
        (ipv4(0x02, 78, 0x2000, 1), [four, 0x02, 1, 17, 0xC000, 53, 78, 0, 1, 0, 0, 0]),
        (ipv4(0x20, 79, 0x00B9, 64), [four, 0x20, 64, 17, 0, 0, 79, 0xB9, 0, 0, 0, 0]),
        (ipv6(0xB8, 0x12345, 9, &[], 17), [six, 0xB8, 9, 17, 0xC000, 53, 0, 0, 0, 0x12345, 0, 0]),
        (ipv6(0x03, 1, 255, &later, 44), [six, 0x03, 255, 17, 0, 0, 9, 0xAA, 0, 1, 0, 0]),
        (ipv6(0x48, 1, 8, &behind_ah, 51), [six, 0x48, 8, 17, 0xC000, 53, 8, 0, 1, 1, 0, 0]),
    ];
    for (packet, wanted) in &packets {
        for (name, frame) in frames(packet) {
            let parsed = parse(&frame, LinkType::Ethernet, &MirrorPlan::default()).unwrap();
            for flow in shown(&frame) {
                assert_eq!(of_packet(&flow.fields), *wanted, "{name}, of {:?}", flow.fields.kind);
                // As the mirror's packet: its DSCP, its first tag, its place in the list of layers.
                assert_eq!(u32::from(parsed.headers()[0].dscp), flow.fields.ip_tos >> 2, "{name}");
                assert_eq!(parsed.link.vlan_ids().first().copied().unwrap_or(0), flow.fields.vlan_id as u16, "{name}");
                let layers: Vec<u8> = flow.lists.layers.iter().map(|(kind, _)| *kind).collect();
                let ip = if wanted[0] == four { 1 } else { 2 };
                assert_eq!((layers[0], layers.iter().filter(|kind| [1, 2].contains(*kind)).count()), (0, 1), "{name}: {layers:?}");
                assert!(layers.contains(&ip), "{name}: {layers:?}");
                assert_eq!((flow.fields.src_mac & 0xFF, flow.fields.dst_mac & 0xFF), (2, 1), "{name}");
            }
        }
    }
}

/// Whatever is cut off, nothing is told of what is not there.
#[test]
fn frames_that_are_cut_tell_what_is_left() {
    for (name, frame) in frames(&ipv4(0xB8, 77, 0x4000, 63)) {
        for bytes in 14..frame.len() {
            let [flow, _] = shown(&frame[..bytes]);
            let has_addresses = !flow.fields.src_addr.is_void();
            assert_eq!(has_addresses, parse(&frame[..bytes], LinkType::Ethernet, &MirrorPlan::default()).is_ok(), "{name}, {bytes}");
            assert_eq!(flow.fields.ip_tos == 0xB8, has_addresses, "{name}, {bytes}");
        }
    }
}
