//! What makes two frames the same packet, and what does not.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of a test")]

use super::*;

/// Ethernet, VLAN tags, IPv4, and so many bytes behind it.
fn frame(tags: usize, ttl: u8, id: u16, protocol: u8, behind: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    (0..tags).for_each(|_| frame.extend([0x81, 0, 0, 7]));
    frame.extend([8, 0]);
    let length = (20 + behind.len()) as u16;
    frame.extend([0x45, 0, (length >> 8) as u8, length as u8, (id >> 8) as u8, id as u8, 0x40, 0, ttl, protocol, ttl, 99]);
    frame.extend([192, 0, 2, 1, 10, 0, 3, 9]);
    frame.extend(behind);
    frame.resize(frame.len().max(60 + 4 * tags), 0);
    frame
}

fn of(frame: &[u8]) -> Option<Sight> {
    sight(frame, LinkType::Ethernet, &HashKey::constant(), u64::MAX)
}

#[test]
fn copies_look_alike_whatever_the_way_changes() {
    let tcp: Vec<u8> = (0..32).collect();
    let one = of(&frame(0, 64, 7, 6, &tcp)).unwrap();
    let mut remarked = frame(0, 64, 7, 6, &tcp);
    (remarked[15], remarked[0], remarked[6]) = (0xB8, 9, 9);
    for copy in [frame(2, 63, 7, 6, &tcp), frame(1, 64, 7, 6, &tcp), remarked, frame(0, 64, 7, 6, &tcp)[..54].to_vec()] {
        let copy = of(&copy).unwrap();
        assert_eq!((copy.hash, copy.part), (one.hash, one.part));
    }
    assert_eq!(of(&frame(2, 63, 7, 6, &tcp)).unwrap().ttl, 63);
    let raw = sight(&frame(0, 64, 7, 6, &tcp)[14..], LinkType::RawIp, &HashKey::constant(), u64::MAX).unwrap();
    assert_eq!(raw.hash, one.hash);
}

#[test]
fn other_packets_look_otherwise() {
    let tcp: Vec<u8> = (0..32).collect();
    let one = of(&frame(0, 64, 7, 6, &tcp)).unwrap().hash;
    // A retransmission of a stack that counts: another id. Another segment: sequence number, checksum.
    assert_ne!(of(&frame(0, 64, 8, 6, &tcp)).unwrap().hash, one);
    for at in 0..20 {
        let mut other = tcp.clone();
        other[at] ^= 1;
        assert_ne!(of(&frame(0, 64, 7, 6, &other)).unwrap().hash, one, "{at}");
    }
    let mut behind = tcp.clone();
    behind[25] ^= 1;
    assert_eq!(of(&frame(0, 64, 7, 6, &behind)).unwrap().hash, one, "beyond what is looked at: its checksum differs in truth");
    // Without an id only TCP tells itself from others.
    assert!(of(&frame(0, 64, 0, 17, &tcp)).is_none() && of(&frame(0, 64, 0, 6, &tcp)).is_some());
    // Padding is no packet.
    assert!(of(&frame(0, 64, 7, 17, &tcp[..7])).is_none());
}

#[test]
fn ipv6_and_what_is_cut_anywhere() {
    let mut six = vec![2; 12];
    six.extend([0x86, 0xDD, 0x60, 0x10, 0, 5, 0, 28, 17, 60]);
    six.extend((0..32).chain(0..28));
    let one = of(&six).unwrap();
    let mut copy = six.clone();
    (copy[14], copy[15], copy[21]) = (0x6B, 0xF0, 59);
    let copied = of(&copy).unwrap();
    assert_eq!((copied.hash, copied.part, copied.ttl), (one.hash, one.part, 59));
    copy[17] = 6;
    assert_ne!(of(&copy).unwrap().hash, one.hash, "another flow label");
    for len in 0..six.len() {
        let seen = of(&six[..len]);
        assert!(seen.is_none() || len >= 14 + 40 + 8, "{len}");
    }
    for byte in 0..=255 {
        let mut odd = six.clone();
        (0..30).for_each(|at| odd[at] = byte);
        let _ = of(&odd);
        let _ = sight(&odd, LinkType::Loopback, &HashKey::constant(), u64::MAX);
    }
}

/// `cargo test --release --package tailwater --lib duplicates::sight::tests::measure -- --ignored --nocapture`
#[test]
#[ignore = "measures; run it alone, optimised"]
fn measure() {
    let (key, tcp) = (HashKey::constant(), (0..40).collect::<Vec<u8>>());
    let frames: Vec<Vec<u8>> = (0..1_024).map(|id| frame(id % 2, 64, id as u16 + 1, 6, &tcp)).collect();
    let mut copies = super::super::Copies::new(256);
    let started = std::time::Instant::now();
    for round in 0..1_000 {
        for frame in &frames {
            if let Some(sight) = sight(std::hint::black_box(frame), LinkType::Ethernet, &key, copies.below()) {
                copies.see(&sight, round, 0);
            }
        }
        copies.clear();
    }
    println!("{:.1} ns a packet", started.elapsed().as_nanos() as f64 / (1_000.0 * frames.len() as f64));
}
