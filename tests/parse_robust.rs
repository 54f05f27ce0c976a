//! The parser against bytes that nobody sane would send: random ones, real frames with bytes changed, and real frames cut
//! at every byte. It may be told lies; it may not panic, exceed its bounds, or make more of a part than of the whole.

#![allow(clippy::cast_possible_truncation, reason = "frames are short")]

mod captures;

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tailwater::limits::{IP_HEADERS_MAX, VLAN_TAGS_MAX};
use tailwater::parse::{IpHeader, MirrorPlan, Parsed, parse_into};
use tailwater::record::{Fragment, Tunnel};
use tailwater::units::LinkType;

const LINKS: [LinkType; 5] = [LinkType::Ethernet, LinkType::RawIp, LinkType::LinuxCooked, LinkType::LinuxCooked2, LinkType::Loopback];

/// What holds for every frame. `parsed` was used before: nothing of an earlier frame may show.
fn check(bytes: &[u8], wire_bytes: u32, link: LinkType, parsed: &mut Parsed) {
    let result = parse_into(bytes, wire_bytes, link, &MirrorPlan::default(), parsed);
    let wire_bytes = wire_bytes as usize;
    let headers = parsed.headers();
    assert_eq!(result.is_ok(), !headers.is_empty());
    assert!(headers.len() <= IP_HEADERS_MAX && parsed.link.vlan_ids().len() <= VLAN_TAGS_MAX);
    assert!(parsed.link.vlans.iter().all(|id| *id < 4096) && parsed.link.mpls_label.is_none_or(|l| l < 1 << 20));
    assert_eq!(parsed.stripped_bytes, 0);
    if result.is_err() {
        assert_eq!(parsed.fault, None);
    } else {
        assert!(parsed.link.bytes as usize + 20 <= bytes.len());
    }
    for (i, header) in headers.iter().enumerate() {
        assert_eq!(header.tunnel == Tunnel::None, i == 0);
        header_holds(header, wire_bytes.max(bytes.len()));
    }
    for pair in headers.windows(2) {
        assert!(pair[1].payload_bytes + 20 <= pair[0].payload_bytes.max(20), "an inner packet longer than what carries it");
    }
    let mut fresh = Parsed::default();
    let again = parse_into(bytes, wire_bytes as u32, link, &MirrorPlan::default(), &mut fresh);
    assert_eq!((result, headers, parsed.fault, parsed.envelope), (again, fresh.headers(), fresh.fault, fresh.envelope));
}

fn header_holds(header: &IpHeader, wire_bytes: usize) {
    assert!(header.dscp < 64 && header.payload_bytes as usize <= wire_bytes);
    assert!(header.v6 || header.src[4..] == [0; 12] && header.dst[4..] == [0; 12]);
    assert!(header.ports.is_none() || matches!(header.protocol, 6 | 17 | 33 | 132 | 136));
    assert!(header.tcp_flags.is_none() || header.protocol == 6 && header.ports.is_some());
    assert!(header.icmp.is_none() || matches!(header.protocol, 1 | 58));
    if header.fragment == Fragment::Later {
        assert_eq!((header.ports, header.tcp_flags, header.icmp), (None, None, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_break_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300), wire_bytes in 0u32..2_000, link in 0usize..5) {
        check(&bytes, wire_bytes, LINKS[link], &mut Parsed::default());
    }

    /// Random bytes hardly ever get past the first type: these begin as something.
    #[test]
    fn random_payloads_break_nothing(start in 0usize..STARTS.len(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let frame = [STARTS[start], &bytes].concat();
        check(&frame, 0, LinkType::Ethernet, &mut Parsed::default());
    }
}

const IPV4: &[u8] = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0";
/// Beginnings of frames, up to where the interesting part starts.
const STARTS: [&[u8]; 12] = [
    IPV4,
    b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x86\xDD\x60\0\0\0\0\0\0\x40\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02",
    b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x88\x47\0\x01\x01\x40",
    b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x88\x64\x11\0\0\x01\x01\0\0\x21",
    b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x89\x4F",
    b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x01\0\xAA\xAA\x03\0\0\0",
    b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0\x45\0\0\0\0\0\0\0\x40\x2F\0\0\xC0\0\x02\x01\xC0\0\x02\x02",
    b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0\x45\0\0\0\0\0\0\0\x40\x33\0\0\xC0\0\x02\x01\xC0\0\x02\x02",
    b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0\x45\0\0\0\0\0\0\0\x40\x11\0\0\xC0\0\x02\x01\xC0\0\x02\x02\x30\x39\x12\xB5\0\0\0\0\x08",
    b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0\x45\0\0\0\0\0\0\0\x40\x11\0\0\xC0\0\x02\x01\xC0\0\x02\x02\x30\x39\x17\xC1\0\0\0\0",
    b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0\x45\0\0\0\0\0\0\0\x40\x11\0\0\xC0\0\x02\x01\xC0\0\x02\x02\x30\x39\x08\x68\0\0\0\0\x34\xFF",
    b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0\x45\0\0\0\0\0\0\0\x40\x04\0\0\xC0\0\x02\x01\xC0\0\x02\x02\x45\0\0\0\0\0\0\0\x40\x04",
];

/// Frames to change and to cut: a few of each capture, or the beginnings above with zeros behind them.
fn specimens(test: &str, of_each: usize) -> Vec<captures::Held> {
    let Some(folder) = captures::folder(test) else {
        let held = |start: &&[u8]| captures::Held { wire_bytes: 0, bytes: [start, &[0x45; 120][..]].concat(), link: LinkType::Ethernet };
        return STARTS.iter().map(held).collect();
    };
    captures::files(&folder).iter().flat_map(|path| captures::frames(path).into_iter().take(of_each)).collect()
}

#[test]
fn changed_frames_break_nothing() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| u64::from(std::process::id()));
    println!("SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut parsed = Parsed::default();
    for frame in &mut specimens("changed_frames_break_nothing", 20) {
        let original = frame.bytes.clone();
        for _ in 0..200 {
            frame.bytes.clone_from(&original);
            let reach = original.len().clamp(1, 160);
            for _ in 0..=random.next_u32() % 6 {
                let at = random.next_u32() as usize % reach;
                if let Some(byte) = frame.bytes.get_mut(at) {
                    *byte = random.next_u32().to_le_bytes()[0];
                }
            }
            check(&frame.bytes, frame.wire_bytes, frame.link, &mut parsed);
        }
    }
}

/// A part may say less than the whole, never something else.
fn part_of(part: &Parsed, whole: &Parsed) {
    assert!(part.headers().len() <= whole.headers().len(), "more headers in a part");
    assert!(whole.link.vlan_ids().starts_with(part.link.vlan_ids()));
    assert!(part.link.mpls_label.is_none() || part.link.mpls_label == whole.link.mpls_label);
    for (part, whole) in part.headers().iter().zip(whole.headers()) {
        assert_eq!((part.v6, part.src, part.dst, part.ttl, part.dscp), (whole.v6, whole.src, whole.dst, whole.ttl, whole.dscp));
        assert_eq!((part.ip_bytes, part.tunnel), (whole.ip_bytes, whole.tunnel));
        assert!(part.ports.is_none() || part.ports == whole.ports);
        assert!(part.tcp_flags.is_none() || part.tcp_flags == whole.tcp_flags);
        assert!(part.icmp.is_none() || part.icmp == whole.icmp);
        assert!(part.fragment == Fragment::None || part.fragment == whole.fragment);
    }
}

#[test]
fn a_cut_frame_says_nothing_else() {
    let (mut whole, mut part) = (Parsed::default(), Parsed::default());
    let plan = MirrorPlan::default();
    for frame in &specimens("a_cut_frame_says_nothing_else", 60) {
        let wire_bytes = frame.wire_bytes.max(frame.bytes.len() as u32);
        let _ = parse_into(&frame.bytes, wire_bytes, frame.link, &plan, &mut whole);
        for end in 0..frame.bytes.len().min(400) {
            let _ = parse_into(&frame.bytes[..end], wire_bytes, frame.link, &plan, &mut part);
            part_of(&part, &whole);
        }
    }
}
