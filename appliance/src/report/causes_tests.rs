//! Each row of the table in docs/events.md, and its edges.

use super::*;
use crate::report::QueueHealth;

fn queue(number: u32, (full_polls, polls): (u64, u64), held_ns: u64) -> QueueHealth {
    QueueHealth { queue: number, lcore: 10 + number, received: full_polls * 64, full_polls, polls, held_ns }
}

fn port(missed: u64, queues: &[(u64, u64)], counters: &[(&str, u64)]) -> PortHealth {
    let queues = (0..).zip(queues).map(|(n, polls)| queue(n, *polls, 0)).collect();
    let counters = counters.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    PortHealth { missed, up: true, queues, counters, ..PortHealth::default() }
}

fn cause(health: &PortHealth) -> String {
    let name = PortName { device: "d".to_owned(), feed: "f".to_owned(), min_pps: 0 };
    let losses = losses(&[(&name, health)], &[(1_000, 64_000)], &[], 1_000_000_000);
    let [loss] = &losses[..] else { panic!("{losses:?}") };
    assert!(!loss.remedy.is_empty() && !loss.why.is_empty());
    assert_eq!((&loss.what[..], &loss.place[..], &loss.name[..], &loss.feed[..], loss.count), ("nic_missed", "port", "d", "f", 5));
    loss.cause.clone()
}

/// The cause, full and all polls of each queue, and the driver's counters.
type Row = (&'static str, &'static [(u64, u64)], &'static [(&'static str, u64)]);

const BUSY: (u64, u64) = (50, 100);
const FREE: (u64, u64) = (49, 100);

#[test]
fn a_port_says_why_it_missed_frames() {
    let rows: [Row; 13] = [
        ("unknown", &[], &[]),
        ("unknown", &[FREE, FREE], &[("rx_missed_errors", 5)]),
        ("cpu", &[BUSY], &[]),
        ("cpu", &[BUSY, (100, 100)], &[("rx_missed_errors", 5)]),
        ("hot_queue", &[FREE, BUSY, FREE], &[]),
        ("rss_skew", &[BUSY, BUSY, FREE], &[]),
        ("hot_queue", &[FREE, FREE], &[("rx_q0_errors", 2), ("rx_q1_errors", 8)]),
        ("unknown", &[FREE, FREE], &[("rx_q0_errors", 21), ("rx_q1_errors", 79)]),
        ("unknown", &[FREE], &[("rx_q0_errors", 9)]),
        // Whatever the queues look like.
        ("damaged", &[BUSY], &[("rx_crc_errors", 3)]),
        ("damaged", &[FREE, FREE], &[("rx_undersize_errors", 1), ("rx_crc_errors", 4)]),
        ("cpu", &[BUSY], &[("rx_crc_errors", 2)]),
        ("mempool_empty", &[FREE, BUSY, FREE], &[("rx_mbuf_allocation_errors", 1)]),
    ];
    for (expected, queues, counters) in rows {
        assert_eq!(cause(&port(5, queues, counters)), expected, "{queues:?} {counters:?}");
    }
    assert_eq!(cause(&port(5, &[(0, 0), BUSY], &[])), "hot_queue", "a queue that nobody polled is not busy");
}

#[test]
fn a_core_that_was_held_up_is_told_from_one_that_has_too_much() {
    for (held_ns, expected) in [(HELD_NS_MIN - 1, "unknown"), (HELD_NS_MIN, "held_up")] {
        let health = PortHealth { queues: vec![queue(0, FREE, 0), queue(1, FREE, held_ns)], ..port(5, &[], &[]) };
        assert_eq!(cause(&health), expected);
        let name = PortName { device: "d".to_owned(), feed: "f".to_owned(), min_pps: 0 };
        let losses = losses(&[(&name, &health)], &[(1_000, 64_000)], &[], 1_000_000_000);
        assert_eq!(lcore_held_up(&losses[0]), (expected == "held_up").then_some(11));
    }
    let health = PortHealth { queues: vec![queue(0, BUSY, HELD_NS_MIN)], ..port(5, &[], &[]) };
    assert_eq!(cause(&health), "cpu");
}

#[test]
fn a_full_link_is_told_whether_we_missed_frames_or_not() {
    let name = PortName { device: "d".to_owned(), feed: "f".to_owned(), min_pps: 0 };
    let said = |missed, link_bps, frames: u64, window_ns| {
        let health = PortHealth { link_bps, ..port(missed, &[BUSY], &[]) };
        let losses = losses(&[(&name, &health)], &[(frames, frames * 60)], &[], window_ns);
        losses.into_iter().map(|loss| format!("{} {} {}", loss.what, loss.count, loss.cause)).collect::<Vec<_>>()
    };
    // 60 bytes without FCS are 672 bits on the wire: 10G is full at 14,880,952 a second.
    let (full, percent_97) = (14_880_952_u64, 14_434_524_u64);
    let (link, second) = (Some(10_000_000_000), 1_000_000_000);
    assert_eq!(said(0, link, percent_97, second), ["mirror 0 mirror_saturated"]);
    assert!(said(0, link, percent_97 - 1, second).is_empty());
    assert!(said(0, link, full, 2 * second).is_empty());
    assert_eq!(said(full / 2, link, full / 2, second), ["nic_missed 7440476 cpu", "mirror 0 mirror_saturated"]);
    assert_eq!(said(1, None, full, second), ["nic_missed 1 cpu"]);
    assert!(said(0, link, 0, second).is_empty() && said(0, link, full, 0).is_empty() && said(0, Some(0), full, second).is_empty());
    assert_eq!(said(0, Some(1), u64::MAX / 60, 1), ["mirror 0 mirror_saturated"], "no number overflows");
}

#[test]
fn a_core_says_where_its_records_went() {
    let core = |lcore, role, ring, long, memory| CoreLoss { lcore, role, ring, long, memory };
    let said = |cores: &[CoreLoss]| {
        let losses = losses(&[], &[], cores, 1);
        losses.into_iter().map(|loss| format!("{} {} {} {}", loss.number, loss.what, loss.count, loss.cause)).collect::<Vec<_>>()
    };
    assert!(said(&[core(1, "rx", 0, 0, 0)]).is_empty());
    assert_eq!(said(&[core(1, "rx", 3, 2, 4)]), ["1 ring_dropped 5 reporter_late", "1 memory 4 memory"]);
    let pipeline = [core(1, "rx", 3, 2, 0), core(2, "worker", 7, 0, 1)];
    let expected = ["1 ring_dropped 3 ring_full", "1 ring_dropped 2 reporter_late", "2 ring_dropped 7 reporter_late", "2 memory 1 memory"];
    assert_eq!(said(&pipeline), expected);
}
