//! The best core map of each mode, out of the cores that there are, as a configuration writes it.

use serde::Serialize;

use super::account::ShapeAccount;
use super::maps::Map;
use crate::config::{Cores, Mode};
use crate::limits::LCORES_MAX;
#[cfg(feature = "dpdk")]
use crate::runtime::places::{Places, usable_cpus};
use crate::runtime::world::World;

/// A core map, and what it is good for.
#[derive(Clone, Debug, Serialize)]
pub struct Proposal {
    /// As in the configuration.
    pub mode: &'static str,
    /// Millions of packets a second of the shape that it carries least of, which the reporter and Kafka keep up with too.
    pub mpps: f64,
    /// That shape.
    pub shape: &'static str,
    /// What is full at that rate, where its cores would carry more.
    pub full: Option<&'static str>,
    /// Millions of packets a second that its cores would carry of it.
    pub cores_mpps: f64,
    /// Queues that it wants, where the configuration's ports have fewer; else 0.
    pub wants_queues: usize,
    /// `memory_mb` that it wants at least, where the configuration's would not hold its sums; else 0.
    pub wants_memory_mb: usize,
    /// CPUs that it wants, where there are fewer; else 0.
    pub wants_cpus: usize,
    /// Its CPUs that this machine lacks, or that are not ours.
    pub absent: Vec<u32>,
    /// `[cores]`, to be pasted; none where there are too few CPUs.
    pub toml: Option<String>,
}

/// What a map carries of the shape that it carries least of.
#[derive(Clone, Copy, Default)]
struct Least {
    mpps: f64,
    shape: &'static str,
    full: Option<&'static str>,
    cores_mpps: f64,
}

impl Least {
    /// Of a map; one of the `measured` map was measured, and Kafka takes so many bytes a second.
    fn of(map: Map, measured: &Map, world: &World, (shapes, kafka): (&[ShapeAccount], Option<f64>)) -> Self {
        let of = |shape: &ShapeAccount| {
            let mut account = map.account(false, measured, &shape.costs, &shape.end, world);
            if let Some(rate) = kafka {
                account.has(shape.end.kafka(rate));
            }
            let (mpps, full) = account.keeps_up();
            Self { mpps, shape: shape.shape, full, cores_mpps: account.mpps }
        };
        shapes.iter().map(of).min_by(|one, other| one.mpps.total_cmp(&other.mpps)).unwrap_or_default()
    }
}

/// A core map as large as this one, which `run` would have without `[cores]`, on CPUs that there are. There its lcores have CPUs
/// beside their numbers, and may share them; a configuration's are CPUs, and each stands in one place. None: there are too few.
pub(super) fn named(cores: &Cores, usable: &[usize]) -> Option<Cores> {
    let usable = usable.iter().filter(|cpu| **cpu < LCORES_MAX);
    let cpus: Vec<u32> = usable.filter_map(|cpu| u32::try_from(*cpu).ok()).collect();
    let [main, reporter, data @ ..] = &cpus[..] else { return None };
    let rx = data.get(..cores.rx.len() + cores.workers.len())?.to_vec();
    Some(Cores { mode: Mode::RunToCompletion, main: *main, rx, workers: Vec::new(), reporter: *reporter, io: Vec::new() })
}

/// Of these cores, the better first: of each mode the map that carries most of whatever it carries least of, with all that has to keep
/// up. Without `cores` there are too few CPUs to write one. `measured`: shapes, and bytes a second that Kafka takes.
pub(super) fn proposals(map: Map, cores: Option<&Cores>, world: &World, measured: (&[ShapeAccount], Option<f64>)) -> Vec<Proposal> {
    let least = |of: Map| (of, Least::of(of, &map, world, measured));
    let all = map.rx + map.workers;
    let own = Map { mode: Mode::RunToCompletion, rx: all, workers: 0, ..map };
    let split = map.splits().map(least).max_by(|(_, one), (_, other)| one.mpps.total_cmp(&other.mpps));
    let both = [Some(least(own)), split].into_iter().flatten();
    let mut maps: Vec<Proposal> = both.map(|(map, least)| proposal(map, cores, world, least)).collect();
    maps.sort_by(|one, other| other.mpps.total_cmp(&one.mpps));
    maps
}

fn proposal(map: Map, cores: Option<&Cores>, world: &World, least: Least) -> Proposal {
    let cores = cores.map(|cores| shared_out(map, cores));
    let (absent, toml) = (cores.as_ref().map_or_else(Vec::new, absent), cores.as_ref().map(toml));
    // Main and the reporter have CPUs of their own.
    let wants_cpus = if toml.is_none() { map.rx + map.workers + 2 } else { 0 };
    let memory = map.memory(world);
    let wants_memory_mb = if memory.lacking(world).is_some() { memory.least_mb() } else { 0 };
    let (mode, wants_queues, Least { mpps, shape, full, cores_mpps }) = (map.mode.name(), map.wants_queues(), least);
    Proposal { mode, mpps, shape, full, cores_mpps, wants_queues, wants_memory_mb, wants_cpus, absent, toml }
}

/// So many of them receive, and the others work.
fn shared_out(map: Map, cores: &Cores) -> Cores {
    let data: Vec<u32> = cores.rx.iter().chain(&cores.workers).copied().collect();
    let (rx, workers) = data.split_at(map.rx.min(data.len()));
    Cores { mode: map.mode, rx: rx.to_vec(), workers: workers.to_vec(), ..cores.clone() }
}

/// That there are.
#[cfg(feature = "dpdk")]
pub(super) fn cpus() -> Vec<usize> {
    usable_cpus()
}

#[cfg(not(feature = "dpdk"))]
pub(super) const fn cpus() -> Vec<usize> {
    Vec::new()
}

#[cfg(feature = "dpdk")]
fn absent(cores: &Cores) -> Vec<u32> {
    Places::absent(cores, &usable_cpus()).into_iter().map(|(_, cpu)| cpu).collect()
}

/// A program without DPDK runs on no core.
#[cfg(not(feature = "dpdk"))]
const fn absent(_: &Cores) -> Vec<u32> {
    Vec::new()
}

fn toml(cores: &Cores) -> String {
    let Cores { mode, main, rx, workers, reporter, io } = cores;
    let mode = mode.name();
    let list = |key: &str, list: &[u32]| if list.is_empty() { String::new() } else { format!("{key} = {list:?}\n") };
    let (rx, workers, io) = (list("rx", rx), list("workers", workers), list("io", io));
    format!("[cores]\nmode = \"{mode}\"\nmain = {main}\n{rx}{workers}reporter = {reporter}\n{io}")
}
