//! `[[exports]]` and `[packet_logs]`: samples of all receiving cores, by one thread, to collectors and into the journal.
//!
//! [`worker`] is the thread; [`carrier`] are ways out of datagrams, [`logs`] those of lines; the reporter and metrics look at moments that
//! are told to them ([`watch`]), of which [`account`] makes each window's account. In `replay` the same goes into files, on the captures'
//! time.

mod account;
mod carrier;
mod logs;
mod watch;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

pub use account::Accounts;
pub use carrier::Captured;
pub use logs::LogFile;

use crate::config::{self, Config, ExportProtocol, Faults, Sampler};
use crate::exports::cache::Cache;
use crate::exports::sflow::PortCounters;
use crate::exports::{Counts, Names, Shelf, Tap, netflow, sflow, tap};
use crate::journal::Journal;
use crate::rx::timeline::Timeline;
use crate::telemetry::Registry;
use carrier::Way;
use logs::Lines;
use watch::{ExportFigures, Over, Watch};
use worker::{Clock, Export, Kind, Logs, Ports, Worker};

/// The thread at work.
pub struct Exporting {
    watch: Arc<Watch>,
    counts: Vec<Arc<Counts>>,
    rows: Vec<Row>,
    has_logs: bool,
    shelf: Shelf,
    thread: Option<JoinHandle<()>>,
}

/// An export, as accounts name it.
#[derive(Clone, Debug)]
struct Row {
    protocol: &'static str,
    to: String,
    observation_domain: u32,
}

/// Files of a replay.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Of all datagrams.
    pub exports: Option<PathBuf>,
    /// Of packet logs.
    pub logs: Option<PathBuf>,
}

/// Those files while they are written.
pub struct Written {
    exports: Option<Captured>,
    logs: Option<LogFile>,
}

impl Exporting {
    /// For so many receiving cores: their taps, and who reads them, on the CPU of who calls. `None`: nothing is exported.
    ///
    /// # Errors
    /// Every address that cannot be sent to.
    pub fn start(
        config: &Config,
        cores: usize,
        seed: [u8; 32],
        (journal, registry, timeline): (&Arc<Journal>, &Arc<Registry>, Arc<Timeline>),
    ) -> Result<Option<(Self, Vec<Tap>)>, Faults> {
        if config.exports.is_empty() && config.packet_logs.is_none() {
            return Ok(None);
        }
        let window_ns = config.appliance.window_ms * 1_000_000;
        let lines = config.packet_logs.as_ref().map(|logs| Lines::into_journal(Arc::clone(journal), &logs.topic, window_ns));
        let feeds: Vec<String> = config.ports.iter().map(|port| port.feed.clone()).collect();
        let (registry, sockets) = (Arc::clone(registry), carrier::sockets(config)?);
        let ports: Ports = Box::new(move || counters(&registry));
        Self::of(config, (cores, seed), &feeds, (sockets, lines), (Clock::Live(timeline), ports)).map(Some)
    }

    /// The same of a replay, into files; ports are captures.
    ///
    /// # Errors
    /// A file cannot be made.
    pub fn replay(
        config: &Config,
        cores: usize,
        feeds: &[String],
        files: &Files,
    ) -> Result<Option<(Self, Vec<Tap>, Written)>, std::io::Error> {
        if files.exports.is_none() && files.logs.is_none() {
            return Ok(None);
        }
        let mut config = config.clone();
        if files.exports.is_some() && config.exports.is_empty() || files.logs.is_some() && config.packet_logs.is_none() {
            tracing::warn!("a file stays empty: --exports-pcap wants [[exports]], --packet-logs wants [packet_logs]");
        }
        if files.exports.is_none() {
            config.exports.clear();
        }
        config.packet_logs.take_if(|_| files.logs.is_none());
        let exports = files.exports.as_deref().map(Captured::create).transpose()?;
        let logs = files.logs.as_deref().map(LogFile::create).transpose()?;
        let ways = exports.as_ref().map_or_else(Vec::new, |captured| captured.ways(&config));
        let lines = logs.clone().filter(|_| config.packet_logs.is_some()).map(Lines::File);
        let ports: Ports = Box::new(Vec::new);
        let started = Self::of(&config, (cores, [0; 32]), feeds, (ways, lines), (Clock::Fed, ports));
        let (exporting, taps) = started.map_err(|faults| std::io::Error::other(faults.to_string()))?;
        Ok(Some((exporting, taps, Written { exports, logs })))
    }

    fn of(
        config: &Config,
        (cores, seed): (usize, [u8; 32]),
        feeds: &[String],
        (ways, lines): (Vec<Way>, Option<Lines>),
        (clock, ports): (Clock, Ports),
    ) -> Result<(Self, Vec<Tap>), Faults> {
        let one_in: Vec<u32> =
            config.exports.iter().map(|export| export.sampling).chain(config.packet_logs.as_ref().map(|logs| logs.sampling)).collect();
        let (taps, ends) = tap::taps(cores, &one_in, seed, matches!(clock, Clock::Fed));
        let (watch, shelf, counts) = (Arc::new(Watch::default()), Shelf::default(), ends.counts.clone());
        shelf.put(Names::of(config, 1, feeds));
        let logs = config.packet_logs.as_ref().zip(lines).map(|(logs, lines)| Logs {
            lines,
            predicate: logs.predicate.clone(),
            sampling: logs.sampling,
            left_out: 0,
            line: Vec::new(),
        });
        let worker = Worker {
            taps: ends,
            exports: config.exports.iter().zip(ways).map(|(export, way)| of_row(config, export, way)).collect(),
            logs,
            shelf: shelf.clone(),
            names: None,
            clock,
            ports,
            watch: Arc::clone(&watch),
            now_ns: 0,
            ticked_ns: 0,
        };
        let told = Arc::clone(&watch);
        let work = move || {
            let _over = Over(told);
            worker.run();
        };
        let thread = thread::Builder::new().name("exports".into()).spawn(work);
        let thread = thread
            .map_err(|reason| Faults::of_file(&config.file, format!("[[exports]]: no thread: {reason}"), "raise the limit on threads"))?;
        let row = |export: &config::Export| {
            let (protocol, observation_domain) = (name(export.protocol), export.observation_domain);
            Row { protocol, to: export.to.to_string(), observation_domain }
        };
        let rows = config.exports.iter().map(row).collect();
        Ok((Self { watch, counts, rows, has_logs: config.packet_logs.is_some(), shelf, thread: Some(thread) }, taps))
    }

    /// Where names of generations to come are put.
    pub fn shelf(&self) -> Shelf {
        self.shelf.clone()
    }

    /// For the reporter; and metrics are told from now on. `lcores` are those of the taps.
    pub fn accounts(&self, lcores: &[u32], journal: &Arc<Journal>, registry: &Arc<Registry>) -> Accounts {
        let accounts = || {
            let shared = (Arc::clone(&self.watch), self.counts.clone(), self.rows.clone());
            Accounts::new(shared, lcores, self.has_logs, (Arc::clone(journal), Arc::clone(registry)))
        };
        let seen = accounts();
        registry.set_exports(move || seen.snapshot());
        accounts()
    }

    /// Waits until all that was sampled is sent; all cores have ended.
    pub fn end(&mut self) {
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that exports ended by a fault of its own; please report this");
        }
    }
}

impl Written {
    /// All is there.
    ///
    /// # Errors
    /// Something could not be written.
    pub fn finish(self) -> std::io::Result<()> {
        self.exports.map_or(Ok(()), |exports| exports.finish())?;
        self.logs.map_or(Ok(()), |logs| logs.finish())
    }
}

const fn name(protocol: ExportProtocol) -> &'static str {
    match protocol {
        ExportProtocol::Ipfix => "ipfix",
        ExportProtocol::Netflow9 => "netflow9",
        ExportProtocol::Sflow => "sflow",
    }
}

/// One row of the configuration at work.
fn of_row(config: &Config, export: &config::Export, (agent, carrier): Way) -> Export {
    let ns = |ms: u64| ms * 1_000_000;
    let kind = if export.protocol == ExportProtocol::Sflow {
        let plan =
            sflow::Plan { agent, sub_agent: export.observation_domain, sampling: export.sampling, header_bytes: export.header_bytes };
        Kind::Frames { encoder: Box::new(sflow::Encoder::new(plan)), counters_ns: ns(export.counters_ms), counters_at_ns: 0 }
    } else {
        let plan = netflow::Plan {
            is_ipfix: export.protocol == ExportProtocol::Ipfix,
            domain: export.observation_domain,
            sampling: export.sampling,
            is_random: config.tags.iter().all(|rule| rule.weight_max() <= 1 || rule.sampler == Sampler::Random),
            refresh_ns: ns(export.template_refresh_ms),
        };
        let cache = Cache::new(export.flows_max, ns(export.active_timeout_ms), ns(export.idle_timeout_ms));
        let (cache, encoder) = (Box::new(cache), Box::new(netflow::Encoder::new(plan)));
        Kind::Flows { cache, encoder, predicate: export.predicate.clone() }
    };
    Export { kind, carrier, figures: ExportFigures::default() }
}

/// Counters of ports, as they were last read.
fn counters(registry: &Registry) -> Vec<PortCounters> {
    let port = |port: &crate::telemetry::PortSnapshot| PortCounters {
        port: u16::try_from(port.port).unwrap_or(u16::MAX),
        speed_bps: 0,
        is_up: port.figures.link_up,
        frames: port.figures.received,
        missed: port.figures.missed,
    };
    registry.ports().iter().map(port).collect()
}
