//! A number of stats on a number of ranges, in a process of its own that is told when to run a window.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Lines, Write, stdin};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use super::support::inner::{Frames, Inner, ranges_text};
use super::support::{callgrind, ran_ns, sets};

/// Packets of a window: a million a second for ten seconds.
const WINDOW_PACKETS: usize = 10_000_000;
/// Says how many instead.
const WINDOW: &str = "BENCH_WINDOW";
/// One in so many of those where instructions are counted.
const COUNTED_SHARE: usize = 40;
const WINDOW_MS: u64 = 10_000;
/// The budget of the data path.
const MEMORY_MB: &str = "memory_mb = 12000";

/// What all cells need.
pub(crate) struct Ground<'a> {
    /// For configurations.
    pub(crate) folder: &'a Path,
    /// Whose frames are sent, to other ranges.
    pub(crate) pcap: &'a Path,
}

impl Ground<'_> {
    /// Configuration of a cell.
    fn prepare(&self, stats: usize, ranges: usize) -> PathBuf {
        let file = |ending: &str| self.folder.join(format!("slope-{ranges}.{ending}"));
        std::fs::write(file("csv"), ranges_text(ranges)).expect("ranges");
        let text = sets::configuration(stats, &file("csv"), WINDOW_MS).replace("memory_mb = 4096", MEMORY_MB);
        std::fs::write(file(&format!("{stats}.toml")), text).expect("a configuration");
        file(&format!("{stats}.toml"))
    }

    /// What a cell is started with.
    fn arguments(&self, stats: usize, ranges: usize) -> [OsString; 4] {
        ["inside".into(), self.prepare(stats, ranges).into(), self.pcap.into(), ranges.to_string().into()]
    }
}

fn window_packets() -> usize {
    std::env::var(WINDOW).ok().map_or(WINDOW_PACKETS, |text| text.parse().unwrap_or_else(|_| panic!("{WINDOW} is a number of packets")))
}

/// Packets of a window where instructions are counted.
pub(crate) fn counted_packets() -> usize {
    window_packets() / COUNTED_SHARE
}

/// A cell that runs.
pub(crate) struct Cell {
    child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
    short: Option<String>,
}

impl Cell {
    /// Starts it, and runs a window and a half-warm one, which touch its memory for the first time.
    pub(crate) fn start(ground: &Ground<'_>, stats: usize, ranges: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(ground.arguments(stats, ranges)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program starts");
        let (to, from) = (child.stdin.take().expect("piped"), BufReader::new(child.stdout.take().expect("piped")).lines());
        let mut cell = Self { child, to, from, short: None };
        (0..2).for_each(|_| _ = cell.window());
        cell
    }

    /// Nanoseconds a packet of the next window.
    pub(crate) fn window(&mut self) -> f64 {
        writeln!(self.to, "{}", window_packets()).expect("a cell that listens");
        let line = self.from.next().expect("a cell that answers").expect("a line");
        let (ns, short) = line.split_once(' ').unwrap_or((&line, ""));
        self.short = (!short.is_empty()).then(|| short.to_owned());
        ns.parse::<f64>().expect("nanoseconds") / window_packets() as f64
    }

    /// What its last window had no memory for.
    pub(crate) fn short(&self) -> Option<&str> {
        self.short.as_deref()
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[inline(never)]
fn counted_by_callgrind(inner: &mut Inner, frames: &Frames, packets: usize) {
    inner.window(frames, packets);
}

/// The process of a cell: for each line, a window of so many packets.
pub(crate) fn inside(configuration: &Path, pcap: &Path, ranges: usize) -> ExitCode {
    let frames = Frames::read(pcap);
    let frames = frames.over(ranges, frames.len().max(2 * ranges));
    let mut inner = Inner::new(configuration, false);
    for line in stdin().lines().map_while(Result::ok) {
        let packets = line.parse().expect("packets");
        let begun = ran_ns();
        counted_by_callgrind(&mut inner, &frames, packets);
        println!("{}{}", ran_ns() - begun, inner.short().map_or_else(String::new, |short| format!(" {short}")));
    }
    ExitCode::SUCCESS
}

/// Instructions a packet: of a window that closes one like it.
pub(crate) fn instructions(ground: &Ground<'_>, stats: usize, ranges: usize) -> f64 {
    let out = ground.folder.join("slope.callgrind");
    let mut command = callgrind::command(&out);
    command.args(["--collect-atstart=no", "--instr-atstart=no", "--toggle-collect=*counted_by_callgrind*"]);
    command.arg(std::env::current_exe().expect("this program")).args(ground.arguments(stats, ranges));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("valgrind starts");
    let packets = counted_packets();
    let (mut to, mut from) = (child.stdin.take().expect("piped"), BufReader::new(child.stdout.take().expect("piped")).lines());
    let mut window = || {
        writeln!(to, "{packets}").expect("a cell that listens");
        from.next().expect("a cell that answers").expect("a line")
    };
    window();
    let on = Command::new("callgrind_control")
        .args(["-i", "on"])
        .arg(child.id().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(on.is_ok_and(|status| status.success()), "callgrind_control -i on");
    window();
    drop((to, from));
    let ran = child.wait_with_output().expect("valgrind ends");
    std::fs::remove_file(&out).ok();
    let said = String::from_utf8_lossy(&ran.stderr);
    let collected = said.lines().find_map(|line| line.split("Collected :").nth(1)).unwrap_or_else(|| panic!("callgrind says {said}"));
    collected.trim().parse::<f64>().expect("instructions") / packets as f64
}
