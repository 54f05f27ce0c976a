//! Whatever was lost: the truth lies within the bounds of every figure that was reported.

use std::collections::BTreeMap;

use tailwater::report::pb;
use tailwater::report::pb::stat::Figure;

use super::compare::of_range;
use super::drive::Log;
use super::model::{KeyOf, Seen, Sum, windows};
use super::setup::{Row, Setup};
use super::traffic::Packet;

/// The longest frame that a capture may hold.
const FRAME_BYTES_MAX: u64 = 262_144;
/// The heaviest packet of the test's configurations: a rate out of an inner VLAN.
const WEIGHT_MAX: u64 = 4_095;

/// Panics with a figure whose bounds miss the truth. Says how many incomplete reports there were.
pub fn covered(setup: &Setup, packets: &[Packet], log: &Log) -> u64 {
    let mut incomplete = 0;
    for (kind, length_ms) in [(pb::WindowKind::Long, setup.window_ms), (pb::WindowKind::Fast, setup.fast_ms)] {
        let length_ns = length_ms * 1_000_000;
        for (number, window) in windows(setup, packets, length_ns) {
            let of_window = |start: u64, k: i32| start == number * length_ns && k == i32::from(kind);
            for (range, seen) in &window.ranges {
                let (prefix, _, domain) = setup.ranges[*range];
                let is = |r: &&pb::RangeReport| r.prefix == prefix && r.domain == domain && of_window(r.window_start_ns, r.window_kind);
                let Some(report) = log.ranges.iter().find(is) else {
                    let account = log.appliance.iter().find(|r| !r.total && of_window(r.window_start_ns, r.window_kind));
                    let fast_only = kind == pb::WindowKind::Fast && of_range(setup, *range, kind).is_empty();
                    assert!(
                        fast_only || account.is_some_and(|r| r.incomplete.is_some()),
                        "{prefix} is absent in {kind:?} {number} and nobody says why: {} packets, {account:?}",
                        seen.len()
                    );
                    continue;
                };
                incomplete += u64::from(report.incomplete.is_some());
                for (row, stat) in of_range(setup, *range, kind).iter().zip(&report.stats) {
                    let missing = report.incomplete.as_ref();
                    let truth = Truth::of(setup, row, seen, missing.map_or(Some(0), |i| i.lost_packets_high));
                    truth
                        .check(stat)
                        .unwrap_or_else(|what| panic!("{prefix} in {kind:?} {number}: {row:?}: {what}\n{:?}\n{stat:?}", report.incomplete));
                }
            }
        }
    }
    incomplete
}

struct Truth<'a> {
    row: &'a Row,
    keys: BTreeMap<KeyOf, Sum>,
    all: Sum,
    /// What the report says that it may lack; none: nobody knows.
    lost: Option<u64>,
}

impl<'a> Truth<'a> {
    fn of(setup: &Setup, row: &'a Row, seen: &[Seen], lost: Option<u64>) -> Self {
        let (mut keys, mut all) = (BTreeMap::<KeyOf, Sum>::new(), Sum::default());
        for packet in seen {
            if let (Some(value), Some(key)) = (row.value(packet), row.key(setup, packet)) {
                keys.entry(key).or_default().add(value, packet);
                all.add(value, packet);
            }
        }
        Self { row, keys, all, lost }
    }

    /// What the lost packets may be of one key.
    fn lost_of_key(&self) -> Option<u64> {
        let value = if self.row.metric == "bytes" { FRAME_BYTES_MAX } else { 1 };
        let weight = if self.row.decision == "passed" { 1 } else { WEIGHT_MAX };
        self.lost.map(|lost| lost.saturating_mul(value * weight))
    }

    fn check(&self, stat: &pb::Stat) -> Result<(), String> {
        match stat.figure.as_ref().ok_or("no figure")? {
            Figure::Total(total) if self.row.metric == "flows" => self.number(total),
            Figure::Total(total) if self.row.calculation == "peak" => self.bounded(total),
            Figure::Total(total) => self.within(total, self.all.total()),
            Figure::Histogram(histogram) => self.histogram(histogram),
            Figure::Top(top) if self.row.calculation == "fanout" => {
                top.entries.iter().chain(&top.reserve).filter_map(|e| e.value.as_ref()).try_for_each(|e| self.bounded(e))
            }
            Figure::Top(top) => self.top(top),
            Figure::Quantiles(of) => self.quantiles(of),
            Figure::Entropy(of) => self.entropy(of.value.as_ref().ok_or("no value")?),
            Figure::NewKeys(of) => self.bounded(of.value.as_ref().ok_or("no value")?),
            Figure::Distinct(distinct) => self.number(distinct.value.as_ref().ok_or("no value")?),
        }
    }

    /// Where nobody knows what was lost, nothing bounds it.
    fn bounded(&self, have: &pb::Estimate) -> Result<(), String> {
        holds("order", have.low <= have.value && have.high.is_none_or(|high| have.value <= high))?;
        holds("nothing bounds it", self.lost.is_some() || have.high.is_none())
    }

    fn quantiles(&self, of: &pb::Quantiles) -> Result<(), String> {
        let mut values: Vec<(u64, u64)> = Vec::new();
        for ((_, text), sum) in &self.keys {
            values.push((text.parse().map_err(|_| "no number")?, sum.total()));
        }
        values.sort_unstable();
        for quantile in &of.quantiles {
            let have = quantile.value.as_ref().ok_or("no value")?;
            self.bounded(have)?;
            let (wanted, mut below) = ((quantile.rank * self.all.total() as f64).ceil().max(1.0), 0);
            let reaches = |(_, n): &&(u64, u64)| {
                below += n;
                below as f64 >= wanted
            };
            let truth = values.iter().find(reaches).map_or(0.0, |(value, _)| *value as f64);
            let holding = have.low <= truth && have.high.is_none_or(|high| truth <= high);
            holds(&format!("{truth} in {have:?}"), have.confidence() == pb::Confidence::P95 || holding)?;
        }
        Ok(())
    }

    fn entropy(&self, have: &pb::Estimate) -> Result<(), String> {
        self.bounded(have)?;
        let all = self.all.total() as f64;
        let truth: f64 = self.keys.values().map(|sum| sum.total() as f64 / all).map(|p| -p * p.log2()).sum();
        let holding = have.low <= truth + 1e-9 && have.high.is_none_or(|high| truth <= high + 1e-9);
        holds(&format!("{truth} in {have:?}"), have.confidence() == pb::Confidence::P95 || holding)
    }

    fn within(&self, have: &pb::Estimate, truth: u64) -> Result<(), String> {
        let truth = truth as f64;
        holds(&format!("{truth} in {have:?}"), have.low <= truth && have.high.is_none_or(|high| truth <= high))?;
        let exact = have.basis() == pb::Basis::Exact && self.lost.is_some();
        let high = have.low + self.lost_of_key().unwrap_or(0) as f64;
        holds(&format!("{have:?} ends at {high}"), !exact || have.high.is_some_and(|h| (h - high).abs() < 1.0))?;
        holds("nothing bounds it", self.lost.is_some() || have.high.is_none())
    }

    fn number(&self, have: &pb::Estimate) -> Result<(), String> {
        let truth = self.keys.len() as f64;
        if have.confidence() == pb::Confidence::Sure {
            holds(&format!("{truth} in {have:?}"), have.low <= truth && have.high.is_none_or(|high| truth <= high))?;
        } else if let Some(high) = have.high {
            let deviation = 1.04 / f64::from(1_u32 << self.row.p).sqrt();
            holds(&format!("{truth} in {have:?}"), truth <= high * (1.0 + 5.0 * deviation))?;
        }
        holds("nothing bounds it", self.lost.is_some() || have.high.is_none())
    }

    fn histogram(&self, have: &pb::Histogram) -> Result<(), String> {
        let (mut listed, mut other) = (Vec::new(), false);
        for bin in &have.bins {
            let value = bin.value.as_ref().ok_or("no value")?;
            let (low, high) = (bin.low.unwrap_or(0.0), bin.high.unwrap_or(f64::INFINITY));
            let of = |text: &str| match bin.label.as_deref() {
                Some(label) => label == text,
                None => text.parse::<f64>().is_ok_and(|n| n >= low && n < high),
            };
            if bin.label.as_deref() == Some("other") {
                other = true;
                continue;
            }
            let mine: u64 = self.keys.iter().filter(|((_, text), _)| of(text)).map(|(_, sum)| sum.total()).sum();
            listed.extend(self.keys.keys().filter(|(_, text)| of(text)));
            self.within(value, mine)?;
        }
        let unlisted = self.keys.iter().filter(|(key, _)| !listed.contains(key)).map(|(_, sum)| sum.total()).max().unwrap_or(0);
        let bound = self.lost_of_key();
        holds(&format!("{unlisted} of a label that is not listed"), other || bound.is_none_or(|bound| unlisted <= bound))
    }

    fn top(&self, have: &pb::Top) -> Result<(), String> {
        self.within(have.all.as_ref().ok_or("no whole")?, self.all.total())?;
        let of = |key: &str| self.keys.iter().find(|((_, text), _)| text == key).map(|(_, sum)| sum);
        let listed: Vec<&pb::TopEntry> = have.entries.iter().chain(&have.reserve).collect();
        for entry in &listed {
            let sum = of(&entry.key).ok_or_else(|| format!("{} was never there", entry.key))?;
            let e = entry.value.as_ref().ok_or("no value")?;
            let truth = sum.total() as f64;
            holds(&format!("{}: {truth} in {e:?}", entry.key), e.low <= truth && e.high.is_none_or(|high| truth <= high))?;
            holds("nothing bounds it", self.lost.is_some() || e.high.is_none())?;
            let counted = entry.sufficient.as_ref().ok_or("no counts")?;
            let bound = counted.passed.saturating_add(entry.unseen_passed);
            holds(&format!("{}: passed {} to {bound}", entry.key, counted.passed), sum.passed <= bound)?;
        }
        for ((_, key), sum) in self.keys.iter().filter(|((_, key), _)| !listed.iter().any(|e| e.key == *key)) {
            let bound = sum.passed <= have.absent_high_passed && sum.scaled <= have.absent_high_scaled;
            holds(&format!("absent {key}: {sum:?}"), bound)?;
        }
        self.order(have)
    }

    /// What is called proven is so.
    fn order(&self, have: &pb::Top) -> Result<(), String> {
        let sure = have.entries.iter().all(|e| e.value.as_ref().is_some_and(|v| v.confidence() == pb::Confidence::Sure));
        let proven = usize::try_from(have.order_proven).map_err(|_| "too many")?;
        holds("no more than there are", proven <= have.entries.len())?;
        let mut sorted: Vec<(u64, &str)> = self.keys.iter().map(|((_, text), sum)| (sum.total(), &text[..])).collect();
        sorted.sort_by(|a, b| b.cmp(a));
        for (i, entry) in have.entries.iter().take(if sure { proven } else { 0 }).enumerate() {
            holds(&format!("{} is number {i} of {sorted:?}", entry.key), sorted[i].1 == entry.key)?;
            holds("no tie", sorted.get(i + 1).is_none_or(|next| next.0 < sorted[i].0))?;
        }
        Ok(())
    }
}

fn holds(what: &str, is: bool) -> Result<(), String> {
    if is { Ok(()) } else { Err(what.to_owned()) }
}
