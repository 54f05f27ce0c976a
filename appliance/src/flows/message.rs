//! A flow as a `FlowMessage`: one list of its fields, which each written form walks.

use super::flow::{Address, Flow};

/// A written form. Numbers are those of `proto/flowpb/flow.proto`; what is not told is passed on as zero, and the form leaves it out.
pub(super) trait Form {
    /// An enum of which `words` are the names in the order of numbers.
    fn word(&mut self, number: u32, name: &'static str, value: usize, words: &'static [&'static str]);
    /// A `uint32`.
    fn number(&mut self, number: u32, name: &'static str, value: u32);
    /// A `uint64`. `always`: written even where it is zero.
    fn wide(&mut self, number: u32, name: &'static str, value: u64, always: bool);
    /// A MAC, a `uint64` of which six bytes count.
    fn mac(&mut self, number: u32, name: &'static str, value: u64);
    /// `bytes` that are an address.
    fn address(&mut self, number: u32, name: &'static str, value: &Address);
    /// Repeated `uint32`.
    fn numbers(&mut self, number: u32, name: &'static str, values: impl ExactSizeIterator<Item = u32> + Clone);
    /// A repeated enum of which `word` gives the names.
    fn words(&mut self, number: u32, name: &'static str, values: impl ExactSizeIterator<Item = u8> + Clone, word: fn(u8) -> &'static str);
    /// Repeated `bytes` that are addresses.
    fn addresses(&mut self, number: u32, name: &'static str, values: &[Address]);
}

static TYPES: [&str; 5] = ["FLOWUNKNOWN", "SFLOW_5", "NETFLOW_V5", "NETFLOW_V9", "IPFIX"];
static RATES: [&str; 5] = ["RATE_UNKNOWN", "RATE_HEADER", "RATE_OPTIONS", "RATE_RECORD", "RATE_OPERATOR"];

/// Name of a layer.
const fn layer(number: u8) -> &'static str {
    match number {
        0 => "Ethernet",
        1 => "IPv4",
        2 => "IPv6",
        3 => "TCP",
        4 => "UDP",
        5 => "MPLS",
        6 => "Dot1Q",
        7 => "ICMP",
        8 => "ICMPv6",
        9 => "GRE",
        10 => "IPv6HeaderRouting",
        11 => "IPv6HeaderFragment",
        12 => "Geneve",
        13 => "Teredo",
        _ => "Custom",
    }
}

/// Walks all fields of the message, those that every line has first.
pub(super) fn walk(flow: &Flow, form: &mut impl Form) {
    let f = &flow.fields;
    form.word(1, "type", f.kind as usize, &TYPES);
    form.wide(110, "time_received_ns", f.time_received_ns, false);
    form.number(4, "sequence_num", f.sequence_num);
    form.wide(3, "sampling_rate", f.sampling_rate, true);
    form.address(11, "sampler_address", &f.sampler_address);
    form.wide(111, "time_flow_start_ns", f.time_flow_start_ns, false);
    form.wide(112, "time_flow_end_ns", f.time_flow_end_ns, false);
    form.wide(9, "bytes", f.bytes, true);
    form.wide(10, "packets", f.packets, true);
    form.address(6, "src_addr", &f.src_addr);
    form.address(7, "dst_addr", &f.dst_addr);
    packet(flow, form);
    routing(flow, form);
    own(flow, form);
}

fn packet(flow: &Flow, form: &mut impl Form) {
    let f = &flow.fields;
    form.number(30, "etype", f.etype);
    form.number(20, "proto", f.proto);
    form.number(21, "src_port", f.src_port);
    form.number(22, "dst_port", f.dst_port);
    form.number(18, "in_if", f.in_if);
    form.number(19, "out_if", f.out_if);
    form.mac(27, "src_mac", f.src_mac);
    form.mac(28, "dst_mac", f.dst_mac);
    form.number(33, "src_vlan", f.src_vlan);
    form.number(34, "dst_vlan", f.dst_vlan);
    form.number(29, "vlan_id", f.vlan_id);
    form.number(23, "ip_tos", f.ip_tos);
    form.number(24, "forwarding_status", f.forwarding_status);
    form.number(25, "ip_ttl", f.ip_ttl);
    form.number(38, "ip_flags", f.ip_flags);
    form.number(26, "tcp_flags", f.tcp_flags);
    form.number(31, "icmp_type", f.icmp_type);
    form.number(32, "icmp_code", f.icmp_code);
    form.number(37, "ipv6_flow_label", f.ipv6_flow_label);
    form.number(35, "fragment_id", f.fragment_id);
    form.number(36, "fragment_offset", f.fragment_offset);
}

fn routing(flow: &Flow, form: &mut impl Form) {
    let (f, lists) = (&flow.fields, &flow.lists);
    form.number(14, "src_as", f.src_as);
    form.number(15, "dst_as", f.dst_as);
    form.address(12, "next_hop", &f.next_hop);
    form.number(13, "next_hop_as", f.next_hop_as);
    form.number(16, "src_net", f.src_net);
    form.number(17, "dst_net", f.dst_net);
    form.address(100, "bgp_next_hop", &f.bgp_next_hop);
    form.numbers(101, "bgp_communities", lists.bgp_communities.iter().copied());
    form.numbers(102, "as_path", lists.as_path.iter().copied());
    form.numbers(80, "mpls_ttl", lists.mpls_ttl.iter().copied());
    form.numbers(81, "mpls_label", lists.mpls_label.iter().copied());
    form.addresses(82, "mpls_ip", &lists.mpls_ip);
    form.number(70, "observation_domain_id", f.observation_domain_id);
    form.number(71, "observation_point_id", f.observation_point_id);
    form.words(103, "layer_stack", lists.layers.iter().map(|(kind, _)| *kind), layer);
    form.numbers(104, "layer_size", lists.layers.iter().map(|(_, size)| *size));
    form.addresses(105, "ipv6_routing_header_addresses", &lists.routing_addresses);
    form.number(106, "ipv6_routing_header_seg_left", f.routing_seg_left);
}

fn own(flow: &Flow, form: &mut impl Form) {
    let f = &flow.fields;
    form.number(2000, "export_version", f.export_version);
    form.word(2001, "rate_from", f.rate_from as usize, &RATES);
    form.wide(2002, "total_bytes", f.total_bytes, false);
    form.wide(2003, "total_packets", f.total_packets, false);
    form.wide(2004, "initiator_bytes", f.initiator_bytes, false);
    form.wide(2005, "initiator_packets", f.initiator_packets, false);
    form.wide(2006, "responder_bytes", f.responder_bytes, false);
    form.wide(2007, "responder_packets", f.responder_packets, false);
    form.wide(2008, "reverse_bytes", f.reverse_bytes, false);
    form.wide(2009, "reverse_packets", f.reverse_packets, false);
    form.wide(2010, "out_bytes", f.out_bytes, false);
    form.wide(2011, "out_packets", f.out_packets, false);
    form.wide(2012, "dropped_bytes", f.dropped_bytes, false);
    form.wide(2013, "dropped_packets", f.dropped_packets, false);
    form.wide(2014, "frame_bytes", f.frame_bytes, false);
    form.number(2015, "firewall_event", f.firewall_event);
    form.number(2016, "flow_end_reason", f.flow_end_reason);
    form.number(2017, "direction", f.direction);
    form.address(2018, "nat_src_addr", &f.nat_src_addr);
    form.address(2019, "nat_dst_addr", &f.nat_dst_addr);
    form.number(2020, "nat_src_port", f.nat_src_port);
    form.number(2021, "nat_dst_port", f.nat_dst_port);
    form.number(2022, "discard_reason", f.discard_reason);
    form.number(2023, "out_if_count", f.out_if_count);
    form.address(2024, "exporter_address", &f.exporter_address);
}
