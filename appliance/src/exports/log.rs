//! A sampled frame as a line of JSON: docs/packet_logs.md has the fields.
//!
//! Their names are those that network-analytics logs have elsewhere, where they mean the same. What a frame has not is absent.

use serde::Serialize;

use super::header::{self, Ip, Transport};
use super::names::Names;
use super::rate;
use super::sample::{Inner, Outcome, Sample};
use crate::axes::key::{Key, Lengths};
use crate::enrich::keyword;
use crate::record::{Fragment, Has, Record, Tunnel};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    timestamp: String,
    appliance: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pop: &'a str,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    feed: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_name: Option<&'a str>,
    #[serde(rename = "RuleID", skip_serializing_if = "Option::is_none")]
    rule_id: Option<u32>,
    sample_interval: u32,
    feed_sample_interval: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_domain: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_range: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_customer: Option<&'a str>,
    frame_length: u32,
    #[serde(rename = "VLAN", skip_serializing_if = "Option::is_none")]
    vlan: Option<u16>,
    #[serde(rename = "InnerVLAN", skip_serializing_if = "Option::is_none")]
    inner_vlan: Option<u16>,
    #[serde(rename = "MPLSLabel", skip_serializing_if = "Option::is_none")]
    mpls_label: Option<u32>,
    #[serde(rename = "SourceMAC", skip_serializing_if = "Option::is_none")]
    source_mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    packet: Option<Packet>,
}

/// What only packets have.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Packet {
    #[serde(rename = "IPSourceAddress")]
    source: String,
    #[serde(rename = "IPDestinationAddress")]
    destination: String,
    #[serde(rename = "IPVersion")]
    version: u8,
    #[serde(rename = "IPProtocol")]
    protocol: u8,
    #[serde(rename = "IPProtocolName", skip_serializing_if = "str::is_empty")]
    protocol_name: &'static str,
    #[serde(rename = "IPTTL")]
    ttl: u8,
    #[serde(rename = "IPDSCP")]
    dscp: u8,
    #[serde(rename = "IPTotalLength")]
    total_bytes: u32,
    #[serde(rename = "IPFragment")]
    fragment: &'static str,
    tunnel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_port: Option<u16>,
    #[serde(rename = "TCPFlags", skip_serializing_if = "Option::is_none")]
    tcp_flags: Option<u8>,
    #[serde(rename = "TCPFlagsString", skip_serializing_if = "Option::is_none")]
    tcp_flags_text: Option<String>,
    #[serde(rename = "ICMPType", skip_serializing_if = "Option::is_none")]
    icmp_type: Option<u8>,
    #[serde(rename = "ICMPCode", skip_serializing_if = "Option::is_none")]
    icmp_code: Option<u8>,
    payload_length: u32,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    ip: Option<Ip>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    transport: Option<Transport>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    inner: Option<InnerPacket>,
}

/// What only packets have that carry others.
#[derive(Serialize)]
struct InnerPacket {
    #[serde(rename = "InnerTunnel")]
    tunnel: String,
    #[serde(rename = "InnerIPSourceAddress")]
    source: String,
    #[serde(rename = "InnerIPDestinationAddress")]
    destination: String,
    #[serde(rename = "InnerIPVersion")]
    version: u8,
    #[serde(rename = "InnerIPProtocol")]
    protocol: u8,
    #[serde(rename = "InnerSourcePort", skip_serializing_if = "Option::is_none")]
    source_port: Option<u16>,
    #[serde(rename = "InnerDestinationPort", skip_serializing_if = "Option::is_none")]
    destination_port: Option<u16>,
    #[serde(rename = "InnerTCPFlags", skip_serializing_if = "Option::is_none")]
    tcp_flags: Option<u8>,
}

/// Appends a sample that one in so many frames is; without a line end. `names` are those of its generation, where they are still known.
pub fn write(sample: &Sample, names: Option<&Names>, sampling: u32, out: &mut Vec<u8>) {
    let Sample { record, ranges: [to, from], .. } = sample;
    let has = |what| record.has.all(what);
    let range = |at: &Option<u32>| names?.ranges.get(usize::try_from((*at)?).ok()?);
    let (to_range, from_range) = (range(to), range(from));
    let line = Line {
        timestamp: time(record.time_ns),
        appliance: names.map_or("", |names| &names.appliance),
        pop: names.map_or("", |names| &names.pop),
        port: record.rx_port,
        feed: names.and_then(|names| names.feeds.get(usize::from(record.rx_port))).map(String::as_str),
        link: names.and_then(|names| names.links.get(usize::from(record.link).checked_sub(1)?)).map(String::as_str),
        verdict: if has(Has::BLOCKED) { "drop" } else { "pass" },
        rule_name: names.and_then(|names| names.tags.get(usize::from(sample.tag?))).map(String::as_str),
        rule_id: has(Has::RULE).then_some(record.rule),
        sample_interval: rate(sampling, record.weight),
        feed_sample_interval: record.weight.max(1),
        direction: match (to, from) {
            (Some(_), Some(_)) => Some("both"),
            (Some(_), None) => Some("ingress"),
            (None, Some(_)) => Some("egress"),
            (None, None) => None,
        },
        range: to_range.map(|(prefix, _, _)| prefix.as_str()),
        range_domain: to_range.map(|(_, domain, _)| domain.as_str()).filter(|domain| !domain.is_empty()),
        customer: to_range.map(|(_, _, customer)| customer.as_str()),
        source_range: from_range.map(|(prefix, _, _)| prefix.as_str()),
        source_customer: from_range.map(|(_, _, customer)| customer.as_str()),
        frame_length: record.wire_bytes,
        vlan: has(Has::VLAN).then_some(record.vlan),
        inner_vlan: has(Has::INNER_VLAN).then_some(record.inner_vlan),
        mpls_label: has(Has::MPLS).then_some(record.mpls_label),
        source_mac: has(Has::MAC).then(|| text(Key::SrcMac, &record.src_mac)),
        refused: match sample.outcome {
            Outcome::Refused(reason) => Some(reason.name()),
            Outcome::Packet => None,
        },
        packet: sample.is_packet().then(|| packet(sample, record)),
    };
    let start = out.len();
    if serde_json::to_writer(&mut *out, &line).is_err() {
        out.truncate(start);
    }
}

fn packet(sample: &Sample, record: &Record) -> Packet {
    let has = |what| record.has.all(what);
    let address = record.family().address_bytes();
    let [icmp_type, icmp_code] = record.src_port.to_be_bytes();
    let ip_at = sample.ip_at.and_then(|at| sample.bytes().get(usize::from(at)..));
    let (ip, transport) = ip_at.and_then(|packet| header::read(packet, record.protocol)).unzip();
    Packet {
        source: text(Key::SrcIp, record.src.get(..address).unwrap_or_default()),
        destination: text(Key::DstIp, record.dst.get(..address).unwrap_or_default()),
        version: if has(Has::V6) { 6 } else { 4 },
        protocol: record.protocol,
        protocol_name: keyword(record.protocol),
        ttl: record.ttl,
        dscp: record.dscp,
        total_bytes: sample.ip_bytes,
        fragment: match record.fragment {
            Fragment::None => "none",
            Fragment::First => "first",
            Fragment::Later => "later",
        },
        tunnel: text(Key::Tunnel, &[record.tunnel as u8]),
        source_port: has(Has::PORTS).then_some(record.src_port),
        destination_port: has(Has::PORTS).then_some(record.dst_port),
        tcp_flags: has(Has::TCP_FLAGS).then_some(record.tcp_flags),
        tcp_flags_text: has(Has::TCP_FLAGS).then(|| text(Key::TcpFlags, &[record.tcp_flags])),
        icmp_type: has(Has::ICMP).then_some(icmp_type),
        icmp_code: has(Has::ICMP).then_some(icmp_code),
        payload_length: record.payload_bytes,
        ip: ip.filter(|_| record.tunnel == Tunnel::None),
        transport: transport.filter(|_| record.tunnel == Tunnel::None),
        inner: sample.inner.as_ref().map(inner),
    }
}

fn inner(of: &Inner) -> InnerPacket {
    let address = if of.v6 { 16 } else { 4 };
    InnerPacket {
        tunnel: text(Key::Tunnel, &[of.tunnel as u8]),
        source: text(Key::SrcIp, of.src.get(..address).unwrap_or_default()),
        destination: text(Key::DstIp, of.dst.get(..address).unwrap_or_default()),
        version: if of.v6 { 6 } else { 4 },
        protocol: of.protocol,
        source_port: of.ports.map(|(src, _)| src),
        destination_port: of.ports.map(|(_, dst)| dst),
        tcp_flags: of.tcp_flags,
    }
}

/// As keys of reports are written.
fn text(key: Key, bytes: &[u8]) -> String {
    (key.row().text)(bytes, &Lengths::default())
}

/// A time since 1970 as RFC 3339 writes it, to the nanosecond, in UTC.
pub fn time(ns: u64) -> String {
    let (fraction, seconds) = (ns % 1_000_000_000, ns / 1_000_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March: a leap day ends one.
    let (shifted, era_days) = (days + 719_468, 146_097);
    let (era, day) = (shifted / era_days, shifted % era_days);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month < 3);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
}
