//! A real broker for a test, our sink at work, and what a consumer that shares no code with us reads.
//!
//! The broker is `scripts/kafka.sh` in a folder of the test, on free ports of loopback. Without Java, Maven, kcat, protoc or
//! Python's protobuf the test fails, and says what to install.
#![allow(dead_code, unreachable_pub, reason = "each test uses some of it")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tailwater::config::{KafkaSink, Sinks};
use tailwater::journal::{Bound, Journal};
use tailwater::sink::{self, RunningSinks};
use tailwater::telemetry::SinkStatus;

/// Kafka's numbers: a resource, a pattern, operations, a permission.
const TOPIC: u8 = 2;
const PREFIXED: u8 = 4;
const ALL: u8 = 2;
const ALLOW: u8 = 3;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Runs a command and gives its stdout; what it says on stderr is in the failure.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|fault| format!("{command:?}: {fault}"))?;
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(stdout) } else { Err(format!("{command:?}: {}\n{stderr}", output.status)) }
}

/// A broker that ends with its test.
pub struct Broker {
    pub folder: tempfile::TempDir,
}

impl Broker {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments: `--secure`, `--join FOLDER`.
    pub fn start_with(more: &[&str]) -> Self {
        let broker = Self::none();
        broker.script(&[&["start", "--port", "0"], more].concat()).unwrap();
        broker
    }

    pub fn none() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn script(&self, arguments: &[&str]) -> Result<String, String> {
        let script = root().join("scripts/kafka.sh");
        run(Command::new("bash").arg(script).args(arguments).arg("--dir").arg(self.folder.path()))
    }

    /// A signal to its process.
    pub fn signal(&self, name: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        run(Command::new("kill").args([&format!("-{name}"), pid.trim()])).unwrap();
    }

    pub fn address(&self) -> String {
        self.script(&["status"]).unwrap().trim().to_owned()
    }

    /// A file that `--secure` made.
    pub fn secure(&self, name: &str) -> PathBuf {
        self.folder.path().join("secure").join(name)
    }

    /// What is in it.
    pub fn secret(&self, name: &str) -> String {
        std::fs::read_to_string(self.secure(name)).unwrap().trim().to_owned()
    }

    /// Lets a principal do everything with topics whose names begin so: Kafka's CreateAcls, version 1, sent by hand, since the
    /// broker's own tools are not among its jars.
    pub fn allow(&self, principal: &str, topics: &str) {
        let text = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
        let mut acl = vec![0, 0, 0, 1, TOPIC];
        acl.extend([text(topics), vec![PREFIXED], text(principal), text("*"), vec![ALL, ALLOW]].concat());
        let head = [&[0, 30, 0, 1, 0, 0, 0, 7][..], &text("test")].concat();
        let length = u32::try_from(head.len() + acl.len()).unwrap().to_be_bytes();
        let mut broker = TcpStream::connect(self.address()).unwrap();
        broker.write_all(&[&length[..], &head, &acl].concat()).unwrap();
        let mut length = [0; 4];
        broker.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        broker.read_exact(&mut answer).unwrap();
        // Correlation, throttling, count, and the code of the one.
        assert_eq!(answer[..14], [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], "{answer:?}");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Err(fault) = self.script(&["stop", "--wipe"]) {
            eprintln!("{fault}");
        }
    }
}

/// What the independent consumer prints.
pub fn read(brokers: &str, more: &[&str]) -> String {
    run(Command::new("/usr/bin/python3").arg(root().join("tests/consumer/read_reports.py")).args(["--brokers", brokers]).args(more))
        .unwrap()
}

/// Messages of one topic, in each partition's order.
pub fn read_ranges(brokers: &str, topic: &str) -> Vec<Value> {
    let lines = read(brokers, &["--ranges-topic", topic, "--appliance-topic", ""]);
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].take()).collect()
}

pub fn start_to(kafka: KafkaSink) -> (RunningSinks, Arc<Journal>) {
    let sinks = Sinks { kafka: Some(kafka), ..Sinks::default() };
    let journal = Journal::new(Bound::default(), &sink::names(&sinks));
    (sink::start(&sinks, &journal).unwrap(), journal)
}

pub fn wait_for(sinks: &RunningSinks, what: &str, done: impl Fn(&SinkStatus) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done(&sinks.status()[0]) {
        assert!(Instant::now() < deadline, "{what} did not come: {:?}", sinks.status());
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn stop(mut sinks: RunningSinks) -> SinkStatus {
    sinks.stop(Instant::now() + Duration::from_secs(60)).remove(0)
}

/// Everything that this process logs from here on, at the finest level.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn of_everything() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(move || writer.clone()).init();
        log
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
