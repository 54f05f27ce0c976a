//! What encoders write, as our own collector reads it, against what they were given.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::cache::{Cache, End, Flow, Key};
use super::sample::Sample;
use super::tap::taps;
use super::{log, netflow, sflow};
use crate::classify::Generation;
use crate::config::{KeysFrom, Mirror};
use crate::flows::{Address, Arrival, Collector, Settings};
use crate::limits::EXPORT_DATAGRAM_BYTES_MAX;
use crate::parse::{MirrorPlan, Parsed};
use crate::record::Has;
use crate::rx::Frame;
use crate::units::{Epoch, LinkType};

const NOW_NS: u64 = 1_700_000_000_123_000_000;

struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0.next_u64() % n
    }

    fn short(&mut self) -> u16 {
        u16::try_from(self.below(1 << 16)).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn address(&mut self, v6: bool) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..if v6 { 16 } else { 4 }].fill_with(|| u8::try_from(1 + self.below(255)).unwrap());
        bytes
    }
}

/// Of `EXPORTS_SEED`, or of chance; it is printed.
fn dice() -> Dice {
    let given = std::env::var("EXPORTS_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| getrandom::u64().unwrap());
    println!("EXPORTS_SEED={seed}");
    Dice(ChaCha8Rng::seed_from_u64(seed))
}

fn flow(dice: &mut Dice, n: u64) -> (Key, Flow, End) {
    let (v6, icmp) = (dice.below(2) == 0, dice.below(4) == 0);
    let weight = [1, 1, 1, 40, 7][usize::try_from(dice.below(5)).unwrap()];
    let key = Key {
        src: dice.address(v6),
        dst: dice.address(v6),
        ports: [dice.short(), if icmp { 0 } else { dice.short() }],
        vlan: u16::try_from(dice.below(4_096)).unwrap(),
        rx_port: u16::try_from(dice.below(64)).unwrap(),
        weight,
        protocol: if icmp { if v6 { 58 } else { 1 } } else { [6, 17, 47][usize::try_from(n % 3).unwrap()] },
        v6,
        icmp,
        blocked: weight > 1,
    };
    let first_ns = NOW_NS - dice.below(1 << 42);
    let flow = Flow {
        first_ns,
        last_ns: first_ns + dice.below(1 << 36),
        packets: 1 + dice.below(1 << 30),
        bytes: 20 + dice.below(1 << 40),
        tcp_flags: dice.byte(),
        dscp: dice.byte() >> 2,
    };
    (key, flow, [End::Idle, End::Active, End::Forced, End::Room][usize::try_from(dice.below(4)).unwrap()])
}

/// What a reader must find of a flow; times in milliseconds.
type Told = (Vec<u8>, Vec<u8>, [u64; 12], [u64; 2]);

fn written((key, flow, _): &(Key, Flow, End), sampling: u32) -> Told {
    let bytes = if key.v6 { 16 } else { 4 };
    let [kind, code] = key.ports[0].to_be_bytes();
    let ports = if key.icmp { [0, 0] } else { key.ports };
    let numbers = [
        ports[0].into(),
        ports[1].into(),
        if key.icmp { kind.into() } else { 0 },
        if key.icmp { code.into() } else { 0 },
        key.protocol.into(),
        key.vlan.into(),
        u64::from(key.rx_port) + 1,
        u64::from(sampling) * u64::from(key.weight),
        flow.packets,
        flow.bytes,
        u64::from(flow.tcp_flags) << 8 | u64::from(flow.dscp) << 2,
        if key.blocked { 129 } else { 64 },
    ];
    (key.src[..bytes].to_vec(), key.dst[..bytes].to_vec(), numbers, [flow.first_ns / 1_000_000, flow.last_ns / 1_000_000])
}

fn read(flow: &crate::flows::Flow) -> Told {
    let f = &flow.fields;
    let numbers = [
        f.src_port.into(),
        f.dst_port.into(),
        f.icmp_type.into(),
        f.icmp_code.into(),
        f.proto.into(),
        f.vlan_id.max(f.src_vlan).into(),
        f.in_if.into(),
        f.sampling_rate,
        f.packets,
        f.bytes,
        u64::from(f.tcp_flags) << 8 | u64::from(f.ip_tos),
        f.forwarding_status.into(),
    ];
    let times = [f.time_flow_start_ns / 1_000_000, f.time_flow_end_ns / 1_000_000];
    (f.src_addr.bytes().to_vec(), f.dst_addr.bytes().to_vec(), numbers, times)
}

fn counted(all: impl Iterator<Item = Told>) -> BTreeMap<Told, usize> {
    let mut counts = BTreeMap::new();
    all.for_each(|told| *counts.entry(told).or_default() += 1);
    counts
}

/// Random flows at random times, in both protocols: each is read as it was given, none is missing in the numbers, no datagram is long.
#[test]
fn flow_records_are_read_as_they_were_written() {
    let mut dice = dice();
    for is_ipfix in [true, false] {
        let sampling = u32::try_from(1 + dice.below(5_000)).unwrap();
        let plan = netflow::Plan { is_ipfix, domain: 9, sampling, is_random: true, refresh_ns: 5_000_000_000 };
        let (mut encoder, mut collector) = (netflow::Encoder::new(plan), Collector::new(&Settings::default()));
        let (mut given, mut found, mut datagrams) = (Vec::new(), Vec::new(), 0);
        let mut now_ns = NOW_NS;
        for n in 0..6_000 {
            let one = flow(&mut dice, n);
            let from = Arrival { exporter: Address::of(&[192, 0, 2, 1]), port: 9, received_ns: now_ns };
            let mut send = |datagram: &[u8]| {
                datagrams += 1;
                assert!(datagram.len() <= EXPORT_DATAGRAM_BYTES_MAX && datagram.len().is_multiple_of(4), "{}", datagram.len());
                collector.take(&from, datagram, &mut |flow| found.push(flow.clone()));
            };
            encoder.put(&one.0, &one.1, one.2, now_ns, &mut send);
            given.push(one);
            if dice.below(300) == 0 || n == 5_999 {
                encoder.flush(now_ns, &mut send);
                now_ns += dice.below(3_000_000_000);
            }
        }
        let ledger = collector.ledger();
        assert!(ledger.balances() && ledger.waiting == 0, "{ledger}");
        let missing = (ledger.record_gaps.lost, ledger.datagram_gaps.lost, ledger.record_gaps.gaps, ledger.datagram_gaps.gaps);
        assert_eq!(missing, (0, 0, 0, 0), "{ledger}");
        assert_eq!((encoder.sent().records, encoder.sent().datagrams, encoder.sent().unplaced), (6_000, datagrams, 0));
        assert!(found.iter().all(|flow| flow.fields.rate_random));
        let (ours, theirs) = (counted(given.iter().map(|one| written(one, sampling))), counted(found.iter().map(read)));
        let other = ours.iter().find(|(told, n)| theirs.get(*told) != Some(n));
        assert!(ours == theirs, "{is_ipfix}: {other:?} is not among {} flows", found.len());
    }
}

/// A frame of UDP over IPv4, with these last bytes of its addresses.
fn frame(src: u8, dst: u8, payload: usize) -> Vec<u8> {
    let length = |more: usize| u16::try_from(payload + more).unwrap().to_be_bytes();
    let ip = [&[0x45, 0xB8][..], &length(28), &[0, 7, 0x40, 0, 60, 17, 0, 0, 10, 0, 0, src, 10, 0, 1, dst]].concat();
    let udp = [&[0, 53, 0x10, 0x92][..], &length(8), &[0, 0]].concat();
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &ip, &udp, &vec![7; payload]].concat()
}

fn sample(bytes: &[u8], port: u16, time_ns: u64) -> Sample {
    let generation = Generation::new(&[], &[], KeysFrom::Matched, &Mirror::default());
    let wire_bytes = u32::try_from(bytes.len()).unwrap();
    let (epoch, link) = (Epoch(1), LinkType::Ethernet);
    let frame = Frame { bytes, wire_bytes, captured_bytes: wire_bytes, time_ns, epoch, port, link, late: false };
    Sample::of(&frame, (&generation, 1), &MirrorPlan::default(), &mut Parsed::default())
}

/// Samples of frames, of both rates and several ports: what is read of them is what they were, with the rate, and no doubt of the pool.
#[test]
fn flow_samples_are_read_as_they_were_written() {
    let mut dice = dice();
    let plan = sflow::Plan { agent: IpAddr::from([192, 0, 2, 9]), sub_agent: 3, sampling: 50, header_bytes: 64 };
    let (mut encoder, mut collector) = (sflow::Encoder::new(plan), Collector::new(&Settings::default()));
    let (mut given, mut found) = (Vec::new(), Vec::new());
    let from = Arrival { exporter: Address::of(&[192, 0, 2, 1]), port: 9, received_ns: NOW_NS };
    for n in 0..3_000_u64 {
        let mut send = |datagram: &[u8]| {
            assert!(datagram.len() <= EXPORT_DATAGRAM_BYTES_MAX, "{}", datagram.len());
            collector.take(&from, datagram, &mut |flow| found.push(flow.clone()));
        };
        let (src, dst, payload, port) = (dice.byte(), dice.byte(), usize::try_from(dice.below(1_400)).unwrap(), dice.short() % 3);
        let mut sample = sample(&frame(src, dst, payload), port, NOW_NS);
        let blocked = dice.below(4) == 0;
        if blocked {
            (sample.record.weight, sample.record.has) = (40, sample.record.has.with(Has::BLOCKED, true));
        }
        (sample.passed, sample.lost) = (1 + dice.below(99), u32::from(n == 1_500));
        encoder.put(&sample, NOW_NS, &mut send);
        let numbers = [src.into(), dst.into(), 46 + payload as u64, u64::from(port) + 1, if blocked { 2_000 } else { 50 }];
        given.push((numbers, [53, 4_242, 17, 1], blocked));
        if dice.below(100) == 0 || n == 2_999 {
            let counters = sflow::PortCounters { port, speed_bps: 10, is_up: true, frames: 1 << 40, missed: 3 };
            encoder.counters(&counters, NOW_NS, &mut send);
            encoder.flush(NOW_NS, &mut send);
        }
    }
    let read = |flow: &crate::flows::Flow| {
        let f = &flow.fields;
        let last = |address: &Address| u64::from(*address.bytes().last().unwrap());
        let numbers = [last(&f.src_addr), last(&f.dst_addr), f.bytes, f.in_if.into(), f.sampling_rate];
        (numbers, [f.src_port, f.dst_port, f.proto, 1].map(u64::from), f.discard_reason == 14)
    };
    let found: Vec<_> = found.iter().map(read).collect();
    assert_eq!(found.len(), given.len());
    assert!(found == given, "{:?}", found.iter().zip(&given).find(|(a, b)| a != b));
    let ledger = collector.ledger();
    assert!(ledger.balances() && ledger.counters == encoder.sent().counters && ledger.counters > 0, "{ledger}");
    assert_eq!((ledger.datagram_gaps.lost, ledger.sample_gaps.lost, ledger.sample_gaps.gaps), (0, 0, 0), "{ledger}");
    assert_eq!(collector.warnings(), Vec::<String>::new());
}

/// A cache tells each packet once, whatever comes: against sums by key.
#[test]
fn a_cache_tells_each_packet_once() {
    let mut dice = dice();
    let (mut cache, mut told, mut given) = (Cache::new(50, 3_000_000_000, 1_000_000_000), Vec::new(), BTreeMap::new());
    let mut now_ns = NOW_NS;
    for n in 0..20_000 {
        // One flow goes on and on; the others push each other out.
        let (src, dst) = if dice.below(2) == 0 { (1, 1) } else { (dice.byte() % 12, dice.byte() % 12) };
        let bytes = frame(src, dst, usize::try_from(dice.below(100)).unwrap());
        let sample = sample(&bytes, 0, now_ns - dice.below(1_000));
        let row: &mut (u64, u64) = given.entry((src, dst)).or_default();
        *row = (row.0 + 1, row.1 + bytes.len() as u64 - 14);
        cache.take(&sample, &mut |key, flow, end| told.push((*key, *flow, end)));
        assert!(cache.len() <= 50);
        // At the end there is something left.
        now_ns += if n < 19_900 && dice.below(2_000) == 0 { 2_000_000_000 } else { dice.below(2_000_000) };
        cache.turn(now_ns, &mut |key, flow, end| told.push((*key, *flow, end)));
    }
    cache.end(&mut |key, flow, end| told.push((*key, *flow, end)));
    assert!(cache.is_empty());
    let of = |end: End| told.iter().filter(|(_, _, other)| *other == end).count();
    assert!([End::Idle, End::Active, End::Forced, End::Room].into_iter().all(|end| of(end) > 0));
    assert_eq!(of(End::Room) as u64, cache.evicted());
    let mut sums: BTreeMap<(u8, u8), (u64, u64)> = BTreeMap::new();
    for (key, flow, _) in &told {
        assert!(flow.last_ns - flow.first_ns < 3_000_000_000 + 1_000);
        let row = sums.entry((key.src[3], key.dst[3])).or_default();
        *row = (row.0 + flow.packets, row.1 + flow.bytes);
    }
    assert_eq!(sums, given);
}

/// Every sampler's frames are those that a plain count of the same draws gives; what it is told was passed over adds up, also over losses.
#[test]
fn a_tap_takes_each_samplers_frames_and_counts_what_is_lost() {
    let mut dice = dice();
    let bytes = frame(1, 2, 30);
    let (mut taps, mut ends) = taps(1, &[1, 10, 300], [5; 32], false);
    let tap = &mut taps[0];
    let (mut seen, mut passed, mut lost, mut came) = (0_u64, [0_u64; 3], [0_u64; 3], [0_u64; 3]);
    for burst in 0..4_000 {
        let count = 1 + usize::try_from(dice.below(64)).unwrap();
        seen += count as u64;
        if tap.comes(count) {
            while let Some(at) = tap.at() {
                assert!(at < count, "{at} of {count}");
                tap.take(Some(sample(&bytes, 0, NOW_NS)));
            }
        }
        // It is left to itself for a while: the ring overflows.
        let is_read = !(2_000..2_400).contains(&burst);
        while let Some(sample) = is_read.then(|| ends.rings[0].pop().ok()).flatten() {
            let sampler = usize::from(sample.sampler);
            (passed[sampler], came[sampler]) = (passed[sampler] + sample.passed, came[sampler] + 1);
            lost[sampler] += u64::from(sample.lost);
        }
    }
    let read = |counters: &[std::sync::atomic::AtomicU64]| {
        counters.iter().take(3).map(|n| n.load(std::sync::atomic::Ordering::Relaxed)).collect::<Vec<_>>()
    };
    let (all, gone) = (read(&ends.counts[0].sampled), read(&ends.counts[0].lost));
    assert!(gone[0] > 0 && lost.to_vec() == gone, "{lost:?} {gone:?}");
    assert_eq!((0..3).map(|at| came[at] + lost[at]).collect::<Vec<_>>(), all);
    // The first takes all: what came before the last one that came is all there was.
    assert_eq!((all[0], passed[0]), (seen, seen));
    for (at, one_in) in [(1, 10.0), (2, 300.0)] {
        let (n, of) = (f64::from(u32::try_from(all[at]).unwrap()), f64::from(u32::try_from(seen).unwrap()));
        assert!((n - of / one_in).abs() < 6.0 * (of / one_in).sqrt(), "{n} of {of} at 1 in {one_in}");
        assert!(passed[at] <= seen && passed[at] > seen - 300 * 20, "{} of {seen}", passed[at]);
    }
}

/// A frame without an IP header is a sample too; and what is kept of a long one is its start.
#[test]
fn a_sample_holds_what_there_is() {
    let arp = [&[0xFF; 12][..], &[8, 6], &[0; 28]].concat();
    let none = sample(&arp, 2, 5);
    assert!(!none.is_packet() && none.record.rx_port == 2 && none.record.time_ns == 5 && none.ip_at.is_none());
    assert_eq!(none.bytes(), arp);
    let bytes = frame(1, 2, 1_000);
    let long = sample(&bytes, 0, 5);
    assert_eq!((long.bytes(), long.ip_bytes, long.frame_bytes, long.ip_at), (&bytes[..256], 1_028, 1_042, Some(14)));
    for cut in 0..bytes.len().min(80) {
        let _ = sample(&bytes[..cut], 0, 5);
    }
}

/// GRE with a key and a number over IPv4, with DSCP and ECN: what only the bytes have is in the log.
#[test]
fn a_log_reads_what_only_the_bytes_have() {
    let gre = [0x30, 0x00, 0x65, 0x58, 0, 0, 0x12, 0x34, 0, 0, 0, 9];
    let ip = [&[0x46, 0xBA, 0, 36][..], &[0, 9, 0x40, 0, 61, 47, 0xAB, 0xCD, 10, 0, 0, 1, 10, 0, 1, 2, 1, 1, 1, 0], &gre].concat();
    let bytes = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7, 8, 0][..], &ip].concat();
    let mut line = Vec::new();
    log::write(&sample(&bytes, 3, NOW_NS), None, 10, &mut line);
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    for (name, want) in [
        ("GREVersion", 0),
        ("GREEtherType", 0x6558),
        ("GREHeaderLength", 12),
        ("GREKey", 0x1234),
        ("GRESequenceNumber", 9),
        ("IPHeaderLength", 24),
        ("IPTotalLength", 36),
        ("IPDSCP", 0xBA >> 2),
        ("IPECN", 2),
        ("IPv4Checksum", 0xABCD),
        ("IPProtocol", 47),
        ("VLAN", 7),
        ("Port", 3),
        ("SampleInterval", 10),
    ] {
        assert_eq!(line[name], want, "{name}: {line}");
    }
    assert_eq!((&line["Timestamp"], &line["IPv4DontFragment"]), (&"2023-11-14T22:13:20.123000000Z".into(), &true.into()));
    assert!(line.get("GREChecksum").is_none() && line.get("SourcePort").is_none());
}

/// Frames that are cut, and of which bytes are changed: each becomes a sample, a line that is JSON, and what our collector reads.
#[test]
fn no_frame_stops_what_is_made_of_it() {
    let mut dice = dice();
    let v6 = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xDD, 0x60, 0, 0, 1, 0, 60, 0, 9][..], &[0x20; 32]].concat();
    let v6 = [&v6[..], &[44, 0, 1, 4, 0, 0, 0, 0], &[6, 0, 0, 1, 0, 0, 0, 7], &[0x50; 44]].concat();
    let (flow, show) = (
        netflow::Plan { is_ipfix: true, domain: 1, sampling: 2, is_random: true, refresh_ns: 1_000_000_000 },
        sflow::Plan { agent: IpAddr::from([1, 2, 3, 4]), sub_agent: 1, sampling: 2, header_bytes: 128 },
    );
    let (mut cache, mut flows, mut frames) = (Cache::new(500, 9_000, 9_000), netflow::Encoder::new(flow), sflow::Encoder::new(show));
    let (mut collector, mut told, mut line) = (Collector::new(&Settings::default()), 0, Vec::new());
    let from = Arrival { exporter: Address::of(&[192, 0, 2, 1]), port: 9, received_ns: NOW_NS };
    let mut send = |datagram: &[u8]| {
        assert!(datagram.len() <= EXPORT_DATAGRAM_BYTES_MAX);
        collector.take(&from, datagram, &mut |_| told += 1);
    };
    let (mut samples, mut packets) = (0, 0);
    for n in 0..20_000_u64 {
        let mut bytes = if n % 2 == 0 { frame(1, 2, 60) } else { v6.clone() };
        for _ in 0..dice.below(4) {
            let at = usize::try_from(dice.below(bytes.len() as u64)).unwrap();
            bytes[at] = dice.byte();
        }
        bytes.truncate(usize::try_from(1 + dice.below(bytes.len() as u64)).unwrap());
        let sample = sample(&bytes, dice.short() % 8, NOW_NS + n);
        line.clear();
        log::write(&sample, None, 2, &mut line);
        let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(read.get("Refused").is_none(), sample.is_packet(), "{read}");
        (samples, packets) = (samples + 1, packets + u64::from(sample.is_packet()));
        frames.put(&sample, NOW_NS + n, &mut send);
        if sample.is_packet() {
            cache.take(&sample, &mut |key, flow, end| flows.put(key, flow, end, NOW_NS + n, &mut send));
        }
    }
    cache.end(&mut |key, flow, end| flows.put(key, flow, end, NOW_NS, &mut send));
    flows.flush(NOW_NS, &mut send);
    frames.flush(NOW_NS, &mut send);
    let ledger = collector.ledger();
    assert!(ledger.balances() && packets > 1_000, "{ledger}");
    assert_eq!((told, ledger.record_gaps.lost, ledger.sample_gaps.lost), (samples + flows.sent().records, 0, 0), "{ledger}");
}
