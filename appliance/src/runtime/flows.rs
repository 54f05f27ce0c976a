//! `tailwater flows`: export datagrams out of captures, or off UDP sockets, as flow messages on stdout.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::flows::listen::{Listener, is_shared, wait};
use crate::flows::udp::{Datagrams, looks_like_export};
use crate::flows::{Arrival, Collector, Flow, Settings, json, protobuf, store};
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
    /// How flows are written.
    pub format: Format,
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
            Self::Open(..) | Self::Templates(..) => true,
            _ => false,
        }
    }
}

/// How often it is looked whether it shall end, and sockets are looked at without being told.
const NAP_MS: u16 = 200;
/// How often templates are kept, if they changed.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// For so long what still waits in the sockets is read after the signal to end.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// Written at once.
const OUT_BYTES: usize = 256 * 1024;

/// Does what is asked. What is on stderr at its end is the account of it, whatever came.
///
/// # Errors
/// See [`FlowsError`].
pub fn run(options: &Options) -> Result<(), FlowsError> {
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
    restore(&mut collector, options);
    let mut out = Out { format: options.format, bytes: Vec::with_capacity(2 * OUT_BYTES), scratch: Vec::new(), fault: None };
    let mut looked_at = 0;
    let done = read_captures(&mut captures, &mut collector, &mut out, &mut looked_at).and_then(|()| match listeners.is_empty() {
        true => Ok(()),
        false => serve(&mut listeners, &mut collector, options, &mut out),
    });
    let flushed = out.flush();
    let done = done.and(flushed);
    collector.end();
    let kept = keep(&mut collector, options, true);
    captures.warnings().for_each(|warning| tracing::warn!("{warning}"));
    collector.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    tell(&collector.ledger().to_string());
    if collector.ledger().datagrams == 0 && !options.captures.is_empty() {
        tell(&format!(
            "no exports in these captures: {looked_at} UDP datagrams were looked at, and none begins as NetFlow, IPFIX or sFlow do"
        ));
    }
    done.and(kept)
}

#[allow(clippy::print_stderr, reason = "what the command is for")]
fn tell(text: &str) {
    eprintln!("{text}");
}

fn restore(collector: &mut Collector, options: &Options) {
    let Some(file) = &options.templates else { return };
    if let Err(fault) = collector.restore(file) {
        tracing::warn!("{}: {fault}", file.display());
    }
}

fn keep(collector: &mut Collector, options: &Options, at_end: bool) -> Result<(), FlowsError> {
    let Some(file) = &options.templates else { return Ok(()) };
    if !collector.is_changed() && !at_end {
        return Ok(());
    }
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
    }
    Ok(())
}

fn serve(listeners: &mut [Listener], collector: &mut Collector, options: &Options, out: &mut Out) -> Result<(), FlowsError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(FlowsError::Signals)?;
    }
    for listener in &*listeners {
        let at = listener.address().map_err(FlowsError::Socket)?;
        tell(&format!("listens at udp {at}"));
    }
    let mut kept = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let mut came = 0;
        for listener in &mut *listeners {
            came += listener.receive(collector, &mut |flow| out.put(flow)).map_err(FlowsError::Socket)?;
        }
        if came == 0 {
            out.flush()?;
            wait(listeners, NAP_MS).map_err(FlowsError::Socket)?;
        }
        out.check()?;
        if kept.elapsed() >= KEEP_EVERY {
            kept = Instant::now();
            if let Err(fault) = keep(collector, options, false) {
                tracing::warn!("{fault}");
            }
        }
    }
    drain(listeners, collector, out)
}

/// What came before the signal is read too; what goes on coming does not keep it from its end.
fn drain(listeners: &mut [Listener], collector: &mut Collector, out: &mut Out) -> Result<(), FlowsError> {
    let since = Instant::now();
    let mut came = 1;
    while came > 0 && since.elapsed() < DRAIN_MAX {
        came = 0;
        for listener in &mut *listeners {
            came += listener.receive(collector, &mut |flow| out.put(flow)).map_err(FlowsError::Socket)?;
            out.check()?;
        }
    }
    Ok(())
}

/// Standard output, many flows at a time.
struct Out {
    format: Format,
    bytes: Vec<u8>,
    scratch: Vec<u8>,
    fault: Option<io::Error>,
}

impl Out {
    fn put(&mut self, flow: &Flow) {
        match self.format {
            Format::Json => json::write(flow, &mut self.bytes),
            Format::Protobuf => protobuf::write_framed(flow, &mut self.scratch, &mut self.bytes),
            Format::ProtobufBare => protobuf::write(flow, &mut self.bytes),
        }
        if self.bytes.len() >= OUT_BYTES {
            self.write();
        }
    }

    fn write(&mut self) {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.bytes).and_then(|()| stdout.flush());
        self.bytes.clear();
        if let Err(fault) = written {
            self.fault.get_or_insert(fault);
        }
    }

    fn check(&mut self) -> Result<(), FlowsError> {
        self.fault.take().map_or(Ok(()), |fault| Err(FlowsError::Output(fault)))
    }

    fn flush(&mut self) -> Result<(), FlowsError> {
        if !self.bytes.is_empty() {
            self.write();
        }
        self.check()
    }
}
