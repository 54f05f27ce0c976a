//! Where fuzzing begins: inputs that the encoders of the tests make.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::judge::{STARTS, came};

#[path = "../../tests/flows_support/coded.rs"]
mod coded;
#[path = "../../tests/flows_support/fixed.rs"]
#[allow(dead_code, reason = "tests use all of it")]
mod fixed;
#[path = "../../tests/enrich_support/mmdb.rs"]
mod mmdb;
#[path = "../../tests/enrich_support/mrt.rs"]
mod mrt;

use coded::dice;

/// Inputs for a target; always the same.
pub(crate) fn of(target: &str) -> Vec<Vec<u8>> {
    let d = &mut ChaCha8Rng::seed_from_u64(7);
    match target {
        "netflow" => (0..150).map(|_| netflow(d)).collect(),
        "sflow" => (0..100).map(|_| sflow(d)).collect(),
        "frame" => frames().into_iter().map(|frame| [&[0][..], &frame].concat()).collect(),
        "burst" => (0..14).map(|first| burst(d, first)).collect(),
        "pieces" => vec![pieces(false), pieces(true)],
        "templates" => kept(d),
        "wire" => wires(d),
        "mrt" => routes(),
        "tables" => tables(),
        "database" => databases(),
        "counters" => counters(),
        "segment" => segments(d),
        other => panic!("\"{other}\" is no target"),
    }
}

fn control(d: &mut ChaCha8Rng) -> u8 {
    // Seldom much later, seldom a restart.
    let later = if dice(d, 4) == 0 { dice(d, 8) } else { 1 };
    let restarts = if dice(d, 12) == 0 { 0x80 } else { 0 };
    u8::try_from(dice(d, 3) | later << 3).unwrap() | restarts
}

fn template_of(d: &mut ChaCha8Rng, version: u16) -> Vec<coded::Made> {
    let mut fields = coded::template(d, version);
    fields.truncate(8);
    fields.iter_mut().filter(|field| field.known.is_none() && field.bytes != u16::MAX).for_each(|field| field.bytes %= 8);
    fields
}

/// Templates, options, withdrawals and data of one domain, in an order that is not always the right one.
fn exported(d: &mut ChaCha8Rng, version: u16, out: &mut Vec<u8>) {
    let (mut sequence, who) = (dice(d, 100) as u32, control(d) & 7);
    let fields = template_of(d, version);
    let mut sets = vec![coded::template_set(version, 256, &fields)];
    for _ in 0..1 + dice(d, 3) {
        let body: Vec<u8> = (0..1 + dice(d, 2)).flat_map(|_| coded::record(d, &fields).0).collect();
        sets.push(coded::set(256, &body, dice(d, 3)));
    }
    // Options: system (9) or process (10) in the scope, a sampler, its rate; and what they say.
    let told = if version == 9 {
        [1, 1, 0, 4, 0, 8, 0, 1, 0, 4, 0, 48, 0, 1, 0, 50, 0, 4].to_vec()
    } else {
        words(&[257, 3, 1, 144, 4, 302, 1, 305, 4])
    };
    sets.push(coded::set(if version == 9 { 1 } else { 3 }, &told, 0));
    sets.push(coded::set(257, &[0, 0, 0, 0, 1, 0, 0, 0, 100], 0));
    if dice(d, 3) == 0 {
        sets.push(coded::set(if version == 9 { 0 } else { 2 }, &[1, 0, 0, 0], 0));
    }
    if dice(d, 3) == 0 {
        sets.swap(0, 1);
    }
    for set in sets.chunks(1 + dice(d, 3)) {
        came::write(who | control(d) & 0xF8, &coded::datagram(version, sequence, 1, set), out);
        sequence += 1;
    }
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn netflow(d: &mut ChaCha8Rng) -> Vec<u8> {
    let mut out = vec![u8::try_from(dice(d, 2)).unwrap()];
    for _ in 0..1 + dice(d, 2) {
        match dice(d, 4) {
            0 => {
                let version = [1, 5, 7][dice(d, 3)];
                let records: Vec<_> = (0..1 + dice(d, 3)).map(|_| fixed::netflow_record(d, version)).collect();
                let datagram = fixed::netflow(d, version, 5, &records);
                came::write(control(d), &datagram, &mut out);
            }
            1 => exported(d, 9, &mut out),
            _ => exported(d, 10, &mut out),
        }
    }
    out
}

fn sflow(d: &mut ChaCha8Rng) -> Vec<u8> {
    let (mut out, frames) = (Vec::new(), frames());
    for sequence in 0..1 + dice(d, 3) as u32 {
        let mut samples = Vec::new();
        for number in 0..1 + dice(d, 3) as u32 {
            let format = [2, 1004, 1006, 1007, 4_096][dice(d, 5)];
            let records = [
                fixed::raw(1_000, 1, &frames[dice(d, frames.len())]),
                fixed::switch(5, 6),
                fixed::router([192, 0, 2, 1], 24, 25),
                fixed::gateway(64_500, 64_501, &[vec![1, 2], vec![3]], &[7, 8]),
                fixed::ip(3, 99, 17, &[10; 8], [53, 99, 0, 4]),
                fixed::ip(4, 99, 6, &[32; 32], [443, 99, 2, 0]),
                fixed::other(d, format),
            ];
            let from = dice(d, records.len());
            let records = &records[from..(from + 1 + dice(d, 3)).min(records.len())];
            let of = fixed::Sample { sequence: number, source: 3, rate: 100, pool: 100 * number, drops: 0, input: 3, output: 4 };
            samples.push(match dice(d, 6) {
                0 => fixed::counters(d, number, number % 2 == 0),
                1 => fixed::discarded(number, [3, 4], 256, records),
                kind => fixed::sample(&of, kind % 2 == 0, records),
            });
        }
        came::write(control(d) & 0x7F, &fixed::sflow(1 + dice(d, 2) as u32, sequence, &samples), &mut out);
    }
    out
}

/// Headers of all kinds with something behind them, and the plainest packets.
fn frames() -> Vec<Vec<u8>> {
    let mut frames: Vec<Vec<u8>> = STARTS.iter().map(|start| [start, &[0x45; 60][..]].concat()).collect();
    for (protocol, upper) in [(6, [0x50, 2].as_slice()), (17, &[0, 8]), (1, &[8, 0])] {
        let mut packet =
            [STARTS[0], &[0x45, 0, 0, 60, 0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2, 0, 53, 0x30, 0x39]].concat();
        packet.extend([0, 40, 0, 0, 0, 0, 0, 0]);
        packet.extend(upper);
        packet.resize(14 + 60, 0);
        let tagged = [&packet[..12], &[0x81, 0, 0, 3], &packet[12..]].concat();
        frames.extend([tagged, packet]);
    }
    frames
}

fn burst(d: &mut ChaCha8Rng, first: u8) -> Vec<u8> {
    let (frames, mut out) = (frames(), vec![first]);
    for _ in 0..8 {
        // The plain ones stand last, and are the most.
        let at = if dice(d, 3) == 0 { dice(d, frames.len()) } else { frames.len() - 1 - dice(d, 6) };
        came::write(0, &frames[at], &mut out);
    }
    out
}

/// A datagram in two pieces, of IPv4 or of IPv6.
fn pieces(v6: bool) -> Vec<u8> {
    let (mut out, udp) = (Vec::new(), [&[0x08, 7, 0x08, 7, 0, 32, 0, 0][..], &[0, 5, 0, 1], &[1; 20]].concat());
    for (offset, more, part) in [(0u16, 1u8, &udp[..16]), (2, 0, &udp[16..])] {
        let length = u8::try_from(part.len()).unwrap();
        let frame = if v6 {
            let place = (offset << 3 | u16::from(more)).to_be_bytes();
            let head = [0x60, 0, 0, 0, 0, length + 8, 44, 64];
            [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xDD][..], &head, &[0x20; 32], &[17, 0], &place, &[0, 0, 0, 9], part].concat()
        } else {
            let place = (offset | u16::from(more) << 13).to_be_bytes();
            let head = [0x45, 0, 0, 20 + length, 0, 9, place[0], place[1], 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
            [STARTS[0], &head, part].concat()
        };
        came::write(0, &frame, &mut out);
    }
    out
}

/// What a collector tells that took some datagrams.
fn kept(d: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
    (0..20)
        .map(|_| {
            let mut collector = tailwater::flows::Collector::new(&tailwater::flows::Settings::default());
            let input = netflow(d);
            for came in came::all(&input[1..]) {
                collector.take(&came.from, &came.datagram, &mut |_| ());
            }
            collector.told()
        })
        .collect()
}

/// Flows as they are written.
fn wires(d: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
    let mut wires = Vec::new();
    for input in [netflow(d), sflow(d), sflow(d), netflow(d), sflow(d)] {
        let mut collector = tailwater::flows::Collector::new(&tailwater::flows::Settings::default());
        for came in came::all(&input).into_iter().chain(came::all(&input[1..])) {
            collector.take(&came.from, &came.datagram, &mut |flow| {
                let mut wire = Vec::new();
                tailwater::flows::protobuf::write(flow, &mut wire);
                wires.push(wire);
            });
        }
    }
    wires
}

fn routes() -> Vec<Vec<u8>> {
    let one = |net: &str, hop: &'static str, with_ids: bool| {
        let entries = [(vec![(2, vec![64_500, 64_501, 64_502]), (1, vec![1, 2])], hop), (vec![(2, vec![64_503])], hop)];
        [mrt::peers(), mrt::prefix(net, with_ids, &entries)].concat()
    };
    vec![
        one("192.0.2.0/24", "10.0.0.1", false),
        one("192.0.2.0/24", "10.0.0.1", true),
        one("2001:db8::/32", "2001:db8::1", false),
        [one("0.0.0.0/0", "10.0.0.1", false), one("192.0.2.128/25", "10.0.0.2", false)].concat(),
    ]
}

fn tables() -> Vec<Vec<u8>> {
    let rows: [(u8, &str); 9] = [
        (0, "prefix,cid,customer\n192.0.2.0/24,7,acme\n2001:db8::/32,8,\"a,b\"\n# a comment\n"),
        (1, "[{\"prefix\": \"203.0.113.0/24\", \"cid\": 7, \"customer\": \"acme\"}]"),
        (1, "{\"203.0.113.0/24\": 7, \"192.0.2.0/24\": \"8\"}"),
        (2, "exporter,if_index,name,description,speed\n192.0.2.1,1,eth0,uplink,10000\n"),
        (3, "prefix,origin_as,next_hop\n0.0.0.0/0,64500,192.0.2.1\n192.0.2.0/24,1,\n"),
        (4, "key,value\n192.0.2.0/24,net\n192.0.2.1,host\n"),
        (5, "key,value\n443,web\n53,dns\n"),
        (6, "key,value\n02:00:5e:10:00:01,router\n"),
        (0, "\u{feff}prefix,cid\r\n10.0.0.0/8,1\r\n"),
    ];
    rows.iter().map(|(which, text)| [&[*which][..], text.as_bytes()].concat()).collect()
}

fn databases() -> Vec<Vec<u8>> {
    let four = [("192.0.2.0/24", mmdb::system(64_500, "a")), ("0.0.0.0/2", mmdb::country("DE"))];
    let six = [("2001:db8::/32", mmdb::system(64_500, "b")), ("8000::/1", mmdb::country("FR"))];
    vec![mmdb::database(4, &four), mmdb::database(6, &six), mmdb::database(6, &[("::c000:200/120", mmdb::country("NL"))])]
}

fn counters() -> Vec<Vec<u8>> {
    let texts = [
        "time_ns,key,dropped_packets\n1700000000000000000,192.0.2.0/24,5\n1700000010000000000,192.0.2.0/24,9\n",
        "time,key,dropped_packets,domain\n2023-11-14T22:13:20Z,192.0.2.0/24,5,red\n2023-11-14 22:13:20.5+01:00,7,9,\n",
        "[{\"time_ns\": 1700000000000000000, \"key\": \"3\", \"dropped_packets\": 5}, {\"time\": \"2023-11-14T22:13:20Z\", \"key\": \"x\"}]",
        "{\"time\": \"2023-11-14T22:13:20.123456789Z\", \"key\": \"3\", \"dropped_packets\": \"5\"}\n{}\n",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Frames by docs/journal.md: a message, a gap, a lot.
fn segments(d: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
    let frame = |position: u64, kind: u8, ends: (u64, u64), texts: [&str; 2], payload: &[u8]| {
        let [key, customer] = texts;
        let mut body = vec![kind, 0];
        texts.iter().for_each(|text| body.extend(u16::try_from(text.len()).unwrap().to_le_bytes()));
        [ends.0, ends.1].iter().for_each(|end| body.extend(end.to_le_bytes()));
        body.extend([key.as_bytes(), customer.as_bytes(), payload].concat());
        let head = [&u32::try_from(body.len()).unwrap().to_le_bytes()[..], &position.to_le_bytes()].concat();
        let sum = crc32fast::hash(&[&head[..], &body].concat()).to_le_bytes();
        [&b"TWJ1"[..], &head, &sum, &body].concat()
    };
    let lot = [&[2, 2, 0, 0, 0][..], &[1, 0, 2, 0, 0, 0], b"k{}", &[0, 0, 2, 0, 0, 0], b"{}"].concat();
    let message = frame(5, 0, (1, 2), ["203.0.113.0/24", "acme"], &[7; 40]);
    let gap = frame(6, 255, (6, 9), ["", ""], &[]);
    let flows = frame(9, 5, (1, 2), ["", ""], &lot);
    let mut damaged = [&message[..], &gap, &flows, &message].concat();
    let at = 70 + dice(d, 20);
    damaged[at] ^= d.next_u32().to_le_bytes()[0] | 1;
    vec![[&message[..], &gap, &flows].concat(), damaged, lot, flows[..flows.len() - 1].to_vec()]
}
