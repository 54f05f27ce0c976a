//! The two programs under measure: started once a case, and stopped while the other one runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::support::ran_ns_of;

/// How long a program may take to start: it takes its memory page by page.
const START: Duration = Duration::from_secs(90);

/// Frames that were received, and for how long the core that received them ran, since the start.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    frames: u64,
    ran_ns: u64,
}

impl Point {
    /// Millions of frames a second that the core ran.
    pub(crate) fn mpps_since(self, begun: Self) -> f64 {
        (self.frames - begun.frames) as f64 / (self.ran_ns - begun.ran_ns) as f64 * 1e3
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
            assert!(begun.elapsed() < START, "no lcore came up in {tasks:?}");
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
pub(crate) struct Ours {
    program: Program,
    admin: u16,
}

impl Ours {
    /// Of this configuration, whose `[admin]` and ports are added. Its reports come on the pipe: nobody needs to read them.
    pub(crate) fn start(binary: &Path, folder: &Path, name: &str, text: &str, capture: &Path) -> (Self, ChildStdout) {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let file = folder.join(format!("{name}.toml"));
        let (admin, device) = (free.port(), format!("net_pcap0,rx_pcap={},infinite_rx=1", capture.display()));
        let more = format!("\n[[ports]]\ndevice = \"{device}\"\n\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n\n[sinks.stdout]\n");
        std::fs::write(&file, text.to_owned() + &more).expect("a configuration");
        let log = std::fs::File::create(folder.join(format!("{name}.log"))).expect("a log");
        let mut command = Command::new(binary);
        command.args(["run", "--config"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("tailwater starts");
        let reports = child.stdout.take().expect("it was piped");
        let ours = Self { program: Program::of(child), admin };
        let begun = Instant::now();
        while ours.frames().is_none_or(|frames| frames == 0) {
            assert!(begun.elapsed() < START, "tailwater receives nothing: see {name}.log in {folder:?}");
            sleep(Duration::from_millis(50));
        }
        (ours, reports)
    }

    /// The CPU that receives.
    pub(crate) fn cpu(&self) -> usize {
        let status = std::fs::read_to_string(self.program.thread.join("status")).expect("Linux");
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("Linux");
        list.trim().parse().expect("an lcore has one CPU")
    }

    pub(crate) fn signal(&self, name: &str) {
        self.program.signal(name);
    }

    /// Where it stands now.
    pub(crate) fn point(&self) -> Point {
        let before = self.program.ran_ns();
        let frames = self.frames().expect("metrics");
        Point { frames, ran_ns: before.midpoint(self.program.ran_ns()) }
    }

    fn frames(&self) -> Option<u64> {
        metric(&self.metrics()?, "tailwater_core_received_total{").first().map(|(_, frames)| *frames)
    }

    /// What the machine made coarser or incomplete, each with its number.
    pub(crate) fn shed(&self) -> Vec<(String, u64)> {
        let text = self.metrics().expect("metrics");
        let of = |family| metric(&text, family).into_iter().filter(|(_, n)| *n > 0);
        let families = ["tailwater_degraded_figures_total{", "tailwater_incomplete_reports_total{", "tailwater_core_ring_dropped_total{"];
        families.into_iter().flat_map(of).collect()
    }

    fn metrics(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }
}

/// Rows of one family: labels and value.
fn metric(text: &str, family: &str) -> Vec<(String, u64)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix(family)?.rsplit_once("} "));
    rows.filter_map(|(labels, value)| Some((labels.to_owned(), value.trim().parse().ok()?))).collect()
}

/// `dpdk-testpmd`.
pub(crate) struct Theirs {
    program: Program,
    frames: Receiver<u64>,
}

impl Theirs {
    /// In this forwarding mode, on this CPU, with ordinary pages as we have them, or hugepages.
    pub(crate) fn start(mode: &str, cpu: usize, capture: &Path, frames: u64, huge: bool) -> Self {
        let memory: &[&str] = if huge { &["--in-memory"] } else { &["--no-huge", "--no-shconf"] };
        let mut command = Command::new("dpdk-testpmd");
        command.arg("--lcores").arg(format!("0@0,1@{cpu}")).args(["--main-lcore", "0", "--no-pci", "--no-telemetry", "-m", "900"]);
        command.args(memory).arg(format!("--vdev=net_pcap0,rx_pcap={},infinite_rx=1", capture.display())).arg("--");
        // The segments that our own pool takes for these captures.
        command.arg(format!("--forward-mode={mode}")).args(["--nb-cores=1", "--burst=32", "--mbuf-size=320", "--no-flush-rx"]);
        command.arg(format!("--total-num-mbufs={}", frames + 16_384)).args(["--stats-period=1", "--auto-start"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("dpdk-testpmd starts: bash scripts/setup");
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
        let theirs = Self { program: Program::of(child), frames };
        let begun = Instant::now();
        while theirs.point().frames == 0 {
            assert!(begun.elapsed() < START, "dpdk-testpmd receives nothing");
        }
        theirs
    }

    pub(crate) fn signal(&self, name: &str) {
        self.program.signal(name);
    }

    /// Where it stands when it next says so, within a second.
    pub(crate) fn point(&self) -> Point {
        while self.frames.try_recv().is_ok() {}
        let frames = self.frames.recv_timeout(START).expect("dpdk-testpmd shows what it received");
        Point { frames, ran_ns: self.program.ran_ns() }
    }
}
