//! One record: its fields → a flow, and what must be known of all of it first.

use arrayvec::ArrayVec;

use super::cursor::{number, number32};
use super::elements::What;
use super::flow::{Address, Fields, Flow, Lists};
use super::sampling::Told;
use super::times::{Base, millis};

/// Elements 70 to 79.
const LABELS_MAX: usize = 10;

/// What a record tells that is no field of a flow by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    /// Of sampling.
    pub(super) told: Told,
    /// Uptime of the first and of the last packet.
    first_ms: Option<u32>,
    last_ms: Option<u32>,
    reverse_first_ms: Option<u32>,
    reverse_last_ms: Option<u32>,
    /// When the exporter started (element 160).
    pub(super) init_ms: Option<u64>,
    start_ns: Option<u64>,
    end_ns: Option<u64>,
    duration_ns: Option<u64>,
    /// When an event was seen.
    seen_ns: Option<u64>,
    has_bytes: bool,
    has_packets: bool,
    /// The interface in the scope of options, or that the flow came by.
    pub(super) interface: Option<u32>,
    /// Entries of the label stack, as told, the top first.
    labels: ArrayVec<u32, LABELS_MAX>,
    /// Element 41 and 42: what the exporter says it sent.
    pub(super) exported: (Option<u64>, Option<u64>),
}

/// Puts one field where it belongs.
#[inline]
#[allow(clippy::too_many_lines, reason = "a row each")]
pub(super) fn put(what: What, v: &[u8], flow: &mut Flow, s: &mut Scratch, base: &Base) {
    let f = &mut flow.fields;
    match what {
        What::Bytes => (f.bytes, s.has_bytes) = (number(v), true),
        What::Packets => (f.packets, s.has_packets) = (number(v), true),
        What::OutBytes => f.out_bytes = number(v),
        What::OutPackets => f.out_packets = number(v),
        What::SrcAddr => address(v, &mut f.src_addr, &mut f.etype),
        What::DstAddr => address(v, &mut f.dst_addr, &mut f.etype),
        What::Proto => f.proto = number32(v),
        What::Tos => f.ip_tos = number32(v),
        What::TcpFlags => f.tcp_flags = number32(v),
        What::SrcPort => unless_void(v, &mut f.src_port),
        What::DstPort => unless_void(v, &mut f.dst_port),
        What::SrcNet => unless_void(v, &mut f.src_net),
        What::DstNet => unless_void(v, &mut f.dst_net),
        What::InIf => (f.in_if, s.interface) = (number32(v), Some(number32(v))),
        What::OutIf => f.out_if = number32(v),
        What::NextHop => hop(v, &mut f.next_hop),
        What::BgpNextHop => hop(v, &mut f.bgp_next_hop),
        What::SrcAs => f.src_as = number32(v),
        What::DstAs => f.dst_as = number32(v),
        What::FirstUptime => s.first_ms = Some(number32(v)),
        What::LastUptime => s.last_ms = Some(number32(v)),
        What::Start(clock) => s.start_ns = Some(clock.read(v, base)),
        What::End(clock) => s.end_ns = Some(clock.read(v, base)),
        What::DurationMillis => s.duration_ns = Some(millis(number(v))),
        What::DurationMicros => s.duration_ns = Some(number(v).saturating_mul(1_000)),
        What::InitMillis => s.init_ms = Some(number(v)),
        What::Seen(clock) => s.seen_ns = Some(clock.read(v, base)),
        _ => put_rare(what, v, flow, s, base),
    }
}

#[allow(clippy::too_many_lines, reason = "a row each")]
fn put_rare(what: What, v: &[u8], flow: &mut Flow, s: &mut Scratch, base: &Base) {
    let (f, lists) = (&mut flow.fields, &mut flow.lists);
    match what {
        What::SrcMac => unless_void64(v, &mut f.src_mac),
        What::DstMac => unless_void64(v, &mut f.dst_mac),
        What::SrcVlan => (f.src_vlan, f.vlan_id) = (number32(v), number32(v)),
        What::DstVlan => f.dst_vlan = number32(v),
        What::FlowLabel => f.ipv6_flow_label = number32(v),
        What::Icmp => icmp(v, &mut f.icmp_type, &mut f.icmp_code),
        What::IcmpType => unless_void(v, &mut f.icmp_type),
        What::IcmpCode => unless_void(v, &mut f.icmp_code),
        What::Ttl => f.ip_ttl = if f.ip_ttl == 0 { number32(v) } else { f.ip_ttl.min(number32(v)) },
        What::IpVersion => f.etype = version(v, f.etype),
        // Of a frame, as 0x8847, or nothing that is: addresses say what the packet is.
        What::EtherType if f.src_addr.is_void() && f.dst_addr.is_void() => unless_void(v, &mut f.etype),
        What::EtherType => {}
        What::FragmentId => f.fragment_id = number32(v),
        What::FragmentOffset => f.fragment_offset = number32(v),
        // One octet, of which the three highest bits are those of the header.
        What::FragmentFlags => f.ip_flags = number32(v) >> 5,
        What::Forwarding => f.forwarding_status = number32(v),
        What::Label(at) => {
            let at = usize::from(at).min(s.labels.len());
            let _ = s.labels.try_insert(at, number32(v));
        }
        What::LabelAddr => {
            let _ = lists.mpls_ip.try_push(Address::of(v));
        }
        What::ObservationPoint => f.observation_point_id = number32(v),
        What::Direction => f.direction = number32(v),
        What::IngressVrf => f.ingress_vrf_id = number32(v),
        What::EgressVrf => f.egress_vrf_id = number32(v),
        What::BiflowDirection => f.biflow_direction = number32(v),
        What::EndReason => f.flow_end_reason = number32(v),
        What::FirewallEvent => f.firewall_event = number32(v),
        What::NatSrcAddr => hop(v, &mut f.nat_src_addr),
        What::NatDstAddr => hop(v, &mut f.nat_dst_addr),
        What::NatSrcPort => f.nat_src_port = number32(v),
        What::NatDstPort => f.nat_dst_port = number32(v),
        What::TotalBytes => f.total_bytes = number(v),
        What::TotalPackets => f.total_packets = number(v),
        What::InitiatorBytes => f.initiator_bytes = number(v),
        What::InitiatorPackets => f.initiator_packets = number(v),
        What::ResponderBytes => f.responder_bytes = number(v),
        What::ResponderPackets => f.responder_packets = number(v),
        What::ReverseBytes => f.reverse_bytes = number(v),
        What::ReversePackets => f.reverse_packets = number(v),
        What::DroppedBytes => f.dropped_bytes = number(v),
        What::DroppedPackets => f.dropped_packets = number(v),
        What::FrameBytes => f.frame_bytes = number(v),
        What::FrameSection => super::sflow::frame::read(v, on_wire(f), super::sflow::frame::Header::Ethernet, flow),
        What::IpSection => super::sflow::frame::read(v, on_wire(f), super::sflow::frame::Header::Ip, flow),
        What::ExportedMessages => s.exported.0 = Some(number(v)),
        What::ExportedRecords => s.exported.1 = Some(number(v)),
        What::Domain
        | What::SamplerId
        | What::Algorithm
        | What::Selector
        | What::Interval
        | What::RandomInterval
        | What::PacketInterval
        | What::PacketSpace
        | What::TimeInterval
        | What::TimeSpace
        | What::SampleSize
        | What::SamplePopulation
        | What::Probability => s.told.put(what, v),
        What::ReverseStart(clock) => f.reverse_time_flow_start_ns = clock.read(v, base),
        What::ReverseEnd(clock) => f.reverse_time_flow_end_ns = clock.read(v, base),
        reverse => put_reverse(reverse, v, f, s),
    }
}

/// Bytes of a frame that is shown; where they are not told before it, it may have had any number.
const fn on_wire(f: &Fields) -> u64 {
    if f.frame_bytes == 0 { u64::MAX } else { f.frame_bytes }
}

/// The other direction of a record of both (RFC 5103).
fn put_reverse(what: What, v: &[u8], f: &mut Fields, s: &mut Scratch) {
    match what {
        What::ReverseTcpFlags => f.reverse_tcp_flags = number32(v),
        What::ReverseTos => f.reverse_ip_tos = number32(v),
        What::ReverseTtl => f.reverse_ip_ttl = number32(v),
        What::ReverseEndReason => f.reverse_flow_end_reason = number32(v),
        What::ReverseVlan => f.reverse_vlan = number32(v),
        What::ReverseFirstUptime => s.reverse_first_ms = Some(number32(v)),
        What::ReverseLastUptime => s.reverse_last_ms = Some(number32(v)),
        _ => {}
    }
}

/// Of exporters that have a field for each family the other one is zero.
#[inline]
fn address(v: &[u8], to: &mut Address, etype: &mut u32) {
    let address = Address::of(v);
    if to.bytes().is_empty() || !address.is_void() {
        *to = address;
        if *etype == 0 || !address.is_void() {
            *etype = if v.len() == 4 { 0x0800 } else { 0x86DD };
        }
    }
}

#[inline]
fn hop(v: &[u8], to: &mut Address) {
    let address = Address::of(v);
    if to.is_void() || !address.is_void() {
        *to = address;
    }
}

/// Of several fields with the same meaning (one a family, one a protocol) those that do not apply are zero.
#[inline]
fn unless_void(v: &[u8], to: &mut u32) {
    let value = number32(v);
    if value != 0 {
        *to = value;
    }
}

#[inline]
fn unless_void64(v: &[u8], to: &mut u64) {
    let value = number(v);
    if value != 0 {
        *to = value;
    }
}

fn icmp(v: &[u8], kind: &mut u32, code: &mut u32) {
    let both = number32(v);
    if both != 0 {
        (*kind, *code) = (both >> 8 & 0xFF, both & 0xFF);
    }
}

/// An EtherType of something else stays.
fn version(v: &[u8], etype: u32) -> u32 {
    match (number(v), etype) {
        (4, 0 | 0x0800 | 0x86DD) => 0x0800,
        (6, 0 | 0x0800 | 0x86DD) => 0x86DD,
        _ => etype,
    }
}

impl Scratch {
    /// What only the whole record tells: its times, and what counts where no plain count was told.
    #[inline]
    pub(super) fn finish(&self, flow: &mut Flow, base: &Base, known_init_ms: Option<u64>) {
        let f = &mut flow.fields;
        if !self.has_bytes {
            f.bytes = if f.total_bytes != 0 { f.total_bytes } else { f.initiator_bytes };
        }
        if !self.has_packets {
            f.packets = if f.total_packets != 0 { f.total_packets } else { f.initiator_packets };
        }
        if !self.labels.is_empty() {
            self.stack(&mut flow.lists);
        }
        let version = f.export_version;
        let up = |at: Option<u32>| self.since_start(at?, version, base, self.init_ms.or(known_init_ms));
        if f.reverse_time_flow_start_ns == 0 {
            f.reverse_time_flow_start_ns = up(self.reverse_first_ms).unwrap_or(0);
        }
        if f.reverse_time_flow_end_ns == 0 {
            f.reverse_time_flow_end_ns = up(self.reverse_last_ms).unwrap_or(0);
        }
        let (mut start, mut end) = (self.start_ns.or_else(|| up(self.first_ms)), self.end_ns.or_else(|| up(self.last_ms)));
        if let Some(duration) = self.duration_ns {
            start = start.or_else(|| end.map(|end| end.saturating_sub(duration)));
            end = end.or_else(|| start.map(|start| start.saturating_add(duration)));
        }
        let seen = self.seen_ns.unwrap_or(base.export_ns);
        f.time_flow_start_ns = start.unwrap_or_else(|| end.unwrap_or(seen).min(seen));
        f.time_flow_end_ns = end.unwrap_or_else(|| seen.max(f.time_flow_start_ns));
    }

    /// The label stack: of each entry 20 bits of label, three of class, one for the bottom. A template has room for more than most packets
    /// carry: the last ones, of which no bit is set, are no entries. Those before others are: label 0 is explicit null (RFC 3032).
    fn stack(&self, lists: &mut Lists) {
        let depth = self.labels.iter().rposition(|entry| *entry != 0).map_or(0, |last| last + 1);
        lists
            .mpls_label
            .extend(self.labels.iter().take(depth.min(lists.mpls_label.remaining_capacity())).map(|entry| entry >> 4 & 0xF_FFFF));
    }

    /// IPFIX has no uptime in its header: it counts from element 160. Uptimes come round every 49.7 days: of the times that one may
    /// mean, from the start on, the nearest to the export.
    fn since_start(&self, at_ms: u32, version: u32, base: &Base, init_ms: Option<u64>) -> Option<u64> {
        if version != 10 {
            return Some(base.uptime(at_ms));
        }
        let first = init_ms?.saturating_add(u64::from(at_ms));
        let since = (base.export_ns / 1_000_000).saturating_sub(first);
        let rounds = since.saturating_add(1 << 31) >> 32;
        Some(millis(first.saturating_add(rounds << 32)))
    }
}
