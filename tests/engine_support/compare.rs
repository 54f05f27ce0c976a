//! Every figure of every report against the model.

use std::collections::{BTreeMap, BTreeSet};

use tailwater::report::pb;
use tailwater::report::pb::stat::Figure;

use super::calculations::{Known, Pasts, forget};
use super::drive::Log;
use super::history::History;
use super::model::{KeyOf, Seen, Sum, Window, windows_over};
use super::setup::{Bins, NUMBERS, Row, Setup};
use super::traffic::Packet;

/// Keys that a distinct, or a top-K of a small k, holds exactly.
pub(super) const EXACT_KEYS: usize = 128;

/// Panics with what differs.
pub fn check(setup: &Setup, packets: &[Packet], log: &Log) {
    check_over(&History::of(setup), packets, log);
}

/// The same under one configuration after the other.
pub fn check_over(history: &History, packets: &[Packet], log: &Log) {
    let first = history.first();
    let mut reports = log.ranges.len();
    let mut accounts = log.appliance.len();
    let mut known = Pasts::new();
    for (kind, length_ms) in [(pb::WindowKind::Long, first.window_ms), (pb::WindowKind::Fast, first.fast_ms)] {
        let (length_ns, mut era) = (length_ms * 1_000_000, 0);
        for (number, window) in windows_over(history, packets, length_ns) {
            let now = history.index(number * length_ns);
            for next in era + 1..=now {
                forget(&mut known, kind, &history.eras[next - 1].1, &history.eras[next].1);
            }
            era = now;
            let setup = &history.eras[now].1;
            let counts_any = (0..setup.ranges.len()).any(|range| !of_range(setup, range, kind).is_empty());
            if kind == pb::WindowKind::Fast && !counts_any {
                continue;
            }
            let at = (kind, number * length_ns, (number + 1).saturating_mul(length_ns));
            reports -= ranges(setup, log, at, &window, &mut known);
            account(log, at, &window);
            accounts -= 1;
        }
    }
    assert_eq!((reports, accounts), (0, 1), "reports that no window explains, and the one of totals");
    totals(history, packets, log);
    order(history, log);
}

type At = (pb::WindowKind, u64, u64);

pub fn of_range(setup: &Setup, range: usize, kind: pb::WindowKind) -> Vec<&Row> {
    let premium = setup.ranges[range].1;
    let observed = |row: &Row| match row.direction {
        "ingress" => setup.ingress,
        "egress" => setup.egress,
        _ => true,
    };
    let wanted = |row: &&Row| (premium || !row.premium) && (kind == pb::WindowKind::Long || row.fast) && observed(row);
    setup.rows.iter().filter(wanted).collect()
}

fn ranges(setup: &Setup, log: &Log, at: At, window: &Window, known: &mut Pasts) -> usize {
    let (kind, start, end) = at;
    let mut found = 0;
    for (range, packets) in &window.ranges {
        let rows = of_range(setup, *range, kind);
        if kind == pb::WindowKind::Fast && rows.is_empty() {
            continue;
        }
        let (prefix, _, domain) = setup.ranges[*range];
        let is = |r: &&pb::RangeReport| {
            r.window_start_ns == start && r.window_kind == i32::from(kind) && r.prefix == prefix && r.domain == domain
        };
        let report = log.ranges.iter().find(is).unwrap_or_else(|| panic!("no report of {prefix} in {at:?}"));
        found += 1;
        assert_eq!((report.window_end_ns, &report.incomplete), (end, &None), "{prefix} in {at:?}");
        assert_eq!(report.customer, setup.customer(prefix, domain));
        let names: Vec<&str> = report.stats.iter().map(|stat| &stat.name[..]).collect();
        assert_eq!(names, rows.iter().map(|row| &row.name[..]).collect::<Vec<_>>(), "{prefix} in {at:?}");
        for (row, stat) in rows.iter().zip(&report.stats) {
            let known = known.entry((kind, (prefix, domain), row.name.clone())).or_default();
            figure(setup, row, stat, packets, (start, end), known)
                .unwrap_or_else(|what| panic!("{prefix} in {at:?}: {row:?}: {what}\n{stat:?}"));
        }
    }
    found
}

pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, have: T, want: T) -> Result<(), String> {
    if have == want { Ok(()) } else { Err(format!("{what}: {have:?}, not {want:?}")) }
}

pub(super) fn holds(what: &str, is: bool) -> Result<(), String> {
    if is { Ok(()) } else { Err(what.to_owned()) }
}

/// One figure of the packets that a report is of.
pub fn figure(setup: &Setup, row: &Row, stat: &pb::Stat, packets: &[Seen], window: (u64, u64), known: &mut Known) -> Result<(), String> {
    let mut keys: BTreeMap<KeyOf, Sum> = BTreeMap::new();
    let mut all = Sum::default();
    for packet in packets {
        if let (Some(value), Some(key)) = (row.value(packet), row.key(setup, packet)) {
            keys.entry(key).or_default().add(value, packet);
            all.add(value, packet);
        }
    }
    let counts = Counts { row, setup, keys, all };
    match stat.figure.as_ref().ok_or("no figure")? {
        Figure::Total(total) if row.calculation == "peak" => counts.peak(total, stat.peak.as_ref().ok_or("no peak")?, packets, window),
        Figure::Total(total) if row.metric == "flows" => counts.number(total, true),
        Figure::Total(total) => {
            same("sufficient", stat.sufficient.as_ref(), Some(&weighted(&counts.all)))?;
            counts.estimate(total, &counts.all)
        }
        Figure::Histogram(histogram) => counts.histogram(histogram),
        Figure::Top(top) if row.calculation == "fanout" => counts.fanout(top, packets),
        Figure::Top(top) => counts.top(top),
        Figure::Quantiles(quantiles) => counts.quantiles(quantiles),
        Figure::Entropy(entropy) => counts.entropy(entropy.value.as_ref().ok_or("no value")?),
        Figure::NewKeys(new) => counts.new_keys(new, known, window),
        Figure::Distinct(distinct) => counts.distinct(distinct, true),
    }
}

pub(super) fn weighted(sum: &Sum) -> pb::WeightedSum {
    pb::WeightedSum {
        passed: sum.passed,
        sampled_packets: sum.sampled_packets,
        scaled: sum.scaled,
        variance_high: u64::try_from(sum.variance >> 64).unwrap(),
        variance_low: u64::try_from(sum.variance & u128::from(u64::MAX)).unwrap(),
        largest: sum.largest,
        unproven_packets: sum.unproven,
        seen: sum.seen,
    }
}

pub(super) struct Counts<'a> {
    pub(super) row: &'a Row,
    pub(super) setup: &'a Setup,
    pub(super) keys: BTreeMap<KeyOf, Sum>,
    pub(super) all: Sum,
}

impl Counts<'_> {
    pub(super) fn may_be_sampled(&self) -> bool {
        self.row.decision != "passed"
    }

    fn estimate(&self, have: &pb::Estimate, sum: &Sum) -> Result<(), String> {
        let value = sum.total() as f64;
        same("value", have.value, value)?;
        if !self.may_be_sampled() {
            same("basis", have.basis(), pb::Basis::Exact)?;
            return same("bounds", (have.low, have.high, have.confidence()), (value, Some(value), pb::Confidence::Sure));
        }
        same("basis", have.basis(), pb::Basis::Sampled)?;
        self.bounds(have, sum)
    }

    /// Of a sampled figure.
    fn bounds(&self, have: &pb::Estimate, sum: &Sum) -> Result<(), String> {
        if sum.unproven > 0 || self.setup.every_nth {
            let low = (sum.passed + sum.seen) as f64;
            return same("unproven", (have.low, have.high, have.confidence()), (low, None, pb::Confidence::Sure));
        }
        let high = have.high.ok_or("no upper end")?;
        same("confidence", have.confidence(), pb::Confidence::P95)?;
        holds("low and high", have.low <= have.value && have.value <= high && have.low >= (sum.passed + sum.seen.min(sum.scaled)) as f64)
    }

    fn histogram(&self, have: &pb::Histogram) -> Result<(), String> {
        let key = self.row.keys[0];
        if let Some(Bins::Labels(labels)) = &self.row.bins {
            return self.listed(have, labels);
        }
        if !NUMBERS.contains(&key) {
            same("labels", have.bins.len(), self.keys.len())?;
            for (bin, ((_, label), sum)) in have.bins.iter().zip(&self.keys) {
                self.bin(bin, label, sum)?;
            }
            return Ok(());
        }
        let edges: Vec<u64> = match &self.row.bins {
            Some(Bins::Edges(edges)) => edges.iter().copied().filter(|edge| *edge > 0).collect(),
            Some(Bins::Exponential(first, factor, count)) => (0..*count).map(|n| first * factor.pow(n)).collect(),
            _ => match key {
                "ttl" => (1..16).map(|n| n * 16).collect(),
                "dscp" => (1..64).collect(),
                "tcp_window" => (0..16).map(|n| 1 << n).collect(),
                "tcp_seq" => (1..16).map(|n| n << 28).collect(),
                _ => vec![64, 128, 256, 512, 1_024, 1_518],
            },
        };
        same("bins", have.bins.len(), edges.len() + 1)?;
        for (i, bin) in have.bins.iter().enumerate() {
            let low = if i == 0 { 0 } else { edges[i - 1] };
            let high = edges.get(i).copied();
            same("edges", (bin.low, bin.high), (Some(low as f64), high.map(|h| h as f64)))?;
            let mut sum = Sum::default();
            for ((_, text), part) in &self.keys {
                let number: u64 = text.parse().map_err(|_| "no number")?;
                if number >= low && high.is_none_or(|h| number < h) {
                    merge(&mut sum, part);
                }
            }
            same("sufficient", bin.sufficient.as_ref(), Some(&weighted(&sum)))?;
            self.estimate(bin.value.as_ref().ok_or("no value")?, &sum)?;
        }
        Ok(())
    }

    /// One bin a label that is listed, and one for all others.
    fn listed(&self, have: &pb::Histogram, labels: &[&str]) -> Result<(), String> {
        same("bins", have.bins.len(), labels.len() + 1)?;
        for (i, bin) in have.bins.iter().enumerate() {
            let mut sum = Sum::default();
            let falls = |text: &str| labels.get(i).map_or_else(|| !labels.contains(&text), |label| *label == text);
            self.keys.iter().filter(|((_, text), _)| falls(text)).for_each(|(_, part)| merge(&mut sum, part));
            self.bin(bin, labels.get(i).unwrap_or(&"other"), &sum)?;
        }
        Ok(())
    }

    fn bin(&self, bin: &pb::Bin, label: &str, sum: &Sum) -> Result<(), String> {
        same("label", bin.label(), label)?;
        same("sufficient", bin.sufficient.as_ref(), Some(&weighted(sum)))?;
        self.estimate(bin.value.as_ref().ok_or("no value")?, sum)
    }

    fn top(&self, have: &pb::Top) -> Result<(), String> {
        self.estimate(have.all.as_ref().ok_or("no whole")?, &self.all)?;
        same("whole", have.all_sufficient.as_ref(), Some(&weighted(&self.all)))?;
        let k = self.row.k;
        let listed: Vec<&pb::TopEntry> = have.entries.iter().chain(&have.reserve).collect();
        let value = |e: &pb::TopEntry| e.value.as_ref().map_or(f64::NAN, |v| v.value);
        holds("order", listed.windows(2).all(|pair| value(pair[0]) >= value(pair[1])))?;
        let share: f64 = have.entries.iter().map(value).sum::<f64>() / (self.all.total() as f64).max(1.0);
        holds("coverage", (have.coverage - share).abs() < 1e-9)?;
        if self.keys.len() <= EXACT_KEYS.max(4 * k) {
            return self.top_exactly(have, &listed, k);
        }
        let sums: BTreeMap<&str, &Sum> = self.keys.iter().map(|((_, text), sum)| (&text[..], sum)).collect();
        let names: BTreeSet<&str> = listed.iter().map(|e| &e.key[..]).collect();
        same("entries", (names.len(), listed.len(), have.entries.len()), (2 * k, 2 * k, k))?;
        for entry in listed {
            let sum = sums.get(&entry.key[..]).ok_or_else(|| format!("{} was never there", entry.key))?;
            let counted = entry.sufficient.as_ref().ok_or("no counts")?;
            let within = |low: u64, more: u64, truth: u64| low <= truth && truth <= low + more;
            holds("passed", within(counted.passed, entry.unseen_passed, sum.passed))?;
            holds("scaled", within(counted.scaled, entry.unseen_scaled, sum.scaled))?;
            holds("samples", within(counted.sampled_packets, entry.unseen_sampled_packets, sum.sampled_packets))?;
            let e = entry.value.as_ref().ok_or("no value")?;
            let truth = sum.total() as f64;
            if !self.may_be_sampled() {
                holds("bounds", e.low <= truth && e.high.is_some_and(|high| truth <= high))?;
            } else if self.setup.every_nth || self.all.unproven > 0 {
                same("unproven", e.high, None)?;
            }
        }
        for (text, sum) in sums.iter().filter(|(text, _)| !names.contains(*text)) {
            let bound = sum.passed <= have.absent_high_passed
                && sum.scaled <= have.absent_high_scaled
                && sum.sampled_packets <= have.absent_high_sampled_packets;
            holds(&format!("absent {text}: {sum:?}"), bound)?;
        }
        Ok(())
    }

    fn top_exactly(&self, have: &pb::Top, listed: &[&pb::TopEntry], k: usize) -> Result<(), String> {
        let mut sorted: Vec<(&KeyOf, &Sum)> = self.keys.iter().collect();
        sorted.sort_by(|a, b| b.1.total().cmp(&a.1.total()).then_with(|| a.0.0.cmp(&b.0.0)));
        same("entries", (have.entries.len(), listed.len()), (sorted.len().min(k), sorted.len().min(2 * k)))?;
        for (entry, ((_, key), sum)) in listed.iter().zip(&sorted) {
            same("key", &entry.key, key)?;
            same("sufficient", entry.sufficient.as_ref(), Some(&weighted(sum)))?;
            let e = entry.value.as_ref().ok_or("no value")?;
            same("value", e.value, sum.total() as f64)?;
            if self.may_be_sampled() && self.all.unproven > 0 {
                same("unproven", (e.low, e.high), ((sum.passed + sum.seen) as f64, None))?;
            } else {
                self.estimate(e, sum)?;
            }
        }
        let absent = sorted.get(2 * k).map_or(0, |_| 1);
        holds("absent", absent > 0 || have.absent_high_passed + have.absent_high_scaled == 0)
    }
}

pub(super) fn merge(sum: &mut Sum, other: &Sum) {
    sum.passed += other.passed;
    sum.sampled_packets += other.sampled_packets;
    sum.scaled += other.scaled;
    sum.variance += other.variance;
    sum.largest = sum.largest.max(other.largest);
    sum.unproven += other.unproven;
    sum.seen += other.seen;
}

fn account(log: &Log, at: At, window: &Window) {
    let (kind, start, end) = at;
    let is = |r: &&pb::ApplianceReport| r.window_start_ns == start && r.window_kind == i32::from(kind) && !r.total;
    let report = log.appliance.iter().find(is).unwrap_or_else(|| panic!("no account of {at:?}"));
    assert_eq!((report.window_end_ns, &report.incomplete), (end, &None), "{at:?}");
    ledger(report, window, at);
}

fn ledger(report: &pb::ApplianceReport, window: &Window, at: At) {
    let (have, want) = (report.ledger.as_ref().unwrap(), &window.counts);
    let drops: BTreeMap<String, u64> = have.parse_drops.iter().map(|drop| (drop.name.clone(), drop.value)).collect();
    assert_eq!((have.offered, have.received, have.received_bytes), (want.received, want.received, want.bytes), "{at:?}");
    assert_eq!((have.parsed, have.matched, have.unmatched), (want.parsed, want.matched, want.unmatched), "{at:?}");
    assert_eq!((have.records, have.counted, have.ring_dropped), (want.records, want.records, 0), "{at:?}");
    assert_eq!((drops, have.late), (want.drops.clone(), want.late), "{at:?}");
    assert_eq!(report.tags.iter().map(|tag| tag.frames).collect::<Vec<_>>(), want.tags, "{at:?}");
    assert_eq!(report.untagged, want.untagged, "{at:?}");
}

fn totals(history: &History, packets: &[Packet], log: &Log) {
    let mut all = Window::default();
    for window in windows_over(history, packets, history.first().window_ms * 1_000_000).into_values() {
        let (sum, one) = (&mut all.counts, window.counts);
        sum.received += one.received;
        sum.bytes += one.bytes;
        sum.parsed += one.parsed;
        sum.matched += one.matched;
        sum.unmatched += one.unmatched;
        sum.records += one.records;
        sum.late += one.late;
        sum.untagged += one.untagged;
        sum.tags.iter_mut().zip(one.tags).for_each(|(a, b)| *a += b);
        one.drops.into_iter().for_each(|(name, n)| *sum.drops.entry(name).or_default() += n);
    }
    let last = log.appliance.last().unwrap();
    assert!(last.total);
    ledger(last, &all, (pb::WindowKind::Long, 0, 0));
}

/// Windows in order, ranges in order within each; each range's sequence without a gap.
fn order(history: &History, log: &Log) {
    let all = history.eras.iter().flat_map(|(_, setup)| &setup.ranges);
    let mut ranges: Vec<(ipnet::IpNet, &str)> = all.map(|(prefix, _, domain)| (prefix.parse().unwrap(), *domain)).collect();
    let number = |domain: &str| domain.split('=').nth(1).map_or(0, |n| n.parse::<u32>().unwrap());
    ranges.sort_by_key(|(net, domain)| (net.addr().is_ipv6(), net.addr(), net.prefix_len(), domain.split('=').next(), number(domain)));
    ranges.dedup();
    let place =
        |report: &pb::RangeReport| ranges.iter().position(|(net, domain)| net.to_string() == report.prefix && *domain == report.domain);
    for kind in [pb::WindowKind::Long, pb::WindowKind::Fast] {
        let of_kind = log.ranges.iter().filter(|r| r.window_kind == i32::from(kind));
        let places: Vec<_> = of_kind.map(|r| (r.window_start_ns, place(r))).collect();
        assert!(places.is_sorted());
    }
    let mut sequences: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for report in &log.ranges {
        let last = sequences.entry((&report.domain, &report.prefix)).or_default();
        *last += 1;
        assert_eq!(report.sequence, *last, "{}", report.prefix);
    }
}
