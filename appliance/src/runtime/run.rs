//! `tailwater run`: the appliance.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::configs::Configs;
use super::counters;
use super::exporting::Exporting;
use super::flow_stream::{Accounts, FlowStream};
use super::journal;
use super::lcores::launch_all;
use super::memory::{Lacking, MemoryPlan};
use super::monitor::{self, Monitor};
use super::orders::{LOOK, Orders};
use super::places::{Places, stay_on};
use super::reload::Reloader;
use super::shipping::Shipping;
use super::wiring::{Cores, FLOWS_LCORE, Wired, wire_with};
use super::world::{World, setting};
use super::{RunError, reporting};
use crate::admin::{Admin, Asked, Gate};
use crate::arch::{HashKey, Reserve};
use crate::config::{self, Config, Fault, Faults, Mode};
use crate::dpdk::{Eal, EalConfig, FilePrefix, Hugepages, LcoreHandle};
use crate::flows::tap::Tap;
use crate::journal::Journal;
use crate::limits::TAKERS_MAX;
use crate::parse::DropReason;
use crate::report::{PortName, Reporter};
use crate::rx::RxQueue;
use crate::rx::keepers::Lookout;
use crate::rx::live::{self, LivePort};
use crate::rx::timeline::Timeline;
use crate::sink::{self, RunningSinks};
use crate::spread::handover::takers_of;
use crate::telemetry::{LiveQueue, Registry, StatusLine, log};

/// How long the journal's disk may take at the end.
const KEEPING: Duration = Duration::from_secs(10);
/// How often transceivers are read.
const OPTICS_EACH: Duration = Duration::from_secs(30);
/// How long sinks may take at the end to deliver what waits.
const DELIVERY: Duration = Duration::from_secs(20);

/// Runs until SIGTERM or SIGINT; then closes the window, delivers it and returns. `share_cpus`: where the machine has
/// fewer CPUs than the core map names, lcores share them.
///
/// # Errors
/// What stops it from starting, and reports that could not be delivered at the end. What goes wrong between is told,
/// counted and survived.
pub fn run(config: &Config, share_cpus: bool) -> Result<(), RunError> {
    let (orders, ask) = Orders::listen().map_err(RunError::Signals)?;
    let stop = Arc::clone(&orders.stop);
    let places = Places::on_this_machine(config, share_cpus).map_err(RunError::Cores)?;
    // First of all: a second appliance of this name is refused before it touches what the first one uses.
    let eal = Eal::init(&eal_config(config, &places))?;
    let mut world = World::first(config, hash_key(config)?, config.ports.len()).map_err(RunError::Stat)?;
    world.reserve = Reserve::AtStart;
    let world = Arc::new(world);
    enough(config, &places, &world)?;
    let registry = registry(config, &world);
    let journal = beside(places.io_cpu, || journal::open(config))??;
    let tables = beside(places.io_cpu, || FlowStream::tables(config))?.map_err(RunError::Flows)?;
    let mut flows = beside(places.flows_cpu, || FlowStream::start(config, tables, &journal, &stop))?.map_err(RunError::Flows)?;
    let accounts = flows.as_ref().map(|flows| flows.accounts(&journal, &registry));
    let gate = Gate::new(config.reload_token().map_err(RunError::Token)?, Arc::clone(&registry));
    let mut outside = Outside::start(config, &places, (&journal, &registry), ask, gate.clone())?;
    let counted = count(&eal, config, &places, &world, (&registry, &journal, flows.as_ref().zip(accounts)), orders, gate);
    // All that came of flows is in the journal before it closes.
    if let Some(flows) = &mut flows {
        flows.end();
    }
    let delivered = outside.stop(&journal, &stop);
    counted.and(delivered)
}

/// Whether `memory_mb` holds what must always be there.
fn enough(config: &Config, places: &Places, world: &World) -> Result<(), RunError> {
    let cores = Cores { rx: places.cores.rx.clone(), workers: places.cores.workers.clone() };
    let Some(Lacking { what, remedy }) = MemoryPlan::new(world, &cores).lacking(world) else { return Ok(()) };
    let (line, key) = (config.line(&["appliance", "memory_mb"]).unwrap_or(0), "appliance.memory_mb".to_owned());
    let mut faults = Faults::default();
    faults.add(Fault { file: config.file.clone(), line, key, what, remedy });
    faults.or(()).map_err(RunError::Memory)
}

/// The data path and the reporter, until told to stop.
fn count(
    eal: &Eal,
    config: &Config,
    places: &Places,
    world: &Arc<World>,
    (registry, journal, flows): (&Arc<Registry>, &Arc<Journal>, Option<(&FlowStream, Accounts)>),
    orders: Orders,
    gate: Gate,
) -> Result<(), RunError> {
    let timeline = Arc::new(Timeline::default());
    let ports =
        live::open_for(eal, &config.ports, takers(config, &places.cores), world.calendar.epoch_ns(), &timeline).map_err(RunError::Ports)?;
    let cores = Cores { rx: polling(&places.cores.rx, &ports, world.hands_over), workers: places.cores.workers.clone() };
    let move_to = |lcore| {
        let cpu = if lcore == FLOWS_LCORE { Some(places.flows_cpu) } else { places.cpu_of(lcore) };
        cpu.into_iter().for_each(stay_on);
    };
    let mut wired = wire_with((&MemoryPlan::new(world, &cores), Some(&move_to)), world, &cores, registry, false);
    let streams = std::mem::take(&mut wired.streams);
    let (flows, accounts) = flows.unzip();
    let follow = flows.and_then(FlowStream::follow_ranges);
    if let Some(flows) = flows {
        join(flows, &mut wired, flows.taps(config, cores.rx.len()), &timeline);
    }
    let mut exporting = {
        let shared = (journal, registry, Arc::clone(&timeline));
        beside(places.io_cpu, || Exporting::start(config, cores.rx.len(), seed()?, shared).map_err(RunError::Exports))??
    }
    .map(|(exporting, taps)| {
        wired.receivers.iter_mut().zip(taps).for_each(|(receiver, tap)| receiver.sample_for(tap));
        exporting
    });
    let (mut queues, monitor) = split(ports, &cores.rx, registry, config, Arc::clone(&timeline));
    let without: Vec<&mut Vec<RxQueue>> = queues.iter_mut().filter(|queues| queues.is_empty()).collect();
    let empty = live::empty(eal, without.len(), world.calendar.epoch_ns(), &timeline).map_err(|fault| RunError::Ports(vec![fault]))?;
    without.into_iter().zip(empty).for_each(|(queues, queue)| queues.push(queue));
    let (boot_id, port_names) = (random()?, port_names(config));
    journal::begin(config, journal, boot_id);
    let mut configs = Configs::new(Arc::clone(journal), boot_id);
    configs.tell(config, world.number, 0);
    let setting = setting(config, world, boot_id, port_names.clone(), true);
    let shipping = Shipping::new(Arc::clone(journal), Arc::clone(registry)).with_flows(accounts);
    let shipping = shipping.with_exports(exporting.as_ref().map(|exporting| exporting.accounts(&cores.rx, journal, registry)));
    let mut reporter = Reporter::new(setting, Arc::clone(&world.plans), world.calendar, streams, shipping, monitor.clone());
    if let Some(counters) = beside(places.io_cpu, || counters::listen(config))? {
        reporter = reporter.with_counters(counters);
    }
    let mut generations = std::mem::take(&mut wired.generations);
    generations.reporter = Some(reporter.control());
    let started = (config.clone(), Arc::clone(world), cores.clone());
    let reloader = Reloader::new(started, generations, (configs, port_names), Arc::clone(registry), gate);
    let reloader = reloader.with_names(exporting.as_ref().map(Exporting::shelf)).with_followers(follow);
    let reporter = {
        let (cpu, registry) = (places.reporter_cpu, Arc::clone(registry));
        std::thread::spawn(move || {
            stay_on(cpu);
            reporting::run(reporter, || registry.reporter_beat())
        })
    };
    let handles = launch_all(eal, (&cores.rx, &cores.workers), wired, (queues, world.hands_over), &orders.stop, places.idle)?;
    registry.window_opened();
    journal::await_begun(journal);
    tracing::info!(mode = mode(places), rx = ?cores.rx, workers = ?cores.workers, ranges = config.ranges.list.len(), "counting");
    watch(&handles, &monitor, registry, (orders, reloader), &|| reporter.is_finished() || flows.is_some_and(FlowStream::is_dead));
    for handle in handles {
        handle.join()?;
    }
    // All that was sampled is sent, and logs are in the journal before it closes.
    exporting.iter_mut().for_each(Exporting::end);
    reporter.join().map_err(|_| RunError::Reporter)?;
    Ok(())
}

/// The main loop: reloads, the clock at each turn, ports once a second, a status line on a terminal.
fn watch(
    handles: &[LcoreHandle<()>],
    monitor: &Monitor,
    registry: &Registry,
    (mut orders, mut reloader): (Orders, Reloader),
    has_ended: &dyn Fn() -> bool,
) {
    let terminal = std::io::stderr().is_terminal();
    let (mut status, mut last, stop) = (StatusLine::new(), Instant::now(), Arc::clone(&orders.stop));
    let (mut optics_at, mut lookout) = (Instant::now(), Lookout::default());
    monitor.look_at_keepers(&mut lookout);
    while !stop.load(Ordering::Relaxed) {
        orders.obey(&mut reloader);
        monitor.look_at_clock();
        let over = handles.iter().any(LcoreHandle::is_finished) || has_ended();
        if over && !stop.load(Ordering::Relaxed) {
            tracing::error!("a core, the reporter or the thread that receives flows has stopped by itself: closing; please report this");
            stop.store(true, Ordering::Relaxed);
        }
        if last.elapsed() < Duration::from_secs(1) {
            continue;
        }
        last = Instant::now();
        monitor.look();
        monitor.look_at_keepers(&mut lookout);
        if Instant::now() >= optics_at {
            optics_at = Instant::now() + OPTICS_EACH;
            monitor.look_at_optics();
        }
        if terminal {
            log::show_status(&status.line(&registry.snapshot()));
        }
    }
    log::end_status();
    tracing::info!("stopping: the last window is closed and delivered");
}

/// Starts something whose threads belong on a CPU: they keep to the one of the thread that starts them.
fn beside<T: Send>(cpu: usize, start: impl FnOnce() -> T + Send) -> Result<T, RunError> {
    let start = || {
        stay_on(cpu);
        start()
    };
    std::thread::scope(|scope| scope.spawn(start).join().map_err(|_| RunError::Reporter))
}

/// Sinks and admin: everything that talks to others.
struct Outside {
    sinks: RunningSinks,
    _admin: Option<Admin>,
}

impl Outside {
    fn start(
        config: &Config,
        places: &Places,
        (journal, registry): (&Arc<Journal>, &Arc<Registry>),
        reload: SyncSender<Asked>,
        gate: Gate,
    ) -> Result<Self, RunError> {
        let sinks = beside(places.io_cpu, || sink::start(&config.sinks, journal))??;
        if let Some(address) = sinks.embedded_kafka() {
            tracing::info!(bootstrap = address, "an embedded Kafka cluster holds the reports");
        }
        let watch = sinks.watch();
        registry.set_sinks(move || watch.status());
        let watch = sinks.watch();
        registry.set_journal(move || watch.journal());
        let ask = Arc::clone(registry);
        let start =
            |address| Admin::start(address, Arc::new(move || ask.snapshot()), Arc::new(move |asked| reload.try_send(asked).is_ok()), gate);
        let admin = config.admin.listen.map(start).transpose()?;
        Ok(Self { sinks, _admin: admin })
    }

    /// Delivers what waits.
    fn stop(&mut self, journal: &Journal, signal: &AtomicBool) -> Result<(), RunError> {
        journal.close();
        let mut undelivered = 0;
        for status in self.sinks.stop(Instant::now() + DELIVERY) {
            let (sink, delivered, flows, left) =
                (&status.name, status.delivered, status.flows, status.behind + status.lots_behind + status.log_lots_behind);
            if left > 0 {
                undelivered += left;
                tracing::error!(%sink, delivered, flows, left, "reports could not be delivered in time");
            } else {
                tracing::info!(%sink, delivered, flows, "all reports delivered");
            }
        }
        hold_embedded(&self.sinks, signal);
        let is_kept = journal.end(Instant::now() + KEEPING);
        if undelivered > 0 && !is_kept {
            return Err(RunError::Undelivered { reports: undelivered, seconds: DELIVERY.as_secs() });
        }
        if undelivered > 0 {
            tracing::warn!(reports = undelivered, "what was not delivered is in the journal: the next start delivers it");
        }
        Ok(())
    }
}

/// A demonstration reads the embedded cluster after the last window: `TAILWATER_HOLD_S` keeps it so many seconds, or
/// until the next signal.
fn hold_embedded(sinks: &RunningSinks, signal: &AtomicBool) {
    let hold = std::env::var("TAILWATER_HOLD_S").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    if sinks.embedded_kafka().is_none() || hold == 0 {
        return;
    }
    tracing::info!(seconds = hold, "the embedded Kafka cluster stays until the next signal");
    signal.store(false, Ordering::Relaxed);
    let until = Instant::now() + Duration::from_secs(hold);
    while !signal.load(Ordering::Relaxed) && Instant::now() < until {
        std::thread::sleep(LOOK);
    }
}

/// The receiving lcores that are of use: those that have a queue to poll, and the others where they may take bursts of these.
fn polling(rx: &[u32], ports: &[LivePort], hands_over: bool) -> Vec<u32> {
    let queues: usize = ports.iter().map(|port| port.queues.len()).sum();
    let (polling, idle) = rx.split_at(rx.len().min(queues + if hands_over { TAKERS_MAX } else { 0 }));
    let tell = |lcores: &[u32], how: &str| {
        if !lcores.is_empty() {
            tracing::warn!(queues, ?lcores, "these receiving cores have no queue and {how}: raise `queues` of a port, or shorten cores.rx");
        }
    };
    tell(&polling[queues.min(polling.len())..], "poll all the same, to take bursts of queues that have too much");
    tell(idle, "stay idle");
    polling.to_vec()
}

/// Cores that may take bursts from the one that polls a queue.
pub(super) fn takers(config: &Config, cores: &config::Cores) -> usize {
    if config.appliance.hand_over { takers_of(cores.rx.len()) } else { 0 }
}

/// Gives queues to receivers in turn, and what is left of the ports to the monitor.
fn split(
    ports: Vec<LivePort>,
    receivers: &[u32],
    registry: &Arc<Registry>,
    config: &Config,
    timeline: Arc<Timeline>,
) -> (Vec<Vec<RxQueue>>, Monitor) {
    let mut queues: Vec<Vec<RxQueue>> = receivers.iter().map(|_| Vec::new()).collect();
    let (mut at, mut watched) = (0, Vec::new());
    for (port, row) in ports.into_iter().zip(&config.ports) {
        tracing::info!("{}", port.report);
        port.report.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let mut watched_queues = Vec::new();
        for mut queue in port.queues {
            let (live, of) = (Arc::new(LiveQueue::default()), at % receivers.len().max(1));
            queue.show_on(Arc::clone(&live));
            watched_queues.extend(receivers.get(of).map(|lcore| monitor::Queue { index: queue.index(), lcore: *lcore, live }));
            queues[of].push(queue);
            at += 1;
        }
        let live = registry.port(u32::from(port.index), &port.device, &row.feed);
        watched.push((port.device, port.health, live, watched_queues));
    }
    (queues, Monitor::new(watched, timeline, Arc::clone(registry)))
}

fn registry(config: &Config, world: &World) -> Arc<Registry> {
    let window = Duration::from_nanos(world.calendar.epoch_ns());
    let registry = Registry::new(&config.appliance.name, &config.appliance.pop, window);
    registry.set_drop_reasons(&DropReason::ALL.map(DropReason::name));
    registry.memory_budget_bytes.store(world.memory_bytes as u64, Ordering::Relaxed);
    registry
}

fn eal_config(config: &Config, places: &Places) -> EalConfig {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = config.appliance.name.chars().map(plain).take(40).collect();
    EalConfig {
        program: "tailwater".to_owned(),
        file_prefix: FilePrefix::Named(if name == "tailwater" { name } else { format!("tailwater-{name}") }),
        lcores: places.pins.clone(),
        main_lcore: places.cores.main,
        pci: live::pci_addresses(&config.ports),
        memory_mb: live::memory_mb(&config.ports, takers(config, &places.cores)),
        hugepages: Hugepages::Auto,
    }
}

fn port_names(config: &Config) -> Vec<PortName> {
    let name = |port: &config::Port| PortName { device: port.device.clone(), feed: port.feed.clone(), min_pps: port.min_pps };
    config.ports.iter().map(name).collect()
}

const fn mode(places: &Places) -> &'static str {
    match places.cores.mode {
        Mode::RunToCompletion => "run-to-completion",
        Mode::Pipeline => "pipeline",
    }
}

/// The configured key, or one drawn now.
fn hash_key(config: &Config) -> Result<HashKey, RunError> {
    let drawn = || -> Result<[u8; 32], RunError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| RunError::Random(error.to_string()))?;
        Ok(bytes)
    };
    Ok(HashKey::new(config.appliance.hash_key.map_or_else(drawn, Ok)?))
}

/// The thread that receives flows gets the data path's time, what counts its records, and what cores take out of the mirror.
fn join(flows: &FlowStream, wired: &mut Wired, taps: Vec<Tap>, timeline: &Arc<Timeline>) {
    flows.follow_time(Arc::clone(timeline));
    if let Some(analysis) = wired.analysis.take() {
        flows.analyse(analysis, Arc::clone(timeline));
    }
    wired.receivers.iter_mut().zip(taps).for_each(|(receiver, tap)| receiver.take_exports_by(tap));
}

/// Of what is sampled: nobody can tell which frames are.
fn seed() -> Result<[u8; 32], RunError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| RunError::Random(error.to_string()))?;
    Ok(seed)
}

/// A boot's id, never 0.
fn random() -> Result<u64, RunError> {
    getrandom::u64().map(|id| id.max(1)).map_err(|error| RunError::Random(error.to_string()))
}
