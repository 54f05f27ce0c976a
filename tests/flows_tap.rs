//! Export datagrams out of the mirror: which frames are taken, and what becomes of those that find no room.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use tailwater::flows::tap::{Tap, taps};
use tailwater::flows::{Collector, PortTaken, Settings};
use tailwater::limits::TAP_RING_BYTES;
use tailwater::parse::MirrorPlan;
use tailwater::rx::Frame;
use tailwater::units::{Epoch, LinkType};

/// Before each packet in a ring.
const HEAD_BYTES: usize = 10;

/// NetFlow 5 with one record, numbered.
fn export(number: u8) -> Vec<u8> {
    let mut out = [&[0, 5, 0, 1][..], &[0; 15], &[number], &[0; 4]].concat();
    out.resize(24 + 48, number);
    out
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    [&[0x30, 0x39][..], &port.to_be_bytes(), &length, &[0, 0], payload].concat()
}

fn v4(last: u8, fragment: u16, body: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + body.len()).unwrap().to_be_bytes();
    let head = [&[0x45, 0][..], &total, &[0, 7], &fragment.to_be_bytes(), &[64, 17, 0, 0, 10, 0, 0, 1, 192, 0, 2, last]].concat();
    [head, body.to_vec()].concat()
}

fn v6(last: u8, next: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    let mut dst = [0; 16];
    (dst[0], dst[1], dst[15]) = (0x20, 0x01, last);
    [&[0x60, 0, 0, 0][..], &length, &[next, 64], &[0x20; 16], &dst, body].concat()
}

fn ethernet(tags: &[u16], ip: &[u8]) -> Vec<u8> {
    let kind: [u8; 2] = if ip[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xDD] };
    let tags = tags.iter().flat_map(|kind| [kind.to_be_bytes(), [0, 5]].concat()).collect::<Vec<u8>>();
    [&[2; 12][..], &tags, &kind, ip].concat()
}

fn see(tap: &mut Tap, bytes: &[u8], time_ns: u64) {
    let captured_bytes = u32::try_from(bytes.len()).unwrap();
    let (wire_bytes, link) = (captured_bytes, LinkType::Ethernet);
    let frame = Frame { bytes, wire_bytes, captured_bytes, time_ns, epoch: Epoch(1), port: 0, link, late: false };
    tap.see(&frame, &MirrorPlan::default());
}

#[test]
fn datagrams_for_an_address_and_port_are_taken_and_nothing_else() {
    let addresses = ["192.0.2.9:2055".parse().unwrap(), "[2001::9]:6343".parse().unwrap()];
    let (mut taps, mut tapped, counts) = taps(&addresses, 1);
    let fragment = [&[17, 0][..], &[0, 0], &[0, 0, 0, 1]].concat();
    let long = udp(2055, &export(5));
    let frames = [
        ethernet(&[], &v4(9, 0, &udp(2055, &export(1)))),
        ethernet(&[0x8100], &v4(9, 0x4000, &udp(2055, &export(2)))),
        ethernet(&[0x88A8, 0x8100], &v6(9, 17, &udp(6343, &export(3)))),
        ethernet(&[], &v6(9, 44, &[fragment, udp(6343, &export(4))].concat())),
        // In pieces, the later one first.
        ethernet(&[], &v4(9, 4, &long[32..])),
        ethernet(&[], &v4(9, 0x2000, &long[..32])),
        // Another address, another port, another protocol, none at all.
        ethernet(&[], &v4(8, 0, &udp(2055, &export(90)))),
        ethernet(&[], &v4(9, 0, &udp(2056, &export(91)))),
        ethernet(&[], &v6(9, 17, &udp(2055, &export(92)))),
        ethernet(&[], &v6(9, 6, &udp(6343, &export(93)))),
        ethernet(&[0x8100, 0x8100, 0x8100], &v4(9, 0, &udp(2055, &export(94)))),
        vec![2; 13],
    ];
    frames.iter().zip(1..).for_each(|(frame, time_ns)| see(&mut taps[0], frame, time_ns));
    // One that is longer than what is seen of it, and one in pieces for another port.
    see(&mut taps[0], &ethernet(&[], &v4(9, 0, &udp(2055, &export(95)))[..60]), 50);
    see(&mut taps[0], &ethernet(&[], &v6(9, 44, &[vec![17, 0, 0, 0, 0, 0, 0, 2], udp(1, &export(96))].concat())), 51);
    let (mut collector, mut flows) = (Collector::new(&Settings::default()), Vec::new());
    while tapped[0].receive(&mut collector, &mut |flow| flows.push((flow.fields.sequence_num, flow.fields.time_received_ns))) > 0 {}
    assert_eq!(flows, [(1, 1), (2, 2), (3, 3), (4, 4), (5, 6)]);
    assert_eq!(counts.now(), PortTaken { datagrams: 5, full: 0, cut: 1, other_port: 1 });
}

#[test]
fn a_ring_that_is_full_is_counted_and_what_is_in_it_comes_whole() {
    let (mut taps, mut tapped, counts) = taps(&["192.0.2.9:2055".parse().unwrap()], 1);
    let frame = ethernet(&[], &v4(9, 0, &udp(2055, &export(1))));
    let room = (TAP_RING_BYTES / (HEAD_BYTES + frame.len() - 14)) as u64;
    (0..room + 1_000).for_each(|time_ns| see(&mut taps[0], &frame, time_ns));
    assert_eq!(counts.now().full, 1_000);
    let (mut collector, mut last) = (Collector::new(&Settings::default()), 0);
    while tapped[0].receive(&mut collector, &mut |flow| last = flow.fields.time_received_ns) > 0 {}
    assert_eq!((counts.now().datagrams, last, collector.ledger().flows), (room, room - 1, room));
}
