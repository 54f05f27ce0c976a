//! The papers against the program: what they name exists, what they show loads, what they list is what there is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tailwater::admin::open_metrics;
use tailwater::axes::key::KEYS;
use tailwater::axes::metric::METRICS;
use tailwater::axes::service::SERVICES;
use tailwater::config;
use tailwater::events::{CONSEQUENCES, RULES};
use tailwater::parse::{DropReason, Fault};
use tailwater::stats::{self, calculations::STANDARD};
use tailwater::telemetry::cost::{Meter, Part, Probe, Watch};
use tailwater::telemetry::{
    Ages, AuditSnapshot, ExportSnapshot, ExporterSnapshot, ExportsSnapshot, FeedHealth, FeedSnapshot, FlowsSnapshot, GapsSnapshot,
    JournalSnapshot, LogsSnapshot, Optics, PairSnapshot, PartFigures, Pause, Registry, SinkState, SinkStatus, WallClockSnapshot, Work,
};

const PAPERS: [&str; 18] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/audit.md",
    "docs/configuration.md",
    "docs/messages.md",
    "docs/events.md",
    "docs/operations.md",
    "docs/flows.md",
    "docs/exports.md",
    "docs/packet_logs.md",
    "docs/journal.md",
    "docs/generate.md",
    "docs/plan.md",
    "docs/figures.md",
    "docs/performance.md",
    "docs/new-calculation.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

/// What stands in backticks outside of code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("\n```").step_by(2);
    prose.flat_map(|part| part.lines()).flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The fenced blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n').filter(|(first, _)| *first == language).map(|(_, body)| body)).collect()
}

/// Targets of Markdown links to files.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}

/// Whether a quotation is the name of a file of ours. What a user makes has no folder in it, or lies in `target`.
fn names_a_file(word: &str) -> bool {
    const ENDINGS: [&str; 7] = [".rs", ".md", ".toml", ".proto", ".py", ".sh", ".csv"];
    let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    let ours = ["appliance/", "dpdk-sys/", "docs/", "examples/", "proto/", "scripts/", "tests/", "benches/", ".ci/"];
    let elsewhere = word.starts_with('/') || word.starts_with("target/");
    plain && !elsewhere && word.contains('/') && (ENDINGS.iter().any(|e| word.ends_with(e)) || ours.iter().any(|o| word.starts_with(o)))
}

#[test]
fn every_path_named_exists() {
    let mut absent = Vec::new();
    for paper in PAPERS {
        let text = read(paper);
        let folder = root().join(paper).parent().unwrap().to_owned();
        let linked = links(&text).map(|target| (target, folder.join(target).exists()));
        let exists = |word: &str| root().join(word).exists() || root().join("appliance/src").join(word).exists();
        let named = quoted(&text).into_iter().filter(|word| names_a_file(word)).map(|word| (word, exists(word)));
        absent.extend(linked.chain(named).filter(|(_, there)| !there).map(|(word, _)| format!("{paper}: {word}")));
    }
    assert!(absent.is_empty(), "{absent:#?}");
}

#[test]
fn what_they_show_loads() {
    let load = |file: &Path| config::load(file, &stats::check).unwrap_or_else(|faults| panic!("{faults}"));
    let example = load(&root().join("examples/tailwater.toml"));
    assert!(example.for_run().is_ok());
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(root().join("examples/ranges.csv"), folder.path().join("ranges.csv")).unwrap();
    let readme = read("README.md");
    let first = blocks(&readme, "toml");
    assert_eq!(first.len(), 1);
    let file = folder.path().join("first.toml");
    std::fs::write(&file, first[0]).unwrap();
    assert!(load(&file).for_run().is_ok());
}

/// The example holds every key that the configuration reference lists, as a row or as a comment.
#[test]
fn the_example_holds_every_key() {
    let (example, reference) = (read("examples/tailwater.toml"), read("docs/configuration.md"));
    let held = |key: &str| example.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
    let missing: Vec<_> = sections(&reference)
        .into_iter()
        .filter(|(heading, _)| !heading.contains("match"))
        .flat_map(|(heading, keys)| keys.into_iter().filter(|key| !held(key)).map(move |key| format!("{heading} {key}")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Headings that are a section of the configuration, and the keys of their first table.
fn sections(reference: &str) -> Vec<(&str, Vec<&str>)> {
    let parts = reference.split("\n## `").skip(1);
    parts
        .map(|part| {
            let (heading, body) = part.split_once('`').unwrap();
            let table = body.lines().skip_while(|line| !line.starts_with("| key |")).skip(2).take_while(|line| line.starts_with('|'));
            (heading, table.filter_map(|row| row.split('`').nth(1)).collect())
        })
        .collect()
}

/// What is said of a configuration whose section `heading` holds these rows.
fn said(heading: &str, rows: &str) -> String {
    let ranges = if heading == "[ranges]" { "" } else { "[ranges]\nfile = \"r.csv\"\n" };
    let stats = "[[stats]]\nname = \"s\"\ncalculation = \"sum\"\n";
    let own = match heading.split_once("]] ") {
        Some((outer, inner)) => format!("{outer}]]\n[{}.{inner}]\n{rows}\n", outer.trim_start_matches('[')),
        None => format!("{heading}\n{rows}\n"),
    };
    faults(&format!("{ranges}{stats}{own}"))
}

fn faults(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(folder.path().join("r.csv"), "prefix,customer\n10.0.0.0/8,a\n").unwrap();
    std::fs::write(&file, text).unwrap();
    config::load(&file, &stats::check).map_or_else(|faults| faults.to_string(), |_| String::new())
}

#[test]
fn every_key_of_the_reference_is_known() {
    let reference = read("docs/configuration.md");
    let sections = sections(&reference);
    assert!(sections.len() >= 12, "{sections:?}");
    for (heading, keys) in &sections {
        for key in keys {
            let row = format!("{key} = 1");
            let known = |rows: &str| !said(heading, rows).lines().any(|l| l.contains(&format!(".{key}")) && l.contains("unknown key"));
            // A setting belongs to one calculation.
            let of_some = |row: &str| STANDARD.iter().any(|c| known(&format!("calculation = \"{}\"\nkey = \"ttl\"\n{row}", c.name())));
            let axis = *heading != "[[stats]]" || ["calculation", "key"].contains(key);
            assert!(if axis { known(&row) } else { of_some(&row) }, "{heading} {key}: {}", said(heading, &row));
        }
    }
}

#[test]
fn every_key_that_is_known_is_in_the_reference() {
    let reference = read("docs/configuration.md");
    for (heading, keys) in sections(&reference) {
        let said = said(heading, "zzz = 1");
        let Some((_, list)) = said.lines().find(|line| line.contains("unknown key")).and_then(|line| line.split_once(" may hold ")) else {
            continue;
        };
        let known = list.split([',', ' ']).filter(|word| !["", "or", "nothing"].contains(word));
        let missing: Vec<_> = known.filter(|word| !keys.contains(word) && !heading.ends_with("where")).collect();
        assert!(missing.is_empty(), "{heading}: {missing:?}");
    }
}

#[test]
fn the_reference_lists_every_word() {
    let reference = read("docs/configuration.md");
    let words: BTreeSet<&str> = quoted(&reference).into_iter().collect();
    let keys = KEYS.iter().map(|row| row.name);
    let all = keys.chain(METRICS.iter().map(|row| row.name)).chain(STANDARD.iter().map(|c| c.name()));
    let all = all.chain(SERVICES.iter().map(|service| service.name));
    let missing: Vec<_> = all.filter(|name| !words.contains(name) && *name != "none").collect();
    assert!(missing.is_empty(), "{missing:?}");
    let operations = read("docs/operations.md");
    let words: BTreeSet<&str> = quoted(&operations).into_iter().collect();
    let all = DropReason::ALL.map(DropReason::name).into_iter().chain(Fault::ALL.map(Fault::name));
    let missing: Vec<_> = all.filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_metric_named_is_served_and_every_one_served_is_named() {
    let registry = Registry::new("a", "p", Duration::from_secs(1));
    registry.set_drop_reasons(&DropReason::ALL.map(DropReason::name));
    let (core, _port) = (registry.core(1, "rx"), registry.port(0, "net_null0", "f"));
    registry.set_stats(["s"].into_iter());
    let (mut meter, mut watch) = (Meter::new(), Watch::default());
    meter.begin(0);
    watch.turn_on();
    watch.begin();
    watch.columns();
    watch.stat(0);
    meter.lap(Part::Rx, 0);
    assert!(meter.end(), "a short poll");
    meter.show(&core.costs);
    watch.show(&core.costs);
    core.memory.iter().for_each(|part| part.set(PartFigures { used: 1, high: 2, size: 3 }));
    let mut pause = Pause::default();
    for now_ns in [1, 2] {
        pause.polled(now_ns, Work::default(), &core.pauses);
    }
    registry.set_feeds(vec![FeedSnapshot { name: "f".to_owned(), health: FeedHealth::Live }]);
    let rows = vec![("counted".to_owned(), 1)];
    registry.set_audit(AuditSnapshot { keys: vec![("found", 1)], rows, found_of_all: 1, stale: false });
    registry.set_pairs(vec![PairSnapshot { ports: ["a", "b"].map(str::to_owned), sampled: 2, twice: 1, is_alarm: true }]);
    registry.set_sinks(|| {
        vec![SinkStatus {
            name: "kafka".to_owned(),
            address: "127.0.0.1:9092".to_owned(),
            state: SinkState::Up,
            delivered: 0,
            failed: 0,
            retried: 0,
            flows: 0,
            flows_failed: 0,
            logs: 0,
            logs_failed: 0,
            topics_failed: [("t".to_owned(), 1)].into(),
            lots_behind: 0,
            log_lots_behind: 0,
            refused: vec![("bad_request", 1)],
            overflow: 0,
            behind: 0,
            last_error: None,
            ages: vec![("long", Ages::default())],
            packet_ages: vec![("long", Ages::default())],
        }]
    });
    registry.set_journal(JournalSnapshot::default);
    registry.set_flows(|| {
        let exporter = ExporterSnapshot { errors: vec![("set", "cut", 1)], delays: vec![1; 9], ..ExporterSnapshot::default() };
        let labels = ["exporter", "protocol", "domain", "of"].map(|name| (name, String::new()));
        let gaps = vec![GapsSnapshot { labels, ..GapsSnapshot::default() }];
        FlowsSnapshot { exporters: vec![exporter], gaps, ..FlowsSnapshot::default() }
    });
    registry.set_exports(|| ExportsSnapshot { exports: vec![ExportSnapshot::default()], logs: Some(LogsSnapshot::default()) });
    registry.reloaded(true);
    registry.events(vec![("loss", 1)], [("loss".to_owned(), "BEGUN")].into_iter());
    registry.set_optics(vec![(0, Optics { temperature_c: 25.5, rx_power_nw: vec![501_200] })]);
    registry.set_wall_clock(WallClockSnapshot { error_ns: Some(1), phc: Some(("ptp0".to_owned(), -1)), ..WallClockSnapshot::default() });
    registry.lost("nic_missed", "cpu", 1);
    registry.incomplete([("memory".to_owned(), 1)].into(), Some(1));
    let served = open_metrics(registry.snapshot());
    let operations = read("docs/operations.md");
    let named = quoted(&operations).into_iter().filter_map(|word| word.split(['{', ' ']).next()).filter(|w| w.starts_with("tailwater_"));
    let absent: Vec<_> = named.filter(|name| !served.contains(&format!("\n{name}{{")) && !served.contains(&format!("\n{name} "))).collect();
    assert!(absent.is_empty(), "{absent:?}");
    let words: BTreeSet<&str> = quoted(&operations).into_iter().collect();
    let families = served.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next());
    let unnamed: BTreeSet<&str> = families.filter(|name| !words.contains(name)).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
    // What the rules read is served, too.
    let rules = blocks(&operations, "yaml").concat();
    let read: Vec<&str> = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| w.starts_with("tailwater_")).collect();
    let absent: Vec<_> =
        read.iter().filter(|name| !served.contains(&format!("\n{name}{{")) && !served.contains(&format!("\n{name} "))).collect();
    assert!(read.len() > 8 && absent.is_empty(), "{read:?}: {absent:?}");
}

/// docs/packet_logs.md has a row for each field of a line, and no other.
#[test]
fn every_field_of_packet_logs_is_told_of() {
    let paper = read("docs/packet_logs.md");
    let rows = paper.lines().filter(|line| line.starts_with("| `"));
    let told: BTreeSet<&str> = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
    let (log, header) = (read("appliance/src/exports/log.rs"), read("appliance/src/exports/header.rs"));
    let renamed: Vec<&str> =
        [&log, &header].iter().flat_map(|text| text.split("rename = \"").skip(1)).map(|rest| rest.split('"').next().unwrap()).collect();
    let pascal = |name: &str| name.split('_').map(|part| part[..1].to_uppercase() + &part[1..]).collect::<String>();
    let mut fields: BTreeSet<String> = renamed.into_iter().map(str::to_owned).collect();
    let mut before = "";
    for line in log.lines().map(str::trim).take_while(|line| !line.starts_with("pub fn write")) {
        let is_field = line.ends_with(',') && line.contains(": ") && !line.starts_with('#');
        if is_field && !before.contains("rename = \"") && !before.contains("flatten") {
            fields.insert(pascal(line.split(':').next().unwrap()));
        }
        before = line;
    }
    let fields: BTreeSet<&str> = fields.iter().map(String::as_str).collect();
    assert!(fields.len() > 50 && told == fields, "{:?}", told.symmetric_difference(&fields));
}

/// docs/events.md has a row for each detector, in their order, and for what is held while another is there.
#[test]
fn every_kind_of_event_is_told_of() {
    let paper = read("docs/events.md");
    let table = |head: &str| {
        let rows = paper.lines().skip_while(|line| !line.starts_with(head)).skip(2).take_while(|line| line.starts_with('|'));
        rows.map(|row| row.split('|').map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let kinds: Vec<String> = table("| kind | subject").iter().map(|row| row[1].trim().trim_matches('`').to_owned()).collect();
    assert_eq!(kinds, RULES.map(|rule| rule.kind));
    let held = table("| until it has ended | held is");
    for (cause, consequence, _, _) in CONSEQUENCES {
        let [cause_is, consequence_is] = [cause, consequence].map(|kind| format!("`{kind}`"));
        // Where either may follow the other both are causes.
        let tells =
            |row: &Vec<String>| row[1].contains(&cause_is) && (row[1].contains(&consequence_is) || row[2].contains(&consequence_is));
        assert!(held.iter().any(tells), "{cause}, {consequence}");
    }
}

/// The project speaks of itself alone: no numbers of a tracker, no folders of the machine that it was written on.
#[test]
fn nothing_but_the_project_is_spoken_of() {
    let home = std::env::var("HOME").unwrap_or_default();
    let here = root().display().to_string();
    let others = ["examples/tailwater.toml", "proto/tailwater/v1/report.proto", "deny.toml", "NOTICE", "Cargo.toml"];
    for paper in PAPERS.into_iter().chain(others) {
        for (i, line) in read(paper).lines().enumerate() {
            let place = format!("{paper}:{}: {line}", i + 1);
            let numbered = line.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            assert!(!numbered, "{place}");
            let at_home = home.len() > 1 && line.contains(&format!("{home}/"));
            assert!(!at_home && !line.contains(&here), "{place}");
        }
    }
}
