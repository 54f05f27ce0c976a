//! `[flows]`: export datagrams off sockets, their flows into the journal, beside the data path.
//!
//! One thread owns sockets, collector and outlet ([`receiving`]), on a CPU of `cores.io`. What it makes goes through `Receiving::burst`,
//! flow by flow, through what `[enrich]` and `[[streams]]` make of it ([`way`]). Templates are written by another thread
//! ([`super::saver`]); the reporter and metrics look at moments that are told to them ([`watch`]), of which [`account`] makes each window's
//! account.

mod account;
mod analysing;
mod outlet;
mod ports;
mod receiving;
mod watch;
mod way;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

pub use account::Accounts;

use super::doubts::Doubts;
use super::saver::Saver;
use crate::analyse::Analysis;
use crate::config::{Config, Fault, Faults, Flows, Range};
use crate::enrich::{Edges, Keeper, Pipeline};
use crate::flows::listen::{Bound, Listener, is_shared};
use crate::flows::tap::{Tap, taps};
use crate::flows::{Collector, Settings};
use crate::journal::Journal;
use crate::rx::timeline::Timeline;
use crate::telemetry::Registry;
use analysing::{Analysing, Shared};
use ports::Ports;
use receiving::Receiving;
use watch::Watch;
use way::Way;

/// The kernel doubles what it is asked for; below so much a burst of exporters does not fit.
const BUFFER_BYTES_MIN: usize = 8 << 20;

/// The thread at work. Dropping it ends it.
pub struct FlowStream {
    watch: Arc<Watch>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    counting: Shared,
    time: Arc<OnceLock<Arc<Timeline>>>,
    ports: ports::Hand,
    /// Reads tables anew as long as it lives.
    _keeper: Option<Keeper>,
    follow: Option<Arc<FollowRanges>>,
}

/// What is to know the ranges that count from now on.
pub type FollowRanges = dyn Fn(&[Range]) + Send + Sync;

impl FlowStream {
    /// Reads the tables of `[enrich]`, and keeps them: its threads stay on the CPU of who calls, which need not be that of
    /// [`Self::start`]. Ranges are not read again: who reloads them says so, by [`Self::follow_ranges`].
    ///
    /// # Errors
    /// All that is wrong in their files.
    pub fn tables(config: &Config) -> Result<Option<Keeper>, Faults> {
        let start = |enrich| Keeper::start(enrich, &config.ranges.list, None, false);
        config.enrich.as_ref().filter(|_| config.flows.is_some()).map(start).transpose()
    }

    /// Opens all sockets and starts to receive, on the CPU of who calls; `None`: no flows are configured. `keeper`: see [`Self::tables`].
    ///
    /// # Errors
    /// Every address that cannot be listened at.
    pub fn start(config: &Config, keeper: Option<Keeper>, journal: &Arc<Journal>, stop: &Arc<AtomicBool>) -> Result<Option<Self>, Faults> {
        let Some(flows) = config.flows.clone() else { return Ok(None) };
        let sockets = open(config, &flows)?;
        let pipeline = pipeline(config, keeper.as_ref(), &flows);
        let follow = keeper.as_ref().zip(config.enrich.as_ref()).map(|(keeper, enrich)| keeper.follow_ranges(enrich));
        let follow = follow.map(|follow| Arc::new(follow) as Arc<FollowRanges>);
        let edges = keeper.as_ref().and_then(|keeper| Edges::new(&config.interfaces, keeper.shelf()));
        let mut analysing = Analysing::default();
        (analysing.edges, analysing.is_asked_for) = (edges, config.analyses_flows());
        let (counting, time) = (analysing.hand.clone(), Arc::<OnceLock<_>>::default());
        let at = Arc::clone(&time);
        let ports = Ports::default();
        let hand = ports.hand();
        let (watch, journal, ends) = (Watch::new(Arc::clone(stop)), Arc::clone(journal), Arc::clone(stop));
        let (told, window_ns) = (Arc::clone(&watch), config.appliance.window_ms * 1_000_000);
        let work = move || {
            let _over = Over(Arc::clone(&told));
            let mut collector = Collector::new(&Settings::from(&flows));
            let saver = flows.templates.as_deref().and_then(|file| Saver::start(file, &mut collector));
            let way = Way::new(&flows, journal, window_ns, pipeline);
            let listeners = sockets.into_iter().map(Listener::new).collect();
            Receiving {
                listeners,
                collector,
                way,
                saver,
                watch: told,
                told: Instant::now(),
                doubts: Doubts::new(),
                fault: None,
                analysing,
                time: at,
                ports,
            }
            .run(&ends);
        };
        let thread = thread::Builder::new().name("flows".into()).spawn(work);
        let thread = thread
            .map_err(|reason| Faults::of_file(&config.file, format!("[flows]: no thread: {reason}"), "raise the limit on threads"))?;
        Ok(Some(Self { watch, stop: Arc::clone(stop), thread: Some(thread), counting, time, ports: hand, _keeper: keeper, follow }))
    }

    /// For the reporter; and metrics are told from now on.
    pub fn accounts(&self, journal: &Arc<Journal>, registry: &Arc<Registry>) -> Accounts {
        let (watch, ask) = (Arc::clone(&self.watch), Arc::clone(journal));
        registry.set_flows(move || watch.snapshot(&ask));
        Accounts::new(Arc::clone(&self.watch), Arc::clone(journal), Arc::clone(registry))
    }

    /// The data path has begun, and this is its time.
    pub fn follow_time(&self, timeline: Arc<Timeline>) {
        // Whoever gave one before gave the same.
        let _ = self.time.set(timeline);
    }

    /// Flows are counted in the stats of their ranges from now on, each in the window in which it comes by the data path's time.
    pub fn analyse(&self, analysis: Analysis, timeline: Arc<Timeline>) {
        self.counting.give((analysis, timeline));
    }

    /// Who is to be told when other ranges count: customers of flows are theirs, if the configuration has it so.
    pub fn follow_ranges(&self) -> Option<Arc<FollowRanges>> {
        self.follow.clone()
    }

    /// Whether the thread has ended, though nobody told it to.
    pub fn is_dead(&self) -> bool {
        !self.stop.load(Ordering::Relaxed) && self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// What receiving cores hand export datagrams over by, if any are to be taken out of the mirror.
    pub fn taps(&self, config: &Config, cores: usize) -> Vec<Tap> {
        let Some(flows) = config.flows.as_ref().filter(|flows| !flows.from_ports.is_empty()) else { return Vec::new() };
        let (taps, tapped) = taps(&flows.from_ports, cores);
        self.ports.give(tapped);
        taps
    }

    /// Waits until all that came is in the journal. Ends it, if it was not told to end.
    pub fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that receives flows ended by a fault of its own; please report this");
        }
    }
}

impl Drop for FlowStream {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whoever waits for the last account waits no more, however the thread ended.
struct Over(Arc<Watch>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.is_over();
    }
}

/// What `[enrich]` and `[[streams]]` make of flows, if there is any of them.
fn pipeline(config: &Config, keeper: Option<&Keeper>, flows: &Flows) -> Option<Pipeline> {
    let is_any = keeper.is_some() || !config.streams.is_empty();
    is_any.then(|| Pipeline::new(&config.streams, keeper.map(Keeper::shelf), flows.format))
}

fn open(config: &Config, flows: &Flows) -> Result<Vec<Bound>, Faults> {
    let (mut sockets, mut faults) = (Vec::new(), Faults::default());
    for (at, address) in flows.listen.iter().enumerate() {
        if is_shared(*address) {
            tracing::warn!("flows: another socket listens at udp {address}: the kernel gives each a part of the exporters");
        }
        match Bound::open(*address) {
            Ok(socket) => {
                tracing::info!(buffer_bytes = socket.buffer_bytes(), "flows: listens at udp {address}");
                if socket.buffer_bytes().is_some_and(|bytes| bytes < BUFFER_BYTES_MIN) {
                    tracing::warn!("flows: the kernel holds few datagrams; sysctl -w net.core.rmem_max=67108864 lets it hold more");
                }
                sockets.push(socket);
            }
            Err(reason) => {
                let line = config.line(&["flows", "listen", &at.to_string()]).or_else(|| config.line(&["flows", "listen"])).unwrap_or(0);
                let (what, remedy) = refused(*address, &reason);
                faults.add(Fault { file: config.file.clone(), line, key: format!("flows.listen[{at}]"), what, remedy });
            }
        }
    }
    faults.or(sockets)
}

/// What is wrong with an address that cannot be listened at, and what mends it.
pub(super) fn refused(address: std::net::SocketAddr, reason: &std::io::Error) -> (String, String) {
    use std::io::ErrorKind;
    let what = format!("udp {address} cannot be listened at: {reason}");
    let port = address.port();
    let remedy = match reason.kind() {
        ErrorKind::AddrInUse => {
            format!("another program holds the port for itself (ss -ulpn 'sport = :{port}'): end it, or name another port")
        }
        ErrorKind::AddrNotAvailable => "no interface has this address: ip -brief address shows those that there are".to_owned(),
        ErrorKind::PermissionDenied => "ports below 1024 need the capability CAP_NET_BIND_SERVICE: name a higher one".to_owned(),
        _ => "name an address of this machine".to_owned(),
    };
    (what, remedy)
}
