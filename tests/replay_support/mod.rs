//! The truth's details against the reports: distributions, different keys, the busiest ones.

mod calculations;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::replaying::{stat, top, value};
use crate::{DECISIONS, Found, number};

/// Keys of which the different ones are counted, beside sources.
const KEYS: [&str; 5] = ["dst_ip", "src_port", "dst_port", "src_prefix", "flow"];
/// Keys and metrics of which the busiest are listed: place of the metric in the truth's rows.
const TOPS: [(&str, &str, usize); 4] =
    [("dst_ip", "bytes", 2), ("dst_port", "packets", 1), ("src_prefix", "packets", 1), ("src_ip", "bytes", 2)];
/// Histograms, each with its key.
const HISTOGRAMS: [&str; 3] = ["protocol", "tcp_flags", "ttl"];

/// Appends the stats that [`compare`] asks for.
pub(crate) fn stats(text: &mut String) {
    for decision in DECISIONS {
        let mut add = |name: String, rest: String| {
            let _ = writeln!(text, "\n[[stats]]\nname = \"{name}_{decision}\"\ndecision = \"{decision}\"\n{rest}");
        };
        KEYS.iter().for_each(|key| add(format!("distinct_{key}"), format!("calculation = \"distinct\"\nkey = \"{key}\"")));
        HISTOGRAMS.iter().for_each(|key| add(format!("of_{key}"), format!("calculation = \"histogram\"\nkey = \"{key}\"")));
        for (key, metric, _) in TOPS {
            add(format!("top_{key}_{metric}"), format!("calculation = \"topk\"\nkey = \"{key}\"\nmetric = \"{metric}\""));
        }
        add("flows".to_owned(), "calculation = \"sum\"\nmetric = \"flows\"".to_owned());
        calculations::stats(text, decision);
    }
}

/// The view of what a capture holds, by decision; where all is of one decision it stands there alone.
fn view<'a>(detail: &'a Value, decision: &str) -> Option<&'a Value> {
    let names: &[&str] = match decision {
        "passed" => &["passed"],
        "blocked" => &["captured_blocked"],
        _ => &["captured_any", "passed", "captured_blocked"],
    };
    names.iter().map(|name| &detail["ingress"][name]).find(|view| !view.is_null())
}

/// One range in one window.
pub(crate) fn compare(truth: &Value, report: &Value, sampling: f64, found: &mut Found) {
    calculations::compare(truth, report, sampling, found);
    let of = |what: &str| format!("{} in {}: {what}", truth["prefix"], truth["window_start_ms"]);
    for decision in DECISIONS {
        let view = view(&truth["detail"], decision);
        for key in KEYS {
            let want = view.map_or(0.0, |view| number(&view["keys"][key]["distinct"]));
            let name = format!("distinct_{key}_{decision}");
            found.distinct(|| of(&name), want, value(report, &name));
        }
        let flows = view.map_or(0.0, |view| number(&view["keys"]["flow"]["distinct"]));
        found.distinct(|| of("flows"), flows, value(report, &format!("flows_{decision}")));
        for key in HISTOGRAMS {
            let name = format!("of_{key}_{decision}");
            let want = bins(&truth["detail"], decision, key, sampling);
            let have = shown(report, &name);
            found.equal(|| of(&format!("{name}: {want:?} is {have:?}")), 1.0, f64::from(u8::from(want == have)));
        }
        for (key, metric, at) in TOPS {
            let name = format!("top_{key}_{metric}_{decision}");
            tops(view, (key, at), &stat(report, &name)["top"], &top(report, &name), || of(&name), found);
        }
    }
}

/// What a histogram over a key must show: bins by label, or by lower edge in steps of 16 where the key is a TTL.
fn bins(detail: &Value, decision: &str, key: &str, sampling: f64) -> BTreeMap<String, f64> {
    let mut bins = BTreeMap::new();
    for (of, weight) in [("passed", 1.0), ("captured_blocked", sampling)] {
        if decision == "any" || of.ends_with(decision) {
            for row in detail["ingress"][of][key].as_array().into_iter().flatten() {
                let number = row[0].as_u64().unwrap_or(0);
                let label = match key {
                    "tcp_flags" => flags(number),
                    "ttl" => (number / 16 * 16).to_string(),
                    _ => number.to_string(),
                };
                *bins.entry(label).or_insert(0.0) += weight * row[1].as_f64().unwrap_or(0.0);
            }
        }
    }
    bins
}

fn flags(number: u64) -> String {
    let text: String = "FSRPAUEC".chars().enumerate().filter(|(i, _)| number >> i & 1 == 1).map(|(_, letter)| letter).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// The bins of a report in which there is anything.
fn shown(report: &Value, name: &str) -> BTreeMap<String, f64> {
    let bins = stat(report, name)["histogram"]["bins"].as_array().into_iter().flatten();
    let label = |bin: &Value| bin["label"].as_str().map_or_else(|| bin["low"].to_string().trim_end_matches(".0").to_owned(), str::to_owned);
    bins.map(|bin| (label(bin), number(&bin["value"]["value"]))).filter(|(_, value)| *value > 0.0).collect()
}

/// Bounds of a key that is listed for merging only.
fn reserved(told: &Value, key: &str) -> Option<[f64; 2]> {
    let entry = told["reserve"].as_array()?.iter().find(|entry| entry["key"] == key)?;
    let unseen: u64 = ["unseenPassed", "unseenScaled"].iter().map(|name| crate::replaying::count(&entry[name])).sum();
    let low = number(&entry["value"]["value"]);
    Some([low, low + unseen as f64])
}

/// The busiest keys of the truth: each is listed within its bounds, or not above what a key that is listed nowhere may have.
fn tops(
    view: Option<&Value>,
    of: (&str, usize),
    told: &Value,
    have: &[crate::replaying::Top],
    what: impl Fn() -> String,
    found: &mut Found,
) {
    let rows = view.map(|view| view["keys"][of.0]["top"].as_array().cloned().unwrap_or_default()).unwrap_or_default();
    let absent: f64 = ["absentHighPassed", "absentHighScaled"].iter().map(|name| crate::replaying::count(&told[name]) as f64).sum();
    let last = have.last().map_or(0.0, |entry| entry.value);
    for row in &rows {
        let (key, want) = (row[0].as_str().unwrap_or_default(), number(&row[of.1]));
        match have.iter().find(|entry| entry.key == key) {
            Some(entry) => found.entry(|| format!("{}, {key}", what()), want, entry),
            // It may stand in the reserve, with its own bounds, or nowhere.
            None if want <= absent || reserved(told, key).is_some_and(|[low, high]| low <= want && want <= high) => {}
            None => found.faults.push(format!("{}: {key} has {want} and is not listed; absent {absent}, last {last}", what())),
        }
    }
    if rows.is_empty() {
        found.equal(what, 0.0, have.len() as f64);
    }
}
