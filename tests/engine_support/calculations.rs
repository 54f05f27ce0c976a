//! The figures of `peak`, `quantiles`, `fanout`, `entropy` and `new_keys` against the model.

use std::collections::{BTreeMap, BTreeSet};

use tailwater::report::pb;

use super::compare::{Counts, holds, merge, of_range, same, weighted};
use super::model::{KeyOf, Seen, Sum};
use super::setup::{Row, Setup};

/// What `new_keys` knows of earlier windows.
#[derive(Default)]
pub struct Known {
    elder: Half,
    young: Half,
    since: Option<u64>,
}

/// What earlier windows of a range had, by kind, range and stat.
pub(super) type Pasts = BTreeMap<(pb::WindowKind, (&'static str, &'static str), String), Known>;

/// Another configuration counts: what a range knows goes on if it has the stat still, defined as it was.
pub(super) fn forget(known: &mut Pasts, kind: pb::WindowKind, before: &Setup, now: &Setup) {
    let defined = |setup: &Setup, (prefix, domain): (&str, &str), name: &str| {
        let range = setup.ranges.iter().position(|range| (range.0, range.2) == (prefix, domain))?;
        let row = of_range(setup, range, kind).into_iter().find(|row| row.name == name)?;
        Some(format!("{:?}", Row { premium: false, ..row.clone() }))
    };
    known.retain(|(of, range, name), _| {
        *of != kind || defined(now, *range, name).is_some_and(|row| defined(before, *range, name) == Some(row))
    });
}

/// First and last window, and their keys.
#[derive(Default)]
struct Half(u64, u64, BTreeSet<KeyOf>);

impl Counts<'_> {
    /// Packets that count, each with what it adds.
    fn counted<'p>(&self, packets: &'p [Seen]) -> Vec<(&'p Seen, u64)> {
        let counts = |packet: &&Seen| self.row.key(self.setup, packet).is_some();
        packets.iter().filter(counts).filter_map(|packet| Some((packet, self.row.value(packet)?))).collect()
    }

    pub(super) fn peak(&self, total: &pb::Estimate, have: &pb::Peak, packets: &[Seen], window: (u64, u64)) -> Result<(), String> {
        let sub_ms = self.row.sub_ms(self.setup);
        let sub_ns = sub_ms * 1_000_000;
        let mut sums: BTreeMap<u64, Sum> = BTreeMap::new();
        for (packet, value) in self.counted(packets) {
            // One that is late belongs to the first sub-window of the window that it counts in.
            let since = if self.row.fast { packet.epoch_ns } else { window.0 };
            let time = packet.time_ns.max(since);
            sums.entry(time - (time - since) % sub_ns).or_default().add(value, packet);
        }
        same("length", have.sub_window_ms, sub_ms)?;
        let series: Vec<_> =
            sums.iter().map(|(start_ns, sum)| pb::SubWindow { start_ns: *start_ns, sufficient: Some(weighted(sum)) }).collect();
        same("series", &have.series, &series)?;
        let most = sums.values().map(Sum::total).max().unwrap_or(0);
        let first = sums.iter().find(|(_, sum)| sum.total() == most).map_or(0, |(start, _)| *start);
        same("when", have.start_ns, first)?;
        let rate = |n: u64| n as f64 * 1_000.0 / sub_ms as f64;
        same("value", total.value, rate(most))?;
        if !self.may_be_sampled() {
            return same("bounds", (total.low, total.high, total.basis()), (rate(most), Some(rate(most)), pb::Basis::Exact));
        }
        let seen = sums.values().map(|sum| sum.passed + sum.seen.min(sum.scaled)).max().unwrap_or(0);
        if self.all.unproven > 0 || self.setup.every_nth {
            return same("unproven", (total.low, total.high, total.confidence()), (rate(seen), None, pb::Confidence::Sure));
        }
        holds("bounds", rate(seen) <= total.low && total.low <= total.value && total.high.is_some_and(|high| total.value <= high))?;
        same("confidence", (total.confidence(), total.basis()), (pb::Confidence::P95, pb::Basis::Sampled))
    }

    pub(super) fn quantiles(&self, have: &pb::Quantiles) -> Result<(), String> {
        let mut values: BTreeMap<u64, Sum> = BTreeMap::new();
        for ((_, text), sum) in &self.keys {
            merge(values.entry(text.parse().map_err(|_| "no number")?).or_default(), sum);
        }
        let mut binned = 0;
        for bin in &have.bins {
            let mut sum = Sum::default();
            values.range(bin.low..bin.high).for_each(|(_, part)| merge(&mut sum, part));
            same("bin", bin.sufficient.as_ref(), Some(&weighted(&sum)))?;
            holds("narrow", (bin.high - bin.low - 1) as f64 <= 0.02 * bin.low as f64)?;
            binned += sum.total();
        }
        same("all packets", binned, self.all.total())?;
        let ranks =
            if self.all == Sum::default() { Vec::new() } else { self.row.more.ranks.clone().unwrap_or_else(|| vec![0.5, 0.9, 0.99]) };
        same("ranks", have.quantiles.iter().map(|q| q.rank).collect(), ranks)?;
        for quantile in &have.quantiles {
            let wanted = (quantile.rank * self.all.total() as f64).ceil().max(1.0);
            let mut below = 0;
            let found = values.iter().find(|(_, sum)| {
                below += sum.total();
                below as f64 >= wanted
            });
            let truth = *found.ok_or("no such rank")?.0 as f64;
            let e = quantile.value.as_ref().ok_or("no value")?;
            holds(&format!("{} of {truth}", quantile.rank), (e.value - truth).abs() <= 0.01 * truth)?;
            holds("within", e.low <= truth && e.high.is_none_or(|high| truth <= high))?;
            let basis = match (truth < 128.0, self.may_be_sampled()) {
                (true, false) => pb::Basis::Exact,
                (false, false) => pb::Basis::Sketched,
                (true, true) => pb::Basis::Sampled,
                (false, true) => pb::Basis::SampledSketched,
            };
            same("basis", e.basis(), basis)?;
            if !self.may_be_sampled() {
                holds("narrow", e.high.is_some_and(|high| high - e.low <= 0.02 * truth) && e.confidence() == pb::Confidence::Sure)?;
            } else if self.all.unproven > 0 || self.setup.every_nth {
                same("unproven", (e.low, e.high, e.confidence()), (0.0, None, pb::Confidence::Sure))?;
            }
        }
        Ok(())
    }

    pub(super) fn fanout(&self, have: &pb::Top, packets: &[Seen]) -> Result<(), String> {
        let others = self.row.others();
        let mut truth: BTreeMap<KeyOf, BTreeSet<KeyOf>> = BTreeMap::new();
        for (packet, _) in self.counted(packets) {
            if let (Some(key), Some(other)) = (self.row.key(self.setup, packet), others.key(self.setup, packet)) {
                truth.entry(key).or_default().insert(other);
            }
        }
        let all: usize = truth.values().map(BTreeSet::len).sum();
        let kept = self.row.more.pairs.unwrap_or(2_048);
        same("exact", have.pairs_level == 0, all <= kept)?;
        let mut sorted: Vec<(&KeyOf, usize)> = truth.iter().map(|(key, others)| (key, others.len())).collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.0.cmp(&b.0.0)));
        let listed: Vec<&pb::TopEntry> = have.entries.iter().chain(&have.reserve).collect();
        let pairs: usize = listed.iter().map(|e| e.pairs.len() / 8).sum();
        holds("kept", pairs <= kept.min(all))?;
        for entry in &listed {
            let truth = sorted.iter().find(|(key, _)| key.1 == entry.key).ok_or("never there")?.1 as f64;
            let e = entry.value.as_ref().ok_or("no value")?;
            same("value", e.value, (entry.pairs.len() as f64 / 8.0) * f64::from(1_u32 << have.pairs_level))?;
            holds(&format!("{}: {truth}", entry.key), e.low <= truth.max(e.value) && entry.pairs.len() as f64 / 8.0 <= truth)?;
            same("high", e.high.is_none(), self.may_be_sampled())?;
        }
        if have.pairs_level == 0 {
            let want: Vec<_> = sorted.iter().take(2 * self.row.k).map(|(key, n)| (&key.1, *n as f64)).collect();
            let have: Vec<_> = listed.iter().map(|e| (&e.key, e.value.as_ref().map_or(0.0, |v| v.low))).collect();
            same("entries", have, want)?;
        }
        let value = have.all.as_ref().ok_or("no whole")?;
        holds(&format!("all {all}"), have.pairs_level > 0 || value.value == all as f64)
    }

    pub(super) fn new_keys(&self, have: &pb::NewKeys, known: &mut Known, (start, end): (u64, u64)) -> Result<(), String> {
        let (number, windows) = (start / (end - start), self.row.more.windows.unwrap_or(360));
        if number > known.young.1 + 2 * windows {
            // A range that was idle so long is forgotten.
            *known = Known::default();
        }
        let since = known.since.get_or_insert_with(|| {
            (known.elder.0, known.elder.1, known.young.0, known.young.1) = (number, number, number, number);
            number
        });
        while known.young.0 + windows <= number {
            let next = known.young.0 + windows;
            known.elder = std::mem::replace(&mut known.young, Half(next, next + windows - 1, BTreeSet::new()));
            *since = (*since).max(known.elder.0);
        }
        if known.elder.1 + windows < number {
            *since = (*since).max(known.elder.1 + 1);
            known.elder.2.clear();
        }
        let new = self.keys.keys().filter(|key| !known.elder.2.contains(*key) && !known.young.2.contains(*key)).count() as f64;
        same("covers", have.covers_windows, number - *since)?;
        holds("at least", number - *since >= windows.min(have.covers_windows))?;
        holds("at most twice as many", number - *since <= 2 * windows)?;
        self.distinct(have.keys.as_ref().ok_or("no keys")?, false)?;
        let exact = if self.row.p < 10 { 64 } else { 128 };
        let sketched = [&known.elder.2, &known.young.2].iter().any(|half| half.len() > exact) || self.keys.len() > exact;
        let e = have.value.as_ref().ok_or("no value")?;
        known.young.1 = number;
        known.young.2.extend(self.keys.keys().cloned());
        if sketched {
            return holds(&format!("{new} new"), e.low <= e.value && e.value <= self.keys.len() as f64 * 1.5 + 10.0);
        }
        same("new", e.value, new)?;
        if self.may_be_sampled() {
            return same("of the sample", (e.low, e.high, e.basis()), (0.0, None, pb::Basis::Sampled));
        }
        same("exact", (e.low, e.high, e.basis()), (new, Some(new), pb::Basis::Exact))
    }

    pub(super) fn entropy(&self, have: &pb::Estimate) -> Result<(), String> {
        let all = self.all.total() as f64;
        let truth: f64 = self.keys.values().map(|sum| sum.total() as f64 / all).map(|p| -p * p.log2()).sum();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let exact = self.keys.len() <= self.row.more.exact.unwrap_or(1_024);
        if !self.may_be_sampled() && exact {
            holds(&format!("{truth}"), near(have.value, truth))?;
            return same("exact", (have.low, have.high, have.basis()), (have.value, Some(have.value), pb::Basis::Exact));
        }
        let basis = match (exact, self.may_be_sampled()) {
            (true, _) => pb::Basis::Sampled,
            (false, true) => pb::Basis::SampledSketched,
            (false, false) => pb::Basis::Sketched,
        };
        same("basis", have.basis(), basis)?;
        holds("order", have.low <= have.value && have.high.is_none_or(|high| have.value <= high))?;
        if !self.may_be_sampled() {
            // The upper end holds in 95 of 100 windows; it is not far off in the others.
            return holds(&format!("{truth}"), have.low <= truth + 1e-9 && have.high.is_some_and(|high| truth <= high * 1.03));
        }
        if self.all.unproven > 0 || self.setup.every_nth {
            return same("unproven", (have.low, have.high, have.confidence()), (0.0, None, pb::Confidence::Sure));
        }
        same("high", have.high.is_some(), exact)?;
        holds(&format!("{truth} in the sample"), have.low <= truth + 1e-9)
    }
}
