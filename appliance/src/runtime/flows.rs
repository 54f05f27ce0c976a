//! `tailwater flows`: export datagrams out of captures, or off UDP sockets, as flow messages on stdout.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::doubts::Doubts;
use super::flows_out::{Out, Way};
use super::flows_top::{Top, TopOptions};
use super::saver::Saver;
use crate::config::streams::parse_where;
use crate::config::{self, Config};
use crate::enrich::{Keeper, Pipeline, Tables};
use crate::flows::listen::{Listener, is_shared, wait};
use crate::flows::udp::{Datagrams, looks_like_export};
use crate::flows::{Arrival, Collector, Settings, store, waiting};
use crate::rx::capture::{CaptureError, Merged};

/// How flows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line of JSON each.
    Json,
    /// Protobuf, its length before each.
    Protobuf,
    /// Protobuf without lengths.
    ProtobufBare,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Captures, merged by time.
    pub captures: Vec<PathBuf>,
    /// Sockets.
    pub listen: Vec<SocketAddr>,
    /// How flows are written; none: JSON, and a stream that is named as it is configured.
    pub format: Option<Format>,
    /// Configuration whose `[enrich]` and `[[streams]]` are applied.
    pub config: Option<PathBuf>,
    /// Messages of this stream alone.
    pub stream: Option<String>,
    /// Only flows of which this holds, as `where` of `[[streams]]` is written.
    pub only: Option<String>,
    /// Top talkers instead of messages.
    pub top: Option<TopOptions>,
    /// Where templates and rates are kept.
    pub templates: Option<PathBuf>,
    /// Of the collector.
    pub settings: Settings,
}

/// Why it could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// A capture.
    #[error("{0}")]
    Capture(#[from] CaptureError),
    /// The configuration, or a file that it names.
    #[error("{0}")]
    Config(#[from] config::Faults),
    /// A stream that there is none of.
    #[error("there is no stream \"{0}\"; {1}")]
    Stream(String, String),
    /// A socket that could not be opened.
    #[error("udp {0}: {1}")]
    Open(SocketAddr, io::Error),
    /// A socket that does not work any more.
    #[error("udp: {0}")]
    Socket(io::Error),
    /// Standard output.
    #[error("standard output: {0}; what could not be written is lost")]
    Output(io::Error),
    /// Signals.
    #[error("signals cannot be caught: {0}")]
    Signals(io::Error),
    /// The file of templates, before anything is received.
    #[error("--templates {0}: cannot be written: {1}; make its folder, or name a file that may be written")]
    Templates(String, io::Error),
    /// What is kept of templates.
    #[error("{0}: templates cannot be kept: {1}")]
    Keep(PathBuf, crate::flows::StoreError),
}

impl FlowsError {
    /// Whether nothing was started yet: exit status 2.
    pub const fn before_start(&self) -> bool {
        match self {
            Self::Capture(error) => error.before_start(),
            Self::Open(..) | Self::Templates(..) | Self::Config(_) | Self::Stream(..) => true,
            _ => false,
        }
    }
}

/// How often it is looked whether it shall end, and sockets are looked at without being told.
const NAP_MS: u16 = 200;
/// So long templates on their way to the disk are waited for at the end.
const KEEP_MAX: Duration = Duration::from_secs(2);
/// For so long what still waits in the sockets is read after the signal to end.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Does what is asked. What is on stderr at its end is the account of it, whatever came.
///
/// # Errors
/// See [`FlowsError`].
pub fn run(options: &Options) -> Result<(), FlowsError> {
    let mut out = way(options)?;
    let mut collector = Collector::new(&options.settings);
    let mut captures = Merged::open(&options.captures)?;
    if let Some(file) = &options.templates {
        store::try_out(file).map_err(|fault| FlowsError::Templates(file.display().to_string(), fault))?;
    }
    let mut listeners = Vec::new();
    for at in &options.listen {
        if is_shared(*at) {
            tracing::warn!("another socket listens at udp {at}: the kernel gives each a part of the exporters");
        }
        listeners.push(Listener::open(*at).map_err(|fault| FlowsError::Open(*at, fault))?);
    }
    let mut looked_at = 0;
    let done = if listeners.is_empty() {
        restore(&mut collector, options);
        read_captures(&mut captures, &mut collector, &mut out, &mut looked_at)
    } else {
        let mut saver = options.templates.as_deref().and_then(|file| Saver::start(file, &mut collector));
        let done = serve(&mut listeners, &mut collector, saver.as_mut(), &mut out);
        if let Some(saver) = saver {
            saver.end_waiting(&mut collector, KEEP_MAX);
            saver.end(&mut collector, KEEP_MAX);
        }
        done
    };
    let streams = out.end();
    let flushed = out.flush();
    let done = done.and(flushed);
    end(&mut collector, options);
    let kept = keep(&mut collector, options);
    captures.warnings().for_each(|warning| tracing::warn!("{warning}"));
    collector.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    tell(&collector.ledger().to_string());
    tell(&collector.numbers().to_string());
    if collector.ledger().datagrams == 0 && !options.captures.is_empty() {
        tell(&format!(
            "no exports in these captures: {looked_at} UDP datagrams were looked at, and none begins as NetFlow, IPFIX or sFlow do"
        ));
    }
    streams.iter().for_each(|streams| tell(streams));
    done.and(kept)
}

/// What is written of flows, and how.
fn way(options: &Options) -> Result<Out, FlowsError> {
    let config = options.config.as_ref().map(|file| config::load_with(file, &crate::stats::check, &Tables::faults)).transpose()?;
    let links = config.as_ref().map_or(&[][..], |config| &config.links);
    let only = options.only.as_ref().map(|text| parse_where(text, links)).transpose()?.unwrap_or_default();
    let keeper = config.as_ref().and_then(|config| Some((config, config.enrich.as_ref()?)));
    let is_offline = options.listen.is_empty();
    let keeper = keeper.map(|(config, enrich)| Keeper::start(enrich, &config.ranges.list, Some(config.ranges.file.clone()), is_offline));
    let keeper = keeper.transpose()?;
    let streams = config.as_ref().map_or(&[][..], |config| &config.streams);
    let format = options.format.unwrap_or(Format::Json);
    let mut pipeline = Pipeline::new(streams, keeper.as_ref().map(Keeper::shelf), format.into());
    if let Some(top) = &options.top {
        return Ok(Out::new(Way::Top(Box::new(Top::new(top.clone(), only, pipeline))), keeper));
    }
    if config.is_none() && only.tests.is_empty() {
        return Ok(Out::new(Way::Plain(format), None));
    }
    if let Some(name) = &options.stream {
        known(name, config.as_ref())?;
    }
    if options.stream.is_none() || options.format.is_some() {
        pipeline.force(format.into());
    }
    pipeline.only(only);
    Ok(Out::new(Way::Streams(Box::new(pipeline), options.stream.clone()), keeper))
}

/// Whether a stream is configured.
fn known(name: &str, config: Option<&Config>) -> Result<(), FlowsError> {
    let names: Vec<&str> = config.iter().flat_map(|config| config.streams.iter().map(|stream| &stream.name[..])).collect();
    match names.contains(&name) {
        true => Ok(()),
        false if names.is_empty() => Err(FlowsError::Stream(name.to_owned(), "write [[streams]] in the configuration".to_owned())),
        false => Err(FlowsError::Stream(name.to_owned(), format!("there are {}", names.join(", ")))),
    }
}

#[allow(clippy::print_stderr, reason = "what the command is for")]
fn tell(text: &str) {
    eprintln!("{text}");
}

/// Templates for captures. What waits is for who listens: captures are of another time.
fn restore(collector: &mut Collector, options: &Options) {
    let Some(file) = &options.templates else { return };
    if let Err(fault) = collector.restore(file) {
        tracing::warn!("{}: {fault}", file.display());
    }
}

/// What still waits for a template when nothing more comes by the sockets waits on disk; of captures alone it is given up.
fn end(collector: &mut Collector, options: &Options) {
    let file = options.templates.as_ref().filter(|_| !options.listen.is_empty());
    let Some((file, told)) = file.map(|file| waiting::beside(file)).zip(collector.waiting()) else { return collector.end() };
    match waiting::write(&file, &told) {
        Ok(()) => collector.end_kept(),
        Err(fault) => {
            tracing::warn!("{}: {fault}: data that waits for its template is given up", file.display());
            collector.end();
        }
    }
}

/// What is known at the end.
fn keep(collector: &mut Collector, options: &Options) -> Result<(), FlowsError> {
    let Some(file) = &options.templates else { return Ok(()) };
    collector.save(file).map_err(|fault| FlowsError::Keep(file.clone(), fault))
}

fn read_captures(captures: &mut Merged, collector: &mut Collector, out: &mut Out, looked_at: &mut u64) -> Result<(), FlowsError> {
    let mut datagrams = Datagrams::default();
    while let Some((_, frame)) = captures.next_frame()? {
        let Some(datagram) = datagrams.take(&frame) else { continue };
        *looked_at += 1;
        if !looks_like_export(&datagram.payload) {
            continue;
        }
        let from = Arrival { exporter: datagram.src, port: datagram.src_port, received_ns: frame.time_ns };
        collector.take(&from, &datagram.payload, &mut |flow| out.put(flow));
        out.check()?;
        if out.is_done() {
            break;
        }
    }
    Ok(())
}

fn serve(listeners: &mut [Listener], collector: &mut Collector, mut saver: Option<&mut Saver>, out: &mut Out) -> Result<(), FlowsError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(FlowsError::Signals)?;
    }
    let hup = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGHUP, Arc::clone(&hup)).map_err(FlowsError::Signals)?;
    for listener in &*listeners {
        let at = listener.address().map_err(FlowsError::Socket)?;
        tell(&format!("listens at udp {at}"));
    }
    let mut doubts = Doubts::new();
    while !stop.load(Ordering::Relaxed) && !out.is_done() {
        let mut came = 0;
        for listener in &mut *listeners {
            came += listener.receive(collector, &mut |flow| out.put(flow)).map_err(FlowsError::Socket)?;
        }
        out.passed(now_ns());
        if hup.swap(false, Ordering::Relaxed) {
            out.reload();
        }
        if let Some(saver) = &mut saver {
            saver.offer(collector);
        }
        if came == 0 {
            out.flush()?;
            wait(listeners, NAP_MS).map_err(FlowsError::Socket)?;
        }
        out.check()?;
        doubts.look(collector, now_ns());
    }
    // Who reads stdout has had enough: nothing more is read here either.
    if out.is_done() { Ok(()) } else { drain(listeners, collector, out) }
}

/// What came before the signal is read too, for a second; what goes on coming does not keep it from its end. What is left of before it is
/// told as lost.
fn drain(listeners: &mut [Listener], collector: &mut Collector, out: &mut Out) -> Result<(), FlowsError> {
    let (since, since_ns) = (Instant::now(), now_ns());
    let mut came = 1;
    while came > 0 && since.elapsed() < DRAIN_MAX {
        came = 0;
        for listener in &mut *listeners {
            came += listener.receive(collector, &mut |flow| out.put(flow)).map_err(FlowsError::Socket)?;
            out.check()?;
        }
    }
    let mut left = 0;
    for listener in listeners {
        left += listener.leave(since_ns, collector).map_err(FlowsError::Socket)?;
    }
    if left > 0 {
        tracing::warn!("{left} datagrams waited at the end and were not read within a second: they count as dropped by the kernel");
    }
    Ok(())
}

fn now_ns() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}
