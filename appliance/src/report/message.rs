//! Figures → the words of the wire.

use super::pb;
use crate::config::StatSpec;
use crate::stats::figure::{
    Basis, Bin, BinOf, Confidence, Distinct, DistinctSketch, Estimate, Fanout, FanoutEntry, Figure, NewKeys, Peak, Quantile, Quantiles,
    Top, TopEntry,
};
use crate::stats::weighted::Weighted;

/// One stat of one report.
pub(super) fn stat(spec: &StatSpec, figure: Figure) -> pb::Stat {
    let (mut sufficient, mut peak) = (None, None);
    let figure = match figure {
        Figure::Total(value, sum) => {
            sufficient = sum.as_ref().map(weighted);
            pb::stat::Figure::Total(estimate(&value))
        }
        Figure::Peak(figure) => {
            peak = Some(series(&figure));
            pb::stat::Figure::Total(estimate(&figure.rate))
        }
        Figure::Histogram(bins) => pb::stat::Figure::Histogram(pb::Histogram { bins: bins.iter().map(bin).collect() }),
        Figure::Quantiles(figure) => pb::stat::Figure::Quantiles(quantiles(&figure)),
        Figure::Top(figure) => pb::stat::Figure::Top(top(figure)),
        Figure::Entropy(value, _) => pb::stat::Figure::Entropy(pb::Entropy { value: Some(estimate(&value)) }),
        Figure::Fanout(figure) => pb::stat::Figure::Top(fanout(&figure)),
        Figure::NewKeys(figure) => pb::stat::Figure::NewKeys(new_keys(figure)),
        Figure::Distinct(figure) => pb::stat::Figure::Distinct(distinct(figure)),
    };
    pb::Stat {
        name: spec.name.clone(),
        calculation: spec.calculation.clone(),
        key: spec.key.name(),
        metric: spec.metric.name().to_owned(),
        decision: spec.decision.name().to_owned(),
        direction: spec.direction.name().to_owned(),
        sufficient,
        peak,
        source: spec.source.name().to_owned(),
        reduced_from_bytes: None,
        figure: Some(figure),
    }
}

/// See [`Estimate`].
pub(super) fn estimate(of: &Estimate) -> pb::Estimate {
    let basis = match of.basis {
        Basis::Exact => pb::Basis::Exact,
        Basis::Sampled => pb::Basis::Sampled,
        Basis::Sketched => pb::Basis::Sketched,
        Basis::SampledSketched => pb::Basis::SampledSketched,
    };
    let confidence = match of.confidence {
        Confidence::Sure => pb::Confidence::Sure,
        Confidence::P95 => pb::Confidence::P95,
    };
    pb::Estimate { value: of.value, low: of.low, high: of.high, basis: basis.into(), confidence: confidence.into() }
}

#[allow(clippy::cast_possible_truncation, reason = "a u128 in two words")]
pub(super) fn weighted(sum: &Weighted) -> pb::WeightedSum {
    pb::WeightedSum {
        passed: sum.passed,
        sampled_packets: sum.sampled_packets,
        scaled: sum.scaled,
        variance_high: (sum.variance >> 64) as u64,
        variance_low: sum.variance as u64,
        largest: sum.largest,
        unproven_packets: sum.unproven,
        seen: sum.seen,
    }
}

fn series(of: &Peak) -> pb::Peak {
    let sub_window = |(start_ns, sum): &(u64, Weighted)| pb::SubWindow { start_ns: *start_ns, sufficient: Some(weighted(sum)) };
    pb::Peak { start_ns: of.start_ns, sub_window_ms: of.sub_window_ms, series: of.series.iter().map(sub_window).collect() }
}

fn quantiles(of: &Quantiles) -> pb::Quantiles {
    let quantile = |q: &Quantile| pb::Quantile { rank: q.rank, value: Some(estimate(&q.value)) };
    let bin = |(ends, sum): &((u64, u64), Weighted)| pb::QuantileBin { low: ends.0, high: ends.1, sufficient: Some(weighted(sum)) };
    pb::Quantiles { quantiles: of.quantiles.iter().map(quantile).collect(), bins: of.bins.iter().map(bin).collect() }
}

fn bin(of: &Bin) -> pb::Bin {
    let (low, high, label) = match &of.of {
        BinOf::Numbers(low, high) => (Some(*low), *high, None),
        BinOf::Label(label) => (None, None, Some(label.clone())),
    };
    pb::Bin { low, high, label, value: Some(estimate(&of.value)), sufficient: Some(weighted(&of.sufficient)) }
}

fn top(of: Top) -> pb::Top {
    pb::Top {
        entries: of.entries.into_iter().map(top_entry).collect(),
        coverage: of.coverage,
        all: Some(estimate(&of.all)),
        all_sufficient: Some(weighted(&of.all_sufficient)),
        reserve: of.reserve.into_iter().map(top_entry).collect(),
        absent_high_passed: of.absent.passed,
        absent_high_scaled: of.absent.scaled,
        absent_high_sampled_packets: of.absent.sampled_packets,
        thinned: of.thinned,
        short_of_memory: of.short,
        shed_weight: of.shed,
        // Told by who knows how the entries were estimated: see `range`.
        order_proven: 0,
        ..pb::Top::default()
    }
}

fn top_entry(of: TopEntry) -> pb::TopEntry {
    pb::TopEntry {
        key: of.key,
        value: Some(estimate(&of.value)),
        sufficient: Some(weighted(&of.sufficient)),
        unseen_passed: of.unseen.passed,
        unseen_scaled: of.unseen.scaled,
        unseen_sampled_packets: of.unseen.sampled_packets,
        ..pb::TopEntry::default()
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and not negative; at most 63")]
fn fanout(of: &Fanout) -> pb::Top {
    let entry = |e: &FanoutEntry| pb::TopEntry {
        key: e.key.clone(),
        value: Some(estimate(&e.value)),
        pairs: big_endian(&e.pairs, |hash| hash.to_be_bytes()),
        ..pb::TopEntry::default()
    };
    pb::Top {
        entries: of.entries.iter().map(entry).collect(),
        coverage: of.coverage,
        all: Some(estimate(&of.all)),
        reserve: of.reserve.iter().map(entry).collect(),
        absent_high_passed: of.absent.map_or(u64::MAX, |n| n as u64),
        pairs_level: of.level as u32,
        ..pb::Top::default()
    }
}

/// The bytes of all, one behind the other: a flattened iterator would take them one at a time.
fn big_endian<T, const N: usize>(of: &[T], bytes: impl Fn(&T) -> [u8; N]) -> Vec<u8> {
    of.iter().map(bytes).collect::<Vec<_>>().into_flattened()
}

fn new_keys(of: NewKeys) -> pb::NewKeys {
    pb::NewKeys { value: Some(estimate(&of.value)), keys: Some(distinct(of.keys)), covers_windows: of.covers_windows }
}

fn distinct(of: Distinct) -> pb::Distinct {
    let (sketch, kind, p) = match of.sketch {
        DistinctSketch::Hashes(hashes) => (big_endian(&hashes, |hash| hash.to_be_bytes()), "hashes64", 0),
        DistinctSketch::Registers(registers) => {
            let p = registers.len().trailing_zeros();
            (registers, "hll", p)
        }
    };
    let (value, shown) = (Some(estimate(&of.value)), of.shown.unwrap_or_default());
    pb::Distinct {
        value,
        sketch,
        sketch_kind: kind.to_owned(),
        p,
        sampled_packets: of.sampled_packets,
        shown_hashes: big_endian(&shown.keys, |(hash, _)| hash.to_be_bytes()),
        shown_counts: big_endian(&shown.keys, |(_, count)| count.to_be_bytes()),
        shown_level: shown.level,
        short_of_memory: shown.short,
    }
}

/// A named counter.
pub(super) fn count(name: impl Into<String>, value: u64) -> pb::NamedCount {
    pb::NamedCount { name: name.into(), value }
}
