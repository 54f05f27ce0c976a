//! `tailwater check`: what is wrong with the machine for this configuration, and the command that mends it.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

#[cfg(feature = "kafka")]
use super::check_brokers::brokers;
use super::check_memory::{self, Machine, Need};
use super::check_vf;
use super::memory::MemoryPlan;
use super::places::{Places, usable_cpus};
use super::run::takers;
use super::wiring::Cores;
use super::world::World;
use super::{check_audit, check_enrich, check_exports, check_flows, check_journal, check_links};
use crate::arch::lanes::Form;
use crate::arch::{HashKey, agree};
use crate::config::{Config, Fault, Port};
use crate::rx::device::DeviceName;
use crate::rx::live;

/// Permission denied.
const EACCES: i32 = 13;

/// How a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, worse than it could.
    Weak,
    /// `run` will not start, or not count.
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// What was looked at: a key of the configuration, or a part of the machine.
    pub about: String,
    /// What was found.
    pub what: String,
    /// What mends it; empty where nothing needs to be.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Good => "ok   ",
            Verdict::Weak => "weak ",
            Verdict::Wrong => "WRONG",
        };
        write!(f, "{verdict} {}: {}", self.about, self.what)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "\n      -> {}", self.remedy) }
    }
}

pub(super) fn good(about: impl Into<String>, what: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Good, about: about.into(), what: what.into(), remedy: String::new() }
}

pub(super) fn bad(verdict: Verdict, about: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { verdict, about: about.into(), what: what.into(), remedy: remedy.into() }
}

/// Looks at everything; changes nothing.
pub fn check(config: &Config) -> Vec<Finding> {
    let stats = format!(
        "{} ranges, {} stats, {} tag rules, hash {}",
        config.ranges.list.len(),
        config.stats.len(),
        config.tags.len(),
        &config.hash[..12]
    );
    let mut findings = vec![good("configuration", stats)];
    findings.push(processor());
    findings.extend(memory(config));
    findings.extend(cores(config));
    findings.extend(ports(config));
    findings.extend(unwatched(config));
    findings.extend(check_links::links(config));
    findings.extend(check_enrich::enrich(config));
    findings.extend(check_journal::journal(config));
    findings.extend(check_flows::flows(config));
    findings.extend(check_exports::exports(config));
    findings.extend(brokers(config));
    findings.extend(check_audit::counters(config));
    findings.extend(admin(config));
    findings
}

/// Draws for each kernel: a few milliseconds in all.
const PROCESSOR_ROUNDS: u64 = 200;

/// Whether the processor, or who emulates it, computes rightly in each form that kernels have.
fn processor() -> Finding {
    let forms = Form::all();
    let names: Vec<&str> = forms.iter().map(|form| form.name()).collect();
    let (kernels, wrong) = (agree::KERNELS.len(), agree::disagreeing(&forms, PROCESSOR_ROUNDS));
    if wrong.is_empty() {
        return good("processor", format!("{kernels} kernels say the same in each form: {}", names.join(", ")));
    }
    let which: Vec<String> = wrong.iter().map(|(form, kernel)| format!("{kernel} with {}", form.name())).collect();
    let remedy = "run elsewhere: the processor, or what emulates it, computes wrongly, and figures would be wrong";
    bad(Verdict::Wrong, "processor", format!("not what the scalar form says: {}", which.join(", ")), remedy)
}

/// What the data path takes, before it does; and hugepages, DPDK's own too.
fn memory(config: &Config) -> Vec<Finding> {
    let (places, budget_mb) = (Places::of(config), config.appliance.memory_mb);
    let cores = Cores { rx: places.cores.rx.clone(), workers: places.cores.workers.clone() };
    let about = format!("{}: appliance.memory_mb", config.locate(&["appliance", "memory_mb"]));
    let Ok(world) = World::first(config, HashKey::constant(), config.ports.len()) else {
        return vec![bad(Verdict::Wrong, "stats", "a stat cannot be compiled", "correct its row")];
    };
    let plan = MemoryPlan::new(&world, &cores);
    let pci = live::pci_addresses(&config.ports);
    let node = check_memory::node_of(pci.iter().map(String::as_str));
    let dpdk_mb = u64::from(live::memory_mb(&config.ports, takers(config, &places.cores)));
    let need = Need { budget_mb, pages: Need::pages_of(&plan), dpdk_mb, node };
    let machine = Machine::here();
    if let Some(lacking) = plan.lacking(&world) {
        return vec![bad(Verdict::Wrong, about, lacking.what, lacking.remedy), machine.hugepages(need)];
    }
    let what = format!("{} MB expected, {} MB at worst, never more than {budget_mb}", mb(plan.expected(&world)), mb(plan.worst()));
    let budget = match machine.budget(&about, need) {
        Some(found) => Finding { what: format!("{what}; {}", found.what), ..found },
        None => good(about, what),
    };
    vec![budget, good("memory of each core", per_core(&plan, &world)), machine.hugepages(need)]
}

const fn mb(bytes: usize) -> usize {
    bytes.div_ceil(1 << 20)
}

fn per_core(plan: &MemoryPlan, world: &World) -> String {
    let (receiver, shard) = (plan.receiver_slots + plan.streams.0 + plan.lanes + plan.hands, plan.shard_slots + plan.streams.1);
    format!(
        "a receiver {} MB (logs {}, slots, streams and rings {}), a shard {} MB (roots {}, sketches {}, slots and stream {}); \
         an idle range {} bytes; one range's largest block {} KB",
        mb(receiver + plan.logs),
        mb(plan.logs),
        mb(receiver),
        mb(shard + plan.shard.roots + plan.shard.sketches),
        mb(plan.shard.roots),
        mb(plan.shard.sketches),
        mb(shard),
        plan.idle_range_bytes(world.ranges()),
        world.plans.room().block * 8 / 1024
    )
}

fn cores(config: &Config) -> Vec<Finding> {
    let usable = usable_cpus();
    let Some(cores) = &config.cores else {
        let places = Places::of(config);
        return vec![good("cores", format!("none configured; proposed: main {}, rx {:?}", places.cores.main, places.cores.rx))];
    };
    let absent = Places::absent(cores, &usable);
    let mut findings: Vec<Finding> = absent
        .into_iter()
        .map(|(key, lcore)| {
            let place = config.locate(&["cores", key]);
            let what = format!("lcore {lcore}: CPU {lcore} is not on this machine, or not ours");
            bad(Verdict::Wrong, format!("{place}: cores.{key}"), what, Places::absent_remedy(&usable))
        })
        .collect();
    if findings.is_empty() {
        findings.push(good("cores", format!("all of the map are here ({} usable)", usable.len())));
    }
    let isolated = fs::read_to_string("/sys/devices/system/cpu/isolated").unwrap_or_default();
    if isolated.trim().is_empty() {
        let list: Vec<String> = cores.rx.iter().chain(&cores.workers).map(ToString::to_string).collect();
        let remedy = format!("add isolcpus={0} nohz_full={0} rcu_nocbs={0} to the kernel's command line", list.join(","));
        findings.push(bad(Verdict::Weak, "isolcpus", "no CPU is isolated: other work may interrupt a polling core", remedy));
    }
    findings
}

fn ports(config: &Config) -> Vec<Finding> {
    if config.ports.is_empty() {
        return vec![bad(Verdict::Wrong, "ports", "there is none", "write [[ports]] with a device")];
    }
    let functions = config.ports.iter().filter_map(|port| match DeviceName::read(&port.device) {
        DeviceName::Pci(address) => check_vf::trust(&address),
        DeviceName::Vdev(_) => None,
    });
    config.ports.iter().map(device).chain(functions).collect()
}

fn device(port: &Port) -> Finding {
    let name = &port.device;
    let about = format!("ports: {name}");
    match DeviceName::read(name) {
        DeviceName::Pci(address) => pci(about, &address),
        DeviceName::Vdev(mut vdev) => {
            vdev.complete(port.queues, None);
            let interface = vdev.interface().map(str::to_owned);
            let pcap = vdev.get("rx_pcap").map(str::to_owned);
            if let Some(interface) = interface.filter(|name| !Path::new("/sys/class/net").join(name).exists()) {
                return bad(Verdict::Wrong, about, format!("no interface {interface}"), "ip -brief link shows those that there are");
            }
            if let Some(fault) = vdev.queues_fault(port.queues) {
                let (what, remedy) = fault.split_once(": ").unwrap_or((&fault, "see its driver's page in DPDK's documentation"));
                return bad(Verdict::Wrong, about, what, remedy);
            }
            match pcap.filter(|file| !Path::new(file).is_file()) {
                Some(file) => {
                    bad(Verdict::Wrong, about, format!("no capture {file}"), "give an existing file, relative to where `run` is started")
                }
                None => good(about, format!("vdev {}", vdev.driver)),
            }
        }
    }
}

fn pci(about: String, address: &str) -> Finding {
    let folder = Path::new(check_vf::DEVICES).join(address);
    if !folder.exists() {
        return bad(Verdict::Wrong, about, "no such PCI device", "lspci -D -nn shows those that there are");
    }
    let driver = fs::read_link(folder.join("driver")).ok().and_then(|to| Some(to.file_name()?.to_string_lossy().into_owned()));
    match driver.as_deref() {
        // Drivers whose PMD works beside the kernel's.
        Some(driver @ ("vfio-pci" | "uio_pci_generic" | "igb_uio" | "mlx4_core" | "mlx5_core")) => {
            good(about, format!("bound to {driver}"))
        }
        other => {
            let what = format!("bound to {}, not to a driver for DPDK", other.unwrap_or("nothing"));
            bad(Verdict::Wrong, about, what, format!("sudo modprobe vfio-pci && sudo dpdk-devbind.py -b vfio-pci {address}"))
        }
    }
}

/// Feeds of several ports, one of which may fall silent behind the others.
fn unwatched(config: &Config) -> Vec<Finding> {
    let ports = &config.ports;
    let is_watched = |at: usize| ports[at].min_pps > 0;
    let firsts = (0..ports.len()).filter(|at| !is_watched(*at) && ports[..*at].iter().all(|p| p.feed != ports[*at].feed || p.min_pps > 0));
    let finding = |at: usize| {
        let all = ports.iter().filter(|port| port.feed == ports[at].feed);
        let without: Vec<&str> = all.clone().filter(|port| port.min_pps == 0).map(|port| &port.device[..]).collect();
        let key = format!("ports[{at}].min_pps");
        let path = ["ports", &at.to_string(), "min_pps"];
        // Where it is not written, the row.
        let place = config.locate(if config.line(&path).is_some() { &path } else { &path[..2] });
        let (feed, n) = (&ports[at].feed, all.count());
        let what = format!(
            "of feed {feed}'s {n} ports {} may fall silent behind the others: min_pps is 0 ({})",
            without.len(),
            without.join(", ")
        );
        let remedy = "write min_pps for each: fewer packets a second than it ever brings while all is well";
        (n > 1).then(|| bad(Verdict::Weak, format!("{place}: {key}"), what, remedy))
    };
    firsts.filter_map(finding).collect()
}

/// A secret or certificate without which `run` would not start. Who runs `check` may read less than who runs `run`, and have other
/// variables.
pub(super) fn unreadable(fault: &Fault) -> Finding {
    let may_differ = fault.key.ends_with("_env") || fault.what.contains(&io::Error::from_raw_os_error(EACCES).to_string());
    let (verdict, who) = if may_differ { (Verdict::Weak, "`run` as this user") } else { (Verdict::Wrong, "`run`") };
    let about = format!("{}:{}: {}", fault.file.display(), fault.line, fault.key);
    bad(verdict, about, format!("{}: {who} would not start", fault.what), fault.remedy.clone())
}

/// Whether the token can be read, and whether others than this machine's users can reload.
fn admin(config: &Config) -> Option<Finding> {
    if let Some(Err(fault)) = &config.admin.token {
        return Some(unreadable(fault));
    }
    let address = config.admin.listen.filter(|address| !address.ip().is_loopback() && config.admin.token.is_none())?;
    let place = config.locate(&["admin", "listen"]);
    let what = format!("{address} is no loopback address, and there is no token: whoever reaches it can reload");
    let file = config.file.with_file_name("reload.token");
    let remedy =
        format!("write token_file = \"reload.token\" below [admin] (openssl rand -hex 32 > {}), or listen at 127.0.0.1", file.display());
    Some(bad(Verdict::Weak, format!("{place}: admin.listen"), what, remedy))
}

#[cfg(not(feature = "kafka"))]
fn brokers(config: &Config) -> Vec<Finding> {
    let built = || bad(Verdict::Wrong, "sinks.kafka", "this build has no Kafka", "build with the feature `kafka`");
    config.sinks.kafka.iter().map(|_| built()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// Who runs `check` need not be who runs `run`.
    #[test]
    fn what_another_user_may_have_is_weak_and_what_nobody_has_is_wrong() {
        let fault = |key: &str, what: &str| {
            let (file, remedy) = (std::path::PathBuf::from("t.toml"), String::new());
            unreadable(&Fault { file, line: 1, key: key.to_owned(), what: what.to_owned(), remedy }).verdict
        };
        let denied = "p cannot be read: Permission denied (os error 13)";
        assert_eq!(fault("sinks.kafka.password_file", denied), Verdict::Weak);
        assert_eq!(fault("sinks.kafka.password_env", "names no variable"), Verdict::Weak);
        for what in ["p cannot be read: No such file or directory (os error 2)", "p is empty", "p holds more than one line"] {
            assert_eq!(fault("sinks.https.token_file", what), Verdict::Wrong, "{what}");
        }
    }

    #[test]
    fn the_processor_is_asked_every_kernel() {
        let (found, kernels) = (processor(), agree::KERNELS.len());
        let said = format!("{kernels} kernels say the same in each form: {}", Form::Usual.name());
        assert!(found.verdict == Verdict::Good && found.what.starts_with(&said) && kernels == 19, "{found}");
        assert!(["find_v4", "find_v6"].iter().all(|kernel| agree::KERNELS.contains(kernel)));
    }

    #[test]
    fn a_port_that_may_fall_silent_behind_others_is_weak() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("r.csv"), "prefix,customer\n10.0.0.0/8,a\n").unwrap();
        let found = |ports: &[(&str, &str, &str)]| {
            let head = "[ranges]\nfile = \"r.csv\"\n[[stats]]\nname = \"s\"\ncalculation = \"sum\"\n".to_owned();
            let rows = ports.iter().map(|(n, feed, min)| format!("[[ports]]\ndevice = \"net_null{n}\"\nfeed = \"{feed}\"\n{min}\n"));
            fs::write(folder.path().join("t.toml"), rows.fold(head, |all, row| all + &row)).unwrap();
            let config = config::load(&folder.path().join("t.toml"), &crate::stats::check).unwrap();
            unwatched(&config).iter().map(|finding| (finding.verdict, finding.to_string())).collect::<Vec<_>>()
        };
        let (none, zero, some) = ("", "min_pps = 0", "min_pps = 5");
        let [(verdict, text)] = &found(&[("0", "a", some), ("1", "a", none), ("2", "b", none), ("3", "a", zero)])[..] else { panic!() };
        assert!(*verdict == Verdict::Weak && text.contains("min_pps for each"), "{text}");
        assert!(text.contains("t.toml:10: ports[1].min_pps: of feed a's 3 ports 2 may fall silent"), "{text}");
        assert!(text.contains("(net_null1, net_null3)"), "{text}");
        assert!(found(&[("0", "a", zero), ("1", "a", some)])[0].1.contains("t.toml:9: ports[0].min_pps: "), "the line of the key");
        assert!(found(&[("0", "a", some), ("1", "a", some), ("2", "b", none)]).is_empty());
    }

    #[test]
    fn an_address_that_others_reach_wants_a_token() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("r.csv"), "prefix,customer\n10.0.0.0/8,a\n").unwrap();
        fs::write(folder.path().join("reload.token"), "0123456789abcdef\n").unwrap();
        let found = |rows: &str| {
            let head = "[ranges]\nfile = \"r.csv\"\n[[stats]]\nname = \"s\"\ncalculation = \"sum\"\n[admin]\n";
            fs::write(folder.path().join("t.toml"), [head, rows].concat()).unwrap();
            let config = config::load(&folder.path().join("t.toml"), &crate::stats::check).unwrap();
            admin(&config).map(|finding| (finding.verdict, finding.to_string()))
        };
        let (verdict, text) = found("listen = \"0.0.0.0:9464\"\n").unwrap();
        assert!(verdict == Verdict::Weak && text.contains("t.toml:7: admin.listen: 0.0.0.0:9464 is no loopback address"), "{text}");
        assert!(text.contains(&format!("(openssl rand -hex 32 > {})", folder.path().join("reload.token").display())), "{text}");
        assert!(found("listen = \"0.0.0.0:9464\"\ntoken_file = \"reload.token\"\n").is_none());
        fs::create_dir(folder.path().join("folder")).unwrap();
        for (file, remedy) in [("absent.token", "openssl rand -hex 32 > "), ("folder", "let the user that runs the appliance read it")] {
            let (verdict, text) = found(&format!("token_file = \"{file}\"\n")).unwrap();
            assert!(verdict == Verdict::Wrong && text.contains("t.toml:7: admin.token_file: ") && text.contains(remedy), "{text}");
        }
        assert!(found("listen = \"[::1]:9464\"\n").is_none() && found("listen = \"off\"\n").is_none());
    }
}
