//! What can be asked.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use tailwater::config::Mode;
use tailwater::generate::{self, Shape};
use tailwater::runtime::plan;

use super::flow_arguments::FlowArguments;

/// Shards or workers of a replay.
const WORKERS_MAX: i64 = 64;

/// Traffic analytics behind a DDoS scrubber: counts every mirrored packet for its customer's range, and reports.
#[derive(Parser)]
#[command(name = "tailwater", version, arg_required_else_help = true)]
pub(super) struct Arguments {
    /// Which log lines: error, warn, info, debug, trace, or a filter such as `info,dpdk=warn`
    #[arg(long, global = true, value_name = "FILTER")]
    pub(super) log: Option<String>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Runs the appliance until SIGTERM: receives, counts, reports
    #[command(after_help = "Example:\n  tailwater run --config /etc/tailwater/tailwater.toml")]
    Run {
        /// Configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Lets lcores share CPUs where the machine has fewer than [cores] names: for trying out, it is slow
        #[arg(long)]
        share_cpus: bool,
    },
    /// Says what is wrong with the machine for this configuration, and the command that mends it
    #[command(after_help = "Example:\n  tailwater check --config tailwater.toml && tailwater run --config tailwater.toml")]
    Check {
        /// Configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Measures this machine, and says what load the configuration carries, what ends it, and what each stat costs
    #[command(
        after_help = "Example:\n  tailwater plan --config tailwater.toml\n  tailwater plan --config tailwater.toml --seconds 20 --json >plan.json"
    )]
    Plan {
        /// Configuration; where it has no [cores], the core map that `run` would take
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// How long to measure, about: of all seven shapes 90 reach the end of a window of 10 s each, on a machine that is idle
        #[arg(long, value_name = "N", default_value_t = plan::SECONDS, value_parser = clap::value_parser!(u64).range(5..=3_600))]
        seconds: u64,
        /// Different frames of each shape of traffic, instead of a million from a minute on and fewer in less
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
        frames: Option<u64>,
        /// Measures this shape of traffic only; may be given several times. Without it: all, `mix` where [[tags]] have a blocked VLAN with a fixed rate, `v6` where there are IPv6 ranges
        #[arg(long, value_enum, value_name = "NAME")]
        shape: Vec<Shape>,
        /// Prints the account as JSON
        #[arg(long)]
        json: bool,
    },
    /// Replays captures through the data path on their own clock and prints reports as JSON lines
    #[command(
        after_help = "Example:\n  tailwater replay --config tailwater.toml --pcap monday.pcap tuesday.pcapng --mode pipeline --workers 4\n  tailwater replay --config tailwater.toml --pcap exports.pcap --flows"
    )]
    Replay {
        /// Configuration; its ports, sinks and cores are not used
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// pcap and pcapng files; merged by time, file n is port n
        #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
        pcap: Vec<PathBuf>,
        /// How work is spread over cores; the figures are the same
        #[arg(long, value_enum, default_value_t = ModeName::RunToCompletion)]
        mode: ModeName,
        /// Shards (run-to-completion) or workers (pipeline)
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=WORKERS_MAX))]
        workers: u16,
        /// Decodes export datagrams (NetFlow, IPFIX, sFlow on any UDP port) and counts their records for stats with source = "flows",
        /// instead of counting the datagrams as packets
        #[arg(long)]
        flows: bool,
        /// Writes the datagrams of [[exports]] into this capture (raw IP)
        #[arg(long, value_name = "FILE")]
        exports_pcap: Option<PathBuf>,
        /// Writes the lines of [packet_logs] into this file
        #[arg(long, value_name = "FILE")]
        packet_logs: Option<PathBuf>,
    },
    /// Makes mirrored traffic with attacks in it, and its exact truth
    #[command(after_help = "Example:\n  tailwater generate --scenario demo --pcap demo.pcap --truth demo.json --config demo.toml")]
    Generate(generate::Options),
    /// Decodes NetFlow 1, 5, 7, 9, IPFIX and sFlow 5, of captures or from UDP, and prints one flow message a line
    #[command(
        after_help = "Example:\n  tailwater flows --pcap export.pcap | head\n  tailwater flows --listen udp/2055 --listen udp/6343 --templates /var/lib/tailwater/templates\n  tailwater flows --pcap export.pcap --config tailwater.toml --stream dns\n  tailwater flows --listen udp/2055 --top src_addr,dst_port --where '{ protocol = \"udp\" }' --every 5s"
    )]
    Flows(FlowArguments),
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum ModeName {
    RunToCompletion,
    Pipeline,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::RunToCompletion => Self::RunToCompletion,
            ModeName::Pipeline => Self::Pipeline,
        }
    }
}
