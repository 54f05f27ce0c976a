//! NetFlow 1, 5, 7 and sFlow 5 of an encoder of our own, with random values: each field comes back, read from the standards' places.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test says what it expects; its numbers are small")]

mod flows_support;

use flows_support::coded::dice;
use flows_support::fixed::{self, Sample};
use flows_support::{collector, feed, from};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tailwater::flows::{Flow, RateFrom};

fn seed() -> ChaCha8Rng {
    let seed = std::env::var("FLOWS_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("FLOWS_SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Cisco's layouts, place by place: version 1 has its protocol before its flags, and no AS.
fn netflow_agrees(version: u16, record: &[u8], flow: &Flow) {
    let (f, at) = (&flow.fields, |from: usize, count: usize| number(&record[from..from + count]));
    assert_eq!((number(f.src_addr.bytes()), number(f.dst_addr.bytes()), number(f.next_hop.bytes())), (at(0, 4), at(4, 4), at(8, 4)));
    assert_eq!((f.in_if.into(), f.out_if.into(), f.packets, f.bytes), (at(12, 2), at(14, 2), at(16, 4), at(20, 4)));
    assert_eq!((u64::from(f.src_port), u64::from(f.dst_port)), (at(32, 2), at(34, 2)));
    let (proto, tos, flags) = if version == 1 { (38, 39, 40) } else { (38, 39, 37) };
    assert_eq!([f.proto, f.ip_tos, f.tcp_flags].map(u64::from), [at(proto, 1), at(tos, 1), at(flags, 1)]);
    let behind = if version == 1 { [0; 4] } else { [at(40, 2), at(42, 2), at(44, 1), at(45, 1)] };
    assert_eq!([f.src_as, f.dst_as, f.src_net, f.dst_net].map(u64::from), behind);
}

#[test]
fn netflow_of_fixed_form_comes_back() {
    let mut d = seed();
    for round in 0..300 {
        let version = [1, 5, 7][round % 3];
        let records: Vec<_> = (0..1 + dice(&mut d, 30)).map(|_| fixed::netflow_record(&mut d, version)).collect();
        let sequence = d.next_u32();
        let datagram = fixed::netflow(&mut d, version, sequence, &records);
        let cut = dice(&mut d, datagram.len());
        let flows = feed(&mut collector(), &[(from(1, 1, 7), datagram.clone())]);
        assert_eq!(flows.len(), records.len());
        for (flow, record) in flows.iter().zip(&records) {
            netflow_agrees(version, record, flow);
            let told = if version == 1 { 0 } else { sequence };
            assert_eq!((flow.fields.sequence_num, flow.fields.export_version, flow.fields.time_received_ns), (told, version.into(), 7));
            // Mode in the two highest bits: 1, so every n-th.
            let rate = if version == 5 { number(&datagram[22..24]) & 0x3FFF } else { 0 };
            assert_eq!((flow.fields.sampling_rate, flow.fields.rate_random), (rate, false));
        }
        // Cut anywhere, whole records come and no others.
        let mut c = collector();
        let part = feed(&mut c, &[(from(1, 1, 7), datagram[..cut].to_vec())]);
        let (header, record) = if version == 1 {
            (16, 52)
        } else if version == 5 {
            (24, 48)
        } else {
            (24, 52)
        };
        assert_eq!(part.len(), cut.saturating_sub(header) / record);
        assert_eq!(part[..], flows[..part.len()]);
    }
}

/// What is expected of one sample.
#[derive(Default)]
struct Want {
    bytes: u64,
    vlans: (u32, u32),
    hop: Vec<u8>,
    nets: (u32, u32),
    path: Vec<u32>,
    communities: Vec<u32>,
    systems: (u32, u32),
    ports: (u32, u32),
    proto: u32,
}

/// Records of a sample, each kind at most once and in any order, with what is to come of them.
fn records(d: &mut ChaCha8Rng) -> (Vec<Vec<u8>>, Want) {
    let (mut records, mut want) = (Vec::new(), Want::default());
    let length = 60 + dice(d, 60_000) as u32;
    if dice(d, 2) == 0 {
        let (src, dst) = (d.next_u32() as u16, d.next_u32() as u16);
        let mut frame = [&[2; 12][..], &[8, 0, 0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]].concat();
        frame.extend([src.to_be_bytes(), dst.to_be_bytes(), [0, 26], [0, 0]].concat());
        frame.resize(60, 7);
        records.push(fixed::raw(length, 1, &frame));
        (want.ports, want.proto) = ((src.into(), dst.into()), 17);
    } else {
        let ports = [d.next_u32() >> 16, d.next_u32() >> 16];
        let is_v6 = dice(d, 2) == 0;
        let address = vec![9; if is_v6 { 32 } else { 8 }];
        records.push(fixed::ip(if is_v6 { 4 } else { 3 }, length, 6, &address, [ports[0], ports[1], 2, 4]));
        (want.ports, want.proto) = ((ports[0], ports[1]), 6);
    }
    want.bytes = length.into();
    if dice(d, 2) == 0 {
        want.vlans = (1 + d.next_u32() % 4_094, 1 + d.next_u32() % 4_094);
        records.push(fixed::switch(want.vlans.0, want.vlans.1));
    }
    if dice(d, 2) == 0 {
        let hop = d.next_u32().to_be_bytes();
        (want.hop, want.nets) = (hop.to_vec(), (d.next_u32() % 33, d.next_u32() % 33));
        records.push(fixed::router(hop, want.nets.0, want.nets.1));
    }
    if dice(d, 2) == 0 {
        let path: Vec<Vec<u32>> = (0..dice(d, 4)).map(|_| (0..dice(d, 6)).map(|_| d.next_u32()).collect()).collect();
        want.communities = (0..dice(d, 10)).map(|_| d.next_u32()).collect();
        let (own, source) = (1 + d.next_u32() % 65_000, d.next_u32() % 3);
        records.push(fixed::gateway(own, source, &path, &want.communities));
        want.path = path.concat();
        want.systems = (if source != 0 { source } else { own }, want.path.last().copied().unwrap_or(own));
    }
    if dice(d, 2) == 0 {
        records.push(fixed::other(d, 4_096 + 9));
    }
    let at = dice(d, records.len());
    records.rotate_left(at);
    (records, want)
}

fn sample_agrees(flow: &Flow, want: &Want, of: &Sample) {
    let (f, lists) = (&flow.fields, &flow.lists);
    assert_eq!((f.bytes, f.packets, f.sampling_rate, f.in_if, f.out_if), (want.bytes, 1, of.rate.into(), of.input, of.output));
    assert_eq!((f.src_vlan, f.dst_vlan), want.vlans);
    assert_eq!((f.next_hop.bytes(), (f.src_net, f.dst_net)), (&want.hop[..], want.nets));
    assert_eq!((&lists.as_path[..], &lists.bgp_communities[..]), (&want.path[..], &want.communities[..]));
    assert_eq!((f.src_as, f.dst_as, f.next_hop_as), (want.systems.0, want.systems.1, want.path.first().copied().unwrap_or(0)));
    assert_eq!(((f.src_port, f.dst_port), f.proto), (want.ports, want.proto));
    assert_eq!(f.rate_from, if of.rate == 0 { RateFrom::Unknown } else { RateFrom::Record });
}

#[test]
fn samples_come_back() {
    let mut d = seed();
    let mut c = collector();
    for round in 0..400_u32 {
        let (mut samples, mut wanted, mut counters) = (Vec::new(), Vec::new(), 0);
        for number in 0..1 + dice(&mut d, 8) as u32 {
            if dice(&mut d, 4) == 0 {
                samples.push(fixed::counters(&mut d, number, number % 2 == 0));
                counters += 1;
                continue;
            }
            let (records, want) = records(&mut d);
            let [input, output, rate] = [0, 0, 0].map(|_| d.next_u32() % 5_000);
            let of = Sample { sequence: number, source: 3, rate, pool: 0, drops: 0, input, output };
            samples.push(fixed::sample(&of, dice(&mut d, 2) == 0, &records));
            wanted.push((of, want));
        }
        let before = c.ledger().counters;
        let flows = feed(&mut c, &[(from(1, 1, 1), fixed::sflow(1 + round % 2, round, &samples))]);
        assert_eq!((flows.len(), c.ledger().counters - before), (wanted.len(), counters));
        for (flow, (of, want)) in flows.iter().zip(&wanted) {
            sample_agrees(flow, want, of);
            assert_eq!(flow.fields.sequence_num, round);
        }
    }
    assert_eq!((c.ledger().set_drops.iter().sum::<u64>(), c.ledger().record_drops.iter().sum::<u64>()), (0, 0));
}
