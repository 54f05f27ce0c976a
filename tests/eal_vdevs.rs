//! The other vdevs through the same path: a tap, an AF_XDP socket where the kernel has them, memif, and a ring of DPDK's own.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod eal_support;

use std::time::Duration;

use eal_support::{open, receive, replay, sh, try_open, write_pcap};
use tailwater::dpdk::{Device, Eal, EalConfig};

#[test]
fn every_kind_of_vdev_receives_or_says_why_not() {
    eal_support::in_namespace("every_kind_of_vdev_receives_or_says_why_not", inside);
}

fn inside() {
    assert!(sh("ip link add tw_a type veth peer name tw_b && ip link set tw_b up && ip link set tw_a up"));
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small.pcap");
    write_pcap(&small, 1_000, 100, false);
    let eal = Eal::init(&EalConfig { memory_mb: 512, ..EalConfig::private("eal-vdevs", &[0]) }).unwrap();

    for device in ["net_tap0,iface=tw_t", "net_af_xdp0,iface=tw_a", "net_pcap0,rx_iface=tw_a"] {
        let interface = if device.contains("tw_t") { "tw_t" } else { "tw_b" };
        let mut port = match try_open(&eal, device, 1) {
            Ok(port) => port,
            Err(said) => {
                println!("SKIPPED {device}: {said}");
                continue;
            }
        };
        let got = receive(&mut port, replay(interface, "--pps=5000 --loop=2", &small), Duration::ZERO);
        let reading = port.health.read();
        println!("{device}: {got:?} {reading:?}");
        assert_eq!(got.frames + reading.nic_missed, 2_000, "{device}");
        let got = receive(&mut port, replay(interface, "-t --loop=40", &small), Duration::from_millis(2));
        let missed = port.health.read().nic_missed - reading.nic_missed;
        println!("slow {device}: {got:?} missed {missed}");
        assert_eq!(got.frames + missed, 40_000, "{device}");
    }
    memif(&eal);
    for device in ["net_ring0", "net_null0"] {
        let port = open(&eal, device, 1);
        assert_eq!(port.report.warnings, Vec::<String>::new());
    }
    let spread = open(&eal, "net_null1", 2);
    assert_eq!((spread.queues.len(), spread.report.warnings.len()), (2, 0), "{:?}", spread.report);
    assert_ne!(spread.report.rss, 0, "read back: {:?}", spread.report);
    // A vdev that is no port is taken out again: the second try says the same as the first.
    for _ in 0..2 {
        let said = Device::make(&eal, "crypto_null0").unwrap_err().to_string();
        assert!(said.contains("find the port") || said.contains("make the vdev"), "{said}");
    }
}

/// Another process sends over shared memory; the link comes up with it.
fn memif(eal: &Eal) {
    let mut port = open(eal, "net_memif0,role=server,socket=tailwater-test", 1);
    assert!(port.report.warnings[0].contains("start the other side"), "{:?}", port.report.warnings);
    if !sh("command -v dpdk-testpmd >/dev/null") {
        println!("SKIPPED: memif's other side needs dpdk-testpmd");
        return;
    }
    let eal_words =
        "--lcores 0@0,1@0 --no-huge -m 64 --no-pci --no-shconf --no-telemetry --vdev=net_memif0,role=client,socket=tailwater-test";
    // It stops sending before it goes: DPDK 22.11's driver unmaps a peer's memory without a look at who polls it.
    let words = "{ sleep 4; echo stop; sleep 1; echo quit; }";
    let send =
        format!("{words} | exec dpdk-testpmd {eal_words} -- -i --forward-mode=txonly --auto-start --total-num-mbufs=2048 >/dev/null 2>&1");
    let mut other = std::process::Command::new("sh").args(["-c", &send]).spawn().unwrap();
    let got = receive(&mut port, std::process::Command::new("sleep").arg("4.5").spawn().unwrap(), Duration::ZERO);
    other.wait().unwrap();
    // A thread of EAL's sees that it went.
    for _ in 0..50 {
        if !port.health.read().link_up {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let reading = port.health.read();
    println!("memif: {got:?} {reading:?}");
    // The driver forgets its counters when the other side goes.
    assert!(got.frames > 0 && got.bytes == 64 * got.frames && !reading.link_up);
}
