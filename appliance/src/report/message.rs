//! Figures → the words of the wire.

use super::pb;
use crate::config::StatSpec;
use crate::stats::figure::{Basis, Bin, BinOf, Confidence, Distinct, DistinctSketch, Estimate, Figure, Peak, Top, TopEntry};
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
        Figure::Top(figure) => pb::stat::Figure::Top(top(&figure)),
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
fn weighted(sum: &Weighted) -> pb::WeightedSum {
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

fn bin(of: &Bin) -> pb::Bin {
    let (low, high, label) = match &of.of {
        BinOf::Numbers(low, high) => (Some(*low), *high, None),
        BinOf::Label(label) => (None, None, Some(label.clone())),
    };
    pb::Bin { low, high, label, value: Some(estimate(&of.value)), sufficient: Some(weighted(&of.sufficient)) }
}

fn top(of: &Top) -> pb::Top {
    pb::Top {
        entries: of.entries.iter().map(top_entry).collect(),
        coverage: of.coverage,
        all: Some(estimate(&of.all)),
        all_sufficient: Some(weighted(&of.all_sufficient)),
        reserve: of.reserve.iter().map(top_entry).collect(),
        absent_high_passed: of.absent.passed,
        absent_high_scaled: of.absent.scaled,
        absent_high_sampled_packets: of.absent.sampled_packets,
        thinned: of.thinned,
        short_of_memory: of.short,
        // Told by who knows how the entries were estimated: see `range`.
        order_proven: 0,
    }
}

fn top_entry(of: &TopEntry) -> pb::TopEntry {
    pb::TopEntry {
        key: of.key.clone(),
        value: Some(estimate(&of.value)),
        sufficient: Some(weighted(&of.sufficient)),
        unseen_passed: of.unseen.passed,
        unseen_scaled: of.unseen.scaled,
        unseen_sampled_packets: of.unseen.sampled_packets,
    }
}

fn distinct(of: Distinct) -> pb::Distinct {
    let (sketch, kind, p) = match of.sketch {
        DistinctSketch::Hashes(hashes) => (hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect(), "hashes64", 0),
        DistinctSketch::Registers(registers) => {
            let p = registers.len().trailing_zeros();
            (registers, "hll", p)
        }
    };
    let value = Some(estimate(&of.value));
    pb::Distinct { value, sketch, sketch_kind: kind.to_owned(), p, sampled_packets: of.sampled_packets }
}

/// A named counter.
pub(super) fn count(name: impl Into<String>, value: u64) -> pb::NamedCount {
    pb::NamedCount { name: name.into(), value }
}
