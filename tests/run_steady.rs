//! The running appliance makes no system call on the cores that count: `strace` looks on while millions of packets come,
//! windows end and another configuration is loaded, in both modes; also where two cores receive, one of which hands bursts over, where
//! frames are counted by link, looked at for copies and sampled for exports, and where export datagrams are taken out of the mirror.
//! Reads of the clock are none: they stay in the process.
//!
//! A core that has nothing to do rests, on a CPU that it shares with others by offering it to them: no more often than its polls found
//! nothing. What the cores take of memory `allocations` counts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod e2e_support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::UdpSocket;
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
/// Calls by which a sleep goes on that the tracer cut short as it came and went.
const CUT_SHORT: u64 = 8;

const SCENARIO: &str = "about = \"500 ranges, TCP and UDP, forged sources, a sampled part blocked\"\nduration_s = 1\negress = false\n\
    ranges = { count = 500, family = \"v4\" }\nlegitimate = { pps = 2000 }\n\
    [[attack]]\nkind = \"tcp_flood\"\ntarget = \"10.0.0.0/8\"\nover = \"ranges\"\npps = 9000\nblocked = 0.5\n\
    [[attack]]\nkind = \"udp_flood\"\ntarget = \"10.0.0.0/8\"\nover = \"ranges\"\npps = 9000\npayload_bytes = [18, 200]\nblocked = 0\n";

/// All that a core may do with a frame; the second one has no queue, and takes what the other one gives.
const ALL: &str = "[[links]]\nname = \"scrubbed\"\ncapacity_bps = 10_000_000_000\nmatch = { vlan = 666 }\n\
    [[links]]\nname = \"rest\"\ncapacity_bps = 10_000_000_000\nmatch = { port = 0 }\n\
    [duplicates]\nsample = 4\n[flows]\nfrom_ports = [\"udp/203.0.113.9:2055\"]\n";
/// What shows that all of it was done.
const DONE: [&str; 4] = [
    "tailwater_core_handed_frames_total",
    "tailwater_core_taken_frames_total",
    "tailwater_flows_port_datagrams_total",
    "tailwater_export_sampled_total",
];

/// A core map, and what the appliance has to do.
#[derive(Clone, Copy)]
struct Shape {
    cores: &'static str,
    /// Cores that receive or work.
    lcores: usize,
    /// [`ALL`] of it.
    all: bool,
}

/// A folder with a capture, its ranges and a configuration.
struct Place {
    folder: tempfile::TempDir,
    shape: Shape,
    /// Where exports go; nobody reads them.
    collector: UdpSocket,
}

impl Place {
    fn new(shape: Shape) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("scenario.toml"), SCENARIO).unwrap();
        let mut generate = Command::new(BINARY);
        generate.arg("generate").arg("--scenario").arg(file("scenario.toml")).arg("--pcap").arg(file("frames.pcap"));
        output(generate.arg("--ranges").arg(file("ranges.csv")).arg("--truth").arg(file("truth.json")));
        let mut frames = fs::OpenOptions::new().append(true).open(file("frames.pcap")).unwrap();
        frames.write_all(&export()).unwrap();
        Self { folder, shape, collector: UdpSocket::bind("127.0.0.1:0").unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The standard set, short windows, the capture over and over, and `more` stats.
    fn configure(&self, more: &str) -> PathBuf {
        let standard = fs::read_to_string(root().join("examples/standard.toml")).unwrap();
        let (name, pcap) = (format!("name = \"steady-{}\"", std::process::id()), self.file("frames.pcap"));
        let memory = if self.shape.all { "memory_mb = 512\nshed = false" } else { "memory_mb = 256" };
        let text = standard.replacen("name = \"standard\"", &name, 1).replace("memory_mb = 1024", memory);
        let text = text.replace("window_ms = 10000", "window_ms = 1000\nfast_window_ms = 250");
        let (cores, pcap, all) = (self.shape.cores, pcap.display(), if self.shape.all { self.all() } else { String::new() });
        let rest = format!(
            "[[stats]]\nname = \"packets\"\ncalculation = \"sum\"\nfast = true\n{more}[cores]\n{cores}\n\
             [[ports]]\ndevice = \"net_pcap0,rx_pcap={pcap},infinite_rx=1\"\n{all}[admin]\nlisten = \"127.0.0.1:0\"\n\
             [sinks.file]\npath = \"reports.jsonl\"\n"
        );
        fs::write(self.file("tailwater.toml"), text + &rest).unwrap();
        self.file("tailwater.toml")
    }

    fn all(&self) -> String {
        let to = self.collector.local_addr().unwrap();
        let timeouts = "active_timeout_ms = 1000\nidle_timeout_ms = 500";
        format!("{ALL}[[exports]]\nprotocol = \"ipfix\"\nto = \"udp/{to}\"\nsampling = 50\n{timeouts}\n")
    }
}

/// A frame with NetFlow 5 of one record, as a capture holds it.
fn export() -> Vec<u8> {
    let netflow = [&[0, 5, 0, 1][..], &[0; 20 + 48]].concat();
    let udp = [&[0x30, 0x39, 0x08, 0x07, 0, 80, 0, 0][..], &netflow].concat();
    let ip = [&[0x45, 0, 0, 100, 0, 7, 0, 0, 64, 17, 0, 0, 198, 51, 100, 1, 203, 0, 113, 9][..], &udp].concat();
    let frame = [&[2; 12][..], &[0x08, 0x00], &ip].concat();
    let held = u32::try_from(frame.len()).unwrap();
    let head = [1_700_000_000, 0, held, held].into_iter().flat_map(u32::to_le_bytes);
    head.chain(frame).collect()
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

/// So many polls of an lcore found nothing.
fn found_nothing(appliance: &Appliance, (_, name): &(u32, String)) -> u64 {
    let lcore = name.trim_start_matches("rte-worker-");
    appliance.metric("tailwater_core_empty_polls_total", &format!("lcore=\"{lcore}\""))
}

/// What was seen of an appliance at work.
struct Seen {
    calls: BTreeMap<u32, BTreeMap<String, u64>>,
    packets: u64,
    windows: u64,
    /// Polls of each lcore that found nothing, and some before and behind.
    in_vain: Vec<u64>,
}

/// Looks on over packets, windows and a reload. None where nobody may.
fn look(appliance: &Appliance, place: &Place, lcores: &[(u32, String)]) -> Option<Seen> {
    let figure = |name: &str| appliance.metric(name, "");
    let (received, windows) = ("tailwater_core_received_total", "tailwater_windows_closed_total");
    let in_vain = || lcores.iter().map(|lcore| found_nothing(appliance, lcore)).collect::<Vec<u64>>();
    let in_vain_before = in_vain();
    let trace = Trace::of(appliance.pid(), place.folder.path())?;
    let (before, done) = ((figure(received), figure(windows)), DONE.map(figure));
    place.configure("[[stats]]\nname = \"more_sources\"\ncalculation = \"topk\"\nkey = \"src_ip\"\n");
    let (status, text) = appliance.ask("POST", "/reload");
    assert_eq!(status, 200, "{text}");
    let enough = || figure("tailwater_generation") == 2 && figure(received) > before.0 + PACKETS && figure(windows) > before.1 + WINDOWS;
    wait(240, enough, || appliance.log());
    // Windows of the new configuration end too.
    let then = figure(windows);
    wait(60, || figure(windows) > then + WINDOWS, || appliance.log());
    let (packets, windows) = (figure(received) - before.0, figure(windows) - before.1);
    let since: Vec<u64> = DONE.iter().zip(done).map(|(name, done)| figure(name) - done).collect();
    println!("{DONE:?}: {since:?}");
    assert!(!place.shape.all || !since.contains(&0), "{DONE:?}: {since:?}");
    let calls = trace.end();
    // A core tells of polls in vain with the next that is not, or now and then: what it tells next has all that were traced.
    let (then, has_rested) = (in_vain(), |thread: &u32| RESTS.iter().any(|rest| calls[thread].contains_key(*rest)));
    let has_told = |(((thread, _), now), then): ((&(u32, String), u64), &u64)| now > *then || !has_rested(thread);
    wait(60, || lcores.iter().zip(in_vain()).zip(&then).all(has_told), || appliance.log());
    let in_vain = in_vain().into_iter().zip(in_vain_before).map(|(after, before)| after - before).collect();
    Some(Seen { calls, packets, windows, in_vain })
}

fn traced(shape: Shape) {
    // Two appliances at once would have half a machine each, and one name.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new(shape);
    // Where there are as many CPUs as the core map names they are not shared.
    let appliance = Appliance::counting(&place.configure(""), &["--share-cpus"]);
    let shared = appliance.log().contains("lcores share CPUs");
    let figure = |name: &str| appliance.metric(name, "");
    let has_begun = || figure("tailwater_windows_closed_total") > 4 && figure("tailwater_core_received_total") > 100_000;
    wait(60, has_begun, || appliance.log());
    let lcores = lcores(appliance.pid());
    assert_eq!(lcores.len(), shape.lcores, "{lcores:?}");

    let Some(seen) = look(&appliance, &place, &lcores) else { return };
    tell_pauses(&appliance);
    appliance.stop(60);
    if shape.all {
        let reports = fs::read_to_string(place.file("reports.jsonl")).unwrap();
        assert!(["scrubbed", "rest"].iter().all(|link| reports.contains(&format!("\"link\":\"{link}\""))), "no report of a link");
    }
    judge(&seen, &lcores, shared);
}

/// The receiving core says what it did between its polls, with the clock that it reads once a poll.
fn tell_pauses(appliance: &Appliance) {
    for cause in PAUSE_CAUSES {
        let longest_ns = appliance.metric("tailwater_core_longest_pause_nanoseconds", &format!("cause=\"{cause}\""));
        println!("longest pause, {cause}: {longest_ns} ns");
        // What comes once may be the system's, on a machine that has other work.
        assert!(longest_ns > 0 || !["frames", "closing"].contains(&cause), "{cause}");
    }
}

/// No lcore called the system but to rest, and no more often than it had nothing to do.
fn judge(Seen { calls, packets, windows, in_vain }: &Seen, lcores: &[(u32, String)], shared: bool) {
    let beside = calls.iter().filter(|(thread, _)| lcores.iter().all(|lcore| lcore.0 != **thread));
    let others: u64 = beside.flat_map(|(_, calls)| calls.values()).sum();
    assert!(others > 100, "the trace saw no other thread either: {calls:?}");
    for ((thread, name), in_vain) in lcores.iter().zip(in_vain) {
        let mut of_lcore = calls[thread].clone();
        let rests_max = if shared && *in_vain > 0 { in_vain + CUT_SHORT } else { 0 };
        let rests: u64 = RESTS.iter().filter(|_| rests_max > 0).filter_map(|rest| of_lcore.remove(*rest)).sum();
        println!(
            "{name}: {packets} packets, {windows} windows, a reload: {of_lcore:?}, rests: {rests} of {in_vain}; other threads: {others} calls"
        );
        assert!(of_lcore.is_empty(), "{name} called the system: {of_lcore:?}");
        assert!(rests <= rests_max, "{name} rested {rests} times, and had nothing to do {in_vain} times");
    }
}

#[test]
fn no_system_call_in_run_to_completion() {
    traced(Shape { cores: "mode = \"run-to-completion\"\nmain = 0\nrx = [1]\nreporter = 2", lcores: 1, all: false });
}

#[test]
fn no_system_call_in_pipeline() {
    traced(Shape { cores: "mode = \"pipeline\"\nmain = 0\nrx = [1]\nworkers = [2]\nreporter = 3", lcores: 2, all: false });
}

#[test]
fn no_system_call_where_two_cores_receive_and_all_is_on() {
    traced(Shape { cores: "mode = \"run-to-completion\"\nmain = 0\nrx = [1, 2]\nreporter = 3", lcores: 2, all: true });
}

#[test]
fn no_system_call_in_pipeline_where_two_cores_receive_and_all_is_on() {
    traced(Shape { cores: "mode = \"pipeline\"\nmain = 0\nrx = [1, 2]\nworkers = [3]\nreporter = 4", lcores: 3, all: true });
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
