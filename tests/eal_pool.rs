//! A pool in memory of our own, where EAL has ordinary pages: made, filled, given back, and made again.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod eal_support;

use std::time::Duration;

use eal_support::{open, receive, write_pcap};
use tailwater::dpdk::{Eal, EalConfig, Mempool, PoolSpec};

/// More than DPDK has room for at a time: each heap must be gone with its pool.
const TIMES: usize = 40;

#[test]
fn pools_outside_come_and_go() {
    let eal = Eal::init(&EalConfig { memory_mb: 64, ..EalConfig::private("eal-pool", &[0]) }).unwrap();
    let spec = PoolSpec { segments: 4_096, segment_bytes: 2_048, cache: 64, numa_node: -1, large_pages: true };
    for time in 0..TIMES {
        let pool = Mempool::new(&eal, spec).unwrap();
        assert!(pool.is_outside(), "the {time}th");
        assert_eq!(pool.in_use(), 0);
    }
    // Of EAL's 64 MB a pool of 200,000 segments could not be made.
    assert!(Mempool::new(&eal, PoolSpec { segments: 200_000, segment_bytes: 512, ..spec }).unwrap().is_outside());
    assert!(!Mempool::new(&eal, PoolSpec { large_pages: false, ..spec }).unwrap().is_outside());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.pcap");
    write_pcap(&path, 3_000, 100, false);
    let mut port = open(&eal, &format!("net_pcap0,rx_pcap={}", path.display()), 1);
    let got = receive(&mut port, std::process::Command::new("true").spawn().unwrap(), Duration::ZERO);
    assert_eq!(got.frames, 3_000, "{got:?}");
}
