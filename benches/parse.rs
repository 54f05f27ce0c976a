//! What a frame costs the parser: nanoseconds a frame over a thousand different ones of a kind, best of several rounds.
//!
//! `cargo bench --bench parse [FILTER]`: one line a case. Frames lie in cache, as after the NIC's own write.

use std::hint::black_box;
use std::time::Instant;

use tailwater::parse::{MirrorPlan, Parsed, parse_into};
use tailwater::units::LinkType;

const FRAMES: usize = 1_024;
const ROUNDS: usize = 40;
const PASSES: usize = 200;

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn be(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes()
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&MACS, &kind.to_be_bytes(), payload])
}

fn vlan(id: u16, kind: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&id.to_be_bytes(), &kind.to_be_bytes(), payload])
}

fn ipv4(n: usize, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let (a, b) = (be(n), be(n * 7));
    join(&[&[0x45, 0], &be(20 + payload.len()), &[0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, a[0], a[1], 192, 0, b[0], b[1]], payload])
}

fn ipv6(n: usize, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut head = vec![0x60, 0, 0, 0];
    head.extend(be(payload.len()));
    head.extend([protocol, 64]);
    head.extend([0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    head.extend(be(n));
    head.extend([0x20, 1, 0xD, 0xB8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    head.extend(be(n * 7));
    join(&[&head, payload])
}

fn tcp(n: usize) -> Vec<u8> {
    join(&[&be(1024 + n), &be(443), &[0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0], &[0xAA; 6]])
}

fn udp(n: usize, to: usize, payload: &[u8]) -> Vec<u8> {
    join(&[&be(1024 + n), &be(to), &be(8 + payload.len()), &[0, 0], payload])
}

type Make = fn(usize) -> Vec<u8>;

/// As a SYN has them: 20 bytes, five kinds.
fn tcp_options(n: usize) -> Vec<u8> {
    let options = [2, 4, 5, 0xB4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    join(&[&be(1024 + n), &be(443), &[0, 0, 0, 1, 0, 0, 0, 2, 0xA0, 2, 1, 0, 0, 0, 0, 0], &options])
}

const CASES: [(&str, Make); 11] = [
    ("eth-ipv4-tcp", |n| ethernet(0x0800, &ipv4(n, 6, &tcp(n)))),
    ("eth-ipv4-tcp-options", |n| ethernet(0x0800, &ipv4(n, 6, &tcp_options(n)))),
    ("eth-vlan-ipv4-tcp", |n| ethernet(0x8100, &vlan(666, 0x0800, &ipv4(n, 6, &tcp(n))))),
    ("eth-qinq-ipv4-udp", |n| ethernet(0x88A8, &vlan(666, 0x8100, &vlan(40, 0x0800, &ipv4(n, 17, &udp(n, 53, &[0; 20])))))),
    ("eth-vlan-ipv6-tcp", |n| ethernet(0x8100, &vlan(666, 0x86DD, &ipv6(n, 6, &tcp(n))))),
    ("eth-ipv6-hbh-frag-icmp", |n| {
        ethernet(0x86DD, &ipv6(n, 0, &join(&[&[44, 0, 5, 2, 0, 0, 1, 0, 58, 0, 0, 1, 0, 0, 0, 1], &[128, 0, 0, 0, 0, 0, 0, 0]])))
    }),
    ("mix", |n| match n % 4 {
        0 => ethernet(0x8100, &vlan(666, 0x0800, &ipv4(n, 6, &tcp(n)))),
        1 => ethernet(0x0800, &ipv4(n, 17, &udp(n, 443, &[0; 40]))),
        2 => ethernet(0x86DD, &ipv6(n, 6, &tcp(n))),
        _ => ethernet(0x0800, &ipv4(n, 1, &[8, 0, 0, 0, 0, 0, 0, 0])),
    }),
    ("eth-mpls-ipv4-tcp", |n| ethernet(0x8847, &join(&[&[0, 1, 0, 64, 0, 2, 1, 64], &ipv4(n, 6, &tcp(n))]))),
    ("eth-ipv4-gre-ipv4-tcp", |n| ethernet(0x0800, &ipv4(n, 47, &join(&[&[0x20, 0, 8, 0, 0, 0, 0, 7], &ipv4(n, 6, &tcp(n))])))),
    ("eth-ipv4-vxlan-eth-ipv4-tcp", |n| {
        ethernet(0x0800, &ipv4(n, 17, &udp(n, 4789, &join(&[&[8, 0, 0, 0, 0, 0, 7, 0], &ethernet(0x0800, &ipv4(n, 6, &tcp(n)))]))))
    }),
    ("eth-arp", |_| ethernet(0x0806, &[0; 46])),
];

fn nanoseconds(frames: &[Vec<u8>], plan: &MirrorPlan) -> f64 {
    let mut parsed = Parsed::default();
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..PASSES {
            for frame in frames {
                let result = parse_into(black_box(frame), 64, LinkType::Ethernet, plan, &mut parsed);
                black_box((&result, &parsed));
            }
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    best * 1e9 / (PASSES * frames.len()) as f64
}

fn main() {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    for (name, make) in CASES.iter().filter(|(name, _)| name.contains(&filter)) {
        let frames: Vec<_> = (0..FRAMES).map(make).collect();
        let plain = MirrorPlan::default().without_options();
        let mut plans = vec![("", plain)];
        if name.ends_with("options") {
            plans.push(("-read", MirrorPlan::default()));
        }
        for (suffix, plan) in plans {
            let ours = nanoseconds(&frames, &plan);
            println!("{{\"bench\": \"parse\", \"case\": \"{name}{suffix}\", \"unit\": \"ns/frame\", \"ours\": {ours:.1}}}");
        }
    }
}
