//! Where the truth of a capture is not what the parser says, and why the parser is right.

/// One capture and what of its truth is not followed.
pub(crate) struct Wrong {
    /// Folder and name, no ending.
    pub(crate) capture: &'static str,
    /// Counts, by the truth's own names.
    pub(crate) names: &'static [&'static str],
    /// Why.
    #[allow(dead_code, reason = "for the reader")]
    pub(crate) reason: &'static str,
}

const SOURCE_PORT: &str = "tshark takes a tunnel's port on either side; a tunnel's frames go to it (the source port is a hash), so the \
    destination alone is read";
const PSEUDOWIRE: &str = "tshark knows a pseudowire without control word by the makers of both MACs, and finds one by chance; four bytes \
    on stands a whole IPv4 header behind an Ethernet one";
const CUT: &str = "tshark counts IP headers that are cut before their end; a header is a packet here when the fixed header is whole";
const CUT_INSIDE: &str = "tshark names the protocol of an inner IP header that is cut before its end; such a one is a fault here";
const NOT_PARSED: &str = "CAPWAP, Teredo and LISP are not parsed: the innermost header is the one that carries them";
const VERSION: &str = "the EtherType says IPv4 and the header IPv6 (or neither): the version decides, and the truth has a packet without \
    addresses or protocol";
const CLAMPED: &str = "tshark shows no frame longer than 2^31-1; the record's own length is what is counted";
const JUMBOGRAM: &str = "tshark gives the 40 bytes of the header as the length of a jumbogram; its payload length says 0, so what the \
    wire held counts";
const BIG_TCP: &str = "an IPv4 length of 0 (BIG TCP): tshark then finds the UDP length wrong and stops; the tunnel behind it is whole";

pub(crate) const WRONG: &[Wrong] = &[
    Wrong { capture: "encap/PcapPlusPlus__gtp", names: &["innermost_ext_ip_version", "top10_udp_dst_ports_inner"], reason: SOURCE_PORT },
    Wrong {
        capture: "encap/akvorado__mpls-eompls-cw",
        names: &[
            "ipv4_packets",
            "non_ip_frames",
            "l3_bytes_outer",
            "distinct_src_outermost",
            "distinct_dst_outermost",
            "distinct_src_innermost_ext",
            "distinct_dst_innermost_ext",
            "outer_proto",
            "innermost_ext_proto",
            "innermost_ext_ip_version",
        ],
        reason: PSEUDOWIRE,
    },
    Wrong {
        capture: "encap/akvorado__mpls-eompls-invalid-cw",
        names: &[
            "ipv4_packets",
            "non_ip_frames",
            "l3_bytes_outer",
            "distinct_src_outermost",
            "distinct_dst_outermost",
            "distinct_src_innermost_ext",
            "distinct_dst_innermost_ext",
            "outer_proto",
            "innermost_ext_proto",
            "innermost_ext_ip_version",
        ],
        reason: PSEUDOWIRE,
    },
    Wrong {
        capture: "encap/libpcap__ipv6_ext_headers",
        names: &["outer_proto", "innermost_ext_proto", "top10_udp_dst_ports_outer", "top10_udp_dst_ports_inner"],
        reason: "a chain of extension headers longer than the bound: the protocol is the last that was reached",
    },
    Wrong {
        capture: "encap/nDPI__capwap",
        names: &["distinct_src_innermost_ext", "distinct_dst_innermost_ext", "innermost_ext_proto", "innermost_ext_ip_version"],
        reason: NOT_PARSED,
    },
    Wrong {
        capture: "encap/nDPI__teredo",
        names: &["distinct_src_innermost_ext", "innermost_ext_proto", "innermost_ext_ip_version"],
        reason: NOT_PARSED,
    },
    Wrong {
        capture: "encap/pcapflowlab__eoip_odd",
        names: &["innermost_ext_proto", "top10_udp_dst_ports_inner"],
        reason: "a GRE header of version 1 with a checksum, which EoIP does not have: its fields cannot be placed",
    },
    Wrong { capture: "encap/pcapflowlab__gtpu_odd", names: &["innermost_ext_proto", "innermost_ext_ip_version"], reason: CUT_INSIDE },
    Wrong {
        capture: "encap/pcapflowlab__mpls_pw_odd",
        names: &[
            "ipv4_packets",
            "ipv6_packets",
            "non_ip_frames",
            "l3_bytes_outer",
            "distinct_src_outermost",
            "distinct_dst_outermost",
            "distinct_src_innermost_ext",
            "distinct_dst_innermost_ext",
            "outer_proto",
            "innermost_ext_proto",
            "innermost_ext_ip_version",
            "vlan_ids_outer",
        ],
        reason: "tshark does not know these pseudowires' invented MACs and takes control words for MACs; each \
            frame holds a whole IP packet behind Ethernet",
    },
    Wrong {
        capture: "encap/pcapflowlab__vxlan_odd",
        names: &[
            "ipv6_packets",
            "non_ip_frames",
            "l3_bytes_outer",
            "outer_proto",
            "innermost_ext_proto",
            "innermost_ext_ip_version",
            "top10_src_by_packets",
            "top10_src_by_bytes",
            "top10_tcp_dst_ports_inner",
            "top10_udp_dst_ports_inner",
        ],
        reason: "tshark counts IP headers that are cut before their end; a header is a packet here when the \
            fixed header is whole; and: tshark takes a tunnel's port on either side; a tunnel's frames go to it (the source \
            port is a hash), so the destination alone is read; and a VXLAN header without its I flag is none (RFC 7348)",
    },
    Wrong {
        capture: "encap/tcpdump__bigtcp-ipv4-geneve-ipv4",
        names: &["innermost_ext_proto", "top10_udp_dst_ports_inner"],
        reason: BIG_TCP,
    },
    Wrong {
        capture: "encap/tcpdump__bigtcp-ipv4-vxlan-ipv4",
        names: &["innermost_ext_proto", "top10_udp_dst_ports_inner"],
        reason: BIG_TCP,
    },
    Wrong {
        capture: "encap/tcpdump__bigtcp-ipv4-vxlan-ipv6",
        names: &["innermost_ext_proto", "innermost_ext_ip_version", "top10_udp_dst_ports_inner"],
        reason: BIG_TCP,
    },
    Wrong { capture: "encap/tcpdump__ipv6_jumbogram_1", names: &["l3_bytes_outer"], reason: JUMBOGRAM },
    Wrong {
        capture: "malformed/PcapPlusPlus__clusterfuzz-testcase-minimized-FuzzTarget-5204104585674752",
        names: &["wire_bytes", "top10_src_by_bytes", "top10_dst_by_bytes"],
        reason: CLAMPED,
    },
    Wrong {
        capture: "malformed/PcapPlusPlus__clusterfuzz-testcase-minimized-FuzzTarget-5700358767902720",
        names: &["wire_bytes", "top10_src_by_bytes", "top10_dst_by_bytes"],
        reason: CLAMPED,
    },
    Wrong {
        capture: "malformed/PcapPlusPlus__clusterfuzz-testcase-minimized-FuzzTarget-5758569646653440",
        names: &["wire_bytes", "top10_src_by_bytes", "top10_dst_by_bytes"],
        reason: CLAMPED,
    },
    Wrong {
        capture: "malformed/PcapPlusPlus__igmplayer",
        names: &[
            "wire_bytes",
            "ipv4_packets",
            "ipv6_packets",
            "non_ip_frames",
            "l3_bytes_outer",
            "distinct_src_outermost",
            "distinct_dst_outermost",
            "distinct_src_innermost_ext",
            "distinct_dst_innermost_ext",
            "outer_proto",
            "innermost_ext_proto",
            "innermost_ext_ip_version",
        ],
        reason: "tshark takes the file for a modified pcap with longer record headers; its records are whole \
            when read as what it says it is",
    },
    Wrong {
        capture: "malformed/PcapPlusPlus__ipv4-malformed",
        names: &[
            "ipv4_packets",
            "non_ip_frames",
            "distinct_src_outermost",
            "distinct_dst_outermost",
            "distinct_src_innermost_ext",
            "distinct_dst_innermost_ext",
            "outer_proto",
            "innermost_ext_proto",
            "innermost_ext_ip_version",
        ],
        reason: "an IP length less than the header stops tshark before the addresses, and it counts a header \
            of version 5; the first is readable, the second is not",
    },
    Wrong {
        capture: "malformed/nDPI__fuzz-2006-06-26-2594",
        names: &[
            "ipv4_packets",
            "ipv6_packets",
            "non_ip_frames",
            "l3_bytes_outer",
            "distinct_src_outermost",
            "distinct_dst_outermost",
            "outer_proto",
            "innermost_ext_proto",
            "innermost_ext_ip_version",
        ],
        reason: VERSION,
    },
    Wrong {
        capture: "malformed/nDPI__fuzz-2020-02-16-11740",
        names: &[
            "ipv4_packets",
            "ipv6_packets",
            "non_ip_frames",
            "l3_bytes_outer",
            "distinct_src_outermost",
            "distinct_dst_outermost",
            "outer_proto",
            "innermost_ext_proto",
            "innermost_ext_ip_version",
        ],
        reason: VERSION,
    },
    Wrong { capture: "malformed/pcapflowlab__eoip_odd", names: &["innermost_ext_proto"], reason: CUT_INSIDE },
    Wrong { capture: "malformed/pcapflowlab__geneve_odd", names: &["innermost_ext_proto"], reason: CUT_INSIDE },
    Wrong {
        capture: "malformed/pcapflowlab__gtpu_odd",
        names: &["innermost_ext_proto", "innermost_ext_ip_version", "top10_udp_dst_ports_inner"],
        reason: CUT_INSIDE,
    },
    Wrong {
        capture: "malformed/pcapflowlab__ip_encapsulation_odd",
        names: &["distinct_src_innermost_ext", "distinct_dst_innermost_ext", "innermost_ext_proto"],
        reason: CUT_INSIDE,
    },
    Wrong {
        capture: "malformed/pcapflowlab__ip_options_odd",
        names: &[
            "outer_proto",
            "innermost_ext_proto",
            "top10_src_by_packets",
            "top10_dst_by_packets",
            "top10_src_by_bytes",
            "top10_dst_by_bytes",
        ],
        reason: "tshark stops before the addresses where the IP length is less than the header length, or the \
            options are cut; the fixed header is readable",
    },
    Wrong {
        capture: "malformed/pcapflowlab__llc_snap_odd",
        names: &[
            "ipv4_packets",
            "ipv6_packets",
            "non_ip_frames",
            "l3_bytes_outer",
            "outer_proto",
            "innermost_ext_proto",
            "innermost_ext_ip_version",
        ],
        reason: CUT,
    },
    Wrong {
        capture: "malformed/pcapflowlab__vlan_odd",
        names: &["ipv4_packets", "non_ip_frames", "l3_bytes_outer", "outer_proto", "innermost_ext_proto", "innermost_ext_ip_version"],
        reason: CUT,
    },
    Wrong { capture: "malformed/pcapflowlab__vxlan_odd", names: &["innermost_ext_proto", "top10_udp_dst_ports_inner"], reason: CUT_INSIDE },
    Wrong {
        capture: "malformed/tcpdump__gre-heapoverflow-1",
        names: &["ipv4_packets", "non_ip_frames", "outer_proto", "innermost_ext_proto", "innermost_ext_ip_version"],
        reason: VERSION,
    },
    Wrong { capture: "malformed/tcpdump__ipv6-too-long-jumbo", names: &["l3_bytes_outer"], reason: JUMBOGRAM },
    Wrong {
        capture: "malformed/tcpdump__ipv6_39_byte_header",
        names: &[
            "ipv6_packets",
            "non_ip_frames",
            "l3_bytes_outer",
            "distinct_src_outermost",
            "distinct_src_innermost_ext",
            "outer_proto",
            "innermost_ext_proto",
            "innermost_ext_ip_version",
            "top10_src_by_packets",
            "top10_src_by_bytes",
        ],
        reason: CUT,
    },
    Wrong {
        capture: "malformed/tcpdump__ipv6_frag6_negative_len",
        names: &["fragments_outer", "fragments_any", "l3_bytes_outer", "outer_proto", "innermost_ext_proto"],
        reason: "a payload length of 0 leaves tshark no fragment header; 0 claims nothing here, so what the wire held is read",
    },
    Wrong {
        capture: "malformed/tcpdump__ipv6_invalid_length",
        names: &[
            "ipv6_packets",
            "non_ip_frames",
            "l3_bytes_outer",
            "distinct_src_outermost",
            "distinct_src_innermost_ext",
            "outer_proto",
            "innermost_ext_proto",
            "innermost_ext_ip_version",
            "top10_src_by_packets",
            "top10_src_by_bytes",
        ],
        reason: CUT,
    },
    Wrong { capture: "malformed/tcpdump__ipv6_jumbogram_invalid_length", names: &["l3_bytes_outer"], reason: JUMBOGRAM },
    Wrong {
        capture: "malformed/tcpdump__ipv6_missing_jumbo_payload_option",
        names: &["l3_bytes_outer", "outer_proto", "innermost_ext_proto"],
        reason: "tshark gives the 40 bytes of the header as the length of a jumbogram; its payload length \
            says 0, so what the wire held counts; the hop-by-hop header's own next header can be read",
    },
    Wrong {
        capture: "malformed/tcpdump__kday1",
        names: &["ipv4_packets", "ipv6_packets", "l3_bytes_outer", "distinct_src_outermost", "distinct_dst_outermost", "outer_proto"],
        reason: VERSION,
    },
    Wrong {
        capture: "malformed/tcpdump__kday3",
        names: &["ipv4_packets", "ipv6_packets", "l3_bytes_outer", "distinct_src_outermost", "distinct_dst_outermost", "outer_proto"],
        reason: VERSION,
    },
    Wrong {
        capture: "malformed/tcpreplay__test.rewrite_l7fuzzing",
        names: &[
            "ipv4_packets",
            "ipv6_packets",
            "non_ip_frames",
            "l3_bytes_outer",
            "outer_proto",
            "innermost_ext_proto",
            "innermost_ext_ip_version",
        ],
        reason: CUT,
    },
    Wrong {
        capture: "packets/PcapPlusPlus__ipv6",
        names: &["distinct_src_innermost_ext", "distinct_dst_innermost_ext", "innermost_ext_proto", "innermost_ext_ip_version"],
        reason: NOT_PARSED,
    },
];
