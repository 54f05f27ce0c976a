//! The appliance as a user runs it: its process, its log, what it answers, what it leaves behind.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tailwater");

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// `tailwater run`; killed when it is dropped.
pub(crate) struct Appliance {
    child: Child,
    log: PathBuf,
}

impl Appliance {
    /// Its log stands beside the configuration.
    pub(crate) fn start(config: &Path, more: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let log = config.with_extension(format!("{}.log", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let stderr = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(BINARY);
        command.args(["run", "--config"]).arg(config).args(more).env_remove("RUST_LOG");
        Self { child: command.stdin(Stdio::null()).stderr(stderr).spawn().unwrap(), log }
    }

    /// Started, and counting.
    pub(crate) fn counting(config: &Path, more: &[&str]) -> Self {
        let appliance = Self::start(config, more);
        appliance.says("\"counting\"", 60);
        appliance
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log holds `text`.
    pub(crate) fn says(&self, text: &str, seconds: u64) {
        wait(seconds, || self.log().contains(text), || format!("the log never said {text}:\n{}", self.log()));
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap().success());
    }

    /// Exit status and log, once it has ended.
    pub(crate) fn ended(mut self, seconds: u64) -> (Option<i32>, String) {
        let end = Instant::now() + Duration::from_secs(seconds);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), self.log());
            }
            assert!(Instant::now() < end, "it still runs after {seconds} s:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM; it must end well.
    /// Nothing of it runs for so long.
    pub(crate) fn hold(&self, time: Duration) {
        self.signal("STOP");
        std::thread::sleep(time);
        self.signal("CONT");
    }

    pub(crate) fn stop(self, seconds: u64) -> String {
        self.signal("TERM");
        let (status, log) = self.ended(seconds);
        assert_eq!(status, Some(0), "{log}");
        log
    }

    /// Address that the admin port answers at.
    pub(crate) fn admin(&self) -> String {
        let log = self.log();
        let (_, after) = log.split_once("metrics at http://").unwrap_or_else(|| panic!("no admin port:\n{log}"));
        after.split_once('/').unwrap().0.to_owned()
    }

    /// Status and body of `GET path`.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path)
    }

    /// Status and body.
    pub(crate) fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: tailwater\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split_whitespace().nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Sum of a whole-numbered metric over its labels, of those lines that hold `label`.
    pub(crate) fn metric(&self, name: &str, label: &str) -> u64 {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name) && line.contains(label);
        text.lines().filter(of_name).map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What takes so many seconds at most may take so many times as long where others keep the disk: one that is written to by a compiler
/// beside stood still for half a minute.
const PATIENCE: u32 = 3;

/// Waits until `done`, or fails with what `why` says.
pub(crate) fn wait(seconds: u64, mut done: impl FnMut() -> bool, why: impl FnOnce() -> String) {
    let end = Instant::now() + Duration::from_secs(seconds) * PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{}", why());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a command to its end: status, stdout, stderr.
pub(crate) fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Its stdout, if it ended well.
pub(crate) fn output(command: &mut Command) -> String {
    let (status, stdout, stderr) = run(command);
    assert_eq!(status, Some(0), "{command:?}:\n{stdout}{stderr}");
    stdout
}

/// The kernel's counter of an interface.
pub(crate) fn interface(name: &str, counter: &str) -> u64 {
    std::fs::read_to_string(format!("/sys/class/net/{name}/statistics/{counter}")).unwrap().trim().parse().unwrap()
}

/// Reports of a file sink.
pub(crate) struct Reports {
    pub(crate) ranges: Vec<Value>,
    pub(crate) accounts: Vec<Value>,
}

impl Reports {
    /// Long windows; the totals aside.
    pub(crate) fn of(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let all = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|m| m["windowKind"] == "LONG");
        let (ranges, accounts): (Vec<_>, Vec<_>) = all.partition(|message| message.get("prefix").is_some());
        Self { ranges, accounts: accounts.into_iter().filter(|account| account["total"] == false).collect() }
    }

    /// Sum of a stat over all ranges and windows.
    pub(crate) fn sum(&self, stat: &str) -> f64 {
        let stats = self.ranges.iter().flat_map(|report| report["stats"].as_array().unwrap());
        stats.filter(|one| one["name"] == stat).map(|one| one["total"]["value"].as_f64().unwrap()).sum()
    }
}

/// A real Apache Kafka in a folder of its own, on a free port of loopback; it ends when it is dropped.
pub(crate) struct Broker {
    folder: tempfile::TempDir,
}

impl Broker {
    /// Gets its program, for which the network is needed.
    pub(crate) fn fetch() {
        output(Command::new("bash").arg(root().join("scripts/kafka.sh")).arg("fetch"));
    }

    /// One that does not run yet.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// One that keeps all that it has within a folder.
    pub(crate) fn within(folder: &Path) -> Self {
        Self { folder: tempfile::tempdir_in(folder).unwrap() }
    }

    /// Ends it as `kafka.sh stop` does; what it holds stays.
    pub(crate) fn stop(&self) {
        output(&mut self.script(&["stop"]));
    }

    /// A signal to its process, if there is one.
    pub(crate) fn signal(&self, name: &str) {
        let Ok(pid) = std::fs::read_to_string(self.folder.path().join("pid")) else { return };
        run(Command::new("kill").args([&format!("-{name}"), pid.trim()]));
    }

    /// Starts it; its address.
    pub(crate) fn start(&self, port: u16) -> String {
        output(&mut self.script(&["start", "--port", &port.to_string()])).trim().to_owned()
    }

    fn script(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("bash");
        command.arg(root().join("scripts/kafka.sh")).args(arguments).arg("--dir").arg(self.folder.path());
        command
    }

    /// What a consumer that shares no code with us reads from the beginning to the present end.
    pub(crate) fn read(address: &str, more: &[&str]) -> String {
        let script = root().join("tests/consumer/read_reports.py");
        output(Command::new("/usr/bin/python3").arg("-B").arg(script).args(["--brokers", address]).args(more))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let (status, _, stderr) = run(&mut self.script(&["stop", "--wipe"]));
        if status != Some(0) {
            eprintln!("{stderr}");
        }
    }
}
