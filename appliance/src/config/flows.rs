//! `[flows]`: export datagrams in, flow messages out.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::appliance::beside;
use super::interfaces::{self, Interfaces};
use super::journal::Journal;
use super::kafka;
use super::near;
use super::streams::{FORMATS, FRAMINGS, FlowFormat, Framing};
use super::walk::{Field, Section};
use crate::axes::flow_field::{FLOW_FIELDS, named};
use crate::limits::FLOW_RATE_MAX;

/// `[flows]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flows {
    /// Where datagrams are received.
    pub listen: Vec<SocketAddr>,
    /// Where exporters send to whose datagrams are in the mirror: they are taken out of it.
    pub from_ports: Vec<SocketAddr>,
    /// Where templates and sampling rates are kept; by default in the journal's folder, where there is one.
    pub templates: Option<PathBuf>,
    /// Exporters are told apart by their source port too; default false.
    pub per_port: bool,
    /// Rates that hold whatever exporters say.
    pub sampling: Vec<FlowRate>,
    /// Default `tailwater.v1.flows`.
    pub topic: String,
    /// How each message is written.
    pub format: (FlowFormat, Framing),
    /// Fields whose text is the key; default `sampler_address`.
    pub key: Vec<&'static str>,
    /// Of the lane of flows on the journal's disk; default 1024.
    pub journal_mb: u64,
}

/// One rate that the operator set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRate {
    /// Source address of datagrams.
    pub exporter: IpAddr,
    /// Of flows that come in by this interface; else of all.
    pub interface: Option<u32>,
    /// One in so many.
    pub rate: u64,
}

const TOPIC: &str = "tailwater.v1.flows";
const KEY: &str = "sampler_address";
const JOURNAL_MB: u64 = 1_024;
/// A segment is the 64th part of it.
const JOURNAL_MB_MIN: u64 = 16;
const JOURNAL_MB_MAX: u64 = 1 << 24;
/// A socket is polled for each.
const LISTEN_MAX: usize = 16;
/// File of the journal's folder.
const TEMPLATES: &str = "flow-templates";

/// `[flows]`: what is received and sent on, which wants `listen`; and how records count, wherever they come from.
pub(super) fn read(root: &Section<'_, '_>, journal: Option<&Journal>, knows_names: bool) -> (Option<Flows>, Interfaces) {
    let Some(section) = root.section("flows", "[flows]") else { return (None, Interfaces::default()) };
    let flows = stream(&section, journal);
    let interfaces = interfaces::read(&section, knows_names);
    section.close();
    (flows, interfaces)
}

fn stream(section: &Section<'_, '_>, journal: Option<&Journal>) -> Option<Flows> {
    let listen = section.take("listen");
    let from_ports = section.take("from_ports");
    let is_written = ["format", "framing", "key"].iter().any(|key| section.has(key));
    let templates = section.take("templates").map(|field| field.text("\"templates\"").map(|path| beside(field.file(), path)));
    let per_port = section.flag("per_port");
    let sampling = section.list("sampling", "[\"192.0.2.1=1000\", \"192.0.2.1/12=2048\"]");
    let rates = rates(sampling.iter().flatten());
    let to = section.take("topic");
    let (has_topic, topic) = (to.is_some(), to.map_or_else(|| Some(TOPIC.to_owned()), |field| kafka::topic(&field, TOPIC, false)));
    let format = format(section);
    let key = section.take("key").map_or_else(|| Some(vec![KEY]), key);
    let journal_mb = section.integer("journal_mb", JOURNAL_MB_MIN..=JOURNAL_MB_MAX);
    if journal_mb.is_some() && journal.is_none() {
        section.fault("journal_mb", "bounds a journal on disk, and there is none", "write [journal] path, or remove it");
    }
    let is_meant = is_written || has_topic || templates.is_some() || per_port.is_some() || sampling.is_some() || journal_mb.is_some();
    let listen = match listen {
        None if from_ports.is_some() => Some(Vec::new()),
        None if is_meant => section.require("listen", "listen = [\"udp/2055\"]").and_then(|field| self::listen(&field)),
        listen => listen.and_then(|field| self::listen(&field)),
    };
    let from_ports = from_ports.map_or_else(|| Some(Vec::new()), |field| self::from_ports(&field));
    let templates = templates.unwrap_or_else(|| journal.map(|journal| journal.path.join(TEMPLATES)));
    let (per_port, journal_mb) = (per_port.unwrap_or(false), journal_mb.unwrap_or(JOURNAL_MB));
    Some(Flows {
        listen: listen?,
        from_ports: from_ports?,
        templates,
        per_port,
        sampling: rates,
        topic: topic?,
        format: format?,
        key: key?,
        journal_mb,
    })
}

fn listen(field: &Field<'_, '_>) -> Option<Vec<SocketAddr>> {
    let list = field.list("[\"udp/2055\"]")?;
    if list.is_empty() || list.len() > LISTEN_MAX {
        field.fault(format!("has {} addresses", list.len()), format!("write 1 to {LISTEN_MAX}, such as listen = [\"udp/2055\"]"));
        return None;
    }
    let (mut seen, mut sockets) = (BTreeSet::new(), Vec::new());
    for one in &list {
        let Some(text) = one.text("\"udp/2055\"") else { continue };
        match listen_address(text) {
            Err(what) => one.fault(what, "write \"udp/2055\", \"udp/192.0.2.1:2055\" or \"udp/[2001:db8::1]:2055\""),
            Ok(at) if at.port() == 0 => one.fault("is port 0", "name the port that exporters send to, such as \"udp/2055\""),
            Ok(at) if !seen.insert(at) => one.fault("is listed twice", "list each address once"),
            Ok(at) => sockets.push(at),
        }
    }
    (sockets.len() == list.len()).then_some(sockets)
}

/// Addresses with their ports: what else goes by the mirror on such a port is nobody's export.
fn from_ports(field: &Field<'_, '_>) -> Option<Vec<SocketAddr>> {
    const EXAMPLE: &str = "[\"udp/192.0.2.1:2055\"]";
    let list = field.list(EXAMPLE)?;
    if list.is_empty() || list.len() > LISTEN_MAX {
        field.fault(format!("has {} addresses", list.len()), format!("write 1 to {LISTEN_MAX}, such as from_ports = {EXAMPLE}"));
        return None;
    }
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for one in &list {
        let Some(text) = one.text("\"udp/192.0.2.1:2055\"") else { continue };
        match listen_address(text) {
            Ok(at) if at.ip().is_unspecified() || at.port() == 0 => {
                one.fault(
                    "names no address and port",
                    "write the collector's address: anyone may send packets through the mirror to a port",
                );
            }
            Ok(at) if !seen.insert(at) => one.fault("is listed twice", "list each address once"),
            Ok(at) => found.push(at),
            Err(what) => one.fault(what, "write \"udp/192.0.2.1:2055\" or \"udp/[2001:db8::1]:2055\""),
        }
    }
    (found.len() == list.len()).then_some(found)
}

/// `udp/2055` is that port of every address, IPv4 and IPv6; else an address and port.
///
/// # Errors
/// It is neither.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix("udp/").unwrap_or(text);
    if let Ok(port) = bare.parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::from([0_u8; 16]), port));
    }
    bare.parse().map_err(|_| format!("{text:?} is neither udp/PORT nor udp/ADDRESS:PORT"))
}

/// `EXPORTER=RATE`, or `EXPORTER/INTERFACE=RATE`.
///
/// # Errors
/// It is neither.
pub fn sampling_rate(text: &str) -> Result<FlowRate, String> {
    let refuse = || format!("{text:?} is not EXPORTER=RATE or EXPORTER/INTERFACE=RATE, such as 192.0.2.1=1000, 192.0.2.1/12=2048");
    let (who, rate) = text.split_once('=').ok_or_else(refuse)?;
    let (exporter, interface) = match who.split_once('/') {
        Some((exporter, interface)) => (exporter, Some(interface.parse().map_err(|_| refuse())?)),
        None => (who, None),
    };
    let exporter = exporter.parse().map_err(|_| refuse())?;
    let rate = rate.parse().ok().filter(|rate| *rate > 0).ok_or_else(refuse)?;
    if rate > FLOW_RATE_MAX {
        return Err(format!("{text:?} is a rate above {FLOW_RATE_MAX}, which is believed of nobody"));
    }
    Ok(FlowRate { exporter, interface, rate })
}

/// One of each exporter, and of each interface of it.
fn rates<'f, 'b: 'f, 'a: 'b>(fields: impl Iterator<Item = &'f Field<'b, 'a>>) -> Vec<FlowRate> {
    let mut seen = BTreeSet::new();
    let rate = |field: &Field<'_, '_>| {
        let rate = sampling_rate(field.text("\"192.0.2.1=1000\"")?);
        let rate = rate.map_err(|what| field.fault(what, format!("write \"192.0.2.1=1000\", a rate of 1 to {FLOW_RATE_MAX}"))).ok()?;
        if !seen.insert((rate.exporter.to_canonical(), rate.interface)) {
            field.fault("has a rate already", "write one rate of each exporter, and of each interface of it");
        }
        Some(rate)
    };
    fields.filter_map(rate).collect()
}

/// `format` and `framing`: the latter is protobuf's alone.
fn format(section: &Section<'_, '_>) -> Option<(FlowFormat, Framing)> {
    let format = section.choice("format", &FORMATS).unwrap_or(FlowFormat::Protobuf);
    let framing = section.take("framing");
    if let Some(field) = framing.as_ref().filter(|_| format == FlowFormat::Json) {
        field.fault("is of protobuf, and format is \"json\"", "remove it, or write format = \"protobuf\"");
        return None;
    }
    Some((format, framing.map_or(Some(Framing::Length), |field| field.choice(&FRAMINGS))?))
}

/// One field's name, or several.
fn key(field: Field<'_, '_>) -> Option<Vec<&'static str>> {
    let list = field.one_or_many()?;
    let known = |one: &Field<'_, '_>| {
        let text = one.text("\"sampler_address\"")?;
        let found = named(text).map(|field| field.name);
        if found.is_none() {
            let meant = near(text, FLOW_FIELDS.iter().map(|field| field.name))
                .map_or_else(String::new, |meant| format!("did you mean \"{meant}\"? "));
            one.fault(format!("there is no field \"{text}\""), format!("{meant}docs/flows.md and flow.proto name the fields"));
        }
        found
    };
    let fields: Vec<_> = list.iter().filter_map(known).collect();
    (fields.len() == list.len()).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_rates_are_read() {
        assert_eq!(listen_address("udp/2055"), Ok("[::]:2055".parse().unwrap()));
        assert_eq!(listen_address("udp/[2001:db8::1]:6343"), Ok("[2001:db8::1]:6343".parse().unwrap()));
        assert!(listen_address("tcp/2055").is_err() && listen_address("udp/70000").is_err());
        let rate = FlowRate { exporter: [192, 0, 2, 1].into(), interface: Some(12), rate: 2_048 };
        assert_eq!(sampling_rate("192.0.2.1/12=2048"), Ok(rate));
        assert!(["192.0.2.1", "192.0.2.1=0", "x=1", "192.0.2.1/x=1"].iter().all(|text| sampling_rate(text).is_err()));
    }
}
