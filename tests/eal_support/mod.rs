//! Frames, namespaces and a receiving loop for the tests that need EAL and a network of their own.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tailwater::config::Port;
use tailwater::dpdk::Eal;
use tailwater::rx::Event;
use tailwater::rx::live::{self, LivePort};

const INSIDE: &str = "TAILWATER_TEST_NAMESPACE";

/// Runs `inside` as the test `name` of a process of its own, in a network namespace that lives as long.
pub(crate) fn in_namespace(name: &str, inside: impl FnOnce()) {
    if is_inside() {
        let quiet = "net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1";
        assert!(sh(&format!("sysctl -qw {quiet}")));
        tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
        return inside();
    }
    if !is_able() {
        // Past the test harness, which keeps the words of a test that passes to itself.
        let _ = writeln!(std::io::stderr(), "SKIPPED {name}: needs root, iproute2 and tcpreplay");
        return;
    }
    let space = format!("tw-{}-{name}", std::process::id());
    assert!(sh(&format!("ip netns add {space}")));
    let own = std::env::current_exe().unwrap();
    let run = Command::new("ip")
        .args(["netns", "exec", &space])
        .arg(own)
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .status();
    sh(&format!("ip netns del {space}"));
    assert!(run.unwrap().success());
}

/// Whether this user and machine can have such a namespace.
pub(crate) fn is_able() -> bool {
    sh("test \"$(id -u)\" = 0 && command -v ip tcpreplay >/dev/null")
}

/// Whether this is the process in the namespace.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

pub(crate) fn sh(line: &str) -> bool {
    Command::new("sh").args(["-c", line]).status().is_ok_and(|status| status.success())
}

/// Frames of IPv4 with UDP; the IP length tells the whole even where the capture is cut.
pub(crate) fn write_pcap(path: &Path, frames: usize, length: usize, vlan: bool) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(word.to_le_bytes());
    }
    for number in 0..frames {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        if vlan {
            frame.extend([0x81, 0, 0x02, 0x9a]);
        }
        let ip_bytes = u16::try_from(length - frame.len() - 2).unwrap();
        frame.extend([8, 0, 0x45, 0]);
        frame.extend(ip_bytes.to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 198, 51, 100, 1, 203, 0, 113, u8::try_from(number % 256).unwrap()]);
        frame.resize(length, 7);
        let held = u32::try_from(frame.len()).unwrap();
        for word in [1_700_000_000, 0, held, held] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    std::fs::write(path, file).unwrap();
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Got {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) cut: u64,
    pub(crate) tagged: u64,
}

/// Polls while `sending` runs and until nothing came for a moment. `pause` makes us slow, so that the kernel must drop.
pub(crate) fn receive(port: &mut LivePort, mut sending: std::process::Child, pause: Duration) -> Got {
    let mut bursts: Vec<_> = port.queues.iter().map(|queue| queue.burst()).collect();
    let (mut got, mut last, mut done) = (Got::default(), Instant::now(), false);
    while !done || last.elapsed() < Duration::from_millis(200) {
        done = done || sending.try_wait().unwrap().is_some();
        for (queue, burst) in port.queues.iter_mut().zip(&mut bursts) {
            queue.poll(burst);
            for event in burst.events() {
                let Event::Frame(frame) = event else { continue };
                got.frames += 1;
                got.bytes += u64::from(frame.wire_bytes);
                got.cut += u64::from(frame.captured_bytes < frame.wire_bytes);
                got.tagged += u64::from(frame.bytes[12..16] == [0x81, 0, 0x02, 0x9a]);
                last = Instant::now();
            }
            if !burst.is_empty() && !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
    }
    got
}

pub(crate) fn replay(interface: &str, arguments: &str, file: &Path) -> std::process::Child {
    let line = format!("exec tcpreplay -q {arguments} -i {interface} {} >/dev/null 2>&1", file.display());
    Command::new("sh").args(["-c", &line]).spawn().unwrap()
}

pub(crate) fn try_open(eal: &Eal, device: &str, queues: u16) -> Result<LivePort, String> {
    let port = Port { device: device.into(), queues, feed: "mirror".into(), min_pps: 0 };
    let mut ports = live::open(eal, &[port], 1_000_000_000, &std::sync::Arc::default()).map_err(|faults| faults[0].to_string())?;
    println!("{}", ports[0].report);
    Ok(ports.remove(0))
}

pub(crate) fn open(eal: &Eal, device: &str, queues: u16) -> LivePort {
    try_open(eal, device, queues).unwrap()
}
