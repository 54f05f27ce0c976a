//! The real thing on two cores: the appliance's own receiver, dispatcher and worker, each on a thread, against one core that does
//! both. What a thread ran is measured; waiting is not in it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tailwater::gather::Stage;
use tailwater::generate::{Crowds, Shape};
use tailwater::limits::BURST_FRAMES_MAX;
use tailwater::runtime::receiver::Receiver;
use tailwater::runtime::wiring::{AnyReceiver, Cores, wire};
use tailwater::rx::Frame;
use tailwater::rx::capture::Capture;
use tailwater::telemetry::Registry;
use tailwater::units::{Epoch, LinkType};

use super::support::{ran_ns, standard, world};

const RANGES: usize = 10_000;
const MEMORY_MB: usize = 1_024;
const REST: Duration = Duration::from_micros(30);

/// Nanoseconds a packet of each core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    pub(crate) receives_ns: f64,
    pub(crate) works_ns: f64,
}

/// Frames of 64 bytes from forged sources.
pub(crate) fn frames(shape: Shape, count: u64) -> Vec<Vec<u8>> {
    let range = |n: usize| format!("10.{}.{}.0/24", n / 256, n % 256).parse().expect("a prefix");
    let bytes = Crowds::new((0..RANGES).map(range), None).capture(shape, count).expect("memory");
    let mut capture = Capture::from_reader("memory".as_ref(), Box::new(std::io::Cursor::new(bytes))).expect("a capture");
    let mut frames = Vec::new();
    while let Some(frame) = capture.next_frame().expect("a frame") {
        frames.push(frame.bytes.to_vec());
    }
    frames
}

/// A window of these frames, so often, and its end.
pub(crate) fn run(pipeline: bool, frames: &[Vec<u8>], times: usize) -> Ran {
    let world = world(&standard(RANGES, MEMORY_MB, ""));
    let (registry, block) = (Registry::new("bench", "", Duration::from_secs(10)), world.plans.room().block);
    let workers = if pipeline { vec![2] } else { Vec::new() };
    let mut wired = wire(&world, &Cores { rx: vec![1], workers }, &registry, false);
    let over = Arc::new(AtomicBool::new(false));
    let (mut streams, stop) = (std::mem::take(&mut wired.streams), Arc::clone(&over));
    let reader = std::thread::spawn(move || {
        while !stop.load(Ordering::Acquire) {
            let mut told = false;
            for (_, stream) in &mut streams {
                while stream.next(|_| ()) {
                    told = true;
                }
            }
            if !told {
                std::thread::sleep(REST);
            }
        }
    });
    let worker = wired.workers.pop().map(|(mut worker, _)| {
        std::thread::spawn(move || {
            let begun = ran_ns();
            while worker.at() != Epoch::END {
                // Where the reader is behind, the worker waits for it.
                if !worker.stage().has_room(block) || !worker.poll() {
                    std::thread::sleep(REST);
                }
            }
            ran_ns() - begun
        })
    });
    let receives = match wired.receivers.pop() {
        Some(AnyReceiver::Own(receiver)) => feed(*receiver, frames, times, |shard| !shard.has_room(block)),
        Some(AnyReceiver::Sends(receiver)) => feed(*receiver, frames, times, Stage::is_busy),
        None => panic!("a core that receives"),
    };
    let works = worker.map_or(0, |worker| worker.join().expect("a worker"));
    over.store(true, Ordering::Release);
    reader.join().expect("a reader");
    let packets = (frames.len() * times) as f64;
    Ran { receives_ns: receives as f64 / packets, works_ns: works as f64 / packets }
}

/// `waits`: whether others are to go on first. Waiting costs nothing here.
fn feed<S: Stage>(mut receiver: Receiver<S>, frames: &[Vec<u8>], times: usize, waits: impl Fn(&S) -> bool) -> u64 {
    receiver.epoch(Epoch(1));
    let begun = ran_ns();
    for burst in (0..times).flat_map(|_| frames.chunks(BURST_FRAMES_MAX)) {
        let polled: arrayvec::ArrayVec<_, BURST_FRAMES_MAX> = burst.iter().map(|bytes| frame(bytes)).collect();
        receiver.frames(&polled);
        receiver.step();
        while waits(receiver.stage_ref()) {
            std::thread::sleep(REST);
        }
    }
    receiver.epoch(Epoch::END);
    while receiver.step() {
        while waits(receiver.stage_ref()) {
            std::thread::sleep(REST);
        }
    }
    let ran = ran_ns() - begun;
    receiver.end();
    ran
}

fn frame(bytes: &[u8]) -> Frame<'_> {
    let length = bytes.len() as u32;
    let (time_ns, epoch, link) = (1, Epoch(1), LinkType::Ethernet);
    Frame { bytes, wire_bytes: length, captured_bytes: length, time_ns, epoch, port: 0, link, late: false }
}

/// Instructions a packet of all threads, by callgrind: of twice as many frames, less those of one time. None without valgrind.
pub(crate) fn instructions(pipeline: bool, shape: &str) -> Option<f64> {
    const FRAMES: u64 = 100_000;
    let counted = |times: &str| {
        let mode = if pipeline { "pipeline" } else { "run-to-completion" };
        let program = std::env::current_exe().ok()?;
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        let ran = command.args(["inside", mode, shape, &FRAMES.to_string(), times]).output().ok()?;
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        said.lines().find_map(|line| line.split("Collected :").nth(1)?.trim().parse::<f64>().ok())
    };
    let (once, twice) = (counted("1")?, counted("2")?);
    Some((twice - once) / FRAMES as f64)
}

/// What callgrind counts.
pub(crate) fn inside(mode: &str, shape: &str, count: &str, times: &str) {
    let shape = Shape::ALL.into_iter().find(|(name, _)| *name == shape).map_or(Shape::Uniform, |(_, shape)| shape);
    let frames = frames(shape, count.parse().expect("frames"));
    run(mode == "pipeline", &frames, times.parse().expect("how often"));
}

/// Whether there is a valgrind.
pub(crate) fn has_valgrind() -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| Path::new(&folder).join("valgrind").is_file()))
}
