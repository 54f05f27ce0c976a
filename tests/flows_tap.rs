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

/// An IP packet behind what stands there instead of its type.
fn behind(head: &[u8], ip: &[u8]) -> Vec<u8> {
    [&[2; 12][..], head, ip].concat()
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
    let (mut taps, mut tapped) = taps(&addresses, 1);
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
        // Behind two labels, behind a label within a VLAN, behind PPPoE; and for another address.
        behind(&[0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64], &v4(9, 0, &udp(2055, &export(6)))),
        behind(&[0x81, 0, 0, 5, 0x88, 0x48, 0, 1, 1, 64], &v6(9, 17, &udp(6343, &export(7)))),
        behind(&[0x88, 0x64, 0x11, 0, 0, 9, 0, 102, 0, 0x21], &v4(9, 0, &udp(2055, &export(8)))),
        behind(&[0x88, 0x47, 0, 1, 1, 64], &v4(8, 0, &udp(2055, &export(97)))),
    ];
    frames.iter().zip(1..).for_each(|(frame, time_ns)| see(&mut taps[0], frame, time_ns));
    // One that is longer than what is seen of it, and one in pieces for another port.
    see(&mut taps[0], &ethernet(&[], &v4(9, 0, &udp(2055, &export(95)))[..60]), 50);
    see(&mut taps[0], &ethernet(&[], &v6(9, 44, &[vec![17, 0, 0, 0, 0, 0, 0, 2], udp(1, &export(96))].concat())), 51);
    let (mut collector, mut flows) = (Collector::new(&Settings::default()), Vec::new());
    while tapped.receive(60, &mut collector, &mut |flow| flows.push((flow.fields.sequence_num, flow.fields.time_received_ns))) > 0 {}
    assert_eq!(flows, [(1, 1), (2, 2), (3, 3), (4, 4), (5, 6), (6, 13), (7, 14), (8, 15)]);
    let taken = PortTaken { datagrams: 8, cut: 1, other_port: 1, whole: 8, begun: 1, ..PortTaken::default() };
    assert_eq!((tapped.taken(), collector.ledger().ports, collector.ledger().balances()), (taken, taken, true));
}

#[test]
fn a_ring_that_is_full_is_counted_and_what_is_in_it_comes_whole() {
    let (mut taps, mut tapped) = taps(&["192.0.2.9:2055".parse().unwrap()], 1);
    let frame = ethernet(&[], &v4(9, 0, &udp(2055, &export(1))));
    let room = (TAP_RING_BYTES / (HEAD_BYTES + frame.len() - 14)) as u64;
    (0..room + 1_000).for_each(|time_ns| see(&mut taps[0], &frame, time_ns));
    assert_eq!(tapped.taken().full, 1_000);
    let (mut collector, mut last) = (Collector::new(&Settings::default()), 0);
    while tapped.receive(room, &mut collector, &mut |flow| last = flow.fields.time_received_ns) > 0 {}
    assert_eq!((tapped.taken().datagrams, last, collector.ledger().flows), (room, room - 1, room));
}

const SECOND: u64 = 1_000_000_000;

/// The same with the checksum that IPv4 asks for, over 10.0.0.1 and 192.0.2.9.
fn checked(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = udp(port, payload);
    let pseudo = [&[10, 0, 0, 1, 192, 0, 2, 9, 0, 17][..], &datagram[4..6]].concat();
    let sum: u32 =
        [pseudo, datagram.clone()].concat().chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    datagram[6..8].copy_from_slice(&(!u16::try_from((folded & 0xFFFF) + (folded >> 16)).unwrap()).to_be_bytes());
    datagram
}

/// What was made of frames at their times, of two cores in turn, and of nothing more for a minute.
fn read(frames: &[(Vec<u8>, u64)]) -> (Vec<u32>, PortTaken) {
    let (mut taps, mut tapped) = taps(&["192.0.2.9:2055".parse().unwrap()], 2);
    let (mut collector, mut flows) = (Collector::new(&Settings::default()), Vec::new());
    let mut now_ns = 0;
    for (n, (frame, time_ns)) in frames.iter().enumerate() {
        see(&mut taps[n % 2], frame, *time_ns);
        now_ns = *time_ns;
        while tapped.receive(now_ns, &mut collector, &mut |flow| flows.push(flow.fields.sequence_num)) > 0 {}
        assert!(collector.ledger().balances(), "{}", collector.ledger());
    }
    tapped.receive(now_ns + 60 * SECOND, &mut collector, &mut |_| ());
    assert!(collector.ledger().balances() && tapped.taken().waiting == 0, "{}", collector.ledger());
    (flows, tapped.taken())
}

#[test]
fn an_id_that_comes_again_joins_no_old_half_to_a_new_one() {
    let (old, new) = (checked(2055, &export(1)), checked(2055, &export(2)));
    let first = |datagram: &[u8]| ethernet(&[], &v4(9, 0x2000, &datagram[..40]));
    let later = |datagram: &[u8]| ethernet(&[], &v4(9, 5, &datagram[40..]));
    // Too old: it is given up, and its other half then waits in vain.
    let (flows, taken) = read(&[(first(&old), 0), (later(&new), 30 * SECOND + 1)]);
    assert_eq!((flows, taken.begun, taken.incomplete), (vec![], 2, 2));
    // In time.
    let (flows, taken) = read(&[(first(&new), 0), (later(&new), 30 * SECOND)]);
    assert_eq!((flows, taken.begun, taken.incomplete), (vec![2], 1, 0));
    // Within its age: the checksum tells.
    let (flows, taken) = read(&[(first(&old), 0), (later(&new), SECOND)]);
    assert_eq!((flows, taken.begun, taken.incomplete, taken.datagrams), (vec![], 1, 1, 0));
    // Two first halves overlap: both are given up, and the later one's other half waits in vain.
    let (flows, taken) = read(&[(first(&old), 0), (first(&new), SECOND), (later(&new), SECOND)]);
    assert_eq!((flows, taken.begun, taken.incomplete), (vec![], 2, 2));
    // Whole ones of the same id follow each other, and a copy of a piece is no overlap, though its datagram is there already.
    let (flows, taken) =
        read(&[(first(&old), 0), (first(&old), 0), (later(&old), 0), (later(&old), 1), (later(&new), 2), (first(&new), 3)]);
    assert_eq!((flows, taken.begun, taken.incomplete, taken.copies), (vec![1, 2], 2, 0, 2));
}

#[test]
fn pieces_of_other_ports_are_no_loss() {
    let (ours, other) = (checked(2055, &export(1)), checked(53, &[7; 1_000]));
    let piece = |datagram: &[u8], from: usize, to: usize| {
        let more = if to < datagram.len() { 0x2000 } else { 0 };
        ethernet(&[], &v4(9, u16::try_from(from / 8).unwrap() | more, &datagram[from..to.min(datagram.len())]))
    };
    // A later piece first, then its first, then others; then one of ours under the same id.
    let frames = [piece(&other, 400, 800), piece(&other, 0, 400), piece(&other, 800, 2_000), piece(&ours, 0, 40), piece(&ours, 40, 2_000)];
    let frames = frames.into_iter().zip(1..).collect::<Vec<_>>();
    let (flows, taken) = read(&frames);
    assert_eq!(flows, [1]);
    assert_eq!(taken, PortTaken { datagrams: 1, other_port: 1, begun: 2, ..PortTaken::default() });
}
