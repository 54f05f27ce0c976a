//! One flow as an exporter told it: plain data, filled in place.

use std::net::IpAddr;

use arrayvec::ArrayVec;

use crate::limits::{FLOW_AS_PATH_MAX, FLOW_LABELS_MAX, FLOW_LAYERS_MAX, IP_HEADERS_MAX};
use crate::parse::IpHeader;

/// What told of a flow; the numbers are those of the message's `FlowType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum FlowType {
    /// Nothing was read.
    #[default]
    Unknown = 0,
    /// sFlow version 5.
    Sflow5 = 1,
    /// NetFlow 1, 5 or 7: `export_version` says which.
    NetflowV5 = 2,
    /// NetFlow 9.
    NetflowV9 = 3,
    /// IPFIX.
    Ipfix = 4,
}

/// How the sampling rate is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RateFrom {
    /// It is not: the rate is 0.
    #[default]
    Unknown = 0,
    /// The datagram's header (NetFlow 5).
    Header = 1,
    /// Options data of the exporter.
    Options = 2,
    /// The record or sample itself.
    Record = 3,
    /// The operator.
    Operator = 4,
}

/// An IPv4 or IPv6 address, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    bytes: [u8; 16],
    length: u8,
}

impl Address {
    /// None.
    pub const NONE: Self = Self { bytes: [0; 16], length: 0 };

    /// Of 4 or 16 bytes; none of any other number.
    #[inline]
    pub fn of(bytes: &[u8]) -> Self {
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            let [a, b, c, d] = v4;
            return Self { bytes: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], length: 4 };
        }
        <[u8; 16]>::try_from(bytes).map_or(Self::NONE, |bytes| Self { bytes, length: 16 })
    }

    /// 4 or 16 bytes, or none.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }

    /// Whether it is none, or all of it is zero.
    #[inline]
    pub fn is_void(&self) -> bool {
        self.bytes == [0; 16]
    }

    /// As it is written; empty where there is none.
    pub fn text(&self) -> String {
        self.ip().map_or_else(String::new, |ip| ip.to_string())
    }

    /// As the standard library has it.
    pub fn ip(&self) -> Option<IpAddr> {
        let bytes = self.bytes();
        <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::of(&v4.octets()),
            IpAddr::V6(v6) => Self::of(&v6.octets()),
        }
    }
}

/// What is one number or address each; names and meanings are those of `proto/flowpb/flow.proto`. Zero is "not told".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "flow.proto documents each under the same name")]
pub struct Fields {
    pub kind: FlowType,
    pub rate_from: RateFrom,
    pub time_received_ns: u64,
    pub time_flow_start_ns: u64,
    pub time_flow_end_ns: u64,
    pub sampling_rate: u64,
    pub bytes: u64,
    pub packets: u64,
    pub src_mac: u64,
    pub dst_mac: u64,
    pub sequence_num: u32,
    pub sampler_address: Address,
    pub src_addr: Address,
    pub dst_addr: Address,
    pub next_hop: Address,
    pub bgp_next_hop: Address,
    pub etype: u32,
    pub proto: u32,
    pub src_port: u32,
    pub dst_port: u32,
    pub in_if: u32,
    pub out_if: u32,
    pub src_vlan: u32,
    pub dst_vlan: u32,
    pub vlan_id: u32,
    pub ip_tos: u32,
    pub forwarding_status: u32,
    pub ip_ttl: u32,
    pub ip_flags: u32,
    pub tcp_flags: u32,
    pub icmp_type: u32,
    pub icmp_code: u32,
    pub ipv6_flow_label: u32,
    pub fragment_id: u32,
    pub fragment_offset: u32,
    pub src_as: u32,
    pub dst_as: u32,
    pub next_hop_as: u32,
    pub src_net: u32,
    pub dst_net: u32,
    pub observation_domain_id: u32,
    pub observation_point_id: u32,
    pub routing_seg_left: u32,
    pub export_version: u32,
    pub total_bytes: u64,
    pub total_packets: u64,
    pub initiator_bytes: u64,
    pub initiator_packets: u64,
    pub responder_bytes: u64,
    pub responder_packets: u64,
    pub reverse_bytes: u64,
    pub reverse_packets: u64,
    pub out_bytes: u64,
    pub out_packets: u64,
    pub dropped_bytes: u64,
    pub dropped_packets: u64,
    pub frame_bytes: u64,
    pub firewall_event: u32,
    pub flow_end_reason: u32,
    pub direction: u32,
    pub nat_src_addr: Address,
    pub nat_dst_addr: Address,
    pub nat_src_port: u32,
    pub nat_dst_port: u32,
    pub discard_reason: u32,
    pub out_if_count: u32,
    pub exporter_address: Address,
    pub ingress_vrf_id: u32,
    pub egress_vrf_id: u32,
    pub biflow_direction: u32,
    pub reverse_time_flow_start_ns: u64,
    pub reverse_time_flow_end_ns: u64,
    pub reverse_tcp_flags: u32,
    pub reverse_ip_tos: u32,
    pub reverse_ip_ttl: u32,
    pub reverse_flow_end_reason: u32,
    pub reverse_vlan: u32,
    pub has_encap: u32,
    pub src_addr_encap: Address,
    pub dst_addr_encap: Address,
    pub etype_encap: u32,
    pub proto_encap: u32,
    pub src_port_encap: u32,
    pub dst_port_encap: u32,
    pub ip_ttl_encap: u32,
    pub tcp_flags_encap: u32,
    /// Whether the sampler is known to be random; of no message.
    pub rate_random: bool,
    /// Whether packets or bytes may hold what earlier records told of the flow; of no message.
    pub running_totals: bool,
    /// Of `bytes`, those of the frame check sequence: packets of the mirror have none. Of no message.
    pub fcs_bytes: u32,
}

impl Fields {
    /// The address in a field of that number.
    pub fn address_mut(&mut self, number: u32) -> Option<&mut Address> {
        Some(match number {
            6 => &mut self.src_addr,
            7 => &mut self.dst_addr,
            11 => &mut self.sampler_address,
            12 => &mut self.next_hop,
            100 => &mut self.bgp_next_hop,
            2018 => &mut self.nat_src_addr,
            2019 => &mut self.nat_dst_addr,
            2024 => &mut self.exporter_address,
            2036 => &mut self.src_addr_encap,
            2037 => &mut self.dst_addr_encap,
            _ => return None,
        })
    }
}

/// What there may be several of. What is beyond a bound is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "flow.proto documents each under the same name")]
pub struct Lists {
    pub mpls_ttl: ArrayVec<u32, FLOW_LABELS_MAX>,
    pub mpls_label: ArrayVec<u32, FLOW_LABELS_MAX>,
    pub mpls_ip: ArrayVec<Address, 2>,
    pub bgp_communities: ArrayVec<u32, FLOW_AS_PATH_MAX>,
    pub as_path: ArrayVec<u32, FLOW_AS_PATH_MAX>,
    /// Layer and the bytes of its header.
    pub layers: ArrayVec<(u8, u32), FLOW_LAYERS_MAX>,
    pub routing_addresses: ArrayVec<Address, FLOW_LABELS_MAX>,
    /// Of a frame that is shown and has several IP headers, all of them, the outermost first; of no message.
    pub headers: ArrayVec<IpHeader, IP_HEADERS_MAX>,
}

impl Lists {
    /// Empties all of them.
    #[inline]
    pub fn clear(&mut self) {
        self.mpls_ttl.clear();
        self.mpls_label.clear();
        self.mpls_ip.clear();
        self.bgp_communities.clear();
        self.as_path.clear();
        self.layers.clear();
        self.routing_addresses.clear();
        self.headers.clear();
    }

    /// Holds what the other one does; copies no more than that.
    fn copy(&mut self, other: &Self) {
        self.mpls_ttl.clone_from(&other.mpls_ttl);
        self.mpls_label.clone_from(&other.mpls_label);
        self.mpls_ip.clone_from(&other.mpls_ip);
        self.bgp_communities.clone_from(&other.bgp_communities);
        self.as_path.clone_from(&other.as_path);
        self.layers.clone_from(&other.layers);
        self.routing_addresses.clone_from(&other.routing_addresses);
        self.headers.clone_from(&other.headers);
    }
}

/// One flow. Reused from record to record, so that none costs an allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// One of each.
    pub fields: Fields,
    /// Several of each.
    pub lists: Lists,
    /// Its datagram was here before, byte by byte: who adds up leaves it out.
    pub repeated: bool,
}

impl Flow {
    /// The addresses in a field of that number, which may be a list.
    pub fn addresses_mut(&mut self, number: u32) -> &mut [Address] {
        match number {
            82 => &mut self.lists.mpls_ip,
            105 => &mut self.lists.routing_addresses,
            _ => self.fields.address_mut(number).map_or(&mut [], std::slice::from_mut),
        }
    }

    /// Starts anew from what all records of a datagram share.
    #[inline]
    pub fn begin(&mut self, shared: &Fields) {
        self.fields = *shared;
        self.lists.clear();
    }

    /// Becomes what the other one is.
    #[inline]
    pub fn copy(&mut self, other: &Self) {
        self.fields = other.fields;
        self.lists.copy(&other.lists);
        self.repeated = other.repeated;
    }
}
