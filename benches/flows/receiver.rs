//! A receiver on a core of its own, and what the kernel says of its socket.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::ran_ns_of;

/// How long a receiver may take to rest, and to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may let a burst wait.
pub(crate) const STALL: Duration = Duration::from_secs(10);

/// Who receives.
#[derive(Clone, Debug)]
pub(crate) enum Tool {
    /// Ours: its program.
    Tailwater(PathBuf),
    /// Its program.
    Goflow2(PathBuf),
    /// With sfcapd for sFlow.
    Nfcapd,
}

impl Tool {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Tailwater(_) => "tailwater",
            Self::Goflow2(_) => "goflow2",
            Self::Nfcapd => "nfcapd",
        }
    }

    /// nfcapd leaves sFlow to another program, which Debian does not have.
    pub(crate) fn reads(&self, case: &str) -> bool {
        !matches!(self, Self::Nfcapd) || case != "sflow"
    }

    /// On the first of our CPUs.
    fn command(&self, port: u16, folder: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &FIRST.get().copied().unwrap_or(0).to_string()]);
        match self {
            Self::Tailwater(program) => {
                command.arg(program).args(["flows", "--format", "protobuf", "--listen", &format!("udp/127.0.0.1:{port}")]);
            }
            Self::Goflow2(program) => {
                let listen = format!("flow://127.0.0.1:{port}");
                command.arg(program).env("GOMAXPROCS", "1").args(["-listen", &listen, "-addr", "127.0.0.1:0", "-format", "bin"]);
                command.args(["-transport", "file", "-transport.file", "/dev/null"]);
            }
            Self::Nfcapd => {
                command.args(["nfcapd", "-b", "127.0.0.1", "-p", &port.to_string(), "-t", "3600", "-w"]).arg(folder);
            }
        }
        command
    }
}

/// One at work.
pub(crate) struct Receiver {
    child: Child,
    is_ours: bool,
    /// Where nfcapd writes.
    _folder: tempfile::TempDir,
}

impl Receiver {
    /// Started, and listening.
    pub(crate) fn start(tool: &Tool, port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = tool.command(port, folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        if !matches!(tool, Tool::Tailwater(_)) {
            command.stderr(Stdio::null());
        }
        let child = command.spawn().expect("a receiver");
        let since = Instant::now();
        while socket(port).is_none() {
            assert!(since.elapsed() < Duration::from_secs(10), "{} does not listen", tool.name());
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, is_ours: matches!(tool, Tool::Tailwater(_)), _folder: folder }
    }

    /// Nanoseconds that its threads have run.
    pub(crate) fn ran_ns(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("Linux");
        tasks.filter_map(Result::ok).map(|task| ran_ns_of(&task.path())).sum()
    }

    /// Until it does nothing any more.
    pub(crate) fn rest(&self) {
        let (mut before, since) = (self.ran_ns(), Instant::now());
        while since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(60));
            let now = self.ran_ns();
            // What runs by itself now and then is not work that waits.
            if now - before < 2_000_000 {
                return;
            }
            before = now;
        }
    }

    /// Ends it. Of ours, the flows that its account has.
    pub(crate) fn end(mut self) -> Option<u64> {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let since = Instant::now();
        // What is asked of ours is its account; another one may as well be cut off.
        while !self.is_ours && matches!(self.child.try_wait(), Ok(None)) && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        if !self.is_ours {
            let _ = self.child.kill();
        }
        let mut said = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut said);
        }
        let _ = self.child.wait();
        let flows = said.split(" flows + ").next().and_then(|before| before.rsplit(' ').next()?.parse().ok());
        self.is_ours.then(|| flows.expect("an account"))
    }
}

/// CPUs that we may use.
fn cpus() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect::<Vec<_>>()
}

/// The sender keeps to the last of them. (Asked for first: then only that one is left.)
pub(crate) fn pin() {
    let all = cpus();
    let (first, last) = (all[0], all[all.len() - 1]);
    FIRST.get_or_init(|| first);
    core_affinity::set_for_current(core_affinity::CoreId { id: last });
}

static FIRST: std::sync::OnceLock<usize> = std::sync::OnceLock::new();

/// The row of the socket at a port, in /proc/net/udp: bytes that wait, and datagrams dropped.
fn socket(port: u16) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/net/udp").ok()?;
    let at = format!(":{port:04X} ");
    let row = text.lines().find(|line| line.split_whitespace().nth(1).is_some_and(|local| format!("{local} ").ends_with(&at)))?;
    let fields: Vec<&str> = row.split_whitespace().collect();
    let waits = u64::from_str_radix(fields.get(4)?.split(':').nth(1)?, 16).ok()?;
    Some((waits, fields.last()?.parse().ok()?))
}

/// Whether datagrams wait in the socket.
pub(crate) fn waits(port: u16) -> bool {
    socket(port).is_some_and(|(bytes, _)| bytes > 0)
}

/// Datagrams that the kernel dropped of the socket's.
pub(crate) fn drops(port: u16) -> u64 {
    socket(port).map_or(0, |(_, drops)| drops)
}
