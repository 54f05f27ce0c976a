//! Determinism, sampling, attribution. What tshark says of a capture stands in `tests/generate_tshark.rs`.

use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::config;
use crate::parse::{DropReason, MirrorPlan, Parsed, parse_into};
use crate::rx::capture::Capture;

struct Made {
    folder: tempfile::TempDir,
    summary: Summary,
}

impl Made {
    fn of(scenario: &str, change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| Some(folder.path().join(name));
        let mut options = Options {
            scenario: Some(scenario.to_owned()),
            pcap: file("x.pcap"),
            truth: file("x.json"),
            seed: None,
            start: None,
            duration: None,
            snap: None,
            ranges: None,
            config: file("tailwater.toml"),
            list: false,
        };
        change(&mut options);
        let summary = run(&options).unwrap();
        Self { folder, summary }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn truth(&self) -> Value {
        serde_json::from_slice(&self.bytes("x.json")).unwrap()
    }
}

fn range<'a>(truth: &'a Value, prefix: &str) -> &'a Value {
    truth["ranges"].as_array().unwrap().iter().find(|range| range["prefix"] == prefix).unwrap()
}

#[test]
fn a_seed_gives_the_same_bytes() {
    let made = |seed| Made::of("syn_flood", |options| (options.seed, options.duration) = (Some(seed), Some(11)));
    let (first, again, other) = (made(5), made(5), made(6));
    for name in ["x.pcap", "x.json", "ranges.csv", "tailwater.toml"] {
        assert!(first.bytes(name) == again.bytes(name), "{name} differs");
    }
    assert!(first.bytes("x.pcap") != other.bytes("x.pcap"));
    assert_eq!(first.summary, again.summary);
    assert_eq!(first.summary.seed, 5);
}

#[test]
fn a_flood_over_ranges() {
    let packets = |over: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        let text = format!(
            "about = \"x\"\nduration_s = 1\negress = false\nranges = {{ count = 50, family = \"v4\" }}\nlegitimate = {{ pps = 0 }}\n\
             noise = {{ non_ip_pps = 0, unmatched_pps = 0 }}\n[[attack]]\nkind = \"tcp_flood\"\ntarget = \"10.0.0.0/8\"\n\
             over = \"{over}\"\npps = 10000\nblocked = 0\n"
        );
        std::fs::write(&file, text).unwrap();
        let made = Made::of(file.to_str().unwrap(), |_| {});
        let truth = made.truth();
        let of = |row: &Value| row["captured"]["ingress"]["passed"]["packets"].as_u64().unwrap();
        let mut packets: Vec<u64> = truth["ranges"].as_array().unwrap().iter().map(of).collect();
        packets.sort_unstable_by(|a, b| b.cmp(a));
        (packets, made.summary.totals)
    };
    let (even, totals) = packets("ranges");
    assert_eq!((even.len(), totals.unmatched, totals.wire_bytes), (50, 0, 60 * totals.frames));
    assert!(even[0] < 2 * even[49], "{even:?}");
    let (zipf, totals) = packets("zipf");
    assert_eq!((zipf.len(), totals.unmatched), (50, 0));
    assert!((1.6..2.4).contains(&(zipf[0] as f64 / zipf[1] as f64)), "{zipf:?}");
}

#[test]
fn one_blocked_packet_in_forty_is_captured() {
    let made = Made::of("demo", |options| (options.duration, options.snap) = (Some(30), Some(64)));
    let truth = made.truth();
    let of = |side: &str| range(&truth, "203.0.113.0/24")[side]["ingress"]["blocked"]["packets"].as_f64().unwrap();
    let (offered, captured) = (of("offered"), of("captured"));
    let sigma = (offered * (1.0 / 40.0) * (39.0 / 40.0)).sqrt();
    assert!(offered > 100_000.0 && (captured - offered / 40.0).abs() < 5.0 * sigma, "seed 1: {captured} of {offered}");
    let passed = |side: &str| range(&truth, "203.0.113.0/24")[side]["ingress"]["passed"].clone();
    assert_eq!(passed("offered"), passed("captured"));
}

#[test]
fn the_capture_holds_what_the_truth_says() {
    let made = Made::of("tunnelled_flood", |options| (options.duration, options.snap) = (Some(12), Some(100)));
    let (mut frames, mut wire_bytes, mut tagged, mut last_ns) = (0, 0, 0, 0);
    let mut capture = Capture::open(&made.path("x.pcap")).unwrap();
    while let Some(frame) = capture.next_frame().unwrap() {
        frames += 1;
        wire_bytes += u64::from(frame.wire_bytes);
        tagged += u64::from(frame.bytes[12..16] == [0x81, 0, 0x02, 0x9a]);
        assert!(frame.time_ns >= last_ns && frame.bytes.len() <= 100 && frame.wire_bytes >= 60);
        last_ns = frame.time_ns;
    }
    let totals = made.summary.totals;
    assert_eq!((frames, wire_bytes, tagged), (totals.frames, totals.wire_bytes, totals.tagged_frames));
    assert_eq!(totals.frames, totals.matched + totals.unmatched + totals.non_ip_frames);
    let truth = made.truth();
    assert_eq!(truth["totals"]["frames"], totals.frames);
    let windows = truth["window_totals"].as_array().unwrap();
    assert_eq!(windows.iter().map(|window| window["frames"].as_u64().unwrap()).sum::<u64>(), frames);
}

#[test]
fn a_tunnelled_flood_is_the_outer_target_s() {
    let made = Made::of("tunnelled_flood", |options| (options.duration, options.snap) = (Some(12), Some(64)));
    let truth = made.truth();
    let blocked = |prefix: &str| range(&truth, prefix)["offered"]["ingress"]["blocked"]["packets"].as_u64().unwrap();
    assert!(blocked("198.18.1.0/24") > 20_000 && blocked("198.18.2.0/24") < 100);
}

#[test]
fn frames_are_what_the_parser_expects() {
    for (name, _) in list() {
        let made = Made::of(name, |options| options.duration = Some(if name == "amplification" { 32 } else { 21 }));
        let mut capture = Capture::open(&made.path("x.pcap")).unwrap();
        let (mut parsed, mut without_ip, mut tunnelled, mut faults) = (Parsed::default(), 0, 0, 0);
        while let Some(frame) = capture.next_frame().unwrap() {
            match parse_into(frame.bytes, frame.wire_bytes, frame.link, &MirrorPlan::default(), &mut parsed) {
                Ok(()) => faults += u64::from(parsed.fault.is_some()),
                Err(DropReason::NonIp) => without_ip += 1,
                Err(reason) => panic!("{name}: {reason:?}"),
            }
            tunnelled += u64::from(parsed.headers().len() > 1);
        }
        assert_eq!(without_ip, made.summary.totals.non_ip_frames, "{name}");
        // A random port may be a tunnel's; what stands behind it is no tunnel then.
        let frames = capture.frames();
        assert!(faults < frames / 2_000, "{name}: {faults} of {frames}");
        assert!(if name == "tunnelled_flood" { tunnelled > frames / 20 } else { tunnelled < frames / 2_000 }, "{name}: {tunnelled}");
    }
}

#[test]
fn the_configuration_is_accepted() {
    for (name, _) in list() {
        let made = Made::of(name, |options| options.duration = Some(1));
        let config = config::load(&made.path("tailwater.toml"), &|_, _| Ok(())).unwrap_or_else(|faults| panic!("{name}: {faults}"));
        assert_eq!((config.tags.len(), config.appliance.window_ms), (1, 10_000), "{name}");
    }
}

#[test]
fn windows_add_up_to_the_whole() {
    let made = Made::of("carpet", |options| (options.duration, options.snap) = (Some(21), Some(64)));
    let truth = made.truth();
    let bytes = |row: &Value| ["passed", "blocked"].map(|d| row["captured"]["ingress"][d]["bytes"].as_u64().unwrap());
    for whole in truth["ranges"].as_array().unwrap() {
        let windows = truth["windows"].as_array().unwrap().iter().filter(|row| row["prefix"] == whole["prefix"]);
        let sum = windows.map(bytes).fold([0, 0], |sum, row| [sum[0] + row[0], sum[1] + row[1]]);
        assert_eq!(sum, bytes(whole), "{}", whole["prefix"]);
    }
    // The /20 has what its seven /24 have not: nine sixteenths of the attack.
    let blocked = |prefix: &str| range(&truth, prefix)["offered"]["ingress"]["blocked"]["packets"].as_f64().unwrap();
    let ratio = blocked("198.18.16.0/20") / blocked("198.18.20.0/24");
    assert!((8.5..9.5).contains(&ratio), "{ratio}");
}

/// To where nothing can be written.
fn wrong_options() -> Options {
    Options {
        scenario: Some("mix".to_owned()),
        pcap: Some("/nowhere/x.pcap".into()),
        truth: Some("/nowhere/x.json".into()),
        seed: None,
        start: None,
        duration: Some(1),
        snap: None,
        ranges: None,
        config: None,
        list: false,
    }
}

#[test]
fn what_cannot_be_written_is_told() {
    let options = wrong_options();
    let error = run(&options).unwrap_err();
    assert!(!error.before_start() && error.to_string().starts_with("/nowhere/x.json: cannot be written"), "{error}");
    let wrong = run(&Options { start: Some("soon".to_owned()), ..options }).unwrap_err();
    assert!(wrong.before_start() && wrong.to_string().contains("scenario mix: start"), "{wrong}");
    assert_eq!(list().count(), 17);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("astray.toml");
    let text = "about = \"x\"\nduration_s = 1\nranges.count = 1\n[[attack]]\nkind = \"syn_flood\"\ntarget = \"192.0.2.1\"\npps = 1\n";
    std::fs::write(&file, text).unwrap();
    let astray = run(&Options { scenario: Some(file.to_str().unwrap().to_owned()), start: None, ..wrong_options() }).unwrap_err();
    assert!(astray.to_string().contains("192.0.2.1 lies in no range"), "{astray}");
}
