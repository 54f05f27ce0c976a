//! `tailwater replay`: captures through the real data path, on their own clock.

use std::io::{BufWriter, stdout};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::counters;
use super::exporting::{Exporting, Files};
use super::flow_feed::FlowFeed;
use super::lcores::{Idle, launch_all};
use super::reader::feed_all;
use super::reporting::{self, JsonLines};
use super::wiring::{Cores, wire};
use super::world::{World, setting};
use crate::arch::HashKey;
use crate::config::{Config, Faults, Mode, Refusal};
use crate::dpdk::{DpdkError, Eal, EalConfig, LcorePin};
use crate::enrich::Edges;
use crate::flows::Settings;
use crate::limits::LCORES_MAX;
use crate::report::{NoHealth, PortName, Reporter};
use crate::rx::capture::{CaptureError, Merged};
use crate::rx::replay::open;
use crate::telemetry::Registry;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Captures; file n is port n.
    pub captures: Vec<PathBuf>,
    /// How work is spread.
    pub mode: Mode,
    /// Shards or workers.
    pub workers: usize,
    /// Export datagrams are decoded and analysed, not counted as packets.
    pub flows: bool,
    /// Where what `[[exports]]` and `[packet_logs]` make of the frames is written.
    pub files: Files,
}

/// Why a replay could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A capture.
    #[error("{0}")]
    Capture(#[from] CaptureError),
    /// DPDK.
    #[error("{0}")]
    Dpdk(#[from] DpdkError),
    /// A row of the configuration.
    #[error("a stat cannot be compiled: {}: {}", .0.key, .0.message)]
    Stat(Refusal),
    /// Names of interfaces.
    #[error("{0}")]
    Names(Faults),
    /// Standard output.
    #[error("standard output: {0}; what could not be written is lost")]
    Output(#[from] std::io::Error),
    /// A file of what is exported.
    #[error("--exports-pcap or --packet-logs: {0}; name files in a folder that may be written to, with room")]
    Exports(std::io::Error),
    /// The reporter's thread.
    #[error("the reporter stopped early: please report this")]
    Reporter,
}

impl ReplayError {
    /// Whether nothing was started yet: exit status 2.
    pub const fn before_start(&self) -> bool {
        matches!(self, Self::Capture(error) if error.before_start()) || matches!(self, Self::Names(_))
    }
}

/// Replays captures and prints reports.
///
/// # Errors
/// See [`ReplayError`]. What was counted before an error was printed.
pub fn replay(config: &Config, options: &Options) -> Result<(), ReplayError> {
    let mut captures = Merged::open(&options.captures)?;
    let packets_alone = packets_alone(config, options);
    let config = packets_alone.as_ref().unwrap_or(config);
    let edges = config.enrich.as_ref().filter(|_| options.flows).map(|enrich| Edges::of_file(&config.interfaces, enrich));
    let edges = edges.transpose().map_err(ReplayError::Names)?.flatten();
    let hash_key = config.appliance.hash_key.map_or_else(HashKey::constant, HashKey::new);
    let world = Arc::new(World::new(config, hash_key, options.captures.len()).map_err(ReplayError::Stat)?);
    let cores = cores(options);
    let eal = Eal::init(&eal_config(&cores))?;
    let (queues, mut feed) = open(&eal, cores.rx.len())?;
    let registry = Registry::new(&config.appliance.name, &config.appliance.pop, Duration::from_millis(config.appliance.window_ms));
    let mut wired = wire(&world, &cores, &registry, true);
    let ports: Vec<PortName> = options.captures.iter().map(|file| port_name(file)).collect();
    let feeds: Vec<String> = ports.iter().map(|port| port.feed.clone()).collect();
    let exporting = Exporting::replay(config, cores.rx.len(), &feeds, &options.files).map_err(ReplayError::Exports)?.map(
        |(exporting, taps, written)| {
            wired.receivers.iter_mut().zip(taps).for_each(|(receiver, tap)| receiver.sample_for(tap));
            (exporting, written)
        },
    );
    let streams = std::mem::take(&mut wired.streams);
    let settings = config.flows.as_ref().map(Settings::from).unwrap_or_default();
    let flows = wired.analysis.take().map(|analysis| FlowFeed::new(analysis, &settings, edges));
    let publisher = JsonLines::new(BufWriter::new(stdout()));
    let is_closed = publisher.is_closed();
    let setting = setting(config, &world, 0, ports, false);
    let reporter = Reporter::new(setting, Arc::clone(&world.plans), world.calendar, streams, publisher, NoHealth);
    let reporter = match counters::at_once(config) {
        Some(counters) => reporter.with_counters(counters),
        None => reporter,
    };
    let reporter = std::thread::spawn(move || reporting::run(reporter, || ()));
    let queues = queues.into_iter().map(|queue| vec![queue]).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let handles = launch_all(&eal, (&cores.rx, &cores.workers), wired, (queues, false), &stop, Idle::Nap)?;
    let read = feed_all(&mut captures, &mut feed, &world.calendar, flows, &is_closed);
    for handle in handles {
        handle.join()?;
    }
    let written = exporting.map(|(mut exporting, written)| {
        exporting.end();
        written
    });
    let mut reporter = reporter.join().map_err(|_| ReplayError::Reporter)?;
    reporter.publisher().finish()?;
    for warning in captures.warnings() {
        tracing::warn!("{warning}");
    }
    if let Some(written) = written {
        written.finish().map_err(ReplayError::Exports)?;
    }
    Ok(read?)
}

/// The configuration without stats of flows, if it has some and flows are not asked for.
fn packets_alone(config: &Config, options: &Options) -> Option<Config> {
    if !config.analyses_flows() {
        if options.flows {
            tracing::warn!("no stat has source = \"flows\": export datagrams count as packets, as without --flows");
        }
        return None;
    }
    if !options.flows {
        tracing::warn!("stats of source = \"flows\" are left out: with --flows export datagrams of the captures are analysed");
    }
    (!options.flows).then(|| config.clone().without_flows())
}

/// lcore 0 reads; then come receivers, then workers.
fn cores(options: &Options) -> Cores {
    let workers = u32::try_from(options.workers).unwrap_or(1);
    match options.mode {
        Mode::RunToCompletion => Cores { rx: (1..=workers).collect(), workers: Vec::new() },
        Mode::Pipeline => Cores { rx: vec![1], workers: (2..2 + workers).collect() },
    }
}

/// lcores share the CPUs that there are, and the kernel spreads them: other replays may run beside this one.
fn eal_config(cores: &Cores) -> EalConfig {
    let usable: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    // EAL takes no CPU beyond these.
    let known: Vec<usize> = usable.iter().copied().filter(|cpu| *cpu < LCORES_MAX).collect();
    let cpus = if known.is_empty() { vec![0] } else { known };
    let main = std::iter::once(&0);
    let lcores = main.chain(&cores.rx).chain(&cores.workers).map(|lcore| LcorePin { lcore: *lcore, cpus: cpus.clone() });
    EalConfig { lcores: lcores.collect(), ..EalConfig::private("tailwater", &[]) }
}

fn port_name(file: &std::path::Path) -> PortName {
    let name = file.file_name().map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned());
    PortName { device: name.clone(), feed: name, min_pps: 0 }
}
