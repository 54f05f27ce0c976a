//! The running appliance makes no system call on the cores that count: `strace` looks on while millions of packets come,
//! windows end and another configuration is loaded, in both modes. Reads of the clock are none: they stay in the process.
//!
//! A worker whose ring is empty rests, on a CPU that it shares with others by offering it to them: of those calls this says
//! how many there were. What the cores take of memory `allocations` counts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod e2e_support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use e2e_support::{Appliance, BINARY, output, root, wait};
use tailwater::telemetry::PAUSE_CAUSES;

/// Packets over which is looked.
const PACKETS: u64 = 2_000_000;
/// Windows that end meanwhile, at least.
const WINDOWS: u64 = 8;
/// What a core does that shares its CPU and has nothing to do. The last is how a sleep goes on that the tracer's arrival cut short.
const RESTS: [&str; 3] = ["sched_yield", "clock_nanosleep", "restart_syscall"];

const SCENARIO: &str = "about = \"500 ranges, TCP and UDP, forged sources, a sampled part blocked\"\nduration_s = 1\negress = false\n\
    ranges = { count = 500, family = \"v4\" }\nlegitimate = { pps = 2000 }\n\
    [[attack]]\nkind = \"tcp_flood\"\ntarget = \"10.0.0.0/8\"\nover = \"ranges\"\npps = 9000\nblocked = 0.5\n\
    [[attack]]\nkind = \"udp_flood\"\ntarget = \"10.0.0.0/8\"\nover = \"ranges\"\npps = 9000\npayload_bytes = [18, 200]\nblocked = 0\n";

/// A folder with a capture, its ranges and a configuration.
struct Place {
    folder: tempfile::TempDir,
    cores: &'static str,
}

impl Place {
    fn new(cores: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("scenario.toml"), SCENARIO).unwrap();
        let mut generate = Command::new(BINARY);
        generate.arg("generate").arg("--scenario").arg(file("scenario.toml")).arg("--pcap").arg(file("frames.pcap"));
        output(generate.arg("--ranges").arg(file("ranges.csv")).arg("--truth").arg(file("truth.json")));
        Self { folder, cores }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The standard set, short windows, the capture over and over, and `more` stats.
    fn configure(&self, more: &str) -> PathBuf {
        let standard = fs::read_to_string(root().join("examples/standard.toml")).unwrap();
        let (name, pcap) = (format!("name = \"steady-{}\"", std::process::id()), self.file("frames.pcap"));
        let text = standard.replacen("name = \"standard\"", &name, 1).replace("memory_mb = 1024", "memory_mb = 256");
        let text = text.replace("window_ms = 10000", "window_ms = 1000\nfast_window_ms = 250");
        let (cores, pcap) = (self.cores, pcap.display());
        let rest = format!(
            "[[stats]]\nname = \"packets\"\ncalculation = \"sum\"\nfast = true\n{more}[cores]\n{cores}\n\
             [[ports]]\ndevice = \"net_pcap0,rx_pcap={pcap},infinite_rx=1\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [sinks.file]\npath = \"reports.jsonl\"\n"
        );
        fs::write(self.file("tailwater.toml"), text + &rest).unwrap();
        self.file("tailwater.toml")
    }
}

/// `strace` on all threads of a process.
struct Trace {
    child: Child,
    files: PathBuf,
    said: PathBuf,
}

impl Trace {
    /// None where there is no `strace`, or where it may not look; why is said on one line.
    fn of(pid: u32, folder: &Path) -> Option<Self> {
        let (files, said) = (folder.join("calls"), folder.join("strace.log"));
        let mut command = Command::new("strace");
        command.args(["-ff", "-o"]).arg(&files).args(["-p", &pid.to_string()]);
        let child = command.stdin(Stdio::null()).stderr(fs::File::create(&said).unwrap()).spawn();
        let Ok(child) = child else { return skipped("there is no strace: bash scripts/setup installs it") };
        let mut trace = Self { child, files, said };
        let text = |trace: &Self| fs::read_to_string(&trace.said).unwrap();
        let settled = |trace: &mut Self| text(trace).contains("attached") || trace.child.try_wait().unwrap().is_some();
        wait(20, || settled(&mut trace), || "strace says nothing".to_owned());
        if text(&trace).contains("attached") { Some(trace) } else { skipped(text(&trace).trim()) }
    }

    /// Ends it. Of each thread, how often it called what.
    fn end(mut self) -> BTreeMap<u32, BTreeMap<String, u64>> {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap();
        let stem = format!("{}.", self.files.file_name().unwrap().to_str().unwrap());
        let mut threads: BTreeMap<u32, BTreeMap<String, u64>> = BTreeMap::new();
        for entry in fs::read_dir(self.files.parent().unwrap()).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let Some(thread) = name.strip_prefix(&stem) else { continue };
            let calls = threads.entry(thread.parse().unwrap()).or_default();
            for line in fs::read_to_string(entry.path()).unwrap().lines() {
                *calls.entry(line.split('(').next().unwrap().to_owned()).or_default() += 1;
            }
        }
        threads
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Past the test harness, which keeps the words of a test that passes to itself.
fn skipped<T>(why: &str) -> Option<T> {
    let why = why.lines().next().unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "SKIPPED: system calls cannot be traced here: {why}");
    None
}

/// The lcores of the data path: thread and name.
fn lcores(pid: u32) -> Vec<(u32, String)> {
    let name = |path: &Path| fs::read_to_string(path.join("comm")).unwrap_or_default().trim().to_owned();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|entry| entry.unwrap().path());
    let named = threads.map(|path| (path.file_name().unwrap().to_str().unwrap().parse().unwrap(), name(&path)));
    named.filter(|(_, name)| name.starts_with("rte-worker")).collect()
}

fn traced(cores: &'static str, lcores_wanted: usize) {
    // Two appliances at once would have half a machine each, and one name.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new(cores);
    // Where there are as many CPUs as the core map names they are not shared.
    let appliance = Appliance::counting(&place.configure(""), &["--share-cpus"]);
    let shared = appliance.log().contains("lcores share CPUs");
    let figure = |name: &str| appliance.metric(name, "");
    let (received, windows) = ("tailwater_core_received_total", "tailwater_windows_closed_total");
    wait(60, || figure(windows) > 4 && figure(received) > 100_000, || appliance.log());
    let lcores = lcores(appliance.pid());
    assert_eq!(lcores.len(), lcores_wanted, "{lcores:?}");

    let Some(trace) = Trace::of(appliance.pid(), place.folder.path()) else { return };
    let before = (figure(received), figure(windows));
    place.configure("[[stats]]\nname = \"more_sources\"\ncalculation = \"topk\"\nkey = \"src_ip\"\n");
    let (status, text) = appliance.ask("POST", "/reload");
    assert_eq!(status, 200, "{text}");
    let enough = || figure("tailwater_generation") == 2 && figure(received) > before.0 + PACKETS && figure(windows) > before.1 + WINDOWS;
    wait(240, enough, || appliance.log());
    // Windows of the new configuration end too.
    let then = figure(windows);
    wait(60, || figure(windows) > then + WINDOWS, || appliance.log());
    let (packets, ended) = (figure(received) - before.0, figure(windows) - before.1);
    let calls = trace.end();
    // The receiving core says what it did between its polls, with the clock that it reads once a poll.
    for cause in PAUSE_CAUSES {
        let longest_ns = appliance.metric("tailwater_core_longest_pause_nanoseconds", &format!("cause=\"{cause}\""));
        println!("longest pause, {cause}: {longest_ns} ns");
        // What comes once may be the system's, on a machine that has other work.
        assert!(longest_ns > 0 || !["frames", "closing"].contains(&cause), "{cause}");
    }
    appliance.stop(60);

    let beside = calls.iter().filter(|(thread, _)| lcores.iter().all(|lcore| lcore.0 != **thread));
    let others: u64 = beside.flat_map(|(_, calls)| calls.values()).sum();
    assert!(others > 100, "the trace saw no other thread either: {calls:?}");
    for (thread, name) in &lcores {
        let mut of_lcore = calls[thread].clone();
        let is_worker = lcores.len() > 1 && name != &lcores[0].1;
        let rests: u64 = RESTS.iter().filter(|_| is_worker && shared).filter_map(|rest| of_lcore.remove(*rest)).sum();
        println!("{name}: {packets} packets, {ended} windows, a reload: {of_lcore:?}, rests: {rests}; other threads: {others} calls");
        assert!(of_lcore.is_empty(), "{name} called the system: {of_lcore:?}");
    }
}

#[test]
fn no_system_call_in_run_to_completion() {
    traced("mode = \"run-to-completion\"\nmain = 0\nrx = [1]\nreporter = 2", 1);
}

#[test]
fn no_system_call_in_pipeline() {
    traced("mode = \"pipeline\"\nmain = 0\nrx = [1]\nworkers = [2]\nreporter = 3", 2);
}

/// The sleep of a thread is seen: else nothing that is not seen would say anything.
#[test]
fn what_is_called_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    if let Some(trace) = Trace::of(sleeper.id(), folder.path()) {
        // It says that it is attached before it has seen the call that goes on.
        std::thread::sleep(Duration::from_millis(500));
        let calls = trace.end();
        assert!(!calls[&sleeper.id()].is_empty(), "{calls:?}");
    }
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}
