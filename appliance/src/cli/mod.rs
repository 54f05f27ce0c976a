//! Arguments → what the library does, and exit statuses: 0 well, 1 a fault while running, 2 bad usage or configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tailwater::config::{self, Config, Mode};
use tailwater::runtime::replay::{self, Options};
use tailwater::telemetry;

/// Something went wrong while running.
const FAULT: u8 = 1;
/// Bad usage or configuration.
const USAGE: u8 = 2;
/// Shards or workers of a replay.
const WORKERS_MAX: i64 = 64;

/// Traffic analytics behind a DDoS scrubber.
#[derive(Parser)]
#[command(name = "tailwater", version, arg_required_else_help = true)]
struct Arguments {
    /// Which log lines: error, warn, info, debug, trace, or a tracing filter.
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Replays captures through the data path and prints reports as JSON lines.
    #[command(after_help = "Example:\n  tailwater replay --config tailwater.toml --pcap monday.pcap tuesday.pcapng --mode pipeline --workers 4")]
    Replay {
        /// Configuration; its ports, sinks and cores are not used.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// pcap and pcapng files; merged by time, file n is port n.
        #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
        pcap: Vec<PathBuf>,
        /// How work is spread over cores. The reports are the same.
        #[arg(long, value_enum, default_value_t = ModeName::RunToCompletion)]
        mode: ModeName,
        /// Shards (run-to-completion) or workers (pipeline).
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=WORKERS_MAX))]
        workers: u16,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum ModeName {
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

/// Does what the arguments ask.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = telemetry::log::init(arguments.log.as_deref(), telemetry::log::Format::of_stderr()) {
        return fail(USAGE, error);
    }
    match arguments.command {
        Command::Replay { config, pcap, mode, workers } => replay_captures(&config, pcap, mode.into(), usize::from(workers)),
    }
}

fn replay_captures(config: &Path, captures: Vec<PathBuf>, mode: Mode, workers: usize) -> ExitCode {
    let config = match load(config) {
        Ok(config) => config,
        Err(status) => return status,
    };
    match replay::replay(&config, &Options { captures, mode, workers }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(if error.before_start() { USAGE } else { FAULT }, error),
    }
}

/// A checked configuration, or its faults on stderr.
fn load(path: &Path) -> Result<Config, ExitCode> {
    config::load(path, &tailwater::stats::check).map_err(|faults| fail(USAGE, faults))
}

#[allow(clippy::print_stderr, reason = "a command's own complaint")]
fn fail(status: u8, error: impl std::fmt::Display) -> ExitCode {
    eprintln!("tailwater: {error}");
    ExitCode::from(status)
}
