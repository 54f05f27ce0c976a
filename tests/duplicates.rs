//! Packets seen twice, end to end: generated captures into which copies are put, `tailwater replay` in both modes, and a model that
//! compares whole packets, byte by byte.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

#[allow(dead_code, reason = "shared by several tests")]
mod replaying;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use replaying::files::{ETHERNET, Record, pcap, whole, write};
use replaying::{replay, tailwater};
use serde_json::Value;

const MS: u64 = 1_000_000;

fn generated(folder: &Path) -> Vec<Record> {
    let text = "about = \"twice\"\nduration_s = 3\nseed = 11\nranges.count = 40\nlegitimate = { pps = 900 }\n\
                [[attack]]\nkind = \"dns_reflection\"\ntarget = \"10.0.0.0/8\"\nover = \"ranges\"\npps = 400\nblocked = 0.0\n";
    std::fs::write(folder.join("s.toml"), text).unwrap();
    let files = [("--scenario", "s.toml"), ("--pcap", "s.pcap"), ("--truth", "s.json"), ("--ranges", "ranges.csv")];
    let files = files.iter().flat_map(|(key, file)| [(*key).into(), folder.join(file).into_os_string()]);
    let ran = tailwater(std::iter::once("generate".into()).chain(files));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let bytes = std::fs::read(folder.join("s.pcap")).unwrap();
    let word = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    assert_eq!(word(0), 0xa1b2_3c4d, "nanoseconds");
    let (mut at, mut all) = (24, Vec::new());
    while at < bytes.len() {
        let held = usize::try_from(word(at + 8)).unwrap();
        all.push(whole(word(at) * 1_000_000_000 + word(at + 4), bytes[at + 16..at + 16 + held].to_vec()));
        at += 16 + held;
    }
    all
}

/// Where the IP header stands.
fn ip_at(frame: &[u8]) -> Option<usize> {
    let mut at = 12;
    while frame[at..at + 2] == [0x81, 0] {
        at += 4;
    }
    matches!(frame[at..at + 2], [0x08, 0x00] | [0x86, 0xDD]).then_some(at + 2)
}

/// Another switch's copy: behind so many routers, after so long, with another tag and other addresses of layer 2.
fn copy(record: &Record, hops: u8, after_ns: u64) -> Record {
    let mut bytes = record.bytes.clone();
    let ip = ip_at(&bytes).unwrap();
    let ttl = ip + if bytes[ip] >> 4 == 4 { 8 } else { 7 };
    bytes[ttl] -= hops;
    bytes[3] ^= 0x55;
    bytes.splice(12..12, [0x81, 0, 0, 9]);
    whole(record.time_ns + after_ns, bytes)
}

/// The packet as both copies show it, whole; and its TTL. None: it is not looked at.
fn packet(frame: &[u8]) -> Option<(Vec<u8>, u8)> {
    let mut ip = frame[ip_at(frame)?..].to_vec();
    let short = |at: usize| usize::from(u16::from_be_bytes([ip[at], ip[at + 1]]));
    let four = ip[0] >> 4 == 4;
    let (length, header) = if four { (short(2), usize::from(ip[0] & 15) * 4) } else { (40 + short(4), 40) };
    if length < header + 8 || four && ip[9] != 6 && short(4) == 0 {
        return None;
    }
    ip.truncate(length);
    let ttl = ip[if four { 8 } else { 7 }];
    let blank: &[usize] = if four { &[1, 8, 10, 11] } else { &[7] };
    blank.iter().for_each(|at| ip[*at] = 0);
    Some((ip, ttl))
}

/// Of each pair of ports: distinct packets, those seen twice, those a hop apart.
fn model(ports: &[Vec<Record>]) -> BTreeMap<(usize, usize), [u64; 3]> {
    let mut seen: BTreeMap<Vec<u8>, Vec<(usize, u64, u8)>> = BTreeMap::new();
    for (port, records) in ports.iter().enumerate() {
        for record in records {
            if let Some((packet, ttl)) = packet(&record.bytes) {
                seen.entry(packet).or_default().push((port, record.time_ns, ttl));
            }
        }
    }
    let mut all = BTreeMap::new();
    for pair in [(0, 0), (0, 1), (1, 1)] {
        let mut counts = [0; 3];
        for same in seen.values().filter(|same| same.iter().any(|(port, ..)| *port == pair.0 || *port == pair.1)) {
            let both = same.iter().enumerate().flat_map(|(i, one)| same[i + 1..].iter().map(move |other| (one, other)));
            let near = both.filter(|(a, b)| (a.0.min(b.0), a.0.max(b.0)) == pair && a.1.abs_diff(b.1) <= 5 * MS && a.2.abs_diff(b.2) <= 1);
            let hops: Vec<u8> = near.map(|(a, b)| a.2.abs_diff(b.2)).collect();
            counts[0] += 1;
            counts[1] += u64::from(!hops.is_empty());
            counts[2] += u64::from(hops.contains(&1));
        }
        all.insert(pair, counts);
    }
    all
}

fn configure(folder: &Path, section: &str) -> PathBuf {
    let file = folder.join("tailwater.toml");
    let text = format!("[ranges]\nfile = \"ranges.csv\"\n[[stats]]\nname = \"packets\"\ncalculation = \"sum\"\n{section}");
    std::fs::write(&file, text).unwrap();
    file
}

fn told(config: &Path, captures: &[&PathBuf], way: &[&str]) -> (Value, Vec<String>) {
    let ran = replay(config, captures, way);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let windows = ran.appliances();
    let of = windows.iter().find(|report| report["total"] == false).unwrap();
    (of["duplicates"].clone(), ran.range_lines().into_iter().map(str::to_owned).collect())
}

fn whole_number(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn copies_are_found_by_pair_of_ports_and_nothing_is_taken_out() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ports, mut n) = ([Vec::new(), Vec::new()], 0);
    for record in generated(folder.path()) {
        if ip_at(&record.bytes).is_some() {
            n += 1;
            match n % 10 {
                1 => ports[1].push(copy(&record, 1, MS)),
                2 => ports[0].push(copy(&record, 0, 2 * MS)),
                3 => ports[1].push(copy(&record, 0, 9 * MS)),
                4 => ports[1].push(copy(&record, 3, MS)),
                5 => ports[1].push(copy(&record, 0, 5 * MS)),
                _ => {}
            }
        }
        ports[0].push(record);
    }
    ports.iter_mut().for_each(|records| records.sort_by_key(|record| record.time_ns));
    let model = model(&ports);
    println!("{n} packets: {model:?}");
    assert!(n > 3_000 && model[&(0, 1)][1] > 600 && model[&(0, 1)][2] > 300 && model[&(0, 0)][1] > 300, "{model:?}");
    let captures = ["a.pcap", "b.pcap"].iter().zip(&ports).map(|(name, records)| write(folder.path(), name, &pcap(ETHERNET, records)));
    let captures: Vec<PathBuf> = captures.collect();
    let captures: Vec<&PathBuf> = captures.iter().collect();
    let config = configure(folder.path(), "");
    let (none, without) = told(&config, &captures, &[]);
    assert!(none.is_null());
    let config = configure(folder.path(), "[duplicates]\nsample = 1\n");
    let (first, with) = told(&config, &captures, &[]);
    assert_eq!(with, without, "nothing is taken out");
    let pairs = first["pairs"].as_array().unwrap();
    assert_eq!((pairs.len(), whole_number(&first["sample"])), (3, 1), "{first}");
    for pair in pairs {
        let at = ["first", "second"].map(|end| usize::try_from(pair[end].as_u64().unwrap()).unwrap());
        let want = model[&(at[0], at[1])];
        let have = ["sampledPackets", "seenTwice", "seenTwiceAHopApart"].map(|name| whole_number(&pair[name]));
        assert_eq!(have, want, "{pair}");
        let share = &pair["share"];
        let (low, value, high) = (share["low"].as_f64().unwrap(), share["value"].as_f64().unwrap(), share["high"].as_f64().unwrap());
        assert!(low <= value && value <= high, "{share}");
        let is_many = low > 0.01;
        let verdict = if is_many { "DUPLICATES_VERDICT_DUPLICATED" } else { "DUPLICATES_VERDICT_FEW" };
        assert_eq!(pair["verdict"], verdict, "{pair}");
    }
    for way in [&["--workers", "3"][..], &["--mode", "pipeline", "--workers", "2"]] {
        assert_eq!(told(&config, &captures, way).0, first, "{way:?}");
    }
}

#[test]
fn a_quiet_capture_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let records = generated(folder.path());
    let file = write(folder.path(), "quiet.pcap", &pcap(ETHERNET, &records));
    let (all, _) = told(&configure(folder.path(), "[duplicates]\nsample = 1\n"), &[&file], &[]);
    let (few, _) = told(&configure(folder.path(), "[duplicates]\n"), &[&file], &[]);
    println!("{} {}", all["pairs"], few["pairs"]);
    assert_eq!(all["pairs"][0]["verdict"], "DUPLICATES_VERDICT_FEW", "{all}");
    let [sampled, of] = [&few, &all].map(|report| whole_number(&report["pairs"][0]["sampledPackets"]));
    assert!(sampled < of / 50, "one in 256: {sampled} of {of}");
}
