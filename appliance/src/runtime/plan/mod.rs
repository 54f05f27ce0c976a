//! `tailwater plan`: what a configuration can carry on this machine, said in advance.
//!
//! One core of the appliance runs here as `run` would run it, with the configuration's own ranges, stats and windows, under
//! traffic that the generator makes in memory. A poll now and then is timed stage by stage and stat by stat; what they leave
//! over of the time that the thread ran is told as `other`. Taking frames from a queue is measured apart, and so is handing
//! batches to another core, as full as a window's are. From these prices follows what the core map carries, in either mode, and what
//! ends it; and which core maps are the best. Reports are sent to a broker inside this process, where the configuration has Kafka.

mod account;
mod broker;
mod clock;
mod engine;
mod frames;
mod handoff;
mod maps;
#[cfg(test)]
mod maps_tests;
mod proposals;
#[cfg(feature = "dpdk")]
mod rx;
mod text;
mod traffic;
mod unpriced;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod traffic_tests;

use std::sync::Arc;
use std::time::Duration;

pub use account::{Account, Costs, ShapeAccount, StatPrice};
pub use maps::{BoxAccount, Limit};
pub use proposals::Proposal;

use self::engine::Engine;
use self::frames::Frames;
use self::maps::Map;
#[cfg(test)]
use self::maps::{Reach, WindowEnd};
use super::memory::{Lacking, MemoryPlan};
use super::wiring;
use super::world::World;
use crate::arch::{HashKey, Reserve};
use crate::config::{self, Config, Fault, Faults, Refusal};
use crate::generate::Shape;
use crate::rx::capture::CaptureError;

/// How long is measured unless told otherwise: each of seven shapes has a window of 10 s.
pub const SECONDS: u64 = 90;
/// Frames of a shape, from a minute on.
const FRAMES: u64 = 1_000_000;
/// The least, however short the time is.
const FRAMES_MIN: u64 = 50_000;
/// Of the time that is given, what shapes are measured for; traffic is made and windows are reported in the rest.
const MEASURED_SHARE: f64 = 0.8;
/// What a frame costs to receive where nothing was measured: 10-gigabit drivers take some forty cycles.
const RX_ASSUMED_NS: f64 = 15.0;
/// Frames whose records are handed to another core, in each pass.
const HANDED_FRAMES: u64 = 200_000;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long to measure, about.
    pub seconds: u64,
    /// Whether receiving is measured too, where DPDK is at hand; else it is assumed.
    pub receives: bool,
    /// Frames of a shape; none: a million from a minute on, fewer in less.
    pub frames: Option<u64>,
    /// Shapes of traffic; empty: all that the configuration has something for.
    pub shapes: Vec<Shape>,
}

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The configuration.
    #[error("{0}")]
    Configuration(Faults),
    /// A row of it.
    #[error("a stat cannot be compiled: {}: {}", .0.key, .0.message)]
    Stat(Refusal),
    /// Traffic could not be made.
    #[error("traffic could not be made in memory: {0}; lower --seconds, or free memory")]
    Traffic(#[from] std::io::Error),
    /// Traffic could not be read.
    #[error("{0}; please report this")]
    Capture(#[from] CaptureError),
    /// The core under measure.
    #[error("no core could be wired; please report this")]
    Core,
}

impl PlanError {
    /// Whether the configuration is to blame.
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::Configuration(_) | Self::Stat(_))
    }
}

/// Measures, and says what the core map carries. `tell` is given a line now and then.
///
/// # Errors
/// See [`PlanError`].
pub fn plan(config: &Config, cores: &config::Cores, options: &Options, tell: &mut dyn FnMut(&str)) -> Result<Account, PlanError> {
    let world = world(config, cores)?;
    let shapes = traffic::shapes(config, &options.shapes)?;
    let slice = slice(options.seconds, shapes.len());
    let mut receiving = Receiving::new(config, options.receives);
    tell(&format!("receiving: {}", receiving.basis));
    let memory = Map::of(config, cores).polling().memory(&world);
    let mut engine = Engine::new(config, &world, &memory).ok_or(PlanError::Core)?;
    let count = options.frames.unwrap_or_else(|| (FRAMES * options.seconds / 60).clamp(FRAMES_MIN, FRAMES));
    let mut account = Account::new(config, cores, &receiving.basis);
    for shape in shapes {
        tell(&format!("{}: {}", shape.name(), shape.about()));
        let (crowds, reach) = traffic::crowds(config, slice, shape);
        let capture = crowds.capture(shape, count)?;
        let rx_ns = receiving.price_ns(&capture);
        let mut frames = Frames::of(capture)?;
        let fetching_ns = frames.fetching_ns();
        let window = engine.window(&mut frames, rx_ns - fetching_ns, slice);
        let handed = HANDED_FRAMES.min(count);
        let mut to_few = handoff::frames(&crowds, shape, reach.packets_of_range(window.packets), handed)?;
        let handoff = handoff::measure(&world, &mut to_few, handed);
        account.add(&world, shape, (reach, &frames), Costs::of(&window, rx_ns, fetching_ns, handoff), &window);
    }
    if let Some(fault) = receiving.fault.take() {
        tell(&fault);
    }
    if let Some(kafka) = &config.sinks.kafka {
        tell("sending: reports as they were, by librdkafka to a broker inside this process");
        if let Some(rate) = broker::bytes_per_second(kafka, &engine.sample()) {
            account.sends(rate);
        }
    }
    account.unpriced = unpriced::unpriced(config, cores.rx.len() + cores.workers.len(), traffic::marks(config).is_some());
    account.finish(config, &world, receiving.basis);
    Ok(account)
}

/// How long one of so many shapes is measured at most.
fn slice(seconds: u64, shapes: usize) -> Duration {
    Duration::from_secs(seconds).mul_f64(MEASURED_SHARE) / u32::try_from(shapes.max(1)).unwrap_or(1)
}

fn fault(config: &Config, key: &[&str], what: String, remedy: String) -> PlanError {
    let line = config.line(key).unwrap_or(0);
    PlanError::Configuration(Faults::one(Fault { file: config.file.clone(), line, key: key.join("."), what, remedy }))
}

/// What cores share, with all of the budget.
fn world(config: &Config, cores: &config::Cores) -> Result<Arc<World>, PlanError> {
    let key = config.appliance.hash_key.map_or_else(HashKey::constant, HashKey::new);
    let mut world = World::first(config, key, config.ports.len().max(1)).map_err(PlanError::Stat)?;
    let all = wiring::Cores { rx: cores.rx.clone(), workers: cores.workers.clone() };
    if let Some(Lacking { what, remedy }) = MemoryPlan::new(&world, &all).lacking(&world) {
        return Err(fault(config, &["appliance", "memory_mb"], what, remedy));
    }
    world.reserve = Reserve::AtStart;
    Ok(Arc::new(world))
}

/// What receiving costs: measured or assumed.
struct Receiving {
    #[cfg(feature = "dpdk")]
    device: Option<rx::Receives>,
    basis: String,
    fault: Option<String>,
}

impl Receiving {
    #[cfg(feature = "dpdk")]
    fn new(config: &Config, wanted: bool) -> Self {
        let assumed = |why: &str| Self { device: None, basis: format!("assumed to take {RX_ASSUMED_NS} ns a frame: {why}"), fault: None };
        if !wanted {
            return assumed("not asked to measure it");
        }
        match rx::Receives::new(config) {
            Ok(device) => Self { basis: device.what().to_owned(), device: Some(device), fault: None },
            Err(fault) => assumed(&fault),
        }
    }

    #[cfg(not(feature = "dpdk"))]
    fn new(_: &Config, _: bool) -> Self {
        Self { basis: format!("assumed to take {RX_ASSUMED_NS} ns a frame: this program is built without DPDK"), fault: None }
    }

    #[cfg(feature = "dpdk")]
    fn price_ns(&mut self, capture: &[u8]) -> f64 {
        match self.device.as_mut().map(|device| device.price_ns(capture)) {
            None => RX_ASSUMED_NS,
            Some(Ok(ns)) => ns,
            Some(Err(fault)) => {
                self.basis = format!("assumed to take {RX_ASSUMED_NS} ns a frame where no device could be polled: {fault}");
                self.fault = Some(self.basis.clone());
                RX_ASSUMED_NS
            }
        }
    }

    #[cfg(not(feature = "dpdk"))]
    #[allow(clippy::unused_self, reason = "with DPDK it asks a device")]
    fn price_ns(&mut self, _: &[u8]) -> f64 {
        RX_ASSUMED_NS
    }
}
