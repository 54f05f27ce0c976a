//! A small configuration, a second or two: the account adds up, whatever the machine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

use super::*;
use crate::config::{Cores, Mode};
use crate::generate::Crowds;

const STATS: &str = r#"
[[tags]]
match = { vlan = 666 }
decision = "blocked"
sampling = 40

[[stats]]
name = "packets"
calculation = "sum"

[[stats]]
name = "recent"
calculation = "sum"
metric = "bytes"
fast = true

[[stats]]
name = "sources"
calculation = "topk"
key = "src_ip"

[[stats]]
name = "flows"
calculation = "distinct"
key = "flow"
"#;

pub(super) fn config(folder: &std::path::Path, memory_mb: usize) -> Config {
    let v4: String = (0..300).map(|n| format!("10.{}.{}.0/24,c{n}\n", n / 256, n % 256)).collect();
    let v6: String = (0..50).map(|n| format!("2001:db8:{n:x}::/48,d{n}\n")).collect();
    std::fs::write(folder.join("ranges.csv"), format!("prefix,customer\n{v4}{v6}")).unwrap();
    let file = folder.join("small.toml");
    std::fs::write(&file, config_text(memory_mb)).unwrap();
    config::load(&file, &crate::stats::check).unwrap_or_else(|faults| panic!("{faults}"))
}

pub(super) fn config_text(memory_mb: usize) -> String {
    format!("[appliance]\nwindow_ms = 2000\nmemory_mb = {memory_mb}\n[ranges]\nfile = \"ranges.csv\"\n") + STATS
}

pub(super) fn cores(mode: Mode, rx: Vec<u32>, workers: Vec<u32>) -> Cores {
    Cores { mode, main: 0, rx, workers, reporter: 9, io: Vec::new() }
}

/// The core map that a configuration has with this behind it.
pub(super) fn written(file: &std::path::Path, more: &str) -> Cores {
    std::fs::write(file, std::fs::read_to_string(file).unwrap() + more).unwrap();
    let config = config::load(file, &crate::stats::check).unwrap_or_else(|faults| panic!("{faults}"));
    std::fs::write(file, config_text(64)).unwrap();
    config.cores.unwrap()
}

#[test]
fn an_account_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { seconds: 2, receives: false, frames: Some(20_000), shapes: Vec::new() };
    let (mut told, map) = (Vec::new(), cores(Mode::Pipeline, vec![1], vec![2, 3, 4]));
    let mut config = config(folder.path(), 64);
    config.cores = Some(map.clone());
    let account = plan(&config, &map, &options, &mut |line| told.push(line.to_owned())).unwrap();
    assert_eq!(account.shapes.len(), Shape::ALL.len());
    assert!(told.len() > Shape::ALL.len(), "{told:?}");
    for shape in &account.shapes {
        let name = shape.shape;
        let stages: f64 = shape.costs.stages.iter().map(|(_, ns)| ns).sum();
        assert!((stages - shape.ns_per_packet).abs() < 1e-6 * stages, "{name}: {stages} and {}", shape.ns_per_packet);
        let of = |stage: &str| shape.costs.stages.iter().find(|(known, _)| *known == stage).unwrap().1;
        assert!((of("rx") - RX_ASSUMED_NS).abs() < 1e-9, "{name}");
        let at = account.shapes.iter().position(|other| other.shape == name).unwrap();
        let billed: f64 = account.bill.iter().map(|price| price.ns[at]).sum();
        assert!((billed - of("stats")).abs() < 1e-6 * billed.max(1.0), "{name}: {billed} and {}", of("stats"));
        assert!(account.bill.iter().filter(|price| price.stat != "(unmatched)").all(|price| price.ns[at] > 0.0), "{name}");
        assert!(shape.packets > 0 && shape.reports > 0 && shape.report_bytes > 0, "{name}: {shape:?}");
        assert!((shape.core_mpps * shape.ns_per_packet - 1e3).abs() < 1e-3, "{name}");
        let [own, other] = &shape.boxes[..] else { panic!("{name}: {:?}", shape.boxes) };
        assert_eq!((own.mode, own.rx, own.workers, own.configured), ("pipeline", 1, 3, true), "{name}");
        assert_eq!((other.mode, other.rx, other.workers, other.configured), ("run-to-completion", 4, 0, false), "{name}");
        assert_eq!((own.wants_queues, other.wants_queues), (0, 4), "{name}: there is one queue");
        for of in [own, other] {
            let full = of.limits.iter().filter(|limit| ["rx cores", "workers"].contains(&limit.resource)).map(|limit| limit.used);
            assert!((full.fold(0.0, f64::max) - 1.0).abs() < 1e-6, "{name}: cores decide the rate: {of:?}");
            assert!(of.limits.iter().all(|limit| limit.used <= of.first.used), "{name}: {of:?}");
        }
    }
    assert!(account.bill.windows(2).all(|pair| pair[0].share >= pair[1].share), "the dearest first");
    let [better, other] = &account.core_maps[..] else { panic!("{:?}", account.core_maps) };
    assert!(better.mpps >= other.mpps && better.mode != other.mode);
    for proposal in [better, other] {
        let cores = written(&folder.path().join("small.toml"), proposal.toml.as_deref().unwrap());
        let (rx, workers) = if proposal.mode == "pipeline" { (vec![1], vec![2, 3, 4]) } else { (vec![1, 2, 3, 4], Vec::new()) };
        assert_eq!((cores.rx, cores.workers, cores.main, cores.reporter), (rx, workers, 0, 9), "{proposal:?}");
        assert_eq!((cores.mode.name(), proposal.wants_queues > 0), (proposal.mode, proposal.mode != "pipeline"));
    }
    let text = account.to_string();
    assert!(text.contains(&format!("\n{}", better.toml.as_deref().unwrap())), "{text}");
    assert!(
        ["peace", "sources (topk)", "all stats", "first: ", "with 4 rx (as many cores; wants 4 queues)", "\nnot priced: [[tags]]: "]
            .iter()
            .all(|word| text.contains(word)),
        "{text}"
    );
    let table: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("stage ")).take_while(|line| !line.is_empty()).collect();
    assert!(table.len() > 5 && table[0].contains(" zipf     mix      v6"), "{table:#?}");
    assert!(table[1].starts_with("rx ") && table[1].len() == table[0].len() && table[0].len() < 100, "{table:#?}");
    let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&account).unwrap()).unwrap();
    assert_eq!(json["shapes"].as_array().map(Vec::len), Some(Shape::ALL.len()));
    assert!(
        json["unpriced"][0].as_str().is_some_and(|what| what.starts_with("[[tags]]: blocked frames come in peace and in the mix alone")),
        "{json}"
    );
}

#[test]
fn a_budget_that_holds_nothing_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { seconds: 1, receives: false, frames: Some(1_000), shapes: vec![Shape::Uniform] };
    let map = cores(Mode::RunToCompletion, (1..33).collect(), Vec::new());
    let fault = plan(&config(folder.path(), 8), &map, &options, &mut |_| ()).err().unwrap();
    assert!(fault.is_configuration());
    let text = fault.to_string();
    assert!(text.contains("small.toml:3: appliance.memory_mb: ") && text.contains("set it to at least "), "{text}");
}

#[test]
fn what_has_no_price_is_told_by_its_section() {
    let folder = tempfile::tempdir().unwrap();
    let plain = config(folder.path(), 64);
    let said = |config: &Config| unpriced::unpriced(config, 1, traffic::marks(config).is_some()).concat();
    let more = concat!(
        "[[tags]]\nmatch = { vlan = 667 }\ndecision = \"passed\"\n",
        "[[exports]]\nprotocol = \"sflow\"\nto = \"127.0.0.1:6343\"\n[packet_logs]\n[sinks.stdout]\n",
        "[mirror]\nstrip = [\"gre\"]\nfrom = [\"192.0.2.1\"]\n[flows]\nfrom_ports = [\"192.0.2.2:2055\"]\n",
        "[[stats]]\nname = \"back\"\ncalculation = \"sum\"\ndirection = \"egress\"\n",
    );
    std::fs::write(folder.path().join("more.toml"), config_text(64) + more).unwrap();
    let all = config::load(&folder.path().join("more.toml"), &crate::stats::check).unwrap_or_else(|faults| panic!("{faults}"));
    let several = unpriced::unpriced(&plain, 2, traffic::marks(&plain).is_some()).concat();
    let (plain, all) = (said(&plain), said(&all));
    assert!(several.contains("[cores]: several are taken for so many times one") && !plain.contains("[cores]"), "{several}");
    for section in ["decision = \"passed\"", "[[exports]]", "[packet_logs]", "[flows] from_ports", "[mirror] strip", "egress", "[sinks]"] {
        assert!(all.contains(section) && !plain.contains(section), "{section}: {plain} / {all}");
    }
}

#[test]
fn what_a_pipeline_loses_is_told_of_a_single_core_too() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { seconds: 1, receives: false, frames: Some(1_000), shapes: vec![Shape::Uniform] };
    let map = cores(Mode::RunToCompletion, vec![1], Vec::new());
    let mut account = plan(&config(folder.path(), 64), &map, &options, &mut |_| ()).unwrap();
    account.core_maps.iter_mut().for_each(|of| (of.toml, of.wants_cpus, of.wants_memory_mb) = (None, 3, 99));
    account.core_maps.iter_mut().for_each(|of| (of.mpps, of.full, of.cores_mpps) = (6.0, Some("reporter"), 8.0));
    let text = account.to_string();
    assert!(text.contains("# 6.00 million packets a second at least (uniform); reporter is full there, at 75 % of what these "), "{text}");
    assert!(text.contains("[cores] would want 3 CPUs") && text.contains("; wants memory_mb = 99") && !text.contains("\n[cores]"), "{text}");
    assert!(text.contains("wants two cores of the data path at least") && text.contains("a pipeline turns "), "{text}");
}

#[test]
fn batches_that_are_handed_over_are_as_full_as_those_of_a_window() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), 64);
    let world = world(&config, &cores(Mode::Pipeline, vec![1], vec![2])).unwrap();
    let crowds = Crowds::new(config.ranges.list.iter().map(|range| range.prefix), None);
    let records = |shape, of_range, count| {
        let mut frames = handoff::frames(&crowds, shape, of_range, count).unwrap();
        handoff::measure(&world, &mut frames, count).batch_records
    };
    // Over all 350 ranges these frames are 71 of each, two batches of 36.
    for (name, shape) in Shape::ALL {
        let full = records(shape, 13_000.0, 25_000);
        assert!((56.0..=64.0).contains(&full), "{name}: {full}");
    }
    // A window that has ten packets of each has batches of as many.
    let few = records(Shape::Uniform, 10.0, 3_500);
    assert!((8.0..12.0).contains(&few), "{few}");
}

#[test]
fn the_time_that_is_measured_unless_told_otherwise_reaches_the_end_of_a_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), 64);
    config.appliance.window_ms = 10_000;
    let shape_s = |seconds| slice(seconds, Shape::ALL.len());
    let reached = |seconds| traffic::prefixes(&config, shape_s(seconds), Shape::Uniform).len();
    assert_eq!(reached(SECONDS), 350);
    assert!(reached(60) < 350);
}

#[cfg(feature = "kafka")]
#[test]
fn reports_are_held_against_what_kafka_takes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.toml");
    config(folder.path(), 64);
    std::fs::write(&file, config_text(64) + "[sinks.kafka]\nbrokers = \"192.0.2.1:9092\"\n").unwrap();
    let config = config::load(&file, &crate::stats::check).unwrap_or_else(|faults| panic!("{faults}"));
    let options = Options { seconds: 1, receives: false, frames: Some(1_000), shapes: vec![Shape::Uniform] };
    let account = plan(&config, &cores(Mode::RunToCompletion, vec![1], Vec::new()), &options, &mut |_| ()).unwrap();
    let (shape, rate) = (&account.shapes[0], account.kafka_bytes_per_second.unwrap());
    let used = shape.boxes[0].limits.iter().find(|limit| limit.resource == "kafka").unwrap().used;
    assert!((used - shape.report_bytes as f64 / 2.0 / rate).abs() < 1e-9 && used > 0.0, "{account:?}");
    assert!(account.to_string().contains("a Kafka inside this process took "), "{account}");
}
