//! The best core map of each mode, out of the cores that there are, as a configuration writes it.

use serde::Serialize;

use super::account::ShapeAccount;
use super::maps::Map;
use crate::config::{Cores, Mode};
#[cfg(feature = "dpdk")]
use crate::runtime::places::{Places, usable_cpus};

/// A core map, and what it is good for.
#[derive(Clone, Debug, Serialize)]
pub struct Proposal {
    /// As in the configuration.
    pub mode: &'static str,
    /// Millions of packets a second of the shape that it carries least of.
    pub mpps: f64,
    /// That shape.
    pub shape: &'static str,
    /// Queues that it wants, where the configuration's ports have fewer; else 0.
    pub wants_queues: usize,
    /// Its CPUs that this machine lacks, or that are not ours.
    pub absent: Vec<u32>,
    /// `[cores]`, to be pasted.
    pub toml: String,
}

/// Of these cores, the better first: of each mode the map that carries most of whatever it carries least of.
pub(super) fn proposals(map: Map, cores: &Cores, shapes: &[ShapeAccount]) -> Vec<Proposal> {
    let worst = |map: &Map| {
        let of = |shape: &ShapeAccount| (map.mpps(&shape.costs), shape.shape);
        shapes.iter().map(of).min_by(|(one, _), (other, _)| one.total_cmp(other)).unwrap_or((0.0, ""))
    };
    let all = map.rx + map.workers;
    let own = Map { mode: Mode::RunToCompletion, rx: all, workers: 0, ..map };
    let split = map.splits().max_by(|one, other| worst(one).0.total_cmp(&worst(other).0));
    let mut maps: Vec<Proposal> = [Some(own), split].into_iter().flatten().map(|map| proposal(map, cores, worst(&map))).collect();
    maps.sort_by(|one, other| other.mpps.total_cmp(&one.mpps));
    maps
}

fn proposal(map: Map, cores: &Cores, (mpps, shape): (f64, &'static str)) -> Proposal {
    let data: Vec<u32> = cores.rx.iter().chain(&cores.workers).copied().collect();
    let (rx, workers) = data.split_at(map.rx.min(data.len()));
    let cores = Cores { mode: map.mode, rx: rx.to_vec(), workers: workers.to_vec(), ..cores.clone() };
    let (absent, toml) = (absent(&cores), toml(&cores));
    Proposal { mode: map.mode.name(), mpps, shape, wants_queues: map.wants_queues(), absent, toml }
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
