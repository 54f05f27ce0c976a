//! What a frame costs from driver to event, and what EAL's start costs. Prints figures; run by hand:
//! `cargo test --release --test eal_speed -- --ignored --nocapture`.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::time::Instant;

use tailwater::config::Port;
use tailwater::dpdk::{Eal, EalConfig};
use tailwater::rx::replay::{FrameMeta, open};
use tailwater::rx::{Event, RxQueue, live};
use tailwater::units::{Epoch, LinkType};

const FRAMES: u64 = 20_000_000;
const ROUNDS: usize = 5;

/// Nanoseconds that this thread has run: neighbours on a busy machine do not count.
fn ran_ns() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// Polls until `frames` came, reading a byte of each; gives nanoseconds a frame.
fn poll(queue: &mut RxQueue, frames: u64) -> f64 {
    let mut burst = queue.burst();
    let (mut seen, mut sum) = (0, 0u64);
    let start = ran_ns();
    while seen < frames {
        queue.poll(&mut burst);
        for event in burst.events() {
            if let Event::Frame(frame) = event {
                seen += 1;
                sum = sum.wrapping_add(u64::from(frame.bytes[12])).wrapping_add(u64::from(frame.wire_bytes));
            }
        }
    }
    std::hint::black_box(sum);
    (ran_ns() - start) / frames as f64
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

#[test]
#[ignore = "prints figures; checks nothing"]
fn figures() {
    let start = Instant::now();
    let eal = Eal::init(&EalConfig::private("eal-speed", &[0])).unwrap();
    println!("EAL start: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    let (mut queues, mut feed) = open(&eal, 1).unwrap();
    println!("fed port: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);

    let null = Port { device: "net_null0,size=64".into(), queues: 1, feed: "m".into(), min_pps: 0 };
    let mut ports = live::open(&eal, &[null], 1_000_000_000, &std::sync::Arc::default()).unwrap();
    println!("net_null: {:.2} ns a frame", median((0..ROUNDS).map(|_| poll(&mut ports[0].queues[0], FRAMES)).collect()));

    let meta =
        FrameMeta { time_ns: 1, epoch: Epoch(0), wire_bytes: 64, captured_bytes: 64, port: 0, link: LinkType::Ethernet, late: false };
    for length in [64, 1_400, 9_000] {
        let bytes = vec![7; length];
        let (rounds, in_ring) = (5_000, 200);
        let start = ran_ns();
        for _ in 0..rounds {
            (0..in_ring).for_each(|_| feed.feed(0, meta, &bytes).unwrap());
            feed.flush(0).unwrap();
            poll(&mut queues[0], in_ring);
        }
        println!("ring, {length} bytes: fed and polled {:.1} ns a frame", (ran_ns() - start) / (rounds * in_ring) as f64);
    }
}
