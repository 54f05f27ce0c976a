//! What bad input gets: an error that names the file and the reason, or a count; never a crash, never silence.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects")]

#[allow(dead_code, reason = "shared by several tests")]
mod replaying;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use replaying::files::{ETHERNET, Record, framed, pcap, pcapng, syn, syn_v4, syn_v6, whole, write};
use replaying::{Draw, Ran, count, everything, replay, seed, tailwater, top, value};
use serde_json::Value;
use tempfile::TempDir;

const SECOND_NS: u64 = 1_000_000_000;
/// 2025-01-01T00:00:00Z.
const START_NS: u64 = 1_735_689_600 * SECOND_NS;

/// A folder with a configuration of everything.
struct Bench {
    folder: TempDir,
    config: PathBuf,
}

impl Bench {
    fn new() -> Self {
        Self::with("")
    }

    fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = everything(folder.path(), more);
        Self { folder, config }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        write(self.folder.path(), name, bytes)
    }

    fn replay(&self, name: &str, bytes: &[u8]) -> Ran {
        replay(&self.config, &[self.file(name, bytes)], &[])
    }
}

/// A replay that ended well, its ledgers balanced.
fn well(ran: &Ran) -> Value {
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert_eq!(ran.ledger_faults(), Vec::<String>::new());
    ran.total()
}

fn ledger(report: &Value, name: &str) -> u64 {
    count(&report["ledger"][name])
}

/// So many SYNs, a second apart, of so many sources.
fn syns(frames: u8) -> Vec<Record> {
    (0..frames).map(|i| whole(START_NS + u64::from(i) * SECOND_NS, syn(i))).collect()
}

fn sum(ran: &Ran, name: &str) -> f64 {
    ran.ranges().iter().map(|report| value(report, name)).sum()
}

#[test]
fn what_is_no_capture_is_refused_before_anything_starts() {
    let bench = Bench::new();
    let good = bench.file("good.pcap", &pcap(ETHERNET, &syns(3)));
    let mut cases = vec![
        (bench.file("text.pcap", b"hello, this is no capture"), "neither pcap nor pcapng"),
        (bench.file("zipped.pcap.gz", &[0x1f, 0x8b, 8, 0, 0, 0]), "gunzip"),
        (bench.file("empty.pcap", b""), "is empty"),
        (bench.file("short.pcap", &pcap(ETHERNET, &[])[..20]), "ends inside its header"),
        (bench.file("three.pcap", &[0xd4, 0xc3, 0xb2]), "ends inside its header"),
        (bench.file("wifi.pcap", &pcap(105, &syns(3))), "IEEE802_11"),
        (bench.file("wifi.pcapng", &pcapng(&[127], &[(0, syns(1)[0].clone())])), "IEEE802_11_RADIOTAP"),
        (bench.file("odd.pcap", &pcap(9_999, &[])), "link type 9999"),
        (bench.folder.path().to_owned(), "is a directory"),
        (bench.folder.path().join("absent.pcap"), "no such file"),
        (bench.folder.path().join("good.pcap/inside"), "cannot be read"),
    ];
    let locked = bench.file("locked.pcap", &pcap(ETHERNET, &syns(3)));
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    match std::fs::File::open(&locked) {
        Ok(_) => eprintln!("SKIPPED an unreadable file: this user may read everything"),
        Err(_) => cases.push((locked, "ermission denied")),
    }
    for (file, reason) in cases {
        for files in [vec![file.clone()], vec![good.clone(), file.clone()]] {
            let ran = replay(&bench.config, &files, &[]);
            assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{}: {}", file.display(), ran.stderr);
            let said = ran.stderr.lines().any(|line| line.contains(file.to_str().unwrap()) && line.contains(reason));
            assert!(said, "{} ({reason}): {}", file.display(), ran.stderr);
        }
    }
}

#[test]
fn bad_usage_is_refused() {
    let bench = Bench::new();
    let good = bench.file("good.pcap", &pcap(ETHERNET, &syns(3)));
    let (config, good) = (bench.config.to_str().unwrap(), good.to_str().unwrap());
    let absent = bench.folder.path().join("absent.toml");
    let cases: [(&[&str], &str); 10] = [
        (&["replay", "--config", config, "--pcap", good, "--workers", "0"], "--workers"),
        (&["replay", "--config", config, "--pcap", good, "--workers", "65"], "--workers"),
        (&["replay", "--config", config, "--pcap", good, "--workers", "-1"], "-1"),
        (&["replay", "--config", config, "--pcap", good, "--workers", "many"], "--workers"),
        (&["replay", "--config", config, "--pcap", good, "--mode", "fast"], "--mode"),
        (&["replay", "--config", config, "--pcap", good, "--no-such-option"], "--no-such-option"),
        (&["replay", "--config", config, "--pcap"], "--pcap"),
        (&["replay", "--pcap", good], "--config"),
        (&["replay", "--config", absent.to_str().unwrap(), "--pcap", good], "absent.toml"),
        (&["replay", "--config", good, "--pcap", good], "good.pcap"),
    ];
    for (line, named) in cases {
        let ran = tailwater(line);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{line:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(named), "{line:?}: {}", ran.stderr);
    }
}

#[test]
fn what_was_counted_before_a_fault_is_reported() {
    let bench = Bench::new();
    let mut bad = pcap(ETHERNET, &syns(20));
    bad.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 16, 0]);
    bad.extend(vec![0; 2 << 20]);
    let bad = bench.file("bad.pcap", &bad);
    let later: Vec<Record> = syns(40).split_off(30);
    let good = bench.file("good.pcap", &pcap(ETHERNET, &later));
    for (mode, files) in [("run-to-completion", vec![&bad]), ("pipeline", vec![&bad]), ("pipeline", vec![&bad, &good])] {
        let ran = replay(&bench.config, &files, &["--mode", mode, "--workers", "2"]);
        assert_eq!((ran.status, ran.ledger_faults()), (Some(1), Vec::new()), "{}", ran.stderr);
        assert!(ran.stderr.contains("bad.pcap") && ran.stderr.contains("is corrupt"), "{}", ran.stderr);
        assert_eq!((ledger(&ran.total(), "received"), sum(&ran, "packets")), (20, 20.0));
    }
}

#[test]
fn a_last_record_that_is_cut_short_is_a_warning() {
    let bench = Bench::new();
    let file = pcap(ETHERNET, &syns(5));
    let ng = pcapng(&[ETHERNET], &syns(5).into_iter().map(|record| (0, record)).collect::<Vec<_>>());
    for (name, bytes) in
        [("cut.pcap", &file[..file.len() - 7]), ("head.pcap", &file[..file.len() - 60]), ("cut.pcapng", &ng[..ng.len() - 9])]
    {
        let ran = bench.replay(name, bytes);
        assert_eq!(ledger(&well(&ran), "received"), 4, "{name}");
        assert!(ran.stderr.contains("WARN") && ran.stderr.contains(name), "{name}: {}", ran.stderr);
    }
}

#[test]
fn captures_merge_by_time_and_late_frames_count() {
    let bench = Bench::new();
    // The second lies within the first; the third goes back by an hour and forth again.
    let first = bench.file("a.pcap", &pcap(ETHERNET, &syns(100)));
    let second = bench.file("b.pcap", &pcap(ETHERNET, &syns(60)[30..]));
    let mut back = syns(50);
    back[20].time_ns -= 3_600 * SECOND_NS;
    back[21].time_ns -= 3_600 * SECOND_NS;
    let third = bench.file("c.pcap", &pcap(ETHERNET, &back));
    for more in [&[][..], &["--workers", "3"], &["--mode", "pipeline", "--workers", "3"]] {
        let ran = replay(&bench.config, &[&first, &second, &third], more);
        let total = well(&ran);
        assert_eq!((ledger(&total, "received"), ledger(&total, "late")), (180, 2));
        let of_ports: Vec<u64> = total["ports"].as_array().unwrap().iter().map(|port| ledger(port, "received")).collect();
        assert_eq!(of_ports, [100, 30, 50]);
        let starts: Vec<u64> = ran.ranges().iter().map(|report| count(&report["windowStartNs"])).collect();
        assert!(starts.is_sorted() && starts[0] == START_NS && starts.len() == 10, "{starts:?}");
        // What is late counts in the window that was open.
        let sources: Vec<f64> = ran.ranges().iter().map(|report| value(report, "distinct_sources")).collect();
        assert_eq!(sources, [10.0, 12.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]);
    }
}

#[test]
fn any_time_has_its_window() {
    let seconds_max = u64::from(u32::MAX);
    let of_2500 = 16_725_225_600 * SECOND_NS;
    let classic = [0, 1, SECOND_NS - 1, seconds_max * SECOND_NS, seconds_max * SECOND_NS + SECOND_NS - 1];
    let later = [0, of_2500, of_2500 + 1, u64::MAX - 1, u64::MAX];
    for window_ms in [1, 10_000, 3_600_000] {
        let bench = Bench::with(&format!("window_ms = {window_ms}\nfast_window_ms = 1"));
        let records = |times: &[u64]| times.iter().map(|time_ns| whole(*time_ns, syn(1))).collect::<Vec<_>>();
        let ng = |times: &[u64]| pcapng(&[ETHERNET], &records(times).into_iter().map(|record| (0, record)).collect::<Vec<_>>());
        for (name, bytes) in [("x.pcap", pcap(ETHERNET, &records(&classic))), ("x.pcapng", ng(&later))] {
            let ran = bench.replay(name, &bytes);
            let total = well(&ran);
            assert_eq!((ledger(&total, "received"), ledger(&total, "late"), sum(&ran, "packets")), (5, 0, 5.0), "{name} {window_ms}");
            for report in ran.ranges() {
                let (start, end) = (count(&report["windowStartNs"]), count(&report["windowEndNs"]));
                assert!(start % (window_ms * 1_000_000) == 0 && (end - start == window_ms * 1_000_000 || end == u64::MAX), "{start} {end}");
            }
        }
    }
}

#[test]
fn the_shortest_and_the_longest_windows() {
    let records: Vec<Record> = (0..5_000).map(|i| whole(START_NS + i * 1_500_000, syn(u8::try_from(i % 50).unwrap()))).collect();
    let bytes = pcap(ETHERNET, &records);
    for (window_ms, windows) in [(1, 5_000), (3_600_000, 1)] {
        let bench = Bench::with(&format!("window_ms = {window_ms}\nfast_window_ms = 1"));
        let file = bench.file("x.pcap", &bytes);
        let first = replay(&bench.config, &[&file], &[]);
        assert_eq!((well(&first)["total"].clone(), first.ranges().len()), (Value::Bool(true), windows));
        assert_eq!(sum(&first, "packets"), 5_000.0);
        for more in [&["--workers", "4"][..], &["--mode", "pipeline", "--workers", "4"]] {
            let other = replay(&bench.config, &[&file], more);
            well(&other);
            assert!(other.range_lines() == first.range_lines(), "{window_ms} ms, {more:?}");
        }
    }
}

#[test]
fn an_output_that_closes_early_ends_it() {
    let bench = Bench::with("window_ms = 1\nfast_window_ms = 1");
    let records: Vec<Record> = (0..3_000).map(|i| whole(START_NS + i * 1_000_000, syn(1))).collect();
    let file = bench.file("x.pcap", &pcap(ETHERNET, &records));
    let script = "\"$0\" replay --config \"$1\" --pcap \"$2\" | head -1 | wc -l; echo \"${PIPESTATUS[0]}\"";
    let mut line = Command::new("timeout");
    line.args(["--signal=KILL", "120", "bash", "-c", script, env!("CARGO_BIN_EXE_tailwater")]).arg(&bench.config).arg(&file);
    let output = line.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((&stdout[..], &stderr[..]), ("1\n0\n", ""), "one line is all that was asked for");
    let full = Command::new(env!("CARGO_BIN_EXE_tailwater"))
        .args(["replay".as_ref(), "--config".as_ref(), bench.config.as_os_str(), "--pcap".as_ref(), file.as_os_str()])
        .stdout(std::fs::File::create("/dev/full").unwrap())
        .output()
        .unwrap();
    let stderr = String::from_utf8(full.stderr).unwrap();
    assert!(full.status.code() == Some(1) && stderr.contains("No space left"), "{stderr}");
}

#[test]
fn two_hundred_captures_at_once() {
    let bench = Bench::new();
    let files: Vec<PathBuf> = (0..200_u64)
        .map(|i| {
            let records: Vec<Record> = (0..5).map(|n| whole(START_NS + n * SECOND_NS + i, syn(u8::try_from(i).unwrap()))).collect();
            bench.file(&format!("{i}.pcap"), &pcap(ETHERNET, &records))
        })
        .collect();
    for more in [&[][..], &["--mode", "pipeline", "--workers", "2"]] {
        let ran = replay(&bench.config, &files, more);
        let total = well(&ran);
        assert_eq!((ledger(&total, "received"), total["ports"].as_array().unwrap().len()), (1_000, 200));
        assert!(total["ports"].as_array().unwrap().iter().all(|port| ledger(port, "received") == 5));
    }
}

#[test]
fn frames_of_any_size_and_snap_length() {
    let bench = Bench::new();
    let long = framed(ETHERNET, &syn_v4(7, 65_535 - 54));
    assert_eq!(long.len(), 65_535);
    let snapped = |bytes: usize| Record { time_ns: START_NS, wire_bytes: 65_535, bytes: long[..bytes].to_vec() };
    let mut records: Vec<Record> = (0..100).map(|i| whole(START_NS, vec![i])).collect();
    records.extend([whole(START_NS, Vec::new()), Record { time_ns: START_NS, wire_bytes: u32::MAX, bytes: syn(9) }]);
    records.extend([65_535, 9_729, 9_728, 9_727, 2_049, 2_048, 1_514, 256, 96, 68, 54].map(snapped));
    // Cut inside the IP header and the Ethernet header: no packet.
    records.extend([33, 14, 13, 1, 0].map(snapped));
    for more in [&[][..], &["--workers", "2"], &["--mode", "pipeline", "--workers", "2"]] {
        let file = bench.file("sizes.pcap", &pcap(ETHERNET, &records));
        let ran = replay(&bench.config, &[file], more);
        let total = well(&ran);
        let frames = u64::try_from(records.len()).unwrap();
        assert_eq!((ledger(&total, "received"), ledger(&total, "parsed"), ledger(&total, "truncated")), (frames, 12, 16));
        let wire_bytes: u64 = records.iter().map(|record| u64::from(record.wire_bytes)).sum();
        assert_eq!(ledger(&total, "receivedBytes"), wire_bytes);
        assert_eq!((sum(&ran, "packets"), sum(&ran, "opened")), (12.0, 12.0));
        assert_eq!(sum(&ran, "bytes"), 11.0 * 65_535.0 + f64::from(u32::MAX));
    }
}

/// The same packets behind each link type.
#[test]
fn link_types_give_the_same_figures() {
    let bench = Bench::new();
    let packets: Vec<Vec<u8>> =
        (0..60).map(|i| if i % 3 == 0 { syn_v6(i, usize::from(i)) } else { syn_v4(i / 7, usize::from(i)) }).collect();
    let records = |link: u16| packets.iter().map(|ip| whole(START_NS, framed(link, ip))).collect::<Vec<_>>();
    let figures = |ran: &Ran| {
        let of = |report: &Value| {
            let top: Vec<(String, f64)> = top(report, "sources").into_iter().map(|entry| (entry.key, entry.value)).collect();
            (report["prefix"].to_string(), ["packets", "opened", "distinct_sources"].map(|name| value(report, name)), top)
        };
        ran.ranges().iter().map(of).collect::<Vec<_>>()
    };
    let ethernet = bench.replay("1.pcap", &pcap(1, &records(1)));
    well(&ethernet);
    let want = figures(&ethernet);
    assert_eq!(want.len(), 2);
    for link in [0, 12, 14, 101, 108, 113, 276] {
        let records = records(link);
        let wire_bytes: u32 = records.iter().map(|record| record.wire_bytes).sum();
        // Above the low 16 bits stand flags and the FCS length.
        let mut file = pcap(link, &records);
        file[23] = 0x14;
        for (name, bytes) in [("x.pcap", file), ("x.pcapng", pcapng(&[link], &records.iter().cloned().map(|r| (0, r)).collect::<Vec<_>>()))]
        {
            let ran = bench.replay(name, &bytes);
            well(&ran);
            assert_eq!((figures(&ran), sum(&ran, "bytes")), (want.clone(), f64::from(wire_bytes)), "link type {link}, {name}");
        }
    }
    // All of them in one file, an interface each.
    let links = [1, 101, 113, 276, 0, 108];
    let mixed: Vec<(u32, Record)> = packets
        .iter()
        .zip((0..links.len()).cycle())
        .map(|(ip, at)| (u32::try_from(at).unwrap(), whole(START_NS, framed(links[at], ip))))
        .collect();
    let ran = bench.replay("mixed.pcapng", &pcapng(&links, &mixed));
    well(&ran);
    assert_eq!(figures(&ran), want);
}

/// Bytes changed at random: refused or counted, never a crash.
#[test]
fn damaged_captures_end_well() {
    let bench = Bench::new();
    let links = [1, 101, 113, 276];
    let records = |link: u16| (0..20).map(|i| whole(START_NS, framed(link, &syn_v4(i, 3)))).collect::<Vec<_>>();
    let mixed: Vec<(u32, Record)> =
        (0..20_u8).map(|i| (u32::from(i) % 4, records(links[usize::from(i) % 4])[usize::from(i)].clone())).collect();
    let files = [pcap(1, &records(1)), pcap(276, &records(276)), pcapng(&links, &mixed)];
    let mut draw = Draw(seed());
    for round in 0..60 {
        let mut bytes = files[round % files.len()].clone();
        for _ in 0..=draw.next() % 8 {
            let at = usize::try_from(draw.next() % bytes.len() as u64).unwrap();
            bytes[at] = u8::try_from(draw.next() % 256).unwrap();
        }
        let ran = bench.replay("damaged", &bytes);
        match ran.status {
            Some(0 | 1) => assert_eq!(ran.ledger_faults(), Vec::<String>::new(), "round {round}"),
            Some(2) => assert!(ran.stdout.is_empty() && ran.stderr.contains("damaged"), "round {round}: {}", ran.stderr),
            other => panic!("round {round}: exit {other:?}: {}", ran.stderr),
        }
    }
}

/// A FIFO is a file like any other; nothing is known of its length.
#[test]
fn a_capture_may_come_through_a_pipe() {
    let bench = Bench::new();
    let file = bench.file("x.pcap", &pcap(ETHERNET, &syns(30)));
    let script = "cat \"$2\" | \"$0\" replay --config \"$1\" --pcap /dev/stdin";
    let output =
        Command::new("bash").args(["-c", script, env!("CARGO_BIN_EXE_tailwater")]).arg(&bench.config).arg(Path::new(&file)).output();
    let output = output.unwrap();
    let ran = Ran {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert_eq!(ledger(&well(&ran), "received"), 30);
}
