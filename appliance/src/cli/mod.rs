//! Arguments → what the library does, and exit statuses: 0 well, 1 a fault while running, 2 bad usage or configuration.

mod arguments;
mod flow_arguments;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use tailwater::config::{self, Config};
use tailwater::enrich::Tables;
use tailwater::generate;
use tailwater::runtime::check::{Verdict, check};
use tailwater::runtime::exporting::Files;
use tailwater::runtime::flows;
use tailwater::runtime::places::Places;
use tailwater::runtime::plan;
use tailwater::runtime::replay::{self, Options};
use tailwater::runtime::run;
use tailwater::telemetry::log;

use arguments::{Arguments, Command};
use flow_arguments::FlowArguments;

/// Something went wrong while running.
const FAULT: u8 = 1;
/// Bad usage or configuration.
const USAGE: u8 = 2;
/// EAL's chatter belongs to `run`, where a port is being set up.
const QUIET: &str = "warn";

/// Does what the arguments ask.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let default = if matches!(arguments.command, Command::Run { .. }) { None } else { Some(QUIET) };
    let unset = std::env::var_os("RUST_LOG").is_none_or(|text| text.is_empty());
    let filter = arguments.log.as_deref().or_else(|| default.filter(|_| unset));
    if let Err(error) = log::init(filter, log::Format::of_stderr()) {
        return fail(USAGE, error);
    }
    match arguments.command {
        Command::Run { config, share_cpus } => run_appliance(&config, share_cpus),
        Command::Check { config } => check_machine(&config),
        Command::Plan { config, seconds, frames, shape, json } => {
            plan_capacity(&config, &plan::Options { seconds, frames, shapes: shape, receives: true }, json)
        }
        Command::Replay { config, pcap, mode, workers, flows, exports_pcap, packet_logs } => {
            let files = Files { exports: exports_pcap, logs: packet_logs };
            replay_captures(&config, Options { captures: pcap, mode: mode.into(), workers: usize::from(workers), flows, files })
        }
        Command::Generate(options) => generate_traffic(&options),
        Command::Flows(options) => decode_flows(options),
    }
}

fn run_appliance(file: &Path, share_cpus: bool) -> ExitCode {
    let config = match load(file) {
        Ok(config) => config,
        Err(status) => return status,
    };
    if let Err(faults) = config.for_run() {
        return fail(USAGE, faults);
    }
    match run::run(&config, share_cpus) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(if error.is_configuration() { USAGE } else { FAULT }, error),
    }
}

fn check_machine(file: &Path) -> ExitCode {
    let config = match load(file) {
        Ok(config) => config,
        Err(status) => return status,
    };
    let findings = check(&config);
    if let Err(status) = findings.iter().try_for_each(say) {
        return status;
    }
    let wrong = findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).count();
    if wrong == 0 { ExitCode::SUCCESS } else { fail(FAULT, format!("{wrong} to mend before `run`")) }
}

#[allow(clippy::print_stderr, reason = "what the command is for")]
fn plan_capacity(file: &Path, options: &plan::Options, json: bool) -> ExitCode {
    let config = match load(file) {
        Ok(config) => config,
        Err(status) => return status,
    };
    let account = match plan::plan(&config, &Places::of(&config).cores, options, &mut |line| eprintln!("tailwater plan: {line}")) {
        Ok(account) => account,
        Err(error) => return fail(if error.is_configuration() { USAGE } else { FAULT }, error),
    };
    if !json {
        return say(account).err().unwrap_or(ExitCode::SUCCESS);
    }
    match serde_json::to_string_pretty(&account) {
        Ok(text) => say(text).err().unwrap_or(ExitCode::SUCCESS),
        Err(error) => fail(FAULT, error),
    }
}

fn replay_captures(file: &Path, options: Options) -> ExitCode {
    let config = match load(file) {
        Ok(config) => config,
        Err(status) => return status,
    };
    match replay::replay(&config, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(if error.before_start() { USAGE } else { FAULT }, error),
    }
}

#[allow(clippy::print_stderr, reason = "what the command is for")]
fn generate_traffic(options: &generate::Options) -> ExitCode {
    if options.list {
        let told = generate::list().try_for_each(|(name, line)| say(format_args!("{name:18} {line}")));
        return told.err().unwrap_or(ExitCode::SUCCESS);
    }
    match generate::run(options) {
        Ok(summary) => {
            eprintln!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(if error.before_start() { USAGE } else { FAULT }, error),
    }
}

fn decode_flows(options: FlowArguments) -> ExitCode {
    match flows::run(&options.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(if error.before_start() { USAGE } else { FAULT }, error),
    }
}

/// A checked configuration, or its faults on stderr.
fn load(path: &Path) -> Result<Config, ExitCode> {
    config::load_with(path, &tailwater::stats::check, &Tables::faults).map_err(|faults| fail(USAGE, faults))
}

/// A line on stdout. Whoever reads may end when it likes, as `head` does: that is no fault.
fn say(line: impl std::fmt::Display) -> Result<(), ExitCode> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(fault) if fault.kind() != io::ErrorKind::BrokenPipe => Err(fail(FAULT, format!("standard output: {fault}"))),
        _ => Ok(()),
    }
}

#[allow(clippy::print_stderr, reason = "a command's own complaint")]
fn fail(status: u8, error: impl std::fmt::Display) -> ExitCode {
    eprintln!("tailwater: {error}");
    ExitCode::from(status)
}
