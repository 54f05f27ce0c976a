//! `tailwater check`: whether the machine has the memory, and of which kind.

use std::fs;
use std::path::Path;

use super::check::{Finding, Verdict, bad, good};
use super::memory::MemoryPlan;
use crate::arch::{HUGE_PAGE_BYTES, Region};
use crate::dpdk::is_mounted;

const PAGE_2M_KB: u64 = HUGE_PAGE_BYTES as u64 / 1024;
const PAGE_1G_KB: u64 = 1 << 20;

/// Hugepages of one size, on one NUMA node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pool {
    kb: u64,
    node: u32,
    reserved: u64,
    free: u64,
    /// Those of the size are: DPDK takes no others.
    mounted: bool,
}

/// What the machine has.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    total_mb: Option<u64>,
    available_mb: Option<u64>,
    /// Of sizes and nodes.
    pools: Vec<Pool>,
}

/// What `run` takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// `memory_mb`.
    pub(super) budget_mb: u64,
    /// Pages of 2 MB that hold what cores reserve of it.
    pub(super) pages: u64,
    /// DPDK's own.
    pub(super) dpdk_mb: u64,
    /// NUMA node of the ports, where it is known.
    pub(super) node: Option<u32>,
}

impl Need {
    /// Pages of 2 MB for the logs, roots and sketches of all cores.
    pub(super) const fn pages_of(plan: &MemoryPlan) -> u64 {
        let (receivers, shards) = plan.cores;
        let shard = Region::huge_pages(plan.shard.roots) + Region::huge_pages(plan.shard.sketches);
        (receivers * Region::huge_pages(plan.logs) + shards * shard) as u64
    }
}

impl Machine {
    /// This one.
    pub(super) fn here() -> Self {
        let mut machine = Self::of(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
        machine.pools = pools(Path::new("/sys/devices/system/node"), &fs::read_to_string("/proc/mounts").unwrap_or_default());
        machine
    }

    fn of(meminfo: &str) -> Self {
        let mb = |name: &str| {
            let line = meminfo.lines().find(|line| line.starts_with(name))?;
            Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
        };
        Self { total_mb: mb("MemTotal:"), available_mb: mb("MemAvailable:"), pools: Vec::new() }
    }

    /// Those of a size, on a node if one is given.
    fn of_size(&self, kb: u64, node: Option<u32>) -> impl Iterator<Item = &Pool> {
        self.pools.iter().filter(move |pool| pool.kb == kb && node.is_none_or(|node| pool.node == node))
    }

    fn is_numa(&self) -> bool {
        self.pools.iter().any(|pool| pool.node > 0)
    }

    /// Pages of 2 MB that are needed: DPDK takes larger ones for itself where those suffice and are mounted.
    fn pages_needed(&self, need: Need) -> (u64, u64) {
        let large_mb: u64 = self.of_size(PAGE_1G_KB, None).filter(|pool| pool.mounted).map(|pool| pool.free * 1024).sum();
        let dpdk = if large_mb >= need.dpdk_mb { 0 } else { need.dpdk_mb.div_ceil(2) };
        (dpdk, need.pages)
    }

    /// Whether `memory_mb` is there at all.
    pub(super) fn budget(&self, about: &str, need: Need) -> Option<Finding> {
        let (budget, total) = (need.budget_mb, self.total_mb.unwrap_or(u64::MAX));
        if budget > total {
            let remedy = format!("set it to at most {}", total * 3 / 4);
            return Some(bad(Verdict::Wrong, about, format!("{budget} MB, but the machine has {total}"), remedy));
        }
        let (available, free) = (self.available_mb.unwrap_or(u64::MAX), self.free(None));
        let (dpdk, pages) = self.pages_needed(need);
        let ordinary = if free >= dpdk + pages { 0 } else { budget.saturating_sub(2 * free) };
        if ordinary <= available {
            return None;
        }
        let what = format!(
            "{budget} MB, of which {ordinary} are no hugepages, but only {available} of the machine's {total} MB are available now"
        );
        let remedy = "free memory, reserve hugepages, or lower it; where an appliance runs with it already, that is what takes it";
        Some(bad(Verdict::Weak, about, what, remedy))
    }

    fn free(&self, node: Option<u32>) -> u64 {
        self.of_size(PAGE_2M_KB, node).map(|pool| pool.free).sum()
    }

    /// Whether there are hugepages for DPDK and for `memory_mb`. Both take them from any node: DPDK of the ports' one first, `memory_mb` of
    /// that whose CPU runs the core.
    pub(super) fn hugepages(&self, need: Need) -> Finding {
        let ((dpdk, pages), free) = (self.pages_needed(need), self.free(None));
        let node = need.node.filter(|_| self.is_numa());
        let wanted = dpdk + pages;
        let what = format!("{}; {wanted} pages of 2 MB needed, {dpdk} for DPDK and {pages} for memory_mb", self.there_are());
        let weak = |lacking: &str, remedy: String| bad(Verdict::Weak, "hugepages", format!("{what}: {lacking}"), remedy);
        if free < dpdk {
            return weak("DPDK takes ordinary pages, at about half the speed", self.reserve(wanted, node));
        }
        if free < wanted {
            return weak("memory_mb takes ordinary pages, locked if that is allowed", self.reserve(wanted, node));
        }
        if dpdk > 0 && !self.of_size(PAGE_2M_KB, None).any(|pool| pool.mounted) {
            let lacking = "they are not mounted, and DPDK takes ordinary pages, at about half the speed";
            return weak(lacking, "sudo bash hugepages.sh mount".to_owned());
        }
        if let Some(of_ports) = node.filter(|_| self.free(node) < wanted) {
            return weak(&format!("node {of_ports}, the ports', has too few: those of other nodes are slower"), self.reserve(wanted, node));
        }
        good("hugepages", what)
    }

    /// What makes so many pages ready: `reserve` sets a total, and some of what is reserved may be an appliance's that runs.
    fn reserve(&self, wanted: u64, node: Option<u32>) -> String {
        let reserved: u64 = self.of_size(PAGE_2M_KB, node).map(|pool| pool.reserved).sum();
        let held = reserved.saturating_sub(self.free(node));
        let on = node.map_or_else(String::new, |node| format!(" --node {node}"));
        let command = |total: u64| format!("sudo bash hugepages.sh reserve {total}{on}");
        let own = "where an appliance runs with this configuration, which holds";
        if held == 0 {
            command(wanted)
        } else if reserved >= wanted {
            format!("nothing {own} {held} of the {reserved}; where others hold them: {}", command(wanted + held))
        } else {
            format!("{} {own} {held} of the {reserved}; where others hold them: {}", command(wanted), command(wanted + held))
        }
    }

    /// Free pages by size, and by node where there are several.
    fn there_are(&self) -> String {
        let of = |(kb, name): (u64, &str)| {
            let pools: Vec<&Pool> = self.of_size(kb, None).collect();
            let sum = |value: fn(&Pool) -> u64| pools.iter().map(|pool| value(pool)).sum::<u64>();
            let nodes = pools.iter().map(|pool| format!("node {}: {}", pool.node, pool.free)).collect::<Vec<_>>().join(", ");
            let nodes = if self.is_numa() { format!(" ({nodes})") } else { String::new() };
            format!("{} of {} pages of {name} free{nodes}", sum(|pool| pool.free), sum(|pool| pool.reserved))
        };
        [(PAGE_2M_KB, "2 MB"), (PAGE_1G_KB, "1 GB")].map(of).join(", ")
    }
}

/// Of every size and node.
fn pools(nodes: &Path, mounts: &str) -> Vec<Pool> {
    let folders = |at: &Path| fs::read_dir(at).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut found = Vec::new();
    for node in folders(nodes) {
        let Some(number) = name(&node).strip_prefix("node").and_then(|n| n.parse().ok()) else { continue };
        for folder in folders(&node.join("hugepages")) {
            let count = |file: &str| fs::read_to_string(folder.join(file)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            let Some(kb) = name(&folder).strip_prefix("hugepages-").and_then(|n| n.strip_suffix("kB")?.parse().ok()) else { continue };
            let (reserved, free) = (count("nr_hugepages"), count("free_hugepages"));
            found.push(Pool { kb, node: number, reserved, free, mounted: is_mounted(mounts, kb * 1024) });
        }
    }
    found.sort_by_key(|pool| (pool.kb, pool.node));
    found
}

/// The NUMA node that a PCI device of these is on.
pub(super) fn node_of<'a>(devices: impl Iterator<Item = &'a str>) -> Option<u32> {
    let node = |address: &str| {
        let file = Path::new("/sys/bus/pci/devices").join(address).join("numa_node");
        fs::read_to_string(file).ok()?.trim().parse().ok()
    };
    devices.into_iter().find_map(node)
}

#[cfg(test)]
#[path = "check_memory_tests.rs"]
mod tests;
