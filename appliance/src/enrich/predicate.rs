//! Whether a flow is what a `where` asks for.

use crate::axes::key::Key;
use crate::axes::service;
use crate::config::{Among, FlowOf, FlowPredicate, FlowTest, Span};
use crate::flows::{Added, Address, Fields, Flow, FlowType, Value, holds_any};
use crate::record::Fragment;

const TCP: u32 = 6;
const UDP: u32 = 17;
/// Protocols that have ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u32; 5] = [TCP, UDP, 33, 132, 136];
const ICMP: [u32; 2] = [1, 58];
/// Layers of a sampled frame: IPv4 and IPv6, ICMP and ICMPv6.
const IP_LAYERS: [u8; 2] = [1, 2];
const ICMP_LAYERS: [u8; 2] = [7, 8];
/// More fragments.
const MORE: u32 = 1;
/// The longest key, that of an IPv6 flow.
const KEY_BYTES_MAX: usize = 37;

/// Whether all of it holds.
pub fn admits(predicate: &FlowPredicate, flow: &Flow, added: &Added) -> bool {
    predicate.tests.iter().all(|test| holds(test, flow, added))
}

fn holds(test: &FlowTest, flow: &Flow, added: &Added) -> bool {
    let f = &flow.fields;
    let among = |value: &Value<'_>| is_among(&test.among, value);
    match test.of {
        FlowOf::Key(key) => key_holds(key, &test.among, (flow, added)),
        FlowOf::Field(field) => holds_any(flow, added, field.number, &mut |value| among(value)),
        FlowOf::Exporter => [&f.sampler_address, &f.exporter_address].into_iter().any(|who| among(&Value::Address(who))),
        FlowOf::Customer => [&added.src_customer, &added.dst_customer, &added.customer].into_iter().any(|name| among(&Value::Text(name))),
        FlowOf::Asn => [f.src_as, f.dst_as].into_iter().any(|number| among(&Value::Number(u64::from(number)))),
        FlowOf::Country => [&added.src_country, &added.dst_country].into_iter().any(|name| among(&Value::Text(name))),
        FlowOf::Link => link_is_among(&test.among, f),
    }
}

/// By which link it came in, or left: as stats have it, of one that counts towards its destination, and of one that counts from its
/// source.
fn link_is_among(among: &Among, f: &Fields) -> bool {
    let (Among::Interfaces(links), Some(exporter)) = (among, f.sampler_address.ip()) else { return false };
    let exporter = exporter.to_canonical();
    links.iter().any(|(own, interface)| *own == exporter && [f.in_if, f.out_if].contains(interface))
}

fn is_among(among: &Among, value: &Value<'_>) -> bool {
    match (among, value) {
        (Among::Numbers(spans), Value::Number(number) | Value::Mac(number)) => {
            spans.iter().any(|(low, high)| (low..=high).contains(&number))
        }
        (Among::Texts(texts), Value::Text(text)) => texts.iter().any(|own| own == text),
        (Among::Texts(texts), Value::Word(word)) => texts.iter().any(|own| own == word),
        (Among::Networks(networks), Value::Address(address)) => {
            address.ip().is_some_and(|ip| networks.iter().any(|network| network.contains(&ip)))
        }
        _ => false,
    }
}

/// As records of packets are asked: by the bytes of the key. Who has no such key is not admitted. Values of both families stand apart;
/// where the key is no address, they are the same.
fn key_holds(key: Key, among: &Among, flow: (&Flow, &Added)) -> bool {
    let Among::Spans(v4, v6) = among else { return false };
    let mut bytes = Bytes { bytes: [0; KEY_BYTES_MAX], length: 0 };
    if extract(key, flow, &mut bytes).is_none() {
        return false;
    }
    let own = bytes.bytes.get(..bytes.length).unwrap_or(&[]);
    let within = |(low, high): &Span| low.len() == own.len() && &low[..] <= own && own <= &high[..];
    v4.iter().chain(v6).any(within)
}

/// Bytes of a key.
struct Bytes {
    bytes: [u8; KEY_BYTES_MAX],
    length: usize,
}

impl Bytes {
    fn put(&mut self, more: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.length..)?.get_mut(..more.len())?.copy_from_slice(more);
        self.length += more.len();
        Some(())
    }

    /// The lowest bytes of a number.
    fn number(&mut self, number: u32, count: usize) -> Option<()> {
        self.put(number.to_be_bytes().get(4 - count..)?)
    }
}

/// The bytes that the same key would be of a row that stats count; but each address alone will do. None: the flow has no such key.
fn extract(key: Key, (flow, added): (&Flow, &Added), out: &mut Bytes) -> Option<()> {
    let f = &flow.fields;
    let told = |number: u32| (number != 0).then_some(number);
    match key {
        Key::SrcIp | Key::SrcPrefix => address(&f.src_addr, out),
        Key::DstIp | Key::DstPrefix => address(&f.dst_addr, out),
        Key::SrcPort => out.number(port(f, f.src_port)?, 2),
        Key::DstPort => out.number(port(f, f.dst_port)?, 2),
        Key::Protocol if f.proto != 0 || has_layer(flow, IP_LAYERS) => out.number(f.proto, 1),
        Key::PacketSize => out.number(packet_bytes(f, added)?, 4),
        Key::Fragment => out.put(&[fragment(flow)? as u8]),
        Key::TcpFlags if f.proto == TCP && f.tcp_flags != 0 => out.number(f.tcp_flags & 0xFF, 1),
        Key::Vlan => out.number(told(f.vlan_id).or_else(|| told(f.src_vlan))? & 0xFFF, 2),
        Key::MplsLabel => out.number(*flow.lists.mpls_label.first()?, 4),
        Key::Ttl => out.number(told(f.ip_ttl)?, 1),
        Key::Dscp if !f.src_addr.bytes().is_empty() => out.number((f.ip_tos & 0xFF) >> 2, 1),
        Key::Icmp if ICMP.contains(&f.proto) && tells_icmp(flow) => out.put(&[byte(f.icmp_type)?, byte(f.icmp_code)?]),
        Key::SrcMac if f.src_mac != 0 => out.put(f.src_mac.to_be_bytes().get(2..)?),
        Key::Service if f.proto == UDP => out.put(&[service::of_port(u16::try_from(port(f, f.src_port)?).ok()?)?]),
        Key::Flow => {
            address(&f.src_addr, out)?;
            out.number(port(f, f.src_port)?, 2)?;
            address(&f.dst_addr, out)?;
            out.number(port(f, f.dst_port)?, 2)?;
            out.number(f.proto, 1)
        }
        _ => None,
    }
}

fn address(address: &Address, out: &mut Bytes) -> Option<()> {
    let bytes = address.bytes();
    if bytes.is_empty() { None } else { out.put(bytes) }
}

/// One of its ports; where both are 0 none was told.
fn port(f: &Fields, port: u32) -> Option<u32> {
    (WITH_PORTS.contains(&f.proto) && f.src_port | f.dst_port != 0).then_some(port)
}

/// The length of what is one packet, counted or shown; as told, not times a rate.
fn packet_bytes(f: &Fields, added: &Added) -> Option<u32> {
    let times = if added.normalized { f.sampling_rate.max(1) } else { 1 };
    // What is shown and not counted was not multiplied.
    let bytes = if f.packets | f.bytes == 0 { Some(f.frame_bytes) } else { (f.packets == times).then(|| f.bytes / times) };
    bytes.filter(|bytes| *bytes > 0).map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX))
}

/// Whether it is a piece of a packet, where that is told or a header shows it.
fn fragment(flow: &Flow) -> Option<Fragment> {
    match (flow.fields.fragment_offset, flow.fields.ip_flags & MORE) {
        (0, 0) => has_layer(flow, IP_LAYERS).then_some(Fragment::None),
        (0, _) => Some(Fragment::First),
        _ => Some(Fragment::Later),
    }
}

/// Whether 0/0 is told, not the absence of both.
fn tells_icmp(flow: &Flow) -> bool {
    let f = &flow.fields;
    f.icmp_type | f.icmp_code != 0 || f.kind == FlowType::NetflowV5 || has_layer(flow, ICMP_LAYERS)
}

fn has_layer(flow: &Flow, wanted: [u8; 2]) -> bool {
    flow.lists.layers.iter().any(|(layer, _)| wanted.contains(layer))
}

fn byte(number: u32) -> Option<u8> {
    u8::try_from(number).ok()
}

#[cfg(test)]
#[path = "predicate_tests.rs"]
mod tests;
