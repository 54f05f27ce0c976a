//! A flow as a `FlowMessage`: one list of its fields, which each written form walks and of which each can be asked.

use super::added::Added;
use super::chosen::{Chosen, Kept};
use super::flow::{Address, Flow};
use crate::axes::flow_field::{LAYER_OTHER, LAYERS, NORMALIZED, RATES, REMOTE, TYPES};

/// A flow with what was added to it, as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What the exporter told.
    pub flow: &'a Flow,
    /// What we added.
    pub added: &'a Added,
    /// Fields that are written; none: all.
    pub chosen: Option<&'a Chosen>,
}

impl<'a> Message<'a> {
    /// As the exporter told it.
    pub const fn plain(flow: &'a Flow) -> Self {
        Self { flow, added: &Added::NONE, chosen: None }
    }
}

/// What a field holds that is one value. Zero, no address and no text are "not told".
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A list, or no field of that number.
    None,
    /// A number.
    Number(u64),
    /// A MAC, of which six bytes count.
    Mac(u64),
    /// One of the message's words.
    Word(&'static str),
    /// An address.
    Address(&'a Address),
    /// A text.
    Text(&'a str),
}

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
    /// A `string`.
    fn text(&mut self, number: u32, name: &'static str, value: &str);
    /// Repeated `uint32`.
    fn numbers(&mut self, number: u32, name: &'static str, values: impl ExactSizeIterator<Item = u32> + Clone);
    /// A repeated enum of which `word` gives the names.
    fn words(&mut self, number: u32, name: &'static str, values: impl ExactSizeIterator<Item = u8> + Clone, word: fn(u8) -> &'static str);
    /// Repeated `bytes` that are addresses.
    fn addresses(&mut self, number: u32, name: &'static str, values: &[Address]);
}

/// Name of a layer.
fn layer(number: u8) -> &'static str {
    LAYERS.get(usize::from(number)).copied().unwrap_or(LAYER_OTHER)
}

/// Writes the fields that are chosen.
#[inline]
pub(super) fn write(message: &Message<'_>, form: &mut impl Form) {
    match message.chosen {
        None => walk(message.flow, message.added, form),
        Some(chosen) => walk(message.flow, message.added, &mut Kept { form, chosen }),
    }
}

/// What a field holds: one value, or, of a list, several.
trait Held<'a> {
    /// The value, if it is one.
    fn one(self) -> Value<'a>;
    /// Whether any is one that the test takes.
    fn any(self, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool;
}

impl<'a> Held<'a> for Value<'a> {
    fn one(self) -> Self {
        self
    }

    fn any(self, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
        test(&self)
    }
}

/// Those of a list.
struct Several<I>(I);

impl<'a, I: Iterator<Item = Value<'a>>> Held<'a> for Several<I> {
    fn one(self) -> Value<'a> {
        Value::None
    }

    fn any(mut self, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
        self.0.any(|value| test(&value))
    }
}

/// What a field is read as, by how it is written.
mod read {
    use super::{Address, Several, Value};

    pub(super) fn word(value: usize, words: &[&'static str]) -> Value<'static> {
        Value::Word(if value == 0 { "" } else { words.get(value).copied().unwrap_or("") })
    }

    pub(super) fn number(value: u32) -> Value<'static> {
        Value::Number(u64::from(value))
    }

    pub(super) const fn wide(value: u64, _: bool) -> Value<'static> {
        Value::Number(value)
    }

    pub(super) const fn mac(value: u64) -> Value<'static> {
        Value::Mac(value)
    }

    pub(super) const fn address(value: &Address) -> Value<'_> {
        Value::Address(value)
    }

    pub(super) fn text(value: &str) -> Value<'_> {
        Value::Text(value)
    }

    pub(super) fn numbers(values: impl Iterator<Item = u32>) -> Several<impl Iterator<Item = Value<'static>>> {
        Several(values.map(number))
    }

    pub(super) fn words(values: impl Iterator<Item = u8>, word: fn(u8) -> &'static str) -> Several<impl Iterator<Item = Value<'static>>> {
        Several(values.map(move |value| Value::Word(word(value))))
    }

    pub(super) fn addresses(values: &[Address]) -> Several<impl Iterator<Item = Value<'_>>> {
        Several(values.iter().map(address))
    }
}

/// The list, as a walk over it and as questions of one of it.
macro_rules! fields {
    (|$f:ident, $l:ident, $a:ident| $($number:literal $name:literal $kind:ident($($of:tt)*);)*) => {
        /// Walks all fields of the message, those that every line has first.
        fn walk(flow: &Flow, added: &Added, form: &mut impl Form) {
            let ($f, $l, $a) = (&flow.fields, &flow.lists, added);
            $(form.$kind($number, $name, $($of)*);)*
        }

        /// What one field holds.
        pub fn value<'a>(flow: &'a Flow, added: &'a Added, number: u32) -> Value<'a> {
            let ($f, $l, $a) = (&flow.fields, &flow.lists, added);
            match number {
                $($number => read::$kind($($of)*).one(),)*
                _ => Value::None,
            }
        }

        /// Whether a field's value is one that the test takes; of a list, whether any of its values is.
        pub fn holds_any(flow: &Flow, added: &Added, number: u32, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
            let ($f, $l, $a) = (&flow.fields, &flow.lists, added);
            match number {
                $($number => read::$kind($($of)*).any(test),)*
                _ => false,
            }
        }
    };
}

fields! { |f, l, a|
    1 "type" word(f.kind as usize, &TYPES);
    110 "time_received_ns" wide(f.time_received_ns, false);
    4 "sequence_num" number(f.sequence_num);
    3 "sampling_rate" wide(f.sampling_rate, true);
    11 "sampler_address" address(&f.sampler_address);
    111 "time_flow_start_ns" wide(f.time_flow_start_ns, false);
    112 "time_flow_end_ns" wide(f.time_flow_end_ns, false);
    9 "bytes" wide(f.bytes, true);
    10 "packets" wide(f.packets, true);
    6 "src_addr" address(&f.src_addr);
    7 "dst_addr" address(&f.dst_addr);
    30 "etype" number(f.etype);
    20 "proto" number(f.proto);
    21 "src_port" number(f.src_port);
    22 "dst_port" number(f.dst_port);
    18 "in_if" number(f.in_if);
    19 "out_if" number(f.out_if);
    27 "src_mac" mac(f.src_mac);
    28 "dst_mac" mac(f.dst_mac);
    33 "src_vlan" number(f.src_vlan);
    34 "dst_vlan" number(f.dst_vlan);
    29 "vlan_id" number(f.vlan_id);
    23 "ip_tos" number(f.ip_tos);
    24 "forwarding_status" number(f.forwarding_status);
    25 "ip_ttl" number(f.ip_ttl);
    38 "ip_flags" number(f.ip_flags);
    26 "tcp_flags" number(f.tcp_flags);
    31 "icmp_type" number(f.icmp_type);
    32 "icmp_code" number(f.icmp_code);
    37 "ipv6_flow_label" number(f.ipv6_flow_label);
    35 "fragment_id" number(f.fragment_id);
    36 "fragment_offset" number(f.fragment_offset);
    14 "src_as" number(f.src_as);
    15 "dst_as" number(f.dst_as);
    12 "next_hop" address(&f.next_hop);
    13 "next_hop_as" number(f.next_hop_as);
    16 "src_net" number(f.src_net);
    17 "dst_net" number(f.dst_net);
    100 "bgp_next_hop" address(&f.bgp_next_hop);
    101 "bgp_communities" numbers(l.bgp_communities.iter().copied());
    102 "as_path" numbers(l.as_path.iter().copied());
    80 "mpls_ttl" numbers(l.mpls_ttl.iter().copied());
    81 "mpls_label" numbers(l.mpls_label.iter().copied());
    82 "mpls_ip" addresses(&l.mpls_ip);
    70 "observation_domain_id" number(f.observation_domain_id);
    71 "observation_point_id" number(f.observation_point_id);
    103 "layer_stack" words(l.layers.iter().map(|(kind, _)| *kind), layer);
    104 "layer_size" numbers(l.layers.iter().map(|(_, size)| *size));
    105 "ipv6_routing_header_addresses" addresses(&l.routing_addresses);
    106 "ipv6_routing_header_seg_left" number(f.routing_seg_left);
    2000 "export_version" number(f.export_version);
    2001 "rate_from" word(f.rate_from as usize, &RATES);
    2002 "total_bytes" wide(f.total_bytes, false);
    2003 "total_packets" wide(f.total_packets, false);
    2004 "initiator_bytes" wide(f.initiator_bytes, false);
    2005 "initiator_packets" wide(f.initiator_packets, false);
    2006 "responder_bytes" wide(f.responder_bytes, false);
    2007 "responder_packets" wide(f.responder_packets, false);
    2008 "reverse_bytes" wide(f.reverse_bytes, false);
    2009 "reverse_packets" wide(f.reverse_packets, false);
    2010 "out_bytes" wide(f.out_bytes, false);
    2011 "out_packets" wide(f.out_packets, false);
    2012 "dropped_bytes" wide(f.dropped_bytes, false);
    2013 "dropped_packets" wide(f.dropped_packets, false);
    2014 "frame_bytes" wide(f.frame_bytes, false);
    2015 "firewall_event" number(f.firewall_event);
    2016 "flow_end_reason" number(f.flow_end_reason);
    2017 "direction" number(f.direction);
    2018 "nat_src_addr" address(&f.nat_src_addr);
    2019 "nat_dst_addr" address(&f.nat_dst_addr);
    2020 "nat_src_port" number(f.nat_src_port);
    2021 "nat_dst_port" number(f.nat_dst_port);
    2022 "discard_reason" number(f.discard_reason);
    2023 "out_if_count" number(f.out_if_count);
    2024 "exporter_address" address(&f.exporter_address);
    2025 "ingress_vrf_id" number(f.ingress_vrf_id);
    2026 "egress_vrf_id" number(f.egress_vrf_id);
    2027 "biflow_direction" number(f.biflow_direction);
    2028 "reverse_time_flow_start_ns" wide(f.reverse_time_flow_start_ns, false);
    2029 "reverse_time_flow_end_ns" wide(f.reverse_time_flow_end_ns, false);
    2030 "reverse_tcp_flags" number(f.reverse_tcp_flags);
    2031 "reverse_ip_tos" number(f.reverse_ip_tos);
    2032 "reverse_ip_ttl" number(f.reverse_ip_ttl);
    2033 "reverse_flow_end_reason" number(f.reverse_flow_end_reason);
    2034 "reverse_vlan" number(f.reverse_vlan);
    2035 "has_encap" number(f.has_encap);
    2036 "src_addr_encap" address(&f.src_addr_encap);
    2037 "dst_addr_encap" address(&f.dst_addr_encap);
    2038 "etype_encap" number(f.etype_encap);
    2039 "proto_encap" number(f.proto_encap);
    2040 "src_port_encap" number(f.src_port_encap);
    2041 "dst_port_encap" number(f.dst_port_encap);
    2042 "ip_ttl_encap" number(f.ip_ttl_encap);
    2043 "tcp_flags_encap" number(f.tcp_flags_encap);
    // What enrichment adds: bwNetFlow's numbers, then ours.
    1000 "cid" number(a.cid);
    1002 "normalized" word(usize::from(a.normalized), &NORMALIZED);
    1003 "src_if_name" text(&a.src_if_name);
    1004 "src_if_desc" text(&a.src_if_desc);
    1005 "src_if_speed" number(a.src_if_speed);
    1006 "dst_if_name" text(&a.dst_if_name);
    1007 "dst_if_desc" text(&a.dst_if_desc);
    1008 "dst_if_speed" number(a.dst_if_speed);
    1009 "proto_name" text(&a.proto_name);
    1010 "remote_country" text(&a.remote_country);
    1011 "remote_addr" word(a.remote as usize, &REMOTE);
    1012 "src_cid" number(a.src_cid);
    1013 "dst_cid" number(a.dst_cid);
    1014 "src_country" text(&a.src_country);
    1015 "dst_country" text(&a.dst_country);
    1016 "note" text(&a.note);
    2140 "stream" text(&a.stream);
    2141 "customer" text(&a.customer);
    2142 "src_customer" text(&a.src_customer);
    2143 "dst_customer" text(&a.dst_customer);
    2144 "src_as_name" text(&a.src_as_name);
    2145 "dst_as_name" text(&a.dst_as_name);
    2146 "record_sampling" number(a.record_sampling);
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
