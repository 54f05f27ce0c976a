//! Fields of flow messages, as the configuration names them. `flows` writes and reads them; its tests hold both lists
//! against each other.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowKind {
    /// A number.
    Number,
    /// Six bytes as a number.
    Mac,
    /// An IPv4 or IPv6 address.
    Address,
    /// A text.
    Text,
    /// One of a few words.
    Word,
    /// Several numbers.
    Numbers,
    /// Several words.
    Words,
    /// Several addresses.
    Addresses,
}

impl FlowKind {
    /// Whether it is one value, not several.
    pub const fn is_one(self) -> bool {
        !matches!(self, Self::Numbers | Self::Words | Self::Addresses)
    }

    /// Whether it is an address, or several.
    pub const fn is_address(self) -> bool {
        matches!(self, Self::Address | Self::Addresses)
    }
}

/// A field of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowField {
    /// Number in `proto/flowpb/flow.proto`.
    pub number: u32,
    /// Name there, and in JSON.
    pub name: &'static str,
    /// What it holds.
    pub kind: FlowKind,
}

/// Values of `type`, by number.
pub static TYPES: [&str; 5] = ["FLOWUNKNOWN", "SFLOW_5", "NETFLOW_V5", "NETFLOW_V9", "IPFIX"];
/// Values of `normalized`.
pub static NORMALIZED: [&str; 2] = ["No", "Yes"];
/// Values of `remote_addr`.
pub static REMOTE: [&str; 3] = ["Neither", "Src", "Dst"];
/// Values of `rate_from`.
pub static RATES: [&str; 5] = ["RATE_UNKNOWN", "RATE_HEADER", "RATE_OPTIONS", "RATE_RECORD", "RATE_OPERATOR"];
/// Values of `layer_stack`, by number.
pub static LAYERS: [&str; 15] = [
    "Ethernet",
    "IPv4",
    "IPv6",
    "TCP",
    "UDP",
    "MPLS",
    "Dot1Q",
    "ICMP",
    "ICMPv6",
    "GRE",
    "IPv6HeaderRouting",
    "IPv6HeaderFragment",
    "Geneve",
    "Teredo",
    LAYER_OTHER,
];
/// Of `layer_stack`: any other.
pub const LAYER_OTHER: &str = "Custom";

impl FlowField {
    /// All values that it may have, if those are a few words.
    pub fn words(&self) -> Option<&'static [&'static str]> {
        match self.name {
            "type" => Some(&TYPES),
            "normalized" => Some(&NORMALIZED),
            "remote_addr" => Some(&REMOTE),
            "rate_from" => Some(&RATES),
            "layer_stack" => Some(&LAYERS),
            _ => None,
        }
    }
}

/// The field of that name.
pub fn named(name: &str) -> Option<&'static FlowField> {
    FLOW_FIELDS.iter().find(|field| field.name == name)
}

macro_rules! rows {
    ($(($number:literal, $name:literal, $kind:ident),)*) => {
        /// All of them, in the order of the message.
        pub const FLOW_FIELDS: &[FlowField] = &[$(FlowField { number: $number, name: $name, kind: FlowKind::$kind }),*];
    };
}

rows! {
    (1, "type", Word),
    (110, "time_received_ns", Number),
    (4, "sequence_num", Number),
    (3, "sampling_rate", Number),
    (11, "sampler_address", Address),
    (111, "time_flow_start_ns", Number),
    (112, "time_flow_end_ns", Number),
    (9, "bytes", Number),
    (10, "packets", Number),
    (6, "src_addr", Address),
    (7, "dst_addr", Address),
    (30, "etype", Number),
    (20, "proto", Number),
    (21, "src_port", Number),
    (22, "dst_port", Number),
    (18, "in_if", Number),
    (19, "out_if", Number),
    (27, "src_mac", Mac),
    (28, "dst_mac", Mac),
    (33, "src_vlan", Number),
    (34, "dst_vlan", Number),
    (29, "vlan_id", Number),
    (23, "ip_tos", Number),
    (24, "forwarding_status", Number),
    (25, "ip_ttl", Number),
    (38, "ip_flags", Number),
    (26, "tcp_flags", Number),
    (31, "icmp_type", Number),
    (32, "icmp_code", Number),
    (37, "ipv6_flow_label", Number),
    (35, "fragment_id", Number),
    (36, "fragment_offset", Number),
    (14, "src_as", Number),
    (15, "dst_as", Number),
    (12, "next_hop", Address),
    (13, "next_hop_as", Number),
    (16, "src_net", Number),
    (17, "dst_net", Number),
    (100, "bgp_next_hop", Address),
    (101, "bgp_communities", Numbers),
    (102, "as_path", Numbers),
    (80, "mpls_ttl", Numbers),
    (81, "mpls_label", Numbers),
    (82, "mpls_ip", Addresses),
    (70, "observation_domain_id", Number),
    (71, "observation_point_id", Number),
    (103, "layer_stack", Words),
    (104, "layer_size", Numbers),
    (105, "ipv6_routing_header_addresses", Addresses),
    (106, "ipv6_routing_header_seg_left", Number),
    (2000, "export_version", Number),
    (2001, "rate_from", Word),
    (2002, "total_bytes", Number),
    (2003, "total_packets", Number),
    (2004, "initiator_bytes", Number),
    (2005, "initiator_packets", Number),
    (2006, "responder_bytes", Number),
    (2007, "responder_packets", Number),
    (2008, "reverse_bytes", Number),
    (2009, "reverse_packets", Number),
    (2010, "out_bytes", Number),
    (2011, "out_packets", Number),
    (2012, "dropped_bytes", Number),
    (2013, "dropped_packets", Number),
    (2014, "frame_bytes", Number),
    (2015, "firewall_event", Number),
    (2016, "flow_end_reason", Number),
    (2017, "direction", Number),
    (2018, "nat_src_addr", Address),
    (2019, "nat_dst_addr", Address),
    (2020, "nat_src_port", Number),
    (2021, "nat_dst_port", Number),
    (2022, "discard_reason", Number),
    (2023, "out_if_count", Number),
    (2024, "exporter_address", Address),
    (2025, "ingress_vrf_id", Number),
    (2026, "egress_vrf_id", Number),
    (2027, "biflow_direction", Number),
    (2028, "reverse_time_flow_start_ns", Number),
    (2029, "reverse_time_flow_end_ns", Number),
    (2030, "reverse_tcp_flags", Number),
    (2031, "reverse_ip_tos", Number),
    (2032, "reverse_ip_ttl", Number),
    (2033, "reverse_flow_end_reason", Number),
    (2034, "reverse_vlan", Number),
    (2035, "has_encap", Number),
    (2036, "src_addr_encap", Address),
    (2037, "dst_addr_encap", Address),
    (2038, "etype_encap", Number),
    (2039, "proto_encap", Number),
    (2040, "src_port_encap", Number),
    (2041, "dst_port_encap", Number),
    (2042, "ip_ttl_encap", Number),
    (2043, "tcp_flags_encap", Number),
    (1000, "cid", Number),
    (1002, "normalized", Word),
    (1003, "src_if_name", Text),
    (1004, "src_if_desc", Text),
    (1005, "src_if_speed", Number),
    (1006, "dst_if_name", Text),
    (1007, "dst_if_desc", Text),
    (1008, "dst_if_speed", Number),
    (1009, "proto_name", Text),
    (1010, "remote_country", Text),
    (1011, "remote_addr", Word),
    (1012, "src_cid", Number),
    (1013, "dst_cid", Number),
    (1014, "src_country", Text),
    (1015, "dst_country", Text),
    (1016, "note", Text),
    (2140, "stream", Text),
    (2141, "customer", Text),
    (2142, "src_customer", Text),
    (2143, "dst_customer", Text),
    (2144, "src_as_name", Text),
    (2145, "dst_as_name", Text),
    (2146, "record_sampling", Number),
}
