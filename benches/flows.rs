//! Export datagrams over loopback: `tailwater flows --listen` beside what someone would pick instead.
//!
//! `bash scripts/bench flows [CASE]`: one line of JSON a case (`netflow5`, `netflow9`, `ipfix`, `sflow`) and receiver, in flow records that
//! a second of CPU does: all threads of the receiver, user and system, from the socket to its output. Each receiver has one core, the
//! sender the other; datagrams are sent in bursts, each when the kernel's queue of the socket is empty, so that nobody is offered more
//! than it takes: what a core does in a second is what it can be offered without loss. Ours and GoFlow2 write length-prefixed protobuf to
//! /dev/null; nfcapd writes its own files, compressed not. Rounds go in turn; those whose clock changed do not count. A datagram that the
//! kernel dropped, or a record of ours that is missing, is told, and is a failure.
//!
//! Needs `cargo build --release --locked`; for GoFlow2 Go, by which `scripts/goflow2` builds it once; for nfcapd, which reads no sFlow, `bash
//! scripts/setup --benches`. What is not here is told on one line.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench"
)]

#[path = "support/exports.rs"]
mod exports;
#[path = "flows/receiver.rs"]
mod receiver;
mod support;

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use exports::Exports;
use receiver::{Receiver, STALL, Tool, drops, pin, waits};
use support::{Figure, clock, median};

const ROUNDS: usize = 5;
/// Rounds whose clocks differ by more are not compared.
const CLOCKS_MAX: f64 = 1.05;
/// Of GoFlow2's, at least.
const MUST: f64 = 5.0;
/// Sent at once: what every receiver's socket holds, also one with the system's default buffer.
const BURST: u32 = 32;
/// Before what counts: caches fill, templates come.
const WARM_BURSTS: u32 = 20;
const BURSTS: u32 = 300;

/// One round of one receiver.
#[derive(Clone, Copy)]
struct Took {
    records_a_second: f64,
    clock: f64,
    lost: u64,
}

/// Sends bursts, each when the one before is taken.
fn bursts(socket: &UdpSocket, port: u16, exports: &mut Exports, (from, count): (u32, u32)) {
    for burst in from..from + count {
        for n in burst * BURST..(burst + 1) * BURST {
            socket.send_to(exports.number(n), ("127.0.0.1", port)).expect("loopback");
        }
        let since = Instant::now();
        while waits(port) {
            assert!(since.elapsed() < STALL, "a burst is not taken");
        }
    }
}

fn round(tool: &Tool, exports: &mut Exports, port: u16) -> Took {
    let receiver = Receiver::start(tool, port);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    if !exports.template.is_empty() {
        socket.send_to(&exports.template, ("127.0.0.1", port)).expect("loopback");
    }
    bursts(&socket, port, exports, (0, WARM_BURSTS));
    receiver.rest();
    let (before, clock_before) = (receiver.ran_ns(), clock());
    bursts(&socket, port, exports, (WARM_BURSTS, BURSTS));
    receiver.rest();
    let ran_ns = receiver.ran_ns() - before;
    let clock = clock_before.midpoint(clock());
    let lost = drops(port);
    let sent = u64::from((WARM_BURSTS + BURSTS) * BURST) * u64::from(exports.records);
    let missing = receiver.end().map_or(0, |records| sent.saturating_sub(records));
    let records = f64::from(BURSTS * BURST) * f64::from(exports.records);
    Took { records_a_second: records * 1e9 / ran_ns as f64, clock, lost: lost + missing }
}

/// The tools that are here; those that are not are told.
fn tools(root: &Path) -> Vec<Tool> {
    let binary = root.join("target/release/tailwater");
    let mut tools = vec![Tool::Tailwater(binary)];
    match goflow2(root) {
        Ok(program) => tools.push(Tool::Goflow2(program)),
        Err(why) => eprintln!("flows: no GoFlow2: {why}"),
    }
    if Command::new("nfcapd").arg("-V").output().is_ok() {
        tools.push(Tool::Nfcapd);
    } else {
        eprintln!("flows: no nfcapd: bash scripts/setup --benches");
    }
    tools
}

/// Built once; where it is.
fn goflow2(root: &Path) -> Result<PathBuf, String> {
    let output =
        Command::new("bash").arg(root.join("scripts/goflow2")).arg("--build").output().map_err(|fault| format!("bash: {fault}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(PathBuf::from(said(&output.stdout))) } else { Err(said(&output.stderr)) }
}

/// Ours over theirs, of rounds of one clock, or of all where no round had one.
fn ratio(ours: &[Took], theirs: &[Took]) -> f64 {
    let pairs: Vec<(f64, bool)> = ours
        .iter()
        .zip(theirs)
        .map(|(a, b)| (a.records_a_second / b.records_a_second, a.clock.max(b.clock) / a.clock.min(b.clock) <= CLOCKS_MAX))
        .collect();
    let kept: Vec<f64> = pairs.iter().filter(|(_, steady)| *steady).map(|(ratio, _)| *ratio).collect();
    median(if kept.is_empty() { pairs.into_iter().map(|(ratio, _)| ratio).collect() } else { kept })
}

/// One case; whether all is as it must be.
fn case(name: &str, exports: &Exports, tools: &[Tool], port: u16) -> bool {
    let mut took: Vec<Vec<Took>> = tools.iter().map(|_| Vec::new()).collect();
    for n in 1..=ROUNDS {
        for (tool, took) in tools.iter().zip(&mut took).filter(|(tool, _)| tool.reads(name)) {
            let now = round(tool, &mut exports.clone(), port);
            eprintln!("{name} {n}: {} {:.0} records/s of CPU, {} lost", tool.name(), now.records_a_second, now.lost);
            took.push(now);
        }
    }
    let rate = |took: &[Took]| median(took.iter().map(|took| took.records_a_second).collect());
    let lost = |took: &[Took]| took.iter().map(|took| took.lost).sum::<u64>();
    let mut is_good = lost(&took[0]) == 0;
    for (tool, theirs) in tools.iter().zip(&took).skip(1).filter(|(tool, _)| tool.reads(name)) {
        let ratio = ratio(&took[0], theirs);
        let must = if matches!(tool, Tool::Goflow2(_)) { format!(", \"must\": {MUST}") } else { String::new() };
        is_good &= must.is_empty() || ratio >= MUST;
        let more = format!("\"lost\": {}, \"theirs_lost\": {}{must}", lost(&took[0]), lost(theirs));
        let (ours, theirs) = (rate(&took[0]), rate(theirs));
        Figure { bench: "flows", case: name, unit: "records/s", ours, against: tool.name(), theirs, ratio }.print_with(&more);
    }
    is_good
}

fn main() -> ExitCode {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let cases: Vec<_> = exports::all().into_iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name)).collect();
    if cases.is_empty() || !root.join("target/release/tailwater").is_file() {
        eprintln!("flows: wants target/release/tailwater (cargo build --release --locked), and one of: netflow5 netflow9 ipfix sflow");
        return ExitCode::from(2);
    }
    let tools = tools(root);
    pin();
    let port = 20_000 + (std::process::id() % 20_000) as u16;
    let wrong = cases.iter().filter(|(name, exports)| !case(name, exports, &tools, port)).count();
    if wrong > 0 {
        eprintln!("flows: FAILED: in {wrong} cases something was lost, or was below {MUST} times GoFlow2's");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
