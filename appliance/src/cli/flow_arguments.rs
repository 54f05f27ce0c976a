//! What can be asked of `flows`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tailwater::config::{listen_address, sampling_rate};
use tailwater::flows::{OperatorRate, Settings};
use tailwater::runtime::flows::{Format, Options};

#[derive(Args)]
pub(super) struct FlowArguments {
    /// pcap and pcapng files, merged by time; export datagrams in them are known by their version, on any UDP port
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "listen")]
    pcap: Vec<PathBuf>,
    /// Receives datagrams until SIGTERM: `udp/2055`, or an address and port; may be given several times
    #[arg(long, value_name = "udp/PORT", value_parser = socket, conflicts_with = "pcap")]
    listen: Vec<SocketAddr>,
    /// How flows are written
    #[arg(long, value_enum, default_value_t = FormatName::Json)]
    format: FormatName,
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
        let format = match a.format {
            FormatName::Json => Format::Json,
            FormatName::Protobuf => Format::Protobuf,
            FormatName::ProtobufBare => Format::ProtobufBare,
        };
        let settings = Settings { per_port: a.per_port, rates: a.sampling };
        Self { captures: a.pcap, listen: a.listen, format, templates: a.templates, settings }
    }
}

/// `udp/2055` is that port of every address, IPv4 and IPv6.
fn socket(text: &str) -> Result<SocketAddr, String> {
    listen_address(text).map_err(|what| format!("{what}; write for instance udp/2055, 192.0.2.1:2055, [2001:db8::1]:2055"))
}

fn rate(text: &str) -> Result<OperatorRate, String> {
    sampling_rate(text).map(OperatorRate::from)
}
