//! `net_af_packet` over a veth pair in a namespace of its own: every frame is received or counted as missed, long frames
//! arrive whole or are counted as cut, and an interface that goes down or away is seen.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod eal_support;

use std::sync::Arc;
use std::time::Duration;

use eal_support::{Got, open, receive, replay, sh, write_pcap};
use tailwater::config::Port;
use tailwater::dpdk::{Eal, EalConfig};
use tailwater::rx::live::{self, LivePort};

fn balanced(port: &mut LivePort, got: &Got, sent: u64) -> u64 {
    let reading = port.health.read();
    println!("{got:?} {reading:?}");
    assert_eq!(reading.received, got.frames);
    assert_eq!(reading.interface_received, Some(sent), "what the interface delivered");
    assert_eq!(got.frames + reading.nic_missed, sent, "received and missed make what was delivered");
    reading.nic_missed
}

#[test]
fn every_frame_is_received_or_counted() {
    eal_support::in_namespace("every_frame_is_received_or_counted", inside);
}

fn inside() {
    assert!(sh("ip link add tw_a mtu 9000 type veth peer name tw_b mtu 9000 && ip link set tw_b up"));
    let folder = tempfile::tempdir().unwrap();
    let (small, long) = (folder.path().join("small.pcap"), folder.path().join("long.pcap"));
    write_pcap(&small, 1_000, 100, true);
    write_pcap(&long, 50, 9_000, false);
    let eal = Eal::init(&EalConfig { memory_mb: 512, ..EalConfig::private("eal-veth", &[0]) }).unwrap();

    // An interface that is down is told at start.
    let down = Port { device: "net_af_packet0,iface=tw_a".into(), queues: 1, feed: "m".into(), min_pps: 0 };
    let started = live::open(&eal, &[down], 1_000_000_000, &Arc::default());
    println!("down: {:?}", started.as_ref().map(|ports| &ports[0].report.warnings));
    assert!(started.is_err() || started.as_ref().unwrap()[0].report.warnings.iter().any(|said| said.contains("link is down")));
    drop(started);
    assert!(sh("ip link set tw_a up"));

    // The ring is sized for the interface: 9,000 bytes and tags come whole.
    let mut port = open(&eal, "net_af_packet0,iface=tw_a", 2);
    assert_eq!(port.report.warnings, Vec::<String>::new());
    let got = receive(&mut port, replay("tw_b", "-t", &long), Duration::ZERO);
    assert_eq!(got, Got { frames: 50, bytes: 450_000, cut: 0, tagged: 0 });
    balanced(&mut port, &got, 50);
    drop(port);
    let mut port = open(&eal, "net_af_packet0,iface=tw_a", 1);
    let got = receive(&mut port, replay("tw_b", "--pps=5000 --loop=5", &small), Duration::ZERO);
    assert_eq!((got.frames, got.tagged, got.bytes), (5_000, 5_000, 500_000));
    balanced(&mut port, &got, 5_000);
    // What this machine sends there is not the mirror's.
    assert_eq!(receive(&mut port, replay("tw_a", "-t", &small), Duration::ZERO).frames, 0);
    drop(port);

    // A ring that is too small for the frames cuts them; each is counted, with its true length.
    let mut port = open(&eal, "net_af_packet0,iface=tw_a,framesz=2048,blocksz=4096,framecnt=512", 1);
    let got = receive(&mut port, replay("tw_b", "--pps=2000", &long), Duration::ZERO);
    assert_eq!(got, Got { frames: 50, bytes: 450_000, cut: 50, tagged: 0 });
    drop(port);

    // A slow reader: the kernel drops, and says so.
    let mut port = open(&eal, "net_af_packet0,iface=tw_a,framesz=2048,blocksz=4096,framecnt=64", 1);
    let got = receive(&mut port, replay("tw_b", "-t --loop=50", &small), Duration::from_millis(2));
    let missed = balanced(&mut port, &got, 50_000);
    assert!(missed > 0, "the kernel had to drop");

    // Down and away.
    assert!(sh("ip link set tw_b down"));
    // The kernel tells the other end within a second or so.
    let seen = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let reading = port.health.read();
        !reading.link_up && !reading.gone
    });
    assert!(seen, "a link that went down");
    assert!(sh("ip link del tw_a"));
    let reading = port.health.read();
    assert!(!reading.link_up && reading.gone && reading.nic_missed == missed, "{reading:?}");
}

/// 200,000 packets a second for 30 seconds: run by hand.
#[test]
#[ignore = "takes half a minute and a core"]
fn a_high_rate_is_accounted_for() {
    eal_support::in_namespace("a_high_rate_is_accounted_for", || {
        assert!(sh("ip link add tw_a type veth peer name tw_b && ip link set tw_b up && ip link set tw_a up"));
        let folder = tempfile::tempdir().unwrap();
        let small = folder.path().join("small.pcap");
        write_pcap(&small, 1_000, 100, false);
        let eal = Eal::init(&EalConfig { memory_mb: 512, ..EalConfig::private("eal-rate", &[0]) }).unwrap();
        let mut port = open(&eal, "net_af_packet0,iface=tw_a", 1);
        let got = receive(&mut port, replay("tw_b", "--preload-pcap --pps=200000 --loop=6000", &small), Duration::ZERO);
        balanced(&mut port, &got, 6_000_000);
    });
}
