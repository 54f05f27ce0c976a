//! What holds for whatever the parser is given.

use tailwater::limits::{IP_HEADERS_MAX, VLAN_TAGS_MAX};
use tailwater::parse::{IpHeader, MirrorPlan, Parsed, parse_into};
use tailwater::record::{Fragment, Tunnel};
use tailwater::units::LinkType;

pub(crate) const LINKS: [LinkType; 5] =
    [LinkType::Ethernet, LinkType::RawIp, LinkType::LinuxCooked, LinkType::LinuxCooked2, LinkType::Loopback];

/// What holds for every frame. `parsed` was used before: nothing of an earlier frame may show.
pub(crate) fn check(bytes: &[u8], wire_bytes: u32, link: LinkType, parsed: &mut Parsed) {
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

/// A part may say less than the whole, never something else.
pub(crate) fn part_of(part: &Parsed, whole: &Parsed) {
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

const IPV4: &[u8] = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0";
/// Beginnings of frames, up to where the interesting part starts.
pub(crate) const STARTS: [&[u8]; 12] = [
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
