//! Ports of the configuration over vdevs: what arrives, what is counted, and what each fault is told as.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tailwater::config::Port;
use tailwater::dpdk::{Eal, EalConfig};
use tailwater::rx::live::{self, LivePort};
use tailwater::rx::{Event, RxQueue};

const WINDOW_NS: u64 = 100_000_000;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Frames of growing length up to 60,000 bytes; the whole frame follows from its number.
fn frame(number: usize) -> Vec<u8> {
    let length = if number % 50 == 49 { 60_000 } else { 60 + number };
    (0..length).map(|at| u8::try_from((at + number) % 256).unwrap()).collect()
}

fn write_pcap(path: &Path, frames: impl Iterator<Item = usize>) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(word.to_le_bytes());
    }
    for number in frames {
        let bytes = frame(number);
        let length = u32::try_from(bytes.len()).unwrap();
        for word in [1_700_000_000, 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(bytes);
    }
    std::fs::write(path, file).unwrap();
}

fn port(device: String, queues: u16) -> Port {
    Port { device, queues, feed: "mirror".into(), min_pps: 0 }
}

fn fault(eal: &Eal, device: String, queues: u16) -> String {
    let faults = live::open(eal, &[port(device, queues)], WINDOW_NS, &Arc::default()).unwrap_err();
    assert_eq!(faults.len(), 1);
    faults[0].to_string()
}

/// Polls until `count` frames came; checks them against their numbers.
fn receive(queue: &mut RxQueue, numbers: impl Iterator<Item = usize>) {
    let mut burst = queue.burst();
    let mut numbers = numbers.peekable();
    let (mut idle, mut epoch, mut time_ns) = (0, None, 0);
    while numbers.peek().is_some() && idle < 1_000 {
        queue.poll(&mut burst);
        idle = if burst.is_empty() { idle + 1 } else { 0 };
        for event in burst.events() {
            match event {
                Event::Epoch(next) => {
                    assert!(epoch.is_none_or(|before| next > before));
                    epoch = Some(next);
                }
                Event::Frame(got) => {
                    let number = numbers.next().unwrap();
                    let bytes = frame(number);
                    assert_eq!(got.bytes, &bytes[..bytes.len().min(got.bytes.len())]);
                    assert!(got.bytes.len() >= bytes.len().min(2_048), "frame {number}: {} bytes", got.bytes.len());
                    assert_eq!((got.wire_bytes as usize, got.captured_bytes), (bytes.len(), got.wire_bytes));
                    assert_eq!((Some(got.epoch), got.epoch), (epoch, tailwater::units::Epoch::of(got.time_ns, WINDOW_NS)));
                    assert!(got.time_ns >= time_ns);
                    time_ns = got.time_ns;
                }
                Event::End => unreachable!("live queues do not end"),
            }
        }
    }
    assert_eq!(numbers.next(), None, "all frames came");
}

fn idle_queues_pass_epochs(port: &mut LivePort) {
    let queue = &mut port.queues[0];
    let (mut burst, mut epochs) = (queue.burst(), Vec::new());
    let start = std::time::Instant::now();
    while epochs.len() < 3 && start.elapsed().as_secs() < 2 {
        queue.poll(&mut burst);
        epochs.extend(burst.events().map(|event| match event {
            Event::Epoch(epoch) => epoch,
            other => unreachable!("{other:?}"),
        }));
    }
    assert!(epochs.len() >= 3 && epochs.is_sorted(), "{epochs:?}");
}

#[test]
fn vdevs_are_received_from_and_their_faults_are_told() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false).with_writer(move || writer.clone()).init();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    write_pcap(Path::new(&file("a.pcap")), 0..400);
    write_pcap(Path::new(&file("b.pcap")), (0..400).rev());
    let eal = Eal::init(&EalConfig::private("eal-live", &[0])).unwrap();
    assert!(lines.text().contains("dpdk: EAL: Detected"), "EAL's lines reach tracing: {}", lines.text());

    // What cannot be is told with the device and the remedy.
    let said = fault(&eal, format!("net_pcap0,rx_pcap={}", file("none.pcap")), 1);
    assert!(said.contains("none.pcap") && said.contains("No such file"), "{said}");
    let said = fault(&eal, format!("net_pcap0,rx_pcap={}", file("a.pcap")), 2);
    assert!(said.contains("has 1 queue, 2 are asked for") && said.contains("rx_pcap"), "{said}");
    let said = fault(&eal, "net_af_packet0,iface=no-such-if".into(), 1);
    assert!(said.contains("no-such-if"), "{said}");
    let said = fault(&eal, "net_nothing0".into(), 1);
    assert!(said.contains("net_nothing0") && said.contains("driver"), "{said}");
    let said = fault(&eal, "0000:ff:1f.7".into(), 1);
    assert!(said.contains("0000:ff:1f.7") && said.contains("vfio-pci"), "{said}");
    let said = fault(&eal, "net_tap0,iface=tw_t0".into(), 200);
    assert!(said.contains("200 queues") || said.contains("tap"), "{said}");
    let said = fault(&eal, format!("net_pcap0,rx_pcap={},infinite_rx=1", file("a.pcap")), 1);
    assert!(said.contains("set up a receive queue"), "frames that no segment holds: {said}");
    let both = [port("net_pcap0".into(), 1), port("net_null0".into(), 1), port("net_nothing1".into(), 1)];
    let faults = live::open(&eal, &both, WINDOW_NS, &Arc::default()).unwrap_err();
    assert_eq!(faults.len(), 2, "all at once: {faults:?}");

    // A file that repeats.
    write_pcap(Path::new(&file("c.pcap")), 0..40);
    let device = format!("net_pcap0,rx_pcap={},infinite_rx=1", file("c.pcap"));
    let mut ports = live::open(&eal, &[port(device, 1)], WINDOW_NS, &Arc::default()).unwrap();
    let (mut burst, mut came) = (ports[0].queues[0].burst(), 0);
    while came < 1_000 {
        ports[0].queues[0].poll(&mut burst);
        came += burst.len();
    }
    drop(burst);
    drop(ports);

    // Two files are two queues; what a port held can be opened again after it closed.
    for round in 0..2 {
        let device = format!("net_pcap0,rx_pcap={},rx_pcap={}", file("a.pcap"), file("b.pcap"));
        let mut ports = live::open(&eal, &[port(device, 2), port("net_null0".into(), 3)], WINDOW_NS, &Arc::default()).unwrap();
        println!("round {round}: {}\n{}", ports[0].report, ports[1].report);
        assert_eq!((ports[1].index, ports[1].queues.len()), (1, 3));
        let again = live::open(&eal, &[port("net_null0".into(), 1)], WINDOW_NS, &Arc::default()).unwrap_err();
        assert!(again[0].to_string().contains("net_null0 is in use"), "{again:?}");
        let [first, second] = &mut ports[0].queues[..] else { unreachable!("two queues") };
        receive(first, 0..400);
        receive(second, (0..400).rev());
        idle_queues_pass_epochs(&mut ports[0]);
        let reading = ports[0].health.read();
        assert_eq!((reading.received, reading.nic_missed, reading.link_up, reading.gone), (800, 0, true, false));
        assert!(reading.moved.iter().any(|(name, by)| name == "rx_good_packets" && *by == 800), "{reading:?}");
        assert!(ports[0].health.read().moved.is_empty());
    }
}
