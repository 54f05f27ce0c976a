//! Which lcore runs on which CPU.

use crate::config::{Config, Cores, Fault, Faults, Mode};
use crate::dpdk::LcorePin;

use super::lcores::Idle;

/// Every role's place.
#[derive(Clone, Debug)]
pub struct Places {
    /// The core map, as configured or proposed.
    pub cores: Cores,
    /// For EAL: main, receivers and workers.
    pub pins: Vec<LcorePin>,
    /// The reporter's CPU.
    pub reporter_cpu: usize,
    /// The CPU of sinks and admin.
    pub io_cpu: usize,
    /// The CPU of who receives flow records: the last of `cores.io`.
    pub flows_cpu: usize,
    /// What polling lcores do when nothing came.
    pub idle: Idle,
}

/// CPUs that this process may use.
pub fn usable_cpus() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

impl Places {
    /// As configured, an lcore being the CPU of that number; or as proposed for this machine.
    pub fn of(config: &Config) -> Self {
        match &config.cores {
            Some(cores) => Self::configured(cores.clone()),
            None => Self::proposed(config, &usable_cpus()),
        }
    }

    /// As [`Self::of`], if this process may use every CPU that is named; `share` places lcores that it may not use on
    /// those that it may.
    ///
    /// # Errors
    /// Every lcore of the core map that is absent.
    pub fn on_this_machine(config: &Config, share: bool) -> Result<Self, Faults> {
        let (usable, mut faults) = (usable_cpus(), Faults::default());
        let absent = config.cores.as_ref().map_or_else(Vec::new, |cores| Self::absent(cores, &usable));
        match &config.cores {
            Some(cores) if share && !absent.is_empty() => return Ok(Self::sharing(cores.clone(), &usable)),
            _ => {}
        }
        for (key, lcore) in absent {
            let what = format!("lcore {lcore}: CPU {lcore} is not on this machine, or not ours");
            let (line, key) = (config.line(&["cores", key]).unwrap_or(0), format!("cores.{key}"));
            faults.add(Fault { file: config.file.clone(), line, key, what, remedy: Self::absent_remedy(&usable) });
        }
        faults.or(()).map(|()| Self::of(config))
    }

    /// What to do about a core map that names too many.
    pub fn absent_remedy(usable: &[usize]) -> String {
        format!(
            "choose among {usable:?}, widen the process's cpuset, remove [cores] (then `run` takes what fits), or try it out, slowly, with --share-cpus"
        )
    }

    /// Every lcore on some CPU, in turn; whoever has nothing to do lets the others run.
    fn sharing(cores: Cores, usable: &[usize]) -> Self {
        let order = [data_lcores(&cores), vec![cores.reporter], cores.io.clone()].concat();
        let cpu = |lcore: u32| {
            let at = order.iter().position(|other| *other == lcore).unwrap_or(0);
            usable.get(at % usable.len().max(1)).copied().unwrap_or(0)
        };
        tracing::warn!(cpus = ?usable, lcores = order.len(), "lcores share CPUs, as --share-cpus allows: this is for trying out only");
        let pins = data_lcores(&cores).into_iter().map(|lcore| LcorePin { lcore, cpus: vec![cpu(lcore)] }).collect();
        let io_cpu = cpu(cores.io.first().copied().unwrap_or(cores.main));
        let flows_cpu = cores.io.last().map_or(io_cpu, |lcore| cpu(*lcore));
        Self { pins, reporter_cpu: cpu(cores.reporter), io_cpu, flows_cpu, idle: Idle::Nap, cores }
    }

    fn configured(cores: Cores) -> Self {
        let cpu = |lcore: u32| usize::try_from(lcore).unwrap_or(0);
        let pins = data_lcores(&cores).into_iter().map(|lcore| LcorePin { lcore, cpus: vec![cpu(lcore)] }).collect();
        let io_cpu = cpu(cores.io.first().copied().unwrap_or(cores.main));
        let flows_cpu = cores.io.last().map_or(io_cpu, |lcore| cpu(*lcore));
        Self { pins, reporter_cpu: cpu(cores.reporter), io_cpu, flows_cpu, idle: Idle::Spin, cores }
    }

    /// Run to completion: main, reporter and sinks share the first CPU or two, the others receive.
    fn proposed(config: &Config, cpus: &[usize]) -> Self {
        let cpu = |at: usize| cpus.get(at.min(cpus.len().saturating_sub(1))).copied().unwrap_or(0);
        let queues: usize = config.ports.iter().map(|port| usize::from(port.queues)).sum();
        let helpers = if cpus.len() > 3 { 2 } else { 1 };
        let receivers = cpus.len().saturating_sub(helpers).clamp(1, queues.max(1));
        let lcore = |at: usize| u32::try_from(at).unwrap_or(0);
        let rx: Vec<u32> = (1..=receivers).map(lcore).collect();
        let pin = |at: usize, cpu: usize| LcorePin { lcore: lcore(at), cpus: vec![cpu] };
        let pins = std::iter::once(pin(0, cpu(0))).chain((1..=receivers).map(|at| pin(at, cpu(helpers + at - 1)))).collect();
        let reporter = lcore(receivers + 1);
        let cores = Cores { mode: Mode::RunToCompletion, main: 0, rx, workers: Vec::new(), reporter, io: Vec::new() };
        // On so small a machine even a polling CPU is not ours alone.
        let idle = if cpus.len() > 3 { Idle::Spin } else { Idle::Nap };
        Self { cores, pins, reporter_cpu: cpu(helpers - 1), io_cpu: cpu(0), flows_cpu: cpu(0), idle }
    }

    /// The CPU of an lcore of the data path.
    pub fn cpu_of(&self, lcore: u32) -> Option<usize> {
        self.pins.iter().find(|pin| pin.lcore == lcore)?.cpus.first().copied()
    }

    /// Core map's entries that this machine lacks: key and CPU.
    pub fn absent(cores: &Cores, usable: &[usize]) -> Vec<(&'static str, u32)> {
        let one = |key, lcore: u32| vec![(key, lcore)];
        let many = |key, list: &[u32]| list.iter().map(|lcore| (key, *lcore)).collect::<Vec<_>>();
        let (rx, workers, io) = (many("rx", &cores.rx), many("workers", &cores.workers), many("io", &cores.io));
        let all = [one("main", cores.main), rx, workers, one("reporter", cores.reporter), io].concat();
        all.into_iter().filter(|(_, lcore)| !usize::try_from(*lcore).is_ok_and(|cpu| usable.contains(&cpu))).collect()
    }
}

/// lcores of the data path and the main one.
fn data_lcores(cores: &Cores) -> Vec<u32> {
    [&[cores.main][..], &cores.rx, &cores.workers].concat()
}

/// Keeps the calling thread, and those that it starts, on a CPU.
pub fn stay_on(cpu: usize) {
    if !core_affinity::set_for_current(core_affinity::CoreId { id: cpu }) {
        tracing::warn!(cpu, "this thread could not be kept on its CPU; it runs anywhere");
    }
}
