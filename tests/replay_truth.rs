//! The truth of `generate` against `replay` of its capture, scenario by scenario: each range, window, decision and direction.

#![allow(clippy::panic, clippy::unwrap_used, clippy::cast_precision_loss, reason = "a test says what it expects; counts are small")]

#[allow(dead_code, reason = "shared by several tests")]
mod replaying;
#[path = "replay_support/mod.rs"]
mod details;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use ipnet::IpNet;
use replaying::{Ran, Top, bins, count, replay, stat, tailwater, top, value};
use serde_json::Value;

/// A metric as the configuration and as the truth calls it; one whose fast windows are asked for too.
const METRICS: [(&str, &str, bool); 6] = [
    ("packets", "packets", true),
    ("bytes", "bytes", true),
    ("connections_opened", "connections_opened", true),
    ("connections_accepted", "connections_accepted", false),
    ("resets", "resets", false),
    ("fragments", "fragments", false),
];
const DECISIONS: [&str; 3] = ["any", "passed", "blocked"];
const DIRECTIONS: [&str; 2] = ["ingress", "egress"];
/// Up to so many keys `distinct` is exact; beyond, its standard error is 1.04 / sqrt(2^12).
const DISTINCT_EXACT: f64 = 128.0;
const STANDARD_ERROR: f64 = 1.04 / 64.0;
/// Of the blocked figures so many intervals must hold what was offered before the sampling.
const HELD_MIN: f64 = 0.90;

/// The configuration that was made with the capture, with our stats instead of its own and memory enough.
fn configure(file: &Path) {
    let made = std::fs::read_to_string(file).unwrap();
    let mut text = made.split("\n[[stats]]").next().unwrap().replace("\nmemory_mb = 2\n", "\n");
    details::stats(&mut text);
    for decision in DECISIONS {
        for direction in DIRECTIONS {
            let of = format!("decision = \"{decision}\"\ndirection = \"{direction}\"");
            for (metric, _, fast) in METRICS {
                let name = format!("{metric}_{decision}_{direction}");
                let _ = writeln!(text, "\n[[stats]]\nname = \"{name}\"\ncalculation = \"sum\"\nmetric = \"{metric}\"\n{of}\nfast = {fast}");
            }
            let name = format!("sizes_{decision}_{direction}");
            let _ = writeln!(text, "\n[[stats]]\nname = \"{name}\"\ncalculation = \"histogram\"\nkey = \"packet_size\"\n{of}\nfast = true");
        }
        let rest = format!("key = \"src_ip\"\ndecision = \"{decision}\"");
        let _ = writeln!(text, "\n[[stats]]\nname = \"distinct_{decision}\"\ncalculation = \"distinct\"\n{rest}");
        let _ = writeln!(text, "\n[[stats]]\nname = \"sources_{decision}\"\ncalculation = \"topk\"\nk = 20\n{rest}");
    }
    std::fs::write(file, text).unwrap();
}

/// What comparing found.
#[derive(Default)]
struct Found {
    faults: Vec<String>,
    compared: u64,
    /// Intervals of blocked figures: all, and those that hold what was offered.
    intervals: [u64; 2],
    /// Distinct figures that are estimates: all, and those beyond three standard errors.
    estimates: [u64; 2],
    /// Busiest sources of attacked ranges: all, and those whose counter was another's for a while.
    tops: [u64; 2],
}

impl Found {
    fn equal(&mut self, what: impl Fn() -> String, want: f64, have: f64) {
        self.compared += 1;
        if want != have {
            self.faults.push(format!("{}: want {want}, have {have}", what()));
        }
    }

    /// One range in one window.
    fn row(&mut self, truth: &Value, report: Option<&Value>, sampling: f64) {
        let of = |what: &str| format!("{} in {}: {what}", truth["prefix"], truth["window_start_ms"]);
        let Some(report) = report else {
            let captured = &truth["captured"];
            let packets = DIRECTIONS.iter().flat_map(|direction| DECISIONS[1..].iter().map(move |d| &captured[direction][d]["packets"]));
            let packets: f64 = packets.map(number).sum();
            return self.equal(|| of("no report; packets"), packets, 0.0);
        };
        for direction in DIRECTIONS {
            let captured = |decision: &str, name: &str| &truth["captured"][direction][decision][name];
            for (metric, name, _) in METRICS {
                let (passed, blocked) = (number(captured("passed", name)), sampling * number(captured("blocked", name)));
                for (decision, want) in DECISIONS.into_iter().zip([passed + blocked, passed, blocked]) {
                    let stat = format!("{metric}_{decision}_{direction}");
                    self.equal(|| of(&stat), want, value(report, &stat));
                }
                let offered = number(&truth["offered"][direction]["blocked"][name]);
                self.interval(&stat(report, &format!("{metric}_blocked_{direction}"))["total"], offered);
            }
            let sizes = |decision: &str| captured(decision, "sizes").as_array().unwrap().iter().map(number).collect::<Vec<_>>();
            let (passed, blocked) = (sizes("passed"), sizes("blocked"));
            for (decision, [of_passed, of_blocked]) in DECISIONS.into_iter().zip([[1.0, sampling], [1.0, 0.0], [0.0, sampling]]) {
                let name = format!("sizes_{decision}_{direction}");
                let want: Vec<f64> = passed.iter().zip(&blocked).map(|(p, b)| p * of_passed + b * of_blocked).collect();
                let have = bins(report, &name);
                assert_eq!(want.len(), have.len());
                want.into_iter().zip(have).for_each(|(want, have)| self.equal(|| of(&name), want, have));
            }
        }
        for decision in DECISIONS {
            let want = number(&truth["captured"]["distinct_sources"][decision]);
            self.distinct(|| of(&format!("distinct_{decision}")), want, value(report, &format!("distinct_{decision}")));
        }
        details::compare(truth, report, sampling, self);
    }

    /// Whether an interval holds what was offered; figures of which nothing was offered say nothing.
    fn interval(&mut self, estimate: &Value, offered: f64) {
        if offered > 0.0 {
            let (low, high) = (number(&estimate["low"]), estimate["high"].as_f64().unwrap_or(f64::INFINITY));
            self.intervals[0] += 1;
            self.intervals[1] += u64::from(low <= offered && offered <= high);
        }
    }

    fn distinct(&mut self, what: impl Fn() -> String, want: f64, have: f64) {
        if want <= DISTINCT_EXACT {
            return self.equal(what, want, have);
        }
        let errors = (have - want).abs() / (want * STANDARD_ERROR);
        self.estimates[0] += 1;
        self.estimates[1] += u64::from(errors > 3.0);
        if errors > 4.5 {
            self.faults.push(format!("{}: want {want}, have {have}, {errors:.1} standard errors", what()));
        }
    }

    /// The ten busiest sources of an attacked range, and what passed of each.
    fn busiest(&mut self, truth: &Value, report: &Value) {
        let sources: Vec<&Value> = truth["captured"]["top_sources"].as_array().unwrap().iter().collect();
        let (any, passed) = (top(report, "sources_any"), top(report, "sources_passed"));
        let of = |stat: &str, key: &str| format!("{} in {}: {stat}, {key}", truth["prefix"], truth["window_start_ms"]);
        self.equal(|| of("sources_any", "entries"), sources.len() as f64, any.len() as f64);
        // Among forged sources one may be missed, if it has no more than what a key that is listed nowhere may have.
        let of_top = &stat(report, "sources_any")["top"];
        let absent: f64 = ["absentHighPassed", "absentHighScaled"].iter().map(|name| count(&of_top[name]) as f64).sum();
        for source in sources.iter().take(10) {
            let (key, value) = (source["source"].as_str().unwrap(), number(&source["value"]));
            match any.iter().find(|entry| entry.key == key) {
                Some(entry) => self.entry(|| of("sources_any", key), value, entry),
                None if value > absent => self.faults.push(of("sources_any", key)),
                None => self.tops = [self.tops[0] + 1, self.tops[1] + 1],
            }
            if let Some(entry) = passed.iter().find(|entry| entry.key == key) {
                self.entry(|| of("sources_passed", key), number(&source["passed"]), entry);
            }
        }
    }

    /// A key's figure: what was captured of it, or where its counter had been another's for a while, no more, and no less
    /// than the report allows for.
    fn entry(&mut self, what: impl Fn() -> String, want: f64, entry: &Top) {
        self.tops[0] += 1;
        if entry.unseen == 0.0 {
            return self.equal(what, want, entry.value);
        }
        self.tops[1] += 1;
        if want < entry.value || want > entry.value + entry.unseen {
            self.faults.push(format!("{}: want {want}, have {} and at most {} more", what(), entry.value, entry.unseen));
        }
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Reports of one kind of window by start and prefix.
fn by_window(ran: &Ran, kind: &str) -> BTreeMap<(u64, String), Value> {
    let of_kind = ran.ranges().into_iter().filter(|report| report["windowKind"] == kind);
    let keyed = |report: Value| ((count(&report["windowStartNs"]), report["prefix"].as_str().unwrap().to_owned()), report);
    of_kind.map(keyed).collect()
}

/// Ranges that an attack hits: the longest that holds its target, and those within it.
fn attacked(truth: &Value) -> BTreeSet<String> {
    let ranges: Vec<&str> = truth["ranges"].as_array().unwrap().iter().map(|row| row["prefix"].as_str().unwrap()).collect();
    let nets: Vec<IpNet> = ranges.iter().map(|range| range.parse().unwrap()).collect();
    let mut hit = BTreeSet::new();
    for attack in truth["attacks"].as_array().unwrap() {
        let target = attack["target"].as_str().unwrap();
        let target: IpNet = target.parse().unwrap_or_else(|_| target.parse::<std::net::IpAddr>().unwrap().into());
        hit.extend(nets.iter().filter(|net| net.contains(&target)).max_by_key(|net| net.prefix_len()).map(ToString::to_string));
        hit.extend(nets.iter().filter(|net| target.contains(*net)).map(ToString::to_string));
    }
    hit
}

/// Fast windows add up to their long one.
fn fast_adds_up(ran: &Ran, long: &BTreeMap<(u64, String), Value>, window_ns: u64, found: &mut Found) {
    let mut sums: BTreeMap<(u64, String), BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for ((start, prefix), report) in by_window(ran, "FAST") {
        let of_long = sums.entry((start / window_ns * window_ns, prefix)).or_default();
        for (name, figures) in fast_figures(&report) {
            let sum = of_long.entry(name).or_insert_with(|| vec![0.0; figures.len()]);
            sum.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        }
    }
    assert_eq!(sums.len(), long.len(), "each range and long window has fast windows");
    for (at, sums) in sums {
        let of_long: BTreeMap<String, Vec<f64>> = fast_figures(&long[&at]).into_iter().collect();
        assert_eq!(sums.len(), DECISIONS.len() * DIRECTIONS.len() * 4);
        for (name, sum) in sums {
            let whole = &of_long[&name];
            sum.into_iter().zip(whole).for_each(|(sum, whole)| found.equal(|| format!("{at:?}: fast windows of {name}"), *whole, sum));
        }
    }
}

/// Figures of the stats that have fast windows: a sum is one number, a histogram one a bin.
fn fast_figures(report: &Value) -> Vec<(String, Vec<f64>)> {
    let fast = |name: &str| name.starts_with("sizes_") || METRICS.iter().any(|(metric, _, fast)| *fast && name.starts_with(metric));
    let names = report["stats"].as_array().unwrap().iter().map(|stat| stat["name"].as_str().unwrap()).filter(|name| fast(name));
    let figures = |name: &str| if name.starts_with("sizes_") { bins(report, name) } else { vec![value(report, name)] };
    names.map(|name| (name.to_owned(), figures(name))).collect()
}

/// Makes a scenario and replays it with its configuration, changed.
fn play(name: &str, duration_s: u32, way: &[&str], change: impl FnOnce(&Path)) -> (Ran, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file).to_str().unwrap().to_owned();
    let (pcap, truth, config) = (path("x.pcap"), path("x.json"), path("tailwater.toml"));
    let duration = duration_s.to_string();
    let line = ["generate", "--scenario", name, "--duration", &duration, "--pcap", &pcap, "--truth", &truth, "--config", &config];
    let made = tailwater(line);
    assert_eq!(made.status, Some(0), "{}", made.stderr);
    change(Path::new(&config));
    let ran = replay(Path::new(&config), &[&pcap], way);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    (ran, serde_json::from_slice(&std::fs::read(&truth).unwrap()).unwrap())
}

/// Makes a scenario, replays it, compares.
fn judge(name: &str, duration_s: u32, way: &[&str]) -> Found {
    let (ran, truth) = play(name, duration_s, way, configure);
    let mut found = Found { faults: ran.ledger_faults(), ..Found::default() };
    compare(&ran, &truth, &mut found);
    println!(
        "{name}: {} figures equal, {} of {} intervals of blocked figures hold what was offered, {} of {} distinct beyond 3 errors, {} busiest sources",
        found.compared, found.intervals[1], found.intervals[0], found.estimates[1], found.estimates[0], found.tops[0]
    );
    found
}

fn compare(ran: &Ran, truth: &Value, found: &mut Found) {
    let long = by_window(ran, "LONG");
    let (sampling, hit) = (number(&truth["sampling"]), attacked(truth));
    let mut seen = 0;
    for row in truth["windows"].as_array().unwrap() {
        let at = (row["window_start_ms"].as_u64().unwrap() * 1_000_000, row["prefix"].as_str().unwrap().to_owned());
        let report = long.get(&at);
        seen += usize::from(report.is_some());
        found.row(row, report, sampling);
        if let Some(report) = report.filter(|_| hit.contains(&at.1)) {
            found.busiest(row, report);
        }
    }
    assert_eq!(seen, long.len(), "every report has a row of the truth");
    fast_adds_up(ran, &long, truth["window_ms"].as_u64().unwrap() * 1_000_000, found);
    for (window, report) in truth["window_totals"].as_array().unwrap().iter().zip(ran.appliances().iter().filter(is_long)) {
        for (ours, theirs) in [("received", "frames"), ("matched", "matched"), ("unmatched", "unmatched"), ("records", "records")] {
            found.equal(|| format!("ledger: {ours}"), number(&window[theirs]), count(&report["ledger"][ours]) as f64);
        }
    }
}

fn is_long(report: &&Value) -> bool {
    report["windowKind"] == "LONG" && report["total"] != true
}

fn expect(name: &str, duration_s: u32, way: &[&str]) -> Found {
    let found = judge(name, duration_s, way);
    let shown: Vec<&String> = found.faults.iter().take(20).collect();
    assert!(shown.is_empty(), "{name}: {} faults, the first: {shown:#?}", found.faults.len());
    found
}

#[test]
fn every_scenario_is_replayed_as_its_truth_says() {
    let names = tailwater(["generate", "--list"]).stdout;
    let names: Vec<&str> = names.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() >= 17, "{names:?}");
    // `ONLY=NAME` judges one.
    let only = std::env::var("ONLY").ok();
    let names: Vec<&str> = names.into_iter().filter(|name| only.as_deref().is_none_or(|only| only == *name)).collect();
    let ways: [&[&str]; 3] = [&["--workers", "2"], &["--mode", "pipeline", "--workers", "3"], &["--workers", "1"]];
    let mut all = Found::default();
    for (name, way) in names.iter().zip(ways.iter().cycle()) {
        let duration_s = match *name {
            "amplification" => 32,
            // Thousands of reports a window.
            "many_ranges" => 11,
            _ => 20,
        };
        let found = expect(name, duration_s, way);
        assert!(found.compared > 100, "{name}: {} figures compared", found.compared);
        for i in 0..2 {
            all.tops[i] += found.tops[i];
            all.intervals[i] += found.intervals[i];
            all.estimates[i] += found.estimates[i];
        }
    }
    if only.is_some() {
        return;
    }
    let held = all.intervals[1] as f64 / all.intervals[0] as f64;
    println!("{:.2} % of {} intervals hold what was offered", 100.0 * held, all.intervals[0]);
    println!("{} busiest sources of attacked ranges, {} of them with a bound instead of an exact figure", all.tops[0], all.tops[1]);
    println!("{} of {} distinct estimates lie beyond 3 standard errors", all.estimates[1], all.estimates[0]);
    assert!(held >= HELD_MIN && all.intervals[0] > 100);
    assert!(all.estimates[1] as f64 <= 0.02 * all.estimates[0] as f64, "too many distinct estimates beyond 3 standard errors");
    assert!(all.tops[0] > 100 && all.tops[1] * 10 < all.tops[0], "busiest sources are exact, but for few");
}

/// More ranges are hit than the budget has room for: sums are exact or say what is missing, and lists say that they are worse.
#[test]
fn a_budget_that_is_spent_is_told_of() {
    for way in [&["--workers", "2"][..], &["--mode", "pipeline", "--workers", "2"][..]] {
        let (ran, truth) = play("many_ranges", 16, way, |_| {});
        assert_eq!(ran.ledger_faults(), Vec::<String>::new());
        let (long, sampling, mut seen) = (by_window(&ran, "LONG"), number(&truth["sampling"]), [0_u64; 3]);
        for row in truth["windows"].as_array().unwrap() {
            let at = (row["window_start_ms"].as_u64().unwrap() * 1_000_000, row["prefix"].as_str().unwrap().to_owned());
            let Some(report) = long.get(&at) else { continue };
            let captured = &row["captured"]["ingress"];
            let want = number(&captured["passed"]["packets"]) + sampling * number(&captured["blocked"]["packets"]);
            let (have, lost) = (value(report, "packets"), report["incomplete"].is_object());
            assert!(if lost { have <= want } else { have == want }, "{at:?}: want {want}, have {have}, {}", report["incomplete"]);
            assert!(!lost || report["incomplete"]["reasons"].as_array().unwrap().contains(&"memory".into()), "{at:?}");
            let coarse = report["stats"].as_array().unwrap().iter().any(|stat| stat["top"]["shortOfMemory"] == true);
            seen[if lost { 2 } else { usize::from(coarse) }] += 1;
        }
        println!("{} reports whole, {} whole with lists short of memory, {} incomplete", seen[0], seen[1], seen[2]);
        assert!(seen[0] + seen[1] > 20 && seen[1] + seen[2] > 20, "{seen:?}");
    }
}

/// The same capture gives the same reports, also where the budget is spent and windows of ten seconds follow one another.
#[test]
fn a_budget_that_is_spent_gives_the_same_reports_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file).to_str().unwrap().to_owned();
    let (pcap, truth, config) = (path("x.pcap"), path("x.json"), path("tailwater.toml"));
    let line = ["generate", "--scenario", "many_ranges", "--duration", "22", "--pcap", &pcap, "--truth", &truth, "--config", &config];
    assert_eq!(tailwater(line).status, Some(0));
    for way in [&["--workers", "1"][..], &["--workers", "2"][..], &["--mode", "pipeline", "--workers", "2"][..]] {
        let all: Vec<Ran> = (0..5).map(|_| replay(Path::new(&config), &[&pcap], way)).collect();
        assert!(all[0].stdout.contains("\"shortOfMemory\":true"), "{way:?}: memory is short");
        let lines = |ran: &Ran| ran.range_lines().into_iter().map(str::to_owned).collect::<Vec<String>>();
        let first = lines(&all[0]);
        for other in &all[1..] {
            let differing = first.iter().zip(lines(other)).filter(|(one, other)| *one != other).count();
            assert!(differing == 0 && lines(other).len() == first.len(), "{way:?}: {differing} of {} reports differ", first.len());
        }
    }
}
