//! What can be asked of `flows`.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tailwater::axes::flow_field::{FLOW_FIELDS, FlowField, named};
use tailwater::config::{listen_address, near, sampling_rate};
use tailwater::flows::{OperatorRate, Settings};
use tailwater::runtime::flows::{Format, Options};
use tailwater::runtime::flows_top::TopOptions;

#[derive(Args)]
pub(super) struct FlowArguments {
    /// pcap and pcapng files, merged by time; export datagrams in them are known by their version, on any UDP port
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "listen")]
    pcap: Vec<PathBuf>,
    /// Receives datagrams until SIGTERM: `udp/2055`, or an address and port; may be given several times
    #[arg(long, value_name = "udp/PORT", value_parser = socket, conflicts_with = "pcap")]
    listen: Vec<SocketAddr>,
    /// How flows are written: json, unless --stream names one that says otherwise
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Configuration whose [enrich] and [[streams]] are applied
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Writes what this one of [[streams]] has, alone
    #[arg(long, value_name = "NAME", requires = "config", conflicts_with = "top")]
    stream: Option<String>,
    /// Takes only flows that this holds of, spelled as in the configuration: '{ protocol = "udp", src_port = [53] }'
    #[arg(long = "where", value_name = "TABLE")]
    only: Option<String>,
    /// Shows the top talkers, told apart by these fields of the message
    #[arg(long, value_name = "FIELD[,FIELD…]", value_delimiter = ',', value_parser = field)]
    top: Vec<&'static FlowField>,
    /// Refreshes the top talkers so often: 500ms, 1s, 5m
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time, requires = "top")]
    every: u64,
    /// Ends after so many refreshes
    #[arg(long, value_name = "N", requires = "top", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Talkers that are shown
    #[arg(long, value_name = "N", default_value_t = 20, requires = "top", value_parser = clap::value_parser!(u16).range(1..))]
    rows: u16,
    /// Keeps templates and sampling rates here, and takes up what is there at start
    #[arg(long, value_name = "FILE")]
    templates: Option<PathBuf>,
    /// Tells exporters apart by their source port too, where several share an address
    #[arg(long)]
    per_port: bool,
    /// Sampling rate that holds whatever the exporter says, of all its flows or of those that come in by one interface
    #[arg(long, value_name = "EXPORTER[/INTERFACE]=RATE", value_parser = rate)]
    sampling: Vec<OperatorRate>,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    /// A line of JSON each
    Json,
    /// Protobuf with its length before each, as GoFlow2 writes it
    Protobuf,
    /// Protobuf without lengths: one message after the other
    ProtobufBare,
}

impl From<FlowArguments> for Options {
    fn from(a: FlowArguments) -> Self {
        let format = a.format.map(|format| match format {
            FormatName::Json => Format::Json,
            FormatName::Protobuf => Format::Protobuf,
            FormatName::ProtobufBare => Format::ProtobufBare,
        });
        let (every_ns, count, rows) = (a.every, a.count, usize::from(a.rows));
        let clears = std::io::stdout().is_terminal();
        let top = (!a.top.is_empty()).then_some(TopOptions { fields: a.top, every_ns, count, rows, clears });
        let settings = Settings { per_port: a.per_port, rates: a.sampling };
        let (config, stream, only) = (a.config, a.stream, a.only);
        Self { captures: a.pcap, listen: a.listen, format, config, stream, only, top, templates: a.templates, settings }
    }
}

/// `udp/2055` is that port of every address, IPv4 and IPv6.
fn socket(text: &str) -> Result<SocketAddr, String> {
    listen_address(text).map_err(|what| format!("{what}; write for instance udp/2055, 192.0.2.1:2055, [2001:db8::1]:2055"))
}

fn rate(text: &str) -> Result<OperatorRate, String> {
    sampling_rate(text).map(OperatorRate::from)
}

fn field(text: &str) -> Result<&'static FlowField, String> {
    named(text).ok_or_else(|| match near(text, FLOW_FIELDS.iter().map(|field| field.name)) {
        Some(near) => format!("there is no field {text:?}; did you mean {near}?"),
        None => format!("there is no field {text:?}; proto/flowpb/flow.proto lists them"),
    })
}

/// Nanoseconds.
fn time(text: &str) -> Result<u64, String> {
    let units = [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = units.iter().find(|(name, _)| *name == if unit.is_empty() { "s" } else { unit });
    let ns = number.parse::<u64>().ok().zip(unit).and_then(|(number, (_, ns))| number.checked_mul(*ns));
    ns.filter(|ns| *ns > 0).ok_or_else(|| format!("{text:?} is no time, such as 500ms, 1s, 5m"))
}
