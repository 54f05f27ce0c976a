//! The two programs under measure: started once a case, and stopped while the other one runs.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tailwater::limits::BURST_FRAMES_MAX;

use super::captures::Capture;
use super::ran_ns_of;

/// How long a program may take to start: it takes its memory page by page.
const START: Duration = Duration::from_secs(90);

/// Frames that were received, and for how long the core that received them ran, since the start.
#[derive(Clone, Copy)]
pub struct Point {
    frames: u64,
    ran_ns: u64,
}

impl Point {
    /// Millions of frames a second that the core ran.
    pub fn mpps_since(self, begun: Self) -> f64 {
        self.frames_since(begun) / (self.ran_ns - begun.ran_ns) as f64 * 1e3
    }

    /// Frames that came.
    pub fn frames_since(self, begun: Self) -> f64 {
        (self.frames - begun.frames) as f64
    }
}

/// A program whose receiving thread is one lcore.
struct Program {
    child: Child,
    thread: PathBuf,
}

impl Program {
    /// Once its one worker lcore is there.
    fn of(child: Child) -> Self {
        let (tasks, begun) = (PathBuf::from(format!("/proc/{}/task", child.id())), Instant::now());
        loop {
            let threads = std::fs::read_dir(&tasks).into_iter().flatten().flatten().map(|entry| entry.path());
            let named = |path: &PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("rte-worker"));
            if let Some(thread) = threads.into_iter().find(named) {
                return Self { child, thread };
            }
            assert!(begun.elapsed() < START, "no lcore came up in {tasks:?}: is all there? bash scripts/setup");
            sleep(Duration::from_millis(20));
        }
    }

    fn ran_ns(&self) -> u64 {
        ran_ns_of(&self.thread)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `tailwater run`.
pub struct Ours {
    program: Program,
    admin: u16,
}

impl Ours {
    /// Of this configuration, whose `[admin]` and ports are added. Its reports come on the pipe: nobody needs to read them.
    pub fn start(binary: &Path, folder: &Path, name: &str, text: &str, capture: &Capture) -> (Self, ChildStdout) {
        let log = std::fs::File::create(folder.join(format!("{name}.log"))).expect("a log");
        let (mut command, admin) = Self::command(binary, folder, name, text, capture);
        let mut child = command.stderr(log).spawn().expect("tailwater starts");
        let reports = child.stdout.take().expect("it was piped");
        let ours = Self { program: Program::of(child), admin };
        let begun = Instant::now();
        while ours.frames().is_none_or(|frames| frames == 0) {
            assert!(begun.elapsed() < START, "tailwater receives nothing: see {name}.log in {folder:?}");
            sleep(Duration::from_millis(50));
        }
        (ours, reports)
    }

    /// What starts it, and the port of its `[admin]`.
    pub fn command(binary: &Path, folder: &Path, name: &str, text: &str, capture: &Capture) -> (Command, u16) {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let file = folder.join(format!("{name}.toml"));
        let (admin, device) = (free.port(), format!("net_pcap0,rx_pcap={},infinite_rx=1", capture.pcap.display()));
        let more = format!("\n[[ports]]\ndevice = \"{device}\"\n\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n\n[sinks.stdout]\n");
        std::fs::write(&file, text.to_owned() + &more).expect("a configuration");
        let mut command = Command::new(binary);
        command.args(["run", "--config"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::piped());
        (command, admin)
    }

    /// The CPU that receives.
    pub fn cpu(&self) -> usize {
        let status = std::fs::read_to_string(self.program.thread.join("status")).expect("Linux");
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("Linux");
        list.trim().parse().expect("an lcore has one CPU")
    }

    pub fn signal(&self, name: &str) {
        self.program.signal(name);
    }

    /// Its receiving thread, a folder of /proc.
    pub fn thread(&self) -> &Path {
        &self.program.thread
    }

    /// Whether its frames lie on hugepages.
    pub fn huge(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/mounts").expect("Linux");
        let maps = std::fs::read_to_string(self.program.thread.join("maps")).expect("Linux");
        let folders = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(|fields| fields.get(2) == Some(&"hugetlbfs"));
        folders.filter_map(|fields| fields.get(1).copied()).any(|folder| maps.contains(&format!("{folder}/")))
    }

    /// Nanoseconds that all its threads ran.
    pub fn all_ran_ns(&self) -> u64 {
        let threads = self.program.thread.parent().and_then(|tasks| std::fs::read_dir(tasks).ok()).expect("Linux");
        threads.flatten().map(|thread| ran_ns_of(&thread.path())).sum()
    }

    /// Where it stands now.
    pub fn point(&self) -> Point {
        let before = self.program.ran_ns();
        let frames = self.frames().expect("metrics");
        Point { frames, ran_ns: before.midpoint(self.program.ran_ns()) }
    }

    fn frames(&self) -> Option<u64> {
        frames_of(self.admin)
    }

    /// Seconds of all stages by its own account, and those that its receiving thread ran.
    pub fn staged(&self) -> (f64, f64) {
        let ran_ns = self.program.ran_ns();
        let text = metrics(self.admin).expect("metrics");
        let rows = text.lines().filter(|line| line.starts_with("tailwater_stage_seconds_total{"));
        let told = rows.filter_map(|line| line.rsplit_once("} ")?.1.trim().parse::<f64>().ok()).sum();
        (told, ran_ns as f64 / 1e9)
    }

    /// What was made coarser, incomplete or lost, each with its number.
    pub fn shed(&self) -> Vec<(String, u64)> {
        let text = metrics(self.admin).expect("metrics");
        let families = ["degraded_figures", "incomplete_reports", "core_ring_dropped"];
        let of = |family: &str| {
            let rows = metric(&text, &format!("tailwater_{family}_total{{")).into_iter();
            rows.map(|(labels, n)| (format!("{family} {}", labels.replace('"', "")), n)).collect::<Vec<_>>()
        };
        let lines = metric(&text, "tailwater_sink_overflow_total{").into_iter();
        let lines = lines.map(|(labels, n)| (format!("reports that no reader took, {}", labels.replace('"', "")), n));
        families.into_iter().flat_map(of).chain(lines).collect()
    }
}

/// Whether the kernel makes large pages by itself for who asks it to.
pub fn makes_large_pages() -> bool {
    let enabled = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    !enabled.is_empty() && !enabled.contains("[never]")
}

/// Frames that an appliance with this admin port received.
pub fn frames_of(admin: u16) -> Option<u64> {
    metric(&metrics(admin)?, "tailwater_core_received_total{").first().map(|(_, frames)| *frames)
}

/// What it says of itself now.
pub fn metrics(admin: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", admin)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// What was shed since then; of what is short of memory a top-K thins out, and then its weights are more than 1.
pub fn since(now: &[(String, u64)], then: &[(String, u64)]) -> String {
    let before = |name: &str| then.iter().find(|(known, _)| known == name).map_or(0, |(_, n)| *n);
    // The first window of all is partial.
    let news = now.iter().filter(|(name, n)| *n > before(name) && !name.contains("partial_window"));
    let more: Vec<String> = news.map(|(name, n)| format!("{name}: {}", n - before(name))).collect();
    if more.is_empty() { "nothing, weights are 1".to_owned() } else { more.join(", ") }
}

/// Rows of one family: labels and value.
pub fn metric(text: &str, family: &str) -> Vec<(String, u64)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix(family)?.rsplit_once("} "));
    rows.filter_map(|(labels, value)| Some((labels.to_owned(), value.trim().parse().ok()?))).collect()
}

/// `dpdk-testpmd`, at its prompt.
pub struct Theirs {
    program: Program,
    prompt: RefCell<ChildStdin>,
    frames: Receiver<u64>,
}

impl Theirs {
    /// In this forwarding mode, on this CPU, with ordinary pages, or hugepages, as we have them.
    pub fn start(mode: &str, cpu: usize, capture: &Capture, huge: bool) -> Self {
        let command = Self::command(mode, cpu, capture, huge);
        // To a pipe it would write whole blocks only.
        let mut lines = Command::new("stdbuf");
        lines.arg("-oL").arg(command.get_program()).args(command.get_args());
        lines.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = lines.spawn().expect("stdbuf starts");
        let (out, (send, frames)) = (child.stdout.take().expect("it was piped"), channel());
        std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                let shown = line.trim().strip_prefix("RX-packets:").and_then(|rest| rest.split_whitespace().next()?.parse().ok());
                if shown.is_some_and(|frames| send.send(frames).is_err()) {
                    return;
                }
            }
        });
        let prompt = RefCell::new(child.stdin.take().expect("it was piped"));
        let theirs = Self { program: Program::of(child), prompt, frames };
        let begun = Instant::now();
        while theirs.point().frames == 0 {
            assert!(begun.elapsed() < START, "dpdk-testpmd receives nothing");
            sleep(Duration::from_millis(50));
        }
        theirs
    }

    /// What starts it.
    pub fn command(mode: &str, cpu: usize, capture: &Capture, huge: bool) -> Command {
        let segment = capture.longest.next_multiple_of(64).max(192);
        let segments = capture.frames + 16_384;
        let mut command = Command::new("dpdk-testpmd");
        command.arg("--lcores").arg(format!("0@0,1@{cpu}")).args(["--main-lcore", "0", "--no-pci", "--no-telemetry"]);
        if huge {
            command.arg("--in-memory");
        } else {
            let memory_mb = ((segments * (segment as u64 + 512)) >> 20) + 128;
            command.args(["--no-huge", "--no-shconf", "-m"]).arg(memory_mb.to_string());
        }
        command.arg(format!("--vdev=net_pcap0,rx_pcap={},infinite_rx=1", capture.pcap.display())).arg("--");
        // The segments that our own pool takes for these captures, behind DPDK's headroom of 128 bytes.
        command.args(["-i", "--auto-start", "--nb-cores=1", "--no-flush-rx"]).arg(format!("--forward-mode={mode}"));
        command.arg(format!("--burst={BURST_FRAMES_MAX}"));
        command.arg(format!("--mbuf-size={}", segment + 128)).arg(format!("--total-num-mbufs={segments}"));
        command
    }

    pub fn signal(&self, name: &str) {
        self.program.signal(name);
    }

    /// Where it stands now.
    pub fn point(&self) -> Point {
        while self.frames.try_recv().is_ok() {}
        let before = self.program.ran_ns();
        self.prompt.borrow_mut().write_all(b"show port stats 0\n").expect("dpdk-testpmd listens");
        let frames = self.frames.recv_timeout(START).expect("dpdk-testpmd shows what it received");
        Point { frames, ran_ns: before.midpoint(self.program.ran_ns()) }
    }
}
