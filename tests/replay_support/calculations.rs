//! Peaks, quantiles, entropies, fan-outs and new keys of the reports against the truth's details.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::view;
use crate::replaying::{count, stat};
use crate::{DECISIONS, Found, number};

/// A name, and the rest of its row.
const STATS: [(&str, &str); 6] = [
    ("peak_packets", "calculation = \"peak\""),
    ("peak_bytes", "calculation = \"peak\"\nmetric = \"bytes\""),
    ("quantiles", "calculation = \"quantiles\"\nkey = \"packet_size\"\nranks = [0, 0.5, 0.9, 0.99, 1]"),
    ("entropy", "calculation = \"entropy\"\nkey = \"src_ip\""),
    ("fanout", "calculation = \"fanout\"\nkey = \"src_ip\""),
    ("new", "calculation = \"new_keys\"\nkey = \"src_ip\""),
];

/// Appends the stats that [`compare`] asks for.
pub(super) fn stats(text: &mut String, decision: &str) {
    for (name, rest) in STATS {
        let _ = writeln!(text, "\n[[stats]]\nname = \"{name}_{decision}\"\ndecision = \"{decision}\"\n{rest}");
    }
}

/// One range in one window, one decision.
struct Row<'a> {
    truth: &'a Value,
    report: &'a Value,
    decision: &'static str,
    sampling: f64,
    /// Before the sampling.
    offered: Option<&'a Value>,
    captured: Option<&'a Value>,
}

/// One range in one window.
pub(super) fn compare(truth: &Value, report: &Value, sampling: f64, found: &mut Found) {
    for decision in DECISIONS {
        let ingress = &truth["detail"]["ingress"];
        let names: &[&str] = match decision {
            "passed" => &["passed"],
            "blocked" => &["offered_blocked"],
            _ => &["offered_any", "passed", "offered_blocked"],
        };
        let offered = names.iter().map(|name| &ingress[name]).find(|view| !view.is_null());
        let row = Row { truth, report, decision, sampling, offered, captured: view(&truth["detail"], decision) };
        row.peak("packets", found);
        row.peak("bytes", found);
        row.quantiles(found);
        row.entropy(found);
        row.fanout(found);
        if decision != "any" {
            row.new_keys(found);
        }
    }
}

impl Row<'_> {
    fn of(&self, what: &str) -> String {
        format!("{} in {}: {what}, {}", self.truth["prefix"], self.truth["window_start_ms"], self.decision)
    }

    fn told(&self, name: &str) -> &Value {
        stat(self.report, &format!("{name}_{}", self.decision))
    }

    /// A bound that nothing excuses, or an interval that holds in 95 of 100.
    fn holds(&self, what: &str, estimate: &Value, truth: f64, found: &mut Found) {
        let (low, high) = (number(&estimate["low"]), estimate["high"].as_f64().unwrap_or(f64::INFINITY));
        if estimate["confidence"] == "P95" {
            return found.interval(estimate, truth);
        }
        found.equal(|| self.of(&format!("{what}: {truth} in {estimate}")), 1.0, f64::from(u8::from(low <= truth && truth <= high)));
    }

    fn peak(&self, metric: &str, found: &mut Found) {
        let (name, scale) = (format!("peak_{metric}"), 1_000.0);
        let told = self.told(&name);
        let rate = |view: &Value| number(&view["peak"][metric][1]) * scale / count(&told["peak"]["subWindowMs"]) as f64;
        found.equal(|| self.of(&name), self.captured.map_or(0.0, rate), number(&told["total"]["value"]));
        let Some(captured) = self.captured else { return };
        let start_ms = number(&self.truth["window_start_ms"]) + number(&captured["peak"][metric][0]);
        found.equal(|| self.of("when"), start_ms, (count(&told["peak"]["startNs"]) / 1_000_000) as f64);
        self.offered.into_iter().for_each(|offered| self.holds(&name, &told["total"], rate(offered), found));
    }

    /// Values and what they stand for.
    fn sizes(&self, blocked: &str, sampling: f64) -> BTreeMap<u64, f64> {
        let mut sizes = BTreeMap::new();
        for (of, weight, decision) in [("passed", 1.0, "passed"), (blocked, sampling, "blocked")] {
            if self.decision == decision || self.decision == "any" {
                for row in self.truth["detail"]["ingress"][of]["packet_size"].as_array().into_iter().flatten() {
                    *sizes.entry(row[0].as_u64().unwrap()).or_insert(0.0) += weight * number(&row[1]);
                }
            }
        }
        sizes
    }

    fn quantiles(&self, found: &mut Found) {
        let (captured, offered) = (self.sizes("captured_blocked", self.sampling), self.sizes("offered_blocked", 1.0));
        for told in self.told("quantiles")["quantiles"]["quantiles"].as_array().into_iter().flatten() {
            let (rank, value) = (number(&told["rank"]), number(&told["value"]["value"]));
            let want = quantile(&captured, rank);
            let near = (value - want).abs() <= 0.01 * want;
            found.equal(|| self.of(&format!("rank {rank}: {value} for {want}")), 1.0, f64::from(u8::from(near)));
            self.holds("quantiles", &told["value"], quantile(&offered, rank), found);
        }
    }

    fn entropy(&self, found: &mut Found) {
        let (told, bits) = (&self.told("entropy")["entropy"]["value"], |view: &Value| number(&view["keys"]["src_ip"]["entropy_packets"]));
        let Some(offered) = self.offered else { return };
        if told["confidence"] == "P95" {
            return found.interval(told, bits(offered));
        }
        let near = told["high"].is_null() || (bits(offered) - number(&told["value"])).abs() < 1e-9;
        found.equal(|| self.of(&format!("entropy: {} is {told}", bits(offered))), 1.0, f64::from(u8::from(near)));
    }

    /// The ten of the truth, where all pairs were kept.
    fn fanout(&self, found: &mut Found) {
        let top = &self.told("fanout")["top"];
        let entries: Vec<&Value> = top["entries"].as_array().into_iter().flatten().collect();
        if top["pairsLevel"] == 0 {
            let want = self.captured.and_then(|view| view["fanout"]["src_ip>dst_ip"].as_array().cloned()).unwrap_or_default();
            for (at, row) in want.iter().enumerate() {
                let have = entries.get(at).map_or(0.0, |entry| number(&entry["value"]["value"]));
                found.equal(|| self.of(&format!("fanout {at}")), number(&row[1]), have);
            }
        }
        let rows = self.offered.and_then(|view| view["fanout"]["src_ip>dst_ip"].as_array());
        for row in rows.into_iter().flatten() {
            let entry = entries.iter().find(|entry| entry["key"] == row[0]);
            entry.into_iter().for_each(|entry| self.holds("fanout", &entry["value"], number(&row[1]), found));
        }
    }

    fn new_keys(&self, found: &mut Found) {
        let (told, new) = (&self.told("new")["newKeys"]["value"], |view: &Value| number(&view["keys"]["src_ip"]["new"]));
        let Some(captured) = self.captured else { return };
        if told["basis"] == "EXACT" || told["basis"] == "SAMPLED" {
            return found.equal(|| self.of("new"), new(captured), number(&told["value"]));
        }
        if self.decision == "passed" {
            self.holds("new", told, new(captured), found);
        }
    }
}

/// The smallest value that at least this share does not exceed.
fn quantile(sizes: &BTreeMap<u64, f64>, rank: f64) -> f64 {
    let (whole, mut below) = (sizes.values().sum::<f64>(), 0.0);
    let reaches = |(_, weight): &(&u64, &f64)| {
        below += **weight;
        below > 0.0 && below >= rank * whole - 1e-9
    };
    sizes.iter().find(reaches).map_or(0.0, |(value, _)| *value as f64)
}
