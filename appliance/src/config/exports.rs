//! `[[exports]]` and `[packet_logs]`: what the appliance itself tells of the frames that it sees.

use std::net::SocketAddr;

use super::journal::Journal;
use super::predicate::{self, Predicate};
use super::walk::{At, Field, Section};
use super::{flows, kafka};
use crate::limits::{EXPORTS_MAX, SAMPLE_BYTES_MAX};

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportProtocol {
    /// RFC 7011.
    Ipfix,
    /// RFC 3954.
    Netflow9,
    /// Version 5.
    Sflow,
}

/// One of `[[exports]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// `protocol`
    pub protocol: ExportProtocol,
    /// `to`: where datagrams go.
    pub to: SocketAddr,
    /// One frame in so many, at random; default 1000.
    pub sampling: u32,
    /// The observation domain, source id, or sub-agent; default 1.
    pub observation_domain: u32,
    /// A flow is told at the latest so long after it began; default 60,000.
    pub active_timeout_ms: u64,
    /// And so long after its last packet; default 15,000.
    pub idle_timeout_ms: u64,
    /// Templates are sent again so often; default 60,000.
    pub template_refresh_ms: u64,
    /// Flows held; beyond, the one whose last packet is the oldest is told. Default 65,536.
    pub flows_max: usize,
    /// `where`: the packets that are exported; none: all.
    pub predicate: Option<Predicate>,
    /// Bytes of each frame that sFlow shows; default 128.
    pub header_bytes: usize,
    /// sFlow sends the counters of ports so often; default 20,000.
    pub counters_ms: u64,
}

/// `[packet_logs]`
#[derive(Clone, Debug, PartialEq)]
pub struct PacketLogs {
    /// One frame in so many, at random; default 1000.
    pub sampling: u32,
    /// `where`: the packets that are logged; none: all frames.
    pub predicate: Option<Predicate>,
    /// Default `tailwater.v1.packets`.
    pub topic: String,
    /// Of their lane on the journal's disk; default 1024.
    pub journal_mb: u64,
}

const PROTOCOLS: [(&str, ExportProtocol); 3] =
    [("ipfix", ExportProtocol::Ipfix), ("netflow9", ExportProtocol::Netflow9), ("sflow", ExportProtocol::Sflow)];
const TOPIC: &str = "tailwater.v1.packets";
const SAMPLING: u32 = 1_000;
/// Times the largest rate of a tag rule it must be a number of 32 bits with room to spare.
const SAMPLING_MAX: u64 = 1 << 20;
const DOMAIN: u64 = 1;
const ACTIVE_MS: u64 = 60_000;
const IDLE_MS: u64 = 15_000;
const REFRESH_MS: u64 = 60_000;
const COUNTERS_MS: u64 = 20_000;
const TIMEOUT_MS_MAX: u64 = 3_600_000;
const FLOWS_MAX: u64 = 65_536;
const HEADER_BYTES: u64 = 128;
/// An Ethernet header, two tags, IPv4 without options and the ports behind it.
const HEADER_BYTES_MIN: u64 = 64;
const JOURNAL_MB: u64 = 1_024;
const JOURNAL_MB_MIN: u64 = 16;
const JOURNAL_MB_MAX: u64 = 1 << 24;
/// Keys of what has templates and holds flows, and of what shows frames.
const OF_FLOWS: [&str; 5] = ["active_timeout_ms", "idle_timeout_ms", "template_refresh_ms", "flows_max", "where"];
const OF_FRAMES: [&str; 2] = ["header_bytes", "counters_ms"];

/// `[[exports]]`
pub(super) fn read(root: &Section<'_, '_>) -> Vec<Export> {
    let rows = root.rows("exports");
    if rows.len() > EXPORTS_MAX {
        root.fault("exports", format!("has {} rows", rows.len()), format!("write {EXPORTS_MAX} at most"));
    }
    let mut known: Vec<(At, Export)> = Vec::new();
    for row in rows {
        let at = if row.has("observation_domain") { row.at_key("observation_domain") } else { row.at_key("to") };
        let Some(export) = export(row) else { continue };
        if let Some((other, _)) = known.iter().find(|(_, other)| is_one_exporter(other, &export)) {
            let domain = export.observation_domain;
            let what = format!(
                "observation domain {domain} of the same protocol and collector is that of line {} too ({}): the collector would take both for \
                 one exporter, and count gaps where there are none",
                other.line, other.key
            );
            root.book().fault(&at, what, "write another observation_domain in one of the two lines, or remove one of the rows");
        }
        known.push((at, export));
    }
    known.into_iter().map(|(_, export)| export).collect()
}

/// Whether a collector cannot tell the two apart: templates, rates and numbers are those of a domain.
fn is_one_exporter(a: &Export, b: &Export) -> bool {
    let of = |export: &Export| (export.protocol, export.to.ip().to_canonical(), export.to.port(), export.observation_domain);
    of(a) == of(b)
}

fn export(row: Section<'_, '_>) -> Option<Export> {
    let protocol = row.require("protocol", "protocol = \"ipfix\"").and_then(|field| field.choice(&PROTOCOLS));
    let to = row.require("to", "to = \"udp/192.0.2.1:4739\"").and_then(|field| address(&field));
    let sampling = sampling(&row);
    let domain = row.integer("observation_domain", 0..=u64::from(u32::MAX)).unwrap_or(DOMAIN);
    let active_timeout_ms = row.integer("active_timeout_ms", 100..=TIMEOUT_MS_MAX).unwrap_or(ACTIVE_MS);
    let idle_timeout_ms = row.integer("idle_timeout_ms", 100..=TIMEOUT_MS_MAX).unwrap_or_else(|| IDLE_MS.min(active_timeout_ms));
    let template_refresh_ms = row.integer("template_refresh_ms", 1_000..=TIMEOUT_MS_MAX).unwrap_or(REFRESH_MS);
    let flows_max = row.integer("flows_max", 16..=1 << 22).unwrap_or(FLOWS_MAX);
    let predicate = row.section("where", "{ protocol = \"udp\" }").map(predicate::of_packets);
    let header_bytes = row.integer("header_bytes", HEADER_BYTES_MIN..=SAMPLE_BYTES_MAX as u64).unwrap_or(HEADER_BYTES);
    let counters_ms = row.integer("counters_ms", 1_000..=TIMEOUT_MS_MAX).unwrap_or(COUNTERS_MS);
    if idle_timeout_ms > active_timeout_ms {
        row.fault(
            "idle_timeout_ms",
            "is longer than active_timeout_ms",
            "a flow that rests would be told late: write less, or raise the other",
        );
    }
    let strange: &[&str] = if protocol == Some(ExportProtocol::Sflow) { &OF_FLOWS } else { &OF_FRAMES };
    for key in strange.iter().filter(|key| protocol.is_some() && row.has(key)) {
        let what = match (*key, protocol) {
            ("where", _) => "would leave out frames that sFlow's sample pool has",
            (_, Some(ExportProtocol::Sflow)) => "is of flows, and sFlow shows frames",
            _ => "is of sFlow",
        };
        row.fault(key, what, "remove it");
    }
    row.close();
    Some(Export {
        protocol: protocol?,
        to: to?,
        sampling,
        observation_domain: u32::try_from(domain).unwrap_or(u32::MAX),
        active_timeout_ms,
        idle_timeout_ms,
        template_refresh_ms,
        flows_max: usize::try_from(flows_max).unwrap_or(usize::MAX),
        predicate,
        header_bytes: usize::try_from(header_bytes).unwrap_or(SAMPLE_BYTES_MAX),
        counters_ms,
    })
}

fn sampling(row: &Section<'_, '_>) -> u32 {
    row.integer("sampling", 1..=SAMPLING_MAX).and_then(|n| u32::try_from(n).ok()).unwrap_or(SAMPLING)
}

/// A collector's address and port.
fn address(field: &Field<'_, '_>) -> Option<SocketAddr> {
    const REMEDY: &str = "write \"udp/192.0.2.1:4739\" or \"udp/[2001:db8::1]:4739\"";
    let text = field.text("\"udp/192.0.2.1:4739\"")?;
    match flows::listen_address(text) {
        Ok(to) if to.port() == 0 || to.ip().is_unspecified() => field.fault("names no collector", REMEDY),
        Ok(to) => return Some(to),
        Err(_) => field.fault(format!("{text:?} is no udp/ADDRESS:PORT"), REMEDY),
    }
    None
}

/// `[packet_logs]`
pub(super) fn read_logs(root: &Section<'_, '_>, journal: Option<&Journal>) -> Option<PacketLogs> {
    let section = root.section("packet_logs", "[packet_logs]")?;
    let sampling = sampling(&section);
    let predicate = section.section("where", "{ protocol = \"udp\" }").map(predicate::of_packets);
    let topic = section.take("topic").map_or_else(|| Some(TOPIC.to_owned()), |field| kafka::topic(&field, TOPIC, false));
    let journal_mb = section.integer("journal_mb", JOURNAL_MB_MIN..=JOURNAL_MB_MAX);
    if journal_mb.is_some() && journal.is_none() {
        section.fault("journal_mb", "bounds a journal on disk, and there is none", "write [journal] path, or remove it");
    }
    section.close();
    Some(PacketLogs { sampling, predicate, topic: topic?, journal_mb: journal_mb.unwrap_or(JOURNAL_MB) })
}
